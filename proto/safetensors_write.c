/*
 * The writer: tensors in the order in which our files hold them, as text.
 */
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/safetensors.h"

static int
tensor_compare(const void *a, const void *b)
{
	const struct tensor *left = a;
	const struct tensor *right = b;

	if (left->dtype != right->dtype)
		return left->dtype > right->dtype ? -1 : 1;
	return strcmp(left->name, right->name);
}

bool
safetensors_arrange(struct tensor *tensors, size_t n_tensors,
		    uint64_t *ret_data_size)
{
	uint64_t begin = 0;

	if (n_tensors > 0)
		qsort(tensors, n_tensors, sizeof *tensors, tensor_compare);
	for (size_t i = 0; i < n_tensors; i++) {
		tensors[i].begin = begin;
		if (!u64_add(begin, tensors[i].size, &begin))
			return false;
	}
	*ret_data_size = begin;
	return true;
}

/* A string of ours as JSON has it, quotes included. */
static void
write_string(FILE *stream, const char *string)
{
	owned_json *json = json_string(string);

	must(json != NULL);
	must(json_dumpf(json, stream, JSON_ENCODE_ANY) == 0);
}

static void
write_tensor(FILE *stream, const struct tensor *tensor)
{
	write_string(stream, tensor->name);
	(void)fprintf(stream, ":{\"dtype\":\"%s\",\"shape\":[",
		      dtype_name(tensor->dtype));
	for (size_t i = 0; i < tensor->n_dims; i++)
		(void)fprintf(stream, "%s%ju", i > 0 ? "," : "",
			      (uintmax_t)tensor->shape[i]);
	(void)fprintf(stream, "],\"data_offsets\":[%ju,%ju]}",
		      (uintmax_t)tensor->begin,
		      (uintmax_t)(tensor->begin + tensor->size));
}

char *
safetensors_write(const struct tensor *tensors, size_t n_tensors,
		  const struct text_pair *metadata, size_t n_metadata,
		  size_t alignment, size_t *ret_size)
{
	char *text = NULL;
	size_t size = 0;
	size_t padded;
	FILE *stream = open_memstream(&text, &size);

	must(stream != NULL);
	(void)fputc('{', stream);
	if (n_metadata > 0)
		(void)fputs("\"__metadata__\":{", stream);
	for (size_t i = 0; i < n_metadata; i++) {
		(void)fputs(i > 0 ? "," : "", stream);
		write_string(stream, metadata[i].key);
		(void)fputc(':', stream);
		write_string(stream, metadata[i].value);
	}
	if (n_metadata > 0)
		(void)fputs(n_tensors > 0 ? "}," : "}", stream);
	for (size_t i = 0; i < n_tensors; i++) {
		(void)fputs(i > 0 ? "," : "", stream);
		write_tensor(stream, &tensors[i]);
	}
	(void)fputc('}', stream);
	must(fclose(stream) == 0);
	padded = u64_round_up(SAFETENSORS_SIZE_FIELD + size, alignment) -
		 SAFETENSORS_SIZE_FIELD;
	text = xrealloc(text, padded);
	memset(text + size, ' ', padded - size);
	*ret_size = padded;
	return text;
}
