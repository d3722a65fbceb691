/* SPDX-License-Identifier: Apache-2.0 */
/* IPv4 fragmentation; split from the node so that it can be tested on its own. */
#ifndef MILLRACE_IP4_FRAGMENT_H
#define MILLRACE_IP4_FRAGMENT_H

#include <rte_mbuf.h>

/* More than any packet needs with an MTU of 576; one with less to spend is not worth the mbufs. */
#define IP4_FRAGMENTS_MAX 128

/*
 * Copies m (data pointer at its IPv4 header, which must be sound) into fragments of up to mtu bytes
 * (RFC 791 section 3.2). Metadata and headroom are the caller's. m is left as it is. Returns how
 * many mbufs are in out[], or 0 if it cannot be done.
 */
unsigned int ip4_fragment_packet(const struct rte_mbuf *m, uint16_t mtu, struct rte_mempool *pool,
				 struct rte_mbuf **out, unsigned int max);

#endif
