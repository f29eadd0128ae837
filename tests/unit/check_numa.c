/*
 * Nodes: read from a tree that is made up, and memory put on a real one.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "daemon/io/huge.h"
#include "daemon/io/numa.h"
#include "daemon/io/pool.h"
#include "daemon/io/shm.h"
#include "tests/lib/turn.h"
#include "tests/unit/unit.h"

static char root[64];

static void
make_folder(const char *path)
{
	char whole[256];

	(void)snprintf(whole, sizeof whole, "%s%s", root, path);
	for (char *slash = whole + strlen(root) + 1;
	     (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(whole, 0700);
		*slash = '/';
	}
	ck_assert(mkdir(whole, 0700) == 0 || errno == EEXIST);
}

static void
make_file(const char *path, const char *text)
{
	char whole[256];
	FILE *file;

	(void)snprintf(whole, sizeof whole, "%s%s", root, path);
	file = fopen(whole, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

/* Two nodes; CPUs 0 and 2 belong to node 0, CPU 11 to node 1. */
static void
setup(void)
{
	(void)snprintf(root, sizeof root, "/tmp/check-numa-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	make_folder("/sys/devices/system/node/node0");
	make_folder("/sys/devices/system/node/node1");
	make_folder("/sys/devices/system/node/power");
	make_file("/sys/devices/system/node/possible", "0-1\n");
	make_folder("/sys/devices/system/cpu/cpu0/node0");
	make_folder("/sys/devices/system/cpu/cpu0/topology");
	make_folder("/sys/devices/system/cpu/cpu2/node0");
	make_folder("/sys/devices/system/cpu/cpu11/node1");
	make_folder("/sys/devices/system/cpu/cpu12/nodes7");
	make_folder("/proc/70");
	make_folder("/proc/71");
	make_folder("/proc/72");
}

static int
remove_one(const char *path, const struct stat *status, int type,
	   struct FTW *where)
{
	(void)status;
	(void)type;
	(void)where;
	return remove(path);
}

static void
teardown(void)
{
	ck_assert_int_eq(nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
}

START_TEST(nodes_are_counted)
{
	ck_assert_uint_eq(numa_n_nodes(root), 2);
	ck_assert_uint_eq(numa_n_nodes("/nowhere"), 0);
}
END_TEST

START_TEST(cpu_has_a_node)
{
	ck_assert_int_eq(numa_node_of_cpu(root, 0), 0);
	ck_assert_int_eq(numa_node_of_cpu(root, 2), 0);
	ck_assert_int_eq(numa_node_of_cpu(root, 11), 1);
	ck_assert_int_eq(numa_node_of_cpu(root, 12), NUMA_NONE);
	ck_assert_int_eq(numa_node_of_cpu(root, 1), NUMA_NONE);
}
END_TEST

#define FIELDS_3_TO_38                                                         \
	"S 1 70 70 0 -1 4194560 9 0 0 0 1 2 3 4 20 0 1 0 77 8888 99 "          \
	"18446744073709551615 1 1 0 0 0 0 0 4096 0 0 0 0 17 "

START_TEST(process_is_on_the_node_of_its_cpu)
{
	make_file("/proc/70/stat",
		  "70 (train) " FIELDS_3_TO_38 "11 0 0 0 0 0\n");
	make_file("/proc/71/stat",
		  "71 (a) b) (c 1 2) " FIELDS_3_TO_38 "2 0 0 0 0 0\n");
	make_file("/proc/72/stat", "72 (cut) S 1 2 3");
	ck_assert_int_eq(numa_node_of_process(root, 70), 1);
	ck_assert_int_eq(numa_node_of_process(root, 71), 0);
	ck_assert_int_eq(numa_node_of_process(root, 72), NUMA_NONE);
	ck_assert_int_eq(numa_node_of_process(root, 73), NUMA_NONE);
}
END_TEST

START_TEST(machine_with_one_node_has_no_node_to_prefer)
{
	char path[128];

	make_file("/proc/70/stat",
		  "70 (train) " FIELDS_3_TO_38 "11 0 0 0 0 0\n");
	(void)snprintf(path, sizeof path, "%s/sys/devices/system/node/node0",
		       root);
	ck_assert_int_eq(rmdir(path), 0);
	ck_assert_int_eq(numa_node_of_process(root, 70), NUMA_NONE);
}
END_TEST

/* Stay on the first CPU that we may use. */
static unsigned int
settle_on_a_cpu(void)
{
	unsigned int cpu = 0;
	cpu_set_t cpus;

	ck_assert_int_eq(sched_getaffinity(0, sizeof cpus, &cpus), 0);
	while (!CPU_ISSET(cpu, &cpus))
		cpu++;
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ck_assert_int_eq(sched_setaffinity(0, sizeof cpus, &cpus), 0);
	return cpu;
}

/* By the real /proc, in a tree where just our CPU belongs to node 1. */
START_TEST(our_own_cpu_is_found)
{
	unsigned int cpu = settle_on_a_cpu();
	char path[256];

	(void)snprintf(path, sizeof path, "%s/proc", root);
	ck_assert_int_eq(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	ck_assert_int_eq(symlink("/proc", path), 0);
	(void)snprintf(path, sizeof path, "%s/sys/devices/system/cpu", root);
	ck_assert_int_eq(nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	(void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/node1",
		       cpu);
	make_folder(path);
	ck_assert_int_eq(numa_node_of_process(root, getpid()), 1);
}
END_TEST

static void
on_closed(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(bound_workers_have_their_parts_near)
{
	struct pool_options options = { .n_workers = 3, .pinned = _i == 1 };
	struct numa_placement placement;
	bool is_closed = false;
	struct pool *pool;
	uv_loop_t loop;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(pool_new(&pool, &loop, &options), 0);
	numa_placement_init(&placement, root, pool);
	ck_assert_uint_eq(placement.n_parts, options.pinned ? 3 : 0);
	for (unsigned int i = 0; i < placement.n_parts; i++) {
		int cpu = pool_worker_cpu(pool, i);

		ck_assert_int_eq(placement.nodes[i],
				 numa_node_of_cpu(root, (unsigned int)cpu));
	}
	numa_placement_deinit(&placement);
	numa_placement_init(&placement, "/nowhere", pool);
	ck_assert_uint_eq(placement.n_parts, 0);
	numa_placement_deinit(&placement);
	pool_close(pool, on_closed, &is_closed);
	turn_until(&loop, is_closed);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

/* The policy of the page at @address, -1 without one; its nodes. */
static int
policy_at(void *address, unsigned long *ret_nodes)
{
	unsigned long nodes[16] = { 0 };
	int policy = -1;

	if (syscall(SYS_get_mempolicy, &policy, nodes, 1024UL, address,
		    (unsigned long)MPOL_F_ADDR) < 0)
		return -1;
	*ret_nodes = nodes[0];
	return policy;
}

/* A kernel without nodes, or a sandbox, refuses; that is to do no harm. */
static bool
kernel_places(void *base)
{
	int node = 0;
	const struct numa_placement one = { .n_parts = 1, .nodes = &node };

	return numa_place(base, 4096, &one) == 0;
}

static void
check_policies(char *base, uint64_t size)
{
	const uint64_t quarter = 2 * HUGE_PAGE_SIZE;
	unsigned long nodes = 0;

	ck_assert_int_eq(policy_at(base + 4096, &nodes), MPOL_DEFAULT);
	ck_assert_int_eq(policy_at(base + quarter - 1, &nodes), MPOL_DEFAULT);
	for (uint64_t at = quarter; at < 3 * quarter; at += 4096) {
		ck_assert_int_eq(policy_at(base + at, &nodes), MPOL_PREFERRED);
		ck_assert_uint_eq(nodes, 1);
	}
	ck_assert_int_eq(policy_at(base + 3 * quarter, &nodes), MPOL_DEFAULT);
	ck_assert_int_eq(policy_at(base + size - 1, &nodes), MPOL_DEFAULT);
}

START_TEST(parts_prefer_their_nodes)
{
	int nodes[] = { NUMA_NONE, 0, 0, NUMA_NONE };
	const struct numa_placement placement = { .n_parts = 4,
						  .nodes = nodes };
	const uint64_t size = 8 * HUGE_PAGE_SIZE + 4096;
	char file[FILE_NAME_SIZE];
	struct shm shm;

	(void)snprintf(file, sizeof file, "check-numa-%d", (int)getpid());
	ck_assert_int_eq(shm_create_placed(&shm, file, size, 0600, &placement),
			 0);
	ck_assert_int_eq(shm_unlink_name(&shm), 0);
	memset(shm.base, 1, size);
	if (kernel_places(shm.base))
		check_policies(shm.base, size);
	shm_close(&shm);
}
END_TEST

START_TEST(node_that_is_not_there_does_no_harm)
{
	int node = 1000;
	const struct numa_placement nowhere = { .n_parts = 1, .nodes = &node };
	char file[FILE_NAME_SIZE];
	struct shm shm;

	(void)snprintf(file, sizeof file, "check-numa-%d", (int)getpid());
	ck_assert_int_eq(shm_create_placed(&shm, file, 5000, 0600, &nowhere),
			 0);
	ck_assert_int_lt(numa_place(shm.base, shm.size, &nowhere), 0);
	ck_assert_int_eq(shm_unlink_name(&shm), 0);
	shm_close(&shm);
}
END_TEST

static Suite *
numa_suite(void)
{
	Suite *suite = suite_create("numa");
	TCase *nodes = tcase_create("nodes");
	TCase *memory = tcase_create("memory");

	tcase_add_checked_fixture(nodes, setup, teardown);
	tcase_add_test(nodes, nodes_are_counted);
	tcase_add_test(nodes, cpu_has_a_node);
	tcase_add_test(nodes, process_is_on_the_node_of_its_cpu);
	tcase_add_test(nodes, machine_with_one_node_has_no_node_to_prefer);
	tcase_add_test(nodes, our_own_cpu_is_found);
	tcase_add_loop_test(nodes, bound_workers_have_their_parts_near, 0, 2);
	suite_add_tcase(suite, nodes);
	tcase_add_test(memory, parts_prefer_their_nodes);
	tcase_add_test(memory, node_that_is_not_there_does_no_harm);
	suite_add_tcase(suite, memory);
	return suite;
}

UNIT_MAIN(numa_suite)
