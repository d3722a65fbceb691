/* SPDX-License-Identifier: Apache-2.0 */
/* Echo, discard and chargen, as their peers see them. */
#include "test_world.h"

static struct world *w;
static struct host *client, *server;

static void setup_with(uint32_t buffers)
{
	w = world_new(buffers);
	client = world_host(w, "10.0.0.1 2001:db8::1", false);
	server = world_host(w, "10.0.0.2 2001:db8::2", true);
}

static void setup(void)
{
	setup_with(16383);
}

static uint8_t *noise(size_t len)
{
	uint8_t *p = malloc(len);
	uint64_t x = 1;
	size_t i;

	CHECK(p != NULL);
	for (i = 0; i < len; i++) {
		x = x * 6364136223846793005 + 1442695040888963407;
		p[i] = (uint8_t)(x >> 56);
	}
	return p;
}

static bool gone(void *arg)
{
	return ((struct peer *)arg)->closed;
}

static void expect_conns(uint32_t id, uint32_t n, uint64_t accepted, int line)
{
	struct svc_listener_stats st;
	uint32_t conns;

	CHECK_EQ(svc_listener_stats(server->svc, id, &st), 0);
	conns = svc_listener_find(server->svc, id)->conns;
	if (conns != n || st.tcp.accepted != accepted || !st.ready) {
		fprintf(stderr, "line %d: %u connections of %lu accepted, not %u of %lu\n", line,
			conns, st.tcp.accepted, n, accepted);
		exit(1);
	}
}
#define EXPECT_CONNS(id, n, accepted) expect_conns(id, n, accepted, __LINE__)

static void echo_words(const char *to)
{
	struct peer *p = peer_connect(client, to, 7);

	peer_puts(p, "hello");
	world_run(w, 10);
	CHECK(p->connected);
	CHECK(strcmp(peer_text(p), "hello") == 0);
	peer_puts(p, " world");
	world_run(w, 10);
	CHECK(strcmp(peer_text(p), " world") == 0);
	CHECK(!p->eof);
	peer_puts(p, "!");
	peer_shutdown(p);
	CHECK(world_until(w, gone, p, 1000));
	CHECK(strcmp(peer_text(p), "!") == 0);
	CHECK(p->eof && p->why == TCP_CLOSE_DONE);
	peer_free(p);
}

static void test_echo(void)
{
	setup();
	world_serve(server, world_cfg(SVC_ECHO, 7));
	echo_words("10.0.0.2");
	echo_words("2001:db8::2");
	EXPECT_CONNS(7, 0, 2);
	world_free(w);
}

/* A peer that does not read stops the stream; nothing is lost when it goes on. */
static void test_echo_back_pressure(void)
{
	size_t len = 16 << 20;
	uint8_t *data = noise(len);
	size_t at;
	struct peer *p;

	setup();
	world_serve(server, world_cfg(SVC_ECHO, 7));
	p = peer_connect(client, "10.0.0.2", 7);
	p->paused = true;
	peer_send(p, data, len);
	peer_shutdown(p);
	world_run(w, 5000);
	at = p->out_at;
	CHECK(at < len);
	world_run(w, 5000);
	CHECK_EQ(p->out_at, at);
	peer_resume(p);
	CHECK(world_until(w, gone, p, 60000));
	CHECK_EQ(p->in_len, len);
	CHECK(memcmp(p->in, data, len) == 0);
	CHECK_EQ(p->why, TCP_CLOSE_DONE);
	peer_free(p);
	EXPECT_CONNS(7, 0, 1);
	world_free(w);
	free(data);
}

static void test_discard(void)
{
	size_t len = 3 << 20;
	uint8_t *data = noise(len);
	struct svc_listener_stats st;
	struct peer *p;

	setup();
	world_serve(server, world_cfg(SVC_DISCARD, 9));
	p = peer_connect(client, "10.0.0.2", 9);
	peer_send(p, data, len);
	world_run(w, 3000);
	CHECK_EQ(p->out_at, len);
	CHECK(!p->eof && !p->closed);
	EXPECT_CONNS(9, 1, 1);
	peer_shutdown(p);
	CHECK(world_until(w, gone, p, 1000));
	CHECK_EQ(p->in_total, 0);
	world_run(w, 10);
	CHECK_EQ(svc_listener_stats(server->svc, 9, &st), 0);
	CHECK_EQ(st.tcp.bytes_in, len);
	CHECK_EQ(p->why, TCP_CLOSE_DONE);
	peer_free(p);
	EXPECT_CONNS(9, 0, 1);
	world_free(w);
	free(data);
}

static void test_chargen(void)
{
	static const char first[] = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "[\\]^_`abcdefg\r\n";
	struct svc_listener_cfg *cfg;
	struct peer *p;
	size_t i;

	setup();
	cfg = world_cfg(SVC_CHARGEN, 19);
	cfg->chargen.limit = 1000003;
	world_serve(server, cfg);
	p = peer_connect(client, "10.0.0.2", 19);
	peer_puts(p, "this is thrown away");
	world_run(w, 3000);
	CHECK(p->eof && !p->closed);
	CHECK_EQ(p->in_len, 1000003);
	CHECK(memcmp(p->in, first, 74) == 0);
	CHECK(memcmp(p->in + 74, first + 1, 71) == 0 && p->in[74 + 71] == 'h');
	for (i = 0; i < p->in_len; i++) {
		char want = (char)(' ' + (i / 74 + i % 74) % 95);

		if (i % 74 >= 72)
			want = i % 74 == 72 ? '\r' : '\n';
		if (p->in[i] != (uint8_t)want) {
			fprintf(stderr, "octet %zu is %02x, not %02x\n", i, p->in[i], want);
			exit(1);
		}
	}
	peer_shutdown(p);
	CHECK(world_until(w, gone, p, 1000));
	CHECK_EQ(p->why, TCP_CLOSE_DONE);
	peer_free(p);
	EXPECT_CONNS(19, 0, 1);
	world_free(w);
}

/* Without a limit it goes on until the peer resets it, its FIN notwithstanding. */
static void test_chargen_endless(void)
{
	struct peer *p;
	uint64_t before;

	setup();
	world_serve(server, world_cfg(SVC_CHARGEN, 19));
	p = peer_connect(client, "2001:db8::2", 19);
	p->no_keep = true;
	peer_shutdown(p);
	world_run(w, 5);
	before = p->in_total;
	CHECK(before > 100000);
	world_run(w, 5);
	CHECK(p->in_total > before + 100000);
	p->paused = true;
	world_run(w, 2000);
	EXPECT_CONNS(19, 1, 1);
	peer_abort(p);
	world_run(w, 10);
	EXPECT_CONNS(19, 0, 1);
	peer_free(p);
	world_free(w);
}

/* Peers that come and go in every way leave nothing behind. */
static void test_many(void)
{
	struct svc_listener_cfg *cfg = world_cfg(SVC_CHARGEN, 19);
	struct peer *p[300];
	uint8_t *data = noise(200000);
	size_t i;

	setup_with(65535);
	world_serve(server, world_cfg(SVC_ECHO, 7));
	world_serve(server, world_cfg(SVC_DISCARD, 9));
	cfg->chargen.limit = 300000;
	world_serve(server, cfg);
	for (i = 0; i < 300; i++) {
		static const uint16_t ports[] = {7, 9, 19};

		p[i] = peer_connect(client, i & 1 ? "10.0.0.2" : "2001:db8::2", ports[i % 3]);
		p[i]->no_keep = true;
		peer_send(p[i], data, i * 100);
		p[i]->paused = i % 7 == 0;
	}
	world_run(w, 20);
	for (i = 0; i < 300; i++) {
		if (i % 5 == 0)
			peer_abort(p[i]);
		else if (i % 3 != 2)
			peer_shutdown(p[i]);
		peer_resume(p[i]);
	}
	world_run(w, 500);
	for (i = 0; i < 300; i++) {
		if (i % 5 != 0 && i % 3 == 0)
			CHECK_EQ(p[i]->in_total, i * 100);
		peer_abort(p[i]);
		peer_free(p[i]);
	}
	world_run(w, 5000);
	CHECK_EQ(w->starved, 0);
	EXPECT_CONNS(7, 0, 100);
	EXPECT_CONNS(9, 0, 100);
	EXPECT_CONNS(19, 0, 100);
	world_free(w);
	free(data);
}

int main(void)
{
	world_init("stack-services-test");
	test_echo();
	test_echo_back_pressure();
	test_discard();
	test_chargen();
	test_chargen_endless();
	test_many();
	return 0;
}
