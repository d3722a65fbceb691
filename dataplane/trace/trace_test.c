/* SPDX-License-Identifier: Apache-2.0 */
/* Traces and captures of packets that go through a real graph. */
#include "trace_test.h"

#include <netinet/in.h>

#include <rte_common.h>
#include <rte_graph_worker.h>

#include "../core/loop.h"
#include "../core/worker.h"
#include "../neigh/internal.h"

struct iface *eth1, *eth2, *vlan5;
struct dp_error err;
static const struct owner_tag one = {.owner = 1, .epoch = 1};

/* ---- the box ---- */

static struct iface *add(const struct iface_config *c)
{
	struct iface_config owned = *c;

	owned.owner = one;
	CHECK(iface_set(&owned, &err) == 0, "%s: %s", c->name, err.message);
	return iface_find(c->name);
}

static void add_addr(struct iface *i, const char *text, uint8_t plen)
{
	const struct ip_addr a = testbed_ip(text);

	CHECK(iface_addr_set(i, &a, plen, one, &err) == 0, "%s: %s", text, err.message);
}

static void add_neigh(struct iface *i, const char *text)
{
	const struct rte_ether_addr mac = {{2, 0, 0, 0, 9, 1}};
	const struct ip_addr a = testbed_ip(text);

	CHECK(neigh_static_set(i, &a, &mac, one, &err) == 0, "%s: %s", text, err.message);
}

static void box_start(void)
{
	const struct iface_config lo = {.name = "lo1", .kind = IFACE_LOOPBACK, .admin_up = true};
	struct iface_config c = {.name = "eth1", .kind = IFACE_PORT, .admin_up = true};

	testbed_start("trace-test", NULL, 0);
	worker_self = workers[0];
	snprintf(c.device, sizeof(c.device), "net_null0,no-rx=1");
	eth1 = add(&c);
	strcpy(c.name, "eth2");
	snprintf(c.device, sizeof(c.device), "net_null1,no-rx=1");
	eth2 = add(&c);
	c = (struct iface_config){.name = "eth1.5",
				  .kind = IFACE_VLAN,
				  .parent = "eth1",
				  .vlan = 5,
				  .admin_up = true};
	vlan5 = add(&c);
	add_addr(eth1, "10.0.1.1", 24);
	add_addr(eth1, "2001:db8:1::1", 64);
	add_addr(eth2, "10.0.2.1", 24);
	add_addr(add(&lo), "192.0.2.1", 32);
	add_addr(iface_find("lo1"), "2001:db8::1", 128);
	add_neigh(eth1, "10.0.1.2");
	add_neigh(eth1, "10.0.1.3");
	add_neigh(eth2, "10.0.2.2");
	add_neigh(eth2, "10.0.2.3");
	/* Duplicate address detection. */
	for (int k = 0; k < 50; k++) {
		neigh_clock_skew += 100000000;
		dad_tick(neigh_now());
		box_settle();
	}
}

void box_settle(void)
{
	struct worker *w = workers[0];

	do {
		if (w->trace != NULL)
			trace_walk(w);
		else
			rte_graph_walk(w->graph);
	} while (loop_once() || !rte_ring_empty(w->inject) || !rte_ring_empty(w->dispatch));
}

void box_receive(const char *dst, uint16_t len, uint8_t ttl, bool tagged)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	const struct ip_addr src = testbed_ip("10.0.1.2"), to = testbed_ip(dst);
	const uint16_t l2 = tagged ? 18 : 14;
	uint8_t *f, *p;
	uint16_t sum;

	CHECK(m != NULL, "pool");
	f = (uint8_t *)rte_pktmbuf_append(m, (uint16_t)(l2 + len));
	memset(f, 0, l2 + len);
	memcpy(f, eth1->mac.addr_bytes, 6);
	memcpy(f + 6, (const uint8_t[]){2, 0, 0, 0, 9, 1}, 6);
	if (tagged)
		memcpy(f + 12, (const uint8_t[]){0x81, 0, 0, 5}, 4);
	f[l2 - 2] = 8;
	p = f + l2;
	p[0] = 0x45;
	p[2] = (uint8_t)(len >> 8);
	p[3] = (uint8_t)len;
	p[8] = ttl;
	p[9] = IPPROTO_UDP;
	memcpy(p + 12, src.b, 4);
	memcpy(p + 16, to.b, 4);
	sum = plain_cksum(p, 20, 0);
	p[10] = (uint8_t)(sum >> 8);
	p[11] = (uint8_t)sum;
	p[23] = 53;
	p[24] = (uint8_t)((len - 20) >> 8);
	p[25] = (uint8_t)(len - 20);
	m->port = eth1->port;
	CHECK(rte_ring_enqueue(workers[0]->dispatch, m) == 0, "ring");
}

/* ---- trace ---- */

static struct trace_record records[8];
static unsigned int n_records, n_ends;
static char end_reason[64];

static void traced(void *arg, const struct trace_record *r, const char *end)
{
	(void)arg;
	if (r != NULL) {
		CHECK(n_records < RTE_DIM(records), "too many records");
		records[n_records++] = *r;
	}
	if (end != NULL) {
		n_ends++;
		snprintf(end_reason, sizeof(end_reason), "%s", end);
	}
}

static uint32_t trace(uint32_t count, const char *filter, struct iface *i)
{
	const struct trace_config c = {
		.count = count, .filter = filter, .iface = i, .timeout_s = 60};
	uint32_t handle = 0;

	n_records = n_ends = 0;
	CHECK(trace_start(&c, traced, NULL, &handle, &err) == 0, "%s", err.message);
	return handle;
}

static bool step_is(const struct trace_record *r, unsigned int at, const char *node,
		    const char *detail)
{
	return at < r->n_steps && strcmp(r->steps[at].node, node) == 0 &&
	       strstr(r->steps[at].detail, detail) != NULL;
}

static void test_trace_errors(void)
{
	struct trace_config c = {.count = 1, .filter = "udp port", .timeout_s = 1};
	uint32_t handle;

	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 && err.code == DP_INVALID &&
		      strcmp(err.field, "filter") == 0 && err.message[0] != 0,
	      "filter that does not compile");
	c.filter = "port 99999999";
	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 && strcmp(err.field, "filter") == 0,
	      "port out of range");
	c.filter = NULL;
	c.count = 0;
	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 && strcmp(err.field, "count") == 0,
	      "no packets");
	c.count = 100000;
	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 && strcmp(err.field, "count") == 0,
	      "too many packets");
	c.count = 1;
	c.iface = iface_find("lo1");
	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 &&
		      strcmp(err.field, "interface") == 0,
	      "loopback");
	handle = trace(1, NULL, NULL);
	c.iface = NULL;
	CHECK(trace_start(&c, traced, NULL, &handle, &err) < 0 && err.code == DP_IN_USE,
	      "a second trace");
	CHECK(workers[0]->trace != NULL, "no trace in force");
	trace_stop(handle);
	CHECK(workers[0]->trace == NULL, "trace still in force");
	trace_stop(handle);
}

static void test_trace(void)
{
	const struct trace_record *r = &records[0];
	struct iface_stats before, after;
	unsigned int last;

	worker_iface_stats(eth1->id, &before);
	trace(2, "udp", NULL);
	box_receive("10.0.2.2", 60, 64, false);
	box_receive("10.0.2.2", 60, 1, false);
	box_settle();
	CHECK(n_records == 2 && n_ends == 1, "%u records, %u ends", n_records, n_ends);
	/* Forwarded. */
	last = r->n_steps - 1u;
	CHECK(r->sequence == 1 && r->iface == eth1->id && r->out_iface == eth2->id &&
		      r->drop_reason == NULL && r->length == 74 && r->captured == 74 &&
		      r->time_ns != 0,
	      "record of a forwarded packet");
	CHECK(step_is(r, 0, "eth-input", "type 0x0800, 74 bytes") &&
		      step_is(r, 1, "ip4-input", "10.0.1.2 > 10.0.2.2 protocol 17, TTL 64") &&
		      step_is(r, 2, "ip4-rewrite", "via 10.0.2.2 dev eth2") &&
		      step_is(r, last, "port-tx", "74 bytes"),
	      "steps of a forwarded packet");
	for (unsigned int i = 1; i <= last; i++)
		CHECK(r->steps[i].ns >= r->steps[i - 1].ns, "time of step %u", i);
	CHECK(memcmp(r->packet, eth1->mac.addr_bytes, 6) == 0, "bytes");
	/* Dropped, with an ICMP error about it. */
	r = &records[1];
	last = r->n_steps - 1u;
	CHECK(r->sequence == 2 && r->out_iface == IFACE_NONE && r->drop_reason != NULL &&
		      strstr(r->drop_reason, "ttl") != NULL,
	      "record of a dropped packet: %s", r->drop_reason);
	CHECK(strncmp(r->steps[last].node, "drop-", 5) == 0 &&
		      strcmp(r->steps[last].node + 5, r->drop_reason) == 0 &&
		      r->steps[last].detail[0] != 0 && step_is(r, last - 1, "ip4-error", "type 11"),
	      "last step is %s", r->steps[last].node);
	worker_iface_stats(eth1->id, &after);
	CHECK(after.rx_packets == before.rx_packets + 2 &&
		      after.rx_discards == before.rx_discards + 1,
	      "counters");
	CHECK(workers[0]->trace == NULL && strstr(end_reason, "all") != NULL, "%s", end_reason);
}

static void test_trace_filter(void)
{
	uint32_t handle = trace(4, "udp and dst host 10.0.2.2", vlan5);

	box_receive("10.0.2.2", 60, 64, false);
	box_receive("10.0.2.3", 60, 64, true);
	box_settle();
	CHECK(n_records == 0, "not on the VLAN, or not to the host");
	trace_stop(handle);
	/* A port takes in its VLANs. */
	handle = trace(4, NULL, eth1);
	box_receive("10.0.2.2", 60, 64, true);
	box_receive("10.0.2.2", 60, 64, false);
	box_settle();
	CHECK(n_records == 2 && records[0].iface == vlan5->id && records[1].iface == eth1->id,
	      "%u records", n_records);
	trace_stop(handle);
	CHECK(n_ends == 0, "an end that was asked for");
}

/* ---- capture ---- */

static unsigned int n_packets;
static uint64_t n_dropped;
static struct captured_packet seen[8];
static uint8_t seen_data[8][2048];

static void captured(void *arg, const struct captured_packet *p, unsigned int n, uint64_t dropped,
		     const char *end)
{
	(void)arg;
	n_dropped = dropped;
	n_ends += end != NULL;
	for (unsigned int i = 0; i < n; i++, n_packets++) {
		if (n_packets >= RTE_DIM(seen))
			continue;
		seen[n_packets] = p[i];
		memcpy(seen_data[n_packets], p[i].data, p[i].captured);
	}
}

static uint32_t capture(const struct capture_config *c)
{
	uint32_t handle = 0;

	n_packets = n_ends = 0;
	n_dropped = 0;
	CHECK(capture_start(c, captured, NULL, &handle, &err) == 0, "%s", err.message);
	return handle;
}

static void test_capture_errors(void)
{
	struct capture_config c = {.snaplen = 100};
	uint32_t handle, handles[8];

	CHECK(capture_start(&c, captured, NULL, &handle, &err) < 0 &&
		      strcmp(err.field, "direction") == 0,
	      "no direction");
	c.in = true;
	c.snaplen = 0;
	CHECK(capture_start(&c, captured, NULL, &handle, &err) < 0 &&
		      strcmp(err.field, "snaplen") == 0,
	      "snaplen 0");
	c.snaplen = 65536;
	CHECK(capture_start(&c, captured, NULL, &handle, &err) < 0 &&
		      strcmp(err.field, "snaplen") == 0,
	      "snaplen 65536");
	c.snaplen = 100;
	c.filter = "(";
	CHECK(capture_start(&c, captured, NULL, &handle, &err) < 0 &&
		      strcmp(err.field, "filter") == 0,
	      "filter that does not compile");
	c.filter = NULL;
	for (unsigned int i = 0; i < RTE_DIM(handles); i++)
		handles[i] = capture(&c);
	CHECK(capture_start(&c, captured, NULL, &handle, &err) < 0, "a ninth capture");
	for (unsigned int i = 0; i < RTE_DIM(handles); i++)
		capture_stop(handles[i]);
	CHECK(workers[0]->trace == NULL, "still in force");
}

static void test_capture(void)
{
	const struct capture_config both = {.snaplen = 60, .in = true, .out = true, .count = 4};
	const struct capture_config vlan = {
		.snaplen = 65535, .in = true, .iface = vlan5, .filter = "vlan and udp"};
	uint32_t handle = capture(&both);

	for (int i = 0; i < 3; i++) {
		box_receive("10.0.2.2", 400, 64, false);
		box_settle();
	}
	capture_stop(handle);
	CHECK(n_packets == 4 && n_dropped == 0 && n_ends == 1, "%u packets, %u ends", n_packets,
	      n_ends);
	for (unsigned int i = 0; i < 4; i++) {
		CHECK(seen[i].outbound == (i % 2 == 1) && seen[i].length == 414 &&
			      seen[i].captured == 60 && seen[i].time_ns != 0 &&
			      seen[i].iface == (i % 2 == 1 ? eth2 : eth1)->id,
		      "packet %u", i);
		/* TTL: as it came, and as it went. */
		CHECK(seen_data[i][14 + 8] == (i % 2 == 1 ? 63 : 64), "TTL %u",
		      seen_data[i][14 + 8]);
	}
	handle = capture(&vlan);
	box_receive("10.0.2.2", 1400, 64, true);
	box_receive("10.0.2.2", 400, 64, false);
	box_settle();
	CHECK(n_packets == 1 && seen[0].iface == vlan5->id && seen[0].captured == 1418 &&
		      seen_data[0][15] == 5,
	      "%u packets", n_packets);
	capture_stop(handle);
	box_receive("10.0.2.2", 400, 64, true);
	box_settle();
	CHECK(n_packets == 1 && n_ends == 0, "after the end");
}

/* More than the ring holds before the control thread looks: what is lost is counted. */
static void test_capture_drops(void)
{
	const struct capture_config c = {.snaplen = 64, .in = true};
	uint32_t handle = capture(&c);
	const unsigned int n = 6000;

	for (unsigned int i = 0; i < n; i++) {
		box_receive("10.0.2.2", 60, 64, false);
		trace_walk(workers[0]);
	}
	box_settle();
	CHECK(n_packets + n_dropped == n && n_dropped > 0 && n_packets >= 4000, "%u and %lu",
	      n_packets, (unsigned long)n_dropped);
	capture_stop(handle);
}

int main(void)
{
	box_start();
	test_answers();
	test_trace_errors();
	test_trace();
	test_trace_filter();
	test_capture_errors();
	test_capture();
	test_capture_drops();
	test_pings();
	CHECK(rte_mempool_in_use_count(dp_pool) == 0, "%u packets are lost",
	      rte_mempool_in_use_count(dp_pool));
	testbed_stop();
	return 0;
}
