#include "client/channel.h"

#include <limits.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
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
/*
 * libnng 1.5.2 stops connecting for good if the daemon goes between the
 * connection and the hello (the broken pipe is taken for a closed dialer).  A
 * channel that somebody waits for and that was not connected for this long,
 * while somebody listens, dials anew; each time after twice as long.
 */
#define DEAF_MS  300
#define SLICE_MS 100

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
	const char *address;
	/* The rest is under the gate's mutex. */
	enum channel_state state;
	bool is_cancelled;
	int result; /* nng's, of the answer */
	nng_msg *reply;
	int64_t last_event;   /* clock_ms() */
	int n_pipes;          /* connections that have said hello */
	int64_t dial_at;      /* when to dial anew if there is none */
	int64_t dial_wait_ms; /* until the time after that */
};

/* The process that used libnng first; 0: none yet. */
static _Atomic pid_t nng_owner;

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

/* On one of libnng's threads as well. */
static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct channel *channel = arg;

	(void)pipe;
	(void)pthread_mutex_lock(&channel->gate->mutex);
	channel->n_pipes += event == NNG_PIPE_EV_ADD_POST ? 1 : -1;
	channel->dial_at = clock_ms() + DEAF_MS;
	channel->dial_wait_ms = DEAF_MS;
	(void)pthread_mutex_unlock(&channel->gate->mutex);
}

static int
dial(struct channel *channel)
{
	/* A blocking dial can fail when many connect at once. */
	return nng_dial(channel->socket, channel->address, NULL,
			NNG_FLAG_NONBLOCK);
}

static int
watch_pipes(struct channel *channel)
{
	int r;

	r = nng_pipe_notify(channel->socket, NNG_PIPE_EV_ADD_POST, on_pipe,
			    channel);
	if (r == 0)
		r = nng_pipe_notify(channel->socket, NNG_PIPE_EV_REM_POST,
				    on_pipe, channel);
	return r;
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
	channel->address = address;
	channel->dial_at = clock_ms() + DEAF_MS;
	channel->dial_wait_ms = DEAF_MS;
	r = set_options(socket);
	if (r == 0)
		r = watch_pipes(channel);
	if (r == 0)
		r = nng_aio_alloc(&channel->aio, on_event, channel);
	if (r == 0) {
		nng_aio_set_timeout(channel->aio, NNG_DURATION_INFINITE);
		r = dial(channel);
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

	if (nng_msg_alloc(&message, size) != 0)
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

static bool
has_state(struct channel *channel, enum channel_state state)
{
	bool has;

	(void)pthread_mutex_lock(&channel->gate->mutex);
	has = channel->state == state;
	(void)pthread_mutex_unlock(&channel->gate->mutex);
	return has;
}

bool
channel_is_idle(struct channel *channel)
{
	return has_state(channel, CHANNEL_IDLE);
}

bool
channel_is_answered(struct channel *channel)
{
	return has_state(channel, CHANNEL_ANSWERED);
}

static bool
is_under_way(const struct channel *channel)
{
	return channel->state == CHANNEL_SENDING ||
	       channel->state == CHANNEL_RECEIVING;
}

static bool
any_is_answered(struct channel *const *channels, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (channels[i]->state == CHANNEL_ANSWERED)
			return true;
	return false;
}

static void
dial_if_deaf(struct channel *channel)
{
	int64_t now = clock_ms();
	bool is_deaf;

	(void)pthread_mutex_lock(&channel->gate->mutex);
	is_deaf = is_under_way(channel) && channel->n_pipes == 0 &&
		  now >= channel->dial_at;
	if (is_deaf) {
		channel->dial_wait_ms *= 2;
		channel->dial_at = now + channel->dial_wait_ms;
	}
	(void)pthread_mutex_unlock(&channel->gate->mutex);
	if (is_deaf && look_for_daemon(channel->address) == 0)
		(void)dial(channel);
}

/* False: the deadline passed. */
static bool
wait_until_answered(struct gate *gate, struct channel *const *channels,
		    size_t n, int64_t deadline)
{
	bool answered;

	(void)pthread_mutex_lock(&gate->mutex);
	while (!(answered = any_is_answered(channels, n)))
		if (!gate_wait(gate, deadline) && clock_ms() >= deadline)
			break;
	(void)pthread_mutex_unlock(&gate->mutex);
	return answered;
}

bool
channels_wait(struct gate *gate, struct channel *const *channels, size_t n,
	      int64_t deadline)
{
	bool answered = false;
	bool is_over = false;

	while (!answered && !is_over) {
		int64_t slice = deadline_after(SLICE_MS);

		is_over = slice >= deadline;
		answered = wait_until_answered(gate, channels, n,
					       is_over ? deadline : slice);
		for (size_t i = 0; i < n && !answered; i++)
			dial_if_deaf(channels[i]);
	}
	return answered;
}

int
channel_take(struct channel *channel, struct wire_room *room,
	     Emad__Reply **ret_reply)
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
	status = wire_unpack_reply_in(room, ret_reply, nng_msg_body(reply),
				      nng_msg_len(reply), &why);
	nng_msg_free(reply);
	if (status != STATUS_OK)
		return fail(EMAD_BAD_REQUEST,
			    "the daemon's answer cannot be read: %s", why.text);
	return EMAD_OK;
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
