/*
 * Walking JSON text of strangers one value at a time.
 *
 * jansson reads a whole text into a tree: what came twice is lost or refused
 * wherever it stands, and integers from 2^63 on are refused.  A reader that
 * must judge as another one does looks at the text where that matters and
 * hands the rest to jansson.  Nothing here recurses.  Any thread.
 */
#ifndef PROTO_JSON_CURSOR_H
#define PROTO_JSON_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/json.h"

/* What is left of a text; need not end in NUL. */
struct json_cursor {
	const char *at;
	const char *end;
};

/* What the next thing in an object or array is. */
enum json_next {
	JSON_NEXT_ITEM,
	JSON_NEXT_END,
	JSON_NEXT_BAD,
};

/*
 * Whether no bracket of @text is nested deeper than @max: one that is not
 * valid JSON gets some answer.
 */
bool json_depth_is_within(const char *text, size_t size, unsigned int max);

/* The first byte that is not white space, or NUL at the end. */
char json_cursor_peek(struct json_cursor *cursor);

/* Step over @c, if that comes next but for white space. */
bool json_cursor_take(struct json_cursor *cursor, char c);

/*
 * Step over the comma before the item of index @i, or over the bracket that
 * closes: '}' or ']'.
 */
enum json_next
json_cursor_next(struct json_cursor *cursor, size_t i, char close);

/*
 * A new reference to any value, or NULL: not valid, or nested deeper than
 * jansson goes.  @flags are jansson's.
 */
json_t *json_cursor_value(struct json_cursor *cursor, size_t flags);

/* A string; or NULL: anything else.  It may hold NUL bytes. */
json_t *json_cursor_string(struct json_cursor *cursor);

/* An integer written as digits alone, below 2^64. */
bool json_cursor_u64(struct json_cursor *cursor, uint64_t *ret_value);

#endif
