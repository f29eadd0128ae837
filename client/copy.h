/*
 * Copying a snapshot past the caches.
 *
 * glibc's memcpy writes around the caches only from a size on that no tensor
 * has (190 MB where there is a large last-level cache); a snapshot is written
 * once and read by another process, so caching it costs and gains nothing.
 * Eight pages are copied in lock step, which keeps more misses under way than
 * one stream does.
 *
 * Any thread; nothing is shared.
 */
#ifndef CLIENT_COPY_H
#define CLIENT_COPY_H

#include <stddef.h>

/* Snapshots from this size on do not fit into caches with all else. */
#define COPY_STREAM_FROM ((size_t)24 << 20)

/* memcpy(), with stores that go past the caches; then copy_finish(). */
void copy_stream(void *destination, const void *source, size_t size);

/* Make what was streamed visible to whoever is told of it from now on. */
void copy_finish(void);

/* ---- For tests: each way of copying that this machine has. ---- */

typedef void copy_fn(char *destination, const char *source, size_t size);

struct copy_way {
	const char *name;
	/* From an address that is a multiple of 64, a multiple of 64 bytes. */
	copy_fn *copy_lines;
};

/* The @index-th, best first; NULL: there are no more. */
const struct copy_way *copy_way(size_t index);

void copy_stream_by(const struct copy_way *way, void *destination,
		    const void *source, size_t size);

#endif
