#include "daemon/core/kernel.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"

/* Best first: a machine that can run one can run all that follow. */
static const struct kernel *const kernels[] = {
#if defined(__x86_64__)
	&kernel_avx512,
	&kernel_avx2,
#elif defined(__aarch64__)
	&kernel_neon,
#endif
	&kernel_generic,
	NULL,
};

const struct kernel *const *
kernel_all(void)
{
#if defined(__x86_64__)
	/* clang has no name for F16C, but whatever has AVX2 has it. */
	bool avx2 =
		__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
	bool avx512 = avx2 && __builtin_cpu_supports("avx512f") &&
		      __builtin_cpu_supports("avx512bw") &&
		      __builtin_cpu_supports("avx512dq") &&
		      __builtin_cpu_supports("avx512vl");

	return avx512 ? kernels : avx2 ? kernels + 1 : kernels + 2;
#else
	return kernels;
#endif
}

const struct kernel *
kernel_choose(void)
{
	const struct kernel *const *all = kernel_all();
	const char *name = getenv("EMAD_ISA");

	if (!name || !*name)
		return all[0];
	for (size_t i = 0; all[i]; i++)
		if (strcmp(all[i]->name, name) == 0)
			return all[i];
	return NULL;
}

/* The bits that are all set in what is not finite, in each number. */
static uint64_t
exponent_mask(enum dtype dtype)
{
	switch (dtype) {
	case DTYPE_F8_E4M3:
		return 0x7F; /* NaN alone: it has no infinities */
	case DTYPE_F8_E5M2:
		return 0x7C;
	case DTYPE_F16:
		return 0x7C00;
	case DTYPE_BF16:
		return 0x7F80;
	case DTYPE_F32:
	case DTYPE_C64:
		return 0x7F800000;
	case DTYPE_F64:
		return UINT64_C(0x7FF0000000000000);
	default:
		return 0;
	}
}

static uint64_t
read_bits(const char *at, size_t size)
{
	uint64_t u64;
	uint32_t u32;
	uint16_t u16;

	switch (size) {
	case 1:
		return (uint8_t)*at;
	case 2:
		memcpy(&u16, at, sizeof u16);
		return u16;
	case 4:
		memcpy(&u32, at, sizeof u32);
		return u32;
	default:
		memcpy(&u64, at, sizeof u64);
		return u64;
	}
}

size_t
kernel_find_not_finite(enum dtype dtype, const void *snapshot,
		       size_t n_elements)
{
	uint64_t mask = exponent_mask(dtype);
	size_t per_element = dtype == DTYPE_C64 ? 2 : 1;
	size_t size = dtype_bits(dtype) / 8 / per_element;
	const char *at = snapshot;

	if (mask == 0)
		return n_elements;
	for (size_t i = 0; i < n_elements * per_element; i++, at += size)
		if ((read_bits(at, size) & mask) == mask)
			return i / per_element;
	return n_elements;
}
