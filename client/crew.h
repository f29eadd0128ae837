/*
 * Threads that share the copying of one large snapshot.
 *
 * Whoever has something to copy does its part, in pieces as all others, and
 * waits only for pieces that others have begun with: a thread that gets no
 * processor holds nobody up.  Between two copies they sleep.
 */
#ifndef CLIENT_CREW_H
#define CLIENT_CREW_H

#include <stddef.h>
#include <stdint.h>

#define CREW_THREADS_MAX 16

/* A piece ends where a huge page does, hence where any page does. */
#define CREW_PIECE ((uint64_t)2 << 20)

/* Copy what lies in [from, to), and make it visible to other threads. */
typedef void crew_fn(const void *arg, uint64_t from, uint64_t to);

struct crew;

/* @n_threads with the one that calls crew_run().  SYSTEM. */
int crew_new(struct crew **ret_crew, unsigned int n_threads);

/* Ends the threads.  NULL is fine. */
void crew_free(struct crew *crew);

/* @run all of [from, to), in pieces; one call at a time. */
void crew_run(struct crew *crew, crew_fn *run, const void *arg, uint64_t from,
	      uint64_t to);

#endif
