#include "daemon/service/reply.h"

#include "daemon/service/drift.h"
#include "daemon/service/session.h"

void
reply_send(struct request *request, const Emad__Reply *reply)
{
	owned_memory uint8_t *bytes = NULL;
	size_t size;

	bytes = wire_pack(&reply->base, &size);
	request_reply(request, bytes, size);
}

static void
set_status(Emad__Reply *reply, enum status status, const struct why *why)
{
	const char *sentence = why ? why->text : status_text(status);

	reply->status = status;
	reply->sentence = (char *)(uintptr_t)sentence; /* only packed */
}

void
reply_status(struct request *request, enum status status, const struct why *why)
{
	Emad__Reply reply = EMAD__REPLY__INIT;

	set_status(&reply, status, why);
	reply_send(request, &reply);
}

void
reply_message(struct request *request, Emad__Reply *reply)
{
	set_status(reply, STATUS_OK, NULL);
	reply_send(request, reply);
}

void
reply_result(struct request *request, const struct result *result)
{
	Emad__PublishReply publish = EMAD__PUBLISH_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	publish.absorbed = result->absorbed;
	if (result->status == STATUS_OK) {
		reply.publish = &publish;
		reply_message(request, &reply);
		return;
	}
	reply.tensor = result->tensor;
	set_status(&reply, result->status, &result->why);
	reply_send(request, &reply);
}

Emad__ProfileState *
reply_new_profile(const struct versions *versions, bool with_rules)
{
	Emad__ProfileState *message = xmalloc(sizeof *message);
	struct profile bare = versions->profile;

	emad__profile_state__init(message);
	if (!with_rules) {
		bare.no_ema.n = 0;
		bare.ignore.n = 0;
		bare.ignore_startswith.n = 0;
	}
	message->profile = wire_profile_new(&bare);
	message->file = xstrdup(versions->file);
	message->size = versions->size;
	if (versions->state.step != STEP_NONE) {
		message->has_step = true;
		message->step = versions->state.step;
		message->has_updates = true;
		message->updates = versions->state.updates;
		message->has_decay = true;
		message->decay = versions->state.decay;
		message->has_drift =
			drift_relative(&versions->drift_total, &message->drift);
		message->has_sampled = true;
		message->sampled = versions->watch.n_sampled;
		message->has_stalled = true;
		message->stalled = versions->watch.n_stalled;
	}
	return message;
}

void
reply_free_profile(Emad__ProfileState *message)
{
	if (message)
		emad__profile_state__free_unpacked(message, NULL);
}
