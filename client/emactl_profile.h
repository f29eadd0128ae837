/*
 * Schedules and profiles from the command line's options.
 */
#ifndef CLIENT_EMACTL_PROFILE_H
#define CLIENT_EMACTL_PROFILE_H

#include "client/emactl.h"
#include "client/emad.h"
#include "proto/profile.h"

struct profile_list {
	size_t n;
	struct profile *profiles;
};

void profile_list_deinit(struct profile_list *list);

/*
 * Every --profile begins a profile, and the options behind it are its own;
 * options before the first --profile hold for all.  One profile at least.
 * False with a sentence: wrong usage.
 */
bool profile_list_from_options(struct profile_list *ret_list,
			       const struct emactl *ctl);

/* From the profiles of a model as emad_describe_json() gives them. */
bool
profile_list_from_json(struct profile_list *ret_list, const json_t *states);

/* As emad_attach() takes them, pointing into @list; freed before it. */
struct emad_profile *profile_list_to_public(const struct profile_list *list);
void profile_public_free(struct emad_profile *profiles, size_t n);

/* Whether any option says anything about profiles. */
bool profile_list_is_given(const struct emactl *ctl);

#endif
