/*
 * What one pass can do at once: many averages of one snapshot, many queued
 * snapshots of one average; and what accumulators cost that are more precise
 * than float32.
 *
 * "Separate" passes go over all of the arrays one after another, with the same
 * kernel.  The plain loop averages in place, once for each average.
 */
#include <stdio.h>
#include <string.h>

#include "tests/bench/bench.h"
#include "tests/bench/engine.h"
#include "tests/bench/loops.h"
#include "tests/bench/memory.h"
#include "tests/lib/story.h"

#define THREADS_MAX 2
#define N_ARRAYS    (1 + 2 * ENGINE_TARGETS_MAX)
#define N_COUNTS    3

static const size_t counts[N_COUNTS] = { 2, 4, 8 };
static const double profile_goals[N_COUNTS] = { 0.75, 0.67, 0.63 };

struct way {
	struct engine engine;
	size_t n;
	unsigned int n_threads;
};

struct arrays {
	char *all[N_ARRAYS];
	size_t size;
	const char *pages;
	const char *suffix; /* of the figures' names */
};

static double
run_engine(void *arg)
{
	struct way *way = arg;

	return engine_run(&way->engine, way->n_threads, way->n);
}

static void
work_plain(void *arg, size_t begin, size_t end)
{
	const struct way *way = arg;
	const float *values = (const float *)(const void *)way->engine.snapshot;

	for (size_t i = 0; i < way->engine.n_targets; i++) {
		float *average = (float *)(void *)way->engine.next[i];

		loop_lerp(average + begin, values + begin, end - begin, 0.001F);
	}
}

static double
run_plain(void *arg)
{
	struct way *way = arg;

	return threads_run(way->n_threads, THREADS_HALVES, work_plain, way,
			   way->n);
}

static void
report(const char *name, unsigned int n_threads, const struct arrays *arrays,
       struct goal goal, const struct variant *a, const struct variant *b)
{
	struct samples ratio = samples_divide(&a->seconds, &b->seconds);
	char text[64];

	(void)snprintf(text, sizeof text, "%.40s.%ut%s", name, n_threads,
		       arrays->suffix);
	bench_report(text, "ratio", goal, &ratio);
}

static struct way
new_way(const struct arrays *arrays, unsigned int n_threads)
{
	struct way way = {
		.engine = {
			.kernel = kernel_choose(),
			.dtype = DTYPE_F32,
			.snapshot = arrays->all[0],
			.n_targets = 1,
		},
		.n = arrays->size / sizeof(float),
		.n_threads = n_threads,
	};

	for (size_t i = 0; i < ENGINE_TARGETS_MAX; i++) {
		way.engine.current[i] = arrays->all[1 + 2 * i];
		way.engine.next[i] = arrays->all[2 + 2 * i];
	}
	return way;
}

/* In one pass, in K passes, in K plain loops. */
static void
bench_profiles(const struct arrays *arrays, unsigned int n_threads,
	       size_t n_rounds)
{
	static struct way ways[3 * N_COUNTS];
	static struct variant variants[3 * N_COUNTS];
	char name[64];

	for (size_t i = 0; i < 3 * N_COUNTS; i++) {
		ways[i] = new_way(arrays, n_threads);
		ways[i].engine.n_targets = counts[i / 3];
		ways[i].engine.separate = i % 3 == 1;
		variants[i] = (struct variant) {
			.run = i % 3 == 2 ? run_plain : run_engine,
			.arg = &ways[i],
		};
	}
	bench_run(variants, 3 * N_COUNTS, n_rounds);
	bench_heading("K averages in one pass, %u thread(s), %zu MiB, %s",
		      n_threads, arrays->size / MIB, arrays->pages);
	for (size_t i = 0; i < N_COUNTS; i++) {
		const struct variant *at = &variants[3 * i];

		(void)snprintf(name, sizeof name, "profiles.%zu_in_one_pass",
			       counts[i]);
		report(name, n_threads, arrays, AT_MOST(profile_goals[i]), at,
		       at + 1);
		(void)snprintf(name, sizeof name, "profiles.%zu_to_in_place",
			       counts[i]);
		report(name, n_threads, arrays, NO_GOAL, at, at + 2);
	}
}

/* Eight snapshots lie where the other averages do. */
static void
bench_queued(const struct arrays *arrays, unsigned int n_threads,
	     size_t n_rounds)
{
	static struct way ways[2 * N_COUNTS];
	static struct variant variants[2 * N_COUNTS];
	char name[64];

	for (size_t i = 0; i < 2 * N_COUNTS; i++) {
		struct engine *engine = &ways[i].engine;

		ways[i] = new_way(arrays, n_threads);
		engine->n_more = counts[i / 2] - 1;
		for (size_t k = 0; k < engine->n_more; k++)
			engine->more[k] = arrays->all[3 + k];
		engine->separate = i % 2 == 1;
		variants[i] =
			(struct variant) { .run = run_engine, .arg = &ways[i] };
	}
	bench_run(variants, 2 * N_COUNTS, n_rounds);
	bench_heading("M queued snapshots in one pass, over M passes; %u "
		      "thread(s), %zu MiB, %s",
		      n_threads, arrays->size / MIB, arrays->pages);
	for (size_t i = 0; i < N_COUNTS; i++) {
		(void)snprintf(name, sizeof name, "queued.%zu_in_one_pass",
			       counts[i]);
		report(name, n_threads, arrays,
		       counts[i] == 8 ? AT_MOST(0.62) : NO_GOAL,
		       &variants[2 * i], &variants[2 * i + 1]);
	}
}

/*
 * What is kept beside the average takes up to twice its size.  It is zero: a
 * compensation or an average like any other.
 */
static void
bench_accumulators(const struct arrays *arrays, unsigned int n_threads,
		   size_t n_rounds)
{
	static struct way ways[N_ACCUMULATORS];
	static struct variant variants[N_ACCUMULATORS];
	size_t rest_size = 2 * arrays->size;
	char *rest = memory_new(rest_size, sizeof(float));
	char *next_rest = memory_new(rest_size, sizeof(float));
	char name[64];

	memset(rest, 0, rest_size);

	if (*arrays->suffix && !(memory_collapse(rest, rest_size) &&
				 memory_collapse(next_rest, rest_size)))
		bench_note("ordinary pages beside the averages");
	for (unsigned int i = 0; i < N_ACCUMULATORS; i++) {
		ways[i] = new_way(arrays, n_threads);
		ways[i].engine.accumulator = (enum accumulator)i;
		ways[i].engine.rest = rest;
		ways[i].engine.next_rest = next_rest;
		variants[i] =
			(struct variant) { .run = run_engine, .arg = &ways[i] };
	}
	bench_run(variants, N_ACCUMULATORS, n_rounds);
	bench_heading("accumulators, time over float32's; %u thread(s), %zu "
		      "MiB, %s",
		      n_threads, arrays->size / MIB, arrays->pages);
	for (unsigned int i = 1; i < N_ACCUMULATORS; i++) {
		(void)snprintf(name, sizeof name, "accumulator.%s",
			       accumulator_name((enum accumulator)i));
		report(name, n_threads, arrays,
		       i == ACCUMULATOR_COMPENSATED ? AT_MOST(1.5) : NO_GOAL,
		       &variants[i], &variants[0]);
	}
	memory_free(rest, rest_size);
	memory_free(next_rest, rest_size);
}

static void
bench_all(const struct arrays *arrays, size_t n_rounds)
{
	for (unsigned int t = 1; t <= THREADS_MAX; t++) {
		bench_profiles(arrays, t, n_rounds);
		bench_queued(arrays, t, n_rounds);
		bench_accumulators(arrays, t, n_rounds);
	}
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);
	struct arrays arrays = { .pages = "pages of 4 KiB", .suffix = "" };
	bool huge = true;

	insist(kernel_choose());
	arrays.size = memory_fit(options.size / 2, N_ARRAYS + 4);
	for (size_t i = 0; i < N_ARRAYS; i++)
		arrays.all[i] = memory_new(arrays.size, sizeof(float));
	bench_all(&arrays, options.n_rounds);
	for (size_t i = 0; huge && i < N_ARRAYS; i++)
		huge = memory_collapse(arrays.all[i], arrays.size);
	arrays.pages = "huge pages";
	arrays.suffix = ".huge";
	if (huge)
		bench_all(&arrays, options.n_rounds);
	else
		bench_note("this machine makes no huge pages of shared memory "
			   "(MADV_COLLAPSE)");
	for (size_t i = 0; i < N_ARRAYS; i++)
		memory_free(arrays.all[i], arrays.size);
	bench_end();
	return 0;
}
