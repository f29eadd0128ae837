#include "client/crew.h"

#include "client/gate.h"
#include "client/internal.h"
#include "client/thread.h"

struct crew {
	struct gate *gate;
	pthread_t threads[CREW_THREADS_MAX - 1];
	size_t n_threads;
	/* The rest is under the gate's mutex. */
	bool must_end;
	crew_fn *run;
	const void *arg;
	uint64_t next; /* what nobody has begun with */
	uint64_t to;
	size_t n_running; /* pieces that somebody has begun with */
};

/* With the mutex held: take pieces until there are no more; whether any were.
 */
static bool
work(struct crew *crew)
{
	bool did_any = false;

	while (crew->next < crew->to) {
		uint64_t from = crew->next;
		uint64_t to = (from / CREW_PIECE + 1) * CREW_PIECE;
		crew_fn *run = crew->run;
		const void *arg = crew->arg;

		if (to > crew->to)
			to = crew->to;
		crew->next = to;
		crew->n_running++;
		(void)pthread_mutex_unlock(&crew->gate->mutex);
		run(arg, from, to);
		(void)pthread_mutex_lock(&crew->gate->mutex);
		crew->n_running--;
		did_any = true;
	}
	return did_any;
}

static void *
help(void *arg)
{
	struct crew *crew = arg;

	(void)pthread_mutex_lock(&crew->gate->mutex);
	while (!crew->must_end) {
		if (work(crew) && crew->n_running == 0)
			(void)pthread_cond_broadcast(&crew->gate->changed);
		(void)gate_wait(crew->gate, DEADLINE_NEVER);
	}
	(void)pthread_mutex_unlock(&crew->gate->mutex);
	return NULL;
}

int
crew_new(struct crew **ret_crew, unsigned int n_threads)
{
	struct crew *crew = xcalloc(1, sizeof *crew);
	int status = EMAD_OK;

	must(n_threads >= 1 && n_threads <= CREW_THREADS_MAX);
	crew->gate = gate_new();
	while (status == EMAD_OK && crew->n_threads + 1 < n_threads) {
		status = thread_start(&crew->threads[crew->n_threads],
				      "emad-copy", help, crew);
		if (status == EMAD_OK)
			crew->n_threads++;
	}
	if (status == EMAD_OK)
		*ret_crew = crew;
	else
		crew_free(crew);
	return status;
}

void
crew_free(struct crew *crew)
{
	if (!crew)
		return;
	(void)pthread_mutex_lock(&crew->gate->mutex);
	crew->must_end = true;
	(void)pthread_cond_broadcast(&crew->gate->changed);
	(void)pthread_mutex_unlock(&crew->gate->mutex);
	for (size_t i = 0; i < crew->n_threads; i++)
		(void)pthread_join(crew->threads[i], NULL);
	gate_free(crew->gate);
	free(crew);
}

void
crew_run(struct crew *crew, crew_fn *run, const void *arg, uint64_t from,
	 uint64_t to)
{
	(void)pthread_mutex_lock(&crew->gate->mutex);
	crew->run = run;
	crew->arg = arg;
	crew->next = from;
	crew->to = to;
	(void)pthread_cond_broadcast(&crew->gate->changed);
	(void)work(crew);
	while (crew->n_running > 0)
		(void)gate_wait(crew->gate, DEADLINE_NEVER);
	(void)pthread_mutex_unlock(&crew->gate->mutex);
}
