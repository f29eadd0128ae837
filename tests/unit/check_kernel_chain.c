/*
 * Several snapshots in one pass give what as many passes give, one after
 * another; check_kernel.c shows what one pass of one snapshot gives.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/core/kernel.h"
#include "proto/util.h"
#include "tests/lib/numbers.h"
#include "tests/unit/unit.h"

#define N_MAX     640
#define SHIFTS    16
#define GUARD     64
#define ROOM      ((N_MAX + 2 * SHIFTS) * 8 + 2 * GUARD)
#define REST_ROOM (2 * ROOM)

static const enum dtype averaged[] = {
	DTYPE_F32,     DTYPE_BF16, DTYPE_F16, DTYPE_F8_E4M3,
	DTYPE_F8_E5M2, DTYPE_F64,  DTYPE_C64,
};
#define N_AVERAGED ((int)array_size(averaged))

static const struct {
	enum kernel_operation operation;
	enum accumulator accumulator;
} kinds[] = {
	{ KERNEL_LERP, ACCUMULATOR_FLOAT32 },
	{ KERNEL_COPY, ACCUMULATOR_FLOAT32 },
	{ KERNEL_LERP, ACCUMULATOR_COMPENSATED },
	{ KERNEL_KEEP, ACCUMULATOR_FLOAT32 },
	{ KERNEL_LERP, ACCUMULATOR_FLOAT64 },
	{ KERNEL_LERP, ACCUMULATOR_FLOAT32 },
	{ KERNEL_KEEP, ACCUMULATOR_COMPENSATED },
	{ KERNEL_COPY, ACCUMULATOR_FLOAT64 },
	{ KERNEL_KEEP, ACCUMULATOR_FLOAT64 },
	{ KERNEL_COPY, ACCUMULATOR_COMPENSATED },
};
#define N_TARGETS array_size(kinds)

static const double weights[] = {
	0.1,   0.0001, 0.5, 0.75, 0.3, 0x1p-20, 0.999, 0.25,
	0.001, 0.6,    0.0, 0.05, 0.9, 1.0,     0.4,   0.01,
};

/* The versions of one target: of them, two take turns. */
struct files {
	_Alignas(64) char average[2][ROOM];
	_Alignas(64) char rest[2][REST_ROOM];
	double distance;
};

struct room {
	_Alignas(64) char snapshots[KERNEL_SNAPSHOTS_MAX][ROOM];
	const void *pointers[KERNEL_SNAPSHOTS_MAX];
	struct files start[N_TARGETS];
	struct files expected[N_TARGETS];
	struct files got[N_TARGETS];
	double norm;
};
static struct room room;

static void
fill_room(enum dtype dtype)
{
	enum dtype average = dtype_average(dtype);
	size_t n = N_MAX + SHIFTS;

	for (size_t j = 0; j < KERNEL_SNAPSHOTS_MAX; j++) {
		numbers_fill(dtype, room.snapshots[j], n);
		room.pointers[j] = room.snapshots[j] +
				   (j * 5 + 1) % SHIFTS * numbers_size(dtype);
	}
	for (size_t k = 0; k < N_TARGETS; k++) {
		struct files *files = &room.start[k];

		memset(files, 0x55, sizeof *files);
		numbers_fill(average, files->average[0], n);
		if (kinds[k].accumulator == ACCUMULATOR_FLOAT64)
			numbers_fill(DTYPE_F64, files->rest[0], n);
		else
			numbers_fill_bits(files->rest[0], n * sizeof(int16_t));
	}
}

/* A target that goes on from file @from of @files, @shift numbers in. */
static struct kernel_target
make_target(enum dtype dtype, size_t k, struct files *files, size_t from,
	    size_t shift)
{
	size_t at = GUARD + shift * numbers_size(dtype_average(dtype));
	bool is_double = kinds[k].accumulator == ACCUMULATOR_FLOAT64;
	size_t rest_at = GUARD + shift * (is_double ? 8 : 2);

	return (struct kernel_target) {
		.operation = kinds[k].operation,
		.accumulator = kinds[k].accumulator,
		.current = files->average[from] + at,
		.next = files->average[!from] + at,
		.rest = files->rest[from] + rest_at,
		.next_rest = files->rest[!from] + rest_at,
		.distance = &files->distance,
	};
}

static struct kernel_tile
make_tile(enum dtype dtype, size_t n, size_t n_snapshots)
{
	return (struct kernel_tile) {
		.dtype = dtype,
		.n_elements = n,
		.n_snapshots = n_snapshots,
		.snapshots = room.pointers,
		.check = true,
		.norm = &room.norm,
	};
}

/* Make file 1 of each of room.expected, one snapshot at a time. */
static void
run_one_by_one(const struct kernel_tile *tile, size_t shift)
{
	struct kernel_target target;
	struct kernel_tile single = *tile;

	single.n_snapshots = 1;
	single.n_targets = 1;
	single.targets = &target;
	for (size_t k = 0; k < N_TARGETS; k++) {
		struct files *files = &room.expected[k];

		*files = room.start[k];
		for (size_t j = 0; j < tile->n_snapshots; j++) {
			target = make_target(tile->dtype, k, files, 0, shift);
			target.weights = &weights[j];
			single.snapshots = &room.pointers[j];
			ck_assert(kernel_generic.run(&single));
			if (j + 1 == tile->n_snapshots)
				break;
			memcpy(files->average[0], files->average[1], ROOM);
			memcpy(files->rest[0], files->rest[1], REST_ROOM);
		}
	}
}

static void
assert_as_one_by_one(const struct kernel *kernel,
		     const struct kernel_tile *tile)
{
	for (size_t k = 0; k < tile->n_targets; k++) {
		const struct files *want = &room.expected[k];
		const struct files *got = &room.got[k];

		/* Guards and all. */
		if (memcmp(want->average[1], got->average[1], ROOM) != 0 ||
		    memcmp(want->rest[1], got->rest[1], REST_ROOM) != 0 ||
		    !numbers_same(want->distance, got->distance))
			ck_abort_msg("%s: %s, %zu elements, %zu snapshots, "
				     "target %zu: other bits",
				     kernel->name, dtype_name(tile->dtype),
				     tile->n_elements, tile->n_snapshots, k);
	}
}

static void
compare(enum dtype dtype, size_t n, size_t n_snapshots, size_t shift)
{
	struct kernel_target targets[N_TARGETS];
	struct kernel_tile tile = make_tile(dtype, n, n_snapshots);
	double norm;

	run_one_by_one(&tile, shift);
	norm = room.norm;
	tile.targets = targets;
	tile.n_targets = N_TARGETS;
	for (size_t i = 0; kernel_all()[i]; i++) {
		const struct kernel *kernel = kernel_all()[i];

		memcpy(room.got, room.start, sizeof room.got);
		for (size_t k = 0; k < N_TARGETS; k++) {
			targets[k] =
				make_target(dtype, k, &room.got[k], 0, shift);
			targets[k].weights = weights;
		}
		tile.stream = (n + shift + n_snapshots) % 2;
		ck_assert(kernel->run(&tile));
		kernel->finish();
		assert_as_one_by_one(kernel, &tile);
		/* The last kind of target is no KEEP, so there is a norm. */
		ck_assert(numbers_same(norm, room.norm));
	}
}

START_TEST(any_number_of_snapshots_gives_what_one_after_another_give)
{
	static const size_t lengths[] = { 0,  1,  7,  8,   15,  16,
					  17, 33, 64, 100, 256, 291 };
	enum dtype dtype = averaged[_i];

	fill_room(dtype);
	for (size_t m = 1; m <= KERNEL_SNAPSHOTS_MAX; m++)
		for (size_t i = 0; i < array_size(lengths); i++)
			compare(dtype, lengths[i], m, (m + i) % SHIFTS);
}
END_TEST

START_TEST(any_length_gives_what_one_after_another_give)
{
	enum dtype dtype = averaged[_i];

	fill_room(dtype);
	for (size_t n = 0; n < 150; n++)
		compare(dtype, n, 2 + n % 4, n * 7 % SHIFTS);
}
END_TEST

START_TEST(any_misalignment_gives_what_one_after_another_give)
{
	enum dtype dtype = averaged[_i];

	fill_room(dtype);
	for (size_t shift = 0; shift < SHIFTS; shift++) {
		compare(dtype, 300, 3, shift);
		compare(dtype, 301, 16, shift);
	}
}
END_TEST

START_TEST(types_that_are_not_averaged_take_the_last_snapshot)
{
	static const enum dtype copied[] = { DTYPE_BOOL, DTYPE_I16, DTYPE_I64 };
	enum dtype dtype = copied[_i];
	size_t size = N_MAX * dtype_bits(dtype) / 8;
	struct kernel_target targets[N_TARGETS];
	struct kernel_tile tile = make_tile(dtype, N_MAX, 5);

	fill_room(DTYPE_F64);
	tile.targets = targets;
	tile.n_targets = N_TARGETS;
	for (size_t i = 0; kernel_all()[i]; i++) {
		memcpy(room.got, room.start, sizeof room.got);
		for (size_t k = 0; k < N_TARGETS; k++)
			targets[k] =
				make_target(DTYPE_U8, k, &room.got[k], 0, 0);
		tile.stream = i % 2;
		ck_assert(kernel_all()[i]->run(&tile));
		kernel_all()[i]->finish();
		for (size_t k = 0; k < N_TARGETS; k++) {
			bool is_kept = targets[k].operation == KERNEL_KEEP;

			ck_assert_mem_eq(targets[k].next,
					 is_kept ? targets[k].current
						 : room.pointers[4],
					 size);
			ck_assert(room.got[k].distance == 0.0);
			ck_assert_mem_eq(room.got[k].rest[1],
					 room.start[k].rest[1], REST_ROOM);
		}
		ck_assert(room.norm == 0.0);
	}
}
END_TEST

/* Whether it is seen, of targets from @first on, @n_targets of them. */
static void
look(const struct kernel_tile *whole, size_t first, size_t n_targets,
     bool is_finite)
{
	struct kernel_tile tile = *whole;

	tile.targets += first;
	tile.n_targets = n_targets;
	for (size_t i = 0; kernel_all()[i]; i++) {
		const struct kernel *kernel = kernel_all()[i];

		tile.check = true;
		if (kernel->run(&tile) != is_finite)
			ck_abort_msg("%s: %s, targets %zu to %zu: %s",
				     kernel->name, dtype_name(tile.dtype),
				     first, first + n_targets,
				     is_finite ? "seen" : "not seen");
		tile.check = false;
		ck_assert(kernel->run(&tile));
	}
}

START_TEST(a_value_that_is_not_finite_is_seen_in_whichever_snapshot_it_is)
{
	enum dtype dtype = averaged[_i];
	size_t n = 300, n_snapshots = 6;
	size_t n_numbers = n * (dtype == DTYPE_C64 ? 2 : 1);
	const size_t places[] = { 0, 3, 16, 155, n_numbers - 1 };
	struct kernel_target targets[N_TARGETS];
	struct kernel_tile tile = make_tile(dtype, n, n_snapshots);

	fill_room(dtype);
	for (size_t k = 0; k < N_TARGETS; k++) {
		targets[k] = make_target(dtype, k, &room.start[k], 0, 5);
		targets[k].weights = weights;
	}
	tile.targets = targets;
	for (size_t j = 0; j < n_snapshots; j++)
		for (size_t i = 0; i < array_size(places); i++) {
			char *snapshot = (char *)(uintptr_t)room.pointers[j];

			tile.stream = i % 2;
			for (size_t k = 0; k < N_TARGETS; k++)
				look(&tile, k, 1, true);
			numbers_spoil(dtype, snapshot, places[i]);
			/* Each alone, none, all, and some together. */
			for (size_t k = 0; k < N_TARGETS; k++)
				look(&tile, k, 1, false);
			look(&tile, 0, 0, false);
			look(&tile, 0, N_TARGETS, false);
			look(&tile, 1, 3, false);
			look(&tile, 6, 4, false);
			numbers_fill(dtype, room.snapshots[j], N_MAX + SHIFTS);
		}
}
END_TEST

static Suite *
kernel_chain_suite(void)
{
	Suite *suite = suite_create("kernel_chain");
	TCase *tcase = tcase_create("kernel_chain");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(
		tcase,
		any_number_of_snapshots_gives_what_one_after_another_give, 0,
		N_AVERAGED);
	tcase_add_loop_test(tcase, any_length_gives_what_one_after_another_give,
			    0, N_AVERAGED);
	tcase_add_loop_test(tcase,
			    any_misalignment_gives_what_one_after_another_give,
			    0, N_AVERAGED);
	tcase_add_loop_test(tcase,
			    types_that_are_not_averaged_take_the_last_snapshot,
			    0, 3);
	tcase_add_loop_test(
		tcase,
		a_value_that_is_not_finite_is_seen_in_whichever_snapshot_it_is,
		0, N_AVERAGED);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(kernel_chain_suite)
