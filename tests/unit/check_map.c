/*
 * Mappings: where they begin, and what is left of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "proto/map.h"
#include "tests/lib/fault.h"
#include "tests/unit/unit.h"

#define PAGE 4096

static const uint64_t sizes[] = {
	1,
	PAGE,
	HUGE_PAGE_SIZE - 1,
	HUGE_PAGE_SIZE,
	HUGE_PAGE_SIZE + 1,
	3 * HUGE_PAGE_SIZE - PAGE,
	7 * HUGE_PAGE_SIZE,
};

static int fd;

static void
setup(void)
{
	fd = memfd_create("check-map", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
}

static void
teardown(void)
{
	ck_assert_int_eq(close(fd), 0);
}

/* Pages of address space that this process uses. */
static unsigned long
count_pages(void)
{
	owned_fd statm = open("/proc/self/statm", O_RDONLY);
	char text[100] = "";

	ck_assert_int_gt(read(statm, text, sizeof text - 1), 0);
	return strtoul(text, NULL, 10);
}

START_TEST(mapping_is_of_the_asked_size_and_begins_where_it_may)
{
	uint64_t size = sizes[_i];
	unsigned long n_before = count_pages();
	unsigned long n_pages = (size + PAGE - 1) / PAGE;
	void *base;
	char *bytes;

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	ck_assert_int_eq(map_shared(fd, size, PROT_READ | PROT_WRITE, 0, &base),
			 0);
	ck_assert_uint_eq((uintptr_t)base % PAGE, 0);
	if (size >= HUGE_PAGE_SIZE)
		ck_assert_uint_eq((uintptr_t)base % HUGE_PAGE_SIZE, 0);
	ck_assert_uint_eq(count_pages(), n_before + n_pages);
	bytes = base;
	bytes[0] = 1;
	bytes[size - 1] = 2;
	ck_assert_int_eq(pread(fd, bytes, 1, (off_t)size - 1), 1);
	ck_assert_int_eq(bytes[0], 2);
	map_remove(base, size);
	ck_assert_uint_eq(count_pages(), n_before);
}
END_TEST

START_TEST(every_failing_call_leaves_nothing_mapped)
{
	uint64_t size = sizes[_i];
	unsigned long n_before = count_pages();
	int n_failures = 0;
	void *base = NULL;

	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	for (;;) {
		int r;

		fault_arm(n_failures, ENOMEM);
		r = map_shared(fd, size, PROT_READ, 0, &base);
		if (!fault_disarm())
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_ptr_null(base);
		ck_assert_uint_eq(count_pages(), n_before);
		n_failures++;
	}
	ck_assert_int_eq(n_failures, size < HUGE_PAGE_SIZE ? 1 : 2);
	map_remove(base, size);
}
END_TEST

START_TEST(what_cannot_be_mapped_is_an_error)
{
	unsigned long n_before = count_pages();
	void *base = NULL;

	ck_assert_int_eq(map_shared(-1, HUGE_PAGE_SIZE, PROT_READ, 0, &base),
			 -EBADF);
	ck_assert_int_lt(map_shared(fd, INT64_MAX, PROT_READ, 0, &base), 0);
	ck_assert_ptr_null(base);
	ck_assert_uint_eq(count_pages(), n_before);
	map_remove(NULL, 0);
}
END_TEST

static Suite *
map_suite(void)
{
	Suite *suite = suite_create("map");
	TCase *map = tcase_create("map");

	tcase_add_checked_fixture(map, setup, teardown);
	tcase_add_loop_test(
		map, mapping_is_of_the_asked_size_and_begins_where_it_may, 0,
		array_size(sizes));
	tcase_add_loop_test(map, every_failing_call_leaves_nothing_mapped, 0,
			    array_size(sizes));
	tcase_add_test(map, what_cannot_be_mapped_is_an_error);
	suite_add_tcase(suite, map);
	return suite;
}

UNIT_MAIN(map_suite)
