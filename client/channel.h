/*
 * One request at a time to the daemon: a REQ socket of libnng, and the only
 * part of the library that knows libnng.
 *
 * libnng's threads put answers into the channel and signal its gate; all else
 * happens on the caller's thread.  When the daemon goes, libnng connects again
 * by itself and repeats the request that has no answer yet.
 *
 * Not done here: what messages mean, and errors of the daemon.
 */
#ifndef CLIENT_CHANNEL_H
#define CLIENT_CHANNEL_H

#include "client/gate.h"
#include "proto/wire.h"

struct channel;

/*
 * Whether libnng can be used by this process: it cannot where a parent used
 * it before fork().
 */
bool channel_is_usable(void);

/*
 * Connect to @address in the background, for as long as it takes.  The
 * gate and @address must outlive the channel.  An enum emad_status, with a
 * sentence.
 */
int channel_new(struct channel **ret_channel, const char *address,
		struct gate *gate);

/* Several at once, so that they settle together.  NULLs are skipped. */
void channels_free(struct channel **channels, size_t n);

/* Send a request and return.  The channel must be idle. */
int channel_send(struct channel *channel, const Emad__Request *request);

/* Whether a request is under way; whether its answer is there. */
bool channel_is_idle(struct channel *channel);
bool channel_is_answered(struct channel *channel);

/*
 * Wait until one of @channels has an answer; false: the deadline passed first.
 * All of them share @gate.
 */
bool channels_wait(struct gate *gate, struct channel *const *channels, size_t n,
		   int64_t deadline);

/*
 * Take the answer, which makes the channel idle.  The reply is unpacked into
 * @room and freed with wire_reply_free_in(); NULL: it is on the heap and freed
 * with wire_reply_free().  UNREACHABLE: there will be none, send again.
 */
int channel_take(struct channel *channel, struct wire_room *room,
		 Emad__Reply **ret_reply);

/* Give the request up.  False: libnng would not let go of it. */
bool channel_cancel(struct channel *channel);

#endif
