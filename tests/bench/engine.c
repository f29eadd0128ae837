#include "tests/bench/engine.h"

#include "tests/bench/memory.h"
#include "tests/lib/story.h"

#define WEIGHT 0.001

static void
run_tile(const struct engine *engine, size_t first_target, size_t n_targets,
	 size_t at, size_t n)
{
	static const double weight = WEIGHT;
	const void *snapshot =
		engine->snapshot + at * dtype_bits(engine->dtype) / 8;
	struct kernel_target targets[ENGINE_TARGETS_MAX];
	struct kernel_tile tile = {
		.dtype = engine->dtype,
		.n_elements = n,
		.n_snapshots = 1,
		.snapshots = &snapshot,
		.n_targets = n_targets,
		.targets = targets,
		.check = true,
		.stream = true,
	};

	for (size_t i = 0; i < n_targets; i++)
		targets[i] = (struct kernel_target) {
			.operation = KERNEL_LERP,
			.weights = &weight,
			.current = engine->current[first_target + i] +
				   at * sizeof(float),
			.next = engine->next[first_target + i] +
				at * sizeof(float),
		};
	insist(engine->kernel->run(&tile));
	engine->kernel->finish();
}

static void
run_range(const struct engine *engine, size_t first_target, size_t n_targets,
	  size_t begin, size_t end)
{
	for (size_t at = begin; at < end; at += CREW_UNIT)
		run_tile(engine, first_target, n_targets, at,
			 end - at < CREW_UNIT ? end - at : CREW_UNIT);
}

static void
work(void *arg, size_t begin, size_t end)
{
	const struct engine *engine = arg;

	if (!engine->separate) {
		run_range(engine, 0, engine->n_targets, begin, end);
		return;
	}
	for (size_t i = 0; i < engine->n_targets; i++)
		run_range(engine, i, 1, begin, end);
}

double
engine_run(struct engine *engine, unsigned int n_threads, size_t n)
{
	return crew_run(n_threads, work, engine, n);
}
