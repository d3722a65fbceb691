/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bump allocator for one request: protobuf-c asks for memory once per submessage, string and
 * bytes field, and a batch has thousands of them. Everything is given back at once. It is bounded,
 * so that bytes which unfold into many objects cannot take all memory.
 */
#ifndef MILLRACE_SEAM_ARENA_H
#define MILLRACE_SEAM_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
	struct arena_block *head;
	uint8_t *at;
	uint8_t *end;
	/* Bytes of all blocks, and how many there may be. */
	size_t total;
	size_t limit;
	/* The limit was reached since the last reset. */
	bool exhausted;
	/* For protobuf-c; its free does nothing. */
	ProtobufCAllocator pb;
};

void arena_init(struct arena *a, size_t limit);
/* 8-byte aligned, not cleared; NULL when the limit or the memory is exhausted. */
void *arena_alloc(struct arena *a, size_t size);
void *arena_zalloc(struct arena *a, size_t size);
/* A copy of the string; NULL as arena_alloc(). */
char *arena_strdup(struct arena *a, const char *s);
/* Bytes asked for when p was allocated. */
size_t arena_size(const void *p);
/* Gives all back but the first block. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
