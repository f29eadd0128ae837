/*
 * The command line: which options there are, which command takes which, and
 * their values.
 *
 * Options may stand before or after the command, in any order.
 */
#ifndef CLIENT_EMACTL_OPTIONS_H
#define CLIENT_EMACTL_OPTIONS_H

#include <stdint.h>

#include "client/emactl.h"

#define TAKEN_BY(command) (1u << COMMAND_##command)
#define TAKEN_BY_ALL      (~0u)
#define TAKEN_BY_PROFILES (TAKEN_BY(PUBLISH) | TAKEN_BY(SCHEDULE))

/* Identifier, long name, short name or 0, value or NULL, who takes it, what. */
#define OPTIONS(X)                                                             \
	X(OUTPUT, "output", 'o', "FILE", TAKEN_BY(PULL),                       \
	  "write a complete copy to FILE")                                     \
	X(AT_STEP, "at-step", 0, "STEP", TAKEN_BY(PULL),                       \
	  "a version of that step or a later one")                             \
	X(STEP, "step", 0, "STEP", TAKEN_BY(PUBLISH),                          \
	  "the step the file belongs to (needed)")                             \
	X(TIMEOUT, "timeout", 0, "SECONDS",                                    \
	  TAKEN_BY(PULL) | TAKEN_BY(PUBLISH) | TAKEN_BY(STOP),                 \
	  "longest wait; \"inf\": for ever (pull: 0, else 60)")                \
	X(TAKEOVER, "takeover", 0, NULL, TAKEN_BY(PUBLISH),                    \
	  "take the model from a publisher that lives")                        \
	X(ACCEPT_NON_FINITE, "accept-non-finite", 0, NULL, TAKEN_BY(PUBLISH),  \
	  "absorb NaN and infinity instead of refusing")                       \
	X(PROFILE, "profile", 0, "NAME", TAKEN_BY(PUBLISH),                    \
	  "begin a profile; options behind it are its own")                    \
	X(VARIANT, "variant", 0, "NAME", TAKEN_BY_PROFILES,                    \
	  "ema_pytorch (default), ema_pytorch_0.7 or constant")                \
	X(BETA, "beta", 0, "X", TAKEN_BY_PROFILES, "the highest decay")        \
	X(UPDATE_AFTER_STEP, "update-after-step", 0, "N", TAKEN_BY_PROFILES,   \
	  "copy until this step")                                              \
	X(UPDATE_EVERY, "update-every", 0, "N", TAKEN_BY_PROFILES,             \
	  "absorb every Nth step")                                             \
	X(INV_GAMMA, "inv-gamma", 0, "X", TAKEN_BY_PROFILES,                   \
	  "decay = 1 - (1 + epoch / X) ^ -power")                              \
	X(POWER, "power", 0, "X", TAKEN_BY_PROFILES, "see --inv-gamma")        \
	X(MIN_VALUE, "min-value", 0, "X", TAKEN_BY_PROFILES,                   \
	  "the lowest decay")                                                  \
	X(ACCUMULATOR, "accumulator", 0, "NAME", TAKEN_BY(PUBLISH),            \
	  "float32 (default), float32_compensated or float64")                 \
	X(NO_EMA, "param-or-buffer-names-no-ema", 0, "TENSOR",                 \
	  TAKEN_BY(PUBLISH), "copy this one; may be repeated")                 \
	X(IGNORE, "ignore-names", 0, "TENSOR", TAKEN_BY(PUBLISH),              \
	  "keep this one as it is; may be repeated")                           \
	X(IGNORE_STARTSWITH, "ignore-startswith-names", 0, "PREFIX",           \
	  TAKEN_BY(PUBLISH), "keep all that begin so; may be repeated")        \
	X(TENSORS, "tensors", 0, "N", TAKEN_BY(SHOW),                          \
	  "also the N tensors that are farthest from their averages")          \
	X(STEPS, "steps", 0, "N", TAKEN_BY(SCHEDULE), "the first N steps")     \
	X(FROM, "from", 0, "STEP", TAKEN_BY(SCHEDULE), "first step shown")     \
	X(TO, "to", 0, "STEP", TAKEN_BY(SCHEDULE), "last step shown")          \
	X(POINTS, "points", 0, "N", TAKEN_BY(SCHEDULE),                        \
	  "how many steps to show at most (table 20, CSV all)")                \
	X(PLOT, "plot", 0, NULL, TAKEN_BY(SCHEDULE),                           \
	  "draw it in the terminal")                                           \
	X(CSV, "csv", 0, NULL, TAKEN_BY(SCHEDULE), "comma-separated values")   \
	X(YES, "yes", 'y', NULL, TAKEN_BY(DROP), "do not ask")                 \
	X(ADDRESS, "address", 'a', "ADDR", TAKEN_BY_ALL,                       \
	  "the daemon's address, as ipc:///run/emad/default.sock")             \
	X(JSON, "json", 0, NULL, TAKEN_BY_ALL,                                 \
	  "one JSON value on standard output")                                 \
	X(HELP, "help", 'h', NULL, TAKEN_BY_ALL,                               \
	  "this help, or the command's")                                       \
	X(VERSION, "version", 'V', NULL, TAKEN_BY_ALL, "print the version")

enum option_id {
#define X(id, name, letter, value, commands, what) OPTION_##id,
	OPTIONS(X)
#undef X
		N_OPTIONS
};

struct option_entry {
	const char *name;
	const char *value; /* NULL: the option takes none */
	const char *what;
	unsigned int commands; /* TAKEN_BY bits */
	char letter;
};

extern const struct option_entry option_table[N_OPTIONS];

/*
 * Sort @argv into operands and options given.  False: a sentence about wrong
 * usage has been printed.  options_deinit() in any case.
 */
bool options_parse(struct emactl *ret_ctl, int argc, char **argv);
void options_deinit(struct emactl *ctl);

/* Whether @command takes all that was given; false with a sentence. */
bool options_check(const struct emactl *ctl, enum command_id command,
		   const char *command_name);

bool options_has(const struct emactl *ctl, enum option_id id);

/* The last value given, or NULL. */
const char *options_value(const struct emactl *ctl, enum option_id id);

/*
 * Numbers: the result keeps its value when the option was not given.  False,
 * with a sentence about wrong usage: not such a number.
 */
bool options_integer(const struct emactl *ctl, enum option_id id, int64_t least,
		     int64_t most, int64_t *ret_number);
bool options_parse_integer(const struct emactl *ctl, const struct given *given,
			   int64_t least, int64_t most, int64_t *ret_number);
bool options_parse_real(const struct emactl *ctl, const struct given *given,
			double *ret_number);

/* --timeout in milliseconds; -1: for ever. */
bool options_timeout(const struct emactl *ctl, int *ret_timeout_ms);

/*
 * The one of @n words that is nearest to @word, or NULL if none is near.
 */
const char *
options_nearest(const char *word, const char *const *words, size_t n);

#endif
