/*
 * The kernel with AVX-512: a line is one register.
 */
#include "daemon/core/kernel.h"

#if defined(__x86_64__)

#include <immintrin.h>

#define TARGET                                                                 \
	__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,"            \
			      "avx2,fma,f16c")))
#define INLINE  TARGET static inline __attribute__((always_inline))
#define KERNEL  kernel_avx512
#define NAME    "avx512"
#define STREAMS true
#define FUSES   true
#define LINE    16
#define WIDE    8

struct line {
	__m512 v;
};

struct wide {
	__m512d v;
};

INLINE struct line
line_splat(float x)
{
	return (struct line) { _mm512_set1_ps(x) };
}

INLINE struct line
line_load_f32(const char *from)
{
	return (struct line) { _mm512_loadu_ps(from) };
}

INLINE struct line
line_load_bf16(const char *from)
{
	__m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)from);
	__m512i wider = _mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16);

	return (struct line) { _mm512_castsi512_ps(wider) };
}

INLINE struct line
line_load_f16(const char *from)
{
	__m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)from);

	return (struct line) { _mm512_cvtph_ps(bits) };
}

INLINE __m256i
load_bytes(const char *from)
{
	return _mm256_cvtepu8_epi16(
		_mm_loadu_si128((const __m128i *)(const void *)from));
}

/* The upper half of a float16. */
INLINE struct line
line_load_f8_e5m2(const char *from)
{
	__m256i bits = _mm256_slli_epi16(load_bytes(from), 8);

	return (struct line) { _mm512_cvtph_ps(bits) };
}

/* No infinities, one NaN of each sign; else a float16 with another bias. */
INLINE struct line
line_load_f8_e4m3(const char *from)
{
	__m256i bits = load_bytes(from);
	__m256i sign = _mm256_and_si256(bits, _mm256_set1_epi16(0x80));
	__m256i rest = _mm256_and_si256(bits, _mm256_set1_epi16(0x7F));
	__mmask16 nan = _mm256_cmpeq_epi16_mask(rest, _mm256_set1_epi16(0x7F));
	__m256i half = _mm256_or_si256(_mm256_slli_epi16(sign, 8),
				       _mm256_slli_epi16(rest, 7));
	__m512i signs = _mm512_slli_epi32(_mm512_cvtepu16_epi32(sign), 24);
	__m512i nans = _mm512_or_si512(signs, _mm512_set1_epi32(0x7FC00000));
	__m512 x = _mm512_mul_ps(_mm512_cvtph_ps(half), _mm512_set1_ps(256.0F));

	return (struct line) { _mm512_mask_mov_ps(x, nan,
						  _mm512_castsi512_ps(nans)) };
}

INLINE struct line
line_load_i16(const char *from)
{
	__m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)from);

	return (struct line) { _mm512_cvtepi32_ps(
		_mm512_cvtepi16_epi32(bits)) };
}

/* Integers that fit. */
INLINE __m256i
narrow_i16(struct line x)
{
	return _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x.v));
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

INLINE struct line
line_power(struct line x)
{
	__m512i exponent = _mm512_and_si512(_mm512_castps_si512(x.v),
					    _mm512_set1_epi32(0x7F800000));

	return (struct line) { _mm512_castsi512_ps(exponent) };
}

INLINE struct line
line_inverse_power(struct line x)
{
	__m512i exponent = _mm512_castps_si512(line_power(x).v);

	return (struct line) { _mm512_castsi512_ps(
		_mm512_sub_epi32(_mm512_set1_epi32(0x7F000000), exponent)) };
}

/* The minimum of a NaN and another number is that number. */
INLINE struct line
line_round_i16(struct line x)
{
	__m512 whole = _mm512_roundscale_ps(x.v, _MM_FROUND_TO_NEAREST_INT |
							 _MM_FROUND_NO_EXC);

	whole = _mm512_min_ps(whole, _mm512_set1_ps(32767.0F));
	return (struct line) { _mm512_max_ps(whole,
					     _mm512_set1_ps(-32767.0F)) };
}

INLINE void
line_store(char *to, struct line x)
{
	_mm512_storeu_ps(to, x.v);
}

INLINE void
line_stream(char *to, struct line x)
{
	_mm512_stream_ps((float *)(void *)to, x.v);
}

INLINE struct line
line_add(struct line a, struct line b)
{
	return (struct line) { _mm512_add_ps(a.v, b.v) };
}

INLINE struct line
line_subtract(struct line a, struct line b)
{
	return (struct line) { _mm512_sub_ps(a.v, b.v) };
}

INLINE struct line
line_multiply(struct line a, struct line b)
{
	return (struct line) { _mm512_mul_ps(a.v, b.v) };
}

INLINE struct line
line_fma(struct line a, struct line b, struct line c)
{
	return (struct line) { _mm512_fmadd_ps(a.v, b.v, c.v) };
}

INLINE struct line
line_select(bool first, struct line a, struct line b)
{
	__mmask16 mask = first ? 0xFFFF : 0;

	return (struct line) { _mm512_mask_mov_ps(b.v, mask, a.v) };
}

INLINE bool
line_is_zero(struct line x)
{
	return _mm512_cmp_ps_mask(x.v, _mm512_setzero_ps(), _CMP_EQ_OQ) ==
	       0xFFFF;
}

INLINE struct wide
wide_splat(double x)
{
	return (struct wide) { _mm512_set1_pd(x) };
}

INLINE struct wide
wide_load(const char *from)
{
	return (struct wide) { _mm512_loadu_pd(from) };
}

INLINE void
wide_store(char *to, struct wide x)
{
	_mm512_storeu_pd(to, x.v);
}

INLINE void
wide_stream(char *to, struct wide x)
{
	_mm512_stream_pd((double *)(void *)to, x.v);
}

INLINE struct wide
wide_add(struct wide a, struct wide b)
{
	return (struct wide) { _mm512_add_pd(a.v, b.v) };
}

INLINE struct wide
wide_subtract(struct wide a, struct wide b)
{
	return (struct wide) { _mm512_sub_pd(a.v, b.v) };
}

INLINE struct wide
wide_multiply(struct wide a, struct wide b)
{
	return (struct wide) { _mm512_mul_pd(a.v, b.v) };
}

INLINE struct wide
wide_fma(struct wide a, struct wide b, struct wide c)
{
	return (struct wide) { _mm512_fmadd_pd(a.v, b.v, c.v) };
}

INLINE struct wide
wide_select(bool first, struct wide a, struct wide b)
{
	__mmask8 mask = first ? 0xFF : 0;

	return (struct wide) { _mm512_mask_mov_pd(b.v, mask, a.v) };
}

INLINE bool
wide_is_zero(struct wide x)
{
	return _mm512_cmp_pd_mask(x.v, _mm512_setzero_pd(), _CMP_EQ_OQ) == 0xFF;
}

INLINE struct wide
line_widen(struct line x, unsigned int half)
{
	__m256 part = half ? _mm512_extractf32x8_ps(x.v, 1)
			   : _mm512_castps512_ps256(x.v);

	return (struct wide) { _mm512_cvtps_pd(part) };
}

INLINE struct line
wide_narrow(struct wide low, struct wide high)
{
	__m512 line = _mm512_castps256_ps512(_mm512_cvtpd_ps(low.v));

	return (struct line) { _mm512_insertf32x8(line, _mm512_cvtpd_ps(high.v),
						  1) };
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
