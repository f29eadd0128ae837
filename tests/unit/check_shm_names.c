/*
 * Names of segments: shown, exchanged, removed, and never a stranger's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/io/shm.h"
#include "tests/lib/fault.h"
#include "tests/unit/unit.h"

#define PATH_SIZE (FILE_NAME_SIZE + sizeof SHM_DIRECTORY)

static char prefix[64];
static char public[FILE_NAME_SIZE];
static struct shm next;
static struct shm current;

static void
name_of(char ret_name[FILE_NAME_SIZE], const char *suffix)
{
	(void)snprintf(ret_name, FILE_NAME_SIZE, "%s%s", prefix, suffix);
}

static void
path_of(char ret_path[PATH_SIZE], const char *name)
{
	(void)snprintf(ret_path, PATH_SIZE, SHM_DIRECTORY "/%s", name);
}

/* A file of somebody else at @name. */
static void
put_stranger(const char *name)
{
	char path[PATH_SIZE];
	int fd;

	path_of(path, name);
	(void)unlink(path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "s", 1), 1);
	ck_assert_int_eq(close(fd), 0);
}

/* The first byte of the file at @name, or 0: there is none. */
static char
first_byte(const char *name)
{
	char path[PATH_SIZE];
	char byte = 0;
	int fd;

	path_of(path, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	ck_assert_int_eq(read(fd, &byte, 1), 1);
	ck_assert_int_eq(close(fd), 0);
	return byte;
}

static void
setup(void)
{
	char name[FILE_NAME_SIZE];

	(void)snprintf(prefix, sizeof prefix, "check-shm-names-%d.",
		       (int)getpid());
	name_of(public, "public");
	name_of(name, "next");
	ck_assert_int_eq(shm_create(&next, name, 8, 0600), 0);
	memset(next.base, 'n', 8);
	name_of(name, "current");
	ck_assert_int_eq(shm_create(&current, name, 8, 0600), 0);
	memset(current.base, 'c', 8);
}

static void
remove_one(const char *name, void *arg)
{
	(void)arg;
	ck_assert_int_eq(shm_remove(name), 0);
}

static void
teardown(void)
{
	shm_close(&next);
	shm_close(&current);
	ck_assert_int_eq(shm_each(prefix, remove_one, NULL), 0);
}

START_TEST(revealed_segment_has_the_public_name_alone)
{
	char hidden[FILE_NAME_SIZE];

	name_of(hidden, "current");
	ck_assert_int_eq(shm_reveal(&current, public), 0);
	ck_assert_str_eq(current.name, public);
	ck_assert_int_eq(first_byte(public), 'c');
	ck_assert_int_eq(first_byte(hidden), 0);
	ck_assert(shm_is_intact(&current));
}
END_TEST

START_TEST(reveal_never_replaces_anything)
{
	char hidden[FILE_NAME_SIZE];
	char path[PATH_SIZE];

	name_of(hidden, "current");
	put_stranger(public);
	ck_assert_int_eq(shm_reveal(&current, public), -EEXIST);
	ck_assert_str_eq(current.name, hidden);
	ck_assert_int_eq(first_byte(public), 's');
	path_of(path, public);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(symlink("/nowhere/at/all", path), 0);
	ck_assert_int_eq(shm_reveal(&current, public), -EEXIST);
	ck_assert(shm_is_intact(&current));
}
END_TEST

START_TEST(strangers_file_at_the_hidden_name_is_not_revealed)
{
	put_stranger(current.name);
	ck_assert_int_eq(shm_reveal(&current, public), -ESTALE);
	ck_assert_int_eq(first_byte(public), 0);
	ck_assert_int_eq(shm_remove(current.name), 0);
	ck_assert_int_eq(shm_reveal(&current, public), -ESTALE);
}
END_TEST

START_TEST(swap_exchanges_names_and_loses_neither_file)
{
	char hidden[FILE_NAME_SIZE];

	name_of(hidden, "next");
	ck_assert_int_eq(shm_reveal(&current, public), 0);
	ck_assert_int_eq(shm_swap(&next, &current), 0);
	ck_assert_int_eq(first_byte(public), 'n');
	ck_assert_int_eq(first_byte(hidden), 'c');
	ck_assert_str_eq(next.name, public);
	ck_assert_str_eq(current.name, hidden);
	ck_assert(shm_is_intact(&next) && shm_is_intact(&current));
	ck_assert_int_eq(shm_swap(&current, &next), 0);
	ck_assert_int_eq(first_byte(public), 'c');
}
END_TEST

START_TEST(leased_segment_can_be_swapped)
{
	ck_assert_int_eq(shm_reveal(&current, public), 0);
	ck_assert_int_eq(shm_lease(&next), 0);
	ck_assert_int_eq(shm_swap(&next, &current), 0);
	shm_unlease(&next);
	ck_assert_int_eq(first_byte(public), 'n');
}
END_TEST

START_TEST(swap_with_a_strangers_file_is_stale)
{
	ck_assert_int_eq(shm_reveal(&current, public), 0);
	put_stranger(public);
	ck_assert_int_eq(shm_swap(&next, &current), -ESTALE);
	ck_assert_int_eq(first_byte(public), 's');
	ck_assert(shm_is_intact(&next));
	ck_assert(!shm_is_intact(&current));
	ck_assert_int_eq(shm_remove(public), 0);
	ck_assert_int_eq(shm_swap(&next, &current), -ESTALE);
	ck_assert_int_eq(shm_remove(next.name), 0);
	ck_assert_int_eq(shm_swap(&current, &next), -ESTALE);
}
END_TEST

START_TEST(every_failing_call_of_swap_changes_nothing)
{
	struct shm next_before = next;
	int n_failures = 0;
	int r;

	for (;;) {
		fault_arm(n_failures, ENOENT);
		r = shm_swap(&next, &current);
		if (!fault_disarm())
			break;
		ck_assert_int_eq(r, -ESTALE);
		ck_assert_mem_eq(&next, &next_before, sizeof next);
		ck_assert(shm_is_intact(&next) && shm_is_intact(&current));
		n_failures++;
	}
	ck_assert_int_eq(r, 0);
	ck_assert_int_eq(n_failures, 3);
}
END_TEST

START_TEST(only_the_segments_own_name_is_unlinked)
{
	char name[FILE_NAME_SIZE];

	name_of(name, "current");
	put_stranger(name);
	ck_assert_int_eq(shm_unlink_name(&current), 0);
	ck_assert_int_eq(first_byte(name), 's');
	name_of(name, "next");
	ck_assert_int_eq(shm_unlink_name(&next), 0);
	ck_assert_int_eq(first_byte(name), 0);
	ck_assert_int_eq(shm_unlink_name(&next), 0);
	ck_assert_int_eq(((const char *)next.base)[7], 'n');
}
END_TEST

START_TEST(unlinking_what_is_gone_is_no_error)
{
	ck_assert_int_eq(shm_remove(next.name), 0);
	ck_assert_int_eq(shm_unlink_name(&next), 0);
}
END_TEST

START_TEST(truncated_moved_or_removed_segment_is_not_intact)
{
	char from[PATH_SIZE];
	char to[PATH_SIZE];

	ck_assert(shm_is_intact(&next));
	path_of(from, next.name);
	ck_assert_int_eq(truncate(from, 4), 0);
	ck_assert(!shm_is_intact(&next));
	ck_assert_int_eq(truncate(from, 9), 0);
	ck_assert(!shm_is_intact(&next));
	ck_assert_int_eq(truncate(from, 8), 0);
	ck_assert(shm_is_intact(&next));

	path_of(to, public);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert(!shm_is_intact(&next));
	ck_assert_int_eq(rename(to, from), 0);
	ck_assert(shm_is_intact(&next));
	put_stranger(next.name);
	ck_assert(!shm_is_intact(&next));
}
END_TEST

static void
count_one(const char *name, void *arg)
{
	int *n = arg;

	ck_assert_int_eq(strncmp(name, prefix, strlen(prefix)), 0);
	(*n)++;
}

START_TEST(each_calls_with_the_names_of_the_prefix_and_no_other)
{
	int n = 0;

	for (int i = 0; i < 40; i++) {
		char suffix[16];
		char name[FILE_NAME_SIZE];

		(void)snprintf(suffix, sizeof suffix, "%d", i);
		name_of(name, suffix);
		put_stranger(name);
	}
	ck_assert_int_eq(shm_each(prefix, count_one, &n), 0);
	ck_assert_int_eq(n, 42);
	ck_assert_int_eq(shm_each(prefix, remove_one, NULL), 0);
	n = 0;
	ck_assert_int_eq(shm_each(prefix, count_one, &n), 0);
	ck_assert_int_eq(n, 0);
}
END_TEST

START_TEST(remove_takes_files_and_links_and_leaves_folders)
{
	char path[PATH_SIZE];

	path_of(path, public);
	ck_assert_int_eq(shm_remove(public), 0);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	ck_assert_int_eq(shm_remove(public), 0);
	ck_assert_int_lt(access(path, F_OK), 0);
	ck_assert_int_eq(access("/etc/passwd", F_OK), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(shm_remove(public), -EPERM);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

static Suite *
shm_names_suite(void)
{
	Suite *suite = suite_create("shm_names");
	TCase *names = tcase_create("names");

	tcase_add_checked_fixture(names, setup, teardown);
	tcase_add_test(names, revealed_segment_has_the_public_name_alone);
	tcase_add_test(names, reveal_never_replaces_anything);
	tcase_add_test(names,
		       strangers_file_at_the_hidden_name_is_not_revealed);
	tcase_add_test(names, swap_exchanges_names_and_loses_neither_file);
	tcase_add_test(names, leased_segment_can_be_swapped);
	tcase_add_test(names, swap_with_a_strangers_file_is_stale);
	tcase_add_test(names, every_failing_call_of_swap_changes_nothing);
	tcase_add_test(names, only_the_segments_own_name_is_unlinked);
	tcase_add_test(names, unlinking_what_is_gone_is_no_error);
	tcase_add_test(names, truncated_moved_or_removed_segment_is_not_intact);
	tcase_add_test(names,
		       each_calls_with_the_names_of_the_prefix_and_no_other);
	tcase_add_test(names, remove_takes_files_and_links_and_leaves_folders);
	suite_add_tcase(suite, names);
	return suite;
}

UNIT_MAIN(shm_names_suite)
