/*
 * The safetensors format: reading headers of strangers, writing our own.
 *
 * A file is an 8-byte little-endian header size N, N bytes of JSON, and data.
 * The reader accepts and refuses exactly what the reference implementation
 * (the safetensors package) does, but for names and metadata with NUL bytes
 * inside, which it refuses (safetensors_text.c has the fine print).  So of
 * two tensors with one name the later one counts.  The table of cases is
 * tests/unit/safetensors_cases.json, made with that package.
 *
 * Not done here: files and mappings.  Any thread; nothing is shared.
 */
#ifndef PROTO_SAFETENSORS_H
#define PROTO_SAFETENSORS_H

#include <stdint.h>

#include "proto/dtype.h"
#include "proto/status.h"
#include "proto/util.h"

#define SAFETENSORS_HEADER_MAX UINT64_C(100000000)
#define SAFETENSORS_ALIGNMENT  4096 /* of the data, in the files we write */
#define SAFETENSORS_SIZE_FIELD 8

struct tensor {
	const char *name; /* UTF-8, without NUL bytes inside */
	enum dtype dtype;
	size_t n_dims;
	const uint64_t *shape; /* outermost first, as in numpy */
	uint64_t n_elements;
	uint64_t begin; /* bytes from the start of the data */
	uint64_t size;  /* bytes */
};

struct text_pair {
	const char *key;
	const char *value;
};

/* A parsed header.  Owns all that its tensors and pairs point to. */
struct safetensors {
	size_t n_tensors;
	struct tensor *tensors; /* in the order of their data */
	size_t n_metadata;
	struct text_pair *metadata;
	uint64_t header_size; /* bytes before the data: 8 + N */
	uint64_t data_size;   /* bytes of data */
};

/*
 * Parse the JSON of a header: @size bytes at @json, without the size field.
 * Refusals are BAD_SPEC or TOO_LARGE with a sentence; @ret is written on
 * success only and freed with safetensors_free().
 */
enum status safetensors_parse(struct safetensors **ret, const void *json,
			      size_t size, struct why *why);

/*
 * Parse a whole file of @size bytes at @file: the header, and that the data
 * has exactly the length that the header says.  Only the header is read.
 */
enum status safetensors_parse_file(struct safetensors **ret, const void *file,
				   uint64_t size, struct why *why);

/*
 * Copies of @tensors, in their order, as a header of its own: without
 * metadata, and with both sizes 0.
 */
struct safetensors *
safetensors_new(const struct tensor *tensors, size_t n_tensors);

void safetensors_free(struct safetensors *header);

static inline void
safetensors_free_owned(struct safetensors **header)
{
	safetensors_free(*header);
}
#define owned_safetensors                                                      \
	__attribute__((cleanup(safetensors_free_owned))) struct safetensors

/* NULL: none of that name.  Looks at every entry. */
const struct tensor *
safetensors_find(const struct safetensors *header, const char *name);
const char *
safetensors_metadata(const struct safetensors *header, const char *key);

/*
 * n_elements and size of a tensor of @dtype and @shape.  False: the product
 * overflows, or its bits are no whole number of bytes.
 */
bool tensor_measure(enum dtype dtype, size_t n_dims, const uint64_t *shape,
		    uint64_t *ret_n_elements, uint64_t *ret_size);

/*
 * Write the JSON of a header (no size field) for @tensors, in the order given
 * and with the offsets they carry: begin of the first is 0, each other begins
 * where the one before ends.  The result is padded with spaces so that size
 * field and JSON together are a multiple of @alignment (a power of two).
 *
 * @metadata comes first in the JSON, in the order given.  Names, keys and
 * values must be UTF-8: who takes them from elsewhere checks that before.
 * Returns malloc'ed bytes, *ret_size of them.
 */
char *safetensors_write(const struct tensor *tensors, size_t n_tensors,
			const struct text_pair *metadata, size_t n_metadata,
			size_t alignment, size_t *ret_size);

/*
 * Sort @tensors into the order in which a file of ours holds them (type with
 * the higher rank first, then by name, byte by byte) and set each begin.
 * False: the sum of the sizes overflows.
 */
bool safetensors_arrange(struct tensor *tensors, size_t n_tensors,
			 uint64_t *ret_data_size);

#endif
