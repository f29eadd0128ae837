/*
 * Story: a trainer goes on while its snapshots are copied.  The daemon is
 * killed, workers are forked, the trainer ends without waiting: each snapshot
 * counts once, and what is public is whole.
 */
#include <check.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/reference.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_KILLS     40
#define N_WORKERS   10
#define N_EXITS     10
#define N_LARGE     ((uint64_t)8 << 20)
#define N_SNAPSHOTS 5

struct story {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic int64_t last_step; /* that was published */
};

/* One of the ways to publish, each of which has to get on with the others. */
static void
publish_somehow(struct emad_publisher *publisher, float *values, int64_t step)
{
	const void *data = values;
	int status;

	/* The parameters are still being copied until this returned. */
	if (emad_publish_wait(publisher) != EMAD_OK)
		give_up("wait before step %" PRId64 ": %s", step, emad_error());
	reference_fill(values, step);
	switch (random_below(8)) {
	case 0:
		status = emad_publish_data(publisher, step, &data);
		break;
	case 1:
		status = emad_publish_data_async(publisher, step, &data);
		if (status == EMAD_OK)
			status = emad_flush(publisher);
		break;
	default:
		status = emad_publish_data_async(publisher, step, &data);
	}
	if (status != EMAD_OK)
		give_up("step %" PRId64 ": %s", step, emad_error());
}

static void
train(void *arg)
{
	static float values[REFERENCE_ELEMENTS];
	struct story *story = arg;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	struct emad *emad;
	int64_t step;

	insist(emad_connect(&emad, story->daemon.address, -1) == EMAD_OK);
	insist(reference_attach(&publisher, emad, NULL) == EMAD_OK);
	for (step = 0; !story->stop; step++) {
		publish_somehow(publisher, values, step);
		story->last_step = step;
	}
	if (emad_flush(publisher) != EMAD_OK)
		give_up("flush: %s", emad_error());
	emad_get_counts(publisher, &counts);
	insist(counts.published == (uint64_t)step);
	insist(counts.absorbed == (uint64_t)step);
	insist(counts.reattached > 0);
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
}

START_TEST(each_counts_once_however_often_the_daemon_is_killed)
{
	struct story *story = shared_new(sizeof *story);
	struct daemon *daemon = &story->daemon;
	struct reference *reference = reference_new();
	int64_t steps[REFERENCE_PROFILES];
	pid_t trainer;

	daemon_new(daemon);
	trainer = child_start(train, story);
	for (unsigned int i = 0; i < story_scale(N_KILLS); i++) {
		int64_t target = reference_step_of(daemon) + 1 +
				 (int64_t)random_below(30);

		wait_until(reference_step_of(daemon) >= target) continue;
		spin(random_below(300000));
		daemon_kill(daemon);
		reference_check(reference, daemon, steps);
		daemon_start(daemon);
	}
	story->stop = 1;
	child_finish(trainer);
	reference_check(reference, daemon, steps);
	ck_assert_int_eq(steps[0], story->last_step);
	ck_assert_int_eq(steps[1], story->last_step);
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);
	daemon_stop(daemon);
	reference_free(reference);
}
END_TEST

/* Published, and the file read as a stranger reads it. */
static void
check_public(const struct daemon *daemon, int64_t step)
{
	static const char *const names[] = { "copy", "slow" };
	struct reading reading;
	char path[SHM_PATH_SIZE];

	for (size_t i = 0; i < array_size(names); i++) {
		daemon_file(daemon, "m", names[i], path);
		wait_until(reading_open(&reading, path)) continue;
		ck_assert_int_eq(reading.state.step, step);
		uniform_check(&reading, i == 0);
		reading_close(&reading);
	}
}

START_TEST(large_snapshots_are_copied_whole_by_several_threads)
{
	const struct emad_options options = { .n_copy_threads = 3 };
	struct emad_publisher *publisher;
	struct uniform uniform;
	struct daemon daemon;
	struct emad *emad;

	daemon_new(&daemon);
	uniform_init(&uniform, N_LARGE);
	insist(emad_connect(&emad, daemon.address, -1) == EMAD_OK);
	insist(uniform_attach(&uniform, &publisher, emad, "m", &options) ==
	       EMAD_OK);
	for (int64_t step = 0; step < N_SNAPSHOTS; step++) {
		ck_assert_int_eq(emad_publish_wait(publisher), EMAD_OK);
		uniform_fill(&uniform, step);
		ck_assert_int_eq(
			emad_publish_async(publisher, step, uniform.tensors),
			EMAD_OK);
		if (step % 2 == 1)
			continue;
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		check_public(&daemon, step);
	}
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	uniform_deinit(&uniform);
	daemon_stop(&daemon);
}
END_TEST

static bool is_worker;

/*
 * Asked by the leak sanitizer at exit: it cannot stop the threads of the
 * trainer from within a worker, and would call what they hold a leak.
 */
int __lsan_is_turned_off(void) __attribute__((visibility("default")));

int
__lsan_is_turned_off(void)
{
	return is_worker;
}

static void
look_and_exit(void *arg)
{
	struct emad_publisher *publisher = arg;

	is_worker = true;
	insist(emad_publish_wait(publisher) == EMAD_FORKED);
	insist(emad_flush(publisher) == EMAD_FORKED);
	exit(0);
}

START_TEST(workers_forked_in_the_middle_disturb_nothing)
{
	struct reference *reference = reference_new();
	static float values[REFERENCE_ELEMENTS];
	int64_t steps[REFERENCE_PROFILES];
	struct emad_publisher *publisher;
	pid_t workers[N_WORKERS];
	const void *data = values;
	struct daemon daemon;
	struct emad *emad;

	daemon_new(&daemon);
	insist(emad_connect(&emad, daemon.address, -1) == EMAD_OK);
	insist(reference_attach(&publisher, emad, NULL) == EMAD_OK);
	for (int64_t step = 0; step < N_WORKERS; step++) {
		reference_fill(values, step);
		ck_assert_int_eq(
			emad_publish_data_async(publisher, step, &data),
			EMAD_OK);
		workers[step] = child_start(look_and_exit, publisher);
		ck_assert_int_eq(emad_publish_wait(publisher), EMAD_OK);
	}
	for (int i = 0; i < N_WORKERS; i++)
		child_finish(workers[i]);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	reference_check(reference, &daemon, steps);
	ck_assert_int_eq(steps[0], N_WORKERS - 1);
	emad_close(emad);
	daemon_stop(&daemon);
	reference_free(reference);
}
END_TEST

/* Two steps, and the end while the second is being copied. */
static void
exit_without_waiting(void *arg)
{
	static float values[2][REFERENCE_ELEMENTS];
	const struct story *story = arg;
	struct emad_publisher *publisher;
	const void *data[] = { values[0], values[1] };
	struct emad *emad;
	int64_t step;

	insist(emad_connect(&emad, story->daemon.address, -1) == EMAD_OK);
	if (reference_attach(&publisher, emad, NULL) != EMAD_OK)
		give_up("attach: %s", emad_error());
	step = emad_last_step(publisher) + 1;
	insist(step >= story->last_step);
	reference_fill(values[0], step);
	reference_fill(values[1], step + 1);
	insist(emad_publish_data(publisher, step, &data[0]) == EMAD_OK);
	insist(emad_flush(publisher) == EMAD_OK);
	insist(emad_publish_data_async(publisher, step + 1, &data[1]) ==
	       EMAD_OK);
	exit(0);
}

START_TEST(a_trainer_may_end_without_waiting)
{
	struct story *story = shared_new(sizeof *story);
	struct reference *reference = reference_new();
	int64_t steps[REFERENCE_PROFILES];

	daemon_new(&story->daemon);
	for (int i = 0; i < N_EXITS; i++) {
		child_finish(child_start(exit_without_waiting, story));
		/* Until the daemon knows, the next one could not attach. */
		wait_until(daemon_n_files(&story->daemon, "slot-") ==
			   0) continue;
		reference_check(reference, &story->daemon, steps);
		ck_assert_int_ge(steps[0], story->last_step);
		ck_assert_int_eq(steps[0], steps[1]);
		story->last_step = steps[0] + 1;
	}
	daemon_check(&story->daemon);
	daemon_stop(&story->daemon);
	reference_free(reference);
}
END_TEST

static Suite *
async_suite(void)
{
	Suite *suite = suite_create("async");
	TCase *tcase = tcase_create("trainer");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase,
		       each_counts_once_however_often_the_daemon_is_killed);
	tcase_add_test(tcase,
		       large_snapshots_are_copied_whole_by_several_threads);
	tcase_add_test(tcase, workers_forked_in_the_middle_disturb_nothing);
	tcase_add_test(tcase, a_trainer_may_end_without_waiting);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(async_suite)
