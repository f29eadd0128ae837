/*
 * Packing and unpacking messages, with every limit of the wire.
 *
 * Bytes are checked before they are unpacked (size, nesting, counts, strings
 * that are UTF-8 without NUL) and what comes out is bounded by an arena, so
 * that no message costs more than a known multiple of its size.  Any thread.
 */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "proto/emad.pb-c.h"
#include "proto/profile.h"
#include "proto/status.h"
#include "proto/util.h"

#define WIRE_MESSAGE_MAX (64 * 1024)        /* bytes, any message */
#define WIRE_ATTACH_MAX  (16 * 1024 * 1024) /* bytes, an attach */
#define WIRE_REPLY_MAX   (1024 * 1024)      /* bytes, a reply */
#define WIRE_STRING_MAX  4096               /* bytes, any string */
#define WIRE_FIELDS_MAX  (16 * 1024) /* fields in a message, nested too */
#define WIRE_SLOTS_MAX   16
#define WIRE_DIFFERENCES 100  /* listed; the count is always whole */
#define WIRE_LIST_MAX    100  /* models in one page of a list */
#define WIRE_DRIFTS_MAX  1000 /* of one profile, in a description */

/* An unpacked message; free with wire_request_free() / wire_reply_free(). */
enum status wire_unpack_request(Emad__Request **ret_request, const void *bytes,
				size_t size, struct why *why);
enum status wire_unpack_reply(Emad__Reply **ret_reply, const void *bytes,
			      size_t size, struct why *why);
void wire_request_free(Emad__Request *request);
void wire_reply_free(Emad__Reply *reply);

/*
 * The same into memory of the caller's, so that a small reply costs no
 * allocation; what does not fit takes the heap.  NULL: all of it does.
 */
struct wire_room {
	char bytes[1024] __attribute__((aligned));
	size_t used;
};
enum status
wire_unpack_reply_in(struct wire_room *room, Emad__Reply **ret_reply,
		     const void *bytes, size_t size, struct why *why);
void wire_reply_free_in(struct wire_room *room, Emad__Reply *reply);

/* malloc'ed bytes of @message, *ret_size of them. */
uint8_t *wire_pack(const ProtobufCMessage *message, size_t *ret_size);

/* Whether @bytes may be an attach, as far as its first bytes tell. */
bool wire_may_be_attach(const void *bytes, size_t size);

/*
 * Profiles, there and back.  From the wire: defaults filled in, checked.
 * To the wire: every field set; free with wire_profile_free().
 */
enum status wire_profile_read(struct profile *ret_profile,
			      const Emad__Profile *message, struct why *why);
Emad__Profile *wire_profile_new(const struct profile *profile);
void wire_profile_free(Emad__Profile *message);

#endif
