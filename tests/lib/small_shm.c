#include "tests/lib/small_shm.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "proto/name.h"
#include "proto/util.h"

static int
write_text(const char *path, const char *text)
{
	owned_fd fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		return -errno;
	return 0;
}

/* Keep the own ids: files that others gave this user stay its own. */
static int
map_ids(uid_t uid, gid_t gid)
{
	char map[64];
	int r;

	r = write_text("/proc/self/setgroups", "deny");
	if (r < 0)
		return r;
	(void)snprintf(map, sizeof map, "%u %u 1", uid, uid);
	r = write_text("/proc/self/uid_map", map);
	if (r < 0)
		return r;
	(void)snprintf(map, sizeof map, "%u %u 1", gid, gid);
	return write_text("/proc/self/gid_map", map);
}

static int
enter_namespace(void)
{
	uid_t uid = getuid();
	gid_t gid = getgid();

	if (unshare(CLONE_NEWNS) == 0)
		return 0;
	if (unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0)
		return -errno;
	return map_ids(uid, gid);
}

int
small_shm_mount(const char *size)
{
	const char *none = "none";
	char options[64];
	int r;

	r = enter_namespace();
	if (r < 0)
		return r;
	/* In a chroot "/" is no mount, and there is nothing to be made so. */
	if (mount(none, "/", none, MS_REC | MS_PRIVATE, none) != 0 &&
	    errno != EINVAL)
		return -errno;
	(void)snprintf(options, sizeof options, "size=%s,mode=1777", size);
	if (mount(none, SHM_DIRECTORY, "tmpfs", MS_NOSUID | MS_NODEV,
		  options) != 0)
		return -errno;
	return 0;
}
