/*
 * The kernels beside what memory allows: bare loops of the same traffic, the
 * plain loop in place, and other types.  All of it on ordinary pages, as a new
 * file in /dev/shm has them, and on huge ones.
 *
 * The kernel takes chunks as the daemon's workers do; what it is compared with
 * shares the work out in whichever way is best.
 */
#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/engine.h"
#include "tests/bench/loops.h"
#include "tests/bench/memory.h"
#include "tests/lib/story.h"

#define THREADS_MAX 2

/* The bare loops. */
static const struct loop {
	const char *name;
	bool pages; /* four pages in lock step, not one line after another */
	size_t distance; /* bytes ahead to prefetch; 0: not */
	enum threads_sharing sharing;
} loops[] = {
	{ "halves, no prefetch", false, 0, THREADS_HALVES },
	{ "halves, prefetch 512 ahead", false, 512, THREADS_HALVES },
	{ "halves, prefetch 2048 ahead", false, 2048, THREADS_HALVES },
	{ "halves, prefetch 3072 ahead", false, 3072, THREADS_HALVES },
	{ "halves, four pages in lock step", true, 0, THREADS_HALVES },
	{ "chunks, no prefetch", false, 0, THREADS_UNITS },
	{ "chunks, prefetch 512 ahead", false, 512, THREADS_UNITS },
	{ "chunks, prefetch 2048 ahead", false, 2048, THREADS_UNITS },
};

#define N_LOOPS (sizeof loops / sizeof *loops)

/* One way to go over the arrays. */
struct way {
	struct engine engine;
	size_t n;
	unsigned int n_threads;
	const struct loop *loop;
	float *out;
	float *average;
	const float *values;
};

static void
work_traffic(void *arg, size_t begin, size_t end)
{
	const struct way *way = arg;

	if (way->loop->pages)
		loop_traffic_pages(way->out + begin, way->average + begin,
				   way->values + begin, end - begin);
	else
		loop_traffic(way->out + begin, way->average + begin,
			     way->values + begin, end - begin,
			     way->loop->distance);
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

	return threads_run(way->n_threads, way->loop->sharing, work_traffic,
			   way, way->n);
}

static double
run_lerp(void *arg)
{
	struct way *way = arg;

	return threads_run(way->n_threads, way->engine.sharing, work_lerp, way,
			   way->n);
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
	IN_PLACE, /* in halves, and in chunks */
	BARE = IN_PLACE + 2,
	N_WAYS = BARE + N_LOOPS,
};

/* The same figures are taken on each kind of page. */
struct pages {
	const char *what;
	const char *suffix; /* of the figures' names */
};

static const struct pages ordinary_pages = { "pages of 4 KiB", "" };
static const struct pages huge_pages = { "huge pages", ".huge" };

static void
report_figure(const char *name, unsigned int n_threads,
	      const struct pages *pages, const char *unit, struct goal goal,
	      const struct samples *samples)
{
	char text[64];

	(void)snprintf(text, sizeof text, "%.40s.%ut%s", name, n_threads,
		       pages->suffix);
	bench_report(text, unit, goal, samples);
}

static void
report_single(const struct variant *variants, unsigned int n_threads,
	      const struct pages *pages)
{
	const struct samples *f32 = &variants[KERNEL_F32].seconds;
	const struct variant *bare = variants_best(&variants[BARE], N_LOOPS);
	const struct variant *in_place = variants_best(&variants[IN_PLACE], 2);
	const struct way *best = bare->arg;
	struct samples ratio;

	bench_heading("kernel, %u thread(s), %zu MiB of floats, %s; best bare "
		      "loop: %s",
		      n_threads, best->n * sizeof(float) / MIB, pages->what,
		      best->loop->name);
	ratio = samples_divide(&bare->seconds, f32);
	report_figure("kernel.speed_to_bare", n_threads, pages, "ratio",
		      AT_LEAST(0.95), &ratio);
	ratio = samples_divide(f32, &in_place->seconds);
	report_figure("kernel.time_to_in_place", n_threads, pages, "ratio",
		      AT_MOST(1.06), &ratio);
	ratio = samples_divide(f32, &variants[KERNEL_BF16].seconds);
	report_figure("kernel.bf16_params_to_f32", n_threads, pages, "ratio",
		      AT_LEAST(1.35), &ratio);
	ratio = samples_divide(f32, &variants[KERNEL_F16].seconds);
	report_figure("kernel.f16_params_to_f32", n_threads, pages, "ratio",
		      AT_LEAST(1.35), &ratio);
	ratio = samples_scale(f32, 1e3);
	report_figure("kernel.time", n_threads, pages, "ms", NO_GOAL, &ratio);
	ratio = samples_scale(&bare->seconds, 1e3);
	report_figure("kernel.bare_time", n_threads, pages, "ms", NO_GOAL,
		      &ratio);
}

/* What a second thread is worth, to the kernel and to the bare loop. */
static void
report_scaling(struct variant (*variants)[N_WAYS], const struct pages *pages)
{
	const struct variant *one = variants_best(&variants[0][BARE], N_LOOPS);
	const struct variant *two = variants_best(&variants[1][BARE], N_LOOPS);
	struct samples ratio;
	char name[64];

	bench_heading("2 threads to 1, %s", pages->what);
	ratio = samples_divide(&variants[0][KERNEL_F32].seconds,
			       &variants[1][KERNEL_F32].seconds);
	(void)snprintf(name, sizeof name, "kernel.speed_2t_to_1t%s",
		       pages->suffix);
	bench_report(name, "ratio", AT_LEAST(1.85), &ratio);
	ratio = samples_divide(&one->seconds, &two->seconds);
	(void)snprintf(name, sizeof name, "kernel.bare_speed_2t_to_1t%s",
		       pages->suffix);
	bench_report(name, "ratio", NO_GOAL, &ratio);
}

static void
set_variants(struct variant *variants, struct way *ways, const struct way *base,
	     unsigned int n_threads, const char *halves)
{
	for (size_t i = 0; i < N_WAYS; i++) {
		ways[i] = *base;
		ways[i].n_threads = n_threads;
		variants[i] = (struct variant) {
			.run = i >= BARE       ? run_traffic
			       : i >= IN_PLACE ? run_lerp
					       : run_engine,
			.arg = &ways[i],
		};
		if (i >= BARE)
			ways[i].loop = &loops[i - BARE];
	}
	ways[IN_PLACE].engine.sharing = THREADS_HALVES;
	ways[KERNEL_BF16].engine.dtype = DTYPE_BF16;
	ways[KERNEL_BF16].engine.snapshot = halves;
	ways[KERNEL_F16].engine.dtype = DTYPE_F16;
	ways[KERNEL_F16].engine.snapshot = halves;
}

static void
bench_single_on(const struct way *base, const char *halves, size_t n_rounds,
		const struct pages *pages)
{
	static struct variant variants[THREADS_MAX][N_WAYS];
	static struct way ways[THREADS_MAX][N_WAYS];

	for (unsigned int t = 0; t < THREADS_MAX; t++)
		set_variants(variants[t], ways[t], base, t + 1, halves);
	bench_run(variants[0], THREADS_MAX * N_WAYS, n_rounds);
	for (unsigned int t = 0; t < THREADS_MAX; t++)
		report_single(variants[t], t + 1, pages);
	report_scaling(variants, pages);
}

static void
say_no_huge_pages(void)
{
	bench_note("this machine makes no huge pages of shared memory "
		   "(MADV_COLLAPSE)");
}

static void
bench_single(const struct bench_options *options)
{
	size_t size = memory_fit(options->size, 4);
	char *values = memory_new(size, 4);
	char *average = memory_new(size, 4);
	char *out = memory_new(size, 4);
	char *halves = memory_new(size / 2, 2);
	struct way base = {
		.engine = {
			.kernel = kernel_choose(),
			.dtype = DTYPE_F32,
			.sharing = THREADS_UNITS,
			.snapshot = values,
			.n_targets = 1,
			.current = { average },
			.next = { out },
		},
		.n = size / sizeof(float),
		.out = (float *)(void *)out,
		.average = (float *)(void *)average,
		.values = (const float *)(const void *)values,
	};

	insist(base.engine.kernel);
	(void)printf("instruction set: %s\n", base.engine.kernel->name);
	bench_single_on(&base, halves, options->n_rounds, &ordinary_pages);
	if (memory_collapse(values, size) && memory_collapse(average, size) &&
	    memory_collapse(out, size) && memory_collapse(halves, size / 2))
		bench_single_on(&base, halves, options->n_rounds, &huge_pages);
	else
		say_no_huge_pages();
	memory_free(values, size);
	memory_free(average, size);
	memory_free(out, size);
	memory_free(halves, size / 2);
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);

	bench_single(&options);
	bench_end();
	return 0;
}
