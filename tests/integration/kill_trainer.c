/*
 * Story: a trainer is killed at random moments, hundreds of times.  Nothing is
 * torn, nothing of it stays behind, and the next trainer goes on.
 */
#include <check.h>
#include <stdatomic.h>
#include <string.h>

#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_ELEMENTS 16384
/* Moments that a trainer passes before it is in the loop of its publishes. */
#define N_MOMENTS 24

struct trainer {
	struct daemon daemon;
	_Atomic unsigned int moment; /* how far the trainer has got */
	_Atomic int last;            /* this one is not killed */
};

/* Write into the slot in pieces, so that a kill can fall in the middle. */
static void
write_slowly(struct trainer *trainer, const struct uniform *uniform,
	     void *const *slot)
{
	for (size_t k = 0; k < UNIFORM_TENSORS; k++) {
		uint64_t n = uniform->shapes[k][0];

		if (n > 0)
			memcpy(slot[k], uniform->values[k], n * 2);
		trainer->moment++;
	}
	for (size_t k = 0; k < UNIFORM_TENSORS; k++) {
		uint64_t n = uniform->shapes[k][0];
		const char *dtype = uniform->tensors[k].dtype;
		uint64_t width = strcmp(dtype, "BF16") == 0  ? 2
				 : strcmp(dtype, "F32") == 0 ? 4
							     : 8;

		if (n > 0)
			memcpy(slot[k], uniform->values[k], n * width);
	}
}

static void
train(void *arg)
{
	struct trainer *trainer = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct uniform uniform;
	void *slot[UNIFORM_TENSORS];
	int64_t step;
	int64_t end;

	uniform_init(&uniform, N_ELEMENTS);
	trainer->moment++;
	if (emad_connect(&emad, trainer->daemon.address, -1) != EMAD_OK)
		give_up("connect: %s", emad_error());
	trainer->moment++;
	if (uniform_attach(&uniform, &publisher, emad, "m", NULL) != EMAD_OK)
		give_up("the next trainer cannot attach: %s", emad_error());
	trainer->moment++;
	step = emad_last_step(publisher) + 1;
	end = step + 10;
	for (; !trainer->last || step < end; step++) {
		uniform_fill(&uniform, step);
		insist(emad_begin(publisher, slot) == EMAD_OK);
		write_slowly(trainer, &uniform, slot);
		if (emad_commit(publisher, step) != EMAD_OK)
			give_up("commit: %s", emad_error());
		trainer->moment++;
	}
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
}

static void
check_versions(const struct daemon *daemon)
{
	static const char *const profiles[] = { "copy", "slow" };
	struct reading reading;
	char path[SHM_PATH_SIZE];

	for (size_t i = 0; i < array_size(profiles); i++) {
		daemon_file(daemon, "m", profiles[i], path);
		if (access(path, F_OK) != 0)
			continue;
		if (!reading_open(&reading, path))
			give_up("%s cannot be read", path);
		uniform_check(&reading, i == 0);
		reading_close(&reading);
	}
}

static void
kill_one(struct trainer *trainer)
{
	unsigned int moment = (unsigned int)random_below(N_MOMENTS);
	pid_t pid;

	trainer->moment = 0;
	pid = child_start(train, trainer);
	wait_until(trainer->moment >= moment) continue;
	spin(random_below(100000));
	child_kill(pid);
	check_versions(&trainer->daemon);
}

/* The daemon's descriptors when all trainers are gone and one of us asks. */
static unsigned int
await_no_session(const struct daemon *daemon)
{
	int fd = raw_open(daemon_socket(daemon));
	unsigned int n_descriptors;
	bool quiet = false;

	wait_until(quiet)
	{
		Emad__Reply *reply = raw_status(fd);

		quiet = reply->status_reply->n_sessions == 0 &&
			reply->status_reply->n_connections == 1;
		wire_reply_free(reply);
	}
	n_descriptors = daemon_n_descriptors(daemon);
	(void)close(fd);
	return n_descriptors;
}

static unsigned int
run_to_the_end(struct trainer *trainer)
{
	trainer->last = 1;
	child_finish(child_start(train, trainer));
	trainer->last = 0;
	return await_no_session(&trainer->daemon);
}

START_TEST(killed_trainers_leave_nothing_behind)
{
	struct trainer *trainer = shared_new(sizeof *trainer);
	struct daemon *daemon = &trainer->daemon;
	unsigned int n_descriptors, n_threads, n_files;

	daemon_new(daemon);
	n_descriptors = run_to_the_end(trainer);
	n_threads = daemon_n_threads(daemon);
	n_files = daemon_n_files(daemon, "");
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);

	for (unsigned int i = 0; i < story_scale(300); i++)
		kill_one(trainer);

	ck_assert_uint_eq(await_no_session(daemon), n_descriptors);
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);
	ck_assert_uint_eq(run_to_the_end(trainer), n_descriptors);
	ck_assert_uint_eq(daemon_n_files(daemon, ""), n_files);
	ck_assert_uint_eq(daemon_n_threads(daemon), n_threads);
	check_versions(daemon);
	daemon_stop(daemon);
}
END_TEST

static Suite *
kill_trainer_suite(void)
{
	Suite *suite = suite_create("kill_trainer");
	TCase *tcase = tcase_create("trainer");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, killed_trainers_leave_nothing_behind);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(kill_trainer_suite)
