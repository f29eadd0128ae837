/*
 * A publish of a small model until its answer, beside a message of the same
 * kind to a program that only sends it back, both through libnng; and beside
 * a client that writes the wire's bytes itself.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/trainer.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"

#define N_FLOATS     1024 /* 4 KB */
#define N_TRIPS      2000 /* a round */
#define MESSAGE_SIZE 32   /* a publish has about as many bytes */

static void
serve_echo(void *arg)
{
	nng_socket socket;
	nng_msg *message;

	if (nng_rep0_open(&socket) != 0 ||
	    nng_listen(socket, arg, NULL, 0) != 0)
		give_up("the echo cannot listen at %s", (char *)arg);
	while (nng_recvmsg(socket, &message, 0) == 0)
		if (nng_sendmsg(socket, message, 0) != 0)
			give_up("the echo cannot answer");
}

struct trips {
	struct trainer *trainer;
	nng_socket echo;
	int raw;
	double quantile; /* of a round, which is its value */
	double seconds[N_TRIPS];
};

static int
compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double
trips_value(struct trips *trips)
{
	qsort(trips->seconds, N_TRIPS, sizeof *trips->seconds, compare_doubles);
	return trips->seconds[(size_t)(trips->quantile * (N_TRIPS - 1))];
}

static double
run_publish(void *arg)
{
	struct trips *trips = arg;
	struct trainer *trainer = trips->trainer;

	for (unsigned int i = 0; i < N_TRIPS; i++) {
		double begin = bench_now();

		if (emad_publish(trainer->publisher, trainer->step++,
				 trainer->tensors) != EMAD_OK)
			give_up("%s", emad_error());
		trainer_flush(trainer);
		trips->seconds[i] = bench_now() - begin;
	}
	return trips_value(trips);
}

static double
run_echo(void *arg)
{
	struct trips *trips = arg;

	for (unsigned int i = 0; i < N_TRIPS; i++) {
		double begin = bench_now();
		nng_msg *message;

		insist(nng_msg_alloc(&message, MESSAGE_SIZE) == 0);
		memset(nng_msg_body(message), 0, MESSAGE_SIZE);
		insist(nng_sendmsg(trips->echo, message, 0) == 0);
		insist(nng_recvmsg(trips->echo, &message, 0) == 0);
		nng_msg_free(message);
		trips->seconds[i] = bench_now() - begin;
	}
	return trips_value(trips);
}

/* A publish's way without libnng, but for a request that computes nothing. */
static double
run_raw(void *arg)
{
	struct trips *trips = arg;

	for (unsigned int i = 0; i < N_TRIPS; i++) {
		double begin = bench_now();

		wire_reply_free(raw_status(trips->raw));
		trips->seconds[i] = bench_now() - begin;
	}
	return trips_value(trips);
}

static void
report(const struct variant *variants)
{
	struct samples figure;

	bench_heading("publish a model of 4 KB until the answer");
	figure = samples_divide(&variants[0].seconds, &variants[2].seconds);
	bench_report("roundtrip.p50_to_echo", "ratio", AT_MOST(1.0), &figure);
	figure = samples_divide(&variants[1].seconds, &variants[3].seconds);
	bench_report("roundtrip.p99_to_echo", "ratio", NO_GOAL, &figure);
	figure = samples_scale(&variants[0].seconds, 1e6);
	bench_report("roundtrip.p50", "us", NO_GOAL, &figure);
	figure = samples_scale(&variants[1].seconds, 1e6);
	bench_report("roundtrip.p99", "us", NO_GOAL, &figure);
	figure = samples_scale(&variants[2].seconds, 1e6);
	bench_report("roundtrip.echo_p50", "us", NO_GOAL, &figure);
	figure = samples_scale(&variants[3].seconds, 1e6);
	bench_report("roundtrip.echo_p99", "us", NO_GOAL, &figure);
	figure = samples_scale(&variants[4].seconds, 1e6);
	bench_report("roundtrip.raw_status_p50", "us", NO_GOAL, &figure);
}

int
main(int argc, char **argv)
{
	static struct trainer trainer;
	static struct trips publishes[2], echoes[2], raw;
	struct variant variants[] = {
		{ .run = run_publish, .arg = &publishes[0] },
		{ .run = run_publish, .arg = &publishes[1] },
		{ .run = run_echo, .arg = &echoes[0] },
		{ .run = run_echo, .arg = &echoes[1] },
		{ .run = run_raw, .arg = &raw },
	};
	struct bench_options options = bench_begin(argc, argv);
	char address[128];
	struct daemon daemon;
	pid_t pid;

	story_begin();
	(void)snprintf(address, sizeof address, "ipc://%s/echo.sock",
		       story_folder());
	daemon_new(&daemon);
	pid = child_start(serve_echo, address);
	wait_until(access(address + strlen("ipc://"), F_OK) == 0) continue;
	bench_watch(daemon.pid);
	bench_watch(pid);

	insist(nng_req0_open(&echoes[0].echo) == 0);
	insist(nng_dial(echoes[0].echo, address, NULL, 0) == 0);
	raw.raw = raw_open(daemon_socket(&daemon));
	trainer_init(&trainer);
	trainer_add(&trainer, N_FLOATS);
	trainer_allocate(&trainer);
	trainer_attach(&trainer, &daemon, 0);
	publishes[0].trainer = &trainer;
	publishes[0].quantile = 0.5;
	publishes[1] = publishes[0];
	publishes[1].quantile = 0.99;
	echoes[0].quantile = 0.5;
	echoes[1] = echoes[0];
	echoes[1].quantile = 0.99;
	raw.quantile = 0.5;
	bench_run(variants, sizeof variants / sizeof *variants,
		  options.n_rounds);
	report(variants);

	trainer_end(&trainer);
	(void)nng_close(echoes[0].echo);
	(void)close(raw.raw);
	bench_watch(0);
	child_kill(pid);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
