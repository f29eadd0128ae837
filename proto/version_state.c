#include "proto/version_state.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/json_cursor.h"

const char *const version_state_keys[VERSION_STATE_KEYS] = {
	"emad.step",
	"emad.updates",
	"emad.decay",
	"emad.publishers",
};

uint64_t
version_sequence(const struct version_state *state, uint64_t publisher)
{
	for (size_t i = 0; i < state->n_publishers; i++)
		if (state->publishers[i].id == publisher)
			return state->publishers[i].sequence;
	return 0;
}

void
version_set_sequence(struct version_state *state, uint64_t publisher,
		     uint64_t sequence)
{
	struct version_publisher *list = state->publishers;
	size_t i = 0;

	while (i < state->n_publishers && list[i].id != publisher)
		i++;
	if (i == state->n_publishers && i < VERSION_PUBLISHERS)
		state->n_publishers++;
	if (i == VERSION_PUBLISHERS)
		i--;
	memmove(&list[1], &list[0], i * sizeof *list);
	list[0] = (struct version_publisher) { publisher, sequence };
}

/*
 * C99's hex float with all its digits; by hand, because printf and strtod
 * follow the locale of whatever program this library is in.
 */
static void
decay_write(char *ret_text, size_t size, double decay)
{
	uint64_t bits;
	int exponent;

	decay += 0.0; /* no -0 */
	memcpy(&bits, &decay, sizeof bits);
	exponent = (int)(bits >> 52 & 0x7FF);
	(void)snprintf(ret_text, size, "%s0x%c.%013" PRIx64 "p%+d",
		       bits >> 63 ? "-" : "", exponent > 0 ? '1' : '0',
		       bits & ((UINT64_C(1) << 52) - 1),
		       bits << 1 == 0 ? 0
		       : exponent > 0 ? exponent - 1023
				      : -1022);
}

static bool
decay_parse(double *ret_decay, const char *text)
{
	uint64_t fraction;
	unsigned int whole;
	int exponent;

	if (sscanf(text, "0x%1u.%13" SCNx64 "p%5d", &whole, &fraction,
		   &exponent) != 3)
		return false;
	*ret_decay = ldexp((double)(whole * (UINT64_C(1) << 52) + fraction),
			   exponent - 52);
	return *ret_decay >= 0 && *ret_decay <= 1;
}

static void
publishers_write(char *ret_text, size_t size, const struct version_state *state)
{
	size_t n = 0;

	must(state->n_publishers <= VERSION_PUBLISHERS);
	n += (size_t)snprintf(ret_text, size, "{");
	for (size_t i = 0; i < state->n_publishers; i++)
		n += (size_t)snprintf(ret_text + n, size - n,
				      "%s\"%016" PRIx64 "\":%" PRIu64,
				      i > 0 ? "," : "", state->publishers[i].id,
				      state->publishers[i].sequence);
	n += (size_t)snprintf(ret_text + n, size - n, "}");
	must(n < size);
}

static bool
publishers_parse(struct version_state *state, const char *text)
{
	struct json_cursor cursor = { text, text + strlen(text) };
	enum json_next next;
	size_t n = 0;

	if (!json_cursor_take(&cursor, '{'))
		return false;
	while ((next = json_cursor_next(&cursor, n, '}')) == JSON_NEXT_ITEM) {
		struct version_publisher *publisher = &state->publishers[n];
		owned_json *id = json_cursor_string(&cursor);

		if (!id || n++ == VERSION_PUBLISHERS ||
		    sscanf(json_string_value(id), "%16" SCNx64,
			   &publisher->id) != 1 ||
		    version_sequence(state, publisher->id) != 0 ||
		    !json_cursor_take(&cursor, ':') ||
		    !json_cursor_u64(&cursor, &publisher->sequence))
			return false;
		state->n_publishers = n;
	}
	return next == JSON_NEXT_END;
}

void
version_state_texts(struct version_state_texts *ret_texts,
		    const struct version_state *state)
{
	const size_t size = sizeof ret_texts->values[0];

	(void)snprintf(ret_texts->values[0], size, "%" PRId64, state->step);
	(void)snprintf(ret_texts->values[1], size, "%" PRIu64, state->updates);
	decay_write(ret_texts->values[2], size, state->decay);
	publishers_write(ret_texts->values[3], size, state);
}

void
version_state_write(char ret_region[VERSION_DYNAMIC_SIZE],
		    const struct version_state *state)
{
	struct version_state_texts texts;
	size_t n = VERSION_PREFIX_SIZE;

	version_state_texts(&texts, state);
	memset(ret_region, ' ', VERSION_DYNAMIC_SIZE);
	memcpy(ret_region, VERSION_PREFIX, n);
	for (unsigned int i = 0; i < VERSION_STATE_KEYS; i++) {
		owned_json *value = json_string(texts.values[i]);
		size_t room = VERSION_DYNAMIC_SIZE - n;

		n += (size_t)snprintf(ret_region + n, room,
				      "\"%s\":", version_state_keys[i]);
		room = VERSION_DYNAMIC_SIZE - n;
		n += json_dumpb(value, ret_region + n, room, JSON_ENCODE_ANY);
		/* Sixteen publishers with the largest numbers fit: tested. */
		must(n < VERSION_DYNAMIC_SIZE);
		ret_region[n++] = ',';
	}
}

static bool
value_parse(struct version_state *state, unsigned int key, const char *text)
{
	char *end;

	switch (key) {
	case 0:
		state->step = strtoll(text, &end, 10);
		return state->step >= 0 && state->step <= STEP_MAX;
	case 1:
		state->updates = strtoull(text, &end, 10);
		return true;
	case 2:
		return decay_parse(&state->decay, text);
	default:
		return publishers_parse(state, text);
	}
}

bool
version_state_parse(struct version_state *ret_state,
		    const char region[VERSION_DYNAMIC_SIZE])
{
	struct json_cursor cursor = { region + VERSION_PREFIX_SIZE,
				      region + VERSION_DYNAMIC_SIZE };
	struct version_state state = { 0 };
	char again[VERSION_DYNAMIC_SIZE];

	for (unsigned int i = 0; i < VERSION_STATE_KEYS; i++) {
		owned_json *key = json_cursor_string(&cursor);
		owned_json *value = NULL;

		if (!key || !json_cursor_take(&cursor, ':'))
			return false;
		value = json_cursor_string(&cursor);
		if (!value || !json_cursor_take(&cursor, ',') ||
		    !value_parse(&state, i, json_string_value(value)))
			return false;
	}
	/* What was read is good if it is written like that: keys and all. */
	version_state_write(again, &state);
	if (memcmp(again, region, sizeof again) != 0)
		return false;
	*ret_state = state;
	return true;
}
