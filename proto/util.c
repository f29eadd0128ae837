#include "proto/util.h"

#include <stdio.h>
#include <string.h>

void
must_fail(const char *condition, const char *file, int line)
{
	(void)fprintf(stderr, "%s:%d: this must hold and does not: %s\n", file,
		      line, condition);
	abort();
}

void *
xmalloc(size_t size)
{
	void *memory = malloc(size ? size : 1);

	must(memory != NULL);
	return memory;
}

void *
xcalloc(size_t n, size_t size)
{
	void *memory = calloc(n ? n : 1, size ? size : 1);

	must(memory != NULL);
	return memory;
}

void *
xrealloc(void *memory, size_t size)
{
	void *larger = realloc(memory, size ? size : 1);

	must(larger != NULL);
	return larger;
}

char *
xstrdup(const char *string)
{
	char *copy = strdup(string);

	must(copy != NULL);
	return copy;
}

char *
xasprintf(const char *format, ...)
{
	va_list arguments;
	char *string;
	int n;

	va_start(arguments, format);
	n = vasprintf(&string, format, arguments);
	va_end(arguments);
	must(n >= 0);
	return string;
}

/* Step back over the bytes of a character that was cut in two. */
static void
cut_whole(char *text, size_t end)
{
	while (end > 0 && ((unsigned char)text[end - 1] & 0xC0) == 0x80)
		end--;
	if (end > 0 && (unsigned char)text[end - 1] >= 0xC0)
		end--;
	text[end] = '\0';
}

void
why_vset(struct why *why, const char *format, va_list arguments)
{
	size_t end = sizeof why->text - 1;
	int n;

	n = vsnprintf(why->text, sizeof why->text, format, arguments);
	must(n >= 0);
	if ((size_t)n > end)
		cut_whole(why->text, end);
	for (char *at = why->text; *at != '\0'; at++)
		if ((unsigned char)*at < ' ' || *at == 0x7F)
			*at = '?';
}

void
why_set(struct why *why, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	why_vset(why, format, arguments);
	va_end(arguments);
}
