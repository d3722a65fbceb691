/* SPDX-License-Identifier: Apache-2.0 */
/* The network side: IP packets of the script into the engine, the engine's to the script. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <rte_ip.h>
#include <rte_mbuf.h>
#include <rte_tcp.h>

#include "shim.h"

/* A script waits for no packet longer than this. */
#define RECEIVE_LIMIT_NS (7200ull * 1000000000)

void net_route(void *ctx, const struct tcp_tuple *t, struct tcp_route *out)
{
	struct shim *s = ctx;

	out->mtu = (uint16_t)(s->world.mtu ? s->world.mtu : s->flag_mtu);
	out->tx_checksum = true;
	out->tso_max = s->world.tso ? 65000 : 0;
}

/* The port's part of what net_route() promised. */
static void finish(uint8_t *p, uint32_t len, uint8_t family)
{
	if (family == 4) {
		struct rte_ipv4_hdr *ip = (void *)p;
		struct rte_tcp_hdr *th = (void *)(p + sizeof(*ip));

		ip->total_length = rte_cpu_to_be_16((uint16_t)len);
		ip->hdr_checksum = 0;
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		th->cksum = 0;
		th->cksum = rte_ipv4_udptcp_cksum(ip, th);
	} else {
		struct rte_ipv6_hdr *ip = (void *)p;
		struct rte_tcp_hdr *th = (void *)(p + sizeof(*ip));

		ip->payload_len = rte_cpu_to_be_16((uint16_t)(len - sizeof(*ip)));
		th->cksum = 0;
		th->cksum = rte_ipv6_udptcp_cksum(ip, th);
	}
}

void net_tx(void *ctx, struct rte_mbuf **pkts, uint16_t n)
{
	struct shim *s = ctx;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t len = rte_pktmbuf_pkt_len(pkts[i]);
		struct sent *p = s->world.blocked ? NULL : malloc(sizeof(*p) + len);

		if (p) {
			const uint8_t *data = rte_pktmbuf_read(pkts[i], 0, len, p->data);

			if (data != p->data)
				memcpy(p->data, data, len);
			p->next = NULL;
			p->at_ns = s->now_ns;
			p->len = len;
			finish(p->data, len, tcp_tx_family(pkts[i]));
			*s->tail = p;
			s->tail = &p->next;
		}
		rte_pktmbuf_free(pkts[i]);
	}
}

void net_free(struct shim *s)
{
	while (s->head) {
		struct sent *p = s->head;

		s->head = p->next;
		free(p);
	}
	s->tail = &s->head;
}

/* The quoted segment of an ICMP error: whose it was and its sequence number. */
static bool quoted(const uint8_t *p, size_t n, struct tcp_tuple *t, uint32_t *seq)
{
	const struct rte_tcp_hdr *th;
	size_t l3;

	memset(t, 0, sizeof(*t));
	if (n >= sizeof(struct rte_ipv4_hdr) && p[0] >> 4 == 4) {
		const struct rte_ipv4_hdr *ip = (const void *)p;

		l3 = (size_t)(p[0] & 15) * 4;
		if (ip->next_proto_id != IPPROTO_TCP)
			return false;
		tcp_addr4(&t->laddr, ip->src_addr);
		tcp_addr4(&t->raddr, ip->dst_addr);
		t->family = 4;
	} else if (n >= sizeof(struct rte_ipv6_hdr) && p[0] >> 4 == 6) {
		const struct rte_ipv6_hdr *ip = (const void *)p;

		l3 = sizeof(*ip);
		if (ip->proto != IPPROTO_TCP)
			return false;
		tcp_addr6(&t->laddr, ip->src_addr);
		tcp_addr6(&t->raddr, ip->dst_addr);
		t->family = 6;
	} else {
		return false;
	}
	if (n < l3 + 8)
		return false;
	th = (const void *)(p + l3);
	t->lport = th->src_port;
	t->rport = th->dst_port;
	*seq = rte_be_to_cpu_32(th->sent_seq);
	return true;
}

static void icmp4(struct shim *s, const uint8_t *p, size_t n)
{
	const struct icmphdr *h = (const void *)p;
	enum tcp_icmp what = TCP_ICMP_SOFT;
	struct tcp_tuple t;
	uint32_t seq, mtu = 0;

	if (n < sizeof(*h) || !quoted(p + sizeof(*h), n - sizeof(*h), &t, &seq))
		return;
	if (h->type == ICMP_DEST_UNREACH) {
		if (h->code == ICMP_FRAG_NEEDED) {
			what = TCP_ICMP_TOO_BIG;
			mtu = ntohs(h->un.frag.mtu);
		} else if (h->code == ICMP_PROT_UNREACH || h->code == ICMP_PORT_UNREACH ||
			   h->code == ICMP_PKT_FILTERED || h->code == ICMP_NET_ANO ||
			   h->code == ICMP_HOST_ANO) {
			what = TCP_ICMP_HARD;
		}
	} else if (h->type != ICMP_TIME_EXCEEDED) {
		return;
	}
	tcp_icmp(s->engine, &t, seq, what, mtu, s->now_ns);
}

static void icmp6(struct shim *s, const uint8_t *p, size_t n)
{
	const struct icmp6_hdr *h = (const void *)p;
	enum tcp_icmp what = TCP_ICMP_SOFT;
	struct tcp_tuple t;
	uint32_t seq, mtu = 0;

	if (n < sizeof(*h) || !quoted(p + sizeof(*h), n - sizeof(*h), &t, &seq))
		return;
	if (h->icmp6_type == ICMP6_PACKET_TOO_BIG) {
		what = TCP_ICMP_TOO_BIG;
		mtu = ntohl(h->icmp6_mtu);
	} else if (h->icmp6_type == ICMP6_DST_UNREACH) {
		if (h->icmp6_code == ICMP6_DST_UNREACH_NOPORT ||
		    h->icmp6_code == ICMP6_DST_UNREACH_ADMIN)
			what = TCP_ICMP_HARD;
	} else if (h->icmp6_type != ICMP6_TIME_EXCEEDED) {
		return;
	}
	tcp_icmp(s->engine, &t, seq, what, mtu, s->now_ns);
}

static struct rte_mbuf *to_mbuf(struct shim *s, const uint8_t *p, size_t n)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool), *tail = m;

	while (m && n) {
		size_t room = rte_pktmbuf_tailroom(tail);
		size_t part = n < room ? n : room;

		if (!part) {
			tail = rte_pktmbuf_alloc(s->pool);
			if (!tail || rte_pktmbuf_chain(m, tail)) {
				rte_pktmbuf_free(m);
				return NULL;
			}
			continue;
		}
		memcpy(rte_pktmbuf_mtod_offset(tail, uint8_t *, tail->data_len), p, part);
		tail->data_len += part;
		m->pkt_len += part;
		p += part;
		n -= part;
	}
	return m;
}

int shim_netdev_send(void *user, const void *buf, size_t n)
{
	struct shim *s = user;
	const uint8_t *p = buf;
	bool v6 = n && p[0] >> 4 == 6;
	size_t l3 = v6 ? sizeof(struct rte_ipv6_hdr) : (size_t)(p[0] & 15) * 4;
	uint8_t proto = n > 20 ? (v6 ? p[6] : p[9]) : 0;
	uint16_t vrf = 0;
	uint8_t verdict;
	struct rte_mbuf *m;

	clock_enter(s);
	if (proto == IPPROTO_ICMP) {
		icmp4(s, p + l3, n - l3);
	} else if (proto == IPPROTO_ICMPV6) {
		icmp6(s, p + l3, n - l3);
	} else if (proto == IPPROTO_TCP) {
		m = to_mbuf(s, buf, n);
		if (!m) {
			clock_leave(s);
			errno = ENOBUFS;
			return -1;
		}
		m->l3_len = l3;
		for (unsigned int i = 0; i < SHIM_FDS; i++)
			if (s->socks[i])
				sock_release_more(s->socks[i]);
		if (tcp_input(s->engine, &m, &vrf, &verdict, 1, s->now_ns))
			tcp_refuse(s->engine, m, vrf);
	}
	clock_leave(s);
	return 0;
}

int shim_netdev_receive(void *user, void *buf, size_t *n, long long *usecs)
{
	struct shim *s = user;
	struct sent *p;
	uint64_t limit;

	clock_enter(s);
	limit = s->now_ns + RECEIVE_LIMIT_NS;
	while (!s->head && clock_step(s, limit)) {
	}
	p = s->head;
	if (!p) {
		*n = 0;
		*usecs = (long long)shim_us(s);
	} else {
		s->head = p->next;
		if (!s->head)
			s->tail = &s->head;
		if (p->len < *n)
			*n = p->len;
		memcpy(buf, p->data, *n);
		*usecs = (long long)(p->at_ns / 1000);
		free(p);
	}
	clock_leave(s);
	return 0;
}
