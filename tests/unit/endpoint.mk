# Unit tests, one line each; unit_tests collects them.

stage_sources = tests/lib/stage.c tests/lib/stage.h

unit_tests += tests/unit/check_endpoint
tests_unit_check_endpoint_SOURCES = tests/unit/check_endpoint.c $(stage_sources)
tests_unit_check_endpoint_CFLAGS = $(unit_cflags)
tests_unit_check_endpoint_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_endpoint_life
tests_unit_check_endpoint_life_SOURCES = tests/unit/check_endpoint_life.c \
	$(stage_sources)
tests_unit_check_endpoint_life_CFLAGS = $(unit_cflags)
tests_unit_check_endpoint_life_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_endpoint_limits
tests_unit_check_endpoint_limits_SOURCES = tests/unit/check_endpoint_limits.c \
	$(stage_sources)
tests_unit_check_endpoint_limits_CFLAGS = $(unit_cflags)
tests_unit_check_endpoint_limits_LDADD = daemon/libio.la $(unit_libs)

unit_tests += tests/unit/check_endpoint_nng
tests_unit_check_endpoint_nng_SOURCES = tests/unit/check_endpoint_nng.c \
	$(stage_sources)
tests_unit_check_endpoint_nng_CFLAGS = $(unit_cflags)
tests_unit_check_endpoint_nng_LDADD = daemon/libio.la $(NNG_LIBS) $(unit_libs)

unit_tests += tests/unit/check_watch
tests_unit_check_watch_SOURCES = tests/unit/check_watch.c $(stage_sources)
tests_unit_check_watch_CFLAGS = $(unit_cflags)
tests_unit_check_watch_LDADD = daemon/libio.la $(unit_libs)
