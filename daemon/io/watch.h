/*
 * Tell when a process is gone, from its pidfd in the loop.
 *
 * A closed connection proves nothing: forked children keep it open.  Loop
 * thread only.
 */
#ifndef DAEMON_IO_WATCH_H
#define DAEMON_IO_WATCH_H

#include <uv.h>

#include "proto/util.h"

struct watch;

/*
 * Call @on_death once, from the loop, when the process of @pidfd has ended.
 * Takes @pidfd, also on failure.
 */
int watch_new(struct watch **ret_watch, uv_loop_t *loop, int pidfd,
	      void (*on_death)(void *arg), void *arg);

/* Stop watching and free; on_death is not called any more.  NULL is fine. */
void watch_close(struct watch *watch);

/* Whether the process has ended already, asked now. */
bool watch_is_dead(const struct watch *watch);

#endif
