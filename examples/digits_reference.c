#include "examples/digits_reference.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/schedule.h"

struct reference {
	struct schedule schedule;
	int64_t last_step;
	float *average[MLP_N_TENSORS];
};

struct reference *
reference_new(const struct emad_profile *profile)
{
	struct reference *reference = calloc(1, sizeof *reference);
	enum schedule_variant variant;
	const char *name = profile->variant;

	if (reference == NULL ||
	    !schedule_variant_parse(&variant, name ? name : "ema_pytorch")) {
		free(reference);
		return NULL;
	}
	reference->last_step = STEP_NONE;
	reference->schedule = (struct schedule) {
		.variant = variant,
		.beta = profile->beta,
		.update_after_step = profile->update_after_step,
		.update_every = profile->update_every,
		.inv_gamma = profile->inv_gamma,
		.power = profile->power,
		.min_value = profile->min_value,
	};
	for (size_t t = 0; t < MLP_N_TENSORS; t++) {
		reference->average[t] =
			calloc(mlp_tensors[t].n_elements, sizeof(float));
		if (reference->average[t] == NULL) {
			reference_free(reference);
			return NULL;
		}
	}
	return reference;
}

void
reference_free(struct reference *reference)
{
	if (reference == NULL)
		return;
	for (size_t t = 0; t < MLP_N_TENSORS; t++)
		free(reference->average[t]);
	free(reference);
}

static void
copy(float *average, const float *parameter, size_t n)
{
	memcpy(average, parameter, n * sizeof *average);
}

/* torch's lerp, one fused multiply-add. */
static void
lerp(float *average, const float *parameter, size_t n, float weight)
{
	for (size_t i = 0; i < n; i++) {
		float distance = parameter[i] - average[i];

		average[i] = weight < 0.5f ? fmaf(weight, distance, average[i])
					   : fmaf(-distance, 1.0f - weight,
						  parameter[i]);
	}
}

void
reference_absorb(struct reference *reference, int64_t step,
		 const float *const parameters[MLP_N_TENSORS])
{
	enum schedule_action action = schedule_decide(
		&reference->schedule, step, reference->last_step);
	double decay = schedule_decay(&reference->schedule, step + 1);
	float weight = (float)(1.0 - decay);

	if (action == SCHEDULE_SKIP)
		return;
	for (size_t t = 0; t < MLP_N_TENSORS; t++) {
		float *average = reference->average[t];
		size_t n = mlp_tensors[t].n_elements;

		if (action == SCHEDULE_COPY || action == SCHEDULE_INIT)
			copy(average, parameters[t], n);
		if (action == SCHEDULE_INIT || action == SCHEDULE_LERP)
			lerp(average, parameters[t], n, weight);
	}
	reference->last_step = step;
}

/* How many values of the daemon's average differ from @expected; -1: none. */
static int64_t
count_different(struct emad *emad, const char *profile, int64_t step,
		const float *const expected[MLP_N_TENSORS])
{
	const float *found[MLP_N_TENSORS];
	struct emad_view *view = NULL;
	int64_t n_different = 0;

	if (emad_pull(&view, emad, DIGITS_MODEL, profile, step, 60000) !=
	    EMAD_OK) {
		(void)digits_failed("pull");
		return -1;
	}
	if (!digits_find_parameters(view, found)) {
		emad_view_close(view);
		return -1;
	}
	for (size_t t = 0; t < MLP_N_TENSORS; t++)
		for (size_t i = 0; i < mlp_tensors[t].n_elements; i++)
			n_different += memcmp(&found[t][i], &expected[t][i],
					      sizeof(float)) != 0;
	printf("%s after %" PRIu64 " updates: %" PRId64
	       " values differ from the trainer's own\n",
	       emad_view_path(view), emad_view_updates(view), n_different);
	emad_view_close(view);
	return n_different;
}

int
reference_check(const struct reference *reference, struct emad *emad,
		const float *const parameters[MLP_N_TENSORS])
{
	int64_t step = reference->last_step;
	int64_t ema = count_different(emad, "ema", step,
				      (const float *const *)reference->average);
	int64_t raw = count_different(emad, "raw", step, parameters);

	return ema == 0 && raw == 0 ? 0 : 1;
}
