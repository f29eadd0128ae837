/*
 * The kernel with NEON, which every aarch64 machine has: a line is four
 * registers.  C has no name for stores past the cache (STNP), so there are
 * none.
 */
#include "daemon/core/kernel.h"

#if defined(__aarch64__)

#include <arm_neon.h>

#define TARGET
#define INLINE  static inline __attribute__((always_inline))
#define KERNEL  kernel_neon
#define NAME    "neon"
#define STREAMS false
#define FUSES   true
#define LINE    16
#define WIDE    8

struct line {
	float32x4_t v0, v1, v2, v3;
};

struct wide {
	float64x2_t v0, v1, v2, v3;
};

/* The same operation on each register of a line or of a wide. */
#define EACH(operation, a)                                                     \
	{                                                                      \
		operation((a).v0), operation((a).v1), operation((a).v2),       \
			operation((a).v3)                                      \
	}
#define EACH2(operation, a, b)                                                 \
	{                                                                      \
		operation((a).v0, (b).v0), operation((a).v1, (b).v1),          \
			operation((a).v2, (b).v2), operation((a).v3, (b).v3)   \
	}

INLINE struct line
line_splat(float x)
{
	float32x4_t v = vdupq_n_f32(x);

	return (struct line) { v, v, v, v };
}

INLINE float32x4_t
load_f32(const char *from)
{
	return vld1q_f32((const float *)(const void *)from);
}

INLINE struct line
line_load_f32(const char *from)
{
	return (struct line) {
		load_f32(from),
		load_f32(from + 16),
		load_f32(from + 32),
		load_f32(from + 48),
	};
}

#include "daemon/core/kernel_neon_load.h"

INLINE void
store_f32(char *to, float32x4_t x)
{
	vst1q_f32((float *)(void *)to, x);
}

INLINE float32x4_t
load_i16(const char *from)
{
	int16x4_t bits = vld1_s16((const int16_t *)(const void *)from);

	return vcvtq_f32_s32(vmovl_s16(bits));
}

INLINE struct line
line_load_i16(const char *from)
{
	return (struct line) {
		load_i16(from),
		load_i16(from + 8),
		load_i16(from + 16),
		load_i16(from + 24),
	};
}

/* Integers that fit. */
INLINE void
store_i16(char *to, float32x4_t x)
{
	vst1_s16((int16_t *)(void *)to, vmovn_s32(vcvtq_s32_f32(x)));
}

INLINE void
line_store_i16(char *to, struct line x)
{
	store_i16(to, x.v0);
	store_i16(to + 8, x.v1);
	store_i16(to + 16, x.v2);
	store_i16(to + 24, x.v3);
}

INLINE void
line_stream_i16(char *to, struct line x)
{
	line_store_i16(to, x);
}

INLINE float32x4_t
power(float32x4_t x)
{
	return vreinterpretq_f32_u32(
		vandq_u32(vreinterpretq_u32_f32(x), vdupq_n_u32(0x7F800000)));
}

INLINE struct line
line_power(struct line x)
{
	return (struct line)EACH(power, x);
}

INLINE float32x4_t
inverse_power(float32x4_t x)
{
	return vreinterpretq_f32_u32(vsubq_u32(
		vdupq_n_u32(0x7F000000), vreinterpretq_u32_f32(power(x))));
}

INLINE struct line
line_inverse_power(struct line x)
{
	return (struct line)EACH(inverse_power, x);
}

INLINE float32x4_t
round_i16(float32x4_t x)
{
	float32x4_t whole = vrndnq_f32(x), most = vdupq_n_f32(32767.0F);

	whole = vbslq_f32(vcltq_f32(whole, most), whole, most);
	return vmaxq_f32(whole, vnegq_f32(most));
}

INLINE struct line
line_round_i16(struct line x)
{
	return (struct line)EACH(round_i16, x);
}

INLINE void
line_store(char *to, struct line x)
{
	store_f32(to, x.v0);
	store_f32(to + 16, x.v1);
	store_f32(to + 32, x.v2);
	store_f32(to + 48, x.v3);
}

INLINE void
line_stream(char *to, struct line x)
{
	line_store(to, x);
}

INLINE struct line
line_add(struct line a, struct line b)
{
	return (struct line)EACH2(vaddq_f32, a, b);
}

INLINE struct line
line_subtract(struct line a, struct line b)
{
	return (struct line)EACH2(vsubq_f32, a, b);
}

INLINE struct line
line_multiply(struct line a, struct line b)
{
	return (struct line)EACH2(vmulq_f32, a, b);
}

/* The intrinsic wants the addend first. */
INLINE struct line
line_fma(struct line a, struct line b, struct line c)
{
	return (struct line) {
		vfmaq_f32(c.v0, a.v0, b.v0),
		vfmaq_f32(c.v1, a.v1, b.v1),
		vfmaq_f32(c.v2, a.v2, b.v2),
		vfmaq_f32(c.v3, a.v3, b.v3),
	};
}

INLINE struct line
line_select(bool first, struct line a, struct line b)
{
	uint32x4_t mask = vdupq_n_u32(first ? UINT32_MAX : 0);

	return (struct line) {
		vbslq_f32(mask, a.v0, b.v0),
		vbslq_f32(mask, a.v1, b.v1),
		vbslq_f32(mask, a.v2, b.v2),
		vbslq_f32(mask, a.v3, b.v3),
	};
}

INLINE bool
line_is_zero(struct line x)
{
	uint32x4_t low = vandq_u32(vceqzq_f32(x.v0), vceqzq_f32(x.v1));
	uint32x4_t high = vandq_u32(vceqzq_f32(x.v2), vceqzq_f32(x.v3));

	return vminvq_u32(vandq_u32(low, high)) == UINT32_MAX;
}

INLINE struct wide
wide_splat(double x)
{
	float64x2_t v = vdupq_n_f64(x);

	return (struct wide) { v, v, v, v };
}

INLINE float64x2_t
load_f64(const char *from)
{
	return vld1q_f64((const double *)(const void *)from);
}

INLINE struct wide
wide_load(const char *from)
{
	return (struct wide) {
		load_f64(from),
		load_f64(from + 16),
		load_f64(from + 32),
		load_f64(from + 48),
	};
}

INLINE void
store_f64(char *to, float64x2_t x)
{
	vst1q_f64((double *)(void *)to, x);
}

INLINE void
wide_store(char *to, struct wide x)
{
	store_f64(to, x.v0);
	store_f64(to + 16, x.v1);
	store_f64(to + 32, x.v2);
	store_f64(to + 48, x.v3);
}

INLINE void
wide_stream(char *to, struct wide x)
{
	wide_store(to, x);
}

INLINE struct wide
wide_add(struct wide a, struct wide b)
{
	return (struct wide)EACH2(vaddq_f64, a, b);
}

INLINE struct wide
wide_subtract(struct wide a, struct wide b)
{
	return (struct wide)EACH2(vsubq_f64, a, b);
}

INLINE struct wide
wide_multiply(struct wide a, struct wide b)
{
	return (struct wide)EACH2(vmulq_f64, a, b);
}

INLINE struct wide
wide_fma(struct wide a, struct wide b, struct wide c)
{
	return (struct wide) {
		vfmaq_f64(c.v0, a.v0, b.v0),
		vfmaq_f64(c.v1, a.v1, b.v1),
		vfmaq_f64(c.v2, a.v2, b.v2),
		vfmaq_f64(c.v3, a.v3, b.v3),
	};
}

INLINE struct wide
wide_select(bool first, struct wide a, struct wide b)
{
	uint64x2_t mask = vdupq_n_u64(first ? UINT64_MAX : 0);

	return (struct wide) {
		vbslq_f64(mask, a.v0, b.v0),
		vbslq_f64(mask, a.v1, b.v1),
		vbslq_f64(mask, a.v2, b.v2),
		vbslq_f64(mask, a.v3, b.v3),
	};
}

INLINE bool
wide_is_zero(struct wide x)
{
	uint64x2_t low = vandq_u64(vceqzq_f64(x.v0), vceqzq_f64(x.v1));
	uint64x2_t high = vandq_u64(vceqzq_f64(x.v2), vceqzq_f64(x.v3));
	uint64x2_t all = vandq_u64(low, high);

	return (vgetq_lane_u64(all, 0) & vgetq_lane_u64(all, 1)) == UINT64_MAX;
}

INLINE struct wide
line_widen(struct line x, unsigned int half)
{
	float32x4_t low = half ? x.v2 : x.v0, high = half ? x.v3 : x.v1;

	return (struct wide) {
		vcvt_f64_f32(vget_low_f32(low)),
		vcvt_high_f64_f32(low),
		vcvt_f64_f32(vget_low_f32(high)),
		vcvt_high_f64_f32(high),
	};
}

INLINE struct line
wide_narrow(struct wide low, struct wide high)
{
	return (struct line) {
		vcvt_high_f32_f64(vcvt_f32_f64(low.v0), low.v1),
		vcvt_high_f32_f64(vcvt_f32_f64(low.v2), low.v3),
		vcvt_high_f32_f64(vcvt_f32_f64(high.v0), high.v1),
		vcvt_high_f32_f64(vcvt_f32_f64(high.v2), high.v3),
	};
}

INLINE void
prefetch(const char *at)
{
	__builtin_prefetch(at);
}

INLINE void
stream_end(void)
{
}

#include "daemon/core/kernel_body.h"

#endif
