/*
 * Where a file in shared memory is mapped: files that hold a huge page begin at
 * a multiple of its size, for elsewhere the kernel could not map one.
 */
#ifndef PROTO_MAP_H
#define PROTO_MAP_H

#include "proto/util.h"

#define HUGE_PAGE_SIZE ((uint64_t)2 << 20)

/*
 * Map @size > 0 bytes of @fd, shared, with @protection (PROT_...) and more
 * @flags (MAP_POPULATE or 0).  They may lie beyond the file's end, and must not
 * be touched there.  A negative errno, and nothing is mapped.
 */
int
map_shared(int fd, uint64_t size, int protection, int flags, void **ret_base);

/* 0 bytes are fine. */
void map_remove(void *base, uint64_t size);

#endif
