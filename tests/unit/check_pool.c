/*
 * The pool: every chunk once, on a worker; every job back, on the loop.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/prctl.h>

#include "daemon/io/pool.h"
#include "tests/lib/turn.h"
#include "tests/unit/unit.h"

#define N_CHUNKS_MAX 1000

static uv_loop_t loop;
static struct pool *pool;
static pthread_t loop_thread;
static bool is_closed;

/* A job that counts what became of it. */
struct counted {
	struct job job;
	_Atomic int n_runs[N_CHUNKS_MAX];
	_Atomic int n_strange_threads;
	int n_done;
	struct counted *then; /* submitted by done() */
};

static void
count_run(struct job *job, unsigned int chunk)
{
	struct counted *counted = container_of(job, struct counted, job);

	counted->n_runs[chunk]++;
	if (pthread_equal(pthread_self(), loop_thread))
		counted->n_strange_threads++;
}

static void
count_done(struct job *job)
{
	struct counted *counted = container_of(job, struct counted, job);

	ck_assert(pthread_equal(pthread_self(), loop_thread));
	counted->n_done++;
	if (counted->then)
		pool_submit(pool, &counted->then->job);
}

static struct counted *
new_counted(unsigned int n_chunks)
{
	struct counted *counted = xcalloc(1, sizeof *counted);

	counted->job = (struct job) {
		.n_chunks = n_chunks,
		.run = count_run,
		.done = count_done,
	};
	return counted;
}

static void
check_and_free(struct counted *counted)
{
	ck_assert_int_eq(counted->n_done, 1);
	ck_assert_int_eq(counted->n_strange_threads, 0);
	for (unsigned int i = 0; i < N_CHUNKS_MAX; i++)
		ck_assert_int_eq(counted->n_runs[i], i < counted->job.n_chunks);
	free(counted);
}

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
	loop_thread = pthread_self();
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

START_TEST(every_chunk_runs_once_on_a_worker)
{
	static const unsigned int n_chunks[] = { 1, 2, 3, 7, 64, N_CHUNKS_MAX };
	struct pool_options options = { .n_workers = (unsigned int)_i };

	start_pool(&options);
	ck_assert_uint_eq(pool_n_workers(pool), (unsigned int)_i);
	for (size_t i = 0; i < array_size(n_chunks); i++) {
		struct counted *counted = new_counted(n_chunks[i]);

		pool_submit(pool, &counted->job);
		turn_until(&loop, counted->n_done > 0);
		check_and_free(counted);
	}
}
END_TEST

START_TEST(job_without_chunks_comes_back_later)
{
	struct pool_options options = { .n_workers = 1 };
	struct counted *counted = new_counted(0);

	start_pool(&options);
	pool_submit(pool, &counted->job);
	ck_assert_int_eq(counted->n_done, 0);
	turn_until(&loop, counted->n_done > 0);
	check_and_free(counted);
}
END_TEST

START_TEST(many_jobs_at_once_all_come_back)
{
	struct pool_options options = { .n_workers = 3 };
	struct counted *jobs[300];
	size_t n_done = 0;

	start_pool(&options);
	for (size_t i = 0; i < array_size(jobs); i++) {
		jobs[i] = new_counted((unsigned int)i % 9);
		pool_submit(pool, &jobs[i]->job);
	}
	while (n_done < array_size(jobs)) {
		turn_until(&loop, jobs[n_done]->n_done > 0);
		n_done++;
	}
	for (size_t i = 0; i < array_size(jobs); i++)
		check_and_free(jobs[i]);
}
END_TEST

START_TEST(done_may_submit_the_next_job)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *jobs[100];

	start_pool(&options);
	for (size_t i = 0; i < array_size(jobs); i++) {
		jobs[i] = new_counted((unsigned int)i % 3);
		if (i > 0)
			jobs[i - 1]->then = jobs[i];
	}
	pool_submit(pool, &jobs[0]->job);
	turn_until(&loop, jobs[array_size(jobs) - 1]->n_done > 0);
	for (size_t i = 0; i < array_size(jobs); i++)
		check_and_free(jobs[i]);
}
END_TEST

static pthread_barrier_t barrier;

static void
meet(struct job *job, unsigned int chunk)
{
	int r = pthread_barrier_wait(&barrier);

	must(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
	count_run(job, chunk);
}

START_TEST(chunks_of_one_job_run_side_by_side)
{
	struct pool_options options = { .n_workers = 4 };
	struct counted *counted = new_counted(4);

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 4), 0);
	counted->job.run = meet;
	start_pool(&options);
	pool_submit(pool, &counted->job);
	turn_until(&loop, counted->n_done > 0);
	check_and_free(counted);
}
END_TEST

START_TEST(idle_worker_takes_the_next_jobs_chunk)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *first = new_counted(1);
	struct counted *second = new_counted(1);

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 2), 0);
	first->job.run = meet;
	second->job.run = meet;
	start_pool(&options);
	pool_submit(pool, &first->job);
	pool_submit(pool, &second->job);
	turn_until(&loop, first->n_done > 0 && second->n_done > 0);
	check_and_free(first);
	check_and_free(second);
}
END_TEST

/* A job whose chunks note who ran them. */
struct noted {
	struct job job;
	unsigned int slow; /* the chunk that lasts until the others have run */
	_Atomic unsigned int n_runs;
	char names[N_CHUNKS_MAX][16]; /* of the threads */
	bool is_done;
};

static void
end_noted(struct job *job)
{
	container_of(job, struct noted, job)->is_done = true;
}

static void
note_thread(struct noted *noted, unsigned int chunk)
{
	(void)prctl(PR_GET_NAME, noted->names[chunk]);
	noted->n_runs++;
}

/* The first chunk of each half waits until the other's has begun. */
static void
meet_and_note(struct job *job, unsigned int chunk)
{
	struct noted *noted = container_of(job, struct noted, job);

	if (chunk % (job->n_chunks / 2) == 0) {
		int r = pthread_barrier_wait(&barrier);

		must(r == 0 || r == PTHREAD_BARRIER_SERIAL_THREAD);
	}
	note_thread(noted, chunk);
}

START_TEST(worker_begins_with_the_same_part_of_every_job)
{
	struct pool_options options = { .n_workers = 2 };

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 2), 0);
	start_pool(&options);
	for (unsigned int i = 0; i < 50; i++) {
		struct noted noted = {
			.job = { .n_chunks = 2 + 2 * i,
				 meet_and_note,
				 end_noted },
		};

		pool_submit(pool, &noted.job);
		turn_until(&loop, noted.is_done);
		ck_assert_uint_eq(noted.n_runs, noted.job.n_chunks);
		ck_assert_str_eq(noted.names[0], "emad-work-0");
		ck_assert_str_eq(noted.names[noted.job.n_chunks / 2],
				 "emad-work-1");
	}
}
END_TEST

static void
outlast(struct job *job, unsigned int chunk)
{
	struct noted *noted = container_of(job, struct noted, job);

	while (chunk == noted->slow && noted->n_runs < job->n_chunks - 1)
		(void)sched_yield();
	note_thread(noted, chunk);
}

START_TEST(others_take_all_that_a_slow_worker_leaves)
{
	struct pool_options options = { .n_workers = 3 };

	start_pool(&options);
	for (unsigned int slow = 0; slow < 60; slow += 7) {
		struct noted noted = {
			.job = { .n_chunks = 60, outlast, end_noted },
			.slow = slow,
		};

		pool_submit(pool, &noted.job);
		turn_until(&loop, noted.is_done);
		ck_assert_uint_eq(noted.n_runs, 60);
	}
}
END_TEST

START_TEST(workers_that_share_one_cpu_share_the_chunks)
{
	struct pool_options options = { .n_workers = 3, .pinned = true };
	struct noted noted = {
		.job = { .n_chunks = 60, outlast, end_noted },
	};
	cpu_set_t own;
	cpu_set_t one;

	CPU_ZERO(&one);
	ck_assert_int_eq(sched_getaffinity(0, sizeof own, &own), 0);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; cpu++)
		if (CPU_ISSET(cpu, &own))
			CPU_SET(cpu, &one);
	options.cpus = &one;
	start_pool(&options);
	pool_submit(pool, &noted.job);
	turn_until(&loop, noted.is_done);
	ck_assert_uint_eq(noted.n_runs, 60);
}
END_TEST

static void
count_run_here(struct job *job, unsigned int chunk)
{
	struct counted *counted = container_of(job, struct counted, job);

	ck_assert(pthread_equal(pthread_self(), loop_thread));
	/* In order: all before it have run. */
	ck_assert(chunk == 0 || counted->n_runs[chunk - 1] == 1);
	counted->n_runs[chunk]++;
}

START_TEST(idle_pool_lets_a_job_run_on_the_loop)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *here = new_counted(5);

	start_pool(&options);
	here->job.run = count_run_here;
	ck_assert(pool_run_here_if_idle(pool, &here->job));
	ck_assert_int_eq(here->n_done, 0);
	here->n_done = 1;
	check_and_free(here);
	here = new_counted(0);
	ck_assert(pool_run_here_if_idle(pool, &here->job));
	here->n_done = 1;
	check_and_free(here);
}
END_TEST

START_TEST(busy_pool_lets_no_job_run_on_the_loop)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *first = new_counted(1);
	struct counted *second = new_counted(0);
	struct counted *here = new_counted(5);

	ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, 2), 0);
	first->job.run = meet;
	start_pool(&options);
	/* Running, as long as we do not meet it. */
	pool_submit(pool, &first->job);
	ck_assert(!pool_run_here_if_idle(pool, &here->job));
	(void)pthread_barrier_wait(&barrier);
	turn_until(&loop, first->n_done > 0);
	/* Finished, but not delivered: it must not be overtaken. */
	pool_submit(pool, &second->job);
	ck_assert(!pool_run_here_if_idle(pool, &here->job));
	turn_until(&loop, second->n_done > 0);
	check_and_free(first);
	check_and_free(second);
	for (unsigned int i = 0; i < 5; i++)
		ck_assert_int_eq(here->n_runs[i], 0);
	here->job.run = count_run_here;
	ck_assert(pool_run_here_if_idle(pool, &here->job));
	free(here);
}
END_TEST

START_TEST(close_delivers_everything_first)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *jobs[50];
	struct counted *last = new_counted(5);

	start_pool(&options);
	for (size_t i = 0; i < array_size(jobs); i++) {
		jobs[i] = new_counted(20);
		pool_submit(pool, &jobs[i]->job);
	}
	jobs[array_size(jobs) - 1]->then = last;
	close_pool();
	for (size_t i = 0; i < array_size(jobs); i++)
		check_and_free(jobs[i]);
	check_and_free(last);
	ck_assert_int_eq(uv_loop_alive(&loop), 0);
}
END_TEST

static void
close_when_done(struct job *job)
{
	count_done(job);
	pool_close(pool, on_closed, &is_closed);
}

START_TEST(done_may_close_the_pool)
{
	struct pool_options options = { .n_workers = 2 };
	struct counted *counted = new_counted(3);

	counted->job.done = close_when_done;
	start_pool(&options);
	pool_submit(pool, &counted->job);
	turn_until(&loop, is_closed);
	pool = NULL;
	check_and_free(counted);
}
END_TEST

static Suite *
pool_suite(void)
{
	Suite *suite = suite_create("pool");
	TCase *jobs = tcase_create("jobs");

	tcase_set_timeout(jobs, 60);
	tcase_add_checked_fixture(jobs, setup, teardown);
	tcase_add_loop_test(jobs, every_chunk_runs_once_on_a_worker, 1, 6);
	tcase_add_test(jobs, job_without_chunks_comes_back_later);
	tcase_add_test(jobs, many_jobs_at_once_all_come_back);
	tcase_add_test(jobs, done_may_submit_the_next_job);
	tcase_add_test(jobs, chunks_of_one_job_run_side_by_side);
	tcase_add_test(jobs, idle_worker_takes_the_next_jobs_chunk);
	tcase_add_test(jobs, worker_begins_with_the_same_part_of_every_job);
	tcase_add_test(jobs, others_take_all_that_a_slow_worker_leaves);
	tcase_add_test(jobs, workers_that_share_one_cpu_share_the_chunks);
	tcase_add_test(jobs, idle_pool_lets_a_job_run_on_the_loop);
	tcase_add_test(jobs, busy_pool_lets_no_job_run_on_the_loop);
	tcase_add_test(jobs, close_delivers_everything_first);
	tcase_add_test(jobs, done_may_close_the_pool);
	suite_add_tcase(suite, jobs);
	return suite;
}

UNIT_MAIN(pool_suite)
