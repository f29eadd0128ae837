/*
 * Story: pulls that wait, and what comes to pass meanwhile.
 */
#include <check.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"

static char spec[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[4],"
		     "\"data_offsets\":[0,16]}}";

#define PULL_ID 7

static struct daemon daemon_;
static int publisher;
static int follower;
static struct raw_session session;

static void
setup(void)
{
	Emad__Profile a = EMAD__PROFILE__INIT;
	Emad__Profile b = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &a, &b };
	Emad__Attach attach = raw_attach_message("m", spec);

	a.name = (char *)(uintptr_t) "a";
	b.name = (char *)(uintptr_t) "b";
	attach.profiles = profiles;
	attach.n_profiles = array_size(profiles);
	daemon_new(&daemon_);
	publisher = raw_open(daemon_socket(&daemon_));
	follower = raw_open(daemon_socket(&daemon_));
	insist(raw_attach(&session, publisher, &attach) == STATUS_OK);
}

static void
teardown(void)
{
	raw_session_close(&session);
	(void)close(follower);
	(void)close(publisher);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

static void
start_pull(const char *profile)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull pull = EMAD__PULL__INIT;
	owned_memory uint8_t *bytes = NULL;
	size_t size;

	pull.model = (char *)(uintptr_t) "m";
	pull.profile = (char *)(uintptr_t)profile;
	pull.has_timeout_ms = true;
	pull.timeout_ms = STORY_DEADLINE_MS;
	request.pull = &pull;
	bytes = wire_pack(&request.base, &size);
	insist(raw_send(follower, PULL_ID, bytes, size));
	/* Answered after the pull was taken. */
	wire_reply_free(raw_status(follower));
}

static unsigned int
end_pull(void)
{
	uint32_t id;
	Emad__Reply *reply = raw_receive(follower, &id);
	unsigned int status;

	insist(reply && id == PULL_ID);
	status = reply->status;
	wire_reply_free(reply);
	return status;
}

static unsigned int
detach(void)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Detach detach = EMAD__DETACH__INIT;

	detach.session = session.session;
	request.detach = &detach;
	return raw_ask_status(publisher, &request);
}

static unsigned int
drop_profile(const char *profile)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Drop drop = EMAD__DROP__INIT;

	drop.model = (char *)(uintptr_t) "m";
	drop.profile = (char *)(uintptr_t)profile;
	request.drop = &drop;
	return raw_ask_status(publisher, &request);
}

START_TEST(pull_of_the_only_average_gets_it_when_the_others_are_dropped)
{
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	ck_assert_uint_eq(detach(), STATUS_OK);
	start_pull(NULL);
	ck_assert_uint_eq(drop_profile("b"), STATUS_OK);
	ck_assert_uint_eq(end_pull(), STATUS_OK);
}
END_TEST

/* Of the newest version, without waiting. */
static unsigned int
pull_status(const char *profile)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull pull = EMAD__PULL__INIT;

	pull.model = (char *)(uintptr_t) "m";
	pull.profile = (char *)(uintptr_t)profile;
	request.pull = &pull;
	return raw_ask_status(publisher, &request);
}

START_TEST(all_averages_absorb_a_snapshot_or_none_does)
{
	char path[SHM_PATH_SIZE];
	int stranger;

	daemon_file(&daemon_, "m", "b", path);
	stranger = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(stranger, 0);
	(void)close(stranger);
	start_pull("a");
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0),
			  STATUS_NAME_TAKEN);
	ck_assert_uint_eq(pull_status("a"), STATUS_NO_VERSION);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 2, 10), STATUS_OK);
	ck_assert_uint_eq(end_pull(), STATUS_OK);
	ck_assert_uint_eq(pull_status("b"), STATUS_OK);
}
END_TEST

START_TEST(pull_of_a_step_that_cannot_be_is_refused)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull pull = EMAD__PULL__INIT;

	pull.model = (char *)(uintptr_t) "m";
	pull.profile = (char *)(uintptr_t) "a";
	pull.has_at_step = true;
	pull.at_step = -1;
	request.pull = &pull;
	ck_assert_uint_eq(raw_ask_status(publisher, &request),
			  STATUS_BAD_REQUEST);
	pull.at_step = (INT64_C(1) << 53) + 1;
	ck_assert_uint_eq(raw_ask_status(publisher, &request),
			  STATUS_BAD_REQUEST);
}
END_TEST

START_TEST(sequence_of_zero_is_refused)
{
	ck_assert_uint_eq(raw_publish_status(&session, 0, 0, 0),
			  STATUS_BAD_REQUEST);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
}
END_TEST

static Suite *
waits_suite(void)
{
	Suite *suite = suite_create("waits");
	TCase *tcase = tcase_create("all");

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(
		tcase,
		pull_of_the_only_average_gets_it_when_the_others_are_dropped);
	tcase_add_test(tcase, all_averages_absorb_a_snapshot_or_none_does);
	tcase_add_test(tcase, pull_of_a_step_that_cannot_be_is_refused);
	tcase_add_test(tcase, sequence_of_zero_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(waits_suite)
