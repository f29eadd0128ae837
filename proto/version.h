/*
 * Headers of the files that emad keeps in shared memory: versions (one
 * average at one step) and slots (room for one snapshot).
 *
 * Both are safetensors files.  What changes from version to version (step,
 * updates, decay, the last sequence of each publisher) lies in one region of
 * fixed size right at the start of the JSON, so that a new version costs the
 * rewriting of VERSION_DYNAMIC_SIZE bytes, however many tensors there are.
 *
 * __metadata__ of a version, every value a string:
 *   emad.step        last absorbed step, decimal
 *   emad.updates     how many snapshots were absorbed
 *   emad.decay       decay of the last update, C99 hex float
 *   emad.publishers  JSON: {"<publisher, 16 hex digits>": last sequence, ...}
 *   emad.format      "1"
 *   emad.model       emad.profile (JSON, see profile.h)
 *   emad.owner       decimal user id of who may publish and drop the model
 *   emad.dtypes      JSON: {tensor: dtype it is published in}, where it differs
 *                    from the average's
 */
#ifndef PROTO_VERSION_H
#define PROTO_VERSION_H

#include <sys/types.h>

#include "proto/profile.h"
#include "proto/safetensors.h"

#define VERSION_FORMAT       1
#define VERSION_PUBLISHERS   16 /* the newest are remembered */
#define VERSION_DYNAMIC_SIZE 1024

struct version_publisher {
	uint64_t id;
	uint64_t sequence; /* of its last publish that was absorbed */
};

struct version_state {
	int64_t step;     /* last absorbed, STEP_NONE: no version yet */
	uint64_t updates; /* snapshots absorbed */
	double decay;     /* of the last update; 0 after a copy */
	size_t n_publishers;
	struct version_publisher publishers[VERSION_PUBLISHERS]; /* new first */
};

#define VERSION_STATE_NONE ((struct version_state) { .step = STEP_NONE })

/* 0: that publisher has nothing in this version. */
uint64_t
version_sequence(const struct version_state *state, uint64_t publisher);
void version_set_sequence(struct version_state *state, uint64_t publisher,
			  uint64_t sequence);

/*
 * The spec of a model: its tensors as published, arranged as a slot holds
 * them.  Made from any safetensors header (the order and offsets of that one
 * do not matter).  n_tensors may be 0.
 */
enum status
version_slot_layout(struct safetensors **ret_layout,
		    const struct safetensors *spec, struct why *why);

/*
 * The tensors of the average of such a model: types by dtype_average(),
 * arranged by rank of that type, then rank of the published type, then name.
 */
enum status
version_average_layout(struct safetensors **ret_layout,
		       const struct safetensors *spec, struct why *why);

/*
 * The first bytes of a file, size field included, up to the data; a multiple
 * of SAFETENSORS_ALIGNMENT.  @bytes is malloc'ed.
 */
struct version_header {
	char *bytes;
	size_t size;
};

void version_header_deinit(struct version_header *header);

/* Whether @file begins with what version_header_write() gives for @state. */
bool version_header_is(const struct version_header *header,
		       const struct version_state *state, const void *file);

/* Whose average a version is. */
struct version_model {
	const char *name;
	uid_t owner;
};

/* TOO_LARGE: above SAFETENSORS_HEADER_MAX. */
enum status
version_header_init(struct version_header *ret_header,
		    const struct version_model *model,
		    const struct profile *profile,
		    const struct safetensors *spec,
		    const struct safetensors *average, struct why *why);
enum status
version_header_init_slot(struct version_header *ret_header, const char *model,
			 const struct safetensors *slot, struct why *why);

/*
 * Of a file beside an average of @average_size bytes: one flat tensor,
 * "compensation" (I16) or "average" (F64), an element for each float there.
 * Its state is that of the version it belongs to.
 */
void
version_header_init_rest(struct version_header *ret_header, const char *model,
			 const char *profile, enum accumulator accumulator,
			 uint64_t average_size);

/*
 * Write into @file, which holds @header's bytes or none, the header for
 * @state.  @whole: all of it, else only the part that changes.  The size field
 * is written last, so that a file whose first 8 bytes are zero is never valid;
 * until then they are zero.  @file is aligned to 8 bytes.
 */
void
version_header_write(const struct version_header *header,
		     const struct version_state *state, bool whole, void *file);

/* Make @file invalid: zero its size field. */
void version_header_invalidate(void *file);

/* What a version's file says about itself. */
struct version {
	char *model;
	uid_t owner;
	struct profile profile;
	struct version_state state;
	struct safetensors *average; /* tensors as averaged, in file order */
	struct safetensors *spec;    /* the slot layout they came from */
};

/*
 * Read the header of a whole file of @size bytes.  Everything is checked; a
 * file that passes is one that a daemon may go on from.  BAD_SPEC: not ours.
 */
enum status version_read(struct version **ret_version, const void *file,
			 uint64_t size, struct why *why);
void version_free(struct version *version);

/* Only the state: cheap, for readers that know the layout already. */
enum status
version_read_state(struct version_state *ret_state, const void *file,
		   uint64_t size, struct why *why);

#endif
