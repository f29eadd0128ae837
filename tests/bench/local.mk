# make bench: programs that measure; never part of make check.

bench_programs = \
	tests/bench/growth \
	tests/bench/kernel \
	tests/bench/many \
	tests/bench/models \
	tests/bench/passes \
	tests/bench/precision \
	tests/bench/pull \
	tests/bench/roundtrip \
	tests/bench/stall \
	tests/bench/update
EXTRA_PROGRAMS = $(bench_programs)
CLEANFILES += $(bench_programs)

EXTRA_LTLIBRARIES = tests/bench/libbench.la
tests_bench_libbench_la_SOURCES = \
	tests/bench/bench.c tests/bench/bench.h \
	tests/bench/engine.c tests/bench/engine.h \
	tests/bench/loops.c tests/bench/loops.h \
	tests/bench/memory.c tests/bench/memory.h \
	tests/bench/quiet.c tests/bench/quiet.h \
	tests/bench/raw_trainer.c tests/bench/raw_trainer.h \
	tests/bench/trainer.c tests/bench/trainer.h \
	tests/bench/usage.c tests/bench/usage.h
tests_bench_libbench_la_CFLAGS = $(AM_CFLAGS) $(JANSSON_CFLAGS) \
	$(PROTOBUF_C_CFLAGS)
tests_bench_libbench_la_LIBADD = tests/libstories.la daemon/libcore.la \
	client/libclient.la $(JANSSON_LIBS) -lm

tests_bench_growth_SOURCES = tests/bench/growth.c
tests_bench_growth_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_growth_LDADD = tests/bench/libbench.la

tests_bench_kernel_SOURCES = tests/bench/kernel.c
tests_bench_kernel_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_kernel_LDADD = tests/bench/libbench.la

tests_bench_many_SOURCES = tests/bench/many.c \
	tests/bench/echo.c tests/bench/echo.h
tests_bench_many_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_many_LDADD = tests/bench/libbench.la $(NNG_LIBS)

tests_bench_models_SOURCES = tests/bench/models.c
tests_bench_models_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_models_LDADD = tests/bench/libbench.la

tests_bench_precision_SOURCES = tests/bench/precision.c
tests_bench_precision_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_precision_LDADD = tests/bench/libbench.la -lm

tests_bench_passes_SOURCES = tests/bench/passes.c
tests_bench_passes_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_passes_LDADD = tests/bench/libbench.la

tests_bench_pull_SOURCES = tests/bench/pull.c
tests_bench_pull_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_pull_LDADD = tests/bench/libbench.la

tests_bench_roundtrip_SOURCES = tests/bench/roundtrip.c \
	tests/bench/echo.c tests/bench/echo.h
tests_bench_roundtrip_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_roundtrip_LDADD = tests/bench/libbench.la $(NNG_LIBS)

tests_bench_stall_SOURCES = tests/bench/stall.c
tests_bench_stall_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_stall_LDADD = tests/bench/libbench.la

tests_bench_update_SOURCES = tests/bench/update.c
tests_bench_update_CFLAGS = $(tests_bench_libbench_la_CFLAGS)
tests_bench_update_LDADD = tests/bench/libbench.la

EXTRA_DIST += script/bench docs/performance.md docs/performance.svg

.PHONY: bench
bench: all
	$(MAKE) $(AM_MAKEFLAGS) $(bench_programs)
