#include "daemon/service/not_finite.h"

#include <inttypes.h>

#include "daemon/core/kernel.h"
#include "daemon/io/guard.h"

struct search {
	const struct plan_span *span;
	const struct plan_chunk *chunk;
	const char *snapshot;
	size_t found; /* element of the chunk */
};

/* Bytes from the start of the data to element @element of the chunk. */
static uint64_t
offset_of(const struct search *search, size_t element)
{
	uint64_t first = search->chunk->first_element + element;

	return search->span->snapshot_begin +
	       first * dtype_bits(search->span->dtype) / 8;
}

static void
touch_search(void *arg)
{
	struct search *search = arg;

	search->found = kernel_find_not_finite(
		search->span->dtype, search->snapshot + offset_of(search, 0),
		search->chunk->n_elements);
}

const struct tensor *
not_finite_explain(struct why *why, const struct plan *plan, size_t chunk,
		   const char *snapshot, int64_t step)
{
	struct search search = {
		.chunk = &plan->chunks[chunk],
		.span = &plan->spans[plan->chunks[chunk].span],
		.snapshot = snapshot,
	};
	const struct tensor *tensor;
	uint64_t offset;

	if (guard_run(touch_search, &search) < 0 ||
	    search.found >= search.chunk->n_elements)
		search.found = 0;
	offset = offset_of(&search, search.found);
	tensor = plan_tensor_at(plan, offset);
	must(tensor != NULL);
	why_set(why,
		"step %" PRId64 ": tensor \"%.200s\" holds a NaN or an "
		"infinity (element %" PRIu64 "); the average is unchanged",
		step, tensor->name,
		(offset - tensor->begin) * 8 / dtype_bits(tensor->dtype));
	return tensor;
}
