# Unit tests, one line each; unit_tests collects them.

unit_tests += tests/unit/check_copy
tests_unit_check_copy_SOURCES = tests/unit/check_copy.c
tests_unit_check_copy_CFLAGS = $(unit_cflags)
tests_unit_check_copy_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_crew
tests_unit_check_crew_SOURCES = tests/unit/check_crew.c
tests_unit_check_crew_CFLAGS = $(unit_cflags)
tests_unit_check_crew_LDADD = client/libclient.la $(unit_libs)

client_stage = tests/lib/client_stage.c tests/lib/client_stage.h \
	tests/lib/fake_answers.c tests/lib/fake_daemon.c \
	tests/lib/fake_daemon.h tests/lib/fake_private.h

unit_tests += tests/unit/check_client
tests_unit_check_client_SOURCES = tests/unit/check_client.c $(client_stage)
tests_unit_check_client_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_unit_check_client_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client_publish
tests_unit_check_client_publish_SOURCES = tests/unit/check_client_publish.c \
	$(client_stage)
tests_unit_check_client_publish_CFLAGS = $(unit_cflags)
tests_unit_check_client_publish_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client_restart
tests_unit_check_client_restart_SOURCES = tests/unit/check_client_restart.c \
	$(client_stage)
tests_unit_check_client_restart_CFLAGS = $(unit_cflags)
tests_unit_check_client_restart_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client_async
tests_unit_check_client_async_SOURCES = tests/unit/check_client_async.c \
	$(client_stage)
tests_unit_check_client_async_CFLAGS = $(unit_cflags)
tests_unit_check_client_async_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client_process
tests_unit_check_client_process_SOURCES = tests/unit/check_client_process.c \
	$(client_stage)
tests_unit_check_client_process_CFLAGS = $(unit_cflags)
tests_unit_check_client_process_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=madvise
tests_unit_check_client_process_LDADD = client/libclient.la $(unit_libs)

unit_tests += tests/unit/check_client_steady
tests_unit_check_client_steady_SOURCES = tests/unit/check_client_steady.c \
	$(client_stage)
tests_unit_check_client_steady_CFLAGS = $(unit_cflags)
tests_unit_check_client_steady_LDFLAGS = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=strdup \
	-Wl,--wrap=mmap,--wrap=pthread_create,--wrap=nanosleep,--wrap=poll \
	-Wl,--wrap=pthread_cond_wait,--wrap=pthread_cond_timedwait
tests_unit_check_client_steady_LDADD = client/libclient.la $(unit_libs)

dist_check_SCRIPTS += tests/lint/client_header.sh
TESTS += tests/lint/client_header.sh
