#include "client/emactl_copy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "client/emactl_output.h"
#include "client/emactl_progress.h"
#include "client/emad.h"
#include "proto/util.h"

#define CHUNK_SIZE (UINT64_C(8) << 20)

/* What a user or a session manager ends a program with. */
static const int ending_signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

/*
 * Set before the file is created and never taken back: after the rename there
 * is nothing under that name, and it is too random to be anybody else's.
 */
static char temporary_path[PATH_MAX];

static void
on_ending_signal(int number)
{
	/* SA_RESETHAND: the second one ends us as if nothing had been caught.*/
	(void)unlink(temporary_path);
	(void)raise(number);
}

static void
catch_signals(void)
{
	struct sigaction catch = { .sa_handler = on_ending_signal,
				   .sa_flags = (int)SA_RESETHAND | SA_NODEFER };

	(void)sigemptyset(&catch.sa_mask);
	for (size_t i = 0; i < array_size(ending_signals); i++) {
		struct sigaction old;

		(void)sigaction(ending_signals[i], NULL, &old);
		/* nohup wants it ignored: leave that so. */
		if (old.sa_handler == SIG_DFL)
			(void)sigaction(ending_signals[i], &catch, NULL);
	}
	/* A file above the limit of sizes is an errno, not the end. */
	(void)signal(SIGXFSZ, SIG_IGN);
}

static void
release_signals(void)
{
	for (size_t i = 0; i < array_size(ending_signals); i++) {
		struct sigaction old;

		(void)sigaction(ending_signals[i], NULL, &old);
		if (old.sa_handler == on_ending_signal)
			(void)signal(ending_signals[i], SIG_DFL);
	}
}

/* The directory that holds @path, in @ret_directory. */
static void
directory_of(const char *path, char ret_directory[PATH_MAX])
{
	char copy[PATH_MAX];

	(void)snprintf(copy, sizeof copy, "%s", path);
	(void)snprintf(ret_directory, PATH_MAX, "%s", dirname(copy));
}

/* Returns 0 or an errno. */
static int
choose_temporary_path(const char *path)
{
	char directory[PATH_MAX];
	uint64_t number;
	int n;

	if (strlen(path) >= PATH_MAX)
		return ENAMETOOLONG;
	directory_of(path, directory);
	if (getrandom(&number, sizeof number, 0) != sizeof number)
		return errno;
	n = snprintf(temporary_path, sizeof temporary_path,
		     "%s/.emactl-%016" PRIx64 ".part", directory, number);
	return n < PATH_MAX ? 0 : ENAMETOOLONG;
}

/* Returns 0 or an errno. */
static int
write_all(int fd, const char *data, uint64_t size, struct progress *progress)
{
	uint64_t done = 0;

	/* Room first: to fail before the work.  Not all file systems can. */
	if (size > 0 && fallocate(fd, 0, 0, (off_t)size) != 0 &&
	    errno != EOPNOTSUPP && errno != ENOSYS && errno != EINTR)
		return errno;
	while (done < size) {
		uint64_t left = size - done;
		ssize_t n = write(fd, data + done,
				  left < CHUNK_SIZE ? left : CHUNK_SIZE);

		if (n < 0 && errno != EINTR)
			return errno;
		if (n > 0)
			done += (uint64_t)n;
		progress_update(progress, done);
	}
	return fsync(fd) == 0 ? 0 : errno;
}

/* The name is durable only when its directory is. */
static int
sync_directory(const char *path)
{
	char directory[PATH_MAX];
	owned_fd fd = -1;

	directory_of(path, directory);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	/* Some file systems have nothing to sync there and say so. */
	return fsync(fd) == 0 || errno == EINVAL ? 0 : errno;
}

/* Returns 0 or an errno; nothing is left behind then. */
static int
write_temporary(const void *data, uint64_t size, const char *path,
		struct progress *progress)
{
	owned_fd fd = open(temporary_path,
			   O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	int error;

	if (fd < 0)
		return errno;
	error = write_all(fd, data, size, progress);
	if (!error && rename(temporary_path, path) != 0)
		error = errno;
	if (error)
		(void)unlink(temporary_path);
	return error;
}

static enum exit_code
refuse(const struct emactl *ctl, const char *path, uint64_t size, int error)
{
	char needed[TEXT_SIZE];
	char free_text[TEXT_SIZE];
	char directory[PATH_MAX];
	struct statvfs space;

	directory_of(path, directory);
	if (error != ENOSPC || statvfs(directory, &space) != 0)
		return output_failure(ctl, error, "write %s", path);
	return output_error(
		ctl, EMAD_SYSTEM,
		"cannot write %s: %s: it needs %s and %s are free; make room "
		"or name another place with -o",
		path, strerror(error), output_size(needed, size),
		output_size(free_text, (uint64_t)space.f_bavail *
					       (uint64_t)space.f_frsize));
}

enum exit_code
copy_to_file(const struct emactl *ctl, const char *label, const void *data,
	     uint64_t size, const char *path)
{
	struct progress progress;
	struct stat old;
	int error;

	/* Renaming onto a device would replace it. */
	if (stat(path, &old) == 0 && !S_ISREG(old.st_mode))
		return output_error(ctl, EMAD_USAGE,
				    "%s is not a regular file: name one with "
				    "-o",
				    path);
	error = choose_temporary_path(path);
	if (error)
		return output_failure(ctl, error, "write %s", path);
	catch_signals();
	progress_start(&progress, ctl, label, size);
	error = write_temporary(data, size, path, &progress);
	progress_end(&progress);
	release_signals();
	if (error)
		return refuse(ctl, path, size, error);
	error = sync_directory(path);
	if (error)
		return output_failure(ctl, error, "sync the directory of %s",
				      path);
	return EXIT_DONE;
}
