/*
 * What to say when shared memory cannot be had.
 */
#ifndef DAEMON_SERVICE_SPACE_H
#define DAEMON_SERVICE_SPACE_H

#include "proto/status.h"
#include "proto/util.h"

/*
 * The refusal for @error (negative errno) on reserving @needed more bytes for
 * @what: NO_SPACE with how much is needed and free and how to enlarge
 * /dev/shm, NAME_TAKEN, or INTERNAL.  Any thread.
 */
enum status
space_explain(struct why *why, int error, uint64_t needed, const char *what);

#endif
