/*
 * What growth costs: the time of an update for each byte of the average, from
 * 64 MiB to 8 GiB, and the memory that the daemon takes beside the averages
 * and slots that it must have.
 *
 * Parameters are bf16 and live in the only slot, so that a model takes two and
 * a half times its average, the least that is possible.  A model of 64 MiB is
 * there all the time and updated in every round, as often as it takes to be
 * measured; what does not fit into the machine is left out, and is said to be.
 */
#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/memory.h"
#include "tests/bench/trainer.h"
#include "tests/bench/usage.h"
#include "tests/lib/story.h"

#define SMALL         ((size_t)64)
#define SMALL_REPEATS 8
#define GROWTH_MAX    1.25
#define BESIDE_MAX    32 /* MiB */

/* MiB of the average. */
static const size_t sizes[] = { 256, 1024, 4096, 8192 };

#define N_SIZES (sizeof sizes / sizeof *sizes)

struct growth {
	struct trainer trainer;
	size_t size; /* bytes of the average */
	unsigned int n_repeats;
};

/* Two versions and a slot of half the size. */
static size_t
memory_needed(size_t size)
{
	return 2 * size + size / 2;
}

/* Seconds for each byte of the average. */
static double
run_update(void *arg)
{
	struct growth *growth = arg;
	double seconds = trainer_update(&growth->trainer, growth->n_repeats);

	return seconds / (double)growth->size;
}

/* Bytes, where a variant has seconds. */
struct beside {
	const struct daemon *daemon;
	size_t needed;
};

static double
run_beside(void *arg)
{
	const struct beside *beside = arg;

	return usage_own(beside->daemon) + usage_shm(beside->daemon) -
	       (double)beside->needed;
}

static double
run_page_tables(void *arg)
{
	const struct beside *beside = arg;

	return usage_page_tables(beside->daemon);
}

static void
begin_growth(struct growth *growth, const struct daemon *daemon, size_t size,
	     unsigned int n_repeats)
{
	struct trainer *trainer = &growth->trainer;
	void *data[1];

	growth->size = size;
	growth->n_repeats = n_repeats;
	trainer_init(trainer);
	(void)snprintf(trainer->model, sizeof trainer->model, "bench-%zu",
		       size / MIB);
	trainer_add(trainer, size / sizeof(float));
	trainer->tensors[0].dtype = "BF16";
	trainer_attach(trainer, daemon, 1);
	if (emad_begin(trainer->publisher, data) != EMAD_OK)
		give_up("%s", emad_error());
	memory_fill(data[0], size / 2, 2);
	if (emad_commit(trainer->publisher, trainer->step++) != EMAD_OK)
		give_up("%s", emad_error());
	trainer_flush(trainer);
}

static void
report_time(size_t size, const struct variant *variant)
{
	struct samples figure = samples_scale(&variant->seconds, 0x1p30 * 1e3);
	char name[64];

	(void)snprintf(name, sizeof name, "growth.time.%zumib", size / MIB);
	bench_report(name, "ms/GiB", NO_GOAL, &figure);
}

static void
report_mib(const char *what, size_t size, struct goal goal,
	   const struct variant *variant)
{
	struct samples figure =
		samples_scale(&variant->seconds, 1.0 / (double)MIB);
	char name[64];

	(void)snprintf(name, sizeof name, "growth.%s.%zumib", what, size / MIB);
	bench_report(name, "MiB", goal, &figure);
}

/* The time for a byte, to that of the small model, which is stored too. */
static struct samples
bench_size(const struct daemon *daemon, struct growth *small, size_t size,
	   size_t n_rounds, struct variant *ret_small)
{
	static struct growth large;
	struct beside beside = {
		.daemon = daemon,
		.needed = memory_needed(size) + memory_needed(small->size),
	};
	struct variant variants[] = {
		{ .run = run_update, .arg = &large },
		{ .run = run_update, .arg = small },
		{ .run = run_beside, .arg = &beside },
		{ .run = run_page_tables, .arg = &beside },
	};
	struct samples ratio;
	char name[64];

	begin_growth(&large, daemon, size, 1);
	bench_run(variants, 4, n_rounds);
	bench_heading("an average of %zu MiB beside one of %zu MiB", size / MIB,
		      SMALL);
	ratio = samples_divide(&variants[0].seconds, &variants[1].seconds);
	(void)snprintf(name, sizeof name, "growth.to_64mib.%zumib", size / MIB);
	bench_report(name, "ratio", AT_MOST(GROWTH_MAX), &ratio);
	report_time(size, &variants[0]);
	*ret_small = variants[1];
	report_mib("memory_beside", size, AT_MOST(BESIDE_MAX), &variants[2]);
	report_mib("page_tables", size, NO_GOAL, &variants[3]);
	trainer_end(&large.trainer);
	return ratio;
}

int
main(int argc, char **argv)
{
	static struct growth small;
	struct bench_options options = bench_begin(argc, argv);
	struct samples largest = { .n = 0 };
	struct variant beside;
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	begin_growth(&small, &daemon, SMALL * MIB, SMALL_REPEATS);
	for (size_t i = 0; i < N_SIZES; i++) {
		size_t size = sizes[i] * MIB;

		if (options.quick && sizes[i] > 1024)
			bench_note("%zu MiB left out by --quick", sizes[i]);
		else if (memory_fits(memory_needed(size)))
			largest = bench_size(&daemon, &small, size,
					     options.n_rounds, &beside);
		else
			bench_note("%zu MiB left out: the %zu MiB that it "
				   "needs are not free",
				   sizes[i], memory_needed(size) / MIB);
	}
	if (largest.n > 0) {
		bench_heading("the largest, for each byte, to 64 MiB");
		bench_report("growth.largest_to_64mib", "ratio",
			     AT_MOST(GROWTH_MAX), &largest);
		report_time(small.size, &beside);
	}
	trainer_end(&small.trainer);
	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
