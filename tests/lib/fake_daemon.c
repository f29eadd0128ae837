#include "tests/lib/fake_private.h"

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

#define DEADLINE_S 60

void
fake_lock(struct fake *fake)
{
	ck_assert_int_eq(pthread_mutex_lock(&fake->mutex), 0);
}

void
fake_unlock(struct fake *fake)
{
	ck_assert_int_eq(pthread_mutex_unlock(&fake->mutex), 0);
}

bool
fake_transfer(int fd, void *bytes, size_t size, bool is_write)
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

	if (!fake_transfer(fd, head, sizeof head, false))
		return false;
	for (unsigned int i = 1; i < HEAD_SIZE; i++)
		size = size << 8 | head[i];
	ck_assert_uint_le(size, WIRE_ATTACH_MAX + sizeof id);
	body = xmalloc(size);
	if (!fake_transfer(fd, body, size, false))
		return false;
	memcpy(&id, body, sizeof id);
	ck_assert(wire_unpack_request(&request, body + sizeof id,
				      size - sizeof id, &why) == STATUS_OK);
	fake_lock(fake);
	fake_handle(fake, fd, id, request);
	(void)pthread_cond_broadcast(&fake->changed);
	fake_unlock(fake);
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
	if (!fake_transfer(fd, ours, sizeof ours, true) ||
	    !fake_transfer(fd, theirs, sizeof theirs, false)) {
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

	fake_lock(fake);
	for (unsigned int i = 0; i < fake->n_held; i++)
		if (fake->held[i].fd != fd)
			fake->held[n++] = fake->held[i];
	fake->n_held = n;
	fake_unlock(fake);
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
	fake_file_remove(&fake->version);
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
	fake_forget_model(fake);
}

void
fake_order(struct fake *fake, const struct fake_orders *orders)
{
	fake_lock(fake);
	fake->orders = *orders;
	fake_unlock(fake);
}

void
fake_look(struct fake *fake, struct fake_record *ret_record)
{
	fake_lock(fake);
	*ret_record = fake->record;
	fake_unlock(fake);
}

void
fake_release(struct fake *fake, enum status status, unsigned int n)
{
	fake_lock(fake);
	for (unsigned int i = 0; i < n && fake->n_held > 0; i++) {
		fake_answer_publish(fake->held[0].fd, fake->held[0].id, status);
		fake->n_held--;
		memmove(fake->held, fake->held + 1,
			fake->n_held * sizeof *fake->held);
	}
	fake_unlock(fake);
}

void
fake_await_publishes(struct fake *fake, unsigned int n)
{
	struct timespec deadline;

	(void)clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += DEADLINE_S;
	fake_lock(fake);
	while (fake->record.n_publishes < n)
		ck_assert_int_eq(pthread_cond_timedwait(&fake->changed,
							&fake->mutex,
							&deadline),
				 0);
	fake_unlock(fake);
}
