/*
 * The average that emad keeps, computed a second time inside the trainer, to
 * check the daemon against.  Programs that use emad need nothing of this.
 */
#ifndef EXAMPLES_DIGITS_REFERENCE_H
#define EXAMPLES_DIGITS_REFERENCE_H

#include "examples/digits.h"

struct reference;

/* The same schedule as @profile's.  NULL if there is no such schedule. */
struct reference *reference_new(const struct emad_profile *profile);
void reference_free(struct reference *reference);

/* What the daemon does with a publish, for all tensors by the same rule. */
void reference_absorb(struct reference *reference, int64_t step,
		      const float *const parameters[MLP_N_TENSORS]);

/*
 * Pull both of the model's averages: "ema" must be equal to this one, "raw" to
 * @parameters, the last absorbed, in every bit.  Says so, and returns the exit
 * code.
 */
int reference_check(const struct reference *reference, struct emad *emad,
		    const float *const parameters[MLP_N_TENSORS]);

#endif
