#include "client/emad.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "client/internal.h"

int
look_for_daemon(const char *address)
{
	struct sockaddr_un name = { .sun_family = AF_UNIX };
	owned_fd fd = -1;
	const char *path;
	struct why why;

	path = address_path(address, &why);
	must(path && strlen(path) < sizeof name.sun_path);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return errno;
	memcpy(name.sun_path, path, strlen(path) + 1);
	if (connect(fd, (const struct sockaddr *)&name, sizeof name) == 0)
		return 0;
	/* So many wait to be accepted that there must be somebody. */
	return errno == EAGAIN ? 0 : errno;
}

/*
 * libnng connects in the background and never says why it does not succeed;
 * so look before it does.
 */
static int
check_daemon(const char *address)
{
	int error = look_for_daemon(address);

	switch (error) {
	case 0:
		return EMAD_OK;
	case ENOENT:
	case ECONNREFUSED:
	case ENOTDIR:
		return fail(EMAD_UNREACHABLE,
			    "no daemon at %s: start it with: emad", address);
	case EACCES:
	case EPERM:
		return fail(EMAD_DENIED,
			    "the socket of the daemon at %s is not open to "
			    "this user: see emad's --mode",
			    address);
	case EPROTOTYPE:
	case ENOTSOCK:
		return fail(EMAD_UNREACHABLE, "%s is not a daemon's socket",
			    address);
	default:
		return fail(EMAD_SYSTEM, "cannot connect to %s: %s", address,
			    strerror(error));
	}
}

int
explain_silence(const struct emad *emad)
{
	int status = check_daemon(emad->address);

	if (status != EMAD_OK)
		return status;
	return fail(EMAD_TIMEOUT, "the daemon at %s did not answer in time",
		    emad->address);
}

/*
 * A request was given up.  Hang up, so that the daemon gives it up as well: an
 * attach would leave a session that nobody knows of.
 */
static void
renew_channel(struct channel **channel, const char *address)
{
	struct channel *fresh;

	channel_cancel(*channel);
	if (channel_new(&fresh, address) != EMAD_OK)
		return;
	channels_free(channel, 1);
	*channel = fresh;
}

int
ask_through(struct channel **channel, const struct emad *emad,
	    const Emad__Request *request, int64_t deadline,
	    Emad__Reply **ret_reply)
{
	int status = channel_send(*channel, request);

	if (status != EMAD_OK)
		return status;
	if (channels_wait(channel, 1, deadline))
		return channel_take(*channel, NULL, ret_reply);
	renew_channel(channel, emad->address);
	return explain_silence(emad);
}

int
ask(struct emad *emad, const Emad__Request *request, int64_t deadline,
    Emad__Reply **ret_reply)
{
	owned_reply *reply = NULL;
	int status;

	status = ask_through(&emad->control, emad, request, deadline, &reply);
	if (status != EMAD_OK)
		return status;
	if (reply->status != STATUS_OK)
		return fail((int)reply->status, "%s", reply->sentence);
	*ret_reply = take_pointer(&reply);
	return EMAD_OK;
}

static int
set_address(struct emad *emad, const char *address)
{
	struct why why;

	if (!address) {
		if (!address_of_client(emad->address, &why))
			return fail(EMAD_USAGE, "%s", why.text);
		return EMAD_OK;
	}
	if (!address_path(address, &why))
		return fail(EMAD_USAGE, "%s", why.text);
	memcpy(emad->address, address, strlen(address) + 1);
	return EMAD_OK;
}

static int
greet(struct emad *emad, int timeout_ms)
{
	Emad__Status status_request = EMAD__STATUS__INIT;
	Emad__Request request = EMAD__REQUEST__INIT;
	owned_reply *reply = NULL;

	request.status = &status_request;
	return ask(emad, &request, deadline_after(timeout_ms), &reply);
}

int
emad_connect(struct emad **ret_emad, const char *address, int timeout_ms)
{
	struct emad *emad;
	int status;

	if (!ret_emad)
		return fail(EMAD_USAGE, "emad_connect: ret_emad is NULL");
	if (!channel_is_usable())
		return fail_forked();
	process_mark();
	emad = xcalloc(1, sizeof *emad);
	emad->pid = getpid();
	status = set_address(emad, address);
	if (status == EMAD_OK)
		status = check_daemon(emad->address);
	if (status == EMAD_OK)
		status = channel_new(&emad->control, emad->address);
	if (status == EMAD_OK)
		status = greet(emad, timeout_ms < 0 ? CONNECT_TIMEOUT_MS
						    : timeout_ms);
	if (status == EMAD_TIMEOUT)
		status = fail(EMAD_UNREACHABLE,
			      "the daemon at %s does not "
			      "answer",
			      emad->address);
	if (status == EMAD_OK)
		*ret_emad = emad;
	else
		emad_close(emad);
	return status;
}

void
emad_close(struct emad *emad)
{
	/* In a forked child all of this is still the parent's. */
	if (!emad || !process_is_same(emad->pid))
		return;
	while (emad->publishers)
		(void)emad_detach(emad->publishers);
	channels_free(&emad->control, 1);
	free(emad);
}

const char *
emad_address(const struct emad *emad)
{
	return emad->address;
}

int
emad_drop(struct emad *emad, const char *model, const char *profile)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Drop drop = EMAD__DROP__INIT;
	owned_reply *reply = NULL;
	int status;

	if (!emad || !model)
		return fail(EMAD_USAGE, "emad_drop: an argument is NULL");
	status = check_process(emad->pid);
	if (status != EMAD_OK)
		return status;
	drop.model = (char *)(uintptr_t)model;
	drop.profile = (char *)(uintptr_t)profile;
	request.drop = &drop;
	return ask(emad, &request, deadline_after(ASK_TIMEOUT_MS), &reply);
}

int
emad_stop(struct emad *emad)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Stop stop = EMAD__STOP__INIT;
	owned_reply *reply = NULL;
	int status;

	if (!emad)
		return fail(EMAD_USAGE, "emad_stop: emad is NULL");
	status = check_process(emad->pid);
	if (status != EMAD_OK)
		return status;
	request.stop = &stop;
	return ask(emad, &request, deadline_after(ASK_TIMEOUT_MS), &reply);
}
