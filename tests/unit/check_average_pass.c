/*
 * An update as a whole: averages of several kinds, each of which absorbs some
 * of several snapshots, against updates of one snapshot after another; its
 * sums; and the rounding watch.
 */
#include <string.h>

#include "daemon/core/average.h"
#include "tests/lib/numbers.h"
#include "tests/unit/unit.h"

#define N_PROFILES  5
#define N_SNAPSHOTS 4

/* Of what a profile is kept in, and which of the snapshots it absorbs. */
static const struct {
	enum accumulator accumulator;
	unsigned int n_steps, steps[N_SNAPSHOTS];
} parts[N_PROFILES] = {
	{ ACCUMULATOR_FLOAT32, 4, { 0, 1, 2, 3 } },
	{ ACCUMULATOR_COMPENSATED, 2, { 1, 3 } },
	{ ACCUMULATOR_FLOAT64, 4, { 0, 1, 2, 3 } },
	{ ACCUMULATOR_FLOAT32, 1, { 2 } },
	{ ACCUMULATOR_FLOAT32, 2, { 1, 3 } },
};

static const double weights[N_PROFILES][N_SNAPSHOTS] = {
	{ 0.1, 0.2, 0.3, 0.6 },     { 0.001, 0.5 }, { 0.01, 0.7, 0.0001, 0.9 },
	{ 0x1p-10, 0.3, 0.2, 0.1 }, { 0.05, 0.6 },
};

/* What is kept of one profile; the tests swap the two. */
struct files {
	char *average[2], *rest[2];
	struct average_sums *sums;
};

struct model {
	struct plan *plan;
	char *snapshots[N_SNAPSHOTS];
	struct files files[N_PROFILES];
	struct average_target targets[N_PROFILES];
	struct average_update update;
};

static struct profile profiles[N_PROFILES];

static void
setup(void)
{
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);

	for (size_t i = 0; i < N_PROFILES; i++)
		profile_init(&profiles[i], "ema", &schedule);
	/* One profile keeps what another copies and the others average. */
	name_list_append(&profiles[0].no_ema, "mixed");
	name_list_append(&profiles[1].ignore, "mixed");
	name_list_append(&profiles[2].no_ema, "mixed2");
	name_list_append(&profiles[4].ignore, "mixed2");
}

static void
teardown(void)
{
	for (size_t i = 0; i < N_PROFILES; i++)
		profile_deinit(&profiles[i]);
}

static struct tensor
make_tensor(const char *name, enum dtype dtype, const uint64_t *n)
{
	struct tensor tensor = {
		.name = name,
		.dtype = dtype,
		.n_dims = 1,
		.shape = n,
	};

	ck_assert(
		tensor_measure(dtype, 1, n, &tensor.n_elements, &tensor.size));
	return tensor;
}

static void
make_plan(struct model *model, struct tensor *tensors, size_t n)
{
	struct safetensors spec = { .n_tensors = n, .tensors = tensors };
	struct safetensors *slot, *average;
	struct why why;

	ck_assert_int_eq(version_slot_layout(&slot, &spec, &why), STATUS_OK);
	ck_assert_int_eq(version_average_layout(&average, &spec, &why),
			 STATUS_OK);
	ck_assert_int_eq(plan_new(&model->plan, slot, average, profiles,
				  N_PROFILES, &why),
			 STATUS_OK);
}

/* Zeros everywhere. */
/* Files begin with pages, and the lanes of sums follow from addresses. */
static char *
new_pages(uint64_t size)
{
	uint64_t room = u64_round_up(size + 1, 4096);
	char *pages = aligned_alloc(4096, room);

	ck_assert_ptr_nonnull(pages);
	memset(pages, 0, room);
	return pages;
}

static struct model *
make_model(struct tensor *tensors, size_t n)
{
	struct model *model = xcalloc(1, sizeof *model);
	uint64_t size;

	make_plan(model, tensors, n);
	size = model->plan->average->data_size;
	for (size_t i = 0; i < N_PROFILES; i++)
		for (size_t j = 0; j < 2; j++) {
			model->files[i].average[j] = new_pages(size);
			model->files[i].rest[j] = new_pages(2 * size);
		}
	for (size_t j = 0; j < N_SNAPSHOTS; j++)
		model->snapshots[j] = xcalloc(1, model->plan->slot->data_size);
	for (size_t i = 0; i < N_PROFILES; i++)
		model->files[i].sums = xcalloc(model->plan->n_pieces,
					       sizeof *model->files[i].sums);
	model->update = (struct average_update) {
		.kernel = kernel_choose(),
		.plan = model->plan,
		.targets = model->targets,
		.check = true,
	};
	return model;
}

static void
free_model(struct model *model)
{
	for (size_t i = 0; i < N_PROFILES; i++) {
		for (size_t j = 0; j < 2; j++) {
			free(model->files[i].average[j]);
			free(model->files[i].rest[j]);
		}
		free(model->files[i].sums);
	}
	for (size_t j = 0; j < N_SNAPSHOTS; j++)
		free(model->snapshots[j]);
	plan_free(model->plan);
	free(model);
}

/* The part of profile @i, with the @n steps from @first on. */
static void
set_target(struct model *model, size_t i, unsigned int first, unsigned int n)
{
	struct average_target *target = &model->targets[i];
	struct files *files = &model->files[i];

	*target = (struct average_target) {
		.active = n > 0,
		.action = SCHEDULE_LERP,
		.accumulator = parts[i].accumulator,
		.n_steps = n,
		.current = files->average[0],
		.next = files->average[1],
		.rest = files->rest[0],
		.next_rest = files->rest[1],
		.sums = files->sums,
	};
	memcpy(target->steps, parts[i].steps + first, n * sizeof first);
	memcpy(target->weights, weights[i] + first, n * sizeof weights[0][0]);
}

/* From the last chunk to the first: their order makes no difference. */
static bool
run(struct model *model)
{
	bool finite = true;

	model->update.n_snapshots = N_SNAPSHOTS;
	for (size_t j = 0; j < N_SNAPSHOTS; j++)
		model->update.snapshots[j] = model->snapshots[j];
	for (size_t i = model->plan->n_chunks; i-- > 0;)
		finite &= average_run_chunk(&model->update, i);
	return finite;
}

static bool
run_at_once(struct model *model)
{
	for (size_t i = 0; i < N_PROFILES; i++)
		set_target(model, i, 0, parts[i].n_steps);
	return run(model);
}

/* One update for each snapshot, of the profiles that absorb it. */
static void
run_one_by_one(struct model *model)
{
	for (unsigned int j = 0; j < N_SNAPSHOTS; j++) {
		for (size_t i = 0; i < N_PROFILES; i++) {
			unsigned int k = 0;

			while (k < parts[i].n_steps && parts[i].steps[k] != j)
				k++;
			set_target(model, i, k, k < parts[i].n_steps);
		}
		ck_assert(run(model));
		for (size_t i = 0; i < N_PROFILES; i++) {
			struct files *files = &model->files[i];
			struct files old = *files;

			if (!model->targets[i].active)
				continue;
			files->average[0] = old.average[1];
			files->average[1] = old.average[0];
			files->rest[0] = old.rest[1];
			files->rest[1] = old.rest[0];
		}
	}
}

static const uint64_t few = 5, some = 1000, lots = 100003;

static void
fill_rest(char *rest, enum accumulator accumulator, uint64_t n)
{
	if (accumulator == ACCUMULATOR_FLOAT64)
		numbers_fill(DTYPE_F64, rest, n);
	else
		numbers_fill_bits(rest, n * sizeof(int16_t));
}

static struct model *
make_random_model(void)
{
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F32, &lots),
		make_tensor("b", DTYPE_BF16, &some),
		make_tensor("c", DTYPE_C64, &some),
		make_tensor("d", DTYPE_F64, &some),
		make_tensor("e", DTYPE_I64, &few),
		make_tensor("mixed", DTYPE_F32, &some),
		make_tensor("mixed2", DTYPE_F16, &lots),
	};
	struct model *model = make_model(tensors, array_size(tensors));
	const struct plan *plan = model->plan;

	for (size_t t = 0; t < array_size(tensors); t++) {
		const struct tensor *average = &plan->average->tensors[t];
		const struct tensor *slot =
			safetensors_find(plan->slot, average->name);
		size_t n = slot->size / numbers_size(slot->dtype);

		for (size_t j = 0; j < N_SNAPSHOTS; j++)
			numbers_fill(slot->dtype,
				     model->snapshots[j] + slot->begin, n);
		for (size_t i = 0; i < N_PROFILES; i++)
			numbers_fill(
				average->dtype,
				model->files[i].average[0] + average->begin, n);
	}
	for (size_t i = 0; i < N_PROFILES; i++)
		fill_rest(model->files[i].rest[0], parts[i].accumulator,
			  plan->average->data_size / 4);
	return model;
}

static void
copy_start(struct model *to, const struct model *from)
{
	uint64_t size = from->plan->average->data_size;

	for (size_t j = 0; j < N_SNAPSHOTS; j++)
		memcpy(to->snapshots[j], from->snapshots[j],
		       from->plan->slot->data_size);
	for (size_t i = 0; i < N_PROFILES; i++) {
		memcpy(to->files[i].average[0], from->files[i].average[0],
		       size);
		memcpy(to->files[i].rest[0], from->files[i].rest[0], 2 * size);
	}
}

/* Of what is kept beside the tensors that are floats, every number. */
static void
assert_same_rest(const struct model *a, const char *x, const char *y,
		 enum accumulator accumulator)
{
	const struct safetensors *average = a->plan->average;

	for (size_t t = 0; t < average->n_tensors; t++) {
		const struct tensor *tensor = &average->tensors[t];
		uint64_t at = accumulator_rest_size(accumulator, tensor->begin);
		uint64_t n = accumulator_rest_size(accumulator, tensor->size);

		if (tensor->dtype == DTYPE_F32 || tensor->dtype == DTYPE_C64)
			ck_assert_mem_eq(x + at, y + at, n);
	}
}

START_TEST(each_profile_absorbs_its_snapshots_in_one_pass_as_in_many)
{
	struct model *once = make_random_model();
	struct model *many = make_random_model();

	copy_start(many, once);
	once->update.stream = _i;
	ck_assert(run_at_once(once));
	run_one_by_one(many);
	for (size_t i = 0; i < N_PROFILES; i++) {
		ck_assert_mem_eq(once->files[i].average[1],
				 many->files[i].average[0],
				 once->plan->average->data_size);
		assert_same_rest(once, once->files[i].rest[1],
				 many->files[i].rest[0], parts[i].accumulator);
		ck_assert_mem_eq(once->files[i].sums, many->files[i].sums,
				 once->plan->n_pieces *
					 sizeof *once->files[i].sums);
	}
	free_model(once);
	free_model(many);
}
END_TEST

START_TEST(a_snapshot_that_nobody_absorbs_need_not_be_finite)
{
	struct model *model = make_random_model();
	const struct tensor *tensor = safetensors_find(model->plan->slot, "b");
	char *at = model->snapshots[2] + tensor->begin;

	ck_assert(run_at_once(model));
	numbers_spoil(tensor->dtype, at, 700);
	ck_assert(!run_at_once(model));
	/* Profiles 1 and 4 do without the third snapshot. */
	for (size_t i = 0; i < N_PROFILES; i++)
		model->targets[i].active = i == 1 || i == 4;
	ck_assert(run(model));
	model->targets[3].active = true;
	ck_assert(!run(model));
	model->update.check = false;
	ck_assert(run(model));
	free_model(model);
}
END_TEST

static void
put_floats(char *at, float x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		memcpy(at + i * sizeof x, &x, sizeof x);
}

/* Numbers whose sums are exact in every order. */
START_TEST(sums_are_those_of_each_piece)
{
	static const uint64_t n_large = 2 * PLAN_CHUNK_SIZE / 4 + 10;
	struct tensor tensors[] = {
		make_tensor("large", DTYPE_F32, &n_large),
		make_tensor("mixed", DTYPE_F32, &some),
		make_tensor("z", DTYPE_I64, &some),
	};
	struct model *model = make_model(tensors, array_size(tensors));
	const struct plan *plan = model->plan;

	put_floats(model->snapshots[0], 3.0F, plan->slot->data_size / 4);
	for (size_t i = 0; i < 3; i++) {
		put_floats(model->files[i].average[0], 1.0F,
			   plan->average->data_size / 4);
		set_target(model, i, 0, 1);
		model->targets[i].accumulator = ACCUMULATOR_FLOAT32;
		model->targets[i].steps[0] = 0;
		model->targets[i].weights[0] = 0.25;
	}
	ck_assert(run(model));
	ck_assert_uint_eq(plan->n_pieces, 5);
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < plan->n_pieces; k++) {
			const struct plan_piece *piece = &plan->pieces[k];
			bool is_averaged = piece->dtype == DTYPE_F32 &&
					   piece->rules[i] == PROFILE_AVERAGE;
			double n = (double)piece->n_elements;
			double distance = is_averaged ? n * 1.5 * 1.5 : 0.0;
			/* The same whether or not others share the pass. */
			bool is_kept = piece->rules[i] == PROFILE_KEEP;
			double norm = piece->dtype == DTYPE_F32 && !is_kept
					      ? n * 9.0
					      : 0.0;

			ck_assert(model->files[i].sums[k].distance == distance);
			ck_assert(model->files[i].sums[k].norm == norm);
		}
	free_model(model);
}
END_TEST

START_TEST(sums_that_are_not_wanted_are_left_alone)
{
	struct model *model = make_random_model();

	for (size_t i = 0; i < N_PROFILES; i++) {
		set_target(model, i, 0, parts[i].n_steps);
		model->targets[i].sums = NULL;
	}
	ck_assert(run(model));
	for (size_t i = 0; i < N_PROFILES; i++)
		for (size_t k = 0; k < model->plan->n_pieces; k++)
			ck_assert(model->files[i].sums[k].distance == 0.0 &&
				  model->files[i].sums[k].norm == 0.0);
	free_model(model);
}
END_TEST

/*
 * At 1, floats are 1.2e-7 apart: with a weight of 1e-4, a parameter has to be
 * 6e-4 away to move its average.
 */
static struct model *
make_stalling_model(enum dtype dtype, const char *name)
{
	static const uint64_t n_small = 63, n_large = 500;
	struct tensor tensors[] = {
		make_tensor("0small", dtype, &n_small),
		make_tensor(name, dtype, &n_large),
	};
	struct model *model = make_model(tensors, 2);
	size_t n = model->plan->average->data_size / 4;

	for (size_t i = 0; i < N_PROFILES; i++) {
		put_floats(model->files[i].average[0], 1.0F, n);
		set_target(model, i, 0, 1);
		model->targets[i].steps[0] = 0;
		model->targets[i].weights[0] = 0.0001;
		model->targets[i].accumulator = ACCUMULATOR_FLOAT32;
	}
	model->update.n_snapshots = 1;
	model->update.snapshots[0] = model->snapshots[0];
	return model;
}

/* Of every four elements of the large tensor: two stall, one moves, one is. */
static void
fill_stalling(struct model *model)
{
	static const float values[] = { 1.0005F, 1.0007F, 0.99995F, 1.0F };
	const struct tensor *tensor = &model->plan->slot->tensors[1];

	for (size_t i = 0; i < tensor->n_elements; i++)
		memcpy(model->snapshots[0] + tensor->begin + 4 * i,
		       &values[i % 4], 4);
	/* In the small one everything moves. */
	put_floats(model->snapshots[0], 2.0F,
		   model->plan->slot->tensors[0].n_elements);
}

START_TEST(parameters_too_near_to_move_their_average_are_counted)
{
	struct model *model = make_stalling_model(DTYPE_F32, "w");
	uint64_t size = model->plan->average->data_size;
	struct average_watch watch;

	fill_stalling(model);
	ck_assert_uint_eq(model->plan->n_chunks, 1);
	watch = average_watch(&model->update, 0, 0);
	ck_assert_uint_eq(watch.n_sampled, 64);
	ck_assert_uint_eq(watch.n_stalled, 32);
	/* It says what the update does. */
	ck_assert(run(model));
	for (size_t i = 63; i < 63 + 500; i++)
		ck_assert_int_eq(memcmp(model->files[0].average[0] + 4 * i,
					model->files[0].average[1] + 4 * i,
					4) == 0,
				 (i - 63) % 4 != 1);
	/* A larger weight moves them all. */
	model->targets[0].weights[0] = 0.01;
	memset(model->files[0].average[1], 0x55, size);
	watch = average_watch(&model->update, 0, 0);
	ck_assert_uint_eq(watch.n_sampled, 64);
	ck_assert_uint_eq(watch.n_stalled, 0);
	/* Nothing but a look. */
	for (size_t i = 0; i < size; i++)
		ck_assert_int_eq(model->files[0].average[1][i], 0x55);
	free_model(model);
}
END_TEST

START_TEST(only_what_can_stall_is_watched)
{
	struct model *model = make_stalling_model(DTYPE_F32, "mixed");

	fill_stalling(model);
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 64);
	/* Its rule there is to copy, or to keep. */
	ck_assert_uint_eq(average_watch(&model->update, 0, 0).n_sampled, 0);
	ck_assert_uint_eq(average_watch(&model->update, 0, 1).n_sampled, 0);
	model->targets[3].accumulator = ACCUMULATOR_COMPENSATED;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	model->targets[3].accumulator = ACCUMULATOR_FLOAT64;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	model->targets[3].accumulator = ACCUMULATOR_FLOAT32;
	model->targets[3].weights[0] = 1.0;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	model->targets[3].weights[0] = 0.0001;
	model->targets[3].action = SCHEDULE_FROZEN;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	model->targets[3].action = SCHEDULE_INIT;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	model->targets[3].active = false;
	ck_assert_uint_eq(average_watch(&model->update, 0, 3).n_sampled, 0);
	free_model(model);
}
END_TEST

START_TEST(types_that_cannot_stall_are_not_watched)
{
	static const enum dtype dtypes[] = { DTYPE_C64, DTYPE_F64, DTYPE_I64 };
	struct model *model = make_stalling_model(dtypes[_i], "w");

	ck_assert_uint_eq(average_watch(&model->update, 0, 0).n_sampled, 0);
	free_model(model);
}
END_TEST

static Suite *
average_pass_suite(void)
{
	Suite *suite = suite_create("average_pass");
	TCase *tcase = tcase_create("average_pass");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(
		tcase,
		each_profile_absorbs_its_snapshots_in_one_pass_as_in_many, 0,
		2);
	tcase_add_test(tcase,
		       a_snapshot_that_nobody_absorbs_need_not_be_finite);
	tcase_add_test(tcase, sums_are_those_of_each_piece);
	tcase_add_test(tcase, sums_that_are_not_wanted_are_left_alone);
	tcase_add_test(tcase,
		       parameters_too_near_to_move_their_average_are_counted);
	tcase_add_test(tcase, only_what_can_stall_is_watched);
	tcase_add_loop_test(tcase, types_that_cannot_stall_are_not_watched, 0,
			    3);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(average_pass_suite)
