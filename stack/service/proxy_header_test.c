/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers through the proxy: from clients that are trusted, to backends, and from whom they
 * say to what is chosen. */
#include "proxy_protocol.h"
#include "test_backend.h"

static struct world *w;
static struct host *client, *other, *box;
static struct server *s;
static struct svc_pool_cfg *cfg;

static void begin(void)
{
	w = world_new(16384);
	client = world_host(w, "10.0.0.1 2001:db8::1", false);
	other = world_host(w, "10.9.0.1", false);
	box = world_host(w, "10.0.0.2 2001:db8::2", true);
	s = server_new(w, "10.0.1.1", 80);
	cfg = pool_cfg(1);
	pool_use(box, cfg, NULL);
}

static void end(void)
{
	struct tcp_usage u;

	world_run(w, 3000);
	CHECK_EQ(pool_stats(box).active, 0);
	tcp_usage(box->e, &u);
	CHECK_EQ(u.conns, 0);
	CHECK_EQ(u.mem_bytes, 0);
	world_free(w);
	server_free(s);
	svc_pool_cfg_release(cfg);
}

static void serve(uint16_t port, enum svc_proxy_protocol in, enum svc_proxy_protocol out)
{
	struct svc_listener_cfg *l = proxy_cfg(port);

	l->proxy.accept_proxy = in;
	l->proxy.send_proxy = out;
	world_serve(box, l);
}

static struct taken *last(void)
{
	CHECK(s->n != 0);
	return s->taken[s->n - 1];
}

/* The header the backend got, and the text after it. */
static struct svc_pp got(const char *text)
{
	struct taken *t = last();
	struct svc_pp p;
	const char *why;

	CHECK_EQ(svc_pp_parse((const uint8_t *)t->in, t->in_len, &p, &why), SVC_PP_OK);
	CHECK(strcmp(t->in + p.len, text) == 0);
	return p;
}

static void test_out(void)
{
	struct tcp_addr a1 = world_addr("10.0.0.1"), a2 = world_addr("10.0.0.2");
	struct tcp_addr a6 = world_addr("2001:db8::1");
	struct svc_pp pp;
	struct peer *p;
	char line[128];

	begin();
	serve(8001, SVC_PROXY_PROTOCOL_OFF, SVC_PROXY_PROTOCOL_V1);
	serve(8002, SVC_PROXY_PROTOCOL_OFF, SVC_PROXY_PROTOCOL_V2);
	p = peer_connect(client, "10.0.0.2", 8001);
	peer_puts(p, "hello");
	world_run(w, 100);
	snprintf(line, sizeof(line), "PROXY TCP4 10.0.0.1 10.0.0.2 %u 8001\r\nhello",
		 rte_be_to_cpu_16(tcp_tuple(p->c)->lport));
	CHECK(strcmp(last()->in, line) == 0);
	peer_free(p);
	p = peer_connect(client, "2001:db8::2", 8001);
	peer_puts(p, "hello");
	world_run(w, 100);
	pp = got("hello");
	CHECK(pp.version == 1 && pp.family == 6 && memcmp(&pp.src, &a6, 16) == 0);
	peer_free(p);
	p = peer_connect(client, "10.0.0.2", 8002);
	peer_puts(p, "hello");
	world_run(w, 100);
	pp = got("hello");
	CHECK(pp.version == 2 && pp.family == 4 && !pp.local && pp.tlv_len == 0);
	CHECK(memcmp(&pp.src, &a1, 16) == 0 && memcmp(&pp.dst, &a2, 16) == 0);
	CHECK(pp.sport == tcp_tuple(p->c)->lport && pp.dport == rte_cpu_to_be_16(8002));
	peer_free(p);
	/* It is sent even if the client says nothing. */
	p = peer_connect(client, "10.0.0.2", 8002);
	world_run(w, 100);
	got("");
	peer_free(p);
	end();
}

static void test_in(void)
{
	static const char line[] = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n";
	struct peer *p;

	begin();
	serve(8001, SVC_PROXY_PROTOCOL_V1, SVC_PROXY_PROTOCOL_OFF);
	serve(8003, SVC_PROXY_PROTOCOL_ANY, SVC_PROXY_PROTOCOL_V1);
	/* Taken away. */
	p = peer_connect(client, "10.0.0.2", 8001);
	peer_puts(p, line);
	peer_puts(p, "hello");
	world_run(w, 100);
	CHECK(strcmp(last()->in, "hello") == 0);
	peer_free(p);
	/* Passed on, in pieces of one octet. */
	p = peer_connect(client, "10.0.0.2", 8003);
	for (const char *c = line; *c != 0; c++) {
		peer_send(p, c, 1);
		world_run(w, 1);
	}
	world_run(w, 100);
	CHECK(strcmp(last()->in, line) == 0);
	peer_puts(p, "more");
	world_run(w, 100);
	CHECK(strcmp(last()->in + strlen(line), "more") == 0);
	peer_free(p);
	/* Nothing in it: the connection's own addresses. */
	p = peer_connect(client, "10.0.0.2", 8003);
	peer_puts(p, "PROXY UNKNOWN\r\n");
	world_run(w, 100);
	CHECK(strncmp(last()->in, "PROXY TCP4 10.0.0.1 10.0.0.2 ", 29) == 0);
	peer_free(p);
	end();
}

static void test_refused(void)
{
	static const struct {
		uint16_t port;
		const char *text;
		bool fin;
	} bad[] = {
		{8001, "GET / HTTP/1.1\r\n\r\n", false},
		{8001, "PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n", false},
		{8001, "PROXY TCP4 1.2.3.4", true},
		{8001, "", true},
		{8001, "\r\n\r\n", false},
		{8002, "PROXY UNKNOWN\r\n", false},
		{8002, "P", false},
		{8003, "X", false},
	};
	struct peer *p;

	begin();
	serve(8001, SVC_PROXY_PROTOCOL_V1, SVC_PROXY_PROTOCOL_OFF);
	serve(8002, SVC_PROXY_PROTOCOL_V2, SVC_PROXY_PROTOCOL_OFF);
	serve(8003, SVC_PROXY_PROTOCOL_ANY, SVC_PROXY_PROTOCOL_OFF);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		uint64_t before = proxy_stats(box, bad[i].port).proxy_header_bad;

		p = peer_connect(client, "10.0.0.2", bad[i].port);
		peer_puts(p, bad[i].text);
		if (bad[i].fin)
			peer_shutdown(p);
		world_run(w, 100);
		CHECK(p->closed && p->why == TCP_CLOSE_RESET);
		CHECK_EQ(proxy_stats(box, bad[i].port).proxy_header_bad, before + 1);
		peer_free(p);
	}
	/* Late. */
	p = peer_connect(client, "10.0.0.2", 8001);
	peer_puts(p, "PROXY ");
	world_run(w, 2900);
	CHECK(!p->closed);
	world_run(w, 200);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	CHECK_EQ(s->n, 0);
	end();
}

static void test_trusted(void)
{
	struct svc_listener_cfg *l = proxy_cfg(8001);
	struct peer *p;

	begin();
	l->proxy.accept_proxy = SVC_PROXY_PROTOCOL_ANY;
	l->proxy.trusted = calloc(2, sizeof(*l->proxy.trusted));
	l->proxy.n_trusted = 2;
	l->proxy.trusted[0] = (struct tcp_prefix){.addr = world_addr("10.0.0.0"), .len = 96 + 23};
	l->proxy.trusted[1] = (struct tcp_prefix){.addr = world_addr("2001:db8::"), .len = 32};
	world_serve(box, l);
	p = peer_connect(client, "10.0.0.2", 8001);
	peer_puts(p, "PROXY UNKNOWN\r\n");
	world_run(w, 100);
	CHECK_EQ(s->n, 1);
	peer_free(p);
	p = peer_connect(client, "2001:db8::2", 8001);
	peer_puts(p, "PROXY UNKNOWN\r\n");
	world_run(w, 100);
	CHECK_EQ(s->n, 2);
	peer_free(p);
	p = peer_connect(other, "10.0.0.2", 8001);
	peer_puts(p, "PROXY UNKNOWN\r\n");
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	CHECK_EQ(proxy_stats(box, 8001).proxy_untrusted, 1);
	CHECK_EQ(s->n, 2);
	peer_free(p);
	end();
}

/* A proxy behind a proxy: addresses, TLVs, the wish for a CRC and LOCAL go on. */
static void test_chain(void)
{
	static const uint8_t tlvs[] = "\x01\0\2h2\x04\0\3abc\x20\0\5\1\0\0\0\0";
	struct svc_pp in = {.version = 2, .family = 6, .crc = true}, out;
	uint8_t buf[SVC_PP_MAX], big[3000];
	struct peer *p;
	uint32_t n;

	begin();
	serve(8002, SVC_PROXY_PROTOCOL_V2, SVC_PROXY_PROTOCOL_V2);
	serve(8003, SVC_PROXY_PROTOCOL_V2, SVC_PROXY_PROTOCOL_V1);
	in.src = world_addr("2001:db8:ffff::1");
	in.dst = world_addr("2001:db8:ffff::2");
	in.sport = 1;
	in.dport = 2;
	n = svc_pp_build(&in, tlvs, sizeof(tlvs) - 1, buf, sizeof(buf));
	p = peer_connect(client, "10.0.0.2", 8002);
	peer_send(p, buf, n);
	peer_puts(p, "data");
	world_run(w, 100);
	out = got("data");
	CHECK(out.family == 6 && memcmp(&out.src, &in.src, 16) == 0 && out.dport == 2);
	/* ALPN and SSL; padding is not passed on, the CRC is a new one. */
	CHECK(out.crc && out.tlv_len == 5 + 8 + 7);
	CHECK(memcmp(last()->in + out.tlv_off, "\x01\0\2h2\x20\0\5\1\0\0\0\0", 13) == 0);
	peer_free(p);
	/* To version 1 the addresses alone. */
	p = peer_connect(client, "10.0.0.2", 8003);
	peer_send(p, buf, n);
	world_run(w, 100);
	out = got("");
	CHECK(out.version == 1 && out.family == 6 && memcmp(&out.src, &in.src, 16) == 0);
	peer_free(p);
	/* The proxy in front checks our health: we say so to the backend. */
	in.local = true;
	in.crc = false;
	n = svc_pp_build(&in, NULL, 0, buf, sizeof(buf));
	p = peer_connect(client, "10.0.0.2", 8002);
	peer_send(p, buf, n);
	world_run(w, 100);
	CHECK(got("").local);
	peer_free(p);
	/* A long one, over several segments. */
	in.local = false;
	memset(big, 0, sizeof(big));
	big[0] = 0xe0;
	big[1] = (sizeof(big) - 3) >> 8;
	big[2] = (sizeof(big) - 3) & 0xff;
	n = svc_pp_build(&in, big, sizeof(big), buf, sizeof(buf));
	p = peer_connect(client, "10.0.0.2", 8002);
	peer_send(p, buf, n);
	peer_puts(p, "data");
	world_run(w, 100);
	CHECK_EQ(got("data").tlv_len, sizeof(big));
	/* A CRC that is wrong. */
	peer_free(p);
	in.crc = true;
	n = svc_pp_build(&in, NULL, 0, buf, sizeof(buf));
	buf[20] ^= 1;
	p = peer_connect(client, "10.0.0.2", 8002);
	peer_send(p, buf, n);
	world_run(w, 100);
	CHECK(p->closed && p->why == TCP_CLOSE_RESET);
	peer_free(p);
	end();
}

/* The hash goes by whom the header names. */
static void test_hash_by_header(void)
{
	struct svc_pool_cfg *two = pool_cfg(2);
	struct server *s2;
	uint32_t n[2] = {0};

	begin();
	s2 = server_new(w, "10.0.1.2", 80);
	two->balance = SVC_BALANCE_HASH;
	pool_use(box, two, cfg);
	serve(8001, SVC_PROXY_PROTOCOL_V1, SVC_PROXY_PROTOCOL_OFF);
	for (int i = 0; i < 40; i++) {
		struct peer *p = peer_connect(client, "10.0.0.2", 8001);
		uint32_t before = s->n;
		char line[128];

		snprintf(line, sizeof(line), "PROXY TCP4 192.0.2.%d 198.51.100.2 %d 443\r\n",
			 i / 2 + 1, 1000 + i);
		peer_puts(p, line);
		world_run(w, 100);
		if (i % 2 == 1)
			CHECK_EQ(s->n - before, n[0] & 1);
		n[0] = s->n - before;
		peer_free(p);
	}
	CHECK(s->n > 4 && s2->n > 4 && s->n + s2->n == 40);
	world_run(w, 3000);
	CHECK_EQ(pool_stats(box).active, 0);
	end();
	server_free(s2);
	svc_pool_cfg_release(two);
}

int main(void)
{
	world_init("proxy-header-test");
	test_out();
	test_in();
	test_refused();
	test_trusted();
	test_chain();
	test_hash_by_header();
	return 0;
}
