/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of one size in memory handed in, named by index: half the size of a pointer, and an
 * index stays valid if tables are looked at from elsewhere. The record freed last is used first,
 * for its cache lines. Memory is touched only when a record is used for the first time, so a slab
 * for a million connections costs what is used of it.
 */
#ifndef MILLRACE_TCP_SLAB_H
#define MILLRACE_TCP_SLAB_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* No index. */
#define TCP_NIL UINT32_MAX

struct tcp_slab {
	uint8_t *mem;
	/* Octets of a record, a multiple of 4. */
	uint32_t size;
	uint32_t max, used;
	/* Records from here on have never been used. */
	uint32_t fresh;
	/* Freed records, linked by their first four octets. */
	uint32_t free_head;
};

/* A multiple of 64. */
size_t tcp_slab_bytes(uint32_t max, uint32_t size);
/* mem is not touched. Records are aligned as mem and size are. */
void tcp_slab_init(struct tcp_slab *s, void *mem, uint32_t max, uint32_t size);

static inline void *tcp_slab_at(const struct tcp_slab *s, uint32_t idx)
{
	return s->mem + (size_t)idx * s->size;
}

/* TCP_NIL if all are in use. The contents are whatever was there. */
static inline uint32_t tcp_slab_alloc(struct tcp_slab *s)
{
	uint32_t idx = s->free_head;

	if (idx != TCP_NIL) {
		memcpy(&s->free_head, tcp_slab_at(s, idx), sizeof(s->free_head));
	} else {
		if (s->fresh >= s->max)
			return TCP_NIL;
		idx = s->fresh++;
	}
	s->used++;
	return idx;
}

/* Overwrites the record's first four octets. */
static inline void tcp_slab_free(struct tcp_slab *s, uint32_t idx)
{
	memcpy(tcp_slab_at(s, idx), &s->free_head, sizeof(s->free_head));
	s->free_head = idx;
	s->used--;
}

#endif
