/*
 * From tensors to ranges: what an update does to which bytes.
 *
 * A span is a run of elements that lie together in the slot and in the average
 * and are treated alike by every profile; spans are cut into chunks of about
 * PLAN_CHUNK_SIZE bytes, the unit that a worker takes.  A model of one dtype
 * without rules is one span, however many tensors it has.
 *
 * Pure: no descriptors, no threads.  A plan does not change once made.
 */
#ifndef DAEMON_CORE_PLAN_H
#define DAEMON_CORE_PLAN_H

#include "proto/profile.h"
#include "proto/safetensors.h"

#define PLAN_CHUNK_SIZE (128 * 1024) /* bytes of the average: fits L2 */
#define PLAN_CHUNKS_MAX (1 << 24)    /* 2 TiB, lest the table be vast itself */

struct plan_span {
	enum dtype dtype;        /* in the slot */
	uint64_t snapshot_begin; /* bytes from the start of the slot's data */
	uint64_t average_begin; /* bytes from the start of the average's data */
	uint64_t n_elements;
	bool check;                     /* some profile averages it */
	const enum profile_rule *rules; /* one per profile; the plan's */
};

struct plan_chunk {
	uint32_t span;
	uint32_t n_elements;
	uint64_t first_element; /* in its span */
};

struct plan {
	size_t n_profiles;
	size_t n_spans;
	struct plan_span *spans;
	size_t n_chunks;
	struct plan_chunk *chunks;
	enum profile_rule *rules; /* that the spans point to */
	/* Both in order of their data; the plan's own copies. */
	struct safetensors *slot;
	struct safetensors *average;
};

/*
 * Plan updates of averages with @profiles from slots laid out as @slot
 * (version_slot_layout()) into files laid out as @average
 * (version_average_layout()).  TOO_LARGE: more chunks than
 * PLAN_CHUNKS_MAX.  BAD_SPEC: the two layouts are not of one model.
 * Takes @slot and @average on success.
 */
enum status
plan_new(struct plan **ret_plan, struct safetensors *slot,
	 struct safetensors *average, const struct profile *profiles,
	 size_t n_profiles, struct why *why);
void plan_free(struct plan *plan);

/* The tensor that holds byte @offset of a slot's data; NULL: none does. */
const struct tensor *plan_tensor_at(const struct plan *plan, uint64_t offset);

#endif
