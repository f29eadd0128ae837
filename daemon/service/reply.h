/*
 * Answering requests: a status and a sentence, or a whole message.
 *
 * Each of these gives the request back.  Loop thread only.
 */
#ifndef DAEMON_SERVICE_REPLY_H
#define DAEMON_SERVICE_REPLY_H

#include "daemon/io/endpoint.h"
#include "proto/status.h"
#include "proto/wire.h"

struct result;
struct versions;

/* @why NULL: the status's own text. */
void reply_status(struct request *request, enum status status,
		  const struct why *why);

/* @reply with what it holds; status and sentence are filled in: OK. */
void reply_message(struct request *request, Emad__Reply *reply);

/* @reply as it is. */
void reply_send(struct request *request, const Emad__Reply *reply);

/* What became of a publish. */
void reply_result(struct request *request, const struct result *result);

/*
 * The state of one average as a message; @with_rules: with its lists of names,
 * which may be long.  Free with reply_free_profile().
 */
Emad__ProfileState *
reply_new_profile(const struct versions *versions, bool with_rules);
void reply_free_profile(Emad__ProfileState *message);

#endif
