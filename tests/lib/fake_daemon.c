#include "tests/lib/fake_daemon.h"

#include <check.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "proto/version.h"

#define DEADLINE_S 60
#define HEAD_SIZE  9 /* type, length */

struct held {
	int fd;
	uint32_t id;
	uint64_t sequence;
};

struct file {
	char name[FILE_NAME_SIZE];
	char *bytes;
	uint64_t size;
};

struct fake {
	char directory[64];
	char path[96];
	char address[ADDRESS_SIZE];
	int wake[2];
	pthread_t thread;
	bool is_running;
	/* The thread's own. */
	int listener;
	int connections[FAKE_CONNECTIONS];
	size_t n_connections;
	/* Under the mutex. */
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	struct fake_orders orders;
	struct fake_record record;
	struct held held[FAKE_HELD];
	unsigned int n_held;
	char *model;
	struct safetensors *layout; /* of slots */
	Emad__Profile *profile;
	uint64_t data_start;
	uint64_t value_at; /* 0: there is none */
	unsigned int n_slots;
	struct file slots[WIRE_SLOTS_MAX];
	struct file version;
	int64_t version_step;
};

static void
lock(struct fake *fake)
{
	ck_assert_int_eq(pthread_mutex_lock(&fake->mutex), 0);
}

static void
unlock(struct fake *fake)
{
	ck_assert_int_eq(pthread_mutex_unlock(&fake->mutex), 0);
}

static bool
transfer(int fd, void *bytes, size_t size, bool is_write)
{
	char *at = bytes;

	while (size > 0) {
		ssize_t n = is_write ? send(fd, at, size, MSG_NOSIGNAL)
				     : recv(fd, at, size, 0);

		if (n <= 0)
			return false;
		at += n;
		size -= (size_t)n;
	}
	return true;
}

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
	(void)(transfer(fd, head, sizeof head, true) &&
	       transfer(fd, body, size, true));
}

static void
file_remove(struct file *file)
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

	file_remove(file);
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

static void
forget_model(struct fake *fake)
{
	for (unsigned int i = 0; i < fake->n_slots; i++)
		file_remove(&fake->slots[i]);
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

	forget_model(fake);
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

static void
answer_publish(int fd, uint32_t id, enum status status)
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
		answer_publish(fd, id, STATUS_UNKNOWN_SESSION);
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
		answer_publish(fd, id, fake->orders.publish);
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

static void
handle(struct fake *fake, int fd, uint32_t id, const Emad__Request *request)
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

/* False: the connection is over. */
static bool
serve(struct fake *fake, int fd)
{
	unsigned char head[HEAD_SIZE];
	owned_memory char *body = NULL;
	Emad__Request *request;
	uint64_t size = 0;
	uint32_t id;
	struct why why;

	if (!transfer(fd, head, sizeof head, false))
		return false;
	for (unsigned int i = 1; i < HEAD_SIZE; i++)
		size = size << 8 | head[i];
	ck_assert_uint_le(size, WIRE_ATTACH_MAX + sizeof id);
	body = xmalloc(size);
	if (!transfer(fd, body, size, false))
		return false;
	memcpy(&id, body, sizeof id);
	ck_assert(wire_unpack_request(&request, body + sizeof id,
				      size - sizeof id, &why) == STATUS_OK);
	lock(fake);
	handle(fake, fd, id, request);
	(void)pthread_cond_broadcast(&fake->changed);
	unlock(fake);
	wire_request_free(request);
	return true;
}

static void
welcome(struct fake *fake)
{
	char theirs[8];
	char ours[8] = { 0, 'S', 'P', 0, 0, 0x31, 0, 0 };
	int fd = accept(fake->listener, NULL, NULL);

	if (fd < 0)
		return;
	/* One that only looks whether somebody listens closes at once. */
	if (!transfer(fd, ours, sizeof ours, true) ||
	    !transfer(fd, theirs, sizeof theirs, false)) {
		(void)close(fd);
		return;
	}
	ck_assert_uint_lt(fake->n_connections, FAKE_CONNECTIONS);
	fake->connections[fake->n_connections++] = fd;
}

static void
forget_held(struct fake *fake, int fd)
{
	unsigned int n = 0;

	lock(fake);
	for (unsigned int i = 0; i < fake->n_held; i++)
		if (fake->held[i].fd != fd)
			fake->held[n++] = fake->held[i];
	fake->n_held = n;
	unlock(fake);
}

static void *
run(void *arg)
{
	struct pollfd polls[FAKE_CONNECTIONS + 2];
	struct fake *fake = arg;

	for (;;) {
		size_t n = fake->n_connections;

		polls[0] = (struct pollfd) { fake->wake[0], POLLIN, 0 };
		polls[1] = (struct pollfd) { fake->listener, POLLIN, 0 };
		for (size_t i = 0; i < n; i++)
			polls[2 + i] = (struct pollfd) { fake->connections[i],
							 POLLIN, 0 };
		if (poll(polls, (nfds_t)n + 2, -1) < 0)
			continue;
		if (polls[0].revents)
			return NULL;
		for (size_t i = n; i-- > 0;) {
			int fd = polls[2 + i].fd;

			if (!polls[2 + i].revents || serve(fake, fd))
				continue;
			forget_held(fake, fd);
			(void)close(fd);
			fake->connections[i] =
				fake->connections[--fake->n_connections];
		}
		if (polls[1].revents)
			welcome(fake);
	}
}

struct fake *
fake_new(void)
{
	struct fake *fake = xcalloc(1, sizeof *fake);

	(void)strcpy(fake->directory, "/tmp/emad-fake-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fake->directory));
	(void)snprintf(fake->path, sizeof fake->path, "%s/socket",
		       fake->directory);
	(void)snprintf(fake->address, sizeof fake->address, "ipc://%s",
		       fake->path);
	ck_assert_int_eq(pthread_mutex_init(&fake->mutex, NULL), 0);
	ck_assert_int_eq(pthread_cond_init(&fake->changed, NULL), 0);
	return fake;
}

void
fake_free(struct fake *fake)
{
	fake_stop(fake);
	file_remove(&fake->version);
	(void)rmdir(fake->directory);
	(void)pthread_cond_destroy(&fake->changed);
	(void)pthread_mutex_destroy(&fake->mutex);
	free(fake);
}

const char *
fake_address(const struct fake *fake)
{
	return fake->address;
}

void
fake_start(struct fake *fake)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	ck_assert_int_eq(pipe(fake->wake), 0);
	fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)strcpy(address.sun_path, fake->path);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&address,
			      sizeof address),
			 0);
	ck_assert_int_eq(listen(fake->listener, 64), 0);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, run, fake), 0);
	fake->is_running = true;
}

void
fake_stop(struct fake *fake)
{
	if (!fake->is_running)
		return;
	fake->is_running = false;
	ck_assert_int_eq(write(fake->wake[1], "", 1), 1);
	ck_assert_int_eq(pthread_join(fake->thread, NULL), 0);
	for (size_t i = 0; i < fake->n_connections; i++)
		(void)close(fake->connections[i]);
	fake->n_connections = 0;
	fake->n_held = 0;
	(void)close(fake->listener);
	(void)close(fake->wake[0]);
	(void)close(fake->wake[1]);
	(void)unlink(fake->path);
	forget_model(fake);
}

void
fake_order(struct fake *fake, const struct fake_orders *orders)
{
	lock(fake);
	fake->orders = *orders;
	unlock(fake);
}

void
fake_look(struct fake *fake, struct fake_record *ret_record)
{
	lock(fake);
	*ret_record = fake->record;
	unlock(fake);
}

void
fake_release(struct fake *fake, enum status status, unsigned int n)
{
	lock(fake);
	for (unsigned int i = 0; i < n && fake->n_held > 0; i++) {
		answer_publish(fake->held[0].fd, fake->held[0].id, status);
		fake->n_held--;
		memmove(fake->held, fake->held + 1,
			fake->n_held * sizeof *fake->held);
	}
	unlock(fake);
}

void
fake_await_publishes(struct fake *fake, unsigned int n)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DEADLINE_S;
	lock(fake);
	while (fake->record.n_publishes < n)
		ck_assert_int_eq(pthread_cond_timedwait(&fake->changed,
							&fake->mutex,
							&deadline),
				 0);
	unlock(fake);
}

void
fake_make_version(struct fake *fake, int64_t step, float value)
{
	struct version_state state = { .step = step,
				       .updates = 3,
				       .decay = 0.5 };
	owned_safetensors *average = NULL;
	struct version_header header;
	struct profile profile;
	struct why why;

	lock(fake);
	ck_assert(wire_profile_read(&profile, fake->profile, &why) ==
		  STATUS_OK);
	ck_assert(version_average_layout(&average, fake->layout, &why) ==
		  STATUS_OK);
	ck_assert(version_header_init(&header, fake->model, &profile,
				      fake->layout, average,
				      &why) == STATUS_OK);
	(void)snprintf(fake->version.name, FILE_NAME_SIZE,
		       "emad.fake%d.%s.%s.safetensors", (int)getpid(),
		       fake->model, profile.name);
	file_make(&fake->version, &header, average->data_size);
	memcpy(fake->version.bytes + header.size, &value, sizeof value);
	version_header_write(&header, &state, true, fake->version.bytes);
	fake->version_step = step;
	version_header_deinit(&header);
	profile_deinit(&profile);
	unlock(fake);
}

const void *
fake_slot_tensor(struct fake *fake, unsigned int k, const char *tensor)
{
	const struct tensor *found;

	lock(fake);
	found = safetensors_find(fake->layout, tensor);
	ck_assert_ptr_nonnull(found);
	unlock(fake);
	return fake->slots[k].bytes + fake->data_start + found->begin;
}
