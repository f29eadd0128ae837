#include "client/copy.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include "proto/util.h"

#define LINE  64
#define PAGE  4096
#define PAGES 8
#define BLOCK ((size_t)PAGES * PAGE)
#define AHEAD 2048 /* bytes that a linear copy prefetches */

#ifdef __x86_64__

#include <immintrin.h>

/*
 * The same text for each instruction set: @copy_line copies one cache line,
 * the destination aligned and past the caches, the source as it comes.
 */
#define DEFINE_COPY_LINES(name, isa, copy_line)                                \
	__attribute__((target(isa))) static void name##_linear(                \
		char *destination, const char *source, size_t size)            \
	{                                                                      \
		for (size_t at = 0; at < size; at += LINE) {                   \
			_mm_prefetch(source + at + AHEAD, _MM_HINT_T0);        \
			copy_line(destination + at, source + at);              \
		}                                                              \
	}                                                                      \
	__attribute__((target(isa))) static void name##_pages(                 \
		char *destination, const char *source, size_t size)            \
	{                                                                      \
		while (size >= BLOCK) {                                        \
			for (size_t at = 0; at < PAGE; at += LINE)             \
				for (size_t page = 0; page < BLOCK;            \
				     page += PAGE)                             \
					copy_line(destination + page + at,     \
						  source + page + at);         \
			destination += BLOCK;                                  \
			source += BLOCK;                                       \
			size -= BLOCK;                                         \
		}                                                              \
		for (size_t at = 0; at < size; at += LINE)                     \
			copy_line(destination + at, source + at);              \
	}

#define INLINE_FOR(isa)                                                        \
	__attribute__((always_inline, target(isa))) static inline void

INLINE_FOR("sse2") copy_line_sse2(char *destination, const char *source)
{
	__m128i *to = (__m128i *)(void *)destination;
	const __m128i *from = (const __m128i *)(const void *)source;

	for (size_t i = 0; i < LINE / sizeof *to; i++)
		_mm_stream_si128(to + i, _mm_loadu_si128(from + i));
}

INLINE_FOR("avx2") copy_line_avx2(char *destination, const char *source)
{
	__m256i *to = (__m256i *)(void *)destination;
	const __m256i *from = (const __m256i *)(const void *)source;

	for (size_t i = 0; i < LINE / sizeof *to; i++)
		_mm256_stream_si256(to + i, _mm256_loadu_si256(from + i));
}

INLINE_FOR("avx512f") copy_line_avx512(char *destination, const char *source)
{
	_mm512_stream_si512((__m512i *)(void *)destination,
			    _mm512_loadu_si512(source));
}

DEFINE_COPY_LINES(copy_lines_sse2, "sse2", copy_line_sse2)
DEFINE_COPY_LINES(copy_lines_avx2, "avx2", copy_line_avx2)
DEFINE_COPY_LINES(copy_lines_avx512, "avx512f", copy_line_avx512)

const struct copy_way *
copy_way(size_t index)
{
	static const struct copy_way all[] = {
		{ "avx512 linear", copy_lines_avx512_linear },
		{ "avx512 pages", copy_lines_avx512_pages },
		{ "avx2 linear", copy_lines_avx2_linear },
		{ "avx2 pages", copy_lines_avx2_pages },
		{ "sse2 linear", copy_lines_sse2_linear },
		{ "sse2 pages", copy_lines_sse2_pages },
	};
	size_t first = 4;

	if (__builtin_cpu_supports("avx2"))
		first = 2;
	if (__builtin_cpu_supports("avx512f"))
		first = 0;
	return index < array_size(all) - first ? &all[first + index] : NULL;
}

void
copy_finish(void)
{
	_mm_sfence();
}

#else

static void
copy_lines_generic(char *destination, const char *source, size_t size)
{
	memcpy(destination, source, size);
}

const struct copy_way *
copy_way(size_t index)
{
	static const struct copy_way generic = { "memcpy", copy_lines_generic };

	return index == 0 ? &generic : NULL;
}

/* Ordinary stores; sending the message orders them. */
void
copy_finish(void)
{
}

#endif

void
copy_stream(const struct copy_way *way, void *destination, const void *source,
	    size_t size)
{
	char *to = destination;
	const char *from = source;
	size_t head = -(uintptr_t)to % LINE;
	size_t lines;

	/* Memory that is written in part is better written in the cache. */
	if (size < PAGE) {
		if (size > 0)
			memcpy(to, from, size);
		return;
	}
	memcpy(to, from, head);
	lines = (size - head) & ~(size_t)(LINE - 1);
	way->copy_lines(to + head, from + head, lines);
	memcpy(to + head + lines, from + head + lines, size - head - lines);
}

static int64_t
time_copy(const struct copy_way *way, void *destination, const void *source,
	  size_t size)
{
	struct timespec before;
	struct timespec after;

	(void)clock_gettime(CLOCK_MONOTONIC, &before);
	copy_stream(way, destination, source, size);
	copy_finish();
	(void)clock_gettime(CLOCK_MONOTONIC, &after);
	return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) +
	       after.tv_nsec - before.tv_nsec;
}

const struct copy_way *
copy_choose(void *destination, const void *source, size_t size)
{
	const struct copy_way *ways[] = { copy_way(0), copy_way(1) };
	int64_t best[] = { INT64_MAX, INT64_MAX };

	if (!ways[1])
		return ways[0];
	for (int round = 0; round < 4; round++)
		for (size_t i = 0; i < array_size(ways); i++) {
			int64_t time =
				time_copy(ways[i], destination, source, size);

			best[i] = time < best[i] ? time : best[i];
		}
	return best[1] < best[0] ? ways[1] : ways[0];
}
