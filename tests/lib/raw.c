#include "tests/lib/raw.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/safetensors.h"
#include "tests/lib/daemon.h"
#include "tests/lib/story.h"

const uint8_t raw_hello[RAW_HELLO_SIZE] = { 0, 'S', 'P', 0, 0, 0x30, 0, 0 };
static const uint8_t reply_hello[RAW_HELLO_SIZE] = { 0, 'S',  'P', 0,
						     0, 0x31, 0,   0 };

/* Type, length, request id. */
#define FRAME_SIZE 13
/* Up to so many bytes leave in one piece, as any client's would. */
#define PIECE_SIZE 512

int
raw_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval longest = { .tv_sec = STORY_DEADLINE_MS / 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		give_up("socket: %s", strerror(errno));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &longest, sizeof longest);
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &longest, sizeof longest);
	insist(strlen(path) < sizeof address.sun_path);
	memcpy(address.sun_path, path, strlen(path));
	if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
		give_up("cannot connect to %s: %s", path, strerror(errno));
	return fd;
}

int
raw_open(const char *path)
{
	uint8_t hello[RAW_HELLO_SIZE];
	int fd = raw_connect(path);

	insist(raw_write(fd, raw_hello, RAW_HELLO_SIZE));
	insist(raw_read(fd, hello, RAW_HELLO_SIZE));
	insist(memcmp(hello, reply_hello, RAW_HELLO_SIZE) == 0);
	return fd;
}

static bool
is_closed(int error)
{
	if (error == EPIPE || error == ECONNRESET)
		return true;
	if (error == EINTR)
		return false;
	give_up("the daemon's socket: %s", strerror(error));
}

bool
raw_write(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size > 0) {
		ssize_t n = send(fd, at, size, MSG_NOSIGNAL);

		if (n < 0 && is_closed(errno))
			return false;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return true;
}

bool
raw_read(int fd, void *ret_bytes, size_t size)
{
	char *at = ret_bytes;

	while (size > 0) {
		ssize_t n = recv(fd, at, size, 0);

		if (n == 0 || (n < 0 && is_closed(errno)))
			return false;
		if (n > 0) {
			at += n;
			size -= (size_t)n;
		}
	}
	return true;
}

void
raw_await_close(int fd)
{
	char byte;

	while (raw_read(fd, &byte, 1))
		continue;
}

bool
raw_send(int fd, uint32_t id, const void *body, size_t size)
{
	uint64_t length = htobe64(size + sizeof id);
	uint32_t top = htobe32(id | 0x80000000U);
	uint8_t piece[PIECE_SIZE] = { 1 };

	memcpy(piece + 1, &length, sizeof length);
	memcpy(piece + 9, &top, sizeof top);
	if (size > PIECE_SIZE - FRAME_SIZE)
		return raw_write(fd, piece, FRAME_SIZE) &&
		       raw_write(fd, body, size);
	if (size > 0)
		memcpy(piece + FRAME_SIZE, body, size);
	return raw_write(fd, piece, FRAME_SIZE + size);
}

Emad__Reply *
raw_receive(int fd, uint32_t *ret_id)
{
	uint8_t frame[FRAME_SIZE];
	uint64_t length;
	uint32_t id;
	Emad__Reply *reply;
	struct why why;
	char *body;

	if (!raw_read(fd, frame, sizeof frame))
		return NULL;
	memcpy(&length, frame + 1, sizeof length);
	memcpy(&id, frame + 9, sizeof id);
	length = be64toh(length);
	insist(frame[0] == 1 && length >= 4 && length < 64U << 20);

	body = malloc(length);
	insist(body && raw_read(fd, body, length - 4));
	if (wire_unpack_reply(&reply, body, length - 4, &why) != STATUS_OK)
		give_up("the daemon's reply is no reply: %s", why.text);
	free(body);
	*ret_id = be32toh(id) & 0x7FFFFFFFU;
	return reply;
}

Emad__Reply *
raw_ask_bytes(int fd, const void *body, size_t size)
{
	static uint32_t next_id;
	uint32_t id = ++next_id & 0x7FFFFFFFU;
	uint32_t answered = 0;
	Emad__Reply *reply;

	insist(raw_send(fd, id, body, size));
	reply = raw_receive(fd, &answered);
	insist(reply && answered == id);
	return reply;
}

Emad__Reply *
raw_ask(int fd, const Emad__Request *request)
{
	size_t size;
	uint8_t *body = wire_pack(&request->base, &size);
	Emad__Reply *reply = raw_ask_bytes(fd, body, size);

	free(body);
	return reply;
}

unsigned int
raw_ask_status(int fd, const Emad__Request *request)
{
	Emad__Reply *reply = raw_ask(fd, request);
	unsigned int status = reply->status;

	wire_reply_free(reply);
	return status;
}

Emad__Reply *
raw_status(int fd)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Status status = EMAD__STATUS__INIT;
	Emad__Reply *reply;

	request.status = &status;
	reply = raw_ask(fd, &request);
	insist(reply->status == STATUS_OK && reply->status_reply);
	return reply;
}

void
raw_status_once(const char *path)
{
	(void)raw_count(path);
}

struct raw_counts
raw_count(const char *path)
{
	int fd = raw_open(path);
	Emad__Reply *reply = raw_status(fd);
	struct raw_counts counts = {
		.n_models = reply->status_reply->n_models,
		.n_sessions = reply->status_reply->n_sessions,
		.n_connections = reply->status_reply->n_connections,
	};

	wire_reply_free(reply);
	(void)close(fd);
	return counts;
}

Emad__Attach
raw_attach_message(const char *model, const char *json)
{
	Emad__Attach attach = EMAD__ATTACH__INIT;

	/* protobuf-c has no const; it does not write what it packs. */
	attach.model = (char *)(uintptr_t)model;
	attach.tensors.data = (uint8_t *)(uintptr_t)json;
	attach.tensors.len = strlen(json);
	attach.publisher = random_next();
	attach.first_unanswered = 1;
	return attach;
}

static void
map_slot(struct raw_session *session, size_t i, const Emad__Slot *slot)
{
	char path[SHM_PATH_SIZE];
	struct safetensors *header;
	struct why why;
	int fd;

	(void)snprintf(session->files[i], sizeof session->files[i], "%s",
		       slot->file);
	(void)snprintf(path, sizeof path, "%s/%s", SHM_DIRECTORY, slot->file);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		give_up("cannot open the slot %s: %s", path, strerror(errno));
	session->sizes[i] = slot->size;
	session->slots[i] = mmap(NULL, slot->size, PROT_READ | PROT_WRITE,
				 MAP_SHARED, fd, 0);
	(void)close(fd);
	insist(session->slots[i] != MAP_FAILED);
	if (safetensors_parse_file(&header, session->slots[i], slot->size,
				   &why) != STATUS_OK)
		give_up("a slot is no safetensors file: %s", why.text);
	session->data[i] = session->slots[i] + header->header_size;
	safetensors_free(header);
}

unsigned int
raw_attach(struct raw_session *ret_session, int fd, const Emad__Attach *attach)
{
	struct raw_session session = { .fd = fd };
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Reply *reply;
	unsigned int status;

	request.attach = (Emad__Attach *)(uintptr_t)attach;
	reply = raw_ask(fd, &request);
	status = reply->status;
	if (status == STATUS_OK) {
		insist(reply->attach);
		insist(reply->attach->n_slots <= WIRE_SLOTS_MAX);
		session.session = reply->attach->session;
		session.n_slots = reply->attach->n_slots;
		for (size_t i = 0; i < session.n_slots; i++)
			map_slot(&session, i, reply->attach->slots[i]);
		*ret_session = session;
	}
	wire_reply_free(reply);
	return status;
}

void
raw_session_close(struct raw_session *session)
{
	for (size_t i = 0; i < session->n_slots; i++)
		(void)munmap(session->slots[i], session->sizes[i]);
	session->n_slots = 0;
}

static uint8_t *
pack_publish(const struct raw_session *session, uint32_t slot,
	     uint64_t sequence, int64_t step, size_t *ret_size)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Publish publish = EMAD__PUBLISH__INIT;

	publish.session = session->session;
	publish.slot = slot;
	publish.sequence = sequence;
	publish.step = step;
	request.publish = &publish;
	return wire_pack(&request.base, ret_size);
}

size_t
raw_publish_size(const struct raw_session *session, uint32_t slot,
		 uint64_t sequence, int64_t step)
{
	size_t size;

	free(pack_publish(session, slot, sequence, step, &size));
	return size;
}

Emad__Reply *
raw_publish(const struct raw_session *session, uint32_t slot, uint64_t sequence,
	    int64_t step)
{
	size_t size;
	uint8_t *body = pack_publish(session, slot, sequence, step, &size);
	Emad__Reply *reply = raw_ask_bytes(session->fd, body, size);

	free(body);
	return reply;
}

unsigned int
raw_publish_status(const struct raw_session *session, uint32_t slot,
		   uint64_t sequence, int64_t step)
{
	Emad__Reply *reply = raw_publish(session, slot, sequence, step);
	unsigned int status = reply->status;

	wire_reply_free(reply);
	return status;
}

void
raw_publish_send(const struct raw_session *session, int fd, uint32_t id,
		 uint32_t slot, uint64_t sequence, int64_t step)
{
	size_t size;
	uint8_t *body = pack_publish(session, slot, sequence, step, &size);

	insist(raw_send(fd, id, body, size));
	free(body);
}

struct raw_version
raw_pull(int fd, const char *model)
{
	Emad__Request request = EMAD__REQUEST__INIT;
	Emad__Pull pull = EMAD__PULL__INIT;
	struct raw_version version = { .step = -1 };
	Emad__Reply *reply;

	pull.model = (char *)(uintptr_t)model;
	request.pull = &pull;
	reply = raw_ask(fd, &request);
	version.status = reply->status;
	if (reply->status == STATUS_OK) {
		insist(reply->pull);
		version.step = reply->pull->version->step;
		version.updates = reply->pull->version->updates;
	}
	wire_reply_free(reply);
	return version;
}
