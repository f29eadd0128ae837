#include "daemon/service/not_finite.h"

#include <inttypes.h>

#include "daemon/core/kernel.h"
#include "daemon/io/guard.h"

struct search {
	const struct plan *plan;
	const struct plan_chunk *chunk;
	const char *snapshot;
	const struct plan_piece *piece; /* NULL: not found */
	size_t element;                 /* of the piece */
};

static void
touch_search(void *arg)
{
	struct search *search = arg;
	size_t first = search->chunk->first_piece;

	for (size_t i = 0; i < search->chunk->n_pieces && !search->piece; i++) {
		const struct plan_piece *piece =
			&search->plan->pieces[first + i];
		size_t found = piece->n_elements;

		if (piece->check)
			found = kernel_find_not_finite(
				piece->dtype,
				search->snapshot + piece->snapshot_begin,
				piece->n_elements);
		if (found == piece->n_elements)
			continue;
		search->piece = piece;
		search->element = found;
	}
}

const struct tensor *
not_finite_explain(struct why *why, const struct plan *plan, size_t chunk,
		   const char *snapshot, int64_t step)
{
	struct search search = {
		.plan = plan,
		.chunk = &plan->chunks[chunk],
		.snapshot = snapshot,
	};
	const struct plan_piece *piece;
	const struct tensor *tensor;
	uint64_t first;

	if (guard_run(touch_search, &search) < 0)
		search.piece = NULL;
	piece = search.piece ? search.piece
			     : &plan->pieces[search.chunk->first_piece];
	tensor = &plan->average->tensors[piece->tensor];
	first = (piece->average_begin - tensor->begin) * 8 /
		dtype_bits(tensor->dtype);
	why_set(why,
		"step %" PRId64 ": tensor \"%.200s\" holds a NaN or an "
		"infinity (element %" PRIu64 "); the average is unchanged",
		step, tensor->name, first + search.element);
	return tensor;
}
