/*
 * On which node of a machine memory is, where there are several.
 *
 * All of it is advice: where the kernel cannot say or will not do, memory is
 * where it happens to be.  Any thread.
 */
#ifndef DAEMON_IO_NUMA_H
#define DAEMON_IO_NUMA_H

#include <sys/types.h>

#include "proto/util.h"

#define NUMA_NONE (-1)
#define NUMA_ROOT "" /* what /sys and /proc are looked for under */

struct pool;

/* Memory in equal parts, the i-th rather on node nodes[i] (or NUMA_NONE). */
struct numa_placement {
	unsigned int n_parts; /* 0: anywhere */
	int *nodes;
};

unsigned int numa_n_nodes(const char *root);

/* NUMA_NONE: not known. */
int numa_node_of_cpu(const char *root, unsigned int cpu);

/* The node that @pid runs on now; NUMA_NONE also if there is one only. */
int numa_node_of_process(const char *root, pid_t pid);

/*
 * Part i where worker i runs, which begins with that part of every average.
 * Without parts if workers are not bound to a CPU, or there is one node only.
 */
void numa_placement_init(struct numa_placement *ret_placement, const char *root,
			 const struct pool *pool);
void numa_placement_deinit(struct numa_placement *placement);

/*
 * Say where pages of the shared mapping at @base shall be that are not there
 * yet; at a border of two parts whole huge pages count.  Failure, a negative
 * errno, may be ignored; it is logged for debugging.
 */
int
numa_place(void *base, uint64_t size, const struct numa_placement *placement);

#endif
