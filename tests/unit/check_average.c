#include "daemon/core/average.h"

#include <math.h>
#include <string.h>

#include "tests/unit/unit.h"

#define PUBLISHER 77

static struct profile profile;
static struct version_state state;

static void
setup(void)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH);

	schedule.update_after_step = 4;
	schedule.update_every = 2;
	profile_init(&profile, "ema", &schedule);
	name_list_append(&profile.no_ema, "copied");
	name_list_append(&profile.ignore, "kept");
	state = VERSION_STATE_NONE;
}

static void
teardown(void)
{
	profile_deinit(&profile);
}

static struct average_step
decide(uint64_t sequence, int64_t step)
{
	return average_decide(&profile, &state, PUBLISHER, sequence, step);
}

START_TEST(each_absorbed_step_makes_the_next_state)
{
	struct average_step step = decide(1, 0);

	ck_assert_int_eq(step.decision, AVERAGE_ABSORB);
	ck_assert_int_eq(step.action, SCHEDULE_COPY);
	ck_assert_int_eq(step.next.step, 0);
	ck_assert_uint_eq(step.next.updates, 1);
	ck_assert(step.next.decay == 0.0 && step.weight == 1.0);
	ck_assert_uint_eq(version_sequence(&step.next, PUBLISHER), 1);
	ck_assert_int_eq(state.step, STEP_NONE);

	state = step.next;
	step = decide(2, 6);
	ck_assert_int_eq(step.action, SCHEDULE_INIT);
	ck_assert(step.next.decay == schedule_decay(&profile.schedule, 7));
	ck_assert(step.next.decay > 0.0);
	ck_assert(step.weight == 1.0 - step.next.decay);

	state = step.next;
	step = decide(3, 8);
	ck_assert_int_eq(step.action, SCHEDULE_LERP);
	ck_assert(step.next.decay == schedule_decay(&profile.schedule, 9));
	ck_assert_uint_eq(step.next.updates, 3);
}
END_TEST

START_TEST(a_repeat_is_recognised_whatever_its_step)
{
	state = decide(5, 8).next;
	ck_assert_int_eq(decide(5, 8).decision, AVERAGE_REPEAT);
	ck_assert_int_eq(decide(4, 6).decision, AVERAGE_REPEAT);
	ck_assert_int_eq(decide(5, 10).decision, AVERAGE_REPEAT);
	ck_assert_int_eq(average_decide(&profile, &state, 78, 5, 10).decision,
			 AVERAGE_ABSORB);
}
END_TEST

START_TEST(a_step_that_is_not_after_the_last_goes_backwards)
{
	state = decide(5, 8).next;
	ck_assert_int_eq(decide(6, 8).decision, AVERAGE_BACKWARDS);
	ck_assert_int_eq(decide(6, 7).decision, AVERAGE_BACKWARDS);
	ck_assert_int_eq(decide(6, 10).decision, AVERAGE_ABSORB);
}
END_TEST

START_TEST(a_step_that_the_schedule_does_not_want_is_skipped)
{
	struct average_step step;

	state = decide(5, 8).next;
	step = decide(6, 9);
	ck_assert_int_eq(step.decision, AVERAGE_SKIP);
	ck_assert_mem_eq(&step.next, &state, sizeof state);
}
END_TEST

START_TEST(a_frozen_average_counts_the_step_and_keeps_its_data)
{
	struct average_step step;

	profile.schedule.beta = 1.0;
	state = decide(1, 8).next;
	step = decide(2, 10);
	ck_assert_int_eq(step.decision, AVERAGE_ABSORB);
	ck_assert_int_eq(step.action, SCHEDULE_FROZEN);
	ck_assert_int_eq(step.next.step, 10);
	ck_assert(step.next.decay == 1.0);
}
END_TEST

/* Four tensors, one of them of integers, in one average. */
struct model {
	struct plan *plan;
	char *snapshot, *current, *next;
};

static struct model
make_model(void)
{
	static const uint64_t shape[] = { 3 };
	struct tensor tensors[] = {
		{ "averaged", DTYPE_BF16, 1, shape, 3, 0, 6 },
		{ "copied", DTYPE_F32, 1, shape, 3, 0, 12 },
		{ "kept", DTYPE_F32, 1, shape, 3, 0, 12 },
		{ "count", DTYPE_I64, 1, shape, 3, 0, 24 },
	};
	struct safetensors spec = { .n_tensors = 4, .tensors = tensors };
	struct safetensors *slot, *average;
	struct model model;
	struct why why;

	ck_assert_int_eq(version_slot_layout(&slot, &spec, &why), STATUS_OK);
	ck_assert_int_eq(version_average_layout(&average, &spec, &why),
			 STATUS_OK);
	ck_assert_int_eq(
		plan_new(&model.plan, slot, average, &profile, 1, &why),
		STATUS_OK);
	model.snapshot = xcalloc(1, slot->data_size);
	model.current = xcalloc(1, average->data_size);
	model.next = xcalloc(1, average->data_size);
	return model;
}

static void
free_model(struct model *model)
{
	plan_free(model->plan);
	free(model->snapshot);
	free(model->current);
	free(model->next);
}

static char *
tensor_data(const struct safetensors *layout, char *data, const char *name)
{
	return data + safetensors_find(layout, name)->begin;
}

static void
put_f32(char *at, float x)
{
	for (size_t i = 0; i < 3; i++)
		memcpy(at + 4 * i, &x, sizeof x);
}

/* Snapshot 2, average 1 everywhere; the count 20 and 10. */
static void
fill_model(struct model *model)
{
	const struct safetensors *slot = model->plan->slot;
	const struct safetensors *average = model->plan->average;
	const int64_t counts[] = { 20, 10 };

	for (size_t i = 0; i < 3; i++) {
		const uint16_t two = 0x4000;

		memcpy(tensor_data(slot, model->snapshot, "averaged") + 2 * i,
		       &two, 2);
		memcpy(tensor_data(slot, model->snapshot, "count") + 8 * i,
		       &counts[0], 8);
		memcpy(tensor_data(average, model->current, "count") + 8 * i,
		       &counts[1], 8);
	}
	put_f32(tensor_data(slot, model->snapshot, "copied"), 2.0F);
	put_f32(tensor_data(slot, model->snapshot, "kept"), 2.0F);
	put_f32(tensor_data(average, model->current, "averaged"), 1.0F);
	put_f32(tensor_data(average, model->current, "copied"), 1.0F);
	put_f32(tensor_data(average, model->current, "kept"), 1.0F);
}

static bool
run_model(struct model *model, struct average_target target)
{
	const struct average_update update = {
		.kernel = kernel_choose(),
		.plan = model->plan,
		.n_snapshots = 1,
		.snapshots = { model->snapshot },
		.targets = &target,
		.check = true,
	};
	bool finite = true;

	if (target.current)
		target.current = model->current;
	target.active = true;
	target.n_steps = 1;
	target.next = model->next;
	for (size_t i = 0; i < model->plan->n_chunks; i++)
		finite &= average_run_chunk(&update, i);
	return finite;
}

static float
next_f32(const struct model *model, const char *name)
{
	float x;

	memcpy(&x, tensor_data(model->plan->average, model->next, name),
	       sizeof x);
	return x;
}

static int64_t
next_count(const struct model *model)
{
	int64_t x;

	memcpy(&x, tensor_data(model->plan->average, model->next, "count"),
	       sizeof x);
	return x;
}

START_TEST(every_action_treats_every_tensor_by_its_rule)
{
	static const struct {
		enum schedule_action action;
		float averaged, copied, kept;
		int64_t count;
	} cases[] = {
		{ SCHEDULE_COPY, 2.0F, 2.0F, 2.0F, 20 },
		{ SCHEDULE_INIT, 2.0F, 2.0F, 2.0F, 20 },
		{ SCHEDULE_LERP, 1.25F, 2.0F, 1.0F, 20 },
		{ SCHEDULE_FROZEN, 1.0F, 1.0F, 1.0F, 10 },
	};
	struct model model = make_model();
	char unused;

	fill_model(&model);
	for (size_t i = 0; i < array_size(cases); i++) {
		struct average_target target = {
			.action = cases[i].action,
			.weights = { 0.25 },
			/* The first two need no version to go on from. */
			.current = i < 2 ? NULL : &unused,
		};

		ck_assert(run_model(&model, target));
		ck_assert(next_f32(&model, "averaged") == cases[i].averaged);
		ck_assert(next_f32(&model, "copied") == cases[i].copied);
		ck_assert(next_f32(&model, "kept") == cases[i].kept);
		ck_assert_int_eq(next_count(&model), cases[i].count);
	}
	free_model(&model);
}
END_TEST

START_TEST(a_decay_of_zero_leaves_nothing_of_the_average)
{
	struct model model = make_model();
	struct average_target target = {
		.action = SCHEDULE_LERP,
		.weights = { 1.0 },
		.current = "",
	};

	fill_model(&model);
	put_f32(tensor_data(model.plan->average, model.current, "averaged"),
		NAN);
	ck_assert(run_model(&model, target));
	ck_assert(next_f32(&model, "averaged") == 2.0F);
	ck_assert(next_f32(&model, "kept") == 1.0F);
	free_model(&model);
}
END_TEST

START_TEST(values_that_nothing_averages_need_not_be_finite)
{
	struct model model = make_model();
	struct average_target target = {
		.action = SCHEDULE_LERP,
		.weights = { 0.25 },
		.current = "",
	};
	const uint16_t infinity = 0x7F80;

	fill_model(&model);
	put_f32(tensor_data(model.plan->slot, model.snapshot, "kept"), NAN);
	put_f32(tensor_data(model.plan->slot, model.snapshot, "copied"), NAN);
	ck_assert(run_model(&model, target));
	memcpy(tensor_data(model.plan->slot, model.snapshot, "averaged") + 2,
	       &infinity, 2);
	ck_assert(!run_model(&model, target));
	target.action = SCHEDULE_FROZEN;
	ck_assert(!run_model(&model, target));
	free_model(&model);
}
END_TEST

START_TEST(an_inactive_target_is_left_alone)
{
	struct model model = make_model();
	struct average_target target = { .active = false };
	const struct average_update update = {
		.kernel = kernel_choose(),
		.plan = model.plan,
		.n_snapshots = 1,
		.snapshots = { model.snapshot },
		.targets = &target,
		.check = true,
		.stream = true,
	};

	fill_model(&model);
	for (size_t i = 0; i < model.plan->n_chunks; i++) {
		struct average_watch watch = average_watch(&update, i, 0);

		ck_assert(average_run_chunk(&update, i));
		ck_assert_uint_eq(watch.n_sampled, 0);
	}
	free_model(&model);
}
END_TEST

static Suite *
average_suite(void)
{
	Suite *suite = suite_create("average");
	TCase *tcase = tcase_create("average");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, each_absorbed_step_makes_the_next_state);
	tcase_add_test(tcase, a_repeat_is_recognised_whatever_its_step);
	tcase_add_test(tcase, a_step_that_is_not_after_the_last_goes_backwards);
	tcase_add_test(tcase,
		       a_step_that_the_schedule_does_not_want_is_skipped);
	tcase_add_test(tcase,
		       a_frozen_average_counts_the_step_and_keeps_its_data);
	tcase_add_test(tcase, every_action_treats_every_tensor_by_its_rule);
	tcase_add_test(tcase, a_decay_of_zero_leaves_nothing_of_the_average);
	tcase_add_test(tcase, values_that_nothing_averages_need_not_be_finite);
	tcase_add_test(tcase, an_inactive_target_is_left_alone);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(average_suite)
