#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/io/endpoint_private.h"
#include "daemon/log.h"

/* What the socket did not take at once. */
struct pending_write {
	uv_write_t write;
	unsigned char bytes[];
};

static uv_stream_t *
stream_of(struct connection *connection)
{
	return (uv_stream_t *)&connection->pipe;
}

int
connection_fd(const struct connection *connection)
{
	int fd = -1;

	(void)uv_fileno((const uv_handle_t *)&connection->pipe, &fd);
	return fd;
}

void
connection_wake(struct connection *connection)
{
	if (!list_is_empty(&connection->attention))
		return;
	list_append(&connection->endpoint->attention, &connection->attention);
	endpoint_attend_soon(connection->endpoint);
}

void
connection_doom(struct connection *connection, const char *why)
{
	if (connection->is_doomed)
		return;
	log_debug("connection of pid %d: closed, it %s",
		  (int)connection->peer.pid, why);
	connection->is_doomed = true;
	(void)uv_read_stop(stream_of(connection));
	connection_wake(connection);
}

void
connection_pause(struct connection *connection)
{
	if (connection->is_paused)
		return;
	connection->is_paused = true;
	(void)uv_read_stop(stream_of(connection));
	if (list_is_empty(&connection->waiting))
		list_append(&connection->endpoint->paused,
			    &connection->waiting);
	endpoint_start_sweep(connection->endpoint);
}

bool
connection_is_hung_up(const struct connection *connection)
{
	struct pollfd client = { .fd = connection_fd(connection),
				 .events = POLLRDHUP };

	return poll(&client, 1, 0) > 0;
}

/* Whether another request of this client may be taken. */
static bool
may_take(const struct connection *connection)
{
	const struct endpoint *endpoint = connection->endpoint;

	return !connection->is_doomed && !endpoint->is_draining &&
	       connection->n_requests < endpoint->limits.outstanding_max;
}

/* From the hello on there is no deadline any more. */
static void
expect_no_hello(struct connection *connection)
{
	if (connection->hello_deadline == 0 || !connection->parser.has_hello)
		return;
	connection->hello_deadline = 0;
	list_remove(&connection->waiting);
}

/* Parse until there is no more, or no more may be taken now. */
static void
take_input(struct connection *connection, struct sp_input *input)
{
	const struct sp_limits *limits = &connection->endpoint->sp_limits;
	struct sp_message message;
	enum sp_result result = SP_MESSAGE;

	while (result == SP_MESSAGE && input->size > 0 &&
	       may_take(connection)) {
		result = sp_parse(&connection->parser, limits, input, &message);
		expect_no_hello(connection);
		if (result == SP_MESSAGE)
			request_deliver(connection, &message);
		else if (result == SP_BROKEN)
			connection_doom(connection, connection->parser.broken);
	}
}

static void
keep_rest(struct connection *connection, const struct sp_input *input)
{
	if (input->size == 0)
		return;
	connection->rest = malloc(input->size);
	if (!connection->rest) {
		connection_doom(connection, "sent more than memory holds");
		return;
	}
	memcpy(connection->rest, input->bytes, input->size);
	connection->rest_input.bytes = connection->rest;
	connection->rest_input.size = input->size;
}

static void
on_alloc(uv_handle_t *handle, size_t suggested_size, uv_buf_t *buf)
{
	struct connection *connection =
		container_of((uv_pipe_t *)handle, struct connection, pipe);

	(void)suggested_size;
	buf->base = connection->endpoint->read_buffer;
	buf->len = READ_BUFFER_SIZE;
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct connection *connection =
		container_of((uv_pipe_t *)stream, struct connection, pipe);
	struct sp_input input = { .bytes = (const unsigned char *)buf->base };

	if (n < 0) {
		connection_doom(connection, "hung up");
		return;
	}
	input.size = (size_t)n;
	take_input(connection, &input);
	if (connection->is_doomed || may_take(connection))
		return;
	keep_rest(connection, &input);
	connection_pause(connection);
}

static void
read_on(struct connection *connection)
{
	int r;

	take_input(connection, &connection->rest_input);
	if (!may_take(connection))
		return;
	free(connection->rest);
	connection->rest = NULL;
	connection->is_paused = false;
	list_remove(&connection->waiting);
	r = uv_read_start(stream_of(connection), on_alloc, on_read);
	if (r < 0)
		connection_doom(connection, "cannot be read from");
}

static void
on_closed(uv_handle_t *handle)
{
	struct connection *connection =
		container_of((uv_pipe_t *)handle, struct connection, pipe);
	struct endpoint *endpoint = connection->endpoint;

	free(connection);
	endpoint_forget_handle(endpoint);
}

static void
close_connection(struct connection *connection)
{
	struct endpoint *endpoint = connection->endpoint;

	connection->is_doomed = true;
	list_remove(&connection->entry);
	list_remove(&connection->waiting);
	request_let_all_go(connection);
	list_remove(&connection->attention);
	endpoint->n_connections--;
	endpoint_uncount_uid(connection->uid_count);
	sp_parser_deinit(&connection->parser);
	free(connection->rest);
	uv_close((uv_handle_t *)&connection->pipe, on_closed);
}

void
connection_attend(struct connection *connection)
{
	bool is_closing = connection->endpoint->is_closing;

	if (is_closing)
		request_let_all_go(connection);
	if (connection->is_doomed ||
	    (is_closing &&
	     uv_stream_get_write_queue_size(stream_of(connection)) == 0))
		close_connection(connection);
	else if (connection->is_paused && may_take(connection))
		read_on(connection);
}

static int
say_hello_and_read(struct connection *connection, int fd)
{
	uv_buf_t hello = { .base = (char *)sp_hello, .len = SP_HELLO_SIZE };
	int r;

	r = uv_pipe_open(&connection->pipe, fd);
	if (r < 0) {
		(void)close(fd);
		return r;
	}
	r = uv_try_write(stream_of(connection), &hello, 1);
	if (r != SP_HELLO_SIZE)
		return r < 0 ? r : -EPIPE;
	return uv_read_start(stream_of(connection), on_alloc, on_read);
}

static bool
ask_peer(int fd, struct endpoint_peer *ret_peer)
{
	struct ucred credentials;
	socklen_t size = sizeof credentials;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return false;
	ret_peer->uid = credentials.uid;
	ret_peer->gid = credentials.gid;
	ret_peer->pid = credentials.pid;
	return true;
}

void
connection_start(struct endpoint *endpoint, int fd)
{
	struct endpoint_peer peer;
	struct uid_count *count = NULL;
	struct connection *connection = calloc(1, sizeof *connection);

	if (connection && ask_peer(fd, &peer))
		count = endpoint_count_uid(endpoint, peer.uid);
	if (!count) {
		free(connection);
		(void)close(fd);
		return;
	}
	connection->endpoint = endpoint;
	connection->peer = peer;
	connection->uid_count = count;
	list_append(&endpoint->connections, &connection->entry);
	list_append(&endpoint->without_hello, &connection->waiting);
	list_init(&connection->attention);
	list_init(&connection->requests);
	connection->hello_deadline =
		uv_now(endpoint->loop) + endpoint->limits.hello_ms;
	endpoint->n_connections++;
	endpoint->n_handles++;
	must(uv_pipe_init(endpoint->loop, &connection->pipe, 0) == 0);
	endpoint_start_sweep(endpoint);
	if (say_hello_and_read(connection, fd) < 0)
		connection_doom(connection, "left before the hello");
}

static void
on_written(uv_write_t *write, int status)
{
	struct connection *connection = container_of((uv_pipe_t *)write->handle,
						     struct connection, pipe);

	free(container_of(write, struct pending_write, write));
	if (status == UV_ECANCELED)
		return;
	if (status < 0)
		connection_doom(connection, "went away with replies unread");
	else if (connection->endpoint->is_closing)
		connection_wake(connection);
}

/* Queue what is left of @bufs after @n_written bytes. */
static void
write_rest(struct connection *connection, const uv_buf_t bufs[2],
	   size_t n_written)
{
	size_t size = bufs[0].len + bufs[1].len - n_written;
	size_t queued = uv_stream_get_write_queue_size(stream_of(connection));
	size_t unwritten_max = connection->endpoint->limits.unwritten_max;
	struct pending_write *pending = NULL;
	unsigned char *end;
	uv_buf_t buf;

	if (size <= unwritten_max && queued <= unwritten_max - size)
		pending = malloc(sizeof *pending + size);
	if (!pending) {
		connection_doom(connection, "does not read its replies");
		return;
	}
	end = pending->bytes;
	for (int i = 0; i < 2; i++) {
		size_t skipped =
			n_written < bufs[i].len ? n_written : bufs[i].len;

		n_written -= skipped;
		if (bufs[i].len > skipped)
			memcpy(end, bufs[i].base + skipped,
			       bufs[i].len - skipped);
		end += bufs[i].len - skipped;
	}
	buf.base = (char *)pending->bytes;
	buf.len = size;
	if (uv_write(&pending->write, stream_of(connection), &buf, 1,
		     on_written) < 0) {
		free(pending);
		connection_doom(connection, "cannot be written to");
	}
}

void
connection_send(struct connection *connection, const struct sp_message *message,
		const void *body, size_t size)
{
	unsigned char head[SP_REPLY_HEAD_MAX];
	uv_buf_t bufs[2];
	int n;

	bufs[0].len = sp_write_reply_head(head, message, size);
	bufs[0].base = (char *)head;
	bufs[1].len = size;
	bufs[1].base = (char *)body;
	n = uv_try_write(stream_of(connection), bufs, size > 0 ? 2 : 1);
	if (n == UV_EAGAIN)
		n = 0;
	if (n < 0)
		connection_doom(connection, "went away before the reply");
	else if ((size_t)n < bufs[0].len + size)
		write_rest(connection, bufs, (size_t)n);
}
