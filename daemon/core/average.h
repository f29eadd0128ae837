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

/* One profile's part in an update; @current may be NULL: no version yet. */
struct average_target {
	bool active; /* this profile takes part */
	enum schedule_action action;
	double weight;
	const char *current; /* data of the current version, not its header */
	char *next;          /* data of the next version */
};

/*
 * Run chunk @chunk: @targets has one entry per profile of @plan.  False: the
 * chunk holds a value that is not finite and @check was asked.
 */
bool average_run_chunk(const struct kernel *kernel, const struct plan *plan,
		       size_t chunk, const char *snapshot,
		       const struct average_target *targets, bool check,
		       bool stream);

#endif
