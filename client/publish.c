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

bool
publish_is_under_way(struct emad_publisher *publisher)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (!channel_is_idle(publisher->channels[i]))
			return true;
	return false;
}

static void
remember_refusal(struct emad_publisher *publisher, const struct slot *slot,
		 const Emad__Reply *reply)
{
	struct why why;

	publisher->counts.refused++;
	if (publisher->refusal != EMAD_OK)
		return;
	publisher->refusal = (int)reply->status;
	why_set(&why, "the snapshot of %s at step %" PRId64 " was refused: %s",
		publisher->attach.model, slot->step, reply->sentence);
	memcpy(publisher->refusal_sentence, why.text, sizeof why.text);
}

static void
take_refusal(struct emad_publisher *publisher, struct slot *slot,
	     const Emad__Reply *reply)
{
	switch (reply->status) {
	case STATUS_UNKNOWN_SESSION:
	case STATUS_STOPPING:
		/* Not absorbed and not forgotten: it will be sent again. */
		publisher->is_lost = true;
		return;
	case STATUS_REPLACED:
		publisher->counts.replaced++;
		break;
	case STATUS_TAKEN_OVER:
		publisher->is_taken_over = true;
		publisher->counts.refused++;
		break;
	case STATUS_BAD_REQUEST:
	case STATUS_UNSUPPORTED:
	case STATUS_TOO_LARGE:
	case STATUS_BAD_SLOT:
	case STATUS_INTERNAL:
		/*
		 * The daemon may still be waiting for this sequence, or the
		 * slot may be broken; a new session mends both.
		 */
		publisher->is_lost = true;
		remember_refusal(publisher, slot, reply);
		break;
	default:
		remember_refusal(publisher, slot, reply);
	}
	slot->state = SLOT_FREE;
}

static void
take_answer(struct emad_publisher *publisher, size_t k)
{
	struct slot *slot = &publisher->slots[k];
	owned_reply *reply = NULL;

	if (channel_take(publisher->channels[k], &reply) != EMAD_OK) {
		publisher->is_lost = true;
		return;
	}
	if (reply->status != STATUS_OK) {
		take_refusal(publisher, slot, reply);
		return;
	}
	if (reply->publish && !reply->publish->absorbed)
		publisher->counts.skipped++;
	else
		publisher->counts.absorbed++;
	slot->state = SLOT_FREE;
}

void
publish_collect(struct emad_publisher *publisher)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (channel_is_answered(publisher->channels[i]))
			take_answer(publisher, i);
}

int
publish_wait(struct emad_publisher *publisher, int64_t deadline)
{
	int status;

	if (channels_wait(publisher->gate, publisher->channels,
			  publisher->n_slots, deadline)) {
		publish_collect(publisher);
		return EMAD_OK;
	}
	status = explain_silence(publisher->emad);
	if (status != EMAD_TIMEOUT)
		return status;
	return fail(EMAD_TIMEOUT,
		    "the daemon at %s did not absorb a snapshot of %s within "
		    "%d ms",
		    publisher->emad->address, publisher->attach.model,
		    publisher->timeout_ms);
}

static int
fail_taken_over(const struct emad_publisher *publisher)
{
	return fail(EMAD_TAKEN_OVER, "another publisher took %s over",
		    publisher->attach.model);
}

int
publish_report(struct emad_publisher *publisher)
{
	int status = publisher->refusal;

	publisher->refusal = EMAD_OK;
	return status == EMAD_OK
		       ? EMAD_OK
		       : fail(status, "%s", publisher->refusal_sentence);
}

/* Take in what is there, and make sure of a session. */
static int
refresh(struct emad_publisher *publisher, int64_t deadline)
{
	int status = EMAD_OK;

	publish_collect(publisher);
	while (status == EMAD_OK && publisher->is_lost &&
	       !publisher->is_taken_over) {
		status = publisher_restore(publisher, deadline);
		publish_collect(publisher);
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

	publish_collect(publisher);
	while (status == EMAD_OK && !publisher->is_taken_over &&
	       find_slot(publisher, SLOT_SENT)) {
		status = refresh(publisher, deadline);
		if (status == EMAD_OK && find_slot(publisher, SLOT_SENT))
			status = publish_wait(publisher, deadline);
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
		status = publish_wait(publisher, deadline);
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
		if (publisher->must_stream)
			copy_stream(to, get_data(source, i), place->size);
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
	if (status == EMAD_OK && publisher->begun)
		status = fail(EMAD_USAGE,
			      "a snapshot of %s was begun: commit it first",
			      publisher->attach.model);
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
	return status == EMAD_OK ? publish_report(publisher) : status;
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
	if (status == EMAD_OK && publisher->begun)
		status = fail(EMAD_USAGE,
			      "a snapshot of %s was begun: commit it first",
			      publisher->attach.model);
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
	return publish_report(publisher);
}

int
emad_flush(struct emad_publisher *publisher)
{
	int status;

	status = check_call(publisher, "emad_flush", publisher);
	if (status == EMAD_OK)
		status = publish_drain(publisher,
				       deadline_after(publisher->timeout_ms));
	return status == EMAD_OK ? publish_report(publisher) : status;
}
