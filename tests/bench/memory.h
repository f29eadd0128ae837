/*
 * Large arrays, and threads that share the work on them.
 */
#ifndef TESTS_BENCH_MEMORY_H
#define TESTS_BENCH_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * @size bytes of small positive numbers of a type with elements of @width
 * bytes (2: bf16 or f16, 4: float, which all of them read as finite), in
 * memory as the daemon's: shared, of ordinary pages, touched.  The address is
 * one at which a huge page can begin.
 */
void *memory_new(size_t size, size_t width);
void memory_free(void *memory, size_t size);

/* Fill memory as memory_new() does. */
void memory_fill(void *memory, size_t size, size_t width);

/*
 * Make huge pages of the ordinary ones, with what is in them.  False: this
 * machine does not (then part of them may be huge).
 */
bool memory_collapse(void *memory, size_t size);

/*
 * Whether so many bytes more can be had, in shared memory and at all, and the
 * machine still has something left.
 */
bool memory_fits(size_t size);

/*
 * @size, or its half, its quarter and so on, of which @n_arrays arrays can be
 * had; says so if it is less.
 */
size_t memory_fit(size_t size, size_t n_arrays);

/* Units that are shared out: a chunk of the daemon's, in floats. */
#define THREADS_UNIT ((size_t)32768)

/* Elements from @begin up to @end. */
typedef void threads_fn(void *arg, size_t begin, size_t end);

enum threads_sharing {
	THREADS_HALVES, /* each thread does one range, all as large */
	THREADS_UNITS,  /* each takes the next unit when it has done one */
};

/* Let @n_threads, this one among them, do the @n elements; seconds. */
double threads_run(unsigned int n_threads, enum threads_sharing sharing,
		   threads_fn *work, void *arg, size_t n);

#endif
