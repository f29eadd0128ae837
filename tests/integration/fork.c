/*
 * Story: a trainer forks workers, as data loaders do, and they exit one way or
 * another.  The trainer goes on; a worker that calls libemad is told so.
 */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_WORKERS 20

struct fixture {
	struct daemon daemon;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct uniform uniform;
};

static void
setup(struct fixture *fixture)
{
	daemon_new(&fixture->daemon);
	uniform_init(&fixture->uniform, 1024);
	insist(emad_connect(&fixture->emad, fixture->daemon.address, -1) ==
	       EMAD_OK);
	insist(uniform_attach(&fixture->uniform, &fixture->publisher,
			      fixture->emad, "m", NULL) == EMAD_OK);
}

static void
publish(struct fixture *fixture, int64_t step)
{
	uniform_fill(&fixture->uniform, step);
	if (emad_publish(fixture->publisher, step, fixture->uniform.tensors) !=
	    EMAD_OK)
		give_up("publish: %s", emad_error());
}

static void
teardown(struct fixture *fixture, int64_t last_step)
{
	struct emad_view *view;

	ck_assert_int_eq(emad_flush(fixture->publisher), EMAD_OK);
	ck_assert_int_eq(
		emad_pull(&view, fixture->emad, "m", "copy", EMAD_NEWEST, 0),
		EMAD_OK);
	ck_assert_int_eq(emad_view_step(view), last_step);
	ck_assert_uint_eq(emad_view_updates(view), (uint64_t)last_step + 1);
	emad_view_close(view);
	ck_assert_int_eq(emad_detach(fixture->publisher), EMAD_OK);
	emad_close(fixture->emad);
	uniform_deinit(&fixture->uniform);
	daemon_stop(&fixture->daemon);
}

static bool is_worker;

/*
 * Asked by the leak sanitizer at exit: it cannot stop the threads of the
 * trainer from within a worker, and would call what they hold a leak.
 */
int __lsan_is_turned_off(void) __attribute__((visibility("default")));

int
__lsan_is_turned_off(void)
{
	return is_worker;
}

static void
exit_at_once(void *arg)
{
	const int *way = arg;

	is_worker = true;
	if (*way)
		exit(0);
}

START_TEST(trainer_goes_on_while_its_workers_exit)
{
	struct fixture fixture;
	pid_t workers[N_WORKERS];
	int64_t step = 0;

	setup(&fixture);
	for (int i = 0; i < N_WORKERS; i++) {
		int way = i % 2;

		publish(&fixture, step++);
		workers[i] = child_start(exit_at_once, &way);
		publish(&fixture, step++);
		if (i % 4 < 2)
			child_finish(workers[i]);
		publish(&fixture, step++);
	}
	for (int i = 0; i < N_WORKERS; i++) {
		if (i % 4 >= 2)
			child_finish(workers[i]);
	}
	publish(&fixture, step++);
	teardown(&fixture, step - 1);
}
END_TEST

static void
call_everything(void *arg)
{
	struct fixture *fixture = arg;
	struct emad_publisher *publisher;
	struct emad_view *view;
	struct emad *emad;
	char *json;
	void *slot[UNIFORM_TENSORS];

	insist(emad_publish(fixture->publisher, 100,
			    fixture->uniform.tensors) == EMAD_FORKED);
	insist(emad_publish_async(fixture->publisher, 100,
				  fixture->uniform.tensors) == EMAD_FORKED);
	insist(emad_publish_wait(fixture->publisher) == EMAD_FORKED);
	insist(strlen(emad_error()) > 0);
	insist(emad_begin(fixture->publisher, slot) == EMAD_FORKED);
	insist(emad_flush(fixture->publisher) == EMAD_FORKED);
	insist(emad_pull(&view, fixture->emad, "m", "copy", EMAD_NEWEST, 0) ==
	       EMAD_FORKED);
	insist(uniform_attach(&fixture->uniform, &publisher, fixture->emad, "n",
			      NULL) == EMAD_FORKED);
	insist(emad_status_json(fixture->emad, &json) == EMAD_FORKED);
	insist(emad_drop(fixture->emad, "m", NULL) == EMAD_FORKED);
	insist(emad_stop(fixture->emad) == EMAD_FORKED);
	insist(emad_detach(fixture->publisher) == EMAD_FORKED);
	insist(emad_connect(&emad, fixture->daemon.address, -1) == EMAD_FORKED);
	emad_close(fixture->emad);
}

START_TEST(calls_in_a_forked_child_are_refused)
{
	struct fixture fixture;

	setup(&fixture);
	publish(&fixture, 0);
	for (int i = 0; i < 5; i++)
		child_finish(child_start(call_everything, &fixture));
	publish(&fixture, 1);
	teardown(&fixture, 1);
}
END_TEST

/* What a trainer that dies and leaves a worker behind shares with the test. */
struct abandoned {
	struct daemon daemon;
	pid_t worker;
};

static void
leave_a_worker_behind(void *arg)
{
	struct abandoned *abandoned = arg;
	struct emad_publisher *publisher;
	struct uniform uniform;
	struct emad *emad;
	pid_t worker;

	uniform_init(&uniform, 1024);
	insist(emad_connect(&emad, abandoned->daemon.address, -1) == EMAD_OK);
	insist(uniform_attach(&uniform, &publisher, emad, "m", NULL) ==
	       EMAD_OK);
	worker = fork();
	insist(worker >= 0);
	if (worker == 0)
		(void)pause();
	else
		abandoned->worker = worker;
}

/* The worker holds the sockets open: only the process itself can tell. */
START_TEST(death_of_a_trainer_shows_though_its_worker_lives)
{
	struct abandoned *abandoned = shared_new(sizeof *abandoned);
	struct emad_publisher *publisher;
	struct uniform uniform;
	struct emad *emad;

	daemon_new(&abandoned->daemon);
	child_finish(child_start(leave_a_worker_behind, abandoned));
	ck_assert_int_gt(abandoned->worker, 0);
	ck_assert_int_eq(kill(abandoned->worker, 0), 0);

	uniform_init(&uniform, 1024);
	insist(emad_connect(&emad, abandoned->daemon.address, -1) == EMAD_OK);
	if (uniform_attach(&uniform, &publisher, emad, "m", NULL) != EMAD_OK)
		ck_abort_msg("%s", emad_error());
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	uniform_deinit(&uniform);
	(void)kill(abandoned->worker, SIGKILL);
	daemon_stop(&abandoned->daemon);
}
END_TEST

static Suite *
fork_suite(void)
{
	Suite *suite = suite_create("fork");
	TCase *tcase = tcase_create("workers");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, trainer_goes_on_while_its_workers_exit);
	tcase_add_test(tcase, calls_in_a_forked_child_are_refused);
	tcase_add_test(tcase, death_of_a_trainer_shows_though_its_worker_lives);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(fork_suite)
