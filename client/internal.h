/*
 * What the library's files know of each other.
 *
 * error.c: sentences; channel.c: libnng; emad.c: connections and questions;
 * spec.c: what a model is; slots.c: shared memory of a publisher;
 * publisher.c: attach and detach; publish.c: snapshots; answers.c: answers to
 * them; view.c: versions; control.c: descriptions; copy.c: copying past the
 * caches.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <sys/types.h>

#include "client/channel.h"
#include "client/copy.h"
#include "client/emad.h"
#include "proto/address.h"
#include "proto/name.h"
#include "proto/safetensors.h"
#include "proto/schedule.h"

/* ---- error.c ---- */

/* Set this thread's sentence; returns @status. */
int
fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence that stands for every call in a forked child. */
int fail_forked(void);

/* Put a sentence before the one that is there; returns @status. */
int fail_because(int status, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The daemon's sentence and what it lists with it; returns its status. */
int fail_refused(const Emad__Reply *reply);

/* ---- emad.c ---- */

#define CONNECT_TIMEOUT_MS 5000
#define ASK_TIMEOUT_MS     30000

struct emad {
	char address[ADDRESS_SIZE];
	pid_t pid; /* of the process that may use it */
	struct gate *gate;
	struct channel *control;
	struct emad_publisher *publishers;
};

/* EMAD_OK, or FORKED where @pid is not this process. */
int check_process(pid_t pid);

/* Whether somebody listens at @address: 0, or the errno that says why not. */
int look_for_daemon(const char *address);

/* UNREACHABLE, DENIED or, where somebody listens, TIMEOUT; with a sentence. */
int explain_silence(const struct emad *emad);

/*
 * Ask and wait for the reply, whatever its status; free it with
 * wire_reply_free().
 */
int ask_any(struct emad *emad, const Emad__Request *request, int64_t deadline,
	    Emad__Reply **ret_reply);

/* The same, but a refusal is a failure with the daemon's sentence. */
int ask(struct emad *emad, const Emad__Request *request, int64_t deadline,
	Emad__Reply **ret_reply);

static inline void
free_owned_reply(Emad__Reply **reply)
{
	wire_reply_free(*reply);
}
#define owned_reply __attribute__((cleanup(free_owned_reply))) Emad__Reply

/* ---- spec.c ---- */

/*
 * A complete attach message but for first_unanswered; free with
 * spec_deinit().  What it points to is its own.
 */
int spec_init(Emad__Attach *ret_attach, const char *model,
	      const struct emad_tensor *tensors, size_t n_tensors,
	      const struct emad_options *options);
void spec_deinit(Emad__Attach *attach);

/* ---- slots.c ---- */

enum slot_state {
	SLOT_FREE,
	SLOT_BEGUN, /* the caller writes into it */
	SLOT_SENT,  /* the daemon has it, or will when it is sent again */
};

struct slot {
	char *file; /* the mapping */
	enum slot_state state;
	uint64_t sequence; /* of the publish it was sent with */
	int64_t step;
};

/* Where a tensor lies in every slot. */
struct place {
	uint64_t offset; /* from the start of the file */
	uint64_t size;
};

struct emad_publisher {
	struct emad *emad;
	struct emad_publisher *next; /* of the same connection */
	Emad__Attach attach;         /* kept for attaching again */
	size_t n_tensors;
	struct place *places; /* in the caller's order */
	struct schedule *schedules;
	size_t n_schedules;
	enum emad_mode mode;
	int timeout_ms;
	int64_t last_step;      /* at attach */
	int64_t last_published; /* STEP_NONE: nothing yet */
	uint64_t session;
	uint64_t next_sequence;
	bool is_lost;       /* the daemon does not know the session */
	bool is_taken_over; /* for good */
	/* NULL: the snapshot fits into caches, memcpy() does. */
	const struct copy_way *copy_way;
	size_t n_slots;
	uint64_t slot_size; /* bytes of each file */
	uint64_t data_start;
	struct slot slots[WIRE_SLOTS_MAX];
	size_t next_slot;
	struct slot *begun; /* NULL: none */
	/* Slot k's requests go through channel k; all through one gate. */
	struct gate *gate;
	struct channel *channels[WIRE_SLOTS_MAX];
	/* The first refusal that has not been reported; OK: none. */
	int refusal;
	char refusal_sentence[WHY_SIZE];
	struct emad_counts counts;
};

/* A file name in a reply, which may not lead out of the directory. */
bool is_plain_file_name(const char *file);

/*
 * Map the slots of a first attach and find every tensor in them.
 * CHANGED, SYSTEM.
 */
int slots_map(struct emad_publisher *publisher, const Emad__AttachReply *reply,
	      const struct emad_tensor *tensors);

/*
 * Put the slots of a later attach in the place of those that are mapped, with
 * what these hold.
 */
int
slots_remap(struct emad_publisher *publisher, const Emad__AttachReply *reply);
void slots_unmap(struct emad_publisher *publisher);

/* ---- publisher.c ---- */

/* Attach again, and send again what was not answered. */
int publisher_restore(struct emad_publisher *publisher, int64_t deadline);

/* ---- publish.c ---- */

/* Send the slot's publish; its channel must be idle. */
int publish_send(struct emad_publisher *publisher, struct slot *slot);

/* Wait until every publish is answered.  TAKEN_OVER, TIMEOUT, UNREACHABLE. */
int publish_drain(struct emad_publisher *publisher, int64_t deadline);

/* ---- answers.c ---- */

/* Take in every answer that is there. */
void answers_collect(struct emad_publisher *publisher);

/* Wait for an answer and take it in.  TIMEOUT, UNREACHABLE. */
int answers_wait(struct emad_publisher *publisher, int64_t deadline);

/* Whether a request has not been answered, or its answer not taken in. */
bool answers_are_due(struct emad_publisher *publisher);

/* OK, or the refusal that has not been reported yet. */
int answers_report(struct emad_publisher *publisher);

#endif
