#include "tests/lib/fault.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

static bool is_armed;
static bool has_struck;
static int n_before;
static int error_to_give;

void
fault_arm(int n, int error)
{
	is_armed = true;
	has_struck = false;
	n_before = n;
	error_to_give = error;
}

bool
fault_disarm(void)
{
	is_armed = false;
	return has_struck;
}

int
fault_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	if (!directory)
		abort();
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n - 3; /* ".", ".." and the folder's own */
}

static bool
strikes(void)
{
	if (!is_armed || has_struck || n_before-- > 0)
		return false;
	has_struck = true;
	errno = error_to_give;
	return true;
}

/* Each: fail, or what it stands for. */
#define WRAP(type, name, failed, parameters, arguments)                        \
	type __real_##name parameters;                                         \
	type __wrap_##name parameters;                                         \
	type __wrap_##name parameters                                          \
	{                                                                      \
		return strikes() ? (failed) : __real_##name arguments;         \
	}

WRAP(int, shm_open, -1, (const char *name, int flags, mode_t mode),
     (name, flags, mode))
WRAP(int, fchmod, -1, (int fd, mode_t mode), (fd, mode))
WRAP(int, fchown, -1, (int fd, uid_t uid, gid_t gid), (fd, uid, gid))
WRAP(int, fstat, -1, (int fd, struct stat *status), (fd, status))
WRAP(int, lstat, -1, (const char *path, struct stat *status), (path, status))
WRAP(int, posix_fallocate, error_to_give, (int fd, off_t at, off_t size),
     (fd, at, size))
WRAP(int, ftruncate, -1, (int fd, off_t size), (fd, size))
WRAP(void *, mmap, MAP_FAILED,
     (void *at, size_t size, int protection, int flags, int fd, off_t offset),
     (at, size, protection, flags, fd, offset))
WRAP(int, madvise, -1, (void *at, size_t size, int advice), (at, size, advice))
WRAP(int, renameat2, -1,
     (int from_fd, const char *from, int to_fd, const char *to,
      unsigned int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(int, unlink, -1, (const char *path), (path))
WRAP(int, flock, -1, (int fd, int operation), (fd, operation))

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int
__wrap_open(const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return strikes() ? -1 : __real_open(path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int
__wrap_fcntl(int fd, int command, ...)
{
	va_list arguments;
	void *argument;

	va_start(arguments, command);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	return strikes() ? -1 : __real_fcntl(fd, command, argument);
}
