/*
 * Opening the newest version, until its first value is readable: through
 * libemad, and as anybody opens a file; beside reading it into memory.
 *
 * A model of 1 MiB is there all the time and pulled in every round, so that
 * growth is a ratio within a round.  What does not fit into the machine is left
 * out, and is said to be.
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
		if (emad_pull(&view, pull->trainer.emad, pull->trainer.model,
			      NULL, EMAD_NEWEST, 0) != EMAD_OK)
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

/* Two versions, a slot, and the memory to read into. */
static size_t
memory_needed(size_t size)
{
	return 4 * size + READ_AT;
}

static void
begin_pull(struct pull *pull, const struct daemon *daemon, size_t size)
{
	struct trainer *trainer = &pull->trainer;
	struct emad_view *view;
	const char *file;
	uint64_t file_size;
	void *data[1];

	trainer_init(trainer);
	(void)snprintf(trainer->model, sizeof trainer->model, "bench-%zu",
		       size / MIB);
	trainer_add(trainer, size / sizeof(float));
	trainer_attach(trainer, daemon, 1);
	if (emad_begin(trainer->publisher, data) != EMAD_OK)
		give_up("%s", emad_error());
	memory_fill(data[0], size, sizeof(float));
	if (emad_commit(trainer->publisher, 0) != EMAD_OK)
		give_up("%s", emad_error());
	trainer_flush(trainer);
	daemon_file(daemon, trainer->model, "ema", pull->path);
	if (emad_pull(&view, trainer->emad, trainer->model, NULL, EMAD_NEWEST,
		      0) != EMAD_OK)
		give_up("%s", emad_error());
	file = emad_view_file(view, &file_size);
	pull->header_size =
		(size_t)((const char *)emad_view_tensor(view, 0)->data - file);
	emad_view_close(view);
	pull->memory = memory_new(file_size + READ_AT, sizeof(float));
}

static void
end_pull(struct pull *pull, size_t size)
{
	memory_free(pull->memory, size + pull->header_size + READ_AT);
	trainer_end(&pull->trainer);
}

/* The time to pull @pull, which is of @size, to that of @small. */
static struct samples
bench_pull(struct pull *pull, struct pull *small, size_t size, size_t n_rounds)
{
	struct variant variants[] = {
		{ .run = run_pull, .arg = pull },
		{ .run = run_open, .arg = pull },
		{ .run = run_read, .arg = pull },
		{ .run = run_pull, .arg = small },
	};
	struct samples figure;
	char name[64];

	bench_run(variants, 4, n_rounds);
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
	return samples_divide(&variants[0].seconds, &variants[3].seconds);
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = { 16, 256, 1024, 4096 };
	static struct pull small, large;
	struct bench_options options = bench_begin(argc, argv);
	struct samples growth;
	struct daemon daemon;

	story_begin();
	daemon_new(&daemon);
	bench_watch(daemon.pid);
	begin_pull(&small, &daemon, MIB);
	growth = bench_pull(&small, &small, MIB, options.n_rounds);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t size = sizes[i] * MIB;

		if (options.quick && sizes[i] > 256) {
			bench_note("%zu MiB left out by --quick", sizes[i]);
		} else if (!memory_fits(memory_needed(size))) {
			bench_note("%zu MiB left out: the %zu MiB that it "
				   "needs are not free",
				   sizes[i], memory_needed(size) / MIB);
		} else {
			begin_pull(&large, &daemon, size);
			growth = bench_pull(&large, &small, size,
					    options.n_rounds);
			end_pull(&large, size);
		}
	}
	bench_heading("the largest over the smallest");
	bench_report("pull.growth", "ratio", AT_MOST(1.5), &growth);
	end_pull(&small, MIB);
	bench_watch(0);
	daemon_stop(&daemon);
	story_end();
	bench_end();
	return 0;
}
