#include "client/emactl_profile.h"

#include <string.h>

#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "proto/name.h"

/* A run of options: from, and up to but not including. */
struct range {
	size_t from;
	size_t to;
};

void
profile_list_deinit(struct profile_list *list)
{
	for (size_t i = 0; i < list->n; i++)
		profile_deinit(&list->profiles[i]);
	free(list->profiles);
}

bool
profile_list_is_given(const struct emactl *ctl)
{
	for (size_t i = 0; i < ctl->n_given; i++)
		if (option_table[ctl->given[i].id].commands &
			    TAKEN_BY(PUBLISH) &&
		    ctl->given[i].id >= OPTION_PROFILE &&
		    ctl->given[i].id <= OPTION_IGNORE_STARTSWITH)
			return true;
	return false;
}

/* The variant comes first, wherever it stands: it sets the defaults. */
static bool
find_variant(const struct emactl *ctl, struct range range,
	     enum schedule_variant *ret_variant)
{
	for (size_t i = range.from; i < range.to; i++) {
		if (ctl->given[i].id != OPTION_VARIANT)
			continue;
		if (schedule_variant_parse(ret_variant, ctl->given[i].value))
			continue;
		output_usage_error(ctl,
				   "--variant: there is no \"%s\"; there are "
				   "ema_pytorch, ema_pytorch_0.7 and constant",
				   ctl->given[i].value);
		return false;
	}
	return true;
}

static bool
parse_accumulator(const struct emactl *ctl, const struct given *given,
		  enum accumulator *ret_accumulator)
{
	if (accumulator_parse(ret_accumulator, given->value))
		return true;
	output_usage_error(ctl,
			   "--accumulator: there is no \"%s\"; there are "
			   "float32, float32_compensated and float64",
			   given->value);
	return false;
}

/* Apply one option to @profile; what is not about profiles is left alone. */
static bool
apply_option(const struct emactl *ctl, const struct given *given,
	     struct profile *profile)
{
	struct schedule *schedule = &profile->schedule;

	switch (given->id) {
	case OPTION_BETA:
		return options_parse_real(ctl, given, &schedule->beta);
	case OPTION_UPDATE_AFTER_STEP:
		return options_parse_integer(ctl, given, INT64_MIN, INT64_MAX,
					     &schedule->update_after_step);
	case OPTION_UPDATE_EVERY:
		return options_parse_integer(ctl, given, 1, STEP_MAX,
					     &schedule->update_every);
	case OPTION_INV_GAMMA:
		return options_parse_real(ctl, given, &schedule->inv_gamma);
	case OPTION_POWER:
		return options_parse_real(ctl, given, &schedule->power);
	case OPTION_MIN_VALUE:
		return options_parse_real(ctl, given, &schedule->min_value);
	case OPTION_ACCUMULATOR:
		return parse_accumulator(ctl, given, &profile->accumulator);
	case OPTION_NO_EMA:
		name_list_append(&profile->no_ema, given->value);
		return true;
	case OPTION_IGNORE:
		name_list_append(&profile->ignore, given->value);
		return true;
	case OPTION_IGNORE_STARTSWITH:
		name_list_append(&profile->ignore_startswith, given->value);
		return true;
	default:
		return true;
	}
}

static bool
apply_range(const struct emactl *ctl, struct range range,
	    struct profile *profile)
{
	for (size_t i = range.from; i < range.to; i++)
		if (!apply_option(ctl, &ctl->given[i], profile))
			return false;
	return true;
}

/* Append the profile that the options in @common and @own describe. */
static bool
add_profile(struct profile_list *list, const struct emactl *ctl,
	    const char *name, struct range common, struct range own)
{
	enum schedule_variant variant = SCHEDULE_EMA_PYTORCH;
	struct schedule schedule;
	struct profile *profile;
	struct why why;

	if (!find_variant(ctl, common, &variant) ||
	    !find_variant(ctl, own, &variant))
		return false;
	schedule = schedule_default(variant);
	list->profiles = xrealloc(list->profiles,
				  (list->n + 1) * sizeof *list->profiles);
	profile = &list->profiles[list->n++];
	profile_init(profile, name, &schedule);
	if (!apply_range(ctl, common, profile) ||
	    !apply_range(ctl, own, profile))
		return false;
	if (profile_check(profile, &why) == STATUS_OK)
		return true;
	output_usage_error(ctl, "%s", why.text);
	return false;
}

static size_t
find_profile_option(const struct emactl *ctl, size_t from)
{
	while (from < ctl->n_given && ctl->given[from].id != OPTION_PROFILE)
		from++;
	return from;
}

bool
profile_list_from_options(struct profile_list *ret_list,
			  const struct emactl *ctl)
{
	struct profile_list list = { 0 };
	size_t first = find_profile_option(ctl, 0);
	struct range common = { 0, first };
	struct range own = { first, first };
	bool good = true;

	if (first == ctl->n_given)
		good = add_profile(&list, ctl, DEFAULT_PROFILE, common, own);
	while (good && own.from < ctl->n_given) {
		own.to = find_profile_option(ctl, own.from + 1);
		good = add_profile(&list, ctl, ctl->given[own.from].value,
				   common, own);
		own.from = own.to;
	}
	if (good)
		*ret_list = list;
	else
		profile_list_deinit(&list);
	return good;
}

bool
profile_list_from_json(struct profile_list *ret_list, const json_t *states)
{
	size_t n = json_array_size(states);
	struct profile_list list = { .profiles = xcalloc(
					     n, sizeof *list.profiles) };
	struct why why;

	while (list.n < n &&
	       profile_from_json(&list.profiles[list.n],
				 json_object_get(json_array_get(states, list.n),
						 "profile"),
				 &why) == STATUS_OK)
		list.n++;
	if (list.n < n || n == 0) {
		profile_list_deinit(&list);
		return false;
	}
	*ret_list = list;
	return true;
}

/* A NULL-terminated copy of the list; the names stay its own. */
static const char *const *
terminate(const struct name_list *list)
{
	const char **names = xcalloc(list->n + 1, sizeof *names);

	for (size_t i = 0; i < list->n; i++)
		names[i] = list->names[i];
	return names;
}

struct emad_profile *
profile_list_to_public(const struct profile_list *list)
{
	struct emad_profile *profiles = xcalloc(list->n, sizeof *profiles);

	for (size_t i = 0; i < list->n; i++) {
		const struct profile *profile = &list->profiles[i];
		const struct schedule *schedule = &profile->schedule;

		profiles[i] = (struct emad_profile) {
			.name = profile->name,
			.variant = schedule_variant_name(schedule->variant),
			.beta = schedule->beta,
			.update_after_step = schedule->update_after_step,
			.update_every = schedule->update_every,
			.inv_gamma = schedule->inv_gamma,
			.power = schedule->power,
			.min_value = schedule->min_value,
			.param_or_buffer_names_no_ema =
				terminate(&profile->no_ema),
			.ignore_names = terminate(&profile->ignore),
			.ignore_startswith_names =
				terminate(&profile->ignore_startswith),
			.accumulator = accumulator_name(profile->accumulator),
		};
	}
	return profiles;
}

void
profile_public_free(struct emad_profile *profiles, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		free((void *)profiles[i].param_or_buffer_names_no_ema);
		free((void *)profiles[i].ignore_names);
		free((void *)profiles[i].ignore_startswith_names);
	}
	free(profiles);
}
