/*
 * What a publish does to each average of its model.
 */
#ifndef DAEMON_SERVICE_DECISION_H
#define DAEMON_SERVICE_DECISION_H

#include "daemon/core/average.h"
#include "daemon/service/session.h"

/*
 * Fill @ret_steps, one per profile.  @before: what publishes before this one
 * do, which is not public yet; NULL: nothing is before it.  False: nothing is
 * to be computed, and @ret_result is the answer.  Loop thread.
 */
bool decision_make(const struct model *model, const struct publish *publish,
		   const struct average_step *before,
		   struct average_step *ret_steps, struct result *ret_result);

#endif
