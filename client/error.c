#include <stdio.h>
#include <string.h>

#include "client/internal.h"

#define X(name, number, text)                                                  \
	_Static_assert((int)EMAD_##name == (int)STATUS_##name,                 \
		       "emad.h and status.def differ: " #name);
#include "proto/status.def"
#undef X

/* Room for a refusal's sentence and the first differences of a spec. */
static _Thread_local char sentence[4096];

const char *
emad_error(void)
{
	return sentence;
}

int
fail(int status, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	return status;
}

int
fail_because(int status, const char *format, ...)
{
	char cause[sizeof sentence];
	va_list arguments;
	size_t used;

	memcpy(cause, sentence, sizeof cause);
	va_start(arguments, format);
	(void)vsnprintf(sentence, sizeof sentence, format, arguments);
	va_end(arguments);
	used = strlen(sentence);
	/* A long cause is cut. */
	if (snprintf(sentence + used, sizeof sentence - used, ": %s", cause) <
	    0)
		sentence[used] = '\0';
	return status;
}

int
fail_forked(void)
{
	return fail(EMAD_FORKED,
		    "called in a forked child: libnng works only in the "
		    "process that used it first; use emad before fork() or "
		    "start the child with exec()");
}

const char *
emad_status_name(int status)
{
	static _Thread_local char name[64];

	(void)snprintf(name, sizeof name, "EMAD_%s",
		       status_name((unsigned int)status));
	return name;
}

const char *
emad_version(void)
{
	return PACKAGE_VERSION;
}
