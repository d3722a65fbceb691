/* SPDX-License-Identifier: Apache-2.0 */
/* ARP: RFC 826, RFC 1122 section 2.3.2, RFC 5227. */
#include "internal.h"

enum arp_verdict arp_check(const uint8_t *data, uint32_t len)
{
	const struct arp_packet *p = (const struct arp_packet *)data;

	if (len < sizeof(*p))
		return ARP_TRUNCATED;
	if (get16(p->hardware) != 1 || p->hlen != 6)
		return ARP_BAD_HARDWARE;
	if (get16(p->protocol) != ETHERTYPE_IP4 || p->plen != 4)
		return ARP_BAD_PROTOCOL;
	if (get16(p->op) != ARP_REQUEST && get16(p->op) != ARP_REPLY)
		return ARP_BAD_OPCODE;
	if (!rte_is_valid_assigned_ether_addr((const struct rte_ether_addr *)p->sha))
		return ARP_BAD_SENDER;
	/* All zero is a probe (RFC 5227 section 1.1), and then a request. */
	if (p->spa[0] == 0)
		return get16(p->op) == ARP_REQUEST && (p->spa[1] | p->spa[2] | p->spa[3]) == 0
			       ? ARP_OK
			       : ARP_BAD_SENDER;
	if (p->spa[0] == 127 || p->spa[0] >= 224)
		return ARP_BAD_SENDER;
	return ARP_OK;
}

static void arp_send(struct iface *i, uint16_t op, const uint8_t *spa, const uint8_t *tha,
		     const uint8_t *tpa, const struct rte_ether_addr *dst)
{
	struct rte_mbuf *m = neigh_frame(i, sizeof(struct arp_packet));
	struct arp_packet *p;

	if (m == NULL)
		return;
	p = rte_pktmbuf_mtod(m, struct arp_packet *);
	put16(p->hardware, 1);
	put16(p->protocol, ETHERTYPE_IP4);
	p->hlen = 6;
	p->plen = 4;
	put16(p->op, op);
	memcpy(p->sha, i->mac.addr_bytes, 6);
	memcpy(p->spa, spa, 4);
	if (tha != NULL)
		memcpy(p->tha, tha, 6);
	memcpy(p->tpa, tpa, 4);
	neigh_frame_send(i, m, dst, ETHERTYPE_ARP);
}

void arp_request(struct iface *i, uint32_t target_be, const struct rte_ether_addr *dst)
{
	uint32_t src = iface_source4(i, target_be);
	uint8_t spa[4], tpa[4];

	/* An unnumbered interface borrows an address; without any, 0.0.0.0 is answered too. */
	if (src == 0)
		src = vrf_source4(i->vrf);
	memcpy(spa, &src, 4);
	memcpy(tpa, &target_be, 4);
	arp_send(i, ARP_REQUEST, spa, NULL, tpa, dst != NULL ? dst : &mac_broadcast);
}

void arp_announce(struct iface *i, uint32_t addr_be)
{
	uint8_t a[4];

	memcpy(a, &addr_be, 4);
	arp_send(i, ARP_REQUEST, a, NULL, a, &mac_broadcast);
}

/* What is known of the sender is brought up to date by any packet of its. */
static void update(struct neigh_ent *e, const struct rte_ether_addr *sha, bool reply_to_us,
		   bool announced)
{
	const struct neigh *n = &e->n;

	if (reply_to_us &&
	    (n->nud == NUD_INCOMPLETE || n->nud == NUD_FAILED || n->nud == NUD_PROBE)) {
		neigh_set_mac(e, sha, NUD_REACHABLE);
		return;
	}
	/* Two hosts with one address, or one host that answers on two links: not from one to the
	 * other with each packet. An announcement is believed at once: an address that moves to
	 * another host is often announced only once. */
	if (n->nud == NUD_REACHABLE && !announced && neigh_now() - n->confirmed_ns < ARP_LOCK_NS)
		return;
	neigh_set_mac(e, sha, NUD_STALE);
}

void arp_input(struct iface *i, const uint8_t *data, uint32_t len)
{
	const struct arp_packet *p = (const struct arp_packet *)data;
	const struct rte_ether_addr *sha;
	struct ip_addr spa = {.len = 4}, tpa = {.len = 4};
	struct iface_addr *own;
	struct neigh_ent *e;
	bool request, probe, for_us;

	if (arp_check(data, len) != ARP_OK || i->kind == IFACE_LOOPBACK)
		return;
	sha = (const struct rte_ether_addr *)p->sha;
	/* A frame of our own that came back. */
	if (rte_is_same_ether_addr(sha, &i->mac))
		return;
	memcpy(spa.b, p->spa, 4);
	memcpy(tpa.b, p->tpa, 4);
	request = get16(p->op) == ARP_REQUEST;
	probe = p->spa[0] == 0;
	if (!probe) {
		own = iface_addr_find(i, &spa);
		if (own != NULL) {
			addr_conflict(i, own, sha);
			return;
		}
	}
	/* Only addresses of the interface it came in by: others are reached by routing. */
	own = iface_addr_find(i, &tpa);
	for_us = own != NULL && own->dad != DAD_DUPLICATE;
	if (!probe) {
		e = neigh_table_find(i, &spa);
		if (e != NULL)
			update(e, sha, !request && for_us, ip_addr_eq(&spa, &tpa));
		else if (request && for_us && neigh_on_link(i, &spa))
			neigh_learn(i, &spa, sha);
	}
	if (request && for_us)
		arp_send(i, ARP_REPLY, p->tpa, p->sha, p->spa, sha);
}
