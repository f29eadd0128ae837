#include "client/crew.h"

#include <stdatomic.h>
#include <string.h>

#include "proto/util.h"
#include "tests/unit/unit.h"

#define FROM 4096
#define TO   (9 * CREW_PIECE + 12345)

/* Who did what: one entry for each piece. */
struct ledger {
	_Atomic unsigned int times[10];
	_Atomic uint64_t bytes;
};

static void
note(const void *arg, uint64_t from, uint64_t to)
{
	struct ledger *ledger = *(struct ledger *const *)arg;

	ck_assert_uint_lt(from, to);
	ck_assert_uint_le(to - from, CREW_PIECE);
	ck_assert(from == FROM || from % CREW_PIECE == 0);
	ck_assert(to == TO || to % CREW_PIECE == 0);
	ledger->times[from / CREW_PIECE]++;
	ledger->bytes += to - from;
}

START_TEST(each_piece_is_done_once_before_the_call_returns)
{
	static const unsigned int n_threads[] = { 1, 2, 5, CREW_THREADS_MAX };

	for (size_t i = 0; i < array_size(n_threads); i++) {
		struct crew *crew;

		ck_assert_int_eq(crew_new(&crew, n_threads[i]), 0);
		for (int round = 0; round < 500; round++) {
			struct ledger ledger = { 0 };
			struct ledger *arg = &ledger;

			crew_run(crew, note, &arg, FROM, TO);
			ck_assert_uint_eq(ledger.bytes, TO - FROM);
			for (size_t k = 0; k < array_size(ledger.times); k++)
				ck_assert_uint_eq(ledger.times[k], 1);
		}
		crew_free(crew);
	}
}
END_TEST

START_TEST(nothing_to_do_is_done_at_once)
{
	struct crew *crew;

	ck_assert_int_eq(crew_new(&crew, 3), 0);
	crew_run(crew, note, NULL, FROM, FROM);
	crew_free(crew);
	crew_free(NULL);
}
END_TEST

/* What the threads wrote is there for the one that called. */
static void
mark(const void *arg, uint64_t from, uint64_t to)
{
	char *bytes = *(char *const *)arg;

	memset(bytes + from, bytes[0] + 1, to - from);
}

START_TEST(what_others_did_is_seen)
{
	char *bytes = xcalloc(TO, 1);
	struct crew *crew;

	ck_assert_int_eq(crew_new(&crew, 4), 0);
	for (char round = 0; round < 20; round++) {
		bytes[0] = round;
		crew_run(crew, mark, &bytes, FROM, TO);
		for (uint64_t i = FROM; i < TO; i += 509)
			ck_assert_int_eq(bytes[i], round + 1);
	}
	crew_free(crew);
	free(bytes);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("crew");
	TCase *tcase = tcase_create("crew");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, each_piece_is_done_once_before_the_call_returns);
	tcase_add_test(tcase, nothing_to_do_is_done_at_once);
	tcase_add_test(tcase, what_others_did_is_seen);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(make_suite)
