/*
 * One function per request.  Each takes @request and answers it, now or later;
 * @message stays the dispatcher's unless the handler sets it to NULL.
 */
#ifndef DAEMON_SERVICE_HANDLERS_H
#define DAEMON_SERVICE_HANDLERS_H

#include "daemon/service/state.h"
#include "proto/wire.h"

typedef void handler_fn(struct state *state, struct request *request,
			Emad__Request **message);

handler_fn handle_attach;   /* attach.c */
handler_fn handle_publish;  /* handle_session.c */
handler_fn handle_detach;   /* handle_session.c */
handler_fn handle_pull;     /* pull.c */
handler_fn handle_list;     /* handle_admin.c */
handler_fn handle_describe; /* handle_admin.c */
handler_fn handle_drop;     /* handle_admin.c */
handler_fn handle_stop;     /* handle_admin.c */
handler_fn handle_status;   /* handle_admin.c */

#endif
