#include "tests/bench/memory.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/bench/bench.h"
#include "tests/lib/story.h"

#define THREADS_MAX 64

void *
memory_new(size_t size, size_t width)
{
	/* 0x3C.. is near 0.01 or 1.0 in every type. */
	const uint32_t pattern = width == 2 ? 0x3C013C02U : 0x3C812345U;
	uint32_t *words = shared_new(size);

	for (size_t i = 0; i < size / sizeof *words; i++)
		words[i] = pattern + (uint32_t)(i & 0xFF);
	return words;
}

void
memory_free(void *memory, size_t size)
{
	(void)munmap(memory, size);
}

struct crew_member {
	pthread_t thread;
	pthread_barrier_t *start;
	crew_fn *work;
	void *arg;
	size_t begin;
	size_t end;
};

static void *
run_member(void *arg)
{
	struct crew_member *member = arg;

	(void)pthread_barrier_wait(member->start);
	member->work(member->arg, member->begin, member->end);
	return NULL;
}

double
crew_run(unsigned int n_threads, crew_fn *work, void *arg, size_t n)
{
	struct crew_member members[THREADS_MAX];
	size_t each = (n / n_threads + CREW_UNIT - 1) / CREW_UNIT * CREW_UNIT;
	pthread_barrier_t start;
	double begin;

	insist(n_threads > 0 && n_threads <= THREADS_MAX);
	insist(pthread_barrier_init(&start, NULL, n_threads) == 0);
	for (unsigned int i = 0; i < n_threads; i++) {
		members[i] = (struct crew_member) {
			.start = &start,
			.work = work,
			.arg = arg,
			.begin = each * i < n ? each * i : n,
			.end = each * (i + 1) < n ? each * (i + 1) : n,
		};
		if (i > 0)
			insist(pthread_create(&members[i].thread, NULL,
					      run_member, &members[i]) == 0);
	}
	begin = bench_now();
	(void)run_member(&members[0]);
	for (unsigned int i = 1; i < n_threads; i++)
		insist(pthread_join(members[i].thread, NULL) == 0);
	begin = bench_now() - begin;
	(void)pthread_barrier_destroy(&start);
	return begin;
}
