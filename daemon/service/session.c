#include "daemon/service/session.h"

#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/service/attach.h"
#include "daemon/service/reply.h"
#include "daemon/service/update.h"

static int
compare_ids(const void *a, const void *b)
{
	uint64_t x = ((const struct session *)a)->id;
	uint64_t y = ((const struct session *)b)->id;

	return (x > y) - (x < y);
}

struct session *
session_find(const struct state *state, uint64_t id)
{
	struct session key = { .id = id };
	void *node = tfind(&key, &state->sessions, compare_ids);
	struct session *session;

	if (!node)
		return NULL;
	session = *(struct session **)node;
	return session->ended ? NULL : session;
}

static void
on_death(void *arg)
{
	struct session *session = arg;

	log_info("%s: publisher %d is gone", session->model->name,
		 (int)session->peer.pid);
	session_end(session, STATUS_UNKNOWN_SESSION, false);
}

int
session_new(struct session **ret_session, struct model *model,
	    const struct session_options *options)
{
	struct session *session = xcalloc(1, sizeof *session);
	struct state *state = model->state;
	int r;

	must(!model->session);
	*session = (struct session) {
		.id = options->id,
		.publisher = options->publisher,
		.peer = options->peer,
		.model = model,
		.mode = options->mode,
		.accept_non_finite = options->accept_non_finite,
		.n_slots = options->n_slots,
		.slot_header_size = options->slot_header_size,
		.next_sequence = options->first_unanswered,
		.last_step = STEP_NONE,
	};
	list_init(&session->early);
	session->slots = xcalloc(options->n_slots, sizeof *session->slots);
	for (unsigned int i = 0; i < options->n_slots; i++) {
		session->slots[i] = options->slots[i];
		options->slots[i] = SHM_NONE;
	}
	session->results = kept_new();
	model->session = session;
	must(tsearch(session, &state->sessions, compare_ids) != NULL);
	state->n_sessions++;
	r = watch_new(&session->watch, state->loop, options->pidfd, on_death,
		      session);
	if (r < 0) {
		session_end(session, STATUS_INTERNAL, true);
		return log_failure(r, "cannot watch process %d",
				   (int)options->peer.pid);
	}
	*ret_session = session;
	return 0;
}

static void
free_session(struct session *session)
{
	struct model *model = session->model;
	struct state *state = model->state;

	must(session->n_pending == 0 && list_is_empty(&session->early));
	(void)tdelete(session, &state->sessions, compare_ids);
	state->n_sessions--;
	model->session = NULL;
	for (unsigned int i = 0; i < session->n_slots; i++) {
		(void)shm_unlink_name(&session->slots[i]);
		shm_close(&session->slots[i]);
	}
	free(session->slots);
	kept_free(session->results);
	if (session->detach)
		reply_status(session->detach, STATUS_OK, NULL);
	free(session);
	attach_retry(state, model->name);
	state_check_idle(state);
}

static void
refuse(struct publish *publish, enum status status)
{
	struct result result = { .status = status };

	list_remove(&publish->entry);
	why_set(&result.why, "%s", status_text(status));
	session_answer(publish, &result);
}

void
session_end(struct session *session, enum status status, bool discard)
{
	struct model *model = session->model;
	struct state *state = model->state;

	if (session->ended)
		return;
	session->ended = true;
	if (status == STATUS_TAKEN_OVER)
		state->taken_over[state->n_taken_over++ % STATE_TAKEN_OVER] =
			session->id;
	watch_close(take_pointer(&session->watch));
	/* One more is pending until this function is done with @session. */
	session->n_pending++;
	list_each_safe (entry, after, &session->early)
		refuse(container_of(entry, struct publish, entry), status);
	list_each_safe (entry, after, &model->queue) {
		struct publish *publish =
			container_of(entry, struct publish, entry);

		if (discard && !publish->begun)
			refuse(publish, status);
	}
	if (--session->n_pending == 0)
		free_session(session);
}

void
session_end_if_dead(struct session *session)
{
	if (!session->ended && watch_is_dead(session->watch))
		on_death(session);
}

static void
count(struct session_counts *counts, const struct result *result)
{
	if (result->status == STATUS_REPLACED)
		counts->replaced++;
	else if (result->status != STATUS_OK)
		counts->refused++;
	else if (result->absorbed)
		counts->absorbed++;
	else
		counts->skipped++;
}

void
session_answer(struct publish *publish, const struct result *result)
{
	struct session *session = publish->session;

	count(&session->counts, result);
	kept_put(session->results, publish->sequence, result);
	session->slot_taken[publish->slot] = false;
	reply_result(publish->request, result);
	free(publish);
	must(session->n_pending > 0);
	session->n_pending--;
	if (session->ended && session->n_pending == 0)
		free_session(session);
}

static struct publish *
find_pending(const struct session *session, uint64_t sequence)
{
	const struct list *lists[] = { &session->early,
				       &session->model->queue };

	for (size_t i = 0; i < array_size(lists); i++)
		list_each (entry, lists[i]) {
			struct publish *publish =
				container_of(entry, struct publish, entry);

			if (publish->session == session &&
			    publish->sequence == sequence)
				return publish;
		}
	return NULL;
}

/* The client asks again: it lost the connection, and with it the answer. */
static bool
is_repeat(struct session *session, struct request *request, uint64_t sequence)
{
	struct publish *pending = find_pending(session, sequence);
	struct why why;

	if (sequence == 0) { /* marks what was never answered */
		why_set(&why, "sequences count from 1");
		reply_status(request, STATUS_BAD_REQUEST, &why);
		return true;
	}

	if (pending) {
		struct request *older = pending->request;

		pending->request = request;
		why_set(&why, "the request was repeated on another connection");
		reply_status(older, STATUS_BAD_REQUEST, &why);
		return true;
	}
	if (sequence >= session->next_sequence)
		return false;
	if (kept_answer(session->results, sequence, request))
		return true;
	why_set(&why,
		"sequence %" PRIu64 " was answered long ago; next is "
		"%" PRIu64,
		sequence, session->next_sequence);
	reply_status(request, STATUS_BAD_REQUEST, &why);
	return true;
}

static enum status
check_publish(const struct session *session, const Emad__Publish *message,
	      struct why *why)
{
	if (message->step < 0 || message->step > STEP_MAX) {
		why_set(why, "step %" PRId64 " is not between 0 and 2^53",
			message->step);
		return STATUS_BAD_REQUEST;
	}
	if (message->slot >= session->n_slots) {
		why_set(why, "there is no slot %" PRIu32 ", only %u of them",
			message->slot, session->n_slots);
		return STATUS_BAD_SLOT;
	}
	if (session->slot_taken[message->slot]) {
		why_set(why,
			"slot %" PRIu32 " is the daemon's until its "
			"publish is answered",
			message->slot);
		return STATUS_BAD_SLOT;
	}
	/* Each early one holds a slot, so this bounds nothing but nonsense. */
	if (message->sequence - session->next_sequence >= KEPT_RESULTS) {
		why_set(why,
			"sequence %" PRIu64 " is far from the next, "
			"%" PRIu64,
			message->sequence, session->next_sequence);
		return STATUS_BAD_REQUEST;
	}
	return STATUS_OK;
}

/* Mode latest: what waits and has not begun gives way to what is newer. */
static void
replace_queued(struct model *model)
{
	list_each_safe (entry, after, &model->queue) {
		struct publish *publish =
			container_of(entry, struct publish, entry);

		if (!publish->begun)
			refuse(publish, STATUS_REPLACED);
	}
}

/* Put the early publishes whose turn has come into the model's queue. */
static void
take_in_order(struct session *session)
{
	struct model *model = session->model;
	struct list *cursor = session->early.next;

	while (cursor != &session->early) {
		struct publish *publish =
			container_of(cursor, struct publish, entry);

		if (publish->sequence != session->next_sequence) {
			cursor = cursor->next;
			continue;
		}
		list_remove(&publish->entry);
		if (session->mode == EMAD__MODE__LATEST)
			replace_queued(model);
		session->next_sequence++;
		session->counts.accepted++;
		session->last_step = publish->step;
		list_append(&model->queue, &publish->entry);
		cursor = session->early.next; /* from the start: few of them */
	}
}

void
session_publish(struct session *session, struct request *request,
		const Emad__Publish *message)
{
	struct publish *publish;
	enum status status;
	struct why why;

	if (is_repeat(session, request, message->sequence))
		return;
	status = check_publish(session, message, &why);
	if (status != STATUS_OK) {
		session->counts.refused++;
		reply_status(request, status, &why);
		return;
	}
	publish = xmalloc(sizeof *publish);
	*publish = (struct publish) {
		.session = session,
		.request = request,
		.slot = message->slot,
		.sequence = message->sequence,
		.step = message->step,
	};
	session->slot_taken[message->slot] = true;
	session->n_pending++;
	list_append(&session->early, &publish->entry);
	take_in_order(session);
	update_start(session->model);
}

uint64_t
session_memory(const struct session *session)
{
	uint64_t memory = 0;

	for (unsigned int i = 0; i < session->n_slots; i++)
		memory += session->slots[i].size;
	return memory;
}

unsigned int
session_lag(const struct session *session)
{
	return session->n_pending;
}

bool
session_was_taken_over(const struct state *state, uint64_t id)
{
	unsigned int n = state->n_taken_over < STATE_TAKEN_OVER
				 ? state->n_taken_over
				 : STATE_TAKEN_OVER;

	for (unsigned int i = 0; i < n; i++)
		if (state->taken_over[i] == id)
			return true;
	return false;
}
