/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chains of mbufs that hold payload only. pkt_len and nb_segs of the first are kept right.
 */
#ifndef MILLRACE_TCP_CHAIN_H
#define MILLRACE_TCP_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

/* Payload of at most this many octets is copied next to its neighbour's, rather than keep a buffer
 * of its own. */
#define TCP_CHAIN_SMALL 256

/* What an mbuf costs, however little is in it. */
static inline uint32_t tcp_mbuf_truesize(const struct rte_mbuf *m)
{
	return m->pool->elt_size;
}

static inline uint32_t tcp_chain_truesize(const struct rte_mbuf *m)
{
	uint32_t n = 0;

	for (; m != NULL; m = m->next)
		n += tcp_mbuf_truesize(m);
	return n;
}

/* Nobody else sees this buffer: its octets may be written. */
static inline bool tcp_mbuf_writable(const struct rte_mbuf *m)
{
	return RTE_MBUF_DIRECT(m) && rte_mbuf_refcnt_read(m) == 1;
}

/*
 * Both return the chain's first mbuf, and add the truesize of what becomes empty and is freed to
 * *freed, which may be NULL. Cuts n octets, fewer than there are, off the front:
 */
struct rte_mbuf *tcp_chain_trim_front(struct rte_mbuf *m, uint32_t n, uint32_t *freed);
/* Keeps the first len octets, at least 1. */
struct rte_mbuf *tcp_chain_trim_tail(struct rte_mbuf *m, uint32_t len, uint32_t *freed);

/*
 * Copies m's octets behind those of the chain `first` (whose last mbuf is `last`) and frees m, if
 * there are few of them and room for them. Else nothing happens and false is returned.
 */
bool tcp_chain_absorb(struct rte_mbuf *first, struct rte_mbuf *last, struct rte_mbuf *m);

/* Links the chain m behind the chain `first`, whose last mbuf is `last`. False, and nothing
 * happened, if the segments would be too many for nb_segs. */
bool tcp_chain_link(struct rte_mbuf *first, struct rte_mbuf *last, struct rte_mbuf *m);

/*
 * Indirect buffers, from `pool`, of m's buffers, of which empty ones are left out; m stays as it
 * is. For m that others hold too and that therefore must not be linked or cut. NULL if there are no
 * buffers, or m is empty.
 */
struct rte_mbuf *tcp_chain_clone(struct rte_mempool *pool, struct rte_mbuf *m);
/* One of len octets of m from data offset `off` on. */
struct rte_mbuf *tcp_mbuf_clone(struct rte_mempool *pool, struct rte_mbuf *m, uint16_t off,
				uint16_t len);

#endif
