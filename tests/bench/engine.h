/*
 * The daemon's arithmetic without the daemon: a tile of every chunk goes
 * through the kernel, as the workers do it.
 */
#ifndef TESTS_BENCH_ENGINE_H
#define TESTS_BENCH_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/core/kernel.h"
#include "tests/bench/memory.h"

#define ENGINE_TARGETS_MAX 8

struct engine {
	const struct kernel *kernel;
	enum dtype dtype; /* of the snapshot */
	const char *snapshot;
	size_t n_targets;
	bool separate; /* one pass for each target, not one for all */
	enum crew_sharing sharing;
	const char *current[ENGINE_TARGETS_MAX];
	char *next[ENGINE_TARGETS_MAX];
};

/* Average @n elements with @n_threads threads; seconds. */
double engine_run(struct engine *engine, unsigned int n_threads, size_t n);

#endif
