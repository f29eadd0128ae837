#include "daemon/service/attach.h"

#include <errno.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/service/handlers.h"
#include "daemon/service/reply.h"
#include "daemon/service/session.h"
#include "daemon/service/space.h"

static const char *
model_name(const struct attach *attach)
{
	return attach->message->attach->model;
}

/* The request has been answered. */
static void
free_attach(struct attach *attach)
{
	list_remove(&attach->entry);
	attach_discard_work(attach);
	for (size_t i = 0; i < attach->n_profiles; i++)
		profile_deinit(&attach->profiles[i]);
	free(attach->profiles);
	wire_request_free(attach->message);
	free(attach);
}

static void
refuse(struct attach *attach, enum status status, const struct why *why)
{
	Emad__Reply reply = EMAD__REPLY__INIT;

	reply.status = status;
	reply.sentence =
		(char *)(uintptr_t)(why ? why->text : status_text(status));
	reply.n_differences = attach->differences.n_listed;
	reply.differences = attach->differences.listed;
	if (attach->differences.n > 0) {
		reply.has_differences_total = true;
		reply.differences_total = (uint32_t)attach->differences.n;
	}
	reply_send(attach->request, &reply);
	free_attach(attach);
}

static void
refuse_busy(struct attach *attach, const struct session *session)
{
	Emad__Reply reply = EMAD__REPLY__INIT;
	struct why why;

	why_set(&why,
		"process %d publishes model \"%s\": wait until it ends, or "
		"attach with takeover",
		(int)session->peer.pid, model_name(attach));
	reply.status = STATUS_BUSY;
	reply.sentence = why.text;
	reply.has_busy_pid = true;
	reply.busy_pid = session->peer.pid;
	reply_send(attach->request, &reply);
	free_attach(attach);
}

static void
take_model(struct attach *attach)
{
	struct model *model = attach->model;
	size_t n_own = model ? model->n_profiles : 0;
	size_t n = n_own + attach->n_fresh;
	struct versions *profiles;

	if (attach->plan) {
		profiles = xrealloc(model ? model->profiles : NULL,
				    n * sizeof *profiles);
		memcpy(profiles + n_own, attach->fresh,
		       attach->n_fresh * sizeof *profiles);
		attach->n_fresh = 0;
		if (!model) {
			model = model_new(attach->state, model_name(attach),
					  attach->plan, profiles, n);
			model->owner = attach->peer.uid;
		} else {
			plan_free(model->plan);
			model->plan = attach->plan;
			model->profiles = profiles;
			model->n_profiles = n;
		}
		attach->plan = NULL;
	}
	for (size_t i = 0; i < n; i++)
		versions_take(&model->profiles[i], &attach->supplies[i]);
	free(take_pointer(&attach->supplies));
	attach->model = model;
}

static void
answer(struct attach *attach, const struct session *session)
{
	const struct model *model = session->model;
	Emad__AttachReply attached = EMAD__ATTACH_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;
	Emad__ProfileState *profiles[PROFILES_MAX];
	Emad__Slot slots[WIRE_SLOTS_MAX];
	Emad__Slot *slot_pointers[WIRE_SLOTS_MAX];

	for (unsigned int i = 0; i < session->n_slots; i++) {
		emad__slot__init(&slots[i]);
		slots[i].file = (char *)(uintptr_t)session->slots[i].name;
		slots[i].size = session->slots[i].size;
		slot_pointers[i] = &slots[i];
	}
	for (size_t i = 0; i < model->n_profiles; i++)
		profiles[i] = reply_new_profile(&model->profiles[i], false);
	attached.session = session->id;
	attached.n_slots = session->n_slots;
	attached.slots = slot_pointers;
	attached.n_profiles = model->n_profiles;
	attached.profiles = profiles;
	attached.daemon_version = (char *)(uintptr_t)PACKAGE_VERSION;
	reply.attach = &attached;
	reply_message(attach->request, &reply);
	for (size_t i = 0; i < model->n_profiles; i++)
		reply_free_profile(profiles[i]);
}

static void
start_session(struct attach *attach, int pidfd)
{
	const Emad__Attach *message = attach->message->attach;
	struct session_options options = {
		.id = attach->session,
		.publisher = message->publisher,
		.first_unanswered = message->first_unanswered,
		.mode = message->mode,
		.accept_non_finite = message->accept_non_finite,
		.n_slots = attach->n_slots,
		.slots = attach->slots,
		.slot_header_size = attach->slot_header_size,
		.peer = attach->peer,
		.pidfd = pidfd,
	};
	struct session *session;

	take_model(attach);
	if (session_new(&session, attach->model, &options) < 0) {
		refuse(attach, STATUS_INTERNAL, NULL);
		return;
	}
	log_info("%s: process %d publishes it", attach->model->name,
		 (int)attach->peer.pid);
	answer(attach, session);
	free_attach(attach);
}

/* Without a pidfd nobody would notice that the publisher is gone. */
static void
refuse_unwatchable(struct attach *attach, int error)
{
	enum status status = STATUS_UNKNOWN_SESSION;
	struct why why;

	/* It is gone, then nobody hears this. */
	why_set(&why, "the process that asked is gone");
	if (error != -ESRCH)
		status = space_explain(&why, error, 0, "a watch on a process");
	refuse(attach, status, &why);
}

/* Another attach may have made files of these names meanwhile. */
static bool
names_are_free(struct attach *attach)
{
	for (size_t i = 0; i < attach->n_fresh; i++) {
		const char *file = attach->fresh[i].file;

		if (!model_any_has_file(attach->state, file))
			continue;
		why_set(&attach->why,
			"the name " SHM_DIRECTORY "/%s is that of another "
			"model's average: choose another name",
			file);
		return false;
	}
	return true;
}

static void
on_work(uv_work_t *work)
{
	attach_work(container_of(work, struct attach, work));
}

static void
on_worked(uv_work_t *work, int unused)
{
	struct attach *attach = container_of(work, struct attach, work);
	struct state *state = attach->state;
	owned_memory char *name = xstrdup(model_name(attach));
	int pidfd;

	(void)unused;
	if (attach->model)
		attach->model->attaching = false;
	if (attach->status != STATUS_OK) {
		refuse(attach, attach->status, &attach->why);
	} else if (state->stopping) {
		refuse(attach, STATUS_STOPPING, NULL);
	} else if (!names_are_free(attach)) {
		refuse(attach, STATUS_NAME_TAKEN, &attach->why);
	} else {
		pidfd = request_peer_pidfd(attach->request);
		if (pidfd < 0)
			refuse_unwatchable(attach, pidfd);
		else
			start_session(attach, pidfd);
	}
	attach_retry(state, name);
	state_check_idle(state);
}

/* Whether another attach works on a model of that name. */
static bool
is_worked_on(const struct state *state, const char *name)
{
	list_each (entry, &state->attaches) {
		const struct attach *attach =
			container_of(entry, struct attach, entry);

		if (attach->working && strcmp(model_name(attach), name) == 0)
			return true;
	}
	return false;
}

static bool
is_same_publisher(const struct attach *attach, const struct session *session)
{
	return session->publisher == attach->message->attach->publisher &&
	       session->peer.uid == attach->peer.uid;
}

/*
 * What to do about the session that @model has: true if this attach is to wait
 * for its end, false if it has been refused.
 */
static bool
end_other(struct attach *attach, struct session *session)
{
	struct why why;

	if (session->ended)
		return true;
	if (is_same_publisher(attach, session)) {
		session_end(session, STATUS_UNKNOWN_SESSION, false);
		return true;
	}
	if (!attach->message->attach->takeover) {
		refuse_busy(attach, session);
		return false;
	}
	if (attach->peer.uid != session->peer.uid && attach->peer.uid != 0) {
		why_set(&why, "process %d of user %u publishes model \"%s\"",
			(int)session->peer.pid, (unsigned int)session->peer.uid,
			model_name(attach));
		refuse(attach, STATUS_DENIED, &why);
		return false;
	}
	log_notice("%s: process %d takes it over from process %d",
		   model_name(attach), (int)attach->peer.pid,
		   (int)session->peer.pid);
	session_end(session, STATUS_TAKEN_OVER, true);
	return true;
}

/* Work, wait or be refused. */
static void
go_on(struct attach *attach)
{
	struct state *state = attach->state;
	struct model *model;
	struct why why;

	if (is_worked_on(state, model_name(attach)))
		return;
	model = model_find(state, model_name(attach));
	if (model && !model_may_change(model, attach->peer.uid)) {
		why_set(&why, "model \"%s\" belongs to user %u", model->name,
			(unsigned int)model->owner);
		refuse(attach, STATUS_DENIED, &why);
		return;
	}
	if (model && model->session)
		session_end_if_dead(model->session);
	/* Ending a session retries all that wait, this one among them. */
	if (is_worked_on(state, model_name(attach)))
		return;
	if (model && model->session) {
		(void)end_other(attach, model->session);
		return;
	}
	attach->model = model;
	attach->working = true;
	if (model)
		model->attaching = true;
	must(uv_queue_work(state->loop, &attach->work, on_work, on_worked) ==
	     0);
}

static struct attach *
find_to_retry(const struct state *state)
{
	list_each (entry, &state->attaches) {
		struct attach *attach =
			container_of(entry, struct attach, entry);

		if (attach->to_retry)
			return attach;
	}
	return NULL;
}

void
attach_retry(struct state *state, const char *name)
{
	struct attach *attach;

	list_each (entry, &state->attaches) {
		attach = container_of(entry, struct attach, entry);
		if (!attach->working && strcmp(model_name(attach), name) == 0)
			attach->to_retry = true;
	}
	/* Each may free itself and others, so the list is read again. */
	while ((attach = find_to_retry(state)) != NULL) {
		attach->to_retry = false;
		go_on(attach);
	}
}

void
attach_refuse_waiting(struct state *state)
{
	list_each_safe (entry, after, &state->attaches) {
		struct attach *attach =
			container_of(entry, struct attach, entry);

		if (!attach->working)
			refuse(attach, STATUS_STOPPING, NULL);
	}
}

void
handle_attach(struct state *state, struct request *request,
	      Emad__Request **message)
{
	struct attach *attach = xcalloc(1, sizeof *attach);
	enum status status;
	struct why why;

	attach->state = state;
	attach->request = request;
	attach->message = take_pointer(message);
	attach->peer = *request_peer(request);
	attach->session = state_random();
	attach->slot_tag = state_random();
	for (size_t i = 0; i < WIRE_SLOTS_MAX; i++)
		attach->slots[i] = SHM_NONE;
	list_append(&state->attaches, &attach->entry);
	status = attach_read(attach, &why);
	if (status == STATUS_OK)
		go_on(attach);
	else
		refuse(attach, status, &why);
}
