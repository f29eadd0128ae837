/*
 * What the text of a safetensors header says, before anything about it is
 * checked that needs two tensors or arithmetic.  safetensors.c's own.
 */
#ifndef PROTO_SAFETENSORS_TEXT_H
#define PROTO_SAFETENSORS_TEXT_H

#include "proto/json.h"
#include "proto/safetensors.h"

/* One tensor as the text has it; nothing is related to anything yet. */
struct text_entry {
	json_t *name; /* owned; holds no NUL bytes once parsed */
	enum dtype dtype;
	size_t n_dims;
	uint64_t *shape; /* owned */
	uint64_t begin;
	uint64_t end;
	size_t index; /* where in the text */
};

/* In the order of the text; a name or key may be there several times. */
struct safetensors_text {
	size_t n_entries;
	size_t n_entries_max;
	struct text_entry *entries;
	size_t n_pairs;
	size_t n_pairs_max;
	struct text_pair *pairs; /* each value lies behind its key's NUL */
};

/* BAD_SPEC; @ret_text is to be freed in any case. */
enum status
safetensors_text_parse(struct safetensors_text *ret_text, const char *json,
		       size_t size, struct why *why);

void safetensors_text_deinit(struct safetensors_text *text);

#endif
