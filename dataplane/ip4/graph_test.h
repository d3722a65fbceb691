/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For unit tests: runs the real IP nodes in a graph of one worker, with the real tables. Where a
 * packet would leave them (to a port, the kernel, the neighbour code, a drop node) it is caught,
 * with the name of the node it was going to.
 */
#ifndef MILLRACE_IP4_GRAPH_TEST_H
#define MILLRACE_IP4_GRAPH_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <arpa/inet.h>

#include <rte_eal.h>
#include <rte_graph_worker.h>
#include <rte_mbuf.h>

#include "../core/node.h"
#include "../core/worker.h"
#include "../fib/fib.h"
#include "../fib/group.h"
#include "../fib/nexthop.h"
#include "../iface/iface.h"
#include "../vrf/vrf.h"
#include "check_test.h"

struct caught {
	const char *node;
	struct rte_mbuf *m;
};

#define CAUGHT_MAX 8192
static struct caught caught[CAUGHT_MAX];
static unsigned int n_caught;

static uint16_t catch_process(struct rte_graph *graph, struct rte_node *node, void **objs,
			      uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		CHECK(n_caught < CAUGHT_MAX, "too many packets");
		/* Without the "catch-". */
		caught[n_caught++] = (struct caught){node->name + 6, objs[i]};
	}
	return n;
}

static const char *const entries[] = {"ip4-input",   "ip4-output", "ip4-rewrite", "ip4-error",
				      "ip4-options", "ip6-input",  "ip6-output",  "ip6-rewrite",
				      "ip6-error",   "ip6-lookup"};
static struct rte_mbuf *pending[CAUGHT_MAX];
static uint16_t pending_edge[CAUGHT_MAX];
static unsigned int n_pending;

static uint16_t test_source(struct rte_graph *graph, struct rte_node *node, void **objs, uint16_t n)
{
	unsigned int done = n_pending;

	for (unsigned int i = 0; i < done; i++)
		rte_node_enqueue_x1(graph, node, pending_edge[i], pending[i]);
	n_pending = 0;
	return (uint16_t)done;
}

static struct rte_node_register test_source_node = {
	.name = "test-source",
	.flags = RTE_NODE_SOURCE_F,
	.process = test_source,
	.nb_edges = RTE_DIM(entries),
	.next_nodes = {"ip4-input", "ip4-output", "ip4-rewrite", "ip4-error", "ip4-options",
		       "ip6-input", "ip6-output", "ip6-rewrite", "ip6-error", "ip6-lookup"},
};
RTE_NODE_REGISTER(test_source_node);

static struct rte_graph *test_graph;
static struct worker test_worker;

static inline bool is_boundary(const char *name)
{
	static const char *const names[] = {"port-tx", "kernel-punt", "ping-input", "neigh-hold",
					    "nd-input"};

	if (strncmp(name, "drop-", 5) == 0)
		return true;
	for (unsigned int i = 0; i < RTE_DIM(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static inline void catch_edges(const char *pattern)
{
	for (rte_node_t id = 0; id < rte_node_max_count(); id++) {
		const char *name = rte_node_id_to_name(id);
		char *next[64];
		rte_edge_t n;

		if (name == NULL || strncmp(name, pattern, strlen(pattern)) != 0)
			continue;
		n = rte_node_edge_count(id);
		CHECK(n <= RTE_DIM(next), "%s has too many edges", name);
		rte_node_edge_get(id, next);
		for (rte_edge_t e = 0; e < n; e++) {
			struct rte_node_register reg = {.process = catch_process};
			const char *to = reg.name;

			if (!is_boundary(next[e]))
				continue;
			snprintf(reg.name, sizeof(reg.name), "catch-%s", next[e]);
			if (rte_node_from_name(reg.name) == RTE_NODE_ID_INVALID)
				CHECK(__rte_node_register(&reg) != RTE_NODE_ID_INVALID, "%s",
				      reg.name);
			rte_node_edge_update(id, e, &to, 1);
		}
	}
}

static inline void test_run(void)
{
	rte_graph_walk(test_graph);
}

static inline uint16_t entry_edge(const char *name)
{
	for (uint16_t i = 0; i < RTE_DIM(entries); i++)
		if (strcmp(entries[i], name) == 0)
			return i;
	CHECK(false, "no entry %s", name);
	return 0;
}

/* Hands a packet to a node at the next test_run(). */
static inline void test_push(const char *entry, struct rte_mbuf *m)
{
	CHECK(n_pending < CAUGHT_MAX, "too many packets");
	pending_edge[n_pending] = entry_edge(entry);
	pending[n_pending++] = m;
}

static inline void test_clear(void)
{
	for (unsigned int i = 0; i < n_caught; i++)
		rte_pktmbuf_free(caught[i].m);
	n_caught = 0;
}

/* How many packets came to the node. */
static inline unsigned int test_count(const char *node)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < n_caught; i++)
		n += strcmp(caught[i].node, node) == 0;
	return n;
}

/* The first packet that came to the node, or NULL. */
static inline struct rte_mbuf *test_find(const char *node)
{
	for (unsigned int i = 0; i < n_caught; i++)
		if (strcmp(caught[i].node, node) == 0)
			return caught[i].m;
	return NULL;
}

static inline void test_dump(void)
{
	for (unsigned int i = 0; i < n_caught; i++)
		fprintf(stderr, "  %s, %u bytes\n", caught[i].node, caught[i].m->pkt_len);
}

/* A packet as eth-input leaves it; seg: bytes in the first segment (0: all of them). */
static inline struct rte_mbuf *test_packet(const void *data, uint32_t len, uint16_t iface,
					   uint32_t seg)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	uint32_t first = seg != 0 && seg < len ? seg : RTE_MIN(len, 1800u);
	uint32_t off;

	CHECK(m != NULL, "pool is empty");
	m->data_off += 14;
	memcpy(rte_pktmbuf_append(m, (uint16_t)first), data, first);
	for (off = first; off < len;) {
		uint32_t n = RTE_MIN(len - off, 1800u);
		struct rte_mbuf *s = rte_pktmbuf_alloc(dp_pool);

		CHECK(s != NULL, "pool is empty");
		memcpy(rte_pktmbuf_append(s, (uint16_t)n), (const uint8_t *)data + off, n);
		CHECK(rte_pktmbuf_chain(m, s) == 0, "chain");
		off += n;
	}
	*mb_meta(m) = (struct mb_meta){.iface = iface, .l2_len = 14};
	return m;
}

/* Writes a's bytes; a fresh copy of the whole packet for looking at. */
static inline uint32_t test_bytes(struct rte_mbuf *m, uint8_t *out, uint32_t max)
{
	const void *p;

	CHECK(m->pkt_len <= max, "packet of %u bytes", m->pkt_len);
	p = rte_pktmbuf_read(m, 0, m->pkt_len, out);
	if (p != out)
		memcpy(out, p, m->pkt_len);
	return m->pkt_len;
}

static struct iface test_ifaces[4];

/* A next hop in the table. addr may be NULL. */
static inline uint32_t test_nexthop(enum nh_action action, uint16_t iface, uint16_t mtu,
				    const struct ip_addr *addr)
{
	static const struct rte_ether_addr mac = {.addr_bytes = {2, 0, 0, 0, 9, 9}};
	struct nexthop n = {.action = (uint8_t)action, .iface = iface, .mtu = mtu};
	uint32_t nh = nexthop_alloc();

	CHECK(nh != 0, "next hops");
	if (addr != NULL)
		n.addr = *addr;
	if (iface != IFACE_NONE) {
		n.port = test_ifaces[iface].port;
		nexthop_set_l2(&n, &test_ifaces[iface], &mac);
	}
	nexthop_write(nh, &n);
	return nh;
}

static inline struct ip_addr test_addr(const char *text)
{
	uint8_t b[16];
	uint32_t v4;

	if (inet_pton(AF_INET6, text, b) == 1)
		return ip_addr6(b);
	CHECK(inet_pton(AF_INET, text, &v4) == 1, "%s", text);
	return ip_addr4(v4);
}

static inline void test_route(uint16_t vrf, const char *prefix, uint8_t plen, uint32_t nh)
{
	const struct ip_addr a = test_addr(prefix);
	const struct owner_tag owner = {.owner = 1, .epoch = 1};
	struct dp_error err = {0};
	uint32_t gid = group_of_nexthop(nh);

	CHECK(fib_route_set(vrf, &a, plen, gid, owner, &err) == 0, "%s/%u: %s", prefix, plen,
	      err.message);
}

/* eth1 (id 1) and eth2 (id 2) with one address of each family, view filled in by the caller's
 * arrays. */
static inline void test_iface(uint16_t id, uint16_t vlan, struct iface_addr_view *v)
{
	struct iface *i = &test_ifaces[id];

	*i = (struct iface){
		.id = id,
		.mtu = 1500,
		.flags = IFACE_F_UP | IFACE_F_IP4 | IFACE_F_IP6,
		.kind = IFACE_PORT,
		.port = id - 1,
		.vlan = vlan,
		.view = v,
	};
	i->mac.addr_bytes[0] = 2;
	i->mac.addr_bytes[5] = (uint8_t)id;
	snprintf(i->name, sizeof(i->name), "eth%u", id);
	i->nh_glean = test_nexthop(NH_GLEAN, id, 1500, NULL);
	ifaces[id] = i;
}

static inline void test_init(void)
{
	char prefix[64];
	char *argv[] = {"test",	    "--no-huge",      "-m",	     "192",
			"--no-pci", "--no-telemetry", "--no-shconf", "--file-prefix",
			prefix,	    "--log-level=4",  NULL};
	const struct fib_sizes sizes = {
		.ip4_routes = 1024, .ip6_routes = 1024, .ip4_tbl8 = 256, .ip6_tbl8 = 1024};
	struct rte_graph_param param = {.socket_id = SOCKET_ID_ANY, .nb_node_patterns = 1};
	static const char *patterns[] = {"test-source"};
	rte_graph_t id;

	snprintf(prefix, sizeof(prefix), "iptest%d", getpid());
	CHECK(rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0, "EAL");
	CHECK(mb_meta_register() == 0, "metadata");
	dp_pool = rte_pktmbuf_pool_create("test", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
					  SOCKET_ID_ANY);
	CHECK(dp_pool != NULL, "pool");
	CHECK(nexthop_init(256, 256) == 0, "next hops");
	CHECK(vrf_init(&sizes) == 0, "vrf");
	test_worker.iface_stats = calloc(IFACE_MAX, sizeof(*test_worker.iface_stats));
	test_worker.nh_stats = calloc(256, sizeof(*test_worker.nh_stats));
	bucket_init(&test_worker.icmp_error, 1000000, 100000);
	worker_self = &test_worker;
	catch_edges("ip4-");
	catch_edges("ip6-");
	catch_edges("icmp");
	catch_edges("tcp-");
	param.node_patterns = patterns;
	id = rte_graph_create("test", &param);
	CHECK(id != RTE_GRAPH_ID_INVALID, "graph: %s", rte_strerror(rte_errno));
	test_graph = rte_graph_lookup("test");
	CHECK(test_graph != NULL, "graph");
}

/* Everything was given back to the pool. */
static inline void test_fini(void)
{
	test_clear();
	CHECK(rte_mempool_in_use_count(dp_pool) == 0, "%u mbufs leaked",
	      rte_mempool_in_use_count(dp_pool));
	free(test_worker.iface_stats);
	free(test_worker.nh_stats);
}

#endif
