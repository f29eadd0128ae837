/*
 * Chunks of work, cut into one part for each worker: who runs which.
 *
 * A worker takes the first chunks of its own part and, when that is empty, the
 * last ones of the others'.  Any thread, without a lock; that a chunk is taken
 * says nothing of what others see of the work done: that is the pool's lock's.
 */
#ifndef DAEMON_IO_PARTS_H
#define DAEMON_IO_PARTS_H

#include <stdatomic.h>

#include "proto/util.h"

#define PART_SIZE 64 /* a cache line: each worker hammers at its own */

/* What is left: from the low half up to, not including, the high half. */
struct part {
	_Atomic uint64_t left;
	char padding[PART_SIZE - sizeof(uint64_t)];
};

/* Chunks 0 to @n_chunks - 1 in @n_parts parts, in order; free() them. */
struct part *parts_new(unsigned int n_parts, unsigned int n_chunks);

/* False: the part is empty. */
bool part_take_first(struct part *part, unsigned int *ret_chunk);
bool part_take_last(struct part *part, unsigned int *ret_chunk);

#endif
