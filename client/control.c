/*
 * Descriptions of the daemon and its models, as JSON.
 *
 * A message's plain fields become members of their own names, by protobuf-c's
 * own description of it; a field that is absent is left out.
 */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/internal.h"
#include "proto/json.h"

/* "block" for BLOCK */
static json_t *
enum_to_json(const ProtobufCFieldDescriptor *field, int value)
{
	const ProtobufCEnumValue *known =
		protobuf_c_enum_descriptor_get_value(field->descriptor, value);
	char name[64];
	size_t i;

	if (!known)
		return json_integer(value);
	for (i = 0; i < sizeof name - 1 && known->name[i] != '\0'; i++)
		name[i] = (char)tolower((unsigned char)known->name[i]);
	name[i] = '\0';
	return json_string(name);
}

/* 64 random bits do not fit into a JSON number. */
static json_t *
id_to_json(uint64_t id)
{
	char text[17];

	(void)snprintf(text, sizeof text, "%016" PRIx64, id);
	return json_string(text);
}

static json_t *
value_to_json(const ProtobufCFieldDescriptor *field, const char *value)
{
	switch (field->type) {
	case PROTOBUF_C_TYPE_UINT32:
		return json_integer(*(const uint32_t *)(const void *)value);
	case PROTOBUF_C_TYPE_UINT64:
	case PROTOBUF_C_TYPE_INT64:
	case PROTOBUF_C_TYPE_SINT64:
		return json_integer(*(const int64_t *)(const void *)value);
	case PROTOBUF_C_TYPE_FIXED64:
		return id_to_json(*(const uint64_t *)(const void *)value);
	case PROTOBUF_C_TYPE_DOUBLE:
		return json_real(*(const double *)(const void *)value);
	case PROTOBUF_C_TYPE_BOOL:
		return json_boolean(*(const protobuf_c_boolean *)value);
	case PROTOBUF_C_TYPE_ENUM:
		return enum_to_json(field, *(const int *)(const void *)value);
	case PROTOBUF_C_TYPE_STRING:
		return json_string(*(char *const *)(const void *)value);
	default:
		return NULL;
	}
}

static bool
is_present(const ProtobufCFieldDescriptor *field, const char *message)
{
	const char *value = message + field->offset;

	if (field->label == PROTOBUF_C_LABEL_REPEATED ||
	    field->type == PROTOBUF_C_TYPE_MESSAGE)
		return false;
	if (field->type == PROTOBUF_C_TYPE_STRING)
		return *(char *const *)(const void *)value != NULL;
	if (field->label == PROTOBUF_C_LABEL_REQUIRED)
		return true;
	return *(const protobuf_c_boolean *)(message +
					     field->quantifier_offset);
}

/* Add the plain fields of @message to @object; messages are left out. */
static void
add_fields(json_t *object, const ProtobufCMessage *message)
{
	const ProtobufCMessageDescriptor *descriptor = message->descriptor;

	for (unsigned int i = 0; i < descriptor->n_fields; i++) {
		const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
		const char *value = (const char *)message + field->offset;

		if (is_present(field, (const char *)message))
			(void)json_object_set_new(object, field->name,
						  value_to_json(field, value));
	}
}

static json_t *
message_to_json(const ProtobufCMessage *message)
{
	json_t *object = json_object();

	add_fields(object, message);
	return object;
}

/* The message, with its profile in the form of proto/profile.h. */
static json_t *
state_to_json(const Emad__ProfileState *state)
{
	json_t *object = message_to_json(&state->base);
	struct profile profile;
	struct why why;

	if (wire_profile_read(&profile, state->profile, &why) == STATUS_OK) {
		(void)json_object_set_new(object, "profile",
					  profile_to_json(&profile));
		profile_deinit(&profile);
	} else {
		(void)json_object_set_new(
			object, "profile",
			message_to_json(&state->profile->base));
	}
	return object;
}

/* Ask, in a process that may. */
static int
ask_about(struct emad *emad, const Emad__Request *request,
	  Emad__Reply **ret_reply)
{
	int status = check_process(emad->pid);

	if (status == EMAD_OK)
		status = ask(emad, request, deadline_after(ASK_TIMEOUT_MS),
			     ret_reply);
	return status;
}

static int
fail_incomplete(void)
{
	return fail(EMAD_CHANGED, "the daemon's answer is incomplete");
}

static int
give_text(json_t *value, char **ret_json)
{
	char *text = json_dumps(value, JSON_COMPACT);

	if (!text)
		return fail(EMAD_SYSTEM, "cannot write the answer as JSON");
	*ret_json = text;
	return EMAD_OK;
}

int
emad_status_json(struct emad *emad, char **ret_json)
{
	Emad__Status status_request = EMAD__STATUS__INIT;
	Emad__Request request = EMAD__REQUEST__INIT;
	owned_reply *reply = NULL;
	owned_json *object = NULL;
	int status;

	if (!emad || !ret_json)
		return fail(EMAD_USAGE, "emad_status_json: argument is NULL");
	request.status = &status_request;
	status = ask_about(emad, &request, &reply);
	if (status != EMAD_OK)
		return status;
	if (!reply->status_reply)
		return fail_incomplete();
	object = message_to_json(&reply->status_reply->base);
	return give_text(object, ret_json);
}

/* Append one page of the list; *ret_more: there are others, after @after. */
static int
add_page(struct emad *emad, json_t *models, char **after, bool *ret_more)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__List list = EMAD__LIST__INIT;
	owned_reply *reply = NULL;
	int status;

	list.after = *after;
	request.list = &list;
	status = ask_about(emad, &request, &reply);
	if (status != EMAD_OK)
		return status;
	if (!reply->list || (reply->list->more && reply->list->n_models == 0))
		return fail_incomplete();
	for (size_t i = 0; i < reply->list->n_models; i++)
		(void)json_array_append_new(
			models, message_to_json(&reply->list->models[i]->base));
	*ret_more = reply->list->more;
	if (*ret_more) {
		size_t last = reply->list->n_models - 1;

		free(*after);
		*after = xstrdup(reply->list->models[last]->name);
	}
	return EMAD_OK;
}

int
emad_list_json(struct emad *emad, char **ret_json)
{
	owned_json *object = NULL;
	owned_memory char *after = NULL;
	bool more = true;
	json_t *models;
	int status = EMAD_OK;

	if (!emad || !ret_json)
		return fail(EMAD_USAGE, "emad_list_json: argument is NULL");
	object = json_object();
	models = json_array();
	(void)json_object_set_new(object, "models", models);
	while (more && status == EMAD_OK)
		status = add_page(emad, models, &after, &more);
	return status == EMAD_OK ? give_text(object, ret_json) : status;
}

/* An array of plain messages. */
static json_t *
array_to_json(size_t n, ProtobufCMessage *const *messages)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(array,
					    message_to_json(messages[i]));
	return array;
}

static json_t *
describe_to_json(const Emad__DescribeReply *describe)
{
	json_t *profiles = json_array();

	for (size_t i = 0; i < describe->n_profiles; i++)
		(void)json_array_append_new(
			profiles, state_to_json(describe->profiles[i]));
	return json_pack(
		"{s:o, s:o, s:o}", "summary",
		message_to_json(&describe->summary->base), "profiles", profiles,
		"publishers",
		array_to_json(describe->n_publishers,
			      (ProtobufCMessage **)describe->publishers));
}

/* With @n > 0 also what drifted most. */
static int
describe_model(struct emad *emad, const char *model, size_t n, char **ret_json)
{
	Emad__Describe describe = EMAD__DESCRIBE__INIT;
	Emad__Request request = EMAD__REQUEST__INIT;
	owned_reply *reply = NULL;
	owned_json *object = NULL;
	int status;

	describe.model = (char *)(uintptr_t)model;
	describe.has_n_drifts = n > 0;
	describe.n_drifts = n < WIRE_DRIFTS_MAX ? (uint32_t)n : WIRE_DRIFTS_MAX;
	request.describe = &describe;
	status = ask_about(emad, &request, &reply);
	if (status != EMAD_OK)
		return status;
	if (!reply->describe)
		return fail_incomplete();
	object = describe_to_json(reply->describe);
	if (n > 0)
		(void)json_object_set_new(
			object, "drifts",
			array_to_json(
				reply->describe->n_drifts,
				(ProtobufCMessage **)reply->describe->drifts));
	return give_text(object, ret_json);
}

int
emad_describe_json(struct emad *emad, const char *model, char **ret_json)
{
	if (!emad || !model || !ret_json)
		return fail(EMAD_USAGE, "emad_describe_json: argument is NULL");
	return describe_model(emad, model, 0, ret_json);
}

int
emad_drift_json(struct emad *emad, const char *model, size_t n, char **ret_json)
{
	if (!emad || !model || !ret_json)
		return fail(EMAD_USAGE, "emad_drift_json: argument is NULL");
	if (n == 0)
		return fail(EMAD_USAGE, "emad_drift_json: 0 tensors");
	return describe_model(emad, model, n, ret_json);
}
