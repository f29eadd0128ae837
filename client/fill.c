/*
 * Copying a snapshot into a slot, on one thread or several.
 */
#include <string.h>

#include "client/internal.h"

struct filling {
	const struct emad_publisher *publisher;
	const struct slot *slot;
	const struct source *source;
};

/* The first place that ends beyond @offset, or the number of them. */
static size_t
find_place(const struct emad_publisher *publisher, uint64_t offset)
{
	size_t low = 0;
	size_t high = publisher->n_tensors;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct place *place = &publisher->places[middle];

		if (place->offset + place->size > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

/* Copy the parts of tensors that lie in [@from, @to) of the slot. */
static void
fill_range(const void *arg, uint64_t from, uint64_t to)
{
	const struct filling *filling = arg;
	const struct emad_publisher *publisher = filling->publisher;

	for (size_t i = find_place(publisher, from);
	     i < publisher->n_tensors && publisher->places[i].offset < to;
	     i++) {
		const struct place *place = &publisher->places[i];
		uint64_t begin = place->offset;
		uint64_t end = begin + place->size;
		const char *data;

		begin = begin < from ? from : begin;
		end = end > to ? to : end;
		if (begin >= end)
			continue;
		data = source_get(filling->source, place->index);
		data += begin - place->offset;
		if (publisher->copy_way)
			copy_stream(publisher->copy_way,
				    filling->slot->file + begin, data,
				    end - begin);
		else
			memcpy(filling->slot->file + begin, data, end - begin);
	}
	copy_finish();
}

void
fill(const struct emad_publisher *publisher, const struct slot *slot,
     const struct source *source)
{
	const struct filling filling = { publisher, slot, source };

	if (publisher->crew)
		crew_run(publisher->crew, fill_range, &filling,
			 publisher->data_start, publisher->slot_size);
	else
		fill_range(&filling, publisher->data_start,
			   publisher->slot_size);
}
