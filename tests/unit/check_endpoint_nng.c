/*
 * nng itself as the judge: its REQ socket and its nngcat talk to the endpoint.
 */
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "tests/lib/stage.h"
#include "tests/unit/unit.h"

#define LARGE_SIZE (16 * 1024 * 1024)

struct client {
	uv_thread_t thread;
	const char *word; /* each request begins with */
	size_t size;      /* of each request */
	int n_requests;
	int failure; /* nng's number; -1: a reply was wrong */
	atomic_bool is_done;
};

static int
ask(nng_socket socket, const char *word, char *body, size_t size, int i)
{
	void *reply;
	size_t reply_size;
	bool is_right;
	int r;

	(void)snprintf(body, size, "%s request %d", word, i);
	r = nng_send(socket, body, size, 0);
	if (r == 0)
		r = nng_recv(socket, &reply, &reply_size, NNG_FLAG_ALLOC);
	if (r != 0)
		return r;
	is_right = reply_size == size && memcmp(reply, body, size) == 0;
	nng_free(reply, reply_size);
	return is_right ? 0 : -1;
}

static void
run_client(void *arg)
{
	struct client *client = arg;
	char *body = xcalloc(1, client->size);
	char url[128];
	nng_socket socket;
	int r;

	(void)snprintf(url, sizeof url, "ipc://%s", stage.path);
	r = nng_req0_open(&socket);
	(void)nng_socket_set_ms(socket, NNG_OPT_RECVTIMEO, 30000);
	(void)nng_socket_set_ms(socket, NNG_OPT_SENDTIMEO, 30000);
	(void)nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ, 0);
	(void)nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, 10);
	if (r == 0)
		r = nng_dial(socket, url, NULL, 0);
	for (int i = 0; i < client->n_requests && r == 0; i++)
		r = ask(socket, client->word, body, client->size, i);
	(void)nng_close(socket);
	free(body);
	client->failure = r;
	client->is_done = true;
}

static void
start(struct client *client)
{
	ck_assert_int_eq(uv_thread_create(&client->thread, run_client, client),
			 0);
}

static void
serve_to_the_end(struct client *client)
{
	stage_await(client->is_done);
	ck_assert_int_eq(uv_thread_join(&client->thread), 0);
	ck_assert_int_eq(client->failure, 0);
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
}

static bool
always(const void *first_bytes, size_t n)
{
	return n > 9 && memcmp(first_bytes, "a request", 9) == 0;
}

static void
set_stage_for_large_messages(void)
{
	struct endpoint_limits limits = ENDPOINT_LIMITS_DEFAULT;

	limits.large_message_max = LARGE_SIZE;
	limits.may_be_large = always;
	limits.unwritten_max = 2 * LARGE_SIZE;
	stage_set_with(&limits);
}

/* nng's threads keep descriptors until nng_fini(). */
static void
strike(void)
{
	nng_fini();
	stage_strike();
}

START_TEST(a_req_socket_gets_its_answers)
{
	struct client client = { .word = "a", .size = 32, .n_requests = 1000 };

	start(&client);
	serve_to_the_end(&client);
	ck_assert_uint_eq(stage.n_requests, 1000);
}
END_TEST

START_TEST(a_req_socket_may_send_sixteen_mebibytes)
{
	struct client client = { .word = "a",
				 .size = LARGE_SIZE,
				 .n_requests = 3 };

	start(&client);
	serve_to_the_end(&client);
}
END_TEST

START_TEST(a_req_socket_asks_the_next_endpoint_again)
{
	struct client client = { .word = "Hold", .size = 32, .n_requests = 1 };

	start(&client);
	stage_await(stage.n_held == 1);
	stage_close_endpoint();
	ck_assert_uint_eq(stage.n_gone, 1);
	stage_open_endpoint();
	stage_await(stage.n_held == 2);
	stage_answer(1, NULL);
	serve_to_the_end(&client);
}
END_TEST

START_TEST(nngcat_gets_its_answer)
{
	char command[256];
	char line[64] = "";
	FILE *nngcat;
	pid_t child;
	int status = -1;
	int ends[2];

	(void)snprintf(command, sizeof command,
		       "nngcat --req --dial ipc://%s --data hello "
		       "--raw --send-timeout 30 --recv-timeout 30",
		       stage.path);
	ck_assert_int_eq(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		(void)dup2(ends[1], STDOUT_FILENO);
		(void)execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	(void)close(ends[1]);
	stage_await(waitpid(child, &status, WNOHANG) == child);
	ck_assert_int_eq(status, 0);
	nngcat = fdopen(ends[0], "r");
	ck_assert_ptr_nonnull(fgets(line, sizeof line, nngcat));
	(void)fclose(nngcat);
	ck_assert_int_eq(strncmp(line, "hello", 5), 0);
}
END_TEST

static Suite *
endpoint_nng_suite(void)
{
	Suite *suite = suite_create("endpoint_nng");
	TCase *small = tcase_create("small");
	TCase *large = tcase_create("large");

	tcase_set_timeout(small, 60);
	tcase_add_checked_fixture(small, stage_set, strike);
	tcase_add_test(small, a_req_socket_gets_its_answers);
	tcase_add_test(small, a_req_socket_asks_the_next_endpoint_again);
	tcase_add_test(small, nngcat_gets_its_answer);
	suite_add_tcase(suite, small);
	tcase_set_timeout(large, 60);
	tcase_add_checked_fixture(large, set_stage_for_large_messages, strike);
	tcase_add_test(large, a_req_socket_may_send_sixteen_mebibytes);
	suite_add_tcase(suite, large);
	return suite;
}

UNIT_MAIN(endpoint_nng_suite)
