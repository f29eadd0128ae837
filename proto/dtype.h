/*
 * Element types, by the names that the safetensors format gives them.
 *
 * The table is dtype.def, in the order of the reference implementation
 * (narrowest first): its rank is the order in which tensors lie in a file.
 */
#ifndef PROTO_DTYPE_H
#define PROTO_DTYPE_H

#include <stdbool.h>
#include <stddef.h>

enum dtype {
#define X(name, bits, average) DTYPE_##name,
#include "proto/dtype.def"
#undef X
	N_DTYPES
};

const char *dtype_name(enum dtype dtype);

/* False: no such type.  @name need not end in NUL. */
bool dtype_parse(enum dtype *ret_dtype, const char *name, size_t size);

/* Bits per element: 4, 6, 8, 16, 32 or 64. */
unsigned int dtype_bits(enum dtype dtype);

/*
 * The type in which tensors of @dtype are averaged: F32 for F8_E4M3, F8_E5M2,
 * F16, BF16 and F32; F64; C64; for all others (integers, bools, packed,
 * scale-only and FNUZ formats) the type itself: they take the newest value.
 */
enum dtype dtype_average(enum dtype dtype);

/* Whether tensors of @dtype are averaged at all. */
bool dtype_is_averaged(enum dtype dtype);

#endif
