/* SPDX-License-Identifier: Apache-2.0 */
/* The loads: what is asked of the two engines. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "services.h"

#define PORT	7
#define MESSAGE 64
#define CHUNK	65536

static struct side *side_of(struct tcp_conn *c);

struct client {
	uint32_t want, open;
	uint32_t next_addr;
	uint64_t *rtts;
	uint32_t n_rtts, size;
	uint64_t sent_ns;
	struct rte_mbuf_ext_shared_info shinfo;
	struct tcp_connect_params p;
};

/* One process, two engines: the engine tells which side a connection is of. */
static struct side *sides[2];

static struct side *side_of(struct tcp_conn *c)
{
	return tcp_engine_of(c) == sides[0]->e ? sides[0] : sides[1];
}

static bool accept_any(struct tcp_conn *c, void *ctx)
{
	tcp_set_user(c, ctx);
	return true;
}

static void closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	if (why != TCP_CLOSE_DONE)
		side_of(c)->failed++;
}

/* ---- Server: echo; closes when the client does ---- */

static void echo_readable(struct tcp_conn *c)
{
	struct rte_mbuf *m;

	while (tcp_writable(c) != 0 && (m = tcp_read(c, UINT32_MAX)) != NULL) {
		side_of(c)->octets += m->pkt_len;
		if (tcp_write(c, m) != 0) {
			rte_pktmbuf_free(m);
			tcp_abort(c);
			return;
		}
	}
	if (tcp_readable(c) != 0)
		tcp_want_write(c, 0);
	if (tcp_at_eof(c))
		tcp_shutdown(c);
}

static const struct tcp_ops echo_ops = {
	.accept = accept_any,
	.readable = echo_readable,
	.writable = echo_readable,
	.closed = closed,
};

static void discard_readable(struct tcp_conn *c)
{
	side_of(c)->octets += tcp_discard(c, UINT32_MAX);
	if (tcp_at_eof(c))
		tcp_shutdown(c);
}

static const struct tcp_ops discard_ops = {
	.accept = accept_any,
	.readable = discard_readable,
	.closed = closed,
};

static int serve(struct side *s, const struct tcp_ops *ops)
{
	struct tcp_listener_params p = {
		.id = 1,
		.port = htons(PORT),
		.ops = ops,
		.ctx = s,
		.backlog = 1u << 20,
		.opt = {.no_nagle = true},
	};

	sides[1] = s;
	return tcp_listen(s->e, &p) != NULL ? 0 : -1;
}

static int serve_echo(struct side *s)
{
	return serve(s, &echo_ops);
}

static int serve_discard(struct side *s)
{
	return serve(s, &discard_ops);
}

/* ---- Clients ---- */

static struct tcp_conn *dial(struct side *s)
{
	struct client *cl = s->app;
	struct tcp_conn *c;

	/* So many addresses that ports do not run out. */
	tcp_addr4(&cl->p.tuple.laddr, htonl(0x0a000000 + 2 + cl->next_addr++ % 1000));
	c = tcp_connect(s->e, &cl->p);
	if (c == NULL)
		s->failed++;
	else
		cl->open++;
	return c;
}

static int client_new(struct side *s, uint32_t conns, const struct tcp_ops *ops)
{
	struct client *cl = calloc(1, sizeof(*cl));

	if (cl == NULL)
		return -1;
	s->app = cl;
	sides[0] = s;
	cl->want = conns;
	cl->p.ops = ops;
	cl->p.user = s;
	cl->p.opt.no_nagle = true;
	cl->p.opt.cc = s->cc;
	cl->p.tuple.family = 4;
	cl->p.tuple.rport = htons(PORT);
	tcp_addr4(&cl->p.tuple.raddr, htonl(0x0a000001 + (1 << 16)));
	return 0;
}

static void refill(struct side *s)
{
	struct client *cl = s->app;

	for (int n = 0; cl->open < cl->want && n < 32; n++)
		if (dial(s) == NULL)
			return;
}

static void send_message(struct tcp_conn *c)
{
	static const char message[MESSAGE];

	tcp_write_copy(c, message, sizeof(message));
}

static void client_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct side *s = side_of(c);

	((struct client *)s->app)->open--;
	if (why != TCP_CLOSE_DONE)
		s->failed++;
}

/* cps: a connection, a request, an answer, the end. */
static void cps_readable(struct tcp_conn *c)
{
	tcp_discard(c, UINT32_MAX);
	tcp_shutdown(c);
}

static void cps_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	if (why == TCP_CLOSE_DONE)
		side_of(c)->done++;
	client_closed(c, why);
}

static const struct tcp_ops cps_ops = {
	.connected = send_message,
	.readable = cps_readable,
	.closed = cps_closed,
};

static int cps_client(struct side *s, uint32_t conns)
{
	return client_new(s, conns, &cps_ops);
}

/* rps: request and answer in turn on connections that stay. */
static void rps_readable(struct tcp_conn *c)
{
	const uint32_t n = tcp_discard(c, UINT32_MAX);

	if (n == 0)
		return;
	side_of(c)->done++;
	send_message(c);
}

static const struct tcp_ops rps_ops = {
	.connected = send_message,
	.readable = rps_readable,
	.closed = client_closed,
};

static int rps_client(struct side *s, uint32_t conns)
{
	return client_new(s, conns, &rps_ops);
}

/* latency: as rps with one connection, timed. */
static void latency_readable(struct tcp_conn *c)
{
	struct side *s = side_of(c);
	struct client *cl = s->app;
	const uint64_t now = bench_now_ns();

	if (tcp_discard(c, UINT32_MAX) == 0)
		return;
	s->done++;
	if (cl->n_rtts < cl->size)
		cl->rtts[cl->n_rtts++] = now - cl->sent_ns;
	cl->sent_ns = bench_now_ns();
	send_message(c);
}

static void latency_connected(struct tcp_conn *c)
{
	struct client *cl = side_of(c)->app;

	cl->sent_ns = bench_now_ns();
	send_message(c);
}

static const struct tcp_ops latency_ops = {
	.connected = latency_connected,
	.readable = latency_readable,
	.closed = client_closed,
};

static int latency_client(struct side *s, uint32_t conns)
{
	struct client *cl;

	if (client_new(s, conns, &latency_ops) != 0)
		return -1;
	cl = s->app;
	cl->size = 1u << 22;
	cl->rtts = malloc(cl->size * sizeof(*cl->rtts));
	return cl->rtts != NULL ? 0 : -1;
}

static int by_value(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void load_latency(struct side *s, double *p50_us, double *p99_us)
{
	struct client *cl = s->app;

	*p50_us = *p99_us = 0;
	if (cl->rtts == NULL || cl->n_rtts == 0)
		return;
	qsort(cl->rtts, cl->n_rtts, sizeof(*cl->rtts), by_value);
	*p50_us = cl->rtts[cl->n_rtts / 2] / 1e3;
	*p99_us = cl->rtts[cl->n_rtts / 100 * 99] / 1e3;
	free(cl->rtts);
	cl->rtts = NULL;
}

/* bulk: as much as goes, from memory that is never copied. */
static char content[CHUNK];

static void no_free(void *addr, void *opaque)
{
}

static void bulk_writable(struct tcp_conn *c)
{
	struct side *s = side_of(c);
	struct client *cl = s->app;
	const uint16_t mss = tcp_conn_mss(c);
	uint32_t room = tcp_writable(c);

	for (; room >= mss; room -= mss) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(s->pool);

		if (m == NULL)
			break;
		rte_mbuf_ext_refcnt_update(&cl->shinfo, 1);
		rte_pktmbuf_attach_extbuf(m, content, RTE_BAD_IOVA, CHUNK - 1, &cl->shinfo);
		m->data_off = 0;
		m->data_len = m->pkt_len = mss;
		if (tcp_write(c, m) != 0) {
			rte_pktmbuf_free(m);
			break;
		}
	}
	tcp_want_write(c, 32u * mss);
}

static const struct tcp_ops bulk_ops = {
	.connected = bulk_writable,
	.writable = bulk_writable,
	.closed = client_closed,
};

static int bulk_client(struct side *s, uint32_t conns)
{
	struct client *cl;

	if (client_new(s, conns, &bulk_ops) != 0)
		return -1;
	cl = s->app;
	/* What a send buffer holds beyond the path's needs only leaves the caches. */
	cl->p.opt.sndbuf_max = 512 << 10;
	cl->shinfo.free_cb = no_free;
	rte_mbuf_ext_refcnt_set(&cl->shinfo, 1);
	return 0;
}

/* idle: established and silent. */
static const struct tcp_ops idle_ops = {
	.closed = client_closed,
};

static int idle_client(struct side *s, uint32_t conns)
{
	return client_new(s, conns, &idle_ops);
}

/* http: requests of 64 octets to the responder, bodies of 64. */
#define HTTP_BODY 64

static const char http_get[] =
	"GET / HTTP/1.1\r\nHost: 10.1.0.1\r\nUser-Agent: stack-bench/1.00\r\n\r\n";
_Static_assert(sizeof(http_get) - 1 == 64, "a request");

static void http_ask(struct tcp_conn *c)
{
	tcp_write_copy(c, http_get, sizeof(http_get) - 1);
}

static void http_readable(struct tcp_conn *c)
{
	struct side *s = side_of(c);
	struct client *cl = s->app;
	const uint32_t n = tcp_discard(c, UINT32_MAX);

	if (n == 0)
		return;
	/* Responses are all of one length, and come one at a time. */
	if (cl->size == 0)
		cl->size = n;
	if (n != cl->size)
		s->failed++;
	s->done++;
	http_ask(c);
}

static const struct tcp_ops http_ops = {
	.connected = http_ask,
	.readable = http_readable,
	.closed = client_closed,
};

static int serve_http(struct side *s)
{
	sides[1] = s;
	return bench_serve(s, SVC_HTTP, HTTP_BODY);
}

static int http_client(struct side *s, uint32_t conns)
{
	return client_new(s, conns, &http_ops);
}

/* chargen: a download; the octets are counted where they arrive. */
static void chargen_readable(struct tcp_conn *c)
{
	side_of(c)->peer->octets += tcp_discard(c, UINT32_MAX);
}

static const struct tcp_ops chargen_ops = {
	.readable = chargen_readable,
	.closed = client_closed,
};

static int serve_chargen(struct side *s)
{
	sides[1] = s;
	return bench_serve(s, SVC_CHARGEN, 0);
}

static int chargen_client(struct side *s, uint32_t conns)
{
	return client_new(s, conns, &chargen_ops);
}

static const struct load loads[] = {
	{"http", "requests/s", serve_http, http_client, refill},
	{"chargen", "octets/s", serve_chargen, chargen_client, refill},
	{"cps", "connections/s", serve_echo, cps_client, refill},
	{"rps", "requests/s", serve_echo, rps_client, refill},
	{"latency", "requests/s", serve_echo, latency_client, refill},
	{"bulk", "octets/s", serve_discard, bulk_client, refill},
	{"idle", "connections", serve_echo, idle_client, refill},
};

const struct load *load_find(const char *name)
{
	for (unsigned int i = 0; i < RTE_DIM(loads); i++)
		if (strcmp(loads[i].name, name) == 0)
			return &loads[i];
	return NULL;
}
