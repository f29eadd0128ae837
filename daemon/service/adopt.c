/*
 * Starting where an earlier daemon ended: its public versions are gone on
 * from, its hidden files are removed.
 */
#include <errno.h>
#include <string.h>

#include "daemon/io/guard.h"
#include "daemon/io/shm.h"
#include "daemon/log.h"
#include "daemon/service/model.h"

static void
remove_file(const char *name)
{
	int r = shm_remove(name);

	if (r < 0)
		(void)log_failure(r, "cannot remove " SHM_DIRECTORY "/%s",
				  name);
}

/* All but the lock, and what belongs to versions that are yet to be read. */
static void
remove_hidden(const char *name, void *arg)
{
	char lock[FILE_NAME_SIZE];
	char rest[FILE_NAME_SIZE];

	name_rest_prefix(rest, arg);
	if (strncmp(name, rest, strlen(rest)) == 0)
		return;
	name_hidden_prefix(lock, arg);
	(void)strncat(lock, "lock", sizeof lock - strlen(lock) - 1);
	if (strcmp(name, lock) == 0)
		return;
	remove_file(name);
}

/* What is kept beside no version that was adopted. */
static void
remove_unused_rest(const char *name, void *arg)
{
	const struct state *state = arg;

	list_each (entry, &state->models) {
		const struct model *model =
			container_of(entry, struct model, entry);

		for (size_t i = 0; i < model->n_profiles; i++)
			if (rest_has_file(&model->profiles[i].rest, name))
				return;
	}
	remove_file(name);
}

struct reading {
	const struct shm *shm;
	struct version *version;
	enum status status;
	struct why why;
};

static void
touch_read(void *arg)
{
	struct reading *reading = arg;

	reading->status = version_read(&reading->version, reading->shm->base,
				       reading->shm->size, &reading->why);
}

static enum status
read_version(struct version **ret_version, const struct shm *shm,
	     struct why *why)
{
	struct reading reading = { .shm = shm };

	if (guard_run(touch_read, &reading) < 0) {
		why_set(why, "the file was truncated while it was read");
		return STATUS_BAD_SPEC;
	}
	if (reading.status == STATUS_OK)
		*ret_version = reading.version;
	else
		*why = reading.why;
	return reading.status;
}

/* Whether the tables are the same, order and offsets included. */
static bool
is_same_table(const struct safetensors *a, const struct safetensors *b)
{
	if (a->n_tensors != b->n_tensors)
		return false;
	for (size_t i = 0; i < a->n_tensors; i++) {
		const struct tensor *x = &a->tensors[i];
		const struct tensor *y = &b->tensors[i];

		if (strcmp(x->name, y->name) != 0 || x->dtype != y->dtype ||
		    x->n_dims != y->n_dims || x->begin != y->begin ||
		    memcmp(x->shape, y->shape, x->n_dims * sizeof *x->shape) !=
			    0)
			return false;
	}
	return true;
}

/* The model that @version is an average of, with room for one profile more. */
static enum status
find_or_make_model(struct model **ret_model, struct state *state,
		   struct version *version, struct why *why)
{
	struct model *model = model_find(state, version->model);
	size_t n = model ? model->n_profiles : 0;
	owned_memory struct profile *profiles = NULL;
	struct plan *plan;
	enum status status;

	if (model && model->owner != version->owner) {
		why_set(why, "its owner is not that of the model's other "
			     "averages");
		return STATUS_DENIED;
	}
	if (model && !is_same_table(model->plan->slot, version->spec)) {
		why_set(why, "its tensors differ from those of the model's "
			     "other averages");
		return STATUS_SPEC_DIFFERS;
	}
	if (n >= PROFILES_MAX) {
		why_set(why, "the model has %d profiles already", PROFILES_MAX);
		return STATUS_TOO_LARGE;
	}
	profiles = xcalloc(n + 1, sizeof *profiles);
	for (size_t i = 0; i < n; i++)
		profiles[i] = model->profiles[i].profile;
	profiles[n] = version->profile;
	status = plan_new(&plan, version->spec, version->average, profiles,
			  n + 1, why);
	if (status != STATUS_OK)
		return status;
	version->spec = NULL;
	version->average = NULL;
	if (!model) {
		model = model_new(state, version->model, plan, NULL, 0);
	} else {
		plan_free(model->plan);
		model->plan = plan;
	}
	model->profiles =
		xrealloc(model->profiles, (n + 1) * sizeof *model->profiles);
	*ret_model = model;
	return STATUS_OK;
}

static enum status
adopt_version(struct state *state, struct shm *shm, struct version *version,
	      struct why *why)
{
	uint64_t data_size = version->average->data_size;
	const struct version_model name = {
		.name = version->model,
		.owner = version->owner,
	};
	struct version_header header;
	struct versions *versions;
	char file[FILE_NAME_SIZE];
	const struct version_name names = {
		.instance = state->instance,
		.model = version->model,
		.file = file,
	};
	struct model *model;
	enum status status;

	if (!name_public_file(file, state->instance, version->model,
			      version->profile.name) ||
	    strcmp(file, shm->name) != 0) {
		why_set(why, "it says that it is %s/%s", version->model,
			version->profile.name);
		return STATUS_BAD_NAME;
	}
	status = version_header_init(&header, &name, &version->profile,
				     version->spec, version->average, why);
	if (status != STATUS_OK)
		return status;
	if (header.size + data_size != shm->size) {
		version_header_deinit(&header);
		why_set(why, "its header is laid out in another way");
		return STATUS_BAD_SPEC;
	}
	status = find_or_make_model(&model, state, version, why);
	if (status != STATUS_OK) {
		version_header_deinit(&header);
		return status;
	}
	model->owner = version->owner;
	versions = &model->profiles[model->n_profiles++];
	versions_init(versions, &version->profile, &header, &names, data_size);
	versions->state = version->state;
	versions->current = (struct version_file) {
		.shm = *shm,
		.has_header = true,
	};
	*shm = SHM_NONE;
	shm_collapse(&versions->current.shm, state->huge);
	if (!rest_adopt(&versions->rest, &versions->state))
		log_warning(SHM_DIRECTORY "/%s: what its average had rounded "
					  "away is gone; it goes on from what "
					  "is published",
			    file);
	return STATUS_OK;
}

static void
adopt_file(const char *name, void *arg)
{
	struct state *state = arg;
	struct version *version = NULL;
	struct shm shm = SHM_NONE;
	enum status status;
	struct why why;
	int r;

	r = shm_adopt(&shm, name);
	if (r < 0) {
		log_warning(SHM_DIRECTORY "/%s: left alone: %s", name,
			    strerror(-r));
		return;
	}
	status = read_version(&version, &shm, &why);
	if (status == STATUS_OK)
		status = adopt_version(state, &shm, version, &why);
	if (status == STATUS_OK)
		log_info(SHM_DIRECTORY "/%s: adopted", name);
	else
		log_warning(SHM_DIRECTORY "/%s: left alone: %s", name,
			    why.text);
	version_free(version);
	shm_close(&shm);
}

void
state_adopt(struct state *state)
{
	char prefix[FILE_NAME_SIZE];
	int r;

	name_hidden_prefix(prefix, state->instance);
	r = shm_each(prefix, remove_hidden, state->instance);
	if (r == 0) {
		name_public_prefix(prefix, state->instance);
		r = shm_each(prefix, adopt_file, state);
	}
	if (r == 0) {
		name_rest_prefix(prefix, state->instance);
		r = shm_each(prefix, remove_unused_rest, state);
	}
	if (r < 0)
		(void)log_failure(r, "cannot read " SHM_DIRECTORY);
}
