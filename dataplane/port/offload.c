/* SPDX-License-Identifier: Apache-2.0 */
#include "offload.h"

#include "tcp/cksum.h"

void offload_checksums(struct rte_mbuf *m)
{
	const uint32_t l3_len = m->l3_len;
	uint8_t *ip = rte_pktmbuf_mtod(m, uint8_t *);
	struct rte_tcp_hdr *tcp = (struct rte_tcp_hdr *)(ip + l3_len);
	struct rte_ipv4_hdr *ip4 = (struct rte_ipv4_hdr *)ip;

	if (m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM) {
		ip4->hdr_checksum = 0;
		ip4->hdr_checksum = rte_ipv4_cksum(ip4);
	}
	if ((m->ol_flags & RTE_MBUF_F_TX_L4_MASK) == RTE_MBUF_F_TX_TCP_CKSUM) {
		tcp->cksum = 0;
		tcp->cksum = tcp_cksum(m, l3_len);
	}
	m->ol_flags &= ~OFFLOAD_FLAGS;
}
