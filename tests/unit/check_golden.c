/*
 * What the reference EMA class computed, computed again from schedule, plan
 * and average, by every kernel: equal to the last bit.
 */
#include <stdio.h>
#include <string.h>

#include "daemon/core/average.h"
#include "tests/lib/golden.h"
#include "tests/unit/unit.h"

static struct golden *golden;

static void
setup(void)
{
	const char *folder = getenv("EMAD_GOLDEN");
	const char *top = getenv("top_srcdir");
	owned_memory char *path =
		folder ? xstrdup(folder)
		       : xasprintf("%s/tests/golden", top ? top : ".");
	struct why why;

	golden = golden_load(path, &why);
	ck_assert_msg(golden != NULL, "%s", why.text);
}

static void
teardown(void)
{
	golden_free(golden);
}

START_TEST(every_decay_of_the_tables_is_reproduced)
{
	for (size_t i = 0; i < golden->n_schedules; i++) {
		const struct golden_schedule *schedule = &golden->schedules[i];

		for (size_t j = 0; j < schedule->n_decays; j++) {
			const struct golden_decay *want = &schedule->decays[j];
			double got = schedule_decay(&schedule->profile.schedule,
						    want->t);

			if (got != want->decay)
				ck_abort_msg("table %zu, counter %lld: %a, "
					     "not %a",
					     i, (long long)want->t, got,
					     want->decay);
		}
	}
}
END_TEST

/* A model that is averaged here, without a daemon. */
struct replay {
	const struct golden_case *golden;
	const struct kernel *kernel;
	struct plan *plan;
	struct version_state state;
	char *snapshot, *current, *next;
	size_t n_decays, n_states; /* compared so far */
};

static void
replay_init(struct replay *replay, const struct golden_case *test,
	    const struct kernel *kernel)
{
	struct safetensors spec = {
		.n_tensors = test->n_tensors,
		.tensors = test->tensors,
	};
	struct safetensors *slot, *average;
	struct why why;

	ck_assert_int_eq(version_slot_layout(&slot, &spec, &why), STATUS_OK);
	ck_assert_int_eq(version_average_layout(&average, &spec, &why),
			 STATUS_OK);
	*replay = (struct replay) {
		.golden = test,
		.kernel = kernel,
		.state = VERSION_STATE_NONE,
		.snapshot = xcalloc(1, slot->data_size),
		.current = xcalloc(1, average->data_size),
		.next = xcalloc(1, average->data_size),
	};
	ck_assert_int_eq(
		plan_new(&replay->plan, slot, average, &test->profile, 1, &why),
		STATUS_OK);
}

static void
replay_deinit(struct replay *replay)
{
	plan_free(replay->plan);
	free(replay->snapshot);
	free(replay->current);
	free(replay->next);
}

static void
fill_snapshot(struct replay *replay, int64_t t)
{
	for (size_t k = 0; k < replay->golden->n_tensors; k++) {
		const struct tensor *tensor = safetensors_find(
			replay->plan->slot, replay->golden->tensors[k].name);

		golden_values(replay->golden, k, t,
			      replay->snapshot + tensor->begin);
	}
}

static void
absorb(struct replay *replay, const struct average_step *step)
{
	struct average_target target = {
		.active = true,
		.action = step->action,
		.n_steps = 1,
		.weights = { step->weight },
		.current = replay->state.step == STEP_NONE ? NULL
							   : replay->current,
		.next = replay->next,
	};
	struct average_update update = {
		.kernel = replay->kernel,
		.plan = replay->plan,
		.n_snapshots = 1,
		.snapshots = { replay->snapshot },
		.targets = &target,
		.check = true,
	};
	char *retired = replay->current;

	for (size_t i = 0; i < replay->plan->n_chunks; i++) {
		update.stream = i & 1;
		ck_assert(average_run_chunk(&update, i));
	}
	replay->current = replay->next;
	replay->next = retired;
	replay->state = step->next;
}

static void
compare_decay(struct replay *replay, const struct average_step *step, int64_t t)
{
	const struct golden_decay *want;

	if (step->action != SCHEDULE_INIT && step->action != SCHEDULE_LERP)
		return;
	ck_assert_uint_lt(replay->n_decays, replay->golden->n_decays);
	want = &replay->golden->decays[replay->n_decays++];
	if (want->t != t || want->decay != step->next.decay)
		ck_abort_msg("%s: t %lld decay %a, not t %lld decay %a",
			     replay->golden->name, (long long)t,
			     step->next.decay, (long long)want->t, want->decay);
}

static void
compare_state(struct replay *replay, int64_t t)
{
	const struct golden_state *want =
		&replay->golden->states[replay->n_states];

	if (replay->n_states == replay->golden->n_states || want->t != t)
		return;
	replay->n_states++;
	for (size_t k = 0; k < replay->golden->n_tensors; k++) {
		const struct tensor *tensor = safetensors_find(
			replay->plan->average, replay->golden->tensors[k].name);

		if (want->values[k] &&
		    memcmp(want->values[k], replay->current + tensor->begin,
			   tensor->size) != 0)
			ck_abort_msg("%s, %s: %s differs after t %lld",
				     replay->golden->name, replay->kernel->name,
				     tensor->name, (long long)t);
	}
}

static void
run_case(const struct golden_case *test, const struct kernel *kernel)
{
	struct replay replay;

	replay_init(&replay, test, kernel);
	for (int64_t t = 0; t < test->n_steps; t++) {
		struct average_step step = average_decide(
			&test->profile, &replay.state, 1, (uint64_t)t + 1, t);

		if (step.decision == AVERAGE_ABSORB) {
			fill_snapshot(&replay, t);
			absorb(&replay, &step);
			compare_decay(&replay, &step, t);
		} else {
			ck_assert_int_eq(step.decision, AVERAGE_SKIP);
		}
		compare_state(&replay, t);
	}
	ck_assert_uint_eq(replay.n_decays, test->n_decays);
	ck_assert_uint_eq(replay.n_states, test->n_states);
	replay_deinit(&replay);
}

START_TEST(every_trajectory_is_reproduced_by_every_kernel)
{
	for (size_t i = 0; i < golden->n_cases; i++)
		for (size_t k = 0; kernel_all()[k]; k++)
			run_case(&golden->cases[i], kernel_all()[k]);
}
END_TEST

static Suite *
golden_suite(void)
{
	Suite *suite = suite_create("golden");
	TCase *tcase = tcase_create("golden");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, every_decay_of_the_tables_is_reproduced);
	tcase_add_test(tcase, every_trajectory_is_reproduced_by_every_kernel);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(golden_suite)
