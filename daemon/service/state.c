#include "daemon/service/state.h"

#include <search.h>
#include <stdio.h>
#include <sys/random.h>

#include "daemon/service/attach.h"
#include "daemon/service/model.h"
#include "daemon/service/pull.h"
#include "daemon/service/session.h"

void
state_init(struct state *state, uv_loop_t *loop, const char *instance,
	   mode_t mode)
{
	*state = (struct state) {
		.loop = loop,
		/* Who may connect may read; only we write versions. */
		.mode = mode & ~(mode_t)022,
		.slot_mode = mode,
		.started_ms = uv_now(loop),
	};
	(void)snprintf(state->instance, sizeof state->instance, "%s", instance);
	list_init(&state->models);
	list_init(&state->attaches);
	list_init(&state->waiters);
}

/* End every session; those that have nothing under way go at once. */
static void
end_sessions(struct state *state)
{
	list_each (entry, &state->models) {
		struct model *model = container_of(entry, struct model, entry);

		if (model->session)
			session_end(model->session, STATUS_STOPPING, false);
	}
}

void
state_stop(struct state *state, void (*on_idle)(struct state *state))
{
	must(!state->stopping);
	state->stopping = true;
	attach_refuse_waiting(state);
	pull_refuse(state, NULL, STATUS_STOPPING);
	end_sessions(state);
	state->on_idle = on_idle;
	state_check_idle(state);
}

void
state_check_idle(struct state *state)
{
	void (*on_idle)(struct state *) = state->on_idle;

	if (!on_idle || state->n_sessions > 0 ||
	    !list_is_empty(&state->attaches))
		return;
	state->on_idle = NULL;
	on_idle(state);
}

void
state_deinit(struct state *state)
{
	list_each_safe (entry, after, &state->models)
		model_free(container_of(entry, struct model, entry), false);
	must(state->sessions == NULL);
}

uint64_t
state_random(void)
{
	uint64_t value;

	must(getrandom(&value, sizeof value, 0) == sizeof value);
	return value;
}
