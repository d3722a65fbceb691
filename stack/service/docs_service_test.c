/* SPDX-License-Identifier: Apache-2.0 */
/* The service that docs/tcp-services.md shows: it is compiled from there, and does what is said. */
#include "test_world.h"

extern const struct svc_type svc_caesar;

static void check(const char *said, const char *want, struct peer *p, struct world *w)
{
	peer_puts(p, said);
	world_run(w, 10);
	CHECK(strcmp(peer_text(p), want) == 0);
}

static bool gone(void *arg)
{
	return ((struct peer *)arg)->closed;
}

int main(void)
{
	struct svc_listener_cfg *cfg;
	struct svc_listener l = {.type = &svc_caesar};
	struct tcp_listener_params params = {.id = 1, .port = rte_cpu_to_be_16(44)};
	struct host *client, *server;
	size_t i, len = 5 << 20;
	struct world *w;
	struct peer *p;
	char *text;

	world_init("stack-docs-service-test");
	w = world_new(16383);
	client = world_host(w, "10.0.0.1", false);
	server = world_host(w, "10.0.0.2", true);
	cfg = world_cfg(SVC_ECHO, 44);
	/* As the runtime does for services in its table. */
	l.svc = server->svc;
	l.cfg = cfg;
	params.ops = &svc_caesar.ops;
	params.ctx = &l;
	CHECK(tcp_listen(server->e, &params) != NULL);

	p = peer_connect(client, "10.0.0.2", 44);
	check("Veni, vidi, vici.", "Yhql, ylgl, ylfl.", p, w);
	check("xyz XYZ 0-9", "abc ABC 0-9", p, w);
	CHECK_EQ(l.conns, 1);
	text = malloc(len);
	CHECK(text != NULL);
	for (i = 0; i < len; i++)
		text[i] = (char)('a' + i % 26);
	/* A client that does not read for a while: buffers are cut, and none is changed twice. */
	p->paused = true;
	peer_send(p, text, len);
	peer_shutdown(p);
	world_run(w, 1000);
	peer_resume(p);
	CHECK(world_until(w, gone, p, 30000));
	CHECK_EQ(p->in_len, len);
	for (i = 0; i < len; i++)
		CHECK_EQ(p->in[i], 'a' + (i + 3) % 26);
	CHECK_EQ(l.conns, 0);
	peer_free(p);
	free(text);
	svc_listener_cfg_release(cfg);
	world_free(w);
	return 0;
}
