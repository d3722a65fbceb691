/* SPDX-License-Identifier: Apache-2.0 */
/* What every test of the engine needs: DPDK without devices, a pool of buffers, and packets in
 * them. */
#ifndef MILLRACE_SIM_RIG_H
#define MILLRACE_SIM_RIG_H

#include "rng.h"
#include "segment.h"

/* Starts DPDK without huge pages and devices; makes the pool. Once per process. */
void rig_start(const char *name, uint32_t mbufs);
struct rte_mempool *rig_pool(void);
/* Buffers of the pool in use, and blocks of external memory. */
uint32_t rig_in_use(void);

/* How a packet lies in buffers. */
enum rig_layout {
	RIG_PLAIN,
	/* Payload cut at a random place into a chain. */
	RIG_CHAIN,
	/* Headers alone in the first buffer. */
	RIG_HEADER_SPLIT,
	/* In memory of exactly its size, so that reading beyond it is found. */
	RIG_EXTERNAL,
	/* With padding behind the packet, as short Ethernet frames have. */
	RIG_PADDED,
	RIG_LAYOUTS,
};

/* The packet in a buffer as tcp_input() wants it; NULL: no buffers. */
struct rte_mbuf *rig_packet(const uint8_t *p, uint32_t len, enum rig_layout how, struct rng *r);
/* A chain with these octets of data in buffers of at most seg_max octets. */
struct rte_mbuf *rig_chain(const uint8_t *p, uint32_t len, uint32_t seg_max);

/* tcp_env's alloc and free. */
void *rig_alloc(void *ctx, size_t bytes);
void rig_free(void *ctx, void *p, size_t bytes);

#endif
