# Stories against the real daemon.

stories_common = \
	tests/lib/daemon.c tests/lib/daemon.h \
	tests/lib/raw.c tests/lib/raw.h \
	tests/lib/reference.c tests/lib/reference.h \
	tests/lib/story.c tests/lib/story.h \
	tests/lib/uniform.c tests/lib/uniform.h
stories_cppflags = $(AM_CPPFLAGS) \
	-DEMAD_PROGRAM='"$(abs_top_builddir)/emad"' \
	-DTESTS_FOLDER='"$(abs_top_srcdir)/tests"'
stories_libs = tests/libstories.la client/libclient.la $(CHECK_LIBS)

# One library, so that the helpers are compiled once.
check_LTLIBRARIES = tests/libstories.la
tests_libstories_la_SOURCES = $(stories_common) \
	tests/lib/golden.c tests/lib/golden.h
tests_libstories_la_CPPFLAGS = $(stories_cppflags)
tests_libstories_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) \
	$(JANSSON_CFLAGS)
tests_libstories_la_LIBADD = proto/libproto.la

check_PROGRAMS += tests/replay
tests_replay_SOURCES = tests/replay.c
tests_replay_CFLAGS = $(tests_libstories_la_CFLAGS)
tests_replay_LDADD = tests/libstories.la client/libclient.la
TESTS += tests/integration/replay.sh
EXTRA_DIST += tests/integration/replay.sh

stories = \
	tests/integration/accumulators \
	tests/integration/async \
	tests/integration/damage \
	tests/integration/fork \
	tests/integration/hostile \
	tests/integration/huge \
	tests/integration/kill_daemon \
	tests/integration/kill_trainer \
	tests/integration/many \
	tests/integration/python \
	tests/integration/refusals \
	tests/integration/resident \
	tests/integration/serving \
	tests/integration/shapes \
	tests/integration/space \
	tests/integration/storm \
	tests/integration/torn \
	tests/integration/waits
EXTRA_DIST += tests/integration/reader.py tests/lib/tsan.supp \
	tests/lib/valgrind.supp
if HAVE_CHECK
check_PROGRAMS += $(stories)
TESTS += $(stories)
endif

tests_integration_accumulators_SOURCES = tests/integration/accumulators.c \
	tests/lib/numbers.c tests/lib/numbers.h
tests_integration_accumulators_CPPFLAGS = $(stories_cppflags)
tests_integration_accumulators_CFLAGS = $(unit_cflags)
tests_integration_accumulators_LDADD = $(stories_libs) -lm

tests_integration_async_SOURCES = tests/integration/async.c
tests_integration_async_CPPFLAGS = $(stories_cppflags)
tests_integration_async_CFLAGS = $(unit_cflags)
tests_integration_async_LDADD = $(stories_libs)

tests_integration_damage_SOURCES = tests/integration/damage.c
tests_integration_damage_CPPFLAGS = $(stories_cppflags)
tests_integration_damage_CFLAGS = $(unit_cflags)
tests_integration_damage_LDADD = $(stories_libs)

tests_integration_fork_SOURCES = tests/integration/fork.c
tests_integration_fork_CPPFLAGS = $(stories_cppflags)
tests_integration_fork_CFLAGS = $(unit_cflags)
tests_integration_fork_LDADD = $(stories_libs)

tests_integration_hostile_SOURCES = tests/integration/hostile.c
tests_integration_hostile_CPPFLAGS = $(stories_cppflags)
tests_integration_hostile_CFLAGS = $(unit_cflags)
tests_integration_hostile_LDADD = $(stories_libs)

tests_integration_huge_SOURCES = tests/integration/huge.c
tests_integration_huge_CPPFLAGS = $(stories_cppflags)
tests_integration_huge_CFLAGS = $(unit_cflags) $(JANSSON_CFLAGS)
tests_integration_huge_LDADD = daemon/libio.la $(stories_libs) \
	$(JANSSON_LIBS)

tests_integration_kill_daemon_SOURCES = tests/integration/kill_daemon.c
tests_integration_kill_daemon_CPPFLAGS = $(stories_cppflags)
tests_integration_kill_daemon_CFLAGS = $(unit_cflags)
tests_integration_kill_daemon_LDADD = $(stories_libs)

tests_integration_kill_trainer_SOURCES = tests/integration/kill_trainer.c
tests_integration_kill_trainer_CPPFLAGS = $(stories_cppflags)
tests_integration_kill_trainer_CFLAGS = $(unit_cflags)
tests_integration_kill_trainer_LDADD = $(stories_libs)

tests_integration_many_SOURCES = tests/integration/many.c
tests_integration_many_CPPFLAGS = $(stories_cppflags)
tests_integration_many_CFLAGS = $(unit_cflags)
tests_integration_many_LDADD = $(stories_libs)

tests_integration_python_SOURCES = tests/integration/python.c
tests_integration_python_CPPFLAGS = $(stories_cppflags)
tests_integration_python_CFLAGS = $(unit_cflags)
tests_integration_python_LDADD = $(stories_libs)

tests_integration_refusals_SOURCES = tests/integration/refusals.c
tests_integration_refusals_CPPFLAGS = $(stories_cppflags)
tests_integration_refusals_CFLAGS = $(unit_cflags)
tests_integration_refusals_LDADD = $(stories_libs)

tests_integration_resident_SOURCES = tests/integration/resident.c
tests_integration_resident_CPPFLAGS = $(stories_cppflags)
tests_integration_resident_CFLAGS = $(unit_cflags)
tests_integration_resident_LDADD = $(stories_libs)

tests_integration_serving_SOURCES = tests/integration/serving.c
tests_integration_serving_CPPFLAGS = $(stories_cppflags)
tests_integration_serving_CFLAGS = $(unit_cflags)
tests_integration_serving_LDADD = $(stories_libs)

tests_integration_shapes_SOURCES = tests/integration/shapes.c
tests_integration_shapes_CPPFLAGS = $(stories_cppflags)
tests_integration_shapes_CFLAGS = $(unit_cflags)
tests_integration_shapes_LDADD = $(stories_libs)

tests_integration_space_SOURCES = tests/integration/space.c \
	tests/lib/small_shm.c tests/lib/small_shm.h
tests_integration_space_CPPFLAGS = $(stories_cppflags)
tests_integration_space_CFLAGS = $(unit_cflags)
tests_integration_space_LDADD = $(stories_libs)

tests_integration_storm_SOURCES = tests/integration/storm.c
tests_integration_storm_CPPFLAGS = $(stories_cppflags)
tests_integration_storm_CFLAGS = $(unit_cflags)
tests_integration_storm_LDADD = $(stories_libs)

tests_integration_torn_SOURCES = tests/integration/torn.c
tests_integration_torn_CPPFLAGS = $(stories_cppflags)
tests_integration_torn_CFLAGS = $(unit_cflags)
tests_integration_torn_LDADD = $(stories_libs)

tests_integration_waits_SOURCES = tests/integration/waits.c
tests_integration_waits_CPPFLAGS = $(stories_cppflags)
tests_integration_waits_CFLAGS = $(unit_cflags)
tests_integration_waits_LDADD = $(stories_libs)
