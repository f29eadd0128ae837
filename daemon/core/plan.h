/*
 * From tensors to ranges: what an update does to which bytes.
 *
 * A piece is a run of elements of one tensor that are treated alike by every
 * profile: what the kernel is given at once, and what sums are formed of.  A
 * chunk is a run of pieces of about PLAN_CHUNK_SIZE bytes of the average, the
 * unit that a worker takes.  A large tensor has many pieces and chunks, and a
 * chunk many small tensors.
 *
 * Pure: no descriptors, no threads.  A plan does not change once made; its
 * pieces follow from the tensors alone, not from the profiles.
 */
#ifndef DAEMON_CORE_PLAN_H
#define DAEMON_CORE_PLAN_H

#include "proto/profile.h"
#include "proto/safetensors.h"

#define PLAN_CHUNK_SIZE (128 * 1024) /* bytes of the average: fits L2 */
#define PLAN_PIECES_MAX (1 << 24)    /* 2 TiB, lest the table be vast itself */

struct plan_piece {
	enum dtype dtype; /* in the slot */
	bool check;       /* some profile averages it */
	uint32_t n_elements;
	uint32_t tensor;         /* its index in the average's table */
	uint64_t snapshot_begin; /* bytes from the start of the slot's data */
	uint64_t average_begin; /* bytes from the start of the average's data */
	const enum profile_rule *rules; /* one per profile; the plan's */
};

struct plan_chunk {
	uint32_t first_piece;
	uint32_t n_pieces;
};

struct plan {
	size_t n_profiles;
	size_t n_pieces;
	struct plan_piece *pieces; /* in the order of the average */
	size_t n_chunks;
	struct plan_chunk *chunks;
	enum profile_rule *rules; /* that the pieces point to */
	/* Both in order of their data; the plan's own copies. */
	struct safetensors *slot;
	struct safetensors *average;
};

/*
 * Plan updates of averages with @profiles from slots laid out as @slot
 * (version_slot_layout()) into files laid out as @average
 * (version_average_layout()).  TOO_LARGE: more chunks than
 * PLAN_PIECES_MAX.  BAD_SPEC: the two layouts are not of one model.
 * Takes @slot and @average on success.
 */
enum status
plan_new(struct plan **ret_plan, struct safetensors *slot,
	 struct safetensors *average, const struct profile *profiles,
	 size_t n_profiles, struct why *why);
void plan_free(struct plan *plan);

#endif
