# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_versions
tests_unit_check_versions_SOURCES = tests/unit/check_versions.c
tests_unit_check_versions_CFLAGS = $(unit_cflags)
tests_unit_check_versions_LDADD = daemon/libservice.la $(unit_libs)
