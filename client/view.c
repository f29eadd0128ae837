/*
 * Versions: which file is the newest, and what is in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

#include "client/internal.h"
#include "proto/map.h"
#include "proto/version.h"

/* One question waits no longer than this, so that a dead daemon is noticed. */
#define PULL_CHUNK_MS 60000
/* For the answer itself, after the daemon has waited. */
#define GRACE_MS 5000
/* A file may be replaced between the answer and the opening, but not often. */
#define OPEN_ATTEMPTS 50

struct emad_view {
	struct version *version;
	void *file;
	uint64_t size;
	char *path;
	size_t n_tensors;
	struct emad_tensor *tensors;
	const struct emad_tensor **by_name;
};

/* What a file must be to answer a pull. */
struct wanted {
	const char *file;
	const char *model;
	const char *profile;
	int64_t at_step;
};

static int
map_file(struct emad_view *view, const char *file)
{
	struct stat status;
	owned_fd fd = -1;
	char name[FILE_NAME_SIZE + 1];
	void *bytes;
	int r;

	if (!is_plain_file_name(file))
		return fail(EMAD_CHANGED, "\"%.100s\" cannot be a version",
			    file);
	(void)snprintf(name, sizeof name, "/%s", file);
	fd = shm_open(name, O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return fail(errno == ENOENT ? EMAD_CHANGED : EMAD_SYSTEM,
			    "cannot open " SHM_DIRECTORY "%s: %s", name,
			    strerror(errno));
	if (fstat(fd, &status) < 0 || status.st_size <= 0)
		return fail(EMAD_CHANGED, SHM_DIRECTORY "%s is empty", name);
	view->size = (uint64_t)status.st_size;
	r = map_shared(fd, view->size, PROT_READ, 0, &bytes);
	if (r < 0)
		return fail(EMAD_SYSTEM, "cannot map " SHM_DIRECTORY "%s: %s",
			    name, strerror(-r));
	view->file = bytes;
	view->path = xasprintf(SHM_DIRECTORY "%s", name);
	return EMAD_OK;
}

static int
check_version(const struct emad_view *view, const struct wanted *wanted)
{
	const struct version *version = view->version;

	if (strcmp(version->model, wanted->model) != 0 ||
	    strcmp(version->profile.name, wanted->profile) != 0)
		return fail(EMAD_CHANGED, "%s is not an average %s of %s",
			    view->path, wanted->profile, wanted->model);
	if (version->state.step < wanted->at_step)
		return fail(EMAD_CHANGED,
			    "%s is of step %" PRId64 ", not %" PRId64
			    " or later",
			    view->path, version->state.step, wanted->at_step);
	return EMAD_OK;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp((*(const struct emad_tensor *const *)a)->name,
		      (*(const struct emad_tensor *const *)b)->name);
}

static void
list_tensors(struct emad_view *view)
{
	const struct safetensors *average = view->version->average;
	size_t n = average->n_tensors;

	view->n_tensors = n;
	view->tensors = xcalloc(n, sizeof *view->tensors);
	view->by_name = xcalloc(n, sizeof *view->by_name);
	for (size_t i = 0; i < n; i++) {
		const struct tensor *tensor = &average->tensors[i];

		view->tensors[i] = (struct emad_tensor) {
			.name = tensor->name,
			.dtype = dtype_name(tensor->dtype),
			.n_dims = tensor->n_dims,
			.shape = tensor->shape,
			.data = (const char *)view->file +
				average->header_size + tensor->begin,
			.size = tensor->size,
		};
		view->by_name[i] = &view->tensors[i];
	}
	qsort(view->by_name, n, sizeof *view->by_name, compare_names);
}

/* CHANGED: it is not what was wanted; another attempt may find it. */
static int
open_once(struct emad_view **ret_view, const struct wanted *wanted)
{
	struct emad_view *view = xcalloc(1, sizeof *view);
	enum status read;
	struct why why;
	int status;

	status = map_file(view, wanted->file);
	if (status == EMAD_OK) {
		read = version_read(&view->version, view->file, view->size,
				    &why);
		if (read != STATUS_OK)
			status = fail(EMAD_CHANGED, "%s cannot be read: %s",
				      view->path, why.text);
	}
	if (status == EMAD_OK)
		status = check_version(view, wanted);
	if (status != EMAD_OK) {
		emad_view_close(view);
		return status;
	}
	list_tensors(view);
	*ret_view = view;
	return EMAD_OK;
}

static int
open_version(struct emad_view **ret_view, const struct wanted *wanted)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	int status = open_once(ret_view, wanted);

	for (int i = 1; i < OPEN_ATTEMPTS && status == EMAD_CHANGED; i++) {
		(void)nanosleep(&pause, NULL);
		status = open_once(ret_view, wanted);
	}
	return status;
}

/* One question; the daemon waits up to @wait_ms. */
static int
ask_pull(struct emad *emad, Emad__Pull *pull, int wait_ms,
	 Emad__Reply **ret_reply)
{
	Emad__Request request = EMAD__REQUEST__INIT;

	pull->has_timeout_ms = true;
	pull->timeout_ms = (uint32_t)wait_ms;
	request.pull = pull;
	return ask(emad, &request, deadline_after(wait_ms + GRACE_MS),
		   ret_reply);
}

/*
 * Whether the daemon waited as long as it was asked to in vain: then what is
 * missing may still come.  Sooner it says that of what was dropped.
 */
static bool
is_worth_waiting(int status, int64_t waited)
{
	/* Not silence (that is UNREACHABLE): the daemon's own word. */
	if (status == EMAD_TIMEOUT)
		return true;
	return (status == EMAD_UNKNOWN_MODEL ||
		status == EMAD_UNKNOWN_PROFILE) &&
	       waited >= PULL_CHUNK_MS - GRACE_MS;
}

/* Ask until there is a version or the deadline has passed. */
static int
ask_until(struct emad *emad, Emad__Pull *pull, int64_t deadline,
	  Emad__Reply **ret_reply)
{
	int64_t asked;
	int64_t left;
	int status;

	do {
		asked = clock_ms();
		left = deadline == DEADLINE_NEVER ? PULL_CHUNK_MS
						  : deadline - asked;
		if (left < 0)
			left = 0;
		if (left > PULL_CHUNK_MS)
			left = PULL_CHUNK_MS;
		status = ask_pull(emad, pull, (int)left, ret_reply);
	} while (is_worth_waiting(status, clock_ms() - asked) &&
		 clock_ms() < deadline);
	return status;
}

int
emad_pull(struct emad_view **ret_view, struct emad *emad, const char *model,
	  const char *profile, int64_t at_step, int timeout_ms)
{
	Emad__Pull pull = EMAD__PULL__INIT;
	owned_reply *reply = NULL;
	struct wanted wanted;
	int status;

	if (!ret_view || !emad || !model)
		return fail(EMAD_USAGE, "emad_pull: an argument is NULL");
	if (at_step < EMAD_NEWEST || at_step > STEP_MAX)
		return fail(EMAD_USAGE,
			    "step %" PRId64 " is not between 0 and 2^53",
			    at_step);
	status = check_process(emad->pid);
	if (status != EMAD_OK)
		return status;
	pull.model = (char *)(uintptr_t)model;
	pull.profile = (char *)(uintptr_t)profile;
	pull.has_at_step = at_step >= 0;
	pull.at_step = at_step;
	status = ask_until(emad, &pull, deadline_after(timeout_ms), &reply);
	if (status != EMAD_OK)
		return status;
	if (!reply->pull || !reply->pull->version->profile->name)
		return fail(EMAD_CHANGED,
			    "the daemon's answer to a pull is incomplete");
	wanted = (struct wanted) {
		.file = reply->pull->version->file,
		.model = model,
		.profile = reply->pull->version->profile->name,
		.at_step = at_step,
	};
	return open_version(ret_view, &wanted);
}

void
emad_view_close(struct emad_view *view)
{
	if (!view)
		return;
	if (view->file)
		(void)munmap(view->file, view->size);
	version_free(view->version);
	free(view->by_name);
	free(view->tensors);
	free(view->path);
	free(view);
}

int64_t
emad_view_step(const struct emad_view *view)
{
	return view->version->state.step;
}

double
emad_view_decay(const struct emad_view *view)
{
	return view->version->state.decay;
}

uint64_t
emad_view_updates(const struct emad_view *view)
{
	return view->version->state.updates;
}

const char *
emad_view_path(const struct emad_view *view)
{
	return view->path;
}

const void *
emad_view_file(const struct emad_view *view, uint64_t *ret_size)
{
	if (ret_size)
		*ret_size = view->size;
	return view->file;
}

size_t
emad_view_n_tensors(const struct emad_view *view)
{
	return view->n_tensors;
}

const struct emad_tensor *
emad_view_tensor(const struct emad_view *view, size_t index)
{
	return index < view->n_tensors ? &view->tensors[index] : NULL;
}

const struct emad_tensor *
emad_view_find(const struct emad_view *view, const char *name)
{
	struct emad_tensor named = { .name = name };
	const struct emad_tensor *key = &named;
	const struct emad_tensor **found;

	if (!name || view->n_tensors == 0)
		return NULL;
	found = bsearch(&key, view->by_name, view->n_tensors,
			sizeof *view->by_name, compare_names);
	return found ? *found : NULL;
}
