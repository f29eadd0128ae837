/*
 * Addresses: where a client looks, and whom it does not trust.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "proto/address.h"
#include "tests/unit/unit.h"

static char directory[64];
static char path[96];
static char address[ADDRESS_SIZE];
static struct why why;

/* A file stands for the socket: whether it is there is all that counts. */
static void
setup(void)
{
	int fd;

	(void)snprintf(directory, sizeof directory,
		       "/tmp/check-address-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof path, "%s/emad.default.sock", directory);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_int_eq(unsetenv("EMAD_ADDRESS"), 0);
	ck_assert_int_eq(unsetenv("RUNTIME_DIRECTORY"), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", directory, 1), 0);
}

static void
teardown(void)
{
	(void)unlink(path);
	ck_assert_int_eq(rmdir(directory), 0);
}

START_TEST(client_takes_the_socket_in_a_folder_of_its_own)
{
	ck_assert_msg(address_of_client(address, &why), "%s", why.text);
	ck_assert_str_eq(address_path(address, &why), path);
}
END_TEST

START_TEST(client_refuses_a_folder_in_tmp_that_others_may_write_to)
{
	ck_assert_int_eq(chmod(directory, 0777), 0);
	ck_assert(!address_of_client(address, &why));
	ck_assert_ptr_nonnull(strstr(why.text, directory));
}
END_TEST

START_TEST(client_refuses_a_link_in_the_place_of_its_folder)
{
	char link[96];

	(void)snprintf(link, sizeof link, "%s-link", directory);
	ck_assert_int_eq(symlink(directory, link), 0);
	ck_assert_int_eq(setenv("XDG_RUNTIME_DIR", link, 1), 0);
	ck_assert(!address_of_client(address, &why));
	ck_assert_int_eq(unlink(link), 0);
}
END_TEST

START_TEST(address_that_is_given_is_taken_as_it_is)
{
	ck_assert_int_eq(chmod(directory, 0777), 0);
	ck_assert_int_eq(setenv("EMAD_ADDRESS", "ipc:///tmp/any", 1), 0);
	ck_assert(address_of_client(address, &why));
	ck_assert_str_eq(address, "ipc:///tmp/any");
	ck_assert_int_eq(setenv("EMAD_ADDRESS", "tcp://host", 1), 0);
	ck_assert(!address_of_client(address, &why));
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("address");
	TCase *tcase = tcase_create("address");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, client_takes_the_socket_in_a_folder_of_its_own);
	tcase_add_test(tcase,
		       client_refuses_a_folder_in_tmp_that_others_may_write_to);
	tcase_add_test(tcase, client_refuses_a_link_in_the_place_of_its_folder);
	tcase_add_test(tcase, address_that_is_given_is_taken_as_it_is);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(make_suite)
