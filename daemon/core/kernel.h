/*
 * The arithmetic of one tile: a run of elements of one type, read once, from
 * which every profile's next version is made.
 *
 * One text (kernel_body.h), several builds, the same bits from each: every
 * fused multiply-add is written as one and none is left to the compiler.
 * Source of the formulas: torch.Tensor.lerp_ on the CPU, see lerp_f32() there;
 * Kahan's summation with Dekker's Fast2Sum, see add_compensated().
 *
 * Pure: memory in, memory out.  Any thread.
 */
#ifndef DAEMON_CORE_KERNEL_H
#define DAEMON_CORE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/accumulator.h"
#include "proto/dtype.h"

#define KERNEL_SNAPSHOTS_MAX 16 /* absorbed in one pass */

enum kernel_operation {
	KERNEL_KEEP, /* next = current */
	KERNEL_COPY, /* next = the last snapshot, converted */
	KERNEL_INIT, /* next = lerp(snapshot, snapshot, weight); one snapshot */
	KERNEL_LERP, /* next = lerp(current, snapshot, weight), once for each
			snapshot, in their order */
};

struct kernel_target {
	enum kernel_operation operation;
	const double *weights; /* 1 - decay, one per snapshot; INIT and LERP */
	const void *current;   /* of dtype_average(); KEEP and LERP */
	void *next;
	/*
	 * Where @accumulator is not FLOAT32 and the average is of floats, what
	 * is kept beside the average: the compensation (16 bits) or the
	 * average itself (F64).  KEEP and LERP read @rest.
	 */
	enum accumulator accumulator;
	const void *rest;
	void *next_rest;
	/*
	 * Sum over the elements of (last snapshot - next)^2, in double; 0 for
	 * KEEP and for types that are not averaged.  NULL: not wanted.
	 */
	double *distance;
};

struct kernel_tile {
	enum dtype dtype; /* of the snapshots */
	size_t n_elements;
	size_t n_snapshots; /* from 1 to KERNEL_SNAPSHOTS_MAX */
	const void *const *snapshots;
	size_t n_targets;
	const struct kernel_target *targets;
	bool check;  /* look for values that are not finite */
	bool stream; /* store past the cache; finish() afterwards */
	/* Sum of the last snapshot's squares, as distance; 0 if all KEEP. */
	double *norm;
};

struct kernel {
	const char *name; /* "avx512", "avx2", "neon", "generic" */
	/* False: @check was asked and a value of a snapshot is not finite. */
	bool (*run)(const struct kernel_tile *tile);
	/* Make what was streamed visible to other threads. */
	void (*finish)(void);
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
