/*
 * The one text of the kernels.  Included by kernel_generic.c, kernel_avx2.c,
 * kernel_avx512.c and kernel_neon.c, each of which first defines what a line
 * is:
 *
 *   TARGET, INLINE    attributes of every function that is built here
 *   KERNEL, NAME      the kernel's symbol and what EMAD_ISA calls it
 *   STREAMS           whether line_stream() stores past the cache
 *   FUSES             whether wide_fma() is one instruction
 *   LINE, WIDE        how many floats a struct line, how many doubles a
 *                     struct wide holds: 64 bytes of the average, or one
 *   line_...()        loads that convert to float, stores, arithmetic;
 *                     line_power(x), the power of two that x's exponent is (0:
 *                     none), line_inverse_power(x), 1 over that, and
 *                     line_round_i16(x), to the nearest integer (ties: even)
 *                     from -32767 to 32767, a NaN to the latter
 *   wide_...()        the same for doubles; line_widen(), wide_narrow()
 *   prefetch(), stream_end()
 *
 * Every element takes the same operations whatever its place, since the ends
 * of a run go through the same lines as the rest, by way of a small buffer.
 *
 * This half: numbers and one line of a pass.  kernel_pass.h: a pass.
 * kernel_run.h: from a tile to its passes.
 */
#include <math.h>
#include <stdint.h>
#include <string.h>

#define LINE_SIZE         64
#define PREFETCH_DISTANCE 512
#define GROUP_MAX         4             /* targets that share a pass */
#define WIDES             (LINE / WIDE) /* that hold a line */

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

enum mode {
	MODE_CHECK, /* no target: only look at the snapshot */
	MODE_COPY,
	MODE_INIT,
	MODE_LERP,  /* one snapshot, up to GROUP_MAX targets */
	MODE_CHAIN, /* several snapshots, one target; so are the rest */
	MODE_COMPENSATED,
	MODE_FLOAT64,
};

/* One lerp.  The next value is base + difference * factor. */
struct factor {
	double weight;
	double factor; /* of doubles */
	float weight32;
	float factor32; /* of floats */
	bool near;      /* base: the average; else the snapshot */
};

struct part {
	const char *current;
	char *next;
	const char *rest;
	char *next_rest;
	double *distance; /* never NULL */
};

struct pass {
	enum mode mode;
	bool fresh; /* nothing is read but the snapshot; what @rest is for */
	size_t n;
	size_t n_snapshots;
	const char *const *snapshots;
	unsigned int n_parts;
	struct part parts[GROUP_MAX];
	/* MODE_LERP: one per part; the modes after it: one per snapshot. */
	struct factor factors[KERNEL_SNAPSHOTS_MAX];
	double *norm; /* never NULL */
};

/*
 * Squares are summed in lanes, which come together in one order: so every
 * build gives the same bits, whatever its registers are.
 */
#define SUM_LANES 8

struct sum {
	struct wide lanes[SUM_LANES / WIDE];
};

/* What a pass learns on its way. */
struct sums {
	struct sum norm;
	struct sum distances[GROUP_MAX];
	/* Sums of x - x where the norm does not tell: 0 if all are finite. */
	struct line faults;
	struct wide wide_faults;
};

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

/* Bytes of an element of what is kept beside it. */
static inline size_t
mode_rest_size(enum mode mode)
{
	return mode == MODE_COMPENSATED ? 2 : mode == MODE_FLOAT64 ? 8 : 0;
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

INLINE void
line_put(bool stream, char *to, struct line x)
{
	if (stream)
		line_stream(to, x);
	else
		line_store(to, x);
}

INLINE void
wide_put(bool stream, char *to, struct wide x)
{
	if (stream)
		wide_stream(to, x);
	else
		wide_store(to, x);
}

INLINE void
sum_add(struct sum *sum, struct wide x, size_t lane)
{
	struct wide *at = &sum->lanes[lane % (SUM_LANES / WIDE)];

	*at = wide_add(*at, wide_multiply(x, x));
}

INLINE double
sum_total(const struct sum *sum)
{
	double lanes[SUM_LANES];

	for (size_t i = 0; i < SUM_LANES; i += WIDE)
		wide_store((char *)&lanes[i], sum->lanes[i / WIDE]);
	return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
	       ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

/* Of a float, whose square is exact: fused or not, the bits are the same. */
INLINE void
sum_add_square(struct sum *sum, struct wide x, size_t lane)
{
	struct wide *at = &sum->lanes[lane % (SUM_LANES / WIDE)];

	*at = FUSES ? wide_fma(x, x, *at) : wide_add(*at, wide_multiply(x, x));
}

INLINE void
sum_add_line(struct sum *sum, struct line x, size_t lane)
{
#pragma GCC unroll 2
	for (unsigned int h = 0; h < WIDES; h++)
		sum_add_square(sum, line_widen(x, h), lane);
}

/*
 * torch's lerp, whose two forms are one once the sign is in the factor:
 *   w < 0.5   e + w * (p - e)         factor w, base e
 *   else      p - (1 - w) * (p - e)   factor -(1 - w), base p
 */
static struct factor
factor_of(enum kind kind, double w)
{
	float w32 = (float)w;
	struct factor factor = { .weight = w, .weight32 = w32 };

	factor.near = kind == KIND_F64 ? w < 0.5 : w32 < 0.5F;
	factor.factor = factor.near ? w : -(1.0 - w);
	factor.factor32 = factor.near ? w32 : -(1.0F - w32);
	return factor;
}

INLINE struct line
lerp_f32(enum kind kind, const struct factor *factor, struct line e,
	 struct line p)
{
	struct line difference = line_subtract(p, e);
	struct line scale = line_splat(factor->factor32);
	struct line base = line_select(factor->near, e, p);

	if (kind == KIND_C64)
		return line_add(base, line_multiply(difference, scale));
	return line_fma(difference, scale, base);
}

INLINE struct wide
lerp_f64(const struct factor *factor, struct wide e, struct wide p)
{
	return wide_fma(wide_subtract(p, e), wide_splat(factor->factor),
			wide_select(factor->near, e, p));
}

/*
 * The average is e + c: what the float e cannot hold of it is in c, as in
 * Kahan's summation.  As c is at most half a unit in the last place of e, it
 * is kept in 16 bits, as k = c / ulp(e) * 2^16; ulp(e) = 2^-23 power(e).
 */
INLINE struct line
compensation_of(struct line e, struct line k)
{
	struct line scaled = line_multiply(k, line_splat(0x1p-39F));

	return line_multiply(scaled, line_power(e));
}

/*
 * What adding y rounds away is y - (t - e), exactly so (Dekker's Fast2Sum)
 * unless y is larger than e.  Then it may be anything, but is bounded here to
 * half a unit in the last place: as good as a float, and e was small.
 */
INLINE void
add_compensated(const struct factor *factor, struct line *e, struct line *k,
		struct line p)
{
	struct line w = line_splat(factor->weight32);
	struct line c = compensation_of(*e, *k);
	struct line d = line_subtract(line_subtract(p, *e), c);
	struct line y = line_fma(d, w, c);
	struct line t = line_add(*e, y);
	struct line rest = line_subtract(y, line_subtract(t, *e));
	struct line scaled = line_multiply(rest, line_inverse_power(t));

	*k = line_round_i16(line_multiply(scaled, line_splat(0x1p39F)));
	*e = t;
}

/* The norm shows whether the last snapshot is finite; here are the others. */
INLINE void
note_fault(struct sums *sums, struct line p)
{
	sums->faults = line_add(sums->faults, line_subtract(p, p));
}

INLINE void
end_f32(bool stream, const struct part *part, size_t i, struct line next,
	struct line p, size_t lane, struct sums *sums)
{
	line_put(stream, part->next + i * 4, next);
	sum_add_line(&sums->norm, p, lane);
	sum_add_line(&sums->distances[0], line_subtract(p, next), lane);
}

INLINE void
step_chain(enum kind kind, bool stream, const struct pass *pass, size_t i,
	   size_t lane, struct sums *sums)
{
	size_t last = pass->n_snapshots - 1, at = i * kind_size(kind);
	struct line e = line_load_f32(pass->parts[0].current + i * 4);
	struct line p;

	for (size_t j = 0; j < last; j++) {
		p = line_load(kind, pass->snapshots[j] + at);
		note_fault(sums, p);
		e = lerp_f32(kind, &pass->factors[j], e, p);
	}
	p = line_load(kind, pass->snapshots[last] + at);
	e = lerp_f32(kind, &pass->factors[last], e, p);
	end_f32(stream, &pass->parts[0], i, e, p, lane, sums);
}

INLINE void
step_compensated(enum kind kind, bool stream, const struct pass *pass, size_t i,
		 size_t lane, struct sums *sums)
{
	size_t last = pass->n_snapshots - 1, at = i * kind_size(kind);
	const struct part *part = &pass->parts[0];
	struct line p = line_load(kind, pass->snapshots[last] + at);
	struct line e = p, k = line_splat(0.0F);

	if (!pass->fresh) {
		e = line_load_f32(part->current + i * 4);
		k = line_load_i16(part->rest + i * 2);
		for (size_t j = 0; j < last; j++) {
			struct line q =
				line_load(kind, pass->snapshots[j] + at);

			note_fault(sums, q);
			add_compensated(&pass->factors[j], &e, &k, q);
		}
		add_compensated(&pass->factors[last], &e, &k, p);
	}
	if (stream)
		line_stream_i16(part->next_rest + i * 2, k);
	else
		line_store_i16(part->next_rest + i * 2, k);
	end_f32(stream, part, i, e, p, lane, sums);
}

/* The average is kept in double; what is published is it, rounded. */
INLINE void
step_float64(enum kind kind, bool stream, const struct pass *pass, size_t i,
	     size_t lane, struct sums *sums)
{
	size_t last = pass->n_snapshots - 1, at = i * kind_size(kind);
	const struct part *part = &pass->parts[0];
	struct line p = line_load(kind, pass->snapshots[last] + at);
	struct wide a[WIDES];

#pragma GCC unroll 2
	for (unsigned int h = 0; h < WIDES; h++)
		a[h] = pass->fresh ? line_widen(p, h)
				   : wide_load(part->rest + (i + h * WIDE) * 8);
	for (size_t j = 0; j <= last && !pass->fresh; j++) {
		struct line q = line_load(kind, pass->snapshots[j] + at);
		struct wide w = wide_splat(pass->factors[j].weight);

		note_fault(sums, q);
#pragma GCC unroll 2
		for (unsigned int h = 0; h < WIDES; h++)
			a[h] = wide_fma(wide_subtract(line_widen(q, h), a[h]),
					w, a[h]);
	}
#pragma GCC unroll 2
	for (unsigned int h = 0; h < WIDES; h++)
		wide_put(stream, part->next_rest + (i + h * WIDE) * 8, a[h]);
	end_f32(stream, part, i, wide_narrow(a[0], a[WIDES - 1]), p, lane,
		sums);
}

#include "daemon/core/kernel_pass.h"
#include "daemon/core/kernel_run.h"
