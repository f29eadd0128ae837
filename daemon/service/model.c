#include "daemon/service/model.h"

#include <string.h>

#include "daemon/service/session.h"

struct model *
model_find(const struct state *state, const char *name)
{
	list_each (entry, &state->models) {
		struct model *model = container_of(entry, struct model, entry);

		if (strcmp(model->name, name) == 0)
			return model;
	}
	return NULL;
}

static void
insert_by_name(struct state *state, struct model *model)
{
	struct list *before = &state->models;

	list_each (entry, &state->models) {
		const struct model *other =
			container_of(entry, struct model, entry);

		if (strcmp(other->name, model->name) > 0) {
			before = entry;
			break;
		}
	}
	list_append(before, &model->entry);
	state->n_models++;
}

struct model *
model_new(struct state *state, const char *name, struct plan *plan,
	  struct versions *profiles, size_t n_profiles)
{
	struct model *model = xcalloc(1, sizeof *model);

	*model = (struct model) {
		.state = state,
		.name = xstrdup(name),
		.plan = plan,
		.profiles = profiles,
		.n_profiles = n_profiles,
	};
	list_init(&model->queue);
	insert_by_name(state, model);
	return model;
}

void
model_free(struct model *model, bool remove_public)
{
	must(!model->session && !model->update && !model->attaching);
	must(list_is_empty(&model->queue));
	list_remove(&model->entry);
	model->state->n_models--;
	for (size_t i = 0; i < model->n_profiles; i++)
		versions_deinit(&model->profiles[i], remove_public);
	free(model->profiles);
	plan_free(model->plan);
	free(model->name);
	free(model);
}

struct versions *
model_find_profile(const struct model *model, const char *name)
{
	if (!name)
		return model->n_profiles == 1 ? &model->profiles[0] : NULL;
	for (size_t i = 0; i < model->n_profiles; i++)
		if (strcmp(model->profiles[i].profile.name, name) == 0)
			return &model->profiles[i];
	return NULL;
}

/* A plan's rules are by profile: make one for those that are left. */
static void
make_plan_again(struct model *model)
{
	struct safetensors *slot = take_pointer(&model->plan->slot);
	struct safetensors *average = take_pointer(&model->plan->average);
	struct profile *profiles = xcalloc(model->n_profiles, sizeof *profiles);
	enum status status;
	struct why why;

	plan_free(model->plan);
	for (size_t i = 0; i < model->n_profiles; i++)
		profiles[i] = model->profiles[i].profile;
	status = plan_new(&model->plan, slot, average, profiles,
			  model->n_profiles, &why);
	must(status == STATUS_OK); /* a larger one was fine */
	free(profiles);
}

void
model_remove_profile(struct model *model, struct versions *profile)
{
	size_t index = (size_t)(profile - model->profiles);
	size_t after = model->n_profiles - index - 1;

	must(!model->session && !model->update && !model->attaching);
	must(model->n_profiles > 1);
	versions_deinit(profile, true);
	memmove(profile, profile + 1, after * sizeof *profile);
	model->n_profiles--;
	make_plan_again(model);
}

int64_t
model_step(const struct model *model)
{
	int64_t step = STEP_NONE;

	for (size_t i = 0; i < model->n_profiles; i++)
		if (model->profiles[i].state.step > step)
			step = model->profiles[i].state.step;
	return step;
}

uint64_t
model_memory(const struct model *model)
{
	uint64_t memory = 0;

	for (size_t i = 0; i < model->n_profiles; i++)
		memory += versions_memory(&model->profiles[i]);
	if (model->session)
		memory += session_memory(model->session);
	return memory;
}

uint64_t
model_huge_size(const struct model *model)
{
	const struct session *session = model->session;
	uint64_t size = 0;

	for (size_t i = 0; i < model->n_profiles; i++) {
		const struct versions *versions = &model->profiles[i];

		size += shm_huge_size(&versions->current.shm);
		size += shm_huge_size(&versions->next.shm);
		size += shm_huge_size(&versions->spare.shm);
		size += rest_huge_size(&versions->rest);
	}
	for (unsigned int i = 0; session && i < session->n_slots; i++)
		size += shm_huge_size(&session->slots[i]);
	return size;
}

bool
model_any_has_file(const struct state *state, const char *file)
{
	list_each (entry, &state->models) {
		const struct model *model =
			container_of(entry, struct model, entry);

		for (size_t i = 0; i < model->n_profiles; i++)
			if (strcmp(model->profiles[i].file, file) == 0)
				return true;
	}
	return false;
}

bool
model_may_change(const struct model *model, uid_t uid)
{
	return model->owner == uid || uid == 0 || uid == geteuid();
}
