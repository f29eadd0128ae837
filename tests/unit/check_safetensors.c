#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "proto/safetensors.h"
#include "tests/unit/unit.h"

static unsigned char
hex_digit(char c)
{
	return (unsigned char)(c <= '9' ? c - '0' : c - 'a' + 10);
}

/* The bytes of a case's file, malloc'ed so that a read beyond is caught. */
static unsigned char *
make_file(const json_t *pieces, size_t *ret_size)
{
	unsigned char *file = NULL;
	size_t size = 0;
	size_t index;
	json_t *piece;

	json_array_foreach (pieces, index, piece) {
		const char *hex = json_string_value(json_array_get(piece, 0));
		size_t n = (size_t)json_integer_value(json_array_get(piece, 1));
		size_t length = strlen(hex) / 2;

		file = xrealloc(file, size + n * length);
		for (size_t i = 0; i < length; i++)
			file[size + i] =
				(unsigned char)(hex_digit(hex[2 * i]) << 4 |
						hex_digit(hex[2 * i + 1]));
		for (size_t i = 1; i < n; i++)
			memcpy(file + size + i * length, file + size, length);
		size += n * length;
	}
	*ret_size = size;
	return file ? file : xmalloc(1);
}

START_TEST(accepts_and_refuses_what_the_reference_does)
{
	char *path = xasprintf("%s/tests/unit/safetensors_cases.json",
			       getenv("top_srcdir"));
	json_t *cases = json_load_file(path, 0, NULL);
	size_t n_checked = 0;
	size_t index;
	json_t *entry;

	ck_assert_msg(cases != NULL, "%s", path);
	json_array_foreach (cases, index, entry) {
		bool accept = json_is_true(json_object_get(entry, "accept"));
		struct safetensors *header = NULL;
		struct why why = { "" };
		enum status status;
		size_t size;
		unsigned char *file =
			make_file(json_object_get(entry, "file"), &size);

		/* Where we differ on purpose, we refuse. */
		if (json_object_get(entry, "differs"))
			accept = false;
		status = safetensors_parse_file(&header, file, size, &why);
		ck_assert_msg(accept == (status == STATUS_OK), "%s: %s, %s",
			      json_string_value(json_object_get(entry, "name")),
			      status_name(status), why.text);
		ck_assert(accept || why.text[0] != '\0');
		ck_assert(accept || status == STATUS_BAD_SPEC ||
			  status == STATUS_TOO_LARGE);
		safetensors_free(header);
		free(file);
		n_checked++;
	}
	ck_assert_uint_gt(n_checked, 400);
	json_decref(cases);
	free(path);
}
END_TEST

static struct safetensors *
parse(const char *json)
{
	struct safetensors *header;
	struct why why;

	ck_assert_msg(safetensors_parse(&header, json, strlen(json), &why) ==
			      STATUS_OK,
		      "%s", why.text);
	return header;
}

START_TEST(what_is_read_is_what_the_text_says)
{
	struct safetensors *header = parse(
		"{\"b\":{\"dtype\":\"F64\",\"shape\":[2,3],\"data_offsets\":"
		"[1,49]},\"__metadata__\":{\"k\":\"1\",\"l\":\"2\",\"k\":\"3\"}"
		",\"a\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}"
		"}  ");

	ck_assert_uint_eq(header->n_tensors, 2);
	ck_assert_str_eq(header->tensors[0].name, "a");
	ck_assert_uint_eq(header->tensors[0].n_elements, 1);
	ck_assert_uint_eq(header->tensors[0].n_dims, 0);
	ck_assert_str_eq(header->tensors[1].name, "b");
	ck_assert_int_eq(header->tensors[1].dtype, DTYPE_F64);
	ck_assert_uint_eq(header->tensors[1].n_dims, 2);
	ck_assert_uint_eq(header->tensors[1].shape[0], 2);
	ck_assert_uint_eq(header->tensors[1].shape[1], 3);
	ck_assert_uint_eq(header->tensors[1].begin, 1);
	ck_assert_uint_eq(header->tensors[1].size, 48);
	ck_assert_uint_eq(header->data_size, 49);
	ck_assert_uint_eq(header->n_metadata, 2);
	ck_assert_str_eq(safetensors_metadata(header, "k"), "3");
	ck_assert_str_eq(safetensors_metadata(header, "l"), "2");
	ck_assert_ptr_null(safetensors_metadata(header, "m"));
	ck_assert_ptr_eq(safetensors_find(header, "b"), &header->tensors[1]);
	ck_assert_ptr_null(safetensors_find(header, "c"));
	safetensors_free(header);
}
END_TEST

START_TEST(the_last_of_two_with_one_name_counts)
{
	struct safetensors *header =
		parse("{\"a\":[\"U8\",[9],[7,1]],\"b\":[\"U8\",[1],[1,2]],"
		      "\"a\":[\"I8\",[1],[0,1]]}");

	ck_assert_uint_eq(header->n_tensors, 2);
	ck_assert_int_eq(safetensors_find(header, "a")->dtype, DTYPE_I8);
	safetensors_free(header);
}
END_TEST

START_TEST(size_overflow_is_found)
{
	const uint64_t half[] = { UINT64_C(1) << 32, UINT64_C(1) << 32 };
	const uint64_t bits[] = { UINT64_C(1) << 61 };
	const uint64_t odd[] = { 3 };
	const uint64_t healed[] = { 0, UINT64_MAX, UINT64_MAX };
	uint64_t n;
	uint64_t size;

	ck_assert(!tensor_measure(DTYPE_U8, 2, half, &n, &size));
	ck_assert(!tensor_measure(DTYPE_U8, 1, bits, &n, &size));
	ck_assert(tensor_measure(DTYPE_F4, 1, bits, &n, &size));
	ck_assert_uint_eq(size, UINT64_C(1) << 60);
	ck_assert(!tensor_measure(DTYPE_F4, 1, odd, &n, &size));
	ck_assert(!tensor_measure(DTYPE_F6_E3M2, 1, odd, &n, &size));
	ck_assert(tensor_measure(DTYPE_F16, 3, healed, &n, &size));
	ck_assert_uint_eq(size, 0);
	ck_assert(!tensor_measure(DTYPE_F16, 2, &healed[1], &n, &size));
	ck_assert(tensor_measure(DTYPE_F16, 0, NULL, &n, &size));
	ck_assert_uint_eq(size, 2);
}
END_TEST

START_TEST(the_sum_of_sizes_may_overflow)
{
	struct tensor tensors[2] = {
		{ .name = "a", .dtype = DTYPE_U8, .size = UINT64_MAX },
		{ .name = "b", .dtype = DTYPE_U8, .size = 1 },
	};
	uint64_t size;

	ck_assert(!safetensors_arrange(tensors, 2, &size));
	tensors[0].size--;
	ck_assert(safetensors_arrange(tensors, 2, &size));
	ck_assert_uint_eq(size, UINT64_MAX);
}
END_TEST

static const char *const odd_names[] = {
	"",           " ",     "\"",       "\\",           "\n\t\r\b\f",
	"\x01\x1f",   "\x7f",  "/",        "\xc3\xa9",     "\xf0\x9f\x98\x80",
	"__metadata", "a.b.c", "{\"a\":1", "\xef\xbf\xbf",
};

/* A tensor of every type and of every odd name, arranged. */
static size_t
make_tensors(struct tensor *ret_tensors, uint64_t *ret_data_size)
{
	static const uint64_t shape[] = { 2, 1, 4 };
	size_t n = 0;

	for (unsigned int i = 0; i < N_DTYPES; i++)
		ret_tensors[n++] = (struct tensor) {
			.name = dtype_name((enum dtype)i),
			.dtype = (enum dtype)i,
			.n_dims = i % 2 ? 3 : 2,
			.shape = i % 2 ? shape : shape + 1,
		};
	for (size_t i = 0; i < array_size(odd_names); i++)
		ret_tensors[n++] = (struct tensor) {
			.name = odd_names[i],
			.dtype = i % 2 ? DTYPE_F32 : DTYPE_BF16,
		};
	for (size_t i = 0; i < n; i++)
		ck_assert(tensor_measure(
			ret_tensors[i].dtype, ret_tensors[i].n_dims,
			ret_tensors[i].shape, &ret_tensors[i].n_elements,
			&ret_tensors[i].size));
	ck_assert(safetensors_arrange(ret_tensors, n, ret_data_size));
	return n;
}

static void
assert_same(const struct tensor *a, const struct tensor *b)
{
	ck_assert_str_eq(a->name, b->name);
	ck_assert_int_eq(a->dtype, b->dtype);
	ck_assert_uint_eq(a->n_dims, b->n_dims);
	for (size_t i = 0; i < a->n_dims; i++)
		ck_assert_uint_eq(a->shape[i], b->shape[i]);
	ck_assert_uint_eq(a->n_elements, b->n_elements);
	ck_assert_uint_eq(a->begin, b->begin);
	ck_assert_uint_eq(a->size, b->size);
}

START_TEST(every_type_and_odd_name_survives_writing)
{
	struct tensor tensors[N_DTYPES + array_size(odd_names)];
	const struct text_pair pairs[] = { { "z", "\"\n\xc3\xa9" },
					   { "a", "" } };
	struct safetensors *header;
	uint64_t data_size;
	size_t n = make_tensors(tensors, &data_size);
	struct why why;
	size_t size;
	char *json = safetensors_write(tensors, n, pairs, 2, 4096, &size);

	ck_assert_uint_eq((size + SAFETENSORS_SIZE_FIELD) % 4096, 0);
	ck_assert_msg(safetensors_parse(&header, json, size, &why) == STATUS_OK,
		      "%s", why.text);
	ck_assert_uint_eq(header->n_tensors, n);
	ck_assert_uint_eq(header->data_size, data_size);
	for (size_t i = 0; i < n; i++)
		assert_same(&header->tensors[i], &tensors[i]);
	ck_assert_uint_eq(header->n_metadata, 2);
	ck_assert_str_eq(header->metadata[0].key, "z");
	ck_assert_str_eq(header->metadata[0].value, pairs[0].value);
	ck_assert_str_eq(header->metadata[1].value, "");
	safetensors_free(header);
	free(json);
}
END_TEST

START_TEST(arranged_tensors_lie_aligned_to_their_elements)
{
	struct tensor tensors[N_DTYPES + array_size(odd_names)];
	uint64_t data_size;
	size_t n = make_tensors(tensors, &data_size);

	for (size_t i = 0; i < n; i++) {
		uint64_t bytes = dtype_bits(tensors[i].dtype) / 8;

		ck_assert(bytes == 0 || tensors[i].begin % bytes == 0);
		ck_assert(i == 0 || tensors[i - 1].dtype >= tensors[i].dtype);
		ck_assert(i == 0 || tensors[i - 1].dtype > tensors[i].dtype ||
			  strcmp(tensors[i - 1].name, tensors[i].name) < 0);
	}
}
END_TEST

START_TEST(nothing_at_all_can_be_written_and_read)
{
	struct safetensors *header;
	uint64_t data_size = 1;
	struct why why;
	size_t size;
	char *json;

	ck_assert(safetensors_arrange(NULL, 0, &data_size));
	ck_assert_uint_eq(data_size, 0);
	json = safetensors_write(NULL, 0, NULL, 0, 8, &size);
	ck_assert_uint_eq(size, 8);
	ck_assert_int_eq(memcmp(json, "{}      ", 8), 0);
	ck_assert_int_eq(safetensors_parse(&header, json, size, &why), 0);
	ck_assert_uint_eq(header->n_tensors, 0);
	safetensors_free(header);
	free(json);
}
END_TEST

#define MANY 100000

START_TEST(a_hundred_thousand_tensors_survive_writing)
{
	struct tensor *tensors = xcalloc(MANY, sizeof *tensors);
	char(*names)[32] = xcalloc(MANY, sizeof *names);
	struct safetensors *header;
	const uint64_t one = 1;
	uint64_t data_size;
	struct why why;
	size_t size;
	char *json;

	for (size_t i = 0; i < MANY; i++) {
		(void)snprintf(names[i], sizeof names[i], "layer.%zu.weight",
			       i * 7919 % MANY);
		tensors[i] = (struct tensor) {
			.name = names[i],
			.dtype = i % 3 ? DTYPE_F32 : DTYPE_F16,
			.n_dims = 1,
			.shape = &one,
			.n_elements = 1,
			.size = i % 3 ? 4 : 2,
		};
	}
	ck_assert(safetensors_arrange(tensors, MANY, &data_size));
	json = safetensors_write(tensors, MANY, NULL, 0, 8, &size);
	ck_assert_msg(safetensors_parse(&header, json, size, &why) == STATUS_OK,
		      "%s", why.text);
	ck_assert_uint_eq(header->n_tensors, MANY);
	for (size_t i = 0; i < MANY; i++)
		assert_same(&header->tensors[i], &tensors[i]);
	safetensors_free(header);
	free(json);
	free(names);
	free(tensors);
}
END_TEST

/* A good file without data bytes missing; the caller frees it. */
static unsigned char *
make_good_file(size_t *ret_size)
{
	struct tensor tensors[N_DTYPES + array_size(odd_names)];
	const struct text_pair pair = { "k", "v" };
	unsigned char *file;
	uint64_t data_size;
	size_t n = make_tensors(tensors, &data_size);
	size_t json_size;
	char *json = safetensors_write(tensors, n, &pair, 1, 8, &json_size);

	*ret_size = SAFETENSORS_SIZE_FIELD + json_size + data_size;
	file = xcalloc(1, *ret_size);
	file[0] = (unsigned char)(json_size & 0xFF);
	file[1] = (unsigned char)(json_size >> 8 & 0xFF);
	memcpy(file + SAFETENSORS_SIZE_FIELD, json, json_size);
	free(json);
	return file;
}

START_TEST(every_prefix_of_a_good_file_is_refused)
{
	struct safetensors *header;
	struct why why;
	size_t size;
	unsigned char *file = make_good_file(&size);

	ck_assert_int_eq(safetensors_parse_file(&header, file, size, &why), 0);
	safetensors_free(header);
	for (size_t i = 0; i < size; i++) {
		unsigned char *prefix = xmalloc(i);

		memcpy(prefix, file, i);
		ck_assert_int_ne(
			safetensors_parse_file(&header, prefix, i, &why),
			STATUS_OK);
		free(prefix);
	}
	free(file);
}
END_TEST

START_TEST(no_flipped_bit_does_harm)
{
	struct why why;
	size_t size;
	unsigned char *file = make_good_file(&size);

	for (size_t i = 0; i < size * 8; i++) {
		struct safetensors *header = NULL;

		file[i / 8] ^= (unsigned char)(1U << i % 8);
		(void)safetensors_parse_file(&header, file, size, &why);
		ck_assert(!header || header->data_size < size);
		safetensors_free(header);
		file[i / 8] ^= (unsigned char)(1U << i % 8);
	}
	free(file);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("safetensors");
	TCase *tcase = tcase_create("safetensors");

	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, accepts_and_refuses_what_the_reference_does);
	tcase_add_test(tcase, what_is_read_is_what_the_text_says);
	tcase_add_test(tcase, the_last_of_two_with_one_name_counts);
	tcase_add_test(tcase, size_overflow_is_found);
	tcase_add_test(tcase, the_sum_of_sizes_may_overflow);
	tcase_add_test(tcase, every_type_and_odd_name_survives_writing);
	tcase_add_test(tcase, arranged_tensors_lie_aligned_to_their_elements);
	tcase_add_test(tcase, nothing_at_all_can_be_written_and_read);
	tcase_add_test(tcase, a_hundred_thousand_tensors_survive_writing);
	tcase_add_test(tcase, every_prefix_of_a_good_file_is_refused);
	tcase_add_test(tcase, no_flipped_bit_does_harm);
	suite_add_tcase(suite, tcase);
	return suite;
}

UNIT_MAIN(make_suite)
