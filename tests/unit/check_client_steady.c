/*
 * What a publish costs once all is warm: nothing is allocated, mapped or waited
 * for by the library's own code, and no page is touched for the first time.
 */
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "client/internal.h"
#include "tests/lib/client_stage.h"
#include "tests/unit/unit.h"

#define N_WARM     10
#define N_MEASURED 60
#define N_LARGE    ((size_t)32 << 20)
#define N_ODD      4099

/* Calls of this thread, those of libnng and the C library not counted. */
static _Thread_local unsigned int n_calls;
static _Thread_local unsigned int n_waits;

#define COUNT(counter, type, name, parameters, arguments)                      \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		(counter)++;                                                   \
		return __real_##name arguments;                                \
	}

COUNT(n_calls, void *, malloc, (size_t size), (size))
COUNT(n_calls, void *, calloc, (size_t n, size_t size), (n, size))
COUNT(n_calls, void *, realloc, (void *memory, size_t size), (memory, size))
COUNT(n_calls, char *, strdup, (const char *string), (string))
COUNT(n_calls, void *, mmap,
      (void *at, size_t size, int protection, int flags, int fd, off_t offset),
      (at, size, protection, flags, fd, offset))
COUNT(n_calls, int, pthread_create,
      (pthread_t * thread, const pthread_attr_t *attributes,
       void *(*run)(void *), void *arg),
      (thread, attributes, run, arg))
COUNT(n_waits, int, nanosleep,
      (const struct timespec *time, struct timespec *left), (time, left))
COUNT(n_waits, int, pthread_cond_wait,
      (pthread_cond_t * condition, pthread_mutex_t *mutex), (condition, mutex))
COUNT(n_waits, int, pthread_cond_timedwait,
      (pthread_cond_t * condition, pthread_mutex_t *mutex,
       const struct timespec *time),
      (condition, mutex, time))

/* A look is none. */
int __real_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms);
int
__wrap_poll(struct pollfd *fds, nfds_t n, int timeout_ms)
{
	n_waits += timeout_ms != 0;
	return __real_poll(fds, n, timeout_ms);
}

static long
count_faults(void)
{
	struct rusage usage;

	ck_assert_int_eq(getrusage(RUSAGE_THREAD, &usage), 0);
	return usage.ru_minflt + usage.ru_majflt;
}

/* Wait until the slot that comes next is free. */
static void
await_slot(void)
{
	size_t k = publisher->next_slot % publisher->n_slots;

	while (!channel_is_idle(publisher->channels[k]) &&
	       !channels_look(&publisher->channels[k], 1))
		(void)sched_yield();
}

struct cost {
	unsigned int n_calls;
	unsigned int n_waits;
	long n_faults;
};

/* Publish @n times: what that cost. */
static struct cost
measure(unsigned int n, const struct emad_tensor *what)
{
	struct cost cost = { 0 };
	static int64_t step;

	for (unsigned int i = 0; i < n; i++) {
		long n_faults;
		int status;

		await_slot();
		n_faults = count_faults();
		n_calls = 0;
		n_waits = 0;
		status = emad_publish(publisher, step++, what);
		cost.n_calls += n_calls;
		cost.n_waits += n_waits;
		cost.n_faults += count_faults() - n_faults;
		ck_assert_msg(status == EMAD_OK, "%s", emad_error());
	}
	return cost;
}

/*
 * What libnng allocates may take a new page now and then, but not in every
 * publish; what instruments a test takes some in each, yet not as many as a
 * large slot has (8192).
 */
static long
fault_limit(void)
{
	return strcmp(SANITIZER, "no") == 0 ? 1 : 100;
}

static void
check_steady(const struct emad_tensor *what, bool may_wait)
{
	struct cost cost;

	/* Attaching shows that calls are counted. */
	ck_assert_uint_gt(n_calls, 0);
	(void)measure(N_WARM, what);
	cost = measure(N_MEASURED, what);
	ck_assert_uint_eq(cost.n_calls, 0);
	if (!may_wait)
		ck_assert_uint_eq(cost.n_waits, 0);
	ck_assert_int_lt(cost.n_faults, N_MEASURED * fault_limit());
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}

START_TEST(a_publish_allocates_and_waits_for_nothing)
{
	attach();
	check_steady(tensors, false);
}
END_TEST

static struct emad_tensor large[2];

/* @n_threads copy a large tensor and a small one; the source is warm. */
static void
attach_large(unsigned int n_threads)
{
	static const uint64_t sizes[] = { N_LARGE, N_ODD };

	for (size_t i = 0; i < array_size(large); i++) {
		unsigned char *data = __real_malloc(sizes[i]);

		ck_assert_ptr_nonnull(data);
		for (size_t k = 0; k < sizes[i]; k++)
			data[k] = (unsigned char)(k * 31 >> 3 ^ i);
		large[i] = (struct emad_tensor) {
			.name = i == 0 ? "large" : "odd",
			.dtype = "U8",
			.n_dims = 1,
			.shape = &sizes[i],
			.data = data,
		};
	}
	options.n_copy_threads = n_threads;
	ck_assert_msg(emad_attach(&publisher, emad, "net", large, 2,
				  &options) == EMAD_OK,
		      "%s", emad_error());
}

static void
free_large(void)
{
	for (size_t i = 0; i < array_size(large); i++)
		free((void *)(uintptr_t)large[i].data);
}

/* With one slot no way of copying is tried, which would touch them. */
START_TEST(the_first_publish_finds_every_page_mapped)
{
	struct cost cost;

	options.n_slots = 1;
	attach_large(1);
	cost = measure(1, large);
	/* Some of code that runs for the first time. */
	ck_assert_int_lt(cost.n_faults, 400);
	free_large();
}
END_TEST

/* _i: how many threads copy; one may wait for what others have begun with. */
START_TEST(a_large_snapshot_is_steady_and_whole)
{
	attach_large((unsigned int)_i);
	check_steady(large, _i > 1);
	for (unsigned int k = 0; k < 2; k++) {
		ck_assert(memcmp(fake_slot_tensor(fake, k, "large"),
				 large[0].data, N_LARGE) == 0);
		ck_assert(memcmp(fake_slot_tensor(fake, k, "odd"),
				 large[1].data, N_ODD) == 0);
	}
	free_large();
}
END_TEST

START_TEST(large_slots_begin_where_huge_pages_do)
{
	attach_large(1);
	for (int round = 0; round < 2; round++) {
		for (size_t k = 0; k < publisher->n_slots; k++)
			ck_assert_uint_eq((uintptr_t)publisher->slots[k].file %
						  ((size_t)2 << 20),
					  0);
		fake_stop(fake);
		fake_start(fake);
		ck_assert_int_eq(emad_publish(publisher, round, large),
				 EMAD_OK);
		ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s",
			      emad_error());
		ck_assert(memcmp(fake_slot_tensor(fake, (unsigned int)round,
						  "large"),
				 large[0].data, N_LARGE) == 0);
	}
	free_large();
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client_steady");
	TCase *tcase = new_case(suite, "steady");

	tcase_add_test(tcase, a_publish_allocates_and_waits_for_nothing);
	tcase_add_test(tcase, the_first_publish_finds_every_page_mapped);
	tcase_add_loop_test(tcase, a_large_snapshot_is_steady_and_whole, 1, 5);
	tcase_add_test(tcase, large_slots_begin_where_huge_pages_do);
	return suite;
}

UNIT_MAIN(make_suite)
