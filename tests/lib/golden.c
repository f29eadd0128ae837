#include "tests/lib/golden.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proto/json.h"

static uint64_t
splitmix64(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

/* Exact in float32, in [-1, 1).  @stream: of one tensor at one step. */
static double
make_element(uint64_t stream, uint64_t i)
{
	int64_t value = (int64_t)(splitmix64(stream ^ i) >> 40);

	return (double)(value - (1 << 23)) / (double)(1 << 23);
}

void
golden_values(const struct golden_case *golden, size_t k, int64_t t,
	      void *ret_values)
{
	const struct tensor *tensor = &golden->tensors[k];
	uint64_t stream = splitmix64(splitmix64(splitmix64(golden->seed) ^ k) ^
				     (uint64_t)t);
	uint64_t n = tensor->n_elements;
	float *f32 = ret_values;
	double *f64 = ret_values;

	switch (tensor->dtype) {
	case DTYPE_F32:
	case DTYPE_C64:
		n *= tensor->dtype == DTYPE_C64 ? 2 : 1;
		for (uint64_t i = 0; i < n; i++)
			f32[i] = (float)make_element(stream, i);
		break;
	case DTYPE_F64:
		for (uint64_t i = 0; i < n; i++)
			f64[i] = make_element(stream, 2 * i) +
				 make_element(stream, 2 * i + 1) * 0x1p-24;
		break;
	case DTYPE_I64:
		for (uint64_t i = 0; i < n; i++)
			((int64_t *)ret_values)[i] = t;
		break;
	default:
		memset(ret_values, (int)(t & 0xFF), tensor->size);
		break;
	}
}

static bool
read_decays(struct golden_decay **ret_decays, size_t *ret_n, json_t *json)
{
	struct golden_decay *decays =
		xcalloc(json_array_size(json), sizeof *decays);
	json_t *pair;
	size_t i;

	*ret_decays = decays;
	*ret_n = json_array_size(json);
	json_array_foreach (json, i, pair) {
		const char *text;
		json_int_t t;

		if (json_unpack(pair, "[I, s!]", &t, &text) != 0)
			return false;
		decays[i].t = t;
		decays[i].decay = strtod(text, NULL);
	}
	return json_is_array(json);
}

static bool
read_tensor(struct tensor *tensor, json_t *json)
{
	const char *name, *dtype;
	uint64_t *shape;
	json_t *dims, *dim;
	size_t i;

	if (json_unpack(json, "{s:s, s:s, s:o}", "name", &name, "dtype", &dtype,
			"shape", &dims) != 0 ||
	    !json_is_array(dims) ||
	    !dtype_parse(&tensor->dtype, dtype, strlen(dtype)))
		return false;
	tensor->name = xstrdup(name);
	tensor->n_dims = json_array_size(dims);
	shape = xcalloc(tensor->n_dims, sizeof *shape);
	tensor->shape = shape;
	json_array_foreach (dims, i, dim)
		shape[i] = (uint64_t)json_integer_value(dim);
	return tensor_measure(tensor->dtype, tensor->n_dims, shape,
			      &tensor->n_elements, &tensor->size);
}

static bool
read_tensors(struct golden_case *golden, json_t *json)
{
	json_t *tensor;
	size_t i;

	golden->n_tensors = json_array_size(json);
	golden->tensors = xcalloc(golden->n_tensors, sizeof *golden->tensors);
	json_array_foreach (json, i, tensor)
		if (!read_tensor(&golden->tensors[i], tensor))
			return false;
	return true;
}

/* Numbers as the hex digits of their bits. */
static bool
read_values(void *values, const struct tensor *tensor, const json_t *json)
{
	bool wide = tensor->dtype == DTYPE_F64;
	size_t n = tensor->size / (wide ? 8 : 4);

	if (json_array_size(json) != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(json, i));

		if (!text || strlen(text) != (wide ? 16U : 8U))
			return false;
		if (wide)
			((uint64_t *)values)[i] = strtoull(text, NULL, 16);
		else
			((uint32_t *)values)[i] =
				(uint32_t)strtoul(text, NULL, 16);
	}
	return true;
}

static bool
read_state(struct golden_state *state, const struct golden_case *golden,
	   json_t *json)
{
	json_int_t t;
	json_t *ema;

	if (json_unpack(json, "{s:I, s:o}", "t", &t, "ema", &ema) != 0)
		return false;
	state->t = t;
	state->values = xcalloc(golden->n_tensors, sizeof *state->values);
	for (size_t k = 0; k < golden->n_tensors; k++) {
		const struct tensor *tensor = &golden->tensors[k];
		const json_t *values = json_object_get(ema, tensor->name);

		if (!values)
			continue;
		state->values[k] = xcalloc(1, tensor->size);
		if (!read_values(state->values[k], tensor, values))
			return false;
	}
	return true;
}

static bool
read_states(struct golden_case *golden, json_t *json)
{
	json_t *state;
	size_t i;

	golden->n_states = json_array_size(json);
	golden->states = xcalloc(golden->n_states, sizeof *golden->states);
	json_array_foreach (json, i, state)
		if (!read_state(&golden->states[i], golden, state))
			return false;
	return true;
}

static bool
read_case(struct golden_case *golden, json_t *json, struct why *why)
{
	json_t *config, *tensors, *decays, *states;
	const char *name, *seed;
	json_int_t steps;

	why_set(why, "a trajectory lacks a field or has a wrong one");
	if (json_unpack(json, "{s:s, s:s, s:o, s:o, s:I, s:o, s:o}", "name",
			&name, "seed", &seed, "config", &config, "tensors",
			&tensors, "steps", &steps, "decays", &decays,
			"after_update", &states) != 0)
		return false;
	golden->name = xstrdup(name);
	golden->seed = strtoull(seed, NULL, 16);
	golden->n_steps = steps;
	return profile_from_json(&golden->profile, config, why) == STATUS_OK &&
	       read_tensors(golden, tensors) &&
	       read_decays(&golden->decays, &golden->n_decays, decays) &&
	       read_states(golden, states);
}

static bool
read_schedule(struct golden_schedule *schedule, json_t *json, struct why *why)
{
	why_set(why, "a schedule lacks a field or has a wrong one");
	return profile_from_json(&schedule->profile,
				 json_object_get(json, "config"),
				 why) == STATUS_OK &&
	       read_decays(&schedule->decays, &schedule->n_decays,
			   json_object_get(json, "decay_at_step"));
}

/* A file that is not there is an empty list. */
static json_t *
load_list(const char *folder, const char *file, struct why *why)
{
	owned_memory char *path = xasprintf("%s/%s", folder, file);
	json_error_t error;
	json_t *json;

	if (access(path, F_OK) != 0)
		return json_array();
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!json) {
		why_set(why, "%s:%d: %s", path, error.line, error.text);
		return NULL;
	}
	if (json_is_array(json))
		return json;
	json_decref(json);
	why_set(why, "%s: not a list", path);
	return NULL;
}

struct golden *
golden_load(const char *folder, struct why *why)
{
	owned_json *schedules = load_list(folder, "schedules.json", why);
	owned_json *cases = NULL;
	struct golden *golden;
	bool ok = true;

	if (schedules)
		cases = load_list(folder, "trajectories.json", why);
	if (!cases)
		return NULL;
	if (json_array_size(cases) + json_array_size(schedules) == 0) {
		why_set(why, "%s: no schedules.json or trajectories.json there",
			folder);
		return NULL;
	}
	golden = xcalloc(1, sizeof *golden);
	golden->n_cases = json_array_size(cases);
	golden->cases = xcalloc(golden->n_cases, sizeof *golden->cases);
	golden->n_schedules = json_array_size(schedules);
	golden->schedules =
		xcalloc(golden->n_schedules, sizeof *golden->schedules);
	for (size_t i = 0; ok && i < golden->n_cases; i++)
		ok = read_case(&golden->cases[i], json_array_get(cases, i),
			       why);
	for (size_t i = 0; ok && i < golden->n_schedules; i++)
		ok = read_schedule(&golden->schedules[i],
				   json_array_get(schedules, i), why);
	if (ok)
		return golden;
	golden_free(golden);
	return NULL;
}

static void
golden_case_deinit(struct golden_case *golden)
{
	for (size_t i = 0; i < golden->n_states; i++) {
		void **values = golden->states[i].values;

		for (size_t k = 0; values && k < golden->n_tensors; k++)
			free(values[k]);
		free(values);
	}
	for (size_t k = 0; k < golden->n_tensors; k++) {
		free((char *)golden->tensors[k].name);
		free((uint64_t *)golden->tensors[k].shape);
	}
	free(golden->states);
	free(golden->tensors);
	free(golden->decays);
	free(golden->name);
	profile_deinit(&golden->profile);
}

void
golden_free(struct golden *golden)
{
	if (!golden)
		return;
	for (size_t i = 0; i < golden->n_cases; i++)
		golden_case_deinit(&golden->cases[i]);
	for (size_t i = 0; i < golden->n_schedules; i++) {
		free(golden->schedules[i].decays);
		profile_deinit(&golden->schedules[i].profile);
	}
	free(golden->cases);
	free(golden->schedules);
	free(golden);
}
