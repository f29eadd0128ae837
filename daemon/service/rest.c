#include "daemon/service/rest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "daemon/io/guard.h"
#include "daemon/log.h"

#define REST_FILE_NONE ((struct rest_file) { .shm = SHM_NONE })

void
rest_init(struct rest *ret_rest, enum accumulator accumulator,
	  const char *instance, const char *model, const char *profile,
	  uint64_t average_size)
{
	*ret_rest = (struct rest) {
		.accumulator = accumulator,
		.files = { REST_FILE_NONE, REST_FILE_NONE },
	};
	if (accumulator == ACCUMULATOR_FLOAT32)
		return;
	ret_rest->data_size = accumulator_rest_size(accumulator, average_size);
	name_rest_file(ret_rest->name, instance, model, profile);
	version_header_init_rest(&ret_rest->header, model, profile, accumulator,
				 average_size);
}

static void
file_name(char ret_name[FILE_NAME_SIZE], const struct rest *rest,
	  unsigned int i)
{
	(void)snprintf(ret_name, FILE_NAME_SIZE, "%.250s-%u", rest->name, i);
}

static void
discard(struct rest_file *file)
{
	if (file->shm.fd >= 0)
		(void)shm_unlink_name(&file->shm);
	shm_close(&file->shm);
	*file = REST_FILE_NONE;
}

void
rest_deinit(struct rest *rest, bool remove)
{
	for (unsigned int i = 0; i < 2; i++) {
		if (remove || i != rest->current)
			discard(&rest->files[i]);
		else
			shm_close(&rest->files[i].shm);
	}
	version_header_deinit(&rest->header);
}

uint64_t
rest_size(const struct rest *rest)
{
	return rest->data_size > 0 ? rest->header.size + rest->data_size : 0;
}

uint64_t
rest_memory(const struct rest *rest)
{
	uint64_t memory = 0;

	for (unsigned int i = 0; i < 2; i++)
		memory += rest->files[i].shm.size;
	return memory;
}

bool
rest_has_file(const struct rest *rest, const char *name)
{
	for (unsigned int i = 0; i < 2; i++)
		if (rest->files[i].shm.fd >= 0 &&
		    strcmp(rest->files[i].shm.name, name) == 0)
			return true;
	return false;
}

uint64_t
rest_huge_size(const struct rest *rest)
{
	uint64_t size = 0;

	for (unsigned int i = 0; i < 2; i++)
		size += shm_huge_size(&rest->files[i].shm);
	return size;
}

struct header_check {
	const struct rest *rest;
	const struct version_state *state;
	const char *file;
	bool is_same;
};

static void
touch_check(void *arg)
{
	struct header_check *check = arg;

	check->is_same = version_header_is(&check->rest->header, check->state,
					   check->file);
}

/* Whether the file is there and belongs to a version in @state. */
static bool
adopt_file(struct rest *rest, unsigned int i, const struct version_state *state)
{
	struct rest_file *file = &rest->files[i];
	struct header_check check = { .rest = rest, .state = state };
	char name[FILE_NAME_SIZE];

	file_name(name, rest, i);
	if (shm_adopt(&file->shm, name) < 0)
		return false;
	if (file->shm.size != rest_size(rest)) {
		discard(file);
		return false;
	}
	check.file = file->shm.base;
	return guard_run(touch_check, &check) == 0 && check.is_same;
}

bool
rest_adopt(struct rest *rest, const struct version_state *state)
{
	bool is_found = false;

	if (rest_size(rest) == 0)
		return true;
	for (unsigned int i = 0; i < 2; i++)
		if (adopt_file(rest, i, state)) {
			rest->current = i;
			is_found = true;
		}
	for (unsigned int i = 0; i < 2 && !is_found; i++)
		discard(&rest->files[i]);
	return is_found;
}

struct rest_supply
rest_want(const struct rest *rest, const char *average, uint64_t average_size)
{
	struct rest_supply supply = {
		.rest = rest,
		.average = average,
		.average_size = average_size,
		.files = { REST_FILE_NONE, REST_FILE_NONE },
	};

	for (unsigned int i = 0; i < 2 && rest_size(rest) > 0; i++)
		supply.is_wanted[i] = rest->files[i].shm.fd < 0;
	return supply;
}

struct filling {
	const char *average;
	double *to;
	uint64_t n;
};

static void
touch_fill(void *arg)
{
	const struct filling *filling = arg;

	for (uint64_t i = 0; i < filling->n; i++) {
		float x;

		memcpy(&x, filling->average + i * sizeof x, sizeof x);
		filling->to[i] = (double)x;
	}
}

/* An average goes on from what was published; compensations from zero. */
static int
fill(struct rest_file *file, const struct rest_supply *supply)
{
	char *base = file->shm.base;
	struct filling filling = {
		.average = supply->average,
		.to = (double *)(void *)(base + supply->rest->header.size),
		.n = supply->average_size / sizeof(float),
	};

	if (!supply->average ||
	    supply->rest->accumulator != ACCUMULATOR_FLOAT64)
		return 0;
	return guard_run(touch_fill, &filling);
}

int
rest_supply_make(struct rest_supply *supply, struct huge *huge,
		 const struct numa_placement *placement)
{
	const struct rest *rest = supply->rest;

	for (unsigned int i = 0; i < 2; i++) {
		struct rest_file *file = &supply->files[i];
		char name[FILE_NAME_SIZE];
		int r;

		if (!supply->is_wanted[i] || file->shm.fd >= 0)
			continue;
		file_name(name, rest, i);
		/* Hidden names are this daemon's: what has one is stale. */
		r = shm_remove(name);
		if (r < 0)
			return log_failure(
				r, "cannot remove " SHM_DIRECTORY "/%s", name);
		r = shm_create_placed(&file->shm, name, rest_size(rest), 0600,
				      placement);
		if (r == 0)
			shm_collapse(&file->shm, huge);
		if (r == 0 && i == rest->current)
			r = fill(file, supply);
		if (r < 0) {
			/* What was not filled is nothing to go on from. */
			discard(file);
			return r;
		}
	}
	return 0;
}

unsigned int
rest_supply_n_missing(const struct rest_supply *supply)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < 2; i++)
		n += supply->is_wanted[i] && supply->files[i].shm.fd < 0;
	return n;
}

void
rest_supply_discard(struct rest_supply *supply)
{
	for (unsigned int i = 0; i < 2; i++)
		if (supply->is_wanted[i])
			discard(&supply->files[i]);
}

void
rest_take(struct rest *rest, struct rest_supply *supply)
{
	for (unsigned int i = 0; i < 2; i++)
		if (supply->is_wanted[i] && rest->files[i].shm.fd < 0) {
			rest->files[i] = supply->files[i];
			supply->files[i] = REST_FILE_NONE;
		}
	rest_supply_discard(supply);
}

bool
rest_claim(struct rest *rest)
{
	bool all = true;

	for (unsigned int i = 0; i < 2 && rest_size(rest) > 0; i++) {
		struct rest_file *file = &rest->files[i];

		if (file->shm.fd >= 0 && !shm_is_intact(&file->shm)) {
			if (i == rest->current)
				log_warning("%s: was truncated or removed; the "
					    "average goes on from what is "
					    "published",
					    file->shm.name);
			discard(file);
		}
		all = all && file->shm.fd >= 0;
	}
	return all;
}

static struct rest_file *
next_file(const struct rest *rest)
{
	return (struct rest_file *)(uintptr_t)&rest->files[!rest->current];
}

void
rest_touch_begin(const struct rest *rest)
{
	if (rest_size(rest) > 0)
		version_header_invalidate(next_file(rest)->shm.base);
}

void
rest_touch_header(const struct rest *rest, const struct version_state *state)
{
	const struct rest_file *file = next_file(rest);

	if (rest_size(rest) > 0)
		version_header_write(&rest->header, state, !file->has_header,
				     file->shm.base);
}

void
rest_advance(struct rest *rest)
{
	if (rest_size(rest) == 0)
		return;
	rest->current = !rest->current;
	rest->files[rest->current].has_header = true;
}

static char *
data_of(const struct rest *rest, const struct rest_file *file)
{
	char *base = file->shm.base;

	return base ? base + rest->header.size : NULL;
}

const char *
rest_current_data(const struct rest *rest)
{
	return data_of(rest, &rest->files[rest->current]);
}

char *
rest_next_data(const struct rest *rest)
{
	return data_of(rest, next_file(rest));
}
