/*
 * A guard against SIGBUS: memory that somebody else may truncate is read and
 * written only inside of one.
 *
 * guard_run() calls @touch and returns 0, or -EFAULT if it met a page that is
 * not there.  @touch must then leave nothing half done that matters: no lock
 * held, no memory owned.  Guards do not nest.  A SIGBUS outside of a guard
 * kills the process as ever.  Any thread.
 */
#ifndef DAEMON_IO_GUARD_H
#define DAEMON_IO_GUARD_H

/* Install the handler, once, before any thread starts. */
int guard_install(void);

int guard_run(void (*touch)(void *arg), void *arg);

#endif
