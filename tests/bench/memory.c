#include "tests/bench/memory.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>

#include "proto/name.h"
#include "tests/bench/bench.h"
#include "tests/lib/story.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

#define THREADS_MAX    64
#define HUGE_PAGE      ((size_t)2 << 20)
#define LEFT_TO_OTHERS ((uint64_t)2 << 30)
#define COLLAPSE_TRIES 3

void
memory_fill(void *memory, size_t size, size_t width)
{
	/* 0x3C.. is near 0.01 or 1.0 in every type. */
	const uint32_t pattern = width == 2 ? 0x3C013C02U : 0x3C812345U;
	uint32_t *words = memory;

	for (size_t i = 0; i < size / sizeof *words; i++)
		words[i] = pattern + (uint32_t)(i & 0xFF);
}

/*
 * A huge page wants the address and the place in the file to be multiples of
 * its size: so the address is found first, and the file begins there.
 */
void *
memory_new(size_t size, size_t width)
{
	size_t room = size + HUGE_PAGE;
	char *found =
		mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *end = found + room;
	char *begin, *memory;

	insist(found != MAP_FAILED);
	begin = found + (HUGE_PAGE - (uintptr_t)found % HUGE_PAGE) % HUGE_PAGE;
	memory = mmap(begin, size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	insist(memory == begin);
	if (begin > found)
		(void)munmap(found, (size_t)(begin - found));
	(void)munmap(begin + (size + 4095) / 4096 * 4096,
		     (size_t)(end - begin) - (size + 4095) / 4096 * 4096);
	memory_fill(memory, size, width);
	return memory;
}

void
memory_free(void *memory, size_t size)
{
	(void)munmap(memory, size);
}

bool
memory_collapse(void *memory, size_t size)
{
	/* A page that is just being looked at by the kernel refuses once. */
	for (unsigned int i = 0; i < COLLAPSE_TRIES; i++)
		if (madvise(memory, size, MADV_COLLAPSE) == 0)
			return true;
	return false;
}

static uint64_t
read_available(void)
{
	unsigned long long kib = 0;
	FILE *file = fopen("/proc/meminfo", "re");
	char line[256];

	insist(file);
	while (fgets(line, sizeof line, file))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	(void)fclose(file);
	return (uint64_t)kib * 1024;
}

bool
memory_fits(size_t size)
{
	uint64_t available = read_available();
	struct statvfs shm;

	insist(statvfs(SHM_DIRECTORY, &shm) == 0);
	if (shm.f_bavail * shm.f_frsize < available)
		available = shm.f_bavail * shm.f_frsize;
	return available > LEFT_TO_OTHERS && size <= available - LEFT_TO_OTHERS;
}

size_t
memory_fit(size_t size, size_t n_arrays)
{
	size_t fitting = size;

	while (fitting > MIB && !memory_fits(n_arrays * fitting))
		fitting /= 2;
	if (fitting < size)
		bench_note("arrays of %zu MiB, since %zu of %zu MiB are not "
			   "free",
			   fitting / MIB, n_arrays, size / MIB);
	return fitting;
}

struct threads {
	threads_fn *work;
	void *arg;
	size_t n;
	enum threads_sharing sharing;
	unsigned int n_threads;
	_Atomic unsigned int n_ready;
	_Atomic bool go;
	_Atomic size_t next; /* THREADS_UNITS: element that nobody has taken */
};

struct threads_member {
	pthread_t thread;
	struct threads *threads;
	unsigned int number;
};

static size_t
lower(size_t a, size_t b)
{
	return a < b ? a : b;
}

static void
do_share(const struct threads_member *member)
{
	struct threads *threads = member->threads;
	size_t n = threads->n, n_threads = threads->n_threads;
	size_t each = (n / n_threads + THREADS_UNIT - 1) / THREADS_UNIT *
		      THREADS_UNIT;

	/* The last one also does what rounding leaves over. */
	if (threads->sharing == THREADS_HALVES) {
		size_t begin = lower(each * member->number, n);
		bool is_last = member->number + 1 == n_threads;

		threads->work(threads->arg, begin,
			      is_last ? n : lower(begin + each, n));
		return;
	}
	for (;;) {
		size_t begin = atomic_fetch_add(&threads->next, THREADS_UNIT);

		if (begin >= n)
			return;
		threads->work(threads->arg, begin,
			      lower(begin + THREADS_UNIT, n));
	}
}

/* Spins, so that nobody is woken while the clock runs. */
static void *
run_member(void *arg)
{
	struct threads_member *member = arg;
	struct threads *threads = member->threads;

	atomic_fetch_add(&threads->n_ready, 1);
	while (!atomic_load_explicit(&threads->go, memory_order_acquire))
		continue;
	do_share(member);
	return NULL;
}

double
threads_run(unsigned int n_threads, enum threads_sharing sharing,
	    threads_fn *work, void *arg, size_t n)
{
	struct threads_member members[THREADS_MAX];
	struct threads threads = {
		.work = work,
		.arg = arg,
		.n = n,
		.sharing = sharing,
		.n_threads = n_threads,
	};
	double begin;

	insist(n_threads > 0 && n_threads <= THREADS_MAX);
	for (unsigned int i = 0; i < n_threads; i++) {
		members[i] = (struct threads_member) {
			.threads = &threads,
			.number = i,
		};
		if (i > 0)
			insist(pthread_create(&members[i].thread, NULL,
					      run_member, &members[i]) == 0);
	}
	while (atomic_load(&threads.n_ready) < n_threads - 1)
		continue;
	begin = bench_now();
	atomic_store_explicit(&threads.go, true, memory_order_release);
	do_share(&members[0]);
	for (unsigned int i = 1; i < n_threads; i++)
		insist(pthread_join(members[i].thread, NULL) == 0);
	return bench_now() - begin;
}
