/*
 * Fault injection: let the n-th of the system's calls fail.
 *
 * A test program that lists fault_ldflags (tests/unit/io.mk) has the calls of
 * its own code (not those of the C library) counted here.  Not for programs
 * whose calls come from several threads at a time.
 */
#ifndef TESTS_LIB_FAULT_H
#define TESTS_LIB_FAULT_H

#include <stdbool.h>

/* The @n-th call from now, counted from 0, fails with @error, once. */
void fault_arm(int n, int error);

/* No call fails any more.  Whether one did. */
bool fault_disarm(void);

/* How many descriptors this process has. */
int fault_count_fds(void);

#endif
