#include "tests/lib/client_stage.h"

#include <string.h>

#include "tests/unit/unit.h"

START_TEST(each_tensor_is_copied_to_its_place)
{
	attach();
	for (size_t i = 0; i < N_ELEMENTS; i++)
		weight[i] = (float)i;
	half[5] = 4711;
	scalar = -5;
	ck_assert_int_eq(emad_publish(publisher, 0, tensors), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "weight"), weight,
			 sizeof weight);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "half"), half, sizeof half);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "a scalar"), &scalar,
			 sizeof scalar);
}
END_TEST

START_TEST(bare_pointers_publish_the_same)
{
	const void *data[] = { half, weight, &scalar };

	attach();
	weight[7] = 7;
	ck_assert_int_eq(emad_publish_data(publisher, 0, data), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_mem_eq(fake_slot_tensor(fake, 0, "weight"), weight,
			 sizeof weight);
	data[1] = NULL;
	ck_assert_int_eq(emad_publish_data(publisher, 1, data), EMAD_USAGE);
	ck_assert_int_eq(emad_publish_data(publisher, 1, NULL), EMAD_USAGE);
}
END_TEST

START_TEST(a_large_snapshot_is_streamed_and_whole)
{
	static const uint64_t large[] = { 7000001 };
	struct emad_tensor tensor = {
		.name = "large", .dtype = "F32", .n_dims = 1, .shape = large
	};
	char *data = xmalloc(large[0] * 4 + 1);

	for (size_t i = 0; i <= large[0] * 4; i++)
		data[i] = (char)(i * 31 >> 3);
	tensor.data = data + 1;
	ck_assert_int_eq(
		emad_attach(&publisher, emad, "net", &tensor, 1, &options),
		EMAD_OK);
	ck_assert_int_eq(emad_publish(publisher, 0, &tensor), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert(memcmp(fake_slot_tensor(fake, 0, "large"), data + 1,
			 large[0] * 4) == 0);
	free(data);
}
END_TEST

START_TEST(a_step_that_nobody_wants_is_not_sent)
{
	profile.update_every = 10;
	attach();
	ck_assert(emad_wants(publisher, 0));
	ck_assert(!emad_wants(publisher, 7));
	ck_assert(!emad_wants(publisher, -1));
	for (int64_t step = 0; step < 30; step++)
		publish_well(step);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 3);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.skipped, 27);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 3);
	/* Each slot has a connection of its own: the order may differ. */
	for (unsigned int i = 0; i < 3; i++)
		ck_assert_int_eq(record.publishes[i].step,
				 10 * (int64_t)record.publishes[i].sequence -
					 10);
}
END_TEST

START_TEST(steps_go_forward_only)
{
	attach();
	publish_well(5);
	ck_assert_int_eq(publish(5), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(publish(4), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(publish(-1), EMAD_USAGE);
	ck_assert_int_eq(publish((INT64_C(1) << 53) + 1), EMAD_USAGE);
	publish_well(INT64_C(1) << 53);
}
END_TEST

START_TEST(a_refusal_is_reported_once_by_a_later_call)
{
	struct fake_orders refuse = { .publish = STATUS_NOT_FINITE };

	attach();
	fake_order(fake, &refuse);
	publish_well(1);
	fake_await_publishes(fake, 1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_NOT_FINITE);
	ck_assert_ptr_nonnull(strstr(emad_error(), "step 1"));
	fake_order(fake, &nothing_special);
	publish_well(2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.refused, 1);
	ck_assert_uint_eq(counts.absorbed, 1);
}
END_TEST

START_TEST(a_refusal_nobody_asked_about_is_reported_by_detach)
{
	struct fake_orders refuse = { .publish = STATUS_NOT_FINITE };

	attach();
	fake_order(fake, &refuse);
	publish_well(1);
	ck_assert_int_eq(emad_detach(publisher), EMAD_NOT_FINITE);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_detaches, 1);
}
END_TEST

START_TEST(a_session_whose_answers_are_late_is_detached_as_well)
{
	options.timeout_ms = 50;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	ck_assert_int_eq(emad_detach(publisher), EMAD_TIMEOUT);
	ck_assert_ptr_nonnull(strstr(emad_error(), "did not absorb"));
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_detaches, 1);
}
END_TEST

START_TEST(a_replaced_snapshot_is_counted_and_no_failure)
{
	options.mode = EMAD_MODE_LATEST;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_release(fake, STATUS_REPLACED, 1);
	publish_well(4);
	fake_await_publishes(fake, 4);
	fake_release(fake, STATUS_OK, 3);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.replaced, 1);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.refused, 0);
}
END_TEST

START_TEST(mode_drop_never_waits)
{
	options.mode = EMAD_MODE_DROP;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_NO_SLOT);
	ck_assert_int_eq(publish(4), EMAD_NO_SLOT);
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	publish_well(5);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.dropped, 2);
	ck_assert_uint_eq(counts.published, 3);
}
END_TEST

START_TEST(mode_block_waits_no_longer_than_told)
{
	options.timeout_ms = 50;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_TIMEOUT);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TIMEOUT);
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	publish_well(3);
}
END_TEST

static void *
release_later(void *unused)
{
	fake_await_publishes(fake, 2);
	fake_order(fake, &nothing_special);
	fake_release(fake, STATUS_OK, 2);
	return unused;
}

START_TEST(mode_block_goes_on_when_a_slot_is_free)
{
	pthread_t thread;

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	publish_well(2);
	ck_assert_int_eq(pthread_create(&thread, NULL, release_later, NULL), 0);
	publish_well(3);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 3);
}
END_TEST

START_TEST(a_snapshot_can_be_written_in_place)
{
	float *first;
	void *data[3];

	attach();
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_USAGE);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_USAGE);
	ck_assert_int_eq(publish(0), EMAD_USAGE);
	first = data[1];
	first[0] = 42;
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_OK);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	ck_assert_float_eq(*(const float *)fake_slot_tensor(fake, 0, "weight"),
			   42);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_ptr_ne(data[1], first);
	ck_assert_int_eq(emad_commit(publisher, 0), EMAD_STEP_BACKWARDS);
	ck_assert_int_eq(emad_commit(publisher, 1), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_ptr_eq(data[1], first);
}
END_TEST

START_TEST(a_commit_that_nobody_wants_gives_the_slot_back)
{
	void *data[3], *again[3];

	profile.update_every = 2;
	attach();
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	ck_assert_int_eq(emad_commit(publisher, 1), EMAD_OK);
	ck_assert_int_eq(emad_begin(publisher, again), EMAD_OK);
	ck_assert_ptr_eq(data[1], again[1]);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 0);
}
END_TEST

START_TEST(a_model_that_was_taken_over_stays_so)
{
	struct fake_orders taken = { .publish = STATUS_TAKEN_OVER };
	void *data[3];

	attach();
	fake_order(fake, &taken);
	publish_well(1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TAKEN_OVER);
	ck_assert_int_eq(publish(2), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_flush(publisher), EMAD_TAKEN_OVER);
	ck_assert_int_eq(emad_detach(publisher), EMAD_TAKEN_OVER);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client_publish");
	TCase *tcase = new_case(suite, "publish");

	tcase_add_test(tcase, each_tensor_is_copied_to_its_place);
	tcase_add_test(tcase, bare_pointers_publish_the_same);
	tcase_add_test(tcase, a_large_snapshot_is_streamed_and_whole);
	tcase_add_test(tcase, a_step_that_nobody_wants_is_not_sent);
	tcase_add_test(tcase, steps_go_forward_only);
	tcase_add_test(tcase, a_refusal_is_reported_once_by_a_later_call);
	tcase_add_test(tcase,
		       a_refusal_nobody_asked_about_is_reported_by_detach);
	tcase_add_test(tcase,
		       a_session_whose_answers_are_late_is_detached_as_well);
	tcase_add_test(tcase, a_replaced_snapshot_is_counted_and_no_failure);
	tcase_add_test(tcase, mode_drop_never_waits);
	tcase_add_test(tcase, mode_block_waits_no_longer_than_told);
	tcase_add_test(tcase, mode_block_goes_on_when_a_slot_is_free);
	tcase_add_test(tcase, a_snapshot_can_be_written_in_place);
	tcase_add_test(tcase, a_commit_that_nobody_wants_gives_the_slot_back);
	tcase_add_test(tcase, a_model_that_was_taken_over_stays_so);
	return suite;
}

UNIT_MAIN(make_suite)
