#include "daemon/io/watch.h"

#include <poll.h>

#include "daemon/log.h"

struct watch {
	uv_poll_t poll;
	int pidfd;
	void (*on_death)(void *arg);
	void *arg;
};

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	struct watch *watch = container_of(poll, struct watch, poll);

	(void)status;
	(void)events;
	if (!watch_is_dead(watch))
		return;
	(void)uv_poll_stop(poll);
	watch->on_death(watch->arg);
}

int
watch_new(struct watch **ret_watch, uv_loop_t *loop, int pidfd,
	  void (*on_death)(void *arg), void *arg)
{
	owned_fd fd = pidfd;
	struct watch *watch;
	int r;

	watch = xcalloc(1, sizeof *watch);
	r = uv_poll_init(loop, &watch->poll, fd);
	if (r < 0) {
		free(watch);
		return log_failure(r, "cannot watch a process");
	}
	watch->pidfd = take_fd(&fd);
	watch->on_death = on_death;
	watch->arg = arg;
	r = uv_poll_start(&watch->poll, UV_READABLE, on_readable);
	if (r < 0) {
		watch_close(watch);
		return log_failure(r, "cannot watch a process");
	}
	*ret_watch = watch;
	return 0;
}

static void
on_closed(uv_handle_t *handle)
{
	free(container_of((uv_poll_t *)handle, struct watch, poll));
}

void
watch_close(struct watch *watch)
{
	if (!watch)
		return;
	uv_close((uv_handle_t *)&watch->poll, on_closed);
	(void)close(watch->pidfd);
}

bool
watch_is_dead(const struct watch *watch)
{
	struct pollfd process = { .fd = watch->pidfd, .events = POLLIN };

	return poll(&process, 1, 0) > 0;
}
