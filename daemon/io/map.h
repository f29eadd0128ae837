/*
 * Where a file in shared memory is mapped.
 */
#ifndef DAEMON_IO_MAP_H
#define DAEMON_IO_MAP_H

#include "proto/util.h"

/*
 * Map @size > 0 bytes of @fd, read-write and shared; all of them may lie beyond
 * the file's end still.  Files that hold a huge page begin at a multiple of its
 * size: elsewhere the kernel could not map one.  Negative errno.
 */
int map_file(int fd, uint64_t size, void **ret_base);
void map_remove(void *base, uint64_t size);

/* Have every page in the page tables, for writing.  Negative errno. */
int map_populate(void *base, uint64_t size);

#endif
