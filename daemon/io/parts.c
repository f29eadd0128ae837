#include "daemon/io/parts.h"

struct part *
parts_new(unsigned int n_parts, unsigned int n_chunks)
{
	struct part *parts = xcalloc(n_parts, sizeof *parts);
	uint64_t first = 0;

	for (unsigned int i = 0; i < n_parts; i++) {
		uint64_t after = (uint64_t)n_chunks * (i + 1) / n_parts;

		atomic_init(&parts[i].left, after << 32 | first);
		first = after;
	}
	return parts;
}

static unsigned int
first_of(uint64_t left)
{
	return (unsigned int)left;
}

static unsigned int
after_of(uint64_t left)
{
	return (unsigned int)(left >> 32);
}

/* Exchange @left, which is what was last seen, or say what it is now. */
static bool
replace(struct part *part, uint64_t *left, uint64_t rest)
{
	return atomic_compare_exchange_weak_explicit(&part->left, left, rest,
						     memory_order_relaxed,
						     memory_order_relaxed);
}

bool
part_take_first(struct part *part, unsigned int *ret_chunk)
{
	uint64_t left = atomic_load_explicit(&part->left, memory_order_relaxed);

	do {
		if (first_of(left) == after_of(left))
			return false;
	} while (!replace(part, &left, left + 1));
	*ret_chunk = first_of(left);
	return true;
}

bool
part_take_last(struct part *part, unsigned int *ret_chunk)
{
	uint64_t left = atomic_load_explicit(&part->left, memory_order_relaxed);

	do {
		if (first_of(left) == after_of(left))
			return false;
	} while (!replace(part, &left, left - (UINT64_C(1) << 32)));
	*ret_chunk = after_of(left) - 1;
	return true;
}
