/*
 * Digests of what the kernels compute, to be compared between machines and
 * compilers; check_kernel.c compares the kernels of one machine with a
 * reference.
 *
 *   kernel_digest [KERNEL...]      of these, or of all that can be run here
 *
 * TAP; the digests are comments of it, one for each type and operation and one
 * of everything.  Equal lines mean equal bits, so "grep '^#'" is what two
 * machines have to agree on.
 *
 * The hash is a few lines here rather than a library, so that a cross compiler
 * needs nothing but libc and the core itself.
 */
#include "daemon/core/kernel.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "proto/util.h"

#define N_MAX     4099
#define SHIFTS    16
#define GUARD     64 /* bytes around what a kernel may write */
#define N_TARGETS 9
#define ROOM      ((N_MAX + 2 * SHIFTS) * 8 + 2 * GUARD)
/* Two doubles for each of C64's elements. */
#define REST_ROOM (2 * ROOM)

/* What random bits are made of: the numbers of an element, and their parts. */
struct format {
	enum dtype dtype;
	unsigned int size;               /* bytes of a number; C64 has two */
	unsigned int exponent, fraction; /* bits; 0: any bits are fine */
};

static const struct format formats[] = {
	{ DTYPE_F32, 4, 8, 23 },    { DTYPE_BF16, 2, 8, 7 },
	{ DTYPE_F16, 2, 5, 10 },    { DTYPE_F8_E4M3, 1, 4, 3 },
	{ DTYPE_F8_E5M2, 1, 5, 2 }, { DTYPE_C64, 4, 8, 23 },
	{ DTYPE_F64, 8, 11, 52 },   { DTYPE_BOOL, 1, 0, 0 },
	{ DTYPE_I16, 2, 0, 0 },     { DTYPE_I64, 8, 0, 0 },
};

/* The last one: each target has an operation of its own. */
static const char *const operations[] = {
	[KERNEL_KEEP] = "KEEP",
	[KERNEL_COPY] = "COPY",
	[KERNEL_INIT] = "INIT",
	[KERNEL_LERP] = "LERP",
	"MIXED",
};
#define N_OPERATIONS array_size(operations)
#define N_MIXED      (N_OPERATIONS - 1)

/* Those of up to KERNEL_SNAPSHOTS_MAX snapshots begin at any of the first. */
static const double weights[] = {
	0.0001,  0.5,    0.1,     0.0,  0.75,   1.0,   0x1p-149, 0.3,  0.9999,
	0x1p-60, 0.25,   0.001,   0.45, 0.6,    0.02,  0.1,      0.2,  0x1p-30,
	0.9,     0.3333, 0.00005, 0.7,  0x1p-9, 0.999, 0.4,      0.01, 0.05,
};
#define N_WEIGHTS (array_size(weights) - KERNEL_SNAPSHOTS_MAX + 1)

struct room {
	_Alignas(64) char snapshots[KERNEL_SNAPSHOTS_MAX][ROOM];
	_Alignas(64) char current[N_TARGETS][ROOM];
	_Alignas(64) char next[N_TARGETS][ROOM];
	/* One for each accumulator: their numbers are of other sizes. */
	_Alignas(64) char rest[N_ACCUMULATORS][REST_ROOM];
	_Alignas(64) char next_rest[N_TARGETS][REST_ROOM];
	double distances[N_TARGETS];
};
static struct room room;

/* The finisher of splitmix64: every bit of the result hangs on every bit. */
static uint64_t
mix(uint64_t x)
{
	x = (x ^ x >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ x >> 27) * UINT64_C(0x94D049BB133111EB);
	return x ^ x >> 31;
}

static void
fold(uint64_t *digest, uint64_t x)
{
	*digest = mix(*digest + UINT64_C(0x9E3779B97F4A7C15) + x);
}

static uint64_t random_state;

static uint64_t
next_random(void)
{
	random_state += UINT64_C(0x9E3779B97F4A7C15);
	return mix(random_state);
}

/* What numbers there are; sums show their last bits with ORDINARY alone. */
enum range {
	ANY,
	FINITE,
	ORDINARY,
	N_RANGES,
};

/*
 * One number's bits.  Of eight, five are of ordinary size, so that results are
 * rounded; one is anything; two are zeros, subnormals and (where @range is
 * ANY) infinities and NaNs of both kinds with something in them.
 */
static uint64_t
make_bits(const struct format *format, enum range range)
{
	uint64_t random = next_random(), bits = next_random();
	uint64_t top = (UINT64_C(1) << format->exponent) - 1;
	uint64_t fractions = (UINT64_C(1) << format->fraction) - 1;
	uint64_t ends[] = { 0, 1, fractions, fractions / 2 + 1, bits };
	uint64_t exponent = bits >> format->fraction & top;
	uint64_t fraction = bits & fractions;

	if (format->exponent == 0)
		return bits;
	if (range == ORDINARY || random % 8 < 5) {
		exponent = top / 2 - (bits >> 56) % 3;
	} else if (random % 8 < 7) {
		exponent = random & 8 ? top : 0;
		fraction = ends[(random >> 4) % 5] & fractions;
	}
	/* E4M3 has numbers under its highest exponent; others do as well. */
	if (range != ANY && exponent == top)
		exponent--;
	return ((bits >> 63) << format->exponent | exponent)
		       << format->fraction |
	       fraction;
}

static void
fill(char *array, size_t size, const struct format *format, enum range range)
{
	for (size_t at = 0; at + format->size <= size; at += format->size) {
		uint64_t bits = make_bits(format, range);

		memcpy(array + at, &bits, format->size);
	}
}

static const struct format *
format_of(enum dtype dtype)
{
	const struct format *format = formats;

	while (format->dtype != dtype)
		format++;
	return format;
}

/* The format in which numbers of @dtype are averaged. */
static const struct format *
average_of(enum dtype dtype)
{
	return format_of(dtype_average(dtype));
}

/* The format of what is kept beside such an average; NULL: nothing is. */
static const struct format *
rest_of(enum dtype dtype, enum accumulator accumulator)
{
	if (accumulator == ACCUMULATOR_FLOAT32 || !dtype_is_averaged(dtype) ||
	    dtype == DTYPE_F64)
		return NULL;
	return format_of(accumulator == ACCUMULATOR_FLOAT64 ? DTYPE_F64
							    : DTYPE_I16);
}

/*
 * What arithmetic makes of NaNs is each machine's own: x86 hands on the first
 * operand's payload and makes negative ones, ARM prefers signalling ones and
 * makes positive ones, and compilers may swap operands.  That it is a NaN is
 * all that emad promises, so one stands for all.  Numbers that are only copied
 * or converted keep every bit.
 */
static uint64_t
one_nan(const struct format *format, uint64_t bits)
{
	uint64_t infinity = ((UINT64_C(1) << format->exponent) - 1)
			    << format->fraction;
	uint64_t sign = UINT64_C(1) << (format->exponent + format->fraction);

	/* What has no exponent has no NaN. */
	if (format->exponent == 0)
		return bits;
	return (bits & ~sign) > infinity ? infinity + 1 : bits;
}

static bool
is_computed(enum dtype dtype, const struct kernel_target *target)
{
	/* A copy by way of float64 makes NaNs quiet. */
	bool is_rounded = target->operation == KERNEL_COPY &&
			  target->accumulator == ACCUMULATOR_FLOAT64;

	return dtype_is_averaged(dtype) &&
	       (target->operation == KERNEL_INIT ||
		target->operation == KERNEL_LERP || is_rounded);
}

static void
must_be_untouched(const char *guard)
{
	for (size_t i = 0; i < GUARD; i++)
		must(guard[i] == 0x55);
}

/* The numbers at @from, and that nothing was written around them. */
static void
fold_numbers(uint64_t *digest, const struct format *format, bool computed,
	     const char *from, size_t size)
{
	for (size_t at = 0; at < size; at += format->size) {
		uint64_t bits = 0;

		/* Little endian, as the files are that emad writes. */
		memcpy(&bits, from + at, format->size);
		fold(digest, computed ? one_nan(format, bits) : bits);
	}
	must_be_untouched(from - GUARD);
	must_be_untouched(from + size);
}

static void
fold_sum(uint64_t *digest, double sum)
{
	uint64_t bits;

	memcpy(&bits, &sum, sizeof bits);
	fold(digest, one_nan(format_of(DTYPE_F64), bits));
}

/* What a tile is made of; its misalignments and weights are random. */
struct trial {
	enum dtype dtype;
	size_t operation, n_elements, n_targets;
	bool stream, check;
};

static size_t
average_size(const struct trial *trial)
{
	return trial->n_elements * dtype_bits(dtype_average(trial->dtype)) / 8;
}

/* Numbers of the average, for each of which there is one beside it. */
static size_t
rest_size(const struct trial *trial, const struct kernel_target *target)
{
	const struct format *rest = rest_of(trial->dtype, target->accumulator);
	size_t n = trial->n_elements * (trial->dtype == DTYPE_C64 ? 2 : 1);

	return rest ? n * rest->size : 0;
}

static void
fold_target(uint64_t *digest, const struct trial *trial,
	    const struct kernel_target *target)
{
	const struct format *rest = rest_of(trial->dtype, target->accumulator);
	bool computed = is_computed(trial->dtype, target);

	fold_numbers(digest, average_of(trial->dtype), computed, target->next,
		     average_size(trial));
	if (rest)
		fold_numbers(digest, rest, computed, target->next_rest,
			     rest_size(trial, target));
	fold_sum(digest, *target->distance);
}

/* Target @k, whose data is to begin @shift numbers past a line's begin. */
static void
make_target(struct kernel_target *target, const struct trial *trial, size_t k,
	    size_t shift, bool is_one)
{
	/* One at a time: within an expression their order is free. */
	size_t operation = next_random() % N_MIXED;
	size_t accumulator = next_random() % (N_ACCUMULATORS + 1);
	size_t from = next_random() % SHIFTS;
	size_t step = average_of(trial->dtype)->size;
	const struct format *rest;

	if (trial->operation != N_MIXED)
		operation = trial->operation;
	if (operation == KERNEL_INIT && !is_one)
		operation = KERNEL_COPY;
	*target = (struct kernel_target) {
		.operation = (enum kernel_operation)operation,
		/* Mostly none, as those share a pass. */
		.accumulator = (enum accumulator)(accumulator % N_ACCUMULATORS),
		.weights = weights + next_random() % N_WEIGHTS,
		.current = room.current[k] + step * from,
		.next = room.next[k] + GUARD + step * shift,
		.distance = &room.distances[k],
	};
	memset((char *)target->next - GUARD, 0x55,
	       average_size(trial) + 2 * (size_t)GUARD);
	rest = rest_of(trial->dtype, target->accumulator);
	if (!rest)
		return;
	target->rest = room.rest[target->accumulator] + rest->size * from;
	target->next_rest = room.next_rest[k] + GUARD + rest->size * shift;
	memset((char *)target->next_rest - GUARD, 0x55,
	       rest_size(trial, target) + 2 * (size_t)GUARD);
}

static void
fold_trial(uint64_t *digest, const struct kernel *kernel,
	   const struct trial *trial)
{
	/* Streaming wants all of them aligned alike: mostly they are. */
	size_t shift = next_random() % SHIFTS;
	size_t unlike = next_random() % 4 == 0;
	/* Half of the time one snapshot, else up to all there may be. */
	size_t n = next_random() % (2 * KERNEL_SNAPSHOTS_MAX);
	size_t first = next_random() % SHIFTS;
	const void *snapshots[KERNEL_SNAPSHOTS_MAX];
	struct kernel_target targets[N_TARGETS] = { 0 };
	double norm;
	struct kernel_tile tile = {
		.dtype = trial->dtype,
		.n_elements = trial->n_elements,
		.n_snapshots = n < KERNEL_SNAPSHOTS_MAX ? 1 : n % 16 + 1,
		.snapshots = snapshots,
		.n_targets = trial->n_targets,
		.targets = targets,
		.check = trial->check,
		.stream = trial->stream,
		.norm = &norm,
	};

	for (size_t j = 0; j < tile.n_snapshots; j++)
		snapshots[j] =
			room.snapshots[j] +
			(first + 3 * j) % SHIFTS * dtype_bits(trial->dtype) / 8;
	for (size_t k = 0; k < trial->n_targets; k++) {
		size_t more = next_random() % SHIFTS;

		make_target(&targets[k], trial, k, shift + unlike * more,
			    tile.n_snapshots == 1);
	}
	fold(digest, kernel->run(&tile));
	kernel->finish();
	fold_sum(digest, norm);
	for (size_t k = 0; k < trial->n_targets; k++)
		fold_target(digest, trial, &targets[k]);
}

static void
fold_length(uint64_t *digest, const struct kernel *kernel, struct trial trial)
{
	/* Groups of 4, 2 and 1 are what kernels make of targets: 7 has all. */
	bool long_run = trial.n_elements >= 1000;
	size_t least = long_run ? 7 : 1, most = long_run ? 7 : N_TARGETS;

	for (size_t n = least; n <= most; n++)
		for (unsigned int i = 0; i < 4; i++) {
			trial.n_targets = n;
			trial.stream = i & 1;
			trial.check = i & 2;
			fold_trial(digest, kernel, &trial);
		}
}

static void
fold_operation(uint64_t *digest, const struct kernel *kernel,
	       struct trial trial)
{
	static const size_t longer[] = { 127, 128, 129, 130, 1000, N_MAX };

	for (trial.n_elements = 0; trial.n_elements <= 70; trial.n_elements++)
		fold_length(digest, kernel, trial);
	for (size_t i = 0; i < array_size(longer); i++) {
		trial.n_elements = longer[i];
		fold_length(digest, kernel, trial);
	}
}

struct digests {
	uint64_t each[array_size(formats)][N_OPERATIONS];
};

static void
fill_room(const struct format *format, enum range range)
{
	const struct format *average = average_of(format->dtype);

	for (size_t j = 0; j < KERNEL_SNAPSHOTS_MAX; j++)
		fill(room.snapshots[j], ROOM, format, range);
	for (size_t k = 0; k < N_TARGETS; k++)
		fill(room.current[k], ROOM, average, range);
	fill(room.rest[ACCUMULATOR_COMPENSATED], REST_ROOM,
	     format_of(DTYPE_I16), range);
	fill(room.rest[ACCUMULATOR_FLOAT64], REST_ROOM, format_of(DTYPE_F64),
	     range);
}

static void
digest_kernel(struct digests *ret_digests, const struct kernel *kernel)
{
	memset(ret_digests, 0, sizeof *ret_digests);
	random_state = 0;
	for (size_t i = 0; i < array_size(formats); i++)
		for (int range = 0; range < N_RANGES; range++) {
			fill_room(&formats[i], (enum range)range);
			for (size_t o = 0; o < N_OPERATIONS; o++)
				fold_operation(
					&ret_digests->each[i][o], kernel,
					(struct trial) {
						.dtype = formats[i].dtype,
						.operation = o,
					});
		}
}

static void
print_digests(const struct digests *digests)
{
	uint64_t all = 0;

	for (size_t i = 0; i < array_size(formats); i++)
		for (size_t o = 0; o < N_OPERATIONS; o++) {
			uint64_t digest = digests->each[i][o];

			(void)printf("# %s %s %016" PRIx64 "\n",
				     dtype_name(formats[i].dtype),
				     operations[o], digest);
			fold(&all, digest);
		}
	(void)printf("# all %016" PRIx64 "\n", all);
}

/* Says on stderr, which TAP leaves alone, where two kernels differ. */
static bool
same_digests(const struct kernel *kernel, const struct digests *a,
	     const struct digests *b)
{
	bool same = true;

	for (size_t i = 0; i < array_size(formats); i++)
		for (size_t o = 0; o < N_OPERATIONS; o++) {
			if (a->each[i][o] == b->each[i][o])
				continue;
			(void)fprintf(
				stderr, "%s differs: %s %s\n", kernel->name,
				dtype_name(formats[i].dtype), operations[o]);
			same = false;
		}
	return same;
}

static bool
is_wanted(const struct kernel *kernel, int n_names, char **names)
{
	bool wanted = n_names == 0;

	for (int i = 0; i < n_names; i++)
		wanted |= strcmp(names[i], kernel->name) == 0;
	return wanted;
}

int
main(int argc, char **argv)
{
	static struct digests first, other;
	const struct kernel *const *all = kernel_all();
	bool good = true;
	int n = 0;

	/* In order with what goes to stderr. */
	(void)setvbuf(stdout, NULL, _IOLBF, 0);
	for (; *all; all++) {
		bool same;

		if (!is_wanted(*all, argc - 1, argv + 1))
			continue;
		digest_kernel(n == 0 ? &first : &other, *all);
		if (n == 0)
			print_digests(&first);
		same = n == 0 || same_digests(*all, &first, &other);
		good &= same;
		(void)printf(
			"%sok %d - %s gives the bits that every kernel gives\n",
			same ? "" : "not ", ++n, (*all)->name);
	}
	(void)printf("1..%d\n", n);
	if (argc > 1 && n != argc - 1) {
		(void)fprintf(stderr, "kernel_digest: not all of these kernels "
				      "can be run here\n");
		return 2;
	}
	return good ? 0 : 1;
}
