#include "tests/bench/loops.h"

#include <string.h>

#ifdef __x86_64__

#include <immintrin.h>

/* Floats of an ordinary page, and of those that are walked in lock step. */
#define PAGE  ((size_t)1024)
#define GROUP (4 * PAGE)

/* One text for both instruction sets: @V is a vector of @width floats. */
#define DEFINE_LOOPS(isa, target_, V, width, p)                                \
	__attribute__((target(target_), always_inline)) static inline void     \
		traffic_line_##isa(float *out, const float *a, const float *b) \
	{                                                                      \
		for (size_t k = 0; k < 16; k += (width))                       \
			p##_stream_ps(out + k,                                 \
				      p##_max_ps(p##_loadu_ps(a + k),          \
						 p##_loadu_ps(b + k)));        \
	}                                                                      \
	__attribute__((target(target_))) static void traffic_##isa(            \
		float *out, const float *a, const float *b, size_t n,          \
		size_t distance)                                               \
	{                                                                      \
		for (size_t i = 0; i + 16 <= n; i += 16) {                     \
			if (distance > 0) {                                    \
				_mm_prefetch((const char *)(a + i) + distance, \
					     _MM_HINT_T0);                     \
				_mm_prefetch((const char *)(b + i) + distance, \
					     _MM_HINT_T0);                     \
			}                                                      \
			traffic_line_##isa(out + i, a + i, b + i);             \
		}                                                              \
		_mm_sfence();                                                  \
	}                                                                      \
	__attribute__((target(target_))) static void traffic_pages_##isa(      \
		float *out, const float *a, const float *b, size_t n)          \
	{                                                                      \
		size_t i = 0;                                                  \
                                                                               \
		for (; i + GROUP <= n; i += GROUP)                             \
			for (size_t k = i; k < i + PAGE; k += 16)              \
				for (size_t at = k; at < k + GROUP;            \
				     at += PAGE)                               \
					traffic_line_##isa(out + at, a + at,   \
							   b + at);            \
		traffic_##isa(out + i, a + i, b + i, n - i, 0);                \
	}                                                                      \
	__attribute__((target(target_))) static void lerp_##isa(               \
		float *average, const float *values, size_t n, float weight)   \
	{                                                                      \
		size_t i = 0;                                                  \
		V w = p##_set1_ps(weight);                                     \
                                                                               \
		for (; i + (width) <= n; i += (width)) {                       \
			V e = p##_loadu_ps(average + i);                       \
			V d = p##_sub_ps(p##_loadu_ps(values + i), e);         \
			p##_storeu_ps(average + i, p##_fmadd_ps(d, w, e));     \
		}                                                              \
		for (; i < n; i++)                                             \
			average[i] += weight * (values[i] - average[i]);       \
	}                                                                      \
	__attribute__((target(target_))) static void copy_##isa(               \
		float *out, const float *from, size_t n, size_t distance)      \
	{                                                                      \
		for (size_t i = 0; i + 16 <= n; i += 16) {                     \
			if (distance > 0)                                      \
				_mm_prefetch((const char *)(from + i) +        \
						     distance,                 \
					     _MM_HINT_T0);                     \
			for (size_t k = i; k < i + 16; k += (width))           \
				p##_stream_ps(out + k,                         \
					      p##_loadu_ps(from + k));         \
		}                                                              \
		_mm_sfence();                                                  \
	}

DEFINE_LOOPS(avx512, "avx512f,avx2,fma", __m512, 16, _mm512)
DEFINE_LOOPS(avx2, "avx2,fma", __m256, 8, _mm256)

#define CHOOSE(loop, ...)                                                      \
	do {                                                                   \
		if (__builtin_cpu_supports("avx512f"))                         \
			loop##_avx512(__VA_ARGS__);                            \
		else if (__builtin_cpu_supports("avx2") &&                     \
			 __builtin_cpu_supports("fma"))                        \
			loop##_avx2(__VA_ARGS__);                              \
		else                                                           \
			loop##_plain(__VA_ARGS__);                             \
	} while (0)

#else
#define CHOOSE(loop, ...) loop##_plain(__VA_ARGS__)
#endif

static void
traffic_plain(float *out, const float *a, const float *b, size_t n,
	      size_t distance)
{
	(void)distance;
	for (size_t i = 0; i < n; i++)
		out[i] = a[i] > b[i] ? a[i] : b[i];
}

static void
traffic_pages_plain(float *out, const float *a, const float *b, size_t n)
{
	traffic_plain(out, a, b, n, 0);
}

static void
lerp_plain(float *average, const float *values, size_t n, float weight)
{
	for (size_t i = 0; i < n; i++)
		average[i] += weight * (values[i] - average[i]);
}

static void
copy_plain(float *out, const float *from, size_t n, size_t distance)
{
	(void)distance;
	memcpy(out, from, n * sizeof *out);
}

void
loop_traffic(float *out, const float *a, const float *b, size_t n,
	     size_t distance)
{
	CHOOSE(traffic, out, a, b, n, distance);
}

void
loop_traffic_pages(float *out, const float *a, const float *b, size_t n)
{
	CHOOSE(traffic_pages, out, a, b, n);
}

void
loop_lerp(float *average, const float *values, size_t n, float weight)
{
	CHOOSE(lerp, average, values, n, weight);
}

void
loop_copy(float *out, const float *from, size_t n, size_t distance)
{
	CHOOSE(copy, out, from, n, distance);
}
