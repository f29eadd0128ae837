#include "daemon/core/average.h"

static double
decide_decay(const struct schedule *schedule, enum schedule_action action,
	     int64_t step)
{
	switch (action) {
	case SCHEDULE_INIT:
	case SCHEDULE_LERP:
		return schedule_decay(schedule, step + 1);
	case SCHEDULE_FROZEN:
		return 1.0;
	default:
		return 0.0;
	}
}

struct average_step
average_decide(const struct profile *profile, const struct version_state *state,
	       uint64_t publisher, uint64_t sequence, int64_t step)
{
	struct average_step result = {
		.decision = AVERAGE_ABSORB,
		.action = SCHEDULE_SKIP,
		.next = *state,
	};
	double decay;

	if (version_sequence(state, publisher) >= sequence) {
		result.decision = AVERAGE_REPEAT;
		return result;
	}
	if (step <= state->step) {
		result.decision = AVERAGE_BACKWARDS;
		return result;
	}
	result.action = schedule_decide(&profile->schedule, step, state->step);
	if (result.action == SCHEDULE_SKIP) {
		result.decision = AVERAGE_SKIP;
		return result;
	}
	decay = decide_decay(&profile->schedule, result.action, step);
	result.weight = 1.0 - decay;
	result.next.step = step;
	result.next.updates++;
	result.next.decay = decay;
	version_set_sequence(&result.next, publisher, sequence);
	return result;
}

static enum kernel_operation
choose_operation(const struct average_target *target, enum profile_rule rule,
		 enum dtype dtype)
{
	if (target->action == SCHEDULE_COPY)
		return KERNEL_COPY;
	if (target->action == SCHEDULE_FROZEN)
		return KERNEL_KEEP;
	/* With a decay of 0 nothing of the average stays, not even a NaN. */
	if (rule == PROFILE_AVERAGE &&
	    (!dtype_is_averaged(dtype) || target->weight == 1.0))
		rule = PROFILE_COPY;
	if (target->action == SCHEDULE_INIT)
		return rule == PROFILE_AVERAGE ? KERNEL_INIT : KERNEL_COPY;
	switch (rule) {
	case PROFILE_AVERAGE:
		return KERNEL_LERP;
	case PROFILE_COPY:
		return KERNEL_COPY;
	default:
		return KERNEL_KEEP;
	}
}

static uint64_t
count_bytes(enum dtype dtype, uint64_t n_elements)
{
	/* In two parts, lest the number of bits overflow. */
	return n_elements / 8 * dtype_bits(dtype) +
	       n_elements % 8 * dtype_bits(dtype) / 8;
}

bool
average_run_chunk(const struct kernel *kernel, const struct plan *plan,
		  size_t chunk, const char *snapshot,
		  const struct average_target *targets, bool check, bool stream)
{
	const struct plan_chunk *part = &plan->chunks[chunk];
	const struct plan_span *span = &plan->spans[part->span];
	uint64_t at =
		span->average_begin +
		count_bytes(dtype_average(span->dtype), part->first_element);
	struct kernel_target chosen[PROFILES_MAX];
	struct kernel_tile tile = {
		.dtype = span->dtype,
		.n_elements = part->n_elements,
		.snapshot = snapshot + span->snapshot_begin +
			    count_bytes(span->dtype, part->first_element),
		.targets = chosen,
		.check = check && span->check,
		.stream = stream,
	};

	for (size_t i = 0; i < plan->n_profiles; i++) {
		const struct average_target *target = &targets[i];
		struct kernel_target *next = &chosen[tile.n_targets];

		if (!target->active)
			continue;
		*next = (struct kernel_target) {
			.operation = choose_operation(target, span->rules[i],
						      span->dtype),
			.weight = target->weight,
			.current =
				target->current ? target->current + at : NULL,
			.next = target->next + at,
		};
		must(next->current || next->operation == KERNEL_COPY ||
		     next->operation == KERNEL_INIT);
		tile.n_targets++;
	}
	return kernel->run(&tile);
}
