/*
 * Snapshots: filling a slot, handing it to the daemon, and the answers.
 *
 * Only libnng's callback runs elsewhere; whatever is here runs on the
 * caller's thread, and answers are taken in by its next call.
 */
#include <inttypes.h>
#include <string.h>

#include "client/copy.h"
#include "client/internal.h"

/* Where a caller's data pointers are: one in every @stride bytes. */
struct source {
	const char *first;
	size_t stride;
};

static const void *
get_data(const struct source *source, size_t i)
{
	const void *data;

	memcpy(&data, source->first + i * source->stride, sizeof data);
	return data;
}

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
			publisher->counts.dropped++;
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
	if (status == EMAD_OK && publisher->is_taken_over)
		status = fail_taken_over(publisher);
	return status;
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
	publisher->last_published = step;
	publisher->next_slot = (size_t)(slot - publisher->slots) + 1;
	publisher->counts.published++;
	return EMAD_OK;
}

static int
check_data(const struct emad_publisher *publisher, const struct source *source)
{
	for (size_t i = 0; i < publisher->n_tensors; i++)
		if (publisher->places[i].size > 0 && !get_data(source, i))
			return fail(EMAD_USAGE, "tensor number %zu has no data",
				    i);
	return EMAD_OK;
}

static void
fill(const struct emad_publisher *publisher, const struct slot *slot,
     const struct source *source)
{
	for (size_t i = 0; i < publisher->n_tensors; i++) {
		const struct place *place = &publisher->places[i];
		char *to = slot->file + place->offset;

		if (place->size == 0)
			continue;
		if (publisher->copy_way)
			copy_stream(publisher->copy_way, to,
				    get_data(source, i), place->size);
		else
			memcpy(to, get_data(source, i), place->size);
	}
	copy_finish();
}

static int
publish(struct emad_publisher *publisher, int64_t step,
	const struct source *source)
{
	struct slot *slot;
	int status;

	status = check_call(publisher, "emad_publish", publisher);
	if (status == EMAD_OK)
		status = check_not_begun(publisher);
	if (status == EMAD_OK)
		status = check_step(publisher, step);
	if (status != EMAD_OK)
		return status;
	if (!emad_wants(publisher, step)) {
		publisher->counts.skipped++;
		return EMAD_OK;
	}
	status = publisher->n_tensors > 0 && !source->first
			 ? fail(EMAD_USAGE, "emad_publish: no data")
			 : check_data(publisher, source);
	if (status == EMAD_OK)
		status =
			take_slot(publisher,
				  deadline_after(publisher->timeout_ms), &slot);
	if (status != EMAD_OK)
		return status;
	fill(publisher, slot, source);
	status = send_filled(publisher, slot, step);
	return status == EMAD_OK ? answers_report(publisher) : status;
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
	if (status == EMAD_OK)
		status =
			take_slot(publisher,
				  deadline_after(publisher->timeout_ms), &slot);
	if (status != EMAD_OK)
		return status;
	slot->state = SLOT_BEGUN;
	publisher->begun = slot;
	publisher->next_slot = (size_t)(slot - publisher->slots);
	for (size_t i = 0; i < publisher->n_tensors; i++)
		ret_data[i] = slot->file + publisher->places[i].offset;
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
		publisher->counts.skipped++;
		return EMAD_OK;
	}
	status = refresh(publisher, deadline_after(publisher->timeout_ms));
	if (status == EMAD_OK)
		status = send_filled(publisher, publisher->begun, step);
	if (status != EMAD_OK)
		return status;
	publisher->begun = NULL;
	return answers_report(publisher);
}

int
emad_flush(struct emad_publisher *publisher)
{
	int status;

	status = check_call(publisher, "emad_flush", publisher);
	if (status == EMAD_OK)
		status = publish_drain(publisher,
				       deadline_after(publisher->timeout_ms));
	return status == EMAD_OK ? answers_report(publisher) : status;
}
