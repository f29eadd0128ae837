#include "client/copy.h"

#include <string.h>

#include "proto/util.h"
#include "tests/unit/unit.h"

#define ROOM   ((size_t)3 * 65536)
#define MARGIN 192
#define GUARD  0xA5

static unsigned char source[ROOM + 2 * MARGIN] __attribute__((aligned(4096)));
static unsigned char copy[ROOM + 2 * MARGIN] __attribute__((aligned(4096)));

static void
setup(void)
{
	uint32_t state = 1;

	for (size_t i = 0; i < sizeof source; i++) {
		state = state * 1664525 + 1013904223;
		source[i] = (unsigned char)(state >> 24);
	}
}

/* The copy is right and nothing around it was touched. */
static void
check_copy(const struct copy_way *way, size_t to, size_t from, size_t size)
{
	memset(copy, GUARD, to + size + MARGIN);
	copy_stream(way, copy + to, source + from, size);
	copy_finish();
	if (size > 0)
		ck_assert_mem_eq(copy + to, source + from, size);
	for (size_t i = 0; i < to; i++)
		ck_assert_uint_eq(copy[i], GUARD);
	for (size_t i = 0; i < MARGIN; i++)
		ck_assert_uint_eq(copy[to + size + i], GUARD);
}

START_TEST(every_misalignment_copies_the_same_bytes)
{
	const struct copy_way *way;

	for (size_t k = 0; (way = copy_way(k)); k++)
		for (size_t to = 0; to < 128; to++) {
			check_copy(way, to, to * 7 % 128, 4096 + 64);
			check_copy(way, to, 127 - to, 65536 + 100 + to);
		}
}
END_TEST

START_TEST(every_length_copies_the_same_bytes)
{
	/* Around the shortest that streams, a line, a block and two. */
	static const size_t around[] = { 0,     4096,  4160,  32768,
					 36864, 65536, 98304, 131072 };
	const struct copy_way *way;

	for (size_t k = 0; (way = copy_way(k)); k++)
		for (size_t i = 0; i < array_size(around); i++)
			for (size_t j = 0; j <= 130; j++) {
				size_t size = around[i] + j;

				if (size >= 65)
					check_copy(way, j % 64, 3, size - 65);
			}
}
END_TEST

START_TEST(what_is_chosen_copies_the_same_bytes)
{
	const struct copy_way *way = copy_choose(copy, source, ROOM);

	ck_assert(way == copy_way(0) || way == copy_way(1));
	ck_assert_mem_eq(copy, source, ROOM);
	copy_stream(way, copy, source + 1, ROOM);
	copy_finish();
	ck_assert_mem_eq(copy, source + 1, ROOM);
	copy_stream(way, NULL, NULL, 0);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("copy");
	TCase *ways = tcase_create("ways");

	tcase_set_timeout(ways, 120);
	tcase_add_checked_fixture(ways, setup, NULL);
	tcase_add_test(ways, every_misalignment_copies_the_same_bytes);
	tcase_add_test(ways, every_length_copies_the_same_bytes);
	tcase_add_test(ways, what_is_chosen_copies_the_same_bytes);
	suite_add_tcase(suite, ways);
	return suite;
}

UNIT_MAIN(make_suite)
