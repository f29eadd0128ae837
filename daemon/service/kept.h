/*
 * Answers to publishes, and the last of each session, by sequence: a repeat
 * gets the same answer again.
 *
 * Loop thread only.
 */
#ifndef DAEMON_SERVICE_KEPT_H
#define DAEMON_SERVICE_KEPT_H

#include "proto/status.h"
#include "proto/util.h"

#define KEPT_RESULTS 32

struct request;

struct result {
	enum status status;
	bool absorbed;
	struct why why;
	char *tensor; /* with NOT_FINITE; or NULL */
};

/* KEPT_RESULTS of them, with texts where there are any: small otherwise. */
struct kept;

struct kept *kept_new(void);
void kept_free(struct kept *kept);

/* Keep a copy of @result, in place of an older one. */
void
kept_put(struct kept *kept, uint64_t sequence, const struct result *result);

/* Answer @request, which is taken, as @sequence was.  False: not kept. */
bool kept_answer(const struct kept *kept, uint64_t sequence,
		 struct request *request);

#endif
