# libproto: the contract that daemon and client both believe.

noinst_LTLIBRARIES += proto/libproto.la
proto_libproto_la_SOURCES = \
	proto/accumulator.c proto/accumulator.h \
	proto/address.c proto/address.h \
	proto/dtype.c proto/dtype.def proto/dtype.h \
	proto/json.h \
	proto/json_cursor.c proto/json_cursor.h \
	proto/map.c proto/map.h \
	proto/name.c proto/name.h \
	proto/profile.c proto/profile.h proto/profile_fields.h \
	proto/profile_json.c \
	proto/safetensors.c proto/safetensors.h \
	proto/safetensors_text.c proto/safetensors_text.h \
	proto/safetensors_write.c \
	proto/schedule.c proto/schedule.h \
	proto/status.c proto/status.def proto/status.h \
	proto/util.c proto/util.h \
	proto/version.c proto/version.h proto/version_read.c \
	proto/version_state.c proto/version_state.h \
	proto/wire.c proto/wire.h \
	proto/wire_check.c proto/wire_check.h
nodist_proto_libproto_la_SOURCES = proto/emad.pb-c.c proto/emad.pb-c.h
proto_libproto_la_CFLAGS = $(AM_CFLAGS) $(PROTOBUF_C_CFLAGS) $(JANSSON_CFLAGS)
proto_libproto_la_LIBADD = $(PROTOBUF_C_LIBS) $(JANSSON_LIBS) -lm

BUILT_SOURCES += proto/emad.pb-c.c proto/emad.pb-c.h
CLEANFILES += proto/emad.pb-c.c proto/emad.pb-c.h
EXTRA_DIST += proto/emad.proto proto/PROTOCOL.md

proto/emad.pb-c.c proto/emad.pb-c.h &: proto/emad.proto
	$(AM_V_GEN)$(MKDIR_P) proto && \
	$(PROTOC_C) --c_out=$(top_builddir) -I$(top_srcdir) \
		$(top_srcdir)/proto/emad.proto

# Objects that include what protoc-c writes; BUILT_SOURCES serves "all" alone.
$(proto_libproto_la_OBJECTS): proto/emad.pb-c.h
