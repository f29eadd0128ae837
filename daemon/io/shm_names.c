/*
 * Names in /dev/shm, whatever has them.
 */
#include "daemon/io/shm.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct names {
	char **all;
	size_t n;
	size_t capacity;
};

static void
free_names(struct names *names)
{
	for (size_t i = 0; i < names->n; i++)
		free(names->all[i]);
	free(names->all);
}

static void
add_name(struct names *names, const char *name)
{
	if (names->n == names->capacity) {
		names->capacity = names->capacity ? 2 * names->capacity : 16;
		names->all = xrealloc(names->all,
				      names->capacity * sizeof *names->all);
	}
	names->all[names->n++] = xstrdup(name);
}

static int
collect_names(struct names *ret_names, const char *prefix)
{
	DIR *directory = opendir(SHM_DIRECTORY);
	struct dirent *entry;
	int error;

	if (!directory)
		return -errno;
	for (;;) {
		errno = 0;
		entry = readdir(directory);
		if (!entry)
			break;
		if (strncmp(entry->d_name, prefix, strlen(prefix)) == 0)
			add_name(ret_names, entry->d_name);
	}
	error = errno;
	(void)closedir(directory);
	return -error;
}

int
shm_each(const char *prefix, void (*each)(const char *name, void *arg),
	 void *arg)
{
	__attribute__((cleanup(free_names))) struct names names = { 0 };
	int r;

	r = collect_names(&names, prefix);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.n; i++)
		each(names.all[i], arg);
	return 0;
}

int
shm_remove(const char *name)
{
	char path[sizeof SHM_DIRECTORY + FILE_NAME_SIZE];
	struct stat status;

	must(strchr(name, '/') == NULL);
	must(strlen(name) < FILE_NAME_SIZE);
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", name);
	if (lstat(path, &status) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode))
		return -EPERM;
	if (status.st_uid != geteuid() && geteuid() != 0)
		return -EPERM;
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}
