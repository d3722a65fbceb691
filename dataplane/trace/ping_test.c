/* SPDX-License-Identifier: Apache-2.0 */
/* Probes of the data plane itself: to its own addresses, and which answer belongs to which. */
#include <unistd.h>

#include <rte_common.h>

#include "../core/loop.h"
#include "../core/node.h"
#include "../core/worker.h"
#include "trace_test.h"

struct told {
	unsigned int n;
	struct ping_result r;
};

static void told(void *arg, const struct ping_result *r)
{
	struct told *t = arg;

	t->n++;
	t->r = *r;
}

static struct ping_config probe_to(const char *dst, uint16_t id)
{
	return (struct ping_config){.dst = testbed_ip(dst),
				    .ttl = 64,
				    .size = 56,
				    .identifier = id,
				    .sequence = 1,
				    .timeout_ms = 60000};
}

static void start(const struct ping_config *c, struct told *t)
{
	*t = (struct told){0};
	CHECK(ping_start(c, told, t, &err) == 0, "%s", err.message);
	CHECK(t->n == 0, "told from within");
}

static void test_own(const char *dst)
{
	const struct ping_config c = probe_to(dst, 100);
	struct told t;

	start(&c, &t);
	box_settle();
	CHECK(t.n == 1 && t.r.outcome == PING_REPLY, "%s: told %u times, outcome %d", dst, t.n,
	      t.r.outcome);
	CHECK(ip_addr_eq(&t.r.from, &c.dst) && t.r.ttl == 64, "%s: from another", dst);
}

/* These take no packet: they are told of at the next tick. */
static void test_here(void)
{
	struct ping_config c = probe_to("10.0.1.1", 110), l = probe_to("fe80::", 111);
	struct told t, tl;

	c.udp = true;
	for (unsigned int k = 0; k < eth1->n_addrs; k++)
		if (ip_addr_is_link_local(&eth1->addrs[k].addr))
			l.dst = eth1->addrs[k].addr;
	l.iface = eth1;
	start(&c, &t);
	start(&l, &tl);
	for (int k = 0; k < 60000 && t.n + tl.n < 2; k++) {
		usleep(1000);
		loop_ticks();
	}
	CHECK(t.n == 1 && t.r.outcome == PING_REPLY && ip_addr_eq(&t.r.from, &c.dst), "traceroute");
	CHECK(tl.n == 1 && tl.r.outcome == PING_REPLY && ip_addr_eq(&tl.r.from, &l.dst) &&
		      tl.r.length == 104,
	      "link-local");
}

/* A packet for the box as it comes from 10.0.1.2. */
static void answer(uint8_t type, uint16_t id, uint16_t seq)
{
	uint8_t p[36] = {0x45, 0, 0, 36, 0, 0, 0, 0, 60, 1, 0, 0, 10, 0, 1, 2, 10, 0, 1, 1, type};
	struct rte_mbuf *m = rte_pktmbuf_alloc(dp_pool);
	uint8_t *f;
	uint16_t sum;

	CHECK(m != NULL, "pool");
	p[24] = (uint8_t)(id >> 8);
	p[25] = (uint8_t)id;
	p[26] = (uint8_t)(seq >> 8);
	p[27] = (uint8_t)seq;
	sum = plain_cksum(p + 20, 16, 0);
	p[22] = (uint8_t)(sum >> 8);
	p[23] = (uint8_t)sum;
	sum = plain_cksum(p, 20, 0);
	p[10] = (uint8_t)(sum >> 8);
	p[11] = (uint8_t)sum;
	f = (uint8_t *)rte_pktmbuf_append(m, 14 + sizeof(p));
	memcpy(f, eth1->mac.addr_bytes, 6);
	memcpy(f + 6, (const uint8_t[]){2, 0, 0, 0, 9, 1, 8, 0}, 8);
	memcpy(f + 14, p, sizeof(p));
	m->port = eth1->port;
	CHECK(rte_ring_enqueue(workers[0]->dispatch, m) == 0, "ring");
	box_settle();
}

static void test_matching(void)
{
	struct ping_config a = probe_to("10.0.1.2", 200), b = probe_to("10.0.1.2", 200),
			   c = probe_to("10.0.1.3", 200);
	struct told ta, tb, tc;

	b.sequence = 2;
	c.sequence = 3;
	start(&a, &ta);
	start(&b, &tb);
	start(&c, &tc);
	box_settle();
	answer(0, 201, 1);
	answer(0, 200, 9);
	/* Asked of another. */
	answer(0, 200, 3);
	CHECK(ta.n + tb.n + tc.n == 0, "somebody's answer");
	answer(0, 200, 2);
	CHECK(ta.n == 0 && tb.n == 1 && tb.r.outcome == PING_REPLY && tb.r.ttl == 60 &&
		      tb.r.length == 36,
	      "the second's");
	answer(0, 200, 2);
	answer(0, 200, 1);
	CHECK(ta.n == 1 && tb.n == 1 && tc.n == 0, "the first's");
	ping_cancel(&tc);
	answer(0, 200, 3);
	CHECK(tc.n == 0, "told after the end");
}

static void test_refused(void)
{
	struct ping_config c = probe_to("fe80::1", 300);
	struct told t;

	CHECK(ping_start(&c, told, &t, &err) < 0 && strcmp(err.field, "interface") == 0,
	      "link-local without interface");
	c = probe_to("10.0.1.2", 300);
	c.src = testbed_ip("2001:db8:1::1");
	CHECK(ping_start(&c, told, &t, &err) < 0 && strcmp(err.field, "source") == 0,
	      "source of another family");
	c.src = testbed_ip("10.0.1.77");
	CHECK(ping_start(&c, told, &t, &err) < 0 && strcmp(err.field, "source") == 0,
	      "source of another box");
	CHECK(rte_mempool_in_use_count(dp_pool) == 0, "a packet is lost");
}

void test_pings(void)
{
	test_own("10.0.1.1");
	test_own("10.0.2.1");
	test_own("192.0.2.1");
	test_own("2001:db8:1::1");
	test_own("2001:db8::1");
	test_here();
	test_matching();
	test_refused();
}
