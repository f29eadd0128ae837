/*
 * The fields of a profile that are alike, as tables: for profile.c and
 * profile_json.c.
 */
#ifndef PROTO_PROFILE_FIELDS_H
#define PROTO_PROFILE_FIELDS_H

/* Fields of the schedule, by the names that EMA gives them. */
#define REAL_FIELDS(X)    X(beta) X(inv_gamma) X(power) X(min_value)
#define INTEGER_FIELDS(X) X(update_after_step) X(update_every)

/* Lists: the member, and the name that EMA gives it. */
#define LIST_FIELDS(X)                                                         \
	X(no_ema, "param_or_buffer_names_no_ema")                              \
	X(ignore, "ignore_names")                                              \
	X(ignore_startswith, "ignore_startswith_names")

#endif
