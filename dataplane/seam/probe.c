/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about the way of a packet: echo requests and traceroute probes, and what the FIB would
 * do. */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../core/flow.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "../trace/trace.h"
#include "../vrf/vrf.h"
#include "server.h"
#include "state.h"
#include "valid.h"

/* ---- ping ------------------------------------------------------------------------------------ */

static void pinged(void *arg, const struct ping_result *p)
{
	struct seam_ping *ping = arg;
	struct seam_client *c = ping->client;
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(PingResult) m = PB_VALUE(PING_RESULT);

	m.outcome = (PB(PingOutcome))p->outcome;
	m.from = state_addr(&p->from);
	m.rtt_ns = p->rtt_ns;
	m.ttl = p->ttl;
	m.icmp_type = p->icmp_type;
	m.icmp_code = p->icmp_code;
	m.mtu = p->mtu;
	m.length = p->length;
	r.id = ping->id;
	r.result_case = PBC(RESPONSE__RESULT_PING);
	r.ping = &m;
	LIST_REMOVE(ping, next);
	c->n_pings--;
	free(ping);
	reply(c, &r);
}

void pings_cancel(struct seam_client *c)
{
	struct seam_ping *p;

	while ((p = LIST_FIRST(&c->pings)) != NULL) {
		LIST_REMOVE(p, next);
		ping_cancel(p);
		free(p);
	}
	c->n_pings = 0;
}

static int ping_source(const PB(Ping) *p, struct ping_config *cfg, struct dp_error *err)
{
	struct iface *found;

	if (p->source.len == 0)
		return 0;
	if (valid_addr(&p->source, &cfg->src, "source", err) < 0)
		return -1;
	if (cfg->src.len != cfg->dst.len)
		return dp_fail(err, DP_INVALID, "source", "is not of the destination's family");
	if (!iface_addr_is_local(cfg->vrf, &cfg->src, &found))
		return dp_fail(err, DP_INVALID, "source", "is not an address of the box");
	return 0;
}

static int ping_config(const PB(Ping) *p, struct ping_config *cfg, struct dp_error *err)
{
	const struct vrf *v;

	if (valid_known(&p->base, err) < 0)
		return -1;
	v = valid_vrf(p->vrf, "vrf", err);
	if (v == NULL || valid_addr(&p->destination, &cfg->dst, "destination", err) < 0 ||
	    valid_host(&cfg->dst, "destination", err) < 0)
		return -1;
	cfg->vrf = v->id;
	if (*p->interface != '\0') {
		cfg->iface = valid_iface(p->interface, "interface", err);
		if (cfg->iface == NULL)
			return -1;
		if (*p->vrf != '\0' && cfg->iface->vrf != v->id)
			return dp_fail(err, DP_INVALID, "interface",
				       "%s is not in network instance %s", cfg->iface->name,
				       v->name);
		cfg->vrf = cfg->iface->vrf;
	} else if (ip_addr_is_link_local(&cfg->dst)) {
		return dp_fail(err, DP_INVALID, "interface",
			       "must be set for a link-local destination");
	}
	if (ping_source(p, cfg, err) < 0 || valid_range(p->ttl, 0, 255, "ttl", err) < 0 ||
	    valid_range(p->size, 0, 8900, "size", err) < 0 ||
	    valid_range(p->identifier, 0, 65535, "identifier", err) < 0 ||
	    valid_range(p->sequence, 0, 65535, "sequence", err) < 0 ||
	    valid_range(p->timeout, 0, 60000, "timeout", err) < 0)
		return -1;
	cfg->ttl = p->ttl != 0 ? (uint8_t)p->ttl : 64;
	cfg->size = (uint16_t)p->size;
	cfg->identifier = (uint16_t)p->identifier;
	cfg->sequence = (uint16_t)p->sequence;
	cfg->timeout_ms = p->timeout != 0 ? p->timeout : 1000;
	cfg->df = p->dont_fragment;
	cfg->udp = p->udp;
	return 0;
}

void ping_begin(struct seam_client *c, uint64_t id, const PB(Ping) *p)
{
	struct ping_config cfg = {0};
	struct dp_error err = {0};
	struct seam_ping *ping;

	if (ping_config(p, &cfg, &err) < 0) {
		reply_error(c, id, "ping", &err);
		return;
	}
	if (c->n_pings >= SEAM_PINGS_MAX) {
		dp_fail(&err, DP_TABLE_FULL, "", "%d probes of this connection are under way",
			SEAM_PINGS_MAX);
		reply_error(c, id, "ping", &err);
		return;
	}
	ping = malloc(sizeof(*ping));
	if (ping == NULL) {
		dp_fail(&err, DP_NO_MEMORY, "", "no memory");
		reply_error(c, id, "ping", &err);
		return;
	}
	*ping = (struct seam_ping){.client = c, .id = id};
	LIST_INSERT_HEAD(&c->pings, ping, next);
	c->n_pings++;
	if (ping_start(&cfg, pinged, ping, &err) < 0) {
		LIST_REMOVE(ping, next);
		c->n_pings--;
		free(ping);
		reply_error(c, id, "ping", &err);
	}
}

/* ---- lookup ---------------------------------------------------------------------------------- */

struct probe {
	uint16_t vrf;
	struct ip_addr dst, src;
	uint8_t proto;
	uint16_t sport, dport;
};

static uint32_t probe_hash4(const struct probe *p, uint8_t *buf, const struct rte_mbuf *m)
{
	struct rte_ipv4_hdr *ip = (struct rte_ipv4_hdr *)buf;

	ip->version_ihl = RTE_IPV4_VHL_DEF;
	ip->next_proto_id = p->proto;
	ip->dst_addr = ip_addr_v4(&p->dst);
	ip->src_addr = p->src.len != 0 ? ip_addr_v4(&p->src) : 0;
	return flow_hash4(ip, m);
}

static uint32_t probe_hash6(const struct probe *p, uint8_t *buf, const struct rte_mbuf *m)
{
	struct rte_ipv6_hdr *ip = (struct rte_ipv6_hdr *)buf;

	ip->vtc_flow = rte_cpu_to_be_32(6u << 28);
	ip->proto = p->proto;
	memcpy(buf + offsetof(struct rte_ipv6_hdr, dst_addr), p->dst.b, 16);
	memcpy(buf + offsetof(struct rte_ipv6_hdr, src_addr), p->src.b, 16);
	return flow_hash6(ip, m);
}

/* The hash that the workers would compute of the first packet of this flow. */
static uint32_t probe_hash(const struct probe *p)
{
	uint8_t buf[64] __rte_aligned(8) = {0};
	const size_t hlen =
		p->dst.len == 4 ? sizeof(struct rte_ipv4_hdr) : sizeof(struct rte_ipv6_hdr);
	const rte_be16_t ports[2] = {rte_cpu_to_be_16(p->sport), rte_cpu_to_be_16(p->dport)};
	const struct rte_mbuf m = {
		.buf_addr = buf,
		.buf_len = sizeof(buf),
		.data_len = (uint16_t)(hlen + sizeof(ports)),
		.pkt_len = (uint32_t)(hlen + sizeof(ports)),
	};

	memcpy(buf + hlen, ports, sizeof(ports));
	return p->dst.len == 4 ? probe_hash4(p, buf, &m) : probe_hash6(p, buf, &m);
}

static const char *action_name(enum nh_action a)
{
	static const char *const names[NH_ACTION_MAX] = {
		[NH_NO_ROUTE] = "no route",
		[NH_REWRITE] = "forward",
		[NH_LOCAL] = "local",
		[NH_GLEAN] = "glean",
		[NH_UNRESOLVED] = "unresolved",
		[NH_BLACKHOLE] = "blackhole",
		[NH_REJECT] = "reject",
		[NH_PUNT] = "punt",
		[NH_BROADCAST] = "broadcast",
		[NH_VRF] = "instance loop",
		[NH_DOWN] = "down",
	};

	return a < NH_ACTION_MAX ? names[a] : "";
}

/* The member of the client's group that was chosen. */
static uint64_t chosen_id(const struct group_obj *g, uint32_t nh)
{
	for (unsigned int k = 0; g != NULL && k < g->n; k++) {
		const struct nh_obj *o = nh_obj_find(g->member[k].nh_id);

		if (o != NULL && o->nh == nh)
			return o->id;
	}
	return 0;
}

static int probe_parse(const PB(Lookup) *l, struct probe *p, struct dp_error *err)
{
	const struct vrf *v;

	if (valid_known(&l->base, err) < 0)
		return -1;
	v = valid_vrf(l->vrf, "vrf", err);
	if (v == NULL || valid_addr(&l->destination, &p->dst, "destination", err) < 0)
		return -1;
	if (l->source.len != 0) {
		if (valid_addr(&l->source, &p->src, "source", err) < 0)
			return -1;
		if (p->src.len != p->dst.len)
			return dp_fail(err, DP_INVALID, "source",
				       "is not of the destination's family");
	}
	if (valid_range(l->protocol, 0, 255, "protocol", err) < 0 ||
	    valid_range(l->source_port, 0, 65535, "source_port", err) < 0 ||
	    valid_range(l->destination_port, 0, 65535, "destination_port", err) < 0)
		return -1;
	p->vrf = v->id;
	p->proto = (uint8_t)l->protocol;
	p->sport = (uint16_t)l->source_port;
	p->dport = (uint16_t)l->destination_port;
	return 0;
}

static void lookup_fill(PB(LookupResult) *m, PB(RouteState) *route, const struct route_info *info,
			uint32_t nh)
{
	const struct group_obj *g = group_obj_by_index(info->group);
	const struct nexthop *n = &nexthops[nh];

	m->found = true;
	state_route(route, info, info->origin == ROUTE_CLIENT);
	m->route = route;
	if (info->origin == ROUTE_CLIENT && g != NULL) {
		m->group_id = g->id;
		m->next_hop_id = chosen_id(g, nh);
	}
	m->interface = pb_str(state_iface_name(n->iface));
	m->gateway = state_addr(&n->addr);
	if (n->neigh != NULL && n->action == NH_REWRITE)
		m->mac = pb_bytes(n->neigh->mac.addr_bytes, RTE_ETHER_ADDR_LEN);
	m->action = pb_str(action_name(n->action));
}

void lookup(struct seam_client *c, uint64_t id, const PB(Lookup) *l)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(LookupResult) m = PB_VALUE(LOOKUP_RESULT);
	PB(RouteState) route;
	struct probe p = {0};
	struct dp_error err = {0};
	struct route_info found;

	if (probe_parse(l, &p, &err) < 0) {
		reply_error(c, id, "lookup", &err);
		return;
	}
	m.action = pb_str(action_name(NH_NO_ROUTE));
	/* A packet jumps into another instance once. */
	for (int jump = 0; jump < 2; jump++) {
		uint32_t nh;

		if (!fib_lookup_route(p.vrf, &p.dst, &found)) {
			PB_INIT(lookup_result)(&m);
			m.action = pb_str(action_name(NH_NO_ROUTE));
			break;
		}
		nh = group_select(found.group, probe_hash(&p));
		lookup_fill(&m, &route, &found, nh);
		if (nexthops[nh].action != NH_VRF)
			break;
		p.vrf = nexthops[nh].vrf;
	}
	r.id = id;
	r.result_case = PBC(RESPONSE__RESULT_LOOKUP);
	r.lookup = &m;
	reply(c, &r);
}
