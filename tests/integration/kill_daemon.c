/*
 * Story: the daemon is killed at random moments while a trainer publishes as
 * fast as it can.  What is public is a complete version each time, and in the
 * end each publish has been absorbed exactly once: an average in which one
 * snapshot is missing or there twice has other bits.
 */
#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_ELEMENTS 8192
#define N_PROFILES 2

static const struct {
	const char *name;
	double beta;
} averages[N_PROFILES] = { { "slow", 0.9 }, { "fast", 0.3 } };

/* What the average must be after each step, computed here. */
struct reference {
	int64_t n_steps;
	float values[N_PROFILES][N_ELEMENTS];
	size_t n_allocated;
	uint64_t *hashes[N_PROFILES]; /* by step */
};

struct story {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic int64_t last_step; /* that was published */
};

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
reference_step(struct reference *reference)
{
	int64_t step = reference->n_steps++;
	size_t n = (size_t)step;

	if (n == reference->n_allocated) {
		reference->n_allocated = n * 2 + 1024;
		for (size_t p = 0; p < N_PROFILES; p++)
			reference->hashes[p] = xrealloc(
				reference->hashes[p],
				reference->n_allocated * sizeof(uint64_t));
	}
	for (size_t p = 0; p < N_PROFILES; p++) {
		float weight = (float)(1.0 - averages[p].beta);
		float *values = reference->values[p];

		for (uint64_t i = 0; i < N_ELEMENTS; i++) {
			float parameter = element(step, i);

			values[i] =
				step == 0 ? parameter
					  : lerp(values[i], parameter, weight);
		}
		reference->hashes[p][n] = hash(values, N_ELEMENTS * 4);
	}
}

static int
attach(struct emad *emad, struct emad_publisher **ret_publisher)
{
	static const uint64_t shape[] = { N_ELEMENTS };
	const struct emad_tensor tensor = {
		.name = "w", .dtype = "F32", .n_dims = 1, .shape = shape
	};
	struct emad_profile profiles[N_PROFILES];
	struct emad_options options = { .profiles = profiles,
					.n_profiles = N_PROFILES,
					.timeout_ms = -1 };

	for (size_t p = 0; p < N_PROFILES; p++) {
		profiles[p] = emad_profile_default("constant");
		profiles[p].name = averages[p].name;
		profiles[p].beta = averages[p].beta;
	}
	return emad_attach(ret_publisher, emad, "m", &tensor, 1, &options);
}

static void
publish(struct emad_publisher *publisher, int64_t step)
{
	static float values[N_ELEMENTS];
	const void *data = values;

	for (uint64_t i = 0; i < N_ELEMENTS; i++)
		values[i] = element(step, i);
	if (emad_publish_data(publisher, step, &data) != EMAD_OK)
		give_up("publish of step %" PRId64 ": %s", step, emad_error());
}

static void
train(void *arg)
{
	struct story *story = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	int64_t step;

	insist(emad_connect(&emad, story->daemon.address, -1) == EMAD_OK);
	insist(attach(emad, &publisher) == EMAD_OK);
	for (step = 0; !story->stop; step++) {
		publish(publisher, step);
		story->last_step = step;
	}
	if (emad_flush(publisher) != EMAD_OK)
		give_up("flush: %s", emad_error());
	emad_get_counts(publisher, &counts);
	if (counts.absorbed != (uint64_t)step || counts.reattached == 0)
		give_up("%" PRIu64 " of %" PRId64 " absorbed, attached "
			"again %" PRIu64 " times",
			counts.absorbed, step, counts.reattached);
	insist(emad_detach(publisher) == EMAD_OK);
	emad_close(emad);
}

/* Give up unless each public file is the average of the steps up to its own. */
static void
check_versions(const struct daemon *daemon, struct reference *reference,
	       int64_t ret_steps[N_PROFILES])
{
	struct reading reading;
	char path[SHM_PATH_SIZE];

	for (size_t p = 0; p < N_PROFILES; p++) {
		const void *bytes;
		uint64_t size;
		int64_t step;

		daemon_file(daemon, "m", averages[p].name, path);
		if (!reading_open(&reading, path))
			give_up("%s is not a version", path);
		step = reading.state.step;
		while (reference->n_steps <= step)
			reference_step(reference);
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

static int64_t
version_step(const struct daemon *daemon)
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

START_TEST(each_publish_counts_once_however_often_the_daemon_is_killed)
{
	struct story *story = shared_new(sizeof *story);
	struct daemon *daemon = &story->daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	int64_t steps[N_PROFILES];
	int64_t step;
	pid_t trainer;

	daemon_new(daemon);
	trainer = child_start(train, story);
	for (unsigned int i = 0; i < story_scale(60); i++) {
		int64_t target =
			version_step(daemon) + 1 + (int64_t)random_below(30);

		wait_until(version_step(daemon) >= target) continue;
		spin(random_below(300000));
		daemon_kill(daemon);
		check_versions(daemon, reference, steps);
		daemon_start(daemon);
	}
	story->stop = 1;
	child_finish(trainer);
	step = story->last_step;
	check_versions(daemon, reference, steps);
	ck_assert_int_eq(steps[0], step);
	ck_assert_int_eq(steps[1], step);
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);
	daemon_stop(daemon);
	for (size_t p = 0; p < N_PROFILES; p++)
		free(reference->hashes[p]);
	free(reference);
}
END_TEST

/* A stopped daemon answers nothing: both slots are certainly unanswered. */
START_TEST(unanswered_publishes_are_sent_again)
{
	struct daemon daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	int64_t steps[N_PROFILES];

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	for (int64_t step = 0; step < 20; step += 2) {
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		(void)kill(daemon.pid, SIGSTOP);
		publish(publisher, step);
		publish(publisher, step + 1);
		daemon_kill(&daemon);
		daemon_start(&daemon);
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	check_versions(&daemon, reference, steps);
	ck_assert_int_eq(steps[0], 19);
	ck_assert_int_eq(steps[1], 19);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 20);
	ck_assert_uint_eq(counts.absorbed, 20);
	ck_assert_uint_eq(counts.reattached, 10);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	for (size_t p = 0; p < N_PROFILES; p++)
		free(reference->hashes[p]);
	free(reference);
}
END_TEST

/* The memory that begin handed out keeps its address over a restart. */
START_TEST(pointers_into_slots_survive_the_daemon)
{
	struct daemon daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	struct emad *emad;
	struct emad_publisher *publisher;
	int64_t steps[N_PROFILES];
	void *slot;

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	for (int64_t step = 0; step < 6; step++) {
		ck_assert_int_eq(emad_begin(publisher, &slot), EMAD_OK);
		for (uint64_t i = 0; i < N_ELEMENTS; i++)
			((float *)slot)[i] = element(step, i);
		if (step % 2 == 1) {
			daemon_kill(&daemon);
			daemon_start(&daemon);
		}
		if (emad_commit(publisher, step) != EMAD_OK)
			ck_abort_msg("%s", emad_error());
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	check_versions(&daemon, reference, steps);
	ck_assert_int_eq(steps[0], 5);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	for (size_t p = 0; p < N_PROFILES; p++)
		free(reference->hashes[p]);
	free(reference);
}
END_TEST

static Suite *
kill_daemon_suite(void)
{
	Suite *suite = suite_create("kill_daemon");
	TCase *tcase = tcase_create("daemon");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(
		tcase,
		each_publish_counts_once_however_often_the_daemon_is_killed);
	tcase_add_test(tcase, unanswered_publishes_are_sent_again);
	tcase_add_test(tcase, pointers_into_slots_survive_the_daemon);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(kill_daemon_suite)
