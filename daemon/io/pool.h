/*
 * Worker threads for arithmetic.
 *
 * A job is cut into chunks; workers take them one after another and the job
 * comes back, finished, on the loop thread.  In between it belongs to the pool
 * and nobody else may touch it.  Several jobs are worked on in the order of
 * their submission; a worker without a chunk of the first takes the next's.
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

/* Embed this in your own struct and find it again with container_of(). */
struct job {
	/* Set by the submitter; n_chunks may be 0. */
	unsigned int n_chunks;
	void (*run)(struct job *job, unsigned int chunk); /* on a worker */
	void (*done)(struct job *job);                    /* on the loop */
	/* The pool's. */
	struct list entry;
	unsigned int next_chunk;
	unsigned int n_unfinished;
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

/* Loop thread only.  Never fails, never blocks. */
void pool_submit(struct pool *pool, struct job *job);

/*
 * Finish every submitted job, deliver it, then end the workers.  The caller
 * runs the loop until @closed is called; the pool is gone after that.
 */
void pool_close(struct pool *pool, void (*closed)(void *arg), void *arg);

#endif
