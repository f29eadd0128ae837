/*
 * emactl drop and stop: what takes things away.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "client/emactl_connection.h"
#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "proto/address.h"
#include "proto/json.h"

#define STOP_TIMEOUT_MS 60000
#define STOP_LOOK_MS    20 /* between two looks at the socket */

/* The user at the terminal says yes. */
static bool
is_confirmed(const char *name)
{
	char answer[16];

	(void)fprintf(stderr, "Drop %s and its files in shared memory? [y/N] ",
		      name);
	(void)fflush(stderr);
	return fgets(answer, sizeof answer, stdin) &&
	       (answer[0] == 'y' || answer[0] == 'Y');
}

enum exit_code
run_drop(const struct emactl *ctl)
{
	owned_memory char *model = NULL;
	owned_emad *emad = NULL;
	const char *name = ctl->operands[0];
	const char *profile;
	enum exit_code code;
	int status;

	if (!connection_parse_name(ctl, name, &model, &profile))
		return EXIT_USAGE;
	if (!options_has(ctl, OPTION_YES) &&
	    (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)))
		return output_usage_error(ctl, "drop needs --yes where no "
					       "terminal can be asked");
	code = connection_open(ctl, &emad);
	if (code)
		return code;
	if (!options_has(ctl, OPTION_YES) && !is_confirmed(name))
		return output_error(ctl, EMAD_SYSTEM, "%s was not dropped",
				    name);
	status = emad_drop(emad, model, profile);
	if (status)
		return output_refusal(ctl, status);
	if (ctl->json)
		output_json(json_pack("{s:s}", "dropped", name));
	else
		(void)printf("dropped %s\n", name);
	return EXIT_DONE;
}

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

/*
 * A descriptor of the daemon's process, or -1.  Only if the daemon's pid is
 * the listener's as this process sees it: not from another pid namespace,
 * and not when a service manager holds the socket.
 */
static int
open_process(struct emad *emad, const char *address)
{
	owned_memory char *text = NULL;
	owned_json *answer = NULL;
	pid_t listener = 0;
	json_int_t pid;

	if (emad_status_json(emad, &text) != EMAD_OK)
		return -1;
	answer = json_loads(text, 0, NULL);
	pid = json_integer_value(json_object_get(answer, "pid"));
	if (connection_probe(address, &listener) != 0 || pid <= 0 ||
	    pid != listener)
		return -1;
	return (int)syscall(SYS_pidfd_open, listener, 0);
}

/* Whether socket and process have gone; -1 waits for ever. */
static bool
wait_until_gone(const char *address, int process, int timeout_ms)
{
	int64_t deadline = now_ms() + timeout_ms;
	struct pollfd end = { .fd = process, .events = POLLIN };
	pid_t pid;

	/* With a negative descriptor poll() only waits. */
	while ((process >= 0 && !end.revents) ||
	       connection_probe(address, &pid) == 0) {
		if (timeout_ms >= 0 && now_ms() >= deadline)
			return false;
		if (end.revents)
			process = -1;
		end.fd = process;
		(void)poll(&end, 1, STOP_LOOK_MS);
	}
	return true;
}

enum exit_code
run_stop(const struct emactl *ctl)
{
	owned_memory char *address = NULL;
	owned_fd process = -1;
	int timeout_ms = STOP_TIMEOUT_MS;
	struct emad *emad;
	enum exit_code code;
	int status;

	if (!options_timeout(ctl, &timeout_ms))
		return EXIT_USAGE;
	code = connection_open(ctl, &emad);
	if (code)
		return code;
	address = xstrdup(emad_address(emad));
	process = open_process(emad, address);
	status = emad_stop(emad);
	if (status && status != EMAD_STOPPING)
		code = output_refusal(ctl, status);
	emad_close(emad);
	if (code)
		return code;
	if (!wait_until_gone(address, process, timeout_ms))
		return output_error(ctl, EMAD_TIMEOUT,
				    "the daemon at %s has been asked to end "
				    "and is still there after %g s",
				    address, timeout_ms / 1000.0);
	if (ctl->json)
		output_json(json_pack("{s:s}", "stopped", address));
	else
		(void)printf("stopped the daemon at %s\n", address);
	return EXIT_DONE;
}
