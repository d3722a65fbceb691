/* SPDX-License-Identifier: Apache-2.0 */
/* Packet trace: the way of single packets through the graph. One trace at a time. */
#include "trace.h"

#include <stdio.h>
#include <stdlib.h>

#include <rte_cycles.h>
#include <rte_ether.h>
#include <rte_ip.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../core/node.h"
#include "../fib/nexthop.h"
#include "../port/port.h"
#include "tap.h"

#define ACTIVE_MAX 64
#define COUNT_MAX  1000

struct trace_session {
	struct packet_filter filter;
	uint32_t count;
	/* Records taken by workers, and those told to the client. */
	uint32_t taken;
	uint32_t told;
	uint32_t handle;
	uint64_t deadline_ns;
	trace_fn fn;
	void *arg;
	struct entry {
		uint32_t done;
		uint64_t start_tsc;
		struct trace_record r;
	} entries[];
};

/* Packets of the walk under way, by their mbuf: metadata does not survive eth-input. */
static __thread struct {
	struct rte_mbuf *m;
	struct entry *e;
} active[ACTIVE_MAX];
static __thread unsigned int n_active;

static struct trace_session *session;
static uint32_t last_handle;

static void describe_ether(const struct rte_mbuf *m, char *buf, size_t size)
{
	const struct rte_ether_hdr *e = rte_pktmbuf_mtod(m, const struct rte_ether_hdr *);
	char src[RTE_ETHER_ADDR_FMT_SIZE], dst[RTE_ETHER_ADDR_FMT_SIZE];

	if (m->data_len < sizeof(*e))
		return;
	rte_ether_format_addr(src, sizeof(src), &e->src_addr);
	rte_ether_format_addr(dst, sizeof(dst), &e->dst_addr);
	snprintf(buf, size, "%s > %s type 0x%04x, %u bytes", src, dst,
		 rte_be_to_cpu_16(e->ether_type), m->pkt_len);
}

static void describe_ip(const struct rte_mbuf *m, char *buf, size_t size)
{
	const uint8_t *h = rte_pktmbuf_mtod(m, const uint8_t *);
	char src[IP_ADDR_STRLEN], dst[IP_ADDR_STRLEN];
	struct ip_addr s, d;

	if (m->data_len >= 20 && h[0] >> 4 == 4) {
		uint32_t a[2];

		memcpy(a, h + 12, sizeof(a));
		s = ip_addr4(a[0]);
		d = ip_addr4(a[1]);
		snprintf(buf, size, "%s > %s protocol %u, TTL %u, %u bytes", ip_addr_str(&s, src),
			 ip_addr_str(&d, dst), h[9], h[8], m->pkt_len);
	} else if (m->data_len >= 40 && h[0] >> 4 == 6) {
		s = ip_addr6(h + 8);
		d = ip_addr6(h + 24);
		snprintf(buf, size, "%s > %s next header %u, hop limit %u", ip_addr_str(&s, src),
			 ip_addr_str(&d, dst), h[6], h[7]);
	}
}

static void describe_next_hop(const struct mb_meta *meta, char *buf, size_t size)
{
	const struct nexthop *nh = &nexthops[meta->nh < nexthops_max ? meta->nh : 0];
	const struct iface *i = nh->iface < IFACE_MAX ? ifaces[nh->iface] : NULL;
	char addr[IP_ADDR_STRLEN];

	snprintf(buf, size, "next hop %u via %s dev %s", meta->nh, ip_addr_str(&nh->addr, addr),
		 i != NULL ? i->name : "-");
}

static bool name_is(const struct rte_node *node, const char *name)
{
	return strcmp(node->name, name) == 0;
}

static bool name_ends(const struct rte_node *node, const char *end)
{
	size_t n = strlen(node->name), k = strlen(end);

	return n >= k && strcmp(node->name + n - k, end) == 0;
}

static void describe(const struct rte_node *node, struct rte_mbuf *m, char *buf, size_t size)
{
	const struct drop_reason *d = drop_reason_find(node->name);
	const struct mb_meta *meta = mb_meta(m);

	buf[0] = 0;
	if (d != NULL)
		snprintf(buf, size, "%s", d->description);
	else if (name_is(node, "eth-input"))
		describe_ether(m, buf, size);
	else if (name_is(node, "port-tx"))
		snprintf(buf, size, "port %u, %u bytes", m->port, m->pkt_len);
	else if (name_ends(node, "-rewrite") || name_is(node, "neigh-hold"))
		describe_next_hop(meta, buf, size);
	else if (name_ends(node, "-error"))
		snprintf(buf, size, "ICMP type %u code %u", meta->arg0, meta->arg1);
	else if (!name_is(node, "arp-input"))
		describe_ip(m, buf, size);
}

static void finish(unsigned int at)
{
	__atomic_store_n(&active[at].e->done, 1, __ATOMIC_RELEASE);
	active[at] = active[--n_active];
	worker_self->kick_control = true;
}

static void step(struct rte_node *node, unsigned int at)
{
	struct entry *e = active[at].e;
	struct rte_mbuf *m = active[at].m;
	const struct drop_reason *d = drop_reason_find(node->name);
	struct trace_step *s;

	if (e->r.n_steps < TRACE_STEPS_MAX) {
		s = &e->r.steps[e->r.n_steps++];
		/* Nodes live as long as the process, so their names do. */
		s->node = rte_node_id_to_name(node->id);
		s->ns = (uint64_t)((double)(rte_rdtsc() - e->start_tsc) * 1e9 /
				   (double)rte_get_tsc_hz());
		describe(node, m, s->detail, sizeof(s->detail));
	}
	if (d != NULL)
		e->r.drop_reason = d->name;
	if (name_is(node, "port-tx"))
		e->r.out_iface = frame_iface(m);
	if (d != NULL || name_is(node, "port-tx"))
		finish(at);
}

static void begin(struct trace_session *t, struct worker *w, struct rte_mbuf *m)
{
	uint32_t k;
	struct entry *e;

	if (n_active == ACTIVE_MAX || !packet_filter_match(&t->filter, m))
		return;
	k = __atomic_fetch_add(&t->taken, 1, __ATOMIC_RELAXED);
	if (k >= t->count)
		return;
	e = &t->entries[k];
	e->start_tsc = rte_rdtsc();
	e->r.sequence = k + 1;
	e->r.worker = w->id;
	e->r.iface = frame_iface(m);
	e->r.length = m->pkt_len;
	e->r.captured = RTE_MIN(m->data_len, sizeof(e->r.packet));
	e->r.time_ns = now_wall_ns();
	memcpy(e->r.packet, rte_pktmbuf_mtod(m, void *), e->r.captured);
	active[n_active].m = m;
	active[n_active++].e = e;
}

/* A segment the box sends, at its first node. It has no Ethernet header yet: the filter, and
 * whoever reads the record, get one without addresses. */
static void begin_own(struct trace_session *t, struct worker *w, struct rte_mbuf *m)
{
	struct rte_ether_hdr *eth, saved;

	mb_meta(m)->trace = 0;
	eth = (struct rte_ether_hdr *)rte_pktmbuf_prepend(m, sizeof(*eth));
	if (eth == NULL)
		return;
	saved = *eth;
	memset(eth, 0, sizeof(*eth));
	eth->ether_type = *(const uint8_t *)(eth + 1) >> 4 == 6 ? RTE_BE16(RTE_ETHER_TYPE_IPV6)
								: RTE_BE16(RTE_ETHER_TYPE_IPV4);
	begin(t, w, m);
	*eth = saved;
	rte_pktmbuf_adj(m, sizeof(*eth));
}

void trace_vector(struct trace_session *t, struct worker *w, struct rte_node *node, void **objs,
		  uint16_t n)
{
	if (name_is(node, "eth-input") && __atomic_load_n(&t->taken, __ATOMIC_RELAXED) < t->count)
		for (uint16_t i = 0; i < n; i++)
			begin(t, w, objs[i]);
	else if (name_ends(node, "-output") &&
		 __atomic_load_n(&t->taken, __ATOMIC_RELAXED) < t->count)
		for (uint16_t i = 0; i < n; i++)
			if (mb_meta(objs[i])->trace == MB_TRACE_ORIGIN)
				begin_own(t, w, objs[i]);
	if (n_active == 0)
		return;
	for (uint16_t i = 0; i < n; i++) {
		for (unsigned int k = 0; k < n_active; k++) {
			if (active[k].m == objs[i]) {
				step(node, k);
				break;
			}
		}
	}
}

void trace_walk_done(struct trace_session *t)
{
	(void)t;
	while (n_active > 0)
		finish(n_active - 1);
}

static void end(const char *reason)
{
	struct trace_session *t = session;

	session = NULL;
	taps_set_trace(NULL);
	t->fn(t->arg, NULL, reason);
	packet_filter_free(&t->filter);
	free(t);
}

static bool tell(void *arg)
{
	struct trace_session *t = session;

	(void)arg;
	if (t == NULL)
		return false;
	while (t->told < t->count && __atomic_load_n(&t->entries[t->told].done, __ATOMIC_ACQUIRE)) {
		t->fn(t->arg, &t->entries[t->told++].r, NULL);
		/* The client may have stopped it from within. */
		if (session != t)
			return false;
	}
	if (t->told == t->count)
		end("all packets were traced");
	return false;
}

static void check_deadline(uint64_t now, void *arg)
{
	(void)arg;
	if (session != NULL && now > session->deadline_ns)
		end("the time is up");
}

int trace_start(const struct trace_config *c, trace_fn fn, void *arg, uint32_t *handle,
		struct dp_error *err)
{
	static bool registered;
	struct trace_session *t;

	if (session != NULL)
		return dp_fail(err, DP_IN_USE, "trace", "another trace is running");
	if (c->count == 0 || c->count > COUNT_MAX)
		return dp_fail(err, DP_INVALID, "count", "%u is not from 1 to %d", c->count,
			       COUNT_MAX);
	if (!registered) {
		if (loop_poll_add(tell, NULL) < 0 || loop_tick_add(200, check_deadline, NULL) < 0)
			return dp_fail(err, DP_NO_MEMORY, "trace",
				       "the control loop takes no more work");
		registered = true;
	}
	t = calloc(1, sizeof(*t) + c->count * sizeof(t->entries[0]));
	if (t == NULL)
		return dp_fail(err, DP_NO_MEMORY, "count", "no memory for %u records", c->count);
	if (packet_filter_compile(&t->filter, c->filter, c->iface, err) < 0) {
		free(t);
		return -1;
	}
	t->count = c->count;
	t->deadline_ns = now_mono_ns() + c->timeout_s * 1000000000ull;
	t->fn = fn;
	t->arg = arg;
	t->handle = *handle = ++last_handle;
	if (taps_set_trace(t) < 0) {
		packet_filter_free(&t->filter);
		free(t);
		return dp_fail(err, DP_NO_MEMORY, "trace", "no memory");
	}
	session = t;
	return 0;
}

void trace_stop(uint32_t handle)
{
	struct trace_session *t = session;

	if (t == NULL || t->handle != handle)
		return;
	session = NULL;
	taps_set_trace(NULL);
	packet_filter_free(&t->filter);
	free(t);
}
