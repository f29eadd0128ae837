/*
 * What every unit test ends with: run its suite, speak TAP.
 *
 * A test's name is a sentence.  Check runs each in a process of its own.
 */
#ifndef TESTS_UNIT_UNIT_H
#define TESTS_UNIT_UNIT_H

#include <check.h>

/* The exit code is 0 even if a test failed: TAP says which one. */
#define UNIT_MAIN(make_suite)                                                  \
	int main(void)                                                         \
	{                                                                      \
		SRunner *runner = srunner_create(make_suite());                \
                                                                               \
		srunner_set_tap(runner, "-");                                  \
		srunner_run_all(runner, CK_SILENT);                            \
		srunner_free(runner);                                          \
		return 0;                                                      \
	}

#endif
