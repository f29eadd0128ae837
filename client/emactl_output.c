#include "client/emactl_output.h"

#include <errno.h>
#include <langinfo.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "client/emad.h"
#include "proto/status.h"
#include "proto/util.h"

struct exit_entry {
	int status;
	enum exit_code code;
};

/* Statuses with a code of their own; every other is EXIT_FAILED. */
static const struct exit_entry exit_table[] = {
	{ EMAD_USAGE, EXIT_USAGE },
	{ EMAD_UNREACHABLE, EXIT_NO_DAEMON },
	{ EMAD_TIMEOUT, EXIT_TIMEOUT },
	{ EMAD_UNKNOWN_MODEL, EXIT_UNKNOWN },
	{ EMAD_UNKNOWN_PROFILE, EXIT_UNKNOWN },
	{ EMAD_NO_VERSION, EXIT_UNKNOWN },
};

static enum exit_code
code_of(int status)
{
	for (size_t i = 0; i < array_size(exit_table); i++)
		if (exit_table[i].status == status)
			return exit_table[i].code;
	return EXIT_FAILED;
}

static void
print_error(const struct emactl *ctl, int status, const char *sentence)
{
	(void)fprintf(stderr, "emactl: %s\n", sentence);
	if (!ctl->json)
		return;
	output_json(json_pack("{s:{s:s, s:s}}", "error", "status",
			      status_name((unsigned int)status), "sentence",
			      sentence));
}

static char *format_sentence(const char *format, va_list arguments)
	__attribute__((format(printf, 1, 0)));

static char *
format_sentence(const char *format, va_list arguments)
{
	char *sentence;

	must(vasprintf(&sentence, format, arguments) >= 0);
	return sentence;
}

enum exit_code
output_usage_error(const struct emactl *ctl, const char *format, ...)
{
	owned_memory char *sentence = NULL;
	va_list arguments;

	va_start(arguments, format);
	sentence = format_sentence(format, arguments);
	va_end(arguments);
	print_error(ctl, EMAD_USAGE, sentence);
	(void)fputs("Try: emactl --help\n", stderr);
	return EXIT_USAGE;
}

enum exit_code
output_error(const struct emactl *ctl, int status, const char *format, ...)
{
	owned_memory char *sentence = NULL;
	va_list arguments;

	va_start(arguments, format);
	sentence = format_sentence(format, arguments);
	va_end(arguments);
	print_error(ctl, status, sentence);
	return code_of(status);
}

enum exit_code
output_refusal(const struct emactl *ctl, int status)
{
	const char *sentence = emad_error();

	if (sentence[0] == '\0')
		sentence = status_text((unsigned int)status);
	print_error(ctl, status, sentence);
	return code_of(status);
}

enum exit_code
output_failure(const struct emactl *ctl, int error, const char *format, ...)
{
	owned_memory char *doing = NULL;
	va_list arguments;

	va_start(arguments, format);
	doing = format_sentence(format, arguments);
	va_end(arguments);
	return output_error(ctl, EMAD_SYSTEM, "cannot %s: %s", doing,
			    strerror(error));
}

void
output_json(json_t *value)
{
	/* json_pack() says NULL to bytes that are not UTF-8. */
	if (!value)
		value = json_pack("{s:{s:s, s:s}}", "error", "status", "SYSTEM",
				  "sentence",
				  "a name is not UTF-8; standard error has "
				  "the sentence");
	must(value != NULL);
	(void)json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
	(void)putchar('\n');
	json_decref(value);
}

enum exit_code
output_finish(enum exit_code code)
{
	bool failed = ferror(stdout) != 0;

	errno = 0;
	if (fclose(stdout) == 0 && !failed)
		return code;
	if (errno == EPIPE)
		return EXIT_FAILED;
	(void)fprintf(stderr, "emactl: cannot write the output: %s\n",
		      errno ? strerror(errno) : "it was cut short");
	return code == EXIT_DONE ? EXIT_FAILED : code;
}

const char *
output_size(char ret_text[TEXT_SIZE], uint64_t size)
{
	static const char *const units[] = { "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)size / 1024;
	size_t unit = 0;

	if (size < 1024) {
		(void)snprintf(ret_text, TEXT_SIZE, "%u B", (unsigned int)size);
		return ret_text;
	}
	while (value >= 1023.95 && unit + 1 < array_size(units)) {
		value /= 1024;
		unit++;
	}
	(void)snprintf(ret_text, TEXT_SIZE, "%.1f %s", value, units[unit]);
	return ret_text;
}

const char *
output_duration(char ret_text[TEXT_SIZE], double seconds)
{
	unsigned long long whole = (unsigned long long)seconds;

	if (seconds < 10)
		(void)snprintf(ret_text, TEXT_SIZE, "%.1f s", seconds);
	else if (whole < 60)
		(void)snprintf(ret_text, TEXT_SIZE, "%llu s", whole);
	else if (whole < 3600)
		(void)snprintf(ret_text, TEXT_SIZE, "%llu min %llu s",
			       whole / 60, whole % 60);
	else if (whole < 86400)
		(void)snprintf(ret_text, TEXT_SIZE, "%llu h %llu min",
			       whole / 3600, whole / 60 % 60);
	else
		(void)snprintf(ret_text, TEXT_SIZE, "%llu d %llu h",
			       whole / 86400, whole / 3600 % 24);
	return ret_text;
}

const char *
output_window(char ret_text[TEXT_SIZE], double window)
{
	if (isinf(window))
		(void)snprintf(ret_text, TEXT_SIZE, "inf");
	else
		(void)snprintf(ret_text, TEXT_SIZE, "%.*f",
			       window < 100 ? 2 : 0, window);
	return ret_text;
}

unsigned int
output_width(int fd)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	char *end;
	unsigned long given;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		return size.ws_col;
	if (!columns)
		return 80;
	given = strtoul(columns, &end, 10);
	return given > 0 && given < 10000 && !*end ? (unsigned int)given : 80;
}

bool
output_is_utf8(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}
