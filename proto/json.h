/*
 * jansson values that their scope releases.
 */
#ifndef PROTO_JSON_H
#define PROTO_JSON_H

#include <jansson.h>

static inline void
release_owned_json(json_t **value)
{
	json_decref(*value);
}
#define owned_json __attribute__((cleanup(release_owned_json))) json_t

#endif
