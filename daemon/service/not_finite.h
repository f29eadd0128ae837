/*
 * Which tensor of a refused snapshot is to blame.
 */
#ifndef DAEMON_SERVICE_NOT_FINITE_H
#define DAEMON_SERVICE_NOT_FINITE_H

#include "daemon/core/plan.h"

/*
 * Find the first value in chunk @chunk of @plan that is not finite, and say in
 * @why which tensor of step @step holds it.  @snapshot is the slot's data,
 * which may be truncated or changed meanwhile: then the tensor at the chunk's
 * start is named.  Loop thread.
 */
const struct tensor *
not_finite_explain(struct why *why, const struct plan *plan, size_t chunk,
		   const char *snapshot, int64_t step);

#endif
