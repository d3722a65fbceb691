/* SPDX-License-Identifier: Apache-2.0 */
/* Packets: IP and TCP headers in front of a payload, and those that have none. */
#include <netinet/in.h>

#include <rte_ip.h>

#include "build.h"
#include "cksum.h"

/* Reserved for use by DPDK's own flags, which say whose memory it is. */
#define KEEP_FLAGS (RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL)

void tx_put(struct tcp_engine *e, struct rte_mbuf *m, uint16_t vrf, uint8_t family)
{
	m->hash.usr = vrf | (uint32_t)family << 16;
	e->tx[e->n_tx++] = m;
	if (e->n_tx == TXQ_SIZE)
		tx_flush(e);
}

/* m: options and payload, data pointer at the first. */
void tx_headers(struct tcp_engine *e, struct rte_mbuf *m, const struct hdr_in *h)
{
	const struct tcp_tuple *t = h->tuple;
	const uint32_t l4 = sizeof(struct rte_tcp_hdr) + h->optlen;
	struct rte_tcp_hdr *th;

	m->ol_flags &= KEEP_FLAGS;
	m->l2_len = 0;
	m->l4_len = l4;
	if (likely(t->family == 4)) {
		struct rte_ipv4_hdr *ip;

		ip = (struct rte_ipv4_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip) + sizeof(*th));
		th = (struct rte_tcp_hdr *)(ip + 1);
		ip->version_ihl = 0x45;
		ip->type_of_service = h->tos;
		ip->total_length = rte_cpu_to_be_16(m->pkt_len);
		ip->packet_id = rte_cpu_to_be_16(e->ip_id++);
		ip->fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG);
		ip->time_to_live = h->ttl;
		ip->next_proto_id = IPPROTO_TCP;
		ip->hdr_checksum = 0;
		memcpy(&ip->src_addr, t->laddr.b + 12, 4);
		memcpy(&ip->dst_addr, t->raddr.b + 12, 4);
		m->l3_len = sizeof(*ip);
	} else {
		struct rte_ipv6_hdr *ip;

		ip = (struct rte_ipv6_hdr *)rte_pktmbuf_prepend(m, sizeof(*ip) + sizeof(*th));
		th = (struct rte_tcp_hdr *)(ip + 1);
		ip->vtc_flow =
			rte_cpu_to_be_32(6u << 28 | (uint32_t)h->tos << 20 | (h->flow & 0xfffff));
		ip->payload_len = rte_cpu_to_be_16(m->pkt_len - sizeof(*ip));
		ip->proto = IPPROTO_TCP;
		ip->hop_limits = h->ttl;
		memcpy(ip->src_addr, t->laddr.b, 16);
		memcpy(ip->dst_addr, t->raddr.b, 16);
		m->l3_len = sizeof(*ip);
	}
	th->src_port = t->lport;
	th->dst_port = t->rport;
	th->sent_seq = rte_cpu_to_be_32(h->seq);
	th->recv_ack = rte_cpu_to_be_32(h->ack);
	th->data_off = l4 << 2;
	th->tcp_flags = h->flags;
	th->rx_win = rte_cpu_to_be_16(h->wnd);
	th->cksum = 0;
	th->tcp_urp = 0;
	if (h->cksum_offload) {
		m->ol_flags |= RTE_MBUF_F_TX_TCP_CKSUM;
		/* The sum of the pseudo header then leaves the length out. */
		if (h->tso)
			m->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
		if (t->family == 4) {
			m->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM;
			th->cksum = rte_ipv4_phdr_cksum(rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *),
							m->ol_flags);
		} else {
			m->ol_flags |= RTE_MBUF_F_TX_IPV6;
			th->cksum = rte_ipv6_phdr_cksum(rte_pktmbuf_mtod(m, struct rte_ipv6_hdr *),
							m->ol_flags);
		}
		return;
	}
	if (t->family == 4) {
		struct rte_ipv4_hdr *ip = rte_pktmbuf_mtod(m, struct rte_ipv4_hdr *);

		ip->hdr_checksum = rte_ipv4_cksum(ip);
	}
	th->cksum = tcp_cksum(m, m->l3_len);
}

/* An empty buffer with room for headers in front and opt octets of options behind. */
struct rte_mbuf *tx_alloc(struct tcp_engine *e)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(e->cfg.pool);

	if (unlikely(m == NULL)) {
		e->mib.no_mbuf++;
		return NULL;
	}
	m->data_off = HEADROOM;
	return m;
}

/* A segment that belongs to no connection; takes the counter of sent segments along. */
static void send_bare(struct tcp_engine *e, const struct hdr_in *h, const uint8_t *opts)
{
	struct rte_mbuf *m = tx_alloc(e);

	if (m == NULL)
		return;
	memcpy(rte_pktmbuf_mtod(m, char *), opts, h->optlen);
	m->data_len = m->pkt_len = h->optlen;
	tx_headers(e, m, h);
	e->mib.out_segs++;
	tx_put(e, m, h->tuple->vrf, h->tuple->family);
}

static uint32_t flow_label(const struct tcp_engine *e, const struct tcp_tuple *t)
{
	return t->family == 6 ? tcp_tuple_hash(&e->key, t) : 0;
}

static bool take_rate(uint32_t *sec, uint32_t *left, uint32_t now_ms, uint32_t rate)
{
	if (*sec != now_ms / 1000) {
		*sec = now_ms / 1000;
		*left = rate;
	}
	if (*left == 0)
		return false;
	(*left)--;
	return true;
}

bool reset_allowed(struct tcp_engine *e)
{
	if (take_rate(&e->reset_sec, &e->reset_left, e->now_ms, e->cfg.reset_rate))
		return true;
	e->mib.resets_limited++;
	return false;
}

bool challenge_allowed(struct tcp_engine *e)
{
	if (take_rate(&e->challenge_sec, &e->challenge_left, e->now_ms, e->cfg.challenge_ack_rate))
		return true;
	e->mib.challenge_acks_limited++;
	return false;
}

void send_rst_reply(struct tcp_engine *e, const struct tcp_pkt *p)
{
	struct hdr_in h = {.tuple = &p->tuple, .ttl = 64, .flow = flow_label(e, &p->tuple)};

	if (p->flags & RTE_TCP_RST_FLAG || !reset_allowed(e))
		return;
	if (p->flags & RTE_TCP_ACK_FLAG) {
		h.seq = p->ack;
		h.flags = RTE_TCP_RST_FLAG;
	} else {
		h.ack = p->seq + p->len + ((p->flags & RTE_TCP_SYN_FLAG) != 0) +
			((p->flags & RTE_TCP_FIN_FLAG) != 0);
		h.flags = RTE_TCP_RST_FLAG | RTE_TCP_ACK_FLAG;
	}
	e->mib.out_rsts++;
	send_bare(e, &h, (const uint8_t *)"");
}

void send_tw_ack(struct tcp_engine *e, const struct tcp_tw *tw)
{
	uint8_t opts[TCP_OPT_MAX];
	struct hdr_in h = {
		.tuple = &tw->tuple,
		.seq = tw->snd_nxt,
		.ack = tw->rcv_nxt,
		.wnd = tw->wnd,
		.flags = RTE_TCP_ACK_FLAG,
		.ttl = tw->ttl,
		.flow = flow_label(e, &tw->tuple),
	};

	h.optlen = tcp_opts_write(opts, tw->ts, e->now_ms + tw->ts_offset, tw->ts_recent, NULL, 0);
	send_bare(e, &h, opts);
}

void send_cookie(struct tcp_listener *l, const struct tcp_pkt *p, uint32_t iss)
{
	struct tcp_engine *e = l->e;
	const struct tcp_options *o = &l->p.opt;
	const uint32_t rcvbuf = RTE_MAX((o->rcvbuf_max != 0 ? o->rcvbuf_max : RCVBUF_MAX) >> 10, 4u)
				<< 10;
	struct tcp_route r = {0};
	uint8_t opts[TCP_OPT_MAX];
	struct tcp_opts_out out = {.wscale = -1};
	struct hdr_in h = {
		.tuple = &p->tuple,
		.seq = iss,
		.ack = p->seq + 1,
		.flags = RTE_TCP_SYN_FLAG | RTE_TCP_ACK_FLAG,
		.ttl = o->ttl != 0 ? o->ttl : 64,
		.tos = o->dscp << 2,
		.flow = flow_label(e, &p->tuple),
		/* What the connection will begin with: a window is not taken back. */
		.wnd = RTE_MIN(RTE_MIN(rcvbuf, (uint32_t)RCVBUF_INIT), 65535u),
	};

	e->env.route(e->env.ctx, &p->tuple, &r);
	if (r.mtu == 0)
		return;
	out.mss = r.mtu - (p->tuple.family == 4 ? 40 : 60);
	if (o->mss != 0)
		out.mss = RTE_MIN(out.mss, o->mss);
	out.sack_perm = p->o.flags & TCP_OPT_HAS_SACK_PERM && !o->no_sack;
	if (p->o.flags & TCP_OPT_HAS_WSCALE && !o->no_window_scale)
		out.wscale = rcv_wscale_for(o->rcvbuf_max);
	if (p->o.flags & TCP_OPT_HAS_TS && !o->no_timestamps) {
		out.ts = true;
		out.tsval = e->now_ms + tcp_ts_offset(&e->key, &p->tuple);
		out.tsecr = p->o.tsval;
	}
	/* RFC 3168: the cookie carries whether it was agreed on. */
	if ((p->flags & (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)) ==
		    (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG) &&
	    !o->no_ecn)
		h.flags |= RTE_TCP_ECE_FLAG;
	h.cksum_offload = r.tx_checksum;
	h.optlen = tcp_opts_write_syn(opts, &out);
	e->mib.syn_cookies_sent++;
	l->stats.cookies_sent++;
	send_bare(e, &h, opts);
}

int8_t rcv_wscale_for(uint32_t rcvbuf_max)
{
	const uint32_t max = rcvbuf_max != 0 ? rcvbuf_max : RCVBUF_MAX;
	int8_t n = 0;

	while (n < 14 && 65535u << n < max)
		n++;
	return n;
}
