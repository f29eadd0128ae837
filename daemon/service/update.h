/*
 * Updates: the first publish of a model's queue becomes new versions.
 *
 * One update per model at a time; different models' run side by side.  Loop
 * thread only.
 */
#ifndef DAEMON_SERVICE_UPDATE_H
#define DAEMON_SERVICE_UPDATE_H

#include "daemon/service/model.h"

/* Work off the queue of @model, unless that is under way already. */
void update_start(struct model *model);

#endif
