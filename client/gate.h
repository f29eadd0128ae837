/*
 * Waiting with a deadline: a mutex and a condition, and the clock that
 * deadlines are stated in.
 */
#ifndef CLIENT_GATE_H
#define CLIENT_GATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Milliseconds of the monotonic clock; and "never". */
#define DEADLINE_NEVER INT64_MAX
int64_t clock_ms(void);

/* @timeout_ms from now; negative: never. */
int64_t deadline_after(int timeout_ms);

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
};

struct gate *gate_new(void);

/* NULL is fine. */
void gate_free(struct gate *gate);

/* With the mutex held.  False: the deadline has passed. */
bool gate_wait(struct gate *gate, int64_t deadline);

#endif
