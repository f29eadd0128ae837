#include "daemon/log.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#define LINE_SIZE  1024
#define ERROR_SIZE 128

static _Atomic int highest_level = LOG_LEVEL_NOTICE;
static _Atomic bool has_priorities;

void
log_set_level(enum log_level level)
{
	highest_level = level;
}

void
log_set_priorities(bool with_priorities)
{
	has_priorities = with_priorities;
}

/* What peers say is in some lines: none of it may begin another line. */
static void
blank_controls(char *text)
{
	for (; *text != '\0'; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7F)
			*text = '?';
}

/* One write, so that lines of several threads do not mix. */
static void
write_line(enum log_level level, const char *text, const char *tail)
{
	char line[LINE_SIZE + ERROR_SIZE + 16];
	int n = 0;

	if (has_priorities)
		n = snprintf(line, sizeof line, "<%d>", (int)level);
	n += snprintf(line + n, sizeof line - (size_t)n, "%s%s\n", text, tail);
	/* Nobody is left to tell if even this fails. */
	if (write(STDERR_FILENO, line, (size_t)n) < 0)
		return;
}

__attribute__((format(printf, 3, 0))) static void
log_text(enum log_level level, const char *tail, const char *format,
	 va_list arguments)
{
	char text[LINE_SIZE];

	if (vsnprintf(text, sizeof text, format, arguments) < 0)
		return;
	blank_controls(text);
	write_line(level, text, tail);
}

void
log_line(enum log_level level, const char *format, ...)
{
	int saved_errno = errno;
	va_list arguments;

	if ((int)level > highest_level)
		return;
	va_start(arguments, format);
	log_text(level, "", format, arguments);
	va_end(arguments);
	errno = saved_errno;
}

int
log_failure_line(int error, const char *format, ...)
{
	int saved_errno = errno;
	char buffer[ERROR_SIZE - 2];
	char tail[ERROR_SIZE];
	va_list arguments;

	(void)snprintf(tail, sizeof tail, ": %s",
		       strerror_r(-error, buffer, sizeof buffer));
	va_start(arguments, format);
	log_text(LOG_LEVEL_ERROR, tail, format, arguments);
	va_end(arguments);
	errno = saved_errno;
	return error;
}
