/*
 * The state of a version as text: the region at the start of its header that
 * is rewritten for every version.
 */
#ifndef PROTO_VERSION_STATE_H
#define PROTO_VERSION_STATE_H

#include "proto/version.h"

/* What the region begins with, and so the whole JSON. */
#define VERSION_PREFIX      "{\"__metadata__\":{"
#define VERSION_PREFIX_SIZE (sizeof(VERSION_PREFIX) - 1)

#define VERSION_STATE_KEYS 4 /* emad.step, updates, decay, publishers */

/* The values of those keys, in this order; and the keys. */
struct version_state_texts {
	char values[VERSION_STATE_KEYS][768];
};

extern const char *const version_state_keys[VERSION_STATE_KEYS];

void version_state_texts(struct version_state_texts *ret_texts,
			 const struct version_state *state);

/* VERSION_DYNAMIC_SIZE bytes: the prefix, the pairs, a comma, spaces. */
void version_state_write(char ret_region[VERSION_DYNAMIC_SIZE],
			 const struct version_state *state);

/* False: not byte for byte what version_state_write() gives for any state. */
bool version_state_parse(struct version_state *ret_state,
			 const char region[VERSION_DYNAMIC_SIZE]);

#endif
