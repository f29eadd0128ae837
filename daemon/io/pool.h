/*
 * Worker threads for arithmetic.
 *
 * A job is cut into chunks; workers run them and the job comes back, finished,
 * on the loop thread.  In between it belongs to the pool and nobody else may
 * touch it.  Several jobs are worked on in the order of their submission; a
 * worker without a chunk of the first takes the next's.
 *
 * Of n workers the i-th begins with the i-th n-th of the chunks, in order, so
 * that it meets the same memory in every job alike; when it is through, it
 * takes chunks from the ends of the others' parts.  So all end together, also
 * if one of them is slow or busy elsewhere.
 *
 * libuv's own pool is left to what may block on a disk.
 */
#ifndef DAEMON_IO_POOL_H
#define DAEMON_IO_POOL_H

#include <sched.h>
#include <stdatomic.h>
#include <uv.h>

#include "daemon/list.h"

struct pool;
struct part;

/* Embed this in your own struct and find it again with container_of(). */
struct job {
	/* Set by the submitter; n_chunks may be 0. */
	unsigned int n_chunks;
	void (*run)(struct job *job, unsigned int chunk); /* on a worker */
	void (*done)(struct job *job);                    /* on the loop */
	/* The pool's. */
	struct list entry;
	struct part *parts;    /* one per worker */
	unsigned int n_inside; /* workers that may run a chunk */
};

struct pool_options {
	unsigned int n_workers; /* 0: one per CPU in @cpus */
	const cpu_set_t *cpus;  /* NULL: those the process may use */
	bool pinned;            /* worker i on the i-th of the CPUs */
	int nice;
};

/* Return: 0, or a negative errno; @ret_pool is written on success only. */
int pool_new(struct pool **ret_pool, uv_loop_t *loop,
	     const struct pool_options *options);
unsigned int pool_n_workers(const struct pool *pool);

/* The CPU that worker @index is bound to; -1: it is bound to none. */
int pool_worker_cpu(const struct pool *pool, unsigned int index);

/* Loop thread only.  Never fails, never blocks. */
void pool_submit(struct pool *pool, struct job *job);

/*
 * Loop thread only.  If every submitted job has been delivered: run all chunks
 * of @job here and now, in order, and return true; done() is not called.  Else
 * do nothing.  For jobs so small that waking a worker and being woken by it
 * would cost more than they do.
 */
bool pool_run_here_if_idle(struct pool *pool, struct job *job);

/*
 * Finish every submitted job, deliver it, then end the workers.  The caller
 * runs the loop until @closed is called; the pool is gone after that.
 */
void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg);

#endif
