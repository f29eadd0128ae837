/*
 * emactl: what its files share: one run of the program, its exit codes and
 * its commands.
 *
 * The tables (commands, options, exit codes) are stated once, here and in
 * emactl_options.h; help and parsing come from them.
 */
#ifndef CLIENT_EMACTL_H
#define CLIENT_EMACTL_H

#include <stdbool.h>
#include <stddef.h>

/* emactl.1 lists the same. */
#define EXIT_CODES(X)                                                          \
	X(DONE, 0, "done")                                                     \
	X(FAILED, 1, "refused by the daemon, or a system call failed")         \
	X(USAGE, 2, "wrong usage")                                             \
	X(NO_DAEMON, 3, "no daemon answers at the address")                    \
	X(TIMEOUT, 4, "the deadline passed")                                   \
	X(UNKNOWN, 5, "no such model or profile, or nothing averaged yet")

enum exit_code {
#define X(name, number, text) EXIT_##name = number,
	EXIT_CODES(X)
#undef X
};

/* Name, operands, fewest and most of them, what it does. */
#define COMMANDS(X)                                                            \
	X(STATUS, status, "", 0, 0, "what the daemon is and does")             \
	X(LIST, list, "", 0, 0, "every model, one line each")                  \
	X(SHOW, show, "MODEL[/PROFILE]", 1, 1,                                 \
	  "one model: its averages and who publishes it")                      \
	X(PULL, pull, "MODEL[/PROFILE]", 1, 1,                                 \
	  "the newest average: its path, or a copy of it")                     \
	X(PUBLISH, publish, "MODEL FILE", 2, 2,                                \
	  "publish the tensors of a safetensors file")                         \
	X(DROP, drop, "MODEL[/PROFILE]", 1, 1,                                 \
	  "forget an average, or a whole model, and its files")                \
	X(SCHEDULE, schedule, "", 0, 0,                                        \
	  "what a schedule does: decay and window over steps")                 \
	X(STOP, stop, "", 0, 0, "ask the daemon to end, and wait for it")

enum command_id {
#define X(id, name, operands, least, most, what) COMMAND_##id,
	COMMANDS(X)
#undef X
		N_COMMANDS
};

/* An option as given; the order is kept. */
struct given {
	unsigned int id; /* enum option_id */
	const char *value;
};

/* One run.  Everything points into argv. */
struct emactl {
	const char *address; /* NULL: where the library looks */
	bool json;
	size_t n_operands; /* after the command */
	const char **operands;
	size_t n_given;
	struct given *given;
};

/* Each does its command's work and returns an exit code. */
#define X(id, name, operands, least, most, what)                               \
	enum exit_code run_##name(const struct emactl *ctl);
COMMANDS(X)
#undef X

#endif
