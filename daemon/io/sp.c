#include "daemon/io/sp.h"

#include <endian.h>
#include <string.h>

#define TYPE_MESSAGE 1

/* Zero, "SP", version zero, the protocol's number, two reserved zeros. */
const unsigned char sp_hello[SP_HELLO_SIZE] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };
static const unsigned char hello_of_requester[SP_HELLO_SIZE] = { 0, 'S', 'P',
								 0, 0,   0x30,
								 0, 0 };

static size_t
smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void
skip(struct sp_input *input, size_t n)
{
	input->bytes += n;
	input->size -= n;
}

static bool
fail(struct sp_parser *parser, const char *why)
{
	parser->broken = why;
	return false;
}

/* The functions below return whether their part is complete. */

static bool
take_hello(struct sp_parser *parser, struct sp_input *input)
{
	if (parser->has_hello)
		return true;
	while (input->size > 0 && parser->head_size < SP_HELLO_SIZE) {
		if (*input->bytes != hello_of_requester[parser->head_size])
			return fail(parser, "is no nng requester");
		parser->head_size++;
		skip(input, 1);
	}
	if (parser->head_size < SP_HELLO_SIZE)
		return false;
	parser->has_hello = true;
	parser->head_size = 0;
	return true;
}

static bool
check_head(struct sp_parser *parser, const struct sp_limits *limits)
{
	size_t body_max = limits->body_max;
	uint64_t size;

	if (parser->head[0] != TYPE_MESSAGE)
		return fail(parser, "sent what is no message");
	memcpy(&size, parser->head + 1, sizeof size);
	size = be64toh(size);
	if (limits->may_be_large && limits->large_body_max > body_max)
		body_max = limits->large_body_max;
	if (size > SP_IDS_SIZE_MAX && size - SP_IDS_SIZE_MAX > body_max)
		return fail(parser, "sent a message above every limit");
	parser->message.size = (size_t)size;
	return true;
}

static bool
take_head(struct sp_parser *parser, const struct sp_limits *limits,
	  struct sp_input *input)
{
	size_t n = smaller(input->size, SP_HEAD_SIZE - parser->head_size);

	if (parser->head_size == SP_HEAD_SIZE)
		return true;
	memcpy(parser->head + parser->head_size, input->bytes, n);
	parser->head_size += n;
	skip(input, n);
	return parser->head_size == SP_HEAD_SIZE && check_head(parser, limits);
}

/* Look at the ids and the first bytes of the body, all of which are there. */
static bool
check_start(struct sp_parser *parser, const struct sp_limits *limits)
{
	struct sp_message *message = &parser->message;
	size_t end = smaller(message->size, SP_IDS_SIZE_MAX);
	size_t ids_size = 0;
	const void *body;
	size_t body_size;

	for (size_t at = 0; at + 4 <= end && ids_size == 0; at += 4) {
		if (message->payload[at] & 0x80)
			ids_size = at + 4;
	}
	if (ids_size == 0)
		return fail(parser, "sent a request without an id");
	message->ids_size = ids_size;
	body = message->payload + ids_size;
	body_size = message->size - ids_size;
	if (body_size <= limits->body_max)
		return true;
	if (!limits->may_be_large || body_size > limits->large_body_max ||
	    !limits->may_be_large(body, smaller(body_size, SP_FIRST_BYTES)))
		return fail(parser, "sent a message that is too large");
	return true;
}

/* Make room for @n bytes more, whatever length was claimed. */
static bool
reserve(struct sp_parser *parser, size_t n)
{
	size_t needed = parser->received + n;
	size_t capacity = smaller(parser->message.size, 2 * parser->capacity);
	unsigned char *payload;

	if (needed <= parser->capacity)
		return true;
	if (capacity < needed)
		capacity = needed;
	payload = realloc(parser->message.payload, capacity);
	if (!payload)
		return fail(parser, "sent more than there is memory for");
	parser->message.payload = payload;
	parser->capacity = capacity;
	return true;
}

static bool
take_payload(struct sp_parser *parser, const struct sp_limits *limits,
	     struct sp_input *input)
{
	struct sp_message *message = &parser->message;
	size_t start = smaller(message->size, SP_IDS_SIZE_MAX + SP_FIRST_BYTES);
	size_t n = smaller(input->size, message->size - parser->received);

	if (!reserve(parser, n))
		return false;
	if (n > 0)
		memcpy(message->payload + parser->received, input->bytes, n);
	parser->received += n;
	skip(input, n);
	if (message->ids_size == 0 && parser->received >= start &&
	    !check_start(parser, limits))
		return false;
	return parser->received == message->size;
}

enum sp_result
sp_parse(struct sp_parser *parser, const struct sp_limits *limits,
	 struct sp_input *input, struct sp_message *ret_message)
{
	if (!parser->broken && take_hello(parser, input) &&
	    take_head(parser, limits, input) &&
	    take_payload(parser, limits, input)) {
		*ret_message = parser->message;
		*parser = (struct sp_parser) { .has_hello = true };
		return SP_MESSAGE;
	}
	return parser->broken ? SP_BROKEN : SP_MORE;
}

void
sp_parser_deinit(struct sp_parser *parser)
{
	free(parser->message.payload);
	parser->message.payload = NULL;
}

size_t
sp_write_reply_head(unsigned char ret_head[SP_REPLY_HEAD_MAX],
		    const struct sp_message *request, size_t body_size)
{
	uint64_t size = htobe64(request->ids_size + body_size);

	ret_head[0] = TYPE_MESSAGE;
	memcpy(ret_head + 1, &size, sizeof size);
	memcpy(ret_head + SP_HEAD_SIZE, request->payload, request->ids_size);
	return SP_HEAD_SIZE + request->ids_size;
}
