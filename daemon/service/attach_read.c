/*
 * What an attach asks for, from its message, checked.
 */
#include <string.h>

#include "daemon/service/attach.h"

static enum status
read_profiles(struct attach *attach, struct why *why)
{
	const Emad__Attach *message = attach->message->attach;
	Emad__Profile all_defaults = EMAD__PROFILE__INIT;
	Emad__Profile *one[1] = { &all_defaults };
	size_t n = message->n_profiles ? message->n_profiles : 1;
	Emad__Profile **asked = message->n_profiles ? message->profiles : one;

	if (n > PROFILES_MAX) {
		why_set(why, "%zu profiles; at most %d", n, PROFILES_MAX);
		return STATUS_TOO_LARGE;
	}
	attach->profiles = xcalloc(n, sizeof *attach->profiles);
	for (size_t i = 0; i < n; i++) {
		enum status status;

		status = wire_profile_read(&attach->profiles[i], asked[i], why);
		if (status != STATUS_OK)
			return status;
		attach->n_profiles++;
		for (size_t j = 0; j < i; j++)
			if (strcmp(attach->profiles[i].name,
				   attach->profiles[j].name) == 0) {
				why_set(why, "two profiles are named \"%s\"",
					attach->profiles[i].name);
				return STATUS_BAD_SPEC;
			}
	}
	return STATUS_OK;
}

enum status
attach_read(struct attach *attach, struct why *why)
{
	const Emad__Attach *message = attach->message->attach;

	if (!name_is_valid(message->model)) {
		why_set(why,
			"the model's name \"%.110s\" is not "
			"[A-Za-z0-9._-]{1,100}",
			message->model);
		return STATUS_BAD_NAME;
	}
	if (message->mode != EMAD__MODE__BLOCK &&
	    message->mode != EMAD__MODE__LATEST &&
	    message->mode != EMAD__MODE__DROP) {
		why_set(why, "there is no mode %d", (int)message->mode);
		return STATUS_BAD_REQUEST;
	}
	attach->n_slots = message->mode == EMAD__MODE__LATEST ? 3 : 2;
	if (message->has_n_slots && message->n_slots > 0)
		attach->n_slots = message->n_slots;
	if (attach->n_slots > WIRE_SLOTS_MAX) {
		why_set(why, "%u slots; at most %d", attach->n_slots,
			WIRE_SLOTS_MAX);
		attach->n_slots = 0;
		return STATUS_TOO_LARGE;
	}
	if (message->first_unanswered == 0) {
		why_set(why, "sequences count from 1");
		return STATUS_BAD_REQUEST;
	}
	return read_profiles(attach, why);
}
