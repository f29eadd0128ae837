#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "daemon/io/endpoint_private.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

struct request {
	struct connection *connection; /* NULL: gone */
	struct list entry;
	struct endpoint_peer peer;
	struct sp_message message;
	void (*on_gone)(struct request *request, void *arg);
	void *arg;
};

void
request_deliver(struct connection *connection, const struct sp_message *message)
{
	struct endpoint *endpoint = connection->endpoint;
	struct request *request = calloc(1, sizeof *request);

	if (!request) {
		free(message->payload);
		connection_doom(connection, "asked when memory was out");
		return;
	}
	request->connection = connection;
	request->peer = connection->peer;
	request->message = *message;
	list_append(&connection->requests, &request->entry);
	connection->n_requests++;
	endpoint->on_request(request, endpoint->arg);
}

static void
detach(struct connection *connection, struct request *request)
{
	list_remove(&request->entry);
	request->connection = NULL;
	connection->n_requests--;
}

void
request_let_all_go(struct connection *connection)
{
	while (!list_is_empty(&connection->requests)) {
		struct request *request = list_first(&connection->requests,
						     struct request, entry);

		detach(connection, request);
		if (request->on_gone)
			request->on_gone(request, request->arg);
	}
}

void
request_reply(struct request *request, const void *body, size_t size)
{
	struct connection *connection = request->connection;

	if (connection) {
		detach(connection, request);
		if (!connection->is_doomed)
			connection_send(connection, &request->message, body,
					size);
		if (connection->is_paused)
			connection_wake(connection);
	}
	free(request->message.payload);
	free(request);
}

const void *
request_body(const struct request *request, size_t *ret_size)
{
	const struct sp_message *message = &request->message;

	*ret_size = message->size - message->ids_size;
	return message->payload + message->ids_size;
}

const struct endpoint_peer *
request_peer(const struct request *request)
{
	return &request->peer;
}

int
request_peer_pidfd(const struct request *request)
{
	socklen_t size = sizeof(int);
	int pidfd;

	if (!request->connection)
		return -ESRCH;
	if (getsockopt(connection_fd(request->connection), SOL_SOCKET,
		       SO_PEERPIDFD, &pidfd, &size) == 0)
		return pidfd;
	/* Kernels differ in what they call a process that is reaped. */
	if (errno == EINVAL || errno == ENODATA)
		return -ESRCH;
	if (errno != ENOPROTOOPT)
		return -errno;
	if (request->peer.pid <= 0)
		return -EOPNOTSUPP;
	pidfd = (int)syscall(SYS_pidfd_open, request->peer.pid, 0);
	return pidfd < 0 ? -errno : pidfd;
}

void
request_set_on_gone(struct request *request,
		    void (*on_gone)(struct request *request, void *arg),
		    void *arg)
{
	request->on_gone = on_gone;
	request->arg = arg;
}
