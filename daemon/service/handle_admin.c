#include <string.h>

#include "daemon/io/shm.h"
#include "daemon/log.h"
#include "daemon/service/drift.h"
#include "daemon/service/handlers.h"
#include "daemon/service/pull.h"
#include "daemon/service/reply.h"
#include "daemon/service/session.h"

static void
summarise(Emad__ModelSummary *ret_summary, const struct model *model)
{
	const struct safetensors *slot = model->plan->slot;
	int64_t step = model_step(model);

	emad__model_summary__init(ret_summary);
	ret_summary->name = model->name;
	ret_summary->n_profiles = (uint32_t)model->n_profiles;
	ret_summary->n_tensors = slot->n_tensors;
	ret_summary->snapshot_size = slot->data_size;
	ret_summary->memory = model_memory(model);
	ret_summary->has_huge_size = true;
	ret_summary->huge_size = model_huge_size(model);
	if (step != STEP_NONE) {
		ret_summary->has_step = true;
		ret_summary->step = step;
	}
	if (model->session) {
		ret_summary->has_publisher_pid = true;
		ret_summary->publisher_pid = model->session->peer.pid;
	}
}

void
handle_list(struct state *state, struct request *request,
	    Emad__Request **message)
{
	const Emad__List *list = (*message)->list;
	Emad__ModelSummary summaries[WIRE_LIST_MAX];
	Emad__ModelSummary *pointers[WIRE_LIST_MAX];
	Emad__ListReply list_reply = EMAD__LIST_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;
	size_t limit = WIRE_LIST_MAX;

	if (list->has_limit && list->limit > 0 && list->limit < limit)
		limit = list->limit;
	list_reply.models = pointers;
	list_each (entry, &state->models) {
		const struct model *model =
			container_of(entry, struct model, entry);

		if (list->after && strcmp(model->name, list->after) <= 0)
			continue;
		if (list_reply.n_models == limit) {
			list_reply.more = true;
			break;
		}
		summarise(&summaries[list_reply.n_models], model);
		pointers[list_reply.n_models] = &summaries[list_reply.n_models];
		list_reply.n_models++;
	}
	reply.list = &list_reply;
	reply_message(request, &reply);
}

/* NULL, and the request is answered: there is no such model. */
static struct model *
find_model(struct state *state, struct request *request, const char *name)
{
	struct model *model = model_find(state, name);
	struct why why;

	if (!model) {
		why_set(&why, "there is no model \"%.100s\"", name);
		reply_status(request, STATUS_UNKNOWN_MODEL, &why);
	}
	return model;
}

static void
describe_publisher(Emad__Publisher *ret_publisher,
		   const struct session *session)
{
	emad__publisher__init(ret_publisher);
	ret_publisher->pid = session->peer.pid;
	ret_publisher->uid = session->peer.uid;
	ret_publisher->publisher = session->publisher;
	ret_publisher->mode = session->mode;
	ret_publisher->n_slots = session->n_slots;
	ret_publisher->accepted = session->counts.accepted;
	ret_publisher->absorbed = session->counts.absorbed;
	ret_publisher->skipped = session->counts.skipped;
	ret_publisher->replaced = session->counts.replaced;
	ret_publisher->refused = session->counts.refused;
	ret_publisher->lag = session_lag(session);
	if (session->last_step != STEP_NONE) {
		ret_publisher->has_last_step = true;
		ret_publisher->last_step = session->last_step;
	}
}

/* False: with all that was asked the reply is larger than a client takes. */
static bool
try_describe(struct request *request, const struct model *model,
	     bool with_rules, size_t n_drifts)
{
	Emad__ProfileState *profiles[PROFILES_MAX];
	Emad__Publisher publisher;
	Emad__Publisher *publishers[1] = { &publisher };
	Emad__ModelSummary summary;
	Emad__DescribeReply describe = EMAD__DESCRIBE_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;
	bool fits;

	summarise(&summary, model);
	describe.summary = &summary;
	describe.n_profiles = model->n_profiles;
	describe.profiles = profiles;
	for (size_t i = 0; i < model->n_profiles; i++)
		profiles[i] =
			reply_new_profile(&model->profiles[i], with_rules);
	if (model->session) {
		describe_publisher(&publisher, model->session);
		describe.n_publishers = 1;
		describe.publishers = publishers;
	}
	drift_list(&describe, model, n_drifts);
	reply.describe = &describe;
	fits = !with_rules || emad__describe_reply__get_packed_size(&describe) <
				      WIRE_REPLY_MAX / 2;
	if (fits)
		reply_message(request, &reply);
	for (size_t i = 0; i < model->n_profiles; i++)
		reply_free_profile(profiles[i]);
	drift_free(&describe);
	return fits;
}

void
handle_describe(struct state *state, struct request *request,
		Emad__Request **message)
{
	const Emad__Describe *describe = (*message)->describe;
	const struct model *model = find_model(state, request, describe->model);

	if (model && !try_describe(request, model, true, describe->n_drifts))
		must(try_describe(request, model, false, 0));
}

/* OK: @model may be dropped now, by this user. */
static enum status
check_drop(const struct model *model, uid_t uid, struct why *why)
{
	if (!model_may_change(model, uid)) {
		why_set(why, "model \"%s\" belongs to user %u", model->name,
			(unsigned int)model->owner);
		return STATUS_DENIED;
	}
	if (model->session) {
		why_set(why,
			"process %d publishes model \"%s\": end that "
			"first",
			(int)model->session->peer.pid, model->name);
		return STATUS_BUSY;
	}
	if (model->attaching) {
		why_set(why, "a publisher is attaching to model \"%s\"",
			model->name);
		return STATUS_BUSY;
	}
	return STATUS_OK;
}

static void
drop(struct state *state, struct request *request, struct model *model,
     const char *profile_name)
{
	struct versions *profile = NULL;
	struct why why;

	if (profile_name) {
		profile = model_find_profile(model, profile_name);
		if (!profile) {
			why_set(&why, "model \"%s\" has no profile \"%.100s\"",
				model->name, profile_name);
			reply_status(request, STATUS_UNKNOWN_PROFILE, &why);
			return;
		}
	}
	log_notice("%s: dropped%s%s", model->name, profile ? " profile " : "",
		   profile ? profile_name : "");
	if (profile && model->n_profiles > 1) {
		model_remove_profile(model, profile);
		/* Who asked for the only one may have it now. */
		pull_wake(state, model->name);
	} else {
		pull_refuse(state, model->name, STATUS_UNKNOWN_MODEL);
		model_free(model, true);
	}
	reply_status(request, STATUS_OK, NULL);
}

void
handle_drop(struct state *state, struct request *request,
	    Emad__Request **message)
{
	const Emad__Drop *message_drop = (*message)->drop;
	struct model *model = find_model(state, request, message_drop->model);
	enum status status;
	struct why why;

	if (!model)
		return;
	status = check_drop(model, request_peer(request)->uid, &why);
	if (status == STATUS_OK)
		drop(state, request, model, message_drop->profile);
	else
		reply_status(request, status, &why);
}

void
handle_stop(struct state *state, struct request *request,
	    Emad__Request **message)
{
	uid_t uid = request_peer(request)->uid;
	struct why why;

	(void)message;
	if (uid != 0 && uid != geteuid()) {
		why_set(&why, "only root and user %u may stop this daemon",
			(unsigned int)geteuid());
		reply_status(request, STATUS_DENIED, &why);
		return;
	}
	log_notice("stop: asked for by process %d",
		   (int)request_peer(request)->pid);
	reply_status(request, STATUS_OK, NULL);
	state->on_stop(state);
}

void
handle_status(struct state *state, struct request *request,
	      Emad__Request **message)
{
	Emad__StatusReply status = EMAD__STATUS_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	(void)message;
	status.version = (char *)(uintptr_t)PACKAGE_VERSION; /* only packed */
	status.instance = state->instance;
	status.pid = getpid();
	status.uptime_ms = uv_now(state->loop) - state->started_ms;
	status.n_models = state->n_models;
	status.n_sessions = state->n_sessions;
	status.n_connections = endpoint_n_connections(state->endpoint);
	status.n_workers = pool_n_workers(state->pool);
	status.kernel = (char *)(uintptr_t)state->kernel->name;
	status.updates = state->n_updates;
	status.memory = shm_held();
	(void)shm_space(&status.shm_free, &status.shm_size);
	reply.status_reply = &status;
	reply_message(request, &reply);
}
