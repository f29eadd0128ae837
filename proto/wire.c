#include "proto/wire.h"

#include "proto/wire_check.h"

/* What unpacking may still allocate.  protobuf-c hands NULL on as a failure. */
static _Thread_local size_t budget;

static void *
allocate(void *room, size_t size)
{
	struct wire_room *space = room;
	size_t rounded = u64_round_up(size, _Alignof(max_align_t));

	if (size > budget)
		return NULL;
	budget -= size;
	if (!space || rounded > sizeof space->bytes - space->used)
		return malloc(size ? size : 1);
	space->used += rounded;
	return space->bytes + space->used - rounded;
}

static void
release(void *room, void *memory)
{
	struct wire_room *space = room;
	uintptr_t at = (uintptr_t)memory;

	if (!space || at < (uintptr_t)space->bytes ||
	    at >= (uintptr_t)space->bytes + sizeof space->bytes)
		free(memory);
}

static ProtobufCAllocator
arena_in(struct wire_room *room)
{
	return (ProtobufCAllocator) {
		.alloc = allocate,
		.free = release,
		.allocator_data = room,
	};
}

static enum status
unpack(ProtobufCMessage **ret_message, struct wire_room *room,
       const ProtobufCMessageDescriptor *descriptor, const void *bytes,
       size_t size, size_t size_max, struct why *why)
{
	ProtobufCAllocator arena = arena_in(room);
	enum status status;

	if (size > size_max) {
		why_set(why, "the message has %zu bytes; at most %zu", size,
			size_max);
		return STATUS_TOO_LARGE;
	}
	status = wire_check(descriptor, bytes, size, why);
	if (status != STATUS_OK)
		return status;
	/* Every field costs a struct of at most a few hundred bytes. */
	budget = 2 * size + (size_t)WIRE_FIELDS_MAX * 256;
	*ret_message =
		protobuf_c_message_unpack(descriptor, &arena, size, bytes);
	if (*ret_message)
		return STATUS_OK;
	why_set(why, "the message is not a valid %s", descriptor->short_name);
	return STATUS_BAD_REQUEST;
}

bool
wire_may_be_attach(const void *bytes, size_t size)
{
	/* Field 1 of Request, length-delimited. */
	return size > 0 && *(const uint8_t *)bytes == (1 << 3 | 2);
}

/* How many of the requests that this version knows are set. */
static unsigned int
count_requests(const Emad__Request *request)
{
	const void *const fields[] = {
		request->attach, request->publish,  request->pull,
		request->list,   request->describe, request->detach,
		request->drop,   request->stop,     request->status,
	};
	unsigned int n = 0;

	for (size_t i = 0; i < array_size(fields); i++)
		n += fields[i] != NULL;
	return n;
}

enum status
wire_unpack_request(Emad__Request **ret_request, const void *bytes, size_t size,
		    struct why *why)
{
	ProtobufCMessage *message;
	Emad__Request *request;
	enum status status;
	unsigned int n;

	status = unpack(&message, NULL, &emad__request__descriptor, bytes, size,
			wire_may_be_attach(bytes, size) ? WIRE_ATTACH_MAX
							: WIRE_MESSAGE_MAX,
			why);
	if (status != STATUS_OK)
		return status;
	request = (Emad__Request *)(void *)message;
	n = count_requests(request);
	if (n == 1) {
		*ret_request = request;
		return STATUS_OK;
	}
	if (n == 0 && request->base.n_unknown_fields > 0) {
		why_set(why, "this daemon does not know that request: it is "
			     "older than its client");
		status = STATUS_UNSUPPORTED;
	} else {
		why_set(why, "a message must hold one request, not %u", n);
		status = STATUS_BAD_REQUEST;
	}
	wire_request_free(request);
	return status;
}

enum status
wire_unpack_reply_in(struct wire_room *room, Emad__Reply **ret_reply,
		     const void *bytes, size_t size, struct why *why)
{
	ProtobufCMessage *message;
	enum status status;

	if (room)
		room->used = 0;
	status = unpack(&message, room, &emad__reply__descriptor, bytes, size,
			WIRE_ATTACH_MAX, why);
	if (status == STATUS_OK)
		*ret_reply = (Emad__Reply *)(void *)message;
	return status;
}

enum status
wire_unpack_reply(Emad__Reply **ret_reply, const void *bytes, size_t size,
		  struct why *why)
{
	return wire_unpack_reply_in(NULL, ret_reply, bytes, size, why);
}

void
wire_request_free(Emad__Request *request)
{
	ProtobufCAllocator arena = arena_in(NULL);

	if (request)
		protobuf_c_message_free_unpacked(&request->base, &arena);
}

void
wire_reply_free_in(struct wire_room *room, Emad__Reply *reply)
{
	ProtobufCAllocator arena = arena_in(room);

	if (reply)
		protobuf_c_message_free_unpacked(&reply->base, &arena);
}

void
wire_reply_free(Emad__Reply *reply)
{
	wire_reply_free_in(NULL, reply);
}

uint8_t *
wire_pack(const ProtobufCMessage *message, size_t *ret_size)
{
	size_t size = protobuf_c_message_get_packed_size(message);
	uint8_t *bytes = xmalloc(size);

	*ret_size = protobuf_c_message_pack(message, bytes);
	must(*ret_size == size);
	return bytes;
}

static enum status
read_names(struct name_list *list, size_t n, char **names, const char *what,
	   struct why *why)
{
	if (n > RULE_NAMES_MAX) {
		why_set(why, "%s has %zu names; at most %d", what, n,
			RULE_NAMES_MAX);
		return STATUS_TOO_LARGE;
	}
	for (size_t i = 0; i < n; i++)
		name_list_append(list, names[i]);
	return STATUS_OK;
}

static enum status
read_lists(struct profile *profile, const Emad__Profile *message,
	   struct why *why)
{
	enum status status;

	status = read_names(&profile->no_ema,
			    message->n_param_or_buffer_names_no_ema,
			    message->param_or_buffer_names_no_ema,
			    "param_or_buffer_names_no_ema", why);
	if (status == STATUS_OK)
		status = read_names(&profile->ignore, message->n_ignore_names,
				    message->ignore_names, "ignore_names", why);
	if (status == STATUS_OK)
		status = read_names(&profile->ignore_startswith,
				    message->n_ignore_startswith_names,
				    message->ignore_startswith_names,
				    "ignore_startswith_names", why);
	return status;
}

static enum status
read_accumulator(struct profile *profile, const Emad__Profile *message,
		 struct why *why)
{
	if (!message->accumulator ||
	    accumulator_parse(&profile->accumulator, message->accumulator))
		return STATUS_OK;
	why_set(why, "there is no accumulator \"%.100s\"",
		message->accumulator);
	return STATUS_BAD_SPEC;
}

enum status
wire_profile_read(struct profile *ret_profile, const Emad__Profile *message,
		  struct why *why)
{
	enum schedule_variant variant = SCHEDULE_EMA_PYTORCH;
	struct schedule schedule;
	struct profile profile;
	enum status status;

	if (message->variant &&
	    !schedule_variant_parse(&variant, message->variant)) {
		why_set(why, "there is no schedule variant \"%.100s\"",
			message->variant);
		return STATUS_BAD_SPEC;
	}
	schedule = schedule_default(variant);
	if (message->has_beta)
		schedule.beta = message->beta;
	if (message->has_update_after_step)
		schedule.update_after_step = message->update_after_step;
	if (message->has_update_every)
		schedule.update_every = message->update_every;
	if (message->has_inv_gamma)
		schedule.inv_gamma = message->inv_gamma;
	if (message->has_power)
		schedule.power = message->power;
	if (message->has_min_value)
		schedule.min_value = message->min_value;
	profile_init(&profile, message->name ? message->name : DEFAULT_PROFILE,
		     &schedule);
	status = read_accumulator(&profile, message, why);
	if (status == STATUS_OK)
		status = read_lists(&profile, message, why);
	if (status == STATUS_OK)
		status = profile_check(&profile, why);
	if (status == STATUS_OK)
		*ret_profile = profile;
	else
		profile_deinit(&profile);
	return status;
}

static char **
copy_names(const struct name_list *list)
{
	char **names = xcalloc(list->n, sizeof *names);

	for (size_t i = 0; i < list->n; i++)
		names[i] = xstrdup(list->names[i]);
	return names;
}

Emad__Profile *
wire_profile_new(const struct profile *profile)
{
	const struct schedule *schedule = &profile->schedule;
	Emad__Profile *message = xmalloc(sizeof *message);

	emad__profile__init(message);
	message->name = xstrdup(profile->name);
	message->variant = xstrdup(schedule_variant_name(schedule->variant));
	message->has_beta = true;
	message->beta = schedule->beta;
	message->has_update_after_step = true;
	message->update_after_step = schedule->update_after_step;
	message->has_update_every = true;
	message->update_every = schedule->update_every;
	message->has_inv_gamma = true;
	message->inv_gamma = schedule->inv_gamma;
	message->has_power = true;
	message->power = schedule->power;
	message->has_min_value = true;
	message->min_value = schedule->min_value;
	message->n_param_or_buffer_names_no_ema = profile->no_ema.n;
	message->param_or_buffer_names_no_ema = copy_names(&profile->no_ema);
	message->n_ignore_names = profile->ignore.n;
	message->ignore_names = copy_names(&profile->ignore);
	message->n_ignore_startswith_names = profile->ignore_startswith.n;
	message->ignore_startswith_names =
		copy_names(&profile->ignore_startswith);
	message->accumulator = xstrdup(accumulator_name(profile->accumulator));
	return message;
}

void
wire_profile_free(Emad__Profile *message)
{
	/* Built by malloc alone, so the default allocator frees it. */
	if (message)
		protobuf_c_message_free_unpacked(&message->base, NULL);
}
