/*
 * A whole update as the daemon does it, from the message to the answer that
 * the version is published, beside the kernel alone; and one of 1 MiB, nearly
 * all of which is the cost that every update has.
 *
 * The parameters lie in the slot already, so that nothing is copied.
 *
 * The kernel alone shares the work out in both ways that there are, since a
 * ratio above 1 could come from a poor one, on ordinary pages and on huge ones
 * (whichever the daemon has); the best way of each kind is the reference.
 */
#include <stdio.h>

#include "tests/bench/bench.h"
#include "tests/bench/engine.h"
#include "tests/bench/memory.h"
#include "tests/bench/trainer.h"
#include "tests/lib/story.h"

#define SMALL     MIB
#define N_WORKERS 2 /* that tests/lib/daemon.c asks for */

/* An update is repeated until it takes about as long as a large one. */
struct update {
	struct trainer trainer;
	unsigned int n_repeats;
};

/* The kernel alone, sharing out in one way. */
struct reference {
	struct engine engine;
	size_t n;
};

/* What is measured at once. */
enum {
	DAEMON,
	KERNEL, /* in halves, and in chunks */
	N_WAYS = KERNEL + 2,
};

static double
run_daemon(void *arg)
{
	struct update *update = arg;

	return trainer_update(&update->trainer, update->n_repeats);
}

static double
run_kernel(void *arg)
{
	struct reference *reference = arg;

	return engine_run(&reference->engine, N_WORKERS, reference->n);
}

/* Numbers that are finite in both slots. */
static void
begin_update(struct update *update, const struct daemon *daemon, size_t size)
{
	struct trainer *trainer = &update->trainer;

	trainer_init(trainer);
	trainer_add(trainer, size / sizeof(float));
	trainer_attach(trainer, daemon, 0);
	for (unsigned int i = 0; i < 4; i++) {
		void *data[1];

		if (emad_begin(trainer->publisher, data) != EMAD_OK)
			give_up("%s", emad_error());
		memory_fill(data[0], size, sizeof(float));
		if (emad_commit(trainer->publisher, trainer->step++) != EMAD_OK)
			give_up("%s", emad_error());
	}
	trainer_flush(trainer);
}

static void
set_variants(struct variant *variants, struct update *update,
	     struct reference *references, char *const *arrays, size_t size)
{
	static const enum threads_sharing sharings[] = { THREADS_HALVES,
							 THREADS_UNITS };

	variants[DAEMON] = (struct variant) { run_daemon, .arg = update };
	for (size_t i = 0; i < 2; i++) {
		references[i] = (struct reference) {
			.n = size / sizeof(float),
			.engine = {
				.kernel = kernel_choose(),
				.dtype = DTYPE_F32,
				.sharing = sharings[i],
				.snapshot = arrays[0],
				.n_targets = 1,
				.current = { arrays[1] },
				.next = { arrays[2] },
			},
		};
		variants[KERNEL + i] = (struct variant) {
			.run = run_kernel,
			.arg = &references[i],
		};
	}
}

static void
report_large(const struct variant *variants, size_t size, const char *pages,
	     const char *suffix)
{
	const struct variant *best = variants_best(&variants[KERNEL], 2);
	struct samples figure;
	char name[64];

	bench_heading("update from message to answer, %zu MiB of floats, %d "
		      "workers; kernel on %s, best with %s",
		      size / MIB, N_WORKERS, pages,
		      best == &variants[KERNEL] ? "halves" : "chunks");
	figure = samples_divide(&best->seconds, &variants[DAEMON].seconds);
	(void)snprintf(name, sizeof name, "update.speed_to_kernel%s", suffix);
	bench_report(name, "ratio", AT_LEAST(0.90), &figure);
	figure = samples_scale(&best->seconds, 1e3);
	(void)snprintf(name, sizeof name, "update.kernel_time%s", suffix);
	bench_report(name, "ms", NO_GOAL, &figure);
	figure = samples_scale(&variants[DAEMON].seconds, 1e3);
	(void)snprintf(name, sizeof name, "update.time%s", suffix);
	bench_report(name, "ms", NO_GOAL, &figure);
}

static void
bench_large(const struct daemon *daemon, size_t size, size_t n_rounds)
{
	static struct update update = { .n_repeats = 1 };
	static struct reference references[2];
	static struct variant variants[N_WAYS];
	char *arrays[3];
	bool huge = true;

	begin_update(&update, daemon, size);
	for (size_t i = 0; i < 3; i++)
		arrays[i] = memory_new(size, sizeof(float));
	set_variants(variants, &update, references, arrays, size);
	bench_run(variants, N_WAYS, n_rounds);
	report_large(variants, size, "pages of 4 KiB", "");
	for (size_t i = 0; huge && i < 3; i++)
		huge = memory_collapse(arrays[i], size);
	if (huge) {
		bench_run(variants, N_WAYS, n_rounds);
		report_large(variants, size, "huge pages", ".huge");
	} else {
		bench_note("this machine makes no huge pages of shared "
			   "memory (MADV_COLLAPSE)");
	}
	for (size_t i = 0; i < 3; i++)
		memory_free(arrays[i], size);
	trainer_end(&update.trainer);
}

static void
bench_small(const struct daemon *daemon, size_t n_rounds)
{
	static struct update update = { .n_repeats = 200 };
	struct variant variant = { .run = run_daemon, .arg = &update };
	struct samples figure;

	begin_update(&update, daemon, SMALL);
	bench_run(&variant, 1, n_rounds);
	bench_heading("update from message to answer, 1 MiB");
	figure = samples_scale(&variant.seconds, 1e6);
	bench_report("update.time_1mib", "us", AT_MOST(300), &figure);
	trainer_end(&update.trainer);
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	/* Two slots, two versions, three arrays. */
	bench_large(&daemon, memory_fit(options.size, 7), options.n_rounds);
	bench_small(&daemon, options.n_rounds);
	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
