/*
 * Everything that the daemon knows: models, sessions, who waits for what.
 *
 * One per process, made by the server, owned by the loop thread.
 */
#ifndef DAEMON_SERVICE_STATE_H
#define DAEMON_SERVICE_STATE_H

#include <stdatomic.h>
#include <sys/types.h>
#include <uv.h>

#include "daemon/core/kernel.h"
#include "daemon/io/endpoint.h"
#include "daemon/io/huge.h"
#include "daemon/io/numa.h"
#include "daemon/io/pool.h"
#include "daemon/list.h"
#include "proto/name.h"

#define STATE_TAKEN_OVER 64 /* sessions remembered as taken over */

struct state {
	/* The server's: set before the first request. */
	uv_loop_t *loop;
	struct endpoint *endpoint;
	struct pool *pool;
	const struct kernel *kernel;
	struct huge *huge;               /* NULL: ordinary pages only */
	unsigned int n_nodes;            /* of the machine's memory */
	struct numa_placement placement; /* of versions */
	char instance[NAME_SIZE_MAX + 1];
	mode_t mode;      /* of versions */
	mode_t slot_mode; /* of slots that cannot be given away */
	/* Called when a client asks the daemon to stop. */
	void (*on_stop)(struct state *state);

	struct list models;   /* struct model, by name */
	struct list attaches; /* struct attach, working or waiting */
	struct list waiters;  /* struct waiter, pulls without an answer yet */
	void *sessions;       /* tsearch() tree of struct session, by id */
	unsigned int n_models;
	unsigned int n_sessions;
	uint64_t started_ms;
	uint64_t n_updates;
	_Atomic uint64_t next_file; /* makes hidden names unique */
	uint64_t taken_over[STATE_TAKEN_OVER];
	unsigned int n_taken_over; /* ever; the newest are kept */
	bool stopping;
	void (*on_idle)(struct state *state); /* set by state_stop() */
};

/* @mode: of the socket; what the files' modes are is derived from it. */
void state_init(struct state *state, uv_loop_t *loop, const char *instance,
		mode_t mode);

/*
 * Remove what an earlier daemon of this instance left behind, and go on from
 * the versions that it published.  Before the first request.
 */
void state_adopt(struct state *state);

/*
 * Take no more requests, answer those that wait with STOPPING, finish what was
 * accepted; @on_idle is called once nothing is under way, from the loop.
 */
void state_stop(struct state *state, void (*on_idle)(struct state *state));

/* Look whether a stop can be finished; called whenever something ends. */
void state_check_idle(struct state *state);

/* Free everything.  Public files stay, hidden ones go. */
void state_deinit(struct state *state);

/* Random, for ids that are secrets. */
uint64_t state_random(void);

#endif
