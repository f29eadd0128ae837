#include "tests/bench/usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/story.h"

#define BLOCK 512.0 /* bytes, of st_blocks */

double
usage_shm(const struct daemon *daemon)
{
	DIR *directory = opendir(SHM_DIRECTORY);
	struct dirent *entry;
	struct stat status;
	double size = 0.0;
	char part[64];

	insist(directory);
	(void)snprintf(part, sizeof part, "emad.%s.", daemon->instance);
	while ((entry = readdir(directory)))
		if (strstr(entry->d_name, part) &&
		    fstatat(dirfd(directory), entry->d_name, &status,
			    AT_SYMLINK_NOFOLLOW) == 0)
			size += (double)status.st_blocks * BLOCK;
	(void)closedir(directory);
	return size;
}

static double
read_line(const struct daemon *daemon, const char *line)
{
	return (double)daemon_memory(daemon, line) * 1024.0;
}

double
usage_own(const struct daemon *daemon)
{
	return read_line(daemon, "RssAnon") + read_line(daemon, "RssFile");
}

double
usage_page_tables(const struct daemon *daemon)
{
	return read_line(daemon, "VmPTE");
}
