#include <math.h>
#include <stdio.h>
#include <string.h>

#include "proto/version.h"
#include "tests/unit/unit.h"

static const char table[] =
	"{\"bf\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,12]},"
	"\"wide\":{\"dtype\":\"F64\",\"shape\":[],\"data_offsets\":[12,20]},"
	"\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]},"
	"\"a\\\"\\n\xc3\xa9\":[\"F32\",[1],[24,28]],"
	"\"e5\":{\"dtype\":\"F8_E5M2\",\"shape\":[4],\"data_offsets\":[28,32]},"
	"\"none\":{\"dtype\":\"F16\",\"shape\":[0,9],\"data_offsets\":[32,32]},"
	"\"count\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[32,40]},"
	"\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[40,43]}}";

/* All that a version is made of; and one, in the way a daemon has it. */
static struct safetensors *slot;
static struct safetensors *average;
static struct profile profile;
static struct version_header header;
static unsigned char *file;
static uint64_t file_size;
static struct why why;

static const struct version_model net = { .name = "net", .owner = 1234 };

static void
make_version(const char *json)
{
	struct schedule schedule = schedule_default(SCHEDULE_EMA_PYTORCH);
	struct safetensors *spec;

	ck_assert_msg(safetensors_parse(&spec, json, strlen(json), &why) ==
			      STATUS_OK,
		      "%s", why.text);
	ck_assert_int_eq(version_slot_layout(&slot, spec, &why), STATUS_OK);
	ck_assert_int_eq(version_average_layout(&average, spec, &why),
			 STATUS_OK);
	safetensors_free(spec);
	profile_init(&profile, "ema", &schedule);
	name_list_append(&profile.no_ema, "b");
	name_list_append(&profile.ignore_startswith, "m\xc3\xa9");
	ck_assert_int_eq(version_header_init(&header, &net, &profile, slot,
					     average, &why),
			 STATUS_OK);
	file_size = header.size + average->data_size;
	file = aligned_alloc(4096, u64_round_up(file_size, 4096));
	ck_assert_ptr_nonnull(file);
	memset(file, 0, u64_round_up(file_size, 4096));
}

static void
free_version(void)
{
	safetensors_free(slot);
	safetensors_free(average);
	profile_deinit(&profile);
	version_header_deinit(&header);
	free(file);
}

static void
setup(void)
{
	make_version(table);
}

static struct version_state
make_state(int64_t step, size_t n_publishers)
{
	struct version_state state = {
		.step = step,
		.updates = (uint64_t)step + 1,
		.decay = 0.9999,
	};

	for (size_t i = 0; i < n_publishers; i++)
		version_set_sequence(&state, UINT64_MAX - i, UINT64_MAX - i);
	return state;
}

static void
assert_state(const struct version_state *a, const struct version_state *b)
{
	ck_assert_int_eq(a->step, b->step);
	ck_assert_uint_eq(a->updates, b->updates);
	ck_assert(a->decay == b->decay);
	ck_assert_uint_eq(a->n_publishers, b->n_publishers);
	for (size_t i = 0; i < a->n_publishers; i++) {
		ck_assert_uint_eq(a->publishers[i].id, b->publishers[i].id);
		ck_assert_uint_eq(a->publishers[i].sequence,
				  b->publishers[i].sequence);
	}
}

static void
assert_layout(const struct safetensors *a, const struct safetensors *b)
{
	ck_assert_uint_eq(a->n_tensors, b->n_tensors);
	ck_assert_uint_eq(a->data_size, b->data_size);
	for (size_t i = 0; i < a->n_tensors; i++) {
		ck_assert_str_eq(a->tensors[i].name, b->tensors[i].name);
		ck_assert_int_eq(a->tensors[i].dtype, b->tensors[i].dtype);
		ck_assert_uint_eq(a->tensors[i].begin, b->tensors[i].begin);
		ck_assert_uint_eq(a->tensors[i].size, b->tensors[i].size);
		ck_assert_uint_eq(a->tensors[i].n_dims, b->tensors[i].n_dims);
	}
}

static bool
is_readable(void)
{
	struct version *version = NULL;
	bool good = version_read(&version, file, file_size, &why) == STATUS_OK;

	version_free(version);
	return good;
}

START_TEST(averages_lie_by_their_type_then_by_the_published_one)
{
	static const char *const names[] = {
		"count", "wide", "a\"\n\xc3\xa9", "b", "bf",
		"none",  "e5",   "mask",
	};

	ck_assert_uint_eq(average->n_tensors, array_size(names));
	for (size_t i = 0; i < array_size(names); i++)
		ck_assert_str_eq(average->tensors[i].name, names[i]);
	ck_assert_uint_eq(average->data_size,
			  8 + 8 + 4 + 4 + 6 * 4 + 0 + 4 * 4 + 3);
	ck_assert_uint_eq(slot->data_size, 43);
	ck_assert_str_eq(slot->tensors[0].name, "count");
	ck_assert_str_eq(slot->tensors[7].name, "mask");
}
END_TEST

START_TEST(a_version_says_all_that_was_written)
{
	struct version_state state = make_state(STEP_MAX, VERSION_PUBLISHERS);
	struct version *version;

	version_header_write(&header, &state, true, file);
	ck_assert_msg(version_read(&version, file, file_size, &why) ==
			      STATUS_OK,
		      "%s", why.text);
	ck_assert_str_eq(version->model, "net");
	ck_assert_uint_eq(version->owner, 1234);
	ck_assert_msg(profile_equal(&version->profile, &profile, &why), "%s",
		      why.text);
	assert_state(&version->state, &state);
	assert_layout(version->average, average);
	assert_layout(version->spec, slot);
	ck_assert_uint_eq(version->average->header_size, header.size);
	version_free(version);
}
END_TEST

START_TEST(a_version_is_a_safetensors_file_with_aligned_data)
{
	struct version_state state = make_state(7, 1);
	struct safetensors *read;

	version_header_write(&header, &state, true, file);
	ck_assert_int_eq(safetensors_parse_file(&read, file, file_size, &why),
			 STATUS_OK);
	ck_assert_uint_eq(read->header_size % SAFETENSORS_ALIGNMENT, 0);
	ck_assert_uint_eq(read->header_size, header.size);
	assert_layout(read, average);
	ck_assert_str_eq(safetensors_metadata(read, "emad.step"), "7");
	ck_assert_str_eq(safetensors_metadata(read, "emad.updates"), "8");
	ck_assert_str_eq(safetensors_metadata(read, "emad.publishers"),
			 "{\"ffffffffffffffff\":18446744073709551615}");
	ck_assert(strtod(safetensors_metadata(read, "emad.decay"), NULL) ==
		  0.9999);
	ck_assert_str_eq(
		safetensors_metadata(read, "emad.dtypes"),
		"{\"bf\":\"BF16\",\"none\":\"F16\",\"e5\":\"F8_E5M2\"}");
	safetensors_free(read);
}
END_TEST

START_TEST(a_new_state_leaves_the_rest_of_the_file_alone)
{
	const size_t dynamic = SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE;
	struct version_state first = make_state(1, VERSION_PUBLISHERS);
	struct version_state second = make_state(2, 0);
	struct version_state read;
	unsigned char *before;

	version_header_write(&header, &first, true, file);
	memset(file + header.size, 0xAB, file_size - header.size);
	before = xmalloc(file_size);
	memcpy(before, file, file_size);
	version_header_write(&header, &second, false, file);
	ck_assert_int_ne(memcmp(before, file, dynamic), 0);
	ck_assert_int_eq(memcmp(before, file, SAFETENSORS_SIZE_FIELD), 0);
	ck_assert_int_eq(
		memcmp(before + dynamic, file + dynamic, file_size - dynamic),
		0);
	ck_assert_int_eq(version_read_state(&read, file, file_size, &why),
			 STATUS_OK);
	assert_state(&read, &second);
	ck_assert(is_readable());
	free(before);
}
END_TEST

START_TEST(every_decay_survives_to_the_last_bit)
{
	const double decays[] = {
		0.0,
		0.5,
		1.0,
		1.0 / 3,
		0x1p-1022,
		0x1p-3,
		1e-9,
		nextafter(0, 1),
		nextafter(1, 0),
		0.9999f,
	};

	for (size_t i = 0; i < array_size(decays); i++) {
		struct version_state state = make_state(1, 0);
		struct version_state read;

		state.decay = decays[i];
		version_header_write(&header, &state, true, file);
		ck_assert_int_eq(
			version_read_state(&read, file, file_size, &why),
			STATUS_OK);
		ck_assert(read.decay == decays[i]);
	}
}
END_TEST

START_TEST(an_invalidated_or_empty_version_is_refused)
{
	struct version_state state = make_state(1, 1);

	ck_assert(!is_readable());
	version_header_write(&header, &state, true, file);
	ck_assert(is_readable());
	version_header_invalidate(file);
	ck_assert(!is_readable());
	ck_assert_int_eq(version_read_state(&state, file, file_size, &why),
			 STATUS_BAD_SPEC);
	state = VERSION_STATE_NONE;
	version_header_write(&header, &state, true, file);
	ck_assert(!is_readable());
}
END_TEST

START_TEST(the_newest_publishers_are_remembered)
{
	struct version_state state = VERSION_STATE_NONE;

	ck_assert_uint_eq(version_sequence(&state, 1), 0);
	for (uint64_t i = 1; i <= VERSION_PUBLISHERS; i++)
		version_set_sequence(&state, i, i * 10);
	version_set_sequence(&state, 1, 11);
	ck_assert_uint_eq(state.n_publishers, VERSION_PUBLISHERS);
	ck_assert_uint_eq(state.publishers[0].id, 1);
	version_set_sequence(&state, 99, 990);
	ck_assert_uint_eq(state.n_publishers, VERSION_PUBLISHERS);
	ck_assert_uint_eq(version_sequence(&state, 99), 990);
	ck_assert_uint_eq(version_sequence(&state, 1), 11);
	ck_assert_uint_eq(version_sequence(&state, 2), 0);
	ck_assert_uint_eq(version_sequence(&state, 3), 30);
}
END_TEST

START_TEST(every_prefix_of_a_version_is_refused)
{
	struct version_state state = make_state(1, 2);

	version_header_write(&header, &state, true, file);
	for (uint64_t size = 0; size < file_size; size++) {
		unsigned char *prefix = xmalloc(size);
		struct version *version;

		memcpy(prefix, file, size);
		ck_assert_int_eq(version_read(&version, prefix, size, &why),
				 STATUS_BAD_SPEC);
		if (size < header.size)
			ck_assert_int_eq(
				version_read_state(&state, prefix, size, &why),
				STATUS_BAD_SPEC);
		free(prefix);
	}
}
END_TEST

START_TEST(what_survives_a_flipped_byte_is_written_again_alike)
{
	struct version_state state = make_state(1, 2);

	version_header_write(&header, &state, true, file);
	for (size_t i = 0; i < header.size * 2; i++) {
		unsigned char flip = i % 2 ? 0xFF : 0x01;
		struct version_header again;
		struct version *version;

		file[i / 2] ^= flip;
		if (version_read(&version, file, file_size, &why) ==
		    STATUS_OK) {
			struct version_model model = {
				.name = version->model,
				.owner = version->owner,
			};

			ck_assert_int_eq(
				version_header_init(
					&again, &model, &version->profile,
					version->spec, version->average, &why),
				STATUS_OK);
			ck_assert_uint_eq(again.size, header.size);
			version_header_deinit(&again);
			version_free(version);
		}
		file[i / 2] ^= flip;
	}
}
END_TEST

/* Replace @from by the equally long @to in the header. */
static void
forge(const char *from, const char *to)
{
	struct version_state state = make_state(1, 2);
	char *at;

	ck_assert_uint_eq(strlen(from), strlen(to));
	version_header_write(&header, &state, true, file);
	at = memmem(file, header.size, from, strlen(from));
	ck_assert_msg(at != NULL, "%s", from);
	memcpy(at, to, strlen(to));
}

START_TEST(forged_headers_are_refused)
{
	static const char *const forgeries[][2] = {
		{ "\"emad.format\":\"1\"", "\"emad.format\":\"2\"" },
		{ "\"emad.model\":\"net\"", "\"emad.model\":\"n/t\"" },
		{ "\"emad.owner\":\"1234\"", "\"emad.owner\":\"0234\"" },
		{ "\"emad.step\":\"1\"", "\"emad.step\":\"x\"" },
		{ "\"emad.updates\":\"2\"", "\"emad.updates\":\"-\"" },
		{ "\"emad.decay\":\"0x1", "\"emad.decay\":\"0x2" },
		{ "p-1\"", "p+9\"" },
		{ "\"emad.format\"", "\"emad.formbt\"" },
		{ "\\\"bf\\\":\\\"BF16", "\\\"bf\\\":\\\"BF17" },
		{ "\\\"bf\\\":\\\"BF16", "\\\"bg\\\":\\\"BF16" },
		{ "\\\"F16\\\"", "\\\"I16\\\"" },
		{ "\\\"F16\\\"", "\\\"F32\\\"" },
		{ "\\\"variant\\\"", "\\\"varianx\\\"" },
		{ "\\\"beta\\\":0.9", "\\\"beta\\\":9.9" },
		{ "\"mask\":{", "\"mas\":[ " },
		{ "{\"__metadata__\"", "{\"__metadatb__\"" },
		{ "\"data_offsets\":[0,8]", "\"data_offsets\":[8,0]" },
		{ "\"b\":{\"dtype\"", "\"!\":{\"dtype\"" },
	};

	for (size_t i = 0; i < array_size(forgeries); i++) {
		forge(forgeries[i][0], forgeries[i][1]);
		ck_assert_msg(!is_readable(), "%s", forgeries[i][1]);
	}
}
END_TEST

START_TEST(a_second_state_behind_the_first_is_refused)
{
	static const char key[] = ",\"emad.step\":\"8\"}";
	struct version_state state = make_state(1, 0);
	unsigned char *brace;

	version_header_write(&header, &state, true, file);
	brace = memmem(file, header.size, "},\"count\"", 9);
	ck_assert_ptr_nonnull(brace);
	memmove(brace + sizeof key - 2, brace,
		header.size - (size_t)(brace - file) - (sizeof key - 2));
	memcpy(brace, key, sizeof key - 1);
	ck_assert(!is_readable());
}
END_TEST

START_TEST(slots_are_safetensors_files_of_the_published_types)
{
	struct version_header made;
	struct safetensors *read;
	struct version *version;

	ck_assert_int_eq(version_header_init_slot(&made, "net", slot, &why),
			 STATUS_OK);
	ck_assert_uint_eq(made.size % SAFETENSORS_ALIGNMENT, 0);
	ck_assert_int_eq(
		safetensors_parse_file(&read, made.bytes, made.size, &why),
		STATUS_BAD_SPEC);
	made.bytes = xrealloc(made.bytes, made.size + slot->data_size);
	memset(made.bytes + made.size, 0, slot->data_size);
	ck_assert_int_eq(safetensors_parse_file(&read, made.bytes,
						made.size + slot->data_size,
						&why),
			 STATUS_OK);
	assert_layout(read, slot);
	ck_assert_str_eq(safetensors_metadata(read, "emad.kind"), "slot");
	ck_assert_int_eq(version_read(&version, made.bytes,
				      made.size + slot->data_size, &why),
			 STATUS_BAD_SPEC);
	safetensors_free(read);
	version_header_deinit(&made);
}
END_TEST

START_TEST(models_of_no_tensors_and_of_empty_ones_have_versions)
{
	static const char *const tables[] = {
		"{}",
		"{\"z\":[\"F64\",[0],[0,0]],\"a\":[\"F16\",[0],[0,0]],"
		"\"b\":[\"F32\",[0,2],[0,0]],\"c\":[\"U8\",[],[0,1]],"
		"\"d\":[\"BOOL\",[0],[1,1]],\"aa\":[\"BOOL\",[0],[0,0]]}",
	};

	for (size_t i = 0; i < array_size(tables); i++) {
		struct version_state state = make_state(0, 0);

		free_version();
		make_version(tables[i]);
		version_header_write(&header, &state, true, file);
		ck_assert_msg(is_readable(), "%s", why.text);
	}
}
END_TEST

START_TEST(an_average_that_would_overflow_is_refused)
{
	static const char json[] = "{\"a\":[\"F8_E4M3\",[2305843009213693951],"
				   "[0,2305843009213693951]]}";
	static const char wide[] = "{\"a\":[\"F16\",[1152921504606846975],"
				   "[0,2305843009213693950]]}";
	struct safetensors *spec;
	struct safetensors *layout;

	ck_assert_int_eq(safetensors_parse(&spec, json, strlen(json), &why), 0);
	ck_assert_int_eq(version_average_layout(&layout, spec, &why),
			 STATUS_TOO_LARGE);
	safetensors_free(spec);
	ck_assert_int_eq(safetensors_parse(&spec, wide, strlen(wide), &why), 0);
	ck_assert_int_eq(version_average_layout(&layout, spec, &why),
			 STATUS_TOO_LARGE);
	safetensors_free(spec);
}
END_TEST

#define MANY 100000

START_TEST(a_hundred_thousand_tensors_have_a_version)
{
	struct version_state state = make_state(3, 3);
	char *json = xmalloc(MANY * 64);
	size_t n = 0;

	for (size_t i = 0; i < MANY; i++)
		n += (size_t)snprintf(json + n, 64,
				      "%c\"t%zu\":[\"%s\",[1],[%zu,%zu]]",
				      i ? ',' : '{', i * 7919 % MANY,
				      i % 2 ? "BF16" : "I16", i * 2, i * 2 + 2);
	(void)snprintf(json + n, 64, "}");
	free_version();
	make_version(json);
	version_header_write(&header, &state, true, file);
	ck_assert_msg(is_readable(), "%s", why.text);
	free(json);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("version");
	TCase *tcase = tcase_create("version");

	tcase_add_checked_fixture(tcase, setup, free_version);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase,
		       averages_lie_by_their_type_then_by_the_published_one);
	tcase_add_test(tcase, a_version_says_all_that_was_written);
	tcase_add_test(tcase,
		       a_version_is_a_safetensors_file_with_aligned_data);
	tcase_add_test(tcase, a_new_state_leaves_the_rest_of_the_file_alone);
	tcase_add_test(tcase, every_decay_survives_to_the_last_bit);
	tcase_add_test(tcase, an_invalidated_or_empty_version_is_refused);
	tcase_add_test(tcase, the_newest_publishers_are_remembered);
	tcase_add_test(tcase, every_prefix_of_a_version_is_refused);
	tcase_add_test(tcase,
		       what_survives_a_flipped_byte_is_written_again_alike);
	tcase_add_test(tcase, forged_headers_are_refused);
	tcase_add_test(tcase, a_second_state_behind_the_first_is_refused);
	tcase_add_test(tcase,
		       slots_are_safetensors_files_of_the_published_types);
	tcase_add_test(tcase,
		       models_of_no_tensors_and_of_empty_ones_have_versions);
	tcase_add_test(tcase, an_average_that_would_overflow_is_refused);
	tcase_add_test(tcase, a_hundred_thousand_tensors_have_a_version);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(make_suite)
