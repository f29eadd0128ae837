#include "daemon/io/pool.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "daemon/io/parts.h"

struct worker {
	struct pool *pool;
	unsigned int index;
	int cpu; /* -1: bound to none */
	pthread_t thread;
};

struct pool {
	/* The loop thread's. */
	uv_async_t wakeup;
	unsigned int n_undelivered;
	bool is_closing;
	void (*closed)(void *arg);
	void *closed_arg;

	/* Fixed before the workers start. */
	int nice;
	unsigned int n_workers;
	struct worker *workers;

	/* Everybody's, under the lock; done() and run() are called without. */
	pthread_mutex_t lock;
	pthread_cond_t has_work;
	pthread_cond_t has_started;
	struct list queued;   /* jobs that may have chunks that nobody took */
	struct list finished; /* jobs to deliver */
	unsigned int n_idle;
	unsigned int n_started;
	int start_error;
	bool is_ending;
};

static void
lock(struct pool *pool)
{
	must(pthread_mutex_lock(&pool->lock) == 0);
}

static void
unlock(struct pool *pool)
{
	must(pthread_mutex_unlock(&pool->lock) == 0);
}

/* Until all chunks are taken: its own part, then the next workers'. */
static void
run_chunks(const struct worker *worker, struct job *job)
{
	unsigned int n_workers = worker->pool->n_workers;
	unsigned int chunk;

	while (part_take_first(&job->parts[worker->index], &chunk))
		job->run(job, chunk);
	for (unsigned int i = 1; i < n_workers; i++) {
		unsigned int other = (worker->index + i) % n_workers;

		while (part_take_last(&job->parts[other], &chunk))
			job->run(job, chunk);
	}
}

/* Under the lock.  NULL: the pool ends, and nothing is queued. */
static struct job *
enter_job(struct pool *pool)
{
	struct job *job;

	while (list_is_empty(&pool->queued)) {
		if (pool->is_ending)
			return NULL;
		pool->n_idle++;
		must(pthread_cond_wait(&pool->has_work, &pool->lock) == 0);
		pool->n_idle--;
	}
	job = list_first(&pool->queued, struct job, entry);
	job->n_inside++;
	return job;
}

/*
 * Under the lock, after all chunks were taken.  Whoever took one is inside, so
 * the last to leave ends the job, which may be gone when the lock is let go.
 */
static void
leave_job(struct pool *pool, struct job *job)
{
	list_remove(&job->entry);
	job->n_inside--;
	if (job->n_inside > 0)
		return;
	list_append(&pool->finished, &job->entry);
	must(uv_async_send(&pool->wakeup) == 0);
}

static int
prepare_thread(const struct worker *worker)
{
	char name[16];

	(void)snprintf(name, sizeof name, "emad-work-%u", worker->index);
	(void)prctl(PR_SET_NAME, name);
	/* On Linux 0 is the calling thread, not the process. */
	if (worker->pool->nice != 0 &&
	    setpriority(PRIO_PROCESS, 0, worker->pool->nice) < 0)
		return -errno;
	return 0;
}

static void *
work(void *arg)
{
	const struct worker *worker = arg;
	struct pool *pool = worker->pool;
	struct job *job;
	int r;

	r = prepare_thread(worker);
	lock(pool);
	if (r < 0)
		pool->start_error = r;
	pool->n_started++;
	must(pthread_cond_signal(&pool->has_started) == 0);
	while ((job = enter_job(pool)) != NULL) {
		unlock(pool);
		run_chunks(worker, job);
		lock(pool);
		leave_job(pool, job);
	}
	unlock(pool);
	return NULL;
}

/* The @n-th CPU of @cpus alone, counting round and round. */
static int
choose_cpu(cpu_set_t *ret_cpus, const cpu_set_t *cpus, unsigned int n)
{
	int cpu = -1;

	n = n % (unsigned int)CPU_COUNT(cpus) + 1;
	while (n > 0)
		n -= CPU_ISSET((size_t)++cpu, cpus) != 0;
	CPU_ZERO(ret_cpus);
	CPU_SET((size_t)cpu, ret_cpus);
	return cpu;
}

/* Signals are the loop thread's, but for those that a thread's own acts are. */
static void
block_signals(sigset_t *ret_before)
{
	static const int own[] = { SIGABRT, SIGBUS,  SIGFPE, SIGILL,
				   SIGSEGV, SIGTRAP, SIGSYS };
	sigset_t set;

	(void)sigfillset(&set);
	for (size_t i = 0; i < array_size(own); i++)
		(void)sigdelset(&set, own[i]);
	must(pthread_sigmask(SIG_SETMASK, &set, ret_before) == 0);
}

static int
start_worker(struct worker *worker, const cpu_set_t *cpus)
{
	pthread_attr_t attributes;
	sigset_t before;
	int error = 0;

	must(pthread_attr_init(&attributes) == 0);
	if (cpus)
		error = pthread_attr_setaffinity_np(&attributes, sizeof *cpus,
						    cpus);
	if (error == 0) {
		block_signals(&before);
		error = pthread_create(&worker->thread, &attributes, work,
				       worker);
		must(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	}
	must(pthread_attr_destroy(&attributes) == 0);
	return -error;
}

static void
end_workers(struct pool *pool)
{
	lock(pool);
	pool->is_ending = true;
	must(pthread_cond_broadcast(&pool->has_work) == 0);
	unlock(pool);
	for (unsigned int i = 0; i < pool->n_workers; i++)
		must(pthread_join(pool->workers[i].thread, NULL) == 0);
}

static void
free_pool(struct pool *pool)
{
	must(pthread_cond_destroy(&pool->has_started) == 0);
	must(pthread_cond_destroy(&pool->has_work) == 0);
	must(pthread_mutex_destroy(&pool->lock) == 0);
	free(pool->workers);
	free(pool);
}

/* On failure n_workers says how many there are to end. */
static int
start_workers(struct pool *pool, unsigned int n_workers, const cpu_set_t *cpus,
	      bool pinned)
{
	cpu_set_t one;
	int r = 0;

	pool->workers = xcalloc(n_workers, sizeof *pool->workers);
	while (r == 0 && pool->n_workers < n_workers) {
		struct worker *worker = &pool->workers[pool->n_workers];

		worker->pool = pool;
		worker->index = pool->n_workers;
		worker->cpu =
			pinned ? choose_cpu(&one, cpus, worker->index) : -1;
		r = start_worker(worker, pinned ? &one : cpus);
		if (r == 0)
			pool->n_workers++;
	}
	lock(pool);
	while (pool->n_started < pool->n_workers)
		must(pthread_cond_wait(&pool->has_started, &pool->lock) == 0);
	if (r == 0)
		r = pool->start_error;
	unlock(pool);
	return r;
}

/* Take all of the finished, so that a done() that submits ends in time. */
static void
take_finished(struct pool *pool, struct list *ret_jobs)
{
	list_init(ret_jobs);
	lock(pool);
	while (!list_is_empty(&pool->finished)) {
		struct list *entry = pool->finished.next;

		list_remove(entry);
		list_append(ret_jobs, entry);
	}
	unlock(pool);
}

static void
on_handle_closed(uv_handle_t *handle)
{
	struct pool *pool = container_of(handle, struct pool, wakeup);
	void (*closed)(void *arg) = pool->closed;
	void *arg = pool->closed_arg;

	free_pool(pool);
	closed(arg);
}

static void
on_wakeup(uv_async_t *wakeup)
{
	struct pool *pool = container_of(wakeup, struct pool, wakeup);
	struct list jobs;

	take_finished(pool, &jobs);
	while (!list_is_empty(&jobs)) {
		struct job *job = list_first(&jobs, struct job, entry);

		list_remove(&job->entry);
		pool->n_undelivered--;
		free(take_pointer(&job->parts));
		job->done(job);
	}
	if (!pool->is_closing || pool->n_undelivered > 0)
		return;
	end_workers(pool);
	uv_close((uv_handle_t *)wakeup, on_handle_closed);
}

int
pool_new(struct pool **ret_pool, uv_loop_t *loop,
	 const struct pool_options *options)
{
	const cpu_set_t *cpus = options->cpus;
	unsigned int n_workers = options->n_workers;
	struct pool *pool;
	cpu_set_t own;
	int r;

	if (sched_getaffinity(0, sizeof own, &own) < 0)
		return -errno;
	cpus = cpus ? cpus : &own;
	if (CPU_COUNT(cpus) == 0)
		return -EINVAL;
	if (n_workers == 0)
		n_workers = (unsigned int)CPU_COUNT(cpus);

	pool = xcalloc(1, sizeof *pool);
	pool->nice = options->nice;
	list_init(&pool->queued);
	list_init(&pool->finished);
	must(pthread_mutex_init(&pool->lock, NULL) == 0);
	must(pthread_cond_init(&pool->has_work, NULL) == 0);
	must(pthread_cond_init(&pool->has_started, NULL) == 0);
	r = start_workers(pool, n_workers, cpus, options->pinned);
	/* Last, because it alone cannot be undone on the spot. */
	if (r == 0)
		r = uv_async_init(loop, &pool->wakeup, on_wakeup);
	if (r < 0) {
		end_workers(pool);
		free_pool(pool);
		return r;
	}
	*ret_pool = pool;
	return 0;
}

unsigned int
pool_n_workers(const struct pool *pool)
{
	return pool->n_workers;
}

int
pool_worker_cpu(const struct pool *pool, unsigned int index)
{
	must(index < pool->n_workers);
	return pool->workers[index].cpu;
}

void
pool_submit(struct pool *pool, struct job *job)
{
	unsigned int n_wanted;

	pool->n_undelivered++;
	job->n_inside = 0;
	job->parts = NULL;
	if (job->n_chunks > 0)
		job->parts = parts_new(pool->n_workers, job->n_chunks);
	lock(pool);
	if (job->n_chunks == 0) {
		list_append(&pool->finished, &job->entry);
		must(uv_async_send(&pool->wakeup) == 0);
		unlock(pool);
		return;
	}
	list_append(&pool->queued, &job->entry);
	n_wanted = job->n_chunks < pool->n_idle ? job->n_chunks : pool->n_idle;
	for (unsigned int i = 0; i < n_wanted; i++)
		must(pthread_cond_signal(&pool->has_work) == 0);
	unlock(pool);
}

bool
pool_run_here_if_idle(struct pool *pool, struct job *job)
{
	if (pool->n_undelivered > 0)
		return false;
	for (unsigned int i = 0; i < job->n_chunks; i++)
		job->run(job, i);
	return true;
}

void
pool_close(struct pool *pool, void (*closed)(void *arg), void *arg)
{
	must(!pool->is_closing);
	pool->is_closing = true;
	pool->closed = closed;
	pool->closed_arg = arg;
	must(uv_async_send(&pool->wakeup) == 0);
}
