#include "tests/lib/client_stage.h"

#include <string.h>

#include "tests/unit/unit.h"

START_TEST(what_was_not_answered_is_sent_again)
{
	uint64_t id;

	attach();
	publish_well(1);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
	fake_order(fake, &hold);
	publish_well(2);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_look(fake, &record);
	id = record.publisher;
	fake_stop(fake);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 2);
	ck_assert_uint_eq(record.publisher, id);
	ck_assert_uint_eq(record.first_unanswered, 2);
	ck_assert_uint_eq(record.n_publishes, 5);
	for (unsigned int i = 3; i < 5; i++) {
		const struct fake_publish *again = &record.publishes[i];

		ck_assert_uint_ge(again->sequence, 2);
		ck_assert_int_eq(again->step, (int64_t)again->sequence);
		ck_assert_float_eq(again->value, (float)again->step);
	}
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.published, 3);
	ck_assert_uint_eq(counts.absorbed, 3);
	ck_assert_uint_eq(counts.reattached, 1);
}
END_TEST

START_TEST(slots_keep_their_addresses_and_contents)
{
	void *data[3];

	options.n_slots = 1;
	attach();
	ck_assert_int_eq(emad_begin(publisher, data), EMAD_OK);
	memset(data[1], 0, N_ELEMENTS * 4);
	*(float *)data[1] = 17;
	fake_stop(fake);
	fake_start(fake);
	/* The loss is noticed when this is answered, and then mended. */
	ck_assert_int_eq(emad_commit(publisher, 3), EMAD_OK);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	ck_assert_float_eq(*(float *)data[1], 17);
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 2);
	ck_assert_float_eq(record.publishes[0].value, 17);
	/* The new slot lies where the old one did. */
	((float *)data[1])[9] = 99;
	ck_assert_float_eq(
		((const float *)fake_slot_tensor(fake, 0, "weight"))[9], 99);
}
END_TEST

START_TEST(attaching_again_waits_for_a_daemon_that_is_not_ready)
{
	struct fake_orders passing = { .n_passing = 3 };

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	fake_order(fake, &passing);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_attaches, 5);
}
END_TEST

START_TEST(a_gap_in_what_was_not_answered_takes_two_attaches)
{
	options.mode = EMAD_MODE_LATEST;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_order(fake, &(struct fake_orders) { .publish = STATUS_REPLACED });
	publish_well(2);
	fake_await_publishes(fake, 2);
	fake_order(fake, &hold);
	publish_well(3);
	fake_await_publishes(fake, 3);
	fake_stop(fake);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	ck_assert_msg(emad_flush(publisher) == EMAD_OK, "%s", emad_error());
	fake_look(fake, &record);
	ck_assert_uint_eq(record.n_publishes, 5);
	ck_assert_uint_eq(record.publishes[3].sequence, 1);
	ck_assert_uint_eq(record.publishes[4].sequence, 3);
	ck_assert_uint_eq(record.n_attaches, 3);
	ck_assert_uint_eq(record.first_unanswered, 3);
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 2);
	ck_assert_uint_eq(counts.replaced, 1);
}
END_TEST

START_TEST(a_daemon_that_stays_away_is_unreachable_and_may_come_later)
{
	options.timeout_ms = 100;
	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	ck_assert_int_eq(emad_flush(publisher), EMAD_UNREACHABLE);
	publish_well(2);
	ck_assert_int_eq(publish(3), EMAD_UNREACHABLE);
	fake_order(fake, &nothing_special);
	fake_start(fake);
	/* Instrumented or crowded machines may need more than one attempt. */
	for (int i = 0; i < 100 && emad_flush(publisher) != EMAD_OK; i++)
		continue;
	emad_get_counts(publisher, &counts);
	ck_assert_uint_eq(counts.absorbed, 2);
}
END_TEST

START_TEST(a_refused_attach_after_a_restart_says_so)
{
	struct fake_orders busy = { .attach = STATUS_BUSY, .busy_pid = 1 };

	attach();
	fake_order(fake, &hold);
	publish_well(1);
	fake_await_publishes(fake, 1);
	fake_stop(fake);
	fake_order(fake, &busy);
	fake_start(fake);
	ck_assert_int_eq(emad_flush(publisher), EMAD_BUSY);
	ck_assert_ptr_nonnull(strstr(emad_error(), "again"));
	fake_order(fake, &nothing_special);
	ck_assert_int_eq(emad_flush(publisher), EMAD_OK);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("client_restart");
	TCase *tcase = new_case(suite, "restart");

	tcase_add_test(tcase, what_was_not_answered_is_sent_again);
	tcase_add_test(tcase, slots_keep_their_addresses_and_contents);
	tcase_add_test(tcase,
		       attaching_again_waits_for_a_daemon_that_is_not_ready);
	tcase_add_test(tcase,
		       a_gap_in_what_was_not_answered_takes_two_attaches);
	tcase_add_test(
		tcase,
		a_daemon_that_stays_away_is_unreachable_and_may_come_later);
	tcase_add_test(tcase, a_refused_attach_after_a_restart_says_so);
	return suite;
}

UNIT_MAIN(make_suite)
