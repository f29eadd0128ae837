#include "daemon/service/update.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/service/not_finite.h"
#include "daemon/service/pull.h"
#include "daemon/service/space.h"
#include "daemon/service/update_private.h"

/* Above this many bytes written, stores go past the cache. */
#define STREAM_SIZE (24 * 1024 * 1024)

#define SMALL_SIZE (128 * 1024) /* done sooner than a worker is woken */

static void
free_update(struct update *update)
{
	for (size_t i = 0; i < update->model->n_profiles; i++)
		free(update->batch.targets[i].sums);
	batch_deinit(&update->batch);
	free(update->supplies);
	free(update->watches);
	free(update);
}

/* Takes @batch. */
static struct update *
new_update(struct model *model, const struct batch *batch)
{
	struct update *update = xcalloc(1, sizeof *update);
	size_t n = model->n_profiles;

	update->model = model;
	update->batch = *batch;
	update->supplies = xcalloc(n, sizeof *update->supplies);
	update->watches = xcalloc(n, sizeof *update->watches);
	update->average = (struct average_update) {
		.kernel = model->state->kernel,
		.plan = model->plan,
		.n_snapshots = batch->n_publishes,
		.targets = batch->targets,
		.check = !batch->publishes[0]->session->accept_non_finite,
	};
	atomic_init(&update->bad_chunk, UINT_MAX);
	return update;
}

static bool
is_active(const struct update *update, size_t profile)
{
	return batch_is_active(&update->batch, profile);
}

/* The update is over; whoever waits for what is public now is told. */
static void
end(struct update *update)
{
	struct model *model = update->model;
	bool is_public = update->is_public;

	must(model->update == update);
	for (size_t i = 0; i < model->n_profiles; i++)
		if (is_active(update, i))
			versions_abandon(&model->profiles[i]);
	model->update = NULL;
	free_update(update);
	if (is_public)
		pull_wake(model->state, model->name);
}

/* Answer the queue's first ones, all alike, and go on with the next. */
static void
finish(struct update *update, const struct result *result)
{
	struct model *model = update->model;
	struct state *state = model->state;
	struct batch batch = update->batch;

	for (size_t i = 0; i < batch.n_publishes; i++)
		list_remove(&batch.publishes[i]->entry);
	end(update);
	for (size_t i = 0; i < batch.n_publishes; i++)
		session_answer(batch.publishes[i], result);
	update_start(model);
	state_check_idle(state);
}

/* One of several is to blame: they are tried one by one. */
static bool
was_retried(struct update *update)
{
	struct model *model = update->model;
	size_t n = update->batch.n_publishes;

	if (n == 1)
		return false;
	for (size_t i = 0; i < n; i++)
		update->batch.publishes[i]->begun = false;
	model->n_single = (unsigned int)n;
	end(update);
	update_start(model);
	return true;
}

static __attribute__((format(printf, 3, 4))) void
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

	tensor = not_finite_explain(
		&result.why, update->model->plan, update->bad_chunk,
		update->average.snapshots[0], update->batch.publishes[0]->step);
	result.tensor = (char *)(uintptr_t)tensor->name; /* copied */
	finish(update, &result);
}

static void
refuse_faulted(struct update *update)
{
	if (!shm_is_intact(batch_slot(&update->batch, 0)))
		refuse(update, STATUS_BAD_SLOT,
		       "slot %u was truncated or removed; the average is "
		       "unchanged: attach again",
		       update->batch.publishes[0]->slot);
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

/* What the update says of an average that it made. */
static void
note(const struct update *update, size_t profile)
{
	struct versions *versions = &update->model->profiles[profile];
	const struct watch_counters *watch = &update->watches[profile];

	versions_set_drift(versions, update->model->plan,
			   update->batch.targets[profile].sums);
	versions->watch.n_sampled += atomic_load(&watch->n_sampled);
	versions->watch.n_stalled += atomic_load(&watch->n_stalled);
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
		r = versions_publish(versions, &update->batch.steps[i].next);
		failed = versions;
		update->is_public |= r == 0;
		model->state->n_updates += r == 0;
		if (r == 0)
			note(update, i);
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
	bool is_bad = update->faulted || update->bad_chunk != UINT_MAX;

	if (is_bad && was_retried(update))
		return;
	if (update->faulted)
		refuse_faulted(update);
	else if (is_bad)
		refuse_not_finite(update);
	else if (publish_all(update))
		finish(update, &result);
}

static void
set_target(struct update *update, size_t profile)
{
	struct versions *versions = &update->model->profiles[profile];
	struct average_target *target = &update->batch.targets[profile];

	target->current = versions_current_data(versions);
	target->next = versions_next_data(versions);
	target->rest = rest_current_data(&versions->rest);
	target->next_rest = rest_next_data(&versions->rest);
	target->sums =
		xcalloc(update->average.plan->n_pieces, sizeof *target->sums);
}

static void
submit(struct update *update)
{
	struct model *model = update->model;
	const struct batch *batch = &update->batch;
	uint64_t written = 0;

	for (size_t i = 0; i < model->n_profiles; i++) {
		struct versions *versions = &model->profiles[i];

		if (!is_active(update, i))
			continue;
		if (versions_begin(versions) < 0) {
			atomic_store(&update->faulted, true);
			break;
		}
		written += versions->size + rest_size(&versions->rest);
		set_target(update, i);
	}
	for (size_t i = 0; i < batch->n_publishes; i++) {
		const char *slot = batch_slot(batch, i)->base;

		update->average.snapshots[i] =
			slot + batch->publishes[i]->session->slot_header_size;
	}
	update->average.stream = written > STREAM_SIZE;
	update->job = (struct job) {
		.n_chunks = (unsigned int)model->plan->n_chunks,
		.run = update_run_chunk,
		.done = on_done,
	};
	if (written > SMALL_SIZE ||
	    !pool_run_here_if_idle(model->state->pool, &update->job))
		pool_submit(model->state->pool, &update->job);
	else
		on_done(&update->job);
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
		needed += version_supply_missing(&update->supplies[i]);
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

static void
start(struct update *update)
{
	update->model->update = update;
	if (!shm_is_intact(batch_slot(&update->batch, 0))) {
		atomic_store(&update->faulted, true);
		update->job = (struct job) { .done = on_done };
		pool_submit(update->model->state->pool, &update->job);
	} else if (claim_all(update)) {
		submit(update);
	} else {
		supply_then_submit(update);
	}
}

void
update_start(struct model *model)
{
	/* Called again by the end of an update that was over at once. */
	if (model->starting)
		return;
	model->starting = true;
	while (!model->update && !list_is_empty(&model->queue)) {
		struct publish *publish =
			list_first(&model->queue, struct publish, entry);
		struct result result;
		struct batch batch;

		if (batch_make(&batch, model, &result)) {
			start(new_update(model, &batch));
			continue;
		}
		list_remove(&publish->entry);
		session_answer(publish, &result);
	}
	model->starting = false;
}
