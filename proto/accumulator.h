/*
 * What an average is kept in.
 *
 * It is published in float32 whatever it is kept in (tensors of float64 are
 * always kept and published in float64).  A float32 stalls once an update is
 * below half a unit in its last place: at a beta of 0.9999, once a parameter
 * is relatively within about 5e-4 of its average.
 */
#ifndef PROTO_ACCUMULATOR_H
#define PROTO_ACCUMULATOR_H

#include <stdbool.h>
#include <stdint.h>

/* X(name, name in messages and files, bytes beside each float, what) */
#define ACCUMULATORS(X)                                                        \
	X(FLOAT32, "float32", 0, "float32, bit for bit as torch")              \
	X(COMPENSATED, "float32_compensated", 2,                               \
	  "float32, and what it rounded away (Kahan)")                         \
	X(FLOAT64, "float64", 8, "float64, rounded when published")

enum accumulator {
#define X(name, text, rest_size, what) ACCUMULATOR_##name,
	ACCUMULATORS(X)
#undef X
		N_ACCUMULATORS
};

const char *accumulator_name(enum accumulator accumulator);
bool accumulator_parse(enum accumulator *ret_accumulator, const char *text);

/*
 * Bytes kept beside an average whose data has @average_size bytes, a multiple
 * of the alignment of its floats.
 */
uint64_t
accumulator_rest_size(enum accumulator accumulator, uint64_t average_size);

#endif
