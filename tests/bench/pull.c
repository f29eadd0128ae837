/*
 * Opening the newest version, until its first value is readable: through
 * libemad, and as anybody opens a file; beside reading it into memory.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/memory.h"
#include "tests/bench/trainer.h"
#include "tests/lib/story.h"

#define N_OPENS 100
#define READ_AT ((size_t)4 << 20)

struct pull {
	struct trainer trainer;
	char path[SHM_PATH_SIZE];
	size_t header_size;
	char *memory; /* where a copy goes: touched already */
	volatile float first;
};

static double
run_pull(void *arg)
{
	struct pull *pull = arg;
	double begin = bench_now(), seconds = 0.0;

	for (unsigned int i = 0; i < N_OPENS; i++) {
		struct emad_view *view;

		begin = bench_now();
		if (emad_pull(&view, pull->trainer.emad, TRAINER_MODEL, NULL,
			      EMAD_NEWEST, 0) != EMAD_OK)
			give_up("%s", emad_error());
		pull->first = *(const float *)emad_view_tensor(view, 0)->data;
		seconds += bench_now() - begin;
		emad_view_close(view);
	}
	return seconds / N_OPENS;
}

static double
run_open(void *arg)
{
	struct pull *pull = arg;
	double begin, seconds = 0.0;

	for (unsigned int i = 0; i < N_OPENS; i++) {
		struct stat status;
		char *file;
		int fd;

		begin = bench_now();
		fd = open(pull->path, O_RDONLY | O_CLOEXEC);
		insist(fd >= 0 && fstat(fd, &status) == 0);
		file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED,
			    fd, 0);
		insist(file != MAP_FAILED);
		pull->first = *(const float *)(const void *)(file +
							     pull->header_size);
		seconds += bench_now() - begin;
		(void)munmap(file, (size_t)status.st_size);
		(void)close(fd);
	}
	return seconds / N_OPENS;
}

static double
run_read(void *arg)
{
	struct pull *pull = arg;
	double begin = bench_now();
	int fd = open(pull->path, O_RDONLY | O_CLOEXEC);
	char *at = pull->memory;
	ssize_t n;

	insist(fd >= 0);
	while ((n = read(fd, at, READ_AT)) > 0)
		at += n;
	insist(n == 0);
	(void)close(fd);
	return bench_now() - begin;
}

static void
begin_pull(struct pull *pull, const struct daemon *daemon, size_t size)
{
	struct emad_view *view;
	const char *file;
	uint64_t file_size;

	trainer_init(&pull->trainer);
	trainer_add(&pull->trainer, size / sizeof(float));
	trainer_allocate(&pull->trainer);
	trainer_attach(&pull->trainer, daemon, 1);
	if (emad_publish(pull->trainer.publisher, 0, pull->trainer.tensors) !=
	    EMAD_OK)
		give_up("%s", emad_error());
	trainer_flush(&pull->trainer);
	daemon_file(daemon, TRAINER_MODEL, "ema", pull->path);
	if (emad_pull(&view, pull->trainer.emad, TRAINER_MODEL, NULL,
		      EMAD_NEWEST, 0) != EMAD_OK)
		give_up("%s", emad_error());
	file = emad_view_file(view, &file_size);
	pull->header_size =
		(size_t)((const char *)emad_view_tensor(view, 0)->data - file);
	emad_view_close(view);
	pull->memory = memory_new(file_size + READ_AT, sizeof(float));
}

static void
bench_size(const struct daemon *daemon, size_t size, size_t n_rounds,
	   struct samples *ret_pull)
{
	static struct pull pull;
	struct variant variants[] = {
		{ .run = run_pull, .arg = &pull },
		{ .run = run_open, .arg = &pull },
		{ .run = run_read, .arg = &pull },
	};
	struct samples figure;
	char name[64];

	begin_pull(&pull, daemon, size);
	bench_run(variants, 3, n_rounds);
	bench_heading("open the newest version, %zu MiB", size / MIB);
	figure = samples_scale(&variants[0].seconds, 1e6);
	(void)snprintf(name, sizeof name, "pull.%zumib", size / MIB);
	bench_report(name, "us", AT_MOST(1000), &figure);
	figure = samples_scale(&variants[1].seconds, 1e6);
	(void)snprintf(name, sizeof name, "pull.open.%zumib", size / MIB);
	bench_report(name, "us", AT_MOST(1000), &figure);
	figure = samples_divide(&variants[0].seconds, &variants[2].seconds);
	(void)snprintf(name, sizeof name, "pull.to_read.%zumib", size / MIB);
	bench_report(name, "ratio", NO_GOAL, &figure);
	memory_free(pull.memory, size + pull.header_size + READ_AT);
	trainer_end(&pull.trainer);
	*ret_pull = variants[0].seconds;
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = { 1, 16, 256, 1024 };
	struct bench_options options = bench_begin(argc, argv);
	size_t n_sizes = options.quick ? 3 : 4;
	struct samples times[4], figure;
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	for (size_t i = 0; i < n_sizes; i++)
		bench_size(&daemon, sizes[i] * MIB, options.n_rounds,
			   &times[i]);
	bench_heading("the largest over the smallest");
	figure = samples_divide(&times[n_sizes - 1], &times[0]);
	bench_report("pull.growth", "ratio", AT_MOST(1.5), &figure);
	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
