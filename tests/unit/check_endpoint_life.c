/*
 * Beginnings and ends: of the socket's file, of connections with requests
 * outstanding, of the endpoint.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/lib/stage.h"
#include "tests/unit/unit.h"

#define LARGE_SIZE (600 * 1024) /* more than a socket takes at once */

START_TEST(the_sockets_mode_is_exact_whatever_the_umask)
{
	static const mode_t modes[] = { 0600, 0660, 0666, 0620 };
	static const mode_t masks[] = { 0, 022, 077, 0777 };
	mode_t mode = modes[_i % 4];
	mode_t mask = umask(masks[_i / 4]);
	struct stat file;

	/* The stage listens at its path already. */
	ck_assert_int_eq(unlink(stage.path), 0);
	ck_assert_int_eq(endpoint_listen(stage.endpoint, stage.path, mode), 0);
	ck_assert_int_eq(stat(stage.path, &file), 0);
	ck_assert_uint_eq(file.st_mode & 07777, mode);
	ck_assert_uint_eq(umask(mask), masks[_i / 4]);
	(void)chmod(stage.path, 0600);
	stage_check_served();
}
END_TEST

START_TEST(what_is_no_socket_is_not_replaced)
{
	char path[96];
	int fd;

	(void)snprintf(path, sizeof path, "%s/file", stage.directory);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_int_eq(endpoint_listen(stage.endpoint, path, 0600), -EEXIST);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(endpoint_listen(stage.endpoint, "", 0600), -ENOENT);
}
END_TEST

START_TEST(a_socket_that_somebody_listens_at_is_not_replaced)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s/theirs",
		       stage.directory);
	ck_assert_int_eq(
		bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(listen(fd, 1), 0);
	ck_assert_int_eq(
		endpoint_listen(stage.endpoint, address.sun_path, 0600),
		-EADDRINUSE);
	(void)close(fd);
	/* Nobody does any more: it is stale. */
	ck_assert_int_eq(
		endpoint_listen(stage.endpoint, address.sun_path, 0600), 0);
}
END_TEST

START_TEST(a_path_that_is_too_long_is_refused_and_107_bytes_are_not)
{
	char path[109];
	size_t n = (size_t)snprintf(path, sizeof path, "%s/", stage.directory);

	memset(path + n, 'x', sizeof path - 1 - n);
	path[108] = '\0';
	ck_assert_int_eq(endpoint_listen(stage.endpoint, path, 0600),
			 -ENAMETOOLONG);
	path[107] = '\0';
	ck_assert_int_eq(endpoint_listen(stage.endpoint, path, 0600), 0);
	ck_assert_int_eq(access(path, F_OK), 0);
	stage_check_served();
}
END_TEST

START_TEST(anothers_socket_is_not_removed_at_the_end)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s",
		       stage.path);
	ck_assert_int_eq(unlink(stage.path), 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address),
			 0);
	stage_close_endpoint();
	ck_assert_int_eq(unlink(stage.path), 0);
	(void)close(fd);
}
END_TEST

START_TEST(a_socket_of_the_service_manager_is_served)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	int pipes[2];

	(void)unlink(stage.path);
	(void)snprintf(address.sun_path, sizeof address.sun_path, "%s",
		       stage.path);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address),
			 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(endpoint_listen_fd(stage.endpoint, fd), 0);
	stage_check_served();
	ck_assert_int_eq(pipe(pipes), 0);
	ck_assert_int_eq(endpoint_listen_fd(stage.endpoint, pipes[0]), -EINVAL);
	(void)close(pipes[1]);
	stage_close_endpoint();
	/* The manager's file stays. */
	ck_assert_int_eq(unlink(stage.path), 0);
}
END_TEST

START_TEST(replies_may_come_in_any_order)
{
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_ask(fd, 2, "H2");
	stage_ask(fd, 3, "H3");
	stage_await(stage.n_held == 3);
	stage_answer(1, "two");
	stage_answer(2, "three");
	stage_answer(0, "one");
	stage_await_reply(fd, 2, "two");
	stage_await_reply(fd, 3, "three");
	stage_await_reply(fd, 1, "one");
	(void)close(fd);
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
	ck_assert_uint_eq(stage.n_gone, 0);
}
END_TEST

START_TEST(handlers_hear_once_that_the_client_is_gone)
{
	size_t size;
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_ask(fd, 2, "H2");
	stage_ask(fd, 3, "H3");
	stage_await(stage.n_held == 3);
	stage_answer(0, "one");
	(void)close(fd);
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
	ck_assert_uint_eq(stage.n_gone, 2);
	/* The requests still are whole, and may be answered. */
	ck_assert_mem_eq(request_body(stage.held[1], &size), "H2", 2);
	ck_assert_uint_eq(size, 2);
	ck_assert_int_eq(request_peer(stage.held[1])->pid, getpid());
	ck_assert_int_eq(request_peer_pidfd(stage.held[1]), -ESRCH);
	stage_answer(1, "two");
	stage_check_served();
	ck_assert_uint_eq(stage.n_gone, 2);
}
END_TEST

START_TEST(who_hears_it_may_answer)
{
	int fd = stage_open();

	stage_ask(fd, 1, "G1");
	stage_ask(fd, 2, "H2");
	stage_ask(fd, 3, "G3");
	stage_await(stage.n_requests == 3);
	(void)close(fd);
	stage_await(stage.n_gone == 3);
	stage_check_served();
}
END_TEST

START_TEST(a_reply_to_a_socket_that_just_closed_harms_nobody)
{
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_ask(fd, 2, "H2");
	stage_await(stage.n_held == 2);
	/* The loop does not know yet. */
	(void)close(fd);
	stage_answer(0, "one");
	ck_assert_uint_eq(stage.n_gone, 0);
	stage_await(stage.n_gone == 1);
	stage_check_served();
}
END_TEST

START_TEST(requests_outlive_the_endpoint)
{
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_ask(fd, 2, "G2");
	stage_await(stage.n_requests == 2);
	stage_close_endpoint();
	ck_assert_uint_eq(stage.n_gone, 2);
	stage_answer(0, "one");
	stage_await_end(fd);
}
END_TEST

START_TEST(a_handler_may_close_the_endpoint)
{
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_ask(fd, 2, "Close");
	stage_ask(fd, 3, "not taken any more");
	stage_await_reply(fd, 2, "Close");
	stage_await_end(fd);
	stage_await(stage.is_closed);
	ck_assert_uint_eq(stage.n_gone, 1);
	ck_assert_uint_eq(stage.n_requests, 2);
}
END_TEST

START_TEST(draining_answers_what_is_outstanding_and_takes_no_more)
{
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_await(stage.n_held == 1);
	endpoint_drain(stage.endpoint);
	stage_ask(fd, 2, "too late");
	stage_answer(0, "one");
	stage_await_reply(fd, 1, "one");
	stage_close_endpoint();
	stage_await_end(fd);
	ck_assert_uint_eq(stage.n_requests, 1);
}
END_TEST

/* A reply too large for the socket, so that some of it has to wait. */
static int
open_with_much_unwritten(void)
{
	char *large = xcalloc(1, LARGE_SIZE);
	int fd = stage_open();

	stage_ask(fd, 1, "H1");
	stage_await(stage.n_held == 1);
	request_reply(take_pointer(&stage.held[0]), large, LARGE_SIZE);
	stage_begin_close();
	free(large);
	return fd;
}

START_TEST(what_was_replied_is_written_before_the_end)
{
	int fd = open_with_much_unwritten();
	char *received = xmalloc(STAGE_HEAD_SIZE + LARGE_SIZE);

	ck_assert(stage_read(fd, received, STAGE_HEAD_SIZE + LARGE_SIZE));
	stage_await_end(fd);
	stage_await(stage.is_closed);
	free(received);
}
END_TEST

START_TEST(who_never_reads_does_not_hold_up_the_end)
{
	int fd = open_with_much_unwritten();

	stage_await(stage.is_closed);
	(void)close(fd);
}
END_TEST

START_TEST(a_peers_death_is_seen_though_its_child_keeps_the_socket)
{
	struct pollfd process = { .events = POLLIN };
	int lifeline;
	pid_t child = stage_start_asker(&lifeline);

	ck_assert_int_eq(request_peer(stage.held[0])->pid, child);
	ck_assert_uint_eq(request_peer(stage.held[0])->uid, getuid());
	ck_assert_uint_eq(request_peer(stage.held[0])->gid, getgid());
	process.fd = request_peer_pidfd(stage.held[0]);
	ck_assert_int_ge(process.fd, 0);
	ck_assert_int_eq(fcntl(process.fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(poll(&process, 1, 0), 0);
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	stage_await(poll(&process, 1, 0) == 1);
	ck_assert_uint_eq(endpoint_n_connections(stage.endpoint), 1);
	(void)close(process.fd);
	(void)close(lifeline);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	stage_await(endpoint_n_connections(stage.endpoint) == 0);
}
END_TEST

static Suite *
endpoint_life_suite(void)
{
	Suite *suite = suite_create("endpoint_life");
	TCase *files = tcase_create("files");
	TCase *ends = tcase_create("ends");

	tcase_set_timeout(files, 60);
	tcase_add_checked_fixture(files, stage_set, stage_strike);
	tcase_add_loop_test(files, the_sockets_mode_is_exact_whatever_the_umask,
			    0, 16);
	tcase_add_test(files, what_is_no_socket_is_not_replaced);
	tcase_add_test(files,
		       a_socket_that_somebody_listens_at_is_not_replaced);
	tcase_add_test(
		files,
		a_path_that_is_too_long_is_refused_and_107_bytes_are_not);
	tcase_add_test(files, anothers_socket_is_not_removed_at_the_end);
	tcase_add_test(files, a_socket_of_the_service_manager_is_served);
	suite_add_tcase(suite, files);
	tcase_set_timeout(ends, 60);
	tcase_add_checked_fixture(ends, stage_set, stage_strike);
	tcase_add_test(ends, replies_may_come_in_any_order);
	tcase_add_test(ends, handlers_hear_once_that_the_client_is_gone);
	tcase_add_test(ends, who_hears_it_may_answer);
	tcase_add_test(ends, a_reply_to_a_socket_that_just_closed_harms_nobody);
	tcase_add_test(ends, requests_outlive_the_endpoint);
	tcase_add_test(ends, a_handler_may_close_the_endpoint);
	tcase_add_test(ends,
		       draining_answers_what_is_outstanding_and_takes_no_more);
	tcase_add_test(ends, what_was_replied_is_written_before_the_end);
	tcase_add_test(ends, who_never_reads_does_not_hold_up_the_end);
	tcase_add_test(ends,
		       a_peers_death_is_seen_though_its_child_keeps_the_socket);
	suite_add_tcase(suite, ends);
	return suite;
}

UNIT_MAIN(endpoint_life_suite)
