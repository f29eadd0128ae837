#include "proto/dtype.h"

#include <string.h>

#include "proto/util.h"

struct dtype_entry {
	const char *name;
	unsigned int bits;
	enum dtype average;
};

static const struct dtype_entry dtypes[N_DTYPES] = {
#define X(name, bits, average) { #name, bits, DTYPE_##average },
#include "proto/dtype.def"
#undef X
};

static const struct dtype_entry *
dtype_entry(enum dtype dtype)
{
	must((unsigned int)dtype < N_DTYPES);
	return &dtypes[dtype];
}

const char *
dtype_name(enum dtype dtype)
{
	return dtype_entry(dtype)->name;
}

bool
dtype_parse(enum dtype *ret_dtype, const char *name, size_t size)
{
	for (unsigned int i = 0; i < N_DTYPES; i++) {
		if (strlen(dtypes[i].name) != size ||
		    memcmp(dtypes[i].name, name, size) != 0)
			continue;
		*ret_dtype = (enum dtype)i;
		return true;
	}
	return false;
}

unsigned int
dtype_bits(enum dtype dtype)
{
	return dtype_entry(dtype)->bits;
}

enum dtype
dtype_average(enum dtype dtype)
{
	return dtype_entry(dtype)->average;
}

bool
dtype_is_averaged(enum dtype dtype)
{
	enum dtype average = dtype_average(dtype);

	return average == DTYPE_F32 || average == DTYPE_F64 ||
	       average == DTYPE_C64;
}
