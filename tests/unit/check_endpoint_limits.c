/*
 * Crowds, and clients that behave badly: the others are served all the while.
 */
#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "daemon/io/endpoint_private.h"
#include "tests/lib/stage.h"
#include "tests/unit/unit.h"

#define N_PIPELINED 10000
#define N_THROTTLED 200 /* so many fit into the sockets */
#define N_CROWD     20000
#define N_IDLE      1000

/*
 * Send requests with @body until @n are sent, the connection is closed, or the
 * socket stays full although @witness was served a hundred times.
 */
static unsigned int
pipeline(int fd, int witness, const char *body, unsigned int n)
{
	unsigned char bytes[256];
	size_t size = stage_request(bytes, 9, body, strlen(body));
	unsigned int n_sent = 0;
	size_t sent = 0;
	int patience = 100;

	while (n_sent < n && patience > 0) {
		ssize_t r = send(fd, bytes + sent, size - sent, MSG_NOSIGNAL);

		if (r < 0 && errno != EAGAIN)
			return n_sent;
		if (r < 0) {
			stage_check_served_on(witness);
			patience--;
			continue;
		}
		patience = 100;
		sent = (sent + (size_t)r) % size;
		n_sent += sent == 0;
	}
	return n_sent;
}

#define BODY_100                                                               \
	"0123456789012345678901234567890123456789012345678"                    \
	"012345678901234567890123456789012345678901234567890"

START_TEST(a_client_that_never_reads_is_dropped)
{
	int witness = stage_open();
	int fd = stage_open();

	(void)pipeline(fd, witness, BODY_100, 100 * N_PIPELINED);
	stage_check_served_on(witness);
	stage_await(endpoint_n_connections(stage.endpoint) == 1);
	/* What was queued for it is bounded. */
	ck_assert_uint_lt(stage.n_requests, 100 * N_PIPELINED);
	(void)close(fd);
	(void)close(witness);
}
END_TEST

START_TEST(a_client_that_pipelines_is_read_from_as_it_is_answered)
{
	unsigned int outstanding_max = stage.limits.outstanding_max;
	unsigned int n_answered = 0;
	int witness = stage_open();
	int fd = stage_open();

	ck_assert_uint_eq(pipeline(fd, witness, "H", N_THROTTLED), N_THROTTLED);
	for (; n_answered < N_THROTTLED; n_answered++) {
		if (n_answered % outstanding_max == 0) {
			/* There is nothing else before these are answered. */
			stage.n_held = 0;
			stage_check_served_on(witness);
			stage_await(stage.n_held == outstanding_max ||
				    n_answered + stage.n_held == N_THROTTLED);
			stage_check_served_on(witness);
			ck_assert_uint_le(stage.n_held, outstanding_max);
			for (unsigned int i = stage.n_held; i-- > 0;)
				stage_answer(i, NULL);
		}
		stage_await_reply(fd, 9, "H");
	}
	stage.n_held = 0;
	(void)close(fd);
	(void)close(witness);
}
END_TEST

START_TEST(a_client_that_pipelines_to_nobody_is_throttled)
{
	int witness = stage_open();
	int fd = stage_open();

	ck_assert_uint_lt(pipeline(fd, witness, "H" BODY_100, N_PIPELINED),
			  N_PIPELINED);
	ck_assert_uint_eq(stage.n_held, stage.limits.outstanding_max);
	ck_assert_uint_eq(endpoint_n_connections(stage.endpoint), 2);
	/* Not read from, but its leaving is noticed. */
	(void)close(fd);
	stage_await(stage.n_gone == stage.limits.outstanding_max);
	stage_await(endpoint_n_connections(stage.endpoint) == 1);
	(void)close(witness);
}
END_TEST

START_TEST(twenty_thousand_that_leave_early_harm_nobody)
{
	unsigned char bytes[8 + 64] = STAGE_HELLO;
	size_t size = 8 + stage_request(bytes + 8, 1, "body", 4);
	const size_t lengths[] = { 0, 3, 8, size - 2, size };
	int witness = stage_open();

	for (size_t i = 0; i < N_CROWD; i++) {
		int fd = stage_connect();

		ck_assert(stage_write(fd, bytes,
				      lengths[i % array_size(lengths)]));
		/* Half of them leave after the other side has spoken. */
		if (i % 64 < 32)
			(void)uv_run(&stage.loop, UV_RUN_NOWAIT);
		(void)close(fd);
		if (i % 1000 == 0)
			stage_check_served_on(witness);
	}
	stage_await(endpoint_n_connections(stage.endpoint) == 1);
	stage_check_served_on(witness);
	(void)close(witness);
}
END_TEST

START_TEST(a_thousand_idle_connections_harm_nobody)
{
	int fds[N_IDLE];

	for (int i = 0; i < N_IDLE; i++)
		fds[i] = stage_open();
	ck_assert_uint_eq(endpoint_n_connections(stage.endpoint), N_IDLE);
	stage_check_served();
	for (int i = 0; i < N_IDLE; i++)
		stage_check_served_on(fds[i]);
	for (int i = 0; i < N_IDLE; i++)
		(void)close(fds[i]);
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
}
END_TEST

START_TEST(running_out_of_descriptors_is_survived)
{
	struct rlimit all;
	struct rlimit few;
	int fds[10];

	stage_check_served();
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
	for (int i = 0; i < 10; i++)
		fds[i] = stage_connect();
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &all), 0);
	few = all;
	few.rlim_cur = (rlim_t)dup(STDOUT_FILENO);
	(void)close((int)few.rlim_cur);
	few.rlim_cur += 2;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (int i = 0; i < 10; i++)
		ck_assert(stage_write(fds[i], STAGE_HELLO, 8));
	/* It does not spin: it listens no more, until it tries again. */
	stage_await(stage.endpoint->is_accept_paused);
	ck_assert_uint_eq(endpoint_n_connections(stage.endpoint), 2);
	/* Each that leaves makes room for one that waits. */
	for (int i = 0; i < 8; i++) {
		char hello[8];

		ck_assert(stage_read(fds[i], hello, 8));
		stage_check_served_on(fds[i]);
		(void)close(fds[i]);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &all), 0);
	stage_check_served();
	(void)close(fds[8]);
	(void)close(fds[9]);
}
END_TEST

static void
set_for_few(void)
{
	struct endpoint_limits limits = ENDPOINT_LIMITS_DEFAULT;

	limits.hello_ms = 50;
	limits.connections_per_uid = 3;
	stage_set_with(&limits);
}

START_TEST(one_connection_too_many_is_closed_at_once)
{
	int fds[3];

	for (int i = 0; i < 3; i++)
		fds[i] = stage_open();
	stage_await_end(stage_connect());
	for (int i = 0; i < 3; i++)
		stage_check_served_on(fds[i]);
	(void)close(fds[0]);
	stage_await(endpoint_n_connections(stage.endpoint) == 2);
	stage_check_served();
	(void)close(fds[1]);
	(void)close(fds[2]);
}
END_TEST

START_TEST(half_a_hello_and_silence_end_in_time)
{
	int silent = stage_connect();
	int idle = stage_open();

	ck_assert(stage_write(silent, "\0", 1));
	stage_await_end(silent);
	stage_await_end(stage_connect());
	/* After the hello there is no deadline. */
	stage_check_served_on(idle);
	(void)close(idle);
}
END_TEST

static Suite *
endpoint_limits_suite(void)
{
	Suite *suite = suite_create("endpoint_limits");
	TCase *crowds = tcase_create("crowds");
	TCase *few = tcase_create("few");

	tcase_set_timeout(crowds, 60);
	tcase_add_checked_fixture(crowds, stage_set, stage_strike);
	tcase_add_test(crowds, a_client_that_never_reads_is_dropped);
	tcase_add_test(crowds,
		       a_client_that_pipelines_is_read_from_as_it_is_answered);
	tcase_add_test(crowds, a_client_that_pipelines_to_nobody_is_throttled);
	tcase_add_test(crowds, twenty_thousand_that_leave_early_harm_nobody);
	tcase_add_test(crowds, a_thousand_idle_connections_harm_nobody);
	tcase_add_test(crowds, running_out_of_descriptors_is_survived);
	suite_add_tcase(suite, crowds);
	tcase_set_timeout(few, 60);
	tcase_add_checked_fixture(few, set_for_few, stage_strike);
	tcase_add_test(few, one_connection_too_many_is_closed_at_once);
	tcase_add_test(few, half_a_hello_and_silence_end_in_time);
	suite_add_tcase(suite, few);
	return suite;
}

UNIT_MAIN(endpoint_limits_suite)
