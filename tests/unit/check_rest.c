/*
 * What is kept beside an average: that what belongs to the public version is
 * there after a crash at any moment, and that nothing else is taken for it.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/lib/rest_stage.h"
#include "tests/unit/unit.h"

static const enum accumulator accumulators[] = { ACCUMULATOR_COMPENSATED,
						 ACCUMULATOR_FLOAT64 };

START_TEST(the_current_rest_belongs_to_the_public_version)
{
	rest_stage_init(accumulators[_i]);
	for (int64_t step = 0; step < 5; step++) {
		const char *data;

		rest_stage_publish(step);
		data = rest_current_data(&versions.rest);
		ck_assert(rest_stage_is_rest_of(data, step));
		ck_assert(rest_stage_is_found(step));
		rest_stage_forget(&later);
		/* Not that of another one. */
		ck_assert(version_header_is(&versions.rest.header,
					    &versions.state,
					    data - versions.rest.header.size));
	}
	/* A public and a hidden file, and as many beside them. */
	ck_assert_uint_eq(rest_stage_count_files(), 4);
	rest_stage_deinit();
}
END_TEST

/* How far an update has come when the daemon is killed. */
enum moment {
	CLAIMED,
	BEGUN,
	COMPUTED,
	WITH_REST_HEADER,
	WITH_BOTH_HEADERS,
	PUBLIC,
	N_MOMENTS,
};

/* As far as versions_publish() and those before it come. */
static void
update_until(enum moment moment, int64_t step)
{
	struct version_state state = rest_stage_state_of(step);

	if (!versions_claim(&versions)) {
		rest_stage_supply();
		ck_assert(versions_claim(&versions));
	}
	if (moment >= BEGUN)
		ck_assert_int_eq(versions_begin(&versions), 0);
	if (moment >= COMPUTED)
		rest_stage_fill_data(versions_next_data(&versions),
				     rest_next_data(&versions.rest), step);
	if (moment >= WITH_REST_HEADER)
		rest_touch_header(&versions.rest, &state);
	if (moment >= WITH_BOTH_HEADERS)
		version_header_write(&versions.header, &state, true,
				     versions.next.shm.base);
	/* The swap is of one piece; what follows it is in memory alone. */
	if (moment == PUBLIC)
		ck_assert_int_eq(versions_publish(&versions, &state), 0);
}

START_TEST(a_crash_at_any_moment_leaves_the_rest_of_the_public_version)
{
	rest_stage_init(accumulators[_i]);
	for (int64_t n_before = 1; n_before < 4; n_before++)
		for (int moment = 0; moment < N_MOMENTS; moment++) {
			int64_t step;

			for (step = 0; step < n_before; step++)
				rest_stage_publish(step);
			update_until((enum moment)moment, step);
			if (moment < PUBLIC)
				step--;
			ck_assert(rest_stage_is_found(step));
			rest_stage_forget(&later);
			versions_abandon(&versions);
		}
	rest_stage_deinit();
}
END_TEST

/* As a daemon does: adopt, then go on. */
START_TEST(what_was_adopted_is_gone_on_from)
{
	rest_stage_init(accumulators[_i]);
	rest_stage_publish(0);
	for (int64_t step = 1; step < 6; step++) {
		/* Another moment each time, of the update that is lost. */
		update_until((enum moment)(step % PUBLIC), 77);
		versions_abandon(&versions);
		ck_assert(rest_stage_is_found(step - 1));
		rest_stage_forget(&versions.rest);
		version_header_deinit(&versions.rest.header);
		versions.rest = later;
		rest_init(&later, accumulators[_i], rest_stage_instance, "net",
			  "ema", N_RESTS * 4);
		rest_stage_publish(step);
		ck_assert(rest_stage_is_rest_of(
			rest_current_data(&versions.rest), step));
	}
	rest_stage_deinit();
}
END_TEST

/* Each makes the current file another one than the public version's. */
static void
damage(unsigned int how)
{
	struct shm *shm = &versions.rest.files[versions.rest.current].shm;
	char path[FILE_NAME_SIZE + sizeof SHM_DIRECTORY];
	struct version_state other = rest_stage_state_of(5);
	char *base = shm->base;

	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", shm->name);
	switch (how) {
	case 0:
		version_header_invalidate(base);
		break;
	case 1: /* of another step */
		version_header_write(&versions.rest.header, &other, true, base);
		break;
	case 2: /* behind what changes: the names and the shape */
		base[8 + VERSION_DYNAMIC_SIZE + 20] ^= 1;
		break;
	case 3: /* the last byte of all that is not data */
		base[versions.rest.header.size - 1] = '\n';
		break;
	case 4:
		ck_assert_int_eq(truncate(path, (off_t)shm->size - 1), 0);
		break;
	case 5:
		ck_assert_int_eq(truncate(path, 0), 0);
		break;
	case 6:
		ck_assert_int_eq(truncate(path, (off_t)shm->size + 4096), 0);
		break;
	case 7:
		ck_assert_int_eq(unlink(path), 0);
		break;
	default: /* somebody's link to somewhere */
		ck_assert_int_eq(unlink(path), 0);
		ck_assert_int_eq(symlink("/etc/passwd", path), 0);
		break;
	}
}
#define N_DAMAGES 9

/* What an average goes on from whose rest is gone. */
static void
assert_filled(const char *rest, const char *average)
{
	bool is_double = versions.rest.accumulator == ACCUMULATOR_FLOAT64;

	for (size_t i = 0; i < N_RESTS; i++) {
		float published, compensation;
		double x;

		memcpy(&published, average + i * 4, 4);
		memcpy(&compensation, rest + i * 4, 4);
		memcpy(&x, rest + i * (is_double ? 8 : 4), is_double ? 8 : 4);
		if (is_double)
			ck_assert(x == (double)published);
		else
			ck_assert(compensation == 0.0F);
	}
}

START_TEST(what_is_damaged_is_not_adopted_but_made_anew)
{
	for (unsigned int how = 0; how < N_DAMAGES; how++) {
		struct version_state state = rest_stage_state_of(2);
		struct rest_supply wanted;

		rest_stage_init(accumulators[_i]);
		for (int64_t step = 0; step < 3; step++)
			rest_stage_publish(step);
		damage(how);
		ck_assert(!rest_adopt(&later, &state));
		ck_assert_uint_eq(rest_memory(&later), 0);
		wanted = rest_want(&later, versions_current_data(&versions),
				   N_RESTS * 4);
		ck_assert_uint_eq(rest_supply_n_missing(&wanted), 2);
		ck_assert_int_eq(rest_supply_make(&wanted, NULL, NULL), 0);
		ck_assert_uint_eq(rest_supply_n_missing(&wanted), 0);
		rest_take(&later, &wanted);
		ck_assert(rest_claim(&later));
		assert_filled(rest_current_data(&later),
			      versions_current_data(&versions));
		rest_stage_deinit();
	}
}
END_TEST

START_TEST(another_averages_rest_is_not_adopted)
{
	struct version_state state = rest_stage_state_of(0);
	static const struct {
		const char *model, *profile;
		enum accumulator accumulator;
		uint64_t size;
	} others[] = {
		{ "net", "ema2", ACCUMULATOR_FLOAT64, N_RESTS * 4 },
		{ "net2", "ema", ACCUMULATOR_FLOAT64, N_RESTS * 4 },
		/* As many bytes of compensations, and another length. */
		{ "net", "ema", ACCUMULATOR_COMPENSATED, N_RESTS * 8 },
		{ "net", "ema", ACCUMULATOR_FLOAT64, N_RESTS * 4 - 4 },
	};

	rest_stage_init(ACCUMULATOR_FLOAT64);
	rest_stage_publish(0);
	for (size_t i = 0; i < array_size(others); i++) {
		struct rest other;

		rest_init(&other, others[i].accumulator, rest_stage_instance,
			  others[i].model, others[i].profile, others[i].size);
		/* As if somebody had renamed the files. */
		memcpy(other.name, later.name, sizeof other.name);
		ck_assert_msg(!rest_adopt(&other, &state), "%zu", i);
		rest_deinit(&other, true);
		/* Let go, and made again. */
		rest_stage_publish(0);
	}
	rest_stage_deinit();
}
END_TEST

START_TEST(a_rest_that_is_damaged_meanwhile_is_made_anew)
{
	rest_stage_init(accumulators[_i]);
	rest_stage_publish(0);
	for (unsigned int how = 4; how < N_DAMAGES; how++) {
		rest_stage_publish(how);
		damage(how);
		ck_assert(!versions_claim(&versions));
		rest_stage_supply();
		ck_assert(versions_claim(&versions));
		assert_filled(rest_current_data(&versions.rest),
			      versions_current_data(&versions));
		rest_stage_publish(how + 20);
		ck_assert(rest_stage_is_found(how + 20));
		rest_stage_forget(&later);
	}
	rest_stage_deinit();
}
END_TEST

START_TEST(a_failed_publish_leaves_the_rest_of_the_public_version)
{
	struct version_state state = rest_stage_state_of(2);
	char path[FILE_NAME_SIZE + sizeof SHM_DIRECTORY];

	rest_stage_init(accumulators[_i]);
	rest_stage_publish(0);
	rest_stage_publish(1);
	/* A stranger takes the public name. */
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", versions.file);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	rest_stage_claim();
	rest_stage_fill_data(versions_next_data(&versions),
			     rest_next_data(&versions.rest), 2);
	ck_assert_int_eq(versions_publish(&versions, &state), -EEXIST);
	versions_abandon(&versions);
	ck_assert(rest_stage_is_rest_of(rest_current_data(&versions.rest), 1));
	ck_assert(rest_stage_is_found(1));
	rest_stage_forget(&later);
	ck_assert_int_eq(rmdir(path), 0);
	rest_stage_publish(3);
	ck_assert(rest_stage_is_rest_of(rest_current_data(&versions.rest), 3));
	rest_stage_deinit();
}
END_TEST

START_TEST(an_average_that_cannot_be_read_makes_no_rest)
{
	struct rest_supply wanted;

	rest_stage_init(ACCUMULATOR_FLOAT64);
	rest_stage_publish(0);
	ck_assert_int_eq(ftruncate(versions.current.shm.fd, 0), 0);
	wanted = rest_want(&later, versions_current_data(&versions),
			   N_RESTS * 4);
	ck_assert_int_eq(rest_supply_make(&wanted, NULL, NULL), -EFAULT);
	rest_take(&later, &wanted);
	ck_assert(!rest_claim(&later));
	ck_assert_ptr_null(rest_current_data(&later));
	rest_stage_deinit();
}
END_TEST

static Suite *
rest_suite(void)
{
	Suite *suite = suite_create("rest");
	TCase *tcase = tcase_create("rest");
	const int n = array_size(accumulators);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, rest_stage_setup, NULL);
	tcase_add_loop_test(
		tcase, the_current_rest_belongs_to_the_public_version, 0, n);
	tcase_add_loop_test(
		tcase,
		a_crash_at_any_moment_leaves_the_rest_of_the_public_version, 0,
		n);
	tcase_add_loop_test(tcase, what_was_adopted_is_gone_on_from, 0, n);
	tcase_add_loop_test(tcase, what_is_damaged_is_not_adopted_but_made_anew,
			    0, n);
	tcase_add_test(tcase, another_averages_rest_is_not_adopted);
	tcase_add_loop_test(
		tcase, a_rest_that_is_damaged_meanwhile_is_made_anew, 0, n);
	tcase_add_loop_test(
		tcase, a_failed_publish_leaves_the_rest_of_the_public_version,
		0, n);
	tcase_add_test(tcase, an_average_that_cannot_be_read_makes_no_rest);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(rest_suite)
