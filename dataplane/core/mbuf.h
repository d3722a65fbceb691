/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the nodes know of a packet besides its bytes: 16 bytes in the mbuf's dynamic fields, at a
 * fixed offset reserved by mb_meta_register() before any device is probed.
 *
 * From eth-input on, and until a rewrite node, the data pointer of the mbuf is at the IP (or ARP)
 * header; m->l2_len tells how many bytes of Ethernet (and 802.1Q) header lie before it, so that
 * they can be put back with mb_l2_restore().
 */
#ifndef MILLRACE_CORE_MBUF_H
#define MILLRACE_CORE_MBUF_H

#include <rte_mbuf.h>

enum mb_flags {
	/* The frame's destination was a broadcast or multicast MAC: no ICMP error is ever sent
	   about it. */
	MB_L2_BCAST = 1 << 0,
	MB_L2_MCAST = 1 << 1,
	/* Made by the box itself (the kernel or the control thread): no TTL decrement, no ICMP
	   errors back. */
	MB_HOST = 1 << 2,
	/* Selected by a running trace. */
	MB_TRACED = 1 << 3,
	/* Already looked up in another VRF; a second jump is a loop and is dropped. */
	MB_VRF_JUMP = 1 << 4,
	/* ICMP error made here. */
	MB_ICMP_ERROR = 1 << 5,
	/* Fragment made here: MTU is not checked again. */
	MB_FRAGMENT = 1 << 6,
	/* TCP, or an ICMP error about it: handed over by another worker, or by this one's own
	   services, and not handed on again. */
	MB_TCP_HANDED = 1 << 7,
};

struct mb_meta {
	/* Ingress interface (struct iface id); IFACE_NONE for packets of the box itself without
	 * one. */
	uint16_t iface;
	/* Network instance in which the destination is (or was) looked up. */
	uint16_t vrf;
	/* Index of the next hop chosen by the lookup. */
	uint32_t nh;
	/* Bytes of L2 header that were before the data pointer at eth-input. */
	uint8_t l2_len;
	uint8_t flags;
	/* Control-input: edge to leave by (enum inject_to). ICMP error nodes: type and code to
	 * send. */
	uint8_t arg0;
	uint8_t arg1;
	/* ICMP: MTU to report or pointer. Trace: sequence number of the record. */
	uint16_t arg2;
	/* MB_TRACE_ORIGIN: made by the TCP engine in this walk, a trace may begin with it. */
	uint16_t trace;
};

#define MB_TRACE_ORIGIN UINT16_MAX

_Static_assert(sizeof(struct mb_meta) == 16, "metadata is 16 bytes");

#define MB_META_OFFSET offsetof(struct rte_mbuf, dynfield1)

static inline struct mb_meta *mb_meta(struct rte_mbuf *m)
{
	return (struct mb_meta *)((char *)m + MB_META_OFFSET);
}

/* Reserves the dynamic field. Call after rte_eal_init() with no devices probed. Returns 0 or a
 * negative errno. */
int mb_meta_register(void);

/*
 * A pool of packet buffers with `room` bytes each, headroom included; NULL with rte_errno. It is
 * packed if the devices' addresses allow it: DPDK's af_xdp maps as many times a buffer's size as
 * there are buffers, from the first one on, and silently loses those beyond, which there are as
 * soon as gaps keep buffers from crossing pages.
 */
struct rte_mempool *mb_pool_create(const char *name, unsigned int n, unsigned int cache,
				   uint16_t room, int socket);
bool mb_pool_is_packed(const struct rte_mempool *p);

/* Moves the data pointer back to the start of the frame as it was received. */
static inline void mb_l2_restore(struct rte_mbuf *m)
{
	rte_pktmbuf_prepend(m, mb_meta(m)->l2_len);
}

#endif
