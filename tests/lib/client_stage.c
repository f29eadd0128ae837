#include "tests/lib/client_stage.h"

#include <string.h>

const uint64_t shape[1] = { N_ELEMENTS };
static const uint64_t matrix_shape[] = { 2, 3 };

float weight[N_ELEMENTS];
uint16_t half[6];
int64_t scalar;

const struct emad_tensor tensors[N_TENSORS] = {
	{ .name = "half",
	  .dtype = "BF16",
	  .n_dims = 2,
	  .shape = matrix_shape,
	  .data = half },
	{ .name = "weight",
	  .dtype = "F32",
	  .n_dims = 1,
	  .shape = shape,
	  .data = weight },
	{ .name = "a scalar", .dtype = "I64", .data = &scalar },
};
struct fake *fake;
struct emad *emad;
struct emad_publisher *publisher;
struct emad_profile profile;
struct emad_options options;
struct fake_record record;
struct emad_counts counts;

const struct fake_orders hold = { .must_hold = true };
const struct fake_orders nothing_special;

static void
setup_fake(void)
{
	fake = fake_new();
	fake_start(fake);
	profile = emad_profile_default("constant");
	options = (struct emad_options) {
		.profiles = &profile,
		.n_profiles = 1,
	};
}

static void
setup(void)
{
	setup_fake();
	ck_assert_int_eq(emad_connect(&emad, fake_address(fake), -1), EMAD_OK);
}

static void
teardown(void)
{
	emad_close(emad);
	fake_free(fake);
}

void
attach(void)
{
	int status = emad_attach(&publisher, emad, "net", tensors, N_TENSORS,
				 &options);

	ck_assert_msg(status == EMAD_OK, "%s", emad_error());
}

int
publish(int64_t step)
{
	weight[0] = (float)step;
	return emad_publish(publisher, step, tensors);
}

void
publish_well(int64_t step)
{
	int status = publish(step);

	ck_assert_msg(status == EMAD_OK, "step %d: %s", (int)step,
		      emad_error());
}

static TCase *
add_case(Suite *suite, const char *name, void (*set_up)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 120);
	tcase_add_checked_fixture(tcase, set_up, teardown);
	suite_add_tcase(suite, tcase);
	return tcase;
}

TCase *
new_case(Suite *suite, const char *name)
{
	return add_case(suite, name, setup);
}

TCase *
new_case_unconnected(Suite *suite, const char *name)
{
	return add_case(suite, name, setup_fake);
}
