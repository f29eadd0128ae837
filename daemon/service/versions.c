#include "daemon/service/versions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/io/guard.h"
#include "daemon/log.h"

void
versions_init(struct versions *ret_versions, struct profile *profile,
	      struct version_header *header, const struct version_name *name,
	      uint64_t data_size)
{
	*ret_versions = (struct versions) {
		.profile = *profile,
		.state = VERSION_STATE_NONE,
		.header = *header,
		.size = header->size + data_size,
		.current = VERSION_FILE_NONE,
		.next = VERSION_FILE_NONE,
		.spare = VERSION_FILE_NONE,
	};
	(void)snprintf(ret_versions->file, sizeof ret_versions->file, "%s",
		       name->file);
	rest_init(&ret_versions->rest, profile->accumulator, name->instance,
		  name->model, profile->name, data_size);
	*profile = (struct profile) { 0 };
	*header = (struct version_header) { 0 };
}

static void
unlease(struct version_file *file)
{
	if (file->is_leased)
		shm_unlease(&file->shm);
	file->is_leased = false;
}

/* Close @file and remove its name. */
static void
discard(struct version_file *file)
{
	unlease(file);
	if (file->shm.fd >= 0)
		(void)shm_unlink_name(&file->shm);
	shm_close(&file->shm);
	*file = VERSION_FILE_NONE;
}

void
versions_deinit(struct versions *versions, bool remove_public)
{
	/* Beside no version there is nothing to outlive us. */
	bool remove_rest = remove_public || versions->current.shm.fd < 0;

	discard(&versions->next);
	discard(&versions->spare);
	if (remove_public)
		discard(&versions->current);
	else
		shm_close(&versions->current.shm);
	rest_deinit(&versions->rest, remove_rest);
	free(versions->drift);
	profile_deinit(&versions->profile);
	version_header_deinit(&versions->header);
}

struct version_supply
versions_want(const struct versions *versions)
{
	struct version_supply supply = {
		.size = versions->size,
		.rest = rest_want(&versions->rest,
				  versions_current_data(versions),
				  versions->size - versions->header.size),
	};

	supply.n_wanted += versions->next.shm.fd < 0;
	supply.n_wanted +=
		versions->current.shm.fd < 0 && versions->spare.shm.fd < 0;
	return supply;
}

int
version_supply_make(struct version_supply *supply,
		    const struct version_maker *maker)
{
	char prefix[FILE_NAME_SIZE];

	name_hidden_prefix(prefix, maker->instance);
	while (supply->n_made < supply->n_wanted) {
		struct version_file *file = &supply->files[supply->n_made];
		char name[FILE_NAME_SIZE];
		int r;

		(void)snprintf(name, sizeof name, "%.200snext-%" PRIu64, prefix,
			       atomic_fetch_add(maker->next_file, 1));
		*file = VERSION_FILE_NONE;
		r = shm_create_placed(&file->shm, name, supply->size,
				      maker->mode, maker->placement);
		if (r < 0)
			return r;
		shm_collapse(&file->shm, maker->huge);
		supply->n_made++;
	}
	return rest_supply_make(&supply->rest, maker->huge, maker->placement);
}

uint64_t
version_supply_missing(const struct version_supply *supply)
{
	uint64_t missing = (supply->n_wanted - supply->n_made) * supply->size;

	if (supply->rest.rest)
		missing += rest_supply_n_missing(&supply->rest) *
			   rest_size(supply->rest.rest);
	return missing;
}

void
version_supply_discard(struct version_supply *supply)
{
	rest_supply_discard(&supply->rest);
	while (supply->n_made > 0)
		discard(&supply->files[--supply->n_made]);
}

void
versions_take(struct versions *versions, struct version_supply *supply)
{
	struct version_file *const places[] = { &versions->next,
						&versions->spare };

	for (size_t i = 0; i < array_size(places); i++)
		if (places[i]->shm.fd < 0 && supply->n_made > 0)
			*places[i] = supply->files[--supply->n_made];
	rest_take(&versions->rest, &supply->rest);
	version_supply_discard(supply);
}

static bool
claim_next(struct versions *versions)
{
	struct version_file *next = &versions->next;
	int r;

	if (next->shm.fd < 0)
		return false;
	if (!shm_is_intact(&next->shm)) {
		discard(next);
		return false;
	}
	if (next->is_leased)
		return true;
	r = shm_lease(&next->shm);
	if (r == 0) {
		next->is_leased = true;
		return true;
	}
	/* Never public, so nobody reads it: no lease is needed. */
	if (!next->has_header && r != -EAGAIN)
		return true;
	discard(next);
	return false;
}

bool
versions_claim(struct versions *versions)
{
	bool has_rest = rest_claim(&versions->rest);

	return claim_next(versions) && has_rest;
}

static void
touch_invalidate(void *arg)
{
	const struct versions *versions = arg;

	version_header_invalidate(versions->next.shm.base);
	rest_touch_begin(&versions->rest);
}

int
versions_begin(struct versions *versions)
{
	return guard_run(touch_invalidate, versions);
}

const char *
versions_current_data(const struct versions *versions)
{
	const char *base = versions->current.shm.base;

	return base ? base + versions->header.size : NULL;
}

char *
versions_next_data(const struct versions *versions)
{
	char *base = versions->next.shm.base;

	return base + versions->header.size;
}

int
versions_check_name(const struct versions *versions)
{
	char path[sizeof SHM_DIRECTORY + FILE_NAME_SIZE];
	struct stat status;

	if (versions->current.shm.fd >= 0 &&
	    shm_is_intact(&versions->current.shm))
		return 0;
	(void)snprintf(path, sizeof path, SHM_DIRECTORY "/%s", versions->file);
	if (lstat(path, &status) < 0)
		return 0;
	/* Ours, but cut short: what that means shows when it is read. */
	return versions->current.shm.fd >= 0 &&
			       status.st_ino == versions->current.shm.inode
		       ? 0
		       : -EEXIST;
}

struct header_writing {
	const struct versions *versions;
	const struct version_state *state;
};

static void
touch_header(void *arg)
{
	const struct header_writing *writing = arg;
	const struct version_file *file = &writing->versions->next;

	/* The rest first: it is good only with a version that follows. */
	rest_touch_header(&writing->versions->rest, writing->state);
	version_header_write(&writing->versions->header, writing->state,
			     !file->has_header, file->shm.base);
}

/* The public name is gone or another file's: use it again if it is free. */
static int
reveal_again(struct versions *versions)
{
	int r = shm_reveal(&versions->next.shm, versions->file);

	if (r < 0)
		return r;
	log_warning("%s: the file had been removed; published it again",
		    versions->file);
	shm_close(&versions->current.shm);
	versions->current = versions->next;
	versions->next = VERSION_FILE_NONE;
	return 0;
}

static int
make_public(struct versions *versions)
{
	struct version_file retired = versions->current;
	int r;

	if (retired.shm.fd < 0) {
		r = shm_reveal(&versions->next.shm, versions->file);
		if (r < 0)
			return r;
		versions->current = versions->next;
		versions->next = versions->spare;
		versions->spare = VERSION_FILE_NONE;
		return 0;
	}
	r = shm_swap(&versions->next.shm, &versions->current.shm);
	if (r == -ESTALE)
		return reveal_again(versions);
	if (r < 0)
		return r;
	retired = versions->current;
	versions->current = versions->next;
	versions->next = retired;
	return 0;
}

int
versions_publish(struct versions *versions, const struct version_state *state)
{
	struct header_writing writing = {
		.versions = versions,
		.state = state,
	};
	int r;

	r = guard_run(touch_header, &writing);
	if (r < 0)
		return r;
	versions->next.has_header = true;
	r = make_public(versions);
	if (r < 0)
		return r;
	unlease(&versions->current);
	rest_advance(&versions->rest);
	versions->state = *state;
	return 0;
}

void
versions_set_drift(struct versions *versions, const struct plan *plan,
		   const struct average_sums *sums)
{
	size_t n = plan->average->n_tensors;
	struct average_sums total = { 0 };

	if (!versions->drift)
		versions->drift = xcalloc(n, sizeof *versions->drift);
	memset(versions->drift, 0, n * sizeof *versions->drift);
	/* In the order of the pieces: the same bits every time. */
	for (size_t i = 0; i < plan->n_pieces; i++) {
		struct average_sums *drift =
			&versions->drift[plan->pieces[i].tensor];

		drift->distance += sums[i].distance;
		drift->norm += sums[i].norm;
		total.distance += sums[i].distance;
		total.norm += sums[i].norm;
	}
	versions->drift_total = total;
}

void
versions_abandon(struct versions *versions)
{
	unlease(&versions->next);
}

uint64_t
versions_memory(const struct versions *versions)
{
	unsigned int n = (versions->current.shm.fd >= 0) +
			 (versions->next.shm.fd >= 0) +
			 (versions->spare.shm.fd >= 0);

	return n * versions->size + rest_memory(&versions->rest);
}
