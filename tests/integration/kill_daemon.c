/*
 * Story: the daemon is killed at random moments while a trainer publishes as
 * fast as it can.  What is public is a complete version each time, and in the
 * end each publish has been absorbed exactly once: an average in which one
 * snapshot is missing or there twice has other bits.
 */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/reference.h"
#include "tests/lib/story.h"

struct story {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic int64_t last_step; /* that was published */
};

static void
publish(struct emad_publisher *publisher, int64_t step)
{
	static float values[REFERENCE_ELEMENTS];
	const void *data = values;

	reference_fill(values, step);
	if (emad_publish_data(publisher, step, &data) != EMAD_OK)
		give_up("publish of step %" PRId64 ": %s", step, emad_error());
}

static void
train(void *arg)
{
	struct story *story = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	int64_t step;

	insist(emad_connect(&emad, story->daemon.address, -1) == EMAD_OK);
	insist(reference_attach(&publisher, emad, NULL) == EMAD_OK);
	for (step = 0; !story->stop; step++) {
		publish(publisher, step);
		story->last_step = step;
	}
	if (emad_flush(publisher) != EMAD_OK)
		give_up("flush: %s", emad_error());
	emad_get_counts(publisher, &counts);
	if (counts.absorbed != (uint64_t)step || counts.reattached == 0)
		give_up("%" PRIu64 " of %" PRId64 " absorbed, attached "
			"again %" PRIu64 " times",
			counts.absorbed, step, counts.reattached);
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
}

START_TEST(each_publish_counts_once_however_often_the_daemon_is_killed)
{
	struct story *story = shared_new(sizeof *story);
	struct daemon *daemon = &story->daemon;
	struct reference *reference = reference_new();
	int64_t steps[REFERENCE_PROFILES];
	int64_t step;
	pid_t trainer;

	daemon_new(daemon);
	trainer = child_start(train, story);
	for (unsigned int i = 0; i < story_scale(60); i++) {
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
	step = story->last_step;
	reference_check(reference, daemon, steps);
	ck_assert_int_eq(steps[0], step);
	ck_assert_int_eq(steps[1], step);
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);
	daemon_stop(daemon);
	reference_free(reference);
}
END_TEST

/* A stopped daemon answers nothing: both slots are certainly unanswered. */
START_TEST(unanswered_publishes_are_sent_again)
{
	struct daemon daemon;
	struct reference *reference = reference_new();
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	int64_t steps[REFERENCE_PROFILES];

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(reference_attach(&publisher, emad, NULL), EMAD_OK);
	for (int64_t step = 0; step < 20; step += 2) {
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		(void)kill(daemon.pid, SIGSTOP);
		publish(publisher, step);
		publish(publisher, step + 1);
		daemon_kill(&daemon);
		daemon_start(&daemon);
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	reference_check(reference, &daemon, steps);
	ck_assert_int_eq(steps[0], 19);
	ck_assert_int_eq(steps[1], 19);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 20);
	ck_assert_uint_eq(counts.absorbed, 20);
	ck_assert_uint_eq(counts.reattached, 10);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	reference_free(reference);
}
END_TEST

/* The memory that begin handed out keeps its address over a restart. */
START_TEST(pointers_into_slots_survive_the_daemon)
{
	struct daemon daemon;
	struct reference *reference = reference_new();
	struct emad *emad;
	struct emad_publisher *publisher;
	int64_t steps[REFERENCE_PROFILES];
	void *slot;

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(reference_attach(&publisher, emad, NULL), EMAD_OK);
	for (int64_t step = 0; step < 6; step++) {
		ck_assert_int_eq(emad_begin(publisher, &slot), EMAD_OK);
		reference_fill(slot, step);
		if (step % 2 == 1) {
			daemon_kill(&daemon);
			daemon_start(&daemon);
		}
		if (emad_commit(publisher, step) != EMAD_OK)
			ck_abort_msg("%s", emad_error());
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	reference_check(reference, &daemon, steps);
	ck_assert_int_eq(steps[0], 5);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	reference_free(reference);
}
END_TEST

static Suite *
kill_daemon_suite(void)
{
	Suite *suite = suite_create("kill_daemon");
	TCase *tcase = tcase_create("daemon");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(
		tcase,
		each_publish_counts_once_however_often_the_daemon_is_killed);
	tcase_add_test(tcase, unanswered_publishes_are_sent_again);
	tcase_add_test(tcase, pointers_into_slots_survive_the_daemon);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(kill_daemon_suite)
