/*
 * Every kernel against a reference that is written here once more, in the
 * plainest way: one element at a time, conversions by arithmetic.
 */
#include "daemon/core/kernel.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/util.h"
#include "tests/lib/numbers.h"
#include "tests/unit/unit.h"

#define N_MAX     1100
#define GUARD     64 /* bytes around what a kernel may write */
#define N_TARGETS 11 /* groups of 4, 2 and 1 */
#define ROOM      (N_MAX * 8 + 4 * GUARD)

static const enum dtype averaged[] = {
	DTYPE_F32,     DTYPE_BF16, DTYPE_F16, DTYPE_F8_E4M3,
	DTYPE_F8_E5M2, DTYPE_F64,  DTYPE_C64,
};

static const double weights[] = { 0.1, 0.0001, 0.5, 0.75, 1.0, 0.0, 0.3 };

static double
lerp(enum dtype dtype, double weight, double average, double parameter)
{
	float w = (float)weight, e = (float)average, p = (float)parameter;
	float d = p - e;

	if (dtype == DTYPE_F64) {
		double wide = parameter - average;

		return weight < 0.5 ? fma(weight, wide, average)
				    : fma(-wide, 1.0 - weight, parameter);
	}
	if (dtype == DTYPE_C64) {
		float product = w < 0.5F ? w * d : d * (1.0F - w);

		return (double)(w < 0.5F ? e + product : p - product);
	}
	return (double)(w < 0.5F ? fmaf(w, d, e) : fmaf(-d, 1.0F - w, p));
}

static double
expect(const struct kernel_tile *tile, const struct kernel_target *target,
       size_t i)
{
	double p = numbers_read(tile->dtype, tile->snapshots[0], i);
	enum dtype dtype = dtype_average(tile->dtype);
	double e = 0.0;

	if (target->operation == KERNEL_COPY)
		return p;
	if (target->operation == KERNEL_INIT)
		return lerp(tile->dtype, target->weights[0], p, p);
	e = numbers_read(dtype, target->current, i);
	if (target->operation == KERNEL_KEEP)
		return e;
	return lerp(tile->dtype, target->weights[0], e, p);
}

struct room {
	_Alignas(64) char snapshot[ROOM];
	_Alignas(64) char current[N_TARGETS][ROOM];
	_Alignas(64) char next[N_TARGETS][ROOM];
	struct kernel_target targets[N_TARGETS];
	const void *first_snapshot;
};
static struct room room;

static size_t
count_numbers(const struct kernel_tile *tile)
{
	return tile->n_elements * (tile->dtype == DTYPE_C64 ? 2 : 1);
}

static bool
is_untouched(const char *guard)
{
	for (size_t i = 0; i < GUARD; i++)
		if (guard[i] != 0x55)
			return false;
	return true;
}

/* Every target's numbers, and that nothing around them was touched. */
static void
assert_expected(const struct kernel *kernel, const struct kernel_tile *tile)
{
	enum dtype dtype = dtype_average(tile->dtype);
	size_t size = tile->n_elements * dtype_bits(dtype) / 8;

	for (size_t k = 0; k < tile->n_targets; k++) {
		const struct kernel_target *target = &tile->targets[k];
		const char *next = target->next;

		for (size_t i = 0; i < count_numbers(tile); i++) {
			double want = expect(tile, target, i);
			double got = numbers_read(dtype, next, i);

			if (!numbers_same(want, got))
				ck_abort_msg("%s: %s, element %zu of %zu, "
					     "target %zu: %a, not %a",
					     kernel->name,
					     dtype_name(tile->dtype), i,
					     tile->n_elements, k, got, want);
		}
		if (!is_untouched(next - GUARD) || !is_untouched(next + size))
			ck_abort_msg("%s: %s, %zu elements, target %zu: "
				     "written out of bounds",
				     kernel->name, dtype_name(tile->dtype),
				     tile->n_elements, k);
	}
}

/* A tile whose arrays begin @shift elements past a line of the cache. */
static struct kernel_tile
make_tile(enum dtype dtype, size_t n, size_t shift, bool stream)
{
	size_t size = numbers_size(dtype);
	size_t average_size = numbers_size(dtype_average(dtype));
	size_t first = GUARD + shift * average_size;

	memset(room.next, 0x55, sizeof room.next);
	for (size_t k = 0; k < N_TARGETS; k++)
		room.targets[k] = (struct kernel_target) {
			.operation = k == 3   ? KERNEL_KEEP
				     : k == 5 ? KERNEL_COPY
				     : k == 7 ? KERNEL_INIT
					      : KERNEL_LERP,
			.weights = &weights[k % array_size(weights)],
			/* Not aligned as the next one is. */
			.current = room.current[k] + average_size * (k % 3),
			.next = room.next[k] + first,
		};
	room.first_snapshot = room.snapshot + size * (shift % 7);
	return (struct kernel_tile) {
		.dtype = dtype,
		.n_elements = n,
		.n_snapshots = 1,
		.snapshots = &room.first_snapshot,
		.n_targets = N_TARGETS,
		.targets = room.targets,
		.stream = stream,
	};
}

static void
run_all(const struct kernel_tile *tile, bool want)
{
	for (size_t i = 0; kernel_all()[i]; i++) {
		const struct kernel *kernel = kernel_all()[i];

		memset(room.next, 0x55, sizeof room.next);
		if (kernel->run(tile) != want)
			ck_abort_msg("%s: %s, %zu elements", kernel->name,
				     dtype_name(tile->dtype), tile->n_elements);
		kernel->finish();
		assert_expected(kernel, tile);
	}
}

static void
fill_room(enum dtype dtype)
{
	size_t n = N_MAX + 16;

	numbers_fill(dtype, room.snapshot, n);
	for (size_t k = 0; k < N_TARGETS; k++)
		numbers_fill(dtype_average(dtype), room.current[k], n);
}

START_TEST(every_length_gives_the_reference_bits)
{
	enum dtype dtype = averaged[_i];
	size_t most = dtype == DTYPE_C64 ? N_MAX / 2 : N_MAX;

	fill_room(dtype);
	for (size_t n = 0; n <= 300; n++) {
		struct kernel_tile tile = make_tile(dtype, n, n % 16, n & 1);

		tile.check = true;
		run_all(&tile, true);
	}
	for (size_t n = most - 40; n <= most - 16; n++) {
		struct kernel_tile tile = make_tile(dtype, n, 0, n & 1);

		run_all(&tile, true);
	}
}
END_TEST

START_TEST(every_misalignment_gives_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	fill_room(dtype);
	for (size_t shift = 0; shift < 16; shift++) {
		for (size_t n = 95; n < 99; n++) {
			struct kernel_tile tile =
				make_tile(dtype, n, shift, true);

			run_all(&tile, true);
			tile.stream = false;
			run_all(&tile, true);
		}
	}
}
END_TEST

START_TEST(any_number_of_targets_gives_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	fill_room(dtype);
	for (size_t n = 0; n <= N_TARGETS; n++) {
		struct kernel_tile tile = make_tile(dtype, 77, 1, n & 1);

		for (size_t k = 0; k < N_TARGETS; k++)
			room.targets[k].operation = KERNEL_LERP;
		tile.n_targets = n;
		tile.check = true;
		run_all(&tile, true);
	}
}
END_TEST

START_TEST(any_bits_give_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	for (size_t round = 0; round < 20; round++) {
		struct kernel_tile tile = make_tile(dtype, 500, round, true);

		numbers_fill_bits(room.snapshot, sizeof room.snapshot);
		numbers_fill_bits((char *)room.current, sizeof room.current);
		run_all(&tile, true);
	}
}
END_TEST

START_TEST(special_values_give_the_reference_bits)
{
	static const float values[] = {
		0.0F,
		-0.0F,
		1.0F,
		-1.0F,
		0x1p-149F,
		-0x1p-149F,
		0x1.fffffep-127F,
		0x1p-126F,
		0x1.fffffep127F,
		-0x1.fffffep127F,
		INFINITY,
		-INFINITY,
		NAN,
	};
	size_t n = array_size(values) * array_size(values);
	struct kernel_tile tile = make_tile(DTYPE_F32, n, 0, false);

	for (size_t i = 0; i < n; i++) {
		memcpy(room.snapshot + 4 * i, &values[i % array_size(values)],
		       4);
		for (size_t k = 0; k < N_TARGETS; k++)
			memcpy(room.current[k] + 4 * (i + k % 3),
			       &values[i / array_size(values)], 4);
	}
	run_all(&tile, true);
}
END_TEST

START_TEST(all_numbers_of_small_types_are_converted_alike)
{
	enum dtype dtype = averaged[_i];
	size_t size = numbers_size(dtype);
	struct kernel_target target = { .operation = KERNEL_COPY };
	float *generic = xcalloc(65536, sizeof *generic);
	float *other = xcalloc(65536, sizeof *other);
	uint16_t *bits = xcalloc(65536, sizeof *bits);
	const void *snapshot = bits;
	struct kernel_tile tile = {
		.dtype = dtype,
		.n_elements = 65536,
		.n_snapshots = 1,
		.snapshots = &snapshot,
		.n_targets = 1,
		.targets = &target,
	};

	if (size > 2)
		tile.n_elements = 0;
	for (size_t i = 0; i < 65536; i++)
		bits[i] = (uint16_t)(size == 2 ? i : (i % 128) * 0x0201);
	target.next = generic;
	kernel_generic.run(&tile);
	for (size_t k = 0; kernel_all()[k]; k++) {
		target.next = other;
		kernel_all()[k]->run(&tile);
		ck_assert_mem_eq(generic, other, 65536 * sizeof *other);
	}
	free(generic);
	free(other);
	free(bits);
}
END_TEST

START_TEST(one_value_that_is_not_finite_is_seen_wherever_it_is)
{
	enum dtype dtype = averaged[_i];
	size_t per_element = dtype == DTYPE_C64 ? 2 : 1;

	for (size_t at = 0; at < 70 * per_element; at++) {
		struct kernel_tile tile = make_tile(dtype, 70, at % 16, at & 1);
		char *snapshot = (char *)(uintptr_t)tile.snapshots[0];

		fill_room(dtype);
		numbers_spoil(dtype, snapshot, at);
		ck_assert_uint_eq(kernel_find_not_finite(dtype, snapshot, 70),
				  at / per_element);
		run_all(&tile, true);
		tile.check = true;
		run_all(&tile, false);
		for (size_t k = 0; k < N_TARGETS; k++)
			room.targets[k].operation = KERNEL_KEEP;
		run_all(&tile, false);
		tile.n_elements = at / per_element;
		run_all(&tile, true);
	}
}
END_TEST

START_TEST(types_that_are_not_averaged_are_copied_or_kept)
{
	static const enum dtype copied[] = {
		DTYPE_BOOL, DTYPE_F4,  DTYPE_F6_E2M3,
		DTYPE_I16,  DTYPE_U32, DTYPE_I64,
	};
	enum dtype dtype = copied[_i];

	numbers_fill_bits(room.snapshot, sizeof room.snapshot);
	numbers_fill_bits((char *)room.current, sizeof room.current);
	for (size_t n = 0; n < 400; n += 4) {
		size_t size = n * dtype_bits(dtype) / 8;
		struct kernel_target targets[] = {
			{ .operation = KERNEL_COPY,
			  .next = room.next[0] + GUARD + n % 64 },
			{ .operation = KERNEL_KEEP,
			  .current = room.current[1] + 1,
			  .next = room.next[1] + GUARD },
		};
		const void *snapshot = room.snapshot;
		struct kernel_tile tile = {
			.dtype = dtype,
			.n_elements = n,
			.n_snapshots = 1,
			.snapshots = &snapshot,
			.n_targets = 2,
			.targets = targets,
			.check = true,
			.stream = n % 8 == 0,
		};

		for (size_t i = 0; kernel_all()[i]; i++) {
			memset(room.next, 0x55, sizeof room.next);
			ck_assert(kernel_all()[i]->run(&tile));
			ck_assert(
				!memcmp(targets[0].next, room.snapshot, size));
			ck_assert(!memcmp(targets[1].next, targets[1].current,
					  size));
			ck_assert_int_eq(room.next[1][GUARD - 1], 0x55);
			ck_assert_int_eq(room.next[1][GUARD + size], 0x55);
		}
	}
}
END_TEST

START_TEST(the_environment_chooses_among_the_kernels_there_are)
{
	const struct kernel *const *all = kernel_all();
	size_t n = 0;

	ck_assert_int_eq(unsetenv("EMAD_ISA"), 0);
	ck_assert_ptr_eq(kernel_choose(), all[0]);
	for (; all[n]; n++) {
		ck_assert_int_eq(setenv("EMAD_ISA", all[n]->name, 1), 0);
		ck_assert_ptr_eq(kernel_choose(), all[n]);
	}
	ck_assert_ptr_eq(all[n - 1], &kernel_generic);
	ck_assert_int_eq(setenv("EMAD_ISA", "abacus", 1), 0);
	ck_assert_ptr_null(kernel_choose());
}
END_TEST

static Suite *
kernel_suite(void)
{
	Suite *suite = suite_create("kernel");
	TCase *tcase = tcase_create("kernel");
	const int n = array_size(averaged);

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(tcase, every_length_gives_the_reference_bits, 0, n);
	tcase_add_loop_test(tcase, every_misalignment_gives_the_reference_bits,
			    0, n);
	tcase_add_loop_test(
		tcase, any_number_of_targets_gives_the_reference_bits, 0, n);
	tcase_add_loop_test(tcase, any_bits_give_the_reference_bits, 0, n);
	tcase_add_test(tcase, special_values_give_the_reference_bits);
	tcase_add_loop_test(
		tcase, all_numbers_of_small_types_are_converted_alike, 0, n);
	tcase_add_loop_test(tcase,
			    one_value_that_is_not_finite_is_seen_wherever_it_is,
			    0, n);
	tcase_add_loop_test(
		tcase, types_that_are_not_averaged_are_copied_or_kept, 0, 6);
	tcase_add_test(tcase,
		       the_environment_chooses_among_the_kernels_there_are);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(kernel_suite)
