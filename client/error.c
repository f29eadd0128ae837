#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/internal.h"

#define DIFFERENCES_SHOWN   10
#define DIFFERENCE_SIZE_MAX 300

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
fail_refused(const Emad__Reply *reply)
{
	char text[DIFFERENCES_SHOWN * (DIFFERENCE_SIZE_MAX + 8) + 64] = "";
	size_t n = reply->n_differences;
	size_t used = 0;

	/* Not twice where it is the only one. */
	if (n == 1 && strstr(reply->sentence, reply->differences[0]))
		n = 0;
	for (size_t i = 0; i < n && i < DIFFERENCES_SHOWN; i++)
		used += (size_t)snprintf(text + used, sizeof text - used,
					 "%s%.*s", i ? "; " : ": ",
					 DIFFERENCE_SIZE_MAX,
					 reply->differences[i]);
	if (n < reply->differences_total)
		n = reply->differences_total;
	if (used > 0 && n > DIFFERENCES_SHOWN)
		(void)snprintf(text + used, sizeof text - used,
			       "; and %zu more", n - DIFFERENCES_SHOWN);
	if (reply->status == STATUS_BUSY && reply->has_busy_pid)
		(void)snprintf(text, sizeof text, " (process %" PRId64 ")",
			       reply->busy_pid);
	return fail((int)reply->status, "%s%s", reply->sentence, text);
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
