/* SPDX-License-Identifier: Apache-2.0 */
/* TCP listeners and pools over the seam: what is refused, what is told back, and what a client that
 * starts anew leaves alone. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "testops.h"

#define ECHO  PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_ECHO)
#define HTTP  PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_HTTP)
#define PROXY PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_PROXY)

static PB(TcpListener) listener_of(const char *name, int service, uint32_t port)
{
	PB(TcpListener) m = PB_VALUE(TCP_LISTENER);

	m.name = pb_str(name);
	m.service = (PB(TcpServiceKind))service;
	m.port = port;
	return m;
}

static void listener(PB(TcpListener) m, const struct refusal *want)
{
	OP(tcp_listener, TCP_LISTENER);
	apply_one(&op, want);
}

static void listener_delete(const char *name, uint32_t drain, const struct refusal *want)
{
	PB(TcpListenerKey) m = PB_VALUE(TCP_LISTENER_KEY);
	OP(tcp_listener_delete, TCP_LISTENER_DELETE);
	m.name = pb_str(name);
	m.drain_timeout = drain;
	apply_one(&op, want);
}

static void pool(PB(TcpPool) m, const struct refusal *want)
{
	OP(tcp_pool, TCP_POOL);
	apply_one(&op, want);
}

static void pool_delete(const char *name, const struct refusal *want)
{
	PB(TcpPoolKey) m = PB_VALUE(TCP_POOL_KEY);
	OP(tcp_pool_delete, TCP_POOL_DELETE);
	m.name = pb_str(name);
	apply_one(&op, want);
}

static resp_t *list_of(int table, const char *name)
{
	PB(List) l = PB_VALUE(LIST);
	req_t q = PB_VALUE(REQUEST);

	l.table = (PB(Table))table;
	l.name = pb_str(name);
	q.op_case = PBC(REQUEST__OP_LIST);
	q.list = &l;
	return client_call(fd_main, &q);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_places(void)
{
	PB(TcpListener) m = listener_of("a b", ECHO, 7);
	struct bytes s;

	listener(m, NO(INVALID, "tcp_listener.name"));
	m.name = pb_str("web");
	m.port = 0;
	listener(m, NO(INVALID, "tcp_listener.port"));
	m.port = 65536;
	listener(m, NO(INVALID, "tcp_listener.port"));
	m.port = 7;
	m.service = 0;
	listener(m, NO(INVALID, "tcp_listener.service"));
	m.service = 99;
	listener(m, NO(INVALID, "tcp_listener.service"));
	m.service = ECHO;
	m.vrf = pb_str("nowhere");
	listener(m, NO(NOT_FOUND, "tcp_listener.vrf"));
	m.vrf = pb_str("");
	m.address = pb_bytes("abc", 3);
	listener(m, NO(INVALID, "tcp_listener.address"));
	m.address = addr(&s, "224.0.0.1");
	listener(m, NO(INVALID, "tcp_listener.address"));
	m.address = addr(&s, "fe80::1");
	listener(m, NO(INVALID, "tcp_listener.address"));
	m.address = pb_bytes(NULL, 0);
	m.burst = 3;
	listener(m, NO(INVALID, "tcp_listener.burst"));
	m.burst = 0;
	m.max_connections = UINT32_MAX;
	listener(m, NO(INVALID, "tcp_listener.max_connections"));
}

static void refuse_options(void)
{
	PB(TcpListener) m = listener_of("web", ECHO, 7);
	PB(TcpOptions) o = PB_VALUE(TCP_OPTIONS);
	PB(TcpPrefix) p = PB_VALUE(TCP_PREFIX), *pp = &p;
	struct bytes s;

	m.options = &o;
	o.mss = 50;
	listener(m, NO(INVALID, "tcp_listener.options.mss"));
	o.mss = 0;
	o.congestion_control = 7;
	listener(m, NO(INVALID, "tcp_listener.options.congestion_control"));
	o.congestion_control = 0;
	o.dscp = 64;
	listener(m, NO(INVALID, "tcp_listener.options.dscp"));
	o.dscp = 0;
	o.receive_buffer = 100;
	listener(m, NO(INVALID, "tcp_listener.options.receive_buffer"));
	m.options = NULL;
	m.allow = &pp;
	m.n_allow = 1;
	p.prefix = addr(&s, "10.0.0.1");
	p.prefix_len = 24;
	listener(m, NO(INVALID, "tcp_listener.allow[0].prefix"));
	p.prefix_len = 33;
	listener(m, NO(INVALID, "tcp_listener.allow[0].prefix_len"));
}

static void refuse_services(void)
{
	PB(TcpListener) m = listener_of("web", ECHO, 7);
	PB(TcpHttp) h = PB_VALUE(TCP_HTTP);
	PB(TcpHttpResponse) r = PB_VALUE(TCP_HTTP_RESPONSE);
	PB(TcpHttpHeader) f = PB_VALUE(TCP_HTTP_HEADER), *fp = &f;
	PB(TcpHttpRoute) route = PB_VALUE(TCP_HTTP_ROUTE), *rp = &route;
	PB(TcpProxy) x = PB_VALUE(TCP_PROXY);

	m.http = &h;
	listener(m, NO(INVALID, "tcp_listener.http"));
	m.service = HTTP;
	h.response = &r;
	r.status = 100;
	listener(m, NO(INVALID, "tcp_listener.http.response.status"));
	r.status = 0;
	r.headers = &fp;
	r.n_headers = 1;
	f.name = pb_str("bad name");
	f.value = pb_str("x");
	listener(m, NO(INVALID, "tcp_listener.http.response.headers[0].name"));
	r.n_headers = 0;
	r.body_file = pb_str("relative");
	listener(m, NO(INVALID, "tcp_listener.http.response.body_file"));
	r.body_file = pb_str("/no/such/file");
	listener(m, NO(INVALID, "tcp_listener.http.response.body_file"));
	r.body_file = pb_str("");
	h.routes = &rp;
	h.n_routes = 1;
	route.path = pb_str("no-slash");
	listener(m, NO(INVALID, "tcp_listener.http.routes[0].path"));
	m.http = NULL;
	m.service = PROXY;
	listener(m, NO(INVALID, "tcp_listener.proxy.pool"));
	m.proxy = &x;
	x.pool = pb_str("none");
	listener(m, NO(NOT_FOUND, "tcp_listener.proxy.pool"));
	listener_delete("none", 0, NO(NOT_FOUND, "tcp_listener_delete.name"));
}

static void refuse_pools(void)
{
	PB(TcpPool) m = PB_VALUE(TCP_POOL);
	PB(TcpBackend) b[2] = {PB_VALUE(TCP_BACKEND), PB_VALUE(TCP_BACKEND)};
	PB(TcpBackend) *bp[2] = {&b[0], &b[1]};
	PB(TcpHealthCheck) c = PB_VALUE(TCP_HEALTH_CHECK);
	struct bytes s[2];

	pool(m, NO(INVALID, "tcp_pool.name"));
	m.name = pb_str("p");
	m.backends = bp;
	m.n_backends = 1;
	pool(m, NO(INVALID, "tcp_pool.backends[0].name"));
	b[0].name = pb_str("one");
	pool(m, NO(INVALID, "tcp_pool.backends[0].address"));
	b[0].address = addr(&s[0], "192.0.2.1");
	pool(m, NO(INVALID, "tcp_pool.backends[0].port"));
	b[0].port = 80;
	b[0].weight = 256;
	pool(m, NO(INVALID, "tcp_pool.backends[0].weight"));
	b[0].weight = 0;
	b[0].vrf = pb_str("nowhere");
	pool(m, NO(NOT_FOUND, "tcp_pool.backends[0].vrf"));
	b[0].vrf = pb_str("");
	m.n_backends = 2;
	b[1].name = pb_str("two");
	b[1].address = addr(&s[1], "192.0.2.1");
	b[1].port = 80;
	/* Two backends in one place; the proxy's own check finds it. */
	{
		PB(Op) op = PB_VALUE(OP), *ops = &op;
		resp_t *r;

		op.op_case = PBC(OP__OP_TCP_POOL);
		op.tcp_pool = &m;
		r = client_batch(fd_main, &ops, 1);
		CHECK(r->batch != NULL && r->batch->n_failed == 1, "twins were taken");
		CHECK(strncmp(r->batch->failed[0]->error->field,
			      "batch.ops[0].tcp_pool.backends[1]", 33) == 0,
		      "%s", r->batch->failed[0]->error->field);
		resp_free(r);
	}
	m.n_backends = 1;
	m.health_check = &c;
	c.interval = 5;
	pool(m, NO(INVALID, "tcp_pool.health_check.interval"));
	m.health_check = NULL;
	m.algorithm = 9;
	pool(m, NO(INVALID, "tcp_pool.algorithm"));
	pool_delete("none", NO(NOT_FOUND, "tcp_pool_delete.name"));
}

/* ---- life ------------------------------------------------------------------------------------ */

static uint32_t id_of(const char *name)
{
	resp_t *r = list_of(PBC(TABLE__TABLE_TCP_LISTENERS), name);
	uint32_t id;

	CHECK(r->list != NULL && r->list->n_tcp_listeners == 1, "listener %s", name);
	id = r->list->tcp_listeners[0]->id;
	resp_free(r);
	return id;
}

static void make(void)
{
	PB(TcpListener) echo = listener_of("echo", ECHO, 7), web = listener_of("web", HTTP, 80);
	PB(TcpListener) front = listener_of("front", PROXY, 443);
	PB(TcpHttp) h = PB_VALUE(TCP_HTTP);
	PB(TcpHttpResponse) r = PB_VALUE(TCP_HTTP_RESPONSE);
	PB(TcpProxy) x = PB_VALUE(TCP_PROXY);
	PB(TcpPool) p = PB_VALUE(TCP_POOL);
	PB(TcpBackend) b = PB_VALUE(TCP_BACKEND), *bp = &b;
	struct bytes s;

	p.name = pb_str("p");
	p.backends = &bp;
	p.n_backends = 1;
	b.name = pb_str("one");
	b.address = addr(&s, "192.0.2.1");
	b.port = 80;
	pool(p, NULL);
	h.response = &r;
	r.body = pb_bytes("hello", 5);
	web.http = &h;
	web.max_connections = 100;
	x.pool = pb_str("p");
	front.proxy = &x;
	listener(echo, NULL);
	listener(web, NULL);
	listener(front, NULL);
}

static void test_life(void)
{
	PB(TcpListener) m;
	PB(Op) op = PB_VALUE(OP);
	uint32_t echo;
	resp_t *r;

	make();
	echo = id_of("echo");
	r = list_of(PBC(TABLE__TABLE_TCP_LISTENERS), "web");
	CHECK(strcmp(r->list->tcp_listeners[0]->config->name, "web") == 0 &&
		      r->list->tcp_listeners[0]->config->max_connections == 100 &&
		      r->list->tcp_listeners[0]->config->http->response->body.len == 0,
	      "told back otherwise");
	resp_free(r);
	r = list_of(PBC(TABLE__TABLE_TCP_BACKENDS), "p");
	CHECK(r->list->n_tcp_backends == 1 &&
		      strcmp(r->list->tcp_backends[0]->config->name, "one") == 0,
	      "%zu backends", r->list->n_tcp_backends);
	resp_free(r);
	r = list_of(PBC(TABLE__TABLE_TCP_WORKERS), "");
	CHECK(r->list->n_tcp_workers == 1 && r->list->tcp_workers[0]->connections_max >= 1024,
	      "workers");
	resp_free(r);
	/* What it is cannot change; where it is neither. */
	m = listener_of("echo", HTTP, 7);
	listener(m, NO(INVALID, "tcp_listener.service"));
	m = listener_of("echo", ECHO, 8);
	listener(m, NO(INVALID, "tcp_listener.port"));
	m = listener_of("twin", ECHO, 7);
	listener(m, NO(IN_USE, "tcp_listener.port"));
	/* Not while it is used. */
	pool_delete("p", NO(IN_USE, "tcp_pool_delete.name"));
	/* The same once more is the same listener. */
	make();
	CHECK(id_of("echo") == echo, "it was made anew");
	/* A limit changes in place. */
	m = listener_of("echo", ECHO, 7);
	m.max_connections = 5;
	op.op_case = PBC(OP__OP_TCP_LISTENER);
	op.tcp_listener = &m;
	client_apply(fd_main, &op);
	CHECK(id_of("echo") == echo, "it was made anew");
	listener_delete("front", 100, NULL);
	pool_delete("p", NULL);
	listener_delete("web", 0, NULL);
	r = list_of(PBC(TABLE__TABLE_TCP_LISTENERS), "");
	CHECK(r->list->n_tcp_listeners == 1, "%zu listeners", r->list->n_tcp_listeners);
	resp_free(r);
	listener_delete("echo", 0, NULL);
}

/* The counters, by their pages. */
static void test_counters(void)
{
	PB(List) l = PB_VALUE(LIST);
	req_t q = PB_VALUE(REQUEST);
	unsigned int n = 0, gauges = 0, pages = 0;
	uint8_t cursor[64];

	l.table = PBC(TABLE__TABLE_TCP_COUNTERS);
	l.limit = 10;
	q.op_case = PBC(REQUEST__OP_LIST);
	q.list = &l;
	do {
		resp_t *r = client_call(fd_main, &q);

		CHECK(r->list != NULL, "list");
		for (size_t k = 0; k < r->list->n_tcp_counters; k++, n++) {
			CHECK(*r->list->tcp_counters[k]->name != '\0', "counter %u", n);
			gauges += r->list->tcp_counters[k]->gauge;
		}
		CHECK(r->list->next_cursor.len <= sizeof(cursor), "cursor");
		if (r->list->next_cursor.len != 0)
			memcpy(cursor, r->list->next_cursor.data, r->list->next_cursor.len);
		l.cursor = pb_bytes(cursor, r->list->next_cursor.len);
		resp_free(r);
		pages++;
	} while (l.cursor.len != 0);
	CHECK(n > 80 && gauges == 5 && pages > 8, "%u counters, %u gauges, %u pages", n, gauges,
	      pages);
}

static void kill_refused(PB(TcpFilter) *f, int code, const char *field)
{
	PB(TcpKill) k = PB_VALUE(TCP_KILL);
	req_t q = PB_VALUE(REQUEST);
	resp_t *r;

	k.filter = f;
	q.op_case = PBC(REQUEST__OP_TCP_KILL);
	q.tcp_kill = &k;
	r = client_call(fd_main, &q);
	expect_error(r, code, field);
	resp_free(r);
}

static void test_kill(void)
{
	PB(TcpFilter) f = PB_VALUE(TCP_FILTER);
	PB(TcpKill) k = PB_VALUE(TCP_KILL);
	req_t q = PB_VALUE(REQUEST);
	resp_t *r;

	kill_refused(NULL, DP_INVALID, "tcp_kill.all");
	kill_refused(&f, DP_INVALID, "tcp_kill.all");
	f.listener = pb_str("none");
	kill_refused(&f, DP_NOT_FOUND, "tcp_kill.filter.listener");
	f.listener = pb_str("");
	f.backend = pb_str("one");
	kill_refused(&f, DP_INVALID, "tcp_kill.filter.pool");
	f.backend = pb_str("");
	f.family = 5;
	kill_refused(&f, DP_INVALID, "tcp_kill.filter.family");
	k.all = true;
	q.op_case = PBC(REQUEST__OP_TCP_KILL);
	q.tcp_kill = &k;
	r = client_call(fd_main, &q);
	CHECK(r->result_case == PBC(RESPONSE__RESULT_DONE) && r->done->count == 0, "kill");
	resp_free(r);
}

/* What a client of an older epoch wrote goes with the sweep; what it wrote again stays. */
static void test_sweep(uint64_t epoch)
{
	PB(TcpListener) keep = listener_of("echo", ECHO, 7);
	PB(Sweep) sweep = PB_VALUE(SWEEP);
	req_t q = PB_VALUE(REQUEST);
	uint32_t id;
	resp_t *r;

	make();
	id = id_of("echo");
	client_hello(fd_main, "vnf", epoch + 1);
	listener(keep, NULL);
	q.op_case = PBC(REQUEST__OP_SWEEP);
	q.sweep = &sweep;
	r = client_call(fd_main, &q);
	CHECK(r->result_case == PBC(RESPONSE__RESULT_SWEEP), "sweep");
	CHECK(r->sweep->tcp_listeners == 2 && r->sweep->tcp_pools == 1,
	      "%llu listeners and %llu pools were swept",
	      (unsigned long long)r->sweep->tcp_listeners, (unsigned long long)r->sweep->tcp_pools);
	resp_free(r);
	CHECK(id_of("echo") == id, "it was made anew");
	listener_delete("echo", 0, NULL);
}

static void test_vips(void)
{
	PB(Address) m = PB_VALUE(ADDRESS);
	struct bytes s;
	resp_t *r;
	OP(address, ADDRESS);

	interface_op(loopback_of("vip0"), NULL);
	m.interface = pb_str("vip0");
	m.address = addr(&s, "192.0.2.77");
	m.prefix_len = 24;
	m.kind = PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL);
	apply_one(&op, NO(INVALID, "address.prefix_len"));
	m.prefix_len = 32;
	m.kind = 7;
	apply_one(&op, NO(INVALID, "address.kind"));
	m.kind = PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL);
	apply_one(&op, NULL);
	r = client_list(fd_main, PBC(TABLE__TABLE_ADDRESSES), 0, pb_bytes(NULL, 0), "vip0", "",
			false);
	CHECK(r->list->n_addresses == 1 &&
		      r->list->addresses[0]->kind == PBC(ADDRESS_KIND__ADDRESS_KIND_VIRTUAL),
	      "told back otherwise");
	resp_free(r);
	interface_delete("vip0", NULL);
}

/* Above those of the other tests. */
#define EPOCH 1000

void test_tcp(void)
{
	client_hello(fd_main, "vnf", EPOCH);
	refuse_places();
	refuse_options();
	refuse_services();
	refuse_pools();
	test_life();
	test_counters();
	test_kill();
	test_vips();
	test_sweep(EPOCH);
}
