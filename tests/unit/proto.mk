# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_dtype
tests_unit_check_dtype_SOURCES = tests/unit/check_dtype.c
tests_unit_check_dtype_CFLAGS = $(unit_cflags)
tests_unit_check_dtype_LDADD = proto/libproto.la $(unit_libs)

unit_tests += tests/unit/check_address
tests_unit_check_address_SOURCES = tests/unit/check_address.c
tests_unit_check_address_CFLAGS = $(unit_cflags)
tests_unit_check_address_LDADD = proto/libproto.la $(unit_libs)

unit_tests += tests/unit/check_safetensors
tests_unit_check_safetensors_SOURCES = tests/unit/check_safetensors.c
tests_unit_check_safetensors_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_safetensors_LDADD = proto/libproto.la $(unit_libs) $(JANSSON_LIBS)

unit_tests += tests/unit/check_profile
tests_unit_check_profile_SOURCES = tests/unit/check_profile.c
tests_unit_check_profile_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_profile_LDADD = proto/libproto.la $(unit_libs) $(JANSSON_LIBS) -lm

unit_tests += tests/unit/check_schedule
tests_unit_check_schedule_SOURCES = tests/unit/check_schedule.c
tests_unit_check_schedule_CFLAGS = $(unit_cflags)
tests_unit_check_schedule_LDADD = proto/libproto.la $(unit_libs)

unit_tests += tests/unit/check_version
tests_unit_check_version_SOURCES = tests/unit/check_version.c
tests_unit_check_version_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_version_LDADD = proto/libproto.la $(unit_libs)

EXTRA_DIST += tests/unit/make_safetensors_cases.py \
	tests/unit/safetensors_cases.json
