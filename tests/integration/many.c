/*
 * Story: 64 trainers at once, 200 models, 1,000 attach and detach cycles; then
 * all is dropped, and the daemon is as small as it was.
 */
#include <check.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"

#define N_TRAINERS   64
#define N_MODELS     200
#define N_CYCLES     1000
#define N_ELEMENTS   1024
#define N_STEPS      10
#define N_CONCURRENT 4 /* models of one trainer, at most */

struct many {
	struct daemon daemon;
	_Atomic unsigned int n_attached;
	_Atomic int go; /* all are attached: publish */
	_Atomic unsigned int n_done;
	_Atomic int leave;
};

struct trainer {
	struct many *many;
	unsigned int index;
};

static int
attach(struct emad *emad, struct emad_publisher **ret_publisher,
       unsigned int model)
{
	static const uint64_t shape[] = { N_ELEMENTS };
	const struct emad_tensor tensor = {
		.name = "w", .dtype = "F32", .n_dims = 1, .shape = shape
	};
	struct emad_profile profile = emad_profile_default("constant");
	const struct emad_options options = { .profiles = &profile,
					      .n_profiles = 1 };
	char name[32];

	(void)snprintf(name, sizeof name, "model-%u", model);
	return emad_attach(ret_publisher, emad, name, &tensor, 1, &options);
}

static void
publish_all(struct emad_publisher *const *publishers, unsigned int n)
{
	static float values[N_ELEMENTS];
	const void *data = values;

	for (unsigned int i = 0; i < n; i++) {
		int64_t first = emad_last_step(publishers[i]) + 1;

		for (int64_t step = first; step < first + N_STEPS; step++) {
			values[0] = (float)step;
			if (emad_publish_data(publishers[i], step, &data) !=
			    EMAD_OK)
				give_up("publish: %s", emad_error());
		}
	}
	for (unsigned int i = 0; i < n; i++)
		insist(emad_flush(publishers[i]) == EMAD_OK);
}

static void
train(void *arg)
{
	const struct trainer *trainer = arg;
	struct many *many = trainer->many;
	struct emad_publisher *publishers[N_CONCURRENT];
	struct emad *emad;
	unsigned int n = 0;

	if (emad_connect(&emad, many->daemon.address, 60000) != EMAD_OK)
		give_up("connect: %s", emad_error());
	for (unsigned int m = trainer->index; m < N_MODELS; m += N_TRAINERS) {
		if (attach(emad, &publishers[n++], m) != EMAD_OK)
			give_up("attach: %s", emad_error());
		many->n_attached++;
	}
	wait_until(many->go) continue;
	publish_all(publishers, n);
	many->n_done++;
	wait_until(many->leave) continue;
	for (unsigned int i = 0; i < n; i++)
		insist(emad_detach(publishers[i]) == EMAD_OK);
	emad_close(emad);
}

/* All at once; in the middle, the daemon has them all. */
static void
run_trainers(struct many *many)
{
	struct trainer trainers[N_TRAINERS];
	pid_t pids[N_TRAINERS];
	struct raw_counts counts;

	many->n_attached = 0;
	many->n_done = 0;
	many->go = 0;
	many->leave = 0;
	for (unsigned int i = 0; i < N_TRAINERS; i++) {
		trainers[i] = (struct trainer) { .many = many, .index = i };
		pids[i] = child_start(train, &trainers[i]);
	}
	wait_until(many->n_attached == N_MODELS) continue;
	counts = raw_count(daemon_socket(&many->daemon));
	ck_assert_uint_eq(counts.n_models, N_MODELS);
	ck_assert_uint_eq(counts.n_sessions, N_MODELS);
	many->go = 1;
	wait_until(many->n_done == N_TRAINERS) continue;
	many->leave = 1;
	for (unsigned int i = 0; i < N_TRAINERS; i++)
		child_finish(pids[i]);
}

static void
run_cycles(void *arg)
{
	struct many *many = arg;
	struct emad *emad;

	insist(emad_connect(&emad, many->daemon.address, -1) == EMAD_OK);
	for (unsigned int i = 0; i < story_scale(N_CYCLES); i++) {
		struct emad_publisher *publisher;

		if (attach(emad, &publisher, i % N_MODELS) != EMAD_OK)
			give_up("attach: %s", emad_error());
		if (i % 10 == 0)
			publish_all(&publisher, 1);
		if (emad_detach(publisher) != EMAD_OK)
			give_up("detach: %s", emad_error());
	}
	emad_close(emad);
}

static void
drop_all(void *arg)
{
	struct many *many = arg;
	struct emad *emad;
	char name[32];

	insist(emad_connect(&emad, many->daemon.address, -1) == EMAD_OK);
	for (unsigned int m = 0; m < N_MODELS; m++) {
		(void)snprintf(name, sizeof name, "model-%u", m);
		if (emad_drop(emad, name, NULL) != EMAD_OK)
			give_up("drop: %s", emad_error());
	}
	emad_close(emad);
}

static void
run_round(struct many *many)
{
	run_trainers(many);
	child_finish(child_start(run_cycles, many));
	child_finish(child_start(drop_all, many));
}

/*
 * Wait until the daemon has nothing left; its descriptors then, the one of
 * this question's connection included.
 */
static unsigned int
await_quiet(const struct daemon *daemon)
{
	int fd = raw_open(daemon_socket(daemon));
	unsigned int n_descriptors;
	bool quiet = false;

	wait_until(quiet)
	{
		Emad__Reply *reply = raw_status(fd);

		quiet = reply->status_reply->n_sessions == 0 &&
			reply->status_reply->n_models == 0 &&
			reply->status_reply->n_connections == 1;
		wire_reply_free(reply);
	}
	n_descriptors = daemon_n_descriptors(daemon);
	(void)close(fd);
	return n_descriptors;
}

START_TEST(everything_returns_to_where_it_was)
{
	struct many *many = shared_new(sizeof *many);
	struct daemon *daemon = &many->daemon;
	unsigned int n_descriptors, n_threads, n_files;
	unsigned long memory;
	unsigned long more = story_is_instrumented() ? 65536 : 2048; /* KiB */

	daemon_new(daemon);
	n_descriptors = await_quiet(daemon);
	n_files = daemon_n_files(daemon, "");

	/* In the first round the allocator and libuv's pool get their size. */
	run_round(many);
	ck_assert_uint_eq(await_quiet(daemon), n_descriptors);
	n_threads = daemon_n_threads(daemon);
	memory = daemon_memory(daemon, "RssAnon");
	run_round(many);

	ck_assert_uint_eq(await_quiet(daemon), n_descriptors);
	ck_assert_uint_eq(daemon_n_threads(daemon), n_threads);
	ck_assert_uint_eq(daemon_n_files(daemon, ""), n_files);
	ck_assert_uint_le(daemon_memory(daemon, "RssAnon"), memory + more);
	ck_assert_uint_le(daemon_memory(daemon, "RssShmem"), more);
	daemon_stop(daemon);
}
END_TEST

static Suite *
many_suite(void)
{
	Suite *suite = suite_create("many");
	TCase *tcase = tcase_create("many");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, everything_returns_to_where_it_was);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(many_suite)
