# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_average
tests_unit_check_average_SOURCES = tests/unit/check_average.c
tests_unit_check_average_CFLAGS = $(unit_cflags)
tests_unit_check_average_LDADD = daemon/libcore.la $(unit_libs)

unit_tests += tests/unit/check_average_pass
tests_unit_check_average_pass_SOURCES = tests/unit/check_average_pass.c \
	tests/lib/numbers.c tests/lib/numbers.h
tests_unit_check_average_pass_CFLAGS = $(unit_cflags)
tests_unit_check_average_pass_LDADD = daemon/libcore.la $(unit_libs) -lm

unit_tests += tests/unit/check_golden
tests_unit_check_golden_SOURCES = tests/unit/check_golden.c \
	tests/lib/golden.c tests/lib/golden.h
tests_unit_check_golden_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_golden_LDADD = daemon/libcore.la $(unit_libs) $(JANSSON_LIBS)

unit_tests += tests/unit/check_kernel
tests_unit_check_kernel_SOURCES = tests/unit/check_kernel.c \
	tests/lib/numbers.c tests/lib/numbers.h
tests_unit_check_kernel_CFLAGS = $(unit_cflags)
tests_unit_check_kernel_LDADD = daemon/libcore.la $(unit_libs) -lm

unit_tests += tests/unit/check_kernel_chain
tests_unit_check_kernel_chain_SOURCES = tests/unit/check_kernel_chain.c \
	tests/lib/numbers.c tests/lib/numbers.h
tests_unit_check_kernel_chain_CFLAGS = $(unit_cflags)
tests_unit_check_kernel_chain_LDADD = daemon/libcore.la $(unit_libs) -lm

unit_tests += tests/unit/check_kernel_sums
tests_unit_check_kernel_sums_SOURCES = tests/unit/check_kernel_sums.c \
	tests/lib/numbers.c tests/lib/numbers.h
tests_unit_check_kernel_sums_CFLAGS = $(unit_cflags)
tests_unit_check_kernel_sums_LDADD = daemon/libcore.la $(unit_libs) -lm

unit_tests += tests/unit/check_plan
tests_unit_check_plan_SOURCES = tests/unit/check_plan.c
tests_unit_check_plan_CFLAGS = $(unit_cflags)
tests_unit_check_plan_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=xcalloc,--wrap=xrealloc
tests_unit_check_plan_LDADD = daemon/libcore.la $(unit_libs)

# Needs no Check, so that it can be built for machines that lack it.
check_PROGRAMS += tests/unit/kernel_digest
TESTS += tests/unit/kernel_digest
tests_unit_kernel_digest_SOURCES = tests/unit/kernel_digest.c
tests_unit_kernel_digest_LDADD = daemon/libcore.la
EXTRA_DIST += script/aarch64

EXTRA_DIST += tests/golden/README.md tests/golden/schedules.json \
	tests/golden/trajectories.json
