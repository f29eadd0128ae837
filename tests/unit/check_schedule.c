#include "proto/schedule.h"

#include <math.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct schedule
make(enum schedule_variant variant, int64_t after, int64_t every, double beta)
{
	struct schedule schedule = schedule_default(variant);

	schedule.update_after_step = after;
	schedule.update_every = every;
	schedule.beta = beta;
	return schedule;
}

/* One letter per step from 0 on, absorbed as they come. */
static void
assert_actions(const struct schedule *schedule, const char *want)
{
	static const char letters[] = {
		[SCHEDULE_SKIP] = '.',   [SCHEDULE_COPY] = 'c',
		[SCHEDULE_INIT] = 'i',   [SCHEDULE_LERP] = 'l',
		[SCHEDULE_FROZEN] = 'f',
	};
	int64_t last = STEP_NONE;
	char got[64] = { 0 };

	for (int64_t step = 0; step < (int64_t)strlen(want); step++) {
		enum schedule_action action =
			schedule_decide(schedule, step, last);

		got[step] = letters[action];
		if (action != SCHEDULE_SKIP)
			last = step;
	}
	ck_assert_str_eq(got, want);
}

START_TEST(ema_pytorch_copies_then_copies_and_averages_then_averages)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 4, 2, 0.9);

	assert_actions(&schedule, "c.c.c.i.l.l");
}
END_TEST

START_TEST(ema_pytorch_0_7_averages_one_update_earlier)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH_0_7, 4, 2, 0.9);

	assert_actions(&schedule, "c.c.c.l.l.l");
	schedule.update_after_step = -1;
	assert_actions(&schedule, "c.l.l");
}
END_TEST

START_TEST(ema_pytorch_may_average_from_the_first_step_on)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, -1, 3, 0.9);

	assert_actions(&schedule, "i..l..l");
	schedule.update_after_step = -5;
	assert_actions(&schedule, "i..l..l");
}
END_TEST

START_TEST(constant_copies_once_and_averages_every_step)
{
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);

	assert_actions(&schedule, "cllll");
	ck_assert(schedule_decay(&schedule, 1) == schedule.beta);
	ck_assert(schedule_decay(&schedule, 1000) == schedule.beta);
}
END_TEST

START_TEST(beta_of_one_freezes_the_first_copy)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 1, 1, 1.0);

	assert_actions(&schedule, "cccfff");
	schedule.variant = SCHEDULE_EMA_PYTORCH_0_7;
	assert_actions(&schedule, "ccffff");
}
END_TEST

START_TEST(a_late_first_snapshot_counts_as_the_first)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 100, 10, 0.9);

	ck_assert_int_eq(schedule_decide(&schedule, 500, STEP_NONE),
			 SCHEDULE_INIT);
	ck_assert_int_eq(schedule_decide(&schedule, 500, 90), SCHEDULE_INIT);
	ck_assert_int_eq(schedule_decide(&schedule, 500, 110), SCHEDULE_LERP);
	ck_assert_int_eq(schedule_decide(&schedule, 505, STEP_NONE),
			 SCHEDULE_SKIP);
	schedule.variant = SCHEDULE_EMA_PYTORCH_0_7;
	ck_assert_int_eq(schedule_decide(&schedule, 505, STEP_NONE),
			 SCHEDULE_COPY);
}
END_TEST

START_TEST(the_gate_is_a_matter_of_the_step_alone)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 100, 7, 0.9);

	for (int64_t step = 0; step < 100; step++)
		ck_assert_int_eq(schedule_wants(&schedule, step),
				 step % 7 == 0);
	ck_assert(schedule_wants(&schedule, STEP_MAX / 7 * 7));
}
END_TEST

START_TEST(decay_grows_from_zero_to_beta)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH);
	double last = 0.0;

	ck_assert(schedule_decay(&schedule, 0) == 0.0);
	ck_assert(schedule_decay(&schedule, 101) == 0.0);
	ck_assert(schedule_decay(&schedule, 102) > 0.0);
	for (int64_t counter = 102; counter < 100000000; counter *= 2) {
		double decay = schedule_decay(&schedule, counter);

		ck_assert(decay >= last);
		last = decay;
	}
	ck_assert(schedule_decay(&schedule, STEP_MAX + 1) ==
		  (double)(float)0.9999);
}
END_TEST

START_TEST(beta_wins_over_a_larger_min_value)
{
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 0, 1, 0.5);

	schedule.min_value = 0.75;
	ck_assert(schedule_decay(&schedule, 10) == 0.5);
}
END_TEST

START_TEST(extreme_fields_give_a_decay_between_the_bounds)
{
	static const double gammas[] = { 1e-300, 1e-30, 1.0, 1e30, 1e300 };
	static const double powers[] = { -1e300, -2, 0, 0.5, 1, 2, 1e300 };
	struct schedule schedule = make(SCHEDULE_EMA_PYTORCH, 0, 1, 0.75);

	schedule.min_value = 0.25;
	for (size_t i = 0; i < array_size(gammas); i++) {
		for (size_t j = 0; j < array_size(powers); j++) {
			double decay;

			schedule.inv_gamma = gammas[i];
			schedule.power = powers[j];
			decay = schedule_decay(&schedule, 1000);
			ck_assert(decay >= 0.25 && decay <= 0.75);
		}
	}
}
END_TEST

START_TEST(fields_out_of_range_are_refused_by_name)
{
	struct schedule good = schedule_default(SCHEDULE_EMA_PYTORCH);
	struct schedule bad[12];
	static const char *const names[] = {
		"beta",
		"beta",
		"beta",
		"min_value",
		"inv_gamma",
		"inv_gamma",
		"power",
		"power",
		"update_every",
		"update_every",
		"update_after_step",
		"variant",
	};
	struct why why;

	ck_assert(schedule_check(&good, &why));
	for (size_t i = 0; i < array_size(bad); i++)
		bad[i] = good;
	bad[0].beta = -0.1;
	bad[1].beta = 1.1;
	bad[2].beta = (double)NAN;
	bad[3].min_value = 2.0;
	bad[4].inv_gamma = 0.0;
	bad[5].inv_gamma = (double)INFINITY;
	bad[6].power = (double)INFINITY;
	bad[7].power = (double)NAN;
	bad[8].update_every = 0;
	bad[9].update_every = INT64_MAX;
	bad[10].update_after_step = INT64_MIN;
	bad[11].variant = N_SCHEDULE_VARIANTS;
	for (size_t i = 0; i < array_size(bad); i++) {
		ck_assert(!schedule_check(&bad[i], &why));
		ck_assert_ptr_nonnull(strstr(why.text, names[i]));
	}
}
END_TEST

START_TEST(variants_are_found_by_their_names)
{
	for (int i = 0; i < N_SCHEDULE_VARIANTS; i++) {
		enum schedule_variant variant;
		const char *name =
			schedule_variant_name((enum schedule_variant)i);

		ck_assert(schedule_variant_parse(&variant, name));
		ck_assert_int_eq((int)variant, i);
	}
	ck_assert(!schedule_variant_parse(&(enum schedule_variant) { 0 }, "x"));
}
END_TEST

static Suite *
schedule_suite(void)
{
	Suite *suite = suite_create("schedule");
	TCase *tcase = tcase_create("schedule");

	tcase_add_test(
		tcase,
		ema_pytorch_copies_then_copies_and_averages_then_averages);
	tcase_add_test(tcase, ema_pytorch_0_7_averages_one_update_earlier);
	tcase_add_test(tcase, ema_pytorch_may_average_from_the_first_step_on);
	tcase_add_test(tcase, constant_copies_once_and_averages_every_step);
	tcase_add_test(tcase, beta_of_one_freezes_the_first_copy);
	tcase_add_test(tcase, a_late_first_snapshot_counts_as_the_first);
	tcase_add_test(tcase, the_gate_is_a_matter_of_the_step_alone);
	tcase_add_test(tcase, decay_grows_from_zero_to_beta);
	tcase_add_test(tcase, beta_wins_over_a_larger_min_value);
	tcase_add_test(tcase, extreme_fields_give_a_decay_between_the_bounds);
	tcase_add_test(tcase, fields_out_of_range_are_refused_by_name);
	tcase_add_test(tcase, variants_are_found_by_their_names);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(schedule_suite)
