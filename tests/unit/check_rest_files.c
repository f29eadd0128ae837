/*
 * The files beside an average: names, memory, and that nothing stays behind,
 * whatever fails.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/lib/fault.h"
#include "tests/lib/rest_stage.h"
#include "tests/unit/unit.h"

static const enum accumulator accumulators[] = { ACCUMULATOR_COMPENSATED,
						 ACCUMULATOR_FLOAT64 };

START_TEST(names_are_hidden_and_of_one_average)
{
	char prefix[FILE_NAME_SIZE];

	rest_stage_init(ACCUMULATOR_FLOAT64);
	rest_stage_publish(0);
	name_rest_prefix(prefix, rest_stage_instance);
	for (size_t i = 0; i < 2; i++) {
		const char *name = versions.rest.files[i].shm.name;

		ck_assert_int_eq(strncmp(name, prefix, strlen(prefix)), 0);
		ck_assert(rest_has_file(&versions.rest, name));
		ck_assert(!rest_has_file(&later, name));
	}
	ck_assert_str_ne(versions.rest.files[0].shm.name,
			 versions.rest.files[1].shm.name);
	ck_assert(!rest_has_file(&versions.rest, versions.rest.name));
	ck_assert(!rest_has_file(&versions.rest, versions.file));
	rest_stage_deinit();
}
END_TEST

/* The longest public name: there is room for the number behind these. */
START_TEST(where_there_is_room_for_the_public_name_there_is_for_these)
{
	char long_instance[] = "iiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii";
	char model[NAME_SIZE_MAX + 1] = { 0 }, profile[NAME_SIZE_MAX + 2];
	char file[FILE_NAME_SIZE], expected[2 * FILE_NAME_SIZE];

	memset(model, 'm', NAME_SIZE_MAX);
	memset(profile, 'p', sizeof profile);
	profile[NAME_SIZE_MAX + 1] = '\0';
	ck_assert(!name_public_file(file, long_instance, model, profile));
	profile[NAME_SIZE_MAX] = '\0';
	ck_assert(name_public_file(file, long_instance, model, profile));
	name_rest_file(file, long_instance, model, profile);
	(void)snprintf(expected, sizeof expected, ".emad.%s.rest-%s.%s",
		       long_instance, model, profile);
	ck_assert_str_eq(file, expected);
	ck_assert_uint_le(strlen(file), 250);
}
END_TEST

START_TEST(memory_is_counted_and_given_back)
{
	enum accumulator accumulator = accumulators[_i];
	uint64_t bytes = accumulator == ACCUMULATOR_FLOAT64 ? 8 : 2;
	struct version_supply wanted;
	uint64_t size;

	rest_stage_init(accumulator);
	size = rest_size(&versions.rest);
	ck_assert_uint_eq(size, versions.rest.header.size + bytes * N_RESTS);
	ck_assert_uint_eq(versions_memory(&versions), 0);
	wanted = versions_want(&versions);
	ck_assert_uint_eq(version_supply_missing(&wanted),
			  2 * versions.size + 2 * size);
	version_supply_discard(&wanted);
	rest_stage_publish(0);
	ck_assert_uint_eq(rest_memory(&versions.rest), 2 * size);
	ck_assert_uint_eq(versions_memory(&versions),
			  2 * versions.size + 2 * size);
	rest_stage_deinit();
}
END_TEST

START_TEST(one_of_the_two_outlives_the_daemon_with_its_version)
{
	enum accumulator accumulator = accumulators[_i];

	/* Without a version, nothing does. */
	rest_stage_init(accumulator);
	rest_stage_supply();
	ck_assert_uint_eq(rest_stage_count_files(), 4);
	versions_deinit(&versions, false);
	ck_assert_uint_eq(rest_stage_count_files(), 0);
	rest_deinit(&later, true);

	rest_stage_init(accumulator);
	rest_stage_publish(0);
	rest_stage_publish(1);
	versions_deinit(&versions, false);
	ck_assert_uint_eq(rest_stage_count_files(), 2);
	rest_deinit(&later, true);
	rest_stage_init(accumulator);
	ck_assert(rest_stage_is_found(1));
	rest_deinit(&later, true);
	rest_init(&later, accumulator, rest_stage_instance, "net", "ema",
		  N_RESTS * 4);
	ck_assert_uint_eq(rest_stage_count_files(), 1);
	ck_assert_int_eq(shm_remove(versions.file), 0);
	rest_stage_deinit();
}
END_TEST

START_TEST(an_average_in_float32_has_nothing_beside_it)
{
	struct version_state state = rest_stage_state_of(0);

	rest_stage_init(ACCUMULATOR_FLOAT32);
	ck_assert_uint_eq(rest_size(&versions.rest), 0);
	ck_assert(rest_adopt(&later, &state));
	rest_stage_claim();
	ck_assert_ptr_null(rest_current_data(&versions.rest));
	ck_assert_ptr_null(rest_next_data(&versions.rest));
	ck_assert_int_eq(versions_publish(&versions, &state), 0);
	ck_assert_uint_eq(rest_stage_count_files(), 2);
	ck_assert_uint_eq(versions_memory(&versions), 2 * versions.size);
	rest_stage_deinit();
}
END_TEST

START_TEST(every_failing_call_of_the_supply_leaves_nothing_behind)
{
	struct version_maker with = rest_stage_maker();
	int n_failures = 0, n_fds, r;

	rest_stage_init(ACCUMULATOR_FLOAT64);
	n_fds = fault_count_fds();
	for (;; n_failures++) {
		struct version_supply wanted = versions_want(&versions);

		fault_arm(n_failures, ENOMEM);
		r = version_supply_make(&wanted, &with);
		if (!fault_disarm()) {
			ck_assert_int_eq(r, 0);
			versions_take(&versions, &wanted);
			break;
		}
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_uint_gt(version_supply_missing(&wanted), 0);
		version_supply_discard(&wanted);
		ck_assert_uint_eq(rest_stage_count_files(), 0);
		ck_assert_int_eq(fault_count_fds(), n_fds);
	}
	/* Four files of six calls each, at least. */
	ck_assert_int_ge(n_failures, 24);
	rest_stage_publish(0);
	rest_stage_deinit();
}
END_TEST

/* What was made before the failure is of use the next time. */
START_TEST(a_failed_supply_is_completed_by_the_next_one)
{
	struct version_maker with = rest_stage_maker();

	for (int i = 0; i < 28; i++) {
		struct version_supply wanted;

		rest_stage_init(ACCUMULATOR_FLOAT64);
		wanted = versions_want(&versions);
		fault_arm(i, ENOMEM);
		(void)version_supply_make(&wanted, &with);
		(void)fault_disarm();
		versions_take(&versions, &wanted);
		rest_stage_publish(0);
		rest_stage_publish(1);
		ck_assert_uint_eq(rest_stage_count_files(), 4);
		rest_stage_deinit();
	}
}
END_TEST

START_TEST(every_failing_call_of_adopt_leaves_no_descriptor)
{
	struct version_state state = rest_stage_state_of(1);
	int n_failures = 0, n_fds;

	rest_stage_init(ACCUMULATOR_FLOAT64);
	rest_stage_publish(0);
	rest_stage_publish(1);
	n_fds = fault_count_fds();
	for (;; n_failures++) {
		bool found, has_struck;

		fault_arm(n_failures, EMFILE);
		found = rest_adopt(&later, &state);
		has_struck = fault_disarm();
		if (found)
			ck_assert(rest_stage_is_rest_of(
				rest_current_data(&later), 1));
		rest_stage_forget(&later);
		ck_assert_int_eq(fault_count_fds(), n_fds);
		if (!has_struck)
			break;
		/* Files that could be opened, but not used, were let go. */
		rest_stage_publish(0);
		rest_stage_publish(1);
	}
	ck_assert_int_ge(n_failures, 6);
	rest_stage_deinit();
}
END_TEST

static Suite *
rest_files_suite(void)
{
	Suite *suite = suite_create("rest_files");
	TCase *tcase = tcase_create("rest_files");
	const int n = array_size(accumulators);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, rest_stage_setup, NULL);
	tcase_add_test(tcase, names_are_hidden_and_of_one_average);
	tcase_add_test(
		tcase,
		where_there_is_room_for_the_public_name_there_is_for_these);
	tcase_add_loop_test(tcase, memory_is_counted_and_given_back, 0, n);
	tcase_add_loop_test(tcase,
			    one_of_the_two_outlives_the_daemon_with_its_version,
			    0, n);
	tcase_add_test(tcase, an_average_in_float32_has_nothing_beside_it);
	tcase_add_test(tcase,
		       every_failing_call_of_the_supply_leaves_nothing_behind);
	tcase_add_test(tcase, a_failed_supply_is_completed_by_the_next_one);
	tcase_add_test(tcase, every_failing_call_of_adopt_leaves_no_descriptor);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(rest_files_suite)
