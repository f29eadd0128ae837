#include "tests/lib/reference.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

static const struct {
	const char *name;
	double beta;
} averages[REFERENCE_PROFILES] = { { "slow", 0.9 }, { "fast", 0.3 } };

struct reference {
	int64_t n_steps;
	float values[REFERENCE_PROFILES][REFERENCE_ELEMENTS];
	size_t n_allocated;
	uint64_t *hashes[REFERENCE_PROFILES]; /* by step */
};

struct reference *
reference_new(void)
{
	return xcalloc(1, sizeof(struct reference));
}

void
reference_free(struct reference *reference)
{
	for (size_t p = 0; p < REFERENCE_PROFILES; p++)
		free(reference->hashes[p]);
	free(reference);
}

static float
element(int64_t step, uint64_t i)
{
	uint64_t x = (uint64_t)step * 0x9E3779B97F4A7C15 + i;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
	return (float)((int64_t)(x >> 40) - (1 << 23)) / (float)(1 << 23);
}

static uint64_t
hash(const void *bytes, size_t size)
{
	const unsigned char *at = bytes;
	uint64_t value = 0xCBF29CE484222325;

	for (size_t i = 0; i < size; i++)
		value = (value ^ at[i]) * 0x100000001B3;
	return value;
}

static float
lerp(float average, float parameter, float weight)
{
	float difference = parameter - average;

	return weight < 0.5F ? fmaf(weight, difference, average)
			     : fmaf(-difference, 1.0F - weight, parameter);
}

static void
take_step(struct reference *reference)
{
	int64_t step = reference->n_steps++;
	size_t n = (size_t)step;

	if (n == reference->n_allocated) {
		reference->n_allocated = n * 2 + 1024;
		for (size_t p = 0; p < REFERENCE_PROFILES; p++)
			reference->hashes[p] = xrealloc(
				reference->hashes[p],
				reference->n_allocated * sizeof(uint64_t));
	}
	for (size_t p = 0; p < REFERENCE_PROFILES; p++) {
		float weight = (float)(1.0 - averages[p].beta);
		float *values = reference->values[p];

		for (uint64_t i = 0; i < REFERENCE_ELEMENTS; i++) {
			float parameter = element(step, i);

			values[i] =
				step == 0 ? parameter
					  : lerp(values[i], parameter, weight);
		}
		reference->hashes[p][n] = hash(values, REFERENCE_ELEMENTS * 4);
	}
}

void
reference_fill(float values[REFERENCE_ELEMENTS], int64_t step)
{
	for (uint64_t i = 0; i < REFERENCE_ELEMENTS; i++)
		values[i] = element(step, i);
}

int
reference_attach(struct emad_publisher **ret_publisher, struct emad *emad,
		 const struct emad_options *options)
{
	static const uint64_t shape[] = { REFERENCE_ELEMENTS };
	const struct emad_tensor tensor = {
		.name = "w", .dtype = "F32", .n_dims = 1, .shape = shape
	};
	struct emad_profile profiles[REFERENCE_PROFILES];
	struct emad_options ours = { 0 };

	if (options)
		ours = *options;
	ours.profiles = profiles;
	ours.n_profiles = REFERENCE_PROFILES;
	ours.timeout_ms = -1;
	for (size_t p = 0; p < REFERENCE_PROFILES; p++) {
		profiles[p] = emad_profile_default("constant");
		profiles[p].name = averages[p].name;
		profiles[p].beta = averages[p].beta;
	}
	return emad_attach(ret_publisher, emad, "m", &tensor, 1, &ours);
}

void
reference_check(struct reference *reference, const struct daemon *daemon,
		int64_t ret_steps[REFERENCE_PROFILES])
{
	struct reading reading;
	char path[SHM_PATH_SIZE];

	for (size_t p = 0; p < REFERENCE_PROFILES; p++) {
		const void *bytes;
		uint64_t size;
		int64_t step;

		daemon_file(daemon, "m", averages[p].name, path);
		if (!reading_open(&reading, path))
			give_up("%s is not a version", path);
		step = reading.state.step;
		while (reference->n_steps <= step)
			take_step(reference);
		bytes = reading_tensor(&reading, "w", &size);
		if (reading.state.updates != (uint64_t)step + 1)
			give_up("%s: step %" PRId64 " after %" PRIu64
				" updates",
				averages[p].name, step, reading.state.updates);
		if (hash(bytes, size) != reference->hashes[p][step])
			give_up("%s: the version of step %" PRId64
				" has other bits than the reference",
				averages[p].name, step);
		reading_close(&reading);
		ret_steps[p] = step;
	}
}

int64_t
reference_step_of(const struct daemon *daemon)
{
	struct reading reading;
	char path[SHM_PATH_SIZE];
	int64_t step;

	daemon_file(daemon, "m", averages[0].name, path);
	if (!reading_open(&reading, path))
		return -1;
	step = reading.state.step;
	reading_close(&reading);
	return step;
}
