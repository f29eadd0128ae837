#include "daemon/core/plan.h"

#include <string.h>

#include "daemon/core/plan_rules.h"

/* Pieces of every type begin at a whole byte. */
#define PIECE_UNIT 64 /* elements */
/* Of one chunk, lest a worker be busy with it for long. */
#define CHUNK_PIECES_MAX 4096

/* What is needed while a plan is made. */
struct builder {
	struct plan *plan;
	const struct tensor **by_name; /* the slot's */
	struct plan_rules **rules;     /* one per profile */
	enum profile_rule *row;        /* of the tensor at hand */
	size_t n_rows;                 /* in the plan's rules */
	size_t n_room;                 /* for pieces */
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

static uint64_t
bytes_of(enum dtype dtype, uint64_t n_elements)
{
	/* In two parts, lest the number of bits overflow. */
	return n_elements / 8 * dtype_bits(dtype) +
	       n_elements % 8 * dtype_bits(dtype) / 8;
}

/*
 * Elements from byte @begin of the average up to the next multiple of a
 * chunk's size: so pieces of large tensors are whole chunks, whose lines and
 * pages are not shared with others.
 */
static uint64_t
elements_to_boundary(enum dtype dtype, uint64_t begin)
{
	uint64_t bits = dtype_bits(dtype_average(dtype));
	uint64_t bytes = PLAN_CHUNK_SIZE - begin % PLAN_CHUNK_SIZE;
	uint64_t n = 8 * bytes / bits;

	/* Packed elements end with whole bytes. */
	if (bits % 8 != 0)
		n -= n % PIECE_UNIT;
	return n > 0 ? n : PIECE_UNIT;
}

static struct plan_piece *
new_piece(struct builder *builder)
{
	struct plan *plan = builder->plan;

	if (plan->n_pieces == builder->n_room) {
		builder->n_room += builder->n_room / 2 + 64;
		plan->pieces = xrealloc(plan->pieces,
					builder->n_room * sizeof *plan->pieces);
	}
	return &plan->pieces[plan->n_pieces++];
}

static void
add_tensor(struct builder *builder, const struct tensor *in_slot, size_t index)
{
	const struct tensor *in_average =
		&builder->plan->average->tensors[index];
	enum dtype dtype = in_slot->dtype;
	bool check = find_rules(builder, in_slot);
	const enum profile_rule *rules = keep_row(builder);
	uint64_t at = 0;

	while (at < in_slot->n_elements) {
		uint64_t begin =
			in_average->begin + bytes_of(in_average->dtype, at);
		uint64_t most = elements_to_boundary(dtype, begin);
		uint64_t left = in_slot->n_elements - at;

		*new_piece(builder) = (struct plan_piece) {
			.dtype = dtype,
			.check = check,
			.n_elements = (uint32_t)(left < most ? left : most),
			.tensor = (uint32_t)index,
			.snapshot_begin = in_slot->begin + bytes_of(dtype, at),
			.average_begin = begin,
			.rules = rules,
		};
		at += most;
	}
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
		add_tensor(builder, in_slot, i);
	}
	return STATUS_OK;
}

/* Bytes of the average, from the start of @first to the end of @last. */
static uint64_t
extent(const struct plan_piece *first, const struct plan_piece *last)
{
	return last->average_begin - first->average_begin +
	       bytes_of(dtype_average(last->dtype), last->n_elements);
}

static void
cut_chunks(struct plan *plan)
{
	struct plan_chunk *chunk = NULL;

	plan->chunks = xcalloc(plan->n_pieces, sizeof *plan->chunks);
	for (size_t i = 0; i < plan->n_pieces; i++) {
		const struct plan_piece *piece = &plan->pieces[i];

		if (!chunk || chunk->n_pieces == CHUNK_PIECES_MAX ||
		    extent(&plan->pieces[chunk->first_piece], piece) >
			    PLAN_CHUNK_SIZE) {
			chunk = &plan->chunks[plan->n_chunks++];
			chunk->first_piece = (uint32_t)i;
		}
		chunk->n_pieces++;
	}
}

/* Before anything is made of it. */
static enum status
check_size(const struct safetensors *average, struct why *why)
{
	if (average->data_size / PLAN_CHUNK_SIZE + average->n_tensors <=
	    PLAN_PIECES_MAX)
		return STATUS_OK;
	why_set(why,
		"the model is too large: its average would have more than %d "
		"pieces of %d bytes",
		PLAN_PIECES_MAX, PLAN_CHUNK_SIZE);
	return STATUS_TOO_LARGE;
}

static enum status
plan_build(struct plan *plan, const struct profile *profiles, struct why *why)
{
	struct builder builder;
	enum status status;

	status = check_size(plan->average, why);
	if (status != STATUS_OK)
		return status;
	builder_init(&builder, plan, profiles);
	status = add_tensors(&builder, why);
	builder_deinit(&builder);
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
	free(plan->pieces);
	free(plan->rules);
	free(plan->chunks);
	free(plan);
}
