/*
 * What many models cost: a status request, and a publish of 4 KiB, to daemons
 * that 1, 10, 100 and 1,000 trainers with a model each are attached to.
 *
 * All four daemons run at once, so that a round asks each of them.  Clients
 * write the wire's bytes themselves, each on a connection of its own; of 1,000
 * publishes each goes to the next model.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/bench/raw_trainer.h"
#include "tests/bench/usage.h"
#include "tests/lib/story.h"

#define N_TRIPS     1000 /* a round */
#define SLOWER_MAX  1.5
#define BESIDE_MAX  32 /* MiB */
#define MODEL_BYTES (3 * RAW_TRAINER_FLOATS * sizeof(float))

static const unsigned int counts[] = { 1, 10, 100, 1000 };

#define N_COUNTS (sizeof counts / sizeof *counts)

struct house {
	struct daemon daemon;
	unsigned int n_models;
	struct raw_trainer *trainers;
	unsigned int next; /* whose turn it is */
};

static int
compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The median of a round. */
static double
run_trips(struct house *house, void (*go)(struct raw_trainer *trainer))
{
	static double seconds[N_TRIPS];

	for (size_t i = 0; i < N_TRIPS; i++) {
		unsigned int k = house->next++ % house->n_models;
		double begin = bench_now();

		go(&house->trainers[k]);
		seconds[i] = bench_now() - begin;
	}
	qsort(seconds, N_TRIPS, sizeof *seconds, compare_doubles);
	return seconds[N_TRIPS / 2];
}

static void
ask_status(struct raw_trainer *trainer)
{
	wire_reply_free(raw_status(trainer->session.fd));
}

static double
run_status(void *arg)
{
	return run_trips(arg, ask_status);
}

static double
run_publish(void *arg)
{
	return run_trips(arg, raw_trainer_publish);
}

/* Bytes, where a variant has seconds: two versions and a slot are needed. */
static double
run_beside(void *arg)
{
	const struct house *house = arg;

	return usage_own(&house->daemon) + usage_shm(&house->daemon) -
	       (double)house->n_models * MODEL_BYTES;
}

static void
begin_house(struct house *house, unsigned int n_models)
{
	daemon_new(&house->daemon);
	bench_watch(house->daemon.pid);
	house->n_models = n_models;
	house->trainers = calloc(n_models, sizeof *house->trainers);
	insist(house->trainers);
	for (unsigned int i = 0; i < n_models; i++) {
		char model[32];

		(void)snprintf(model, sizeof model, "model-%u", i);
		raw_trainer_init(&house->trainers[i],
				 daemon_socket(&house->daemon), model, 1);
		raw_trainer_publish(&house->trainers[i]);
	}
}

static void
end_house(struct house *house)
{
	for (unsigned int i = 0; i < house->n_models; i++)
		raw_trainer_deinit(&house->trainers[i]);
	free(house->trainers);
	daemon_stop(&house->daemon);
}

/* One kind of request, to each of the daemons. */
static void
report(const char *what, const struct variant *variants)
{
	char name[64];

	for (size_t i = 0; i < N_COUNTS; i++) {
		struct samples figure =
			samples_scale(&variants[i].seconds, 1e6);

		(void)snprintf(name, sizeof name, "models.%s.%u", what,
			       counts[i]);
		bench_report(name, "us", NO_GOAL, &figure);
	}
	for (size_t i = 1; i < N_COUNTS; i++) {
		struct samples figure = samples_divide(&variants[i].seconds,
						       &variants[0].seconds);

		(void)snprintf(name, sizeof name, "models.%s_to_1.%u", what,
			       counts[i]);
		bench_report(name, "ratio", AT_MOST(SLOWER_MAX), &figure);
	}
}

int
main(int argc, char **argv)
{
	enum { STATUS, PUBLISH = N_COUNTS, BESIDE = 2 * N_COUNTS };
	static struct house houses[N_COUNTS];
	struct variant variants[3 * N_COUNTS];
	struct bench_options options = bench_begin(argc, argv);

	story_begin();
	story_raise_descriptors();
	for (size_t i = 0; i < N_COUNTS; i++) {
		struct house *house = &houses[i];

		begin_house(house, counts[i]);
		variants[STATUS + i] =
			(struct variant) { run_status, .arg = house };
		variants[PUBLISH + i] =
			(struct variant) { run_publish, .arg = house };
		variants[BESIDE + i] =
			(struct variant) { run_beside, .arg = house };
	}
	bench_run(variants, 3 * N_COUNTS, options.n_rounds);
	bench_heading("a status request, with so many models");
	report("status", &variants[STATUS]);
	bench_heading("a publish of 4 KiB, with so many models");
	report("publish", &variants[PUBLISH]);
	bench_heading("memory beside averages and slots, with so many models");
	for (size_t i = 0; i < N_COUNTS; i++) {
		struct samples figure = samples_scale(
			&variants[BESIDE + i].seconds, 1.0 / (double)MIB);
		char name[64];

		(void)snprintf(name, sizeof name, "models.memory_beside.%u",
			       counts[i]);
		bench_report(name, "MiB", AT_MOST(BESIDE_MAX), &figure);
	}

	bench_watch(0);
	for (size_t i = 0; i < N_COUNTS; i++)
		end_house(&houses[i]);
	story_end();
	bench_end();
	return 0;
}
