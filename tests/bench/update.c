/*
 * A whole update as the daemon does it, from the message to the answer that
 * the version is published, beside the kernel alone; and one of 1 MiB, nearly
 * all of which is the cost that every update has.
 *
 * The parameters lie in the slot already, so that nothing is copied.
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
	struct engine engine;
	size_t n;
	unsigned int n_repeats;
};

static double
run_daemon(void *arg)
{
	struct update *update = arg;
	struct trainer *trainer = &update->trainer;
	double begin, seconds = 0.0;
	void *data[1];

	for (unsigned int i = 0; i < update->n_repeats; i++) {
		if (emad_begin(trainer->publisher, data) != EMAD_OK)
			give_up("%s", emad_error());
		begin = bench_now();
		if (emad_commit(trainer->publisher, trainer->step++) != EMAD_OK)
			give_up("%s", emad_error());
		trainer_flush(trainer);
		seconds += bench_now() - begin;
	}
	return seconds / update->n_repeats;
}

static double
run_kernel(void *arg)
{
	struct update *update = arg;
	double seconds = 0.0;

	for (unsigned int i = 0; i < update->n_repeats; i++)
		seconds += engine_run(&update->engine, N_WORKERS, update->n);
	return seconds / update->n_repeats;
}

/* Numbers that are finite in both slots. */
static void
fill_slots(struct trainer *trainer)
{
	trainer_allocate(trainer);
	for (unsigned int i = 0; i < 4; i++)
		if (emad_publish(trainer->publisher, trainer->step++,
				 trainer->tensors) != EMAD_OK)
			give_up("%s", emad_error());
	trainer_flush(trainer);
}

static void
bench_size(const struct daemon *daemon, size_t size, unsigned int n_repeats,
	   struct variant *variants, size_t n_rounds)
{
	static struct update update;
	char *average = memory_new(size, sizeof(float));
	char *next = memory_new(size, sizeof(float));

	update = (struct update) {
		.n = size / sizeof(float),
		.n_repeats = n_repeats,
	};
	trainer_init(&update.trainer);
	trainer_add(&update.trainer, update.n);
	trainer_attach(&update.trainer, daemon, 0);
	fill_slots(&update.trainer);
	update.engine = (struct engine) {
		.kernel = kernel_choose(),
		.dtype = DTYPE_F32,
		.snapshot = update.trainer.values,
		.n_targets = 1,
		.current = { average },
		.next = { next },
	};
	variants[0] = (struct variant) { .run = run_daemon, .arg = &update };
	variants[1] = (struct variant) { .run = run_kernel, .arg = &update };
	bench_run(variants, 2, n_rounds);
	trainer_end(&update.trainer);
	memory_free(average, size);
	memory_free(next, size);
}

int
main(int argc, char **argv)
{
	static struct variant large[2], small[2];
	struct bench_options options = bench_begin(argc, argv);
	struct daemon daemon;
	struct samples figure;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	bench_size(&daemon, options.size, 1, large, options.n_rounds);
	bench_size(&daemon, SMALL, 200, small, options.n_rounds);

	bench_heading("update from message to answer, %zu MiB of floats, %d "
		      "workers",
		      options.size / MIB, N_WORKERS);
	figure = samples_divide(&large[1].seconds, &large[0].seconds);
	bench_report("update.speed_to_kernel", "ratio", AT_LEAST(0.90),
		     &figure);
	figure = samples_scale(&large[0].seconds, 1e3);
	bench_report("update.time", "ms", NO_GOAL, &figure);
	figure = samples_scale(&small[0].seconds, 1e6);
	bench_report("update.time_1mib", "us", AT_MOST(300), &figure);

	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
