/*
 * A session: one publisher attached to one model, its slots, and its publishes.
 *
 * Publishes are taken in the order of their sequences, whatever order they
 * arrive in; what was answered is remembered, so that a repeat gets the same
 * answer without being absorbed twice.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_SESSION_H
#define DAEMON_SERVICE_SESSION_H

#include "daemon/io/shm.h"
#include "daemon/io/watch.h"
#include "daemon/service/kept.h"
#include "daemon/service/model.h"
#include "proto/wire.h"

struct publish {
	struct list entry; /* session->early, or model->queue */
	struct session *session;
	struct request *request;
	unsigned int slot;
	uint64_t sequence;
	int64_t step;
	bool begun; /* an update absorbs it at the moment */
};

struct session_counts {
	uint64_t accepted;
	uint64_t absorbed;
	uint64_t skipped;
	uint64_t replaced;
	uint64_t refused;
};

struct session {
	uint64_t id; /* a secret: who knows it may publish */
	uint64_t publisher;
	struct endpoint_peer peer;
	struct model *model;
	struct watch *watch;
	Emad__Mode mode;
	bool accept_non_finite;
	unsigned int n_slots;
	struct shm *slots;
	bool slot_taken[WIRE_SLOTS_MAX];
	uint64_t slot_header_size; /* bytes before a slot's data */
	uint64_t next_sequence;    /* to be taken next */
	int64_t last_step;         /* of the last publish taken */
	struct list early;         /* publishes ahead of next_sequence */
	unsigned int n_pending;    /* publishes not answered, early included */
	struct kept *results;      /* the last KEPT_RESULTS */
	struct session_counts counts;
	bool ended; /* takes no more; goes when nothing is pending */
	struct request *detach; /* to be answered then */
};

/* What attach hands over; slots are taken. */
struct session_options {
	uint64_t id;
	uint64_t publisher;
	uint64_t first_unanswered;
	Emad__Mode mode;
	bool accept_non_finite;
	unsigned int n_slots;
	struct shm *slots;
	uint64_t slot_header_size;
	struct endpoint_peer peer;
	int pidfd; /* taken */
};

/* Attach to @model, which has no session.  -errno: no watch; all is freed. */
int session_new(struct session **ret_session, struct model *model,
		const struct session_options *options);

/* NULL: none, or it has ended. */
struct session *session_find(const struct state *state, uint64_t id);

/*
 * Take no more publishes.  Those taken are finished first, unless @discard:
 * then those not begun are answered with @status.  Early ones always are.
 * The session is freed, and waiting attaches go on, when nothing is pending.
 */
void session_end(struct session *session, enum status status, bool discard);

/* End if its process is gone, without waiting for the loop to say so. */
void session_end_if_dead(struct session *session);

/* A request to publish.  Takes @request. */
void session_publish(struct session *session, struct request *request,
		     const Emad__Publish *message);

/* Answer @publish, which is in no list any more, and free it. */
void session_answer(struct publish *publish, const struct result *result);

/* Bytes of its slots. */
uint64_t session_memory(const struct session *session);

/* Publishes taken and not answered. */
unsigned int session_lag(const struct session *session);

bool session_was_taken_over(const struct state *state, uint64_t id);

#endif
