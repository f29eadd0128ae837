/*
 * How far each accumulator is from an average in float64 after 100,000 steps
 * at a decay of 0.9999, both fed with the same parameters in bf16.
 *
 * The arithmetic is the kernel's own.  Nothing is timed and nothing is random
 * from run to run: a sample is the relative rms error of 256 parameters, so
 * that the spread is the parameters'.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "daemon/core/kernel.h"
#include "tests/bench/bench.h"
#include "tests/lib/story.h"

#define N_PARAMETERS  4096
#define N_GROUPS      16
#define N_STEPS       100000
#define N_STEPS_QUICK 10000
#define WEIGHT        ((double)1e-4F) /* as the daemon rounds 1 - decay */

#define DEVIATION 0.02        /* of the parameters at the start */
#define DRIFT     2e-7        /* its deviation, in a step */
#define NOISE     0.002       /* around where a parameter has got to */
#define WALK      (0.02 / 64) /* in a step */

/* Where a model's parameters go. */
struct source {
	const char *name;
	const char *what;
	double drift;
	double walk;
	double noise;
	double jump; /* before the first step */
};

static const struct source sources[] = {
	{ "noise_drift", "drift and noise", DRIFT, 0, NOISE, 0 },
	{ "linear_drift", "drift alone", DRIFT, 0, 0, 0 },
	{ "random_walk", "a random walk", 0, WALK, 0, 0 },
	{ "constant_target", "a jump, then constant", 0, 0, 0, DEVIATION },
};

#define N_SOURCES (sizeof sources / sizeof *sources)

/* One average in the making, and what is kept beside it. */
struct state {
	_Alignas(64) float values[2][N_PARAMETERS];
	_Alignas(64) double rests[2][N_PARAMETERS];
	unsigned int newest; /* which of the two */
};

/* One noisy source, as training is; the others show where float32 stalls. */
struct row {
	struct goal noisy;
	struct goal other;
};

static const struct row rows[N_ACCUMULATORS] = {
	[ACCUMULATOR_FLOAT32] = { { GOAL_AT_MOST, 2e-6 },
				  { .kind = GOAL_NONE } },
	[ACCUMULATOR_COMPENSATED] = { { GOAL_AT_MOST, 3e-8 },
				      { GOAL_AT_MOST, 3e-8 } },
	[ACCUMULATOR_FLOAT64] = { { GOAL_AT_MOST, 3e-8 },
				  { GOAL_AT_MOST, 3e-8 } },
};

static void
run_step(struct state *state, enum accumulator accumulator,
	 const uint16_t *snapshot, enum kernel_operation operation)
{
	const double weight = WEIGHT;
	const void *const snapshots[] = { snapshot };
	const struct kernel_target target = {
		.operation = operation,
		.weights = &weight,
		.current = state->values[state->newest],
		.next = state->values[!state->newest],
		.accumulator = accumulator,
		.rest = state->rests[state->newest],
		.next_rest = state->rests[!state->newest],
	};
	const struct kernel_tile tile = {
		.dtype = DTYPE_BF16,
		.n_elements = N_PARAMETERS,
		.n_snapshots = 1,
		.snapshots = snapshots,
		.n_targets = 1,
		.targets = &target,
		.check = true,
	};

	insist(kernel_choose()->run(&tile));
	state->newest = !state->newest;
}

/* The same numbers in every run; splitmix64. */
static uint64_t
next_bits(uint64_t *state)
{
	uint64_t x = *state += 0x9E3779B97F4A7C15;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
	return x ^ (x >> 31);
}

/* Nearly normal, of deviation 1: four uniform numbers' sum. */
static double
next_normal(uint64_t *state)
{
	uint64_t x = next_bits(state);
	int64_t sum = (int64_t)(x & 0xFFFF) + (int64_t)(x >> 16 & 0xFFFF) +
		      (int64_t)(x >> 32 & 0xFFFF) + (int64_t)(x >> 48);

	return (double)(sum - 2 * 65535) * (1.7320508075688772 / 65536.0);
}

static uint16_t
round_to_bf16(double value)
{
	float single = (float)value;
	uint32_t bits;

	memcpy(&bits, &single, sizeof bits);
	return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

static double
widen_bf16(uint16_t half)
{
	uint32_t bits = (uint32_t)half << 16;
	float single;

	memcpy(&single, &bits, sizeof single);
	return (double)single;
}

/* The model while it trains, and the reference. */
struct training {
	const struct source *source;
	uint64_t random;
	double parameters[N_PARAMETERS];
	double drifts[N_PARAMETERS];
	uint16_t snapshot[N_PARAMETERS];
	double average[N_PARAMETERS];
};

static void
begin_training(struct training *training, const struct source *source)
{
	training->source = source;
	training->random = 1;
	for (size_t i = 0; i < N_PARAMETERS; i++) {
		double start = DEVIATION * next_normal(&training->random);

		training->snapshot[i] = round_to_bf16(start);
		training->average[i] = widen_bf16(training->snapshot[i]);
		training->drifts[i] =
			source->drift * next_normal(&training->random);
		training->parameters[i] =
			start + source->jump * next_normal(&training->random);
	}
}

/* Train one step, and average what came of it in float64. */
static void
step_training(struct training *training)
{
	const struct source *source = training->source;

	for (size_t i = 0; i < N_PARAMETERS; i++) {
		double normal = source->walk + source->noise > 0.0
					? next_normal(&training->random)
					: 0.0;

		training->parameters[i] +=
			training->drifts[i] + source->walk * normal;
		training->snapshot[i] = round_to_bf16(training->parameters[i] +
						      source->noise * normal);
	}
	for (size_t i = 0; i < N_PARAMETERS; i++)
		training->average[i] +=
			WEIGHT * (widen_bf16(training->snapshot[i]) -
				  training->average[i]);
}

/* The relative rms error of each group. */
static struct samples
compare(const struct training *training, const struct state *state)
{
	const size_t n = N_PARAMETERS / N_GROUPS;
	struct samples samples = { .n = N_GROUPS };

	for (size_t group = 0; group < N_GROUPS; group++) {
		double errors = 0.0, values = 0.0;

		for (size_t i = group * n; i < (group + 1) * n; i++) {
			double value = training->average[i];
			double served = (double)state->values[state->newest][i];

			errors += (served - value) * (served - value);
			values += value * value;
		}
		samples.values[group] = sqrt(errors / values);
	}
	return samples;
}

static void
bench_source(const struct source *source, unsigned int n_steps)
{
	static struct training training;
	static struct state states[N_ACCUMULATORS];

	begin_training(&training, source);
	for (unsigned int k = 0; k < N_ACCUMULATORS; k++)
		run_step(&states[k], (enum accumulator)k, training.snapshot,
			 KERNEL_COPY);
	for (unsigned int i = 0; i < n_steps; i++) {
		step_training(&training);
		for (unsigned int k = 0; k < N_ACCUMULATORS; k++)
			run_step(&states[k], (enum accumulator)k,
				 training.snapshot, KERNEL_LERP);
	}
	bench_heading("relative rms error after %u steps at a decay of 0.9999, "
		      "bf16 parameters: %s",
		      n_steps, source->what);
	for (unsigned int k = 0; k < N_ACCUMULATORS; k++) {
		struct samples errors = compare(&training, &states[k]);
		char name[64];

		(void)snprintf(name, sizeof name, "precision.%s.%s",
			       accumulator_name((enum accumulator)k),
			       source->name);
		bench_report(name, "rms",
			     source->noise > 0.0 ? rows[k].noisy
						 : rows[k].other,
			     &errors);
	}
}

int
main(int argc, char **argv)
{
	struct bench_options options = bench_begin(argc, argv);

	for (size_t i = 0; i < N_SOURCES; i++)
		bench_source(&sources[i],
			     options.quick ? N_STEPS_QUICK : N_STEPS);
	bench_end();
	return 0;
}
