/*
 * A trainer and an evaluator that meet in emad: the model "digits" with two
 * profiles, "ema", the average, and "raw", the newest parameters as they are.
 */
#ifndef EXAMPLES_DIGITS_H
#define EXAMPLES_DIGITS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/emad.h"
#include "examples/digits_data.h"

#define DIGITS_MODEL "digits"

struct digits_options {
	int64_t n_steps;
	int64_t every; /* the evaluator looks once in so many steps */
	bool verify;   /* the trainer checks the daemon's arithmetic */
};

/* Both return the program's exit code. */
int
digits_train(const struct digits *digits, const struct digits_options *options);
int
digits_watch(const struct digits *digits, const struct digits_options *options);

/*
 * Where a version's tensors lie in memory, in the order of mlp_tensors.  False
 * if it is not of this network.
 */
bool digits_find_parameters(const struct emad_view *view,
			    const float *ret_parameters[MLP_N_TENSORS]);

/* Report on stderr what emad refused.  Always 1, an exit code. */
int digits_failed(const char *attempt);

#endif
