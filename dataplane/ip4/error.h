/* SPDX-License-Identifier: Apache-2.0 */
/* Making ICMP errors; split from the node so that it can be tested on its own. */
#ifndef MILLRACE_IP4_ERROR_H
#define MILLRACE_IP4_ERROR_H

#include <rte_mbuf.h>

/* RFC 1812 section 4.3.2.3: as much of the packet as fits without the error exceeding 576 bytes. */
#define ICMP4_ERROR_MAX 576

struct icmp4_error {
	uint8_t type;
	uint8_t code;
	/* Next-hop MTU of "fragmentation needed", pointer of "parameter problem". */
	uint16_t arg;
	/* Addresses of the error, network order. */
	uint32_t src;
	uint32_t dst;
	uint16_t packet_id;
};

/*
 * Writes a whole ICMP error about `about` (data pointer at its IPv4 header) into the empty mbuf m.
 * False if it does not have the room.
 */
bool icmp4_error_make(struct rte_mbuf *m, const struct rte_mbuf *about,
		      const struct icmp4_error *e);

#endif
