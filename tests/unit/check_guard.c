/*
 * The guard: memory that goes away costs the job, not the process.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "daemon/io/guard.h"
#include "daemon/io/shm.h"
#include "tests/unit/unit.h"

#define N_THREADS 4
#define N_ROUNDS  200

static struct shm shm;
static char name[FILE_NAME_SIZE];

static void
setup(void)
{
	ck_assert_int_eq(guard_install(), 0);
	(void)snprintf(name, sizeof name, "check-guard-%d", (int)getpid());
	ck_assert_int_eq(shm_create(&shm, name, 64 * 1024, 0600), 0);
	/* Nothing of it is to stay behind when a test ends in a signal. */
	ck_assert_int_eq(shm_unlink_name(&shm), 0);
}

static void
teardown(void)
{
	shm_close(&shm);
}

static void
truncate_shm(void)
{
	ck_assert_int_eq(ftruncate(shm.fd, 4096), 0);
}

/* A thread's own part: threads that share memory are another matter. */
struct part {
	char *bytes;
	size_t size;
	int sum;
	int n_faults;
};

static struct part
part_of_shm(size_t i, size_t n)
{
	size_t size = shm.size / n;

	return (struct part) {
		.bytes = (char *)shm.base + i * size,
		.size = size,
	};
}

static void
touch_read(void *arg)
{
	struct part *part = arg;
	volatile const char *bytes = part->bytes;

	for (size_t i = 0; i < part->size; i += 4096)
		part->sum += bytes[i];
}

static void
touch_write(void *arg)
{
	const struct part *part = arg;

	memset(part->bytes, 1, part->size);
}

START_TEST(whole_memory_passes)
{
	struct part all = part_of_shm(0, 1);

	ck_assert_int_eq(guard_run(touch_write, &all), 0);
	ck_assert_int_eq(guard_run(touch_read, &all), 0);
	ck_assert_int_eq(all.sum, 16);
}
END_TEST

START_TEST(reading_truncated_memory_is_an_error)
{
	struct part all = part_of_shm(0, 1);

	truncate_shm();
	ck_assert_int_eq(guard_run(touch_read, &all), -EFAULT);
}
END_TEST

START_TEST(writing_truncated_memory_is_an_error)
{
	struct part all = part_of_shm(0, 1);

	truncate_shm();
	ck_assert_int_eq(guard_run(touch_write, &all), -EFAULT);
	ck_assert_int_eq(*(const char *)shm.base, 1);
}
END_TEST

START_TEST(guard_serves_again_after_a_fault)
{
	struct part all = part_of_shm(0, 1);

	for (int i = 0; i < N_ROUNDS; i++) {
		truncate_shm();
		ck_assert_int_eq(guard_run(touch_write, &all), -EFAULT);
		ck_assert_int_eq(ftruncate(shm.fd, (off_t)shm.size), 0);
		ck_assert_int_eq(guard_run(touch_write, &all), 0);
	}
}
END_TEST

START_TEST(fault_leaves_the_signal_mask_as_it_was)
{
	struct part all = part_of_shm(0, 1);
	sigset_t before;
	sigset_t after;

	(void)sigemptyset(&before);
	(void)sigaddset(&before, SIGUSR1);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
	truncate_shm();
	ck_assert_int_eq(guard_run(touch_write, &all), -EFAULT);
	ck_assert_int_eq(pthread_sigmask(SIG_SETMASK, NULL, &after), 0);
	for (int number = 1; number < SIGRTMIN; number++)
		ck_assert_int_eq(sigismember(&after, number),
				 number == SIGUSR1);
}
END_TEST

static void *
fault_often(void *arg)
{
	struct part *part = arg;

	for (int i = 0; i < N_ROUNDS; i++) {
		part->n_faults += guard_run(touch_read, part) == -EFAULT;
		part->n_faults += guard_run(touch_write, part) == -EFAULT;
	}
	return NULL;
}

START_TEST(threads_fault_without_minding_each_other)
{
	pthread_t threads[N_THREADS];
	struct part parts[N_THREADS];

	ck_assert_int_eq(ftruncate(shm.fd, 0), 0);
	for (size_t i = 0; i < N_THREADS; i++) {
		parts[i] = part_of_shm(i, N_THREADS);
		ck_assert_int_eq(pthread_create(&threads[i], NULL, fault_often,
						&parts[i]),
				 0);
	}
	for (int i = 0; i < N_THREADS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
		ck_assert_int_eq(parts[i].n_faults, 2 * N_ROUNDS);
	}
}
END_TEST

START_TEST(fault_outside_of_a_guard_kills)
{
	struct part all = part_of_shm(0, 1);

	truncate_shm();
	touch_write(&all);
}
END_TEST

START_TEST(fault_after_a_guard_kills)
{
	struct part all = part_of_shm(0, 1);

	truncate_shm();
	ck_assert_int_eq(guard_run(touch_write, &all), -EFAULT);
	touch_write(&all);
}
END_TEST

static void
touch_kill(void *arg)
{
	(void)arg;
	(void)kill(getpid(), SIGBUS);
}

START_TEST(signal_that_somebody_sends_kills_also_inside_of_a_guard)
{
	(void)guard_run(touch_kill, NULL);
}
END_TEST

static void
touch_nested(void *arg)
{
	(void)guard_run(touch_write, arg);
}

START_TEST(guard_inside_of_a_guard_is_a_bug)
{
	struct part all = part_of_shm(0, 1);

	(void)guard_run(touch_nested, &all);
}
END_TEST

static Suite *
guard_suite(void)
{
	Suite *suite = suite_create("guard");
	TCase *guard = tcase_create("guard");

	tcase_add_checked_fixture(guard, setup, teardown);
	tcase_add_test(guard, whole_memory_passes);
	tcase_add_test(guard, reading_truncated_memory_is_an_error);
	tcase_add_test(guard, writing_truncated_memory_is_an_error);
	tcase_add_test(guard, guard_serves_again_after_a_fault);
	tcase_add_test(guard, fault_leaves_the_signal_mask_as_it_was);
	tcase_add_test(guard, threads_fault_without_minding_each_other);
	tcase_add_test_raise_signal(guard, fault_outside_of_a_guard_kills,
				    SIGBUS);
	tcase_add_test_raise_signal(guard, fault_after_a_guard_kills, SIGBUS);
	tcase_add_test_raise_signal(
		guard, signal_that_somebody_sends_kills_also_inside_of_a_guard,
		SIGBUS);
	tcase_add_test_raise_signal(guard, guard_inside_of_a_guard_is_a_bug,
				    SIGABRT);
	suite_add_tcase(suite, guard);
	return suite;
}

UNIT_MAIN(guard_suite)
