/*
 * What emactl prints: errors, JSON, and numbers that people can read.
 *
 * An error is a sentence on standard error; with --json it is also the one
 * value on standard output: {"error": {"status": "...", "sentence": "..."}}.
 */
#ifndef CLIENT_EMACTL_OUTPUT_H
#define CLIENT_EMACTL_OUTPUT_H

#include <jansson.h>
#include <stdint.h>

#include "client/emactl.h"

#define TEXT_SIZE 64

/* Wrong usage: the sentence and where help is.  Returns EXIT_USAGE. */
enum exit_code output_usage_error(const struct emactl *ctl, const char *format,
				  ...) __attribute__((format(printf, 2, 3)));

/* A failure known by its enum emad_status.  Returns the exit code for it. */
enum exit_code
output_error(const struct emactl *ctl, int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* What the library said about its last failure. */
enum exit_code output_refusal(const struct emactl *ctl, int status);

/* "cannot <doing>: <strerror(error)>" */
enum exit_code
output_failure(const struct emactl *ctl, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Print @value, and take it. */
void output_json(json_t *value);

/*
 * Everything has been printed: did it arrive?  A full disk turns @code into a
 * failure with a sentence, a reader that went away into a silent one.
 */
enum exit_code output_finish(enum exit_code code);

/* "12.3 MiB", "3 h 5 min", "10000"; each returns @ret_text. */
const char *output_size(char ret_text[TEXT_SIZE], uint64_t size);
const char *output_duration(char ret_text[TEXT_SIZE], double seconds);
const char *output_window(char ret_text[TEXT_SIZE], double window);

/* Columns of the terminal at @fd, else COLUMNS, else 80. */
unsigned int output_width(int fd);

/* Whether the locale's characters are UTF-8. */
bool output_is_utf8(void);

#endif
