/*
 * replay DIR: play the golden vectors in DIR through a daemon of this build
 * tree, by way of libemad, and print what differs.
 *
 * Every trajectory becomes a model that is published step by step; its average
 * is pulled where the vectors hold it and compared bit for bit, its decay after
 * every update that reached a lerp.  Every table of decays becomes a model of
 * one scalar.  Exit code: 0 nothing differs, 1 something does, 2 wrong usage.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "client/emad.h"
#include "tests/lib/daemon.h"
#include "tests/lib/golden.h"
#include "tests/lib/story.h"

/* Of one case; the rest is only counted. */
#define DIFFERENCES_SHOWN 10

struct replay {
	struct emad *emad;
	const struct golden *golden;
	const char *what; /* the case under way */
	unsigned int n_differences;
	unsigned int n_failed;
};

/* The lists of a profile as libemad takes them. */
struct profile_lists {
	struct emad_profile profile;
	const char **lists[3];
};

static bool show_difference(struct replay *replay, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static bool
show_difference(struct replay *replay, const char *format, ...)
{
	va_list arguments;

	if (replay->n_differences++ >= DIFFERENCES_SHOWN)
		return false;
	(void)printf("  %s: ", replay->what);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
	return false;
}

static bool
check_call(struct replay *replay, int status, const char *call)
{
	if (status == EMAD_OK)
		return true;
	return show_difference(replay, "%s: %s: %s", call,
			       emad_status_name(status), emad_error());
}

static const char **
copy_list(const struct name_list *list)
{
	const char **copy = xcalloc(list->n + 1, sizeof *copy);

	for (size_t i = 0; i < list->n; i++)
		copy[i] = list->names[i];
	return copy;
}

static void
profile_lists_init(struct profile_lists *ret_lists,
		   const struct profile *profile)
{
	const struct schedule *schedule = &profile->schedule;

	ret_lists->lists[0] = copy_list(&profile->no_ema);
	ret_lists->lists[1] = copy_list(&profile->ignore);
	ret_lists->lists[2] = copy_list(&profile->ignore_startswith);
	ret_lists->profile = (struct emad_profile) {
		.name = "ema",
		.variant = schedule_variant_name(schedule->variant),
		.beta = schedule->beta,
		.update_after_step = schedule->update_after_step,
		.update_every = schedule->update_every,
		.inv_gamma = schedule->inv_gamma,
		.power = schedule->power,
		.min_value = schedule->min_value,
		.param_or_buffer_names_no_ema = ret_lists->lists[0],
		.ignore_names = ret_lists->lists[1],
		.ignore_startswith_names = ret_lists->lists[2],
	};
}

static void
profile_lists_deinit(struct profile_lists *lists)
{
	for (size_t i = 0; i < array_size(lists->lists); i++)
		free(lists->lists[i]);
}

static struct emad_publisher *
attach(struct replay *replay, const struct profile *profile,
       const struct emad_tensor *tensors, size_t n_tensors)
{
	struct emad_publisher *publisher = NULL;
	struct profile_lists lists;
	struct emad_options options = { .n_profiles = 1 };

	profile_lists_init(&lists, profile);
	options.profiles = &lists.profile;
	(void)check_call(replay,
			 emad_attach(&publisher, replay->emad, "replay",
				     tensors, n_tensors, &options),
			 "attach");
	profile_lists_deinit(&lists);
	return publisher;
}

/* So that the next case starts from nothing. */
static void
detach(struct replay *replay, struct emad_publisher *publisher)
{
	(void)check_call(replay, emad_detach(publisher), "detach");
	(void)check_call(replay, emad_drop(replay->emad, "replay", NULL),
			 "drop");
}

/* The version after everything that was published so far. */
static struct emad_view *
pull(struct replay *replay, struct emad_publisher *publisher)
{
	struct emad_view *view = NULL;

	if (check_call(replay, emad_flush(publisher), "flush"))
		(void)check_call(replay,
				 emad_pull(&view, replay->emad, "replay", NULL,
					   EMAD_NEWEST, 0),
				 "pull");
	return view;
}

static void
compare_decay(struct replay *replay, const struct emad_view *view, int64_t step,
	      double expected)
{
	double got = emad_view_decay(view);

	if (emad_view_step(view) != step)
		(void)show_difference(replay,
				      "step %" PRId64 ": the newest version "
				      "is of step %" PRId64,
				      step, emad_view_step(view));
	else if (memcmp(&got, &expected, sizeof got) != 0)
		(void)show_difference(
			replay, "step %" PRId64 ": decay: expected %a, got %a",
			step, expected, got);
}

/* Words of 8 bytes in double precision, of 4 in all else. */
static void
compare_values(struct replay *replay, const struct tensor *tensor, int64_t t,
	       const void *expected, const void *got)
{
	size_t width = tensor->dtype == DTYPE_F64 ? 8 : 4;

	for (size_t i = 0; i < tensor->size / width; i++) {
		uint64_t want = 0;
		uint64_t have = 0;

		memcpy(&want, (const char *)expected + i * width, width);
		memcpy(&have, (const char *)got + i * width, width);
		if (want == have)
			continue;
		(void)show_difference(replay,
				      "step %" PRId64 ": %s, word %zu: "
				      "expected %0*" PRIx64 ", got %0*" PRIx64,
				      t, tensor->name, i, (int)width * 2, want,
				      (int)width * 2, have);
	}
}

static void
compare_state(struct replay *replay, const struct golden_case *golden,
	      const struct golden_state *state, const struct emad_view *view)
{
	for (size_t k = 0; k < golden->n_tensors; k++) {
		const struct tensor *tensor = &golden->tensors[k];
		const struct emad_tensor *got =
			emad_view_find(view, tensor->name);

		if (!state->values[k])
			continue;
		if (!got || got->size != tensor->size) {
			(void)show_difference(replay,
					      "step %" PRId64
					      ": %s is not in the version, "
					      "or has another size",
					      state->t, tensor->name);
			continue;
		}
		compare_values(replay, tensor, state->t, state->values[k],
			       got->data);
	}
}

static const struct golden_state *
find_state(const struct golden_case *golden, int64_t t)
{
	for (size_t i = 0; i < golden->n_states; i++) {
		if (golden->states[i].t == t)
			return &golden->states[i];
	}
	return NULL;
}

static const struct golden_decay *
find_decay(const struct golden_case *golden, int64_t t)
{
	for (size_t i = 0; i < golden->n_decays; i++) {
		if (golden->decays[i].t == t)
			return &golden->decays[i];
	}
	return NULL;
}

static bool
play_step(struct replay *replay, const struct golden_case *golden, int64_t t,
	  struct emad_publisher *publisher, void *const *values)
{
	const struct golden_state *state = find_state(golden, t);
	const struct golden_decay *decay = find_decay(golden, t);
	struct emad_view *view;

	for (size_t k = 0; k < golden->n_tensors; k++)
		golden_values(golden, k, t, values[k]);
	if (!check_call(replay,
			emad_publish_data(publisher, t,
					  (const void *const *)values),
			"publish"))
		return false;
	if (decay && !emad_wants(publisher, t))
		(void)show_difference(replay, "step %" PRId64 " is not wanted",
				      t);
	if (!state && !decay)
		return true;

	view = pull(replay, publisher);
	if (!view)
		return false;
	if (decay)
		compare_decay(replay, view, t, decay->decay);
	if (state)
		compare_state(replay, golden, state, view);
	emad_view_close(view);
	return true;
}

static void
play_case(struct replay *replay, const struct golden_case *golden)
{
	struct emad_tensor *tensors =
		xcalloc(golden->n_tensors, sizeof *tensors);
	void **values = xcalloc(golden->n_tensors, sizeof *values);
	struct emad_publisher *publisher;
	bool ok = true;

	for (size_t k = 0; k < golden->n_tensors; k++) {
		const struct tensor *tensor = &golden->tensors[k];

		values[k] = xcalloc(1, tensor->size ? tensor->size : 1);
		tensors[k] = (struct emad_tensor) {
			.name = tensor->name,
			.dtype = dtype_name(tensor->dtype),
			.n_dims = tensor->n_dims,
			.shape = tensor->shape,
		};
	}
	publisher =
		attach(replay, &golden->profile, tensors, golden->n_tensors);
	for (int64_t t = 0; publisher && ok && t < golden->n_steps; t++)
		ok = play_step(replay, golden, t, publisher, values);
	if (publisher)
		detach(replay, publisher);

	for (size_t k = 0; k < golden->n_tensors; k++)
		free(values[k]);
	free(values);
	free(tensors);
}

/*
 * The decay at counter c belongs to the update at step c - 1.  Where no update
 * can show it (before the first step; a beta of 1 freezes the average), the
 * function that the daemon decides with is asked.
 */
static bool
play_decay(struct replay *replay, const struct golden_schedule *table,
	   const struct golden_decay *row, struct emad_publisher *publisher)
{
	const struct schedule *schedule = &table->profile.schedule;
	const float value = 1.0F;
	const void *data = &value;
	struct emad_view *view;
	double got;

	if (row->t < 1 || schedule->beta == 1.0) {
		got = schedule_decay(schedule, row->t);
		if (memcmp(&got, &row->decay, sizeof got) != 0)
			(void)show_difference(replay,
					      "counter %" PRId64
					      ": decay: expected %a, got %a",
					      row->t, row->decay, got);
		return true;
	}
	if (!check_call(replay, emad_publish_data(publisher, row->t - 1, &data),
			"publish"))
		return false;
	view = pull(replay, publisher);
	if (!view)
		return false;
	compare_decay(replay, view, row->t - 1, row->decay);
	emad_view_close(view);
	return true;
}

static int
compare_rows(const void *a, const void *b)
{
	int64_t x = ((const struct golden_decay *)a)->t;
	int64_t y = ((const struct golden_decay *)b)->t;

	return (x > y) - (x < y);
}

static void
play_schedule(struct replay *replay, struct golden_schedule *table)
{
	const struct emad_tensor scalar = { .name = "x", .dtype = "F32" };
	struct emad_publisher *publisher;
	bool ok = true;

	/* Every row is an update, whatever the table's own gate would say. */
	table->profile.schedule.update_every = 1;
	qsort(table->decays, table->n_decays, sizeof *table->decays,
	      compare_rows);
	publisher = attach(replay, &table->profile, &scalar, 1);
	for (size_t i = 0; publisher && ok && i < table->n_decays; i++) {
		if (i == 0 || table->decays[i].t != table->decays[i - 1].t)
			ok = play_decay(replay, table, &table->decays[i],
					publisher);
	}
	if (publisher)
		detach(replay, publisher);
}

static void
finish_case(struct replay *replay, const char *detail)
{
	if (replay->n_differences == 0)
		(void)printf("ok    %s: %s\n", replay->what, detail);
	else
		(void)printf("DIFFERS  %s: %u differences\n", replay->what,
			     replay->n_differences);
	replay->n_failed += replay->n_differences > 0;
	replay->n_differences = 0;
	(void)fflush(stdout);
}

static void
play_all(struct replay *replay)
{
	const struct golden *golden = replay->golden;
	char detail[96];
	char what[32];

	for (size_t i = 0; i < golden->n_cases; i++) {
		const struct golden_case *one = &golden->cases[i];

		replay->what = one->name;
		play_case(replay, one);
		(void)snprintf(detail, sizeof detail,
			       "%" PRId64 " steps, %zu states, %zu decays",
			       one->n_steps, one->n_states, one->n_decays);
		finish_case(replay, detail);
	}
	for (size_t i = 0; i < golden->n_schedules; i++) {
		(void)snprintf(what, sizeof what, "schedule %zu", i);
		replay->what = what;
		play_schedule(replay, &golden->schedules[i]);
		(void)snprintf(detail, sizeof detail, "%zu decays",
			       golden->schedules[i].n_decays);
		finish_case(replay, detail);
	}
	(void)printf("%zu trajectories, %zu schedules: %u differ\n",
		     golden->n_cases, golden->n_schedules, replay->n_failed);
	(void)fflush(stdout);
}

/* In a process of its own: whatever happens there, the house is cleaned. */
struct job {
	const struct golden *golden;
	const struct daemon *daemon;
};

static void
run_job(void *arg)
{
	const struct job *job = arg;
	struct replay replay = { .golden = job->golden };

	if (emad_connect(&replay.emad, job->daemon->address, -1) != EMAD_OK)
		give_up("connect: %s", emad_error());
	play_all(&replay);
	emad_close(replay.emad);
	if (replay.n_failed > 0)
		_exit(1);
}

int
main(int argc, char **argv)
{
	struct daemon daemon;
	struct job job = { .daemon = &daemon };
	struct golden *golden;
	struct why why;
	int status = 0;
	pid_t child;

	if (argc != 2 || argv[1][0] == '-') {
		(void)fprintf(stderr, "usage: replay DIR\n");
		return 2;
	}
	golden = golden_load(argv[1], &why);
	if (!golden) {
		(void)fprintf(stderr, "replay: %s\n", why.text);
		return 2;
	}
	job.golden = golden;
	story_begin();
	daemon_new(&daemon);
	child = child_start(run_job, &job);
	(void)waitpid(child, &status, 0);
	daemon_stop(&daemon);
	story_end();
	golden_free(golden);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}
