/*
 * Whether other processes use the processors: what /proc/stat counts as busy
 * (other virtual machines' time included) less what this process and those it
 * watches used.
 */
#ifndef TESTS_BENCH_QUIET_H
#define TESTS_BENCH_QUIET_H

#include <stdbool.h>
#include <sys/types.h>

struct quiet {
	double when;   /* seconds */
	double others; /* seconds of processors, since the start */
};

/* Count the processor time of child @pid too as this process's; 0: none's. */
void quiet_watch(pid_t pid);

/* How long all calls of quiet_await() together may wait; else a minute. */
void quiet_set_patience(double seconds);

/* Wait, but not for ever, until nobody else is busy; the state then. */
struct quiet quiet_await(void);

/* Nobody disturbed since @before. */
bool quiet_since(const struct quiet *before);

#endif
