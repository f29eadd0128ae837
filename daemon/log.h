/*
 * One line per event to stderr, with the <priority> that journald reads.
 *
 * English, lower case, the thing first, no full stop: "session 12: gone".
 * Nothing is logged per update.  Any thread.
 */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include "proto/util.h"

enum log_level {
	LOG_LEVEL_ERROR = 3, /* syslog's numbers */
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5, /* life events; the default level */
	LOG_LEVEL_INFO = 6,
	LOG_LEVEL_DEBUG = 7,
};

void log_set_level(enum log_level level);

/* The prefix <n> is for journald; a terminal gets none. */
void log_set_priorities(bool with_priorities);

void log_line(enum log_level level, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Say that the system said no: the line, ": ", and strerror(-error).  Returns
 * @error, a negative errno; the check also teaches the compiler its sign.
 */
int log_failure_line(int error, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline int
must_be_negative(int error)
{
	must(error < 0);
	return error;
}
#define log_failure(error, ...)                                                \
	must_be_negative(log_failure_line((error), __VA_ARGS__))

#endif
