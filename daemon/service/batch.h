/*
 * Which publishes of a model's queue one update absorbs: the first, and those
 * behind it that can be absorbed in the same pass, with the bits that one
 * after another would give.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_BATCH_H
#define DAEMON_SERVICE_BATCH_H

#include "daemon/core/average.h"
#include "daemon/service/session.h"

struct batch {
	size_t n_publishes;
	struct publish *publishes[KERNEL_SNAPSHOTS_MAX];
	/* One per profile: the last step that it absorbs, if any; and the
	 * state behind it in any case. */
	struct average_step *steps;
	/* One per profile: what it absorbs of them; no memory yet. */
	struct average_target *targets;
};

/*
 * Fill @ret_batch from @model's queue, which is not empty, and mark its
 * publishes as begun.  False: the first is to be answered with @ret_result,
 * nothing is to be computed.
 */
bool batch_make(struct batch *ret_batch, struct model *model,
		struct result *ret_result);

/* Its publishes are the queue's again, or answered. */
void batch_deinit(struct batch *batch);

/* Whether profile @profile absorbs any of it. */
bool batch_is_active(const struct batch *batch, size_t profile);

/* The slot that publish @i lies in. */
struct shm *batch_slot(const struct batch *batch, size_t i);

#endif
