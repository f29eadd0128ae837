/*
 * The reader of the text.
 *
 * What it accepts is what serde_json and the reference implementation's
 * structures accept (safetensors 0.8.0, tensor.rs: HashMetadata, TensorInfo,
 * Metadata::validate), also where that is surprising: of tensors or metadata
 * with the same name the last one counts, fields that are not known are
 * skipped, "__metadata__" may be null, a tensor may be the array [dtype,
 * shape, data_offsets] and a dtype the object {"F32": null}.
 *
 * Known differences, all to the strict side but for the last: NUL bytes in
 * names and in metadata are refused, because our strings end in NUL; so are
 * they in the keys of objects inside a field that is not known.  A number in
 * such a field that lies within rounding of the largest double may be judged
 * either way.
 */
#include "proto/safetensors_text.h"

#include <string.h>

#include "proto/json_cursor.h"

/* serde_json refuses the 128th bracket. */
#define DEPTH_MAX 127

struct parser {
	struct json_cursor cursor;
	struct safetensors_text *text;
	bool has_metadata;
	struct why *why;
};

static void *
grow(void *items, size_t n, size_t *n_max, size_t item_size)
{
	if (n < *n_max)
		return items;
	*n_max = *n_max ? *n_max * 2 : 4;
	return xrealloc(items, *n_max * item_size);
}

static bool
refuse_json(struct parser *parser)
{
	why_set(parser->why, "the safetensors header is not valid JSON");
	return false;
}

static const char *
entry_name(const struct text_entry *entry)
{
	return json_string_value(entry->name);
}

static bool
refuse_entry(struct parser *parser, const struct text_entry *entry,
	     const char *what)
{
	why_set(parser->why, "a tensor's %s: '%s'", what, entry_name(entry));
	return false;
}

static bool
has_nul(const json_t *string)
{
	return strlen(json_string_value(string)) != json_string_length(string);
}

/* Another pair: copies of both strings in one block. */
static void
append_pair(struct parser *parser, const json_t *key, const json_t *value)
{
	size_t key_size = json_string_length(key) + 1;
	size_t value_size = json_string_length(value) + 1;
	char *block = xmalloc(key_size + value_size);
	struct safetensors_text *text = parser->text;

	memcpy(block, json_string_value(key), key_size);
	memcpy(block + key_size, json_string_value(value), value_size);
	text->pairs = grow(text->pairs, text->n_pairs, &text->n_pairs_max,
			   sizeof *text->pairs);
	text->pairs[text->n_pairs++] =
		(struct text_pair) { block, block + key_size };
}

static bool
parse_pair(struct parser *parser)
{
	owned_json *key = json_cursor_string(&parser->cursor);
	owned_json *value = NULL;

	if (!key || !json_cursor_take(&parser->cursor, ':'))
		return refuse_json(parser);
	value = json_cursor_string(&parser->cursor);
	if (!value) {
		why_set(parser->why, "metadata may hold strings only: '%s'",
			json_string_value(key));
		return false;
	}
	if (has_nul(key) || has_nul(value)) {
		why_set(parser->why, "metadata holds a NUL byte: '%s'",
			json_string_value(key));
		return false;
	}
	append_pair(parser, key, value);
	return true;
}

static bool
parse_metadata(struct parser *parser)
{
	struct json_cursor *cursor = &parser->cursor;
	enum json_next next;

	if (parser->has_metadata) {
		why_set(parser->why, "__metadata__ is there twice");
		return false;
	}
	parser->has_metadata = true;
	if (json_cursor_peek(cursor) == 'n') {
		owned_json *null = json_cursor_value(cursor, 0);

		return null ? true : refuse_json(parser);
	}
	if (!json_cursor_take(cursor, '{')) {
		why_set(parser->why, "__metadata__ is no object");
		return false;
	}
	for (size_t i = 0;
	     (next = json_cursor_next(cursor, i, '}')) == JSON_NEXT_ITEM; i++)
		if (!parse_pair(parser))
			return false;
	return next == JSON_NEXT_END ? true : refuse_json(parser);
}

static bool
parse_dtype(struct parser *parser, struct text_entry *entry)
{
	/* With its keys counted: {"F32": null, "F32": null} has two. */
	owned_json *value = json_cursor_value(
		&parser->cursor, JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES);
	void *variant = json_object_iter(value);
	const char *name = json_string_value(value);
	size_t size = json_string_length(value);

	if (variant && json_object_size(value) == 1 &&
	    json_is_null(json_object_iter_value(variant))) {
		name = json_object_iter_key(variant);
		size = strlen(name);
	}
	if (!name)
		return refuse_entry(parser, entry, "dtype is no string");
	if (!dtype_parse(&entry->dtype, name, size))
		return refuse_entry(parser, entry, "dtype is not known");
	return true;
}

static bool
parse_shape(struct parser *parser, struct text_entry *entry)
{
	struct json_cursor *cursor = &parser->cursor;
	size_t n_max = 0;
	enum json_next next;

	if (!json_cursor_take(cursor, '['))
		return refuse_entry(parser, entry, "shape is no array");
	while ((next = json_cursor_next(cursor, entry->n_dims, ']')) ==
	       JSON_NEXT_ITEM) {
		entry->shape = grow(entry->shape, entry->n_dims, &n_max,
				    sizeof *entry->shape);
		if (!json_cursor_u64(cursor, &entry->shape[entry->n_dims]))
			return refuse_entry(parser, entry,
					    "shape has what is no size");
		entry->n_dims++;
	}
	return next == JSON_NEXT_END ? true : refuse_json(parser);
}

static bool
parse_offsets(struct parser *parser, struct text_entry *entry)
{
	struct json_cursor *cursor = &parser->cursor;

	if (!json_cursor_take(cursor, '[') ||
	    !json_cursor_u64(cursor, &entry->begin) ||
	    !json_cursor_take(cursor, ',') ||
	    !json_cursor_u64(cursor, &entry->end) ||
	    !json_cursor_take(cursor, ']'))
		return refuse_entry(parser, entry,
				    "data_offsets are not two sizes");
	return true;
}

/* The fields in the order in which the array form has them. */
static const struct field {
	const char *name;
	bool (*parse)(struct parser *parser, struct text_entry *entry);
} fields[] = {
	{ "dtype", parse_dtype },
	{ "shape", parse_shape },
	{ "data_offsets", parse_offsets },
};

static bool
parse_field(struct parser *parser, struct text_entry *entry, unsigned int *seen)
{
	owned_json *key = json_cursor_string(&parser->cursor);
	owned_json *skipped = NULL;

	if (!key || !json_cursor_take(&parser->cursor, ':'))
		return refuse_json(parser);
	for (unsigned int i = 0; i < array_size(fields); i++) {
		if (has_nul(key) ||
		    strcmp(json_string_value(key), fields[i].name) != 0)
			continue;
		if (*seen & (1U << i))
			return refuse_entry(parser, entry,
					    "entry has a field twice");
		*seen |= 1U << i;
		return fields[i].parse(parser, entry);
	}
	/* As reals, integers of any size are good. */
	skipped = json_cursor_value(&parser->cursor,
				    JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL);
	return skipped ? true : refuse_json(parser);
}

static bool
parse_entry_object(struct parser *parser, struct text_entry *entry)
{
	unsigned int seen = 0;
	enum json_next next;

	for (size_t i = 0; (next = json_cursor_next(&parser->cursor, i, '}')) ==
			   JSON_NEXT_ITEM;
	     i++)
		if (!parse_field(parser, entry, &seen))
			return false;
	if (next != JSON_NEXT_END)
		return refuse_json(parser);
	if (seen != (1U << array_size(fields)) - 1)
		return refuse_entry(
			parser, entry,
			"entry lacks one of dtype, shape, data_offsets");
	return true;
}

static bool
parse_entry_array(struct parser *parser, struct text_entry *entry)
{
	for (size_t i = 0; i < array_size(fields); i++)
		if ((i > 0 && !json_cursor_take(&parser->cursor, ',')) ||
		    !fields[i].parse(parser, entry))
			return refuse_entry(
				parser, entry,
				"entry is not [dtype, shape, data_offsets]");
	if (!json_cursor_take(&parser->cursor, ']'))
		return refuse_entry(parser, entry, "entry is too long");
	return true;
}

/* @name is this function's to keep. */
static bool
parse_entry(struct parser *parser, json_t *name)
{
	struct safetensors_text *text = parser->text;
	struct text_entry *entry;

	text->entries = grow(text->entries, text->n_entries,
			     &text->n_entries_max, sizeof *text->entries);
	entry = &text->entries[text->n_entries];
	*entry = (struct text_entry) { .name = name,
				       .index = text->n_entries++ };
	if (has_nul(name))
		return refuse_entry(parser, entry, "name holds a NUL byte");
	if (json_cursor_take(&parser->cursor, '{'))
		return parse_entry_object(parser, entry);
	if (json_cursor_take(&parser->cursor, '['))
		return parse_entry_array(parser, entry);
	return refuse_entry(parser, entry, "entry is no object");
}

static bool
parse_text(struct parser *parser)
{
	struct json_cursor *cursor = &parser->cursor;
	enum json_next next;

	if (!json_cursor_take(cursor, '{')) {
		why_set(parser->why, "the safetensors header is no JSON "
				     "object");
		return false;
	}
	for (size_t i = 0;
	     (next = json_cursor_next(cursor, i, '}')) == JSON_NEXT_ITEM; i++) {
		owned_json *key = json_cursor_string(cursor);

		if (!key || !json_cursor_take(cursor, ':'))
			return refuse_json(parser);
		if (strcmp(json_string_value(key), "__metadata__") == 0 &&
		    !has_nul(key)) {
			if (!parse_metadata(parser))
				return false;
		} else if (!parse_entry(parser, take_pointer(&key))) {
			return false;
		}
	}
	(void)json_cursor_peek(cursor);
	if (next != JSON_NEXT_END || cursor->at != cursor->end)
		return refuse_json(parser);
	return true;
}

enum status
safetensors_text_parse(struct safetensors_text *ret_text, const char *json,
		       size_t size, struct why *why)
{
	struct parser parser = {
		.cursor = { json, json + size },
		.text = ret_text,
		.why = why,
	};

	*ret_text = (struct safetensors_text) { 0 };
	if (!json_depth_is_within(json, size, DEPTH_MAX)) {
		why_set(why, "the safetensors header is nested too deep");
		return STATUS_BAD_SPEC;
	}
	return parse_text(&parser) ? STATUS_OK : STATUS_BAD_SPEC;
}

void
safetensors_text_deinit(struct safetensors_text *text)
{
	for (size_t i = 0; i < text->n_entries; i++) {
		json_decref(text->entries[i].name);
		free(text->entries[i].shape);
	}
	for (size_t i = 0; i < text->n_pairs; i++)
		free((void *)text->pairs[i].key);
	free(text->entries);
	free(text->pairs);
}
