/*
 * One request at a time to the daemon: a REQ socket of libnng, and the only
 * part of the library that knows libnng.
 *
 * libnng's threads move the bytes; all else happens on the thread of the
 * caller, one at a time.  When the daemon goes, libnng connects again by itself
 * and repeats the request that has no answer yet.
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
 * Connect to @address, which must outlive the channel, in the background, for
 * as long as it takes.  An enum emad_status, with a sentence.
 */
int channel_new(struct channel **ret_channel, const char *address);

/* Several at once, so that they settle together.  NULLs are skipped. */
void channels_free(struct channel **channels, size_t n);

/* Send a request and return.  The channel must be idle. */
int channel_send(struct channel *channel, const Emad__Request *request);

/* Whether a request is under way; whether its answer has been seen. */
bool channel_is_idle(const struct channel *channel);
bool channel_is_answered(const struct channel *channel);

/*
 * Look, without waiting, whether one of @channels, WIRE_SLOTS_MAX at most, has
 * an answer by now.
 */
bool channels_look(struct channel *const *channels, size_t n);

/*
 * Wait until one of @channels, WIRE_SLOTS_MAX at most, has an answer; false:
 * the deadline passed first.
 */
bool channels_wait(struct channel *const *channels, size_t n, int64_t deadline);

/*
 * Take the answer, which makes the channel idle.  The reply is unpacked into
 * @room and freed with wire_reply_free_in(); NULL: it is on the heap and freed
 * with wire_reply_free().  UNREACHABLE: there will be none, send again.
 */
int channel_take(struct channel *channel, struct wire_room *room,
		 Emad__Reply **ret_reply);

/* Give the request up: the channel is idle. */
void channel_cancel(struct channel *channel);

#endif
