/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Clients, backends, operators and configurations that do as chance will, from a seed. Whatever
 * they do, octets that arrive are those that were sent, in order and from the start; an end that
 * is told is the end of all that was sent; and nothing is left behind.
 *
 * proxy-soak-test [first seed [seeds]]
 */
#include "test_backend.h"

#define BACKENDS 4
#define PEERS	 48
#define STEPS	 250

static struct world *w;
static struct host *client, *box;
static struct server *s[BACKENDS];
static struct svc_pool_cfg *cfg;
static uint64_t state;

static struct {
	struct peer *p;
	uint64_t sent;
	bool aborted;
	uint32_t id;
} peers[PEERS];
static uint32_t n_ids;
/* What each client sent in all, by the number it begins with, and whether it ended that. */
static struct {
	uint64_t sent;
	bool shut;
} ledger[STEPS + 1];

static uint32_t draw(uint32_t n)
{
	state += 0x9e3779b97f4a7c15;
	uint64_t x = (state ^ state >> 30) * 0xbf58476d1ce4e5b9;

	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return (uint32_t)((x ^ x >> 31) >> 33) % n;
}

static void send_some(uint32_t i, uint32_t n)
{
	uint8_t *data = malloc(n + 1);

	for (uint32_t k = 0; k < n; k++)
		data[k] = pattern(peers[i].sent + k);
	peer_send(peers[i].p, data, n);
	peers[i].sent += n;
	ledger[peers[i].id].sent = peers[i].sent;
	free(data);
}

static const uint16_t ports[] = {8000, 8001, 8002};

static void dial(uint32_t i)
{
	uint16_t port = ports[draw(3)];

	peers[i].p = peer_connect(client, "10.0.0.2", port);
	peers[i].id = n_ids++;
	peers[i].sent = 0;
	peers[i].aborted = false;
	if (port == 8002)
		peer_puts(peers[i].p, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n");
	peer_send(peers[i].p, &peers[i].id, 4);
}

/* What the client got is the beginning of what its backend poured. */
static void check_peer(const struct peer *p)
{
	for (size_t k = 0; k < p->in_len; k++)
		CHECK_EQ(p->in[k], pattern(k));
}

static void hang_up(uint32_t i)
{
	check_peer(peers[i].p);
	peer_free(peers[i].p);
	peers[i].p = NULL;
}

static void act_on_peer(uint32_t i)
{
	struct peer *p = peers[i].p;

	if (p == NULL) {
		if (n_ids < STEPS)
			dial(i);
		return;
	}
	switch (draw(8)) {
	case 0:
	case 1:
	case 2:
		if (!p->shut && !p->closed)
			send_some(i, 1 + draw(draw(3) != 0 ? 3000 : 200000));
		break;
	case 3:
		if (!p->closed)
			ledger[peers[i].id].shut = true;
		peer_shutdown(p);
		break;
	case 4:
		p->paused = true;
		break;
	case 5:
		peer_resume(p);
		break;
	case 6:
		peer_abort(p);
		hang_up(i);
		break;
	case 7:
		if (p->closed || (p->shut && p->out_at == p->out_len))
			hang_up(i);
		break;
	}
}

static void act_on_server(struct server *b)
{
	struct taken *t = b->n != 0 ? b->taken[draw(b->n)] : NULL;

	switch (draw(10)) {
	case 0:
		if (b->l != NULL)
			server_stop(b);
		else
			server_start(b, 80);
		return;
	case 1:
		b->h->down = !b->h->down && draw(3) == 0;
		return;
	case 2:
		b->paused = true;
		return;
	case 3:
		server_resume(b);
		return;
	}
	if (t == NULL || t->c == NULL)
		return;
	switch (draw(5)) {
	case 0:
		taken_shutdown(t);
		break;
	case 1:
		if (draw(4) == 0)
			taken_abort(t);
		break;
	default:
		if (!t->shut)
			taken_pour(t, 1 + draw(draw(3) != 0 ? 3000 : 200000));
		break;
	}
}

static struct svc_pool_cfg *random_pool(void)
{
	struct svc_pool_cfg *c = pool_cfg(1 + draw(BACKENDS));

	c->balance = (enum svc_balance)draw(3);
	c->maglev_size = 251;
	c->check.kind = (enum svc_check)draw(2);
	c->check.interval_ms = 100 + draw(400);
	c->check.timeout_ms = 50 + draw(200);
	c->no_passive = draw(2);
	c->passive_fall = 2;
	c->passive_ms = 200;
	c->slow_start_ms = draw(2) * 1000;
	c->max_conns = draw(4) == 0 ? 10 : 0;
	c->tcp.sndbuf_max = c->tcp.rcvbuf_max = draw(2) != 0 ? 0 : 8192 + draw(60000);
	for (uint32_t i = 0; i < c->n_backends; i++) {
		struct svc_backend_cfg *b = &c->backends[i];

		b->addr = s[(i + draw(2)) % BACKENDS]->h->addrs[0];
		for (uint32_t k = 0; k < i; k++)
			if (memcmp(&b->addr, &c->backends[k].addr, 16) == 0)
				b->port = rte_cpu_to_be_16((uint16_t)(81 + i));
		b->weight = (uint8_t)draw(6);
		b->admin = draw(4) != 0 ? SVC_BACKEND_ENABLED : (enum svc_backend_admin)draw(3);
		b->drain_ms = draw(3) * 300;
		b->max_conns = draw(4) == 0 ? 3 : 0;
	}
	return c;
}

static void change_pool(void)
{
	struct svc_pool_cfg *next = random_pool();

	pool_use(box, next, draw(5) != 0 ? cfg : NULL);
	svc_pool_cfg_release(cfg);
	cfg = next;
}

static void set_listener(uint16_t port)
{
	struct svc_listener_cfg *l = proxy_cfg(port);

	l->proxy.retries = draw(4);
	l->proxy.connect_timeout_ms = 50 + draw(300);
	l->proxy.no_backend = port == 8001 ? SVC_NO_BACKEND_WAIT : (enum svc_no_backend)(draw(2));
	l->proxy.wait_ms = 100 + draw(500);
	l->proxy.half_close_timeout_ms = draw(3) * 400;
	l->idle_timeout_ms = draw(3) * 500;
	l->total_timeout_ms = draw(4) == 0 ? 1500 : 0;
	l->tcp.sndbuf_max = l->tcp.rcvbuf_max = draw(2) != 0 ? 0 : 8192 + draw(60000);
	if (port == 8002) {
		l->proxy.accept_proxy = SVC_PROXY_PROTOCOL_ANY;
		l->proxy.accept_proxy_timeout_ms = 200;
	}
	world_serve(box, l);
}

static void act_on_box(void)
{
	struct svc_filter f = {.listener_id = ports[draw(3)]};
	uint32_t cursor = 0;

	switch (draw(5)) {
	case 0:
	case 1:
		change_pool();
		break;
	case 2:
		set_listener(ports[draw(3)]);
		break;
	case 3:
		if (draw(3) == 0) {
			f.only_outgoing = draw(2);
			if (f.only_outgoing)
				f.listener_id = 0;
			svc_kill(box->svc, &f, &cursor, UINT32_MAX);
		}
		break;
	case 4:
		if (draw(3) == 0) {
			uint16_t port = ports[draw(3)];

			svc_listener_delete(box->svc, port, draw(2) * (1 + draw(400)));
			set_listener(port);
		}
		break;
	}
}

static void check_taken(const struct taken *t)
{
	uint64_t n = t->in_total, hash;
	uint32_t id;

	if (n < 4)
		return;
	memcpy(&id, t->in, 4);
	CHECK(id < n_ids);
	hash = hash_more(0, &id, 4);
	for (uint64_t k = 0; k < n - 4; k++) {
		uint8_t o = pattern(k);

		hash = hash_more(hash, &o, 1);
	}
	CHECK_EQ(t->hash, hash);
	CHECK(n - 4 <= ledger[id].sent);
	if (t->eof)
		CHECK(ledger[id].shut && n - 4 == ledger[id].sent);
}

static void run(uint64_t seed)
{
	struct svc_filter all = {0};
	struct tcp_usage u;
	uint32_t cursor = 0;
	bool lossy;

	state = seed;
	n_ids = 0;
	memset(ledger, 0, sizeof(ledger));
	w = world_new(65535);
	w->seed = seed;
	client = world_host(w, "10.0.0.1", false);
	box = world_host(w, "10.0.0.2", true);
	for (int i = 0; i < BACKENDS; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "10.0.1.%d", i + 1);
		s[i] = server_new(w, addr, 80);
		s[i]->polite = draw(2);
	}
	lossy = draw(2);
	w->loss = lossy * 20;
	cfg = random_pool();
	pool_use(box, cfg, NULL);
	for (int i = 0; i < 3; i++)
		set_listener(ports[i]);
	for (int step = 0; step < STEPS; step++) {
		const char *wrong;

		act_on_peer(draw(PEERS));
		act_on_peer(draw(PEERS));
		act_on_server(s[draw(BACKENDS)]);
		if (draw(5) == 0)
			act_on_box();
		world_run(w, draw(4) != 0 ? draw(5) : draw(100));
		wrong = tcp_check(box->e, NULL);
		if (wrong != NULL)
			fprintf(stderr, "%s\n", wrong);
		CHECK(wrong == NULL);
	}
	/* All go home. */
	w->loss = 0;
	for (int i = 0; i < BACKENDS; i++) {
		s[i]->h->down = false;
		s[i]->polite = true;
		server_resume(s[i]);
		for (uint32_t k = 0; k < s[i]->n; k++)
			if (s[i]->taken[k]->c != NULL)
				taken_shutdown(s[i]->taken[k]);
	}
	for (uint32_t i = 0; i < PEERS; i++) {
		if (peers[i].p == NULL)
			continue;
		peer_resume(peers[i].p);
		if (!peers[i].p->closed)
			ledger[peers[i].id].shut = true;
		peer_shutdown(peers[i].p);
	}
	/* A reset that was lost leaves FIN-WAIT-2 behind, for a minute. */
	world_run(w, 70000);
	/* And one half of a connection that waits for what nobody is there to send. */
	svc_kill(box->svc, &all, &cursor, UINT32_MAX);
	world_run(w, 1000);
	for (uint32_t i = 0; i < PEERS; i++) {
		if (peers[i].p == NULL)
			continue;
		/* It never hears of a reset that was lost. */
		CHECK(peers[i].p->closed || lossy);
		peer_abort(peers[i].p);
		hang_up(i);
	}
	for (int i = 0; i < 3; i++)
		CHECK_EQ(svc_listener_delete(box->svc, ports[i], 0), 0);
	CHECK_EQ(svc_pool_delete(box->svc, 1, 0), 0);
	world_run(w, 2000);
	CHECK_EQ(svc_draining(box->svc), 0);
	tcp_usage(box->e, &u);
	CHECK_EQ(u.conns, 0);
	CHECK_EQ(u.mem_bytes, 0);
	for (int i = 0; i < BACKENDS; i++)
		for (uint32_t k = 0; k < s[i]->n; k++)
			check_taken(s[i]->taken[k]);
	world_free(w);
	for (int i = 0; i < BACKENDS; i++)
		server_free(s[i]);
	svc_pool_cfg_release(cfg);
}

int main(int argc, char **argv)
{
	uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	uint64_t n = argc > 2 ? strtoull(argv[2], NULL, 0) : argc > 1 ? 1 : 20;

	world_init("proxy-soak-test");
	for (uint64_t i = 0; i < n; i++) {
		/* The one to give to replay it, should it not come to its end. */
		fprintf(stderr, "seed %lu\n", first + i);
		run(first + i);
	}
	return 0;
}
