/*
 * Huge pages: what is made is what the kernel says, and what is refused, closed
 * or in use meanwhile comes to no harm.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "daemon/io/huge.h"
#include "daemon/io/shm.h"
#include "tests/lib/fault.h"
#include "tests/lib/turn.h"
#include "tests/unit/unit.h"

#define N_PAGES 6
#define SIZE    (N_PAGES * HUGE_PAGE_SIZE + 5000)
#define HOUR_MS 3600000

static uv_loop_t loop;
static struct huge *huge;
static struct shm shm;
static char name[FILE_NAME_SIZE];
static bool is_closed;

static void
on_closed(void *arg)
{
	*(bool *)arg = true;
}

static void
start(uint64_t delay_ms)
{
	ck_assert_int_eq(huge_new(&huge, &loop, delay_ms), 0);
}

static void
close_huge(void)
{
	is_closed = huge == NULL;
	if (huge)
		huge_close(huge, on_closed, &is_closed);
	turn_until(&loop, is_closed);
}

static void
setup(void)
{
	(void)signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	(void)snprintf(name, sizeof name, "check-huge-%d", (int)getpid());
	ck_assert_int_eq(shm_create(&shm, name, SIZE, 0600), 0);
}

static void
teardown(void)
{
	(void)shm_unlink_name(&shm);
	shm_close(&shm);
	huge_free(huge);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void
turn_until_done(void)
{
	if (huge)
		turn_until(&loop, huge_is_done(huge));
}

/* Bytes of our mapping that the kernel has mapped as huge pages. */
static uint64_t
kernels_word(void)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	unsigned long kib = 0;
	char line[512];
	bool ours = false;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof line, file)) {
		unsigned long first;
		unsigned long after;

		if (sscanf(line, "%lx-%lx ", &first, &after) == 2)
			ours = first == (uintptr_t)shm.base;
		else if (ours)
			(void)sscanf(line, "ShmemPmdMapped: %lu", &kib);
	}
	ck_assert_int_eq(fclose(file), 0);
	return (uint64_t)kib * 1024;
}

static bool
kernel_can(void)
{
	return huge && madvise(shm.base, HUGE_PAGE_SIZE, 25) == 0;
}

static void
fill(void)
{
	unsigned int *words = shm.base;

	for (size_t i = 0; i < SIZE / sizeof *words; i++)
		words[i] = (unsigned int)i * 2654435761U;
}

static void
check_content(void)
{
	const unsigned int *words = shm.base;

	for (size_t i = 0; i < SIZE / sizeof *words; i++)
		if (words[i] != (unsigned int)i * 2654435761U)
			ck_abort_msg("word %zu has changed", i);
}

START_TEST(segment_is_put_into_huge_pages_and_keeps_its_content)
{
	fill();
	start(0);
	shm_collapse(&shm, huge);
	turn_until_done();
	check_content();
	ck_assert_uint_eq(shm_huge_size(&shm), kernels_word());
	if (kernel_can())
		ck_assert_uint_eq(shm_huge_size(&shm),
				  N_PAGES * HUGE_PAGE_SIZE);
	close_huge();
}
END_TEST

START_TEST(content_may_change_meanwhile)
{
	memset(shm.base, 1, SIZE);
	start(0);
	shm_collapse(&shm, huge);
	do {
		fill();
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	} while (huge && !huge_is_done(huge));
	check_content();
	close_huge();
}
END_TEST

START_TEST(lease_is_granted_meanwhile)
{
	start(0);
	shm_collapse(&shm, huge);
	do {
		ck_assert_int_eq(shm_lease(&shm), 0);
		shm_unlease(&shm);
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	} while (huge && !huge_is_done(huge));
	ck_assert_int_eq(shm_lease(&shm), 0);
	shm_unlease(&shm);
	close_huge();
}
END_TEST

START_TEST(small_segment_and_no_huge_pages_are_left_alone)
{
	start(0);
	ck_assert_ptr_null(huge_add(NULL, shm.base, SIZE));
	ck_assert_ptr_null(huge_add(huge, shm.base, HUGE_PAGE_SIZE - 1));
	ck_assert_uint_eq(huge_segment_size(NULL), 0);
	huge_remove(NULL);
	shm_collapse(&shm, NULL);
	ck_assert_uint_eq(shm_huge_size(&shm), 0);
	close_huge();
}
END_TEST

START_TEST(page_that_is_busy_is_tried_again)
{
	uint64_t expected = kernel_can() ? N_PAGES * HUGE_PAGE_SIZE : 0;

	start(0);
	fault_arm(2, EAGAIN);
	shm_collapse(&shm, huge);
	turn_until_done();
	(void)fault_disarm();
	if (kernel_can())
		expected = N_PAGES * HUGE_PAGE_SIZE;
	ck_assert_uint_eq(shm_huge_size(&shm), expected);
	close_huge();
}
END_TEST

START_TEST(one_refused_page_is_left_out)
{
	start(0);
	fault_arm(0, EBUSY);
	shm_collapse(&shm, huge);
	turn_until_done();
	ck_assert(!huge || fault_disarm());
	if (kernel_can())
		ck_assert_uint_eq(shm_huge_size(&shm),
				  (N_PAGES - 1) * HUGE_PAGE_SIZE);
	close_huge();
}
END_TEST

START_TEST(kernel_that_cannot_is_not_asked_again)
{
	static const int errors[] = { EINVAL, ENOMEM, EFAULT };

	start(0);
	fault_arm(0, errors[_i]);
	shm_collapse(&shm, huge);
	turn_until_done();
	ck_assert(!huge || fault_disarm());
	ck_assert_uint_eq(shm_huge_size(&shm), 0);
	close_huge();
}
END_TEST

START_TEST(segment_may_be_closed_at_any_moment)
{
	start(0);
	for (int i = 0; i < 40; i++) {
		shm_collapse(&shm, huge);
		for (int n = 0; n < i % 5; n++)
			(void)uv_run(&loop, UV_RUN_NOWAIT);
		ck_assert_int_eq(shm_unlink_name(&shm), 0);
		shm_close(&shm);
		ck_assert_int_eq(shm_create(&shm, name, SIZE, 0600), 0);
	}
	turn_until_done();
	close_huge();
}
END_TEST

START_TEST(truncated_segment_does_no_harm)
{
	start(0);
	ck_assert_int_eq(ftruncate(shm.fd, 0), 0);
	shm_collapse(&shm, huge);
	turn_until_done();
	ck_assert_uint_eq(shm_huge_size(&shm), 0);
	close_huge();
}
END_TEST

START_TEST(young_segment_waits)
{
	start(HOUR_MS);
	shm_collapse(&shm, huge);
	for (int i = 0; i < 100; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert(!huge || !huge_is_done(huge));
	ck_assert_uint_eq(shm_huge_size(&shm), 0);
	close_huge();
}
END_TEST

START_TEST(young_segment_has_its_turn)
{
	start(1);
	shm_collapse(&shm, huge);
	turn_until_done();
	ck_assert_uint_eq(shm_huge_size(&shm), kernels_word());
	close_huge();
}
END_TEST

START_TEST(nothing_is_begun_after_the_close)
{
	struct shm late;

	start(0);
	shm_collapse(&shm, huge);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	close_huge();
	ck_assert_int_eq(shm_adopt(&late, name), 0);
	shm_collapse(&late, huge);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_uint_eq(shm_huge_size(&late), 0);
	shm_close(&late);
}
END_TEST

static Suite *
huge_suite(void)
{
	Suite *suite = suite_create("huge");
	TCase *pages = tcase_create("pages");

	tcase_set_timeout(pages, 60);
	tcase_add_checked_fixture(pages, setup, teardown);
	tcase_add_test(pages,
		       segment_is_put_into_huge_pages_and_keeps_its_content);
	tcase_add_test(pages, content_may_change_meanwhile);
	tcase_add_test(pages, lease_is_granted_meanwhile);
	tcase_add_test(pages, small_segment_and_no_huge_pages_are_left_alone);
	tcase_add_test(pages, page_that_is_busy_is_tried_again);
	tcase_add_test(pages, one_refused_page_is_left_out);
	tcase_add_loop_test(pages, kernel_that_cannot_is_not_asked_again, 0, 3);
	tcase_add_test(pages, segment_may_be_closed_at_any_moment);
	tcase_add_test(pages, truncated_segment_does_no_harm);
	tcase_add_test(pages, young_segment_waits);
	tcase_add_test(pages, young_segment_has_its_turn);
	tcase_add_test(pages, nothing_is_begun_after_the_close);
	suite_add_tcase(suite, pages);
	return suite;
}

UNIT_MAIN(huge_suite)
