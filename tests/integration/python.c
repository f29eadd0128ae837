/*
 * Story: the safetensors package of Python reads the public files while
 * updates go on, with no help from emad.  EMAD_PYTHON names an interpreter
 * that has the packages safetensors and numpy; script/test makes one.
 */
#include <check.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

struct story {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic int64_t published;
};

static void
train(void *arg)
{
	struct story *story = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct uniform uniform;

	uniform_init(&uniform, 16384);
	insist(emad_connect(&emad, story->daemon.address, -1) == EMAD_OK);
	insist(uniform_attach(&uniform, &publisher, emad, "m", NULL) ==
	       EMAD_OK);
	for (int64_t step = 0; !story->stop; step++) {
		uniform_fill(&uniform, step);
		if (emad_publish(publisher, step, uniform.tensors) != EMAD_OK)
			give_up("publish: %s", emad_error());
		story->published = step;
	}
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
	uniform_deinit(&uniform);
}

static void
read_with_python(void *arg)
{
	struct story *story = arg;
	const char *python = getenv("EMAD_PYTHON");
	char copy[SHM_PATH_SIZE];
	char slow[SHM_PATH_SIZE];

	if (!python)
		python = "python3";
	daemon_file(&story->daemon, "m", "copy", copy);
	daemon_file(&story->daemon, "m", "slow", slow);
	(void)execlp(python, python, TESTS_FOLDER "/integration/reader.py",
		     copy, slow, story_is_instrumented() ? "30" : "200",
		     (char *)NULL);
	give_up("cannot run %s", python);
}

static void
try_imports(void *arg)
{
	const char *python = getenv("EMAD_PYTHON");

	(void)arg;
	if (!python)
		python = "python3";
	(void)execlp(python, python, "-c", "import numpy, safetensors",
		     (char *)NULL);
	_exit(1);
}

START_TEST(python_reads_whole_versions_while_updates_go_on)
{
	struct story *story = shared_new(sizeof *story);
	pid_t trainer;

	if (child_wait(child_start(try_imports, NULL)) != 0)
		ck_abort_msg(
			"no Python with numpy and safetensors: run "
			"script/test, which makes one, or set EMAD_PYTHON");
	daemon_new(&story->daemon);
	trainer = child_start(train, story);
	wait_until(story->published > 2) continue;
	child_finish(child_start(read_with_python, story));
	story->stop = 1;
	child_finish(trainer);
	daemon_stop(&story->daemon);
}
END_TEST

static Suite *
python_suite(void)
{
	Suite *suite = suite_create("python");
	TCase *tcase = tcase_create("python");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, python_reads_whole_versions_while_updates_go_on);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(python_suite)
