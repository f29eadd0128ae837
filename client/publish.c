/*
 * Snapshots: filling a slot, handing it to the daemon, and the answers.
 *
 * All of this runs on the thread that has the publisher: the caller's, or that
 * of async.c while a copy is under way.  Answers are taken in by what runs
 * next.
 */
#include <inttypes.h>
#include <string.h>

#include "client/internal.h"

int
publish_send(struct emad_publisher *publisher, struct slot *slot)
{
	size_t k = (size_t)(slot - publisher->slots);
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Publish publish = EMAD__PUBLISH__INIT;

	publish.session = publisher->session;
	publish.slot = (uint32_t)k;
	publish.sequence = slot->sequence;
	publish.step = slot->step;
	request.publish = &publish;
	return channel_send(publisher->channels[k], &request);
}

static int
fail_taken_over(const struct emad_publisher *publisher)
{
	return fail(EMAD_TAKEN_OVER, "another publisher took %s over",
		    publisher->attach.model);
}

/* Take in what is there, and make sure of a session. */
static int
refresh(struct emad_publisher *publisher, int64_t deadline)
{
	int status = EMAD_OK;

	answers_collect(publisher);
	while (status == EMAD_OK && publisher->is_lost &&
	       !publisher->is_taken_over) {
		status = publisher_restore(publisher, deadline);
		answers_collect(publisher);
	}
	if (status == EMAD_OK && publisher->is_taken_over)
		return fail_taken_over(publisher);
	return status;
}

static struct slot *
find_slot(struct emad_publisher *publisher, enum slot_state state)
{
	for (size_t i = 0; i < publisher->n_slots; i++) {
		size_t k = (publisher->next_slot + i) % publisher->n_slots;

		if (publisher->slots[k].state == state)
			return &publisher->slots[k];
	}
	return NULL;
}

int
publish_drain(struct emad_publisher *publisher, int64_t deadline)
{
	int status = EMAD_OK;

	answers_collect(publisher);
	while (status == EMAD_OK && !publisher->is_taken_over &&
	       find_slot(publisher, SLOT_SENT)) {
		status = refresh(publisher, deadline);
		if (status == EMAD_OK && find_slot(publisher, SLOT_SENT))
			status = answers_wait(publisher, deadline);
	}
	if (status == EMAD_OK && publisher->is_taken_over)
		return fail_taken_over(publisher);
	return status;
}

/* A free slot, the one after the last; waits for it unless in mode DROP. */
static int
take_slot(struct emad_publisher *publisher, int64_t deadline,
	  struct slot **ret_slot)
{
	struct slot *slot = NULL;
	int status;

	status = refresh(publisher, deadline);
	while (status == EMAD_OK && !(slot = find_slot(publisher, SLOT_FREE))) {
		if (publisher->mode == EMAD_MODE_DROP) {
			count(&publisher->counts.dropped);
			return fail(
				EMAD_NO_SLOT, "all %zu slots of %s are in use",
				publisher->n_slots, publisher->attach.model);
		}
		status = answers_wait(publisher, deadline);
		if (status == EMAD_OK)
			status = refresh(publisher, deadline);
	}
	if (status == EMAD_OK)
		*ret_slot = slot;
	return status;
}

static int
check_call(const struct emad_publisher *publisher, const char *function,
	   const void *argument)
{
	int status;

	if (!publisher || !argument)
		return fail(EMAD_USAGE, "%s: an argument is NULL", function);
	status = check_process(publisher->emad->pid);
	if (status == EMAD_OK && !async_is_under_way(publisher) &&
	    publisher->is_taken_over)
		status = fail_taken_over(publisher);
	return status;
}

int
emad_wants(const struct emad_publisher *publisher, int64_t step)
{
	if (!publisher || step < 0 || step > STEP_MAX)
		return 0;
	for (size_t i = 0; i < publisher->n_schedules; i++)
		if (schedule_wants(&publisher->schedules[i], step))
			return 1;
	return 0;
}

static int
check_not_begun(const struct emad_publisher *publisher)
{
	if (!publisher->begun)
		return EMAD_OK;
	return fail(EMAD_USAGE, "a snapshot of %s was begun: commit it first",
		    publisher->attach.model);
}

static int
check_step(const struct emad_publisher *publisher, int64_t step)
{
	if (step < 0 || step > STEP_MAX)
		return fail(EMAD_USAGE,
			    "step %" PRId64 " is not between 0 and 2^53", step);
	if (step <= publisher->last_published)
		return fail(EMAD_STEP_BACKWARDS,
			    "step %" PRId64 " of %s is not after %" PRId64
			    ", the last one published",
			    step, publisher->attach.model,
			    publisher->last_published);
	return EMAD_OK;
}

/* Give a filled slot its number and send it. */
static int
send_filled(struct emad_publisher *publisher, struct slot *slot, int64_t step)
{
	enum slot_state before = slot->state;
	int status;

	slot->state = SLOT_SENT;
	slot->sequence = publisher->next_sequence;
	slot->step = step;
	status = publish_send(publisher, slot);
	if (status != EMAD_OK) {
		slot->state = before;
		return status;
	}
	publisher->next_sequence++;
	publisher->next_slot = (size_t)(slot - publisher->slots) + 1;
	count(&publisher->counts.published);
	return EMAD_OK;
}

static int
check_data(const struct emad_publisher *publisher, const char *function,
	   const struct source *source)
{
	if (publisher->n_tensors > 0 && !source->first)
		return fail(EMAD_USAGE, "%s: no data", function);
	for (size_t i = 0; i < publisher->n_tensors; i++) {
		const struct place *place = &publisher->places[i];

		if (place->size > 0 && !source_get(source, place->index))
			return fail(EMAD_USAGE, "tensor number %zu has no data",
				    place->index);
	}
	return EMAD_OK;
}

int
publish_check(struct emad_publisher *publisher, const char *function,
	      int64_t step, const struct source *source, bool *ret_is_wanted)
{
	int status;

	status = check_call(publisher, function, publisher);
	if (status == EMAD_OK)
		status = check_not_begun(publisher);
	if (status == EMAD_OK)
		status = check_step(publisher, step);
	if (status != EMAD_OK)
		return status;
	*ret_is_wanted = emad_wants(publisher, step);
	if (*ret_is_wanted)
		return check_data(publisher, function, source);
	count(&publisher->counts.skipped);
	return EMAD_OK;
}

int
publish_snapshot(struct emad_publisher *publisher, int64_t step,
		 const struct source *source, int64_t deadline)
{
	struct slot *slot;
	int status;

	status = take_slot(publisher, deadline, &slot);
	if (status != EMAD_OK)
		return status;
	fill(publisher, slot, source);
	return send_filled(publisher, slot, step);
}

static int
publish(struct emad_publisher *publisher, int64_t step,
	const struct source *source)
{
	bool is_wanted;
	int status;

	status = publish_check(publisher, "emad_publish", step, source,
			       &is_wanted);
	if (status != EMAD_OK || !is_wanted)
		return status;
	async_join(publisher);
	status = publish_snapshot(publisher, step, source,
				  deadline_after(publisher->timeout_ms));
	if (status != EMAD_OK)
		return status;
	publisher->last_published = step;
	return answers_report(publisher);
}

int
emad_publish(struct emad_publisher *publisher, int64_t step,
	     const struct emad_tensor *tensors)
{
	struct source source = {
		.first = tensors ? (const char *)&tensors->data : NULL,
		.stride = sizeof *tensors,
	};

	return publish(publisher, step, &source);
}

int
emad_publish_data(struct emad_publisher *publisher, int64_t step,
		  const void *const *data)
{
	struct source source = {
		.first = (const char *)data,
		.stride = sizeof *data,
	};

	return publish(publisher, step, &source);
}

int
emad_begin(struct emad_publisher *publisher, void **ret_data)
{
	struct slot *slot;
	int status;

	status = check_call(publisher, "emad_begin", ret_data);
	if (status == EMAD_OK)
		status = check_not_begun(publisher);
	if (status != EMAD_OK)
		return status;
	async_join(publisher);
	status = take_slot(publisher, deadline_after(publisher->timeout_ms),
			   &slot);
	if (status != EMAD_OK)
		return status;
	slot->state = SLOT_BEGUN;
	publisher->begun = slot;
	publisher->next_slot = (size_t)(slot - publisher->slots);
	for (size_t i = 0; i < publisher->n_tensors; i++) {
		const struct place *place = &publisher->places[i];

		ret_data[place->index] = slot->file + place->offset;
	}
	return EMAD_OK;
}

int
emad_commit(struct emad_publisher *publisher, int64_t step)
{
	int status;

	status = check_call(publisher, "emad_commit", publisher);
	if (status == EMAD_OK && !publisher->begun)
		status = fail(EMAD_USAGE, "no snapshot of %s was begun",
			      publisher->attach.model);
	if (status == EMAD_OK)
		status = check_step(publisher, step);
	if (status != EMAD_OK)
		return status;
	if (!emad_wants(publisher, step)) {
		publisher->begun->state = SLOT_FREE;
		publisher->begun = NULL;
		count(&publisher->counts.skipped);
		return EMAD_OK;
	}
	status = refresh(publisher, deadline_after(publisher->timeout_ms));
	if (status == EMAD_OK)
		status = send_filled(publisher, publisher->begun, step);
	if (status != EMAD_OK)
		return status;
	publisher->begun = NULL;
	publisher->last_published = step;
	return answers_report(publisher);
}

int
emad_flush(struct emad_publisher *publisher)
{
	int status;

	status = check_call(publisher, "emad_flush", publisher);
	if (status != EMAD_OK)
		return status;
	async_join(publisher);
	status =
		publish_drain(publisher, deadline_after(publisher->timeout_ms));
	return status == EMAD_OK ? answers_report(publisher) : status;
}
