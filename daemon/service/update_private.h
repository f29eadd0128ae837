/*
 * An update under way: for update.c, which begins and ends it on the loop, and
 * update_chunk.c, which workers run.
 */
#ifndef DAEMON_SERVICE_UPDATE_PRIVATE_H
#define DAEMON_SERVICE_UPDATE_PRIVATE_H

#include "daemon/service/batch.h"

/* What workers count of one profile. */
struct watch_counters {
	_Atomic uint64_t n_sampled;
	_Atomic uint64_t n_stalled;
};

struct update {
	struct job job;
	uv_work_t work;
	struct model *model;
	struct batch batch; /* the first publishes of the model's queue */
	struct average_update average;
	struct version_supply *supplies; /* one per profile */
	struct watch_counters *watches;  /* one per profile */
	bool is_public;                  /* some average's next version */
	int supply_error;
	_Atomic unsigned int bad_chunk; /* lowest that is not finite */
	_Atomic bool faulted;
};

/* A job's run(), for the job of an update. */
void update_run_chunk(struct job *job, unsigned int chunk);

#endif
