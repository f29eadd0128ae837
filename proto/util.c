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

void
why_set(struct why *why, const char *format, ...)
{
	size_t end = sizeof why->text - 1;
	va_list arguments;
	int n;

	va_start(arguments, format);
	n = vsnprintf(why->text, sizeof why->text, format, arguments);
	va_end(arguments);
	must(n >= 0);
	if ((size_t)n <= end)
		return;
	/* Step back over the bytes of a character that was cut in two. */
	while (end > 0 && ((unsigned char)why->text[end - 1] & 0xC0) == 0x80)
		end--;
	if (end > 0 && (unsigned char)why->text[end - 1] >= 0xC0)
		end--;
	why->text[end] = '\0';
}
