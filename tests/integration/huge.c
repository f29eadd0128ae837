/*
 * Story: a large model is put into huge pages behind its trainer's back, where
 * the kernel can; updates go on meanwhile, and it may end at any moment.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <sys/mman.h>

#include "client/emad.h"
#include "daemon/io/huge.h"
#include "daemon/io/shm.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"
#include "tests/lib/uniform.h"

#define N_ELEMENTS (3 * HUGE_PAGE_SIZE / sizeof(float))

static struct daemon daemon_;
static struct uniform uniform;
static struct emad *emad;
static struct emad_publisher *publisher;
static int64_t step;

static void
setup(void)
{
	uniform_init(&uniform, N_ELEMENTS);
	step = 0;
}

static void
teardown(void)
{
	uniform_deinit(&uniform);
}

static void
start(const char *option)
{
	daemon_init(&daemon_);
	daemon_.option = option;
	daemon_start(&daemon_);
	ck_assert_int_eq(emad_connect(&emad, daemon_.address, -1), EMAD_OK);
	ck_assert_int_eq(uniform_attach(&uniform, &publisher, emad, "m", NULL),
			 EMAD_OK);
}

static void
publish(void)
{
	char path[SHM_PATH_SIZE];
	struct reading reading;

	uniform_fill(&uniform, step);
	ck_assert_int_eq(emad_publish(publisher, step, uniform.tensors),
			 EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	daemon_file(&daemon_, "m", "copy", path);
	ck_assert(reading_open(&reading, path));
	uniform_check(&reading, true);
	ck_assert_int_eq(reading.state.step, step);
	reading_close(&reading);
	step++;
}

/* What the daemon says is in huge pages, of how many bytes. */
static uint64_t
huge_size(uint64_t *ret_memory)
{
	char *text = NULL;
	json_t *answer;
	json_t *summary;
	json_t *huge;
	uint64_t size;

	insist(emad_describe_json(emad, "m", &text) == EMAD_OK);
	answer = json_loads(text, 0, NULL);
	summary = json_object_get(answer, "summary");
	huge = json_object_get(summary, "huge_size");
	insist(json_is_integer(huge));
	size = (uint64_t)json_integer_value(huge);
	*ret_memory = (uint64_t)json_integer_value(
		json_object_get(summary, "memory"));
	json_decref(answer);
	free(text);
	return size;
}

/* Whether this kernel can do it, for this user, to a file in /dev/shm. */
static bool
kernel_can(void)
{
	char name[FILE_NAME_SIZE];
	struct shm shm;
	bool can;

	(void)snprintf(name, sizeof name, "%s-probe", daemon_.instance);
	insist(shm_create(&shm, name, HUGE_PAGE_SIZE, 0600) == 0);
	can = madvise(shm.base, HUGE_PAGE_SIZE, 25) == 0;
	insist(shm_unlink_name(&shm) == 0);
	shm_close(&shm);
	return can;
}

START_TEST(large_model_is_put_into_huge_pages_while_updates_go_on)
{
	uint64_t memory = 0;
	uint64_t size = 0;

	start(NULL);
	if (kernel_can())
		wait_until((publish(), (size = huge_size(&memory)) > 0));
	for (int i = 0; i < 20; i++)
		publish();
	size = huge_size(&memory);
	ck_assert_uint_le(size, memory);
	ck_assert_uint_eq(size % HUGE_PAGE_SIZE, 0);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	ck_assert_int_eq(emad_drop(emad, "m", NULL), EMAD_OK);
	ck_assert_uint_eq(daemon_n_files(&daemon_, ".m."), 0);
	emad_close(emad);
	daemon_stop(&daemon_);
}
END_TEST

START_TEST(daemon_may_stop_in_the_middle)
{
	uint64_t memory;

	start(NULL);
	if (kernel_can())
		wait_until(huge_size(&memory) > 0);
	daemon_stop(&daemon_);
	/* What it left is found, and put there again. */
	daemon_start(&daemon_);
	publish();
	if (kernel_can())
		wait_until(huge_size(&memory) > 0);
	emad_close(emad);
	daemon_stop(&daemon_);
}
END_TEST

START_TEST(daemon_that_never_shall_does_not)
{
	struct daemon elder;
	struct emad *other;
	uint64_t memory;

	start("--huge-pages=never");
	elder = daemon_;
	other = emad;
	start(NULL);
	/* Younger, and in huge pages: so the elder had its time. */
	if (kernel_can())
		wait_until(huge_size(&memory) > 0);
	emad_close(emad);
	daemon_stop(&daemon_);
	emad = other;
	ck_assert_uint_eq(huge_size(&memory), 0);
	ck_assert_uint_gt(memory, 0);
	emad_close(emad);
	daemon_stop(&elder);
}
END_TEST

static Suite *
huge_suite(void)
{
	Suite *suite = suite_create("huge");
	TCase *pages = tcase_create("pages");

	tcase_set_timeout(pages, 240);
	tcase_add_checked_fixture(pages, setup, teardown);
	tcase_add_test(pages,
		       large_model_is_put_into_huge_pages_while_updates_go_on);
	tcase_add_test(pages, daemon_may_stop_in_the_middle);
	tcase_add_test(pages, daemon_that_never_shall_does_not);
	suite_add_tcase(suite, pages);
	return suite;
}

STORY_MAIN(huge_suite)
