/*
 * Leases: who reads a segment, as the kernel counts it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#include "daemon/io/shm.h"
#include "tests/unit/unit.h"

#define DEADLINE_S 60

static struct shm shm;
static char path[FILE_NAME_SIZE + sizeof SHM_DIRECTORY];

/* A reader's process, and a pipe on which it says that it reads. */
struct reader {
	pid_t pid;
	int fd;
};

static void
setup(void)
{
	char name[FILE_NAME_SIZE];

	(void)signal(SIGIO, SIG_IGN);
	(void)snprintf(name, sizeof name, "check-shm-lease-%d", (int)getpid());
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", name);
	ck_assert_int_eq(shm_create(&shm, name, 4096, 0600), 0);
	memcpy(shm.base, "old", 4);
}

static void
teardown(void)
{
	ck_assert_int_eq(shm_unlink_name(&shm), 0);
	shm_close(&shm);
}

static struct reader
start_reader(void (*read_and_say)(int say_fd))
{
	struct reader reader;
	int fds[2];

	ck_assert_int_eq(pipe(fds), 0);
	reader.pid = fork();
	ck_assert_int_ge(reader.pid, 0);
	if (reader.pid == 0) {
		/* What a fork inherits is the parent's own use of the file. */
		shm_close(&shm);
		read_and_say(fds[1]);
		_exit(0);
	}
	ck_assert_int_eq(close(fds[1]), 0);
	reader.fd = fds[0];
	return reader;
}

/* What it says; an end of file without a word is an error. */
static char
hear(const struct reader *reader)
{
	char word;

	ck_assert_int_eq(read(reader->fd, &word, 1), 1);
	return word;
}

static void
end_reader(const struct reader *reader)
{
	(void)kill(reader->pid, SIGKILL);
	ck_assert_int_eq(waitpid(reader->pid, NULL, 0), reader->pid);
	ck_assert_int_eq(close(reader->fd), 0);
}

static void
say(int fd, char word)
{
	if (write(fd, &word, 1) != 1)
		_exit(1);
}

static void
read_open(int say_fd)
{
	int fd = open(path, O_RDONLY);

	say(say_fd, fd < 0 ? 'x' : 'o');
	for (;;)
		(void)pause();
}

static void
read_mapped(int say_fd)
{
	int fd = open(path, O_RDONLY);
	const void *base = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	(void)close(fd);
	say(say_fd, base == MAP_FAILED ? 'x' : 'm');
	for (;;)
		(void)pause();
}

static void
read_late(int say_fd)
{
	char content[4] = "";
	int fd = open(path, O_RDONLY);

	if (fd < 0 || read(fd, content, sizeof content) < 0)
		say(say_fd, 'x');
	say(say_fd, content[0]);
}

static int64_t
now_s(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* The kernel lets go of a dead reader's file soon, not at once. */
static void
wait_for_lease(void)
{
	int64_t deadline = now_s() + DEADLINE_S;
	int r;

	while ((r = shm_lease(&shm)) == -EAGAIN) {
		ck_assert(now_s() < deadline);
		(void)sched_yield();
	}
	ck_assert_int_eq(r, 0);
}

START_TEST(lease_is_granted_beside_our_own_mapping)
{
	ck_assert_int_eq(shm_lease(&shm), 0);
	memcpy(shm.base, "new", 4);
	shm_unlease(&shm);
	ck_assert_int_eq(shm_lease(&shm), 0);
	shm_unlease(&shm);
	shm_unlease(&shm);
}
END_TEST

START_TEST(lease_is_refused_while_a_reader_has_it_open)
{
	struct reader reader = start_reader(read_open);

	ck_assert_int_eq(hear(&reader), 'o');
	ck_assert_int_eq(shm_lease(&shm), -EAGAIN);
	end_reader(&reader);
	wait_for_lease();
	shm_unlease(&shm);
}
END_TEST

START_TEST(lease_is_refused_while_a_reader_has_it_only_mapped)
{
	struct reader reader = start_reader(read_mapped);

	ck_assert_int_eq(hear(&reader), 'm');
	ck_assert_int_eq(shm_lease(&shm), -EAGAIN);
	end_reader(&reader);
	wait_for_lease();
	shm_unlease(&shm);
}
END_TEST

START_TEST(late_reader_waits_and_sees_what_was_written_meanwhile)
{
	int64_t deadline = now_s() + DEADLINE_S;
	struct reader reader;

	ck_assert_int_eq(shm_lease(&shm), 0);
	memset(shm.base, 0, 4);
	reader = start_reader(read_late);
	/* It is told to give way: so there is somebody who waits. */
	while (fcntl(shm.fd, F_GETLEASE) == F_WRLCK) {
		ck_assert(now_s() < deadline);
		(void)sched_yield();
	}
	memcpy(shm.base, "new", 4);
	shm_unlease(&shm);
	ck_assert_int_eq(hear(&reader), 'n');
	end_reader(&reader);
}
END_TEST

START_TEST(readers_killed_at_any_moment_leave_no_trace)
{
	for (int i = 0; i < 50; i++) {
		struct reader reader =
			start_reader(i % 2 ? read_open : read_mapped);

		if (i % 3 == 0)
			(void)hear(&reader);
		end_reader(&reader);
		wait_for_lease();
		shm_unlease(&shm);
	}
}
END_TEST

static Suite *
shm_lease_suite(void)
{
	Suite *suite = suite_create("shm_lease");
	TCase *lease = tcase_create("lease");

	tcase_set_timeout(lease, 2 * DEADLINE_S);
	tcase_add_checked_fixture(lease, setup, teardown);
	tcase_add_test(lease, lease_is_granted_beside_our_own_mapping);
	tcase_add_test(lease, lease_is_refused_while_a_reader_has_it_open);
	tcase_add_test(lease,
		       lease_is_refused_while_a_reader_has_it_only_mapped);
	tcase_add_test(lease,
		       late_reader_waits_and_sees_what_was_written_meanwhile);
	tcase_add_test(lease, readers_killed_at_any_moment_leave_no_trace);
	suite_add_tcase(suite, lease);
	return suite;
}

UNIT_MAIN(shm_lease_suite)
