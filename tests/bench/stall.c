/*
 * How long a publish keeps the trainer: beside a plain average of the same
 * tensors in its own process, and beside the bare copy.
 *
 * The daemon has finished the last update when the next publish begins.
 */
#include <stdio.h>
#include <string.h>

#include "client/copy.h"
#include "tests/bench/bench.h"
#include "tests/bench/loops.h"
#include "tests/bench/memory.h"
#include "tests/bench/trainer.h"
#include "tests/lib/story.h"

#define N_SKIPPED 1000000

struct stall {
	struct trainer trainer;
	char *average; /* in process; and where the bare copies go */
	size_t distance;
};

static double
run_publish(void *arg)
{
	struct stall *stall = arg;
	struct trainer *trainer = &stall->trainer;
	double begin = bench_now();

	if (emad_publish(trainer->publisher, trainer->step++,
			 trainer->tensors) != EMAD_OK)
		give_up("%s", emad_error());
	begin = bench_now() - begin;
	trainer_flush(trainer);
	return begin;
}

static double
run_resident(void *arg)
{
	struct stall *stall = arg;
	struct trainer *trainer = &stall->trainer;
	void *data[TRAINER_TENSORS_MAX];
	double begin;

	if (emad_begin(trainer->publisher, data) != EMAD_OK)
		give_up("%s", emad_error());
	begin = bench_now();
	if (emad_commit(trainer->publisher, trainer->step++) != EMAD_OK)
		give_up("%s", emad_error());
	begin = bench_now() - begin;
	trainer_flush(trainer);
	return begin;
}

static double
run_lerp(void *arg)
{
	const struct stall *stall = arg;
	const struct trainer *trainer = &stall->trainer;
	float *average = (float *)(void *)stall->average;
	double begin = bench_now();

	for (size_t i = 0; i < trainer->n_tensors; i++) {
		loop_lerp(average, trainer->tensors[i].data,
			  trainer->n_elements[i], 0.001F);
		average += trainer->n_elements[i];
	}
	return bench_now() - begin;
}

static double
run_loop_copy(void *arg)
{
	const struct stall *stall = arg;
	const struct trainer *trainer = &stall->trainer;
	double begin = bench_now();

	loop_copy((float *)(void *)stall->average, trainer->values,
		  trainer->size / sizeof(float), stall->distance);
	return bench_now() - begin;
}

static double
run_pages_copy(void *arg)
{
	const struct stall *stall = arg;
	double begin = bench_now();

	copy_stream(copy_way(1), stall->average, stall->trainer.values,
		    stall->trainer.size);
	copy_finish();
	return bench_now() - begin;
}

static double
run_memcpy(void *arg)
{
	const struct stall *stall = arg;
	double begin = bench_now();

	memcpy(stall->average, stall->trainer.values, stall->trainer.size);
	return bench_now() - begin;
}

enum { PUBLISH, RESIDENT, LERP, MEMCPY, COPY, N_WAYS = COPY + 3 };

static void
report_model(const char *model, const struct trainer *trainer,
	     const struct variant *variants)
{
	const struct samples *publish = &variants[PUBLISH].seconds;
	const struct variant *copy =
		variants_best(&variants[COPY], N_WAYS - COPY);
	struct samples figure;
	char name[64];

	bench_heading("stall of a publish, %s: %zu tensors, %zu MiB, 1 thread",
		      model, trainer->n_tensors, trainer->size / MIB);
	figure = samples_divide(publish, &variants[LERP].seconds);
	(void)snprintf(name, sizeof name, "stall.%s.to_lerp", model);
	bench_report(name, "ratio", AT_MOST(0.65), &figure);
	figure = samples_divide(publish, &copy->seconds);
	(void)snprintf(name, sizeof name, "stall.%s.to_copy", model);
	bench_report(name, "ratio", AT_MOST(1.05), &figure);
	figure = samples_divide(&variants[COPY].seconds, &copy->seconds);
	(void)snprintf(name, sizeof name, "stall.%s.our_copy_to_copy", model);
	bench_report(name, "ratio", NO_GOAL, &figure);
	figure = samples_divide(publish, &variants[MEMCPY].seconds);
	(void)snprintf(name, sizeof name, "stall.%s.to_memcpy", model);
	bench_report(name, "ratio", NO_GOAL, &figure);
	figure = samples_scale(publish, 1e3);
	(void)snprintf(name, sizeof name, "stall.%s.time", model);
	bench_report(name, "ms", NO_GOAL, &figure);
	figure = samples_scale(&variants[RESIDENT].seconds, 1e6);
	(void)snprintf(name, sizeof name, "stall.%s.resident", model);
	bench_report(name, "us", AT_MOST(100), &figure);
}

static void
bench_model(const struct daemon *daemon, const char *model,
	    void (*add)(struct trainer *trainer), size_t n_rounds)
{
	static struct stall stalls[3];
	struct stall *stall = &stalls[0];
	struct variant variants[N_WAYS] = {
		[PUBLISH] = { .run = run_publish, .arg = stall },
		[RESIDENT] = { .run = run_resident, .arg = stall },
		[LERP] = { .run = run_lerp, .arg = stall },
		[MEMCPY] = { .run = run_memcpy, .arg = stall },
		[COPY] = { .run = run_pages_copy, .arg = stall },
		[COPY + 1] = { .run = run_loop_copy, .arg = &stalls[1] },
		[COPY + 2] = { .run = run_loop_copy, .arg = &stalls[2] },
	};

	trainer_init(&stall->trainer);
	add(&stall->trainer);
	trainer_allocate(&stall->trainer);
	trainer_attach(&stall->trainer, daemon, 0);
	stall->average = memory_new(stall->trainer.size, sizeof(float));
	stalls[1] = *stall;
	stalls[1].distance = 512;
	stalls[2] = *stall;
	stalls[2].distance = 2048;
	bench_run(variants, N_WAYS, n_rounds);
	report_model(model, &stall->trainer, variants);
	memory_free(stall->average, stall->trainer.size);
	trainer_end(&stall->trainer);
}

/* A step that no schedule wants; ema_pytorch's default takes one in ten. */
static double
run_skipped(void *arg)
{
	struct trainer *trainer = arg;
	double begin = bench_now();

	for (int64_t i = 0; i < N_SKIPPED; i++)
		if (emad_publish(trainer->publisher, 10 * i + 1,
				 trainer->tensors) != EMAD_OK)
			give_up("%s", emad_error());
	return (bench_now() - begin) / N_SKIPPED;
}

static double
run_wants(void *arg)
{
	struct trainer *trainer = arg;
	double begin = bench_now();

	for (int64_t i = 0; i < N_SKIPPED; i++)
		insist(!emad_wants(trainer->publisher, 10 * i + 1));
	return (bench_now() - begin) / N_SKIPPED;
}

static void
bench_skipped(const struct daemon *daemon, size_t n_rounds)
{
	static struct trainer trainer;
	struct variant variants[] = {
		{ .run = run_skipped, .arg = &trainer },
		{ .run = run_wants, .arg = &trainer },
	};
	struct samples figure;

	trainer_init(&trainer);
	trainer_add(&trainer, 1024);
	trainer_allocate(&trainer);
	if (emad_connect(&trainer.emad, daemon->address, -1) != EMAD_OK ||
	    emad_attach(&trainer.publisher, trainer.emad, TRAINER_MODEL,
			trainer.tensors, 1, NULL) != EMAD_OK)
		give_up("%s", emad_error());
	bench_run(variants, 2, n_rounds);
	bench_heading("a step that the schedule skips");
	figure = samples_scale(&variants[0].seconds, 1e9);
	bench_report("stall.skipped", "ns", AT_MOST(50), &figure);
	figure = samples_scale(&variants[1].seconds, 1e9);
	bench_report("stall.asked", "ns", AT_MOST(50), &figure);
	trainer_end(&trainer);
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	bench_model(&daemon, "resnet50", trainer_add_resnet50,
		    options.n_rounds);
	bench_model(&daemon, "gpt2", trainer_add_gpt2, options.n_rounds);
	bench_skipped(&daemon, options.n_rounds);
	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
