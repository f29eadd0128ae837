#include "proto/schedule.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *const variant_names[] = {
#define X(name, text, what) [SCHEDULE_##name] = text,
	SCHEDULE_VARIANTS(X)
#undef X
};

struct schedule
schedule_default(enum schedule_variant variant)
{
	bool constant = variant == SCHEDULE_CONSTANT;

	return (struct schedule) {
		.variant = variant,
		.beta = 0.9999,
		.update_after_step = constant ? 0 : 100,
		.update_every = constant ? 1 : 10,
		.inv_gamma = 1.0,
		.power = 2.0 / 3.0,
		.min_value = 0.0,
	};
}

static bool
check_fraction(const char *name, double value, struct why *why)
{
	/* Written so that NaN fails. */
	if (value >= 0.0 && value <= 1.0)
		return true;
	why_set(why, "%s is %.17g; it must be from 0 to 1", name, value);
	return false;
}

static bool
check_integer(const char *name, int64_t value, int64_t min, struct why *why)
{
	if (value >= min && value <= STEP_MAX)
		return true;
	why_set(why,
		"%s is %" PRId64 "; it must be from %" PRId64 " to %" PRId64,
		name, value, min, STEP_MAX);
	return false;
}

bool
schedule_check(const struct schedule *schedule, struct why *why)
{
	if ((unsigned int)schedule->variant >= N_SCHEDULE_VARIANTS) {
		why_set(why, "there is no schedule variant %d",
			(int)schedule->variant);
		return false;
	}
	if (!isfinite(schedule->inv_gamma) || schedule->inv_gamma <= 0.0) {
		why_set(why, "inv_gamma is %.17g; it must be above 0",
			schedule->inv_gamma);
		return false;
	}
	if (!isfinite(schedule->power)) {
		why_set(why, "power is %.17g; it must be finite",
			schedule->power);
		return false;
	}
	return check_fraction("beta", schedule->beta, why) &&
	       check_fraction("min_value", schedule->min_value, why) &&
	       check_integer("update_after_step", schedule->update_after_step,
			     -STEP_MAX, why) &&
	       check_integer("update_every", schedule->update_every, 1, why);
}

bool
schedule_variant_parse(enum schedule_variant *ret_variant, const char *text)
{
	for (size_t i = 0; i < N_SCHEDULE_VARIANTS; i++) {
		if (strcmp(variant_names[i], text) == 0) {
			*ret_variant = (enum schedule_variant)i;
			return true;
		}
	}
	return false;
}

const char *
schedule_variant_name(enum schedule_variant variant)
{
	must((unsigned int)variant < N_SCHEDULE_VARIANTS);
	return variant_names[variant];
}

bool
schedule_wants(const struct schedule *schedule, int64_t step)
{
	return step % schedule->update_every == 0;
}

/* Up to 0.6.3: the gate comes first, and one update copies and averages. */
static enum schedule_action
decide_ema_pytorch(const struct schedule *schedule, int64_t step,
		   int64_t last_step)
{
	bool first = last_step == STEP_NONE ||
		     last_step <= schedule->update_after_step;

	if (!schedule_wants(schedule, step))
		return SCHEDULE_SKIP;
	if (step <= schedule->update_after_step)
		return SCHEDULE_COPY;
	if (schedule->beta == 1.0)
		return first ? SCHEDULE_COPY : SCHEDULE_FROZEN;
	return first ? SCHEDULE_INIT : SCHEDULE_LERP;
}

/* From 0.7.0, and for a constant decay: the very first update copies. */
static enum schedule_action
decide_after_first(const struct schedule *schedule, int64_t step,
		   int64_t last_step)
{
	if (last_step == STEP_NONE)
		return SCHEDULE_COPY;
	if (!schedule_wants(schedule, step))
		return SCHEDULE_SKIP;
	if (step <= schedule->update_after_step)
		return SCHEDULE_COPY;
	return schedule->beta == 1.0 ? SCHEDULE_FROZEN : SCHEDULE_LERP;
}

enum schedule_action
schedule_decide(const struct schedule *schedule, int64_t step,
		int64_t last_step)
{
	if (schedule->variant == SCHEDULE_EMA_PYTORCH)
		return decide_ema_pytorch(schedule, step, last_step);
	return decide_after_first(schedule, step, last_step);
}

/* x ** -power as torch computes it for a float32 tensor: with shortcuts. */
static float
raise_to_minus(float x, double power)
{
	if (power == 0.5)
		return 1.0F / sqrtf(x);
	if (power == 1.0)
		return 1.0F / x;
	if (power == 2.0)
		return 1.0F / (x * x);
	return (float)pow((double)x, -power);
}

double
schedule_decay(const struct schedule *schedule, int64_t counter)
{
	int64_t epoch = counter - schedule->update_after_step - 1;
	float x, value;

	if (schedule->variant == SCHEDULE_CONSTANT)
		return schedule->beta;
	if (epoch <= 0)
		return 0.0;
	x = 1.0F + (float)epoch / (float)schedule->inv_gamma;
	value = 1.0F - raise_to_minus(x, schedule->power);
	/* In this order, so that beta wins over a larger min_value. */
	value = fmaxf(value, (float)schedule->min_value);
	return (double)fminf(value, (float)schedule->beta);
}
