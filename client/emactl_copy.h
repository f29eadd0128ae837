/*
 * Writing a file so that it is there whole or not at all: under a temporary
 * name beside it, synced, then renamed.  A signal that ends the program takes
 * the temporary file along; only SIGKILL or a crash of the machine leaves it.
 *
 * One copy at a time in a process: the signal handler knows one name.
 */
#ifndef CLIENT_EMACTL_COPY_H
#define CLIENT_EMACTL_COPY_H

#include <stdint.h>

#include "client/emactl.h"

/* Write @size bytes at @data to @path.  @label is for the progress bar. */
enum exit_code copy_to_file(const struct emactl *ctl, const char *label,
			    const void *data, uint64_t size, const char *path);

#endif
