#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/io/endpoint_private.h"
#include "daemon/log.h"

#define ACCEPTS_AT_ONCE 64 /* then the others get their turn */

struct listener {
	struct list entry;
	struct endpoint *endpoint;
	uv_poll_t poll;
	int fd;
	struct sockaddr_un address; /* no path: not ours to remove */
	dev_t device;
	ino_t inode;
};

static void on_connection(uv_poll_t *poll, int status, int events);

void
listener_start_all(struct endpoint *endpoint)
{
	endpoint->is_accept_paused = false;
	list_each (cursor, &endpoint->listeners) {
		struct listener *listener =
			container_of(cursor, struct listener, entry);

		(void)uv_poll_start(&listener->poll, UV_READABLE,
				    on_connection);
	}
}

void
listener_stop_all(struct endpoint *endpoint)
{
	list_each (cursor, &endpoint->listeners) {
		struct listener *listener =
			container_of(cursor, struct listener, entry);

		(void)uv_poll_stop(&listener->poll);
	}
}

/*
 * Out of descriptors or memory.  The connections that wait stay readable, so
 * polling on would spin; the sweep tries again.
 */
static void
pause_accepting(struct endpoint *endpoint, int error)
{
	if (!endpoint->is_full)
		(void)log_failure(error, "new connections have to wait");
	endpoint->is_full = true;
	endpoint->is_accept_paused = true;
	listener_stop_all(endpoint);
	endpoint_start_sweep(endpoint);
}

static void
on_connection(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = container_of(poll, struct listener, poll);
	struct endpoint *endpoint = listener->endpoint;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPTS_AT_ONCE; i++) {
		int fd = accept4(listener->fd, NULL, NULL,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			connection_start(endpoint, fd);
		} else if (errno == EAGAIN) {
			endpoint->is_full = false;
			return;
		} else if (errno != ECONNABORTED && errno != EINTR) {
			pause_accepting(endpoint, -errno);
			return;
		}
	}
}

/* The socket's file, if it still is the one that @listener made. */
static void
remove_file(const struct listener *listener)
{
	const char *path = listener->address.sun_path;
	struct stat file;

	if (path[0] != '\0' && lstat(path, &file) == 0 &&
	    file.st_dev == listener->device && file.st_ino == listener->inode)
		(void)unlink(path);
}

static void
on_listener_closed(uv_handle_t *handle)
{
	struct listener *listener =
		container_of((uv_poll_t *)handle, struct listener, poll);
	struct endpoint *endpoint = listener->endpoint;

	free(listener);
	endpoint_forget_handle(endpoint);
}

static void
close_listener(struct listener *listener)
{
	list_remove(&listener->entry);
	uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
	remove_file(listener);
	(void)close(listener->fd);
}

/* Takes @socket; @listener is freed on failure. */
static int
start_listener(struct endpoint *endpoint, struct listener *listener, int socket)
{
	int r = 0;

	listener->endpoint = endpoint;
	listener->fd = socket;
	if (listen(socket, SOMAXCONN) < 0)
		r = -errno;
	if (r == 0)
		r = uv_poll_init(endpoint->loop, &listener->poll, socket);
	if (r < 0) {
		remove_file(listener);
		(void)close(socket);
		free(listener);
		return r;
	}
	endpoint->n_handles++;
	list_append(&endpoint->listeners, &listener->entry);
	r = uv_poll_start(&listener->poll, UV_READABLE, on_connection);
	if (r < 0)
		close_listener(listener);
	return r;
}

/* Whether some program accepts connections there, whoever it is. */
static bool
is_listened_at(const struct sockaddr_un *address)
{
	owned_fd fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	return connect(fd, (const struct sockaddr *)address, sizeof *address) ==
		       0 ||
	       errno == EAGAIN; /* so many wait that no more may */
}

static int
remove_stale_socket(const struct sockaddr_un *address)
{
	const char *path = address->sun_path;
	struct stat file;

	if (lstat(path, &file) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(file.st_mode))
		return -EEXIST;
	if (is_listened_at(address))
		return -EADDRINUSE;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Bind @socket so that nobody ever sees the file with another mode. */
static int
bind_with_mode(struct listener *listener, int socket, mode_t mode)
{
	const struct sockaddr_un *address = &listener->address;
	mode_t mask = umask(~mode & 0777);
	int r;

	r = bind(socket, (const struct sockaddr *)address, sizeof *address);
	if (r < 0)
		r = -errno;
	(void)umask(mask);
	return r;
}

static int
bind_and_listen(struct endpoint *endpoint, struct listener *listener,
		mode_t mode)
{
	owned_fd socket_fd = -1;
	struct stat file;
	int r;

	socket_fd =
		socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	r = socket_fd < 0 ? -errno : 0;
	if (r == 0)
		r = remove_stale_socket(&listener->address);
	if (r == 0)
		r = bind_with_mode(listener, socket_fd, mode);
	if (r == 0 && lstat(listener->address.sun_path, &file) < 0)
		r = -errno;
	if (r < 0) {
		free(listener);
		return r;
	}
	listener->device = file.st_dev;
	listener->inode = file.st_ino;
	return start_listener(endpoint, listener, take_fd(&socket_fd));
}

int
endpoint_listen(struct endpoint *endpoint, const char *path, mode_t mode)
{
	struct listener *listener;
	int r;

	/* An empty one would be bound as an abstract socket. */
	if (path[0] == '\0')
		return log_failure(-ENOENT, "cannot listen at an empty path");
	if (strlen(path) >= sizeof listener->address.sun_path)
		return log_failure(-ENAMETOOLONG, "cannot listen at %s", path);
	listener = xcalloc(1, sizeof *listener);
	listener->address.sun_family = AF_UNIX;
	memcpy(listener->address.sun_path, path, strlen(path));
	r = bind_and_listen(endpoint, listener, mode);
	return r < 0 ? log_failure(r, "cannot listen at %s", path) : 0;
}

static int
socket_option(int socket, int name)
{
	socklen_t size = sizeof(int);
	int value;

	return getsockopt(socket, SOL_SOCKET, name, &value, &size) < 0 ? -errno
								       : value;
}

int
endpoint_listen_fd(struct endpoint *endpoint, int fd)
{
	int r;

	if (socket_option(fd, SO_DOMAIN) != AF_UNIX ||
	    socket_option(fd, SO_TYPE) != SOCK_STREAM) {
		(void)close(fd);
		return log_failure(-EINVAL, "cannot listen on descriptor %d",
				   fd);
	}
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	r = start_listener(endpoint, xcalloc(1, sizeof(struct listener)), fd);
	if (r < 0)
		return log_failure(r, "cannot listen on descriptor %d", fd);
	return 0;
}

void
listener_close_all(struct endpoint *endpoint)
{
	while (!list_is_empty(&endpoint->listeners)) {
		close_listener(list_first(&endpoint->listeners, struct listener,
					  entry));
	}
}
