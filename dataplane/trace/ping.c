/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ping and traceroute probes from the data plane itself: they take the way a forwarded packet
 * takes, not the kernel's. Answers come back through the ping-input node, which knows the
 * identifiers of the probes under way; everything else there is the kernel's.
 */
#include <stdio.h>
#include <stdlib.h>

#include <rte_byteorder.h>
#include <rte_cycles.h>
#include <rte_ip.h>
#include <rte_udp.h>

#include "../core/loop.h"
#include "../core/node.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../neigh/neigh.h"
#include "answer.h"
#include "trace.h"

#define PROBES_MAX 1024
#define TICK_MS	   10
#define SEGMENT	   1024

struct probe {
	struct ping_config c;
	ping_fn fn;
	void *arg;
	uint64_t sent_tsc;
	uint64_t deadline_ns;
	/* Known before it was sent: no route. */
	bool hopeless;
	/*
	 * An address of the box that no packet to it gets back from: the kernel takes none from its
	 * own address, and a link-local one has no route.
	 */
	bool here;
	struct probe *next;
};

static struct probe *probes;
static unsigned int n_probes;
/* Bit per identifier (UDP: source port) with a probe under way. Read by workers. */
static uint64_t active_ids[65536 / 64];

static bool id_active(uint16_t id)
{
	return (__atomic_load_n(&active_ids[id >> 6], __ATOMIC_RELAXED) >> (id & 63)) & 1;
}

static void ids_update(void)
{
	uint64_t bits[RTE_DIM(active_ids)] = {0};

	for (const struct probe *p = probes; p != NULL; p = p->next)
		bits[p->c.identifier >> 6] |= 1ull << (p->c.identifier & 63);
	for (unsigned int i = 0; i < RTE_DIM(bits); i++)
		__atomic_store_n(&active_ids[i], bits[i], __ATOMIC_RELAXED);
}

/* ---- the node ---- */

enum {
	EDGE_KERNEL,
	EDGE_FULL,
	EDGE_MAX,
};

DROP_NODE(ping_full, "ping-ring-full", "more answers to the data plane's own pings than it takes");

static uint16_t ping_input(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		struct rte_mbuf *m = objs[i];
		struct ping_answer a;

		if (!ping_parse_answer(rte_pktmbuf_mtod(m, const uint8_t *), m->data_len, &a) ||
		    !id_active(a.id)) {
			rte_node_enqueue_x1(graph, node, EDGE_KERNEL, m);
			continue;
		}
		/* The time of arrival travels at the start of the headroom. */
		*(uint64_t *)m->buf_addr = rte_rdtsc();
		if (worker_punt(worker_self, PUNT_PING, &objs[i], 1) == 0)
			rte_node_enqueue_x1(graph, node, EDGE_FULL, m);
	}
	return n;
}

static struct rte_node_register ping_input_node = {
	.name = "ping-input",
	.process = ping_input,
	.nb_edges = EDGE_MAX,
	.next_nodes = {[EDGE_KERNEL] = "kernel-punt", [EDGE_FULL] = "drop-ping-ring-full"},
};
RTE_NODE_REGISTER(ping_input_node);

/* ---- control thread ---- */

static void check_deadlines(uint64_t now, void *arg);

static void end(struct probe *p, const struct ping_result *r)
{
	for (struct probe **q = &probes; *q != NULL; q = &(*q)->next) {
		if (*q == p) {
			*q = p->next;
			break;
		}
	}
	if (--n_probes == 0)
		loop_tick_del(check_deadlines, NULL);
	ids_update();
	p->fn(p->arg, r);
	free(p);
}

static void check_deadlines(uint64_t now, void *arg)
{
	(void)arg;
	for (struct probe *p = probes, *next; p != NULL; p = next) {
		struct ping_result r = {.outcome = p->hopeless ? PING_NO_ROUTE : PING_TIMEOUT};

		next = p->next;
		if (p->here) {
			const uint16_t headers = p->c.dst.len == 16 ? 48 : 28;

			r = (struct ping_result){.outcome = PING_REPLY,
						 .from = p->c.dst,
						 .ttl = p->c.ttl,
						 .length = (uint16_t)(headers + p->c.size)};
		}
		if (p->hopeless || p->here || now >= p->deadline_ns)
			end(p, &r);
	}
}

static enum ping_outcome outcome_of(const struct ping_answer *a)
{
	if (a->reply)
		return PING_REPLY;
	if (a->type == (a->ipv6 ? TIME_EXCEEDED6 : TIME_EXCEEDED4))
		return PING_TIME_EXCEEDED;
	if (a->ipv6 ? a->type == TOO_BIG6 : (a->type == UNREACHABLE4 && a->code == 4))
		return PING_TOO_BIG;
	/* A traceroute ends where the port is unreachable: that is the answer it wanted. */
	if (a->udp && (a->ipv6 ? a->type == UNREACHABLE6 && a->code == 4
			       : a->type == UNREACHABLE4 && a->code == 3))
		return PING_REPLY;
	return PING_UNREACHABLE;
}

static bool matches(const struct probe *p, const struct ping_answer *a)
{
	return p->c.identifier == a->id && p->c.sequence == a->seq && p->c.udp == a->udp &&
	       (ip_addr_eq(&p->c.dst, &a->dst) || (a->reply && p->c.dst.b[0] == 0xff));
}

static bool receive(void *arg)
{
	struct rte_mbuf *m[32];
	unsigned int n = punt_dequeue(PUNT_PING, m, RTE_DIM(m));

	(void)arg;
	for (unsigned int i = 0; i < n; i++) {
		struct ping_answer a;

		if (ping_parse_answer(rte_pktmbuf_mtod(m[i], const uint8_t *), m[i]->data_len,
				      &a)) {
			uint64_t at = *(uint64_t *)m[i]->buf_addr;

			for (struct probe *p = probes; p != NULL; p = p->next) {
				if (!matches(p, &a))
					continue;
				const struct ping_result r = {
					.outcome = outcome_of(&a),
					.from = a.from,
					.rtt_ns = (uint64_t)((double)(at - p->sent_tsc) * 1e9 /
							     (double)rte_get_tsc_hz()),
					.ttl = a.ttl,
					.icmp_type = a.type,
					.icmp_code = a.code,
					.mtu = outcome_of(&a) == PING_TOO_BIG ? a.mtu : 0,
					.length = (uint16_t)m[i]->pkt_len,
				};
				end(p, &r);
				break;
			}
		}
		rte_pktmbuf_free(m[i]);
	}
	return n == RTE_DIM(m);
}

/* A chain of zeroes of len bytes. */
static struct rte_mbuf *zeroes(size_t len)
{
	struct rte_mbuf *head = NULL;

	do {
		struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
		uint16_t part = (uint16_t)RTE_MIN(len, (size_t)SEGMENT);

		if (m == NULL || (head != NULL && rte_pktmbuf_chain(head, m) != 0)) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(head);
			return NULL;
		}
		if (head == NULL)
			head = m;
		memset(rte_pktmbuf_append(head, part), 0, part);
		len -= part;
	} while (len > 0);
	return head;
}

static void fill_l4(const struct ping_config *c, uint8_t *l4, size_t len)
{
	if (c->udp) {
		struct rte_udp_hdr *u = (struct rte_udp_hdr *)l4;

		u->src_port = rte_cpu_to_be_16(c->identifier);
		u->dst_port = rte_cpu_to_be_16((uint16_t)(TRACEROUTE_PORT + c->sequence));
		u->dgram_len = rte_cpu_to_be_16((uint16_t)len);
		return;
	}
	l4[0] = c->dst.len == 16 ? ECHO6 : ECHO4;
	l4[4] = (uint8_t)(c->identifier >> 8);
	l4[5] = (uint8_t)c->identifier;
	l4[6] = (uint8_t)(c->sequence >> 8);
	l4[7] = (uint8_t)c->sequence;
}

static void set_cksum(uint8_t *at, uint32_t sum)
{
	uint16_t v;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	v = (uint16_t)~sum;
	if (v == 0)
		v = 0xffff;
	memcpy(at, &v, 2);
}

static struct rte_mbuf *build(const struct ping_config *c, const struct ip_addr *src)
{
	const size_t ip_len = c->dst.len == 16 ? 40 : 20, l4_len = 8 + (size_t)c->size;
	struct rte_mbuf *m = zeroes(ip_len + l4_len);
	uint8_t *h, *l4;
	uint32_t sum;

	if (m == NULL)
		return NULL;
	h = rte_pktmbuf_mtod(m, uint8_t *);
	l4 = h + ip_len;
	fill_l4(c, l4, l4_len);
	/* The payload is zeroes: only the first eight bytes count. */
	sum = rte_raw_cksum(l4, 8);
	if (c->dst.len == 16) {
		struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)h;

		ip->vtc_flow = RTE_BE32(0x60000000);
		ip->payload_len = rte_cpu_to_be_16((uint16_t)l4_len);
		ip->proto = c->udp ? IPPROTO_UDP : IPPROTO_ICMPV6;
		ip->hop_limits = c->ttl;
		memcpy(h + 8, src->b, 16);
		memcpy(h + 24, c->dst.b, 16);
		set_cksum(l4 + (c->udp ? 6 : 2), sum + rte_ipv6_phdr_cksum(ip, 0));
	} else {
		struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)h;

		ip->version_ihl = 0x45;
		ip->total_length = rte_cpu_to_be_16((uint16_t)(ip_len + l4_len));
		ip->packet_id = rte_cpu_to_be_16(c->sequence);
		ip->fragment_offset = c->df ? RTE_BE16(RTE_IPV4_HDR_DF_FLAG) : 0;
		ip->time_to_live = c->ttl;
		ip->next_proto_id = c->udp ? IPPROTO_UDP : IPPROTO_ICMP;
		ip->src_addr = ip_addr_v4(src);
		ip->dst_addr = ip_addr_v4(&c->dst);
		ip->hdr_checksum = rte_ipv4_cksum(ip);
		if (c->udp)
			sum += rte_ipv4_phdr_cksum(ip, 0);
		set_cksum(l4 + (c->udp ? 6 : 2), sum);
	}
	return m;
}

/* The address the answer is to come to, by the interface the probe leaves by. */
static bool pick_source(const struct ping_config *c, const struct iface *out, struct ip_addr *src)
{
	if (c->src.len != 0) {
		*src = c->src;
		return true;
	}
	if (c->dst.len == 4) {
		uint32_t a = out != NULL ? iface_source4(out, ip_addr_v4(&c->dst)) : 0;

		if (a == 0)
			a = vrf_source4(c->vrf);
		*src = ip_addr4(a);
		return a != 0;
	}
	const uint8_t *a = out != NULL ? iface_source6(out, c->dst.b) : NULL;

	if (a == NULL && !ip_addr_is_link_local(&c->dst))
		a = vrf_source6(c->vrf);
	if (a == NULL)
		return false;
	*src = ip_addr6(a);
	return true;
}

int ping_start(const struct ping_config *c, ping_fn fn, void *arg, struct dp_error *err)
{
	bool link_local = ip_addr_is_link_local(&c->dst);
	struct iface *out = c->iface;
	bool hopeless = false, here;
	struct rte_mbuf *m;
	struct ip_addr src;
	struct probe *p;

	if (n_probes >= PROBES_MAX)
		return dp_fail(err, DP_TABLE_FULL, "ping", "%d probes are under way already",
			       PROBES_MAX);
	if (link_local && out == NULL)
		return dp_fail(err, DP_INVALID, "interface", "a link-local destination needs one");
	if (c->src.len != 0 && c->src.len != c->dst.len)
		return dp_fail(err, DP_INVALID, "source",
			       "it is of another family than the destination");
	if (c->src.len != 0 && !iface_addr_is_local(c->vrf, &c->src, NULL))
		return dp_fail(err, DP_INVALID, "source", "it is not an address of the box");
	if (!link_local) {
		const struct nexthop *nh = &nexthops[group_select(fib_lookup(c->vrf, &c->dst), 0)];

		hopeless = nh->action == NH_NO_ROUTE || nh->action == NH_DOWN;
		out = nh->iface != IFACE_NONE ? ifaces[nh->iface] : NULL;
	}
	here = link_local ? iface_addr_find(out, &c->dst) != NULL
			  : c->udp && iface_addr_is_local(c->vrf, &c->dst, NULL);
	if (!hopeless && !here && !pick_source(c, out, &src))
		return dp_fail(err, DP_INVALID, "source", "the box has no address to send from");
	p = calloc(1, sizeof(*p));
	m = p != NULL && !hopeless && !here ? build(c, &src) : NULL;
	if (p == NULL || (!hopeless && !here && m == NULL)) {
		free(p);
		return dp_fail(err, DP_NO_MEMORY, "ping", "no packet buffers");
	}
	*p = (struct probe){
		.c = *c,
		.fn = fn,
		.arg = arg,
		.hopeless = hopeless,
		.here = here,
		.deadline_ns = now_mono_ns() + c->timeout_ms * 1000000ull,
		.next = probes,
	};
	if (n_probes++ == 0)
		loop_tick_add(TICK_MS, check_deadlines, NULL);
	probes = p;
	ids_update();
	if (hopeless || here)
		return 0;
	*mb_meta(m) = (struct mb_meta){.vrf = c->vrf, .flags = MB_HOST};
	p->sent_tsc = rte_rdtsc();
	if (link_local)
		neigh_output(out, &c->dst, m);
	else
		worker_inject(m, c->dst.len == 16 ? INJECT_IP6_OUTPUT : INJECT_IP4_OUTPUT);
	return 0;
}

void ping_cancel(void *arg)
{
	for (struct probe *p = probes, *next; p != NULL; p = next) {
		next = p->next;
		if (p->arg == arg) {
			for (struct probe **q = &probes; *q != NULL; q = &(*q)->next) {
				if (*q == p) {
					*q = next;
					break;
				}
			}
			free(p);
			if (--n_probes == 0)
				loop_tick_del(check_deadlines, NULL);
		}
	}
	ids_update();
}

int ping_init(void)
{
	return loop_poll_add(receive, NULL);
}
