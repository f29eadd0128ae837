/*
 * emactl schedule: what a schedule does, over the steps at which it does
 * something.  No daemon is asked.
 *
 * The effective window of a decay d is 1 / (1 - d) updates: the mean age of
 * what the average is made of.  In steps it is update_every times that.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "client/emactl_options.h"
#include "client/emactl_output.h"
#include "client/emactl_plot.h"
#include "client/emactl_profile.h"
#include "client/emactl_table.h"

#define TABLE_POINTS 20
#define POINTS_MOST  1000000
/* Where a schedule that never reaches its limit is left alone, in updates. */
#define REACH_MOST  INT64_C(100000000)
#define REACH_LEAST 100

/* Updates are numbered: the nth is at step n * update_every. */
struct span {
	int64_t from;
	int64_t to;
	bool is_given; /* else chosen here, and best seen logarithmically */
};

struct row {
	int64_t step;
	enum schedule_action action;
	double decay;
	double window; /* in updates */
};

static const char *const action_names[] = {
	[SCHEDULE_SKIP] = "skip",     [SCHEDULE_COPY] = "copy",
	[SCHEDULE_INIT] = "init",     [SCHEDULE_LERP] = "average",
	[SCHEDULE_FROZEN] = "frozen",
};

static struct row
row_at(const struct schedule *schedule, int64_t update)
{
	int64_t step = update * schedule->update_every;
	int64_t last = update > 0 ? step - schedule->update_every : STEP_NONE;
	struct row row = { .step = step,
			   .action = schedule_decide(schedule, step, last) };

	if (row.action == SCHEDULE_FROZEN)
		row.decay = 1;
	else if (row.action != SCHEDULE_COPY)
		row.decay = schedule_decay(schedule, step + 1);
	row.window = row.decay < 1 ? 1 / (1 - row.decay) : INFINITY;
	return row;
}

/* The last update that only copies; -1: there is none. */
static int64_t
last_copy(const struct schedule *schedule)
{
	if (schedule->update_after_step < 0)
		return -1;
	return schedule->update_after_step / schedule->update_every;
}

/*
 * The first update with the decay that the schedule has in the end.  Decays
 * do not fall, so halving finds it.
 */
static int64_t
find_reach(const struct schedule *schedule)
{
	int64_t start = last_copy(schedule) + 1;
	int64_t most = STEP_MAX / schedule->update_every;
	int64_t low = start;
	int64_t high = most - start < REACH_MOST ? most : start + REACH_MOST;
	double limit = row_at(schedule, high).decay;

	while (low < high) {
		int64_t middle = low + (high - low) / 2;

		if (row_at(schedule, middle).decay >= limit)
			high = middle;
		else
			low = middle + 1;
	}
	if (low < start + REACH_LEAST)
		low = start + REACH_LEAST;
	return low < most ? low : most;
}

static bool
find_span(const struct emactl *ctl, const struct schedule *schedule,
	  struct span *ret_span)
{
	int64_t every = schedule->update_every;
	int64_t from = 0;
	int64_t to = find_reach(schedule) * every;
	int64_t steps = 0;
	bool is_given = options_has(ctl, OPTION_STEPS) ||
			options_has(ctl, OPTION_FROM) ||
			options_has(ctl, OPTION_TO);

	if (!options_integer(ctl, OPTION_STEPS, 1, STEP_MAX, &steps) ||
	    !options_integer(ctl, OPTION_FROM, 0, STEP_MAX, &from) ||
	    !options_integer(ctl, OPTION_TO, 0, STEP_MAX, &to))
		return false;
	if (steps > 0 &&
	    (options_has(ctl, OPTION_FROM) || options_has(ctl, OPTION_TO))) {
		output_usage_error(ctl, "--steps N means --from 0 --to N-1: "
					"give the one or the others");
		return false;
	}
	if (steps > 0)
		to = steps - 1;
	*ret_span = (struct span) { .from = (from + every - 1) / every,
				    .to = to / every,
				    .is_given = is_given };
	if (ret_span->from <= ret_span->to)
		return true;
	output_usage_error(ctl,
			   "there is no update from step %" PRId64
			   " to %" PRId64 ": update_every is %" PRId64,
			   from, to, every);
	return false;
}

/*
 * @share (0 to 1) of the way through @span.  A span of our own choice begins
 * at the first update that averages and goes by the logarithm.
 */
static int64_t
update_at(const struct schedule *schedule, const struct span *span,
	  double share)
{
	double length = (double)(span->to - span->from);
	int64_t start = last_copy(schedule) + 1;

	if (span->is_given)
		return span->from + llround(share * length);
	length = (double)(span->to - start) + 1;
	return start + llround(pow(length, share)) - 1;
}

/* Update 0, the last that copies, then 1, 2, 5, 10, 20 ... behind it. */
static size_t
choose_rows(const struct schedule *schedule, const struct span *span,
	    struct row **ret_rows)
{
	static const int64_t digits[] = { 1, 2, 5 };
	struct row *rows = xcalloc(80, sizeof *rows);
	int64_t copied = last_copy(schedule);
	int64_t scale = 1;
	size_t n = 0;

	if (copied > 0)
		rows[n++] = row_at(schedule, 0);
	if (copied >= 0)
		rows[n++] = row_at(schedule, copied);
	for (size_t i = 0; copied + digits[i] * scale < span->to;) {
		rows[n++] = row_at(schedule, copied + digits[i] * scale);
		i = (i + 1) % array_size(digits);
		if (i == 0)
			scale *= 10;
	}
	rows[n++] = row_at(schedule, span->to);
	*ret_rows = rows;
	return n;
}

static size_t
spread_rows(const struct schedule *schedule, const struct span *span,
	    int64_t points, struct row **ret_rows)
{
	int64_t most = span->to - span->from + 1;
	size_t n = (size_t)(points < most ? points : most);
	struct row *rows = xcalloc(n, sizeof *rows);

	for (size_t i = 0; i < n; i++) {
		double share = n > 1 ? (double)i / (double)(n - 1) : 0;

		rows[i] = row_at(schedule, update_at(schedule, span, share));
	}
	*ret_rows = rows;
	return n;
}

static void
print_table(const struct schedule *schedule, const struct row *rows, size_t n)
{
	static const struct column columns[] = {
		{ "STEP", true },           { "ACTION", false },
		{ "DECAY", true },          { "WINDOW (UPDATES)", true },
		{ "WINDOW (STEPS)", true },
	};
	struct table table;
	char text[TEXT_SIZE];

	table_init(&table, columns, array_size(columns));
	for (size_t i = 0; i < n; i++) {
		table_add(&table, "%" PRId64, rows[i].step);
		table_add(&table, "%s", action_names[rows[i].action]);
		table_add(&table, "%.7f", rows[i].decay);
		table_add(&table, "%s", output_window(text, rows[i].window));
		table_add(
			&table, "%s",
			output_window(text,
				      rows[i].window *
					      (double)schedule->update_every));
	}
	table_print(&table);
	table_deinit(&table);
}

static void
print_csv(const struct schedule *schedule, const struct row *rows, size_t n)
{
	(void)puts("step,action,decay,window_updates,window_steps");
	for (size_t i = 0; i < n; i++)
		(void)printf("%" PRId64 ",%s,%.17g,%.17g,%.17g\n", rows[i].step,
			     action_names[rows[i].action], rows[i].decay,
			     rows[i].window,
			     rows[i].window * (double)schedule->update_every);
}

/* JSON has no infinity: null. */
static json_t *
real_or_null(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

static void
print_json(const struct profile *profile, const struct row *rows, size_t n)
{
	double every = (double)profile->schedule.update_every;
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		(void)json_array_append_new(
			list,
			json_pack("{s:I, s:s, s:f, s:o, s:o}", "step",
				  (json_int_t)rows[i].step, "action",
				  action_names[rows[i].action], "decay",
				  rows[i].decay, "window_updates",
				  real_or_null(rows[i].window), "window_steps",
				  real_or_null(rows[i].window * every)));
	output_json(json_pack("{s:o, s:o}", "profile", profile_to_json(profile),
			      "rows", list));
}

static void
print_plot(const struct schedule *schedule, const struct span *span)
{
	struct plot plot = { .width = output_width(STDOUT_FILENO),
			     .is_utf8 = output_is_utf8(),
			     .is_log = !span->is_given };
	size_t n = plot_columns(&plot);
	double *windows = xcalloc(n, sizeof *windows);

	for (size_t i = 0; i < n; i++) {
		double share = (double)i / (double)(n - 1);
		struct row row =
			row_at(schedule, update_at(schedule, span, share));

		windows[i] = row.window;
		if (i == 0)
			plot.from = row.step;
		plot.to = row.step;
	}
	plot_print(&plot, windows);
	free(windows);
}

static enum exit_code
print_schedule(const struct emactl *ctl, const struct profile *profile)
{
	const struct schedule *schedule = &profile->schedule;
	bool is_csv = options_has(ctl, OPTION_CSV);
	int64_t points = is_csv || ctl->json ? POINTS_MOST : TABLE_POINTS;
	owned_memory struct row *rows = NULL;
	struct span span;
	size_t n;

	if (!find_span(ctl, schedule, &span) ||
	    !options_integer(ctl, OPTION_POINTS, 1, POINTS_MOST, &points))
		return EXIT_USAGE;
	if (options_has(ctl, OPTION_PLOT)) {
		print_plot(schedule, &span);
		return EXIT_DONE;
	}
	if (span.is_given || options_has(ctl, OPTION_POINTS))
		n = spread_rows(schedule, &span, points, &rows);
	else
		n = choose_rows(schedule, &span, &rows);
	if (ctl->json)
		print_json(profile, rows, n);
	else if (is_csv)
		print_csv(schedule, rows, n);
	else
		print_table(schedule, rows, n);
	return EXIT_DONE;
}

enum exit_code
run_schedule(const struct emactl *ctl)
{
	struct profile_list list;
	enum exit_code code;

	if (options_has(ctl, OPTION_PLOT) + options_has(ctl, OPTION_CSV) +
		    ctl->json >
	    1)
		return output_usage_error(ctl, "--plot, --csv and --json "
					       "exclude each other");
	if (!profile_list_from_options(&list, ctl))
		return EXIT_USAGE;
	code = print_schedule(ctl, &list.profiles[0]);
	profile_list_deinit(&list);
	return code;
}
