/*
 * A model whose every element tells its step, so that a torn version shows:
 * in the profile "copy" each element is that of the step in the header, in
 * "slow", a real average, all elements of a tensor are still equal.
 *
 * And versions read as a stranger reads them: open the file, believe nothing.
 */
#ifndef TESTS_LIB_UNIFORM_H
#define TESTS_LIB_UNIFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/emad.h"
#include "proto/safetensors.h"
#include "proto/version.h"

#define UNIFORM_TENSORS 6

struct uniform {
	uint64_t shapes[UNIFORM_TENSORS][2];
	struct emad_tensor tensors[UNIFORM_TENSORS];
	void *values[UNIFORM_TENSORS];
};

/* The widest tensor has @n_elements, the others fewer. */
void uniform_init(struct uniform *ret_uniform, uint64_t n_elements);
void uniform_deinit(struct uniform *uniform);

/* The values of @step, in uniform->tensors[].data. */
void uniform_fill(struct uniform *uniform, int64_t step);

/* With both profiles, and @options' other fields (NULL: defaults). */
int uniform_attach(const struct uniform *uniform,
		   struct emad_publisher **ret_publisher, struct emad *emad,
		   const char *model, const struct emad_options *options);

/* A version's file, mapped. */
struct reading {
	void *file;
	uint64_t size;
	struct safetensors *header;
	struct version_state state;
};

/*
 * False: there is no such file, or its first bytes say that it is being
 * retired.  Gives up if it is anything else but a whole version.
 */
bool reading_open(struct reading *ret_reading, const char *path);
void reading_close(struct reading *reading);

/* The bytes of tensor @name, *ret_size of them; gives up without. */
const void *reading_tensor(const struct reading *reading, const char *name,
			   uint64_t *ret_size);

/* Give up unless the version is one of a uniform model, and whole. */
void uniform_check(const struct reading *reading, bool is_copy);

#endif
