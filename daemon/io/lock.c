#include "daemon/io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>

#define PID_SIZE 24

/* Who removes the file at each attempt has the lock as good as taken. */
#define ATTEMPTS_MAX 1000

static int
open_own(int *ret_fd, const char *path)
{
	owned_fd fd = -1;
	struct stat status;

	/* Not to wait where somebody put a fifo, or holds a lease. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		  0600);
	if (fd < 0)
		return errno == ELOOP ? -EPERM : -errno;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
	    status.st_nlink > 1)
		return -EPERM;
	*ret_fd = take_fd(&fd);
	return 0;
}

/* False: the file was removed, so that the next one locks another. */
static bool
is_at(int fd, const char *path)
{
	struct stat mine;
	struct stat there;

	return fstat(fd, &mine) == 0 && lstat(path, &there) == 0 &&
	       mine.st_dev == there.st_dev && mine.st_ino == there.st_ino;
}

static pid_t
read_holder(int fd)
{
	char text[PID_SIZE] = "";
	long pid;

	if (pread(fd, text, sizeof text - 1, 0) < 0)
		return 0;
	pid = strtol(text, NULL, 10);
	return pid > 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

/* The lock holds without it: on a full /dev/shm nobody is named, no more. */
static void
write_holder(int fd)
{
	char text[PID_SIZE];
	int n = snprintf(text, sizeof text, "%d\n", (int)getpid());

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) < 0)
		return;
}

int
lock_take(int *ret_fd, const char *path, pid_t *ret_holder)
{
	for (int i = 0; i < ATTEMPTS_MAX; i++) {
		owned_fd fd = -1;
		int r;

		r = open_own(&fd, path);
		if (r < 0)
			return r;
		if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
			r = -errno;
			if (r == -EWOULDBLOCK)
				*ret_holder = read_holder(fd);
			return r;
		}
		if (!is_at(fd, path))
			continue;
		write_holder(fd);
		*ret_fd = take_fd(&fd);
		return 0;
	}
	*ret_holder = 0;
	return -EWOULDBLOCK;
}
