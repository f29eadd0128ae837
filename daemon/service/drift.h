/*
 * Drift: how far an average is from the parameters it was last updated with.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_DRIFT_H
#define DAEMON_SERVICE_DRIFT_H

#include "daemon/service/model.h"
#include "proto/wire.h"

/*
 * ||average - parameters|| / ||parameters|| over all tensors that are averaged.
 * False: nothing has been averaged yet, or a value is not finite.
 */
bool drift_relative(const struct average_sums *sums, double *ret_drift);

/*
 * Of each profile the @n tensors that are relatively farthest, farthest first,
 * into @describe; drift_free() frees them.
 */
void
drift_list(Emad__DescribeReply *describe, const struct model *model, size_t n);
void drift_free(Emad__DescribeReply *describe);

#endif
