/*
 * A profile's rules, sorted so that a hundred thousand tensors can be looked
 * up in lists of thousands of names.  Says what profile_rule() says.
 *
 * Pure; any thread, once made.
 */
#ifndef DAEMON_CORE_PLAN_RULES_H
#define DAEMON_CORE_PLAN_RULES_H

#include "proto/profile.h"

struct plan_rules;

/* @profile outlives the result. */
struct plan_rules *plan_rules_new(const struct profile *profile);
void plan_rules_free(struct plan_rules *rules);

enum profile_rule
plan_rules_find(const struct plan_rules *rules, const char *tensor);

#endif
