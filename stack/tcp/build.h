/* SPDX-License-Identifier: Apache-2.0 */
/* How packets are put together; see build.c. */
#ifndef MILLRACE_TCP_BUILD_H
#define MILLRACE_TCP_BUILD_H

#include "conn.h"

struct hdr_in {
	const struct tcp_tuple *tuple;
	uint32_t seq, ack;
	/* IPv6 flow label. */
	uint32_t flow;
	/* As it goes onto the wire. */
	uint16_t wnd;
	uint8_t flags, optlen, ttl, tos;
	bool cksum_offload;
	/* m->tso_segsz is set, and the port cuts it. */
	bool tso;
};

struct rte_mbuf *tx_alloc(struct tcp_engine *e);
void tx_headers(struct tcp_engine *e, struct rte_mbuf *m, const struct hdr_in *h);
/* Of a connection; ect: ECN field of the IP header. */
void conn_headers(struct tcp_conn *c, struct rte_mbuf *m, uint32_t seq, uint8_t flags,
		  uint8_t optlen, uint8_t ect);
/* Writes the options, SACK blocks as far as `room` octets allow; returns their length. */
uint8_t conn_options(struct tcp_conn *c, uint8_t *p, uint32_t room);
uint8_t conn_ecn_flags(const struct tcp_conn *c);
void tx_put(struct tcp_engine *e, struct rte_mbuf *m, uint16_t vrf, uint8_t family);
bool reset_allowed(struct tcp_engine *e);
bool challenge_allowed(struct tcp_engine *e);
/* Shift that lets a window of this size be announced (RFC 7323 section 2). */
int8_t rcv_wscale_for(uint32_t rcvbuf_max);

#endif
