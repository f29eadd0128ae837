/*
 * Lists.
 */
#include "daemon/list.h"
#include "tests/unit/unit.h"

struct item {
	int value;
	struct list entry;
};

static struct list head;
static struct item items[3] = { { .value = 1 },
				{ .value = 2 },
				{ .value = 3 } };

static void
setup(void)
{
	list_init(&head);
	for (size_t i = 0; i < array_size(items); i++)
		list_append(&head, &items[i].entry);
}

/* The values as digits, in the list's order. */
static int
digits(void)
{
	int number = 0;

	list_each (cursor, &head)
		number = 10 * number +
			 container_of(cursor, struct item, entry)->value;
	return number;
}

START_TEST(new_list_is_empty)
{
	struct list list;

	list_init(&list);
	ck_assert(list_is_empty(&list));
	list_each (cursor, &list)
		ck_abort_msg("nothing is in it");
}
END_TEST

START_TEST(entries_keep_the_order_in_which_they_came)
{
	ck_assert(!list_is_empty(&head));
	ck_assert_int_eq(digits(), 123);
	ck_assert_ptr_eq(list_first(&head, struct item, entry), &items[0]);
}
END_TEST

START_TEST(any_entry_can_be_removed_even_twice)
{
	list_remove(&items[1].entry);
	list_remove(&items[1].entry);
	ck_assert_int_eq(digits(), 13);
	list_remove(&items[0].entry);
	ck_assert_int_eq(digits(), 3);
	list_remove(&items[2].entry);
	ck_assert(list_is_empty(&head));
	list_append(&head, &items[1].entry);
	ck_assert_int_eq(digits(), 2);
}
END_TEST

START_TEST(entry_at_the_cursor_may_be_removed)
{
	int n = 0;

	list_each_safe (cursor, after, &head) {
		list_remove(cursor);
		n++;
	}
	ck_assert_int_eq(n, 3);
	ck_assert(list_is_empty(&head));
}
END_TEST

static Suite *
list_suite(void)
{
	Suite *suite = suite_create("list");
	TCase *list = tcase_create("list");

	tcase_add_checked_fixture(list, setup, NULL);
	tcase_add_test(list, new_list_is_empty);
	tcase_add_test(list, entries_keep_the_order_in_which_they_came);
	tcase_add_test(list, any_entry_can_be_removed_even_twice);
	tcase_add_test(list, entry_at_the_cursor_may_be_removed);
	suite_add_tcase(suite, list);
	return suite;
}

UNIT_MAIN(list_suite)
