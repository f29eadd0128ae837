/*
 * Story: readers that know nothing of emad open the public files while updates
 * run as fast as they can, and are killed in the middle of it.  No version is
 * ever torn, and no dead reader stops anything.
 */
#include <check.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/lib/daemon.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_READERS  4
#define N_ELEMENTS 65536

struct torn {
	struct daemon daemon;
	_Atomic uint64_t n_checked;
	_Atomic int64_t published; /* step */
	_Atomic int stop;
};

static void
train(void *arg)
{
	struct torn *torn = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct uniform uniform;

	uniform_init(&uniform, N_ELEMENTS);
	insist(emad_connect(&emad, torn->daemon.address, -1) == EMAD_OK);
	insist(uniform_attach(&uniform, &publisher, emad, "m", NULL) ==
	       EMAD_OK);
	for (int64_t step = 0; !torn->stop; step++) {
		uniform_fill(&uniform, step);
		if (emad_publish(publisher, step, uniform.tensors) != EMAD_OK)
			give_up("publish: %s", emad_error());
		torn->published = step;
	}
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
	uniform_deinit(&uniform);
}

static void
read_versions(void *arg)
{
	struct torn *torn = arg;
	char paths[2][SHM_PATH_SIZE];
	int64_t last[2] = { -1, -1 };
	struct reading reading;

	daemon_file(&torn->daemon, "m", "copy", paths[0]);
	daemon_file(&torn->daemon, "m", "slow", paths[1]);
	for (unsigned int i = 0; !torn->stop; i ^= 1) {
		if (!reading_open(&reading, paths[i]))
			give_up("%s is not there, or not valid", paths[i]);
		uniform_check(&reading, i == 0);
		if (reading.state.step < last[i])
			give_up("a version older than the one before");
		last[i] = reading.state.step;
		reading_close(&reading);
		torn->n_checked++;
	}
}

START_TEST(no_version_is_torn_while_readers_are_killed)
{
	struct torn *torn = shared_new(sizeof *torn);
	pid_t readers[N_READERS];
	unsigned int n_kills = story_scale(150);
	pid_t trainer;

	daemon_new(&torn->daemon);
	trainer = child_start(train, torn);
	/* With two slots, the first publish has been answered by then. */
	wait_until(torn->published > 2) continue;
	for (size_t i = 0; i < N_READERS; i++)
		readers[i] = child_start(read_versions, torn);

	for (unsigned int n = 0; n < n_kills; n++) {
		size_t victim = random_below(N_READERS);
		uint64_t checked = torn->n_checked;

		wait_until(torn->n_checked >
			   checked + random_below(8)) continue;
		spin(random_below(200000));
		child_kill(readers[victim]);
		readers[victim] = child_start(read_versions, torn);
	}
	wait_until(torn->published > story_scale(3000)) continue;
	torn->stop = 1;
	for (size_t i = 0; i < N_READERS; i++)
		child_finish(readers[i]);
	child_finish(trainer);
	daemon_check(&torn->daemon);
	daemon_stop(&torn->daemon);
}
END_TEST

/* The view's own thread of time: what is mapped stays as it is. */
START_TEST(mapped_version_never_changes)
{
	struct daemon daemon;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_view *view;
	struct uniform uniform;
	const void *file;
	uint64_t size;
	char *copy;

	daemon_new(&daemon);
	uniform_init(&uniform, N_ELEMENTS);
	insist(emad_connect(&emad, daemon.address, -1) == EMAD_OK);
	insist(uniform_attach(&uniform, &publisher, emad, "m", NULL) ==
	       EMAD_OK);
	uniform_fill(&uniform, 0);
	insist(emad_publish(publisher, 0, uniform.tensors) == EMAD_OK);
	insist(emad_pull(&view, emad, "m", "slow", 0, -1) == EMAD_OK);
	file = emad_view_file(view, &size);
	copy = malloc(size);
	insist(copy);
	memcpy(copy, file, size);

	for (int64_t step = 1; step <= 50; step++) {
		uniform_fill(&uniform, step);
		insist(emad_publish(publisher, step, uniform.tensors) ==
		       EMAD_OK);
		ck_assert(memcmp(copy, file, size) == 0);
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(memcmp(copy, file, size) == 0);
	ck_assert_int_eq(emad_view_step(view), 0);

	free(copy);
	emad_view_close(view);
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
	uniform_deinit(&uniform);
	daemon_stop(&daemon);
}
END_TEST

static Suite *
torn_suite(void)
{
	Suite *suite = suite_create("torn");
	TCase *tcase = tcase_create("readers");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, no_version_is_torn_while_readers_are_killed);
	tcase_add_test(tcase, mapped_version_never_changes);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(torn_suite)
