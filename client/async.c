/*
 * Publishing while the caller goes on: a thread of the publisher's own finds a
 * slot, copies and sends.
 *
 * From the call to async_join() that thread has the publisher (internal.h says
 * what of it remains the caller's), so that everything else needs no locks.  It
 * waits for a free slot, and attaches again if it has to, on the caller's
 * behalf; all its waits have the deadline of the call, so that whoever joins it
 * waits no longer than for a publish of his own.
 */
#include <inttypes.h>
#include <string.h>

#include "client/internal.h"
#include "client/thread.h"

struct async {
	struct emad_publisher *publisher;
	pthread_t thread;
	struct gate *gate;
	/* The caller's. */
	bool is_asked;       /* and not joined */
	int64_t step_before; /* that was published last */
	/* The caller's while nothing is under way, else the thread's. */
	int64_t step;
	int64_t deadline;
	const void **data; /* a copy of the caller's pointers */
	int status;
	struct why why;
	/* Under the gate's mutex. */
	bool is_running;
	bool must_end;
};

static void
run_once(struct async *async)
{
	const struct source source = {
		.first = (const char *)async->data,
		.stride = sizeof *async->data,
	};

	async->status = publish_snapshot(async->publisher, async->step, &source,
					 async->deadline);
	if (async->status != EMAD_OK)
		why_set(&async->why,
			"step %" PRId64 " of %s was not published: %s",
			async->step, async->publisher->attach.model,
			emad_error());
}

static void *
run(void *arg)
{
	struct async *async = arg;

	(void)pthread_mutex_lock(&async->gate->mutex);
	while (!async->must_end) {
		if (!async->is_running) {
			(void)gate_wait(async->gate, DEADLINE_NEVER);
			continue;
		}
		(void)pthread_mutex_unlock(&async->gate->mutex);
		run_once(async);
		(void)pthread_mutex_lock(&async->gate->mutex);
		async->is_running = false;
		(void)pthread_cond_broadcast(&async->gate->changed);
	}
	(void)pthread_mutex_unlock(&async->gate->mutex);
	return NULL;
}

static int
async_new(struct async **ret_async, struct emad_publisher *publisher)
{
	struct async *async = xcalloc(1, sizeof *async);
	int status;

	async->publisher = publisher;
	async->gate = gate_new();
	async->data = xcalloc(publisher->n_tensors, sizeof *async->data);
	status = thread_start(&async->thread, "emad-publish", run, async);
	if (status == EMAD_OK) {
		*ret_async = async;
		return EMAD_OK;
	}
	gate_free(async->gate);
	free(async->data);
	free(async);
	return status;
}

void
async_free(struct async *async)
{
	if (!async)
		return;
	(void)pthread_mutex_lock(&async->gate->mutex);
	must(!async->is_running);
	async->must_end = true;
	(void)pthread_cond_broadcast(&async->gate->changed);
	(void)pthread_mutex_unlock(&async->gate->mutex);
	(void)pthread_join(async->thread, NULL);
	gate_free(async->gate);
	free(async->data);
	free(async);
}

bool
async_is_under_way(const struct emad_publisher *publisher)
{
	return publisher->async && publisher->async->is_asked;
}

/* Hand the publisher to the thread. */
static void
start(struct async *async, int64_t step)
{
	struct emad_publisher *publisher = async->publisher;

	async->step = step;
	async->deadline = deadline_after(publisher->timeout_ms);
	async->is_asked = true;
	async->step_before = publisher->last_published;
	publisher->last_published = step;
	(void)pthread_mutex_lock(&async->gate->mutex);
	async->is_running = true;
	(void)pthread_cond_broadcast(&async->gate->changed);
	(void)pthread_mutex_unlock(&async->gate->mutex);
}

/* Get it back; the status of what was under way. */
static int
join(struct async *async)
{
	(void)pthread_mutex_lock(&async->gate->mutex);
	while (async->is_running)
		(void)gate_wait(async->gate, DEADLINE_NEVER);
	(void)pthread_mutex_unlock(&async->gate->mutex);
	async->is_asked = false;
	/* The step may be published after all. */
	if (async->status != EMAD_OK)
		async->publisher->last_published = async->step_before;
	return async->status;
}

void
async_join(struct emad_publisher *publisher)
{
	if (async_is_under_way(publisher) && join(publisher->async) != EMAD_OK)
		answers_keep(publisher, publisher->async->status,
			     &publisher->async->why);
}

static int
publish_async(struct emad_publisher *publisher, int64_t step,
	      const struct source *source)
{
	bool is_wanted;
	int status;

	status = publish_check(publisher, "emad_publish_async", step, source,
			       &is_wanted);
	if (status != EMAD_OK || !is_wanted)
		return status;
	async_join(publisher);
	if (!publisher->async)
		status = async_new(&publisher->async, publisher);
	if (status != EMAD_OK)
		return status;
	for (size_t i = 0; i < publisher->n_tensors; i++)
		publisher->async->data[i] = source_get(source, i);
	start(publisher->async, step);
	return EMAD_OK;
}

int
emad_publish_async(struct emad_publisher *publisher, int64_t step,
		   const struct emad_tensor *tensors)
{
	struct source source = {
		.first = tensors ? (const char *)&tensors->data : NULL,
		.stride = sizeof *tensors,
	};

	return publish_async(publisher, step, &source);
}

int
emad_publish_data_async(struct emad_publisher *publisher, int64_t step,
			const void *const *data)
{
	struct source source = {
		.first = (const char *)data,
		.stride = sizeof *data,
	};

	return publish_async(publisher, step, &source);
}

int
emad_publish_wait(struct emad_publisher *publisher)
{
	int status;

	if (!publisher)
		return fail(EMAD_USAGE, "emad_publish_wait: publisher is NULL");
	status = check_process(publisher->emad->pid);
	if (status != EMAD_OK || !async_is_under_way(publisher))
		return status;
	status = join(publisher->async);
	return status == EMAD_OK
		       ? answers_report(publisher)
		       : fail(status, "%s", publisher->async->why.text);
}
