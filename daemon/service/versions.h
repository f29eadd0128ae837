/*
 * The versions of one average: the public file, and the hidden one that the
 * next version is made in.
 *
 * The retired file is written again only under a write lease, which is held
 * until the swap is done: the kernel refuses it while anybody has the file
 * open or mapped, and lets whoever opens it meanwhile wait until the file is
 * complete.  Its size field is zero in between, so that a crash leaves no
 * file that looks whole and is not.
 *
 * Loop thread, except version_supply_make().
 */
#ifndef DAEMON_SERVICE_VERSIONS_H
#define DAEMON_SERVICE_VERSIONS_H

#include "daemon/core/average.h"
#include "daemon/io/shm.h"
#include "daemon/service/rest.h"
#include "proto/version.h"

struct version_file {
	struct shm shm;
	bool has_header; /* all of it; the changing part may be stale */
	bool is_leased;
};

#define VERSION_FILE_NONE ((struct version_file) { .shm = SHM_NONE })

/* The rounding watch, since the daemon's start. */
struct watch_counts {
	uint64_t n_sampled; /* elements */
	uint64_t n_stalled; /* of them, whose update rounded to nothing */
};

struct versions {
	struct profile profile;
	struct version_state state;
	struct version_header header;
	char file[FILE_NAME_SIZE]; /* the public name */
	uint64_t size;             /* bytes of a file */
	struct version_file current;
	struct version_file next;
	struct version_file spare; /* becomes next after the first version */
	struct rest rest;
	/* Of the last update, per tensor of the average; NULL: none yet. */
	struct average_sums *drift;
	struct average_sums drift_total;
	struct watch_counts watch;
};

/* Where and how hidden files are made. */
struct version_maker {
	const char *instance;
	mode_t mode;
	_Atomic uint64_t *next_file;
	struct huge *huge;                      /* NULL: ordinary pages only */
	const struct numa_placement *placement; /* NULL: anywhere */
};

/* Which file is whose. */
struct version_name {
	const char *instance;
	const char *model;
	const char *file; /* the public name */
};

/* Takes @profile and @header; makes no file yet. */
void versions_init(struct versions *ret_versions, struct profile *profile,
		   struct version_header *header,
		   const struct version_name *name, uint64_t data_size);

/* Close all; hidden files go, the public one too if @remove_public. */
void versions_deinit(struct versions *versions, bool remove_public);

/*
 * Files that are missing are made off the loop, for memory is touched: the
 * loop says what is wanted, another thread makes it, the loop takes it.
 */
struct version_supply {
	uint64_t size;
	unsigned int n_wanted;
	unsigned int n_made;
	struct version_file files[2];
	struct rest_supply rest;
};

struct version_supply versions_want(const struct versions *versions);

/* Any thread.  -ENOSPC, ...; what was made before stays in @supply. */
int version_supply_make(struct version_supply *supply,
			const struct version_maker *maker);
/* Bytes that are still to be made. */
uint64_t version_supply_missing(const struct version_supply *supply);
void version_supply_discard(struct version_supply *supply);

/* Takes the files of @supply. */
void versions_take(struct versions *versions, struct version_supply *supply);

/*
 * Make the next file ours alone.  False: it has readers and was left to them,
 * or there is none: supply one, then again.
 */
bool versions_claim(struct versions *versions);

/* Make the claimed file invalid, until versions_publish().  -EFAULT. */
int versions_begin(struct versions *versions);

/* Data of the current version (NULL: none) and of the next one. */
const char *versions_current_data(const struct versions *versions);
char *versions_next_data(const struct versions *versions);

/*
 * Whether the next file could become public: -EEXIST if somebody else's file
 * has the public name.
 */
int versions_check_name(const struct versions *versions);

/*
 * The next file holds the data of @state: write its header and make it the
 * public one.  -EEXIST: somebody else's file has the public name; -EFAULT: a
 * file was truncated; other negative errno.  On failure nothing has changed.
 */
int
versions_publish(struct versions *versions, const struct version_state *state);

/*
 * What the update that became public says of the average: sums of each piece
 * of @plan.
 */
void versions_set_drift(struct versions *versions, const struct plan *plan,
			const struct average_sums *sums);

/* Give the claimed file back unused. */
void versions_abandon(struct versions *versions);

/* Bytes of shared memory held. */
uint64_t versions_memory(const struct versions *versions);

#endif
