/*
 * Copying a snapshot past the caches.
 *
 * glibc's memcpy writes around the caches only from a size on that no tensor
 * has (190 MB where there is a large last-level cache); a snapshot is written
 * once and read by another process, so caching it costs and gains nothing.
 *
 * On some machines eight pages in lock step, which keep more misses under way
 * than one stream does, are up to 1.5 times faster than one prefetched stream,
 * on others slower by as much: so both are tried.
 *
 * Any thread; nothing is shared.
 */
#ifndef CLIENT_COPY_H
#define CLIENT_COPY_H

#include <stddef.h>

/* Snapshots from this size on do not fit into caches with all else. */
#define COPY_STREAM_FROM ((size_t)24 << 20)

/* Enough to try a way of copying on: more than the caches hold. */
#define COPY_TRIAL ((size_t)64 << 20)

typedef void copy_fn(char *destination, const char *source, size_t size);

struct copy_way {
	const char *name;
	/* From an address that is a multiple of 64, a multiple of 64 bytes. */
	copy_fn *copy_lines;
};

/*
 * The @index-th way of copying that this machine has, the widest first; NULL:
 * there are no more.
 */
const struct copy_way *copy_way(size_t index);

/*
 * The faster of the two widest, tried on @size bytes (some MiB), eight copies
 * in all; @destination is overwritten.
 */
const struct copy_way *
copy_choose(void *destination, const void *source, size_t size);

/* memcpy(), with stores that go past the caches; then copy_finish(). */
void copy_stream(const struct copy_way *way, void *destination,
		 const void *source, size_t size);

/* Make what was streamed visible to whoever is told of it from now on. */
void copy_finish(void);

#endif
