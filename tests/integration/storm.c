/*
 * Story: thousands of connections that break off, clients killed as soon as
 * they start, clients that never read, a second daemon, a thousand idle ones.
 * All the while, the daemon answers everybody else.
 */
#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_CONNECTIONS 20000
#define N_KILLED      500
#define N_IDLE        1000
#define N_SILENT      8
#define N_IN_ONE_GO   10

struct storm {
	struct daemon daemon;
	_Atomic int stop;
	_Atomic uint64_t n_answers; /* that the bystander got */
};

/* Everybody else: one who stays connected and one who always comes anew. */
static void
ask_all_the_while(void *arg)
{
	struct storm *storm = arg;
	int fd = raw_open(daemon_socket(&storm->daemon));

	while (!storm->stop) {
		wire_reply_free(raw_status(fd));
		raw_status_once(daemon_socket(&storm->daemon));
		storm->n_answers++;
		breathe();
	}
	(void)close(fd);
}

static pid_t
begin(struct storm *storm)
{
	pid_t bystander;

	story_raise_descriptors();
	daemon_new(&storm->daemon);
	bystander = child_start(ask_all_the_while, storm);
	wait_until(storm->n_answers > 0) continue;
	return bystander;
}

/* The bystander got answers after the worst was over, and never none. */
static void
end(struct storm *storm, pid_t bystander)
{
	uint64_t n_answers = storm->n_answers;

	wait_until(storm->n_answers > n_answers + 2) continue;
	storm->stop = 1;
	child_finish(bystander);
	daemon_check(&storm->daemon);
	wait_until(raw_count(daemon_socket(&storm->daemon)).n_connections ==
		   1) continue;
	daemon_stop(&storm->daemon);
}

static void
break_off(const char *path, unsigned int way)
{
	static const uint8_t half_a_message[] = { 1, 0, 0, 0, 0, 0, 0, 0, 9 };
	uint8_t hello[RAW_HELLO_SIZE];
	int fd = raw_connect(path);

	switch (way % 6) {
	case 0:
		break;
	case 1:
		(void)raw_write(fd, raw_hello, 3);
		break;
	case 2:
		(void)raw_write(fd, raw_hello, RAW_HELLO_SIZE);
		break;
	case 3:
		(void)raw_read(fd, hello, RAW_HELLO_SIZE);
		break;
	case 4:
		(void)raw_write(fd, raw_hello, RAW_HELLO_SIZE);
		(void)raw_read(fd, hello, RAW_HELLO_SIZE);
		break;
	default:
		(void)raw_write(fd, raw_hello, RAW_HELLO_SIZE);
		(void)raw_write(fd, half_a_message, sizeof half_a_message);
		break;
	}
	(void)close(fd);
}

/* And some that never say hello: their time is over after seconds. */
START_TEST(connections_that_break_off_disturb_nobody)
{
	struct storm *storm = shared_new(sizeof *storm);
	pid_t bystander = begin(storm);
	const char *path = daemon_socket(&storm->daemon);
	int quiet[20];

	for (size_t i = 0; i < array_size(quiet); i++) {
		quiet[i] = raw_connect(path);
		(void)raw_write(quiet[i], raw_hello, i % RAW_HELLO_SIZE);
	}
	for (unsigned int i = 0; i < story_scale(N_CONNECTIONS); i++)
		break_off(path, i);
	for (size_t i = 0; i < array_size(quiet); i++) {
		raw_await_close(quiet[i]);
		(void)close(quiet[i]);
	}
	end(storm, bystander);
}
END_TEST

static void
start_as_a_client(void *arg)
{
	struct storm *storm = arg;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct uniform uniform;
	char model[32];

	(void)snprintf(model, sizeof model, "m%d", (int)random_below(8));
	uniform_init(&uniform, 1024);
	if (emad_connect(&emad, storm->daemon.address, -1) != EMAD_OK ||
	    uniform_attach(&uniform, &publisher, emad, model, NULL) != EMAD_OK)
		return;
	for (int64_t step = emad_last_step(publisher) + 1;; step++) {
		uniform_fill(&uniform, step);
		(void)emad_publish(publisher, step, uniform.tensors);
	}
}

START_TEST(clients_killed_as_they_start_disturb_nobody)
{
	struct storm *storm = shared_new(sizeof *storm);
	pid_t bystander = begin(storm);
	pid_t clients[N_IN_ONE_GO];

	for (unsigned int n = 0; n < story_scale(N_KILLED); n += N_IN_ONE_GO) {
		for (size_t i = 0; i < N_IN_ONE_GO; i++)
			clients[i] = child_start(start_as_a_client, storm);
		spin(random_below(5000000));
		for (size_t i = 0; i < N_IN_ONE_GO; i++)
			(void)kill(clients[i], SIGKILL);
		for (size_t i = 0; i < N_IN_ONE_GO; i++)
			(void)child_wait(clients[i]);
	}
	wait_until(raw_count(daemon_socket(&storm->daemon)).n_sessions ==
		   0) continue;
	ck_assert_uint_eq(daemon_n_files(&storm->daemon, "slot-"), 0);
	end(storm, bystander);
}
END_TEST

/* Requests until the daemon takes no more, or has had enough of us. */
static void
pipeline(int fd)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Status status = EMAD__STATUS__INIT;
	uint8_t frame[64] = { 1, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 1 };
	size_t size;
	uint8_t *body;
	ssize_t n;

	request.status = &status;
	body = wire_pack(&request.base, &size);
	insist(size < 32);
	frame[8] = (uint8_t)(4 + size);
	memcpy(frame + 13, body, size);
	free(body);
	do
		n = send(fd, frame, 13 + size, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n == (ssize_t)(13 + size));
	if (n < 0)
		insist(errno == EAGAIN || errno == EPIPE ||
		       errno == ECONNRESET);
}

START_TEST(clients_that_never_read_disturb_nobody)
{
	struct storm *storm = shared_new(sizeof *storm);
	pid_t bystander = begin(storm);
	uint64_t n_answers;
	int silent[N_SILENT];

	for (size_t i = 0; i < N_SILENT; i++)
		silent[i] = raw_open(daemon_socket(&storm->daemon));
	for (unsigned int round = 0; round < 20; round++) {
		for (size_t i = 0; i < N_SILENT; i++)
			pipeline(silent[i]);
		n_answers = storm->n_answers;
		wait_until(storm->n_answers > n_answers + 1) continue;
	}
	/* What waits to be written to them is bounded: some MiB each. */
	ck_assert_uint_lt(daemon_memory(&storm->daemon, "RssAnon"),
			  story_is_instrumented() ? 512 << 10 : 64 << 10);
	for (size_t i = 0; i < N_SILENT; i++)
		(void)close(silent[i]);
	end(storm, bystander);
}
END_TEST

START_TEST(second_daemon_is_refused_and_the_first_unharmed)
{
	struct storm *storm = shared_new(sizeof *storm);
	pid_t bystander = begin(storm);
	struct daemon second;
	struct stat before, after;
	char text[4096];

	ck_assert_int_eq(stat(daemon_socket(&storm->daemon), &before), 0);
	for (int i = 0; i < 10; i++) {
		daemon_init(&second);
		memcpy(second.address, storm->daemon.address,
		       sizeof second.address);
		ck_assert_int_eq(daemon_refusal(&second, text, sizeof text), 1);
		ck_assert_ptr_nonnull(
			strstr(text, daemon_socket(&storm->daemon)));
	}
	daemon_init(&second);
	memcpy(second.instance, storm->daemon.instance, sizeof second.instance);
	ck_assert_int_eq(daemon_refusal(&second, text, sizeof text), 1);
	ck_assert_ptr_nonnull(strstr(text, storm->daemon.instance));

	ck_assert_int_eq(stat(daemon_socket(&storm->daemon), &after), 0);
	ck_assert_uint_eq(before.st_ino, after.st_ino);
	end(storm, bystander);
}
END_TEST

START_TEST(thousand_idle_connections_disturb_nobody)
{
	struct storm *storm = shared_new(sizeof *storm);
	pid_t bystander = begin(storm);
	const char *path = daemon_socket(&storm->daemon);
	int idle[N_IDLE];

	for (size_t i = 0; i < N_IDLE; i++)
		idle[i] = raw_open(path);
	ck_assert_uint_ge(raw_count(path).n_connections, N_IDLE + 1);
	/* They may yet ask something. */
	for (size_t i = 0; i < N_IDLE; i += 50)
		wire_reply_free(raw_status(idle[i]));
	for (size_t i = 0; i < N_IDLE; i++)
		(void)close(idle[i]);
	end(storm, bystander);
}
END_TEST

static Suite *
storm_suite(void)
{
	Suite *suite = suite_create("storm");
	TCase *tcase = tcase_create("storm");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, connections_that_break_off_disturb_nobody);
	tcase_add_test(tcase, clients_killed_as_they_start_disturb_nobody);
	tcase_add_test(tcase, clients_that_never_read_disturb_nobody);
	tcase_add_test(tcase, second_daemon_is_refused_and_the_first_unharmed);
	tcase_add_test(tcase, thousand_idle_connections_disturb_nobody);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(storm_suite)
