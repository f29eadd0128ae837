/*
 * The endpoint's insides: what endpoint.c (deadlines, the end), listener.c
 * (new clients), connection.c (one client) and request.c share.  Nobody else
 * includes this.
 *
 * A handler may call anything of endpoint.h at any time, so nothing is closed
 * and no callback is called from inside such a call: the connection is put on
 * the endpoint's list of those that need attention, and the loop attends to it.
 */
#ifndef DAEMON_IO_ENDPOINT_PRIVATE_H
#define DAEMON_IO_ENDPOINT_PRIVATE_H

#include "daemon/io/endpoint.h"
#include "daemon/io/sp.h"
#include "daemon/list.h"

#define READ_BUFFER_SIZE (64 * 1024)

struct uid_count {
	struct list entry;
	uid_t uid;
	unsigned int n_connections;
};

struct endpoint {
	uv_loop_t *loop;
	struct endpoint_limits limits;
	struct sp_limits sp_limits;
	endpoint_on_request_fn *on_request;
	void *arg;

	struct list listeners;
	struct list uids;
	struct list connections;
	struct list without_hello; /* oldest first */
	struct list paused;        /* not read from: somebody must look */
	struct list attention;
	unsigned int n_connections;
	unsigned int n_handles; /* libuv still has, besides the next two */

	uv_idle_t attend; /* runs while attention is not empty */
	uv_timer_t sweep; /* runs while there are deadlines */
	bool is_accept_paused;
	bool is_full; /* was out of descriptors, and said so */
	bool is_draining;
	bool is_closing;
	uint64_t close_deadline;
	void (*closed)(void *arg);
	void *closed_arg;

	char read_buffer[READ_BUFFER_SIZE]; /* shared: emptied at once */
};

struct connection {
	struct endpoint *endpoint;
	uv_pipe_t pipe;
	struct endpoint_peer peer;
	struct uid_count *uid_count;
	struct list entry;       /* in connections */
	struct list waiting;     /* in without_hello or paused, or in none */
	struct list attention;   /* in attention, or in none */
	uint64_t hello_deadline; /* 0: it came */

	struct sp_parser parser;
	struct list requests; /* outstanding */
	unsigned int n_requests;
	unsigned char *rest; /* read, but not parsed before the pause */
	struct sp_input rest_input;
	bool is_paused;
	bool is_doomed; /* to be closed as soon as the loop attends to it */
};

/* endpoint.c: there is something to wait for, or to attend to, now. */
void endpoint_start_sweep(struct endpoint *endpoint);
void endpoint_attend_soon(struct endpoint *endpoint);

/* One of the endpoint's libuv handles is closed. */
void endpoint_forget_handle(struct endpoint *endpoint);

/* Count one more of @uid, or NULL: it has as many as it may have. */
struct uid_count *endpoint_count_uid(struct endpoint *endpoint, uid_t uid);
void endpoint_uncount_uid(struct uid_count *count);

/* listener.c: take new clients, or leave them waiting. */
void listener_start_all(struct endpoint *endpoint);
void listener_stop_all(struct endpoint *endpoint);
void listener_close_all(struct endpoint *endpoint);

/* connection.c: serve the client at @fd, which is taken. */
void connection_start(struct endpoint *endpoint, int fd);
int connection_fd(const struct connection *connection);

/* Close it soon, and drop what is not written; @why is for the log. */
void connection_doom(struct connection *connection, const char *why);

/* Have the loop call connection_attend(). */
void connection_wake(struct connection *connection);

/* Do what could not be done on the spot: read on, or close. */
void connection_attend(struct connection *connection);

/* Stop reading until connection_attend() finds that it can go on. */
void connection_pause(struct connection *connection);

/* Whether the client hung up; reading would tell, were it not paused. */
bool connection_is_hung_up(const struct connection *connection);

/* Write the reply to @message now, or queue it; may doom the connection. */
void
connection_send(struct connection *connection, const struct sp_message *message,
		const void *body, size_t size);

/* request.c: hand @message, which is taken, to the handler. */
void request_deliver(struct connection *connection,
		     const struct sp_message *message);

/* The handlers' requests live on without the connection. */
void request_let_all_go(struct connection *connection);

#endif
