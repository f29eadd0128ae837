/*
 * What bytes must be before protobuf-c may unpack them.
 *
 * protobuf-c accepts strings with NUL bytes and with broken UTF-8, and lets
 * 1 MiB of empty sub-messages grow into 84 MB; this walk over the bytes, led
 * by the message's own descriptor, refuses all three.
 */
#ifndef PROTO_WIRE_CHECK_H
#define PROTO_WIRE_CHECK_H

#include <protobuf-c/protobuf-c.h>

#include "proto/status.h"
#include "proto/util.h"

enum status wire_check(const ProtobufCMessageDescriptor *descriptor,
		       const void *bytes, size_t size, struct why *why);

#endif
