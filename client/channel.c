#include "client/channel.h"

#include <limits.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "client/internal.h"

#define RECONNECT_MIN_MS 10
#define RECONNECT_MAX_MS 100
#define CANCEL_MS        1000
/* nng_close() can hang while a message is on its way; after this it is not. */
#define SETTLE_MS 5
/*
 * A repeat is wanted when the connection is lost and at no other time.  Newer
 * versions of libnng give up at a lost connection if this is infinite.
 */
#define RESEND_MS INT_MAX

struct gate {
	pthread_mutex_t mutex;
	pthread_cond_t changed;
	bool is_kept; /* a channel that could not be freed may still use it */
};

enum channel_state {
	CHANNEL_IDLE,
	CHANNEL_SENDING,
	CHANNEL_RECEIVING,
	CHANNEL_ANSWERED,
};

struct channel {
	struct gate *gate;
	nng_socket socket;
	nng_aio *aio;
	/* The rest is under the gate's mutex. */
	enum channel_state state;
	bool is_cancelled;
	int result; /* nng's, of the answer */
	nng_msg *reply;
	int64_t last_event; /* clock_ms() */
};

/* The process that used libnng first; 0: none yet. */
static _Atomic pid_t nng_owner;

int64_t
clock_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t
deadline_after(int timeout_ms)
{
	return timeout_ms < 0 ? DEADLINE_NEVER : clock_ms() + timeout_ms;
}

struct gate *
gate_new(void)
{
	struct gate *gate = xcalloc(1, sizeof *gate);
	pthread_condattr_t attributes;

	must(pthread_mutex_init(&gate->mutex, NULL) == 0);
	must(pthread_condattr_init(&attributes) == 0);
	must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
	must(pthread_cond_init(&gate->changed, &attributes) == 0);
	(void)pthread_condattr_destroy(&attributes);
	return gate;
}

void
gate_free(struct gate *gate)
{
	if (!gate || gate->is_kept)
		return;
	(void)pthread_cond_destroy(&gate->changed);
	(void)pthread_mutex_destroy(&gate->mutex);
	free(gate);
}

/* False: the deadline has passed. */
static bool
gate_wait(struct gate *gate, int64_t deadline)
{
	struct timespec until = {
		.tv_sec = (time_t)(deadline / 1000),
		.tv_nsec = (long)(deadline % 1000) * 1000000,
	};

	if (deadline == DEADLINE_NEVER) {
		(void)pthread_cond_wait(&gate->changed, &gate->mutex);
		return true;
	}
	return pthread_cond_timedwait(&gate->changed, &gate->mutex, &until) ==
	       0;
}

bool
channel_is_usable(void)
{
	pid_t expected = 0;
	pid_t self = getpid();

	return atomic_compare_exchange_strong(&nng_owner, &expected, self) ||
	       expected == self;
}

/* On one of libnng's threads, which must not be kept. */
static void
on_event(void *arg)
{
	struct channel *channel = arg;
	int result = nng_aio_result(channel->aio);

	(void)pthread_mutex_lock(&channel->gate->mutex);
	channel->last_event = clock_ms();
	if (channel->state == CHANNEL_SENDING && result == 0 &&
	    !channel->is_cancelled) {
		channel->state = CHANNEL_RECEIVING;
		(void)pthread_mutex_unlock(&channel->gate->mutex);
		nng_recv_aio(channel->socket, channel->aio);
		return;
	}
	if (channel->state == CHANNEL_SENDING) {
		/* What was not sent is still ours to free. */
		if (result != 0 && nng_aio_get_msg(channel->aio))
			nng_msg_free(nng_aio_get_msg(channel->aio));
		result = result ? result : NNG_ECANCELED;
	} else if (result == 0) {
		channel->reply = nng_aio_get_msg(channel->aio);
	}
	nng_aio_set_msg(channel->aio, NULL);
	channel->result = result;
	channel->state = CHANNEL_ANSWERED;
	(void)pthread_cond_broadcast(&channel->gate->changed);
	(void)pthread_mutex_unlock(&channel->gate->mutex);
}

static int
set_options(nng_socket socket)
{
	int r;

	r = nng_socket_set_ms(socket, NNG_OPT_RECONNMINT, RECONNECT_MIN_MS);
	if (r == 0)
		r = nng_socket_set_ms(socket, NNG_OPT_RECONNMAXT,
				      RECONNECT_MAX_MS);
	if (r == 0)
		r = nng_socket_set_ms(socket, NNG_OPT_REQ_RESENDTIME,
				      RESEND_MS);
	if (r == 0)
		r = nng_socket_set_size(socket, NNG_OPT_RECVMAXSZ,
					WIRE_REPLY_MAX + 4096);
	return r;
}

int
channel_new(struct channel **ret_channel, const char *address,
	    struct gate *gate)
{
	struct channel *channel;
	nng_socket socket;
	int r;

	if (!channel_is_usable())
		return fail_forked();
	r = nng_req0_open(&socket);
	if (r != 0)
		return fail(EMAD_SYSTEM, "cannot open a socket: %s",
			    nng_strerror(r));
	channel = xcalloc(1, sizeof *channel);
	channel->gate = gate;
	channel->socket = socket;
	r = set_options(socket);
	if (r == 0)
		r = nng_aio_alloc(&channel->aio, on_event, channel);
	if (r == 0) {
		nng_aio_set_timeout(channel->aio, NNG_DURATION_INFINITE);
		/* A blocking dial can fail when many connect at once. */
		r = nng_dial(socket, address, NULL, NNG_FLAG_NONBLOCK);
	}
	if (r == 0) {
		*ret_channel = channel;
		return EMAD_OK;
	}
	channels_free(&channel, 1);
	return fail(EMAD_SYSTEM, "cannot connect to %s: %s", address,
		    nng_strerror(r));
}

int
channel_send(struct channel *channel, const Emad__Request *request)
{
	size_t size = protobuf_c_message_get_packed_size(&request->base);
	nng_msg *message;
	int r;

	r = nng_msg_alloc(&message, size);
	if (r != 0)
		return fail(EMAD_SYSTEM, "no memory for a message of %zu bytes",
			    size);
	(void)protobuf_c_message_pack(&request->base, nng_msg_body(message));

	(void)pthread_mutex_lock(&channel->gate->mutex);
	must(channel->state == CHANNEL_IDLE);
	channel->state = CHANNEL_SENDING;
	channel->is_cancelled = false;
	(void)pthread_mutex_unlock(&channel->gate->mutex);

	nng_aio_set_msg(channel->aio, message);
	nng_send_aio(channel->socket, channel->aio);
	return EMAD_OK;
}

static enum channel_state
get_state(struct channel *channel)
{
	enum channel_state state;

	(void)pthread_mutex_lock(&channel->gate->mutex);
	state = channel->state;
	(void)pthread_mutex_unlock(&channel->gate->mutex);
	return state;
}

bool
channel_is_idle(struct channel *channel)
{
	return get_state(channel) == CHANNEL_IDLE;
}

bool
channel_is_answered(struct channel *channel)
{
	return get_state(channel) == CHANNEL_ANSWERED;
}

static bool
any_is_answered(struct channel *const *channels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (channels[i]->state == CHANNEL_ANSWERED)
			return true;
	return false;
}

bool
channels_wait(struct gate *gate, struct channel *const *channels, size_t n,
	      int64_t deadline)
{
	bool answered;

	(void)pthread_mutex_lock(&gate->mutex);
	while (!(answered = any_is_answered(channels, n)))
		if (!gate_wait(gate, deadline) && clock_ms() >= deadline)
			break;
	(void)pthread_mutex_unlock(&gate->mutex);
	return answered;
}

int
channel_take(struct channel *channel, Emad__Reply **ret_reply)
{
	enum status status;
	struct why why;
	nng_msg *reply;
	int result;

	(void)pthread_mutex_lock(&channel->gate->mutex);
	must(channel->state == CHANNEL_ANSWERED);
	reply = channel->reply;
	result = channel->result;
	channel->reply = NULL;
	channel->state = CHANNEL_IDLE;
	(void)pthread_mutex_unlock(&channel->gate->mutex);

	if (result != 0)
		return fail(EMAD_UNREACHABLE,
			    "the request was not answered: %s",
			    nng_strerror(result));
	status = wire_unpack_reply(ret_reply, nng_msg_body(reply),
				   nng_msg_len(reply), &why);
	nng_msg_free(reply);
	if (status != STATUS_OK)
		return fail(EMAD_BAD_REQUEST,
			    "the daemon's answer cannot be read: %s", why.text);
	return EMAD_OK;
}

static bool
is_under_way(const struct channel *channel)
{
	return channel->state == CHANNEL_SENDING ||
	       channel->state == CHANNEL_RECEIVING;
}

/* Drop an answer that nobody wants any more. */
static void
clear(struct channel *channel)
{
	if (channel->reply)
		nng_msg_free(channel->reply);
	channel->reply = NULL;
	channel->state = CHANNEL_IDLE;
}

bool
channel_cancel(struct channel *channel)
{
	struct gate *gate = channel->gate;
	int64_t deadline = deadline_after(CANCEL_MS);
	bool is_idle;

	(void)pthread_mutex_lock(&gate->mutex);
	channel->is_cancelled = true;
	while (is_under_way(channel) && clock_ms() < deadline) {
		/*
		 * Without the mutex: cancelling calls on_event().  Repeated,
		 * since on_event() may be just about to start receiving.
		 */
		(void)pthread_mutex_unlock(&gate->mutex);
		nng_aio_cancel(channel->aio);
		(void)pthread_mutex_lock(&gate->mutex);
		if (is_under_way(channel))
			(void)gate_wait(gate, deadline_after(10));
	}
	is_idle = !is_under_way(channel);
	if (is_idle)
		clear(channel);
	else
		gate->is_kept = true;
	(void)pthread_mutex_unlock(&gate->mutex);
	return is_idle;
}

static void
free_channel(struct channel *channel)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	/*
	 * A socket that is still busy is left alone: it costs a descriptor
	 * and some memory, closing it may never come back.
	 */
	if (channel->aio && !channel_cancel(channel))
		return;
	while (clock_ms() - channel->last_event < SETTLE_MS)
		(void)nanosleep(&pause, NULL);
	(void)nng_close(channel->socket);
	if (channel->aio)
		nng_aio_free(channel->aio);
	free(channel);
}

void
channels_free(struct channel **channels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (channels[i] && channels[i]->aio)
			(void)channel_cancel(channels[i]);
	for (size_t i = 0; i < n; i++) {
		if (channels[i])
			free_channel(channels[i]);
		channels[i] = NULL;
	}
}
