/*
 * What a publish does to each average of its model.
 */
#ifndef DAEMON_SERVICE_DECISION_H
#define DAEMON_SERVICE_DECISION_H

#include "daemon/core/average.h"
#include "daemon/service/session.h"

/*
 * Fill @ret_steps, one per profile.  False: nothing is to be computed, and
 * @ret_result is the answer.  Loop thread.
 */
bool decision_make(const struct model *model, const struct publish *publish,
		   struct average_step *ret_steps, struct result *ret_result);

#endif
