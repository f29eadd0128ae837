#include "client/emactl_connection.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/emactl_output.h"
#include "proto/address.h"
#include "proto/name.h"

int
connection_probe(const char *address, pid_t *ret_pid)
{
	struct sockaddr_un peer = { .sun_family = AF_UNIX };
	struct ucred credentials = { 0 };
	socklen_t size = sizeof credentials;
	struct why why;
	const char *path = address_path(address, &why);
	owned_fd fd = -1;

	if (!path)
		return EINVAL;
	(void)snprintf(peer.sun_path, sizeof peer.sun_path, "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	/* EAGAIN: a listener whose queue is full is a listener. */
	if (connect(fd, (const struct sockaddr *)&peer, sizeof peer) != 0 &&
	    errno != EAGAIN)
		return errno;
	(void)getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size);
	*ret_pid = credentials.pid;
	return 0;
}

static bool
find_address(const struct emactl *ctl, char ret_address[ADDRESS_SIZE],
	     struct why *why)
{
	if (!ctl->address)
		return address_of_client(ret_address, why);
	if (!address_path(ctl->address, why))
		return false;
	(void)snprintf(ret_address, ADDRESS_SIZE, "%s", ctl->address);
	return true;
}

static enum exit_code
refuse_no_daemon(const struct emactl *ctl, const char *address, int error)
{
	struct why why;
	char usual[ADDRESS_SIZE];
	bool is_usual = address_of_daemon(usual, DEFAULT_INSTANCE, &why) &&
			!strcmp(usual, address);

	if (error == EACCES || error == EPERM)
		return output_error(ctl, EMAD_DENIED,
				    "not allowed to talk to the daemon at %s: "
				    "it belongs to another user or group",
				    address);
	if (error != ENOENT && error != ECONNREFUSED && error != ENOTDIR)
		return output_error(ctl, EMAD_UNREACHABLE,
				    "no daemon at %s: %s", address,
				    strerror(error));
	/* Without a hint at the address, emad would listen elsewhere. */
	return output_error(ctl, EMAD_UNREACHABLE,
			    "no daemon at %s: start it with: emad%s%s", address,
			    is_usual ? "" : " --address ",
			    is_usual ? "" : address);
}

enum exit_code
connection_open(const struct emactl *ctl, struct emad **ret_emad)
{
	char address[ADDRESS_SIZE];
	struct why why;
	pid_t pid;
	int error;
	int status;

	if (!find_address(ctl, address, &why))
		return output_usage_error(ctl, "%s", why.text);
	error = connection_probe(address, &pid);
	if (error)
		return refuse_no_daemon(ctl, address, error);
	status = emad_connect(ret_emad, address, -1);
	return status ? output_refusal(ctl, status) : EXIT_DONE;
}

bool
connection_parse_name(const struct emactl *ctl, const char *text,
		      char **ret_model, const char **ret_profile)
{
	owned_memory char *model = xstrdup(text);
	char *profile = strchr(model, '/');

	if (profile)
		*profile++ = '\0';
	if (!name_is_valid(model) || (profile && !name_is_valid(profile))) {
		output_usage_error(
			ctl,
			"\"%s\" is not MODEL or MODEL/PROFILE, names "
			"of up to %d of the characters "
			"A-Z a-z 0-9 . _ -",
			text, NAME_SIZE_MAX);
		return false;
	}
	*ret_model = take_pointer(&model);
	*ret_profile = profile;
	return true;
}
