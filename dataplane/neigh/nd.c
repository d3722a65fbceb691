/* SPDX-License-Identifier: Apache-2.0 */
/* Neighbour discovery: RFC 4861 section 7, RFC 4862 section 5.4, RFC 7527. */
#include "internal.h"
#include "../core/log.h"

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};
static const uint8_t unspecified[16];

/* NS and NA with one link-layer option, or (DAD) a nonce. */
#define MESSAGE_LEN 24
#define OPTION_LEN  8

static void nonce_of(const struct iface *i, const uint8_t *target, uint8_t *out)
{
	uint8_t key[18];
	uint64_t h;

	/* Secret by the key of this boot, and needs no place to be kept in. */
	memcpy(key, &i->id, 2);
	memcpy(key + 2, target, 16);
	h = neigh_siphash(key, sizeof(key));
	memcpy(out, &h, 6);
}

static void put_option(uint8_t *o, uint8_t type, const uint8_t *six)
{
	o[0] = type;
	o[1] = 1;
	memcpy(o + 2, six, 6);
}

static struct rte_mbuf *message(struct iface *i, uint8_t type, uint8_t flags, const uint8_t *target,
				uint8_t opt, const uint8_t *opt_data)
{
	struct rte_mbuf *m = neigh_frame(i, sizeof(struct ip6_header) + MESSAGE_LEN + OPTION_LEN);
	uint8_t *p;

	if (m == NULL)
		return NULL;
	p = rte_pktmbuf_mtod_offset(m, uint8_t *, sizeof(struct ip6_header));
	p[0] = type;
	p[4] = flags;
	memcpy(p + 8, target, 16);
	put_option(p + MESSAGE_LEN, opt, opt_data);
	return m;
}

static void finish(struct rte_mbuf *m, const uint8_t *src, const uint8_t *dst)
{
	icmp6_finish(rte_pktmbuf_mtod(m, struct ip6_header *), src, dst, MESSAGE_LEN + OPTION_LEN);
}

static void send_to_group(struct iface *i, struct rte_mbuf *m, const uint8_t *src,
			  const uint8_t *group)
{
	const struct ip_addr a = ip_addr6(group);
	struct rte_ether_addr mac;

	finish(m, src, group);
	mac_of_multicast(&a, &mac);
	neigh_frame_send(i, m, &mac, ETHERTYPE_IP6);
}

/* Any preferred address of the interface will do: link-local ones come first in the list of those
 * that fit. */
static const uint8_t *source_for(const struct iface *i, const uint8_t *target)
{
	const uint8_t *src = iface_source6(i, target);

	for (unsigned int k = 0; src == NULL && k < i->n_addrs; k++)
		if (i->addrs[k].addr.len == 16 && i->addrs[k].dad == DAD_PREFERRED)
			src = i->addrs[k].addr.b;
	return src;
}

void nd_solicit(struct iface *i, const uint8_t *target, const struct rte_ether_addr *dst)
{
	const uint8_t *src = source_for(i, target);
	struct rte_mbuf *m;
	uint8_t sn[16];

	if (src == NULL)
		return;
	m = message(i, ND_NS, 0, target, ND_OPT_SLL, i->mac.addr_bytes);
	if (m == NULL)
		return;
	if (dst == NULL) {
		solicited_node(target, sn);
		send_to_group(i, m, src, sn);
		return;
	}
	finish(m, src, target);
	neigh_frame_send(i, m, dst, ETHERTYPE_IP6);
}

void nd_dad_probe(struct iface *i, const uint8_t *target)
{
	struct rte_mbuf *m;
	uint8_t nonce[6], sn[16];

	nonce_of(i, target, nonce);
	m = message(i, ND_NS, 0, target, ND_OPT_NONCE, nonce);
	if (m == NULL)
		return;
	solicited_node(target, sn);
	send_to_group(i, m, unspecified, sn);
}

static struct rte_mbuf *advertisement(struct iface *i, const uint8_t *target, uint8_t flags)
{
	return message(i, ND_NA, flags | NA_ROUTER | NA_OVERRIDE, target, ND_OPT_TLL,
		       i->mac.addr_bytes);
}

void nd_announce(struct iface *i, const uint8_t *addr)
{
	struct rte_mbuf *m = advertisement(i, addr, 0);

	if (m != NULL)
		send_to_group(i, m, addr, all_nodes);
}

static void duplicate(struct iface *i, struct iface_addr *a, const struct rte_ether_addr *mac)
{
	char buf[IP_ADDR_STRLEN];

	LOG_WARN("address is a duplicate and is not used iface=%s address=%s", i->name,
		 ip_addr_str(&a->addr, buf));
	if (mac != NULL)
		a->conflict_mac = *mac;
	a->dad_next_ns = 0;
	iface_addr_dad_done(i, a, DAD_DUPLICATE);
}

static void ns_input(struct iface *i, const struct nd_message *m)
{
	const struct ip_addr target = ip_addr6(m->target), src = ip_addr6(m->src);
	struct iface_addr *a = iface_addr_find(i, &target), *own;
	struct rte_mbuf *reply;
	struct neigh_ent *e;
	uint8_t nonce[6];

	if (a == NULL || a->dad == DAD_DUPLICATE)
		return;
	if (memcmp(m->src, unspecified, 16) == 0) {
		if (a->dad == DAD_PREFERRED) {
			nd_announce(i, m->target);
			return;
		}
		nonce_of(i, m->target, nonce);
		/* Our own probe, which the link gave back (RFC 7527). */
		if (!m->has_nonce || memcmp(nonce, m->nonce, 6) != 0)
			duplicate(i, a, NULL);
		return;
	}
	/* A tentative address is not used, not even to answer (RFC 4862 section 5.4.3). */
	own = iface_addr_find(i, &src);
	if (a->dad != DAD_PREFERRED || (own != NULL && own->dad != DAD_DUPLICATE))
		return;
	if (m->has_sll && neigh_on_link(i, &src)) {
		e = neigh_table_find(i, &src);
		if (e != NULL)
			neigh_set_mac(e, &m->sll, NUD_STALE);
		else
			neigh_learn(i, &src, &m->sll);
	}
	reply = advertisement(i, m->target, NA_SOLICITED);
	if (reply == NULL)
		return;
	finish(reply, m->target, m->src);
	if (m->has_sll)
		neigh_frame_send(i, reply, &m->sll, ETHERTYPE_IP6);
	else
		neigh_output(i, &src, reply);
}

/* RFC 4861 section 7.2.5. */
static void na_input(struct iface *i, const struct nd_message *m)
{
	const struct ip_addr target = ip_addr6(m->target);
	static const struct rte_ether_addr unknown;
	const bool solicited = m->flags & NA_SOLICITED;
	struct iface_addr *a = iface_addr_find(i, &target);
	struct neigh_ent *e;
	bool differs;

	/* The owner of an address that was a duplicate here is a neighbour as any. */
	if (a != NULL && a->dad != DAD_DUPLICATE) {
		if (a->dad == DAD_TENTATIVE)
			duplicate(i, a, m->has_tll ? &m->tll : NULL);
		else
			addr_conflict(i, a, m->has_tll ? &m->tll : &unknown);
		return;
	}
	e = neigh_table_find(i, &target);
	if (e == NULL || e->n.nud == NUD_STATIC)
		return;
	if (!neigh_usable(&e->n)) {
		if (!m->has_tll)
			return;
		e->n.is_router = m->flags & NA_ROUTER;
		neigh_set_mac(e, &m->tll, solicited ? NUD_REACHABLE : NUD_STALE);
		return;
	}
	differs = m->has_tll && !rte_is_same_ether_addr(&m->tll, &e->n.mac);
	if (differs && !(m->flags & NA_OVERRIDE)) {
		neigh_doubt(e);
		return;
	}
	e->n.is_router = m->flags & NA_ROUTER;
	if (differs)
		neigh_set_mac(e, &m->tll, solicited ? NUD_REACHABLE : NUD_STALE);
	else if (solicited)
		neigh_confirm(e);
}

/* RS (RFC 4861 section 6.2.6) and RA tell the sender's MAC and whether it is a router; neither
 * makes an entry. */
static void router_input(struct iface *i, const struct nd_message *m)
{
	const struct ip_addr src = ip_addr6(m->src);
	struct neigh_ent *e = neigh_table_find(i, &src);

	if (e != NULL) {
		/* An RA of lifetime 0 still comes from a router (section 6.3.4). */
		e->n.is_router = m->type == ND_RA;
		if (m->has_sll)
			neigh_set_mac(e, &m->sll, NUD_STALE);
	}
	if (m->type == ND_RS)
		ra_solicited(i);
}

void nd_input(struct iface *i, const uint8_t *data, uint32_t len)
{
	struct nd_message m;

	if (nd_parse(data, len, &m) != ND_OK || i->kind == IFACE_LOOPBACK)
		return;
	/* A frame of our own that came back; a DAD probe tells by its nonce. */
	if ((m.has_sll && rte_is_same_ether_addr(&m.sll, &i->mac)) ||
	    (m.has_tll && rte_is_same_ether_addr(&m.tll, &i->mac)))
		return;
	switch (m.type) {
	case ND_NS:
		ns_input(i, &m);
		break;
	case ND_NA:
		na_input(i, &m);
		break;
	default:
		router_input(i, &m);
		break;
	}
}
