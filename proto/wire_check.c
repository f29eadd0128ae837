#include "proto/wire_check.h"

#include <string.h>

#include "proto/wire.h"

#define DEPTH_MAX 8 /* the schema's own depth is 4 */

/* protobuf's wire types. */
enum wire_type {
	WIRE_VARINT = 0,
	WIRE_64BIT = 1,
	WIRE_BYTES = 2,
	WIRE_32BIT = 5,
};

struct level {
	const ProtobufCMessageDescriptor *descriptor;
	const uint8_t *end;
};

struct walk {
	const uint8_t *at;
	unsigned int depth;
	unsigned int n_fields;
	struct level levels[DEPTH_MAX];
	struct why *why;
};

static bool
read_varint(struct walk *walk, const uint8_t *end, uint64_t *ret_value)
{
	uint64_t value = 0;

	for (unsigned int shift = 0; shift < 64; shift += 7) {
		uint8_t byte;

		if (walk->at == end)
			return false;
		byte = *walk->at++;
		value |= (uint64_t)(byte & 0x7F) << shift;
		if (!(byte & 0x80)) {
			*ret_value = value;
			return true;
		}
	}
	return false;
}

static enum wire_type
expected_type(ProtobufCType type)
{
	switch (type) {
	case PROTOBUF_C_TYPE_FIXED64:
	case PROTOBUF_C_TYPE_SFIXED64:
	case PROTOBUF_C_TYPE_DOUBLE:
		return WIRE_64BIT;
	case PROTOBUF_C_TYPE_FIXED32:
	case PROTOBUF_C_TYPE_SFIXED32:
	case PROTOBUF_C_TYPE_FLOAT:
		return WIRE_32BIT;
	case PROTOBUF_C_TYPE_STRING:
	case PROTOBUF_C_TYPE_BYTES:
	case PROTOBUF_C_TYPE_MESSAGE:
		return WIRE_BYTES;
	default:
		return WIRE_VARINT;
	}
}

/* The length of the well-formed UTF-8 sequence at @at; 0: it is not one. */
static size_t
utf8_length(const uint8_t *at, size_t left)
{
	uint32_t point;
	size_t n;

	if (at[0] < 0x80)
		return 1;
	if (at[0] >= 0xC2 && at[0] <= 0xDF)
		n = 2;
	else if (at[0] >= 0xE0 && at[0] <= 0xEF)
		n = 3;
	else if (at[0] >= 0xF0 && at[0] <= 0xF4)
		n = 4;
	else
		return 0;
	if (left < n)
		return 0;
	point = at[0] & (0x7Fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((at[i] & 0xC0) != 0x80)
			return 0;
		point = point << 6 | (at[i] & 0x3F);
	}
	if (n == 3 && (point < 0x800 || (point >= 0xD800 && point <= 0xDFFF)))
		return 0;
	if (n == 4 && (point < 0x10000 || point > 0x10FFFF))
		return 0;
	return n;
}

static enum status
check_string(struct why *why, const char *field, const uint8_t *bytes,
	     size_t size)
{
	size_t at = 0;

	if (size > WIRE_STRING_MAX) {
		why_set(why, "the string \"%s\" has %zu bytes; at most %d",
			field, size, WIRE_STRING_MAX);
		return STATUS_TOO_LARGE;
	}
	while (at < size) {
		size_t n = utf8_length(bytes + at, size - at);

		if (n == 0 || bytes[at] == 0) {
			why_set(why,
				"the string \"%s\" is not UTF-8 without "
				"NUL bytes",
				field);
			return STATUS_BAD_REQUEST;
		}
		at += n;
	}
	return STATUS_OK;
}

static enum status
malformed(struct walk *walk)
{
	why_set(walk->why, "the message is cut short or malformed in %s",
		walk->levels[walk->depth - 1].descriptor->short_name);
	return STATUS_BAD_REQUEST;
}

static enum status
enter(struct walk *walk, const ProtobufCMessageDescriptor *descriptor,
      const uint8_t *end)
{
	if (walk->depth == DEPTH_MAX)
		return malformed(walk);
	walk->levels[walk->depth++] = (struct level) {
		.descriptor = descriptor,
		.end = end,
	};
	return STATUS_OK;
}

static enum status
check_bytes(struct walk *walk, const ProtobufCFieldDescriptor *field)
{
	const uint8_t *end = walk->levels[walk->depth - 1].end;
	const uint8_t *bytes;
	uint64_t size;

	if (!read_varint(walk, end, &size) || size > (uint64_t)(end - walk->at))
		return malformed(walk);
	bytes = walk->at;
	if (field && field->type == PROTOBUF_C_TYPE_MESSAGE)
		return enter(walk, field->descriptor, bytes + size);
	walk->at += size;
	if (field && field->type == PROTOBUF_C_TYPE_STRING)
		return check_string(walk->why, field->name, bytes,
				    (size_t)size);
	return STATUS_OK;
}

static enum status
check_field(struct walk *walk)
{
	const struct level *level = &walk->levels[walk->depth - 1];
	const ProtobufCFieldDescriptor *field;
	uint64_t tag;
	uint64_t value;
	size_t skip;

	if (++walk->n_fields > WIRE_FIELDS_MAX) {
		why_set(walk->why, "the message has more than %d fields",
			WIRE_FIELDS_MAX);
		return STATUS_TOO_LARGE;
	}
	if (!read_varint(walk, level->end, &tag) || tag >> 3 == 0 ||
	    tag >> 3 > 536870911)
		return malformed(walk);
	field = protobuf_c_message_descriptor_get_field(
		level->descriptor, (unsigned int)(tag >> 3));
	if (field && (tag & 7) != expected_type(field->type))
		return malformed(walk);
	switch (tag & 7) {
	case WIRE_VARINT:
		return read_varint(walk, level->end, &value) ? STATUS_OK
							     : malformed(walk);
	case WIRE_BYTES:
		return check_bytes(walk, field);
	case WIRE_64BIT:
		skip = 8;
		break;
	case WIRE_32BIT:
		skip = 4;
		break;
	default:
		return malformed(walk);
	}
	if ((size_t)(level->end - walk->at) < skip)
		return malformed(walk);
	walk->at += skip;
	return STATUS_OK;
}

enum status
wire_check(const ProtobufCMessageDescriptor *descriptor, const void *bytes,
	   size_t size, struct why *why)
{
	struct walk walk = { .at = bytes, .why = why };
	enum status status;

	status = enter(&walk, descriptor, walk.at + size);
	while (status == STATUS_OK && walk.depth > 0) {
		if (walk.at == walk.levels[walk.depth - 1].end)
			walk.depth--;
		else
			status = check_field(&walk);
	}
	return status;
}
