#include "proto/accumulator.h"

#include <string.h>

#include "proto/util.h"

static const struct {
	const char *name;
	unsigned int rest_size;
} table[N_ACCUMULATORS] = {
#define X(name, text, rest_size, what) { text, rest_size },
	ACCUMULATORS(X)
#undef X
};

const char *
accumulator_name(enum accumulator accumulator)
{
	must((unsigned int)accumulator < N_ACCUMULATORS);
	return table[accumulator].name;
}

bool
accumulator_parse(enum accumulator *ret_accumulator, const char *text)
{
	for (unsigned int i = 0; i < N_ACCUMULATORS; i++)
		if (strcmp(table[i].name, text) == 0) {
			*ret_accumulator = (enum accumulator)i;
			return true;
		}
	return false;
}

uint64_t
accumulator_rest_size(enum accumulator accumulator, uint64_t average_size)
{
	must((unsigned int)accumulator < N_ACCUMULATORS);
	return average_size / sizeof(float) * table[accumulator].rest_size;
}
