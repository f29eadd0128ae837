# make check: unit tests (Check, TAP), integration stories (sh, TAP), lints.

TEST_EXTENSIONS = .sh .py
LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh
# LOG_DRIVER does not reach .sh tests: without these they pass silently.
SH_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_DRIVER = $(LOG_DRIVER)
PY_LOG_COMPILER = python3
AM_TESTS_ENVIRONMENT = \
	top_srcdir='$(abs_top_srcdir)'; top_builddir='$(abs_top_builddir)'; \
	export top_srcdir top_builddir;

unit_tests =
unit_cppflags = $(AM_CPPFLAGS)
unit_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS) $(UV_CFLAGS) $(PROTOBUF_C_CFLAGS)
unit_libs = $(CHECK_LIBS)
EXTRA_DIST += tests/README.md tests/unit/unit.h

include $(top_srcdir)/tests/unit/proto.mk
include $(top_srcdir)/tests/unit/wire.mk
include $(top_srcdir)/tests/unit/core.mk
include $(top_srcdir)/tests/unit/io.mk
include $(top_srcdir)/tests/unit/endpoint.mk
include $(top_srcdir)/tests/unit/service.mk
include $(top_srcdir)/tests/unit/client.mk
include $(top_srcdir)/tests/integration/local.mk
include $(top_srcdir)/tests/integration/protocol.mk
include $(top_srcdir)/tests/integration/emactl.mk
include $(top_srcdir)/tests/integration/demo.mk
include $(top_srcdir)/tests/bench/local.mk
include $(top_srcdir)/tests/bench/peers/local.mk
include $(top_srcdir)/tests/lint/local.mk

if HAVE_CHECK
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
else
check-local:
	@echo "make check needs the check library: script/bootstrap" >&2; exit 1
endif
