/*
 * A trainer without libemad and libnng: it writes the wire's bytes on the
 * daemon's socket itself and waits for the answer.  Its model is one tensor of
 * 4 KiB with an average that absorbs every step.
 */
#ifndef TESTS_BENCH_RAW_TRAINER_H
#define TESTS_BENCH_RAW_TRAINER_H

#include <stdint.h>

#include "tests/lib/raw.h"

#define RAW_TRAINER_FLOATS 1024

struct raw_trainer {
	struct raw_session session;
	uint64_t sequence; /* the next one */
};

/* Attach as @model over a connection of its own, with @n_slots slots. */
void raw_trainer_init(struct raw_trainer *ret_trainer, const char *path,
		      const char *model, unsigned int n_slots);
void raw_trainer_deinit(struct raw_trainer *trainer);

/* Fill the next slot, publish it, wait until it is absorbed. */
void raw_trainer_publish(struct raw_trainer *trainer);

#endif
