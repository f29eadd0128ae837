/*
 * The one text of the kernels.  Included by kernel_generic.c, kernel_avx2.c
 * and kernel_avx512.c, each of which first defines what a line is:
 *
 *   TARGET, INLINE    attributes of every function that is built here
 *   KERNEL, NAME      the kernel's symbol and what EMAD_ISA calls it
 *   STREAMS           whether line_stream() stores past the cache
 *   LINE, WIDE        how many floats a struct line, how many doubles a
 *                     struct wide holds: 64 bytes of the average, or one
 *   line_...()        loads that convert to float, stores, arithmetic
 *   wide_...()        the same for doubles
 *   prefetch(), stream_end()
 *
 * Every element takes the same operations whatever its place, since the ends
 * of a run go through the same lines as the rest, by way of a small buffer.
 */
#include <stdint.h>
#include <string.h>

/* Targets that share a pass: the snapshot's line stays in registers. */
#define GROUP_MAX         4
#define LINE_SIZE         64
#define PREFETCH_DISTANCE 512

/* What decides the arithmetic.  C64 is twice as many floats, not fused. */
enum kind {
	KIND_F32,
	KIND_BF16,
	KIND_F16,
	KIND_F8_E4M3,
	KIND_F8_E5M2,
	KIND_C64,
	KIND_F64,
	KIND_BYTES,
};

/* One target of a pass.  The next value is base + difference * factor. */
struct part {
	const char *current;
	char *next;
	double factor;
	bool near; /* base: the average; else the snapshot */
};

struct pass {
	enum kernel_operation operation;
	const char *snapshot;
	size_t n;
	unsigned int n_parts;
	struct part parts[GROUP_MAX];
};

/* Sums of x - x: 0 unless a value was not finite. */
struct faults {
	struct line line;
	struct wide wide;
};

static enum kind
kind_of(enum dtype dtype)
{
	switch (dtype) {
	case DTYPE_F32:
		return KIND_F32;
	case DTYPE_BF16:
		return KIND_BF16;
	case DTYPE_F16:
		return KIND_F16;
	case DTYPE_F8_E4M3:
		return KIND_F8_E4M3;
	case DTYPE_F8_E5M2:
		return KIND_F8_E5M2;
	case DTYPE_C64:
		return KIND_C64;
	case DTYPE_F64:
		return KIND_F64;
	default:
		return KIND_BYTES;
	}
}

/* Bytes of an element of the snapshot. */
static inline size_t
kind_size(enum kind kind)
{
	switch (kind) {
	case KIND_BF16:
	case KIND_F16:
		return 2;
	case KIND_F8_E4M3:
	case KIND_F8_E5M2:
		return 1;
	case KIND_F64:
		return 8;
	default:
		return 4;
	}
}

/* Bytes of an element of the average. */
static inline size_t
kind_average_size(enum kind kind)
{
	return kind == KIND_F64 ? 8 : 4;
}

/* Elements of a line. */
static inline size_t
kind_width(enum kind kind)
{
	return kind == KIND_F64 ? WIDE : LINE;
}

INLINE struct line
line_load(enum kind kind, const char *snapshot)
{
	switch (kind) {
	case KIND_BF16:
		return line_load_bf16(snapshot);
	case KIND_F16:
		return line_load_f16(snapshot);
	case KIND_F8_E4M3:
		return line_load_f8_e4m3(snapshot);
	case KIND_F8_E5M2:
		return line_load_f8_e5m2(snapshot);
	default:
		return line_load_f32(snapshot);
	}
}

/*
 * torch's lerp, whose two forms are one once the sign is in the factor:
 *   w < 0.5   e + w * (p - e)         factor w, base e
 *   else      p - (1 - w) * (p - e)   factor -(1 - w), base p
 */
static void
part_init(struct part *part, enum kind kind, const struct kernel_target *target)
{
	double w = target->weight;
	float w32 = (float)w;

	part->current = target->current;
	part->next = target->next;
	if (kind == KIND_F64) {
		part->near = w < 0.5;
		part->factor = part->near ? w : -(1.0 - w);
	} else {
		part->near = w32 < 0.5F;
		part->factor = (double)(part->near ? w32 : -(1.0F - w32));
	}
}

INLINE struct line
lerp_f32(enum kind kind, const struct part *part, struct line e, struct line p)
{
	struct line difference = line_subtract(p, e);
	struct line factor = line_splat((float)part->factor);
	struct line base = line_select(part->near, e, p);

	if (kind == KIND_C64)
		return line_add(base, line_multiply(difference, factor));
	return line_fma(difference, factor, base);
}

INLINE struct wide
lerp_f64(const struct part *part, struct wide e, struct wide p)
{
	return wide_fma(wide_subtract(p, e), wide_splat(part->factor),
			wide_select(part->near, e, p));
}

INLINE void
step_f32(enum kind kind, enum kernel_operation operation, unsigned int n_parts,
	 bool stream, const struct part *parts, const char *snapshot,
	 size_t offset, struct faults *faults)
{
	struct line p = line_load(kind, snapshot);
	struct line next;

	faults->line = line_add(faults->line, line_subtract(p, p));
#pragma GCC unroll 4
	for (unsigned int i = 0; i < n_parts; i++) {
		next = p;
		if (operation == KERNEL_INIT)
			next = lerp_f32(kind, &parts[i], p, p);
		if (operation == KERNEL_LERP)
			next = lerp_f32(
				kind, &parts[i],
				line_load_f32(parts[i].current + offset), p);
		if (stream)
			line_stream(parts[i].next + offset, next);
		else
			line_store(parts[i].next + offset, next);
	}
}

INLINE void
step_f64(enum kernel_operation operation, unsigned int n_parts, bool stream,
	 const struct part *parts, const char *snapshot, size_t offset,
	 struct faults *faults)
{
	struct wide p = wide_load(snapshot);
	struct wide next;

	faults->wide = wide_add(faults->wide, wide_subtract(p, p));
#pragma GCC unroll 4
	for (unsigned int i = 0; i < n_parts; i++) {
		next = p;
		if (operation == KERNEL_INIT)
			next = lerp_f64(&parts[i], p, p);
		if (operation == KERNEL_LERP)
			next = lerp_f64(&parts[i],
					wide_load(parts[i].current + offset),
					p);
		if (stream)
			wide_stream(parts[i].next + offset, next);
		else
			wide_store(parts[i].next + offset, next);
	}
}

INLINE void
step(enum kind kind, enum kernel_operation operation, unsigned int n_parts,
     bool stream, const struct part *parts, const char *snapshot, size_t offset,
     struct faults *faults)
{
	if (kind == KIND_F64)
		step_f64(operation, n_parts, stream, parts, snapshot, offset,
			 faults);
	else
		step_f32(kind, operation, n_parts, stream, parts, snapshot,
			 offset, faults);
}

INLINE bool
faults_none(const struct faults *faults)
{
	return line_is_zero(faults->line) && wide_is_zero(faults->wide);
}

/* Less than a line: elements from @first on, @n of them, by way of a buffer. */
TARGET static __attribute__((noinline)) bool
run_end(enum kind kind, const struct pass *pass, size_t first, size_t n)
{
	char snapshot[LINE_SIZE] = { 0 };
	char current[GROUP_MAX][LINE_SIZE] = { { 0 } };
	char next[GROUP_MAX][LINE_SIZE];
	size_t begin = first * kind_average_size(kind);
	size_t size = n * kind_average_size(kind);
	struct faults faults = { line_splat(0.0F), wide_splat(0.0) };
	struct part parts[GROUP_MAX];

	memcpy(snapshot, pass->snapshot + first * kind_size(kind),
	       n * kind_size(kind));
	for (unsigned int i = 0; i < pass->n_parts; i++) {
		parts[i] = pass->parts[i];
		if (pass->operation == KERNEL_LERP)
			memcpy(current[i], parts[i].current + begin, size);
		parts[i].current = current[i];
		parts[i].next = next[i];
	}
	step(kind, pass->operation, pass->n_parts, false, parts, snapshot, 0,
	     &faults);
	for (unsigned int i = 0; i < pass->n_parts; i++)
		memcpy(pass->parts[i].next + begin, next[i], size);
	return faults_none(&faults);
}

/* Elements before the first that begins a line of the cache. */
INLINE size_t
count_head(enum kind kind, const struct pass *pass)
{
	size_t past = (uintptr_t)pass->parts[0].next % LINE_SIZE;
	size_t n = (LINE_SIZE - past) % LINE_SIZE / kind_average_size(kind);

	return n < pass->n ? n : pass->n;
}

/* True: every value was finite.  All but @pass are constants here. */
INLINE bool
run_pass(enum kind kind, enum kernel_operation operation, unsigned int n_parts,
	 bool stream, const struct pass *pass)
{
	const size_t size = kind_size(kind), width = kind_width(kind);
	struct faults faults = { line_splat(0.0F), wide_splat(0.0) };
	const char *snapshot = pass->snapshot;
	size_t i = stream ? count_head(kind, pass) : 0;
	const size_t n = pass->n;
	struct part parts[GROUP_MAX];
	bool finite = true;

	for (unsigned int k = 0; k < n_parts; k++)
		parts[k] = pass->parts[k];
	if (i > 0)
		finite = run_end(kind, pass, 0, i);
	for (; n - i >= width; i += width) {
		size_t offset = i * kind_average_size(kind);

		prefetch(snapshot + i * size + PREFETCH_DISTANCE);
#pragma GCC unroll 4
		for (unsigned int k = 0; k < n_parts; k++)
			if (operation == KERNEL_LERP)
				prefetch(parts[k].current + offset +
					 PREFETCH_DISTANCE);
		step(kind, operation, n_parts, stream, parts,
		     snapshot + i * size, offset, &faults);
	}
	if (i < n)
		finite &= run_end(kind, pass, i, n - i);
	return faults_none(&faults) && finite;
}

#include "daemon/core/kernel_run.h"
