#include "daemon/core/average.h"

#include <string.h>

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
	    (!dtype_is_averaged(dtype) || target->weights[0] == 1.0))
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

/* Bytes beside byte @at of the average. */
static uint64_t
rest_at(const struct average_target *target, uint64_t at)
{
	return accumulator_rest_size(target->accumulator, at);
}

static struct kernel_target
make_target(const struct average_update *update, size_t i, size_t piece_index)
{
	const struct plan_piece *piece = &update->plan->pieces[piece_index];
	const struct average_target *target = &update->targets[i];
	enum dtype average = dtype_average(piece->dtype);
	uint64_t at = piece->average_begin;
	struct kernel_target result = {
		.operation =
			choose_operation(target, piece->rules[i], piece->dtype),
		.weights = target->weights,
		.current = target->current ? target->current + at : NULL,
		.next = target->next + at,
	};

	must(result.current || result.operation == KERNEL_COPY ||
	     result.operation == KERNEL_INIT);
	if (target->sums)
		result.distance = &target->sums[piece_index].distance;
	if (target->accumulator != ACCUMULATOR_FLOAT32 &&
	    (average == DTYPE_F32 || average == DTYPE_C64)) {
		result.accumulator = target->accumulator;
		result.rest = target->rest + rest_at(target, at);
		result.next_rest = target->next_rest + rest_at(target, at);
	}
	return result;
}

/* Whether two targets absorb the same snapshots. */
static bool
has_same_steps(const struct average_target *a, const struct average_target *b)
{
	return a->n_steps == b->n_steps &&
	       memcmp(a->steps, b->steps, a->n_steps * sizeof *a->steps) == 0;
}

/* Whether target @i leaves the piece as it is: then it has no sums. */
static bool
is_kept(const struct average_target *target, const struct plan_piece *piece,
	size_t i)
{
	return choose_operation(target, piece->rules[i], piece->dtype) ==
	       KERNEL_KEEP;
}

/*
 * Run the piece for the targets that absorb the same snapshots as target
 * @first does, and mark them in @done.
 */
static bool
run_group(const struct average_update *update, size_t piece_index, size_t first,
	  bool *done)
{
	const struct plan_piece *piece = &update->plan->pieces[piece_index];
	const struct average_target *leader = &update->targets[first];
	const void *snapshots[KERNEL_SNAPSHOTS_MAX];
	struct kernel_target chosen[PROFILES_MAX];
	double norm;
	struct kernel_tile tile = {
		.dtype = piece->dtype,
		.n_elements = piece->n_elements,
		.n_snapshots = leader->n_steps,
		.snapshots = snapshots,
		.targets = chosen,
		.check = update->check && piece->check,
		.stream = update->stream,
		.norm = &norm,
	};
	bool finite;

	for (size_t i = 0; i < leader->n_steps; i++)
		snapshots[i] = update->snapshots[leader->steps[i]] +
			       piece->snapshot_begin;
	for (size_t i = first; i < update->plan->n_profiles; i++) {
		const struct average_target *target = &update->targets[i];

		if (!target->active || done[i] ||
		    !has_same_steps(leader, target))
			continue;
		chosen[tile.n_targets++] = make_target(update, i, piece_index);
		done[i] = true;
	}
	finite = update->kernel->run(&tile);
	for (size_t i = first; i < update->plan->n_profiles; i++) {
		struct average_target *target = &update->targets[i];

		if (target->active && target->sums &&
		    has_same_steps(leader, target))
			target->sums[piece_index].norm =
				is_kept(target, piece, i) ? 0.0 : norm;
	}
	return finite;
}

bool
average_run_chunk(const struct average_update *update, size_t chunk)
{
	const struct plan *plan = update->plan;
	const struct plan_chunk *part = &plan->chunks[chunk];
	bool finite = true;

	for (size_t k = 0; k < part->n_pieces; k++) {
		bool done[PROFILES_MAX] = { false };

		for (size_t i = 0; i < plan->n_profiles; i++)
			if (update->targets[i].active && !done[i])
				finite &= run_group(
					update, part->first_piece + k, i, done);
	}
	if (update->stream)
		update->kernel->finish();
	return finite;
}

#define SAMPLE 64 /* elements */

/* The first piece of the chunk that can stall and is large enough; or none. */
static bool
find_sample(const struct average_update *update, size_t chunk, size_t target,
	    size_t *ret_piece)
{
	const struct plan_chunk *part = &update->plan->chunks[chunk];

	for (size_t k = 0; k < part->n_pieces; k++) {
		size_t i = part->first_piece + k;
		const struct plan_piece *piece = &update->plan->pieces[i];

		if (piece->n_elements < SAMPLE ||
		    dtype_average(piece->dtype) != DTYPE_F32 ||
		    choose_operation(&update->targets[target],
				     piece->rules[target],
				     piece->dtype) != KERNEL_LERP)
			continue;
		*ret_piece = i;
		return true;
	}
	return false;
}

struct average_watch
average_watch(const struct average_update *update, size_t chunk, size_t target)
{
	const struct average_target *part = &update->targets[target];
	struct average_watch watch = { 0 };
	float parameters[SAMPLE], next[SAMPLE];
	struct kernel_target targets[2];
	const struct plan_piece *piece;
	const void *snapshot;
	const char *current;
	size_t index;

	if (!part->active || part->accumulator != ACCUMULATOR_FLOAT32 ||
	    !find_sample(update, chunk, target, &index))
		return watch;
	piece = &update->plan->pieces[index];
	snapshot = update->snapshots[part->steps[0]] + piece->snapshot_begin;
	targets[0] = (struct kernel_target) {
		.operation = KERNEL_COPY,
		.next = parameters,
	};
	targets[1] = make_target(update, target, index);
	targets[1].next = next;
	targets[1].distance = NULL;
	(void)update->kernel->run(&(struct kernel_tile) {
		.dtype = piece->dtype,
		.n_elements = SAMPLE,
		.n_snapshots = 1,
		.snapshots = &snapshot,
		.n_targets = 2,
		.targets = targets,
	});
	current = part->current + piece->average_begin;
	for (size_t i = 0; i < SAMPLE; i++) {
		float before;

		memcpy(&before, current + i * sizeof before, sizeof before);
		watch.n_stalled += parameters[i] != before && next[i] == before;
	}
	watch.n_sampled = SAMPLE;
	return watch;
}
