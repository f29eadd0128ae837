/*
 * What the Python benchmarks call beside libemad: flat functions where emad.h
 * has structures, so that Python never repeats a layout, and the bare loops
 * that a publish is compared with, over a list of tensors.
 *
 * For one caller at a time; the loops return the seconds that they took.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#ifdef __x86_64__
#include <immintrin.h>
#endif

#include "client/emad.h"
#include "tests/bench/loops.h"

#define SHIM_API    __attribute__((visibility("default")))
#define THREADS_MAX 16
/* Floats: no page is shared by two threads. */
#define UNIT       ((size_t)1024)
#define PAGES      8
#define SHIM_PAGES SIZE_MAX /* as a distance: copy pages in lock step */

/* A model: one entry per tensor in each array. */
struct shim_model {
	const char *name;
	size_t n_tensors;
	const char *const *names;
	const char *const *dtypes;
	const size_t *n_dims;
	const uint64_t *const *shapes;
};

/* How it is averaged and published. */
struct shim_choice {
	const char *variant;
	double beta;
	double min_value;
	int64_t update_after_step;
	int64_t update_every;
	unsigned int n_slots;
	unsigned int n_copy_threads;
};

SHIM_API int
shim_attach(struct emad_publisher **ret_publisher, struct emad *emad,
	    const struct shim_model *model, const struct shim_choice *choice);
SHIM_API const void *
shim_view_data(const struct emad_view *view, const char *name);
SHIM_API double shim_lerp(float *const *averages, const float *const *values,
			  const size_t *sizes, size_t n_tensors, float weight,
			  unsigned int n_threads);
SHIM_API double
shim_copy(float *to, const float *const *values, const size_t *sizes,
	  size_t n_tensors, size_t distance, unsigned int n_threads);

int
shim_attach(struct emad_publisher **ret_publisher, struct emad *emad,
	    const struct shim_model *model, const struct shim_choice *choice)
{
	struct emad_profile profile = emad_profile_default(choice->variant);
	struct emad_options options = {
		.profiles = &profile,
		.n_profiles = 1,
		.n_slots = choice->n_slots,
		.n_copy_threads = choice->n_copy_threads,
	};
	struct emad_tensor *tensors = calloc(model->n_tensors, sizeof *tensors);
	int status;

	if (!tensors)
		return EMAD_SYSTEM;
	for (size_t i = 0; i < model->n_tensors; i++)
		tensors[i] = (struct emad_tensor) {
			.name = model->names[i],
			.dtype = model->dtypes[i],
			.n_dims = model->n_dims[i],
			.shape = model->shapes[i],
		};
	profile.beta = choice->beta;
	profile.min_value = choice->min_value;
	profile.update_after_step = choice->update_after_step;
	profile.update_every = choice->update_every;
	status = emad_attach(ret_publisher, emad, model->name, tensors,
			     model->n_tensors, &options);
	free(tensors);
	return status;
}

const void *
shim_view_data(const struct emad_view *view, const char *name)
{
	const struct emad_tensor *tensor = emad_view_find(view, name);

	return tensor ? tensor->data : NULL;
}

/* What all threads of one loop share, and each one's part of it. */
struct work {
	float *const *averages; /* lerp; or NULL: */
	float *to;              /* copy */
	const float *const *values;
	const size_t *sizes; /* floats */
	size_t n_tensors;
	float weight;
	size_t distance;
	pthread_barrier_t *start;
};

struct part {
	struct work work;
	size_t begin; /* floats, counted over all tensors */
	size_t end;
	pthread_t thread;
};

/*
 * Eight pages in lock step, which on some machines is the fastest copy; returns
 * how many floats that were.
 */
#ifdef __x86_64__
__attribute__((target("avx2"))) static size_t
copy_pages(float *to, const float *from, size_t n)
{
	size_t done = 0;

	for (; done + PAGES * UNIT <= n; done += PAGES * UNIT)
		for (size_t i = done; i < done + UNIT; i += 16)
			for (size_t k = i; k < i + PAGES * UNIT; k += UNIT) {
				_mm256_stream_ps(to + k,
						 _mm256_loadu_ps(from + k));
				_mm256_stream_ps(to + k + 8,
						 _mm256_loadu_ps(from + k + 8));
			}
	_mm_sfence();
	return done;
}

static bool
has_pages(void)
{
	return __builtin_cpu_supports("avx2");
}
#else
static size_t
copy_pages(float *to, const float *from, size_t n)
{
	(void)to;
	(void)from;
	(void)n;
	return 0;
}

static bool
has_pages(void)
{
	return false;
}
#endif

static void
copy(float *to, const float *from, size_t n, size_t distance)
{
	size_t done = 0;

	if (distance == SHIM_PAGES && has_pages())
		done = copy_pages(to, from, n);
	loop_copy(to + done, from + done, n - done,
		  distance == SHIM_PAGES ? 0 : distance);
}

static size_t
round_up(size_t n, size_t unit)
{
	return (n + unit - 1) / unit * unit;
}

/* Each tensor of a copy begins at a cache line of its own. */
static void *
run_part(void *arg)
{
	const struct part *part = arg;
	const struct work *work = &part->work;
	float *to = work->to;
	size_t at = 0;

	if (work->start)
		(void)pthread_barrier_wait(work->start);
	for (size_t i = 0; i < work->n_tensors; i++) {
		size_t size = work->sizes[i];
		size_t begin = part->begin > at ? part->begin - at : 0;
		size_t end = part->end > at ? part->end - at : 0;

		begin = begin < size ? round_up(begin, UNIT) : size;
		end = end < size ? round_up(end, UNIT) : size;
		begin = begin < size ? begin : size;
		end = end < size ? end : size;
		if (begin < end && work->averages)
			loop_lerp(work->averages[i] + begin,
				  work->values[i] + begin, end - begin,
				  work->weight);
		else if (begin < end)
			copy(to + begin, work->values[i] + begin, end - begin,
			     work->distance);
		at += size;
		if (to)
			to += round_up(size, 16);
	}
	return NULL;
}

static double
now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Starting threads does not count; waiting for the last one does. */
static double
run_work(const struct work *work, unsigned int n_threads)
{
	struct part parts[THREADS_MAX];
	pthread_barrier_t start;
	size_t all = 0;
	double begin;

	if (n_threads < 1 || n_threads > THREADS_MAX ||
	    pthread_barrier_init(&start, NULL, n_threads) != 0)
		abort();
	for (size_t i = 0; i < work->n_tensors; i++)
		all += work->sizes[i];
	for (unsigned int i = 0; i < n_threads; i++) {
		parts[i] = (struct part) {
			.work = *work,
			.begin = all / n_threads * i,
			.end = i + 1 < n_threads ? all / n_threads * (i + 1)
						 : all,
		};
		parts[i].work.start = n_threads > 1 ? &start : NULL;
		if (i > 0 && pthread_create(&parts[i].thread, NULL, run_part,
					    &parts[i]) != 0)
			abort();
	}
	begin = now();
	(void)run_part(&parts[0]);
	for (unsigned int i = 1; i < n_threads; i++)
		(void)pthread_join(parts[i].thread, NULL);
	begin = now() - begin;
	(void)pthread_barrier_destroy(&start);
	return begin;
}

double
shim_lerp(float *const *averages, const float *const *values,
	  const size_t *sizes, size_t n_tensors, float weight,
	  unsigned int n_threads)
{
	struct work work = {
		.averages = averages,
		.values = values,
		.sizes = sizes,
		.n_tensors = n_tensors,
		.weight = weight,
	};

	return run_work(&work, n_threads);
}

/*
 * @distance: bytes ahead to prefetch, 0: not, SHIM_PAGES.
 * @to: 64 bytes more per tensor than they have together.
 */
double
shim_copy(float *to, const float *const *values, const size_t *sizes,
	  size_t n_tensors, size_t distance, unsigned int n_threads)
{
	struct work work = {
		.to = to,
		.values = values,
		.sizes = sizes,
		.n_tensors = n_tensors,
		.distance = distance,
	};

	return run_work(&work, n_threads);
}
