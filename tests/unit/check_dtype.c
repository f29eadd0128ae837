#include <string.h>

#include "proto/dtype.h"
#include "tests/unit/unit.h"

START_TEST(every_name_is_parsed_to_its_type)
{
	for (unsigned int i = 0; i < N_DTYPES; i++) {
		const char *name = dtype_name((enum dtype)i);
		enum dtype dtype = N_DTYPES;

		ck_assert(dtype_parse(&dtype, name, strlen(name)));
		ck_assert_uint_eq(dtype, i);
	}
}
END_TEST

START_TEST(what_is_almost_a_name_is_refused)
{
	static const char *const names[] = {
		"", "F", "F3", "F32 ", "f32", "F320", "F8_E5", "F8_E4M3F"
	};
	enum dtype dtype;

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		ck_assert(!dtype_parse(&dtype, names[i], strlen(names[i])));
	ck_assert(!dtype_parse(&dtype, "F32", 4));
	ck_assert(dtype_parse(&dtype, "F32garbage", 3));
}
END_TEST

START_TEST(wider_types_rank_higher)
{
	for (unsigned int i = DTYPE_U8; i + 1 < N_DTYPES; i++)
		ck_assert_uint_le(dtype_bits((enum dtype)i),
				  dtype_bits((enum dtype)(i + 1)));
	ck_assert_uint_eq(dtype_bits(DTYPE_BOOL), 8);
	ck_assert_uint_eq(dtype_bits(DTYPE_F4), 4);
	ck_assert_uint_eq(dtype_bits(DTYPE_F6_E2M3), 6);
	ck_assert_uint_eq(dtype_bits(DTYPE_U64), 64);
	ck_assert_int_lt(DTYPE_F32, DTYPE_C64);
	ck_assert_int_lt(DTYPE_C64, DTYPE_F64);
	ck_assert_int_lt(DTYPE_F64, DTYPE_I64);
}
END_TEST

START_TEST(floating_point_is_averaged_and_nothing_else)
{
	static const enum dtype single[] = { DTYPE_F8_E4M3, DTYPE_F8_E5M2,
					     DTYPE_F16, DTYPE_BF16, DTYPE_F32 };
	unsigned int n_averaged = 0;

	for (size_t i = 0; i < sizeof single / sizeof *single; i++)
		ck_assert_int_eq(dtype_average(single[i]), DTYPE_F32);
	ck_assert_int_eq(dtype_average(DTYPE_F64), DTYPE_F64);
	ck_assert_int_eq(dtype_average(DTYPE_C64), DTYPE_C64);
	for (unsigned int i = 0; i < N_DTYPES; i++) {
		if (dtype_is_averaged((enum dtype)i))
			n_averaged++;
		else
			ck_assert_uint_eq(dtype_average((enum dtype)i), i);
	}
	ck_assert_uint_eq(n_averaged, 7);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("dtype");
	TCase *tcase = tcase_create("dtype");

	tcase_add_test(tcase, every_name_is_parsed_to_its_type);
	tcase_add_test(tcase, what_is_almost_a_name_is_refused);
	tcase_add_test(tcase, wider_types_rank_higher);
	tcase_add_test(tcase, floating_point_is_averaged_and_nothing_else);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(make_suite)
