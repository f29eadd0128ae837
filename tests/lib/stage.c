#include "tests/lib/stage.h"

#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DEADLINE_NS (UINT64_C(60) * 1000 * 1000 * 1000)

struct stage stage;

static void
on_gone(struct request *request, void *arg)
{
	(void)request;
	must(arg == &stage);
	stage.n_gone++;
}

static void
answer_nobody(struct request *request, void *arg)
{
	on_gone(request, arg);
	request_reply(request, "nobody", 6);
}

static void
on_closed(void *arg)
{
	must(arg == &stage);
	stage.is_closed = true;
}

static void
on_request(struct request *request, void *arg)
{
	size_t size;
	const char *body = request_body(request, &size);

	must(arg == &stage);
	stage.n_requests++;
	if (size > 0 && body[0] == 'H') {
		must(stage.n_held < STAGE_HELD_MAX);
		request_set_on_gone(request, on_gone, &stage);
		stage.held[stage.n_held++] = request;
		return;
	}
	if (size > 0 && body[0] == 'G') {
		request_set_on_gone(request, answer_nobody, &stage);
		return;
	}
	if (size > 0 && body[0] == 'C')
		stage_begin_close();
	request_reply(request, body, size);
}

void
stage_answer(unsigned int i, const char *body)
{
	struct request *request = take_pointer(&stage.held[i]);
	size_t size;

	if (body)
		size = strlen(body);
	else
		body = request_body(request, &size);
	request_reply(request, body, size);
}

/* Wakes the loop, so that what others do is seen too. */
static void
on_tick(uv_timer_t *timer)
{
	(void)timer;
}

int
stage_count_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int n = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		n++;
	(void)closedir(directory);
	return n;
}

void
stage_open_endpoint(void)
{
	stage.is_closed = false;
	ck_assert_int_eq(endpoint_new(&stage.endpoint, &stage.loop,
				      &stage.limits, on_request, &stage),
			 0);
	ck_assert_int_eq(endpoint_listen(stage.endpoint, stage.path, 0600), 0);
}

void
stage_set_with(const struct endpoint_limits *limits)
{
	struct rlimit descriptors;

	memset(&stage, 0, sizeof stage);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &descriptors), 0);
	descriptors.rlim_cur = descriptors.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &descriptors), 0);
	/* libuv opens what it keeps for ever with the first loop. */
	ck_assert_int_eq(uv_loop_init(&stage.loop), 0);
	ck_assert_int_eq(uv_loop_close(&stage.loop), 0);
	stage.n_descriptors = stage_count_descriptors();
	ck_assert_int_eq(uv_loop_init(&stage.loop), 0);
	(void)uv_timer_init(&stage.loop, &stage.tick);
	(void)uv_timer_start(&stage.tick, on_tick, 1, 1);
	(void)snprintf(stage.directory, sizeof stage.directory,
		       "/tmp/emad-stage-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(stage.directory));
	(void)snprintf(stage.path, sizeof stage.path, "%s/socket",
		       stage.directory);
	stage.limits = *limits;
	stage_open_endpoint();
}

void
stage_set(void)
{
	stage_set_with(&ENDPOINT_LIMITS_DEFAULT);
}

void
stage_begin_close(void)
{
	endpoint_close(stage.endpoint, on_closed, &stage);
	stage.endpoint = NULL;
}

void
stage_close_endpoint(void)
{
	stage_begin_close();
	stage_await(stage.is_closed);
}

void
stage_strike(void)
{
	if (stage.endpoint)
		stage_close_endpoint();
	for (unsigned int i = 0; i < stage.n_held; i++) {
		if (stage.held[i])
			stage_answer(i, "late");
	}
	uv_close((uv_handle_t *)&stage.tick, NULL);
	ck_assert_int_eq(uv_run(&stage.loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&stage.loop), 0);
	ck_assert_int_eq(stage_count_descriptors(), stage.n_descriptors);
	/* Fails if the socket is still there. */
	ck_assert_int_eq(rmdir(stage.directory), 0);
}

uint64_t
stage_deadline(void)
{
	return uv_hrtime() + DEADLINE_NS;
}

void
stage_turn(uint64_t deadline, const char *condition)
{
	if (uv_hrtime() > deadline)
		ck_abort_msg("this never came: %s", condition);
	(void)uv_run(&stage.loop, UV_RUN_ONCE);
}

int
stage_connect(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint64_t deadline = stage_deadline();
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	memcpy(address.sun_path, stage.path, strlen(stage.path));
	while (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
		ck_assert_int_eq(errno, EAGAIN);
		stage_turn(deadline, "room in the backlog");
	}
	return fd;
}

int
stage_open(void)
{
	char hello[8];
	int fd = stage_connect();

	ck_assert(stage_write(fd, STAGE_HELLO, 8));
	ck_assert(stage_read(fd, hello, sizeof hello));
	ck_assert_mem_eq(hello, "\0SP\0\0\x31\0\0", sizeof hello);
	return fd;
}

bool
stage_write(int fd, const void *bytes, size_t size)
{
	uint64_t deadline = stage_deadline();

	while (size > 0) {
		ssize_t n = send(fd, bytes, size, MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			return false;
		if (n < 0) {
			stage_turn(deadline, "room to write");
			continue;
		}
		bytes = (const char *)bytes + n;
		size -= (size_t)n;
	}
	return true;
}

bool
stage_read(int fd, void *ret_bytes, size_t size)
{
	uint64_t deadline = stage_deadline();

	while (size > 0) {
		ssize_t n = recv(fd, ret_bytes, size, 0);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			return false;
		if (n < 0) {
			stage_turn(deadline, "something to read");
			continue;
		}
		ret_bytes = (char *)ret_bytes + n;
		size -= (size_t)n;
	}
	return true;
}

void
stage_await_end(int fd)
{
	char byte;

	while (stage_read(fd, &byte, 1))
		;
	(void)close(fd);
}

size_t
stage_request(unsigned char *ret_bytes, uint32_t id, const void *body,
	      size_t size)
{
	uint64_t length = htobe64(4 + size);

	id = htobe32(id | 0x80000000U);
	ret_bytes[0] = 1;
	memcpy(ret_bytes + 1, &length, sizeof length);
	memcpy(ret_bytes + 9, &id, sizeof id);
	memcpy(ret_bytes + STAGE_HEAD_SIZE, body, size);
	return STAGE_HEAD_SIZE + size;
}

void
stage_ask(int fd, uint32_t id, const char *body)
{
	unsigned char bytes[256];

	must(strlen(body) <= sizeof bytes - STAGE_HEAD_SIZE);
	ck_assert(stage_write(fd, bytes,
			      stage_request(bytes, id, body, strlen(body))));
}

void
stage_await_reply(int fd, uint32_t id, const char *body)
{
	unsigned char expected[256];
	unsigned char reply[256];
	size_t size;

	must(strlen(body) <= sizeof expected - STAGE_HEAD_SIZE);
	size = stage_request(expected, id, body, strlen(body));
	ck_assert(stage_read(fd, reply, size));
	ck_assert_mem_eq(reply, expected, size);
}

void
stage_check_served_on(int fd)
{
	stage_ask(fd, 7, "are you there?");
	stage_await_reply(fd, 7, "are you there?");
}

void
stage_check_served(void)
{
	int fd = stage_open();

	stage_check_served_on(fd);
	(void)close(fd);
}

static void
ask_and_wait(int lifeline)
{
	unsigned char bytes[64] = STAGE_HELLO;
	size_t size = 8 + stage_request(bytes + 8, 1, "H", 1);
	int fd = stage_connect();
	pid_t grandchild = fork();
	char byte;

	/* The parent asks, so by then there is the child. */
	if (grandchild < 0 || (grandchild > 0 && write(fd, bytes, size) < 0) ||
	    read(lifeline, &byte, 1) < 0)
		_exit(1);
	_exit(0);
}

pid_t
stage_start_asker(int *ret_lifeline)
{
	unsigned int n_held = stage.n_held;
	int lifeline[2];
	pid_t child;

	ck_assert_int_eq(pipe(lifeline), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		(void)close(lifeline[1]);
		ask_and_wait(lifeline[0]);
	}
	(void)close(lifeline[0]);
	stage_await(stage.n_held > n_held);
	*ret_lifeline = lifeline[1];
	return child;
}
