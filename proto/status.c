#include "proto/status.h"

#include <stdio.h>

struct status_entry {
	unsigned int number;
	const char *name;
	const char *text;
};

static const struct status_entry status_table[] = {
#define X(name, number, text) { number, #name, text },
#include "proto/status.def"
#undef X
};

static const struct status_entry *
find(unsigned int status)
{
	size_t n = sizeof status_table / sizeof status_table[0];

	for (size_t i = 0; i < n; i++)
		if (status_table[i].number == status)
			return &status_table[i];
	return NULL;
}

const char *
status_name(unsigned int status)
{
	static _Thread_local char unknown[32];
	const struct status_entry *entry = find(status);

	if (entry)
		return entry->name;
	(void)snprintf(unknown, sizeof unknown, "STATUS_%u", status);
	return unknown;
}

const char *
status_text(unsigned int status)
{
	const struct status_entry *entry = find(status);

	return entry ? entry->text : "a status that this version does not know";
}
