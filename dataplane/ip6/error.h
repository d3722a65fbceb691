/* SPDX-License-Identifier: Apache-2.0 */
/* Making ICMPv6 errors; split from the node so that it can be tested on its own. */
#ifndef MILLRACE_IP6_ERROR_H
#define MILLRACE_IP6_ERROR_H

#include <rte_mbuf.h>

/* RFC 4443 section 2.4(c): as much of the packet as fits in the minimum MTU. */
#define ICMP6_ERROR_MAX 1280

struct icmp6_error {
	uint8_t type;
	uint8_t code;
	/* MTU of "packet too big", pointer of "parameter problem". */
	uint32_t arg;
	/* Addresses of the error. */
	const uint8_t *src;
	const uint8_t *dst;
};

/*
 * Writes a whole ICMPv6 error about `about` (data pointer at its IPv6 header) into the empty mbuf
 * m. False if it does not have the room.
 */
bool icmp6_error_make(struct rte_mbuf *m, const struct rte_mbuf *about,
		      const struct icmp6_error *e);

#endif
