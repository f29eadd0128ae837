/*
 * Story: what a trainer can ask for and not have, through libemad.  Each
 * refusal names the thing; what there was stays as it was.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"

#define N_ELEMENTS 1000

static struct daemon daemon_;
static struct emad *emad;
static float weights[N_ELEMENTS];
static float biases[N_ELEMENTS];
static const uint64_t shape[] = { N_ELEMENTS };
static const struct emad_tensor two_tensors[] = {
	{ .name = "layer.weight",
	  .dtype = "F32",
	  .n_dims = 1,
	  .shape = shape,
	  .data = weights },
	{ .name = "layer.bias",
	  .dtype = "F32",
	  .n_dims = 1,
	  .shape = shape,
	  .data = biases },
};

static void
setup(void)
{
	daemon_new(&daemon_);
	insist(emad_connect(&emad, daemon_.address, -1) == EMAD_OK);
	memset(weights, 0, sizeof weights);
	memset(biases, 0, sizeof biases);
}

static void
teardown(void)
{
	emad_close(emad);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

/* With one profile, a constant beta of a half. */
static int
attach_named(struct emad_publisher **ret_publisher, const char *model,
	     const char *profile_name, const struct emad_tensor *tensors,
	     size_t n_tensors, struct emad_options options)
{
	struct emad_profile profile = emad_profile_default("constant");

	profile.name = profile_name;
	profile.beta = 0.5;
	options.profiles = &profile;
	options.n_profiles = 1;
	return emad_attach(ret_publisher, emad, model, tensors, n_tensors,
			   &options);
}

static int
attach(struct emad_publisher **ret_publisher, const char *model)
{
	return attach_named(ret_publisher, model, "ema", two_tensors, 2,
			    (struct emad_options) { 0 });
}

#define assert_error_names(text)                                               \
	ck_assert_msg(strstr(emad_error(), (text)) != NULL,                    \
		      "\"%s\" does not name %s", emad_error(), (text))

static float
averaged(const char *tensor, size_t i, uint64_t updates)
{
	struct emad_view *view;
	float value;

	ck_assert_int_eq(emad_pull(&view, emad, "m", NULL, EMAD_NEWEST, 0),
			 EMAD_OK);
	ck_assert_uint_eq(emad_view_updates(view), updates);
	value = ((const float *)emad_view_find(view, tensor)->data)[i];
	emad_view_close(view);
	return value;
}

START_TEST(nan_in_one_element_is_refused_by_the_tensors_name)
{
	static const float bad[] = { NAN, INFINITY, -INFINITY };
	struct emad_publisher *publisher;

	ck_assert_int_eq(attach(&publisher, "m"), EMAD_OK);
	biases[777] = 4.0F;
	ck_assert_int_eq(emad_publish(publisher, 0, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	for (size_t i = 0; i < array_size(bad); i++) {
		biases[777] = bad[i];
		ck_assert_int_eq(
			emad_publish(publisher, 1 + (int64_t)i, two_tensors),
			EMAD_OK);
		ck_assert_int_eq(emad_flush(publisher), EMAD_NOT_FINITE);
		assert_error_names("layer.bias");
		ck_assert(averaged("layer.bias", 777, 1) == 4.0F);
		ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	}
	biases[777] = 8.0F;
	ck_assert_int_eq(emad_publish(publisher, 9, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(averaged("layer.bias", 777, 2) == 6.0F);
	ck_assert(averaged("layer.weight", 777, 2) == 0.0F);
}
END_TEST

START_TEST(nan_is_absorbed_where_the_trainer_wants_it)
{
	struct emad_publisher *publisher;

	ck_assert_int_eq(
		attach_named(&publisher, "m", "ema", two_tensors, 2,
			     (struct emad_options) { .accept_non_finite = 1 }),
		EMAD_OK);
	weights[1] = INFINITY;
	ck_assert_int_eq(emad_publish(publisher, 0, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(isinf(averaged("layer.weight", 1, 1)));
}
END_TEST

START_TEST(spec_that_differs_is_refused_by_the_tensors_names)
{
	struct emad_tensor tensors[2];
	struct emad_publisher *publisher;
	struct emad_options none = { 0 };

	ck_assert_int_eq(attach(&publisher, "m"), EMAD_OK);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);

	memcpy(tensors, two_tensors, sizeof tensors);
	tensors[1].dtype = "BF16";
	ck_assert_int_eq(attach_named(&publisher, "m", "ema", tensors, 2, none),
			 EMAD_SPEC_DIFFERS);
	assert_error_names("layer.bias");
	ck_assert_ptr_null(strstr(emad_error(), "layer.weight"));

	tensors[0].name = "layer.wait";
	ck_assert_int_eq(attach_named(&publisher, "m", "ema", tensors, 2, none),
			 EMAD_SPEC_DIFFERS);
	assert_error_names("layer.weight");
	assert_error_names("layer.wait");
	ck_assert_int_eq(
		attach_named(&publisher, "m", "ema", two_tensors, 1, none),
		EMAD_SPEC_DIFFERS);
	assert_error_names("layer.bias");
	ck_assert_int_eq(attach(&publisher, "m"), EMAD_OK);
}
END_TEST

START_TEST(type_that_does_not_exist_is_refused)
{
	struct emad_tensor tensor = two_tensors[0];
	struct emad_publisher *publisher;
	int status;

	tensor.dtype = "F33";
	status = attach_named(&publisher, "m", "ema", &tensor, 1,
			      (struct emad_options) { 0 });
	ck_assert(status == EMAD_BAD_SPEC || status == EMAD_USAGE);
	assert_error_names("F33");
}
END_TEST

START_TEST(names_that_are_no_names_are_refused)
{
	static const char *const names[] = { "",    "a/b", "../m", ".",
					     "..",  "a b", "m\n",  "\xC3\xA4",
					     "a*b", "a:b" };
	struct emad_publisher *publisher;
	char longest[102];

	for (size_t i = 0; i < array_size(names); i++) {
		ck_assert_int_eq(attach(&publisher, names[i]), EMAD_BAD_NAME);
		ck_assert_int_eq(attach_named(&publisher, "m", names[i],
					      two_tensors, 2,
					      (struct emad_options) { 0 }),
				 EMAD_BAD_NAME);
	}
	memset(longest, 'x', 101);
	longest[101] = '\0';
	ck_assert_int_eq(attach(&publisher, longest), EMAD_BAD_NAME);
	longest[100] = '\0';
	ck_assert_int_eq(attach(&publisher, longest), EMAD_OK);
}
END_TEST

/* Model "a.b" with profile "c" and model "a" with profile "b.c". */
START_TEST(names_whose_files_would_collide_are_refused)
{
	struct emad_publisher *first, *second;
	struct emad_options none = { 0 };

	ck_assert_int_eq(attach_named(&first, "m.b", "c", two_tensors, 2, none),
			 EMAD_OK);
	ck_assert_int_eq(
		attach_named(&second, "m", "b.c", two_tensors, 2, none),
		EMAD_NAME_TAKEN);
	ck_assert_int_eq(emad_publish(first, 0, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(first), EMAD_OK);
	ck_assert_int_eq(
		attach_named(&second, "m", "b.c", two_tensors, 2, none),
		EMAD_NAME_TAKEN);
	ck_assert_int_eq(attach_named(&second, "m", "d", two_tensors, 2, none),
			 EMAD_OK);
}
END_TEST

START_TEST(second_publisher_is_refused_with_the_firsts_pid)
{
	struct emad_publisher *first, *second;
	char pid[32];

	(void)snprintf(pid, sizeof pid, "%d", (int)getpid());
	ck_assert_int_eq(attach(&first, "m"), EMAD_OK);
	ck_assert_int_eq(attach(&second, "m"), EMAD_BUSY);
	assert_error_names(pid);
	ck_assert_int_eq(emad_publish(first, 0, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_detach(first), EMAD_OK);
	ck_assert_int_eq(attach(&second, "m"), EMAD_OK);
}
END_TEST

START_TEST(takeover_ends_the_first_publisher)
{
	struct emad_publisher *first, *second;
	int status;

	ck_assert_int_eq(attach(&first, "m"), EMAD_OK);
	ck_assert_int_eq(emad_publish(first, 0, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(first), EMAD_OK);
	ck_assert_int_eq(attach_named(&second, "m", "ema", two_tensors, 2,
				      (struct emad_options) { .takeover = 1 }),
			 EMAD_OK);
	ck_assert_int_eq(emad_last_step(second), 0);
	status = emad_publish(first, 1, two_tensors);
	ck_assert(status == EMAD_OK || status == EMAD_TAKEN_OVER);
	if (status == EMAD_OK)
		ck_assert_int_eq(emad_flush(first), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_publish(second, 1, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(second), EMAD_OK);
	(void)averaged("layer.bias", 0, 2);
}
END_TEST

START_TEST(step_that_goes_backwards_is_refused)
{
	struct emad_publisher *publisher;
	int status;

	ck_assert_int_eq(attach(&publisher, "m"), EMAD_OK);
	ck_assert_int_eq(emad_publish(publisher, 5, two_tensors), EMAD_OK);
	status = emad_publish(publisher, 4, two_tensors);
	if (status == EMAD_OK)
		status = emad_flush(publisher);
	ck_assert_int_eq(status, EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(emad_publish(publisher, 6, two_tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	(void)averaged("layer.bias", 0, 2);
}
END_TEST

START_TEST(unknown_names_are_refused)
{
	struct emad_publisher *publisher;
	struct emad_view *view;

	ck_assert_int_eq(emad_pull(&view, emad, "m", NULL, EMAD_NEWEST, 0),
			 EMAD_UNKNOWN_MODEL);
	ck_assert_int_eq(emad_drop(emad, "m", NULL), EMAD_UNKNOWN_MODEL);
	ck_assert_int_eq(attach(&publisher, "m"), EMAD_OK);
	ck_assert_int_eq(emad_pull(&view, emad, "m", NULL, EMAD_NEWEST, 0),
			 EMAD_NO_VERSION);
	ck_assert_int_eq(emad_pull(&view, emad, "m", "x", EMAD_NEWEST, 0),
			 EMAD_UNKNOWN_PROFILE);
	ck_assert_int_eq(emad_drop(emad, "m", NULL), EMAD_BUSY);
}
END_TEST

static Suite *
refusals_suite(void)
{
	Suite *suite = suite_create("refusals");
	TCase *tcase = tcase_create("refusals");

	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase,
		       nan_in_one_element_is_refused_by_the_tensors_name);
	tcase_add_test(tcase, nan_is_absorbed_where_the_trainer_wants_it);
	tcase_add_test(tcase,
		       spec_that_differs_is_refused_by_the_tensors_names);
	tcase_add_test(tcase, type_that_does_not_exist_is_refused);
	tcase_add_test(tcase, names_that_are_no_names_are_refused);
	tcase_add_test(tcase, names_whose_files_would_collide_are_refused);
	tcase_add_test(tcase, second_publisher_is_refused_with_the_firsts_pid);
	tcase_add_test(tcase, takeover_ends_the_first_publisher);
	tcase_add_test(tcase, step_that_goes_backwards_is_refused);
	tcase_add_test(tcase, unknown_names_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(refusals_suite)
