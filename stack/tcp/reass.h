/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection received out of order. Octets received first win: what comes later for the same
 * sequence numbers with other contents changes nothing, so nobody can rewrite what has been
 * acknowledged by SACK. Segments that touch are one, which makes each a SACK block.
 *
 * In-order data that reaches beyond tcp_reass_start() has to go through the queue as well, if the
 * rule is to hold for it.
 */
#ifndef MILLRACE_TCP_REASS_H
#define MILLRACE_TCP_REASS_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

#include "chain.h"
#include "options.h"
#include "slab.h"

/* The record in the slab. */
struct tcp_reass_seg {
	/* By sequence number. */
	uint32_t next, prev;
	/* By when they changed last. */
	uint32_t newer, older;
	uint32_t start, end;
	/* Truesize. */
	uint32_t mem;
	uint32_t pad;
	struct rte_mbuf *first, *last;
};
_Static_assert(sizeof(struct tcp_reass_seg) <= 64, "a record of the slab");

struct tcp_reass {
	uint32_t head, tail;
	/* The segment that changed last. */
	uint32_t recent;
	/* Segments. */
	uint32_t count;
	/* Truesize of all buffers held. */
	uint32_t mem;
};

#define TCP_REASS_INIT                                                                             \
	{                                                                                          \
		TCP_NIL, TCP_NIL, TCP_NIL, 0, 0                                                    \
	}

static inline void tcp_reass_init(struct tcp_reass *r)
{
	*r = (struct tcp_reass)TCP_REASS_INIT;
}

struct tcp_reass_result {
	/* Octets that were not held before and are now. */
	uint32_t stored;
	/* The first range of the segment that was there already (RFC 2883); equal: none. */
	uint32_t dup_start, dup_end;
	/* What was added to mem; negative if buffers were freed. */
	int32_t mem;
	/* (Part of) the segment was dropped for want of a record, or because it conflicts with
	 * what is held in a way that cannot be stored. */
	bool no_memory;
};

static inline bool tcp_reass_empty(const struct tcp_reass *r)
{
	return r->head == TCP_NIL;
}

/* The lowest sequence number held; the queue must not be empty. */
static inline uint32_t tcp_reass_start(const struct tcp_slab *slab, const struct tcp_reass *r)
{
	return ((const struct tcp_reass_seg *)tcp_slab_at(slab, r->head))->start;
}

/* One behind the highest; the queue must not be empty. */
static inline uint32_t tcp_reass_end(const struct tcp_slab *slab, const struct tcp_reass *r)
{
	return ((const struct tcp_reass_seg *)tcp_slab_at(slab, r->tail))->end;
}

/*
 * Takes m (payload only, m->pkt_len octets from sequence number seq on, fewer than 2^30, within
 * 2^30 of rcv_nxt) in any case. What lies before rcv_nxt is a duplicate. At most max_segs segments
 * are held.
 */
void tcp_reass_insert(struct tcp_slab *slab, struct tcp_reass *r, uint32_t rcv_nxt, uint32_t seq,
		      struct rte_mbuf *m, uint32_t max_segs, struct tcp_reass_result *res);

/*
 * Takes out the chain that starts at rcv_nxt, which is the caller's then, *len its octets; NULL if
 * there is none. What lies before rcv_nxt is freed. r->mem goes down by what is taken or freed. To
 * be called again with rcv_nxt + *len until it returns NULL.
 */
struct rte_mbuf *tcp_reass_pop(struct tcp_slab *slab, struct tcp_reass *r, uint32_t rcv_nxt,
			       uint32_t *len);

/* SACK blocks (RFC 2018 section 4): the one that the last segment went to, then by when they
 * changed. Returns how many. */
unsigned int tcp_reass_sacks(const struct tcp_slab *slab, const struct tcp_reass *r,
			     struct tcp_sack *out, unsigned int max);

/* Frees everything. */
void tcp_reass_purge(struct tcp_slab *slab, struct tcp_reass *r);
/* Frees segments from the highest sequence number down until `bytes` of mem are free (or all).
 * Returns how many bytes were freed. */
uint32_t tcp_reass_shed(struct tcp_slab *slab, struct tcp_reass *r, uint32_t bytes);

#endif
