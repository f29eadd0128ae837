# emad itself: one convenience library per layer, so that a wrong dependency
# does not link.

noinst_LTLIBRARIES += daemon/libcore.la daemon/libio.la daemon/libservice.la

daemon_libcore_la_SOURCES = \
	daemon/core/average.c daemon/core/average.h \
	daemon/core/kernel.c daemon/core/kernel.h \
	daemon/core/kernel_avx2.c daemon/core/kernel_avx512.c \
	daemon/core/kernel_body.h daemon/core/kernel_generic.c \
	daemon/core/kernel_neon.c daemon/core/kernel_neon_load.h \
	daemon/core/kernel_pass.h \
	daemon/core/kernel_run.h \
	daemon/core/plan.c daemon/core/plan.h \
	daemon/core/plan_rules.c daemon/core/plan_rules.h
daemon_libcore_la_LIBADD = proto/libproto.la -lm

daemon_libio_la_SOURCES = \
	daemon/list.h daemon/log.c daemon/log.h \
	daemon/io/connection.c \
	daemon/io/endpoint.c daemon/io/endpoint.h \
	daemon/io/endpoint_private.h \
	daemon/io/guard.c daemon/io/guard.h \
	daemon/io/huge.c daemon/io/huge.h \
	daemon/io/listener.c \
	daemon/io/lock.c daemon/io/lock.h \
	daemon/io/numa.c daemon/io/numa.h \
	daemon/io/parts.c daemon/io/parts.h \
	daemon/io/pool.c daemon/io/pool.h \
	daemon/io/request.c \
	daemon/io/shm.c daemon/io/shm.h daemon/io/shm_names.c \
	daemon/io/sp.c daemon/io/sp.h \
	daemon/io/watch.c daemon/io/watch.h
daemon_libio_la_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
daemon_libio_la_LIBADD = proto/libproto.la $(UV_LIBS)

daemon_libservice_la_SOURCES = \
	daemon/service/adopt.c \
	daemon/service/attach.c daemon/service/attach.h \
	daemon/service/attach_read.c daemon/service/attach_work.c \
	daemon/service/batch.c daemon/service/batch.h \
	daemon/service/decision.c daemon/service/decision.h \
	daemon/service/dispatch.c daemon/service/dispatch.h \
	daemon/service/drift.c daemon/service/drift.h \
	daemon/service/handle_admin.c daemon/service/handle_session.c \
	daemon/service/handlers.h \
	daemon/service/kept.c daemon/service/kept.h \
	daemon/service/model.c daemon/service/model.h \
	daemon/service/not_finite.c daemon/service/not_finite.h \
	daemon/service/pull.c daemon/service/pull.h \
	daemon/service/reply.c daemon/service/reply.h \
	daemon/service/rest.c daemon/service/rest.h \
	daemon/service/session.c daemon/service/session.h \
	daemon/service/space.c daemon/service/space.h \
	daemon/service/state.c daemon/service/state.h \
	daemon/service/update.c daemon/service/update.h \
	daemon/service/update_chunk.c daemon/service/update_private.h \
	daemon/service/versions.c daemon/service/versions.h
daemon_libservice_la_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(PROTOBUF_C_CFLAGS)
daemon_libservice_la_LIBADD = daemon/libcore.la daemon/libio.la

bin_PROGRAMS += emad
emad_SOURCES = daemon/main.c daemon/options.c daemon/options.h \
	daemon/server.c daemon/server.h
emad_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS) $(SYSTEMD_CFLAGS)
emad_LDADD = daemon/libservice.la $(SYSTEMD_LIBS)
dist_man_MANS += daemon/emad.8
