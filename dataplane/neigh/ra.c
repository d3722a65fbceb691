/* SPDX-License-Identifier: Apache-2.0 */
/* Router advertisements: RFC 4861 section 6.2. */
#include <stdlib.h>

#include <rte_random.h>

#include "internal.h"

#define RA_LEN	       16
#define PREFIX_LEN     32
#define PREFIXES_MAX   32
#define CUR_HOP_LIMIT  64
#define DEFAULT_MAX    600
#define DEFAULT_VALID  2592000
#define DEFAULT_PREFER 604800

struct ra_state {
	struct ra_config c;
	uint64_t next_ns;
	uint64_t last_ns;
	unsigned int sent;
};

static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 0x01};

static const uint8_t *link_local_of(const struct iface *i)
{
	for (unsigned int k = 0; k < i->n_addrs; k++)
		if (i->addrs[k].dad == DAD_PREFERRED && ip_addr_is_link_local(&i->addrs[k].addr))
			return i->addrs[k].addr.b;
	return NULL;
}

static bool advertised(const struct iface_addr *a)
{
	return a->addr.len == 16 && a->dad == DAD_PREFERRED && !ip_addr_is_link_local(&a->addr) &&
	       a->plen > 0 && a->plen < 128;
}

static uint8_t *put_prefix(uint8_t *o, const struct iface_addr *a, const struct ra_config *c)
{
	uint8_t *prefix = o + 16;

	o[0] = ND_OPT_PREFIX;
	o[1] = PREFIX_LEN / 8;
	o[2] = a->plen;
	/* On-link; hosts can make addresses of a 64-bit prefix (RFC 4862 section 5.5.3). */
	o[3] = a->plen == 64 ? 0xc0 : 0x80;
	put32(o + 4, c->valid_lifetime);
	put32(o + 8, c->preferred_lifetime);
	memcpy(prefix, a->addr.b, (a->plen + 7) / 8);
	if (a->plen % 8 != 0)
		prefix[a->plen / 8] &= (uint8_t)(0xff00 >> (a->plen % 8));
	return o + PREFIX_LEN;
}

static bool seen_before(const struct iface *i, unsigned int k)
{
	const struct iface_addr *a = &i->addrs[k];

	for (unsigned int j = 0; j < k; j++)
		if (advertised(&i->addrs[j]) && i->addrs[j].plen == a->plen &&
		    ip_prefix_match(&i->addrs[j].addr, &a->addr, a->plen))
			return true;
	return false;
}

static bool ra_send(struct iface *i, uint16_t lifetime)
{
	const struct ip_addr group = ip_addr6(all_nodes);
	const struct ra_config *c = &i->ra->c;
	const uint8_t *src = link_local_of(i);
	struct rte_ether_addr mac;
	struct rte_mbuf *m;
	uint8_t *p, *o;
	uint16_t len;

	if (src == NULL)
		return false;
	m = neigh_frame(i, sizeof(struct ip6_header) + RA_LEN + 16 + PREFIXES_MAX * PREFIX_LEN);
	if (m == NULL)
		return false;
	p = rte_pktmbuf_mtod_offset(m, uint8_t *, sizeof(struct ip6_header));
	p[0] = ND_RA;
	p[4] = CUR_HOP_LIMIT;
	p[5] = (c->managed ? 0x80 : 0) | (c->other ? 0x40 : 0);
	put16(p + 6, lifetime);
	o = p + RA_LEN;
	o[0] = ND_OPT_SLL;
	o[1] = 1;
	memcpy(o + 2, i->mac.addr_bytes, 6);
	o += 8;
	if (c->send_mtu) {
		o[0] = ND_OPT_MTU;
		o[1] = 1;
		put32(o + 4, i->mtu);
		o += 8;
	}
	if (!c->suppress_prefixes) {
		unsigned int n = 0;

		for (unsigned int k = 0; k < i->n_addrs && n < PREFIXES_MAX; k++) {
			if (!advertised(&i->addrs[k]) || seen_before(i, k))
				continue;
			o = put_prefix(o, &i->addrs[k], c);
			n++;
		}
	}
	len = o - p;
	rte_pktmbuf_trim(m, rte_pktmbuf_pkt_len(m) - sizeof(struct ip6_header) - len);
	icmp6_finish(rte_pktmbuf_mtod(m, struct ip6_header *), src, all_nodes, len);
	mac_of_multicast(&group, &mac);
	neigh_frame_send_last(i, m, &mac, ETHERTYPE_IP6);
	return true;
}

static void schedule(struct ra_state *r, uint64_t now)
{
	uint64_t min = r->c.min_interval, max = r->c.max_interval;
	uint64_t pause = min * NS_PER_SEC;

	if (max > min)
		pause += rte_rand_max((max - min) * NS_PER_SEC);
	if (r->sent < MAX_INITIAL_RTR_ADVERTS)
		pause = RTE_MIN(pause, MAX_INITIAL_RTR_INTERVAL * NS_PER_SEC);
	r->next_ns = now + pause;
}

void ra_tick(uint64_t now)
{
	struct iface *i;

	iface_foreach (i) {
		struct ra_state *r = i->ra;

		if (r == NULL || r->next_ns > now)
			continue;
		if (!iface_is_up(i) || !ra_send(i, r->c.router_lifetime)) {
			/* Down, or the link-local address is still being probed. */
			r->next_ns = now + RETRANS_NS;
			continue;
		}
		r->sent++;
		r->last_ns = now;
		schedule(r, now);
	}
}

/* As soon as the distance between two allows, and not all routers of the link at once. */
static void send_soon(struct ra_state *r, uint64_t now)
{
	uint64_t at = now + rte_rand_max(MAX_RA_DELAY_NS);

	if (r->last_ns != 0 && at < r->last_ns + MIN_DELAY_BETWEEN_RAS_NS)
		at = r->last_ns + MIN_DELAY_BETWEEN_RAS_NS;
	if (at < r->next_ns)
		r->next_ns = at;
}

void ra_solicited(struct iface *i)
{
	if (i->ra != NULL)
		send_soon(i->ra, neigh_now());
}

void ra_changed(struct iface *i)
{
	ra_solicited(i);
}

void ra_iface_up(struct iface *i)
{
	if (i->ra != NULL) {
		i->ra->sent = 0;
		send_soon(i->ra, neigh_now());
	}
}

/* Hosts are to look for another default router at once (section 6.2.5). */
static void ra_farewell(struct iface *i)
{
	if (i->ra->last_ns != 0)
		ra_send(i, 0);
	i->ra->last_ns = 0;
}

void ra_iface_down(struct iface *i)
{
	/* Taken down by the operator, not by the link: the device still sends. */
	if (i->ra != NULL && !i->admin_up)
		ra_farewell(i);
}

static int check(struct iface *i, struct ra_config *c, struct dp_error *err)
{
	if (i->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface", "loopback %s has no link", i->name);
	if (c->max_interval == 0)
		c->max_interval = DEFAULT_MAX;
	if (c->max_interval < 4 || c->max_interval > 1800)
		return dp_fail(err, DP_INVALID, "max_interval", "must be 4 to 1800, is %u",
			       c->max_interval);
	if (c->min_interval == 0)
		c->min_interval = RTE_MAX(c->max_interval / 3, 3u);
	if (c->min_interval < 3 || c->min_interval * 4 > c->max_interval * 3)
		return dp_fail(err, DP_INVALID, "min_interval",
			       "must be 3 to 0.75 of max_interval (%u), is %u", c->max_interval,
			       c->min_interval);
	if (c->router_lifetime > 9000 ||
	    (c->router_lifetime != 0 && c->router_lifetime < c->max_interval))
		return dp_fail(err, DP_INVALID, "router_lifetime",
			       "must be 0 or max_interval (%u) to 9000, is %u", c->max_interval,
			       c->router_lifetime);
	if (c->valid_lifetime == 0)
		c->valid_lifetime = DEFAULT_VALID;
	if (c->preferred_lifetime == 0)
		c->preferred_lifetime = RTE_MIN(c->valid_lifetime, (uint32_t)DEFAULT_PREFER);
	if (c->preferred_lifetime > c->valid_lifetime)
		return dp_fail(err, DP_INVALID, "preferred_lifetime",
			       "must not be longer than valid_lifetime (%u), is %u",
			       c->valid_lifetime, c->preferred_lifetime);
	return 0;
}

int ra_set(struct iface *i, const struct ra_config *c, struct dp_error *err)
{
	struct ra_config want = *c;

	if (check(i, &want, err) < 0)
		return -1;
	if (i->ra == NULL) {
		i->ra = calloc(1, sizeof(*i->ra));
		if (i->ra == NULL)
			return dp_fail(err, DP_NO_MEMORY, "interface", "no memory");
		i->ra->next_ns = TIMER_NEVER;
	}
	i->ra->c = want;
	i->ra->sent = 0;
	send_soon(i->ra, neigh_now());
	return 0;
}

void ra_iface_deleted(struct iface *i)
{
	if (i->ra == NULL)
		return;
	if (iface_is_up(i))
		ra_farewell(i);
	free(i->ra);
	i->ra = NULL;
}

int ra_delete(struct iface *i, struct dp_error *err)
{
	if (i->ra == NULL)
		return dp_fail(err, DP_NOT_FOUND, "interface", "%s sends no advertisements",
			       i->name);
	ra_iface_deleted(i);
	return 0;
}
