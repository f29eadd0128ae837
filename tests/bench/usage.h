/*
 * What memory a daemon takes.
 *
 * Pages of shared memory that no other process has mapped count as private in
 * /proc/PID/smaps_rollup, so that they would be counted twice beside the
 * files: what a daemon has of its own is read from /proc/PID/status, by kind.
 */
#ifndef TESTS_BENCH_USAGE_H
#define TESTS_BENCH_USAGE_H

#include "tests/lib/daemon.h"

/* Bytes in /dev/shm: the blocks of all files of its instance. */
double usage_shm(const struct daemon *daemon);

/* Bytes in memory that are not shared memory. */
double usage_own(const struct daemon *daemon);

/* Bytes of its page tables, which belong to neither. */
double usage_page_tables(const struct daemon *daemon);

#endif
