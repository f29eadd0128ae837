/*
 * Story: /dev/shm is too small at attach, and full in the middle of training.
 * Each test has a small /dev/shm of its own, in a private mount namespace.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/small_shm.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define MIB (UINT64_C(1) << 20)

static void
make_small(const char *size)
{
	int r = small_shm_mount(size);

	if (r < 0)
		give_up("cannot mount a small %s: %s", SHM_DIRECTORY,
			strerror(-r));
}

static uint64_t
free_space(void)
{
	struct statvfs status;

	insist(statvfs(SHM_DIRECTORY, &status) == 0);
	return status.f_bfree * status.f_frsize;
}

/* A file that takes all that is left. */
static void
fill_up(void)
{
	int fd = open(SHM_DIRECTORY "/filler", O_RDWR | O_CREAT | O_CLOEXEC,
		      0600);

	insist(fd >= 0);
	insist(posix_fallocate(fd, 0, (off_t)free_space()) == 0);
	(void)close(fd);
	insist(free_space() == 0);
}

static void
make_room(void)
{
	insist(unlink(SHM_DIRECTORY "/filler") == 0);
}

START_TEST(attach_that_does_not_fit_is_refused_and_leaves_nothing)
{
	struct daemon daemon;
	struct uniform large, small;
	struct emad *emad;
	struct emad_publisher *publisher = NULL;
	uint64_t before;

	make_small("16m");
	daemon_new(&daemon);
	uniform_init(&large, 16 * MIB);
	uniform_init(&small, 65536);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	before = free_space();
	for (int i = 0; i < 20; i++) {
		ck_assert_int_eq(
			uniform_attach(&large, &publisher, emad, "big", NULL),
			EMAD_NO_SPACE);
		ck_assert_ptr_nonnull(strstr(emad_error(), SHM_DIRECTORY));
		ck_assert_uint_eq(free_space(), before);
	}
	ck_assert_uint_eq(daemon_n_files(&daemon, "big"), 0);

	/* What does fit is served. */
	ck_assert_int_eq(
		uniform_attach(&small, &publisher, emad, "small", NULL),
		EMAD_OK);
	uniform_fill(&small, 0);
	ck_assert_int_eq(emad_publish(publisher, 0, small.tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	uniform_deinit(&large);
	uniform_deinit(&small);
}
END_TEST

START_TEST(second_model_that_does_not_fit_leaves_the_first_alone)
{
	struct daemon daemon;
	struct uniform uniform;
	struct emad *emad;
	struct emad_publisher *publishers[16];
	size_t n = 0;
	char model[16];
	int status;

	make_small("16m");
	daemon_new(&daemon);
	uniform_init(&uniform, 65536);
	uniform_fill(&uniform, 0);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	do {
		(void)snprintf(model, sizeof model, "m%zu", n);
		status = uniform_attach(&uniform, &publishers[n], emad, model,
					NULL);
	} while (status == EMAD_OK && ++n < array_size(publishers));
	ck_assert_int_eq(status, EMAD_NO_SPACE);
	ck_assert_uint_ge(n, 2);
	for (size_t i = 0; i < n; i++) {
		ck_assert_int_eq(
			emad_publish(publishers[i], 0, uniform.tensors),
			EMAD_OK);
		ck_assert_int_eq(emad_flush(publishers[i]), EMAD_OK);
	}
	emad_close(emad);
	daemon_check(&daemon);
	daemon_stop(&daemon);
	uniform_deinit(&uniform);
}
END_TEST

static struct emad_view *
hold_newest(struct emad *emad, const char *profile)
{
	struct emad_view *view = NULL;

	if (emad_pull(&view, emad, "m", profile, EMAD_NEWEST, 0) != EMAD_OK)
		give_up("pull: %s", emad_error());
	return view;
}

/*
 * Readers hold every file that there is, so the next version needs a new one,
 * for which there is no room.
 */
START_TEST(update_without_room_is_refused_and_the_average_stays)
{
	static const uint64_t shape[] = { 262144 };
	const struct emad_tensor tensor = {
		.name = "w", .dtype = "F32", .n_dims = 1, .shape = shape
	};
	struct emad_profile profile = emad_profile_default("constant");
	const struct emad_options options = { .profiles = &profile,
					      .n_profiles = 1 };
	struct daemon daemon;
	struct emad *emad;
	struct emad_publisher *publisher;
	struct emad_view *views[3];
	float *values = calloc(shape[0], sizeof *values);
	const void *data = values;
	int64_t step = 0;

	make_small("16m");
	daemon_new(&daemon);
	ck_assert_int_eq(emad_connect(&emad, daemon.address, -1), EMAD_OK);
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "m", &tensor, 1, &options),
		EMAD_OK);
	for (; step < 2; step++) {
		ck_assert_int_eq(emad_publish_data(publisher, step, &data),
				 EMAD_OK);
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
		views[step] = hold_newest(emad, NULL);
	}
	fill_up();
	ck_assert_int_eq(emad_publish_data(publisher, step++, &data), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_NO_SPACE);
	ck_assert_ptr_nonnull(strstr(emad_error(), SHM_DIRECTORY));
	views[2] = hold_newest(emad, NULL);
	ck_assert_int_eq(emad_view_step(views[2]), 1);
	ck_assert_uint_eq(emad_view_updates(views[2]), 2);
	daemon_check(&daemon);

	make_room();
	ck_assert_int_eq(emad_publish_data(publisher, step, &data), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	for (size_t i = 0; i < array_size(views); i++)
		emad_view_close(views[i]);
	views[0] = hold_newest(emad, NULL);
	ck_assert_int_eq(emad_view_step(views[0]), step);
	ck_assert_uint_eq(emad_view_updates(views[0]), 3);
	emad_view_close(views[0]);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	emad_close(emad);
	daemon_stop(&daemon);
	free(values);
}
END_TEST

static Suite *
space_suite(void)
{
	Suite *suite = suite_create("space");
	TCase *tcase = tcase_create("space");

	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase,
		       attach_that_does_not_fit_is_refused_and_leaves_nothing);
	tcase_add_test(tcase,
		       second_model_that_does_not_fit_leaves_the_first_alone);
	tcase_add_test(tcase,
		       update_without_room_is_refused_and_the_average_stays);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(space_suite)
