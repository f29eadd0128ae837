/*
 * A model: its tensors, its averages, who publishes it, and what waits to be
 * absorbed.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_MODEL_H
#define DAEMON_SERVICE_MODEL_H

#include "daemon/core/plan.h"
#include "daemon/list.h"
#include "daemon/service/state.h"
#include "daemon/service/versions.h"

struct session;
struct update;

struct model {
	struct list entry; /* state->models */
	struct state *state;
	char *name;
	struct plan *plan;
	size_t n_profiles;
	struct versions *profiles; /* in the order of the plan's rules */
	uid_t owner;               /* who may publish and drop it */
	struct session *session;   /* attached, or ending; NULL */
	struct list queue;         /* struct publish, in order of sequence */
	struct update *update;     /* of the queue's first ones; NULL: none */
	unsigned int n_single;     /* publishes to be absorbed one by one */
	bool starting;             /* update_start() is under way */
	bool attaching;            /* an attach works on it, off the loop */
};

struct model *model_find(const struct state *state, const char *name);

/* Takes @plan and the array @profiles; enters @state's list. */
struct model *
model_new(struct state *state, const char *name, struct plan *plan,
	  struct versions *profiles, size_t n_profiles);

/*
 * Leave the list and free.  Nothing may be under way: no session, no update,
 * no attach.  @remove_public: the averages' files go as well.
 */
void model_free(struct model *model, bool remove_public);

/* NULL: none of that name.  @name NULL: the only one, if there is one only. */
struct versions *
model_find_profile(const struct model *model, const char *name);

/* Remove one profile of several, and its file; nothing may be under way. */
void model_remove_profile(struct model *model, struct versions *profile);

/* Step of the newest version; STEP_NONE. */
int64_t model_step(const struct model *model);

/* Bytes of shared memory, slots included. */
uint64_t model_memory(const struct model *model);

/* Bytes of it that are in huge pages. */
uint64_t model_huge_size(const struct model *model);

/* Whether the public name @file is one of some model's. */
bool model_any_has_file(const struct state *state, const char *file);

/* Whether @uid may publish or drop @model. */
bool model_may_change(const struct model *model, uid_t uid);

#endif
