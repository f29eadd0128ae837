/*
 * Locks: one holder, named, and free again however it ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/io/lock.h"
#include "tests/lib/fault.h"
#include "tests/unit/unit.h"

#define A_STRANGER  12345
#define N_PROCESSES 4
#define N_ROUNDS    300

static char directory[64];
static char path[80];
static pid_t holder;

static void
setup(void)
{
	(void)snprintf(directory, sizeof directory, "/tmp/check-lock-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/lock", directory);
	holder = -1;
}

static void
teardown(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(lock_is_a_private_file_with_the_pid)
{
	owned_fd fd = -1;
	char text[32] = "";
	struct stat status;

	(void)umask(0);
	ck_assert_int_eq(lock_take(&fd, path, &holder), 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0600);
	ck_assert_int_gt(pread(fd, text, sizeof text - 1, 0), 0);
	ck_assert_int_eq(atoi(text), getpid());
	ck_assert_int_eq(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

START_TEST(taken_lock_names_its_holder)
{
	owned_fd fd = -1;
	int other = -1;
	int n_fds;

	ck_assert_int_eq(lock_take(&fd, path, &holder), 0);
	n_fds = fault_count_fds();
	ck_assert_int_eq(lock_take(&other, path, &holder), -EWOULDBLOCK);
	ck_assert_int_eq(holder, getpid());
	ck_assert_int_eq(other, -1);
	ck_assert_int_eq(fault_count_fds(), n_fds);

	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_int_eq(lock_take(&other, path, &holder), -EWOULDBLOCK);
	ck_assert_int_eq(holder, 0);
	ck_assert_int_eq(pwrite(fd, "99999999999999999999", 20, 0), 20);
	ck_assert_int_eq(lock_take(&other, path, &holder), -EWOULDBLOCK);
	ck_assert_int_eq(holder, 0);
}
END_TEST

START_TEST(lock_dies_with_its_process)
{
	owned_fd fd = -1;
	int ready[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe(ready), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (lock_take(&fd, path, &holder) < 0 ||
		    write(ready[1], "r", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(lock_take(&fd, path, &holder), -EWOULDBLOCK);
	ck_assert_int_eq(holder, pid);
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(lock_take(&fd, path, &holder), 0);
	(void)close(ready[0]);
	(void)close(ready[1]);
}
END_TEST

START_TEST(what_is_no_file_of_ours_is_not_locked)
{
	char target[sizeof path + 8];
	int fd = -1;

	(void)snprintf(target, sizeof target, "%s.target", path);
	ck_assert_int_eq(symlink(target, path), 0);
	ck_assert_int_eq(lock_take(&fd, path, &holder), -EPERM);
	ck_assert_int_lt(access(target, F_OK), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(lock_take(&fd, path, &holder), -EPERM);
	ck_assert_int_eq(unlink(path), 0);

	ck_assert_int_eq(lock_take(&fd, path, &holder), 0);
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(link(path, target), 0);
	ck_assert_int_eq(lock_take(&fd, path, &holder), -EPERM);
	ck_assert_int_eq(unlink(target), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, A_STRANGER, A_STRANGER), 0);
		ck_assert_int_eq(lock_take(&fd, path, &holder), -EPERM);
	}
}
END_TEST

START_TEST(lock_in_no_folder_is_an_error)
{
	char elsewhere[sizeof path + 8];
	int fd = -1;

	(void)snprintf(elsewhere, sizeof elsewhere, "%s/none", path);
	ck_assert_int_eq(lock_take(&fd, elsewhere, &holder), -ENOENT);
}
END_TEST

START_TEST(removed_file_is_not_the_lock_any_more)
{
	owned_fd first = -1;
	owned_fd second = -1;

	ck_assert_int_eq(lock_take(&first, path, &holder), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(lock_take(&second, path, &holder), 0);
	ck_assert_int_eq(lock_take(&first, path, &holder), -EWOULDBLOCK);
}
END_TEST

START_TEST(every_failing_call_is_an_error_or_tried_again)
{
	int n_fds = fault_count_fds();
	int n_failures = 0;

	for (;;) {
		int fd = -1;
		int r;

		fault_arm(n_failures, EIO);
		r = lock_take(&fd, path, &holder);
		if (r == 0)
			ck_assert_int_eq(close(fd), 0);
		else
			ck_assert_int_eq(r, -EIO);
		if (!fault_disarm())
			break;
		ck_assert_int_eq(fault_count_fds(), n_fds);
		n_failures++;
	}
	ck_assert_int_eq(n_failures, 6);
}
END_TEST

/* Each holder removes the file, as a daemon that ends does. */
static void
take_and_remove_often(_Atomic int *n_inside)
{
	for (int i = 0; i < N_ROUNDS; i++) {
		owned_fd fd = -1;

		while (lock_take(&fd, path, &holder) == -EWOULDBLOCK)
			;
		if (fd < 0 || ++*n_inside != 1)
			_exit(1);
		--*n_inside;
		if (unlink(path) < 0)
			_exit(2);
	}
	_exit(0);
}

START_TEST(there_is_one_holder_though_the_file_comes_and_goes)
{
	_Atomic int *n_inside =
		mmap(NULL, sizeof *n_inside, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(n_inside, MAP_FAILED);
	for (int i = 0; i < N_PROCESSES; i++) {
		pid_t pid = fork();

		ck_assert_int_ge(pid, 0);
		if (pid == 0)
			take_and_remove_often(n_inside);
	}
	for (int i = 0; i < N_PROCESSES; i++) {
		int status;

		ck_assert_int_gt(wait(&status), 0);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), 0);
	}
	ck_assert_int_eq(munmap(n_inside, sizeof *n_inside), 0);
}
END_TEST

static Suite *
lock_suite(void)
{
	Suite *suite = suite_create("lock");
	TCase *lock = tcase_create("lock");

	tcase_set_timeout(lock, 60);
	tcase_add_checked_fixture(lock, setup, teardown);
	tcase_add_test(lock, lock_is_a_private_file_with_the_pid);
	tcase_add_test(lock, taken_lock_names_its_holder);
	tcase_add_test(lock, lock_dies_with_its_process);
	tcase_add_test(lock, what_is_no_file_of_ours_is_not_locked);
	tcase_add_test(lock, lock_in_no_folder_is_an_error);
	tcase_add_test(lock, removed_file_is_not_the_lock_any_more);
	tcase_add_test(lock, every_failing_call_is_an_error_or_tried_again);
	tcase_add_test(lock,
		       there_is_one_holder_though_the_file_comes_and_goes);
	suite_add_tcase(suite, lock);
	return suite;
}

UNIT_MAIN(lock_suite)
