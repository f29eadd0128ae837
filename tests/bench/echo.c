#include "tests/bench/echo.h"

#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/story.h"

#define CONTEXTS_MAX 128

static void
serve_one_by_one(nng_socket socket)
{
	nng_msg *message;

	while (nng_recvmsg(socket, &message, 0) == 0)
		if (nng_sendmsg(socket, message, 0) != 0)
			give_up("the echo cannot answer");
}

struct context {
	nng_ctx context;
	nng_aio *aio;
	bool is_sending;
};

/* On one of libnng's threads: what was received is sent, and so on. */
static void
on_event(void *arg)
{
	struct context *context = arg;

	if (nng_aio_result(context->aio) != 0)
		give_up("the echo: %s",
			nng_strerror(nng_aio_result(context->aio)));
	context->is_sending = !context->is_sending;
	if (context->is_sending)
		nng_ctx_send(context->context, context->aio);
	else
		nng_ctx_recv(context->context, context->aio);
}

static void
serve_contexts(nng_socket socket, unsigned int n)
{
	static struct context contexts[CONTEXTS_MAX];

	insist(n <= CONTEXTS_MAX);
	for (unsigned int i = 0; i < n; i++) {
		struct context *context = &contexts[i];

		insist(nng_ctx_open(&context->context, socket) == 0);
		insist(nng_aio_alloc(&context->aio, on_event, context) == 0);
		nng_ctx_recv(context->context, context->aio);
	}
	for (;;)
		(void)pause();
}

static void
serve(void *arg)
{
	const struct echo_server *server = arg;
	nng_socket socket;

	if (nng_rep0_open(&socket) != 0 ||
	    nng_listen(socket, server->address, NULL, 0) != 0)
		give_up("the echo cannot listen at %s", server->address);
	if (server->n_contexts == 0)
		serve_one_by_one(socket);
	else
		serve_contexts(socket, server->n_contexts);
}

void
echo_server_start(struct echo_server *ret_server, unsigned int n_contexts)
{
	struct echo_server server = { .n_contexts = n_contexts };

	(void)snprintf(server.address, sizeof server.address,
		       "ipc://%s/echo%u.sock", story_folder(), n_contexts);
	server.pid = child_start(serve, &server);
	wait_until(access(server.address + strlen("ipc://"), F_OK) ==
		   0) continue;
	*ret_server = server;
}

void
echo_server_stop(struct echo_server *server)
{
	child_kill(server->pid);
}

void
echo_client_init(struct echo_client *ret_client,
		 const struct echo_server *server, size_t size)
{
	struct echo_client client = { .size = size };

	for (size_t i = 0; i < ECHO_SOCKETS; i++) {
		insist(nng_req0_open(&client.sockets[i]) == 0);
		/* A blocking dial can fail when many connect at once. */
		insist(nng_dial(client.sockets[i], server->address, NULL,
				NNG_FLAG_NONBLOCK) == 0);
	}
	*ret_client = client;
}

void
echo_client_deinit(struct echo_client *client)
{
	for (size_t i = 0; i < ECHO_SOCKETS; i++)
		(void)nng_close(client->sockets[i]);
}

void
echo_trip(struct echo_client *client)
{
	nng_socket socket = client->sockets[client->next++ % 2];
	nng_msg *message;

	insist(nng_msg_alloc(&message, client->size) == 0);
	memset(nng_msg_body(message), 0, client->size);
	insist(nng_sendmsg(socket, message, 0) == 0);
	insist(nng_recvmsg(socket, &message, 0) == 0);
	nng_msg_free(message);
}
