/* SPDX-License-Identifier: Apache-2.0 */
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "cksum.h"

static uint16_t fold(uint32_t sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

bool tcp_raw_cksum(const struct rte_mbuf *m, uint32_t off, uint32_t len, uint16_t *sum)
{
	uint32_t all = 0, done = 0;

	if ((uint64_t)off + len <= m->data_len) {
		*sum = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), len);
		return true;
	}
	for (; m != NULL && off >= m->data_len; m = m->next)
		off -= m->data_len;
	for (; m != NULL && done < len; m = m->next, off = 0) {
		uint32_t n = RTE_MIN(len - done, m->data_len - off);
		uint16_t part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const uint8_t *, off), n);

		/* At an odd offset its octets have each other's places. */
		all = fold(all + (done & 1 ? rte_bswap16(part) : part));
		done += n;
	}
	*sum = (uint16_t)all;
	return done == len;
}

uint16_t tcp_cksum(const struct rte_mbuf *m, uint32_t l3_len)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	uint32_t len;
	uint16_t raw, phdr;

	if (ip[0] >> 4 == 4) {
		const struct rte_ipv4_hdr *h = (const struct rte_ipv4_hdr *)ip;

		len = rte_be_to_cpu_16(h->total_length) - l3_len;
		phdr = rte_ipv4_phdr_cksum(h, 0);
	} else {
		const struct rte_ipv6_hdr *h = (const struct rte_ipv6_hdr *)ip;

		len = rte_be_to_cpu_16(h->payload_len);
		phdr = rte_ipv6_phdr_cksum(h, 0);
	}
	if (!tcp_raw_cksum(m, l3_len, len, &raw))
		return 0;
	return (uint16_t)~fold((uint32_t)raw + phdr);
}
