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
#define ENGINE_MORE_MAX    7

struct engine {
	const struct kernel *kernel;
	enum dtype dtype; /* of the snapshot */
	const char *snapshot;
	/* Snapshots behind the first: absorbed in one pass, or one by one. */
	size_t n_more;
	const char *more[ENGINE_MORE_MAX];
	size_t n_targets;
	bool separate; /* one pass for each target, not one for all */
	/* Of the first target, with what is kept beside it. */
	enum accumulator accumulator;
	const char *rest;
	char *next_rest;
	enum threads_sharing sharing;
	const char *current[ENGINE_TARGETS_MAX];
	char *next[ENGINE_TARGETS_MAX];
};

/*
 * Average @n elements with @n_threads threads; seconds.  Separate snapshots
 * go to and fro between current and next.
 */
double engine_run(struct engine *engine, unsigned int n_threads, size_t n);

#endif
