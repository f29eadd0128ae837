/*
 * The pool's workers: how many, what they are called, and where they run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "daemon/io/pool.h"
#include "tests/lib/turn.h"
#include "tests/unit/unit.h"

#define NOBODY 65534

static uv_loop_t loop;
static struct pool *pool;
static bool is_closed;

static void
on_closed(void *arg)
{
	bool *closed = arg;

	*closed = true;
}

static void
start_pool(const struct pool_options *options)
{
	ck_assert_int_eq(pool_new(&pool, &loop, options), 0);
}

static void
close_pool(void)
{
	pool_close(pool, on_closed, &is_closed);
	ck_assert(!is_closed);
	turn_until(&loop, is_closed);
	pool = NULL;
}

static void
setup(void)
{
	is_closed = false;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static void
teardown(void)
{
	if (pool)
		close_pool();
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* Whether a thread of this process is a worker; sanitizers have others. */
static bool
has_workers(void)
{
	DIR *directory = opendir("/proc/self/task");
	struct dirent *entry;
	bool found = false;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory))) {
		char path[300];
		char name[16] = "";
		owned_fd fd = -1;

		(void)snprintf(path, sizeof path, "/proc/self/task/%s/comm",
			       entry->d_name);
		fd = open(path, O_RDONLY);
		if (fd >= 0 && read(fd, name, sizeof name - 1) > 0)
			found = found || strncmp(name, "emad-work", 9) == 0;
	}
	ck_assert_int_eq(closedir(directory), 0);
	return found;
}

/* A thread that was joined may be in /proc for a moment more. */
static void
wait_for_no_workers(void)
{
	uint64_t deadline = uv_hrtime() + TURN_DEADLINE_NS;

	while (has_workers())
		ck_assert_uint_lt(uv_hrtime(), deadline);
}

/* What a worker sees of itself; one worker alone, so without a lock. */
struct view {
	struct job job;
	sigset_t blocked;
	char name[16];
	int nice;
	cpu_set_t cpus;
	bool is_done;
};

static void
look(struct job *job, unsigned int chunk)
{
	struct view *view = container_of(job, struct view, job);

	(void)chunk;
	(void)pthread_sigmask(SIG_SETMASK, NULL, &view->blocked);
	(void)prctl(PR_GET_NAME, view->name);
	view->nice = getpriority(PRIO_PROCESS, 0);
	(void)sched_getaffinity(0, sizeof view->cpus, &view->cpus);
}

static void
end_look(struct job *job)
{
	container_of(job, struct view, job)->is_done = true;
}

static struct view
view_worker(const struct pool_options *options)
{
	struct view view = { .job = { .n_chunks = 1, look, end_look } };

	start_pool(options);
	pool_submit(pool, &view.job);
	turn_until(&loop, view.is_done);
	return view;
}

START_TEST(worker_has_a_name_a_nice_value_and_no_signals)
{
	struct pool_options options = { .n_workers = 1, .nice = 7 };
	struct view view = view_worker(&options);

	ck_assert_str_eq(view.name, "emad-work-0");
	ck_assert_int_eq(view.nice, 7);
	ck_assert_int_eq(getpriority(PRIO_PROCESS, 0), 0);
	ck_assert(sigismember(&view.blocked, SIGTERM));
	ck_assert(sigismember(&view.blocked, SIGIO));
	ck_assert(!sigismember(&view.blocked, SIGBUS));
	ck_assert(!sigismember(&view.blocked, SIGSEGV));
}
END_TEST

/* The last of the CPUs that this process may use. */
static cpu_set_t
last_cpu(void)
{
	cpu_set_t own;
	cpu_set_t last;

	CPU_ZERO(&last);
	ck_assert_int_eq(sched_getaffinity(0, sizeof own, &own), 0);
	for (size_t cpu = CPU_SETSIZE; cpu-- > 0;)
		if (CPU_ISSET(cpu, &own) && CPU_COUNT(&last) == 0)
			CPU_SET(cpu, &last);
	return last;
}

START_TEST(worker_stays_on_the_cpus_it_is_given)
{
	cpu_set_t cpus = last_cpu();
	struct pool_options options = {
		.cpus = &cpus,
		.pinned = _i == 1,
	};
	struct view view = view_worker(&options);

	ck_assert_uint_eq(pool_n_workers(pool), 1);
	ck_assert(CPU_EQUAL(&view.cpus, &cpus));
	if (options.pinned)
		ck_assert(CPU_ISSET((size_t)pool_worker_cpu(pool, 0), &cpus));
	else
		ck_assert_int_eq(pool_worker_cpu(pool, 0), -1);
}
END_TEST

START_TEST(more_pinned_workers_than_cpus_share_them)
{
	cpu_set_t cpus = last_cpu();
	struct pool_options options = {
		.n_workers = 3,
		.cpus = &cpus,
		.pinned = true,
	};
	struct view view = view_worker(&options);

	ck_assert_uint_eq(pool_n_workers(pool), 3);
	ck_assert(CPU_EQUAL(&view.cpus, &cpus));
}
END_TEST

START_TEST(there_is_one_worker_per_cpu_unless_said_otherwise)
{
	struct pool_options options = { 0 };
	cpu_set_t own;

	ck_assert_int_eq(sched_getaffinity(0, sizeof own, &own), 0);
	start_pool(&options);
	ck_assert(has_workers());
	ck_assert_int_eq((int)pool_n_workers(pool), CPU_COUNT(&own));
}
END_TEST

START_TEST(cpu_that_is_not_there_is_an_error)
{
	struct pool_options options = { .pinned = true };
	cpu_set_t cpus = last_cpu();

	options.cpus = &cpus;
	CPU_SET(CPU_SETSIZE - 1, &cpus);
	ck_assert_int_eq(pool_new(&pool, &loop, &options), -EINVAL);
	CPU_ZERO(&cpus);
	ck_assert_int_eq(pool_new(&pool, &loop, &options), -EINVAL);
	ck_assert_ptr_null(pool);
	wait_for_no_workers();
}
END_TEST

START_TEST(nice_value_that_is_not_allowed_is_an_error)
{
	struct pool_options options = { .n_workers = 2, .nice = -5 };
	const struct rlimit none = { 0 };

	ck_assert_int_eq(setrlimit(RLIMIT_NICE, &none), 0);
	if (geteuid() == 0)
		ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
	ck_assert_int_eq(pool_new(&pool, &loop, &options), -EACCES);
	ck_assert_ptr_null(pool);
	wait_for_no_workers();
}
END_TEST

static Suite *
pool_workers_suite(void)
{
	Suite *suite = suite_create("pool_workers");
	TCase *workers = tcase_create("workers");

	tcase_add_checked_fixture(workers, setup, teardown);
	tcase_add_test(workers, worker_has_a_name_a_nice_value_and_no_signals);
	tcase_add_loop_test(workers, worker_stays_on_the_cpus_it_is_given, 0,
			    2);
	tcase_add_test(workers, more_pinned_workers_than_cpus_share_them);
	tcase_add_test(workers,
		       there_is_one_worker_per_cpu_unless_said_otherwise);
	tcase_add_test(workers, cpu_that_is_not_there_is_an_error);
	tcase_add_test(workers, nice_value_that_is_not_allowed_is_an_error);
	suite_add_tcase(suite, workers);
	return suite;
}

UNIT_MAIN(pool_workers_suite)
