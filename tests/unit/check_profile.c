#include "proto/profile.h"

#include <math.h>
#include <string.h>

#include "proto/json.h"
#include "tests/unit/unit.h"

static struct profile
make(void)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH);
	struct profile profile;

	schedule.beta = 0.1 + 0.2;
	schedule.power = 1.0 / 3.0;
	profile_init(&profile, "fast", &schedule);
	profile.accumulator = ACCUMULATOR_FLOAT64;
	name_list_append(&profile.no_ema, "bn.mean");
	name_list_append(&profile.no_ema, "head.bias");
	name_list_append(&profile.ignore, "scale");
	name_list_append(&profile.ignore_startswith, "head.");
	name_list_append(&profile.ignore_startswith, "k");
	return profile;
}

static enum status
read_text(struct profile *ret_profile, const char *text, struct why *why)
{
	owned_json *json = json_loads(text, JSON_DECODE_ANY, NULL);

	ck_assert_ptr_nonnull(json);
	return profile_from_json(ret_profile, json, why);
}

START_TEST(ignoring_wins_over_copying)
{
	struct profile profile = make();

	ck_assert_int_eq(profile_rule(&profile, "conv"), PROFILE_AVERAGE);
	ck_assert_int_eq(profile_rule(&profile, "bn.mean"), PROFILE_COPY);
	ck_assert_int_eq(profile_rule(&profile, "bn.mean2"), PROFILE_AVERAGE);
	ck_assert_int_eq(profile_rule(&profile, "scale"), PROFILE_KEEP);
	ck_assert_int_eq(profile_rule(&profile, "head.bias"), PROFILE_KEEP);
	ck_assert_int_eq(profile_rule(&profile, "head"), PROFILE_AVERAGE);
	ck_assert_int_eq(profile_rule(&profile, "k"), PROFILE_KEEP);
	profile_deinit(&profile);
}
END_TEST

START_TEST(json_there_and_back_is_the_same_to_the_last_bit)
{
	struct profile profile = make(), back;
	owned_json *json = profile_to_json(&profile);
	owned_memory char *text = json_dumps(json, JSON_REAL_PRECISION(17));
	struct why why;

	ck_assert_int_eq(read_text(&back, text, &why), STATUS_OK);
	ck_assert_msg(profile_equal(&profile, &back, &why), "%s", why.text);
	profile_deinit(&profile);
	profile_deinit(&back);
}
END_TEST

START_TEST(absent_fields_take_the_defaults_of_the_variant)
{
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);
	struct profile profile, expected;
	struct why why;

	profile_init(&expected, DEFAULT_PROFILE, &schedule);
	ck_assert_int_eq(
		read_text(&profile, "{\"variant\": \"constant\"}", &why),
		STATUS_OK);
	ck_assert(profile_equal(&profile, &expected, &why));
	profile_deinit(&profile);
	profile_deinit(&expected);
}
END_TEST

START_TEST(every_accumulator_has_a_name_and_a_size)
{
	static const uint64_t sizes[] = {
		[ACCUMULATOR_FLOAT32] = 0,
		[ACCUMULATOR_COMPENSATED] = 200,
		[ACCUMULATOR_FLOAT64] = 800,
	};
	enum accumulator parsed;

	for (int i = 0; i < N_ACCUMULATORS; i++) {
		enum accumulator accumulator = (enum accumulator)i;
		const char *name = accumulator_name(accumulator);

		ck_assert(accumulator_parse(&parsed, name));
		ck_assert_int_eq(parsed, accumulator);
		ck_assert_uint_eq(accumulator_rest_size(accumulator, 400),
				  sizes[i]);
	}
	ck_assert(!accumulator_parse(&parsed, "float"));
	ck_assert(!accumulator_parse(&parsed, ""));
}
END_TEST

START_TEST(an_integer_may_stand_for_a_real_number)
{
	struct profile profile;
	struct why why;

	ck_assert_int_eq(
		read_text(&profile, "{\"beta\": 1, \"power\": 2}", &why),
		STATUS_OK);
	ck_assert(profile.schedule.beta == 1.0);
	ck_assert(profile.schedule.power == 2.0);
	profile_deinit(&profile);
}
END_TEST

START_TEST(what_is_no_profile_is_refused_by_field)
{
	static const struct {
		const char *text, *sentence;
		enum status status;
	} cases[] = {
		{ "[]", "object", STATUS_BAD_SPEC },
		{ "{\"betta\": 1}", "betta", STATUS_BAD_SPEC },
		{ "{\"beta\": \"1\"}", "beta", STATUS_BAD_SPEC },
		{ "{\"beta\": 1.5}", "beta", STATUS_BAD_SPEC },
		{ "{\"update_every\": 1.0}", "update_every", STATUS_BAD_SPEC },
		{ "{\"update_every\": 0}", "update_every", STATUS_BAD_SPEC },
		{ "{\"name\": 3}", "name", STATUS_BAD_SPEC },
		{ "{\"name\": \"a/b\"}", "a/b", STATUS_BAD_NAME },
		{ "{\"variant\": null}", "variant", STATUS_BAD_SPEC },
		{ "{\"variant\": \"adam\"}", "adam", STATUS_BAD_SPEC },
		{ "{\"accumulator\": 64}", "accumulator", STATUS_BAD_SPEC },
		{ "{\"accumulator\": \"double\"}", "double", STATUS_BAD_SPEC },
		{ "{\"ignore_names\": \"x\"}", "ignore_names",
		  STATUS_BAD_SPEC },
		{ "{\"ignore_names\": [1]}", "ignore_names", STATUS_BAD_SPEC },
	};
	struct profile profile;
	struct why why;

	for (size_t i = 0; i < array_size(cases); i++) {
		ck_assert_int_eq(read_text(&profile, cases[i].text, &why),
				 cases[i].status);
		ck_assert_ptr_nonnull(strstr(why.text, cases[i].sentence));
	}
}
END_TEST

START_TEST(lists_have_a_limit)
{
	struct profile profile = make();
	struct why why;

	while (profile.ignore.n < RULE_NAMES_MAX)
		name_list_append(&profile.ignore, "x");
	ck_assert_int_eq(profile_check(&profile, &why), STATUS_OK);
	name_list_append(&profile.ignore, "x");
	ck_assert_int_eq(profile_check(&profile, &why), STATUS_TOO_LARGE);
	ck_assert_ptr_nonnull(strstr(why.text, "ignore_names"));
	profile_deinit(&profile);
}
END_TEST

START_TEST(order_and_repetition_of_names_make_no_difference)
{
	struct profile a = make(), b = make();
	struct why why;

	name_list_append(&a.ignore, "one");
	name_list_append(&a.ignore, "two");
	name_list_append(&b.ignore, "two");
	name_list_append(&b.ignore, "one");
	name_list_append(&b.ignore, "two");
	ck_assert(profile_equal(&a, &b, &why));
	name_list_append(&b.ignore, "three");
	ck_assert(!profile_equal(&a, &b, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "ignore_names: \"three\""));
	profile_deinit(&a);
	profile_deinit(&b);
}
END_TEST

START_TEST(the_first_field_that_differs_is_named_with_both_values)
{
	struct profile a = make(), b;
	struct why why;

	profile_copy(&b, &a);
	ck_assert(profile_equal(&a, &b, &why));
	b.schedule.beta = nextafter(b.schedule.beta, 1.0);
	ck_assert(!profile_equal(&a, &b, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "beta: 0.3000"));
	b.schedule = a.schedule;
	b.schedule.update_every = 11;
	ck_assert(!profile_equal(&a, &b, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "update_every: 10 and 11"));
	b.schedule = a.schedule;
	b.accumulator = ACCUMULATOR_COMPENSATED;
	ck_assert(!profile_equal(&a, &b, &why));
	ck_assert_ptr_nonnull(strstr(why.text, "float64"));
	ck_assert_ptr_nonnull(strstr(why.text, "float32_compensated"));
	profile_deinit(&a);
	profile_deinit(&b);
}
END_TEST

static Suite *
profile_suite(void)
{
	Suite *suite = suite_create("profile");
	TCase *tcase = tcase_create("profile");

	tcase_add_test(tcase, ignoring_wins_over_copying);
	tcase_add_test(tcase, json_there_and_back_is_the_same_to_the_last_bit);
	tcase_add_test(tcase, absent_fields_take_the_defaults_of_the_variant);
	tcase_add_test(tcase, every_accumulator_has_a_name_and_a_size);
	tcase_add_test(tcase, an_integer_may_stand_for_a_real_number);
	tcase_add_test(tcase, what_is_no_profile_is_refused_by_field);
	tcase_add_test(tcase, lists_have_a_limit);
	tcase_add_test(tcase, order_and_repetition_of_names_make_no_difference);
	tcase_add_test(tcase,
		       the_first_field_that_differs_is_named_with_both_values);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(profile_suite)
