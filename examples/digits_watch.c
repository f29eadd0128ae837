/*
 * An evaluator.  It follows the versions that emad publishes, evaluates each
 * where it lies in memory, and never keeps the trainer waiting.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "examples/digits.h"

#define PULL_TIMEOUT_MS 60000

/* The plot's left and right ends, and its width in characters. */
#define PLOT_LEAST 0.80
#define PLOT_MOST  1.00
#define PLOT_WIDTH 40

/* What became of one kind of parameters in the later half of the training. */
struct summary {
	size_t n;
	double sum;
	double least;
	double most;
	double newest;
};

struct watcher {
	const struct digits *digits;
	struct emad *emad;
	struct summary raw;
	struct summary ema;
	char path[256]; /* of the average's file */
};

/* One look at a training that goes on. */
struct look {
	int64_t step;
	double raw; /* accuracies */
	double ema;
	int64_t behind; /* steps absorbed while we evaluated */
};

static void
summary_add(struct summary *summary, double accuracy)
{
	summary->newest = accuracy;
	summary->sum += accuracy;
	summary->least =
		summary->n == 0 ? accuracy : fmin(summary->least, accuracy);
	summary->most =
		summary->n == 0 ? accuracy : fmax(summary->most, accuracy);
	summary->n++;
}

/* Map a version of @profile of step @step or later; wait for it if need be. */
static struct emad_view *
pull(struct watcher *watcher, const char *profile, int64_t step)
{
	struct emad_view *view = NULL;

	if (emad_pull(&view, watcher->emad, DIGITS_MODEL, profile, step,
		      PULL_TIMEOUT_MS) != EMAD_OK)
		(void)digits_failed("pull");
	return view;
}

/* A version never changes while it is mapped, so this needs no copy. */
static bool
evaluate(const struct watcher *watcher, const struct emad_view *view,
	 double *ret_accuracy)
{
	const float *parameters[MLP_N_TENSORS];

	if (view == NULL || !digits_find_parameters(view, parameters))
		return false;
	*ret_accuracy = digits_accuracy(watcher->digits, parameters);
	return true;
}

static bool
look_at(struct watcher *watcher, int64_t step, struct look *ret_look)
{
	struct emad_view *ema = pull(watcher, "ema", step);
	struct emad_view *raw = ema ? pull(watcher, "raw", step) : NULL;
	struct emad_view *newest = NULL;
	bool done = evaluate(watcher, raw, &ret_look->raw) &&
		    evaluate(watcher, ema, &ret_look->ema);

	if (done) {
		newest = pull(watcher, "ema", EMAD_NEWEST);
		done = newest != NULL;
	}
	if (done) {
		ret_look->step = emad_view_step(ema);
		ret_look->behind = emad_view_step(newest) - ret_look->step;
		(void)snprintf(watcher->path, sizeof watcher->path, "%s",
			       emad_view_path(newest));
	}
	emad_view_close(newest);
	emad_view_close(raw);
	emad_view_close(ema);
	return done;
}

static void
draw_point(char *plot, double accuracy, char mark)
{
	double place = (accuracy - PLOT_LEAST) / (PLOT_MOST - PLOT_LEAST);

	plot[(size_t)lround(fmax(place, 0.0) * (PLOT_WIDTH - 1))] = mark;
}

static void
print_row(const struct look *look)
{
	char plot[PLOT_WIDTH + 1];

	memset(plot, ' ', PLOT_WIDTH);
	plot[PLOT_WIDTH] = '\0';
	draw_point(plot, look->raw, 'o');
	draw_point(plot, look->ema, '*');
	printf("%7" PRId64 " %7.2f %% %7.2f %% %7" PRId64 "  |%s|\n",
	       look->step, 100.0 * look->raw, 100.0 * look->ema, look->behind,
	       plot);
	(void)fflush(stdout);
}

static void
print_heading(void)
{
	printf("%7s %9s %9s %7s  %-20s%21s\n", "step", "raw o", "average *",
	       "behind", "80 %", "100 %");
	(void)fflush(stdout);
}

static bool
follow(struct watcher *watcher, const struct digits_options *options)
{
	int64_t last = options->n_steps - 1;
	struct look look = { .step = -1 };

	print_heading();
	for (int64_t next = options->every; look.step < last;
	     next += options->every) {
		if (!look_at(watcher, next < last ? next : last, &look))
			return false;
		print_row(&look);
		if (look.step >= last / 2) {
			summary_add(&watcher->raw, look.raw);
			summary_add(&watcher->ema, look.ema);
		}
	}
	return true;
}

static void
print_summary(const struct watcher *watcher)
{
	const struct summary *raw = &watcher->raw;
	const struct summary *ema = &watcher->ema;

	printf("\n%-26s %9s %9s\n", "accuracy on 512 test images", "raw",
	       "average");
	printf("%-27s %7.2f %% %7.2f %%\n", "at the end", 100.0 * raw->newest,
	       100.0 * ema->newest);
	printf("%-27s %7.2f %% %7.2f %%\n", "later half: mean",
	       100.0 * raw->sum / (double)raw->n,
	       100.0 * ema->sum / (double)ema->n);
	printf("%-27s %7.2f %% %7.2f %%\n", "            lowest",
	       100.0 * raw->least, 100.0 * ema->least);
	printf("%-27s %7.2f %% %7.2f %%\n", "            highest",
	       100.0 * raw->most, 100.0 * ema->most);
	printf("\nThe average is a file that anybody can open, here with\n"
	       "pip install safetensors numpy:\n\n"
	       "  python3 -c \"from safetensors.numpy import load_file; "
	       "print({k: v.shape for k, v in load_file('%s').items()})\"\n",
	       watcher->path);
}

int
digits_watch(const struct digits *digits, const struct digits_options *options)
{
	struct watcher watcher = { .digits = digits };
	bool done;

	if (emad_connect(&watcher.emad, NULL, -1) != EMAD_OK)
		return digits_failed("connect");
	done = follow(&watcher, options);
	if (done)
		print_summary(&watcher);
	emad_close(watcher.emad);
	return done ? 0 : 1;
}
