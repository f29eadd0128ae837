/*
 * Waiting in tests of what lives on a loop: turn it until a condition holds,
 * or fail.  Nothing wakes the loop but what is under test.
 */
#ifndef TESTS_LIB_TURN_H
#define TESTS_LIB_TURN_H

#include <check.h>
#include <uv.h>

#define TURN_DEADLINE_NS (UINT64_C(60) * 1000 * 1000 * 1000)

static inline void
turn(uv_loop_t *loop, uint64_t deadline, const char *condition)
{
	if (uv_hrtime() > deadline)
		ck_abort_msg("never came: %s", condition);
	(void)uv_run(loop, UV_RUN_ONCE);
}

#define turn_until(loop, condition)                                            \
	do {                                                                   \
		uint64_t deadline_ = uv_hrtime() + TURN_DEADLINE_NS;           \
                                                                               \
		while (!(condition))                                           \
			turn((loop), deadline_, #condition);                   \
	} while (0)

#endif
