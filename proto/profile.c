#include "proto/profile.h"

#include <inttypes.h>
#include <string.h>

#include "proto/json.h"
#include "proto/name.h"

/* Fields of the schedule, by the names that EMA gives them. */
#define REAL_FIELDS(X)    X(beta) X(inv_gamma) X(power) X(min_value)
#define INTEGER_FIELDS(X) X(update_after_step) X(update_every)

/* Lists: the member, and the name that EMA gives it. */
#define LIST_FIELDS(X)                                                         \
	X(no_ema, "param_or_buffer_names_no_ema")                              \
	X(ignore, "ignore_names")                                              \
	X(ignore_startswith, "ignore_startswith_names")

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

static json_t *
name_list_to_json(const struct name_list *list)
{
	json_t *array = json_array();

	must(array != NULL);
	for (size_t i = 0; i < list->n; i++)
		must(json_array_append_new(array,
					   json_string(list->names[i])) == 0);
	return array;
}

json_t *
profile_to_json(const struct profile *profile)
{
	const struct schedule *schedule = &profile->schedule;
	json_t *json =
		json_pack("{s:s, s:s, s:f, s:I, s:I, s:f, s:f, s:f}", "name",
			  profile->name, "variant",
			  schedule_variant_name(schedule->variant), "beta",
			  schedule->beta, "update_after_step",
			  (json_int_t)schedule->update_after_step,
			  "update_every", (json_int_t)schedule->update_every,
			  "inv_gamma", schedule->inv_gamma, "power",
			  schedule->power, "min_value", schedule->min_value);

	must(json != NULL);
#define X(member, text)                                                        \
	must(json_object_set_new(json, text,                                   \
				 name_list_to_json(&profile->member)) == 0);
	LIST_FIELDS(X)
#undef X
	return json;
}

static enum status
refuse_type(const char *field, const char *type, struct why *why)
{
	why_set(why, "a profile's %.100s must be %s", field, type);
	return STATUS_BAD_SPEC;
}

static bool
is_text(const json_t *json)
{
	return json_is_string(json) &&
	       strlen(json_string_value(json)) == json_string_length(json);
}

static enum status
read_list(struct name_list *list, const char *field, const json_t *json,
	  struct why *why)
{
	const json_t *name;
	size_t i;

	if (!json_is_array(json))
		return refuse_type(field, "a list of strings", why);
	json_array_foreach (json, i, name) {
		if (!is_text(name))
			return refuse_type(field, "a list of strings", why);
		name_list_append(list, json_string_value(name));
	}
	return STATUS_OK;
}

static enum status
read_field(struct profile *profile, const char *field, const json_t *json,
	   struct why *why)
{
	/* Name and variant were read before the rest. */
	if (strcmp(field, "name") == 0 || strcmp(field, "variant") == 0)
		return STATUS_OK;
#define X(name)                                                                \
	if (strcmp(field, #name) == 0) {                                       \
		if (!json_is_number(json))                                     \
			return refuse_type(field, "a number", why);            \
		profile->schedule.name = json_number_value(json);              \
		return STATUS_OK;                                              \
	}
	REAL_FIELDS(X)
#undef X
#define X(name)                                                                \
	if (strcmp(field, #name) == 0) {                                       \
		if (!json_is_integer(json))                                    \
			return refuse_type(field, "an integer", why);          \
		profile->schedule.name = json_integer_value(json);             \
		return STATUS_OK;                                              \
	}
	INTEGER_FIELDS(X)
#undef X
#define X(member, text)                                                        \
	if (strcmp(field, text) == 0)                                          \
		return read_list(&profile->member, field, json, why);
	LIST_FIELDS(X)
#undef X
	why_set(why, "a profile has no field \"%.100s\"", field);
	return STATUS_BAD_SPEC;
}

/* Name and variant, on which the rest's defaults depend. */
static enum status
read_start(struct profile *ret_profile, const json_t *json, struct why *why)
{
	const json_t *name = json_object_get(json, "name");
	const json_t *text = json_object_get(json, "variant");
	enum schedule_variant variant = SCHEDULE_EMA_PYTORCH;
	struct schedule schedule;

	if (name && !is_text(name))
		return refuse_type("name", "a string", why);
	if (text && !is_text(text))
		return refuse_type("variant", "a string", why);
	if (text &&
	    !schedule_variant_parse(&variant, json_string_value(text))) {
		why_set(why, "there is no schedule variant \"%.100s\"",
			json_string_value(text));
		return STATUS_BAD_SPEC;
	}
	schedule = schedule_default(variant);
	profile_init(ret_profile,
		     name ? json_string_value(name) : DEFAULT_PROFILE,
		     &schedule);
	return STATUS_OK;
}

enum status
profile_from_json(struct profile *ret_profile, const json_t *json,
		  struct why *why)
{
	struct profile profile;
	enum status status;
	const char *field;
	json_t *value;

	if (!json_is_object(json)) {
		why_set(why, "a profile must be a JSON object");
		return STATUS_BAD_SPEC;
	}
	status = read_start(&profile, json, why);
	if (status != STATUS_OK)
		return status;
	/* jansson's iterator takes no const object, but changes nothing. */
	json_object_foreach ((json_t *)json, field, value) {
		status = read_field(&profile, field, value, why);
		if (status != STATUS_OK)
			break;
	}
	if (status == STATUS_OK)
		status = profile_check(&profile, why);
	if (status == STATUS_OK)
		*ret_profile = profile;
	else
		profile_deinit(&profile);
	return status;
}
