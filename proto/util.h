/*
 * The few helpers that every folder shares: invariants, checked arithmetic,
 * locals that clean up after themselves, and a refusal's sentence.
 */
#ifndef PROTO_UTIL_H
#define PROTO_UTIL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

/* A broken invariant is our bug: abort.  Never used on what a peer sends. */
#define must(condition)                                                        \
	do {                                                                   \
		if (__builtin_expect(!(condition), 0))                         \
			must_fail(#condition, __FILE__, __LINE__);             \
	} while (0)

_Noreturn void must_fail(const char *condition, const char *file, int line);

#define container_of(pointer, type, member)                                    \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define array_size(array) (sizeof(array) / sizeof((array)[0]))

/* A descriptor that its scope closes, unless take_fd() handed it over. */
static inline void
close_owned_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}
#define owned_fd __attribute__((cleanup(close_owned_fd))) int

static inline int
take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

/* A heap pointer that its scope frees, unless take_pointer() handed it over. */
static inline void
free_owned(void *pointer)
{
	free(*(void **)pointer);
}
#define owned_memory __attribute__((cleanup(free_owned)))

#define take_pointer(pointer)                                                  \
	({                                                                     \
		__typeof__(*(pointer)) taken_ = *(pointer);                    \
		*(pointer) = NULL;                                             \
		taken_;                                                        \
	})

/* Arithmetic that says whether it overflowed: true when the result is good. */
static inline bool
u64_add(uint64_t a, uint64_t b, uint64_t *ret_sum)
{
	return !__builtin_add_overflow(a, b, ret_sum);
}

static inline bool
u64_multiply(uint64_t a, uint64_t b, uint64_t *ret_product)
{
	return !__builtin_mul_overflow(a, b, ret_product);
}

/* @unit is a power of two.  The caller knows that it cannot overflow. */
static inline uint64_t
u64_round_up(uint64_t value, uint64_t unit)
{
	return (value + unit - 1) & ~(unit - 1);
}

/* malloc that aborts when there is no memory: for small, bounded objects. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *memory, size_t size) __attribute__((returns_nonnull));
char *xstrdup(const char *string) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull));

/*
 * The sentence that goes with a refusal: it names the thing and the cure.
 * Text that would not fit is cut, never in the middle of a UTF-8 character;
 * control characters, which names of tensors may hold, become "?".
 */
#define WHY_SIZE 512
struct why {
	char text[WHY_SIZE];
};

void why_set(struct why *why, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void why_vset(struct why *why, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

#endif
