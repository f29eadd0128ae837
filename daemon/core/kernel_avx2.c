/*
 * The kernel with AVX2, FMA and F16C: a line is two registers.
 */
#include "daemon/core/kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET  __attribute__((target("avx2,fma,f16c")))
#define INLINE  TARGET static inline __attribute__((always_inline))
#define KERNEL  kernel_avx2
#define NAME    "avx2"
#define STREAMS true
#define FUSES   true
#define LINE    16
#define WIDE    8

struct line {
	__m256 low, high;
};

struct wide {
	__m256d low, high;
};

INLINE struct line
line_splat(float x)
{
	return (struct line) { _mm256_set1_ps(x), _mm256_set1_ps(x) };
}

INLINE struct line
line_load_f32(const char *from)
{
	return (struct line) {
		_mm256_loadu_ps((const float *)(const void *)from),
		_mm256_loadu_ps((const float *)(const void *)(from + 32)),
	};
}

INLINE __m128i
load_half(const char *from)
{
	return _mm_loadu_si128((const __m128i *)(const void *)from);
}

INLINE __m256
widen_bf16(__m128i bits)
{
	return _mm256_castsi256_ps(
		_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16));
}

INLINE struct line
line_load_bf16(const char *from)
{
	return (struct line) {
		widen_bf16(load_half(from)),
		widen_bf16(load_half(from + 16)),
	};
}

INLINE struct line
line_load_f16(const char *from)
{
	return (struct line) {
		_mm256_cvtph_ps(load_half(from)),
		_mm256_cvtph_ps(load_half(from + 16)),
	};
}

/* The upper half of a float16. */
INLINE struct line
line_load_f8_e5m2(const char *from)
{
	__m128i bytes = load_half(from), zero = _mm_setzero_si128();

	return (struct line) {
		_mm256_cvtph_ps(_mm_unpacklo_epi8(zero, bytes)),
		_mm256_cvtph_ps(_mm_unpackhi_epi8(zero, bytes)),
	};
}

/* No infinities, one NaN of each sign; else a float16 with another bias. */
INLINE __m256
widen_f8_e4m3(__m128i bits)
{
	__m128i sign = _mm_and_si128(bits, _mm_set1_epi16(0x80));
	__m128i rest = _mm_and_si128(bits, _mm_set1_epi16(0x7F));
	__m128i half =
		_mm_or_si128(_mm_slli_epi16(sign, 8), _mm_slli_epi16(rest, 7));
	__m256 x = _mm256_mul_ps(_mm256_cvtph_ps(half), _mm256_set1_ps(256.0F));
	__m256i signs = _mm256_slli_epi32(_mm256_cvtepu16_epi32(sign), 24);
	__m256i nans = _mm256_or_si256(signs, _mm256_set1_epi32(0x7FC00000));
	__m256i is_nan = _mm256_cvtepi16_epi32(
		_mm_cmpeq_epi16(rest, _mm_set1_epi16(0x7F)));

	return _mm256_blendv_ps(x, _mm256_castsi256_ps(nans),
				_mm256_castsi256_ps(is_nan));
}

INLINE struct line
line_load_f8_e4m3(const char *from)
{
	__m128i bytes = load_half(from), zero = _mm_setzero_si128();

	return (struct line) {
		widen_f8_e4m3(_mm_unpacklo_epi8(bytes, zero)),
		widen_f8_e4m3(_mm_unpackhi_epi8(bytes, zero)),
	};
}

INLINE __m256
widen_i16(__m128i bits)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(bits));
}

INLINE struct line
line_load_i16(const char *from)
{
	return (struct line) {
		widen_i16(load_half(from)),
		widen_i16(load_half(from + 16)),
	};
}

/* Integers that fit.  Packing works on halves of registers: put in order. */
INLINE __m256i
narrow_i16(struct line x)
{
	__m256i packed = _mm256_packs_epi32(_mm256_cvtps_epi32(x.low),
					    _mm256_cvtps_epi32(x.high));

	return _mm256_permute4x64_epi64(packed, 0xD8);
}

INLINE void
line_store_i16(char *to, struct line x)
{
	_mm256_storeu_si256((__m256i *)(void *)to, narrow_i16(x));
}

INLINE void
line_stream_i16(char *to, struct line x)
{
	_mm256_stream_si256((__m256i *)(void *)to, narrow_i16(x));
}

INLINE __m256
power(__m256 x)
{
	return _mm256_and_ps(
		x, _mm256_castsi256_ps(_mm256_set1_epi32(0x7F800000)));
}

INLINE struct line
line_power(struct line x)
{
	return (struct line) { power(x.low), power(x.high) };
}

INLINE __m256
inverse_power(__m256 x)
{
	__m256i exponent = _mm256_castps_si256(power(x));

	return _mm256_castsi256_ps(
		_mm256_sub_epi32(_mm256_set1_epi32(0x7F000000), exponent));
}

INLINE struct line
line_inverse_power(struct line x)
{
	return (struct line) { inverse_power(x.low), inverse_power(x.high) };
}

/* The minimum of a NaN and another number is that number. */
INLINE __m256
round_i16(__m256 x)
{
	__m256 whole = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT |
						  _MM_FROUND_NO_EXC);

	whole = _mm256_min_ps(whole, _mm256_set1_ps(32767.0F));
	return _mm256_max_ps(whole, _mm256_set1_ps(-32767.0F));
}

INLINE struct line
line_round_i16(struct line x)
{
	return (struct line) { round_i16(x.low), round_i16(x.high) };
}

INLINE void
line_store(char *to, struct line x)
{
	_mm256_storeu_ps((float *)(void *)to, x.low);
	_mm256_storeu_ps((float *)(void *)(to + 32), x.high);
}

INLINE void
line_stream(char *to, struct line x)
{
	_mm256_stream_ps((float *)(void *)to, x.low);
	_mm256_stream_ps((float *)(void *)(to + 32), x.high);
}

INLINE struct line
line_add(struct line a, struct line b)
{
	return (struct line) {
		_mm256_add_ps(a.low, b.low),
		_mm256_add_ps(a.high, b.high),
	};
}

INLINE struct line
line_subtract(struct line a, struct line b)
{
	return (struct line) {
		_mm256_sub_ps(a.low, b.low),
		_mm256_sub_ps(a.high, b.high),
	};
}

INLINE struct line
line_multiply(struct line a, struct line b)
{
	return (struct line) {
		_mm256_mul_ps(a.low, b.low),
		_mm256_mul_ps(a.high, b.high),
	};
}

INLINE struct line
line_fma(struct line a, struct line b, struct line c)
{
	return (struct line) {
		_mm256_fmadd_ps(a.low, b.low, c.low),
		_mm256_fmadd_ps(a.high, b.high, c.high),
	};
}

INLINE struct line
line_select(bool first, struct line a, struct line b)
{
	__m256 mask = _mm256_castsi256_ps(_mm256_set1_epi32(first ? -1 : 0));

	return (struct line) {
		_mm256_blendv_ps(b.low, a.low, mask),
		_mm256_blendv_ps(b.high, a.high, mask),
	};
}

INLINE bool
line_is_zero(struct line x)
{
	__m256 zero = _mm256_setzero_ps();
	__m256 low = _mm256_cmp_ps(x.low, zero, _CMP_EQ_OQ);
	__m256 high = _mm256_cmp_ps(x.high, zero, _CMP_EQ_OQ);

	return _mm256_movemask_ps(_mm256_and_ps(low, high)) == 0xFF;
}

INLINE struct wide
wide_splat(double x)
{
	return (struct wide) { _mm256_set1_pd(x), _mm256_set1_pd(x) };
}

INLINE struct wide
wide_load(const char *from)
{
	return (struct wide) {
		_mm256_loadu_pd((const double *)(const void *)from),
		_mm256_loadu_pd((const double *)(const void *)(from + 32)),
	};
}

INLINE void
wide_store(char *to, struct wide x)
{
	_mm256_storeu_pd((double *)(void *)to, x.low);
	_mm256_storeu_pd((double *)(void *)(to + 32), x.high);
}

INLINE void
wide_stream(char *to, struct wide x)
{
	_mm256_stream_pd((double *)(void *)to, x.low);
	_mm256_stream_pd((double *)(void *)(to + 32), x.high);
}

INLINE struct wide
wide_add(struct wide a, struct wide b)
{
	return (struct wide) {
		_mm256_add_pd(a.low, b.low),
		_mm256_add_pd(a.high, b.high),
	};
}

INLINE struct wide
wide_subtract(struct wide a, struct wide b)
{
	return (struct wide) {
		_mm256_sub_pd(a.low, b.low),
		_mm256_sub_pd(a.high, b.high),
	};
}

INLINE struct wide
wide_multiply(struct wide a, struct wide b)
{
	return (struct wide) {
		_mm256_mul_pd(a.low, b.low),
		_mm256_mul_pd(a.high, b.high),
	};
}

INLINE struct wide
wide_fma(struct wide a, struct wide b, struct wide c)
{
	return (struct wide) {
		_mm256_fmadd_pd(a.low, b.low, c.low),
		_mm256_fmadd_pd(a.high, b.high, c.high),
	};
}

INLINE struct wide
wide_select(bool first, struct wide a, struct wide b)
{
	__m256d mask = _mm256_castsi256_pd(_mm256_set1_epi32(first ? -1 : 0));

	return (struct wide) {
		_mm256_blendv_pd(b.low, a.low, mask),
		_mm256_blendv_pd(b.high, a.high, mask),
	};
}

INLINE bool
wide_is_zero(struct wide x)
{
	__m256d zero = _mm256_setzero_pd();
	__m256d low = _mm256_cmp_pd(x.low, zero, _CMP_EQ_OQ);
	__m256d high = _mm256_cmp_pd(x.high, zero, _CMP_EQ_OQ);

	return _mm256_movemask_pd(_mm256_and_pd(low, high)) == 0xF;
}

INLINE struct wide
line_widen(struct line x, unsigned int half)
{
	__m256 part = half ? x.high : x.low;

	return (struct wide) {
		_mm256_cvtps_pd(_mm256_castps256_ps128(part)),
		_mm256_cvtps_pd(_mm256_extractf128_ps(part, 1)),
	};
}

INLINE __m256
narrow(struct wide x)
{
	__m256 low = _mm256_castps128_ps256(_mm256_cvtpd_ps(x.low));

	return _mm256_insertf128_ps(low, _mm256_cvtpd_ps(x.high), 1);
}

INLINE struct line
wide_narrow(struct wide low, struct wide high)
{
	return (struct line) { narrow(low), narrow(high) };
}

INLINE void
prefetch(const char *at)
{
	_mm_prefetch(at, _MM_HINT_T0);
}

INLINE void
stream_end(void)
{
	_mm_sfence();
}

#include "daemon/core/kernel_body.h"

#endif
