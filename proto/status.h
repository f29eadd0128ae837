/*
 * Refusals: what a peer is told when it cannot have what it asked for.
 *
 * Positive, so that they never meet a negative errno.
 */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H

enum status {
#define X(name, number, text) STATUS_##name = number,
#include "proto/status.def"
#undef X
};

/* "NO_SPACE"; "STATUS_99" for a number that this build does not know. */
const char *status_name(unsigned int status);

/* "shared memory is full" */
const char *status_text(unsigned int status);

#endif
