/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Internet checksum (RFC 1071) over chains of buffers. DPDK's rte_raw_cksum_mbuf() (22.11) loses
 * the carries of a buffer that begins at an odd offset, and chains here are cut anywhere.
 */
#ifndef MILLRACE_TCP_CKSUM_H
#define MILLRACE_TCP_CKSUM_H

#include <stdbool.h>
#include <stdint.h>

struct rte_mbuf;

/* Folded sum, not complemented, of len octets from offset off on. False if there are not as many.
 */
bool tcp_raw_cksum(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint16_t *sum);

/* What belongs into the checksum field, which is 0 now, of the TCP segment behind l3_len octets of
 * IPv4 or IPv6 header without options or extension headers. */
uint16_t tcp_cksum(const struct rte_mbuf *m, uint32_t l3_len);

#endif
