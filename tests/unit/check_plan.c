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

/* The chunks cover every span once, in order, in whole bytes. */
static void
assert_covered(const struct plan *plan)
{
	uint64_t at = 0;
	uint32_t span = 0;
	bool ok = true;

	for (size_t i = 0; i < plan->n_chunks; i++) {
		const struct plan_chunk *chunk = &plan->chunks[i];
		enum dtype dtype = plan->spans[chunk->span].dtype;
		uint64_t bits = dtype_bits(dtype_average(dtype));

		if (chunk->span != span) {
			ok &= chunk->span == span + 1 &&
			      at == plan->spans[span].n_elements;
			span++;
			at = 0;
		}
		ok &= chunk->first_element == at &&
		      at * dtype_bits(dtype) % 8 == 0 &&
		      chunk->n_elements > 0 &&
		      chunk->n_elements * bits <= UINT64_C(8) * PLAN_CHUNK_SIZE;
		at += chunk->n_elements;
	}
	if (plan->n_spans > 0)
		ok &= at == plan->spans[span].n_elements &&
		      span == plan->n_spans - 1;
	ck_assert(ok);
}

static const uint64_t none = 0, one = 1, five = 5, many = 1000001, huge = 1000;

START_TEST(one_dtype_without_rules_is_one_span)
{
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("b", DTYPE_F32, &five),
		make_tensor("a", DTYPE_F32, &many),
		make_tensor("e", DTYPE_F32, &none),
		make_tensor("c", DTYPE_F32, &one),
	};
	struct plan *plan = make_plan(tensors, 4, &profile, 1);

	ck_assert_uint_eq(plan->n_spans, 1);
	ck_assert_uint_eq(plan->spans[0].n_elements, 1000007);
	ck_assert(plan->spans[0].check);
	ck_assert_int_eq(plan->spans[0].rules[0], PROFILE_AVERAGE);
	ck_assert_uint_eq(plan->n_chunks, 31);
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

START_TEST(spans_end_where_dtypes_or_rules_change)
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
	ck_assert_uint_eq(plan->n_spans, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct plan_span *span = &plan->spans[i];
		const struct tensor *tensor =
			plan_tensor_at(plan, span->snapshot_begin);

		ck_assert_int_eq(tensor->name[0], names[i]);
		ck_assert_uint_eq(span->average_begin,
				  plan->average->tensors[i].begin);
		ck_assert_int_eq(span->check, i == 1 || i == 3 || i == 4);
		for (size_t k = 0; k < 2; k++)
			ck_assert_int_eq(
				span->rules[k],
				profile_rule(&profiles[k], tensor->name));
	}
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profiles[0]);
	profile_deinit(&profiles[1]);
}
END_TEST

START_TEST(chunks_of_packed_types_begin_at_whole_bytes)
{
	static const uint64_t n = 1000000;
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F4, &n),
		make_tensor("b", DTYPE_F6_E2M3, &n),
		make_tensor("c", DTYPE_BOOL, &n),
		make_tensor("d", DTYPE_C64, &n),
	};
	struct plan *plan = make_plan(tensors, 4, &profile, 1);

	ck_assert_uint_eq(plan->n_spans, 4);
	assert_covered(plan);
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

START_TEST(models_of_nothing_have_no_chunks)
{
	struct profile profile = make_profile("ema");
	struct tensor tensor = make_tensor("a", DTYPE_F32, &none);
	struct plan *plan = make_plan(&tensor, 1, &profile, 1);

	ck_assert_uint_eq(plan->n_spans, 0);
	ck_assert_uint_eq(plan->n_chunks, 0);
	ck_assert_ptr_null(plan_tensor_at(plan, 0));
	plan_free(plan);
	plan = make_plan(NULL, 0, &profile, 1);
	ck_assert_uint_eq(plan->n_chunks, 0);
	ck_assert_ptr_null(plan_tensor_at(plan, 0));
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

START_TEST(a_byte_of_a_slot_is_found_in_its_tensor)
{
	struct profile profile = make_profile("ema");
	struct tensor tensors[] = {
		make_tensor("a", DTYPE_F32, &five),
		make_tensor("b", DTYPE_F32, &none),
		make_tensor("c", DTYPE_F32, &one),
	};
	struct plan *plan = make_plan(tensors, 3, &profile, 1);

	ck_assert_str_eq(plan_tensor_at(plan, 0)->name, "a");
	ck_assert_str_eq(plan_tensor_at(plan, 19)->name, "a");
	ck_assert_str_eq(plan_tensor_at(plan, 20)->name, "c");
	ck_assert_str_eq(plan_tensor_at(plan, 23)->name, "c");
	ck_assert_ptr_null(plan_tensor_at(plan, 24));
	plan_free(plan);
	profile_deinit(&profile);
}
END_TEST

START_TEST(a_model_beyond_all_memory_is_refused)
{
	static const uint64_t n = UINT64_C(1) << 40;
	struct profile profile = make_profile("ema");
	struct tensor tensor = make_tensor("a", DTYPE_F64, &n);
	struct plan *plan;
	struct why why;

	ck_assert_int_eq(try_plan(&plan, &tensor, 1, &profile, 1, &why),
			 STATUS_TOO_LARGE);
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
	for (size_t i = 0; i < plan->n_spans; i += 499) {
		const struct plan_span *span = &plan->spans[i];
		const struct tensor *tensor =
			plan_tensor_at(plan, span->snapshot_begin);

		for (size_t k = 0; k < 4; k++)
			ck_assert_int_eq(
				span->rules[k],
				profile_rule(&profiles[k], tensor->name));
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
	tcase_add_test(tcase, one_dtype_without_rules_is_one_span);
	tcase_add_test(tcase, spans_end_where_dtypes_or_rules_change);
	tcase_add_test(tcase, chunks_of_packed_types_begin_at_whole_bytes);
	tcase_add_test(tcase, models_of_nothing_have_no_chunks);
	tcase_add_test(tcase, a_byte_of_a_slot_is_found_in_its_tensor);
	tcase_add_test(tcase, a_model_beyond_all_memory_is_refused);
	tcase_add_test(tcase, layouts_of_two_models_make_no_plan);
	tcase_add_test(tcase, sorted_rules_say_what_the_lists_say);
	tcase_add_test(tcase,
		       a_hundred_thousand_tensors_meet_thousands_of_rules);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(plan_suite)
