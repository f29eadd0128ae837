/*
 * Story: parameters that live in a slot.  Each step changes what the last one
 * left there, in place; the daemon averages it meanwhile, and is killed now and
 * then.  If the memory moved, or a value in it were lost, the averages would
 * have other bits.
 */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/reference.h"
#include "tests/lib/story.h"

#define N_STEPS 100

static struct daemon daemon_;

/*
 * From the parameters at @step - 1 those at @step, by what differs: whatever
 * was wrong before stays wrong.
 */
static void
update(float *parameters, int64_t step)
{
	static float before[REFERENCE_ELEMENTS], after[REFERENCE_ELEMENTS];

	reference_fill(before, step - 1);
	reference_fill(after, step);
	for (size_t i = 0; i < REFERENCE_ELEMENTS; i++) {
		uint32_t bits, from, to;

		memcpy(&bits, &parameters[i], sizeof bits);
		memcpy(&from, &before[i], sizeof from);
		memcpy(&to, &after[i], sizeof to);
		bits ^= from ^ to;
		memcpy(&parameters[i], &bits, sizeof bits);
	}
}

/* What the forward pass reads while the daemon averages. */
static void
check_parameters(const float *parameters, int64_t step)
{
	static float expected[REFERENCE_ELEMENTS];

	reference_fill(expected, step);
	ck_assert(memcmp(parameters, expected, sizeof expected) == 0);
}

static void
restart(void)
{
	daemon_kill(&daemon_);
	daemon_start(&daemon_);
}

static float *
begin(struct emad_publisher *publisher)
{
	void *data;

	if (emad_begin(publisher, &data) != EMAD_OK)
		ck_abort_msg("begin: %s", emad_error());
	return data;
}

static void
commit(struct emad_publisher *publisher, int64_t step)
{
	if (emad_commit(publisher, step) != EMAD_OK)
		ck_abort_msg("commit of step %" PRId64 ": %s", step,
			     emad_error());
}

/* The daemon dies, in turn: before the commit, after it, before it reads it. */
static void
commit_and_kill(struct emad_publisher *publisher, int64_t step)
{
	if (step % 10 == 3)
		restart();
	if (step % 10 == 9)
		(void)kill(daemon_.pid, SIGSTOP);
	commit(publisher, step);
	if (step % 10 == 6 || step % 10 == 9)
		restart();
}

START_TEST(a_hundred_steps_in_one_slot_outlive_the_daemon)
{
	const struct emad_options options = { .n_slots = 1 };
	struct reference *reference = reference_new();
	int64_t steps[REFERENCE_PROFILES];
	struct emad_publisher *publisher;
	struct emad_counts counts;
	struct emad *emad;
	float *parameters;

	daemon_new(&daemon_);
	ck_assert_int_eq(emad_connect(&emad, daemon_.address, -1), EMAD_OK);
	ck_assert_int_eq(reference_attach(&publisher, emad, &options), EMAD_OK);
	parameters = begin(publisher);
	reference_fill(parameters, 0);
	for (int64_t step = 0; step < N_STEPS; step++) {
		commit_and_kill(publisher, step);
		check_parameters(parameters, step);
		ck_assert_ptr_eq(begin(publisher), parameters);
		check_parameters(parameters, step);
		reference_check(reference, &daemon_, steps);
		ck_assert_int_eq(steps[0], step);
		update(parameters, step + 1);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, N_STEPS);
	ck_assert_uint_eq(counts.absorbed, N_STEPS);
	ck_assert_uint_gt(counts.reattached, 0);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon_);
	reference_free(reference);
}
END_TEST

static Suite *
resident_suite(void)
{
	Suite *suite = suite_create("resident");
	TCase *tcase = tcase_create("resident");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, a_hundred_steps_in_one_slot_outlive_the_daemon);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(resident_suite)
