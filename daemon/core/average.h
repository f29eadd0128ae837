/*
 * One step of one or more averages: what is to be done, and doing a chunk.
 *
 * Pure: the caller brings the memory and the threads.
 */
#ifndef DAEMON_CORE_AVERAGE_H
#define DAEMON_CORE_AVERAGE_H

#include "daemon/core/kernel.h"
#include "daemon/core/plan.h"
#include "proto/version.h"

/* What a publish does to one average. */
enum average_decision {
	AVERAGE_SKIP,      /* the schedule does not want the step */
	AVERAGE_REPEAT,    /* this very publish is in it already */
	AVERAGE_BACKWARDS, /* the step is not after the last absorbed one */
	AVERAGE_ABSORB,    /* run the chunks; a frozen average keeps its data */
};

struct average_step {
	enum average_decision decision;
	enum schedule_action action;
	double weight;
	struct version_state next; /* what the new version's header says */
};

/*
 * Decide what the publish (@publisher, @sequence, @step) does to an average
 * with @profile that is in @state.
 */
struct average_step
average_decide(const struct profile *profile, const struct version_state *state,
	       uint64_t publisher, uint64_t sequence, int64_t step);

/* One profile's part in an update. */
struct average_target {
	bool active; /* this profile takes part */
	/*
	 * What its first snapshot does; of several, all are SCHEDULE_LERPs
	 * whose weights are below 1.
	 */
	enum schedule_action action;
	enum accumulator accumulator;
	unsigned int n_steps;
	unsigned int steps[KERNEL_SNAPSHOTS_MAX]; /* indices of snapshots */
	double weights[KERNEL_SNAPSHOTS_MAX];     /* one per step */
	const char *current; /* data of the current version; NULL: none yet */
	char *next;          /* data of the next version */
	const char *rest;    /* what is kept beside them */
	char *next_rest;
	/* One per piece, each written by the chunk that holds the piece. */
	struct average_sums *sums;
};

/*
 * Of one piece: squares of the last snapshot, and of it less the average.  Of
 * what is kept, and of types that are not averaged, both are 0.
 */
struct average_sums {
	double distance;
	double norm;
};

struct average_update {
	const struct kernel *kernel;
	const struct plan *plan;
	size_t n_snapshots;
	const char *snapshots[KERNEL_SNAPSHOTS_MAX]; /* slots' data */
	struct average_target *targets; /* one per profile of @plan */
	bool check;
	bool stream;
};

/* False: a snapshot holds a value that is not finite and check was asked. */
bool average_run_chunk(const struct average_update *update, size_t chunk);

/*
 * The rounding watch: of a sample of chunk @chunk's elements, how many were
 * to move (parameter and average differ) and did not, because the update is
 * below half a unit in the last place of a float32.
 */
struct average_watch {
	unsigned int n_sampled;
	unsigned int n_stalled;
};

/*
 * Look at target @target before chunk @chunk is run.  Only float32 averages
 * can stall; of others, and of what is not averaged, nothing is sampled.
 */
struct average_watch
average_watch(const struct average_update *update, size_t chunk, size_t target);

#endif
