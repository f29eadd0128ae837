/*
 * The kernels beside what memory allows: bare loops of the same traffic, the
 * plain loop in place, other types; and many averages in one pass.
 */
#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/engine.h"
#include "tests/bench/loops.h"
#include "tests/bench/memory.h"
#include "tests/lib/story.h"

#define N_DISTANCES 5
#define THREADS_MAX 2

static const size_t distances[N_DISTANCES] = { 0, 512, 1024, 2048, 4096 };

/* One way to go over the arrays. */
struct way {
	struct engine engine;
	size_t n;
	unsigned int n_threads;
	size_t distance;
	float *out;
	float *average;
	const float *values;
};

static void
work_traffic(void *arg, size_t begin, size_t end)
{
	const struct way *way = arg;

	loop_traffic(way->out + begin, way->average + begin,
		     way->values + begin, end - begin, way->distance);
}

static void
work_lerp(void *arg, size_t begin, size_t end)
{
	const struct way *way = arg;

	loop_lerp(way->average + begin, way->values + begin, end - begin,
		  0.001F);
}

static double
run_traffic(void *arg)
{
	struct way *way = arg;

	return crew_run(way->n_threads, work_traffic, way, way->n);
}

static double
run_lerp(void *arg)
{
	struct way *way = arg;

	return crew_run(way->n_threads, work_lerp, way, way->n);
}

static double
run_engine(void *arg)
{
	struct way *way = arg;

	return engine_run(&way->engine, way->n_threads, way->n);
}

/* What is measured with one number of threads. */
enum {
	KERNEL_F32,
	KERNEL_BF16,
	KERNEL_F16,
	IN_PLACE,
	BARE,
	N_WAYS = BARE + N_DISTANCES,
};

static void
report_single(const struct variant *variants, unsigned int n_threads,
	      const struct way *way)
{
	const struct samples *f32 = &variants[KERNEL_F32].seconds;
	const struct variant *bare =
		variants_best(&variants[BARE], N_DISTANCES);
	const struct way *best = bare->arg;
	struct samples ratio;
	char name[64];

	bench_heading("kernel, %u thread(s), %zu MiB of floats; best bare "
		      "loop prefetches %zu bytes ahead",
		      n_threads, way->n * sizeof(float) / MIB, best->distance);
	ratio = samples_divide(&bare->seconds, f32);
	(void)snprintf(name, sizeof name, "kernel.speed_to_bare.%ut",
		       n_threads);
	bench_report(name, "ratio", AT_LEAST(0.95), &ratio);
	ratio = samples_divide(f32, &variants[IN_PLACE].seconds);
	(void)snprintf(name, sizeof name, "kernel.time_to_in_place.%ut",
		       n_threads);
	bench_report(name, "ratio", AT_MOST(1.06), &ratio);
	ratio = samples_divide(f32, &variants[KERNEL_BF16].seconds);
	(void)snprintf(name, sizeof name, "kernel.bf16_params_to_f32.%ut",
		       n_threads);
	bench_report(name, "ratio", AT_LEAST(1.35), &ratio);
	ratio = samples_divide(f32, &variants[KERNEL_F16].seconds);
	(void)snprintf(name, sizeof name, "kernel.f16_params_to_f32.%ut",
		       n_threads);
	bench_report(name, "ratio", AT_LEAST(1.35), &ratio);
	ratio = samples_scale(f32, 1e3);
	(void)snprintf(name, sizeof name, "kernel.time.%ut", n_threads);
	bench_report(name, "ms", NO_GOAL, &ratio);
	ratio = samples_scale(&bare->seconds, 1e3);
	(void)snprintf(name, sizeof name, "kernel.bare_time.%ut", n_threads);
	bench_report(name, "ms", NO_GOAL, &ratio);
}

static void
set_variants(struct variant *variants, struct way *ways, const struct way *base,
	     unsigned int n_threads, char *halves)
{
	for (size_t i = 0; i < N_WAYS; i++) {
		ways[i] = *base;
		ways[i].n_threads = n_threads;
		variants[i] = (struct variant) {
			.run = i >= BARE       ? run_traffic
			       : i == IN_PLACE ? run_lerp
					       : run_engine,
			.arg = &ways[i],
		};
		if (i >= BARE)
			ways[i].distance = distances[i - BARE];
	}
	ways[KERNEL_BF16].engine.dtype = DTYPE_BF16;
	ways[KERNEL_BF16].engine.snapshot = halves;
	ways[KERNEL_F16].engine.dtype = DTYPE_F16;
	ways[KERNEL_F16].engine.snapshot = halves;
}

static void
bench_single(const struct bench_options *options)
{
	size_t n = options->size / sizeof(float);
	char *values = memory_new(options->size, 4);
	char *average = memory_new(options->size, 4);
	char *out = memory_new(options->size, 4);
	char *halves = memory_new(options->size / 2, 2);
	static struct variant variants[THREADS_MAX][N_WAYS];
	static struct way ways[THREADS_MAX][N_WAYS];
	struct way base = {
		.engine = {
			.kernel = kernel_choose(),
			.dtype = DTYPE_F32,
			.snapshot = values,
			.n_targets = 1,
			.current = { average },
			.next = { out },
		},
		.n = n,
		.out = (float *)(void *)out,
		.average = (float *)(void *)average,
		.values = (const float *)(const void *)values,
	};
	struct samples ratio;

	insist(base.engine.kernel);
	for (unsigned int t = 0; t < THREADS_MAX; t++)
		set_variants(variants[t], ways[t], &base, t + 1, halves);
	bench_run(variants[0], THREADS_MAX * N_WAYS, options->n_rounds);
	(void)printf("instruction set: %s\n", base.engine.kernel->name);
	for (unsigned int t = 0; t < THREADS_MAX; t++)
		report_single(variants[t], t + 1, &base);
	ratio = samples_divide(&variants[0][KERNEL_F32].seconds,
			       &variants[1][KERNEL_F32].seconds);
	bench_report("kernel.speed_2t_to_1t", "ratio", AT_LEAST(1.85), &ratio);
	memory_free(values, options->size);
	memory_free(average, options->size);
	memory_free(out, options->size);
	memory_free(halves, options->size / 2);
}

/* K averages at once, and one after another. */
#define N_CROWDS 3

static const size_t crowds[N_CROWDS] = { 2, 4, 8 };
static const double crowd_goals[N_CROWDS] = { 0.75, 0.67, 0.63 };

static void
report_crowds(const struct variant *variants, unsigned int n_threads)
{
	bench_heading("K averages in one pass, over K passes; %u thread(s)",
		      n_threads);
	for (size_t i = 0; i < N_CROWDS; i++) {
		struct samples ratio = samples_divide(
			&variants[2 * i].seconds, &variants[2 * i + 1].seconds);
		char name[64];

		(void)snprintf(name, sizeof name,
			       "profiles.%zu_in_one_pass.%ut", crowds[i],
			       n_threads);
		bench_report(name, "ratio", AT_MOST(crowd_goals[i]), &ratio);
	}
}

static void
bench_crowds(const struct bench_options *options)
{
	static struct variant variants[THREADS_MAX][2 * N_CROWDS];
	static struct way ways[THREADS_MAX][2 * N_CROWDS];
	struct engine engine = {
		.kernel = kernel_choose(),
		.dtype = DTYPE_F32,
		.snapshot = memory_new(options->size, 4),
	};

	for (size_t i = 0; i < ENGINE_TARGETS_MAX; i++) {
		engine.current[i] = memory_new(options->size, 4);
		engine.next[i] = memory_new(options->size, 4);
	}
	for (unsigned int t = 0; t < THREADS_MAX; t++)
		for (size_t i = 0; i < 2 * N_CROWDS; i++) {
			ways[t][i] = (struct way) {
				.engine = engine,
				.n = options->size / sizeof(float),
				.n_threads = t + 1,
			};
			ways[t][i].engine.n_targets = crowds[i / 2];
			ways[t][i].engine.separate = i % 2 == 1;
			variants[t][i] = (struct variant) {
				.run = run_engine,
				.arg = &ways[t][i],
			};
		}
	bench_run(variants[0], THREADS_MAX * 2 * N_CROWDS, options->n_rounds);
	for (unsigned int t = 0; t < THREADS_MAX; t++)
		report_crowds(variants[t], t + 1);
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);

	bench_single(&options);
	bench_crowds(&options);
	bench_end();
	return 0;
}
