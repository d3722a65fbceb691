/* SPDX-License-Identifier: Apache-2.0 */
/* Short names for what protobuf-c makes of the package millrace.dataplane.v1. */
#ifndef MILLRACE_SEAM_PB_H
#define MILLRACE_SEAM_PB_H

#include "seam/dataplane.pb-c.h"

#include "arena.h"

/* A message type, a constant, the initialiser of a message. */
#define PB(type)	Millrace__Dataplane__V1__##type
#define PBC(name)	MILLRACE__DATAPLANE__V1__##name
#define PB_INIT(lower)	millrace__dataplane__v1__##lower##__init
#define PB_VALUE(UPPER) MILLRACE__DATAPLANE__V1__##UPPER##__INIT

/* A new message in an arena, or NULL. */
#define PB_NEW(arena, type, lower)                                                                 \
	({                                                                                         \
		PB(type) *pb_new_ = arena_alloc(arena, sizeof(*pb_new_));                          \
		if (pb_new_ != NULL)                                                               \
			PB_INIT(lower)(pb_new_);                                                   \
		pb_new_;                                                                           \
	})

/* protobuf-c has no const; nothing writes through what is packed. */
static inline char *pb_str(const char *s)
{
	return (char *)(uintptr_t)s;
}

static inline ProtobufCBinaryData pb_bytes(const void *p, size_t len)
{
	return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)p};
}

#endif
