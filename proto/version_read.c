/*
 * Reading what files say about themselves; they may be anybody's.
 */
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "proto/json.h"
#include "proto/name.h"
#include "proto/version.h"
#include "proto/version_state.h"

/* All keys, in the order in which they must be there, each once. */
enum {
	KEY_FORMAT = VERSION_STATE_KEYS,
	KEY_MODEL,
	KEY_OWNER,
	KEY_PROFILE,
	KEY_DTYPES,
	N_KEYS,
};

static const char *const static_keys[] = {
	"emad.format",  "emad.model",  "emad.owner",
	"emad.profile", "emad.dtypes",
};

static enum status
refuse(struct why *why, const char *what)
{
	why_set(why, "not a version written by emad: %s", what);
	return STATUS_BAD_SPEC;
}

/* The size of the header, size field included; 0: none that is ours. */
static size_t
read_header_size(const void *file, uint64_t size)
{
	uint64_t json_size;

	if (size < SAFETENSORS_SIZE_FIELD + VERSION_DYNAMIC_SIZE)
		return 0;
	memcpy(&json_size, file, sizeof json_size);
	json_size = le64toh(json_size);
	if (json_size < VERSION_DYNAMIC_SIZE ||
	    json_size > SAFETENSORS_HEADER_MAX ||
	    json_size > size - SAFETENSORS_SIZE_FIELD ||
	    (json_size + SAFETENSORS_SIZE_FIELD) % SAFETENSORS_ALIGNMENT != 0)
		return 0;
	return SAFETENSORS_SIZE_FIELD + json_size;
}

enum status
version_read_state(struct version_state *ret_state, const void *file,
		   uint64_t size, struct why *why)
{
	char region[VERSION_DYNAMIC_SIZE];

	if (read_header_size(file, size) == 0)
		return refuse(why, "the header's size");
	memcpy(region, (const char *)file + SAFETENSORS_SIZE_FIELD,
	       sizeof region);
	if (!version_state_parse(ret_state, region))
		return refuse(why, "the state in the header");
	return STATUS_OK;
}

/*
 * That the keys are there in order makes the state's keys the ones in the
 * region: of a key that is there twice, the reader keeps the later one.
 */
static enum status
check_keys(const struct safetensors *header, struct why *why)
{
	if (header->n_metadata != N_KEYS)
		return refuse(why, "the number of metadata");
	for (unsigned int i = 0; i < N_KEYS; i++) {
		const char *key = i < VERSION_STATE_KEYS
					  ? version_state_keys[i]
					  : static_keys[i - VERSION_STATE_KEYS];

		if (strcmp(header->metadata[i].key, key) != 0)
			return refuse(why, "the keys of the metadata");
	}
	if (strcmp(header->metadata[KEY_FORMAT].value, "1") != 0)
		return refuse(why, "a format that this emad does not know");
	return STATUS_OK;
}

/* As it is written, so that there is one way only. */
static bool
read_owner(uid_t *ret_owner, const char *text)
{
	unsigned long owner = strtoul(text, NULL, 10);
	char again[16];

	(void)snprintf(again, sizeof again, "%u", (unsigned int)owner);
	if (strcmp(again, text) != 0)
		return false;
	*ret_owner = (uid_t)owner;
	return true;
}

static enum status
read_profile(struct version *version, const struct safetensors *header,
	     struct why *why)
{
	const char *model = header->metadata[KEY_MODEL].value;
	owned_json *json = json_loads(header->metadata[KEY_PROFILE].value,
				      JSON_REJECT_DUPLICATES, NULL);
	enum status status;

	if (!name_is_valid(model))
		return refuse(why, "the name of the model");
	if (!read_owner(&version->owner, header->metadata[KEY_OWNER].value))
		return refuse(why, "the owner of the model");
	if (!json)
		return refuse(why, "the profile is not valid JSON");
	status = profile_from_json(&version->profile, json, why);
	if (status != STATUS_OK)
		return STATUS_BAD_SPEC;
	version->model = xstrdup(model);
	status = profile_check(&version->profile, why);
	return status == STATUS_OK ? STATUS_OK : STATUS_BAD_SPEC;
}

/* Change the types of @tensors to those that they were published in. */
static enum status
restore_dtypes(struct safetensors *tensors, const char *text, struct why *why)
{
	owned_json *dtypes = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	size_t n_used = 0;

	if (!json_is_object(dtypes))
		return refuse(why, "the published types are no JSON object");
	for (size_t i = 0; i < tensors->n_tensors; i++) {
		struct tensor *tensor = &tensors->tensors[i];
		const json_t *name = json_object_get(dtypes, tensor->name);
		enum dtype average = tensor->dtype;

		if (name) {
			if (!json_is_string(name) ||
			    !dtype_parse(&tensor->dtype,
					 json_string_value(name),
					 json_string_length(name)) ||
			    tensor->dtype == average)
				return refuse(why, "a published type");
			n_used++;
		}
		if (dtype_average(tensor->dtype) != average ||
		    !tensor_measure(tensor->dtype, tensor->n_dims,
				    tensor->shape, &tensor->n_elements,
				    &tensor->size))
			return refuse(why, "a tensor's type");
	}
	if (n_used != json_object_size(dtypes))
		return refuse(why, "a published type of no tensor");
	return STATUS_OK;
}

static bool
tensor_equal(const struct tensor *a, const struct tensor *b)
{
	if (strcmp(a->name, b->name) != 0 || a->dtype != b->dtype ||
	    a->n_dims != b->n_dims || a->begin != b->begin ||
	    a->size != b->size)
		return false;
	for (size_t i = 0; i < a->n_dims; i++)
		if (a->shape[i] != b->shape[i])
			return false;
	return true;
}

/* The spec from the types; that the file lies as an average of it must. */
static enum status
read_tensors(struct version *version, struct safetensors *header,
	     struct why *why)
{
	owned_safetensors *published =
		safetensors_new(header->tensors, header->n_tensors);
	struct safetensors *average;
	enum status status;

	status = restore_dtypes(published, header->metadata[KEY_DTYPES].value,
				why);
	if (status == STATUS_OK)
		status = version_slot_layout(&version->spec, published, why);
	if (status == STATUS_OK)
		status = version_average_layout(&version->average,
						version->spec, why);
	if (status != STATUS_OK)
		return STATUS_BAD_SPEC;
	average = version->average;
	average->header_size = header->header_size;
	for (size_t i = 0; i < header->n_tensors; i++)
		if (!tensor_equal(&header->tensors[i], &average->tensors[i]))
			return refuse(why, "the order of the tensors");
	return STATUS_OK;
}

static enum status
read_header(struct version *version, const char *bytes, size_t header_size,
	    uint64_t size, struct why *why)
{
	owned_safetensors *header = NULL;
	enum status status;

	status = version_read_state(&version->state, bytes, header_size, why);
	if (status == STATUS_OK)
		status = safetensors_parse(
			&header, bytes + SAFETENSORS_SIZE_FIELD,
			header_size - SAFETENSORS_SIZE_FIELD, why);
	if (status != STATUS_OK)
		return STATUS_BAD_SPEC;
	if (header->data_size != size - header_size)
		return refuse(why, "the length of the file");
	status = check_keys(header, why);
	if (status == STATUS_OK)
		status = read_profile(version, header, why);
	if (status == STATUS_OK)
		status = read_tensors(version, header, why);
	return status;
}

enum status
version_read(struct version **ret_version, const void *file, uint64_t size,
	     struct why *why)
{
	size_t header_size = read_header_size(file, size);
	owned_memory char *copy = NULL;
	struct version *version;
	enum status status;

	if (header_size == 0)
		return refuse(why, "the header's size");
	/* What is checked is a copy, in case that the file changes. */
	copy = xmalloc(header_size);
	memcpy(copy, file, header_size);
	version = xcalloc(1, sizeof *version);
	status = read_header(version, copy, header_size, size, why);
	if (status != STATUS_OK) {
		version_free(version);
		return status;
	}
	*ret_version = version;
	return STATUS_OK;
}

void
version_free(struct version *version)
{
	if (!version)
		return;
	free(version->model);
	profile_deinit(&version->profile);
	safetensors_free(version->average);
	safetensors_free(version->spec);
	free(version);
}
