#include "proto/json_cursor.h"

#include <string.h>

#include "proto/util.h"

bool
json_depth_is_within(const char *text, size_t size, unsigned int max)
{
	unsigned int depth = 0;
	bool in_string = false;

	for (size_t i = 0; i < size; i++) {
		char c = text[i];

		if (in_string && c == '\\')
			i++;
		else if (c == '"')
			in_string = !in_string;
		else if (in_string)
			continue;
		else if ((c == '[' || c == '{') && ++depth > max)
			return false;
		else if ((c == ']' || c == '}') && depth > 0)
			depth--;
	}
	return true;
}

char
json_cursor_peek(struct json_cursor *cursor)
{
	while (cursor->at < cursor->end &&
	       (*cursor->at == ' ' || *cursor->at == '\t' ||
		*cursor->at == '\n' || *cursor->at == '\r'))
		cursor->at++;
	return cursor->at < cursor->end ? *cursor->at : '\0';
}

bool
json_cursor_take(struct json_cursor *cursor, char c)
{
	if (json_cursor_peek(cursor) != c || cursor->at == cursor->end)
		return false;
	cursor->at++;
	return true;
}

enum json_next
json_cursor_next(struct json_cursor *cursor, size_t i, char close)
{
	if (json_cursor_take(cursor, close))
		return JSON_NEXT_END;
	if (i > 0 && !json_cursor_take(cursor, ','))
		return JSON_NEXT_BAD;
	return JSON_NEXT_ITEM;
}

json_t *
json_cursor_value(struct json_cursor *cursor, size_t flags)
{
	json_error_t error;
	json_t *value = json_loadb(
		cursor->at, (size_t)(cursor->end - cursor->at),
		JSON_DECODE_ANY | JSON_DISABLE_EOF_CHECK | flags, &error);

	/* On success jansson's position counts the bytes it has used up. */
	if (value)
		cursor->at += error.position;
	return value;
}

json_t *
json_cursor_string(struct json_cursor *cursor)
{
	if (json_cursor_peek(cursor) != '"')
		return NULL;
	return json_cursor_value(cursor, JSON_ALLOW_NUL);
}

bool
json_cursor_u64(struct json_cursor *cursor, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *start;
	size_t n_digits;

	(void)json_cursor_peek(cursor);
	start = cursor->at;
	while (cursor->at < cursor->end && *cursor->at >= '0' &&
	       *cursor->at <= '9') {
		if (!u64_multiply(value, 10, &value) ||
		    !u64_add(value, (uint64_t)(*cursor->at - '0'), &value))
			return false;
		cursor->at++;
	}
	n_digits = (size_t)(cursor->at - start);
	if (n_digits == 0 || (n_digits > 1 && *start == '0'))
		return false;
	*ret_value = value;
	return true;
}
