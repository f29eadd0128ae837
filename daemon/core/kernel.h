/*
 * The arithmetic of one tile: a run of elements of one type, read once, from
 * which every profile's next version is made.
 *
 * One text (kernel_body.h), four builds, the same bits from each: every fused
 * multiply-add is written as one and none is left to the compiler.  Source of
 * the formulas: torch.Tensor.lerp_ on the CPU; see lerp_f32() there.
 *
 * Pure: memory in, memory out.  Any thread.
 */
#ifndef DAEMON_CORE_KERNEL_H
#define DAEMON_CORE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/dtype.h"

enum kernel_operation {
	KERNEL_KEEP, /* next = current */
	KERNEL_COPY, /* next = snapshot, converted */
	KERNEL_INIT, /* next = lerp(snapshot, snapshot, weight) */
	KERNEL_LERP, /* next = lerp(current, snapshot, weight) */
};

struct kernel_target {
	enum kernel_operation operation;
	double weight;       /* 1 - decay; for INIT and LERP */
	const void *current; /* of dtype_average(); may be NULL but for KEEP,
				LERP */
	void *next;
};

struct kernel_tile {
	enum dtype dtype; /* of the snapshot */
	size_t n_elements;
	const void *snapshot;
	size_t n_targets;
	const struct kernel_target *targets;
	bool check;  /* look for values that are not finite */
	bool stream; /* store past the cache: the model is larger than it */
};

struct kernel {
	const char *name; /* "avx512", "avx2", "neon", "generic" */
	/* False: @check was asked and a value of the snapshot is not finite. */
	bool (*run)(const struct kernel_tile *tile);
};

/*
 * The best kernel that this machine can run.  The environment's EMAD_ISA, one
 * of the names, asks for that one; NULL if the machine cannot run it or there
 * is no such kernel.
 */
const struct kernel *kernel_choose(void);

/* Every kernel that this machine can run, best first; NULL ends the list. */
const struct kernel *const *kernel_all(void);

/* The builds: kernel_all() says which of them can be run. */
extern const struct kernel kernel_avx512, kernel_avx2, kernel_neon;
extern const struct kernel kernel_generic;

/*
 * Index of the first element that is not finite, or @n_elements.  Slow and
 * simple: to name the tensor once the fast check has failed.
 */
size_t kernel_find_not_finite(enum dtype dtype, const void *snapshot,
			      size_t n_elements);

#endif
