/*
 * The kernel in plain C: a line is one element.  fmaf() and fma() are right
 * on every machine, in software where the hardware has none.
 */
#include "daemon/core/kernel.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define TARGET
#define INLINE  static inline __attribute__((always_inline))
#define KERNEL  kernel_generic
#define NAME    "generic"
#define STREAMS false
#define FUSES   false
#define LINE    1
#define WIDE    1

struct line {
	float v;
};

struct wide {
	double v;
};

INLINE struct line
line_of_bits(uint32_t bits)
{
	struct line line;

	memcpy(&line.v, &bits, sizeof line.v);
	return line;
}

INLINE struct line
line_splat(float x)
{
	return (struct line) { x };
}

INLINE struct line
line_load_f32(const char *from)
{
	struct line line;

	memcpy(&line.v, from, sizeof line.v);
	return line;
}

INLINE struct line
line_load_bf16(const char *from)
{
	uint16_t bits;

	memcpy(&bits, from, sizeof bits);
	return line_of_bits((uint32_t)bits << 16);
}

/* As the hardware does it: subnormals are exact, NaNs become quiet. */
INLINE struct line
line_of_f16(uint32_t bits)
{
	uint32_t sign = (bits & 0x8000) << 16;
	uint32_t exponent = bits >> 10 & 0x1F;
	uint32_t fraction = bits & 0x3FF;
	float x;

	if (exponent == 0x1F)
		return line_of_bits(sign | 0x7F800000 | fraction << 13 |
				    (fraction ? 0x400000 : 0));
	if (exponent > 0)
		return line_of_bits(sign | (exponent + 112) << 23 |
				    fraction << 13);
	x = (float)fraction * 0x1p-24F;
	return (struct line) { sign ? -x : x };
}

INLINE struct line
line_load_f16(const char *from)
{
	uint16_t bits;

	memcpy(&bits, from, sizeof bits);
	return line_of_f16(bits);
}

/* The upper half of a float16. */
INLINE struct line
line_load_f8_e5m2(const char *from)
{
	return line_of_f16((uint32_t)(uint8_t)*from << 8);
}

/* No infinities, one NaN of each sign; else a float16 with another bias. */
INLINE struct line
line_load_f8_e4m3(const char *from)
{
	uint32_t bits = (uint8_t)*from;
	uint32_t sign = bits >> 7, rest = bits & 0x7F;

	if (rest == 0x7F)
		return line_of_bits(sign << 31 | 0x7FC00000);
	return (struct line) { line_of_f16(sign << 15 | rest << 7).v * 256.0F };
}

INLINE struct line
line_load_i16(const char *from)
{
	int16_t bits;

	memcpy(&bits, from, sizeof bits);
	return (struct line) { (float)bits };
}

/* An integer that fits. */
INLINE void
line_store_i16(char *to, struct line x)
{
	int16_t bits = (int16_t)x.v;

	memcpy(to, &bits, sizeof bits);
}

INLINE void
line_stream_i16(char *to, struct line x)
{
	line_store_i16(to, x);
}

INLINE uint32_t
exponent_of(struct line x)
{
	uint32_t bits;

	memcpy(&bits, &x.v, sizeof bits);
	return bits & 0x7F800000;
}

INLINE struct line
line_power(struct line x)
{
	return line_of_bits(exponent_of(x));
}

INLINE struct line
line_inverse_power(struct line x)
{
	return line_of_bits(0x7F000000 - exponent_of(x));
}

INLINE struct line
line_round_i16(struct line x)
{
	float whole = rintf(x.v);

	whole = whole < 32767.0F ? whole : 32767.0F;
	return (struct line) { whole > -32767.0F ? whole : -32767.0F };
}

INLINE void
line_store(char *to, struct line x)
{
	memcpy(to, &x.v, sizeof x.v);
}

INLINE void
line_stream(char *to, struct line x)
{
	line_store(to, x);
}

INLINE struct line
line_add(struct line a, struct line b)
{
	return (struct line) { a.v + b.v };
}

INLINE struct line
line_subtract(struct line a, struct line b)
{
	return (struct line) { a.v - b.v };
}

INLINE struct line
line_multiply(struct line a, struct line b)
{
	return (struct line) { a.v * b.v };
}

INLINE struct line
line_fma(struct line a, struct line b, struct line c)
{
	return (struct line) { fmaf(a.v, b.v, c.v) };
}

INLINE struct line
line_select(bool first, struct line a, struct line b)
{
	return first ? a : b;
}

INLINE bool
line_is_zero(struct line x)
{
	return x.v == 0.0F;
}

INLINE struct wide
wide_splat(double x)
{
	return (struct wide) { x };
}

INLINE struct wide
wide_load(const char *from)
{
	struct wide wide;

	memcpy(&wide.v, from, sizeof wide.v);
	return wide;
}

INLINE void
wide_store(char *to, struct wide x)
{
	memcpy(to, &x.v, sizeof x.v);
}

INLINE void
wide_stream(char *to, struct wide x)
{
	wide_store(to, x);
}

INLINE struct wide
wide_add(struct wide a, struct wide b)
{
	return (struct wide) { a.v + b.v };
}

INLINE struct wide
wide_subtract(struct wide a, struct wide b)
{
	return (struct wide) { a.v - b.v };
}

INLINE struct wide
wide_multiply(struct wide a, struct wide b)
{
	return (struct wide) { a.v * b.v };
}

INLINE struct wide
wide_fma(struct wide a, struct wide b, struct wide c)
{
	return (struct wide) { fma(a.v, b.v, c.v) };
}

INLINE struct wide
wide_select(bool first, struct wide a, struct wide b)
{
	return first ? a : b;
}

INLINE bool
wide_is_zero(struct wide x)
{
	return x.v == 0.0;
}

INLINE struct wide
line_widen(struct line x, unsigned int half)
{
	(void)half;
	return (struct wide) { (double)x.v };
}

INLINE struct line
wide_narrow(struct wide low, struct wide high)
{
	(void)high;
	return (struct line) { (float)low.v };
}

/* One element at a time, the hardware's own prefetcher does better. */
INLINE void
prefetch(const char *at)
{
	(void)at;
}

INLINE void
stream_end(void)
{
}

#include "daemon/core/kernel_body.h"
