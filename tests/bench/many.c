/*
 * Sixty-four publishers at once, each of a model of 4 KiB, beside libnng's own
 * echo with as many clients, and beside as many clients that write the wire's
 * bytes themselves: requests per second in all.
 *
 * Each publisher is a process, as trainers are.  The same processes are the
 * echo's clients when it is its turn, with messages as long as a publish and as
 * many sockets as libemad has; each waits for an answer before it asks again.
 * The echo's server is a simple loop, or callbacks on libnng's threads: the
 * faster one counts.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/echo.h"
#include "tests/bench/raw_trainer.h"
#include "tests/bench/trainer.h"
#include "tests/lib/story.h"

#define N_CLIENTS  64
#define N_TRIPS    50 /* of a client in a round */
#define N_CONTEXTS 64

enum way {
	PUBLISH,
	RAW,
	ECHO, /* of the loop, and of the callbacks */
	N_WAYS = ECHO + 2,
	LEAVE = N_WAYS,
};

/* In memory that all processes share. */
struct many {
	struct daemon daemon;
	struct echo_server servers[2];
	_Atomic unsigned int n_ready;
	_Atomic unsigned int n_done;
	double ends[N_CLIENTS]; /* when each was done */
};

struct client {
	struct many *many;
	unsigned int index;
	int orders; /* a pipe: one byte is one way to go, or LEAVE */
	struct trainer trainer;
	struct raw_trainer raw;
	struct echo_client echoes[2];
};

static void
begin_client(struct client *client)
{
	struct many *many = client->many;
	struct trainer *trainer = &client->trainer;
	char model[32];

	trainer_init(trainer);
	(void)snprintf(trainer->model, sizeof trainer->model, "m%u",
		       client->index);
	trainer_add(trainer, RAW_TRAINER_FLOATS);
	trainer_allocate(trainer);
	trainer_attach(trainer, &many->daemon, 0);
	(void)snprintf(model, sizeof model, "r%u", client->index);
	raw_trainer_init(&client->raw, daemon_socket(&many->daemon), model, 2);
	for (size_t i = 0; i < 2; i++) {
		echo_client_init(
			&client->echoes[i], &many->servers[i],
			raw_publish_size(&client->raw.session, 1, 1000, 1000));
		echo_trip(&client->echoes[i]);
	}
}

static void
go_once(struct client *client, enum way way)
{
	struct trainer *trainer = &client->trainer;

	switch (way) {
	case PUBLISH:
		if (emad_publish(trainer->publisher, trainer->step++,
				 trainer->tensors) != EMAD_OK)
			give_up("%s", emad_error());
		trainer_flush(trainer);
		break;
	case RAW:
		raw_trainer_publish(&client->raw);
		break;
	default:
		echo_trip(&client->echoes[way - ECHO]);
	}
}

/* A process of its own. */
static void
run_client(void *arg)
{
	struct client *client = arg;
	struct many *many = client->many;
	unsigned char way;

	begin_client(client);
	atomic_fetch_add(&many->n_ready, 1);
	while (read(client->orders, &way, 1) == 1 && way != LEAVE) {
		for (unsigned int i = 0; i < N_TRIPS; i++)
			go_once(client, way);
		many->ends[client->index] = bench_now();
		atomic_fetch_add(&many->n_done, 1);
	}
	trainer_end(&client->trainer);
}

/* The way that a variant goes; the pipes are the program's. */
struct turn {
	struct many *many;
	unsigned char way;
};

static int orders[N_CLIENTS];

/* Seconds per request: from the first order until the last is done. */
static double
run_turn(void *arg)
{
	const struct turn *turn = arg;
	struct many *many = turn->many;
	double begin = bench_now();
	double end = begin;

	many->n_done = 0;
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		insist(write(orders[i], &turn->way, 1) == 1);
	wait_until(many->n_done == N_CLIENTS) continue;
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		end = many->ends[i] > end ? many->ends[i] : end;
	return (end - begin) / (N_CLIENTS * N_TRIPS);
}

static void
start_clients(struct many *many, pid_t *ret_pids)
{
	static struct client client;

	for (unsigned int i = 0; i < N_CLIENTS; i++) {
		int ends[2];

		insist(pipe2(ends, O_CLOEXEC) == 0);
		client = (struct client) {
			.many = many,
			.index = i,
			.orders = ends[0],
		};
		orders[i] = ends[1];
		ret_pids[i] = child_start(run_client, &client);
		bench_watch(ret_pids[i]);
		(void)close(ends[0]);
	}
	wait_until(many->n_ready == N_CLIENTS) continue;
}

static void
report(const struct variant *variants)
{
	const struct variant *echo = variants_best(&variants[ECHO], 2);
	struct samples figure;

	bench_heading("%d publishers of 4 KiB each; the best echo has %s",
		      N_CLIENTS,
		      echo == &variants[ECHO] ? "a loop" : "callbacks");
	figure = samples_divide(&echo->seconds, &variants[PUBLISH].seconds);
	bench_report("many.rate_to_echo", "ratio", AT_LEAST(1.0), &figure);
	figure = samples_divide(&echo->seconds, &variants[RAW].seconds);
	bench_report("many.raw_rate_to_echo", "ratio", NO_GOAL, &figure);
	figure = samples_invert(&variants[PUBLISH].seconds);
	bench_report("many.per_second", "1/s", NO_GOAL, &figure);
	figure = samples_invert(&echo->seconds);
	bench_report("many.echo_per_second", "1/s", NO_GOAL, &figure);
	figure = samples_invert(&variants[RAW].seconds);
	bench_report("many.raw_per_second", "1/s", NO_GOAL, &figure);
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);
	static struct variant variants[N_WAYS];
	static struct turn turns[N_WAYS];
	struct many *many = shared_new(sizeof *many);
	pid_t pids[N_CLIENTS];

	story_begin();
	daemon_new(&many->daemon);
	bench_watch(many->daemon.pid);
	for (size_t i = 0; i < 2; i++) {
		echo_server_start(&many->servers[i], i == 0 ? 0 : N_CONTEXTS);
		bench_watch(many->servers[i].pid);
	}
	start_clients(many, pids);
	for (size_t i = 0; i < N_WAYS; i++) {
		turns[i] = (struct turn) { many, (unsigned char)i };
		variants[i] = (struct variant) { run_turn, .arg = &turns[i] };
	}
	bench_run(variants, N_WAYS, options.n_rounds);
	report(variants);

	bench_watch(0);
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		insist(write(orders[i], &(unsigned char) { LEAVE }, 1) == 1);
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		child_finish(pids[i]);
	for (size_t i = 0; i < 2; i++)
		echo_server_stop(&many->servers[i]);
	daemon_stop(&many->daemon);
	story_end();
	bench_end();
	return 0;
}
