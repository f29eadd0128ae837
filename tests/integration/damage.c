/*
 * Story: slots that are cut short under the daemon's hands, and names in shared
 * memory that somebody else has.  The daemon refuses, follows no link, writes
 * to no stranger's file, and serves on.
 */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/lib/daemon.h"
#include "tests/lib/raw.h"
#include "tests/lib/story.h"

#define ONE_TENSOR                                                             \
	"{\"w\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}"

static struct daemon daemon_;
static int control; /* a connection that behaves */

static void
setup(void)
{
	daemon_new(&daemon_);
	control = raw_open(daemon_socket(&daemon_));
}

/* Whatever was done to it: it answers, on this connection and a new one. */
static void
teardown(void)
{
	wire_reply_free(raw_status(control));
	(void)close(control);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

/* A profile that copies every snapshot, in an attach of @model. */
static unsigned int
attach(struct raw_session *ret_session, const char *model, const char *json)
{
	Emad__Attach message = raw_attach_message(model, json);
	Emad__Profile profile = EMAD__PROFILE__INIT;
	Emad__Profile *profiles[] = { &profile };

	profile.variant = (char *)(uintptr_t) "constant";
	message.profiles = profiles;
	message.n_profiles = 1;
	return raw_attach(ret_session, control, &message);
}

static void
detach(struct raw_session *session)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Detach detach_message = EMAD__DETACH__INIT;

	detach_message.session = session->session;
	request.detach = &detach_message;
	ck_assert_uint_eq(raw_ask_status(control, &request), STATUS_OK);
	raw_session_close(session);
}

static void
truncate_slot(const struct raw_session *session, size_t slot, off_t size)
{
	char path[SHM_PATH_SIZE];

	(void)snprintf(path, sizeof path, "%s/%s", SHM_DIRECTORY,
		       session->files[slot]);
	ck_assert_int_eq(truncate(path, size), 0);
}

START_TEST(truncated_slot_fails_its_publish_and_nothing_else)
{
	static const off_t sizes[] = { 0, 1, 4096, 4100 };

	for (size_t i = 0; i < array_size(sizes); i++) {
		struct raw_session session;
		uint64_t updates = raw_pull(control, "m").updates;
		int64_t step = 10 * (int64_t)i;

		ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
		memset(session.data[0], 0, 16);
		memset(session.data[1], 0, 16);
		truncate_slot(&session, 0, sizes[i]);
		ck_assert_uint_eq(raw_publish_status(&session, 0, 1, step),
				  STATUS_BAD_SLOT);
		ck_assert_uint_eq(raw_pull(control, "m").updates, updates);
		/* The other slot is whole. */
		ck_assert_uint_eq(raw_publish_status(&session, 1, 2, step + 1),
				  STATUS_OK);
		ck_assert_uint_eq(raw_pull(control, "m").updates, updates + 1);
		raw_session_close(&session);
		/* Gone by itself: another publisher of this process attaches.
		 */
		{
			Emad__Request request = EMAD__REQUEST__INIT;
			Emad__Detach detach = EMAD__DETACH__INIT;

			detach.session = session.session;
			request.detach = &detach;
			ck_assert_uint_eq(raw_ask_status(control, &request),
					  STATUS_OK);
		}
	}
}
END_TEST

/* 8 MB, and the cut falls somewhere into the update. */
START_TEST(slot_truncated_during_the_update_does_no_harm)
{
	static const char json[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":["
				   "2097152],\"data_offsets\":[0,8388608]}}";

	for (unsigned int i = 0; i < story_scale(40); i++) {
		struct raw_session session;
		Emad__Reply *reply;
		uint32_t id;

		ck_assert_uint_eq(attach(&session, "m", json), STATUS_OK);
		raw_publish_send(&session, control, 7, 0, 1, i);
		spin(random_below(3000000));
		truncate_slot(&session, 0, 4096);
		reply = raw_receive(control, &id);
		ck_assert_ptr_nonnull(reply);
		ck_assert(reply->status == STATUS_OK ||
			  reply->status == STATUS_BAD_SLOT);
		wire_reply_free(reply);
		detach(&session);
	}
}
END_TEST

/* Its header is the daemon's own copy: what a client writes there is air. */
START_TEST(overwritten_slot_header_changes_nothing)
{
	struct raw_session session;
	const float *average;
	char path[SHM_PATH_SIZE];
	struct stat status;
	char *file;
	int fd;

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	for (int i = 0; i < 4; i++)
		((float *)(void *)session.data[0])[i] = 3.0F;
	memset(session.slots[0], 0xFF, 4096);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);

	daemon_file(&daemon_, "m", "ema", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &status), 0);
	file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert(file != MAP_FAILED);
	average = (const void *)(file + status.st_size - 16);
	for (int i = 0; i < 4; i++)
		ck_assert(average[i] == 3.0F);
	(void)munmap(file, (size_t)status.st_size);
	(void)close(fd);
	raw_session_close(&session);
}
END_TEST

static void
make_stranger(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "precious", 8), 8);
	(void)close(fd);
}

static void
check_stranger(const char *path)
{
	char text[16] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, text, sizeof text), 8);
	ck_assert_str_eq(text, "precious");
	(void)close(fd);
}

START_TEST(file_of_a_stranger_keeps_its_name)
{
	struct raw_session session;
	char path[SHM_PATH_SIZE];

	daemon_file(&daemon_, "m", "ema", path);
	make_stranger(path);
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_NAME_TAKEN);
	check_stranger(path);
	ck_assert_uint_eq(daemon_n_files(&daemon_, "slot-"), 0);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	raw_session_close(&session);
}
END_TEST

START_TEST(file_of_a_stranger_is_not_adopted_at_start)
{
	struct raw_session session;
	char path[SHM_PATH_SIZE];

	daemon_file(&daemon_, "m", "ema", path);
	make_stranger(path);
	daemon_stop(&daemon_);
	daemon_start(&daemon_);
	(void)close(control);
	control = raw_open(daemon_socket(&daemon_));
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_NAME_TAKEN);
	check_stranger(path);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

START_TEST(symlink_of_a_stranger_is_not_followed)
{
	struct raw_session session;
	char victim[128];
	char path[SHM_PATH_SIZE];

	(void)snprintf(victim, sizeof victim, "%s/victim-%d", story_folder(),
		       (int)getpid());
	make_stranger(victim);
	daemon_file(&daemon_, "m", "ema", path);
	ck_assert_int_eq(symlink(victim, path), 0);
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_NAME_TAKEN);
	check_stranger(victim);
	ck_assert_int_eq(unlink(path), 0);

	/* A folder is no better. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_NAME_TAKEN);
	ck_assert_int_eq(rmdir(path), 0);
}
END_TEST

/* The numbers of hidden files can be guessed. */
START_TEST(symlinks_at_hidden_names_are_not_followed)
{
	struct raw_session session;
	char victim[128];
	char path[SHM_PATH_SIZE];

	(void)snprintf(victim, sizeof victim, "%s/victim-%d", story_folder(),
		       (int)getpid());
	make_stranger(victim);
	for (int i = 0; i < 8; i++) {
		(void)snprintf(path, sizeof path, "%s/.emad.%s.next-%d",
			       SHM_DIRECTORY, daemon_.instance, i);
		(void)symlink(victim, path);
	}
	if (attach(&session, "m", ONE_TENSOR) == STATUS_OK) {
		(void)raw_publish_status(&session, 0, 1, 0);
		raw_session_close(&session);
	}
	check_stranger(victim);
}
END_TEST

/* Somebody removes the public file under the daemon. */
START_TEST(removed_public_file_does_not_end_the_service)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Drop drop = EMAD__DROP__INIT;
	struct raw_session session;
	char path[SHM_PATH_SIZE];

	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	daemon_file(&daemon_, "m", "ema", path);
	ck_assert_int_eq(unlink(path), 0);
	(void)raw_publish_status(&session, 0, 2, 1);
	(void)raw_publish_status(&session, 0, 3, 2);
	detach(&session);

	request.drop = &drop;
	drop.model = (char *)(uintptr_t) "m";
	ck_assert_uint_eq(raw_ask_status(control, &request), STATUS_OK);
	ck_assert_uint_eq(attach(&session, "m", ONE_TENSOR), STATUS_OK);
	ck_assert_uint_eq(raw_publish_status(&session, 0, 1, 0), STATUS_OK);
	raw_session_close(&session);
}
END_TEST

static Suite *
damage_suite(void)
{
	Suite *suite = suite_create("damage");
	TCase *tcase = tcase_create("damage");

	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase,
		       truncated_slot_fails_its_publish_and_nothing_else);
	tcase_add_test(tcase, slot_truncated_during_the_update_does_no_harm);
	tcase_add_test(tcase, overwritten_slot_header_changes_nothing);
	tcase_add_test(tcase, file_of_a_stranger_keeps_its_name);
	tcase_add_test(tcase, file_of_a_stranger_is_not_adopted_at_start);
	tcase_add_test(tcase, symlink_of_a_stranger_is_not_followed);
	tcase_add_test(tcase, symlinks_at_hidden_names_are_not_followed);
	tcase_add_test(tcase, removed_public_file_does_not_end_the_service);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(damage_suite)
