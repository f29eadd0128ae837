/*
 * Large arrays, and threads that share the work on them.
 */
#ifndef TESTS_BENCH_MEMORY_H
#define TESTS_BENCH_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/*
 * @size bytes of small positive numbers of a type with elements of @width
 * bytes (2: bf16 or f16, 4: float, which all of them read as finite), in
 * memory as the daemon's: shared, of ordinary pages, touched.
 */
void *memory_new(size_t size, size_t width);
void memory_free(void *memory, size_t size);

/* Units that are shared out: a chunk of the daemon's, in floats. */
#define CREW_UNIT ((size_t)32768)

/* Elements from @begin up to @end. */
typedef void crew_fn(void *arg, size_t begin, size_t end);

/* Let @n_threads, this one among them, do the @n elements; seconds. */
double crew_run(unsigned int n_threads, crew_fn *work, void *arg, size_t n);

#endif
