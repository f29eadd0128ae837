/*
 * Attaching: a publisher asks for a model, the answer is a session.
 *
 * What takes long (parsing a table of 100,000 tensors, planning, reserving and
 * touching memory) happens off the loop; attach_work.c does that part;
 * attach_read.c reads the message.  An attach that must wait for an earlier
 * session to end stays in the list.
 *
 * Loop thread, except attach_work().
 */
#ifndef DAEMON_SERVICE_ATTACH_H
#define DAEMON_SERVICE_ATTACH_H

#include "daemon/service/model.h"
#include "proto/wire.h"

/* Differences between the model that exists and the one asked for. */
struct differences {
	size_t n; /* all of them */
	size_t n_listed;
	char *listed[WIRE_DIFFERENCES];
};

struct attach {
	struct list entry; /* state->attaches */
	uv_work_t work;
	bool working;  /* off the loop, or being answered */
	bool to_retry; /* attach_retry()'s */
	struct state *state;
	struct request *request;
	Emad__Request *message;
	struct endpoint_peer peer;
	size_t n_profiles;
	struct profile *profiles; /* those asked for */
	unsigned int n_slots;

	/* Read off the loop; it does not change meanwhile. NULL: a new one. */
	struct model *model;

	/* Made off the loop. */
	enum status status;
	struct why why;
	struct differences differences;
	struct plan *plan;      /* NULL: the model's own will do */
	struct versions *fresh; /* profiles that the model does not have */
	size_t n_fresh;
	struct version_supply *supplies; /* the model's own, then fresh */
	uint64_t session;  /* a secret, so no part of a file's name */
	uint64_t slot_tag; /* makes slots' names unique */
	uint64_t slot_header_size;
	int node; /* that the publisher runs on; or NUMA_NONE */
	struct shm slots[WIRE_SLOTS_MAX];
};

/* A session ended or an attach did: those that wait for model @name go on. */
void attach_retry(struct state *state, const char *name);

/* Answer all that wait with STOPPING.  Those working finish by themselves. */
void attach_refuse_waiting(struct state *state);

/* Read what the message asks for into @attach; its tensors wait. */
enum status attach_read(struct attach *attach, struct why *why);

/* The part off the loop.  Sets @attach->status, and on OK what is made. */
void attach_work(struct attach *attach);

/* Free what attach_work() made and nobody took. */
void attach_discard_work(struct attach *attach);

#endif
