/*
 * Parts: every chunk is given out once, the own ones first, others' last.
 */
#include "daemon/io/parts.h"
#include "tests/unit/unit.h"

START_TEST(parts_are_in_order_and_differ_by_one_at_most)
{
	static const unsigned int n_chunks[] = { 0, 1, 2, 7, 64, 1000 };

	for (size_t i = 0; i < array_size(n_chunks); i++) {
		struct part *parts = parts_new((unsigned int)_i, n_chunks[i]);
		unsigned int lowest = n_chunks[i] / (unsigned int)_i;
		unsigned int next = 0;
		unsigned int chunk;

		for (int p = 0; p < _i; p++) {
			unsigned int before = next;

			while (part_take_first(&parts[p], &chunk))
				ck_assert_uint_eq(chunk, next++);
			ck_assert_uint_ge(next - before, lowest);
			ck_assert_uint_le(next - before, lowest + 1);
		}
		ck_assert_uint_eq(next, n_chunks[i]);
		free(parts);
	}
}
END_TEST

START_TEST(first_and_last_meet_in_the_middle)
{
	struct part *parts = parts_new(1, 5);
	unsigned int chunk;

	ck_assert(part_take_first(parts, &chunk));
	ck_assert_uint_eq(chunk, 0);
	ck_assert(part_take_last(parts, &chunk));
	ck_assert_uint_eq(chunk, 4);
	ck_assert(part_take_last(parts, &chunk));
	ck_assert_uint_eq(chunk, 3);
	ck_assert(part_take_first(parts, &chunk));
	ck_assert_uint_eq(chunk, 1);
	ck_assert(part_take_last(parts, &chunk));
	ck_assert_uint_eq(chunk, 2);
	chunk = 77;
	ck_assert(!part_take_last(parts, &chunk));
	ck_assert(!part_take_first(parts, &chunk));
	ck_assert_uint_eq(chunk, 77);
	free(parts);
}
END_TEST

START_TEST(part_reaches_to_the_highest_number)
{
	struct part *parts = parts_new(2, UINT32_MAX);
	unsigned int chunk;

	ck_assert(part_take_last(&parts[1], &chunk));
	ck_assert_uint_eq(chunk, UINT32_MAX - 1);
	ck_assert(part_take_first(&parts[1], &chunk));
	ck_assert_uint_eq(chunk, UINT32_MAX / 2);
	ck_assert(part_take_last(&parts[0], &chunk));
	ck_assert_uint_eq(chunk, UINT32_MAX / 2 - 1);
	free(parts);
}
END_TEST

static Suite *
parts_suite(void)
{
	Suite *suite = suite_create("parts");
	TCase *take = tcase_create("take");

	tcase_add_loop_test(take, parts_are_in_order_and_differ_by_one_at_most,
			    1, 9);
	tcase_add_test(take, first_and_last_meet_in_the_middle);
	tcase_add_test(take, part_reaches_to_the_highest_number);
	suite_add_tcase(suite, take);
	return suite;
}

UNIT_MAIN(parts_suite)
