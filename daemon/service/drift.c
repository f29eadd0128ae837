#include "daemon/service/drift.h"

#include <math.h>

struct ranked {
	const char *tensor;
	struct average_sums sums;
	double drift;
};

bool
drift_relative(const struct average_sums *sums, double *ret_drift)
{
	double drift = sqrt(sums->distance / sums->norm);

	if (!isfinite(drift))
		return false;
	*ret_drift = drift;
	return true;
}

static int
compare_farthest_first(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	return (x->drift < y->drift) - (x->drift > y->drift);
}

/* All tensors of a profile that have a drift, ranked; how many. */
static size_t
rank(struct ranked *ranked, const struct model *model,
     const struct versions *versions)
{
	const struct safetensors *average = model->plan->average;
	size_t n = 0;

	for (size_t i = 0; i < average->n_tensors && versions->drift; i++) {
		struct ranked *next = &ranked[n];

		next->tensor = average->tensors[i].name;
		next->sums = versions->drift[i];
		n += drift_relative(&next->sums, &next->drift);
	}
	qsort(ranked, n, sizeof *ranked, compare_farthest_first);
	return n;
}

static Emad__TensorDrift *
new_message(const struct versions *versions, const struct ranked *ranked)
{
	Emad__TensorDrift *message = xmalloc(sizeof *message);

	emad__tensor_drift__init(message);
	/* The model's own, which are there until the reply is packed. */
	message->profile = versions->profile.name;
	message->tensor = (char *)(uintptr_t)ranked->tensor;
	message->distance = sqrt(ranked->sums.distance);
	message->norm = sqrt(ranked->sums.norm);
	message->drift = ranked->drift;
	return message;
}

void
drift_list(Emad__DescribeReply *describe, const struct model *model, size_t n)
{
	size_t n_tensors = model->plan->average->n_tensors;
	owned_memory struct ranked *ranked = xcalloc(n_tensors, sizeof *ranked);

	n = n < n_tensors ? n : n_tensors;
	n = n < WIRE_DRIFTS_MAX ? n : WIRE_DRIFTS_MAX;
	describe->drifts =
		xcalloc(n * model->n_profiles, sizeof *describe->drifts);
	for (size_t i = 0; i < model->n_profiles; i++) {
		const struct versions *versions = &model->profiles[i];
		size_t n_ranked = rank(ranked, model, versions);

		for (size_t k = 0; k < n && k < n_ranked; k++)
			describe->drifts[describe->n_drifts++] =
				new_message(versions, &ranked[k]);
	}
}

void
drift_free(Emad__DescribeReply *describe)
{
	for (size_t i = 0; i < describe->n_drifts; i++)
		free(describe->drifts[i]);
	free(describe->drifts);
	describe->drifts = NULL;
	describe->n_drifts = 0;
}
