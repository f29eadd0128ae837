#include "daemon/core/plan_rules.h"

#include <string.h>

/* Names in order; they are the profile's. */
struct sorted_names {
	size_t n;
	const char **names;
};

struct plan_rules {
	struct sorted_names no_ema;
	struct sorted_names ignore;
	struct sorted_names prefixes; /* none of them begins with another */
};

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool
begins_with(const char *name, const char *prefix)
{
	return strncmp(name, prefix, strlen(prefix)) == 0;
}

static struct sorted_names
sort_names(const struct name_list *list)
{
	struct sorted_names sorted = {
		.n = list->n,
		.names = xcalloc(list->n, sizeof *sorted.names),
	};

	for (size_t i = 0; i < list->n; i++)
		sorted.names[i] = list->names[i];
	qsort(sorted.names, sorted.n, sizeof *sorted.names, compare_names);
	return sorted;
}

/* In order, all that begin with a prefix come right after it. */
static void
drop_covered(struct sorted_names *prefixes)
{
	const char **names = prefixes->names;
	size_t n = 0;

	for (size_t i = 0; i < prefixes->n; i++)
		if (n == 0 || !begins_with(names[i], names[n - 1]))
			names[n++] = names[i];
	prefixes->n = n;
}

struct plan_rules *
plan_rules_new(const struct profile *profile)
{
	struct plan_rules *rules = xmalloc(sizeof *rules);

	rules->no_ema = sort_names(&profile->no_ema);
	rules->ignore = sort_names(&profile->ignore);
	rules->prefixes = sort_names(&profile->ignore_startswith);
	drop_covered(&rules->prefixes);
	return rules;
}

void
plan_rules_free(struct plan_rules *rules)
{
	if (!rules)
		return;
	free(rules->no_ema.names);
	free(rules->ignore.names);
	free(rules->prefixes.names);
	free(rules);
}

/* The last of @sorted that is not after @name; NULL: all are. */
static const char *
find_last(const struct sorted_names *sorted, const char *name)
{
	size_t low = 0, high = sorted->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(sorted->names[middle], name) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? sorted->names[low - 1] : NULL;
}

static bool
holds(const struct sorted_names *sorted, const char *name)
{
	const char *last = find_last(sorted, name);

	return last && strcmp(last, name) == 0;
}

enum profile_rule
plan_rules_find(const struct plan_rules *rules, const char *tensor)
{
	const char *prefix = find_last(&rules->prefixes, tensor);

	if (holds(&rules->ignore, tensor) ||
	    (prefix && begins_with(tensor, prefix)))
		return PROFILE_KEEP;
	if (holds(&rules->no_ema, tensor))
		return PROFILE_COPY;
	return PROFILE_AVERAGE;
}
