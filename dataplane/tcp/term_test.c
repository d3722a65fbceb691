/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The engines in two workers that run: listeners on loopbacks, in instances and on virtual
 * addresses, which a client in a worker talks to through the whole graph.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../core/loop.h"
#include "../iface/iface.h"
#include "../ip4/check_test.h"
#include "../seam/testbed.h"
#include "../vrf/vrf.h"
#include "conns.h"
#include "stats.h"
#include "term_test.h"

static const struct owner_tag one = {.owner = 1, .epoch = 1};
static struct dp_error err;

/* ---- a client in a worker -------------------------------------------------------------------- */

struct client {
	/* What it asks for. */
	struct tcp_connect_params params;
	uint32_t send;
	/* What became of it; the worker writes, the test polls. */
	struct tcp_conn *c;
	volatile bool connected, closed;
	volatile enum tcp_close_reason why;
	volatile uint32_t received;
	volatile int started;
	uint32_t sent;
};

static uint8_t pattern(uint32_t i)
{
	return (uint8_t)(i * 31 + (i >> 8));
}

static void client_write(struct tcp_conn *c)
{
	struct client *cl = tcp_user(c);
	uint8_t buf[1000];
	int n;

	while (cl->sent < cl->send) {
		uint32_t len = RTE_MIN(cl->send - cl->sent, (uint32_t)sizeof(buf));

		for (uint32_t i = 0; i < len; i++)
			buf[i] = pattern(cl->sent + i);
		n = tcp_write_copy(c, buf, len);
		if (n <= 0)
			break;
		cl->sent += (uint32_t)n;
	}
	if (cl->sent < cl->send)
		tcp_want_write(c, 1);
	else
		tcp_shutdown(c);
}

static void client_connected(struct tcp_conn *c)
{
	struct client *cl = tcp_user(c);

	cl->connected = true;
	if (cl->send != 0)
		client_write(c);
}

static void client_readable(struct tcp_conn *c)
{
	struct client *cl = tcp_user(c);
	uint8_t buf[512];
	uint32_t n;

	while ((n = tcp_peek_copy(c, 0, buf, sizeof(buf))) > 0) {
		for (uint32_t i = 0; i < n; i++)
			CHECK(buf[i] == pattern(cl->received + i), "octet %u is wrong",
			      cl->received + i);
		cl->received += tcp_discard(c, n);
	}
}

static void client_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct client *cl = tcp_user(c);

	cl->why = why;
	cl->c = NULL;
	cl->closed = true;
}

static const struct tcp_ops client_ops = {
	.connected = client_connected,
	.readable = client_readable,
	.writable = client_write,
	.closed = client_closed,
};

static void start(struct worker *w, void *arg)
{
	struct client *cl = arg;

	cl->params.ops = &client_ops;
	cl->params.user = cl;
	cl->c = tcp_connect(w->term->engine, &cl->params);
	cl->started = cl->c != NULL ? 0 : errno;
	w->term->next_ns = 0;
}

static void addr_of(const char *text, struct tcp_addr *out)
{
	const struct ip_addr a = testbed_ip(text);

	if (a.len == 4)
		tcp_addr4(out, ip_addr_v4(&a));
	else
		tcp_addr6(out, a.b);
}

static void client_start(struct client *cl, unsigned int worker, uint16_t vrf, const char *from,
			 const char *to, uint16_t port, uint32_t send)
{
	*cl = (struct client){.send = send};
	addr_of(from, &cl->params.tuple.laddr);
	addr_of(to, &cl->params.tuple.raddr);
	cl->params.tuple.rport = rte_cpu_to_be_16(port);
	cl->params.tuple.vrf = vrf;
	cl->params.tuple.family = strchr(to, ':') != NULL ? 6 : 4;
	worker_call(workers[worker], start, cl);
	CHECK(cl->started == 0, "connect to %s: %s", to, strerror(cl->started));
}

#define WAIT(cond, ...)                                                                            \
	do {                                                                                       \
		for (int wait_ = 0; !(cond); wait_++) {                                            \
			CHECK(wait_ < 60000, __VA_ARGS__);                                         \
			loop_once();                                                               \
			usleep(1000);                                                              \
		}                                                                                  \
	} while (0)

/* ---- listeners ------------------------------------------------------------------------------- */

static struct svc_listener_cfg *config(enum svc_kind kind, const char *name, uint16_t port,
				       const char *addr, uint16_t vrf)
{
	struct svc_listener_cfg *c = svc_listener_cfg_new(kind);

	CHECK(c != NULL, "no memory");
	snprintf(c->name, sizeof(c->name), "%s", name);
	c->port = rte_cpu_to_be_16(port);
	c->vrf = vrf;
	if (addr != NULL) {
		addr_of(addr, &c->addr);
		c->family = strchr(addr, ':') != NULL ? 6 : 4;
	}
	return c;
}

static struct term_listener *listen_on(enum svc_kind kind, const char *name, uint16_t port,
				       const char *addr, uint16_t vrf)
{
	CHECK(term_listener_set(NULL, config(kind, name, port, addr, vrf), one, 0,
				(struct term_msg){0}, &err) == 0,
	      "%s: %s", name, err.message);
	return term_listener_find(name);
}

static struct iface *loopback(const char *name, uint16_t vrf)
{
	struct iface_config c = {
		.kind = IFACE_LOOPBACK, .admin_up = true, .owner = one, .vrf = vrf};

	snprintf(c.name, sizeof(c.name), "%s", name);
	CHECK(iface_set(&c, &err) == 0, "%s", err.message);
	return iface_find(name);
}

static void addr_add(struct iface *i, const char *text, uint8_t plen)
{
	const struct ip_addr a = testbed_ip(text);

	CHECK(iface_addr_set(i, &a, plen, one, &err) == 0, "%s: %s", text, err.message);
}

static void vip_add(struct iface *i, const char *text)
{
	const struct ip_addr a = testbed_ip(text);

	CHECK(iface_vip_set(i, &a, one, &err) == 0, "%s: %s", text, err.message);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_echo(const char *from, const char *to, uint16_t vrf)
{
	struct client cl[2];

	for (unsigned int w = 0; w < n_workers; w++)
		client_start(&cl[w], w, vrf, from, to, 7, 300000);
	for (unsigned int w = 0; w < n_workers; w++) {
		WAIT(cl[w].closed, "%s: worker %u has %u octets back, connected %d", to, w,
		     cl[w].received, cl[w].connected);
		CHECK(cl[w].received == 300000 && cl[w].why == TCP_CLOSE_DONE,
		      "%s: %u octets, closed for %s", to, cl[w].received,
		      tcp_close_reason_name(cl[w].why));
	}
}

static unsigned int kill_all(const struct term_filter *f)
{
	struct term_conns_at at = {0};
	unsigned int n = 0;

	while (!at.end)
		n += term_conns_kill(f, &at);
	return n;
}

/* Ports of connections made from a worker tell whose they are. */
static void test_ports(void)
{
	struct client cl[2];

	for (unsigned int w = 0; w < n_workers; w++) {
		client_start(&cl[w], w, 0, "10.0.0.2", "10.0.0.1", 7, 0);
		WAIT(cl[w].connected, "worker %u", w);
		CHECK(term_port_owner(tcp_tuple(cl[w].c)->lport) == w, "port %u of worker %u",
		      rte_be_to_cpu_16(tcp_tuple(cl[w].c)->lport), w);
	}
	CHECK(term_port_owner(RTE_BE16(7)) == n_workers, "a listener's port");
	kill_all(&(const struct term_filter){.svc.states = 1u << TCP_ESTABLISHED});
	for (unsigned int w = 0; w < n_workers; w++)
		WAIT(cl[w].closed, "worker %u's goes on", w);
}

static unsigned int count(const struct term_filter *f)
{
	struct term_conns_at at = {0};
	struct term_conn_row rows[64];
	unsigned int n = 0;

	while (!at.end)
		n += term_conns_list(f, &at, rows, RTE_DIM(rows));
	return n;
}

static void test_list_and_kill(void)
{
	struct term_filter f = {.svc.states = 1u << TCP_ESTABLISHED};
	struct term_conns_at at = {0};
	struct client cl[20];
	unsigned int n;

	kill_all(&f);
	WAIT(count(&f) == 0, "%u are left", count(&f));
	for (unsigned int k = 0; k < RTE_DIM(cl); k++)
		client_start(&cl[k], k % n_workers, 0, "10.0.0.2", "10.0.0.1", 7, 0);
	for (unsigned int k = 0; k < RTE_DIM(cl); k++)
		WAIT(cl[k].connected, "connection %u", k);
	/* Both ends are here. */
	WAIT(count(&f) == 2 * RTE_DIM(cl), "%u are listed", count(&f));
	f.svc.only_outgoing = true;
	CHECK(count(&f) == RTE_DIM(cl), "%u were made from here", count(&f));
	f.svc.only_outgoing = false;
	f.listener_id = term_listener_find("echo")->id;
	CHECK(count(&f) == RTE_DIM(cl), "%u are the listener's", count(&f));
	f.family = 6;
	CHECK(count(&f) == 0, "%u are IPv6", count(&f));
	f.family = 0;
	/* One, by its name. */
	f = (struct term_filter){.exact = true, .svc.by_vrf = true};
	f.svc.local = (struct tcp_prefix){.addr = tcp_tuple(cl[3].c)->laddr, .len = 128};
	f.svc.remote = (struct tcp_prefix){.addr = tcp_tuple(cl[3].c)->raddr, .len = 128};
	f.svc.lport = tcp_tuple(cl[3].c)->lport;
	f.svc.rport = tcp_tuple(cl[3].c)->rport;
	CHECK(count(&f) == 1, "%u of that name", count(&f));
	at = (struct term_conns_at){0};
	CHECK(term_conns_kill(&f, &at) == 1 && at.end, "kill");
	WAIT(cl[3].closed, "it goes on");
	CHECK(cl[3].why == TCP_CLOSE_ABORTED, "%s", tcp_close_reason_name(cl[3].why));
	/* The other end had a reset. */
	f = (struct term_filter){.svc.states = 1u << TCP_ESTABLISHED};
	WAIT(count(&f) == 2 * RTE_DIM(cl) - 2, "%u are listed", count(&f));
	f.listener_id = term_listener_find("echo")->id;
	n = kill_all(&f);
	CHECK(n == RTE_DIM(cl) - 1, "%u killed", n);
	for (unsigned int k = 0; k < RTE_DIM(cl); k++)
		WAIT(cl[k].closed, "connection %u goes on", k);
	CHECK(cl[0].why == TCP_CLOSE_RESET, "%s", tcp_close_reason_name(cl[0].why));
}

static void test_update(void)
{
	struct term_listener *l = term_listener_find("echo");
	const uint32_t id = l->id;
	struct svc_listener_stats s;
	struct svc_listener_cfg *c;
	struct client cl, other;

	client_start(&cl, 0, 0, "10.0.0.2", "10.0.0.1", 7, 0);
	WAIT(cl.connected, "no connection");
	c = config(SVC_ECHO, "echo", 7, NULL, 0);
	c->max_conns = 1;
	CHECK(term_listener_set(l, c, one, 0, (struct term_msg){0}, &err) == 0, "%s", err.message);
	CHECK(term_listener_find("echo") == l && l->id == id, "another listener");
	CHECK(!cl.closed, "the connection was ended");
	term_listener_stats(&id, 1, &s);
	CHECK(s.ready && s.tcp.active == 1, "ready %d, %llu active", s.ready,
	      (unsigned long long)s.tcp.active);
	/* Of the new limit. */
	client_start(&other, 0, 0, "10.0.0.2", "10.0.0.1", 7, 0);
	usleep(200000);
	CHECK(!other.connected, "one too many was let in");
	kill_all(&(const struct term_filter){.svc.states = 1u << TCP_SYN_SENT});
	WAIT(other.closed, "it goes on");
	/* The same place again. */
	CHECK(term_listener_set(NULL, config(SVC_DISCARD, "twin", 7, NULL, 0), one, 0,
				(struct term_msg){0}, &err) < 0 &&
		      err.code == DP_IN_USE && strcmp(err.field, "port") == 0,
	      "two on one port: %s", err.message);
	CHECK(term_listener_find("twin") == NULL, "it was made");
	term_listener_delete(l, 2000);
	CHECK(term_listener_draining() == l && l->left == 1, "it is not drained");
	CHECK(!cl.closed, "the connection had no time");
	WAIT(cl.closed, "the connection outlives its listener");
	term_listener_tick();
	CHECK(term_listener_draining() == NULL, "it is drained for ever");
	CHECK(cl.why == TCP_CLOSE_RESET, "%s", tcp_close_reason_name(cl.why));
}

static void test_proxy(void)
{
	struct svc_pool_cfg *p = svc_pool_cfg_new(1, 0);
	struct svc_fault fault = {0};
	struct svc_listener_cfg *c;
	struct term_pool_obj *pool;
	struct client cl[2];

	snprintf(p->name, sizeof(p->name), "pool");
	snprintf(p->backends[0].name, sizeof(p->backends[0].name), "one");
	addr_of("10.0.0.1", &p->backends[0].addr);
	p->backends[0].port = RTE_BE16(7);
	p->n_backends = 1;
	p->id = 1;
	CHECK(svc_pool_cfg_check(p, &fault) == 0, "%s: %s", fault.field, fault.msg);
	CHECK(term_pool_set(NULL, p, one, (struct term_msg){0}, &err) == 0, "%s", err.message);
	pool = term_pool_find("pool");
	CHECK(pool != NULL, "no pool");
	c = config(SVC_PROXY, "proxy", 8080, NULL, 0);
	c->proxy.pool_id = pool->id;
	CHECK(term_listener_set(NULL, c, one, 0, (struct term_msg){0}, &err) == 0, "%s",
	      err.message);
	CHECK(term_pool_delete(pool, &err) < 0 && err.code == DP_IN_USE, "deleted while used");
	for (unsigned int w = 0; w < n_workers; w++)
		client_start(&cl[w], w, 0, "10.0.0.2", "10.0.0.99", 8080, 100000);
	for (unsigned int w = 0; w < n_workers; w++) {
		WAIT(cl[w].closed, "worker %u has %u octets back", w, cl[w].received);
		CHECK(cl[w].received == 100000, "%u octets", cl[w].received);
	}
	term_listener_delete(term_listener_find("proxy"), 0);
	CHECK(term_pool_delete(pool, &err) == 0, "%s", err.message);
	CHECK(term_pool_find("pool") == NULL, "it is still there");
}

static void test_usage(void)
{
	struct tcp_usage u[WORKER_MAX];
	struct tcp_mib mib;
	uint64_t held = 0;

	for (int wait = 0; wait < 60000; wait++) {
		term_usage(u);
		held = 0;
		for (unsigned int i = 0; i < n_workers; i++)
			held += u[i].conns + u[i].mem_bytes;
		held += rte_mempool_in_use_count(dp_pool) + rte_mempool_in_use_count(term_pool);
		if (held == 0)
			break;
		usleep(1000);
	}
	CHECK(held == 0, "%u connections, %llu octets, %u and %u buffers are held", u[0].conns,
	      (unsigned long long)u[0].mem_bytes, rte_mempool_in_use_count(dp_pool),
	      rte_mempool_in_use_count(term_pool));
	term_mib(&mib);
	CHECK(mib.active_opens > 20 && mib.passive_opens > 20, "%llu made, %llu accepted",
	      (unsigned long long)mib.active_opens, (unsigned long long)mib.passive_opens);
	CHECK(mib.drop_checksum == 0 && mib.drop_short == 0, "segments of our own dropped");
}

int main(void)
{
	struct iface *lo, *red;
	struct vrf *v;

	setvbuf(stdout, NULL, _IOLBF, 0);
	testbed_start("tcp-test", NULL, 2);
	test_parse();
	lo = loopback("lo0", 0);
	addr_add(lo, "10.0.0.1", 32);
	addr_add(lo, "10.0.0.2", 32);
	addr_add(lo, "2001:db8::1", 128);
	addr_add(lo, "2001:db8::2", 128);
	vip_add(lo, "10.0.0.99");
	CHECK(vrf_set("red", 0, 0, one, &err) == 0, "%s", err.message);
	v = vrf_find("red");
	red = loopback("lo1", v->id);
	addr_add(red, "10.0.0.1", 32);
	addr_add(red, "10.0.0.2", 32);

	listen_on(SVC_ECHO, "echo", 7, NULL, 0);
	listen_on(SVC_ECHO, "echo-red", 7, "10.0.0.1", v->id);
	CHECK(vrf_delete(v, &err) < 0, "deleted with a listener in it");
	test_echo("10.0.0.2", "10.0.0.1", 0);
	test_echo("2001:db8::2", "2001:db8::1", 0);
	test_echo("10.0.0.2", "10.0.0.99", 0);
	test_echo("10.0.0.2", "10.0.0.1", v->id);
	test_ports();
	test_list_and_kill();
	test_proxy();
	test_update();
	term_listener_delete(term_listener_find("echo-red"), 0);
	test_usage();
	testbed_stop();
	return 0;
}
