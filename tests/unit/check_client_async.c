#include <dirent.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "client/internal.h"
#include "tests/lib/client_stage.h"
#include "tests/unit/unit.h"

static int
publish_async(int64_t step)
{
	weight[0] = (float)step;
	return emad_publish_async(publisher, step, tensors);
}

static void
publish_async_well(int64_t step)
{
	int status = publish_async(step);

	ck_assert_msg(status == EMAD_OK, "step %d: %s", (int)step,
		      emad_error());
}

static void
wait_well(void)
{
	ck_assert_msg(emad_publish_wait(publisher) == EMAD_OK, "%s",
		      emad_error());
}

/* Both slots are the daemon's, and it keeps them. */
static void
fill_slots(void)
{
	attach();
	fake_order(fake, &hold);
	publish_well(2);
	publish_well(4);
	fake_await_publishes(fake, 2);
}

static void
free_slots(void)
{
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
}

/* The @n publishes that came are those of @steps, in any order. */
static void
check_publishes(unsigned int n, const int64_t *steps)
{
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, n);
	for (unsigned int i = 0; i < n; i++) {
		const struct fake_publish *sent = &record.publishes[i];
		int64_t step = steps[sent->sequence - 1];

		ck_assert_int_eq(sent->step, step);
		ck_assert_float_eq(sent->value, (float)step);
	}
}

START_TEST(it_is_sent_without_another_call)
{
	attach();
	for (unsigned int i = 0; i < 20; i++) {
		publish_async_well(i);
		fake_await_publishes(fake, i + 1);
		wait_well();
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 20);
	ck_assert_uint_eq(counts.absorbed, 20);
}
END_TEST

START_TEST(pointers_may_go_though_the_parameters_stay)
{
	const void *data[] = { half, weight, &scalar };

	fill_slots();
	weight[0] = 6;
	weight[9] = 9;
	ck_assert_int_eq(emad_publish_data_async(publisher, 6, data), EMAD_OK);
	memset(data, 0xFF, sizeof data);
	free_slots();
	wait_well();
	fake_await_publishes(fake, 3);
	check_publishes(3, (const int64_t[]) { 2, 4, 6 });
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

START_TEST(neither_it_nor_an_unwanted_step_waits_for_a_slot)
{
	profile.update_every = 2;
	fill_slots();
	publish_async_well(6);
	ck_assert_int_eq(emad_publish(publisher, 7, tensors), EMAD_OK);
	ck_assert_int_eq(emad_publish_async(publisher, 9, tensors), EMAD_OK);
	ck_assert_int_eq(emad_publish(publisher, 6, tensors),
			 EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(emad_publish(publisher, 8, NULL), EMAD_USAGE);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 2);
	ck_assert_uint_eq(counts.skipped, 2);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 2);
	free_slots();
	wait_well();
	fake_await_publishes(fake, 3);
	check_publishes(3, (const int64_t[]) { 2, 4, 6 });
}
END_TEST

START_TEST(questions_can_be_asked_meanwhile)
{
	char *text;

	fill_slots();
	publish_async_well(6);
	ck_assert_int_eq(emad_status_json(emad, &text), EMAD_OK);
	free(text);
	free_slots();
	wait_well();
}
END_TEST

static void *
free_slots_soon(void *unused)
{
	free_slots();
	return unused;
}

static int
begin_and_commit(int64_t step)
{
	void *data[N_TENSORS];
	int status;

	status = emad_begin(publisher, data);
	if (status != EMAD_OK)
		return status;
	*(float *)data[1] = (float)step;
	return emad_commit(publisher, step);
}

static int
flush(int64_t step)
{
	(void)step;
	return emad_flush(publisher);
}

static int
detach(int64_t step)
{
	(void)step;
	return emad_detach(publisher);
}

static int
close_all(int64_t step)
{
	(void)step;
	emad_close(take_pointer(&emad));
	return EMAD_OK;
}

static const struct {
	int (*call)(int64_t step);
	unsigned int n_publishes;
} others[] = {
	{ publish, 4 }, { publish_async, 4 }, { begin_and_commit, 4 },
	{ flush, 3 },   { detach, 3 },        { close_all, 3 },
};

/* _i: which of them. */
START_TEST(all_other_calls_wait_for_it)
{
	static float first[N_ELEMENTS];
	const void *data[] = { half, first, &scalar };
	pthread_t thread;

	fill_slots();
	first[0] = 6;
	ck_assert_int_eq(emad_publish_data_async(publisher, 6, data), EMAD_OK);
	ck_assert_int_eq(pthread_create(&thread, NULL, free_slots_soon, NULL),
			 0);
	ck_assert_msg(others[_i].call(8) == EMAD_OK, "%s", emad_error());
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	fake_await_publishes(fake, others[_i].n_publishes);
	check_publishes(others[_i].n_publishes,
			(const int64_t[]) { 2, 4, 6, 8 });
}
END_TEST

START_TEST(waiting_for_nothing_is_no_wait)
{
	fill_slots();
	wait_well();
	ck_assert_int_eq(emad_publish_wait(NULL), EMAD_USAGE);
	free_slots();
	publish_async_well(6);
	wait_well();
	wait_well();
}
END_TEST

START_TEST(mode_drop_is_told_when_it_waits)
{
	options.mode = EMAD_MODE_DROP;
	fill_slots();
	publish_async_well(6);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_NO_SLOT);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 6"));
	wait_well();
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.dropped, 1);
	free_slots();
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	/* It was not published, so it may be. */
	publish_async_well(6);
	wait_well();
	fake_await_publishes(fake, 3);
	check_publishes(3, (const int64_t[]) { 2, 4, 6 });
}
END_TEST

START_TEST(a_wait_is_no_longer_than_told)
{
	options.timeout_ms = 50;
	fill_slots();
	publish_async_well(6);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_TIMEOUT);
	free_slots();
	publish_well(6);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

START_TEST(a_failure_that_nobody_waited_for_is_reported_once)
{
	options.mode = EMAD_MODE_DROP;
	fill_slots();
	publish_async_well(6);
	/* The thread must have failed before the slots are free. */
	do {
		emad_get_counts(publisher, &counts);
		(void)sched_yield();
	} while (counts.dropped == 0);
	free_slots();
	ck_assert_int_eq(emad_flush(publisher), EMAD_NO_SLOT);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 6"));
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	fake_order(fake, &hold);
	publish_well(8);
	publish_well(10);
	publish_async_well(12);
	/* It joins the one before, which failed, and goes on. */
	publish_async_well(14);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_NO_SLOT);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 14"));
	fake_await_publishes(fake, 4);
	free_slots();
	ck_assert_int_eq(emad_flush(publisher), EMAD_NO_SLOT);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 12"));
}
END_TEST

START_TEST(an_earlier_refusal_is_reported_by_the_wait)
{
	struct fake_orders refuse = { .publish = STATUS_NOT_FINITE };

	attach();
	fake_order(fake, &refuse);
	publish_async_well(1);
	wait_well();
	while (!channels_look(&publisher->channels[0], 1))
		(void)sched_yield();
	fake_order(fake, &nothing_special);
	publish_async_well(2);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_NOT_FINITE);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 1"));
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 1);
	ck_assert_uint_eq(counts.refused, 1);
}
END_TEST

START_TEST(it_survives_the_daemon)
{
	for (int64_t step = 2; step < 20; step += 6) {
		if (step == 2)
			attach();
		fake_order(fake, &hold);
		fake_look(fake, &record);
		publish_well(step);
		publish_well(step + 2);
		fake_await_publishes(fake, record.n_publishes + 2);
		publish_async_well(step + 4);
		fake_stop(fake);
		fake_order(fake, &nothing_special);
		fake_start(fake);
		wait_well();
		ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s",
			      emad_error());
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 9);
	ck_assert_uint_eq(counts.absorbed, 9);
	ck_assert_uint_eq(counts.reattached, 3);
}
END_TEST

START_TEST(a_daemon_that_stays_away_is_told_by_the_wait)
{
	options.timeout_ms = 100;
	fill_slots();
	publish_async_well(6);
	fake_stop(fake);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_UNREACHABLE);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	/* Instrumented or crowded machines may need more than one attempt. */
	for (int i = 0; i < 100 && publish(6) != EMAD_OK; i++)
		continue;
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 3);
}
END_TEST

START_TEST(a_model_that_was_taken_over_is_told_by_the_wait)
{
	attach();
	fake_order(fake,
		   &(struct fake_orders) { .publish = STATUS_TAKEN_OVER });
	publish_well(1);
	while (!channels_look(&publisher->channels[0], 1))
		(void)sched_yield();
	publish_async_well(2);
	ck_assert_int_eq(emad_publish_wait(publisher), EMAD_TAKEN_OVER);
	ck_assert_int_eq(publish_async(3), EMAD_TAKEN_OVER);
	wait_well();
}
END_TEST

START_TEST(a_begun_snapshot_comes_first)
{
	void *data[N_TENSORS];

	attach();
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_int_eq(publish_async(0), EMAD_USAGE);
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_OK);
	publish_async_well(1);
	wait_well();
}
END_TEST

/* Looks for leaks when it exits, and does not see the parent's threads. */
static bool is_child;
__attribute__((visibility("default"))) int __lsan_is_turned_off(void);

int
__lsan_is_turned_off(void)
{
	return is_child;
}

START_TEST(a_forked_child_may_exit_meanwhile)
{
	int status;
	pid_t pid;

	fill_slots();
	publish_async_well(6);
	pid = fork();
	/* Not a check in the child: another thread may be at one. */
	if (pid == 0) {
		is_child = true;
		if (emad_publish_wait(publisher) != EMAD_FORKED ||
		    publish_async(8) != EMAD_FORKED ||
		    emad_flush(publisher) != EMAD_FORKED ||
		    emad_detach(publisher) != EMAD_FORKED)
			_exit(1);
		emad_close(emad);
		exit(3);
	}
	ck_assert_int_ge(pid, 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 3);
	free_slots();
	wait_well();
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

/* How many threads are named @name; which signals the last of them blocks. */
static unsigned int
count_threads(const char *name, unsigned long long *ret_blocked)
{
	DIR *tasks = opendir("/proc/self/task");
	const struct dirent *task;
	unsigned int n = 0;

	ck_assert_ptr_nonnull(tasks);
	while ((task = readdir(tasks))) {
		char path[300], line[100];
		bool is_one = false;
		FILE *file;

		(void)snprintf(path, sizeof path, "/proc/self/task/%s/status",
			       task->d_name);
		file = fopen(path, "re");
		while (file && fgets(line, sizeof line, file)) {
			if (strncmp(line, "Name:\t", 6) == 0)
				is_one = strncmp(line + 6, name,
						 strlen(name)) == 0;
			if (is_one)
				(void)sscanf(line, "SigBlk: %llx", ret_blocked);
		}
		if (file)
			(void)fclose(file);
		n += is_one;
	}
	(void)closedir(tasks);
	return n;
}

START_TEST(one_thread_is_made_when_needed_and_takes_no_signals)
{
	unsigned long long blocked = 0;

	attach();
	publish_well(1);
	ck_assert_uint_eq(count_threads("emad-", &blocked), 0);
	for (int64_t step = 2; step < 10; step++) {
		publish_async_well(step);
		wait_well();
		ck_assert_uint_eq(count_threads("emad-publish", &blocked), 1);
	}
	for (int signal = 1; signal <= SIGSYS; signal++)
		ck_assert(signal == SIGKILL || signal == SIGSTOP ||
			  (blocked >> (signal - 1) & 1));
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	ck_assert_uint_eq(count_threads("emad-", &blocked), 0);
}
END_TEST

static void
add_tests(TCase *tcase)
{
	tcase_add_test(tcase, it_is_sent_without_another_call);
	tcase_add_test(tcase, pointers_may_go_though_the_parameters_stay);
	tcase_add_test(tcase, neither_it_nor_an_unwanted_step_waits_for_a_slot);
	tcase_add_test(tcase, questions_can_be_asked_meanwhile);
	tcase_add_loop_test(tcase, all_other_calls_wait_for_it, 0,
			    array_size(others));
	tcase_add_test(tcase, waiting_for_nothing_is_no_wait);
	tcase_add_test(tcase, mode_drop_is_told_when_it_waits);
	tcase_add_test(tcase, a_wait_is_no_longer_than_told);
	tcase_add_test(tcase,
		       a_failure_that_nobody_waited_for_is_reported_once);
	tcase_add_test(tcase, an_earlier_refusal_is_reported_by_the_wait);
	tcase_add_test(tcase, it_survives_the_daemon);
	tcase_add_test(tcase, a_daemon_that_stays_away_is_told_by_the_wait);
	tcase_add_test(tcase, a_model_that_was_taken_over_is_told_by_the_wait);
	tcase_add_test(tcase, a_begun_snapshot_comes_first);
	tcase_add_test(tcase, a_forked_child_may_exit_meanwhile);
	tcase_add_test(tcase,
		       one_thread_is_made_when_needed_and_takes_no_signals);
}

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client_async");

	add_tests(new_case(suite, "async"));
	return suite;
}

UNIT_MAIN(make_suite)
