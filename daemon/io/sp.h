/*
 * The bytes of nng's protocols: SP over a stream, as a replier sees them.
 *
 * A connection begins with an 8-byte hello each way.  Then come messages: the
 * byte 1, a 64-bit big-endian length, a payload.  A request's payload is a
 * stack of 32-bit ids, of which the last one has its top bit set, and the
 * body; a reply carries the same stack.
 *
 * Not done here: descriptors and time.  Nothing is believed before it is
 * checked, and no more is allocated than a small multiple of what arrived.
 */
#ifndef DAEMON_IO_SP_H
#define DAEMON_IO_SP_H

#include "proto/util.h"

#define SP_HELLO_SIZE     8
#define SP_HEAD_SIZE      9 /* type and length */
#define SP_IDS_MAX        8 /* in one stack: so many devices on the way */
#define SP_IDS_SIZE_MAX   (SP_IDS_MAX * 4)
#define SP_FIRST_BYTES    64 /* of a body, that may_be_large() sees */
#define SP_REPLY_HEAD_MAX (SP_HEAD_SIZE + SP_IDS_SIZE_MAX)

/* What a replier says first. */
extern const unsigned char sp_hello[SP_HELLO_SIZE];

struct sp_limits {
	size_t body_max;
	size_t large_body_max; /* if may_be_large() says so */
	bool (*may_be_large)(const void *first_bytes, size_t n);
};

/* A whole request; the payload is malloc'ed, and the receiver's. */
struct sp_message {
	unsigned char *payload;
	size_t ids_size; /* bytes before the body */
	size_t size;     /* bytes, ids and body */
};

/* Bytes that arrived; parsing takes them from the front. */
struct sp_input {
	const unsigned char *bytes;
	size_t size;
};

/* All zero: a connection's start. */
struct sp_parser {
	bool has_hello;
	const char *broken; /* why the peer cannot be understood, or NULL */
	unsigned char head[SP_HEAD_SIZE];
	size_t head_size;          /* bytes of hello or head that came */
	struct sp_message message; /* as far as known; ids_size 0: not yet */
	size_t received;           /* bytes of the payload that came */
	size_t capacity;
};

enum sp_result {
	SP_MORE,    /* all of the input was taken, and more is needed */
	SP_MESSAGE, /* a message is complete; there may be input left */
	SP_BROKEN,  /* parser->broken says why; do not go on */
};

/* Take input until a message is complete.  @ret_message only if one is. */
enum sp_result
sp_parse(struct sp_parser *parser, const struct sp_limits *limits,
	 struct sp_input *input, struct sp_message *ret_message);

/* Free what an incomplete message holds. */
void sp_parser_deinit(struct sp_parser *parser);

/*
 * Write all of a reply that comes before its body of @body_size bytes, and
 * return how long that is.
 */
size_t sp_write_reply_head(unsigned char ret_head[SP_REPLY_HEAD_MAX],
			   const struct sp_message *request, size_t body_size);

#endif
