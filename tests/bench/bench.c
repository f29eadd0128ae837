#include "tests/bench/bench.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/quiet.h"
#include "tests/lib/story.h"

/* So many rounds may be thrown away for each that is kept. */
#define TRIES_PER_ROUND 4

#define QUICK_PATIENCE 2.0 /* seconds of waiting for others to be quiet */
#define QUICK_TRIES    2

static FILE *json;
static bool quick;

static const struct option long_options[] = {
	{ "quick", no_argument, NULL, 'q' },
	{ "size", required_argument, NULL, 's' },
	{ "rounds", required_argument, NULL, 'r' },
	{ "json", required_argument, NULL, 'j' },
	{ 0 },
};

static size_t
read_number(const char *text, size_t highest)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || value == 0 || value > highest) {
		(void)fprintf(stderr, "%s is not a number from 1 to %zu\n",
			      text, highest);
		exit(2);
	}
	return value;
}

static void
open_json(const char *path)
{
	json = fopen(path, "ae");
	if (json)
		return;
	(void)fprintf(stderr, "cannot write %s: %s\n", path, strerror(errno));
	exit(2);
}

struct bench_options
bench_begin(int argc, char **argv)
{
	struct bench_options options = { 0 };
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) !=
	       -1) {
		switch (option) {
		case 'q':
			options.quick = true;
			break;
		case 's':
			options.size = read_number(optarg, 8192) * MIB;
			break;
		case 'r':
			options.n_rounds =
				read_number(optarg, BENCH_ROUNDS_MAX);
			break;
		case 'j':
			open_json(optarg);
			break;
		default:
			exit(2);
		}
	}
	quick = options.quick;
	if (quick)
		quiet_set_patience(QUICK_PATIENCE);
	if (options.size == 0)
		options.size = (quick ? 64 : 1024) * MIB;
	if (options.n_rounds == 0)
		options.n_rounds = quick ? 5 : 11;
	return options;
}

void
bench_end(void)
{
	if (json)
		(void)fclose(json);
	json = NULL;
}

void
bench_watch(pid_t pid)
{
	quiet_watch(pid);
}

double
bench_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void
bench_run(struct variant *variants, size_t n_variants, size_t n_rounds)
{
	double round[BENCH_VARIANTS_MAX];
	size_t n_tries = n_rounds * (quick ? QUICK_TRIES : TRIES_PER_ROUND);
	bool disturbed = false;
	size_t n = 0;

	insist(n_variants <= BENCH_VARIANTS_MAX);
	for (size_t i = 0; i < n_variants; i++)
		(void)variants[i].run(variants[i].arg);
	while (n < n_rounds) {
		struct quiet before = quiet_await();
		bool quiet;

		/* None is always the first after the rest, or the last. */
		for (size_t i = 0; i < n_variants; i++) {
			size_t k = (i + n_tries + n) % n_variants;

			round[k] = variants[k].run(variants[k].arg);
		}
		quiet = quiet_since(&before);
		if (!quiet && n_tries > n_rounds) {
			n_tries--;
			continue;
		}
		disturbed |= !quiet;
		for (size_t i = 0; i < n_variants; i++)
			variants[i].seconds.values[n] = round[i];
		n++;
	}
	for (size_t i = 0; i < n_variants; i++) {
		variants[i].seconds.n = n;
		variants[i].seconds.disturbed = disturbed;
	}
}

static int
compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

double
samples_quantile(const struct samples *samples, double q)
{
	struct samples sorted = *samples;
	double place = q * (double)(samples->n - 1);
	size_t below = (size_t)place;
	size_t above = below + 1 < samples->n ? below + 1 : below;

	qsort(sorted.values, sorted.n, sizeof *sorted.values, compare_doubles);
	return sorted.values[below] +
	       (place - (double)below) *
		       (sorted.values[above] - sorted.values[below]);
}

double
samples_median(const struct samples *samples)
{
	return samples_quantile(samples, 0.5);
}

struct samples
samples_divide(const struct samples *a, const struct samples *b)
{
	struct samples result = *a;

	for (size_t i = 0; i < a->n; i++)
		result.values[i] /= b->values[i];
	result.disturbed |= b->disturbed;
	return result;
}

struct samples
samples_scale(const struct samples *a, double factor)
{
	struct samples result = *a;

	for (size_t i = 0; i < a->n; i++)
		result.values[i] *= factor;
	return result;
}

struct samples
samples_invert(const struct samples *a)
{
	struct samples result = *a;

	for (size_t i = 0; i < a->n; i++)
		result.values[i] = 1.0 / a->values[i];
	return result;
}

const struct variant *
variants_best(const struct variant *variants, size_t n)
{
	const struct variant *best = variants;

	for (size_t i = 1; i < n; i++)
		if (samples_median(&variants[i].seconds) <
		    samples_median(&best->seconds))
			best = &variants[i];
	return best;
}

void
bench_heading(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)putchar('\n');
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)printf("\n%-44s %10s %-8s %-14s %-5s %s\n", "", "median", "unit",
		     "goal", "holds", "[quartiles] min-max, n");
}

void
bench_note(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	(void)putchar('\n');
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
}

static bool
goal_holds(struct goal goal, double value)
{
	return goal.kind == GOAL_AT_MOST ? value <= goal.value
					 : value >= goal.value;
}

static const char *
goal_word(struct goal goal)
{
	return goal.kind == GOAL_AT_MOST ? "at most" : "at least";
}

static void
print_json(const char *name, const char *unit, struct goal goal,
	   const struct samples *samples)
{
	double median = samples_median(samples);
	json_t *line = json_pack(
		"{s:s, s:f, s:s, s:f, s:f, s:f, s:f, s:I, s:b, s:b}", "name",
		name, "value", median, "unit", unit, "min",
		samples_quantile(samples, 0), "q1",
		samples_quantile(samples, 0.25), "q3",
		samples_quantile(samples, 0.75), "max",
		samples_quantile(samples, 1), "n", (json_int_t)samples->n,
		"disturbed", (int)samples->disturbed, "quick", (int)quick);

	if (goal.kind == GOAL_NONE) {
		(void)json_object_set_new(line, "goal", json_null());
		(void)json_object_set_new(line, "holds", json_null());
	} else {
		(void)json_object_set_new(
			line, "goal",
			json_sprintf("%s %g", goal_word(goal), goal.value));
		(void)json_object_set_new(
			line, "holds", json_boolean(goal_holds(goal, median)));
	}
	(void)json_dumpf(line, json, JSON_COMPACT | JSON_REAL_PRECISION(6));
	(void)fputc('\n', json);
	(void)fflush(json);
	json_decref(line);
}

void
bench_report(const char *name, const char *unit, struct goal goal,
	     const struct samples *samples)
{
	double median = samples_median(samples);
	char wanted[32] = "";

	if (goal.kind != GOAL_NONE)
		(void)snprintf(wanted, sizeof wanted, "%s %g", goal_word(goal),
			       goal.value);
	(void)printf("%-44s %10.4g %-8s %-14s %-5s [%.4g, %.4g] %.4g-%.4g, "
		     "%zu%s\n",
		     name, median, unit, wanted,
		     goal.kind == GOAL_NONE     ? ""
		     : goal_holds(goal, median) ? "yes"
						: "NO",
		     samples_quantile(samples, 0.25),
		     samples_quantile(samples, 0.75),
		     samples_quantile(samples, 0), samples_quantile(samples, 1),
		     samples->n, samples->disturbed ? " DISTURBED" : "");
	(void)fflush(stdout);
	if (json)
		print_json(name, unit, goal, samples);
}
