/*
 * Story: the modes of publishing, the ways of pulling, dropping, and the
 * daemon's end and return.
 */
#include <check.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_ELEMENTS 65536

static struct daemon daemon_;
static struct uniform uniform;

static void
setup(void)
{
	daemon_new(&daemon_);
	uniform_init(&uniform, N_ELEMENTS);
}

static void
teardown(void)
{
	uniform_deinit(&uniform);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

static struct emad *
connect_(void)
{
	struct emad *emad = NULL;

	if (emad_connect(&emad, daemon_.address, -1) != EMAD_OK)
		give_up("connect: %s", emad_error());
	return emad;
}

static struct emad_publisher *
attach(struct emad *emad, const char *model, struct emad_options options)
{
	struct emad_publisher *publisher = NULL;

	if (uniform_attach(&uniform, &publisher, emad, model, &options) !=
	    EMAD_OK)
		give_up("attach: %s", emad_error());
	return publisher;
}

static int
publish(struct emad_publisher *publisher, int64_t step)
{
	uniform_fill(&uniform, step);
	return emad_publish(publisher, step, uniform.tensors);
}

static struct emad_view *
pull(struct emad *emad, const char *model)
{
	struct emad_view *view = NULL;

	if (emad_pull(&view, emad, model, "slow", EMAD_NEWEST, 0) != EMAD_OK)
		give_up("pull: %s", emad_error());
	return view;
}

/* A stopped daemon: every slot is full for certain, and nothing has begun. */
START_TEST(mode_latest_replaces_what_has_not_begun)
{
	struct emad *emad = connect_();
	struct emad_publisher *publisher =
		attach(emad, "m",
		       (struct emad_options) { .mode = EMAD_MODE_LATEST,
					       .n_slots = 8 });
	struct emad_counts counts;
	struct emad_view *view;
	int64_t step = 0;

	for (int round = 0; round < 5; round++) {
		(void)kill(daemon_.pid, SIGSTOP);
		for (int i = 0; i < 8; i++)
			ck_assert_int_eq(publish(publisher, step++), EMAD_OK);
		(void)kill(daemon_.pid, SIGCONT);
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		view = pull(emad, "m");
		ck_assert_int_eq(emad_view_step(view), step - 1);
		emad_view_close(view);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, (uint64_t)step);
	ck_assert_uint_eq(counts.absorbed + counts.replaced, (uint64_t)step);
	ck_assert_uint_gt(counts.replaced, 0);
	ck_assert_uint_eq(counts.refused, 0);
	view = pull(emad, "m");
	ck_assert_uint_eq(emad_view_updates(view), counts.absorbed);
	emad_view_close(view);
	emad_close(emad);
}
END_TEST

START_TEST(mode_drop_refuses_at_once_when_no_slot_is_free)
{
	struct emad *emad = connect_();
	struct emad_publisher *publisher = attach(
		emad, "m", (struct emad_options) { .mode = EMAD_MODE_DROP });
	struct emad_counts counts;
	struct emad_view *view;

	(void)kill(daemon_.pid, SIGSTOP);
	ck_assert_int_eq(publish(publisher, 0), EMAD_OK);
	ck_assert_int_eq(publish(publisher, 1), EMAD_OK);
	ck_assert_int_eq(publish(publisher, 2), EMAD_NO_SLOT);
	ck_assert_int_eq(publish(publisher, 3), EMAD_NO_SLOT);
	(void)kill(daemon_.pid, SIGCONT);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_int_eq(publish(publisher, 4), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);

	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 3);
	ck_assert_uint_eq(counts.dropped, 2);
	ck_assert_uint_eq(counts.absorbed, 3);
	view = pull(emad, "m");
	ck_assert_int_eq(emad_view_step(view), 4);
	ck_assert_uint_eq(emad_view_updates(view), 3);
	emad_view_close(view);
	emad_close(emad);
}
END_TEST

START_TEST(pull_waits_for_a_step_and_no_longer_than_it_may)
{
	struct emad *emad = connect_();
	struct emad_publisher *publisher =
		attach(emad, "m", (struct emad_options) { 0 });
	struct emad_view *view;

	ck_assert_int_eq(publish(publisher, 0), EMAD_OK);
	ck_assert_int_eq(emad_pull(&view, emad, "m", "copy", 0, -1), EMAD_OK);
	emad_view_close(view);
	ck_assert_int_eq(emad_pull(&view, emad, "m", "copy", 5, 50),
			 EMAD_TIMEOUT);
	ck_assert_int_eq(publish(publisher, 7), EMAD_OK);
	ck_assert_int_eq(emad_pull(&view, emad, "m", "copy", 5, -1), EMAD_OK);
	ck_assert_int_eq(emad_view_step(view), 7);
	emad_view_close(view);
	/* When the time is over, the sentence says what was missing. */
	ck_assert_int_eq(
		emad_pull(&view, emad, "nobody", NULL, EMAD_NEWEST, 50),
		EMAD_UNKNOWN_MODEL);
	emad_close(emad);
}
END_TEST

static void
pull_what_comes_later(void *arg)
{
	_Atomic int *waits = arg;
	struct emad *emad = connect_();
	struct emad_view *view;

	*waits = 1;
	if (emad_pull(&view, emad, "later", "copy", 3, -1) != EMAD_OK)
		give_up("pull: %s", emad_error());
	insist(emad_view_step(view) >= 3);
	emad_view_close(view);
	emad_close(emad);
}

START_TEST(pull_waits_for_a_model_that_comes_later)
{
	_Atomic int *waits = shared_new(sizeof *waits);
	pid_t child = child_start(pull_what_comes_later, waits);
	struct emad_publisher *publisher;
	struct emad *emad;

	wait_until(*waits) continue;
	emad = connect_();
	publisher = attach(emad, "later", (struct emad_options) { 0 });
	for (int64_t step = 0; step < 5; step++)
		ck_assert_int_eq(publish(publisher, step), EMAD_OK);
	child_finish(child);
	emad_close(emad);
}
END_TEST

/* A pull on a bare socket, whose answer is asked for later. */
static int
send_pull(const char *model, int64_t at_step)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull message = EMAD__PULL__INIT;
	int fd = raw_open(daemon_socket(&daemon_));
	size_t size;
	uint8_t *body;

	message.model = (char *)(uintptr_t)model;
	message.profile = (char *)(uintptr_t) "copy";
	message.has_at_step = true;
	message.at_step = at_step;
	message.has_timeout_ms = true;
	message.timeout_ms = 1000000;
	request.pull = &message;
	body = wire_pack(&request.base, &size);
	insist(raw_send(fd, 1, body, size));
	free(body);
	return fd;
}

static unsigned int
receive_status(int fd)
{
	uint32_t id;
	Emad__Reply *reply = raw_receive(fd, &id);
	unsigned int status;

	insist(reply);
	status = reply->status;
	wire_reply_free(reply);
	return status;
}

START_TEST(dropped_model_stays_with_those_who_have_it_mapped)
{
	struct emad *emad = connect_();
	struct emad_publisher *publisher =
		attach(emad, "m", (struct emad_options) { 0 });
	struct emad_view *view;
	char path[SHM_PATH_SIZE];
	const void *file;
	uint64_t size;
	void *copy;
	int waiter;

	ck_assert_int_eq(publish(publisher, 0), EMAD_OK);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	view = pull(emad, "m");
	file = emad_view_file(view, &size);
	copy = malloc(size);
	insist(copy);
	memcpy(copy, file, size);
	waiter = send_pull("m", 100);
	/* The answer to this says that the pull was read. */
	wire_reply_free(raw_status(waiter));

	ck_assert_int_eq(emad_drop(emad, "m", "slow"), EMAD_OK);
	daemon_file(&daemon_, "m", "slow", path);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_int_eq(emad_drop(emad, "m", NULL), EMAD_OK);
	daemon_file(&daemon_, "m", "copy", path);
	ck_assert_int_ne(access(path, F_OK), 0);
	ck_assert_uint_eq(receive_status(waiter), STATUS_UNKNOWN_MODEL);
	(void)close(waiter);
	ck_assert(memcmp(file, copy, size) == 0);

	/* The name is free for another model. */
	publisher = attach(emad, "m", (struct emad_options) { 0 });
	ck_assert_int_eq(emad_last_step(publisher), -1);
	ck_assert_int_eq(publish(publisher, 0), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(memcmp(file, copy, size) == 0);
	emad_view_close(view);
	free(copy);
	emad_close(emad);
}
END_TEST

/* Publishes that the daemon has taken from the publisher of @model. */
static uint64_t
n_accepted(const char *model)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Describe describe = EMAD__DESCRIBE__INIT;
	int fd = raw_open(daemon_socket(&daemon_));
	Emad__Reply *reply;
	uint64_t n;

	describe.model = (char *)(uintptr_t)model;
	request.describe = &describe;
	reply = raw_ask(fd, &request);
	insist(reply->describe && reply->describe->n_publishers == 1);
	n = reply->describe->publishers[0]->accepted;
	wire_reply_free(reply);
	(void)close(fd);
	return n;
}

/* Two publishes of 32 MB, accepted and not answered, when the signal comes. */
START_TEST(sigterm_finishes_what_was_accepted_and_leaves_the_versions)
{
	static const char json[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":["
				   "8388608],\"data_offsets\":[0,33554432]}}";
	Emad__Attach message = raw_attach_message("m", json);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };
	int fd = raw_open(daemon_socket(&daemon_));
	int waiter = send_pull("nobody", 0);
	struct raw_session session;
	struct reading reading;
	char path[SHM_PATH_SIZE];

	wire_reply_free(raw_status(waiter));
	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	ck_assert_uint_eq(raw_attach(&session, fd, &message), STATUS_OK);
	raw_publish_send(&session, fd, 11, 0, 1, 0);
	raw_publish_send(&session, fd, 12, 1, 2, 1);
	wait_until(n_accepted("m") == 2) continue;
	daemon_stop(&daemon_);
	ck_assert_uint_eq(receive_status(waiter), STATUS_STOPPING);
	ck_assert_uint_eq(receive_status(fd), STATUS_OK);
	ck_assert_uint_eq(receive_status(fd), STATUS_OK);
	(void)close(waiter);
	(void)close(fd);

	daemon_file(&daemon_, "m", "ema", path);
	ck_assert(reading_open(&reading, path));
	ck_assert_int_eq(reading.state.step, 1);
	ck_assert_uint_eq(reading.state.updates, 2);
	reading_close(&reading);
	ck_assert_uint_eq(daemon_n_files(&daemon_, "slot-"), 0);
	ck_assert_uint_eq(daemon_n_files(&daemon_, "next-"), 0);
	ck_assert_int_ne(access(daemon_socket(&daemon_), F_OK), 0);
	raw_session_close(&session);
	daemon_start(&daemon_);
}
END_TEST

START_TEST(daemon_that_comes_back_goes_on_from_the_versions)
{
	struct emad *emad = connect_();
	struct emad_publisher *publisher;
	struct emad_view *before, *after;
	const void *bytes;
	uint64_t size, size_after;
	struct emad_counts counts;

	publisher = attach(emad, "m", (struct emad_options) { 0 });
	for (int64_t step = 0; step < 10; step++)
		ck_assert_int_eq(publish(publisher, step), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	before = pull(emad, "m");
	for (int round = 0; round < 3; round++) {
		daemon_stop(&daemon_);
		daemon_start(&daemon_);
	}
	after = pull(emad, "m");
	ck_assert_int_eq(emad_view_step(after), 9);
	ck_assert_uint_eq(emad_view_updates(after), 10);
	bytes = emad_view_file(before, &size);
	ck_assert_mem_eq(bytes, emad_view_file(after, &size_after), size);
	ck_assert_uint_eq(size, size_after);
	emad_view_close(before);
	emad_view_close(after);

	/* The publisher that was attached all the while simply goes on. */
	ck_assert_int_eq(publish(publisher, 10), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 11);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	publisher = attach(emad, "m", (struct emad_options) { 0 });
	ck_assert_int_eq(emad_last_step(publisher), 10);
	emad_close(emad);
}
END_TEST

START_TEST(unwanted_steps_cost_nothing_and_are_counted)
{
	struct emad_profile profile = emad_profile_default(NULL);
	const struct emad_options options = { .profiles = &profile,
					      .n_profiles = 1 };
	struct emad *emad = connect_();
	struct emad_publisher *publisher;
	struct emad_counts counts;

	ck_assert_int_eq(emad_attach(&publisher, emad, "m", uniform.tensors,
				     UNIFORM_TENSORS, &options),
			 EMAD_OK);
	for (int64_t step = 0; step < 100; step++) {
		ck_assert_int_eq(!emad_wants(publisher, step), step % 10 != 0);
		ck_assert_int_eq(publish(publisher, step), EMAD_OK);
	}
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 10);
	ck_assert_uint_eq(counts.skipped, 90);
	ck_assert_uint_eq(counts.absorbed, 10);
	emad_close(emad);
}
END_TEST

static Suite *
serving_suite(void)
{
	Suite *suite = suite_create("serving");
	TCase *tcase = tcase_create("serving");

	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, mode_latest_replaces_what_has_not_begun);
	tcase_add_test(tcase, mode_drop_refuses_at_once_when_no_slot_is_free);
	tcase_add_test(tcase, pull_waits_for_a_step_and_no_longer_than_it_may);
	tcase_add_test(tcase, pull_waits_for_a_model_that_comes_later);
	tcase_add_test(tcase,
		       dropped_model_stays_with_those_who_have_it_mapped);
	tcase_add_test(
		tcase,
		sigterm_finishes_what_was_accepted_and_leaves_the_versions);
	tcase_add_test(tcase, daemon_that_comes_back_goes_on_from_the_versions);
	tcase_add_test(tcase, unwanted_steps_cost_nothing_and_are_counted);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(serving_suite)
