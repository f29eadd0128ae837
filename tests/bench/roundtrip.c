/*
 * A publish of a small model until its answer, beside libnng's own echo, and
 * beside a client that writes the wire's bytes itself.
 *
 * What is made alike: one client's process and one server's; the bytes of the
 * request; the client's sockets, three of which two are asked in turn.  What is
 * not: the publish copies 4 KiB and the daemon averages them and swaps the
 * file, which is what it is for; the echo's answer is as long as the request,
 * the daemon's a few bytes shorter.  The echo waits as a simple client does,
 * in nng_recvmsg(), and its server is a simple loop or, if that is faster,
 * callbacks on libnng's threads.
 */
#include <stdio.h>
#include <stdlib.h>

#include "tests/bench/bench.h"
#include "tests/bench/echo.h"
#include "tests/bench/raw_trainer.h"
#include "tests/bench/trainer.h"
#include "tests/lib/story.h"

#define N_TRIPS    2000 /* a round; with --quick a quarter */
#define N_CONTEXTS 16
#define MEAN       (-1.0)

/* One way to go there and back, and what counts of a round. */
struct trips {
	void (*go)(struct trips *trips);
	double quantile; /* or MEAN */
	size_t n;
	struct trainer *trainer;
	struct echo_client *echo;
	struct raw_trainer *raw;
	double seconds[N_TRIPS];
};

static int
compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
run_trips(void *arg)
{
	struct trips *trips = arg;
	double first = bench_now();
	double begin = first;

	for (size_t i = 0; i < trips->n; i++) {
		double end;

		trips->go(trips);
		end = bench_now();
		trips->seconds[i] = end - begin;
		begin = end;
	}
	if (trips->quantile == MEAN)
		return (begin - first) / (double)trips->n;
	qsort(trips->seconds, trips->n, sizeof *trips->seconds,
	      compare_doubles);
	return trips
		->seconds[(size_t)(trips->quantile * (double)(trips->n - 1))];
}

static void
go_publish(struct trips *trips)
{
	struct trainer *trainer = trips->trainer;

	if (emad_publish(trainer->publisher, trainer->step++,
			 trainer->tensors) != EMAD_OK)
		give_up("%s", emad_error());
	trainer_flush(trainer);
}

static void
go_echo(struct trips *trips)
{
	echo_trip(trips->echo);
}

static void
go_raw(struct trips *trips)
{
	raw_trainer_publish(trips->raw);
}

/* A request that no worker sees. */
static void
go_raw_status(struct trips *trips)
{
	wire_reply_free(raw_status(trips->raw->session.fd));
}

enum {
	PUBLISH_P50,
	PUBLISH_P99,
	PUBLISH_MEAN,
	RAW_P50,
	RAW_P99,
	RAW_MEAN,
	RAW_STATUS_P50,
	ECHO_P50, /* of the loop and of the callbacks, and so on */
	ECHO_P99 = ECHO_P50 + 2,
	ECHO_MEAN = ECHO_P99 + 2,
	N_WAYS = ECHO_MEAN + 2,
};

static void
report_us(const char *name, const struct variant *variant)
{
	struct samples figure = samples_scale(&variant->seconds, 1e6);

	bench_report(name, "us", NO_GOAL, &figure);
}

static void
report_rate(const char *name, const struct variant *variant)
{
	struct samples figure = samples_invert(&variant->seconds);

	bench_report(name, "1/s", NO_GOAL, &figure);
}

static void
report(const struct variant *variants)
{
	const struct variant *p50 = variants_best(&variants[ECHO_P50], 2);
	const struct variant *p99 = variants_best(&variants[ECHO_P99], 2);
	const struct variant *mean = variants_best(&variants[ECHO_MEAN], 2);
	struct samples figure;

	bench_heading("publish a model of 4 KiB until the answer; the best "
		      "echo has %s",
		      p50 == &variants[ECHO_P50] ? "a loop" : "callbacks");
	figure = samples_divide(&variants[PUBLISH_P50].seconds, &p50->seconds);
	bench_report("roundtrip.p50_to_echo", "ratio", AT_MOST(1.0), &figure);
	figure = samples_divide(&variants[PUBLISH_P99].seconds, &p99->seconds);
	bench_report("roundtrip.p99_to_echo", "ratio", NO_GOAL, &figure);
	figure = samples_divide(&variants[RAW_P50].seconds, &p50->seconds);
	bench_report("roundtrip.raw_p50_to_echo", "ratio", NO_GOAL, &figure);
	report_us("roundtrip.p50", &variants[PUBLISH_P50]);
	report_us("roundtrip.p99", &variants[PUBLISH_P99]);
	report_us("roundtrip.echo_p50", p50);
	report_us("roundtrip.echo_p99", p99);
	report_us("roundtrip.raw_p50", &variants[RAW_P50]);
	report_us("roundtrip.raw_p99", &variants[RAW_P99]);
	report_us("roundtrip.raw_status_p50", &variants[RAW_STATUS_P50]);
	report_rate("roundtrip.per_second", &variants[PUBLISH_MEAN]);
	report_rate("roundtrip.echo_per_second", mean);
	report_rate("roundtrip.raw_per_second", &variants[RAW_MEAN]);
}

static void
set_variants(struct variant *variants, struct trips *trips,
	     struct trainer *trainer, struct raw_trainer *raw,
	     struct echo_client *echoes, size_t n)
{
	for (size_t i = 0; i < N_WAYS; i++) {
		trips[i] = (struct trips) {
			.go = i >= ECHO_P50         ? go_echo
			      : i == RAW_STATUS_P50 ? go_raw_status
			      : i >= RAW_P50        ? go_raw
						    : go_publish,
			.quantile = 0.5,
			.n = n,
			.trainer = trainer,
			.raw = raw,
			.echo = &echoes[i >= ECHO_P50 ? (i - ECHO_P50) % 2 : 0],
		};
		variants[i] = (struct variant) {
			.run = run_trips,
			.arg = &trips[i],
		};
	}
	trips[PUBLISH_P99].quantile = 0.99;
	trips[PUBLISH_MEAN].quantile = MEAN;
	trips[RAW_P99].quantile = 0.99;
	trips[RAW_MEAN].quantile = MEAN;
	for (size_t i = 0; i < 2; i++) {
		trips[ECHO_P99 + i].quantile = 0.99;
		trips[ECHO_MEAN + i].quantile = MEAN;
	}
}

int
main(int argc, char **argv)
{
	static struct trainer trainer;
	static struct trips trips[N_WAYS];
	static struct variant variants[N_WAYS];
	struct bench_options options = bench_begin(argc, argv);
	struct echo_server servers[2];
	struct echo_client echoes[2];
	struct raw_trainer raw;
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	for (size_t i = 0; i < 2; i++) {
		echo_server_start(&servers[i], i == 0 ? 0 : N_CONTEXTS);
		bench_watch(servers[i].pid);
	}
	raw_trainer_init(&raw, daemon_socket(&daemon), "raw", 2);
	for (size_t i = 0; i < 2; i++)
		echo_client_init(
			&echoes[i], &servers[i],
			raw_publish_size(&raw.session, 1, N_TRIPS, N_TRIPS));
	trainer_init(&trainer);
	trainer_add(&trainer, RAW_TRAINER_FLOATS);
	trainer_allocate(&trainer);
	trainer_attach(&trainer, &daemon, 0);
	set_variants(variants, trips, &trainer, &raw, echoes,
		     options.quick ? N_TRIPS / 4 : N_TRIPS);
	bench_run(variants, N_WAYS, options.n_rounds);
	report(variants);

	trainer_end(&trainer);
	raw_trainer_deinit(&raw);
	bench_watch(0);
	for (size_t i = 0; i < 2; i++) {
		echo_client_deinit(&echoes[i]);
		echo_server_stop(&servers[i]);
	}
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
