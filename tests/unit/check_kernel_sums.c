/*
 * What a kernel yields beside the averages, against a reference that is
 * written here once more, one element at a time: the accumulators' rests, and
 * the sums of squares, lane by lane.
 */
#include <math.h>
#include <string.h>

#include "daemon/core/kernel.h"
#include "proto/util.h"
#include "tests/lib/numbers.h"
#include "tests/unit/unit.h"

#define N_MAX     640 /* numbers */
#define SHIFTS    16
#define SNAPSHOTS 5
#define GUARD     64
#define ROOM      ((N_MAX + 2 * SHIFTS) * 8 + 2 * GUARD)
#define LANES     8

static const enum dtype averaged[] = {
	DTYPE_F32,     DTYPE_BF16, DTYPE_F16, DTYPE_F8_E4M3,
	DTYPE_F8_E5M2, DTYPE_C64,  DTYPE_F64,
};
#define N_AVERAGED ((int)array_size(averaged))
/* All but the last are kept in what their profile says. */
#define N_FLOATS (N_AVERAGED - 1)

static const double weights[SNAPSHOTS] = { 0.001, 0.3, 0.75, 1.0, 0x1p-25 };

static struct room {
	_Alignas(64) char snapshots[SNAPSHOTS][ROOM];
	_Alignas(64) char current[ROOM];
	_Alignas(64) char rest[ROOM];
	_Alignas(64) char next[ROOM];
	_Alignas(64) char next_rest[ROOM];
	_Alignas(64) char more_next[ROOM];
	const void *pointers[SNAPSHOTS];
	double distance, norm;
	/* One target; what a number of it has to be, and its rest. */
	struct kernel_target target;
	struct kernel_tile tile;
} room;

static size_t
count_numbers(void)
{
	return room.tile.n_elements * (room.tile.dtype == DTYPE_C64 ? 2 : 1);
}

static size_t
rest_size(void)
{
	return room.target.accumulator == ACCUMULATOR_FLOAT64 ? 8 : 2;
}

/* What one number has to become. */
struct expected {
	double next, rest;
	double last; /* of the last snapshot */
};

static void
add_compensated(struct expected *expected, float p, float w)
{
	int16_t k = (int16_t)expected->rest;

	expected->next = (double)numbers_add_compensated((float)expected->next,
							 &k, p, w);
	expected->rest = k;
}

/* A compensation is a number of 16 bits. */
static double
read_rest(const char *rest, size_t i)
{
	int16_t k;

	if (room.target.accumulator == ACCUMULATOR_FLOAT64)
		return numbers_read(DTYPE_F64, rest, i);
	memcpy(&k, rest + i * sizeof k, sizeof k);
	return k;
}

static struct expected
expect(size_t i)
{
	const struct kernel_target *target = &room.target;
	bool is_double = target->accumulator == ACCUMULATOR_FLOAT64;
	enum dtype dtype = room.tile.dtype;
	struct expected expected = {
		.last = numbers_read(
			dtype, room.pointers[room.tile.n_snapshots - 1], i),
	};

	if (target->operation == KERNEL_COPY ||
	    target->operation == KERNEL_INIT) {
		expected.next = expected.last;
		expected.rest = is_double ? expected.last : 0.0;
		return expected;
	}
	expected.next = numbers_read(DTYPE_F32, target->current, i);
	expected.rest = read_rest(target->rest, i);
	if (target->operation == KERNEL_KEEP)
		return expected;
	for (size_t j = 0; j < room.tile.n_snapshots; j++) {
		double p = numbers_read(dtype, room.pointers[j], i);

		if (is_double)
			expected.rest = fma(p - expected.rest, weights[j],
					    expected.rest);
		else
			add_compensated(&expected, (float)p, (float)weights[j]);
	}
	if (is_double)
		expected.next = (double)(float)expected.rest;
	return expected;
}

static bool
is_untouched(const char *guard)
{
	for (size_t i = 0; i < GUARD; i++)
		if (guard[i] != 0x55)
			return false;
	return true;
}

/* The squares that are summed, as kernel.h says, in the order that it says. */
struct lanes {
	double sums[LANES];
};

/* Elements before the first that begins a line of the cache in @next. */
static size_t
count_head(const void *next, size_t size)
{
	size_t n = (64 - (uintptr_t)next % 64) % 64 / size;

	return n < count_numbers() ? n : count_numbers();
}

static void
lanes_add(struct lanes *lanes, size_t i, size_t head, double x)
{
	lanes->sums[(i < head ? i : i - head) % LANES] += x * x;
}

static double
lanes_total(const struct lanes *lanes)
{
	const double *sums = lanes->sums;

	return ((sums[0] + sums[4]) + (sums[2] + sums[6])) +
	       ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

static void
assert_number(const struct kernel *kernel, size_t i,
	      const struct expected *want)
{
	double next = numbers_read(DTYPE_F32, room.target.next, i);
	double rest = read_rest(room.target.next_rest, i);

	if (!numbers_same(next, want->next) || !numbers_same(rest, want->rest))
		ck_abort_msg("%s: %s, %s, number %zu of %zu: %a and %a, not "
			     "%a and %a",
			     kernel->name, dtype_name(room.tile.dtype),
			     accumulator_name(room.target.accumulator), i,
			     count_numbers(), next, rest, want->next,
			     want->rest);
}

static void
assert_expected(const struct kernel *kernel, bool is_finite)
{
	const struct kernel_target *target = &room.target;
	const char *next = target->next, *rest = target->next_rest;
	struct lanes distance = { 0 }, norm = { 0 };
	size_t head = count_head(next, 4), n = count_numbers();

	for (size_t i = 0; i < n; i++) {
		struct expected want = expect(i);
		float d = (float)want.last - (float)want.next;

		assert_number(kernel, i, &want);
		if (target->operation == KERNEL_KEEP)
			continue;
		lanes_add(&distance, i, head, (double)d);
		lanes_add(&norm, i, head, want.last);
	}
	ck_assert(is_untouched(next - GUARD));
	ck_assert(is_untouched(next + n * 4));
	ck_assert(is_untouched(rest - GUARD));
	ck_assert(is_untouched(rest + n * rest_size()));
	if (is_finite)
		ck_assert(room.distance == lanes_total(&distance) &&
			  room.norm == lanes_total(&norm));
}

/* Arrays that begin @shift numbers past a line's begin. */
static void
make_tile(enum dtype dtype, size_t n, size_t n_snapshots, size_t shift)
{
	struct kernel_target *target = &room.target;

	for (size_t j = 0; j < SNAPSHOTS; j++)
		room.pointers[j] =
			room.snapshots[j] +
			(shift + 3 * j) % SHIFTS * numbers_size(dtype);
	target->weights = weights;
	target->current = room.current + shift % 3 * 4;
	target->next = room.next + GUARD + shift * 4;
	target->rest = room.rest + shift % 5 * rest_size();
	/* Once in a while as no file has it: then nothing is streamed. */
	target->next_rest =
		room.next_rest + GUARD + (n % 8 == 7 ? 1 : shift) * rest_size();
	target->distance = &room.distance;
	room.tile = (struct kernel_tile) {
		.dtype = dtype,
		.n_elements = n,
		.n_snapshots = n_snapshots,
		.snapshots = room.pointers,
		.n_targets = 1,
		.targets = target,
		.norm = &room.norm,
	};
}

static void
run_all(bool is_finite)
{
	for (size_t i = 0; kernel_all()[i]; i++)
		for (unsigned int stream = 0; stream < 2; stream++) {
			memset(room.next, 0x55, sizeof room.next);
			memset(room.next_rest, 0x55, sizeof room.next_rest);
			room.tile.stream = stream;
			room.tile.check = is_finite;
			ck_assert(kernel_all()[i]->run(&room.tile));
			kernel_all()[i]->finish();
			assert_expected(kernel_all()[i], is_finite);
		}
}

static void
fill_room(enum dtype dtype)
{
	size_t n = N_MAX + SHIFTS;

	for (size_t j = 0; j < SNAPSHOTS; j++)
		numbers_fill(dtype, room.snapshots[j], n);
	numbers_fill(DTYPE_F32, room.current, n);
	if (room.target.accumulator == ACCUMULATOR_FLOAT64)
		numbers_fill(DTYPE_F64, room.rest, n);
	else
		numbers_fill_bits(room.rest, n * sizeof(int16_t));
}

static const enum accumulator accumulators[] = { ACCUMULATOR_COMPENSATED,
						 ACCUMULATOR_FLOAT64 };

/* Once for each of them and each operation. */
#define EACH_CASE                                                              \
	for (size_t a_ = 0; a_ < array_size(accumulators); a_++)               \
		for (int o_ = KERNEL_KEEP; o_ <= KERNEL_LERP; o_++)            \
			if (room.target.accumulator = accumulators[a_],        \
			    room.target.operation = (enum kernel_operation)o_, \
			    true)

START_TEST(every_length_of_an_accumulator_gives_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	EACH_CASE
	{
		fill_room(dtype);
		for (size_t n = 0; n <= 300; n += n < 80 ? 1 : 11) {
			make_tile(dtype, n, 1, n % SHIFTS);
			run_all(true);
		}
	}
}
END_TEST

START_TEST(every_misalignment_of_an_accumulator_gives_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	EACH_CASE
	{
		fill_room(dtype);
		for (size_t shift = 0; shift < SHIFTS; shift++)
			for (size_t n = 299; n < 302; n++) {
				make_tile(dtype, n, 1, shift);
				run_all(true);
			}
	}
}
END_TEST

START_TEST(several_snapshots_of_an_accumulator_give_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	EACH_CASE
	{
		fill_room(dtype);
		for (size_t m = 2; m <= SNAPSHOTS; m++)
			for (size_t n = 0; n <= 300; n += 23) {
				if (room.target.operation == KERNEL_INIT)
					continue; /* of one snapshot alone */
				make_tile(dtype, n, m, (n + m) % SHIFTS);
				run_all(true);
			}
	}
}
END_TEST

START_TEST(any_bits_of_an_accumulator_give_the_reference_bits)
{
	enum dtype dtype = averaged[_i];

	EACH_CASE
	for (size_t round = 0; round < 8; round++) {
		size_t m = room.target.operation == KERNEL_INIT ? 1 : 3;

		numbers_fill_bits((char *)room.snapshots,
				  sizeof room.snapshots);
		numbers_fill_bits(room.current, sizeof room.current);
		numbers_fill_bits(room.rest, sizeof room.rest);
		make_tile(dtype, 300, m, round);
		run_all(false);
	}
}
END_TEST

/*
 * A parameter that is 1 in 1,000 off an average near 1 moves it by 1e-7 each
 * time, less than a float's spacing there.
 */
START_TEST(accumulators_move_where_a_float_stands_still)
{
	static const double weight = 0.0001;
	static const float start = 1.0F, parameter = 1.0002F;
	float ends[N_ACCUMULATORS];
	double exact;

	for (size_t a = 0; a < N_ACCUMULATORS; a++) {
		const void *snapshot = &parameter;
		float current = start, next;
		double rest = a == ACCUMULATOR_FLOAT64 ? (double)start : 0.0;
		double next_rest = 0.0;
		const struct kernel_target target = {
			.operation = KERNEL_LERP,
			.accumulator = (enum accumulator)a,
			.weights = &weight,
			.current = &current,
			.next = &next,
			.rest = &rest,
			.next_rest = &next_rest,
		};

		for (int i = 0; i < 10000; i++) {
			kernel_all()[0]->run(&(struct kernel_tile) {
				.dtype = DTYPE_F32,
				.n_elements = 1,
				.n_snapshots = 1,
				.snapshots = &snapshot,
				.n_targets = 1,
				.targets = &target,
			});
			current = next;
			rest = next_rest;
		}
		ends[a] = next;
	}
	exact = (double)start +
		((double)parameter - (double)start) * (1.0 - pow(0.9999, 1e4));
	ck_assert(ends[ACCUMULATOR_FLOAT32] == start);
	ck_assert(fabs((double)ends[ACCUMULATOR_COMPENSATED] - exact) < 2e-7);
	ck_assert(ends[ACCUMULATOR_FLOAT64] == (float)exact);
}
END_TEST

/* The sums of what is kept in its own type: one target of each operation. */
static void
run_plain(const struct kernel *kernel, enum kernel_operation operation)
{
	struct lanes distance = { 0 }, norm = { 0 };
	enum dtype average = dtype_average(room.tile.dtype);
	size_t size = numbers_size(average), n = count_numbers();
	size_t head = count_head(room.target.next, size);

	room.target.operation = operation;
	ck_assert(kernel->run(&room.tile));
	kernel->finish();
	for (size_t i = 0; i < n && operation != KERNEL_KEEP; i++) {
		double p = numbers_read(
			room.tile.dtype,
			room.pointers[room.tile.n_snapshots - 1], i);
		double next = numbers_read(average, room.target.next, i);
		double d =
			size == 8 ? p - next : (double)((float)p - (float)next);

		lanes_add(&distance, i, head, d);
		lanes_add(&norm, i, head, p);
	}
	if (room.distance != lanes_total(&distance) ||
	    room.norm != lanes_total(&norm))
		ck_abort_msg("%s: %s, %zu numbers, operation %d: %a and %a, "
			     "not %a and %a",
			     kernel->name, dtype_name(room.tile.dtype), n,
			     operation, room.distance, room.norm,
			     lanes_total(&distance), lanes_total(&norm));
}

static void
run_plain_all(enum dtype dtype, size_t n, size_t n_snapshots, size_t shift)
{
	size_t size = numbers_size(dtype_average(dtype));

	make_tile(dtype, n, n_snapshots, shift);
	room.target.current = room.current + shift % 3 * size;
	room.target.next = room.next + GUARD + shift * size;
	for (size_t i = 0; kernel_all()[i]; i++)
		for (int o = KERNEL_KEEP; o <= KERNEL_LERP; o++) {
			room.tile.stream = (n + i) % 2;
			if (o != KERNEL_INIT || n_snapshots == 1)
				run_plain(kernel_all()[i],
					  (enum kernel_operation)o);
		}
}

START_TEST(sums_follow_the_lanes_at_every_length_and_misalignment)
{
	enum dtype dtype = averaged[_i];

	room.target.accumulator = ACCUMULATOR_FLOAT32;
	fill_room(dtype);
	numbers_fill(dtype_average(dtype), room.current, N_MAX + SHIFTS);
	for (size_t n = 0; n <= 300; n++) {
		run_plain_all(dtype, n, 1, n * 5 % SHIFTS);
		run_plain_all(dtype, n, SNAPSHOTS, n * 7 % SHIFTS);
	}
	for (size_t shift = 0; shift < SHIFTS; shift++) {
		run_plain_all(dtype, 300, 1, shift);
		run_plain_all(dtype, shift, 2, shift);
	}
}
END_TEST

/* Groups of 4, 2 and 1 share a pass: each target has its own distance. */
START_TEST(targets_that_share_a_pass_have_the_sums_that_each_alone_has)
{
	enum dtype dtype = averaged[_i];
	struct kernel_target targets[7];
	double alone[7], together[7], norm;

	room.target.accumulator = ACCUMULATOR_FLOAT32;
	fill_room(dtype);
	numbers_fill(dtype_average(dtype), room.current, N_MAX + SHIFTS);
	for (size_t i = 0; kernel_all()[i]; i++) {
		make_tile(dtype, 290, 1, 6);
		room.target.operation = KERNEL_LERP;
		for (size_t k = 0; k < array_size(targets); k++) {
			room.target.weights = &weights[k % SNAPSHOTS];
			targets[k] = room.target;
			targets[k].distance = &together[k];
			if (k > 0)
				targets[k].next = room.more_next + GUARD + 24;
			ck_assert(kernel_all()[i]->run(&room.tile));
			alone[k] = room.distance;
		}
		norm = room.norm;
		room.tile.targets = targets;
		room.tile.n_targets = array_size(targets);
		ck_assert(kernel_all()[i]->run(&room.tile));
		ck_assert(room.norm == norm);
		for (size_t k = 0; k < array_size(targets); k++)
			ck_assert(together[k] == alone[k]);
	}
}
END_TEST

START_TEST(types_that_are_not_averaged_have_no_sums)
{
	static const enum dtype copied[] = { DTYPE_BOOL, DTYPE_F4, DTYPE_I64 };

	for (size_t i = 0; i < array_size(copied); i++) {
		make_tile(DTYPE_U8, 64, 1, 0);
		room.tile.dtype = copied[i];
		room.target.operation = i % 2 ? KERNEL_COPY : KERNEL_KEEP;
		for (size_t k = 0; kernel_all()[k]; k++) {
			room.distance = room.norm = 1.0;
			ck_assert(kernel_all()[k]->run(&room.tile));
			ck_assert(room.distance == 0.0 && room.norm == 0.0);
		}
	}
}
END_TEST

/* Nobody has to want them. */
START_TEST(sums_that_are_not_wanted_are_not_written)
{
	make_tile(DTYPE_F32, 300, 1, 0);
	fill_room(DTYPE_F32);
	room.distance = room.norm = 1.0;
	room.target.distance = NULL;
	room.tile.norm = NULL;
	EACH_CASE
	for (size_t k = 0; kernel_all()[k]; k++)
		ck_assert(kernel_all()[k]->run(&room.tile));
	ck_assert(room.distance == 1.0 && room.norm == 1.0);
}
END_TEST

static Suite *
kernel_sums_suite(void)
{
	Suite *suite = suite_create("kernel_sums");
	TCase *tcase = tcase_create("kernel_sums");

	tcase_set_timeout(tcase, 120);
	tcase_add_loop_test(
		tcase, every_length_of_an_accumulator_gives_the_reference_bits,
		0, N_FLOATS);
	tcase_add_loop_test(
		tcase,
		every_misalignment_of_an_accumulator_gives_the_reference_bits,
		0, N_FLOATS);
	tcase_add_loop_test(
		tcase,
		several_snapshots_of_an_accumulator_give_the_reference_bits, 0,
		N_FLOATS);
	tcase_add_loop_test(tcase,
			    any_bits_of_an_accumulator_give_the_reference_bits,
			    0, N_FLOATS);
	tcase_add_test(tcase, accumulators_move_where_a_float_stands_still);
	tcase_add_loop_test(
		tcase, sums_follow_the_lanes_at_every_length_and_misalignment,
		0, N_AVERAGED);
	tcase_add_loop_test(
		tcase,
		targets_that_share_a_pass_have_the_sums_that_each_alone_has, 0,
		N_AVERAGED);
	tcase_add_test(tcase, types_that_are_not_averaged_have_no_sums);
	tcase_add_test(tcase, sums_that_are_not_wanted_are_not_written);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(kernel_sums_suite)
