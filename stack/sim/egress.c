/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A port of a host: takes what the engine sends, checks that its metadata is what real hardware
 * needs, does what the hardware would do (checksums, segmentation) and puts it on the wire.
 */
#include "world.h"

#include <rte_ip.h>
#include <rte_tcp.h>

#include "net.h"
#include "wire.h"

/* Copies the packet out. Its length, or 0 and the world has failed. */
static uint32_t linear(struct host *h, const struct rte_mbuf *m, uint8_t *out)
{
	uint32_t len = 0, segs = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next, segs++) {
		if (s->next != NULL && s->data_len == 0)
			world_fail(h->w, "sent: empty buffer in a chain");
		if (rte_mbuf_refcnt_read(s) == 0)
			world_fail(h->w, "sent: freed buffer in a chain");
		if (len + s->data_len > m->pkt_len || len + s->data_len > SEG_MAX + 100)
			break;
		memcpy(out + len, rte_pktmbuf_mtod(s, uint8_t *), s->data_len);
		len += s->data_len;
	}
	if (len != m->pkt_len || segs != m->nb_segs) {
		world_fail(h->w, "sent: pkt_len %u with %u octets in %u of %u buffers", m->pkt_len,
			   len, segs, m->nb_segs);
		return 0;
	}
	return len;
}

static bool metadata_ok(struct host *h, const struct rte_mbuf *m, uint8_t *p, uint32_t len)
{
	uint32_t l4_off = m->l3_len, want;
	uint8_t family = p[0] >> 4;

	if (m->l2_len != 0 || m->l3_len != (family == 4 ? 20 : 40) ||
	    m->l4_len != (p[l4_off + 12] >> 4) * 4u || tcp_tx_family(m) != family ||
	    tcp_tx_vrf(m) != 0 || m->data_len < m->l3_len + m->l4_len) {
		world_fail(h->w, "sent: l2 %u l3 %u l4 %u family %u vrf %u first buffer %u",
			   m->l2_len, m->l3_len, m->l4_len, tcp_tx_family(m), tcp_tx_vrf(m),
			   m->data_len);
		return false;
	}
	if (!(m->ol_flags & (RTE_MBUF_F_TX_TCP_CKSUM | RTE_MBUF_F_TX_TCP_SEG)))
		return true;
	if (!h->tx_checksum) {
		world_fail(h->w, "sent: asks for a checksum that the port does not compute");
		return false;
	}
	if (family == 4)
		want = rte_ipv4_phdr_cksum((struct rte_ipv4_hdr *)p, m->ol_flags);
	else
		want = rte_ipv6_phdr_cksum((struct rte_ipv6_hdr *)p, m->ol_flags);
	if (((struct rte_tcp_hdr *)(p + l4_off))->cksum != want ||
	    !(m->ol_flags & (family == 4 ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6))) {
		world_fail(h->w, "sent: pseudo-header checksum or address family flag for offload");
		return false;
	}
	if ((m->ol_flags & RTE_MBUF_F_TX_TCP_SEG) && family == 4 &&
	    !(m->ol_flags & RTE_MBUF_F_TX_IP_CKSUM)) {
		world_fail(h->w, "sent: TSO without IPv4 header checksum offload");
		return false;
	}
	seg_fix(p, len);
	return true;
}

static void out(struct host *h, const uint8_t *p, uint32_t len)
{
	h->w->packets++;
	wire_check(h, p, len);
	net_send(h, p, len);
}

/* Segmentation as a port does it. */
static void cut(struct host *h, const struct rte_mbuf *m, const uint8_t *p, uint32_t len)
{
	uint32_t head = m->l3_len + m->l4_len, sent = 0;
	uint8_t seg[SEG_MAX];

	if (m->tso_segsz == 0 || len - head > h->tso_max || len - head <= m->tso_segsz) {
		world_fail(h->w, "sent: TSO of %u octets by %u, the port takes up to %u",
			   len - head, m->tso_segsz, h->tso_max);
		return;
	}
	while (head + sent < len && !h->w->failed) {
		uint32_t n = RTE_MIN(len - head - sent, (uint32_t)m->tso_segsz);
		uint8_t *flags = seg + m->l3_len + 13;

		memcpy(seg, p, head);
		memcpy(seg + head, p + head + sent, n);
		set32(seg + m->l3_len + 4, be32(p + m->l3_len + 4) + sent);
		if (sent != 0)
			*flags &= (uint8_t)~SEG_CWR;
		if (head + sent + n < len)
			*flags &= (uint8_t) ~(SEG_FIN | SEG_PSH);
		seg_fix(seg, head + n);
		out(h, seg, head + n);
		sent += n;
	}
}

void egress(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	static uint8_t p[SEG_MAX + 200];
	struct host *h = ctx;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t len = linear(h, pkts[i], p);

		if (len < 40)
			world_fail(h->w, "sent: %u octets", len);
		else if (metadata_ok(h, pkts[i], p, len)) {
			if (pkts[i]->ol_flags & RTE_MBUF_F_TX_TCP_SEG)
				cut(h, pkts[i], p, len);
			else
				out(h, p, len);
		}
		rte_pktmbuf_free(pkts[i]);
	}
}
