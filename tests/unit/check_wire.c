#include <string.h>

#include "proto/wire.h"
#include "tests/unit/unit.h"

/* A request for the newest version of @model, packed. */
static uint8_t *
pack_pull(char *model, size_t *ret_size)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull pull = EMAD__PULL__INIT;

	pull.model = model;
	request.pull = &pull;
	return wire_pack(&request.base, ret_size);
}

static enum status
unpack(const void *bytes, size_t size)
{
	Emad__Request *request;
	enum status status;
	struct why why;

	status = wire_unpack_request(&request, bytes, size, &why);
	if (status == STATUS_OK)
		wire_request_free(request);
	return status;
}

START_TEST(a_request_survives_packing)
{
	Emad__Request *request;
	struct why why;
	size_t size;
	uint8_t *bytes = pack_pull((char[]) { "net" }, &size);

	ck_assert_int_eq(wire_unpack_request(&request, bytes, size, &why),
			 STATUS_OK);
	ck_assert_ptr_nonnull(request->pull);
	ck_assert_str_eq(request->pull->model, "net");
	wire_request_free(request);
	free(bytes);
}
END_TEST

START_TEST(a_string_with_nul_or_broken_utf8_is_refused)
{
	static const char *const broken[] = {
		"\x1a\x05\x0a\x03"
		"a\0b", /* NUL */
		"\x1a\x05\x0a\x03"
		"a\xff"
		"b",                            /* no such byte */
		"\x1a\x05\x0a\x03\xed\xa0\x80", /* a surrogate */
		"\x1a\x05\x0a\x03\xe0\x80\x80", /* overlong */
		"\x1a\x05\x0a\x03"
		"ab\xc3", /* cut short */
	};

	for (size_t i = 0; i < array_size(broken); i++)
		ck_assert_int_eq(unpack(broken[i], 7), STATUS_BAD_REQUEST);
	ck_assert_int_eq(unpack("\x1a\x05\x0a\x03"
				"a\xc3\xa9",
				7),
			 STATUS_OK);
}
END_TEST

START_TEST(every_prefix_of_a_request_is_refused_or_whole)
{
	size_t size;
	uint8_t *bytes = pack_pull((char[]) { "net" }, &size);

	for (size_t n = 0; n < size; n++) {
		/* A copy of its own, so that a sanitizer sees overruns. */
		uint8_t *prefix = xmalloc(n);

		memcpy(prefix, bytes, n);
		ck_assert_int_eq(unpack(prefix, n), STATUS_BAD_REQUEST);
		free(prefix);
	}
	free(bytes);
}
END_TEST

START_TEST(every_flipped_byte_does_no_harm)
{
	size_t size;
	uint8_t *bytes = pack_pull((char[]) { "net" }, &size);

	for (size_t i = 0; i < size; i++)
		for (unsigned int value = 0; value < 256; value++) {
			uint8_t kept = bytes[i];

			bytes[i] = (uint8_t)value;
			(void)unpack(bytes, size);
			bytes[i] = kept;
		}
	free(bytes);
}
END_TEST

START_TEST(unknown_fields_are_ignored_and_unknown_requests_unsupported)
{
	/* Field 3 (pull), in it an unknown field 15. */
	ck_assert_int_eq(unpack("\x1a\x07\x0a\x03net\x78\x05", 9), STATUS_OK);
	/* Only field 15. */
	ck_assert_int_eq(unpack("\x7a\x01x", 3), STATUS_UNSUPPORTED);
	ck_assert_int_eq(unpack("", 0), STATUS_BAD_REQUEST);
	/* Two requests: stop and status. */
	ck_assert_int_eq(unpack("\x42\x00\x4a\x00", 4), STATUS_BAD_REQUEST);
}
END_TEST

START_TEST(what_is_too_large_is_refused_before_it_is_unpacked)
{
	uint8_t *bytes = xcalloc(1, WIRE_ATTACH_MAX + 1);
	size_t n = 2 * (WIRE_FIELDS_MAX + 1);

	bytes[0] = 0x1a;
	ck_assert_int_eq(unpack(bytes, WIRE_MESSAGE_MAX + 1), STATUS_TOO_LARGE);
	bytes[0] = 0x0a;
	ck_assert_int_eq(unpack(bytes, WIRE_ATTACH_MAX + 1), STATUS_TOO_LARGE);
	/* Ever so many empty stops. */
	for (size_t i = 0; i < n; i += 2)
		bytes[i] = 0x42;
	ck_assert_int_eq(unpack(bytes, n), STATUS_TOO_LARGE);
	free(bytes);
}
END_TEST

START_TEST(a_long_string_is_refused)
{
	char *name = xcalloc(1, WIRE_STRING_MAX + 2);
	uint8_t *bytes;
	size_t size;

	memset(name, 'a', WIRE_STRING_MAX + 1);
	bytes = pack_pull(name, &size);
	ck_assert_int_eq(unpack(bytes, size), STATUS_TOO_LARGE);
	free(bytes);
	name[WIRE_STRING_MAX] = '\0';
	bytes = pack_pull(name, &size);
	ck_assert_int_eq(unpack(bytes, size), STATUS_OK);
	free(bytes);
	free(name);
}
END_TEST

/* _i: bytes of the sentence, from none to more than there is room for. */
START_TEST(a_reply_fits_into_the_callers_room_or_takes_the_heap)
{
	Emad__PublishReply answer = EMAD__PUBLISH_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;
	owned_memory uint8_t *bytes = NULL;
	char sentence[2001] = "";
	struct wire_room room;
	Emad__Reply *read;
	struct why why;
	size_t size;

	memset(sentence, 'x', (size_t)_i);
	answer.absorbed = true;
	reply.sentence = sentence;
	reply.publish = &answer;
	bytes = wire_pack(&reply.base, &size);
	for (int round = 0; round < 2; round++) {
		ck_assert(wire_unpack_reply_in(&room, &read, bytes, size,
					       &why) == STATUS_OK);
		ck_assert_ptr_eq(read, room.bytes);
		ck_assert_str_eq(read->sentence, sentence);
		ck_assert(read->publish->absorbed);
		wire_reply_free_in(&room, read);
	}
	ck_assert(wire_unpack_reply_in(&room, &read, bytes, size - 1, &why) !=
		  STATUS_OK);
}
END_TEST

START_TEST(a_profile_survives_the_wire)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH_0_7);
	struct profile profile;
	struct profile again;
	Emad__Profile *message;
	struct why why;

	schedule.beta = 0.1 + 0.2;
	schedule.update_every = 7;
	profile_init(&profile, "slow", &schedule);
	profile.accumulator = ACCUMULATOR_COMPENSATED;
	name_list_append(&profile.no_ema, "bn.mean");
	name_list_append(&profile.ignore_startswith, "head.");
	message = wire_profile_new(&profile);
	ck_assert_int_eq(wire_profile_read(&again, message, &why), STATUS_OK);
	ck_assert_msg(profile_equal(&profile, &again, &why), "%s", why.text);
	profile_deinit(&again);
	profile_deinit(&profile);
	wire_profile_free(message);
}
END_TEST

START_TEST(a_profile_takes_its_variants_defaults)
{
	Emad__Profile message = EMAD__PROFILE__INIT;
	struct profile profile;
	struct why why;

	ck_assert_int_eq(wire_profile_read(&profile, &message, &why),
			 STATUS_OK);
	ck_assert_str_eq(profile.name, "ema");
	ck_assert_int_eq(profile.schedule.update_every, 10);
	ck_assert_int_eq(profile.schedule.update_after_step, 100);
	ck_assert_int_eq(profile.accumulator, ACCUMULATOR_FLOAT32);
	profile_deinit(&profile);
	message.variant = (char[]) { "nonsense" };
	ck_assert_int_eq(wire_profile_read(&profile, &message, &why),
			 STATUS_BAD_SPEC);
	message.variant = NULL;
	message.accumulator = (char[]) { "float16" };
	ck_assert_int_eq(wire_profile_read(&profile, &message, &why),
			 STATUS_BAD_SPEC);
	ck_assert_ptr_nonnull(strstr(why.text, "float16"));
}
END_TEST

START_TEST(a_cut_sentence_ends_in_a_whole_character)
{
	char text[WHY_SIZE + 8];
	struct why why;

	for (size_t shift = 0; shift < 4; shift++) {
		memset(text, 'a', sizeof text);
		for (size_t i = shift; i + 3 < sizeof text; i += 3)
			memcpy(text + i, "\xe2\x82\xac", 3);
		text[sizeof text - 1] = '\0';
		why_set(&why, "%s", text);
		ck_assert_uint_gt(strlen(why.text), WHY_SIZE - 5);
		ck_assert_int_ne((unsigned char)why.text[strlen(why.text) - 1],
				 0xe2);
		ck_assert((strlen(why.text) - shift) % 3 == 0);
	}
}
END_TEST

START_TEST(a_sentence_holds_no_control_characters)
{
	struct why why;

	why_set(&why, "tensor \"%s\"", "a\033[2Jb\nc\x7f\xc3\xa9");
	ck_assert_str_eq(why.text, "tensor \"a?[2Jb?c?\xc3\xa9\"");
}
END_TEST

static Suite *
wire_suite(void)
{
	Suite *suite = suite_create("wire");
	TCase *tcase = tcase_create("wire");

	tcase_add_test(tcase, a_request_survives_packing);
	tcase_add_test(tcase, a_string_with_nul_or_broken_utf8_is_refused);
	tcase_add_test(tcase, every_prefix_of_a_request_is_refused_or_whole);
	tcase_add_test(tcase, every_flipped_byte_does_no_harm);
	tcase_add_test(
		tcase,
		unknown_fields_are_ignored_and_unknown_requests_unsupported);
	tcase_add_test(tcase,
		       what_is_too_large_is_refused_before_it_is_unpacked);
	tcase_add_test(tcase, a_long_string_is_refused);
	for (int size = 0; size <= 2000; size += 250)
		tcase_add_loop_test(
			tcase,
			a_reply_fits_into_the_callers_room_or_takes_the_heap,
			size, size + 1);
	tcase_add_test(tcase, a_profile_survives_the_wire);
	tcase_add_test(tcase, a_profile_takes_its_variants_defaults);
	tcase_add_test(tcase, a_cut_sentence_ends_in_a_whole_character);
	tcase_add_test(tcase, a_sentence_holds_no_control_characters);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(wire_suite)
