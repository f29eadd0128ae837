/*
 * From bytes to the handler that knows them.
 */
#ifndef DAEMON_SERVICE_DISPATCH_H
#define DAEMON_SERVICE_DISPATCH_H

#include "daemon/io/endpoint.h"

/* An endpoint_on_request_fn; @state is the struct state. */
void dispatch_request(struct request *request, void *state);

#endif
