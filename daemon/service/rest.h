/*
 * What is kept beside an average that is not kept in float32: compensations,
 * or the average in float64.
 *
 * Two hidden files, of which one belongs to the current version and the next
 * version's is written into the other.  Both carry a version's state in their
 * header, so that after a crash at any moment the one that belongs to the
 * public version is known: the other one was never touched.  Nobody else reads
 * them.  They outlive the daemon as versions do.
 *
 * Loop thread, except rest_supply_make().
 */
#ifndef DAEMON_SERVICE_REST_H
#define DAEMON_SERVICE_REST_H

#include "daemon/io/shm.h"
#include "proto/version.h"

struct rest_file {
	struct shm shm;
	bool has_header; /* all of it; the changing part may be stale */
};

struct rest {
	enum accumulator accumulator; /* FLOAT32: none of what follows */
	char name[FILE_NAME_SIZE];    /* of both files, but for the number */
	struct version_header header;
	uint64_t data_size;
	struct rest_file files[2];
	unsigned int current; /* the public version's, if there is one */
};

/* Makes no file yet; @average_size: bytes of the average's data. */
void rest_init(struct rest *ret_rest, enum accumulator accumulator,
	       const char *instance, const char *model, const char *profile,
	       uint64_t average_size);

/* Close; @remove: the files go as well, else only the one not in use. */
void rest_deinit(struct rest *rest, bool remove);

/* Bytes of one file; 0: no files. */
uint64_t rest_size(const struct rest *rest);

/* Bytes of shared memory held, and of them those in huge pages. */
uint64_t rest_memory(const struct rest *rest);
uint64_t rest_huge_size(const struct rest *rest);

/*
 * Take up what an earlier daemon left for a version in @state.  False: that is
 * not there, or damaged; what the average rounded away is lost.
 */
bool rest_adopt(struct rest *rest, const struct version_state *state);

/* Files that are missing: wanted on the loop, made off it, taken on it. */
struct rest_supply {
	const struct rest *rest;
	const char *average; /* to start from; NULL: nothing yet */
	uint64_t average_size;
	bool is_wanted[2];
	struct rest_file files[2];
};

struct rest_supply
rest_want(const struct rest *rest, const char *average, uint64_t average_size);

/* Any thread.  -ENOSPC, -EFAULT, ...; what was made stays in @supply. */
int rest_supply_make(struct rest_supply *supply, struct huge *huge,
		     const struct numa_placement *placement);
void rest_supply_discard(struct rest_supply *supply);
unsigned int rest_supply_n_missing(const struct rest_supply *supply);
void rest_take(struct rest *rest, struct rest_supply *supply);

/* Whether @name is that of one of its files. */
bool rest_has_file(const struct rest *rest, const char *name);

/* Whether both files are there; those that were truncated are let go. */
bool rest_claim(struct rest *rest);

/* Under a guard: make the next file invalid; write its header. */
void rest_touch_begin(const struct rest *rest);
void
rest_touch_header(const struct rest *rest, const struct version_state *state);

/* The version whose header was written is public now. */
void rest_advance(struct rest *rest);

/* Data of the two files; NULL: none. */
const char *rest_current_data(const struct rest *rest);
char *rest_next_data(const struct rest *rest);

#endif
