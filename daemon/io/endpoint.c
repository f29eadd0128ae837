#include "daemon/io/endpoint.h"

#include <signal.h>

#include "daemon/io/endpoint_private.h"
#include "daemon/log.h"

#define SWEEP_MS    100  /* how late a deadline may be noticed */
#define FAREWELL_MS 1000 /* for writing what was replied, at the end */

static void on_sweep(uv_timer_t *timer);

/* The end: the own two handles go last, one after the other. */

static void
on_attend_closed(uv_handle_t *handle)
{
	struct endpoint *endpoint =
		container_of((uv_idle_t *)handle, struct endpoint, attend);
	void (*closed)(void *arg) = endpoint->closed;
	void *arg = endpoint->closed_arg;

	free(endpoint);
	closed(arg);
}

static void
on_sweep_closed(uv_handle_t *handle)
{
	struct endpoint *endpoint =
		container_of((uv_timer_t *)handle, struct endpoint, sweep);

	uv_close((uv_handle_t *)&endpoint->attend, on_attend_closed);
}

void
endpoint_forget_handle(struct endpoint *endpoint)
{
	endpoint->n_handles--;
	if (endpoint->is_closing)
		endpoint_attend_soon(endpoint);
}

/* What must be looked after in every turn, and in every sweep. */

static void
on_attend(uv_idle_t *idle)
{
	struct endpoint *endpoint = container_of(idle, struct endpoint, attend);

	while (!list_is_empty(&endpoint->attention)) {
		struct connection *connection = list_first(
			&endpoint->attention, struct connection, attention);

		list_remove(&connection->attention);
		connection_attend(connection);
	}
	(void)uv_idle_stop(idle);
	if (endpoint->is_closing && endpoint->n_handles == 0)
		uv_close((uv_handle_t *)&endpoint->sweep, on_sweep_closed);
}

void
endpoint_attend_soon(struct endpoint *endpoint)
{
	must(uv_idle_start(&endpoint->attend, on_attend) == 0);
}

void
endpoint_start_sweep(struct endpoint *endpoint)
{
	if (!uv_is_active((uv_handle_t *)&endpoint->sweep))
		must(uv_timer_start(&endpoint->sweep, on_sweep, SWEEP_MS, 0) ==
		     0);
}

static void
drop_the_silent(struct endpoint *endpoint)
{
	uint64_t now = uv_now(endpoint->loop);

	while (!list_is_empty(&endpoint->without_hello)) {
		struct connection *connection = list_first(
			&endpoint->without_hello, struct connection, waiting);

		if (connection->hello_deadline > now)
			return;
		list_remove(&connection->waiting);
		connection_doom(connection, "did not say hello");
	}
}

static void
drop_the_paused_that_hung_up(struct endpoint *endpoint)
{
	list_each_safe (cursor, after, &endpoint->paused) {
		struct connection *connection =
			container_of(cursor, struct connection, waiting);

		if (connection_is_hung_up(connection))
			connection_doom(connection, "hung up");
	}
}

static void
drop_everybody(struct endpoint *endpoint)
{
	list_each (cursor, &endpoint->connections) {
		connection_doom(container_of(cursor, struct connection, entry),
				"does not read its last replies");
	}
}

static void
on_sweep(uv_timer_t *timer)
{
	struct endpoint *endpoint = container_of(timer, struct endpoint, sweep);

	drop_the_silent(endpoint);
	drop_the_paused_that_hung_up(endpoint);
	if (endpoint->is_accept_paused && !endpoint->is_draining)
		listener_start_all(endpoint);
	if (endpoint->is_closing &&
	    uv_now(endpoint->loop) >= endpoint->close_deadline)
		drop_everybody(endpoint);
	if (endpoint->is_closing || !list_is_empty(&endpoint->without_hello) ||
	    !list_is_empty(&endpoint->paused))
		endpoint_start_sweep(endpoint);
}

/* Counting by user. */

struct uid_count *
endpoint_count_uid(struct endpoint *endpoint, uid_t uid)
{
	struct uid_count *count = NULL;

	list_each (cursor, &endpoint->uids) {
		count = container_of(cursor, struct uid_count, entry);
		if (count->uid == uid)
			break;
		count = NULL;
	}
	if (!count) {
		count = calloc(1, sizeof *count);
		if (!count)
			return NULL;
		count->uid = uid;
		list_append(&endpoint->uids, &count->entry);
	}
	if (count->n_connections >= endpoint->limits.connections_per_uid) {
		log_debug("user %u: has %u connections, one more is refused",
			  (unsigned int)uid, count->n_connections);
		return NULL;
	}
	count->n_connections++;
	return count;
}

void
endpoint_uncount_uid(struct uid_count *count)
{
	if (--count->n_connections > 0)
		return;
	list_remove(&count->entry);
	free(count);
}

/* From the beginning to the end. */

int
endpoint_new(struct endpoint **ret_endpoint, uv_loop_t *loop,
	     const struct endpoint_limits *limits,
	     endpoint_on_request_fn *on_request, void *arg)
{
	struct endpoint *endpoint = xcalloc(1, sizeof *endpoint);

	/* libuv writes without MSG_NOSIGNAL, and clients go away. */
	(void)signal(SIGPIPE, SIG_IGN);

	endpoint->loop = loop;
	endpoint->limits = *limits;
	endpoint->sp_limits.body_max = limits->message_max;
	endpoint->sp_limits.large_body_max = limits->large_message_max;
	endpoint->sp_limits.may_be_large = limits->may_be_large;
	endpoint->on_request = on_request;
	endpoint->arg = arg;
	list_init(&endpoint->listeners);
	list_init(&endpoint->uids);
	list_init(&endpoint->connections);
	list_init(&endpoint->without_hello);
	list_init(&endpoint->paused);
	list_init(&endpoint->attention);
	/* These two only fill in fields. */
	must(uv_idle_init(loop, &endpoint->attend) == 0);
	must(uv_timer_init(loop, &endpoint->sweep) == 0);
	*ret_endpoint = endpoint;
	return 0;
}

unsigned int
endpoint_n_connections(const struct endpoint *endpoint)
{
	return endpoint->n_connections;
}

void
endpoint_drain(struct endpoint *endpoint)
{
	endpoint->is_draining = true;
	listener_stop_all(endpoint);
	list_each (cursor, &endpoint->connections) {
		connection_pause(
			container_of(cursor, struct connection, entry));
	}
}

void
endpoint_close(struct endpoint *endpoint, void (*closed)(void *arg), void *arg)
{
	endpoint_drain(endpoint);
	endpoint->closed = closed;
	endpoint->closed_arg = arg;
	endpoint->close_deadline = uv_now(endpoint->loop) + FAREWELL_MS;
	listener_close_all(endpoint);
	list_each (cursor, &endpoint->connections) {
		connection_wake(container_of(cursor, struct connection, entry));
	}
	endpoint->is_closing = true;
	endpoint_start_sweep(endpoint);
	endpoint_attend_soon(endpoint);
}
