#include "client/gate.h"

#include <time.h>

#include "proto/util.h"

int64_t
clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
deadline_after(int timeout_ms)
{
	return timeout_ms < 0 ? DEADLINE_NEVER : clock_ms() + timeout_ms;
}

struct gate *
gate_new(void)
{
	struct gate *gate = xcalloc(1, sizeof *gate);
	pthread_condattr_t attributes;

	must(pthread_mutex_init(&gate->mutex, NULL) == 0);
	must(pthread_condattr_init(&attributes) == 0);
	must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&gate->changed, &attributes) == 0);
	(void)pthread_condattr_destroy(&attributes);
	return gate;
}

void
gate_free(struct gate *gate)
{
	if (!gate)
		return;
	(void)pthread_cond_destroy(&gate->changed);
	(void)pthread_mutex_destroy(&gate->mutex);
	free(gate);
}

bool
gate_wait(struct gate *gate, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000),
		.tv_nsec = (long)(deadline % 1000) * 1000000,
	};

	if (deadline == DEADLINE_NEVER) {
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
		return true;
	}
	return pthread_cond_timedwait(&gate->changed, &gate->mutex, &until) ==
	       0;
}
