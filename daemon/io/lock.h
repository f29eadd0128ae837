/*
 * Locks that die with their process: flock on a file of our own.
 */
#ifndef DAEMON_IO_LOCK_H
#define DAEMON_IO_LOCK_H

#include "proto/util.h"

/*
 * Lock the file at @path, creating it with mode 0600 (never through a symlink,
 * never somebody else's).  On success *ret_fd holds the lock until closed.
 * -EWOULDBLOCK: another process has it; *ret_holder is that process's pid as
 * it wrote it, or 0.  -EPERM: the file is not ours.
 */
int lock_take(int *ret_fd, const char *path, pid_t *ret_holder);

#endif
