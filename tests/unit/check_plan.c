#include "daemon/core/plan.h"

#include <stdio.h>
#include <string.h>

#include "daemon/core/plan_rules.h"
#include "proto/version.h"
#include "tests/unit/unit.h"

static struct profile
make_profile(const char *name)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH);
	struct profile profile;

	profile_init(&profile, name, &schedule);
	return profile;
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

static enum status
try_plan(struct plan **ret_plan, struct tensor *tensors, size_t n,
	 const struct profile *profiles, size_t n_profiles, struct why *why)
{
	struct safetensors spec = { .n_tensors = n, .tensors = tensors };
	struct safetensors *slot, *average;
	enum status status;

	ck_assert_int_eq(version_slot_layout(&slot, &spec, why), STATUS_OK);
	ck_assert_int_eq(version_average_layout(&average, &spec, why),
			 STATUS_OK);
	status = plan_new(ret_plan, slot, average, profiles, n_profiles, why);
	if (status != STATUS_OK) {
		safetensors_free(slot);
		safetensors_free(average);
	}
	return status;
}

static struct plan *
make_plan(struct tensor *tensors, size_t n, const struct profile *profiles,
	  size_t n_profiles)
{
	struct plan *plan = NULL;
	struct why why;

	ck_assert_int_eq(
		try_plan(&plan, tensors, n, profiles, n_profiles, &why),
		STATUS_OK);
	return plan;
}

static uint64_t
bytes_of(enum dtype dtype, uint64_t n_elements)
{
	return n_elements * dtype_bits(dtype) / 8;
}

static enum dtype
average_dtype(const struct plan *plan, const struct plan_piece *piece)
{
	return plan->average->tensors[piece->tensor].dtype;
}

static uint64_t
piece_end(const struct plan *plan, const struct plan_piece *piece)
{
	return piece->average_begin +
	       bytes_of(average_dtype(plan, piece), piece->n_elements);
}

/* Bytes of the average between @end and the nearest boundary of a chunk. */
static uint64_t
to_boundary(uint64_t end)
{
	uint64_t past = end % PLAN_CHUNK_SIZE, left = PLAN_CHUNK_SIZE - past;

	return past < left ? past : left;
}

/* The slot's tensor for one of the average, mostly in the same place. */
static const struct tensor *
in_slot(const struct plan *plan, size_t index)
{
	const struct tensor *slot = &plan->slot->tensors[index];
	const char *name = plan->average->tensors[index].name;

	return strcmp(slot->name, name) == 0
		       ? slot
		       : safetensors_find(plan->slot, name);
}

/*
 * The pieces from *at on are tensor @index, from its first element to its
 * last, cut in whole bytes where a chunk's size ends; those of packed types as
 * near to that as whole bytes allow.
 */
static bool
is_tensor_covered(const struct plan *plan, size_t index, size_t *at)
{
	const struct tensor *average = &plan->average->tensors[index];
	const struct tensor *slot = in_slot(plan, index);
	uint64_t bits = dtype_bits(average->dtype), n = 0;
	uint64_t near = bits % 8 == 0 ? 0 : 8 * bits;
	bool ok = true;

	while (n < average->n_elements && *at < plan->n_pieces) {
		const struct plan_piece *piece = &plan->pieces[(*at)++];

		ok &= piece->tensor == index && piece->dtype == slot->dtype &&
		      piece->n_elements > 0 && n * bits % 8 == 0 &&
		      piece->average_begin ==
			      average->begin + bytes_of(average->dtype, n) &&
		      piece->snapshot_begin ==
			      slot->begin + bytes_of(slot->dtype, n) &&
		      piece_end(plan, piece) - piece->average_begin <=
			      PLAN_CHUNK_SIZE;
		n += piece->n_elements;
		if (n < average->n_elements)
			ok &= to_boundary(piece_end(plan, piece)) <= near;
	}
	return ok && n == average->n_elements;
}

/* The chunks are runs of all pieces, and none is larger than it may be. */
static bool
is_chunked(const struct plan *plan)
{
	size_t at = 0;
	bool ok = true;

	for (size_t i = 0; i < plan->n_chunks; i++) {
		const struct plan_chunk *chunk = &plan->chunks[i];
		const struct plan_piece *first =
			&plan->pieces[chunk->first_piece];

		ok &= chunk->first_piece == at && chunk->n_pieces > 0;
		at += chunk->n_pieces;
		ok &= at <= plan->n_pieces &&
		      (chunk->n_pieces == 1 ||
		       piece_end(plan, &plan->pieces[at - 1]) -
				       first->average_begin <=
			       PLAN_CHUNK_SIZE);
	}
	return ok && at == plan->n_pieces;
}

/* Every element of every tensor is in one piece, every piece in one chunk. */
static void
assert_covered(const struct plan *plan)
{
	size_t at = 0;

	for (size_t i = 0; i < plan->average->n_tensors; i++)
		if (!is_tensor_covered(plan, i, &at))
			ck_abort_msg("%s is not covered",
				     plan->average->tensors[i].name);
	ck_assert_uint_eq(at, plan->n_pieces);
	ck_assert(is_chunked(plan));
}

static const struct tensor *
tensor_of(const struct plan *plan, const struct plan_piece *piece)
{
	return &plan->average->tensors[piece->tensor];
}

static const uint64_t none = 0, one = 1, five = 5, many = 1000001, huge = 1000;

START_TEST(small_tensors_share_a_chunk_and_large_ones_have_many)
{
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("b", DTYPE_F32, &five),
		make_tensor("a", DTYPE_F32, &many),
		make_tensor("e", DTYPE_F32, &none),
		make_tensor("c", DTYPE_F32, &one),
	};
	struct plan *plan = make_plan(tensors, 4, &profile, 1);

	/* 4000004 bytes are 30 whole chunks and one more, b and c are 24. */
	ck_assert_uint_eq(plan->n_pieces, 33);
	ck_assert_uint_eq(plan->n_chunks, 31);
	ck_assert_uint_eq(plan->chunks[30].n_pieces, 3);
	for (size_t i = 0; i < plan->n_pieces; i++) {
		ck_assert(plan->pieces[i].check);
		ck_assert_int_eq(plan->pieces[i].rules[0], PROFILE_AVERAGE);
	}
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

START_TEST(each_tensor_has_its_own_dtype_and_rules)
{
	struct profile profiles[] = { make_profile("a"), make_profile("b") };
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F32, &five),
		make_tensor("b", DTYPE_F32, &five),
		make_tensor("c", DTYPE_F32, &five),
		make_tensor("d", DTYPE_BF16, &five),
		make_tensor("e", DTYPE_I64, &five),
	};
	static const char names[] = "eabcd";
	struct plan *plan;

	name_list_append(&profiles[0].no_ema, "b");
	name_list_append(&profiles[1].ignore, "b");
	name_list_append(&profiles[1].ignore_startswith, "c");
	plan = make_plan(tensors, 5, profiles, 2);
	ck_assert_uint_eq(plan->n_pieces, 5);
	ck_assert_uint_eq(plan->n_chunks, 1);
	for (size_t i = 0; i < 5; i++) {
		const struct plan_piece *piece = &plan->pieces[i];
		const char *name = tensor_of(plan, piece)->name;

		ck_assert_int_eq(name[0], names[i]);
		ck_assert_int_eq(piece->check, i == 1 || i == 3 || i == 4);
		for (size_t k = 0; k < 2; k++)
			ck_assert_int_eq(piece->rules[k],
					 profile_rule(&profiles[k], name));
	}
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profiles[0]);
	profile_deinit(&profiles[1]);
}
END_TEST

START_TEST(the_pieces_do_not_depend_on_the_profiles)
{
	struct profile profiles[] = { make_profile("a"), make_profile("b") };
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F32, &many),
		make_tensor("b", DTYPE_F32, &five),
		make_tensor("c", DTYPE_F16, &many),
	};
	struct plan *one_plan, *two_plan;

	name_list_append(&profiles[1].ignore, "b");
	one_plan = make_plan(tensors, 3, profiles, 1);
	two_plan = make_plan(tensors, 3, profiles, 2);
	ck_assert_uint_eq(one_plan->n_pieces, two_plan->n_pieces);
	for (size_t i = 0; i < one_plan->n_pieces; i++) {
		const struct plan_piece *a = &one_plan->pieces[i];
		const struct plan_piece *b = &two_plan->pieces[i];

		ck_assert_uint_eq(a->average_begin, b->average_begin);
		ck_assert_uint_eq(a->n_elements, b->n_elements);
	}
	plan_free(one_plan);
	plan_free(two_plan);
	profile_deinit(&profiles[0]);
	profile_deinit(&profiles[1]);
}
END_TEST

START_TEST(pieces_of_packed_types_begin_at_whole_bytes)
{
	static const uint64_t n = 1000000;
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F4, &n),
		make_tensor("b", DTYPE_F6_E2M3, &n),
		make_tensor("c", DTYPE_BOOL, &n),
		make_tensor("d", DTYPE_C64, &n),
		make_tensor("e", DTYPE_F8_E4M3, &n),
		make_tensor("f", DTYPE_F6_E3M2, &n),
	};
	struct plan *plan = make_plan(tensors, 6, &profile, 1);

	for (size_t i = 0; i < plan->n_pieces; i++)
		ck_assert_int_eq(plan->pieces[i].check,
				 dtype_is_averaged(plan->pieces[i].dtype));
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

/* Tensors of odd sizes, so that boundaries lie anywhere within them. */
START_TEST(tensors_that_begin_anywhere_are_cut_at_the_boundaries)
{
	static const enum dtype dtypes[] = {
		DTYPE_F4, DTYPE_F6_E3M2, DTYPE_U8, DTYPE_F8_E5M2, DTYPE_F64,
	};
	static uint64_t sizes[3 * array_size(dtypes)];
	static char names[array_size(sizes)][4];
	struct tensor tensors[array_size(sizes)];
	struct profile profile = make_profile("ema");

	for (uint64_t round = 0; round < 50; round++) {
		struct plan *plan;

		for (size_t i = 0; i < array_size(sizes); i++) {
			/* Multiples of 4: F4 and F6 are whole bytes then. */
			sizes[i] = (round * 7919 + i * 104729) % 100003 * 4;
			(void)snprintf(names[i], sizeof names[i], "%zu", i);
			tensors[i] =
				make_tensor(names[i], dtypes[i % 5], &sizes[i]);
		}
		plan = make_plan(tensors, array_size(sizes), &profile, 1);
		assert_covered(plan);
		plan_free(plan);
	}
	profile_deinit(&profile);
}
END_TEST

START_TEST(models_of_nothing_have_no_chunks)
{
	struct profile profile = make_profile("ema");
	struct tensor tensor = make_tensor("a", DTYPE_F32, &none);
	struct plan *plan = make_plan(&tensor, 1, &profile, 1);

	ck_assert_uint_eq(plan->n_pieces, 0);
	ck_assert_uint_eq(plan->n_chunks, 0);
	plan_free(plan);
	plan = make_plan(NULL, 0, &profile, 1);
	ck_assert_uint_eq(plan->n_pieces, 0);
	ck_assert_uint_eq(plan->n_chunks, 0);
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

/* What is asked of the allocator at once, at most, since it was zero. */
static size_t largest_request;

void *__real_xcalloc(size_t n, size_t size);
void *__wrap_xcalloc(size_t n, size_t size);
void *
__wrap_xcalloc(size_t n, size_t size)
{
	if (n * size > largest_request)
		largest_request = n * size;
	return __real_xcalloc(n, size);
}

void *__real_xrealloc(void *memory, size_t size);
void *__wrap_xrealloc(void *memory, size_t size);
void *
__wrap_xrealloc(void *memory, size_t size)
{
	if (size > largest_request)
		largest_request = size;
	return __real_xrealloc(memory, size);
}

START_TEST(a_model_beyond_all_memory_is_refused_before_memory_is_taken)
{
	static const uint64_t n = UINT64_C(1) << 40, n_half = n / 8;
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F64, &n),
		make_tensor("b", DTYPE_F8_E4M3, &n),
		make_tensor("c", DTYPE_F32, &n_half),
		make_tensor("d", DTYPE_U8, &n),
		make_tensor("e", DTYPE_U8, &n),
	};
	struct plan *plan;
	struct why why;

	largest_request = 0;
	ck_assert_int_eq(try_plan(&plan, &tensors[0], 1, &profile, 1, &why),
			 STATUS_TOO_LARGE);
	ck_assert_int_eq(try_plan(&plan, &tensors[1], 1, &profile, 1, &why),
			 STATUS_TOO_LARGE);
	/* Each alone would do, the sum does not. */
	ck_assert_int_eq(try_plan(&plan, &tensors[2], 3, &profile, 1, &why),
			 STATUS_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(why.text, "too large"));
	ck_assert_uint_gt(largest_request, 0);
	ck_assert_uint_lt(largest_request, 65536);
	profile_deinit(&profile);
}
END_TEST

START_TEST(layouts_of_two_models_make_no_plan)
{
	struct profile profile = make_profile("ema");
	struct tensor a = make_tensor("a", DTYPE_F32, &five);
	struct tensor b = make_tensor("b", DTYPE_F32, &five);
	struct safetensors spec = { .n_tensors = 1, .tensors = &a };
	struct safetensors *slot, *average;
	struct plan *plan;
	struct why why;

	ck_assert_int_eq(version_slot_layout(&slot, &spec, &why), STATUS_OK);
	spec.tensors = &b;
	ck_assert_int_eq(version_average_layout(&average, &spec, &why),
			 STATUS_OK);
	ck_assert_int_eq(plan_new(&plan, slot, average, &profile, 1, &why),
			 STATUS_BAD_SPEC);
	safetensors_free(slot);
	safetensors_free(average);
	profile_deinit(&profile);
}
END_TEST

START_TEST(sorted_rules_say_what_the_lists_say)
{
	static const char *const names[] = {
		"",   "a",   "ab",   "abc",  "abd", "ac", "b",  "ba",
		"bb", "bba", "bbaa", "bbab", "bbb", "c",  "ca", "caa",
	};
	struct profile profile = make_profile("ema");
	struct plan_rules *rules;

	name_list_append(&profile.ignore_startswith, "bba");
	name_list_append(&profile.ignore_startswith, "abc");
	name_list_append(&profile.ignore_startswith, "ab");
	name_list_append(&profile.ignore_startswith, "bb");
	name_list_append(&profile.ignore_startswith, "ab");
	name_list_append(&profile.ignore, "ca");
	name_list_append(&profile.no_ema, "c");
	name_list_append(&profile.no_ema, "bbb");
	for (int pass = 0; pass < 2; pass++) {
		rules = plan_rules_new(&profile);
		for (size_t i = 0; i < array_size(names); i++)
			ck_assert_int_eq(plan_rules_find(rules, names[i]),
					 profile_rule(&profile, names[i]));
		plan_rules_free(rules);
		/* With an empty prefix, everything is ignored. */
		name_list_append(&profile.ignore_startswith, "");
	}
	profile_deinit(&profile);
}
END_TEST

#define N_TENSORS 100000

START_TEST(a_hundred_thousand_tensors_meet_thousands_of_rules)
{
	static struct tensor tensors[N_TENSORS];
	static char names[N_TENSORS][24];
	struct profile profiles[4];
	struct plan *plan;

	for (size_t i = 0; i < N_TENSORS; i++) {
		(void)snprintf(names[i], sizeof names[i], "layer.%zu.weight",
			       (i * 7919) % N_TENSORS);
		tensors[i] = make_tensor(names[i], DTYPE_F32, &huge);
	}
	for (size_t k = 0; k < 4; k++) {
		profiles[k] = make_profile("ema");
		for (size_t i = 0; i < RULE_NAMES_MAX; i++) {
			char prefix[24];

			name_list_append(&profiles[k].ignore, names[i + k]);
			name_list_append(&profiles[k].no_ema, names[i * 3 + k]);
			(void)snprintf(prefix, sizeof prefix, "layer.%zu",
				       i * 24);
			name_list_append(&profiles[k].ignore_startswith,
					 prefix);
		}
	}
	plan = make_plan(tensors, N_TENSORS, profiles, 4);
	assert_covered(plan);
	ck_assert_uint_ge(plan->n_pieces, N_TENSORS);
	for (size_t i = 0; i < plan->n_pieces; i += 499) {
		const struct plan_piece *piece = &plan->pieces[i];

		for (size_t k = 0; k < 4; k++)
			ck_assert_int_eq(
				piece->rules[k],
				profile_rule(&profiles[k],
					     tensor_of(plan, piece)->name));
	}
	plan_free(plan);
	for (size_t k = 0; k < 4; k++)
		profile_deinit(&profiles[k]);
}
END_TEST

static Suite *
plan_suite(void)
{
	Suite *suite = suite_create("plan");
	TCase *tcase = tcase_create("plan");

	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase,
		       small_tensors_share_a_chunk_and_large_ones_have_many);
	tcase_add_test(tcase, each_tensor_has_its_own_dtype_and_rules);
	tcase_add_test(tcase, the_pieces_do_not_depend_on_the_profiles);
	tcase_add_test(tcase, pieces_of_packed_types_begin_at_whole_bytes);
	tcase_add_test(tcase,
		       tensors_that_begin_anywhere_are_cut_at_the_boundaries);
	tcase_add_test(tcase, models_of_nothing_have_no_chunks);
	tcase_add_test(
		tcase,
		a_model_beyond_all_memory_is_refused_before_memory_is_taken);
	tcase_add_test(tcase, layouts_of_two_models_make_no_plan);
	tcase_add_test(tcase, sorted_rules_say_what_the_lists_say);
	tcase_add_test(tcase,
		       a_hundred_thousand_tensors_meet_thousands_of_rules);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(plan_suite)
