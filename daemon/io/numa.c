#include "daemon/io/numa.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "daemon/io/huge.h"
#include "daemon/io/pool.h"
#include "daemon/log.h"

#define NODES_MAX     1024
#define BITS_PER_WORD (8 * sizeof(unsigned long))
#define PATH_SIZE     256
#define STAT_CPU      39 /* the field of /proc/PID/stat, counted from 1 */

/* "node7" is 7; NUMA_NONE: something else. */
static int
node_of_name(const char *name)
{
	char *end;
	long node;

	if (strncmp(name, "node", 4) != 0 || name[4] < '0' || name[4] > '9')
		return NUMA_NONE;
	node = strtol(name + 4, &end, 10);
	return *end == '\0' && node < NODES_MAX ? (int)node : NUMA_NONE;
}

/* How many nodes the folder @path names, and the last of them. */
static unsigned int
read_nodes(const char *path, int *ret_node)
{
	DIR *directory = opendir(path);
	const struct dirent *entry;
	unsigned int n = 0;

	if (!directory)
		return 0;
	while ((entry = readdir(directory)) != NULL) {
		int node = node_of_name(entry->d_name);

		if (node == NUMA_NONE)
			continue;
		*ret_node = node;
		n++;
	}
	(void)closedir(directory);
	return n;
}

unsigned int
numa_n_nodes(const char *root)
{
	char path[PATH_SIZE];
	int node;

	(void)snprintf(path, sizeof path, "%s/sys/devices/system/node", root);
	return read_nodes(path, &node);
}

int
numa_node_of_cpu(const char *root, unsigned int cpu)
{
	char path[PATH_SIZE];
	int node = NUMA_NONE;

	(void)snprintf(path, sizeof path, "%s/sys/devices/system/cpu/cpu%u",
		       root, cpu);
	(void)read_nodes(path, &node);
	return node;
}

/* The CPU that @pid runs on, or did last; -1: not known. */
static int
cpu_of_process(const char *root, pid_t pid)
{
	char path[PATH_SIZE];
	char text[2048];
	const char *at;
	owned_fd fd = -1;
	ssize_t size;

	(void)snprintf(path, sizeof path, "%s/proc/%d/stat", root, (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size = read(fd, text, sizeof text - 1);
	if (size <= 0)
		return -1;
	text[size] = '\0';
	/* The second field is a name in parentheses, and may hold anything. */
	at = strrchr(text, ')');
	for (int field = 2; at && field < STAT_CPU; field++)
		at = strchr(at + 1, ' ');
	return at ? (int)strtol(at, NULL, 10) : -1;
}

int
numa_node_of_process(const char *root, pid_t pid)
{
	int cpu;

	if (numa_n_nodes(root) < 2)
		return NUMA_NONE;
	cpu = cpu_of_process(root, pid);
	return cpu < 0 ? NUMA_NONE : numa_node_of_cpu(root, (unsigned int)cpu);
}

void
numa_placement_init(struct numa_placement *ret_placement, const char *root,
		    const struct pool *pool)
{
	unsigned int n = pool_n_workers(pool);

	*ret_placement = (struct numa_placement) { 0 };
	if (numa_n_nodes(root) < 2 || pool_worker_cpu(pool, 0) < 0)
		return;
	ret_placement->n_parts = n;
	ret_placement->nodes = xcalloc(n, sizeof *ret_placement->nodes);
	for (unsigned int i = 0; i < n; i++)
		ret_placement->nodes[i] = numa_node_of_cpu(
			root, (unsigned int)pool_worker_cpu(pool, i));
}

void
numa_placement_deinit(struct numa_placement *placement)
{
	free(placement->nodes);
	*placement = (struct numa_placement) { 0 };
}

static int
prefer(char *base, uint64_t size, int node)
{
	unsigned long mask[NODES_MAX / BITS_PER_WORD] = { 0 };
	int error;

	if (node < 0 || node >= NODES_MAX || size == 0)
		return 0;
	mask[(size_t)node / BITS_PER_WORD] |= 1UL
					      << ((size_t)node % BITS_PER_WORD);
	/* The kernel reads one bit less than it is told. */
	if (syscall(SYS_mbind, base, size, MPOL_PREFERRED, mask,
		    (unsigned long)node + 2, 0UL) == 0)
		return 0;
	error = errno;
	log_debug("cannot place memory on node %d: %s", node, strerror(error));
	return -error;
}

int
numa_place(void *base, uint64_t size, const struct numa_placement *placement)
{
	unsigned int n = placement->n_parts;
	uint64_t n_pages = size / HUGE_PAGE_SIZE;
	uint64_t first = 0;

	for (unsigned int i = 0; i < n; i++) {
		uint64_t after = n_pages * (i + 1) / n * HUGE_PAGE_SIZE;
		int r;

		if (i + 1 == n)
			after = size;
		else if (placement->nodes[i] == placement->nodes[i + 1])
			continue;
		r = prefer((char *)base + first, after - first,
			   placement->nodes[i]);
		if (r < 0)
			return r;
		first = after;
	}
	return 0;
}
