unit_tests += tests/unit/check_wire
tests_unit_check_wire_SOURCES = tests/unit/check_wire.c
tests_unit_check_wire_CFLAGS = $(unit_cflags)
tests_unit_check_wire_LDADD = proto/libproto.la $(unit_libs)
