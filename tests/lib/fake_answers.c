#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "proto/version.h"
#include "tests/lib/fake_private.h"

static void
send_reply(int fd, uint32_t id, Emad__Reply *reply)
{
	unsigned char head[HEAD_SIZE + sizeof id] = { 1 };
	owned_memory uint8_t *body = NULL;
	size_t size;

	if (!reply->sentence)
		reply->sentence = (char *)(uintptr_t)status_text(reply->status);
	body = wire_pack(&reply->base, &size);
	for (unsigned int i = 0; i < 8; i++)
		head[1 + i] = (unsigned char)((uint64_t)(size + sizeof id) >>
					      (56 - 8 * i));
	memcpy(head + HEAD_SIZE, &id, sizeof id);
	(void)(fake_transfer(fd, head, sizeof head, true) &&
	       fake_transfer(fd, body, size, true));
}

void
fake_file_remove(struct file *file)
{
	if (!file->bytes)
		return;
	(void)munmap(file->bytes, file->size);
	(void)shm_unlink(file->name);
	file->bytes = NULL;
}

static void
file_make(struct file *file, const struct version_header *header,
	  uint64_t data_size)
{
	int fd;

	fake_file_remove(file);
	fd = shm_open(file->name, O_RDWR | O_CREAT | O_EXCL, 0600);
	ck_assert_int_ge(fd, 0);
	file->size = header->size + data_size;
	ck_assert_int_eq(ftruncate(fd, (off_t)file->size), 0);
	file->bytes = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_SHARED,
			   fd, 0);
	ck_assert_ptr_ne(file->bytes, MAP_FAILED);
	(void)close(fd);
	memcpy(file->bytes, header->bytes, header->size);
}

void
fake_forget_model(struct fake *fake)
{
	for (unsigned int i = 0; i < fake->n_slots; i++)
		fake_file_remove(&fake->slots[i]);
	fake->n_slots = 0;
	safetensors_free(take_pointer(&fake->layout));
	free(take_pointer(&fake->model));
	wire_profile_free(take_pointer(&fake->profile));
}

static void
make_model(struct fake *fake, const Emad__Attach *attach)
{
	struct schedule schedule = schedule_default(SCHEDULE_CONSTANT);
	owned_safetensors *spec = NULL;
	struct version_header header;
	const struct tensor *weight;
	struct profile profile;
	struct why why;

	fake_forget_model(fake);
	fake->model = xstrdup(attach->model);
	if (attach->n_profiles > 0)
		ck_assert(wire_profile_read(&profile, attach->profiles[0],
					    &why) == STATUS_OK);
	else
		profile_init(&profile, "ema", &schedule);
	fake->profile = wire_profile_new(&profile);
	profile_deinit(&profile);
	ck_assert(safetensors_parse(&spec, attach->tensors.data,
				    attach->tensors.len, &why) == STATUS_OK);
	ck_assert(version_slot_layout(&fake->layout, spec, &why) == STATUS_OK);
	ck_assert(version_header_init_slot(&header, attach->model, fake->layout,
					   &why) == STATUS_OK);
	fake->data_start = header.size;
	weight = safetensors_find(fake->layout, "weight");
	fake->value_at = weight ? header.size + weight->begin : 0;
	fake->n_slots = attach->n_slots;
	for (unsigned int i = 0; i < fake->n_slots; i++) {
		(void)snprintf(fake->slots[i].name, FILE_NAME_SIZE,
			       ".emad.fake%d.slot-%u-%u", (int)getpid(),
			       fake->record.n_attaches, i);
		file_make(&fake->slots[i], &header, fake->layout->data_size);
	}
	version_header_deinit(&header);
}

static void
refuse_attach(struct fake *fake, int fd, uint32_t id)
{
	Emad__Reply reply = EMAD__REPLY__INIT;
	static char shape[] = "tensor weight: shape [3], not [2]";
	static char missing[] = "tensor bias: missing";
	char *differences[] = { shape, missing };

	reply.status = fake->orders.attach;
	if (fake->orders.n_passing > 0) {
		fake->orders.n_passing--;
		reply.status = STATUS_STOPPING;
	}
	if (reply.status == STATUS_SPEC_DIFFERS) {
		reply.n_differences = array_size(differences);
		reply.differences = differences;
		reply.has_differences_total = true;
		reply.differences_total = 2;
	}
	reply.has_busy_pid = reply.status == STATUS_BUSY;
	reply.busy_pid = fake->orders.busy_pid;
	send_reply(fd, id, &reply);
}

static void
on_attach(struct fake *fake, int fd, uint32_t id, const Emad__Attach *attach)
{
	Emad__AttachReply answer = EMAD__ATTACH_REPLY__INIT;
	Emad__ProfileState state = EMAD__PROFILE_STATE__INIT;
	Emad__ProfileState *states[] = { &state };
	Emad__Slot slots[WIRE_SLOTS_MAX];
	Emad__Slot *pointers[WIRE_SLOTS_MAX];
	Emad__Reply reply = EMAD__REPLY__INIT;

	fake->record.n_attaches++;
	fake->record.publisher = attach->publisher;
	fake->record.first_unanswered = attach->first_unanswered;
	if (fake->orders.attach != STATUS_OK || fake->orders.n_passing > 0) {
		refuse_attach(fake, fd, id);
		return;
	}
	make_model(fake, attach);
	fake->record.session++;
	for (unsigned int i = 0; i < fake->n_slots; i++) {
		emad__slot__init(&slots[i]);
		slots[i].file = fake->slots[i].name;
		if (fake->orders.slot_file)
			slots[i].file =
				(char *)(uintptr_t)fake->orders.slot_file;
		slots[i].size = fake->slots[i].size;
		pointers[i] = &slots[i];
	}
	state.profile = fake->profile;
	state.file = (char *)(uintptr_t) "-";
	answer.session = fake->record.session;
	answer.n_slots = fake->n_slots;
	answer.slots = pointers;
	answer.n_profiles = 1;
	answer.profiles = states;
	reply.attach = &answer;
	send_reply(fd, id, &reply);
}

void
fake_answer_publish(int fd, uint32_t id, enum status status)
{
	Emad__PublishReply answer = EMAD__PUBLISH_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	answer.absorbed = true;
	reply.status = status;
	reply.publish = status == STATUS_OK ? &answer : NULL;
	send_reply(fd, id, &reply);
}

static void
on_publish(struct fake *fake, int fd, uint32_t id, const Emad__Publish *publish)
{
	struct fake_record *record = &fake->record;
	struct fake_publish *entry;

	if (fake->n_slots == 0 || publish->session != record->session) {
		fake_answer_publish(fd, id, STATUS_UNKNOWN_SESSION);
		return;
	}
	ck_assert_uint_lt(record->n_publishes, FAKE_PUBLISHES);
	ck_assert_uint_lt(publish->slot, fake->n_slots);
	entry = &record->publishes[record->n_publishes++];
	*entry = (struct fake_publish) {
		.session = publish->session,
		.sequence = publish->sequence,
		.step = publish->step,
		.slot = publish->slot,
	};
	if (fake->value_at)
		memcpy(&entry->value,
		       fake->slots[publish->slot].bytes + fake->value_at,
		       sizeof entry->value);
	if (!fake->orders.must_hold) {
		fake_answer_publish(fd, id, fake->orders.publish);
		return;
	}
	ck_assert_uint_lt(fake->n_held, FAKE_HELD);
	fake->held[fake->n_held++] = (struct held) {
		.fd = fd,
		.id = id,
		.sequence = publish->sequence,
	};
}

static void
on_pull(struct fake *fake, int fd, uint32_t id, const Emad__Pull *pull)
{
	Emad__ProfileState state = EMAD__PROFILE_STATE__INIT;
	Emad__PullReply answer = EMAD__PULL_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	if (!fake->version.bytes) {
		reply.status = pull->timeout_ms ? STATUS_TIMEOUT
						: STATUS_UNKNOWN_MODEL;
	} else {
		state.profile = fake->profile;
		state.file = fake->version.name;
		state.has_step = true;
		state.step = fake->version_step;
		state.size = fake->version.size;
		answer.model = fake->model;
		answer.version = &state;
		reply.pull = &answer;
	}
	send_reply(fd, id, &reply);
}

static void
on_list(int fd, uint32_t id, const Emad__List *list)
{
	Emad__ModelSummary model = EMAD__MODEL_SUMMARY__INIT;
	Emad__ModelSummary *models[] = { &model };
	Emad__ListReply answer = EMAD__LIST_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	/* Two pages of one model each. */
	model.name = (char *)(uintptr_t)(list->after ? "b" : "a");
	answer.n_models = 1;
	answer.models = models;
	answer.more = !list->after;
	reply.list = &answer;
	send_reply(fd, id, &reply);
}

static void
on_describe(struct fake *fake, int fd, uint32_t id)
{
	Emad__Publisher publisher = EMAD__PUBLISHER__INIT;
	Emad__Publisher *publishers[] = { &publisher };
	Emad__ProfileState state = EMAD__PROFILE_STATE__INIT;
	Emad__ProfileState *states[] = { &state };
	Emad__ModelSummary summary = EMAD__MODEL_SUMMARY__INIT;
	Emad__DescribeReply answer = EMAD__DESCRIBE_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	publisher.publisher = UINT64_C(0xfedcba9876543210);
	publisher.mode = EMAD__MODE__LATEST;
	summary.name = fake->model;
	state.profile = fake->profile;
	state.file = (char *)(uintptr_t) "-";
	state.has_step = true;
	state.step = 7;
	answer.summary = &summary;
	answer.n_profiles = 1;
	answer.profiles = states;
	answer.n_publishers = 1;
	answer.publishers = publishers;
	reply.describe = &answer;
	send_reply(fd, id, &reply);
}

static void
on_status(int fd, uint32_t id)
{
	Emad__StatusReply answer = EMAD__STATUS_REPLY__INIT;
	Emad__Reply reply = EMAD__REPLY__INIT;

	answer.version = (char *)(uintptr_t) "0.0.0";
	answer.instance = (char *)(uintptr_t) "fake";
	answer.kernel = (char *)(uintptr_t) "none";
	answer.pid = getpid();
	reply.status_reply = &answer;
	send_reply(fd, id, &reply);
}

void
fake_handle(struct fake *fake, int fd, uint32_t id,
	    const Emad__Request *request)
{
	Emad__Reply reply = EMAD__REPLY__INIT;

	if (fake->orders.is_mute)
		return;
	if (request->attach)
		on_attach(fake, fd, id, request->attach);
	else if (request->publish)
		on_publish(fake, fd, id, request->publish);
	else if (request->pull)
		on_pull(fake, fd, id, request->pull);
	else if (request->list)
		on_list(fd, id, request->list);
	else if (request->describe)
		on_describe(fake, fd, id);
	else if (request->status)
		on_status(fd, id);
	else
		send_reply(fd, id, &reply);
	if (request->detach)
		fake->record.n_detaches++;
}

void
fake_make_version(struct fake *fake, int64_t step, float value)
{
	struct version_state state = { .step = step,
				       .updates = 3,
				       .decay = 0.5 };
	struct version_model model = { .name = fake->model,
				       .owner = geteuid() };
	owned_safetensors *average = NULL;
	struct version_header header;
	struct profile profile;
	struct why why;

	fake_lock(fake);
	ck_assert(wire_profile_read(&profile, fake->profile, &why) ==
		  STATUS_OK);
	ck_assert(version_average_layout(&average, fake->layout, &why) ==
		  STATUS_OK);
	ck_assert(version_header_init(&header, &model, &profile, fake->layout,
				      average, &why) == STATUS_OK);
	(void)snprintf(fake->version.name, FILE_NAME_SIZE,
		       "emad.fake%d.%s.%s.safetensors", (int)getpid(),
		       fake->model, profile.name);
	file_make(&fake->version, &header, average->data_size);
	memcpy(fake->version.bytes + header.size, &value, sizeof value);
	version_header_write(&header, &state, true, fake->version.bytes);
	fake->version_step = step;
	version_header_deinit(&header);
	profile_deinit(&profile);
	fake_unlock(fake);
}

const void *
fake_slot_tensor(struct fake *fake, unsigned int k, const char *tensor)
{
	const struct tensor *found;

	fake_lock(fake);
	found = safetensors_find(fake->layout, tensor);
	ck_assert_ptr_nonnull(found);
	fake_unlock(fake);
	return fake->slots[k].bytes + fake->data_start + found->begin;
}
