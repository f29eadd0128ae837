/*
 * Answers to what was published: taken in by the caller's next call, counted,
 * and the first refusal kept until somebody can be told.
 */
#include <inttypes.h>
#include <string.h>

#include "client/internal.h"

bool
answers_are_due(struct emad_publisher *publisher)
{
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (!channel_is_idle(publisher->channels[i]))
			return true;
	return false;
}

void
answers_keep(struct emad_publisher *publisher, int status,
	     const struct why *why)
{
	if (publisher->refusal != EMAD_OK)
		return;
	publisher->refusal = status;
	publisher->refusal_sentence = *why;
}

static void
remember_refusal(struct emad_publisher *publisher, const struct slot *slot,
		 const Emad__Reply *reply)
{
	struct why why;

	count(&publisher->counts.refused);
	why_set(&why, "the snapshot of %s at step %" PRId64 " was refused: %s",
		publisher->attach.model, slot->step, reply->sentence);
	answers_keep(publisher, (int)reply->status, &why);
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
		count(&publisher->counts.replaced);
		break;
	case STATUS_TAKEN_OVER:
		publisher->is_taken_over = true;
		count(&publisher->counts.refused);
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
take_reply(struct emad_publisher *publisher, struct slot *slot,
	   const Emad__Reply *reply)
{
	if (reply->status != STATUS_OK) {
		take_refusal(publisher, slot, reply);
		return;
	}
	if (reply->publish && !reply->publish->absorbed)
		count(&publisher->counts.skipped);
	else
		count(&publisher->counts.absorbed);
	slot->state = SLOT_FREE;
}

static void
take_answer(struct emad_publisher *publisher, size_t k)
{
	struct wire_room room;
	Emad__Reply *reply;

	if (channel_take(publisher->channels[k], &room, &reply) != EMAD_OK) {
		publisher->is_lost = true;
		return;
	}
	take_reply(publisher, &publisher->slots[k], reply);
	wire_reply_free_in(&room, reply);
}

void
answers_collect(struct emad_publisher *publisher)
{
	if (!channels_look(publisher->channels, publisher->n_slots))
		return;
	for (size_t i = 0; i < publisher->n_slots; i++)
		if (channel_is_answered(publisher->channels[i]))
			take_answer(publisher, i);
}

int
answers_wait(struct emad_publisher *publisher, int64_t deadline)
{
	int status;

	if (channels_wait(publisher->channels, publisher->n_slots, deadline)) {
		answers_collect(publisher);
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

int
answers_report(struct emad_publisher *publisher)
{
	int status = publisher->refusal;

	publisher->refusal = EMAD_OK;
	return status == EMAD_OK
		       ? EMAD_OK
		       : fail(status, "%s", publisher->refusal_sentence.text);
}

void
emad_get_counts(const struct emad_publisher *publisher,
		struct emad_counts *ret_counts)
{
	const struct emad_counts *counts = &publisher->counts;

	/* A copy that is under way may count as well. */
	*ret_counts = (struct emad_counts) {
		.published = count_read(&counts->published),
		.absorbed = count_read(&counts->absorbed),
		.skipped = count_read(&counts->skipped),
		.replaced = count_read(&counts->replaced),
		.dropped = count_read(&counts->dropped),
		.refused = count_read(&counts->refused),
		.reattached = count_read(&counts->reattached),
	};
}
