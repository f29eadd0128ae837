/*
 * From the text of a header to tensors whose offsets can be believed.
 */
#include "proto/safetensors.h"

#include <endian.h>
#include <string.h>

#include "proto/safetensors_text.h"

struct keyed {
	const char *key;
	size_t index;
};

static int
keyed_compare(const void *a, const void *b)
{
	const struct keyed *left = a;
	const struct keyed *right = b;
	int order = strcmp(left->key, right->key);

	if (order != 0)
		return order;
	return left->index < right->index ? -1 : left->index > right->index;
}

/*
 * Which of the @n keys come again later: one bool each, malloc'ed.  @keyed is
 * sorted by this.
 */
static bool *
keyed_superseded(struct keyed *keyed, size_t n)
{
	bool *superseded = xcalloc(n, sizeof *superseded);

	qsort(keyed, n, sizeof *keyed, keyed_compare);
	for (size_t i = 1; i < n; i++)
		if (strcmp(keyed[i - 1].key, keyed[i].key) == 0)
			superseded[keyed[i - 1].index] = true;
	return superseded;
}

/* By offsets; what is empty and lies at the same place, as in the text. */
static int
entry_compare(const void *a, const void *b)
{
	const struct text_entry *left = a;
	const struct text_entry *right = b;

	if (left->begin != right->begin)
		return left->begin < right->begin ? -1 : 1;
	if (left->end != right->end)
		return left->end < right->end ? -1 : 1;
	return left->index < right->index ? -1 : left->index > right->index;
}

/* Drop the entries whose name comes again and sort the rest by offsets. */
static void
arrange_entries(struct safetensors_text *text)
{
	struct keyed *keyed = xcalloc(text->n_entries, sizeof *keyed);
	bool *superseded;
	size_t n = 0;

	for (size_t i = 0; i < text->n_entries; i++)
		keyed[i] = (struct keyed) {
			json_string_value(text->entries[i].name), i
		};
	superseded = keyed_superseded(keyed, text->n_entries);
	free(keyed);
	for (size_t i = 0; i < text->n_entries; i++) {
		struct text_entry entry = text->entries[i];

		if (superseded[i]) {
			json_decref(entry.name);
			free(entry.shape);
		} else {
			text->entries[n++] = entry;
		}
	}
	free(superseded);
	text->n_entries = n;
	if (n > 0)
		qsort(text->entries, n, sizeof *text->entries, entry_compare);
}

/* Drop the pairs whose key comes again. */
static void
arrange_pairs(struct safetensors_text *text)
{
	struct keyed *keyed = xcalloc(text->n_pairs, sizeof *keyed);
	bool *superseded;
	size_t n = 0;

	for (size_t i = 0; i < text->n_pairs; i++)
		keyed[i] = (struct keyed) { text->pairs[i].key, i };
	superseded = keyed_superseded(keyed, text->n_pairs);
	free(keyed);
	for (size_t i = 0; i < text->n_pairs; i++) {
		if (superseded[i])
			free((void *)text->pairs[i].key);
		else
			text->pairs[n++] = text->pairs[i];
	}
	free(superseded);
	text->n_pairs = n;
}

/* The same tensor with a name and a shape of its own, in one block. */
static struct tensor
tensor_copy(const struct tensor *tensor)
{
	size_t shape_size = tensor->n_dims * sizeof *tensor->shape;
	size_t name_size = strlen(tensor->name) + 1;
	char *block = xmalloc(shape_size + name_size);
	struct tensor copy = *tensor;

	if (shape_size > 0)
		memcpy(block, tensor->shape, shape_size);
	memcpy(block + shape_size, tensor->name, name_size);
	copy.shape = (const uint64_t *)(void *)block;
	copy.name = block + shape_size;
	return copy;
}

static bool
entry_check(const struct text_entry *entry, uint64_t begin,
	    struct tensor *ret_tensor, struct why *why)
{
	const char *name = json_string_value(entry->name);
	struct tensor tensor = {
		.name = name,
		.dtype = entry->dtype,
		.n_dims = entry->n_dims,
		.shape = entry->shape,
		.begin = begin,
	};

	if (entry->begin != begin || entry->end < begin) {
		why_set(why,
			"a tensor's data_offsets do not go on where the "
			"tensor before ends: '%s'",
			name);
		return false;
	}
	if (!tensor_measure(tensor.dtype, tensor.n_dims, tensor.shape,
			    &tensor.n_elements, &tensor.size)) {
		why_set(why,
			"a tensor's size overflows, or is no whole "
			"number of bytes: '%s'",
			name);
		return false;
	}
	if (entry->end - begin != tensor.size) {
		why_set(why,
			"a tensor's shape and data_offsets do not agree: "
			"'%s'",
			name);
		return false;
	}
	*ret_tensor = tensor_copy(&tensor);
	return true;
}

static bool
take_entries(struct safetensors *header, const struct safetensors_text *text,
	     struct why *why)
{
	header->tensors = xcalloc(text->n_entries, sizeof *header->tensors);
	for (size_t i = 0; i < text->n_entries; i++) {
		if (!entry_check(&text->entries[i], header->data_size,
				 &header->tensors[i], why))
			return false;
		header->n_tensors++;
		header->data_size = text->entries[i].end;
	}
	return true;
}

enum status
safetensors_parse(struct safetensors **ret, const void *json, size_t size,
		  struct why *why)
{
	owned_safetensors *header = NULL;
	struct safetensors_text text;
	enum status status;

	if (size > SAFETENSORS_HEADER_MAX) {
		why_set(why,
			"the safetensors header has %zu bytes, above the "
			"format's limit of 100000000",
			size);
		return STATUS_TOO_LARGE;
	}
	header = xcalloc(1, sizeof *header);
	header->header_size = SAFETENSORS_SIZE_FIELD + size;
	status = safetensors_text_parse(&text, json, size, why);
	if (status == STATUS_OK) {
		arrange_entries(&text);
		if (!take_entries(header, &text, why))
			status = STATUS_BAD_SPEC;
	}
	if (status == STATUS_OK) {
		arrange_pairs(&text);
		header->n_metadata = text.n_pairs;
		header->metadata = take_pointer(&text.pairs);
		text.n_pairs = 0;
		*ret = take_pointer(&header);
	}
	safetensors_text_deinit(&text);
	return status;
}

enum status
safetensors_parse_file(struct safetensors **ret, const void *file,
		       uint64_t size, struct why *why)
{
	owned_safetensors *header = NULL;
	enum status status;
	uint64_t json_size;

	if (size < SAFETENSORS_SIZE_FIELD) {
		why_set(why, "a safetensors file has at least 8 bytes");
		return STATUS_BAD_SPEC;
	}
	memcpy(&json_size, file, sizeof json_size);
	json_size = le64toh(json_size);
	if (json_size <= SAFETENSORS_HEADER_MAX &&
	    json_size > size - SAFETENSORS_SIZE_FIELD) {
		why_set(why, "the file ends within its safetensors header");
		return STATUS_BAD_SPEC;
	}
	status = safetensors_parse(&header,
				   (const char *)file + SAFETENSORS_SIZE_FIELD,
				   json_size, why);
	if (status != STATUS_OK)
		return status;
	if (header->data_size != size - header->header_size) {
		why_set(why,
			"the file has %ju bytes of data, its safetensors "
			"header says %ju",
			(uintmax_t)(size - header->header_size),
			(uintmax_t)header->data_size);
		return STATUS_BAD_SPEC;
	}
	*ret = take_pointer(&header);
	return STATUS_OK;
}

struct safetensors *
safetensors_new(const struct tensor *tensors, size_t n_tensors)
{
	struct safetensors *header = xcalloc(1, sizeof *header);

	header->tensors = xcalloc(n_tensors, sizeof *header->tensors);
	for (size_t i = 0; i < n_tensors; i++)
		header->tensors[i] = tensor_copy(&tensors[i]);
	header->n_tensors = n_tensors;
	return header;
}

void
safetensors_free(struct safetensors *header)
{
	if (!header)
		return;
	for (size_t i = 0; i < header->n_tensors; i++)
		free((void *)header->tensors[i].shape);
	for (size_t i = 0; i < header->n_metadata; i++)
		free((void *)header->metadata[i].key);
	free(header->tensors);
	free(header->metadata);
	free(header);
}

const struct tensor *
safetensors_find(const struct safetensors *header, const char *name)
{
	for (size_t i = 0; i < header->n_tensors; i++)
		if (strcmp(header->tensors[i].name, name) == 0)
			return &header->tensors[i];
	return NULL;
}

const char *
safetensors_metadata(const struct safetensors *header, const char *key)
{
	for (size_t i = 0; i < header->n_metadata; i++)
		if (strcmp(header->metadata[i].key, key) == 0)
			return header->metadata[i].value;
	return NULL;
}

bool
tensor_measure(enum dtype dtype, size_t n_dims, const uint64_t *shape,
	       uint64_t *ret_n_elements, uint64_t *ret_size)
{
	uint64_t n_elements = 1;
	uint64_t n_bits;

	/* Left to right: a 0 heals what comes after it, not what was before. */
	for (size_t i = 0; i < n_dims; i++)
		if (!u64_multiply(n_elements, shape[i], &n_elements))
			return false;
	if (!u64_multiply(n_elements, dtype_bits(dtype), &n_bits) ||
	    n_bits % 8 != 0)
		return false;
	*ret_n_elements = n_elements;
	*ret_size = n_bits / 8;
	return true;
}
