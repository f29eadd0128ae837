/*
 * nng's REQ/REP protocol, the replier's side, on libuv streams.
 *
 * io/sp.c alone knows nng's bytes: SP's 8-byte hello, 64-bit lengths, request
 * ids that go back as they came.  A request is handed to on_request() and
 * answered once, now or later, in any order.
 *
 * Limits protect everybody from anybody: size of a message, requests
 * outstanding per connection (then reading stops), bytes waiting to be written
 * (then the connection is dropped), time until the hello, connections per uid.
 *
 * Loop thread only.
 */
#ifndef DAEMON_IO_ENDPOINT_H
#define DAEMON_IO_ENDPOINT_H

#include <sys/types.h>
#include <uv.h>

#include "proto/util.h"

struct endpoint;
struct request;

struct endpoint_limits {
	size_t message_max;       /* bytes of a message's body */
	size_t large_message_max; /* if may_be_large() says so */
	bool (*may_be_large)(const void *first_bytes, size_t n);
	unsigned int outstanding_max; /* per connection */
	size_t unwritten_max; /* bytes, per connection: one reply fits */
	unsigned int hello_ms;
	unsigned int connections_per_uid;
};

#define ENDPOINT_LIMITS_DEFAULT                                                \
	((struct endpoint_limits) { .message_max = 64 * 1024,                  \
				    .large_message_max = 64 * 1024,            \
				    .outstanding_max = 16,                     \
				    .unwritten_max = 1024 * 1024,              \
				    .hello_ms = 5000,                          \
				    .connections_per_uid = 4096 })

/* Who is at the other end, from the kernel. */
struct endpoint_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

/* Owns the call's @request from now on, until request_reply(). */
typedef void endpoint_on_request_fn(struct request *request, void *arg);

/* Also ignores SIGPIPE from now on: clients go away in the middle. */
int endpoint_new(struct endpoint **ret_endpoint, uv_loop_t *loop,
		 const struct endpoint_limits *limits,
		 endpoint_on_request_fn *on_request, void *arg);

/*
 * Listen on a socket at @path, with @mode whatever the umask says.  A socket
 * file that is there already is taken to be stale and replaced: the caller
 * holds the lock that makes it so.  -ENAMETOOLONG above 107 bytes;
 * -EEXIST: what is there is no socket; -EADDRINUSE: some program listens.
 */
int endpoint_listen(struct endpoint *endpoint, const char *path, mode_t mode);

/* Listen on a socket that the service manager opened.  Always takes @fd. */
int endpoint_listen_fd(struct endpoint *endpoint, int fd);

/* No new connections, no new requests; those outstanding may be answered. */
void endpoint_drain(struct endpoint *endpoint);

/*
 * Close every connection (what was replied is written first, within a second)
 * and the listener, and remove the socket's file.  The caller runs the loop
 * until @closed is called; the endpoint is gone after that.  Requests still
 * outstanding stay the handler's: their replies go nowhere.
 */
void
endpoint_close(struct endpoint *endpoint, void (*closed)(void *arg), void *arg);

unsigned int endpoint_n_connections(const struct endpoint *endpoint);

/* Valid until the reply. */
const void *request_body(const struct request *request, size_t *ret_size);
const struct endpoint_peer *request_peer(const struct request *request);

/*
 * A new pidfd of the process at the other end: from SO_PEERPIDFD, or from its
 * pid on kernels without.  The caller closes it.  -ESRCH: it, or the
 * connection, is gone.  -EOPNOTSUPP: an old kernel, and a process in another
 * pid namespace.
 */
int request_peer_pidfd(const struct request *request);

/*
 * Be told when the connection closes before the reply, for handlers that wait.
 * The request is still the handler's: it replies as ever, to nobody.  @on_gone
 * is called once, from the loop, and may reply.  Set it inside of on_request().
 */
void request_set_on_gone(struct request *request,
			 void (*on_gone)(struct request *request, void *arg),
			 void *arg);

/* Answer, and give the request back.  @body is copied. */
void request_reply(struct request *request, const void *body, size_t size);

#endif
