#include "proto/profile.h"

#include <inttypes.h>
#include <string.h>

#include "proto/name.h"
#include "proto/profile_fields.h"

static bool
name_list_holds(const struct name_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->names[i], name) == 0)
			return true;
	return false;
}

static bool
name_list_holds_prefix(const struct name_list *list, const char *name)
{
	for (size_t i = 0; i < list->n; i++)
		if (strncmp(name, list->names[i], strlen(list->names[i])) == 0)
			return true;
	return false;
}

enum profile_rule
profile_rule(const struct profile *profile, const char *tensor)
{
	if (name_list_holds(&profile->ignore, tensor) ||
	    name_list_holds_prefix(&profile->ignore_startswith, tensor))
		return PROFILE_KEEP;
	if (name_list_holds(&profile->no_ema, tensor))
		return PROFILE_COPY;
	return PROFILE_AVERAGE;
}

void
profile_init(struct profile *ret_profile, const char *name,
	     const struct schedule *schedule)
{
	*ret_profile = (struct profile) {
		.name = xstrdup(name),
		.schedule = *schedule,
	};
}

static void
name_list_deinit(struct name_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->names[i]);
	free(list->names);
	*list = (struct name_list) { 0 };
}

void
profile_deinit(struct profile *profile)
{
	free(profile->name);
	profile->name = NULL;
#define X(member, text) name_list_deinit(&profile->member);
	LIST_FIELDS(X)
#undef X
}

void
name_list_append(struct name_list *list, const char *name)
{
	/* The room doubles whenever the count reaches a power of two. */
	if ((list->n & (list->n - 1)) == 0) {
		size_t room = list->n ? 2 * list->n : 1;

		list->names = xrealloc(list->names, room * sizeof *list->names);
	}
	list->names[list->n++] = xstrdup(name);
}

static void
name_list_copy(struct name_list *ret_list, const struct name_list *list)
{
	*ret_list = (struct name_list) { 0 };
	for (size_t i = 0; i < list->n; i++)
		name_list_append(ret_list, list->names[i]);
}

void
profile_copy(struct profile *ret_profile, const struct profile *profile)
{
	struct profile copy;

	profile_init(&copy, profile->name, &profile->schedule);
	copy.accumulator = profile->accumulator;
#define X(member, text) name_list_copy(&copy.member, &profile->member);
	LIST_FIELDS(X)
#undef X
	*ret_profile = copy;
}

static bool
name_list_check(const struct name_list *list, const char *field,
		struct why *why)
{
	if (list->n <= RULE_NAMES_MAX)
		return true;
	why_set(why, "%s holds %zu names; at most %d", field, list->n,
		RULE_NAMES_MAX);
	return false;
}

enum status
profile_check(const struct profile *profile, struct why *why)
{
	if (!name_is_valid(profile->name)) {
		why_set(why,
			"the profile's name \"%.120s\" is not "
			"[A-Za-z0-9._-]{1,%d}",
			profile->name, NAME_SIZE_MAX);
		return STATUS_BAD_NAME;
	}
	if (!schedule_check(&profile->schedule, why))
		return STATUS_BAD_SPEC;
#define X(member, text)                                                        \
	if (!name_list_check(&profile->member, text, why))                     \
		return STATUS_TOO_LARGE;
	LIST_FIELDS(X)
#undef X
	return STATUS_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A new array of @list's names: sorted, each once. */
static char **
sort_names(const struct name_list *list, size_t *ret_n)
{
	char **names = xcalloc(list->n, sizeof *names);
	size_t n = 0;

	for (size_t i = 0; i < list->n; i++)
		names[i] = list->names[i];
	qsort(names, list->n, sizeof *names, compare_names);
	for (size_t i = 0; i < list->n; i++)
		if (n == 0 || strcmp(names[n - 1], names[i]) != 0)
			names[n++] = names[i];
	*ret_n = n;
	return names;
}

/* Order and repetition mean nothing to the rules. */
static bool
name_list_equal(const struct name_list *a, const struct name_list *b,
		const char *field, struct why *why)
{
	size_t n_a, n_b, i = 0;
	owned_memory char **names_a = sort_names(a, &n_a);
	owned_memory char **names_b = sort_names(b, &n_b);
	bool in_a;

	while (i < n_a && i < n_b && strcmp(names_a[i], names_b[i]) == 0)
		i++;
	if (i == n_a && i == n_b)
		return true;
	in_a = i == n_b || (i < n_a && strcmp(names_a[i], names_b[i]) < 0);
	why_set(why, "%s: \"%.200s\" is in the %s list only", field,
		in_a ? names_a[i] : names_b[i], in_a ? "first" : "second");
	return false;
}

static bool
real_equal(double a, double b, const char *field, struct why *why)
{
	if (a == b)
		return true;
	why_set(why, "%s: %.17g and %.17g", field, a, b);
	return false;
}

static bool
integer_equal(int64_t a, int64_t b, const char *field, struct why *why)
{
	if (a == b)
		return true;
	why_set(why, "%s: %" PRId64 " and %" PRId64, field, a, b);
	return false;
}

bool
profile_equal(const struct profile *a, const struct profile *b, struct why *why)
{
	if (strcmp(a->name, b->name) != 0) {
		why_set(why, "name: \"%.100s\" and \"%.100s\"", a->name,
			b->name);
		return false;
	}
	if (a->schedule.variant != b->schedule.variant) {
		why_set(why, "variant: \"%s\" and \"%s\"",
			schedule_variant_name(a->schedule.variant),
			schedule_variant_name(b->schedule.variant));
		return false;
	}
	if (a->accumulator != b->accumulator) {
		why_set(why, "accumulator: \"%s\" and \"%s\"",
			accumulator_name(a->accumulator),
			accumulator_name(b->accumulator));
		return false;
	}
#define X(field)                                                               \
	if (!real_equal(a->schedule.field, b->schedule.field, #field, why))    \
		return false;
	REAL_FIELDS(X)
#undef X
#define X(field)                                                               \
	if (!integer_equal(a->schedule.field, b->schedule.field, #field, why)) \
		return false;
	INTEGER_FIELDS(X)
#undef X
#define X(member, text)                                                        \
	if (!name_list_equal(&a->member, &b->member, text, why))               \
		return false;
	LIST_FIELDS(X)
#undef X
	return true;
}
