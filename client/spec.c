/*
 * What a model is, as the daemon is told: the tensor table as a safetensors
 * header, and the profiles.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>

#include "client/internal.h"
#include "proto/json.h"

#define DEFAULT_SLOTS        2
#define DEFAULT_SLOTS_LATEST 3

static int
read_tensor(struct tensor *ret_tensor, const struct emad_tensor *from, size_t i)
{
	if (!from->name || !from->dtype || (from->n_dims > 0 && !from->shape))
		return fail(EMAD_USAGE,
			    "tensor number %zu has no name, dtype or shape", i);
	*ret_tensor = (struct tensor) {
		.name = from->name,
		.n_dims = from->n_dims,
		.shape = from->shape,
	};
	if (!dtype_parse(&ret_tensor->dtype, from->dtype, strlen(from->dtype)))
		return fail(EMAD_BAD_SPEC,
			    "tensor %.200s: there is no dtype \"%.50s\"; use "
			    "safetensors' names, as F32",
			    from->name, from->dtype);
	if (!tensor_measure(ret_tensor->dtype, from->n_dims, from->shape,
			    &ret_tensor->n_elements, &ret_tensor->size))
		return fail(EMAD_BAD_SPEC,
			    "tensor %.200s: its size overflows, or is no whole "
			    "number of bytes",
			    from->name);
	return EMAD_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names that JSON cannot hold, or holds once only. */
static int
check_names(const struct emad_tensor *tensors, size_t n)
{
	owned_memory const char **names = xcalloc(n, sizeof *names);

	for (size_t i = 0; i < n; i++) {
		owned_json *text = json_string(tensors[i].name);

		if (!text)
			return fail(EMAD_BAD_SPEC,
				    "the name of tensor number %zu is not "
				    "UTF-8",
				    i);
		if (strcmp(tensors[i].name, "__metadata__") == 0)
			return fail(EMAD_BAD_SPEC,
				    "no tensor can be named __metadata__");
		names[i] = tensors[i].name;
	}
	qsort(names, n, sizeof *names, compare_names);
	for (size_t i = 1; i < n; i++)
		if (strcmp(names[i - 1], names[i]) == 0)
			return fail(EMAD_BAD_SPEC,
				    "two tensors are named %.200s", names[i]);
	return EMAD_OK;
}

static int
write_table(ProtobufCBinaryData *ret_table, const struct emad_tensor *tensors,
	    size_t n)
{
	owned_memory struct tensor *table = xcalloc(n, sizeof *table);
	uint64_t data_size;
	int status = EMAD_OK;

	for (size_t i = 0; i < n && status == EMAD_OK; i++)
		status = read_tensor(&table[i], &tensors[i], i);
	if (status == EMAD_OK)
		status = check_names(tensors, n);
	if (status != EMAD_OK)
		return status;
	if (!safetensors_arrange(table, n, &data_size))
		return fail(EMAD_TOO_LARGE, "the sum of all tensors overflows");
	ret_table->data = (uint8_t *)safetensors_write(table, n, NULL, 0, 8,
						       &ret_table->len);
	return EMAD_OK;
}

static void
append_all(struct name_list *list, const char *const *names)
{
	for (; names && *names; names++)
		name_list_append(list, *names);
}

static int
write_profile(Emad__Profile **ret_message, const struct emad_profile *from)
{
	enum schedule_variant variant = SCHEDULE_EMA_PYTORCH;
	enum accumulator accumulator = ACCUMULATOR_FLOAT32;
	struct schedule schedule;
	struct profile profile;
	enum status status;
	struct why why;

	if (from->accumulator &&
	    !accumulator_parse(&accumulator, from->accumulator))
		return fail(EMAD_BAD_SPEC, "there is no accumulator \"%.100s\"",
			    from->accumulator);
	if (from->variant && !schedule_variant_parse(&variant, from->variant))
		return fail(EMAD_BAD_SPEC,
			    "there is no schedule variant \"%.100s\"",
			    from->variant);
	if (from->accumulator &&
	    !accumulator_parse(&accumulator, from->accumulator))
		return fail(EMAD_BAD_SPEC,
			    "there is no accumulator \"%.100s\": use float32, "
			    "float32_compensated or float64",
			    from->accumulator);
	schedule = (struct schedule) {
		.variant = variant,
		.beta = from->beta,
		.update_after_step = from->update_after_step,
		.update_every = from->update_every,
		.inv_gamma = from->inv_gamma,
		.power = from->power,
		.min_value = from->min_value,
	};
	profile_init(&profile, from->name ? from->name : DEFAULT_PROFILE,
		     &schedule);
	profile.accumulator = accumulator;
	append_all(&profile.no_ema, from->param_or_buffer_names_no_ema);
	append_all(&profile.ignore, from->ignore_names);
	append_all(&profile.ignore_startswith, from->ignore_startswith_names);
	status = profile_check(&profile, &why);
	if (status == STATUS_OK)
		*ret_message = wire_profile_new(&profile);
	profile_deinit(&profile);
	return status == STATUS_OK ? EMAD_OK
				   : fail((int)status, "%s", why.text);
}

static int
write_profiles(Emad__Attach *attach, const struct emad_options *options)
{
	int status = EMAD_OK;

	if (!options->profiles)
		return EMAD_OK;
	if (options->n_profiles == 0 || options->n_profiles > PROFILES_MAX)
		return fail(EMAD_USAGE, "%zu profiles; from 1 to %d",
			    options->n_profiles, PROFILES_MAX);
	attach->profiles =
		xcalloc(options->n_profiles, sizeof *attach->profiles);
	for (size_t i = 0; i < options->n_profiles && status == EMAD_OK; i++) {
		status = write_profile(&attach->profiles[i],
				       &options->profiles[i]);
		if (status == EMAD_OK)
			attach->n_profiles++;
	}
	return status;
}

static int
write_options(Emad__Attach *attach, const struct emad_options *options)
{
	unsigned int n_slots = options->n_slots;

	switch (options->mode) {
	case EMAD_MODE_BLOCK:
		attach->mode = EMAD__MODE__BLOCK;
		break;
	case EMAD_MODE_LATEST:
		attach->mode = EMAD__MODE__LATEST;
		break;
	case EMAD_MODE_DROP:
		attach->mode = EMAD__MODE__DROP;
		break;
	default:
		return fail(EMAD_USAGE, "there is no mode %d", options->mode);
	}
	if (n_slots > WIRE_SLOTS_MAX)
		return fail(EMAD_USAGE, "%u slots; at most %d", n_slots,
			    WIRE_SLOTS_MAX);
	if (options->n_copy_threads > CREW_THREADS_MAX)
		return fail(EMAD_USAGE, "%u threads to copy; at most %d",
			    options->n_copy_threads, CREW_THREADS_MAX);
	if (n_slots == 0)
		n_slots = options->mode == EMAD_MODE_LATEST
				  ? DEFAULT_SLOTS_LATEST
				  : DEFAULT_SLOTS;
	attach->has_mode = true;
	attach->has_n_slots = true;
	attach->n_slots = n_slots;
	attach->has_takeover = options->takeover != 0;
	attach->takeover = options->takeover != 0;
	attach->has_accept_non_finite = true;
	attach->accept_non_finite = options->accept_non_finite != 0;
	return EMAD_OK;
}

/* A number that no other publisher has. */
static int
choose_publisher(uint64_t *ret_id)
{
	uint64_t id = 0;

	while (id == 0)
		if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id &&
		    errno != EINTR)
			return fail(EMAD_SYSTEM, "no random numbers: %s",
				    strerror(errno));
	*ret_id = id;
	return EMAD_OK;
}

int
spec_init(Emad__Attach *ret_attach, const char *model,
	  const struct emad_tensor *tensors, size_t n_tensors,
	  const struct emad_options *options)
{
	Emad__Attach attach = EMAD__ATTACH__INIT;
	size_t size;
	int status;

	if (!name_is_valid(model))
		return fail(EMAD_BAD_NAME,
			    "the model's name \"%.120s\" is not "
			    "[A-Za-z0-9._-]{1,100}",
			    model);
	attach.model = xstrdup(model);
	status = write_options(&attach, options);
	if (status == EMAD_OK)
		status = choose_publisher(&attach.publisher);
	if (status == EMAD_OK)
		status = write_profiles(&attach, options);
	if (status == EMAD_OK)
		status = write_table(&attach.tensors, tensors, n_tensors);
	if (status == EMAD_OK) {
		/* Some room for the request around it and the sequence. */
		size = emad__attach__get_packed_size(&attach) + 64;
		if (size > WIRE_ATTACH_MAX)
			status = fail(EMAD_TOO_LARGE,
				      "the names and shapes of %zu tensors "
				      "take %zu bytes; at most %d: shorten "
				      "the names or split the model",
				      n_tensors, size, WIRE_ATTACH_MAX);
	}
	if (status == EMAD_OK)
		*ret_attach = attach;
	else
		spec_deinit(&attach);
	return status;
}

void
spec_deinit(Emad__Attach *attach)
{
	for (size_t i = 0; i < attach->n_profiles; i++)
		wire_profile_free(attach->profiles[i]);
	free(attach->profiles);
	free(attach->tensors.data);
	free(attach->model);
}

struct emad_profile
emad_profile_default(const char *variant)
{
	enum schedule_variant parsed = SCHEDULE_EMA_PYTORCH;
	struct schedule schedule;

	/* One that does not exist is refused at attach. */
	if (variant)
		(void)schedule_variant_parse(&parsed, variant);
	schedule = schedule_default(parsed);
	return (struct emad_profile) {
		.variant = variant,
		.beta = schedule.beta,
		.update_after_step = schedule.update_after_step,
		.update_every = schedule.update_every,
		.inv_gamma = schedule.inv_gamma,
		.power = schedule.power,
		.min_value = schedule.min_value,
	};
}
