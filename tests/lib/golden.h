/*
 * The golden vectors: what the reference EMA class computes, as data.
 *
 * A folder holds schedules.json and trajectories.json; tests/golden/README.md
 * says what is in them and how the values of a tensor are made.
 */
#ifndef TESTS_LIB_GOLDEN_H
#define TESTS_LIB_GOLDEN_H

#include "proto/profile.h"
#include "proto/safetensors.h"

struct golden_decay {
	int64_t t; /* of a trajectory: the call; of a table: the counter */
	double decay;
};

/* The averaged tensors after call @t. */
struct golden_state {
	int64_t t;
	void **values; /* one array per tensor; NULL: not averaged */
};

struct golden_case {
	char *name;
	uint64_t seed;
	struct profile profile;
	size_t n_tensors;
	struct tensor *tensors; /* as listed; begin is 0 */
	int64_t n_steps;
	size_t n_decays;
	struct golden_decay *decays; /* of the calls that reached a lerp */
	size_t n_states;
	struct golden_state *states; /* in order of t */
};

struct golden_schedule {
	struct profile profile;
	size_t n_decays;
	struct golden_decay *decays;
};

struct golden {
	size_t n_cases;
	struct golden_case *cases;
	size_t n_schedules;
	struct golden_schedule *schedules;
};

/*
 * NULL with a sentence: a file cannot be read or is not of that form, or
 * neither is there.  One of them may be missing.
 */
struct golden *golden_load(const char *folder, struct why *why);
void golden_free(struct golden *golden);

/*
 * Write the parameters of tensor @k at step @t (-1: when the model was
 * wrapped) to @ret_values, which has the tensor's size.  Elements of types
 * that are not averaged all take @t.
 */
void golden_values(const struct golden_case *golden, size_t k, int64_t t,
		   void *ret_values);

#endif
