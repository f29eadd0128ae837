# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_versions
tests_unit_check_versions_SOURCES = tests/unit/check_versions.c
tests_unit_check_versions_CFLAGS = $(unit_cflags)
tests_unit_check_versions_LDADD = daemon/libservice.la $(unit_libs)

unit_tests += tests/unit/check_rest
tests_unit_check_rest_SOURCES = tests/unit/check_rest.c \
	tests/lib/rest_stage.c tests/lib/rest_stage.h
tests_unit_check_rest_CFLAGS = $(unit_cflags)
tests_unit_check_rest_LDADD = daemon/libservice.la $(unit_libs)

unit_tests += tests/unit/check_rest_files
tests_unit_check_rest_files_SOURCES = tests/unit/check_rest_files.c \
	tests/lib/rest_stage.c tests/lib/rest_stage.h \
	tests/lib/fault.c tests/lib/fault.h
tests_unit_check_rest_files_CFLAGS = $(unit_cflags)
tests_unit_check_rest_files_LDFLAGS = $(fault_ldflags)
tests_unit_check_rest_files_LDADD = daemon/libservice.la $(unit_libs)
