#include "daemon/service/pull.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/service/handlers.h"
#include "daemon/service/model.h"
#include "daemon/service/reply.h"

struct waiter {
	struct list entry; /* state->waiters */
	uv_timer_t timer;
	struct state *state;
	struct request *request;
	char *model;
	char *profile; /* NULL: the only one */
	int64_t at_step;
};

/* What a pull asks for, found or not. */
struct found {
	const struct model *model;
	const struct versions *versions;
};

/* OK: @ret_found is the answer.  Anything else may change by waiting. */
static enum status
look(const struct state *state, const char *model, const char *profile,
     int64_t at_step, struct found *ret_found, struct why *why)
{
	struct found found = { .model = model_find(state, model) };

	if (!found.model) {
		why_set(why, "there is no model \"%s\"", model);
		return STATUS_UNKNOWN_MODEL;
	}
	found.versions = model_find_profile(found.model, profile);
	if (!found.versions && !profile) {
		why_set(why, "model \"%s\" has %zu profiles: say which", model,
			found.model->n_profiles);
		return STATUS_UNKNOWN_PROFILE;
	}
	if (!found.versions) {
		why_set(why, "model \"%s\" has no profile \"%s\"", model,
			profile);
		return STATUS_UNKNOWN_PROFILE;
	}
	if (found.versions->state.step == STEP_NONE) {
		why_set(why,
			"%s/%s has no version yet: nothing has been "
			"published",
			model, found.versions->profile.name);
		return STATUS_NO_VERSION;
	}
	if (found.versions->state.step < at_step) {
		why_set(why,
			"%s/%s is at step %" PRId64 ", not yet at %" PRId64,
			model, found.versions->profile.name,
			found.versions->state.step, at_step);
		return STATUS_TIMEOUT;
	}
	*ret_found = found;
	return STATUS_OK;
}

static void
answer(struct request *request, const struct found *found)
{
	Emad__PullReply pull = EMAD__PULL_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	pull.model = found->model->name;
	pull.version = reply_new_profile(found->versions, false);
	reply.pull = &pull;
	reply_message(request, &reply);
	reply_free_profile(pull.version);
}

static void
on_timer_closed(uv_handle_t *timer)
{
	struct waiter *waiter =
		container_of((uv_timer_t *)(void *)timer, struct waiter, timer);

	free(waiter->model);
	free(waiter->profile);
	free(waiter);
}

/* The request has been answered. */
static void
free_waiter(struct waiter *waiter)
{
	list_remove(&waiter->entry);
	uv_close((uv_handle_t *)&waiter->timer, on_timer_closed);
}

static void
on_gone(struct request *request, void *arg)
{
	reply_status(request, STATUS_TIMEOUT, NULL); /* nobody hears it */
	free_waiter(arg);
}

static void
on_timeout(uv_timer_t *timer)
{
	struct waiter *waiter = container_of(timer, struct waiter, timer);
	enum status status;
	struct found found;
	struct why why;

	status = look(waiter->state, waiter->model, waiter->profile,
		      waiter->at_step, &found, &why);
	if (status == STATUS_OK)
		answer(waiter->request, &found);
	else
		reply_status(waiter->request,
			     status == STATUS_NO_VERSION ? STATUS_TIMEOUT
							 : status,
			     &why);
	free_waiter(waiter);
}

static void
wait_for(struct state *state, struct request *request, const Emad__Pull *pull,
	 int64_t at_step)
{
	struct waiter *waiter = xcalloc(1, sizeof *waiter);

	waiter->state = state;
	waiter->request = request;
	waiter->model = xstrdup(pull->model);
	waiter->profile = pull->profile ? xstrdup(pull->profile) : NULL;
	waiter->at_step = at_step;
	list_append(&state->waiters, &waiter->entry);
	must(uv_timer_init(state->loop, &waiter->timer) == 0);
	must(uv_timer_start(&waiter->timer, on_timeout, pull->timeout_ms, 0) ==
	     0);
	request_set_on_gone(request, on_gone, waiter);
}

void
handle_pull(struct state *state, struct request *request,
	    Emad__Request **message)
{
	const Emad__Pull *pull = (*message)->pull;
	int64_t at_step = pull->has_at_step ? pull->at_step : 0;
	enum status status;
	struct found found;
	struct why why;

	if (!name_is_valid(pull->model) ||
	    (pull->profile && !name_is_valid(pull->profile))) {
		reply_status(request, STATUS_BAD_NAME, NULL);
		return;
	}
	if (at_step < 0 || at_step > STEP_MAX) {
		why_set(&why, "step %" PRId64 " is not between 0 and 2^53",
			at_step);
		reply_status(request, STATUS_BAD_REQUEST, &why);
		return;
	}
	status = look(state, pull->model, pull->profile, at_step, &found, &why);
	if (status == STATUS_OK)
		answer(request, &found);
	else if (pull->has_timeout_ms && pull->timeout_ms > 0)
		wait_for(state, request, pull, at_step);
	else
		reply_status(request, status, &why);
}

void
pull_wake(struct state *state, const char *name)
{
	list_each_safe (entry, after, &state->waiters) {
		struct waiter *waiter =
			container_of(entry, struct waiter, entry);
		struct found found;
		struct why why;

		if (strcmp(waiter->model, name) != 0 ||
		    look(state, waiter->model, waiter->profile, waiter->at_step,
			 &found, &why) != STATUS_OK)
			continue;
		answer(waiter->request, &found);
		free_waiter(waiter);
	}
}

void
pull_refuse(struct state *state, const char *name, enum status status)
{
	list_each_safe (entry, after, &state->waiters) {
		struct waiter *waiter =
			container_of(entry, struct waiter, entry);

		if (name && strcmp(waiter->model, name) != 0)
			continue;
		reply_status(waiter->request, status, NULL);
		free_waiter(waiter);
	}
}
