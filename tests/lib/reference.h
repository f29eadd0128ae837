/*
 * A model "m" of one tensor "w", whose averages are computed here as well, bit
 * for bit: one in which a snapshot is missing or there twice has other bits.
 */
#ifndef TESTS_LIB_REFERENCE_H
#define TESTS_LIB_REFERENCE_H

#include <stdint.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"

#define REFERENCE_ELEMENTS 8192
#define REFERENCE_PROFILES 2

/* What the averages must be after each step. */
struct reference;

struct reference *reference_new(void);
void reference_free(struct reference *reference);

/* The parameters at @step. */
void reference_fill(float values[REFERENCE_ELEMENTS], int64_t step);

/* Every step is absorbed; @options' other fields (NULL: defaults), no timeout.
 */
int reference_attach(struct emad_publisher **ret_publisher, struct emad *emad,
		     const struct emad_options *options);

/*
 * Give up unless each public file is the average of the steps up to its own;
 * the steps.
 */
void reference_check(struct reference *reference, const struct daemon *daemon,
		     int64_t ret_steps[REFERENCE_PROFILES]);

/* The step of what is public; -1: nothing is. */
int64_t reference_step_of(const struct daemon *daemon);

#endif
