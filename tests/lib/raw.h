/*
 * The wire by hand: bytes on the daemon's socket, as no decent client sends
 * them.  Every wait ends: a daemon that does not answer fails the test.
 */
#ifndef TESTS_LIB_RAW_H
#define TESTS_LIB_RAW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/name.h"
#include "proto/wire.h"

/* A connected socket on which nothing was sent. */
int raw_connect(const char *path);

/* The same after both hellos. */
int raw_open(const char *path);

/* The hello that a REQ socket sends. */
#define RAW_HELLO_SIZE 8
extern const uint8_t raw_hello[RAW_HELLO_SIZE];

/* All of @bytes; false: the daemon has closed the connection. */
bool raw_write(int fd, const void *bytes, size_t size);

/* Exactly @size bytes; false: the daemon has closed the connection. */
bool raw_read(int fd, void *ret_bytes, size_t size);

/* Read and discard until the daemon closes the connection. */
void raw_await_close(int fd);

/* One message: length, request id, body. */
bool raw_send(int fd, uint32_t id, const void *body, size_t size);

/* The next reply and whose it is; NULL: the connection was closed. */
Emad__Reply *raw_receive(int fd, uint32_t *ret_id);

/* Send and receive; gives up if there is no reply.  wire_reply_free(). */
Emad__Reply *raw_ask(int fd, const Emad__Request *request);
Emad__Reply *raw_ask_bytes(int fd, const void *body, size_t size);

/* Only the status of the answer. */
unsigned int raw_ask_status(int fd, const Emad__Request *request);

/* Who the daemon is and what it holds. */
Emad__Reply *raw_status(int fd);

/* The same over a connection of its own, thrown away. */
void raw_status_once(const char *path);

/* Number of sessions, models, connections now. */
struct raw_counts {
	unsigned int n_models;
	unsigned int n_sessions;
	unsigned int n_connections; /* this one included */
};
struct raw_counts raw_count(const char *path);

/* A publisher that follows the protocol as far as the test wants it to. */
struct raw_session {
	int fd;
	uint64_t session;
	size_t n_slots;
	char files[WIRE_SLOTS_MAX][FILE_NAME_SIZE];
	char *slots[WIRE_SLOTS_MAX]; /* mapped */
	uint64_t sizes[WIRE_SLOTS_MAX];
	char *data[WIRE_SLOTS_MAX]; /* of the first tensor */
};

/* An attach of @model with the tensors in @json, all else default. */
Emad__Attach raw_attach_message(const char *model, const char *json);

/* The status; @ret_session is written on OK only. */
unsigned int
raw_attach(struct raw_session *ret_session, int fd, const Emad__Attach *attach);
void raw_session_close(struct raw_session *session);

/* Publish what lies in @slot. */
Emad__Reply *raw_publish(const struct raw_session *session, uint32_t slot,
			 uint64_t sequence, int64_t step);
unsigned int raw_publish_status(const struct raw_session *session,
				uint32_t slot, uint64_t sequence, int64_t step);
void raw_publish_send(const struct raw_session *session, int fd, uint32_t id,
		      uint32_t slot, uint64_t sequence, int64_t step);

/* Bytes of the body of such a publish. */
size_t raw_publish_size(const struct raw_session *session, uint32_t slot,
			uint64_t sequence, int64_t step);

/* State of @model's only average, as a pull answers it. */
struct raw_version {
	unsigned int status;
	int64_t step;
	uint64_t updates;
};
struct raw_version raw_pull(int fd, const char *model);

#endif
