/*
 * A bar on standard error for what takes longer than a second: share, rate
 * and time to go.  Only where a terminal shows it, and gone at the end.
 */
#ifndef CLIENT_EMACTL_PROGRESS_H
#define CLIENT_EMACTL_PROGRESS_H

#include <stdint.h>

#include "client/emactl.h"

struct progress {
	const char *label;
	uint64_t total; /* bytes */
	int64_t start_ns;
	int64_t drawn_ns; /* 0: nothing is on the screen */
	bool is_shown;
};

void progress_start(struct progress *ret_progress, const struct emactl *ctl,
		    const char *label, uint64_t total);
void progress_update(struct progress *progress, uint64_t done);

/* Takes the bar off the screen. */
void progress_end(struct progress *progress);

double progress_seconds(const struct progress *progress);

#endif
