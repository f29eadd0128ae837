#include "daemon/io/guard.h"
#include "daemon/service/update_private.h"

/* One chunk in so many is looked at for values that do not move any more. */
#define WATCH_EVERY 16

struct chunk_run {
	struct update *update;
	unsigned int chunk;
};

static void
note_bad_chunk(struct update *update, unsigned int chunk)
{
	unsigned int lowest = atomic_load(&update->bad_chunk);

	while (chunk < lowest && !atomic_compare_exchange_weak(
					 &update->bad_chunk, &lowest, chunk))
		continue;
}

/* Another sixteenth of the chunks each time. */
static bool
is_watched(const struct update *update, unsigned int chunk)
{
	size_t n = update->model->plan->n_chunks;
	uint64_t turn = (uint64_t)update->batch.publishes[0]->sequence;

	return chunk % WATCH_EVERY ==
	       turn % (n < WATCH_EVERY ? n : WATCH_EVERY);
}

static void
watch_chunk(const struct update *update, unsigned int chunk)
{
	for (size_t i = 0; i < update->model->n_profiles; i++) {
		struct average_watch watch =
			average_watch(&update->average, chunk, i);
		struct watch_counters *counters = &update->watches[i];

		(void)atomic_fetch_add(&counters->n_sampled, watch.n_sampled);
		(void)atomic_fetch_add(&counters->n_stalled, watch.n_stalled);
	}
}

static void
touch_chunk(void *arg)
{
	const struct chunk_run *run = arg;
	struct update *update = run->update;

	if (is_watched(update, run->chunk))
		watch_chunk(update, run->chunk);
	if (!average_run_chunk(&update->average, run->chunk))
		note_bad_chunk(update, run->chunk);
}

void
update_run_chunk(struct job *job, unsigned int chunk)
{
	struct update *update = container_of(job, struct update, job);
	struct chunk_run run = { .update = update, .chunk = chunk };

	if (atomic_load(&update->faulted))
		return;
	if (guard_run(touch_chunk, &run) < 0)
		atomic_store(&update->faulted, true);
}
