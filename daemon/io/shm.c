#include "daemon/io/shm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "daemon/io/huge.h"
#include "daemon/io/numa.h"

#ifndef MADV_POPULATE_WRITE /* since Linux 5.14 and glibc 2.35 */
#define MADV_POPULATE_WRITE 23
#endif

#define PATH_SIZE (sizeof SHM_DIRECTORY + FILE_NAME_SIZE)
#define FILE_MAX  ((uint64_t)INT64_MAX) /* of off_t */

static _Atomic uint64_t held;

uint64_t
shm_held(void)
{
	return atomic_load(&held);
}

static void
path_of(char ret_path[PATH_SIZE], const char *name)
{
	must(strchr(name, '/') == NULL);
	must(strlen(name) < FILE_NAME_SIZE);
	(void)snprintf(ret_path, PATH_SIZE, SHM_DIRECTORY "/%s", name);
}

static void
set_name(struct shm *shm, const char *name)
{
	(void)snprintf(shm->name, sizeof shm->name, "%s", name);
}

static int
map(struct shm *shm)
{
	int r = map_shared(shm->fd, shm->size, PROT_READ | PROT_WRITE, 0,
			   &shm->base);

	if (r == 0)
		(void)atomic_fetch_add(&held, shm->size);
	return r;
}

/* For kernels that cannot be asked to. */
static void
touch_pages(const struct shm *shm)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *bytes = shm->base;

	for (uint64_t at = 0; at < shm->size; at += page)
		bytes[at] = 0;
}

static int
populate(const struct shm *shm)
{
	if (madvise(shm->base, shm->size, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	touch_pages(shm);
	return 0;
}

static int
reserve(const struct shm *shm)
{
	uint64_t available = 0;
	uint64_t total = 0;
	int error;

	/*
	 * tmpfs would hand out all that it has before it finds that this is
	 * not enough; meanwhile others' first touches would be SIGBUS.
	 */
	if (shm_space(&available, &total) == 0 && shm->size > available)
		return -ENOSPC;
	do {
		error = posix_fallocate(shm->fd, 0, (off_t)shm->size);
	} while (error == EINTR);
	return -error;
}

/*
 * Make a file that was just created what the caller asked for.  Mapping what
 * has been reserved only fills page tables: together the two take no longer
 * than to have memory made page by page as it is mapped, and that it does not
 * suffice shows before any of it is touched.
 */
static int
furnish(struct shm *shm, mode_t mode, const struct numa_placement *placement)
{
	struct stat status;
	int r;

	if (fchmod(shm->fd, mode) < 0 || fstat(shm->fd, &status) < 0)
		return -errno;
	shm->device = status.st_dev;
	shm->inode = status.st_ino;
	r = map(shm);
	if (r < 0)
		return r;
	if (placement)
		(void)numa_place(shm->base, shm->size, placement);
	r = reserve(shm);
	if (r < 0)
		return r;
	return populate(shm);
}

int
shm_create(struct shm *ret_shm, const char *name, uint64_t size, mode_t mode)
{
	return shm_create_placed(ret_shm, name, size, mode, NULL);
}

int
shm_create_placed(struct shm *ret_shm, const char *name, uint64_t size,
		  mode_t mode, const struct numa_placement *placement)
{
	struct shm shm = SHM_NONE;
	int r;

	must(size > 0);
	must(strlen(name) < FILE_NAME_SIZE);
	if (size > FILE_MAX)
		return -EFBIG;
	set_name(&shm, name);
	shm.size = size;
	/* O_NOFOLLOW and O_CLOEXEC are shm_open's own. */
	shm.fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (shm.fd < 0)
		return -errno;
	r = furnish(&shm, mode, placement);
	if (r < 0) {
		(void)shm_unlink(name);
		shm_close(&shm);
		return r;
	}
	*ret_shm = shm;
	return 0;
}

/* What open() says of a name that is no file of ours. */
static int
adopt_error(int error)
{
	switch (error) {
	case ELOOP:  /* a symbolic link */
	case EACCES: /* somebody else's */
	case EINVAL: /* a folder: shm_open's word for it */
	case EISDIR:
	case ENXIO: /* a socket */
		return -EPERM;
	default:
		return -error;
	}
}

int
shm_adopt(struct shm *ret_shm, const char *name)
{
	struct shm shm = SHM_NONE;
	struct stat status;
	int r;

	must(strlen(name) < FILE_NAME_SIZE);
	set_name(&shm, name);
	/* Not to wait for who holds the other end of a fifo, or a lease. */
	shm.fd = shm_open(name, O_RDWR | O_NONBLOCK, 0);
	if (shm.fd < 0)
		return adopt_error(errno);
	if (fstat(shm.fd, &status) < 0)
		r = -errno;
	else if (!S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
		 status.st_nlink != 1 || status.st_size <= 0)
		r = -EPERM;
	else {
		shm.size = (uint64_t)status.st_size;
		shm.device = status.st_dev;
		shm.inode = status.st_ino;
		r = map(&shm);
	}
	if (r < 0) {
		shm_close(&shm);
		return r;
	}
	*ret_shm = shm;
	return 0;
}

void
shm_close(struct shm *shm)
{
	huge_remove(shm->huge);
	if (shm->base) {
		map_remove(shm->base, shm->size);
		(void)atomic_fetch_sub(&held, shm->size);
	}
	if (shm->fd >= 0)
		(void)close(shm->fd);
	*shm = SHM_NONE;
}

void
shm_collapse(struct shm *shm, struct huge *huge)
{
	must(!shm->huge);
	shm->huge = huge_add(huge, shm->base, shm->size);
}

uint64_t
shm_huge_size(const struct shm *shm)
{
	return huge_segment_size(shm->huge);
}

/* Whether @path is the file of @shm now. */
static bool
is_at(const struct shm *shm, const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0 && status.st_dev == shm->device &&
	       status.st_ino == shm->inode;
}

int
shm_unlink_name(struct shm *shm)
{
	char path[PATH_SIZE];

	if (shm->name[0] == '\0')
		return 0;
	path_of(path, shm->name);
	if (is_at(shm, path) && unlink(path) < 0 && errno != ENOENT)
		return -errno;
	shm->name[0] = '\0';
	return 0;
}

int
shm_give_to(const struct shm *shm, uid_t uid, gid_t gid, mode_t shared)
{
	if (fchown(shm->fd, uid, gid) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	/* Without the privilege only groups that this user is in too. */
	if (fchown(shm->fd, (uid_t)-1, gid) < 0 && errno != EPERM)
		return -errno;
	return fchmod(shm->fd, shared) < 0 ? -errno : 0;
}

int
shm_lease(const struct shm *shm)
{
	return fcntl(shm->fd, F_SETLEASE, F_WRLCK) < 0 ? -errno : 0;
}

void
shm_unlease(const struct shm *shm)
{
	/* Fails only if the kernel has taken the lease back already. */
	(void)fcntl(shm->fd, F_SETLEASE, F_UNLCK);
}

int
shm_reveal(struct shm *hidden, const char *name)
{
	char from[PATH_SIZE];
	char to[PATH_SIZE];

	path_of(from, hidden->name);
	path_of(to, name);
	if (!is_at(hidden, from))
		return -ESTALE;
	if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	set_name(hidden, name);
	return 0;
}

int
shm_swap(struct shm *next, struct shm *current)
{
	char next_path[PATH_SIZE];
	char current_path[PATH_SIZE];
	char name[FILE_NAME_SIZE];

	path_of(next_path, next->name);
	path_of(current_path, current->name);
	if (!is_at(next, next_path) || !is_at(current, current_path))
		return -ESTALE;
	if (renameat2(AT_FDCWD, next_path, AT_FDCWD, current_path,
		      RENAME_EXCHANGE) < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	memcpy(name, next->name, sizeof name);
	memcpy(next->name, current->name, sizeof name);
	memcpy(current->name, name, sizeof name);
	return 0;
}

bool
shm_is_intact(const struct shm *shm)
{
	char path[PATH_SIZE];
	struct stat status;

	path_of(path, shm->name);
	return fstat(shm->fd, &status) == 0 &&
	       (uint64_t)status.st_size == shm->size && is_at(shm, path);
}

int
shm_space(uint64_t *ret_free, uint64_t *ret_total)
{
	struct statvfs status;

	if (statvfs(SHM_DIRECTORY, &status) < 0)
		return -errno;
	*ret_free = (uint64_t)status.f_bavail * status.f_frsize;
	*ret_total = (uint64_t)status.f_blocks * status.f_frsize;
	return 0;
}
