# libemad: what trainers and evaluators link.

noinst_LTLIBRARIES += client/libclient.la
client_libclient_la_SOURCES = \
	client/answers.c \
	client/async.c \
	client/channel.c client/channel.h \
	client/control.c \
	client/copy.c client/copy.h \
	client/crew.c client/crew.h \
	client/emad.c client/emad.h \
	client/error.c \
	client/fill.c \
	client/gate.c client/gate.h \
	client/internal.h \
	client/process.c \
	client/publish.c \
	client/publisher.c \
	client/slots.c \
	client/spec.c \
	client/thread.c client/thread.h \
	client/view.c
client_libclient_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(JANSSON_CFLAGS)
client_libclient_la_LIBADD = proto/libproto.la $(NNG_LIBS)

# Tests look inside through libclient.la; the world sees libemad.map only.
lib_LTLIBRARIES += client/libemad.la
client_libemad_la_SOURCES =
client_libemad_la_LIBADD = client/libclient.la
client_libemad_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 \
	-Wl,--version-script=$(top_srcdir)/client/libemad.map
EXTRA_client_libemad_la_DEPENDENCIES = client/libemad.map
include_HEADERS += client/emad.h
pkgconfig_DATA = client/libemad.pc
EXTRA_DIST += client/libemad.map
dist_man_MANS += client/libemad.3
