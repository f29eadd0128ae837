/*
 * A daemon that does as a test tells it, for tests of the client library.
 *
 * A thread that speaks nng's protocol over bare sockets; files in shared
 * memory are real ones.  It averages nothing: it answers, keeps answers back,
 * and remembers what it was sent.
 *
 * Called from the test's thread; one fake at a time in a process.
 */
#ifndef TESTS_LIB_FAKE_DAEMON_H
#define TESTS_LIB_FAKE_DAEMON_H

#include <pthread.h>

#include "proto/address.h"
#include "proto/name.h"
#include "proto/safetensors.h"
#include "proto/wire.h"

#define FAKE_CONNECTIONS 64
#define FAKE_HELD        64
#define FAKE_PUBLISHES   256

/* A publish as it came. */
struct fake_publish {
	uint64_t session;
	uint64_t sequence;
	int64_t step;
	uint32_t slot;
	float value; /* the first of tensor "weight" */
};

/* What to do; set it by fake_order(). */
struct fake_orders {
	bool is_mute;        /* no answer to anything */
	bool must_hold;      /* no answer to publishes, until fake_release() */
	enum status publish; /* the answer to publishes */
	enum status attach;
	int64_t busy_pid;
	const char *slot_file;  /* a lie about where a slot is; NULL: none */
	unsigned int n_passing; /* attaches that are answered STOPPING first */
};

/* What happened; get it by fake_look(). */
struct fake_record {
	unsigned int n_attaches;
	uint64_t session;
	uint64_t publisher;
	uint64_t first_unanswered; /* of the last attach */
	unsigned int n_detaches;
	unsigned int n_publishes;
	struct fake_publish publishes[FAKE_PUBLISHES];
};

struct fake;

/* Its socket is there; nobody listens yet. */
struct fake *fake_new(void);
void fake_free(struct fake *fake);
const char *fake_address(const struct fake *fake);

/* Listen; end all connections and listen no more, forgetting the session. */
void fake_start(struct fake *fake);
void fake_stop(struct fake *fake);

void fake_order(struct fake *fake, const struct fake_orders *orders);
void fake_look(struct fake *fake, struct fake_record *ret_record);

/* Answer the publishes that are held, oldest first; @n at most. */
void fake_release(struct fake *fake, enum status status, unsigned int n);

/* Wait until @n publishes have come, all told. */
void fake_await_publishes(struct fake *fake, unsigned int n);

/* Put a version of the model that was attached where pulls find it. */
void fake_make_version(struct fake *fake, int64_t step, float value);

/* Read @tensor's bytes in slot @k. */
const void *
fake_slot_tensor(struct fake *fake, unsigned int k, const char *tensor);

#endif
