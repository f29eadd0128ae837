/*
 * A trainer for benchmarks: the tensors of a well-known model, or just bytes,
 * attached to a daemon with one average that absorbs every step.  It waits for
 * the daemon for as long as it takes: touching gigabytes for the first time
 * takes minutes on some machines.
 */
#ifndef TESTS_BENCH_TRAINER_H
#define TESTS_BENCH_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"

#define TRAINER_TENSORS_MAX 512
#define TRAINER_MODEL       "bench"

struct trainer {
	size_t n_tensors;
	uint64_t n_elements[TRAINER_TENSORS_MAX]; /* floats */
	char names[TRAINER_TENSORS_MAX][16];
	struct emad_tensor tensors[TRAINER_TENSORS_MAX];
	size_t size;    /* bytes of all tensors */
	void *values;   /* the tensors' data, one after another; or NULL */
	char model[32]; /* TRAINER_MODEL unless changed before the attach */
	struct emad *emad;
	struct emad_publisher *publisher;
	int64_t step; /* the next one */
};

/* The shapes of a model. */
void trainer_init(struct trainer *ret_trainer);
void trainer_add(struct trainer *trainer, uint64_t n_elements);
void trainer_add_resnet50(struct trainer *trainer);
void trainer_add_gpt2(struct trainer *trainer);

/* Memory for the tensors. */
void trainer_allocate(struct trainer *trainer);

/* Connect and attach as the model with @n_slots slots (0: the default). */
void trainer_attach(struct trainer *trainer, const struct daemon *daemon,
		    unsigned int n_slots);

/* Wait until all that was published is absorbed. */
void trainer_flush(struct trainer *trainer);

/*
 * Publish @n_repeats times what lies in the slot of a model of one tensor, each
 * time until it is absorbed; seconds of one, from the message to the answer.
 */
double trainer_update(struct trainer *trainer, unsigned int n_repeats);

/* Detach, forget the model, free the memory. */
void trainer_end(struct trainer *trainer);

#endif
