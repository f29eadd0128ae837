/*
 * Schedules: which steps are absorbed, how, and with what decay.
 *
 * Pure functions of the step (the 0-based count of update() calls in the
 * trainer) and of the last step absorbed; the arithmetic is torch's, to the
 * last bit.  Source: ema_pytorch's EMA class, EMA.update() and
 * EMA.get_current_decay(), as published up to 0.6.3 and from 0.7.0.
 */
#ifndef PROTO_SCHEDULE_H
#define PROTO_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/util.h"

/* Steps are exact in a double, so that every JSON reader can hold them. */
#define STEP_MAX  (INT64_C(1) << 53)
#define STEP_NONE INT64_C(-1)

/* Name in messages and files, and what it is. */
#define SCHEDULE_VARIANTS(X)                                                   \
	X(EMA_PYTORCH, "ema_pytorch", "ema_pytorch up to 0.6.3")               \
	X(EMA_PYTORCH_0_7, "ema_pytorch_0.7", "ema_pytorch from 0.7.0")        \
	X(CONSTANT, "constant", "decay is beta from the second update on")

enum schedule_variant {
#define X(name, text, what) SCHEDULE_##name,
	SCHEDULE_VARIANTS(X)
#undef X
		N_SCHEDULE_VARIANTS
};

struct schedule {
	enum schedule_variant variant;
	double beta;
	int64_t update_after_step;
	int64_t update_every;
	double inv_gamma;
	double power;
	double min_value;
};

/* What a snapshot does to an average. */
enum schedule_action {
	SCHEDULE_SKIP,   /* nothing: the trainer need not publish it */
	SCHEDULE_COPY,   /* every tensor takes the newest value */
	SCHEDULE_INIT,   /* every tensor is copied, then averaged by its rule */
	SCHEDULE_LERP,   /* every tensor by its rule, with the decay */
	SCHEDULE_FROZEN, /* nothing changes any more, but the step counts */
};

/* EMA's defaults; for CONSTANT: beta 0.9999, every step, from step 0. */
struct schedule schedule_default(enum schedule_variant variant);

/* False with a sentence: a field is out of its range or not finite. */
bool schedule_check(const struct schedule *schedule, struct why *why);

bool
schedule_variant_parse(enum schedule_variant *ret_variant, const char *text);
const char *schedule_variant_name(enum schedule_variant variant);

/* Whether step @step is to be published: the gate alone, nanoseconds. */
bool schedule_wants(const struct schedule *schedule, int64_t step);

/*
 * What the snapshot at @step does to an average whose last absorbed step is
 * @last_step (STEP_NONE: none yet).  0 <= step <= STEP_MAX, step > last_step.
 */
enum schedule_action schedule_decide(const struct schedule *schedule,
				     int64_t step, int64_t last_step);

/*
 * The decay at @counter, the count after the increment: step + 1.  Float32
 * arithmetic, widened.  The weight of the new snapshot is 1 - decay, in double.
 */
double schedule_decay(const struct schedule *schedule, int64_t counter);

#endif
