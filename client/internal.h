/*
 * What the library's files know of each other.
 *
 * error.c: sentences; channel.c: libnng; process.c: forks; emad.c: connections
 * and questions; spec.c: what a model is; slots.c: shared memory of a
 * publisher; publisher.c: attach and detach; publish.c: snapshots; fill.c,
 * copy.c and crew.c: copying them; async.c: copying them meanwhile; answers.c:
 * answers to them; view.c: versions; control.c: descriptions.
 */
#ifndef CLIENT_INTERNAL_H
#define CLIENT_INTERNAL_H

#include <sys/types.h>

#include "client/channel.h"
#include "client/copy.h"
#include "client/crew.h"
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

/* ---- process.c ---- */

/* Make it quick to tell this process from its children; any thread. */
void process_mark(void);

/* Whether this process is @pid, the one that the library is used in. */
bool process_is_same(pid_t pid);

/* EMAD_OK, or FORKED where @pid is not this process. */
int check_process(pid_t pid);

/* ---- emad.c ---- */

#define CONNECT_TIMEOUT_MS 5000
#define ASK_TIMEOUT_MS     30000

struct emad {
	char address[ADDRESS_SIZE];
	pid_t pid; /* of the process that may use it */
	struct channel *control;
	struct emad_publisher *publishers;
};

/* Whether somebody listens at @address: 0, or the errno that says why not. */
int look_for_daemon(const char *address);

/* UNREACHABLE, DENIED or, where somebody listens, TIMEOUT; with a sentence. */
int explain_silence(const struct emad *emad);

/*
 * Ask through @channel, and wait for the reply, whatever
 * its status; free it with wire_reply_free().  Where none comes, the channel is
 * replaced by a new one.
 */
int ask_through(struct channel **channel, const struct emad *emad,
		const Emad__Request *request, int64_t deadline,
		Emad__Reply **ret_reply);

/* The same through the control channel, and a refusal is a failure. */
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
	size_t index; /* in the caller's order */
};

/*
 * While a copy is under way that emad_publish_async() asked for, its thread has
 * the publisher but for what is marked (c): that is the caller's at all times.
 * The caller gets the rest back by async_join().
 */
struct emad_publisher {
	struct emad_publisher *next; /* (c), of the same connection */
	Emad__Attach attach; /* kept for attaching again, with one model */
	/* These never change, and anyone may read them. */
	struct emad *emad;
	size_t n_tensors;
	struct place *places; /* as they lie in a slot */
	struct schedule *schedules;
	size_t n_schedules;
	enum emad_mode mode;
	int timeout_ms;
	int64_t last_step; /* at attach */

	int64_t last_published; /* (c); STEP_NONE: nothing yet */
	uint64_t session;
	uint64_t next_sequence;
	bool is_lost;       /* the daemon does not know the session */
	bool is_taken_over; /* for good */
	/* NULL: the snapshot fits into caches, memcpy() does. */
	const struct copy_way *copy_way;
	struct crew *crew;   /* NULL: one thread copies */
	struct async *async; /* (c); NULL: none was ever asked for */
	size_t n_slots;
	uint64_t slot_size; /* bytes of each file */
	uint64_t data_start;
	struct slot slots[WIRE_SLOTS_MAX];
	size_t next_slot;
	struct slot *begun; /* (c); NULL: none */
	/* Slot k's requests go through channel k. */
	struct channel *channels[WIRE_SLOTS_MAX];
	/* The first refusal that has not been reported; OK: none. */
	int refusal;
	struct why refusal_sentence;
	struct emad_counts counts; /* by count() and count_read() */
};

/* Counted by one thread, looked at by another. */
static inline void
count(uint64_t *counter)
{
	(void)__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

static inline uint64_t
count_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

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

/* ---- fill.c ---- */

/* Where a caller's data pointers are: one in every @stride bytes. */
struct source {
	const char *first;
	size_t stride;
};

static inline const void *
source_get(const struct source *source, size_t i)
{
	return *(const void *const *)(const void *)(source->first +
						    i * source->stride);
}

/* Copy every tensor into @slot. */
void fill(const struct emad_publisher *publisher, const struct slot *slot,
	  const struct source *source);

/* ---- publish.c ---- */

/*
 * Check a publish of @step from @source, also while a copy is under way.  With
 * *ret_is_wanted false it is done with.
 */
int
publish_check(struct emad_publisher *publisher, const char *function,
	      int64_t step, const struct source *source, bool *ret_is_wanted);

/* Find a slot, fill it, and send it. */
int publish_snapshot(struct emad_publisher *publisher, int64_t step,
		     const struct source *source, int64_t deadline);

/* Send the slot's publish; its channel must be idle. */
int publish_send(struct emad_publisher *publisher, struct slot *slot);

/* Wait until every publish is answered.  TAKEN_OVER, TIMEOUT, UNREACHABLE. */
int publish_drain(struct emad_publisher *publisher, int64_t deadline);

/* ---- async.c ---- */

/* Whether its thread has the publisher; on the caller's thread. */
bool async_is_under_way(const struct emad_publisher *publisher);

/*
 * Wait for the copy that is under way, if there is one.  What went wrong with
 * it is kept as a refusal is.
 */
void async_join(struct emad_publisher *publisher);

/* Nothing is under way.  NULL is fine. */
void async_free(struct async *async);

/* ---- answers.c ---- */

/* Take in every answer that is there. */
void answers_collect(struct emad_publisher *publisher);

/* Wait for an answer and take it in.  TIMEOUT, UNREACHABLE. */
int answers_wait(struct emad_publisher *publisher, int64_t deadline);

/* Whether a request has not been answered, or its answer not taken in. */
bool answers_are_due(struct emad_publisher *publisher);

/* Keep a failure for answers_report(), unless there is one already. */
void answers_keep(struct emad_publisher *publisher, int status,
		  const struct why *why);

/* OK, or the refusal that has not been reported yet. */
int answers_report(struct emad_publisher *publisher);

#endif
