/*
 * Story: clients that break the protocol, repeat themselves or claim what is
 * not theirs.  Each gets a clear refusal or is disconnected; the daemon serves
 * on.
 */
#include <check.h>
#include <endian.h>
#include <string.h>
#include <unistd.h>

#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"

#define ONE_TENSOR                                                             \
	"{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}"

static struct daemon daemon_;
static int control; /* a connection that behaves */

static void
setup(void)
{
	daemon_new(&daemon_);
	control = raw_open(daemon_socket(&daemon_));
}

/* Whatever was done to it: it answers, on this connection and a new one. */
static void
teardown(void)
{
	wire_reply_free(raw_status(control));
	(void)close(control);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

/* A profile that copies every snapshot, in an attach of @model. */
static unsigned int
attach(struct raw_session *ret_session, const char *model, const char *json)
{
	Emad__Attach message = raw_attach_message(model, json);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };

	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	return raw_attach(ret_session, control, &message);
}

START_TEST(claim_of_2_gb_ends_the_connection)
{
	static const uint64_t claims[] = { UINT64_C(1) << 31, UINT64_C(1) << 40,
					   UINT64_MAX };

	for (size_t i = 0; i < array_size(claims); i++) {
		uint64_t length = htobe64(claims[i]);
		uint8_t frame[17] = { 1 };
		int fd = raw_open(daemon_socket(&daemon_));

		memcpy(frame + 1, &length, sizeof length);
		frame[9] = 0x80;
		(void)raw_write(fd, frame, sizeof frame);
		raw_await_close(fd);
		(void)close(fd);
	}
}
END_TEST

START_TEST(request_above_64_kib_ends_the_connection)
{
	static uint8_t body[WIRE_MESSAGE_MAX + 1];
	int fd = raw_open(daemon_socket(&daemon_));

	/* A status with an unknown field: not the beginning of an attach. */
	body[0] = 0x4A;
	(void)raw_send(fd, 1, body, sizeof body);
	raw_await_close(fd);
	(void)close(fd);
}
END_TEST

START_TEST(attach_above_16_mib_ends_the_connection)
{
	uint64_t length = htobe64((16 << 20) + 1024);
	uint8_t frame[17] = { 1 };
	int fd = raw_open(daemon_socket(&daemon_));

	memcpy(frame + 1, &length, sizeof length);
	frame[9] = 0x80;
	frame[13] = 0x0A; /* field 1, an attach */
	(void)raw_write(fd, frame, sizeof frame);
	raw_await_close(fd);
	(void)close(fd);
}
END_TEST

static void
fill_with_noise(uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)random_next();
}

START_TEST(random_bytes_disturb_nobody)
{
	uint8_t noise[512];

	for (unsigned int i = 0; i < story_scale(1000); i++) {
		int fd = raw_connect(daemon_socket(&daemon_));

		fill_with_noise(noise, sizeof noise);
		if (i % 2)
			(void)raw_write(fd, raw_hello, RAW_HELLO_SIZE);
		(void)raw_write(fd, noise, 1 + random_below(sizeof noise));
		(void)close(fd);
		if (i % 50 == 0)
			wire_reply_free(raw_status(control));
	}
}
END_TEST

/* In a good frame: each gets an answer, and none of them is OK. */
START_TEST(random_requests_are_refused)
{
	uint8_t noise[256];

	for (unsigned int i = 0; i < story_scale(1000); i++) {
		size_t size = 1 + random_below(sizeof noise);
		Emad__Reply *reply;

		fill_with_noise(noise, size);
		/* Tag of field 1, so that what follows looks like an attach. */
		if (i % 2)
			noise[0] = 0x0A;
		reply = raw_ask_bytes(control, noise, size);
		ck_assert_uint_ne(reply->status, STATUS_OK);
		ck_assert_uint_gt(strlen(reply->sentence), 0);
		wire_reply_free(reply);
	}
}
END_TEST

/* Every prefix, and every byte changed, of a good attach. */
START_TEST(damaged_attach_is_answered)
{
	Emad__Attach message = raw_attach_message("m", ONE_TENSOR);
	Emad__Request request = EMAD__REQUEST__INIT;
	size_t size;
	uint8_t *body;

	message.publisher = 1;
	request.attach = &message;
	body = wire_pack(&request.base, &size);
	for (size_t cut = 1; cut < size; cut++) {
		Emad__Reply *reply = raw_ask_bytes(control, body, cut);

		ck_assert_uint_ne(reply->status, STATUS_OK);
		wire_reply_free(reply);
	}
	for (size_t i = 0; i < size; i++) {
		uint8_t good = body[i];

		body[i] ^= (uint8_t)(1U << random_below(8));
		wire_reply_free(raw_ask_bytes(control, body, size));
		body[i] = good;
	}
	free(body);
}
END_TEST

START_TEST(unknown_fields_are_ignored)
{
	/* An empty status, then field 1000 as a varint and as bytes. */
	static const uint8_t body[] = { 0x4A, 0x00, 0xC0, 0x3E, 0x05,
					0xCA, 0x3E, 0x02, 'h',  'i' };
	/* Field 15 alone: a request of the future. */
	static const uint8_t future[] = { 0x7A, 0x00 };
	Emad__Reply *reply = raw_ask_bytes(control, body, sizeof body);

	ck_assert_uint_eq(reply->status, STATUS_OK);
	ck_assert_ptr_nonnull(reply->status_reply);
	wire_reply_free(reply);
	reply = raw_ask_bytes(control, future, sizeof future);
	ck_assert_uint_eq(reply->status, STATUS_UNSUPPORTED);
	wire_reply_free(reply);
	/* Nothing at all is not a request of the future. */
	reply = raw_ask_bytes(control, "", 0);
	ck_assert_uint_eq(reply->status, STATUS_BAD_REQUEST);
	wire_reply_free(reply);
}
END_TEST

START_TEST(two_requests_in_one_are_refused)
{
	static const uint8_t body[] = { 0x4A, 0x00, 0x22, 0x00 };
	Emad__Reply *reply = raw_ask_bytes(control, body, sizeof body);

	ck_assert_uint_eq(reply->status, STATUS_BAD_REQUEST);
	wire_reply_free(reply);
}
END_TEST

START_TEST(repeat_is_answered_and_not_applied_twice)
{
	struct raw_session session;
	struct raw_version version;

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	for (int i = 0; i < 3; i++)
		ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0),
				  STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 2, 1), STATUS_OK);
	/* A repeat tells what it told before, whatever it says itself. */
	ck_assert_uint_eq(raw_publish_status(&session, 1, 1, 7), STATUS_OK);
	version = raw_pull(control, "m");
	ck_assert_uint_eq(version.updates, 2);
	ck_assert_int_eq(version.step, 1);
	raw_session_close(&session);
}
END_TEST

START_TEST(repeat_after_attaching_again_is_not_applied_twice)
{
	Emad__Attach message = raw_attach_message("m", ONE_TENSOR);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };
	struct raw_session session, again;

	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	ck_assert_uint_eq(raw_attach(&session, control, &message), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 2, 1), STATUS_OK);

	/* The answer to the second got lost, says the client. */
	message.first_unanswered = 2;
	ck_assert_uint_eq(raw_attach(&again, control, &message), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 3, 2),
			  STATUS_UNKNOWN_SESSION);
	ck_assert_uint_eq(raw_publish_status(&again, 0, 2, 1), STATUS_OK);
	ck_assert_uint_eq(raw_pull(control, "m").updates, 2);
	ck_assert_uint_eq(raw_publish_status(&again, 0, 3, 2), STATUS_OK);
	ck_assert_uint_eq(raw_pull(control, "m").updates, 3);
	raw_session_close(&session);
	raw_session_close(&again);
}
END_TEST

/* The same over the daemon's death: what it absorbed is in the version. */
START_TEST(repeat_after_the_daemons_death_is_not_applied_twice)
{
	Emad__Attach message = raw_attach_message("m", ONE_TENSOR);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };
	struct raw_session session;

	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	ck_assert_uint_eq(raw_attach(&session, control, &message), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	raw_session_close(&session);
	daemon_kill(&daemon_);
	daemon_start(&daemon_);
	(void)close(control);
	control = raw_open(daemon_socket(&daemon_));

	ck_assert_uint_eq(raw_attach(&session, control, &message), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	ck_assert_uint_eq(raw_pull(control, "m").updates, 1);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 2, 1), STATUS_OK);
	ck_assert_uint_eq(raw_pull(control, "m").updates, 2);
	raw_session_close(&session);
}
END_TEST

START_TEST(publishes_are_absorbed_in_order_of_sequence)
{
	struct raw_session session;
	uint32_t id;
	unsigned int answered = 0;

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	raw_publish_send(&session, control, 102, 1, 2, 1);
	raw_publish_send(&session, control, 101, 0, 1, 0);
	for (int i = 0; i < 2; i++) {
		Emad__Reply *reply = raw_receive(control, &id);

		ck_assert_ptr_nonnull(reply);
		ck_assert_uint_eq(reply->status, STATUS_OK);
		answered |= 1U << (id - 101);
		wire_reply_free(reply);
	}
	ck_assert_uint_eq(answered, 3);
	ck_assert_uint_eq(raw_pull(control, "m").updates, 2);
	raw_session_close(&session);
}
END_TEST

START_TEST(step_that_goes_backwards_is_refused)
{
	struct raw_session session;
	struct raw_version version;

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 5), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 2, 5),
			  STATUS_STEP_BACKWARDS);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 3, 4),
			  STATUS_STEP_BACKWARDS);
	ck_assert_uint_ne(raw_publish_status(&session, 0, 4, -1), STATUS_OK);
	version = raw_pull(control, "m");
	ck_assert_int_eq(version.step, 5);
	ck_assert_uint_eq(version.updates, 1);
	raw_session_close(&session);
}
END_TEST

START_TEST(slots_and_sessions_of_nobody_are_refused)
{
	struct raw_session session, stranger;

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	stranger = session;
	stranger.session ^= 1;
	ck_assert_uint_eq(raw_publish_status(&stranger, 0, 1, 0),
			  STATUS_UNKNOWN_SESSION);
	ck_assert_uint_eq(raw_publish_status(&session, 2, 1, 0),
			  STATUS_BAD_SLOT);
	ck_assert_uint_eq(raw_publish_status(&session, 4000000000U, 1, 0),
			  STATUS_BAD_SLOT);
	/* None of these used up the sequence. */
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	raw_session_close(&session);
}
END_TEST

static Suite *
hostile_suite(void)
{
	Suite *suite = suite_create("hostile");
	TCase *tcase = tcase_create("hostile");

	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, claim_of_2_gb_ends_the_connection);
	tcase_add_test(tcase, request_above_64_kib_ends_the_connection);
	tcase_add_test(tcase, attach_above_16_mib_ends_the_connection);
	tcase_add_test(tcase, random_bytes_disturb_nobody);
	tcase_add_test(tcase, random_requests_are_refused);
	tcase_add_test(tcase, damaged_attach_is_answered);
	tcase_add_test(tcase, unknown_fields_are_ignored);
	tcase_add_test(tcase, two_requests_in_one_are_refused);
	tcase_add_test(tcase, repeat_is_answered_and_not_applied_twice);
	tcase_add_test(tcase,
		       repeat_after_attaching_again_is_not_applied_twice);
	tcase_add_test(tcase,
		       repeat_after_the_daemons_death_is_not_applied_twice);
	tcase_add_test(tcase, publishes_are_absorbed_in_order_of_sequence);
	tcase_add_test(tcase, step_that_goes_backwards_is_refused);
	tcase_add_test(tcase, slots_and_sessions_of_nobody_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(hostile_suite)
