/*
 * Segments: what making and adopting one gives, and what failing to leaves.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/io/huge.h"
#include "daemon/io/shm.h"
#include "tests/lib/fault.h"
#include "tests/lib/small_shm.h"
#include "tests/unit/unit.h"

#define A_STRANGER 12345

static char name[FILE_NAME_SIZE];
static char path[FILE_NAME_SIZE + sizeof SHM_DIRECTORY];
static struct shm shm;

static void
setup(void)
{
	(void)snprintf(name, sizeof name, "check-shm-%d", (int)getpid());
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", name);
	shm = SHM_NONE;
}

static void
teardown(void)
{
	shm_close(&shm);
	(void)rmdir(path);
	(void)unlink(path);
}

static bool
name_exists(void)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

START_TEST(create_gives_zeroed_memory_of_the_asked_size_and_mode)
{
	struct stat status;
	const char *bytes;

	(void)umask(0077);
	ck_assert_int_eq(shm_create(&shm, name, 5000, 0664), 0);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq((uint64_t)status.st_size, 5000);
	ck_assert_uint_eq(status.st_mode & 07777, 0664);
	ck_assert_uint_ge((uint64_t)status.st_blocks * 512, 5000);
	ck_assert_uint_eq(shm.size, 5000);
	ck_assert_uint_eq(shm.inode, status.st_ino);
	ck_assert_uint_eq(shm.device, status.st_dev);
	ck_assert_str_eq(shm.name, name);
	bytes = shm.base;
	for (size_t i = 0; i < 5000; i++)
		ck_assert_int_eq(bytes[i], 0);
	ck_assert_int_eq(fcntl(shm.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
}
END_TEST

START_TEST(taken_name_is_refused_whatever_has_it)
{
	struct shm before = shm;

	ck_assert_int_eq(symlink("/nowhere/at/all", path), 0);
	ck_assert_int_eq(shm_create(&shm, name, 1, 0600), -EEXIST);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_lt(shm_create(&shm, name, 1, 0600), 0);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(shm_create(&shm, name, 1, 0600), -EEXIST);
	ck_assert(name_exists());
	ck_assert_mem_eq(&shm, &before, sizeof shm);
}
END_TEST

START_TEST(size_that_no_file_can_have_is_an_error)
{
	ck_assert_int_eq(shm_create(&shm, name, UINT64_MAX, 0600), -EFBIG);
	ck_assert_int_eq(shm_create(&shm, name, (uint64_t)INT64_MAX + 1, 0600),
			 -EFBIG);
	ck_assert_int_lt(shm_create(&shm, name, INT64_MAX, 0600), 0);
	ck_assert_int_lt(shm_create(&shm, name, INT64_MAX / 2, 0600), 0);
	ck_assert(!name_exists());
}
END_TEST

/* Pages of address space that this process uses. */
static unsigned long
count_pages(void)
{
	owned_fd fd = open("/proc/self/statm", O_RDONLY);
	char text[100] = "";

	ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
	return strtoul(text, NULL, 10);
}

START_TEST(segment_that_holds_a_huge_page_begins_where_one_may)
{
	static const uint64_t sizes[] = { HUGE_PAGE_SIZE, HUGE_PAGE_SIZE + 1,
					  5 * HUGE_PAGE_SIZE - 4096 };

	for (size_t i = 0; i < array_size(sizes); i++) {
		unsigned long before = count_pages();
		unsigned long n_pages = (sizes[i] + 4095) / 4096;
		struct shm adopted;

		ck_assert_int_eq(shm_create(&shm, name, sizes[i], 0600), 0);
		ck_assert_uint_eq((uintptr_t)shm.base % HUGE_PAGE_SIZE, 0);
		ck_assert_uint_eq(count_pages(), before + n_pages);
		ck_assert_int_eq(shm_adopt(&adopted, name), 0);
		ck_assert_uint_eq((uintptr_t)adopted.base % HUGE_PAGE_SIZE, 0);
		ck_assert_uint_eq(count_pages(), before + 2 * n_pages);
		memset(adopted.base, 7, sizes[i]);
		ck_assert_int_eq(((char *)shm.base)[sizes[i] - 1], 7);
		shm_close(&adopted);
		ck_assert_int_eq(shm_unlink_name(&shm), 0);
		shm_close(&shm);
		ck_assert_uint_eq(count_pages(), before);
	}
}
END_TEST

START_TEST(every_failing_call_of_create_leaves_nothing_behind)
{
	static const struct {
		uint64_t size;
		int n_calls;
	} cases[] = { { 10000, 6 }, { HUGE_PAGE_SIZE + 10000, 7 } };
	unsigned long n_pages = count_pages();
	struct shm before = shm;
	int n_fds = fault_count_fds();
	int n_failures = 0;
	int r;

	for (;;) {
		fault_arm(n_failures, ENOMEM);
		r = shm_create(&shm, name, cases[_i].size, 0600);
		if (!fault_disarm())
			break;
		ck_assert_int_eq(r, -ENOMEM);
		ck_assert_uint_eq(count_pages(), n_pages);
		ck_assert_mem_eq(&shm, &before, sizeof shm);
		ck_assert_int_eq(fault_count_fds(), n_fds);
		ck_assert(!name_exists());
		n_failures++;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(n_failures, cases[_i].n_calls);
}
END_TEST

START_TEST(interrupted_reservation_is_tried_again)
{
	fault_arm(4, EINTR);
	ck_assert_int_eq(shm_create(&shm, name, 10000, 0600), 0);
	ck_assert(fault_disarm());
}
END_TEST

START_TEST(pages_are_touched_where_the_kernel_cannot_be_asked_to)
{
	fault_arm(5, EINVAL);
	ck_assert_int_eq(shm_create(&shm, name, 10000, 0600), 0);
	ck_assert(fault_disarm());
}
END_TEST

START_TEST(segment_without_bytes_is_a_bug)
{
	(void)shm_create(&shm, name, 0, 0600);
}
END_TEST

START_TEST(full_shm_is_an_error_and_what_was_made_is_whole)
{
	struct shm second = SHM_NONE;
	char other[FILE_NAME_SIZE];
	uint64_t available;
	uint64_t total;

	ck_assert_int_eq(small_shm_mount("1m"), 0);
	(void)snprintf(other, sizeof other, "%.200s-2", name);
	ck_assert_int_eq(shm_create(&shm, name, 768 * 1024, 0600), 0);
	ck_assert_int_eq(shm_create(&second, other, 512 * 1024, 0600), -ENOSPC);
	ck_assert_int_eq(second.fd, -1);
	ck_assert_int_eq(shm_space(&available, &total), 0);
	ck_assert_uint_eq(total, 1024 * 1024);
	ck_assert_uint_eq(available, 256 * 1024);
	ck_assert_int_eq(shm_create(&second, other, 256 * 1024, 0600), 0);
	ck_assert_int_eq(shm_space(&available, &total), 0);
	ck_assert_uint_eq(available, 0);
	memset(shm.base, 1, shm.size);
	memset(second.base, 1, second.size);
	ck_assert_int_eq(shm_unlink_name(&second), 0);
	shm_close(&second);
}
END_TEST

START_TEST(adopted_segment_is_the_one_that_was_made)
{
	struct shm adopted;

	ck_assert_int_eq(shm_create(&shm, name, 10000, 0640), 0);
	memcpy(shm.base, "hello", 5);
	ck_assert_int_eq(shm_adopt(&adopted, name), 0);
	ck_assert_mem_eq(adopted.base, "hello", 5);
	ck_assert_uint_eq(adopted.size, 10000);
	ck_assert_uint_eq(adopted.inode, shm.inode);
	memcpy(adopted.base, "world", 5);
	ck_assert_mem_eq(shm.base, "world", 5);
	shm_close(&adopted);
	ck_assert_int_eq(adopted.fd, -1);
	ck_assert_ptr_null(adopted.base);
}
END_TEST

START_TEST(what_is_no_segment_of_ours_is_not_adopted)
{
	char other[sizeof path + 8];
	int n_fds = fault_count_fds();
	int fd;

	ck_assert_int_eq(shm_adopt(&shm, name), -ENOENT);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
	ck_assert_int_eq(unlink(path), 0);

	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
	ck_assert_int_eq(ftruncate(fd, 100), 0);
	(void)snprintf(other, sizeof other, "%s.link", path);
	ck_assert_int_eq(link(path, other), 0);
	ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
	ck_assert_int_eq(unlink(other), 0);
	if (geteuid() == 0) {
		ck_assert_int_eq(fchown(fd, A_STRANGER, A_STRANGER), 0);
		ck_assert_int_eq(shm_adopt(&shm, name), -EPERM);
		ck_assert_int_eq(fchown(fd, 0, 0), 0);
	}
	ck_assert_int_eq(close(fd), 0);
	ck_assert_int_eq(fault_count_fds(), n_fds);
	ck_assert_int_eq(shm_adopt(&shm, name), 0);
}
END_TEST

START_TEST(every_failing_call_of_adopt_leaves_the_file_as_it_was)
{
	struct shm adopted = SHM_NONE;
	int n_failures = 0;
	int n_fds;

	ck_assert_int_eq(shm_create(&shm, name, 100, 0600), 0);
	n_fds = fault_count_fds();
	for (;;) {
		int r;

		fault_arm(n_failures, EMFILE);
		r = shm_adopt(&adopted, name);
		if (!fault_disarm())
			break;
		ck_assert_int_eq(r, -EMFILE);
		ck_assert_int_eq(adopted.fd, -1);
		ck_assert_int_eq(fault_count_fds(), n_fds);
		ck_assert(shm_is_intact(&shm));
		n_failures++;
	}
	ck_assert_int_eq(n_failures, 3);
	shm_close(&adopted);
}
END_TEST

/* In a child that is @uid: whether it can open the segment for writing. */
static bool
can_write(uid_t uid)
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		if (geteuid() == 0 && (setgid(uid) < 0 || setuid(uid) < 0))
			_exit(2);
		_exit(open(path, O_RDWR) < 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) < 2);
	return WEXITSTATUS(status) == 0;
}

START_TEST(given_segment_can_be_written_by_its_new_user)
{
	uid_t uid = geteuid() == 0 ? A_STRANGER : geteuid();
	gid_t gid = geteuid() == 0 ? A_STRANGER : getegid();

	ck_assert_int_eq(shm_create(&shm, name, 100, 0600), 0);
	ck_assert(can_write(uid) == (geteuid() != 0));
	ck_assert_int_eq(shm_give_to(&shm, uid, gid, 0660), 0);
	ck_assert(can_write(uid));
	ck_assert_int_eq(shm_remove(name), 0);
	ck_assert(!name_exists());
}
END_TEST

START_TEST(segment_that_cannot_be_given_away_is_shared_instead)
{
	struct stat status;

	ck_assert_int_eq(shm_create(&shm, name, 100, 0600), 0);
	fault_arm(0, EPERM);
	ck_assert_int_eq(shm_give_to(&shm, A_STRANGER, getegid(), 0666), 0);
	ck_assert(fault_disarm());
	ck_assert_int_eq(fstat(shm.fd, &status), 0);
	ck_assert_uint_eq(status.st_uid, geteuid());
	ck_assert_uint_eq(status.st_gid, getegid());
	ck_assert_uint_eq(status.st_mode & 07777, 0666);
}
END_TEST

static Suite *
shm_suite(void)
{
	Suite *suite = suite_create("shm");
	TCase *create = tcase_create("create");
	TCase *adopt = tcase_create("adopt");

	tcase_add_checked_fixture(create, setup, teardown);
	tcase_add_test(create,
		       create_gives_zeroed_memory_of_the_asked_size_and_mode);
	tcase_add_test(create, taken_name_is_refused_whatever_has_it);
	tcase_add_test(create, size_that_no_file_can_have_is_an_error);
	tcase_add_test(create,
		       segment_that_holds_a_huge_page_begins_where_one_may);
	tcase_add_loop_test(create,
			    every_failing_call_of_create_leaves_nothing_behind,
			    0, 2);
	tcase_add_test(create, interrupted_reservation_is_tried_again);
	tcase_add_test(create,
		       pages_are_touched_where_the_kernel_cannot_be_asked_to);
	tcase_add_test_raise_signal(create, segment_without_bytes_is_a_bug,
				    SIGABRT);
	tcase_add_test(create, full_shm_is_an_error_and_what_was_made_is_whole);
	tcase_add_test(create, given_segment_can_be_written_by_its_new_user);
	tcase_add_test(create,
		       segment_that_cannot_be_given_away_is_shared_instead);
	suite_add_tcase(suite, create);

	tcase_add_checked_fixture(adopt, setup, teardown);
	tcase_add_test(adopt, adopted_segment_is_the_one_that_was_made);
	tcase_add_test(adopt, what_is_no_segment_of_ours_is_not_adopted);
	tcase_add_test(adopt,
		       every_failing_call_of_adopt_leaves_the_file_as_it_was);
	suite_add_tcase(suite, adopt);
	return suite;
}

UNIT_MAIN(shm_suite)
