/*
 * What a publish is compared with: libnng's own REQ and REP sockets, a program
 * that sends back what it gets, and a client with as many sockets as
 * libemad's, which asks one of the first two in turn as a publisher with two
 * slots does.
 *
 * Servers run in processes of their own, started before this one uses libnng.
 */
#ifndef TESTS_BENCH_ECHO_H
#define TESTS_BENCH_ECHO_H

#include <nng/nng.h>
#include <stddef.h>
#include <sys/types.h>

#define ECHO_SOCKETS 3 /* one for each slot, one for all else */

struct echo_server {
	char address[128];
	unsigned int n_contexts; /* 0: a loop that receives and sends */
	pid_t pid;
};

/*
 * With @n_contexts, so many requests are under way at once on libnng's
 * threads; with none, one after another on the server's only thread.
 */
void echo_server_start(struct echo_server *ret_server, unsigned int n_contexts);
void echo_server_stop(struct echo_server *server);

struct echo_client {
	nng_socket sockets[ECHO_SOCKETS];
	unsigned int next;
	size_t size; /* bytes of a message */
};

void echo_client_init(struct echo_client *ret_client,
		      const struct echo_server *server, size_t size);
void echo_client_deinit(struct echo_client *client);

/* A message there and back. */
void echo_trip(struct echo_client *client);

#endif
