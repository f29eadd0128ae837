/*
 * A small random number generator, so that every run of an example sees the
 * same numbers on every machine.
 */
#ifndef EXAMPLES_RNG_H
#define EXAMPLES_RNG_H

#include <stdint.h>

struct rng {
	uint64_t state;
};

/* splitmix64, by Sebastiano Vigna (public domain). */
static inline uint64_t
rng_next(struct rng *rng)
{
	uint64_t z = rng->state += UINT64_C(0x9E3779B97F4A7C15);

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

/* In [0, 1), exact in a float. */
static inline float
rng_uniform(struct rng *rng)
{
	return (float)(rng_next(rng) >> 40) * 0x1p-24f;
}

/* In [0, n); n is far below 2^32, so the bias does not matter here. */
static inline unsigned int
rng_below(struct rng *rng, unsigned int n)
{
	return (unsigned int)(((rng_next(rng) >> 32) * n) >> 32);
}

#endif
