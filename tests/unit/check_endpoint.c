/*
 * The conversation: hellos, framing, ids, replies.
 */
#include <endian.h>
#include <malloc.h>
#include <string.h>

#include "daemon/io/sp.h"
#include "tests/lib/stage.h"
#include "tests/unit/unit.h"

static const char *const wrong_hellos[] = {
	"GET / HT",         "\0SP\0\0\x31\0\0",
	"\0SP\0\0\x10\0\0", "\0SP\1\0\x30\0\0",
	"\0SP\0\0\x30\0\1", "\1SP\0\0\x30\0\0",
	"\0\0\0\0\0\0\0\0", "\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF",
};

START_TEST(a_wrong_hello_ends_the_connection)
{
	int fd = stage_connect();

	(void)stage_write(fd, wrong_hellos[_i], 8);
	stage_await_end(fd);
	stage_check_served();
}
END_TEST

START_TEST(a_request_is_answered_with_its_own_id)
{
	int fd = stage_open();

	stage_ask(fd, 1, "one");
	stage_ask(fd, 0x7FFFFFFF, "");
	stage_ask(fd, 0, "three");
	stage_await_reply(fd, 1, "one");
	stage_await_reply(fd, 0x7FFFFFFF, "");
	stage_await_reply(fd, 0, "three");
	(void)close(fd);
}
END_TEST

START_TEST(hello_and_requests_may_come_at_once)
{
	unsigned char bytes[8 + 64] = STAGE_HELLO;
	char hello[8];
	size_t size = 8;
	int fd = stage_connect();

	size += stage_request(bytes + size, 1, "one", 3);
	size += stage_request(bytes + size, 2, "two", 3);
	ck_assert(stage_write(fd, bytes, size));
	ck_assert(stage_read(fd, hello, sizeof hello));
	stage_await_reply(fd, 1, "one");
	stage_await_reply(fd, 2, "two");
	(void)close(fd);
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
	unsigned char bytes[8 + 64] = STAGE_HELLO;
	size_t size = 8;
	char hello[8];
	int fd = stage_connect();

	size += stage_request(bytes + size, 1, "one", 3);
	size += stage_request(bytes + size, 2, "two", 3);
	for (size_t i = 0; i < size; i++) {
		ck_assert(stage_write(fd, bytes + i, 1));
		(void)uv_run(&stage.loop, UV_RUN_NOWAIT);
	}
	ck_assert(stage_read(fd, hello, sizeof hello));
	stage_await_reply(fd, 1, "one");
	stage_await_reply(fd, 2, "two");
	(void)close(fd);
}
END_TEST

START_TEST(a_client_may_leave_after_any_byte)
{
	unsigned char bytes[8 + 64] = STAGE_HELLO;
	size_t size = 8 + stage_request(bytes + 8, 1, "Hold", 4);

	for (size_t i = 0; i <= size; i++) {
		int fd = stage_connect();

		ck_assert(stage_write(fd, bytes, i));
		(void)close(fd);
		stage_await(endpoint_n_connections(stage.endpoint) == 0);
	}
	stage_check_served();
	ck_assert_uint_le(stage.n_requests, 2);
}
END_TEST

/* Write a request with a stack of @n ids before @body. */
static size_t
write_stacked(unsigned char *bytes, size_t n, const char *body)
{
	uint64_t length = htobe64(4 * n + strlen(body));

	bytes[0] = 1;
	memcpy(bytes + 1, &length, sizeof length);
	for (size_t i = 0; i < n; i++) {
		uint32_t id = (uint32_t)(0x01020304 * (i + 1)) & 0x7FFFFFFF;

		id = htobe32(i + 1 == n ? id | 0x80000000U : id);
		memcpy(bytes + 9 + 4 * i, &id, sizeof id);
	}
	memcpy(bytes + 9 + 4 * n, body, strlen(body));
	return 9 + 4 * n + strlen(body);
}

START_TEST(a_stack_of_ids_goes_back_as_it_came)
{
	unsigned char sent[128];
	unsigned char received[128];
	size_t n_ids = (size_t)_i;
	size_t size = write_stacked(sent, n_ids, "body");
	int fd = stage_open();

	ck_assert(stage_write(fd, sent, size));
	ck_assert(stage_read(fd, received, size));
	ck_assert_mem_eq(received, sent, size);
	(void)close(fd);
}
END_TEST

START_TEST(nine_ids_end_the_connection)
{
	unsigned char sent[128];
	size_t size = write_stacked(sent, SP_IDS_MAX + 1, "body");
	int fd = stage_open();

	ck_assert(stage_write(fd, sent, size));
	stage_await_end(fd);
	ck_assert_uint_eq(stage.n_requests, 0);
	stage_check_served();
}
END_TEST

static const struct {
	unsigned char type;
	uint64_t length;
} wrong_heads[] = {
	{ 0, 8 },
	{ 2, 8 },
	{ 1, 0 },
	{ 1, 3 },
	{ 1, UINT64_MAX },
	{ 1, UINT64_MAX - 31 },
	{ 1, UINT64_C(1) << 63 },
	{ 1, UINT64_C(1) << 32 },
	{ 1, UINT64_C(2) << 30 },
	{ 1, 64 * 1024 + 33 },
};

START_TEST(a_wrong_head_ends_the_connection)
{
	unsigned char bytes[12] = { wrong_heads[_i].type };
	uint64_t length = htobe64(wrong_heads[_i].length);
	int fd = stage_open();

	memcpy(bytes + 1, &length, sizeof length);
	ck_assert(stage_write(fd, bytes, sizeof bytes));
	stage_await_end(fd);
	ck_assert_uint_eq(stage.n_requests, 0);
	stage_check_served();
}
END_TEST

START_TEST(garbage_harms_nobody_else)
{
	int witness = stage_open();
	unsigned int state = 12345;

	for (int round = 0; round < 300; round++) {
		unsigned char bytes[600] = STAGE_HELLO "\1\0\0\0\0\0\0\1\0";
		int fd = stage_connect();

		/* Sometimes the garbage begins later than the hello. */
		for (size_t i = (size_t)(round % 3) * 8; i < sizeof bytes;
		     i++) {
			state = state * 1103515245 + 12345;
			bytes[i] = (unsigned char)(state >> 16);
		}
		(void)stage_write(fd, bytes, sizeof bytes);
		stage_check_served_on(witness);
		(void)close(fd);
	}
	(void)close(witness);
}
END_TEST

START_TEST(the_largest_body_is_served_and_one_byte_more_is_not)
{
	size_t size = stage.limits.message_max;
	unsigned char *sent = xcalloc(1, size + STAGE_HEAD_SIZE + 1);
	unsigned char *body = xcalloc(1, size + 1);
	unsigned char *received = xcalloc(1, size + STAGE_HEAD_SIZE);
	int fd = stage_open();

	(void)stage_request(sent, 1, body, size);
	ck_assert(stage_write(fd, sent, STAGE_HEAD_SIZE + size));
	ck_assert(stage_read(fd, received, STAGE_HEAD_SIZE + size));
	ck_assert_mem_eq(received, sent, STAGE_HEAD_SIZE + size);
	/* The end comes with the first bytes, long before the last ones. */
	(void)stage_request(sent, 2, body, size + 1);
	ck_assert(stage_write(fd, sent, 128));
	stage_await_end(fd);
	ck_assert_uint_eq(stage.n_requests, 1);
	free(received);
	free(body);
	free(sent);
}
END_TEST

static bool
begins_with_a(const void *first_bytes, size_t n)
{
	return n > 0 && *(const char *)first_bytes == 'A';
}

static void
set_for_large(void)
{
	struct endpoint_limits limits = ENDPOINT_LIMITS_DEFAULT;

	limits.large_message_max = 16 * 1024 * 1024;
	limits.may_be_large = begins_with_a;
	stage_set_with(&limits);
}

START_TEST(only_what_may_be_large_may_be_large)
{
	unsigned char sent[128] = { 1 };
	uint64_t length = htobe64(1024 * 1024);
	int fd = stage_open();

	memcpy(sent + 1, &length, sizeof length);
	memcpy(sent + 9, "\x80\0\0\1B", 5);
	ck_assert(stage_write(fd, sent, sizeof sent));
	stage_await_end(fd);
	stage_check_served();
}
END_TEST

START_TEST(a_length_is_not_believed_before_the_bytes_come)
{
	unsigned char sent[128] = { 1 };
	uint64_t length = htobe64(16 * 1024 * 1024);
	struct mallinfo2 before = mallinfo2();
	struct mallinfo2 after;
	int fds[16];

	memcpy(sent + 1, &length, sizeof length);
	memcpy(sent + 9, "\x80\0\0\1A", 5);
	for (int i = 0; i < 16; i++) {
		fds[i] = stage_open();
		ck_assert(stage_write(fds[i], sent, sizeof sent));
	}
	stage_check_served();
	after = mallinfo2();
	ck_assert_uint_lt(after.uordblks + after.hblkhd,
			  before.uordblks + before.hblkhd + 1024 * 1024);
	for (int i = 0; i < 16; i++)
		(void)close(fds[i]);
}
END_TEST

static Suite *
endpoint_suite(void)
{
	Suite *suite = suite_create("endpoint");
	TCase *bytes = tcase_create("bytes");
	TCase *large = tcase_create("large");

	tcase_set_timeout(bytes, 60);
	tcase_add_checked_fixture(bytes, stage_set, stage_strike);
	tcase_add_loop_test(bytes, a_wrong_hello_ends_the_connection, 0,
			    (int)array_size(wrong_hellos));
	tcase_add_test(bytes, a_request_is_answered_with_its_own_id);
	tcase_add_test(bytes, hello_and_requests_may_come_at_once);
	tcase_add_test(bytes, bytes_may_come_one_by_one);
	tcase_add_test(bytes, a_client_may_leave_after_any_byte);
	tcase_add_loop_test(bytes, a_stack_of_ids_goes_back_as_it_came, 1,
			    SP_IDS_MAX + 1);
	tcase_add_test(bytes, nine_ids_end_the_connection);
	tcase_add_loop_test(bytes, a_wrong_head_ends_the_connection, 0,
			    (int)array_size(wrong_heads));
	tcase_add_test(bytes, garbage_harms_nobody_else);
	tcase_add_test(bytes,
		       the_largest_body_is_served_and_one_byte_more_is_not);
	suite_add_tcase(suite, bytes);
	tcase_set_timeout(large, 60);
	tcase_add_checked_fixture(large, set_for_large, stage_strike);
	tcase_add_test(large, only_what_may_be_large_may_be_large);
	tcase_add_test(large, a_length_is_not_believed_before_the_bytes_come);
	suite_add_tcase(suite, large);
	return suite;
}

UNIT_MAIN(endpoint_suite)
