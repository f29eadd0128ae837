/*
 * Story: models of every shape: no tensors, empty tensors, scalars, a hundred
 * thousand tensors, every type.  All are served.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/emad.h"
#include "proto/dtype.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"

#define N_MANY    100000
#define NAME_SIZE 16

static struct daemon daemon_;
static struct emad *emad;

static void
setup(void)
{
	daemon_new(&daemon_);
	insist(emad_connect(&emad, daemon_.address, -1) == EMAD_OK);
}

static void
teardown(void)
{
	emad_close(emad);
	daemon_check(&daemon_);
	daemon_stop(&daemon_);
}

static struct emad_publisher *
attach(const struct emad_tensor *tensors, size_t n_tensors)
{
	struct emad_profile profile = emad_profile_default("constant");
	const struct emad_options options = { .profiles = &profile,
					      .n_profiles = 1 };
	struct emad_publisher *publisher = NULL;

	profile.beta = 0.0;
	if (emad_attach(&publisher, emad, "m", tensors, n_tensors, &options) !=
	    EMAD_OK)
		ck_abort_msg("attach: %s", emad_error());
	return publisher;
}

static void
publish(struct emad_publisher *publisher, int64_t step,
	const struct emad_tensor *tensors)
{
	if (emad_publish(publisher, step, tensors) != EMAD_OK ||
	    emad_flush(publisher) != EMAD_OK)
		ck_abort_msg("publish: %s", emad_error());
}

static struct emad_view *
pull(int64_t step, size_t n_tensors)
{
	struct emad_view *view = NULL;

	if (emad_pull(&view, emad, "m", NULL, EMAD_NEWEST, 0) != EMAD_OK)
		ck_abort_msg("pull: %s", emad_error());
	ck_assert_int_eq(emad_view_step(view), step);
	ck_assert_uint_eq(emad_view_n_tensors(view), n_tensors);
	return view;
}

START_TEST(model_without_tensors_is_served)
{
	const struct emad_tensor none[1] = { { .name = "never looked at" } };
	struct emad_publisher *publisher = attach(none, 0);

	for (int64_t step = 0; step < 3; step++) {
		publish(publisher, step, none);
		emad_view_close(pull(step, 0));
	}
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
}
END_TEST

START_TEST(empty_tensors_and_scalars_are_served)
{
	static const uint64_t no_elements[] = { 3, 0, 2 };
	static const uint64_t one[] = { 1, 1, 1, 1 };
	float scalar = 2.5F;
	double wide = -1.25;
	int64_t counter = 7;
	const struct emad_tensor tensors[] = {
		{ .name = "empty",
		  .dtype = "F32",
		  .n_dims = 3,
		  .shape = no_elements,
		  .data = &scalar },
		{ .name = "scalar", .dtype = "F32", .data = &scalar },
		{ .name = "wide",
		  .dtype = "F64",
		  .n_dims = 4,
		  .shape = one,
		  .data = &wide },
		{ .name = "counter", .dtype = "I64", .data = &counter },
	};
	struct emad_publisher *publisher = attach(tensors, array_size(tensors));

	for (int64_t step = 0; step < 3; step++) {
		struct emad_view *view;

		counter++;
		publish(publisher, step, tensors);
		view = pull(step, array_size(tensors));
		for (size_t i = 0; i < array_size(tensors); i++) {
			const struct emad_tensor *got =
				emad_view_find(view, tensors[i].name);

			ck_assert_ptr_nonnull(got);
			ck_assert_str_eq(got->dtype, tensors[i].dtype);
			ck_assert_uint_eq(got->n_dims, tensors[i].n_dims);
			ck_assert_uint_eq(got->size, i == 0   ? 0
						     : i == 1 ? 4
							      : 8);
			ck_assert_mem_eq(got->data, tensors[i].data, got->size);
		}
		emad_view_close(view);
	}
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
}
END_TEST

START_TEST(hundred_thousand_tensors_are_served)
{
	static const uint64_t shape[] = { 3 };
	char(*names)[NAME_SIZE] = calloc(N_MANY, NAME_SIZE);
	float(*values)[3] = calloc(N_MANY, sizeof *values);
	struct emad_tensor *tensors = calloc(N_MANY, sizeof *tensors);
	struct emad_publisher *publisher;
	struct emad_view *view;

	insist(names && values && tensors);
	for (size_t i = 0; i < N_MANY; i++) {
		(void)snprintf(names[i], NAME_SIZE, "t%06zu", i);
		values[i][0] = (float)i;
		tensors[i] = (struct emad_tensor) { .name = names[i],
						    .dtype = "F32",
						    .n_dims = 1,
						    .shape = shape,
						    .data = values[i] };
	}
	publisher = attach(tensors, N_MANY);
	for (int64_t step = 0; step < 3; step++)
		publish(publisher, step, tensors);
	view = pull(2, N_MANY);
	/* Of one type, they are in the order of their names. */
	for (size_t i = 0; i < N_MANY; i++) {
		const struct emad_tensor *got = emad_view_tensor(view, i);

		insist(strcmp(got->name, names[i]) == 0);
		insist(memcmp(got->data, values[i], sizeof values[i]) == 0);
	}
	emad_view_close(view);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);

	/* And found again by a daemon that comes after this one. */
	daemon_stop(&daemon_);
	daemon_start(&daemon_);
	publisher = attach(tensors, N_MANY);
	ck_assert_int_eq(emad_last_step(publisher), 2);
	publish(publisher, 3, tensors);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
	free(tensors);
	free(values);
	free(names);
}
END_TEST

/* Zeros are finite in every type. */
START_TEST(every_type_of_the_format_is_served)
{
	static const uint64_t shape[] = { 24 };
	static const char zeros[24 * 8];
	struct emad_tensor tensors[N_DTYPES];
	struct emad_publisher *publisher;
	struct emad_view *view;

	for (unsigned int i = 0; i < N_DTYPES; i++) {
		const char *name = dtype_name((enum dtype)i);

		tensors[i] = (struct emad_tensor) { .name = name,
						    .dtype = name,
						    .n_dims = 1,
						    .shape = shape,
						    .data = zeros };
	}
	publisher = attach(tensors, N_DTYPES);
	for (int64_t step = 0; step < 3; step++)
		publish(publisher, step, tensors);
	view = pull(2, N_DTYPES);
	for (unsigned int i = 0; i < N_DTYPES; i++) {
		enum dtype average = dtype_average((enum dtype)i);
		const struct emad_tensor *got =
			emad_view_find(view, tensors[i].name);

		ck_assert_ptr_nonnull(got);
		ck_assert_str_eq(got->dtype, dtype_name(average));
		ck_assert_uint_eq(got->size, 24 * dtype_bits(average) / 8);
		ck_assert_mem_eq(got->data, zeros, got->size);
	}
	emad_view_close(view);
	ck_assert_int_eq(emad_detach(publisher), EMAD_OK);
}
END_TEST

static Suite *
shapes_suite(void)
{
	Suite *suite = suite_create("shapes");
	TCase *tcase = tcase_create("shapes");

	tcase_set_timeout(tcase, 240);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, model_without_tensors_is_served);
	tcase_add_test(tcase, empty_tensors_and_scalars_are_served);
	tcase_add_test(tcase, hundred_thousand_tensors_are_served);
	tcase_add_test(tcase, every_type_of_the_format_is_served);
	suite_add_tcase(suite, tcase);
	return suite;
}

STORY_MAIN(shapes_suite)
