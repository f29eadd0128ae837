#include "daemon/io/watch.h"

#include <signal.h>
#include <sys/wait.h>

#include "tests/lib/stage.h"
#include "tests/unit/unit.h"

/* It has a child of its own that keeps its descriptors open. */
static pid_t child;
static int lifeline;
static int n_deaths;
static struct watch *watch;

static void
on_death(void *arg)
{
	must(arg == &n_deaths);
	n_deaths++;
}

static void
close_on_death(void *arg)
{
	on_death(arg);
	watch_close(take_pointer(&watch));
}

static void
setup(void)
{
	stage_set();
	n_deaths = 0;
	child = stage_start_asker(&lifeline);
}

static void
teardown(void)
{
	(void)close(lifeline);
	(void)waitpid(child, NULL, 0);
	stage_strike();
}

static void
start_watch(void (*callback)(void *arg))
{
	int pidfd = request_peer_pidfd(stage.held[0]);

	ck_assert_int_ge(pidfd, 0);
	ck_assert_int_eq(
		watch_new(&watch, &stage.loop, pidfd, callback, &n_deaths), 0);
}

START_TEST(a_death_is_told_once)
{
	start_watch(on_death);
	stage_check_served();
	ck_assert(!watch_is_dead(watch));
	ck_assert_int_eq(n_deaths, 0);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	stage_await(n_deaths == 1);
	ck_assert(watch_is_dead(watch));
	/* Neither time nor the burial tell it again. */
	stage_check_served();
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	stage_check_served();
	ck_assert_int_eq(n_deaths, 1);
	ck_assert(watch_is_dead(watch));
	watch_close(watch);
}
END_TEST

START_TEST(who_is_dead_already_is_told_from_the_loop)
{
	siginfo_t info;

	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT),
			 0);
	start_watch(on_death);
	ck_assert(watch_is_dead(watch));
	ck_assert_int_eq(n_deaths, 0);
	stage_await(n_deaths == 1);
	watch_close(watch);
}
END_TEST

START_TEST(a_closed_watch_tells_nothing)
{
	start_watch(on_death);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	watch_close(watch);
	stage_check_served();
	ck_assert_int_eq(n_deaths, 0);
	watch_close(NULL);
}
END_TEST

START_TEST(the_callback_may_close_the_watch)
{
	start_watch(close_on_death);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	stage_await(n_deaths == 1);
	ck_assert_ptr_null(watch);
	stage_check_served();
	ck_assert_int_eq(n_deaths, 1);
}
END_TEST

START_TEST(what_cannot_be_watched_is_refused_and_closed)
{
	int closed = dup(lifeline);

	(void)close(closed);
	ck_assert_int_lt(
		watch_new(&watch, &stage.loop, closed, on_death, &n_deaths), 0);
}
END_TEST

static Suite *
watch_suite(void)
{
	Suite *suite = suite_create("watch");
	TCase *deaths = tcase_create("deaths");

	tcase_set_timeout(deaths, 60);
	tcase_add_checked_fixture(deaths, setup, teardown);
	tcase_add_test(deaths, a_death_is_told_once);
	tcase_add_test(deaths, who_is_dead_already_is_told_from_the_loop);
	tcase_add_test(deaths, a_closed_watch_tells_nothing);
	tcase_add_test(deaths, the_callback_may_close_the_watch);
	tcase_add_test(deaths, what_cannot_be_watched_is_refused_and_closed);
	suite_add_tcase(suite, deaths);
	return suite;
}

UNIT_MAIN(watch_suite)
