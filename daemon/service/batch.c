#include "daemon/service/batch.h"

#include "daemon/service/decision.h"

bool
batch_is_active(const struct batch *batch, size_t profile)
{
	return batch->steps[profile].decision == AVERAGE_ABSORB;
}

static struct shm *
slot_of(const struct publish *publish)
{
	return &publish->session->slots[publish->slot];
}

struct shm *
batch_slot(const struct batch *batch, size_t i)
{
	return slot_of(batch->publishes[i]);
}

/* What an absorbed step of @publish adds to each profile's part. */
static void
add(struct batch *batch, const struct model *model, struct publish *publish,
    const struct average_step *steps)
{
	size_t index = batch->n_publishes;

	batch->publishes[batch->n_publishes++] = publish;
	publish->begun = true;
	for (size_t i = 0; i < model->n_profiles; i++) {
		struct average_target *target = &batch->targets[i];

		if (steps[i].decision != AVERAGE_ABSORB)
			continue;
		if (target->n_steps == 0)
			target->action = steps[i].action;
		target->active = true;
		target->accumulator = model->profiles[i].profile.accumulator;
		target->steps[target->n_steps] = (unsigned int)index;
		target->weights[target->n_steps++] = steps[i].weight;
		batch->steps[i] = steps[i];
	}
}

/* Only what every profile averages in the ordinary way goes together. */
static bool
may_share(const struct model *model, const struct average_step *steps)
{
	for (size_t i = 0; i < model->n_profiles; i++)
		if (steps[i].decision == AVERAGE_ABSORB &&
		    (steps[i].action != SCHEDULE_LERP ||
		     steps[i].weight >= 1.0))
			return false;
	return true;
}

/*
 * Later publishes see what earlier ones of the batch do: the state behind the
 * last step, which one that does not absorb hands on as it was.
 */
static void
extend(struct batch *batch, const struct model *model)
{
	size_t n = model->n_profiles;
	owned_memory struct average_step *steps = xcalloc(n, sizeof *steps);
	const struct publish *first = batch->publishes[0];
	const struct list *entry = first->entry.next;
	struct result unused;

	for (; entry != &model->queue &&
	       batch->n_publishes < KERNEL_SNAPSHOTS_MAX;
	     entry = entry->next) {
		struct publish *publish =
			container_of(entry, struct publish, entry);

		if (publish->session->accept_non_finite !=
			    first->session->accept_non_finite ||
		    !shm_is_intact(slot_of(publish)) ||
		    !decision_make(model, publish, batch->steps, steps,
				   &unused) ||
		    !may_share(model, steps))
			return;
		add(batch, model, publish, steps);
	}
}

bool
batch_make(struct batch *ret_batch, struct model *model,
	   struct result *ret_result)
{
	size_t n = model->n_profiles;
	owned_memory struct average_step *steps = xcalloc(n, sizeof *steps);
	struct publish *publish =
		list_first(&model->queue, struct publish, entry);

	if (!decision_make(model, publish, NULL, steps, ret_result))
		return false;
	*ret_batch = (struct batch) {
		.steps = take_pointer(&steps),
		.targets = xcalloc(n, sizeof *ret_batch->targets),
	};
	add(ret_batch, model, publish, ret_batch->steps);
	if (model->n_single > 0)
		model->n_single--;
	else if (may_share(model, ret_batch->steps))
		extend(ret_batch, model);
	return true;
}

void
batch_deinit(struct batch *batch)
{
	free(batch->steps);
	free(batch->targets);
}
