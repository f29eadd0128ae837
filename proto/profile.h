/*
 * Profiles: one average of a model is a name, a schedule, and rules that say
 * what happens to which tensor.
 *
 * The JSON form is what a version's header carries and what emactl prints:
 *
 *   {"name": "ema", "variant": "ema_pytorch", "beta": 0.9999,
 *    "update_after_step": 100, "update_every": 10, "inv_gamma": 1.0,
 *    "power": 0.6666666666666666, "min_value": 0.0,
 *    "param_or_buffer_names_no_ema": [], "ignore_names": [],
 *    "ignore_startswith_names": [], "accumulator": "float32"}
 */
#ifndef PROTO_PROFILE_H
#define PROTO_PROFILE_H

#include <jansson.h>

#include "proto/accumulator.h"
#include "proto/schedule.h"
#include "proto/status.h"
#include "proto/util.h"

#define DEFAULT_PROFILE "ema"
#define PROFILES_MAX    64   /* of one model */
#define RULE_NAMES_MAX  4096 /* in one list of one profile */

struct name_list {
	size_t n;
	char **names;
};

struct profile {
	char *name;
	struct schedule schedule;
	enum accumulator accumulator;
	struct name_list no_ema;            /* these are copied, not averaged */
	struct name_list ignore;            /* these keep their value */
	struct name_list ignore_startswith; /* so do these prefixes' */
};

/* What a LERP does to a tensor.  Ignoring wins over no_ema, as in EMA. */
enum profile_rule {
	PROFILE_AVERAGE,
	PROFILE_COPY,
	PROFILE_KEEP,
};

enum profile_rule
profile_rule(const struct profile *profile, const char *tensor);

/* An empty profile of @name with @schedule; fill the lists by appending. */
void profile_init(struct profile *ret_profile, const char *name,
		  const struct schedule *schedule);
void profile_deinit(struct profile *profile);
void name_list_append(struct name_list *list, const char *name);
void profile_copy(struct profile *ret_profile, const struct profile *profile);

/* Names, ranges and list lengths.  BAD_NAME, BAD_SPEC or TOO_LARGE. */
enum status profile_check(const struct profile *profile, struct why *why);

/*
 * False with a sentence when the two do not average alike: the first field
 * that differs, with both values.
 */
bool profile_equal(const struct profile *a, const struct profile *b,
		   struct why *why);

/* A new reference; doubles survive to the last bit. */
json_t *profile_to_json(const struct profile *profile);

/* Absent fields take the variant's defaults; unknown ones are refused. */
enum status profile_from_json(struct profile *ret_profile, const json_t *json,
			      struct why *why);

#endif
