# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_copy
tests_unit_check_copy_SOURCES = tests/unit/check_copy.c
tests_unit_check_copy_CFLAGS = $(unit_cflags)
tests_unit_check_copy_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client
tests_unit_check_client_SOURCES = tests/unit/check_client.c \
	tests/lib/fake_daemon.c tests/lib/fake_daemon.h
tests_unit_check_client_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_client_LDADD = client/libclient.la $(unit_libs)
