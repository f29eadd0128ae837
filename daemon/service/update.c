#include "daemon/service/update.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>

#include "daemon/core/average.h"
#include "daemon/io/guard.h"
#include "daemon/log.h"
#include "daemon/service/decision.h"
#include "daemon/service/not_finite.h"
#include "daemon/service/pull.h"
#include "daemon/service/session.h"
#include "daemon/service/space.h"

/* Above this many bytes written, stores go past the cache. */
#define STREAM_SIZE (24 * 1024 * 1024)

struct update {
	struct job job;
	uv_work_t work;
	struct model *model;
	struct publish *publish;    /* the first of the model's queue */
	struct average_step *steps; /* one per profile, like all below */
	struct average_target *targets;
	struct version_supply *supplies;
	const char *snapshot; /* the slot's data */
	bool check;
	bool stream;
	bool is_public; /* some average's next version */
	int supply_error;
	_Atomic unsigned int bad_chunk; /* lowest that is not finite */
	_Atomic bool faulted;
};

static void
free_update(struct update *update)
{
	free(update->steps);
	free(update->targets);
	free(update->supplies);
	free(update);
}

static struct update *
new_update(struct model *model, struct publish *publish)
{
	struct update *update = xcalloc(1, sizeof *update);
	size_t n = model->n_profiles;

	update->model = model;
	update->publish = publish;
	update->steps = xcalloc(n, sizeof *update->steps);
	update->targets = xcalloc(n, sizeof *update->targets);
	update->supplies = xcalloc(n, sizeof *update->supplies);
	update->check = !publish->session->accept_non_finite;
	atomic_init(&update->bad_chunk, UINT_MAX);
	return update;
}

static bool
is_active(const struct update *update, size_t profile)
{
	return update->steps[profile].decision == AVERAGE_ABSORB;
}

static struct shm *
slot_of(const struct publish *publish)
{
	return &publish->session->slots[publish->slot];
}

/* Answer the queue's first and go on with the next. */
static void
finish(struct update *update, const struct result *result)
{
	struct model *model = update->model;
	struct state *state = model->state;
	struct publish *publish = update->publish;
	bool is_public = update->is_public;

	for (size_t i = 0; i < model->n_profiles; i++)
		if (is_active(update, i))
			versions_abandon(&model->profiles[i]);
	must(model->update == update);
	model->update = NULL;
	list_remove(&publish->entry);
	free_update(update);
	if (is_public)
		pull_wake(state, model->name);
	session_answer(publish, result);
	update_start(model);
	state_check_idle(state);
}

static void
refuse(struct update *update, enum status status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
refuse(struct update *update, enum status status, const char *format, ...)
{
	struct result result = { .status = status };
	va_list arguments;

	va_start(arguments, format);
	why_vset(&result.why, format, arguments);
	va_end(arguments);
	finish(update, &result);
}

static void
refuse_not_finite(struct update *update)
{
	struct result result = { .status = STATUS_NOT_FINITE };
	const struct tensor *tensor;

	tensor = not_finite_explain(&result.why, update->model->plan,
				    update->bad_chunk, update->snapshot,
				    update->publish->step);
	result.tensor = (char *)(uintptr_t)tensor->name; /* copied */
	finish(update, &result);
}

static void
refuse_faulted(struct update *update)
{
	if (!shm_is_intact(slot_of(update->publish)))
		refuse(update, STATUS_BAD_SLOT,
		       "slot %u was truncated or removed; the average is "
		       "unchanged: attach again",
		       update->publish->slot);
	else
		refuse(update, STATUS_INTERNAL,
		       "a version's file was truncated by another process: "
		       "drop the model and attach again");
}

static void
refuse_unpublished(struct update *update, const struct versions *versions,
		   int error)
{
	if (error == -EEXIST) {
		refuse(update, STATUS_NAME_TAKEN,
		       "the name " SHM_DIRECTORY "/%s belongs to another "
		       "file: remove that, or choose another name",
		       versions->file);
		return;
	}
	(void)log_failure(error, "%s: cannot publish", versions->file);
	refuse(update, STATUS_INTERNAL, "cannot publish %s: %s", versions->file,
	       strerror(-error));
}

/* All or none, as far as can be told before the first. */
static int
check_names(const struct update *update, const struct versions **ret_failed)
{
	const struct model *model = update->model;

	for (size_t i = 0; i < model->n_profiles; i++) {
		int r = 0;

		if (is_active(update, i))
			r = versions_check_name(&model->profiles[i]);
		if (r < 0) {
			*ret_failed = &model->profiles[i];
			return r;
		}
	}
	return 0;
}

/* False, and the publish is refused: something could not be made public. */
static bool
publish_all(struct update *update)
{
	struct model *model = update->model;
	const struct versions *failed = NULL;
	int r;

	r = check_names(update, &failed);
	for (size_t i = 0; i < model->n_profiles && r == 0; i++) {
		struct versions *versions = &model->profiles[i];

		if (!is_active(update, i))
			continue;
		r = versions_publish(versions, &update->steps[i].next);
		failed = versions;
		update->is_public |= r == 0;
		model->state->n_updates += r == 0;
	}
	if (r < 0)
		refuse_unpublished(update, failed, r);
	return r == 0;
}

static void
on_done(struct job *job)
{
	struct update *update = container_of(job, struct update, job);
	struct result result = { .status = STATUS_OK, .absorbed = true };

	if (update->faulted)
		refuse_faulted(update);
	else if (update->bad_chunk != UINT_MAX)
		refuse_not_finite(update);
	else if (publish_all(update))
		finish(update, &result);
}

struct chunk_run {
	struct update *update;
	unsigned int chunk;
};

static void
note_bad_chunk(struct update *update, unsigned int chunk)
{
	unsigned int lowest = atomic_load(&update->bad_chunk);

	while (chunk < lowest && !atomic_compare_exchange_weak(
					 &update->bad_chunk, &lowest, chunk))
		continue;
}

static void
touch_chunk(void *arg)
{
	const struct chunk_run *run = arg;
	struct update *update = run->update;
	const struct model *model = update->model;

	if (!average_run_chunk(model->state->kernel, model->plan, run->chunk,
			       update->snapshot, update->targets, update->check,
			       update->stream))
		note_bad_chunk(update, run->chunk);
}

static void
on_run(struct job *job, unsigned int chunk)
{
	struct update *update = container_of(job, struct update, job);
	struct chunk_run run = { .update = update, .chunk = chunk };

	if (atomic_load(&update->faulted))
		return;
	if (guard_run(touch_chunk, &run) < 0)
		atomic_store(&update->faulted, true);
}

static void
submit(struct update *update)
{
	struct model *model = update->model;
	const struct publish *publish = update->publish;
	const char *slot = slot_of(publish)->base;
	uint64_t written = 0;

	for (size_t i = 0; i < model->n_profiles; i++) {
		struct versions *versions = &model->profiles[i];

		if (!is_active(update, i))
			continue;
		if (versions_begin(versions) < 0) {
			atomic_store(&update->faulted, true);
			break;
		}
		written += versions->size;
		update->targets[i] = (struct average_target) {
			.active = true,
			.action = update->steps[i].action,
			.weight = update->steps[i].weight,
			.current = versions_current_data(versions),
			.next = versions_next_data(versions),
		};
	}
	update->stream = written > STREAM_SIZE;
	update->snapshot = slot + publish->session->slot_header_size;
	update->job = (struct job) {
		.n_chunks = (unsigned int)model->plan->n_chunks,
		.run = on_run,
		.done = on_done,
	};
	pool_submit(model->state->pool, &update->job);
}

/* False: some average has no file to write its next version into. */
static bool
claim_all(struct update *update)
{
	struct model *model = update->model;
	bool all = true;

	for (size_t i = 0; i < model->n_profiles; i++)
		if (is_active(update, i) &&
		    !versions_claim(&model->profiles[i]))
			all = false;
	return all;
}

static void
on_supply(uv_work_t *work)
{
	struct update *update = container_of(work, struct update, work);
	struct state *state = update->model->state;
	struct version_maker maker = {
		.instance = state->instance,
		.mode = state->mode,
		.next_file = &state->next_file,
		.huge = state->huge,
		.placement = &state->placement,
	};

	for (size_t i = 0; i < update->model->n_profiles; i++) {
		int r = version_supply_make(&update->supplies[i], &maker);

		if (r < 0)
			update->supply_error = r;
	}
}

static void
on_supplied(uv_work_t *work, int unused)
{
	struct update *update = container_of(work, struct update, work);
	struct model *model = update->model;
	uint64_t needed = 0;

	(void)unused;
	for (size_t i = 0; i < model->n_profiles; i++) {
		if (update->supplies[i].n_made < update->supplies[i].n_wanted)
			needed += update->supplies[i].size;
		versions_take(&model->profiles[i], &update->supplies[i]);
	}
	if (update->supply_error < 0) {
		struct result result = { .status = STATUS_NO_SPACE };

		result.status = space_explain(&result.why, update->supply_error,
					      needed, "the next version");
		finish(update, &result);
	} else if (claim_all(update)) {
		submit(update);
	} else {
		refuse(update, STATUS_INTERNAL,
		       "another process keeps the daemon's hidden files open");
	}
}

static void
supply_then_submit(struct update *update)
{
	struct model *model = update->model;

	for (size_t i = 0; i < model->n_profiles; i++)
		if (is_active(update, i))
			update->supplies[i] =
				versions_want(&model->profiles[i]);
	must(uv_queue_work(model->state->loop, &update->work, on_supply,
			   on_supplied) == 0);
}

void
update_start(struct model *model)
{
	while (!model->update && !list_is_empty(&model->queue)) {
		struct publish *publish =
			list_first(&model->queue, struct publish, entry);
		struct update *update = new_update(model, publish);
		struct result result;

		if (!decision_make(model, publish, update->steps, &result)) {
			list_remove(&publish->entry);
			free_update(update);
			session_answer(publish, &result);
			continue;
		}
		model->update = update;
		if (!shm_is_intact(slot_of(publish))) {
			atomic_store(&update->faulted, true);
			update->job = (struct job) { .done = on_done };
			pool_submit(model->state->pool, &update->job);
		} else if (claim_all(update)) {
			submit(update);
		} else {
			supply_then_submit(update);
		}
	}
}
