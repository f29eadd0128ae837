/*
 * Layouts and headers: writing.
 */
#include "proto/version.h"

#include <endian.h>
#include <string.h>

#include "proto/json.h"
#include "proto/version_state.h"

struct average_tensor {
	struct tensor tensor;
	enum dtype published;
};

static int
average_compare(const void *a, const void *b)
{
	const struct average_tensor *left = a;
	const struct average_tensor *right = b;

	if (left->tensor.dtype != right->tensor.dtype)
		return left->tensor.dtype > right->tensor.dtype ? -1 : 1;
	if (left->published != right->published)
		return left->published > right->published ? -1 : 1;
	return strcmp(left->tensor.name, right->tensor.name);
}

static enum status
refuse_size(struct why *why)
{
	why_set(why, "the sizes of the model's tensors add up to more than "
		     "2^64 bytes");
	return STATUS_TOO_LARGE;
}

enum status
version_slot_layout(struct safetensors **ret_layout,
		    const struct safetensors *spec, struct why *why)
{
	owned_safetensors *layout =
		safetensors_new(spec->tensors, spec->n_tensors);

	if (!safetensors_arrange(layout->tensors, layout->n_tensors,
				 &layout->data_size))
		return refuse_size(why);
	*ret_layout = take_pointer(&layout);
	return STATUS_OK;
}

enum status
version_average_layout(struct safetensors **ret_layout,
		       const struct safetensors *spec, struct why *why)
{
	size_t n = spec->n_tensors;
	owned_memory struct average_tensor *order = xcalloc(n, sizeof *order);
	owned_memory struct tensor *tensors = xcalloc(n, sizeof *tensors);
	uint64_t begin = 0;

	for (size_t i = 0; i < n; i++) {
		struct tensor *tensor = &order[i].tensor;

		*tensor = spec->tensors[i];
		order[i].published = tensor->dtype;
		tensor->dtype = dtype_average(tensor->dtype);
		if (!tensor_measure(tensor->dtype, tensor->n_dims,
				    tensor->shape, &tensor->n_elements,
				    &tensor->size))
			return refuse_size(why);
	}
	qsort(order, n, sizeof *order, average_compare);
	for (size_t i = 0; i < n; i++) {
		tensors[i] = order[i].tensor;
		tensors[i].begin = begin;
		if (!u64_add(begin, tensors[i].size, &begin))
			return refuse_size(why);
	}
	*ret_layout = safetensors_new(tensors, n);
	(*ret_layout)->data_size = begin;
	return STATUS_OK;
}

static int
name_compare(const void *a, const void *b)
{
	const struct tensor *const *left = a;
	const struct tensor *const *right = b;

	return strcmp((*left)->name, (*right)->name);
}

/* The text of emad.dtypes, malloc'ed. */
static char *
write_dtypes(const struct safetensors *spec, const struct safetensors *average)
{
	size_t n = spec->n_tensors;
	owned_memory const struct tensor **by_name =
		xcalloc(n, sizeof *by_name);
	owned_json *dtypes = json_object();
	char *text;

	must(average->n_tensors == n);
	for (size_t i = 0; i < n; i++)
		by_name[i] = &spec->tensors[i];
	qsort(by_name, n, sizeof(const struct tensor *), name_compare);
	for (size_t i = 0; i < n; i++) {
		const struct tensor *tensor = &average->tensors[i];
		const struct tensor **published =
			bsearch(&tensor, by_name, n,
				sizeof(const struct tensor *), name_compare);

		must(published != NULL);
		if ((*published)->dtype != tensor->dtype)
			must(json_object_set_new(
				     dtypes, tensor->name,
				     json_string(dtype_name(
					     (*published)->dtype))) == 0);
	}
	text = json_dumps(dtypes, JSON_COMPACT);
	must(text != NULL);
	return text;
}

/*
 * The size field and @size bytes of JSON, padded with spaces.  @json has room
 * for the size field in front.
 */
static enum status
finish(struct version_header *ret_header, char *bytes, size_t size,
       struct why *why)
{
	size_t padded = u64_round_up(size, SAFETENSORS_ALIGNMENT);
	uint64_t json_size = htole64(padded - SAFETENSORS_SIZE_FIELD);

	if (padded - SAFETENSORS_SIZE_FIELD > SAFETENSORS_HEADER_MAX) {
		free(bytes);
		why_set(why, "the names and shapes of the model's tensors make "
			     "a header above the format's limit of 100000000 "
			     "bytes: use shorter names or fewer tensors");
		return STATUS_TOO_LARGE;
	}
	bytes = xrealloc(bytes, padded);
	memset(bytes + size, ' ', padded - size);
	memcpy(bytes, &json_size, sizeof json_size);
	*ret_header = (struct version_header) { bytes, padded };
	return STATUS_OK;
}

enum status
version_header_init(struct version_header *ret_header,
		    const struct version_model *model,
		    const struct profile *profile,
		    const struct safetensors *spec,
		    const struct safetensors *average, struct why *why)
{
	const size_t dynamic = SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE;
	owned_memory char *dtypes = write_dtypes(spec, average);
	owned_json *rules = profile_to_json(profile);
	owned_memory char *text = json_dumps(rules, JSON_COMPACT);
	owned_memory char *owner = xasprintf("%u", (unsigned int)model->owner);
	const struct text_pair pairs[] = {
		{ "emad.format", "1" },    { "emad.model", model->name },
		{ "emad.owner", owner },   { "emad.profile", text },
		{ "emad.dtypes", dtypes },
	};
	owned_memory char *json = NULL;
	char *bytes;
	size_t size;

	_Static_assert(VERSION_FORMAT == 1, "as in the table above");
	must(text != NULL);
	json = safetensors_write(average->tensors, average->n_tensors, pairs,
				 array_size(pairs), 1, &size);
	/* The region takes the place of the prefix that this one begins with.
	 */
	must(memcmp(json, VERSION_PREFIX, VERSION_PREFIX_SIZE) == 0);
	size -= VERSION_PREFIX_SIZE;
	bytes = xmalloc(dynamic + size);
	version_state_write(bytes + SAFETENSORS_SIZE_FIELD,
			    &VERSION_STATE_NONE);
	memcpy(bytes + dynamic, json + VERSION_PREFIX_SIZE, size);
	return finish(ret_header, bytes, dynamic + size, why);
}

enum status
version_header_init_slot(struct version_header *ret_header, const char *model,
			 const struct safetensors *slot, struct why *why)
{
	const struct text_pair pairs[] = {
		{ "emad.format", "1" },
		{ "emad.model", model },
		{ "emad.kind", "slot" },
	};
	owned_memory char *json = NULL;
	char *bytes;
	size_t size;

	json = safetensors_write(slot->tensors, slot->n_tensors, pairs,
				 array_size(pairs), 1, &size);
	bytes = xmalloc(SAFETENSORS_SIZE_FIELD + size);
	memcpy(bytes + SAFETENSORS_SIZE_FIELD, json, size);
	return finish(ret_header, bytes, SAFETENSORS_SIZE_FIELD + size, why);
}

void
version_header_init_rest(struct version_header *ret_header, const char *model,
			 const char *profile, enum accumulator accumulator,
			 uint64_t average_size)
{
	const size_t dynamic = SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE;
	const uint64_t shape[] = { average_size / sizeof(float) };
	bool is_double = accumulator == ACCUMULATOR_FLOAT64;
	const struct tensor tensor = {
		.name = is_double ? "average" : "compensation",
		.dtype = is_double ? DTYPE_F64 : DTYPE_I16,
		.n_dims = 1,
		.shape = shape,
		.n_elements = shape[0],
		.size = accumulator_rest_size(accumulator, average_size),
	};
	const struct text_pair pairs[] = {
		{ "emad.format", "1" },
		{ "emad.model", model },
		{ "emad.kind", "rest" },
		{ "emad.profile", profile },
	};
	owned_memory char *json = NULL;
	struct why why;
	char *bytes;
	size_t size;

	json = safetensors_write(&tensor, 1, pairs, array_size(pairs), 1,
				 &size);
	must(memcmp(json, VERSION_PREFIX, VERSION_PREFIX_SIZE) == 0);
	size -= VERSION_PREFIX_SIZE;
	bytes = xmalloc(dynamic + size);
	version_state_write(bytes + SAFETENSORS_SIZE_FIELD,
			    &VERSION_STATE_NONE);
	memcpy(bytes + dynamic, json + VERSION_PREFIX_SIZE, size);
	must(finish(ret_header, bytes, dynamic + size, &why) == STATUS_OK);
}

bool
version_header_is(const struct version_header *header,
		  const struct version_state *state, const void *file)
{
	const size_t dynamic = SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE;
	char region[VERSION_DYNAMIC_SIZE];
	const char *bytes = file;

	version_state_write(region, state);
	return memcmp(bytes, header->bytes, SAFETENSORS_SIZE_FIELD) == 0 &&
	       memcmp(bytes + SAFETENSORS_SIZE_FIELD, region, sizeof region) ==
		       0 &&
	       memcmp(bytes + dynamic, header->bytes + dynamic,
		      header->size - dynamic) == 0;
}

void
version_header_deinit(struct version_header *header)
{
	free(header->bytes);
	*header = (struct version_header) { 0 };
}

void
version_header_invalidate(void *file)
{
	uint64_t *size_field = file;

	/* An exchange, because what is written next must not come before it. */
	(void)__atomic_exchange_n(size_field, 0, __ATOMIC_ACQ_REL);
}

void
version_header_write(const struct version_header *header,
		     const struct version_state *state, bool whole, void *file)
{
	const size_t dynamic = SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE;
	char region[VERSION_DYNAMIC_SIZE];
	uint64_t *size_field = file;
	uint64_t json_size;

	version_state_write(region, state);
	memcpy(&json_size, header->bytes, sizeof json_size);
	version_header_invalidate(file);
	memcpy((char *)file + SAFETENSORS_SIZE_FIELD, region, sizeof region);
	if (whole)
		memcpy((char *)file + dynamic, header->bytes + dynamic,
		       header->size - dynamic);
	__atomic_store_n(size_field, json_size, __ATOMIC_RELEASE);
}
