/*
 * A stage for tests of the endpoint: one endpoint on one loop, a handler that
 * does what a request's first byte says, and clients made of bare sockets on
 * the same loop.  Checked fixtures set it and strike it, and striking looks
 * that no descriptor is left.
 *
 * What the handler does: 'H' holds the request in stage.held, 'G' does too and
 * answers it as soon as the client is gone, 'C' closes the endpoint and then
 * echoes, anything else is echoed at once.
 */
#ifndef TESTS_LIB_STAGE_H
#define TESTS_LIB_STAGE_H

#include <check.h>
#include <uv.h>

#include "daemon/io/endpoint.h"

#define STAGE_HELD_MAX 64
#define STAGE_HELLO    "\0SP\0\0\x30\0\0"

struct stage {
	uv_loop_t loop;
	struct endpoint *endpoint; /* NULL: closed */
	struct endpoint_limits limits;
	char directory[64];
	char path[80];
	unsigned int n_requests;
	unsigned int n_held;
	struct request *held[STAGE_HELD_MAX];
	unsigned int n_gone;
	bool is_closed;
	int n_descriptors; /* before */
	uv_timer_t tick;
};

extern struct stage stage;

/* Set the stage with ENDPOINT_LIMITS_DEFAULT, or with others. */
void stage_set(void);
void stage_set_with(const struct endpoint_limits *limits);

/* Close all of it and look that nothing is left behind. */
void stage_strike(void);

/* Close the endpoint alone, and with the second, wait until it is. */
void stage_begin_close(void);
void stage_close_endpoint(void);

/* A new one after that. */
void stage_open_endpoint(void);

/* One turn of the loop; fails the test when @deadline is over. */
uint64_t stage_deadline(void);
void stage_turn(uint64_t deadline, const char *condition);

/* Run the loop until the condition holds. */
#define stage_await(condition)                                                 \
	do {                                                                   \
		uint64_t deadline_ = stage_deadline();                         \
                                                                               \
		while (!(condition))                                           \
			stage_turn(deadline_, #condition);                     \
	} while (0)

/* Answer the held request number @i; NULL: with its own body. */
void stage_answer(unsigned int i, const char *body);

/* Descriptors that this process has open. */
int stage_count_descriptors(void);

/* A connected socket, non-blocking; with stage_open() the hellos are over. */
int stage_connect(void);
int stage_open(void);

/* Write and read all, with the loop running; false: it was closed. */
bool stage_write(int fd, const void *bytes, size_t size);
bool stage_read(int fd, void *ret_bytes, size_t size);

/* The next bytes are the end of the connection; what comes before is lost. */
void stage_await_end(int fd);

/* One request: header, id, body.  Returns its length. */
#define STAGE_HEAD_SIZE 13
size_t stage_request(unsigned char *ret_bytes, uint32_t id, const void *body,
		     size_t size);

/* Send a request, and (or) look that the reply is this one. */
void stage_ask(int fd, uint32_t id, const char *body);
void stage_await_reply(int fd, uint32_t id, const char *body);

/*
 * A child that asked and lives until it is killed or @ret_lifeline is closed,
 * with a child of its own that keeps its descriptors.  Its request is held.
 */
pid_t stage_start_asker(int *ret_lifeline);

/* A round trip on @fd, or on a connection of its own. */
void stage_check_served_on(int fd);
void stage_check_served(void);

#endif
