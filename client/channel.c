#include "client/channel.h"

#include <limits.h>
#include <nng/nng.h>
#include <nng/protocol/reqrep0/req.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>

#include "client/internal.h"

#define RECONNECT_MIN_MS 10
#define RECONNECT_MAX_MS 100
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

/*
 * No callback and no thread of libnng's tells of an answer: it makes the
 * socket's descriptor readable, which wakes who waits straight away.
 */
struct channel {
	nng_socket socket;
	nng_aio *aio; /* busy only until a request is sent, or in a call */
	const char *address;
	int readable; /* libnng's descriptor */
	bool is_under_way;
	nng_msg *reply; /* taken from libnng, not yet from here */
	int result;     /* nng's, of the answer */
	bool is_answered;
	int64_t dial_wait_ms; /* from when to dial anew to the time after */
	/* Also changed on libnng's threads. */
	_Atomic int64_t last_event; /* clock_ms() */
	_Atomic int64_t dial_at;    /* when to dial anew if there is no pipe */
	_Atomic int n_pipes;        /* connections that have said hello */
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

/* On one of libnng's threads. */
static void
on_pipe(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct channel *channel = arg;

	(void)pipe;
	(void)atomic_fetch_add(&channel->n_pipes,
			       event == NNG_PIPE_EV_ADD_POST ? 1 : -1);
	atomic_store(&channel->dial_at, clock_ms() + DEAF_MS);
	atomic_store(&channel->last_event, clock_ms());
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
channel_new(struct channel **ret_channel, const char *address)
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
	channel->socket = socket;
	channel->address = address;
	channel->dial_at = clock_ms() + DEAF_MS;
	channel->dial_wait_ms = DEAF_MS;
	r = set_options(socket);
	if (r == 0)
		r = watch_pipes(channel);
	if (r == 0)
		r = nng_socket_get_int(socket, NNG_OPT_RECVFD,
				       &channel->readable);
	if (r == 0)
		r = nng_aio_alloc(&channel->aio, NULL, NULL);
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

	must(channel_is_idle(channel));
	if (nng_msg_alloc(&message, size) != 0)
		return fail(EMAD_SYSTEM, "no memory for a message of %zu bytes",
			    size);
	(void)protobuf_c_message_pack(&request->base, nng_msg_body(message));
	channel->is_under_way = true;
	channel->last_event = clock_ms();
	nng_aio_set_msg(channel->aio, message);
	/* Done at once where there is a connection, else when there is one. */
	nng_send_aio(channel->socket, channel->aio);
	return EMAD_OK;
}

bool
channel_is_idle(const struct channel *channel)
{
	return !channel->is_under_way && !channel->is_answered;
}

/* The answer is there: take it, which ends at once. */
static void
receive(struct channel *channel)
{
	nng_aio *aio = channel->aio;

	nng_aio_wait(aio); /* for the sending, long done */
	nng_recv_aio(channel->socket, aio);
	nng_aio_wait(aio);
	channel->result = nng_aio_result(aio);
	channel->reply = channel->result == 0 ? nng_aio_get_msg(aio) : NULL;
	nng_aio_set_msg(aio, NULL);
	channel->last_event = clock_ms();
	channel->is_under_way = false;
	channel->is_answered = true;
}

/* Look, for @timeout_ms at most, which of those under way have answers. */
static bool
look(struct channel *const *channels, size_t n, int timeout_ms)
{
	struct pollfd polled[WIRE_SLOTS_MAX];
	bool any = false, none_is_due = true;

	must(n <= WIRE_SLOTS_MAX);
	for (size_t i = 0; i < n; i++) {
		any |= channels[i]->is_answered;
		none_is_due &= !channels[i]->is_under_way;
		polled[i] = (struct pollfd) {
			.fd = channels[i]->is_under_way ? channels[i]->readable
							: -1,
			.events = POLLIN,
		};
	}
	if (any || (none_is_due && timeout_ms == 0) ||
	    poll(polled, n, timeout_ms) <= 0)
		return any;
	for (size_t i = 0; i < n; i++)
		if (polled[i].revents != 0) {
			receive(channels[i]);
			any = true;
		}
	return any;
}

bool
channel_is_answered(const struct channel *channel)
{
	return channel->is_answered;
}

bool
channels_look(struct channel *const *channels, size_t n)
{
	return look(channels, n, 0);
}

static void
dial_if_deaf(struct channel *channel)
{
	int64_t now = clock_ms();

	if (!channel->is_under_way || channel->n_pipes > 0 ||
	    now < channel->dial_at)
		return;
	channel->dial_wait_ms *= 2;
	channel->dial_at = now + channel->dial_wait_ms;
	if (look_for_daemon(channel->address) == 0)
		(void)dial(channel);
}

bool
channels_wait(struct channel *const *channels, size_t n, int64_t deadline)
{
	int64_t left = SLICE_MS;

	do {
		if (deadline != DEADLINE_NEVER)
			left = deadline - clock_ms();
		left = left > SLICE_MS ? SLICE_MS : left > 0 ? left : 0;
		if (look(channels, n, (int)left))
			return true;
		for (size_t i = 0; i < n; i++)
			dial_if_deaf(channels[i]);
	} while (clock_ms() < deadline);
	return false;
}

int
channel_take(struct channel *channel, struct wire_room *room,
	     Emad__Reply **ret_reply)
{
	nng_msg *reply = channel->reply;
	enum status status;
	struct why why;

	must(channel->is_answered);
	channel->reply = NULL;
	channel->is_answered = false;
	channel->dial_wait_ms = DEAF_MS;
	if (channel->result != 0)
		return fail(EMAD_UNREACHABLE,
			    "the request was not answered: %s",
			    nng_strerror(channel->result));
	status = wire_unpack_reply_in(room, ret_reply, nng_msg_body(reply),
				      nng_msg_len(reply), &why);
	nng_msg_free(reply);
	if (status != STATUS_OK)
		return fail(EMAD_BAD_REQUEST,
			    "the daemon's answer cannot be read: %s", why.text);
	return EMAD_OK;
}

void
channel_cancel(struct channel *channel)
{
	nng_aio *aio = channel->aio;

	if (channel->is_under_way) {
		nng_aio_cancel(aio);
		nng_aio_wait(aio);
		/* What was not sent is still ours to free. */
		if (nng_aio_result(aio) != 0 && nng_aio_get_msg(aio))
			nng_msg_free(nng_aio_get_msg(aio));
		nng_aio_set_msg(aio, NULL);
		/* Giving up to wait makes libnng forget what was sent. */
		nng_recv_aio(channel->socket, aio);
		nng_aio_cancel(aio);
		nng_aio_wait(aio);
		if (nng_aio_result(aio) == 0)
			nng_msg_free(nng_aio_get_msg(aio));
		nng_aio_set_msg(aio, NULL);
		channel->is_under_way = false;
		channel->last_event = clock_ms();
	}
	if (channel->reply)
		nng_msg_free(channel->reply);
	channel->reply = NULL;
	channel->is_answered = false;
}

static void
free_channel(struct channel *channel)
{
	struct timespec pause = { .tv_nsec = 1000000 };

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
			channel_cancel(channels[i]);
	for (size_t i = 0; i < n; i++) {
		if (channels[i])
			free_channel(channels[i]);
		channels[i] = NULL;
	}
}
