#include "daemon/service/dispatch.h"

#include "daemon/service/handlers.h"
#include "daemon/service/reply.h"

struct route {
	size_t field; /* of Emad__Request, a pointer */
	handler_fn *handle;
};

#define ROUTE(name)                                                            \
	{                                                                      \
		offsetof(Emad__Request, name), handle_##name                   \
	}

static const struct route routes[] = {
	ROUTE(publish),  ROUTE(pull), ROUTE(attach), ROUTE(detach), ROUTE(list),
	ROUTE(describe), ROUTE(drop), ROUTE(stop),   ROUTE(status),
};

static handler_fn *
find_handler(const Emad__Request *message)
{
	for (size_t i = 0; i < array_size(routes); i++) {
		const char *field = (const char *)message + routes[i].field;

		if (*(void *const *)(const void *)field)
			return routes[i].handle;
	}
	return NULL;
}

void
dispatch_request(struct request *request, void *arg)
{
	struct state *state = arg;
	Emad__Request *message;
	enum status status;
	const void *body;
	struct why why;
	size_t size;

	body = request_body(request, &size);
	status = wire_unpack_request(&message, body, size, &why);
	if (status != STATUS_OK) {
		reply_status(request, status, &why);
		return;
	}
	if (state->stopping)
		reply_status(request, STATUS_STOPPING, NULL);
	else
		find_handler(message)(state, request, &message);
	wire_request_free(message);
}
