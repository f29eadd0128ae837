/*
 * Pulls: which file holds the newest version, now or as soon as there is one.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_PULL_H
#define DAEMON_SERVICE_PULL_H

#include "daemon/service/state.h"
#include "proto/status.h"

/* Something about model @name changed: answer those whose wait is over. */
void pull_wake(struct state *state, const char *name);

/* Answer all that wait for model @name (NULL: for any) with @status. */
void pull_refuse(struct state *state, const char *name, enum status status);

#endif
