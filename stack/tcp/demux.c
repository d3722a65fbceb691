/* SPDX-License-Identifier: Apache-2.0 */
/* From packets to connections: parsing, checksums, the table, and who gets what no connection
 * takes. */
#include <netinet/in.h>

#include <rte_ip.h>
#include <rte_prefetch.h>

#include "cksum.h"
#include "conn.h"

#define CHUNK 32

/* Every length has been checked against the first segment of the buffer before it is believed. */
static bool parse(struct rte_mbuf *m, uint16_t vrf, struct tcp_pkt *p, uint64_t *bad)
{
	const uint8_t *ip = rte_pktmbuf_mtod(m, const uint8_t *);
	const uint32_t l3 = m->l3_len;
	uint32_t total, l4;

	*bad = offsetof(struct tcp_mib, drop_short);
	if (unlikely(m->data_len < l3 + sizeof(struct rte_tcp_hdr)))
		return false;
	if (likely(ip[0] >> 4 == 4)) {
		const struct rte_ipv4_hdr *h = (const struct rte_ipv4_hdr *)ip;

		total = rte_be_to_cpu_16(h->total_length);
		tcp_addr4(&p->tuple.laddr, h->dst_addr);
		tcp_addr4(&p->tuple.raddr, h->src_addr);
		p->ecn = h->type_of_service & 3;
		p->tuple.family = 4;
	} else {
		const struct rte_ipv6_hdr *h = (const struct rte_ipv6_hdr *)ip;

		total = rte_be_to_cpu_16(h->payload_len) + sizeof(*h);
		tcp_addr6(&p->tuple.laddr, h->dst_addr);
		tcp_addr6(&p->tuple.raddr, h->src_addr);
		p->ecn = (rte_be_to_cpu_32(h->vtc_flow) >> 20) & 3;
		p->tuple.family = 6;
	}
	p->th = (const struct rte_tcp_hdr *)(ip + l3);
	l4 = (p->th->data_off >> 4) * 4u;
	if (unlikely(total > m->pkt_len || l4 < sizeof(*p->th) || total < l3 + l4 ||
		     m->data_len < l3 + l4))
		return false;
	p->m = m;
	p->l3 = l3;
	p->hdr = l3 + l4;
	p->len = total - p->hdr;
	p->tuple.lport = p->th->dst_port;
	p->tuple.rport = p->th->src_port;
	p->tuple.vrf = vrf;
	p->flags = p->th->tcp_flags;
	p->seq = rte_be_to_cpu_32(p->th->sent_seq);
	p->ack = rte_be_to_cpu_32(p->th->recv_ack);
	p->wnd = rte_be_to_cpu_16(p->th->rx_win);
	return true;
}

static bool checksum_ok(const struct tcp_pkt *p)
{
	struct rte_mbuf *m = p->m;
	const uint64_t f = m->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	const uint8_t *ip;
	uint32_t sum;
	uint16_t raw;

	if (f == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		return true;
	if (f == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		return false;
	ip = rte_pktmbuf_mtod(m, const uint8_t *);
	if (!tcp_raw_cksum(m, p->l3, p->hdr - p->l3 + p->len, &raw))
		return false;
	if (p->tuple.family == 4) {
		struct rte_ipv4_hdr h = *(const struct rte_ipv4_hdr *)ip;

		/* The pseudo header wants the length without options, which is what phdr takes
		 * away. */
		h.version_ihl = 0x45;
		h.total_length = rte_cpu_to_be_16(20 + p->hdr - p->l3 + p->len);
		h.next_proto_id = IPPROTO_TCP;
		sum = rte_ipv4_phdr_cksum(&h, 0);
	} else {
		struct rte_ipv6_hdr h = *(const struct rte_ipv6_hdr *)ip;

		h.payload_len = rte_cpu_to_be_16(p->hdr - p->l3 + p->len);
		h.proto = IPPROTO_TCP;
		sum = rte_ipv6_phdr_cksum(&h, 0);
	}
	sum += raw;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static bool martian(const struct tcp_pkt *p)
{
	const uint8_t *a = p->tuple.raddr.b;

	if (p->tuple.lport == 0 || p->tuple.rport == 0)
		return true;
	if (p->tuple.family == 4)
		return a[12] >= 224 || a[12] == 0;
	return a[0] == 0xff;
}

static void drop(struct tcp_engine *e, struct rte_mbuf *m, uint64_t *counter)
{
	(void)e;
	(*counter)++;
	rte_pktmbuf_free(m);
}

uint32_t conn_lookup(const struct tcp_engine *e, const struct tcp_tuple *t, uint32_t hash)
{
	struct tcp_lookup_it it;
	uint32_t v;

	for (v = tcp_lookup_first(&e->table, hash, &it); v != TCP_NIL;
	     v = tcp_lookup_next(&e->table, &it)) {
		const struct tcp_tuple *have =
			v & TW_BIT ? &tw_at(e, v & ~TW_BIT)->tuple : &conn_at(e, v)->tuple;

		if (likely(memcmp(have, t, sizeof(*t)) == 0))
			return v;
	}
	return TCP_NIL;
}

struct tcp_conn *tcp_find(struct tcp_engine *e, const struct tcp_tuple *t)
{
	const uint32_t v = conn_lookup(e, t, tcp_tuple_hash(&e->key, t));

	return v == TCP_NIL || v & TW_BIT ? NULL : conn_at(e, v);
}

/*
 * The headers go, and whatever padding came after the packet. What a sender in the same process
 * still holds (a connection of the box with itself) is replaced, because the receive queue links
 * buffers. False: no buffers for that.
 */
static bool strip(struct tcp_engine *e, struct tcp_pkt *p)
{
	struct rte_mbuf *m = p->m;
	bool shared = false;

	/* Without payload it is only freed. */
	if (p->len == 0)
		return true;
	if (likely(m->nb_segs == 1)) {
		m->data_off += p->hdr;
		m->data_len = m->pkt_len = p->len;
	} else {
		m = tcp_chain_trim_tail(m, p->hdr + p->len, NULL);
		m = tcp_chain_trim_front(m, p->hdr, NULL);
	}
	for (const struct rte_mbuf *s = m; s != NULL; s = s->next)
		shared |= rte_mbuf_refcnt_read(s) != 1;
	p->m = m;
	if (likely(!shared))
		return true;
	p->m = tcp_chain_clone(e->cfg.pool, m);
	rte_pktmbuf_free(m);
	if (p->m == NULL)
		e->mib.drop_memory++;
	return p->m != NULL;
}

static bool to_listener(struct tcp_engine *e, struct tcp_pkt *p, uint32_t iss_min)
{
	struct tcp_listener *l = listener_find(e, &p->tuple);

	if (l == NULL)
		return false;
	if (!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
			    (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o)) {
		drop(e, p->m, &e->mib.drop_options);
		return true;
	}
	if (strip(e, p))
		listen_input(l, p, iss_min);
	return true;
}

/* False: nobody's. */
static bool input_one(struct tcp_engine *e, struct tcp_pkt *p, uint32_t v)
{
	uint32_t iss_min = 0;

	e->mib.in_segs++;
	if (unlikely(!checksum_ok(p))) {
		drop(e, p->m, &e->mib.drop_checksum);
		return true;
	}
	if (unlikely(v == TCP_NIL)) {
		if (unlikely(martian(p))) {
			drop(e, p->m, &e->mib.drop_martian);
			return true;
		}
		if (to_listener(e, p, 0))
			return true;
		e->mib.in_segs--;
		return false;
	}
	if (unlikely(v & TW_BIT)) {
		if (!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
				    (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o)) {
			drop(e, p->m, &e->mib.drop_options);
			return true;
		}
		if (tw_input(e, v & ~TW_BIT, p, &iss_min)) {
			rte_pktmbuf_free(p->m);
			return true;
		}
		if (to_listener(e, p, iss_min))
			return true;
		return false;
	}
	if (unlikely(!tcp_opts_parse((const uint8_t *)(p->th + 1), p->hdr - p->l3 - 20,
				     (p->flags & RTE_TCP_SYN_FLAG) != 0, &p->o))) {
		drop(e, p->m, &e->mib.drop_options);
		return true;
	}
	if (likely(strip(e, p)))
		seg_input(conn_at(e, v), p);
	return true;
}

static uint16_t input_chunk(struct tcp_engine *e, struct rte_mbuf **pkts, const uint16_t *vrf,
			    uint8_t *verdict, uint16_t n)
{
	struct tcp_pkt p[CHUNK];
	uint64_t bad[CHUNK];
	bool ok[CHUNK];
	uint16_t i, refused = 0;

	for (i = 0; i < n; i++) {
		ok[i] = parse(pkts[i], vrf[i], &p[i], &bad[i]);
		if (unlikely(!ok[i]))
			continue;
		p[i].hash = tcp_tuple_hash(&e->key, &p[i].tuple);
		tcp_lookup_prefetch(&e->table, p[i].hash);
	}
	for (i = 0; i < n; i++) {
		struct tcp_lookup_it it;
		uint32_t v;

		if (unlikely(!ok[i]))
			continue;
		v = tcp_lookup_first(&e->table, p[i].hash, &it);
		if (likely(v != TCP_NIL && !(v & TW_BIT))) {
			const char *c = (const char *)conn_at(e, v);

			rte_prefetch0(c);
			rte_prefetch0(c + 64);
			rte_prefetch0(c + 128);
			rte_prefetch0(c + 192);
		}
	}
	for (i = 0; i < n; i++) {
		verdict[i] = TCP_TAKEN;
		if (unlikely(!ok[i])) {
			drop(e, pkts[i], (uint64_t *)((char *)&e->mib + bad[i]));
			e->mib.in_segs++;
			continue;
		}
		/* Looked up now: an earlier packet of the vector may have made or ended it. */
		if (unlikely(!input_one(e, &p[i], conn_lookup(e, &p[i].tuple, p[i].hash)))) {
			verdict[i] = TCP_NOT_MINE;
			refused++;
		}
	}
	return refused;
}

uint16_t tcp_input(struct tcp_engine *e, struct rte_mbuf **pkts, const uint16_t *vrf,
		   uint8_t *verdict, uint16_t n, uint64_t now_ns)
{
	uint16_t refused = 0;

	engine_set_now(e, now_ns);
	for (uint16_t i = 0; i < n; i += CHUNK)
		refused += input_chunk(e, pkts + i, vrf + i, verdict + i, RTE_MIN(n - i, CHUNK));
	return refused;
}

void tcp_refuse(struct tcp_engine *e, struct rte_mbuf *m, uint16_t vrf)
{
	struct tcp_pkt p;
	uint64_t bad;

	if (parse(m, vrf, &p, &bad) && !martian(&p))
		send_rst_reply(e, &p);
	rte_pktmbuf_free(m);
}
