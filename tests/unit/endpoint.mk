# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_endpoint_nng
tests_unit_check_endpoint_nng_SOURCES = tests/unit/check_endpoint_nng.c \
	tests/lib/stage.c tests/lib/stage.h
tests_unit_check_endpoint_nng_CFLAGS = $(unit_cflags)
tests_unit_check_endpoint_nng_LDADD = daemon/libio.la $(NNG_LIBS) $(unit_libs)
