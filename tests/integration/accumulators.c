/*
 * Story: averages that are kept in more than a float, of a daemon that is
 * killed at random moments and absorbs several snapshots in one pass.  Each
 * public version has the bits of a reference that is computed here, one
 * snapshot after another: were what is kept beside an average lost or taken
 * from another version once, some later bits would differ.
 */
#include <check.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/numbers.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_FLOATS   70000 /* more than one chunk */
#define N_HALVES   1000
#define N_DOUBLES  500
#define N_AVERAGED (N_FLOATS + N_HALVES)
#define N_TENSORS  3
#define N_SLOTS    8
#define POISONED   4 /* of each eight, in the story of the NaN */

enum kept { PLAIN, COMPENSATED, DOUBLE };

static const struct {
	const char *name, *accumulator;
	enum kept kept;
	double beta;
	int64_t update_every;
} averages[] = {
	{ "plain", NULL, PLAIN, 0.99, 1 },
	{ "compensated", "float32_compensated", COMPENSATED, 0.999, 1 },
	{ "double", "float64", DOUBLE, 0.999, 1 },
	{ "sparse", "float64", DOUBLE, 0.7, 3 },
};
#define N_PROFILES array_size(averages)

/* One profile's average, as it has to be after the last step so far. */
struct average {
	bool exists;
	uint64_t updates;
	int64_t step;
	float values[N_AVERAGED];
	int16_t compensations[N_AVERAGED];
	double wide[N_AVERAGED];
	double doubles[N_DOUBLES];
};

struct reference {
	bool is_poisoned; /* one of each eight is refused */
	int64_t n_steps;
	struct average averages[N_PROFILES];
};

struct snapshot {
	float floats[N_FLOATS];
	uint16_t halves[N_HALVES];
	double doubles[N_DOUBLES];
};

struct story {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic int64_t last_step; /* that was published */
};

static double
element(int64_t step, uint64_t i)
{
	uint64_t x = (uint64_t)step * 0x9E3779B97F4A7C15 + i;

	x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
	x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
	return (double)((int64_t)(x >> 40) - (1 << 23)) / (1 << 23);
}

static void
snapshot_fill(struct snapshot *snapshot, int64_t step)
{
	for (size_t i = 0; i < N_FLOATS; i++)
		snapshot->floats[i] = (float)element(step, i);
	for (size_t i = 0; i < N_HALVES; i++) {
		float x = (float)element(step, N_FLOATS + i);
		uint32_t bits;

		memcpy(&bits, &x, sizeof bits);
		snapshot->halves[i] = (uint16_t)(bits >> 16);
	}
	for (size_t i = 0; i < N_DOUBLES; i++)
		snapshot->doubles[i] = element(step, N_AVERAGED + i) / 3.0;
}

/* Number @i of those that are averaged in float. */
static float
snapshot_float(const struct snapshot *snapshot, size_t i)
{
	uint32_t bits;
	float x;

	if (i < N_FLOATS)
		return snapshot->floats[i];
	bits = (uint32_t)snapshot->halves[i - N_FLOATS] << 16;
	memcpy(&x, &bits, sizeof x);
	return x;
}

static float
lerp(float e, float p, float w)
{
	return w < 0.5F ? fmaf(w, p - e, e) : fmaf(-(p - e), 1.0F - w, p);
}

static void
average_copy(struct average *average, const struct snapshot *snapshot)
{
	for (size_t i = 0; i < N_AVERAGED; i++) {
		average->values[i] = snapshot_float(snapshot, i);
		average->compensations[i] = 0;
		average->wide[i] = (double)average->values[i];
	}
	memcpy(average->doubles, snapshot->doubles, sizeof average->doubles);
}

static void
average_absorb(struct average *average, const struct snapshot *snapshot,
	       enum kept kept, double weight)
{
	for (size_t i = 0; i < N_AVERAGED; i++) {
		float p = snapshot_float(snapshot, i);
		float *value = &average->values[i];
		double *wide = &average->wide[i];

		if (kept == PLAIN) {
			*value = lerp(*value, p, (float)weight);
		} else if (kept == COMPENSATED) {
			*value = numbers_add_compensated(
				*value, &average->compensations[i], p,
				(float)weight);
		} else {
			*wide = fma((double)p - *wide, weight, *wide);
			*value = (float)*wide;
		}
	}
	for (size_t i = 0; i < N_DOUBLES; i++) {
		double e = average->doubles[i], p = snapshot->doubles[i];

		average->doubles[i] = weight < 0.5
					      ? fma(weight, p - e, e)
					      : fma(-(p - e), 1.0 - weight, p);
	}
}

static bool
is_refused(const struct reference *reference, int64_t step)
{
	return reference->is_poisoned && step % N_SLOTS == POISONED;
}

static void
reference_step(struct reference *reference)
{
	static struct snapshot snapshot;
	int64_t step = reference->n_steps++;

	if (is_refused(reference, step))
		return;
	snapshot_fill(&snapshot, step);
	for (size_t p = 0; p < N_PROFILES; p++) {
		struct average *average = &reference->averages[p];

		if (step % averages[p].update_every != 0)
			continue;
		if (average->exists)
			average_absorb(average, &snapshot, averages[p].kept,
				       1.0 - averages[p].beta);
		else
			average_copy(average, &snapshot);
		average->exists = true;
		average->step = step;
		average->updates++;
	}
}

/* Give up unless the version holds that average. */
static void
check_bits(const struct reading *reading, const struct average *average,
	   const char *name)
{
	const float *halves = average->values + N_FLOATS;
	uint64_t size;

	if (memcmp(reading_tensor(reading, "w", &size), average->values,
		   N_FLOATS * sizeof(float)) != 0 ||
	    memcmp(reading_tensor(reading, "b", &size), halves,
		   N_HALVES * sizeof(float)) != 0 ||
	    memcmp(reading_tensor(reading, "d", &size), average->doubles,
		   sizeof average->doubles) != 0)
		give_up("%s: the version of step %" PRId64
			" has other bits than the reference",
			name, average->step);
	if (reading->state.updates != average->updates)
		give_up("%s: step %" PRId64 " after %" PRIu64
			" updates, not %" PRIu64,
			name, average->step, reading->state.updates,
			average->updates);
}

/*
 * Averages may have come further than others when the daemon was killed: the
 * reference is taken on until each has been compared.
 */
static void
check_versions(const struct daemon *daemon, struct reference *reference)
{
	struct reading readings[N_PROFILES];
	bool is_checked[N_PROFILES] = { false };
	size_t n_checked = 0;

	for (size_t p = 0; p < N_PROFILES; p++) {
		char path[SHM_PATH_SIZE];

		daemon_file(daemon, "m", averages[p].name, path);
		if (!reading_open(&readings[p], path))
			give_up("%s is not a version", path);
	}
	while (n_checked < N_PROFILES) {
		for (size_t p = 0; p < N_PROFILES; p++) {
			const struct average *average = &reference->averages[p];

			if (is_checked[p] || !average->exists ||
			    readings[p].state.step != average->step)
				continue;
			check_bits(&readings[p], average, averages[p].name);
			reading_close(&readings[p]);
			is_checked[p] = true;
			n_checked++;
		}
		if (n_checked < N_PROFILES)
			reference_step(reference);
	}
}

static int
attach(struct emad *emad, struct emad_publisher **ret_publisher)
{
	static const uint64_t shapes[N_TENSORS] = { N_FLOATS, N_HALVES,
						    N_DOUBLES };
	static const char *const names[N_TENSORS] = { "w", "b", "d" };
	static const char *const dtypes[N_TENSORS] = { "F32", "BF16", "F64" };
	struct emad_tensor tensors[N_TENSORS];
	struct emad_profile profiles[N_PROFILES];
	struct emad_options options = { .profiles = profiles,
					.n_profiles = N_PROFILES,
					.n_slots = N_SLOTS,
					.timeout_ms = -1 };

	for (size_t t = 0; t < N_TENSORS; t++)
		tensors[t] = (struct emad_tensor) { .name = names[t],
						    .dtype = dtypes[t],
						    .n_dims = 1,
						    .shape = &shapes[t] };
	for (size_t p = 0; p < N_PROFILES; p++) {
		profiles[p] = emad_profile_default("constant");
		profiles[p].name = averages[p].name;
		profiles[p].beta = averages[p].beta;
		profiles[p].update_every = averages[p].update_every;
		profiles[p].accumulator = averages[p].accumulator;
	}
	return emad_attach(ret_publisher, emad, "m", tensors, N_TENSORS,
			   &options);
}

static void
publish(struct emad_publisher *publisher, int64_t step, bool is_poisoned)
{
	static struct snapshot snapshot;
	const void *data[N_TENSORS] = { snapshot.floats, snapshot.halves,
					snapshot.doubles };

	snapshot_fill(&snapshot, step);
	if (is_poisoned)
		snapshot.floats[N_FLOATS / 2] = NAN;
	if (emad_publish_data(publisher, step, data) != EMAD_OK)
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
	if (attach(emad, &publisher) != EMAD_OK)
		give_up("attach: %s", emad_error());
	for (step = 0; !story->stop; step++) {
		publish(publisher, step, false);
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

/* Of the average that takes the fewest steps. */
static int64_t
version_step(const struct daemon *daemon)
{
	struct reading reading;
	char path[SHM_PATH_SIZE];
	int64_t step;

	daemon_file(daemon, "m", "sparse", path);
	if (!reading_open(&reading, path))
		return -1;
	step = reading.state.step;
	reading_close(&reading);
	return step;
}

START_TEST(what_is_kept_beside_an_average_survives_the_daemon)
{
	struct story *story = shared_new(sizeof *story);
	struct daemon *daemon = &story->daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	pid_t trainer;

	daemon_new(daemon);
	trainer = child_start(train, story);
	for (unsigned int i = 0; i < story_scale(30); i++) {
		int64_t target =
			version_step(daemon) + 1 + (int64_t)random_below(12);

		wait_until(version_step(daemon) >= target) continue;
		spin(random_below(1000000));
		daemon_kill(daemon);
		check_versions(daemon, reference);
		daemon_start(daemon);
	}
	story->stop = 1;
	child_finish(trainer);
	check_versions(daemon, reference);
	ck_assert_int_eq(reference->averages[0].step, story->last_step);
	ck_assert_int_eq(reference->averages[2].step, story->last_step);
	ck_assert_uint_eq(daemon_n_files(daemon, "slot-"), 0);
	/* Two for each of three; one of them stays beside its version. */
	ck_assert_uint_eq(daemon_n_files(daemon, ".rest-"), 6);
	daemon_stop(daemon);
	ck_assert_uint_eq(daemon_n_files(daemon, ".rest-"), 3);
	free(reference);
}
END_TEST

/*
 * A stopped daemon finds all slots full when it goes on: what it has not begun
 * then it absorbs in as few passes as it can.
 */
START_TEST(queued_snapshots_give_the_bits_that_one_after_another_give)
{
	struct daemon daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	const int64_t n_rounds = story_scale(20);

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	for (int64_t round = 0; round < n_rounds; round++) {
		(void)kill(daemon.pid, SIGSTOP);
		for (int64_t i = 0; i < N_SLOTS; i++)
			publish(publisher, round * N_SLOTS + i, false);
		/* Once in a while, all of them are sent again. */
		if (round % 4 == 3) {
			daemon_kill(&daemon);
			daemon_start(&daemon);
		} else {
			(void)kill(daemon.pid, SIGCONT);
		}
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		check_versions(&daemon, reference);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, (uint64_t)n_rounds * N_SLOTS);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	free(reference);
}
END_TEST

START_TEST(a_snapshot_that_is_not_finite_is_refused_alone)
{
	struct daemon daemon;
	struct reference *reference = xcalloc(1, sizeof *reference);
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_counts counts;
	const int64_t n_rounds = story_scale(10);

	reference->is_poisoned = true;
	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	for (int64_t round = 0; round < n_rounds; round++) {
		(void)kill(daemon.pid, SIGSTOP);
		for (int64_t i = 0; i < N_SLOTS; i++)
			publish(publisher, round * N_SLOTS + i, i == POISONED);
		(void)kill(daemon.pid, SIGCONT);
		ck_assert_int_eq(emad_flush(publisher), EMAD_NOT_FINITE);
		ck_assert_ptr_nonnull(strstr(emad_error(), "\"w\""));
		ck_assert_ptr_nonnull(strstr(emad_error(), "35000"));
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		check_versions(&daemon, reference);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.refused, (uint64_t)n_rounds);
	ck_assert_uint_eq(counts.absorbed, (uint64_t)n_rounds * (N_SLOTS - 1));
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	free(reference);
}
END_TEST

START_TEST(a_dropped_model_leaves_nothing_beside_it)
{
	struct daemon daemon;
	struct emad *emad;
	struct emad_publisher *publisher;
	char path[SHM_PATH_SIZE];

	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	publish(publisher, 0, false);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	ck_assert_uint_eq(daemon_n_files(&daemon, ".rest-"), 6);
	ck_assert_int_eq(emad_drop(emad, "m", "double"), EMAD_OK);
	ck_assert_uint_eq(daemon_n_files(&daemon, ".rest-"), 4);
	/* Whose average is gone is removed by the next daemon. */
	daemon_kill(&daemon);
	daemon_file(&daemon, "m", "sparse", path);
	ck_assert_int_eq(remove(path), 0);
	daemon_start(&daemon);
	ck_assert_uint_eq(daemon_n_files(&daemon, ".rest-"), 2);
	ck_assert_int_eq(emad_drop(emad, "m", NULL), EMAD_OK);
	ck_assert_uint_eq(daemon_n_files(&daemon, ".rest-"), 0);
	/* One that never had a version leaves nothing either. */
	ck_assert_int_eq(attach(emad, &publisher), EMAD_OK);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	ck_assert_uint_eq(daemon_n_files(&daemon, ""), 0);
}
END_TEST

static Suite *
accumulators_suite(void)
{
	Suite *suite = suite_create("accumulators");
	TCase *tcase = tcase_create("accumulators");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase,
		       what_is_kept_beside_an_average_survives_the_daemon);
	tcase_add_test(
		tcase,
		queued_snapshots_give_the_bits_that_one_after_another_give);
	tcase_add_test(tcase, a_snapshot_that_is_not_finite_is_refused_alone);
	tcase_add_test(tcase, a_dropped_model_leaves_nothing_beside_it);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(accumulators_suite)
