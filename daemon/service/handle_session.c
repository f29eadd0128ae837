#include "daemon/service/handlers.h"
#include "daemon/service/reply.h"
#include "daemon/service/session.h"

/*
 * The session that a message names, if it is that of this user; else NULL, and
 * the request is answered.
 */
static struct session *
find_session(struct state *state, struct request *request, uint64_t id)
{
	struct session *session = session_find(state, id);

	/* An id is a secret; the uid is checked all the same. */
	if (session && session->peer.uid == request_peer(request)->uid)
		return session;
	if (session_was_taken_over(state, id))
		reply_status(request, STATUS_TAKEN_OVER, NULL);
	else
		reply_status(request, STATUS_UNKNOWN_SESSION, NULL);
	return NULL;
}

void
handle_publish(struct state *state, struct request *request,
	       Emad__Request **message)
{
	const Emad__Publish *publish = (*message)->publish;
	struct session *session =
		find_session(state, request, publish->session);

	if (session)
		session_publish(session, request, publish);
}

void
handle_detach(struct state *state, struct request *request,
	      Emad__Request **message)
{
	struct session *session =
		find_session(state, request, (*message)->detach->session);

	if (!session)
		return;
	session->detach = request;
	session_end(session, STATUS_UNKNOWN_SESSION, false);
}
