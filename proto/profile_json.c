/*
 * Profiles as JSON: what a version's header carries and what emactl prints.
 */
#include <string.h>

#include "proto/json.h"
#include "proto/profile.h"
#include "proto/profile_fields.h"

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
	must(json_object_set_new(
		     json, "accumulator",
		     json_string(accumulator_name(profile->accumulator))) == 0);
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
read_accumulator(struct profile *profile, const json_t *json, struct why *why)
{
	if (!is_text(json))
		return refuse_type("accumulator", "a string", why);
	if (accumulator_parse(&profile->accumulator, json_string_value(json)))
		return STATUS_OK;
	why_set(why, "there is no accumulator \"%.100s\"",
		json_string_value(json));
	return STATUS_BAD_SPEC;
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
	if (strcmp(field, "accumulator") == 0)
		return read_accumulator(profile, json, why);
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
