/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of the neighbour protocols, built whole. */
#include "internal.h"
#include "../core/node.h"

DROP_COUNTER(drop_no_buffer, "neighbor-no-buffer",
	     "an ARP or ND packet could not be sent for want of a buffer")

/* Shortest Ethernet frame without its checksum; some devices do not pad. */
#define FRAME_MIN 60

const struct rte_ether_addr mac_broadcast = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

struct rte_mbuf *neigh_frame(const struct iface *i, uint16_t len)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	struct mb_meta *meta;
	char *p;

	if (m == NULL) {
		drop_no_buffer.packets++;
		return NULL;
	}
	p = rte_pktmbuf_append(m, len);
	if (p == NULL) {
		drop_no_buffer.packets++;
		rte_pktmbuf_free(m);
		return NULL;
	}
	memset(p, 0, len);
	meta = mb_meta(m);
	memset(meta, 0, sizeof(*meta));
	meta->iface = i->id;
	meta->vrf = i->vrf;
	meta->flags = MB_HOST;
	return m;
}

void neigh_frame_send(const struct iface *i, struct rte_mbuf *m, const struct rte_ether_addr *dst,
		      uint16_t ethertype)
{
	if (iface_is_up(i))
		neigh_frame_send_last(i, m, dst, ethertype);
	else
		rte_pktmbuf_free(m);
}

void neigh_frame_send_last(const struct iface *i, struct rte_mbuf *m,
			   const struct rte_ether_addr *dst, uint16_t ethertype)
{
	const uint16_t l2 = i->vlan != 0 ? 18 : 14;
	uint32_t len;
	uint8_t *p;

	p = (uint8_t *)rte_pktmbuf_prepend(m, l2);
	if (p == NULL) {
		rte_pktmbuf_free(m);
		return;
	}
	memcpy(p, dst->addr_bytes, 6);
	memcpy(p + 6, i->mac.addr_bytes, 6);
	if (i->vlan != 0) {
		put16(p + 12, ETHERTYPE_VLAN);
		put16(p + 14, i->vlan);
	}
	put16(p + l2 - 2, ethertype);
	len = rte_pktmbuf_pkt_len(m);
	if (len < FRAME_MIN) {
		char *pad = rte_pktmbuf_append(m, FRAME_MIN - len);

		if (pad != NULL)
			memset(pad, 0, FRAME_MIN - len);
	}
	m->port = i->port;
	m->ol_flags = 0;
	mb_meta(m)->iface = i->id;
	mb_meta(m)->l2_len = 0;
	worker_inject(m, INJECT_TX);
}

void mac_of_multicast(const struct ip_addr *a, struct rte_ether_addr *mac)
{
	if (a->len == 4) {
		const uint8_t b[6] = {0x01, 0x00, 0x5e, a->b[1] & 0x7f, a->b[2], a->b[3]};

		memcpy(mac->addr_bytes, b, 6);
	} else {
		const uint8_t b[6] = {0x33, 0x33, a->b[12], a->b[13], a->b[14], a->b[15]};

		memcpy(mac->addr_bytes, b, 6);
	}
}

void solicited_node(const uint8_t *target, uint8_t *out)
{
	static const uint8_t prefix[13] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff};

	memcpy(out, prefix, 13);
	memcpy(out + 13, target + 13, 3);
}

static uint64_t sum16(const uint8_t *p, uint32_t len)
{
	uint64_t s = 0;

	for (; len >= 2; len -= 2, p += 2)
		s += get16(p);
	if (len == 1)
		s += (uint64_t)p[0] << 8;
	return s;
}

uint16_t icmp6_checksum(const struct ip6_header *ip, const uint8_t *msg, uint32_t len)
{
	uint64_t s = sum16(ip->src, 16) + sum16(ip->dst, 16) + len + 58 + sum16(msg, len);

	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return ~s & 0xffff;
}

void icmp6_finish(struct ip6_header *ip, const uint8_t *src, const uint8_t *dst, uint16_t len)
{
	uint8_t *msg = (uint8_t *)(ip + 1);

	memset(ip, 0, sizeof(*ip));
	/* Network control (DSCP CS6), as routers send what keeps the network going. */
	ip->version_class_flow[0] = 0x6c;
	put16(ip->payload_len, len);
	ip->next_header = 58;
	ip->hop_limit = 255;
	memcpy(ip->src, src, 16);
	memcpy(ip->dst, dst, 16);
	put16(msg + 2, 0);
	put16(msg + 2, icmp6_checksum(ip, msg, len));
}
