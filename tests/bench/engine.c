#include "tests/bench/engine.h"

#include "tests/bench/memory.h"
#include "tests/lib/story.h"

#define WEIGHT 0.001

/* Which part of an engine's work. */
struct portion {
	size_t first_target;
	size_t n_targets;
	size_t first_snapshot;
	size_t n_snapshots;
	bool is_back; /* from next to current */
};

static const char *
snapshot_at(const struct engine *engine, size_t i, size_t at)
{
	const char *snapshot = i == 0 ? engine->snapshot : engine->more[i - 1];

	return snapshot + at * dtype_bits(engine->dtype) / 8;
}

static void
run_tile(const struct engine *engine, const struct portion *portion, size_t at,
	 size_t n)
{
	struct kernel_target targets[ENGINE_TARGETS_MAX];
	const void *snapshots[1 + ENGINE_MORE_MAX];
	double weights[1 + ENGINE_MORE_MAX];
	double distances[ENGINE_TARGETS_MAX], norm;
	struct kernel_tile tile = {
		.dtype = engine->dtype,
		.n_elements = n,
		.n_snapshots = portion->n_snapshots,
		.snapshots = snapshots,
		.n_targets = portion->n_targets,
		.targets = targets,
		.check = true,
		.stream = true,
		.norm = &norm,
	};

	for (size_t i = 0; i < portion->n_snapshots; i++) {
		snapshots[i] =
			snapshot_at(engine, portion->first_snapshot + i, at);
		weights[i] = WEIGHT;
	}
	for (size_t i = 0; i < portion->n_targets; i++) {
		size_t k = portion->first_target + i;
		const char *from =
			portion->is_back ? engine->next[k] : engine->current[k];
		const char *to =
			portion->is_back ? engine->current[k] : engine->next[k];

		targets[i] = (struct kernel_target) {
			.operation = KERNEL_LERP,
			.weights = weights,
			.current = from + at * sizeof(float),
			.next = (char *)(uintptr_t)to + at * sizeof(float),
			.distance = &distances[i],
		};
	}
	if (engine->accumulator != ACCUMULATOR_FLOAT32) {
		uint64_t rest_at = accumulator_rest_size(engine->accumulator,
							 at * sizeof(float));

		targets[0].accumulator = engine->accumulator;
		targets[0].rest = engine->rest + rest_at;
		targets[0].next_rest = engine->next_rest + rest_at;
	}
	insist(engine->kernel->run(&tile));
}

static void
run_range(const struct engine *engine, const struct portion *portion,
	  size_t begin, size_t end)
{
	for (size_t at = begin; at < end; at += THREADS_UNIT)
		run_tile(engine, portion, at,
			 end - at < THREADS_UNIT ? end - at : THREADS_UNIT);
	engine->kernel->finish();
}

static void
work(void *arg, size_t begin, size_t end)
{
	const struct engine *engine = arg;
	struct portion portion = {
		.n_targets = engine->n_targets,
		.n_snapshots = 1 + engine->n_more,
	};

	if (!engine->separate) {
		run_range(engine, &portion, begin, end);
		return;
	}
	portion.n_targets = portion.n_snapshots = 1;
	for (size_t i = 0; i < engine->n_targets; i++) {
		portion.first_target = i;
		portion.is_back = false;
		for (size_t j = 0; j <= engine->n_more; j++) {
			portion.first_snapshot = j;
			run_range(engine, &portion, begin, end);
			portion.is_back = !portion.is_back;
		}
	}
}

double
engine_run(struct engine *engine, unsigned int n_threads, size_t n)
{
	return threads_run(n_threads, engine->sharing, work, engine, n);
}
