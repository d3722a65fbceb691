/* SPDX-License-Identifier: Apache-2.0 */
/* ARP, ND, DAD and RA as seen by a host on the link. */
#include "test_util.h"

static struct neigh *find(struct iface *i, const char *addr)
{
	const struct ip_addr a = ip(addr);

	return neigh_find(i, &a);
}

static struct iface_addr *own(struct iface *i, const char *addr)
{
	const struct ip_addr a = ip(addr);

	return iface_addr_find(i, &a);
}

/* The ICMPv6 message of the next frame sent, checksum verified; NULL if none. Copies the frame. */
static const uint8_t *icmp6_sent(const struct iface *i, uint32_t *len, const struct ip6_header **ip)
{
	static uint8_t frame[2048];
	const uint32_t l2 = i->vlan != 0 ? 18 : 14;
	struct rte_mbuf *m = sent();
	const struct ip6_header *h;

	if (m == NULL)
		return NULL;
	CHECK(mb_meta(m)->arg0 == INJECT_TX && mb_meta(m)->iface == i->id);
	memcpy(frame, rte_pktmbuf_mtod(m, void *), rte_pktmbuf_pkt_len(m));
	CHECK(get16(frame + l2 - 2) == ETHERTYPE_IP6);
	if (l2 == 18)
		CHECK(get16(frame + 12) == ETHERTYPE_VLAN && get16(frame + 14) == i->vlan);
	h = (const struct ip6_header *)(frame + l2);
	*len = get16(h->payload_len);
	CHECK(l2 + 40 + *len <= rte_pktmbuf_pkt_len(m));
	rte_pktmbuf_free(m);
	CHECK(h->hop_limit == 255 && icmp6_checksum(h, (const uint8_t *)(h + 1), *len) == 0);
	if (ip != NULL)
		*ip = h;
	return (const uint8_t *)(h + 1);
}

static void test_arp(struct iface *i)
{
	const struct rte_ether_addr host = mac(9), other = mac(10);
	const struct arp_packet *a;
	struct rte_mbuf *m;
	const uint8_t *p;

	/* For somebody else: no answer, no entry. */
	arp_from(i, ARP_REQUEST, &host, "10.1.0.9", "10.1.0.8");
	CHECK(sent() == NULL && find(i, "10.1.0.9") == NULL);
	/* A reply nobody asked for makes no entry. */
	arp_from(i, ARP_REPLY, &host, "10.1.0.9", "10.1.0.1");
	CHECK(sent() == NULL && find(i, "10.1.0.9") == NULL);
	arp_from(i, ARP_REQUEST, &host, "10.1.0.9", "10.1.0.1");
	m = sent();
	CHECK(m != NULL);
	p = rte_pktmbuf_mtod(m, const uint8_t *);
	a = (const struct arp_packet *)(p + (i->vlan != 0 ? 18 : 14));
	CHECK(memcmp(p, &host, 6) == 0 && get16(a->op) == ARP_REPLY);
	CHECK(memcmp(a->sha, &i->mac, 6) == 0 && memcmp(a->tha, &host, 6) == 0);
	CHECK(arp_check((const uint8_t *)a, sizeof(*a)) == ARP_OK);
	rte_pktmbuf_free(m);
	CHECK(find(i, "10.1.0.9")->nud == NUD_STALE);
	/* From off the link: an answer but no entry. */
	arp_from(i, ARP_REQUEST, &host, "172.16.0.1", "10.1.0.1");
	CHECK(drain() == 1 && find(i, "172.16.0.1") == NULL);
	/* A gratuitous one moves what is there. */
	arp_from(i, ARP_REQUEST, &other, "10.1.0.9", "10.1.0.9");
	CHECK(rte_is_same_ether_addr(&find(i, "10.1.0.9")->mac, &other) && sent() == NULL);
	/* A probe is answered, and teaches nothing. */
	arp_from(i, ARP_REQUEST, &host, "0.0.0.0", "10.1.0.1");
	CHECK(drain() == 1 && i->n_neigh == 1);
	neigh_flush(i, NULL);
}

static void test_arp_conflict(struct iface *i)
{
	const struct rte_ether_addr thief = mac(66);
	struct iface_addr *a = own(i, "10.1.0.1");

	arp_from(i, ARP_REQUEST, &i->mac, "10.1.0.1", "10.1.0.1");
	CHECK(!a->conflict && sent() == NULL);
	arp_from(i, ARP_REPLY, &thief, "10.1.0.1", "10.1.0.2");
	CHECK(a->conflict && rte_is_same_ether_addr(&a->conflict_mac, &thief) && drain() == 1);
	/* Once in DEFEND_INTERVAL. */
	for (int k = 0; k < 100; k++)
		arp_from(i, ARP_REPLY, &thief, "10.1.0.1", "10.1.0.2");
	CHECK(drain() == 0);
	pass_ms(10100);
	arp_from(i, ARP_REPLY, &thief, "10.1.0.1", "10.1.0.2");
	CHECK(drain() == 1 && i->n_neigh == 0);
	pass_ms(61000);
	CHECK(!own(i, "10.1.0.1")->conflict);
}

static void test_dad(struct iface *i)
{
	const struct rte_ether_addr other = mac(10);
	const struct ip6_header *h;
	uint8_t probe[32];
	const uint8_t *msg;
	uint32_t len;

	box_addr(i, "2001:db8::1", 64);
	CHECK(own(i, "2001:db8::1")->dad == DAD_TENTATIVE);
	/* Tentative: silent. */
	ns_from(i, "fe80::9", "2001:db8::1", "2001:db8::1", &other);
	CHECK(sent() == NULL);
	pass_ms(300);
	/* The global and the link-local one, from nowhere, with a nonce. */
	for (int k = 0; k < 2; k++) {
		msg = icmp6_sent(i, &len, &h);
		CHECK(msg != NULL && msg[0] == ND_NS && len == 32 && msg[24] == ND_OPT_NONCE);
		CHECK(h->src[0] == 0 && h->src[15] == 0 && h->dst[0] == 0xff);
		if (msg[8] == 0x20) {
			memcpy(probe, msg, 32);
			/* The link gives it back. */
			nd_from(i, "::", "ff02::1:ff00:1", probe, 32);
		}
	}
	CHECK(own(i, "2001:db8::1")->dad == DAD_TENTATIVE);
	pass_ms(1100);
	CHECK(own(i, "2001:db8::1")->dad == DAD_PREFERRED);
	pass_ms(3000);
	/* Two announcements of each. */
	for (int k = 0; k < 4; k++) {
		msg = icmp6_sent(i, &len, NULL);
		CHECK(msg != NULL && msg[0] == ND_NA && msg[4] == (NA_ROUTER | NA_OVERRIDE));
	}
	CHECK(sent() == NULL);

	/* Duplicates: one who probes as well, one who answers. */
	box_addr(i, "2001:db8::2", 64);
	probe[8 + 15] = 2;
	nd_from(i, "::", "ff02::1:ff00:2", probe, 24);
	CHECK(own(i, "2001:db8::2")->dad == DAD_DUPLICATE);
	box_addr(i, "2001:db8::3", 64);
	na_from(i, "2001:db8::3", "ff02::1", "2001:db8::3", NA_OVERRIDE, &other);
	CHECK(own(i, "2001:db8::3")->dad == DAD_DUPLICATE);
	CHECK(rte_is_same_ether_addr(&own(i, "2001:db8::3")->conflict_mac, &other));
	pass_ms(5000);
	CHECK(sent() == NULL);
	/* Not defended, not answered. */
	ns_from(i, "fe80::9", "2001:db8::2", "2001:db8::2", &other);
	CHECK(sent() == NULL);
}

static void test_ns(struct iface *i)
{
	const struct rte_ether_addr host = mac(9);
	const struct ip6_header *h;
	const uint8_t *msg;
	uint32_t len;

	ns_from(i, "fe80::9", "ff02::1:ff00:1", "2001:db8::1", &host);
	msg = icmp6_sent(i, &len, &h);
	CHECK(msg != NULL && msg[0] == ND_NA && len == 32);
	CHECK(msg[4] == (NA_ROUTER | NA_SOLICITED | NA_OVERRIDE) && msg[24] == ND_OPT_TLL);
	CHECK(h->dst[0] == 0xfe && h->src[0] == 0x20 && find(i, "fe80::9")->nud == NUD_STALE);
	/* DAD of another host for our address: told to everybody. */
	ns_from(i, "::", "ff02::1:ff00:1", "2001:db8::1", NULL);
	msg = icmp6_sent(i, &len, &h);
	CHECK(msg != NULL && msg[0] == ND_NA && !(msg[4] & NA_SOLICITED) && h->dst[0] == 0xff);
	/* Unicast without an option: answered through the neighbour's entry. */
	ns_from(i, "fe80::9", "2001:db8::1", "2001:db8::1", NULL);
	CHECK(drain() == 1);
	/* From off the link: no entry. */
	ns_from(i, "2001:db8:9::9", "2001:db8::1", "2001:db8::1", &host);
	CHECK(drain() == 1 && find(i, "2001:db8:9::9") == NULL);
	ns_from(i, "fe80::9", "ff02::1:ff00:7", "2001:db8::7", &host);
	CHECK(sent() == NULL);
	neigh_flush(i, NULL);
	drain();
}

/* RFC 4861 section 7.2.5. */
static void test_na(struct iface *i)
{
	const struct rte_ether_addr one = mac(21), two = mac(22);
	const char *const us = "2001:db8::1", *const it = "2001:db8::20";
	const struct ip6_header *h;
	const uint8_t *msg;
	struct neigh *n;
	uint32_t len;

	/* Nobody asked. */
	na_from(i, it, us, it, NA_SOLICITED, &one);
	CHECK(find(i, it) == NULL);
	hold("2001:db8:1::1", it, i->nh_glean);
	msg = icmp6_sent(i, &len, &h);
	CHECK(msg != NULL && msg[0] == ND_NS && msg[24] == ND_OPT_SLL && h->src[0] == 0x20);
	CHECK(h->dst[0] == 0xff && h->dst[15] == 0x20 && h->dst[12] == 0xff);
	n = find(i, it);
	CHECK(n->nud == NUD_INCOMPLETE);
	na_from(i, it, us, it, NA_SOLICITED, NULL);
	CHECK(n->nud == NUD_INCOMPLETE);
	na_from(i, it, us, it, NA_SOLICITED | NA_ROUTER, &one);
	CHECK(n->nud == NUD_REACHABLE && n->is_router && drain() == 1);
	/* Another MAC without override: doubt, no change. */
	na_from(i, it, us, it, NA_SOLICITED, &two);
	CHECK(n->nud == NUD_STALE && rte_is_same_ether_addr(&n->mac, &one) && n->is_router);
	/* With: taken; unsolicited, so only STALE. */
	na_from(i, it, "ff02::1", it, NA_OVERRIDE, &two);
	CHECK(n->nud == NUD_STALE && rte_is_same_ether_addr(&n->mac, &two) && !n->is_router);
	na_from(i, it, us, it, NA_SOLICITED, NULL);
	CHECK(n->nud == NUD_REACHABLE);
	na_from(i, it, us, it, NA_SOLICITED | NA_OVERRIDE, &one);
	CHECK(n->nud == NUD_REACHABLE && rte_is_same_ether_addr(&n->mac, &one));
	/* Unicast probes when it is used. */
	pass_ms(46000);
	use(n->nh);
	pass_ms(2100 + 5000);
	CHECK(n->nud == NUD_PROBE);
	msg = icmp6_sent(i, &len, &h);
	CHECK(msg != NULL && msg[0] == ND_NS && h->dst[0] == 0x20 && h->dst[15] == 0x20);
	na_from(i, it, us, it, NA_SOLICITED, NULL);
	CHECK(n->nud == NUD_REACHABLE);
	neigh_flush(i, NULL);
	drain();

	/* Unresolvable: address unreachable. */
	hold("2001:db8:1::1", "2001:db8::66", i->nh_glean);
	pass_ms(2100);
	CHECK(drain() == 3);
	pass_ms(1000);
	{
		struct rte_mbuf *m = sent();

		CHECK(m != NULL && mb_meta(m)->arg0 == INJECT_IP6_ERROR);
		CHECK(mb_meta(m)->trace == 1 && mb_meta(m)->arg1 == 3);
		rte_pktmbuf_free(m);
	}
	pass_ms(4000);
	CHECK(i->n_neigh == 0);
}

static const uint8_t *next_ra(const struct iface *i, uint32_t *len)
{
	const uint8_t *msg;

	while ((msg = icmp6_sent(i, len, NULL)) != NULL)
		if (msg[0] == ND_RA)
			return msg;
	return NULL;
}

static void test_ra(struct iface *i)
{
	struct ra_config c = {.max_interval = 3};
	const uint8_t rs[8] = {ND_RS};
	struct dp_error err;
	const uint8_t *msg;
	unsigned int n;
	uint32_t len;

	CHECK(ra_set(i, &c, &err) < 0 && strcmp(err.field, "max_interval") == 0);
	c.max_interval = 1801;
	CHECK(ra_set(i, &c, &err) < 0 && strcmp(err.field, "max_interval") == 0);
	c.max_interval = 100;
	c.min_interval = 76;
	CHECK(ra_set(i, &c, &err) < 0 && strcmp(err.field, "min_interval") == 0);
	c.min_interval = 0;
	c.router_lifetime = 99;
	CHECK(ra_set(i, &c, &err) < 0 && strcmp(err.field, "router_lifetime") == 0);
	c.router_lifetime = 1800;
	c.valid_lifetime = 100;
	c.preferred_lifetime = 200;
	CHECK(ra_set(i, &c, &err) < 0 && strcmp(err.field, "preferred_lifetime") == 0);
	c.valid_lifetime = 0;
	c.managed = true;
	c.send_mtu = true;
	CHECK(i->ra == NULL && ra_set(i, &c, &err) == 0);
	pass_ms(600);
	msg = next_ra(i, &len);
	CHECK(msg != NULL && len == 16 + 8 + 8 + 32 && msg[5] == 0x80 && get16(msg + 6) == 1800);
	CHECK(msg[16] == ND_OPT_SLL && msg[24] == ND_OPT_MTU && get16(msg + 30) == 1500);
	CHECK(msg[32] == ND_OPT_PREFIX && msg[34] == 64 && msg[35] == 0xc0 && msg[48] == 0x20);
	CHECK(get16(msg + 36) == 2592000 >> 16 && get16(msg + 42) == 200 && msg[48 + 15] == 0);
	/* A solicitation is answered, but three seconds apart. */
	for (int k = 0; k < 50; k++)
		nd_from(i, "fe80::9", "ff02::2", rs, sizeof(rs));
	pass_ms(2000);
	CHECK(next_ra(i, &len) == NULL);
	pass_ms(1600);
	CHECK(next_ra(i, &len) != NULL && next_ra(i, &len) == NULL);
	/* The first three by sixteen seconds, then 33 to 100. */
	pass_ms(60000);
	for (n = 0; next_ra(i, &len) != NULL;)
		n++;
	CHECK(n >= 1 && n <= 3);
	pass_ms(200000);
	for (n = 0; next_ra(i, &len) != NULL;)
		n++;
	CHECK(n >= 2 && n <= 6);
	CHECK(ra_delete(i, &err) == 0);
	msg = next_ra(i, &len);
	CHECK(msg != NULL && get16(msg + 6) == 0);
	CHECK(ra_delete(i, &err) < 0 && err.code == DP_NOT_FOUND);
}

static void test_iface_events(struct iface *i)
{
	const struct rte_ether_addr host = mac(9);

	ns_from(i, "fe80::9", "ff02::1:ff00:1", "2001:db8::1", &host);
	CHECK(i->n_neigh == 1);
	drain();
	box_link(i, false);
	CHECK(i->n_neigh == 0);
	pass_ms(5000);
	CHECK(drain() == 0);
	box_link(i, true);
	for (unsigned int k = 0; k < i->n_addrs; k++)
		neigh_addr_added(i, &i->addrs[k]);
	/* Announced anew, the duplicates probed anew. */
	CHECK(own(i, "2001:db8::2")->dad == DAD_TENTATIVE);
	pass_ms(5000);
	CHECK(own(i, "2001:db8::2")->dad == DAD_PREFERRED && drain() > 8);
}

static void run(uint16_t id, uint16_t vlan)
{
	struct iface *i = box_iface(id, vlan);

	box_addr(i, "10.1.0.1", 24);
	pass_ms(5000);
	drain();
	test_arp(i);
	test_arp_conflict(i);
	test_dad(i);
	test_ns(i);
	test_na(i);
	test_ra(i);
	test_iface_events(i);
	box_iface_free(i);
	CHECK(neigh_count() == 0 && rte_mempool_avail_count(dp_pool) == dp_pool->size);
}

void test_protocols(void)
{
	run(2, 0);
	/* The same behind a tag. */
	run(3, 42);
}
