# The part of the Python benchmarks that is in C: make bench builds it.

bench_modules = tests/bench/peers/libshim.la
EXTRA_LTLIBRARIES += $(bench_modules)
CLEANFILES += $(bench_modules)

tests_bench_peers_libshim_la_SOURCES = tests/bench/peers/shim.c \
	tests/bench/loops.c tests/bench/loops.h
tests_bench_peers_libshim_la_CFLAGS = $(AM_CFLAGS)
# A path that it is never installed to: what makes libtool build a module.
tests_bench_peers_libshim_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version \
	-shared -rpath /nowhere
tests_bench_peers_libshim_la_LIBADD = client/libemad.la

EXTRA_DIST += \
	tests/bench/peers/README.md \
	tests/bench/peers/requirements.txt \
	tests/bench/peers/requirements-peers.txt \
	tests/bench/peers/pyproject.toml \
	tests/bench/peers/averagers.py \
	tests/bench/peers/daemon.py \
	tests/bench/peers/harness.py \
	tests/bench/peers/library.py \
	tests/bench/peers/plot.py \
	tests/bench/peers/precision.py \
	tests/bench/peers/pull.py \
	tests/bench/peers/quiet.py \
	tests/bench/peers/shapes.py \
	tests/bench/peers/stall.py \
	tests/bench/peers/training.py \
	script/plot

.PHONY: bench-peers
bench: bench-peers
bench-peers: all
	$(MAKE) $(AM_MAKEFLAGS) $(bench_modules)
