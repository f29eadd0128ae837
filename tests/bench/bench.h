/*
 * What the benchmarks share: rounds of interleaved samples, statistics, and a
 * table for people with one JSON object a line for programs.
 *
 * Times on a shared machine measure the neighbours.  So every figure is a
 * ratio of samples of one round, and a round in which other processes used
 * the processors is taken again.  A figure from rounds that were disturbed
 * nevertheless says so.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_ROUNDS_MAX   99
#define BENCH_VARIANTS_MAX 32
#define MIB                ((size_t)1 << 20)

struct bench_options {
	bool quick;
	size_t size;     /* bytes of the large arrays */
	size_t n_rounds; /* of every figure */
};

/*
 * Read --quick, --size MIB, --rounds N and --json FILE (which is appended
 * to); says on stderr what is wrong and exits with 2.
 */
struct bench_options bench_begin(int argc, char **argv);
void bench_end(void);

/* Processor time of @pid, a child, does not disturb; 0: none any more. */
void bench_watch(pid_t pid);

double bench_now(void); /* seconds */

/* One value per round. */
struct samples {
	size_t n;
	double values[BENCH_ROUNDS_MAX];
	bool disturbed; /* the machine never was quiet for long enough */
};

/* @run does the work once and returns the seconds that count. */
struct variant {
	double (*run)(void *arg);
	void *arg;
	struct samples seconds;
};

/* Warm up, then fill every variant's samples, round by round. */
void bench_run(struct variant *variants, size_t n_variants, size_t n_rounds);

double samples_quantile(const struct samples *samples, double q);
double samples_median(const struct samples *samples);

/* Round by round. */
struct samples samples_divide(const struct samples *a, const struct samples *b);
struct samples samples_scale(const struct samples *a, double factor);
struct samples samples_invert(const struct samples *a);

/* The variant with the lowest median. */
const struct variant *variants_best(const struct variant *variants, size_t n);

enum goal_kind {
	GOAL_NONE,
	GOAL_AT_MOST,
	GOAL_AT_LEAST,
};

struct goal {
	enum goal_kind kind;
	double value;
};

#define NO_GOAL     ((struct goal) { .kind = GOAL_NONE })
#define AT_MOST(x)  ((struct goal) { .kind = GOAL_AT_MOST, .value = (x) })
#define AT_LEAST(x) ((struct goal) { .kind = GOAL_AT_LEAST, .value = (x) })

/* A line between the figures. */
void
bench_heading(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* What is not measured, and why. */
void bench_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* One figure: the median of @samples in @unit, beside its goal. */
void bench_report(const char *name, const char *unit, struct goal goal,
		  const struct samples *samples);

#endif
