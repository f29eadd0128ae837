#include "proto/address.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/name.h"

static const char scheme[] = "ipc://";

static bool
set_path(char ret_address[ADDRESS_SIZE], struct why *why, const char *format,
	 ...) __attribute__((format(printf, 3, 4)));

static bool
set_path(char ret_address[ADDRESS_SIZE], struct why *why, const char *format,
	 ...)
{
	owned_memory char *path = NULL;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vasprintf(&path, format, arguments);
	va_end(arguments);
	must(n >= 0);
	if (n > ADDRESS_PATH_MAX) {
		why_set(why,
			"the socket's path %s is longer than %d bytes: "
			"choose another with --address or EMAD_ADDRESS",
			path, ADDRESS_PATH_MAX);
		return false;
	}
	(void)snprintf(ret_address, ADDRESS_SIZE, "%s%s", scheme, path);
	return true;
}

static const char *
directory_from(const char *variable)
{
	const char *directory = getenv(variable);

	/* systemd may list several directories; the first is ours. */
	if (!directory || directory[0] != '/' || strchr(directory, ':'))
		return NULL;
	return directory;
}

bool
address_of_daemon(char ret_address[ADDRESS_SIZE], const char *instance,
		  struct why *why)
{
	const char *directory = directory_from("RUNTIME_DIRECTORY");

	if (directory)
		return set_path(ret_address, why, "%s/%s.sock", directory,
				instance);
	directory = directory_from("XDG_RUNTIME_DIR");
	if (directory)
		return set_path(ret_address, why, "%s/emad.%s.sock", directory,
				instance);
	return set_path(ret_address, why, "/tmp/emad-%u/%s.sock",
			(unsigned int)geteuid(), instance);
}

static bool
is_there(const char *address)
{
	struct stat status;

	return stat(address + strlen(scheme), &status) == 0;
}

/*
 * In /tmp anybody may have made the folder in our name, and what listens in
 * it: a trainer's parameters are not for them.
 */
static bool
is_in_own_directory(const char *address)
{
	owned_memory char *directory = xstrdup(address + strlen(scheme));
	char *slash = strrchr(directory, '/');
	struct stat status;

	if (strncmp(directory, "/tmp/", 5) != 0)
		return true;
	*slash = '\0';
	return lstat(directory, &status) == 0 && S_ISDIR(status.st_mode) &&
	       status.st_uid == geteuid() && (status.st_mode & 022) == 0;
}

bool
address_of_client(char ret_address[ADDRESS_SIZE], struct why *why)
{
	const char *given = getenv("EMAD_ADDRESS");
	char system[ADDRESS_SIZE];

	if (given && given[0] != '\0') {
		const char *path = address_path(given, why);

		return path && set_path(ret_address, why, "%s", path);
	}
	if (!set_path(system, why, "/run/emad/%s.sock", DEFAULT_INSTANCE) ||
	    !address_of_daemon(ret_address, DEFAULT_INSTANCE, why))
		return false;
	if (is_there(ret_address)) {
		if (is_in_own_directory(ret_address))
			return true;
		why_set(why,
			"the folder of %s is not this user's alone: remove it, "
			"or name the daemon with EMAD_ADDRESS",
			ret_address);
		return false;
	}
	if (is_there(system))
		memcpy(ret_address, system, sizeof system);
	return true;
}

const char *
address_path(const char *address, struct why *why)
{
	const char *path = address + strlen(scheme);

	if (strncmp(address, scheme, strlen(scheme)) != 0 || path[0] != '/') {
		why_set(why,
			"the address \"%s\" is not of the form "
			"ipc:///absolute/path",
			address);
		return NULL;
	}
	if (strlen(path) > ADDRESS_PATH_MAX) {
		why_set(why, "the socket's path %s is longer than %d bytes",
			path, ADDRESS_PATH_MAX);
		return NULL;
	}
	return path;
}
