#include "daemon/service/decision.h"

#include <inttypes.h>

bool
decision_make(const struct model *model, const struct publish *publish,
	      const struct average_step *before, struct average_step *ret_steps,
	      struct result *ret_result)
{
	unsigned int n_absorb = 0;
	unsigned int n_repeat = 0;

	*ret_result = (struct result) { .status = STATUS_OK };
	for (size_t i = 0; i < model->n_profiles; i++) {
		const struct versions *versions = &model->profiles[i];
		const struct version_state *state =
			before ? &before[i].next : &versions->state;

		ret_steps[i] = average_decide(&versions->profile, state,
					      publish->session->publisher,
					      publish->sequence, publish->step);
		n_absorb += ret_steps[i].decision == AVERAGE_ABSORB;
		n_repeat += ret_steps[i].decision == AVERAGE_REPEAT;
		if (ret_steps[i].decision == AVERAGE_BACKWARDS) {
			ret_result->status = STATUS_STEP_BACKWARDS;
			why_set(&ret_result->why,
				"step %" PRId64 " is not after step %" PRId64
				", the last one that %s/%s absorbed",
				publish->step, state->step, model->name,
				versions->profile.name);
			return false;
		}
	}
	ret_result->absorbed = n_repeat > 0;
	return n_absorb > 0;
}
