/*
 * The loops that emad's own are compared with: as bare as they can be, over
 * floats, in the best instruction set that the machine has.
 */
#ifndef TESTS_BENCH_LOOPS_H
#define TESTS_BENCH_LOOPS_H

#include <stddef.h>

/*
 * The traffic of an update out of place without its arithmetic: read @a and
 * @b, write @out past the caches.  @distance: bytes ahead to prefetch, 0: not.
 */
void loop_traffic(float *out, const float *a, const float *b, size_t n,
		  size_t distance);

/* The same traffic, four pages of each array in lock step. */
void loop_traffic_pages(float *out, const float *a, const float *b, size_t n);

/* @average += @weight * (@values - @average), with ordinary stores. */
void loop_lerp(float *average, const float *values, size_t n, float weight);

/* Copy past the caches; the last bytes of no whole vector are left out. */
void loop_copy(float *out, const float *from, size_t n, size_t distance);

#endif
