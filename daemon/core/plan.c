#include "daemon/core/plan.h"

#include <inttypes.h>
#include <string.h>

#include "daemon/core/plan_rules.h"

/* Chunks of every type begin at a whole byte. */
#define CHUNK_UNIT 64 /* elements */

/* What is needed while a plan is made. */
struct builder {
	struct plan *plan;
	const struct tensor **by_name; /* the slot's */
	struct plan_rules **rules;     /* one per profile */
	enum profile_rule *row;        /* of the tensor at hand */
	size_t n_rows;                 /* in the plan's rules */
};

static int
compare_tensors(const void *a, const void *b)
{
	const struct tensor *const *first = a, *const *second = b;

	return strcmp((*first)->name, (*second)->name);
}

static const struct tensor *
find_in_slot(const struct builder *builder, const struct tensor *tensor)
{
	const struct tensor *const *found = bsearch(
		&tensor, builder->by_name, builder->plan->slot->n_tensors,
		sizeof *builder->by_name, compare_tensors);

	return found ? *found : NULL;
}

static void
builder_init(struct builder *builder, struct plan *plan,
	     const struct profile *profiles)
{
	const struct safetensors *slot = plan->slot;

	*builder = (struct builder) {
		.plan = plan,
		.by_name = xcalloc(slot->n_tensors, sizeof *builder->by_name),
		.rules = xcalloc(plan->n_profiles, sizeof *builder->rules),
		.row = xcalloc(plan->n_profiles, sizeof *builder->row),
	};
	for (size_t i = 0; i < slot->n_tensors; i++)
		builder->by_name[i] = &slot->tensors[i];
	qsort(builder->by_name, slot->n_tensors, sizeof *builder->by_name,
	      compare_tensors);
	for (size_t i = 0; i < plan->n_profiles; i++)
		builder->rules[i] = plan_rules_new(&profiles[i]);
}

static void
builder_deinit(struct builder *builder)
{
	for (size_t i = 0; i < builder->plan->n_profiles; i++)
		plan_rules_free(builder->rules[i]);
	free(builder->rules);
	free(builder->by_name);
	free(builder->row);
}

/* Rules of one tensor, for every profile; whether one of them averages it. */
static bool
find_rules(struct builder *builder, const struct tensor *tensor)
{
	bool averaged = false;

	for (size_t i = 0; i < builder->plan->n_profiles; i++) {
		builder->row[i] =
			plan_rules_find(builder->rules[i], tensor->name);
		averaged |= builder->row[i] == PROFILE_AVERAGE;
	}
	return averaged && dtype_is_averaged(tensor->dtype);
}

static size_t
row_size(const struct plan *plan)
{
	return plan->n_profiles * sizeof *plan->rules;
}

/* Whether @tensor goes on where @span ends, in both files, treated alike. */
static bool
span_continues(const struct plan *plan, const struct plan_span *span,
	       const struct tensor *in_slot, const struct tensor *in_average,
	       const enum profile_rule *row)
{
	uint64_t slot_bits = span->n_elements * dtype_bits(span->dtype);
	uint64_t average_bits =
		span->n_elements * dtype_bits(dtype_average(span->dtype));

	return span->dtype == in_slot->dtype &&
	       span->snapshot_begin + slot_bits / 8 == in_slot->begin &&
	       span->average_begin + average_bits / 8 == in_average->begin &&
	       memcmp(span->rules, row, row_size(plan)) == 0;
}

/* The plan's copy of the row at hand: the last one, if that is the same. */
static const enum profile_rule *
keep_row(struct builder *builder)
{
	struct plan *plan = builder->plan;
	enum profile_rule *end =
		plan->rules + builder->n_rows * plan->n_profiles;

	if (builder->n_rows > 0 &&
	    memcmp(end - plan->n_profiles, builder->row, row_size(plan)) == 0)
		return end - plan->n_profiles;
	memcpy(end, builder->row, row_size(plan));
	builder->n_rows++;
	return end;
}

static void
add_tensor(struct builder *builder, const struct tensor *in_slot,
	   const struct tensor *in_average)
{
	bool check = find_rules(builder, in_slot);
	struct plan *plan = builder->plan;
	struct plan_span *last =
		plan->n_spans > 0 ? &plan->spans[plan->n_spans - 1] : NULL;

	if (last &&
	    span_continues(plan, last, in_slot, in_average, builder->row)) {
		last->n_elements += in_slot->n_elements;
		return;
	}
	plan->spans[plan->n_spans++] = (struct plan_span) {
		.dtype = in_slot->dtype,
		.snapshot_begin = in_slot->begin,
		.average_begin = in_average->begin,
		.n_elements = in_slot->n_elements,
		.check = check,
		.rules = keep_row(builder),
	};
}

static enum status
add_tensors(struct builder *builder, struct why *why)
{
	const struct safetensors *average = builder->plan->average;

	for (size_t i = 0; i < average->n_tensors; i++) {
		const struct tensor *in_average = &average->tensors[i];
		const struct tensor *in_slot =
			find_in_slot(builder, in_average);

		if (!in_slot || in_slot->n_elements != in_average->n_elements ||
		    dtype_average(in_slot->dtype) != in_average->dtype) {
			why_set(why,
				"tensor \"%.200s\" of the average is not the "
				"one of the slot",
				in_average->name);
			return STATUS_BAD_SPEC;
		}
		if (in_slot->n_elements > 0)
			add_tensor(builder, in_slot, in_average);
	}
	return STATUS_OK;
}

static uint64_t
chunk_elements(const struct plan_span *span)
{
	uint64_t bits = dtype_bits(dtype_average(span->dtype));
	uint64_t n = UINT64_C(8) * PLAN_CHUNK_SIZE / bits;

	return n - n % CHUNK_UNIT;
}

static enum status
count_chunks(struct plan *plan, struct why *why)
{
	uint64_t n = 0;

	/* A span has fewer than 2^64 / 2^15 chunks: the sum cannot overflow. */
	for (size_t i = 0; i < plan->n_spans && n <= PLAN_CHUNKS_MAX; i++) {
		const struct plan_span *span = &plan->spans[i];

		n += 1 + (span->n_elements - 1) / chunk_elements(span);
	}
	if (n > PLAN_CHUNKS_MAX) {
		why_set(why,
			"the model is too large: its average would have more "
			"than %d chunks of %d bytes",
			PLAN_CHUNKS_MAX, PLAN_CHUNK_SIZE);
		return STATUS_TOO_LARGE;
	}
	plan->n_chunks = n;
	return STATUS_OK;
}

static void
cut_chunks(struct plan *plan)
{
	struct plan_chunk *chunk = xcalloc(plan->n_chunks, sizeof *chunk);

	plan->chunks = chunk;
	for (size_t i = 0; i < plan->n_spans; i++) {
		const struct plan_span *span = &plan->spans[i];
		uint64_t most = chunk_elements(span);

		for (uint64_t at = 0; at < span->n_elements; at += most) {
			uint64_t left = span->n_elements - at;

			*chunk++ = (struct plan_chunk) {
				.span = (uint32_t)i,
				.n_elements =
					(uint32_t)(left < most ? left : most),
				.first_element = at,
			};
		}
	}
}

static enum status
plan_build(struct plan *plan, const struct profile *profiles, struct why *why)
{
	struct builder builder;
	enum status status;

	builder_init(&builder, plan, profiles);
	status = add_tensors(&builder, why);
	builder_deinit(&builder);
	if (status == STATUS_OK)
		status = count_chunks(plan, why);
	if (status == STATUS_OK)
		cut_chunks(plan);
	return status;
}

enum status
plan_new(struct plan **ret_plan, struct safetensors *slot,
	 struct safetensors *average, const struct profile *profiles,
	 size_t n_profiles, struct why *why)
{
	struct plan *plan = xcalloc(1, sizeof *plan);
	size_t n = average->n_tensors;
	enum status status;

	must(n_profiles <= PROFILES_MAX);
	plan->n_profiles = n_profiles;
	plan->slot = slot;
	plan->average = average;
	plan->spans = xcalloc(n, sizeof *plan->spans);
	plan->rules = xcalloc(n, row_size(plan));
	status = plan_build(plan, profiles, why);
	if (status == STATUS_OK) {
		*ret_plan = plan;
		return STATUS_OK;
	}
	plan->slot = NULL;
	plan->average = NULL;
	plan_free(plan);
	return status;
}

void
plan_free(struct plan *plan)
{
	if (!plan)
		return;
	safetensors_free(plan->slot);
	safetensors_free(plan->average);
	free(plan->spans);
	free(plan->rules);
	free(plan->chunks);
	free(plan);
}

const struct tensor *
plan_tensor_at(const struct plan *plan, uint64_t offset)
{
	const struct safetensors *slot = plan->slot;
	size_t low = 0, high = slot->n_tensors;
	const struct tensor *tensor;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (slot->tensors[middle].begin <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	tensor = &slot->tensors[low - 1];
	return offset - tensor->begin < tensor->size ? tensor : NULL;
}
