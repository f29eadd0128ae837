/*
 * emactl status, list and show: what the daemon says about itself and about
 * its models.  With --json its answer goes out as it came.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/emactl_connection.h"
#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "client/emactl_table.h"
#include "proto/json.h"
#include "proto/wire.h"

/* Absent keys read as 0 or "-": an older daemon may not have them. */
static json_int_t
integer_at(const json_t *object, const char *key)
{
	return json_integer_value(json_object_get(object, key));
}

static const char *
string_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "-";
}

static void
add_integer(struct table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_integer(value))
		table_add(table, "%" JSON_INTEGER_FORMAT,
			  json_integer_value(value));
	else
		table_add(table, "-");
}

static void
add_size(struct table *table, const json_t *object, const char *key)
{
	char text[TEXT_SIZE];

	table_add(table, "%s",
		  output_size(text, (uint64_t)integer_at(object, key)));
}

static void
add_real(struct table *table, const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	if (json_is_number(value))
		table_add(table, "%.3g", json_number_value(value));
	else
		table_add(table, "-");
}

/* The share of elements whose updates round to nothing. */
static void
add_stalled(struct table *table, const json_t *state)
{
	json_int_t sampled = integer_at(state, "sampled");

	if (sampled > 0)
		table_add(table, "%.3g%%",
			  100.0 * (double)integer_at(state, "stalled") /
				  (double)sampled);
	else
		table_add(table, "-");
}

static enum exit_code
parse_answer(const struct emactl *ctl, const char *text, json_t **ret_answer)
{
	json_t *answer = json_loads(text, JSON_ALLOW_NUL, NULL);

	if (!answer)
		return output_error(ctl, EMAD_INTERNAL,
				    "the library's answer is not JSON");
	*ret_answer = answer;
	return EXIT_DONE;
}

static void
print_status(const json_t *status, const char *address)
{
	char up[TEXT_SIZE];
	char memory[TEXT_SIZE];
	char free_text[TEXT_SIZE];
	char size[TEXT_SIZE];

	(void)printf("emad %s at %s\n", string_at(status, "version"), address);
	(void)printf("instance     %s\n", string_at(status, "instance"));
	(void)printf(
		"process      %" JSON_INTEGER_FORMAT ", up %s\n",
		integer_at(status, "pid"),
		output_duration(up, (double)integer_at(status, "uptime_ms") /
					    1000));
	(void)printf("models       %" JSON_INTEGER_FORMAT "\n",
		     integer_at(status, "n_models"));
	(void)printf("publishers   %" JSON_INTEGER_FORMAT
		     " (%" JSON_INTEGER_FORMAT " connections)\n",
		     integer_at(status, "n_sessions"),
		     integer_at(status, "n_connections"));
	(void)printf("updates      %" JSON_INTEGER_FORMAT " since the start\n",
		     integer_at(status, "updates"));
	(void)printf("workers      %" JSON_INTEGER_FORMAT ", kernel %s\n",
		     integer_at(status, "n_workers"),
		     string_at(status, "kernel"));
	(void)printf(
		"memory       %s of /dev/shm, where %s of %s are free\n",
		output_size(memory, (uint64_t)integer_at(status, "memory")),
		output_size(free_text,
			    (uint64_t)integer_at(status, "shm_free")),
		output_size(size, (uint64_t)integer_at(status, "shm_size")));
}

enum exit_code
run_status(const struct emactl *ctl)
{
	owned_emad *emad = NULL;
	owned_memory char *text = NULL;
	owned_json *answer = NULL;
	enum exit_code code = connection_open(ctl, &emad);
	int status;

	if (code)
		return code;
	status = emad_status_json(emad, &text);
	if (status)
		return output_refusal(ctl, status);
	code = parse_answer(ctl, text, &answer);
	if (code)
		return code;
	if (ctl->json)
		output_json(json_incref(answer));
	else
		print_status(answer, emad_address(emad));
	return EXIT_DONE;
}

static void
print_models(const json_t *models)
{
	static const struct column columns[] = {
		{ "MODEL", false },   { "PROFILES", true }, { "TENSORS", true },
		{ "STEP", true },     { "SNAPSHOT", true }, { "MEMORY", true },
		{ "PUBLISHER", true }
	};
	struct table table;
	const json_t *model;
	size_t index;

	table_init(&table, columns, array_size(columns));
	json_array_foreach (models, index, model) {
		table_add(&table, "%s", string_at(model, "name"));
		add_integer(&table, model, "n_profiles");
		add_integer(&table, model, "n_tensors");
		add_integer(&table, model, "step");
		add_size(&table, model, "snapshot_size");
		add_size(&table, model, "memory");
		add_integer(&table, model, "publisher_pid");
	}
	table_print(&table);
	table_deinit(&table);
}

enum exit_code
run_list(const struct emactl *ctl)
{
	owned_emad *emad = NULL;
	owned_memory char *text = NULL;
	owned_json *answer = NULL;
	enum exit_code code = connection_open(ctl, &emad);
	int status;

	if (code)
		return code;
	status = emad_list_json(emad, &text);
	if (status)
		return output_refusal(ctl, status);
	code = parse_answer(ctl, text, &answer);
	if (code)
		return code;
	if (ctl->json)
		output_json(json_incref(answer));
	else if (json_array_size(json_object_get(answer, "models")) == 0)
		(void)puts("no models");
	else
		print_models(json_object_get(answer, "models"));
	return EXIT_DONE;
}

static void
print_profiles(const json_t *profiles)
{
	static const struct column columns[] = {
		{ "PROFILE", false }, { "VARIANT", false }, { "BETA", true },
		{ "EVERY", true },    { "STEP", true },     { "UPDATES", true },
		{ "DECAY", true },    { "KEPT IN", false }, { "DRIFT", true },
		{ "STALLED", true },  { "SIZE", true },     { "FILE", false }
	};
	struct table table;
	const json_t *state;
	size_t index;

	table_init(&table, columns, array_size(columns));
	json_array_foreach (profiles, index, state) {
		const json_t *profile = json_object_get(state, "profile");

		table_add(&table, "%s", string_at(profile, "name"));
		table_add(&table, "%s", string_at(profile, "variant"));
		table_add(&table, "%g",
			  json_number_value(json_object_get(profile, "beta")));
		add_integer(&table, profile, "update_every");
		add_integer(&table, state, "step");
		add_integer(&table, state, "updates");
		table_add(&table, "%.6g",
			  json_number_value(json_object_get(state, "decay")));
		table_add(&table, "%s", string_at(profile, "accumulator"));
		add_real(&table, state, "drift");
		add_stalled(&table, state);
		add_size(&table, state, "size");
		table_add(&table, "/dev/shm/%s", string_at(state, "file"));
	}
	table_print(&table);
	table_deinit(&table);
}

static const char *
mode_text(const json_t *mode)
{
	static const char *const names[] = { "block", "latest", "drop" };
	json_int_t number = json_integer_value(mode);

	if (json_is_string(mode))
		return json_string_value(mode);
	return number >= 0 && number < (json_int_t)array_size(names)
		       ? names[number]
		       : "-";
}

static void
print_publishers(const json_t *publishers)
{
	static const struct column columns[] = {
		{ "PUBLISHER", true }, { "UID", true },
		{ "MODE", false },     { "SLOTS", true },
		{ "LAST STEP", true }, { "LAG", true },
		{ "ACCEPTED", true },  { "ABSORBED", true },
		{ "SKIPPED", true },   { "REPLACED", true },
		{ "REFUSED", true }
	};
	struct table table;
	const json_t *publisher;
	size_t index;

	if (json_array_size(publishers) == 0) {
		(void)puts("no publisher is attached");
		return;
	}
	table_init(&table, columns, array_size(columns));
	json_array_foreach (publishers, index, publisher) {
		add_integer(&table, publisher, "pid");
		add_integer(&table, publisher, "uid");
		table_add(&table, "%s",
			  mode_text(json_object_get(publisher, "mode")));
		add_integer(&table, publisher, "n_slots");
		add_integer(&table, publisher, "last_step");
		add_integer(&table, publisher, "lag");
		add_integer(&table, publisher, "accepted");
		add_integer(&table, publisher, "absorbed");
		add_integer(&table, publisher, "skipped");
		add_integer(&table, publisher, "replaced");
		add_integer(&table, publisher, "refused");
	}
	table_print(&table);
	table_deinit(&table);
}

static void
print_drifts(const json_t *drifts)
{
	static const struct column columns[] = { { "PROFILE", false },
						 { "TENSOR", false },
						 { "DRIFT", true },
						 { "DISTANCE", true },
						 { "NORM", true } };
	struct table table;
	const json_t *drift;
	size_t index;

	table_init(&table, columns, array_size(columns));
	json_array_foreach (drifts, index, drift) {
		table_add(&table, "%s", string_at(drift, "profile"));
		table_add(&table, "%s", string_at(drift, "tensor"));
		add_real(&table, drift, "drift");
		add_real(&table, drift, "distance");
		add_real(&table, drift, "norm");
	}
	table_print(&table);
	table_deinit(&table);
}

static void
print_model(const json_t *answer)
{
	const json_t *summary = json_object_get(answer, "summary");
	char snapshot[TEXT_SIZE];
	char memory[TEXT_SIZE];
	char huge[TEXT_SIZE];

	(void)printf(
		"%s: %" JSON_INTEGER_FORMAT " tensor%s, %s a snapshot, "
		"%s of shared memory (%s in huge pages)\n\n",
		string_at(summary, "name"), integer_at(summary, "n_tensors"),
		integer_at(summary, "n_tensors") == 1 ? "" : "s",
		output_size(snapshot,
			    (uint64_t)integer_at(summary, "snapshot_size")),
		output_size(memory, (uint64_t)integer_at(summary, "memory")),
		output_size(huge, (uint64_t)integer_at(summary, "huge_size")));
	print_profiles(json_object_get(answer, "profiles"));
	(void)putchar('\n');
	print_publishers(json_object_get(answer, "publishers"));
	if (json_object_get(answer, "drifts")) {
		(void)putchar('\n');
		print_drifts(json_object_get(answer, "drifts"));
	}
}

/* Keep only @profile in the answer; false: it is not there. */
static bool
keep_profile(json_t *answer, const char *profile)
{
	json_t *profiles = json_object_get(answer, "profiles");
	json_t *drifts = json_object_get(answer, "drifts");

	for (size_t i = json_array_size(profiles); i-- > 0;) {
		const json_t *state = json_array_get(profiles, i);

		if (strcmp(string_at(json_object_get(state, "profile"), "name"),
			   profile) != 0)
			(void)json_array_remove(profiles, i);
	}
	for (size_t i = json_array_size(drifts); i-- > 0;)
		if (strcmp(string_at(json_array_get(drifts, i), "profile"),
			   profile) != 0)
			(void)json_array_remove(drifts, i);
	return json_array_size(profiles) > 0;
}

enum exit_code
run_show(const struct emactl *ctl)
{
	owned_memory char *model = NULL;
	owned_memory char *text = NULL;
	owned_emad *emad = NULL;
	owned_json *answer = NULL;
	int64_t n_tensors = 0;
	const char *profile;
	enum exit_code code;
	int status;

	if (!connection_parse_name(ctl, ctl->operands[0], &model, &profile) ||
	    !options_integer(ctl, OPTION_TENSORS, 1, WIRE_DRIFTS_MAX,
			     &n_tensors))
		return EXIT_USAGE;
	code = connection_open(ctl, &emad);
	if (code)
		return code;
	status = n_tensors > 0 ? emad_drift_json(emad, model, (size_t)n_tensors,
						 &text)
			       : emad_describe_json(emad, model, &text);
	if (status)
		return output_refusal(ctl, status);
	code = parse_answer(ctl, text, &answer);
	if (code)
		return code;
	if (profile && !keep_profile(answer, profile))
		return output_error(ctl, EMAD_UNKNOWN_PROFILE,
				    "model %s has no profile %s: see emactl "
				    "show %s",
				    model, profile, model);
	if (ctl->json)
		output_json(json_incref(answer));
	else
		print_model(answer);
	return EXIT_DONE;
}
