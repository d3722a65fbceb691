/* SPDX-License-Identifier: Apache-2.0 */
/* The engines from their making to their end. */
#include "host.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include <rte_errno.h>
#include <rte_malloc.h>

#include "../core/log.h"
#include "../core/loop.h"
#include "../core/node.h"
#include "objects.h"

/* How often the health of pools is looked at, to tell of changes. */
#define HEALTH_MS 250

/* Defaults as in the API (message Settings). */
struct term_settings term_settings = {
	.max_connections = 262144,
	.max_time_wait = 262144,
	.time_wait_ms = 60000,
	.port_min = 32768,
	.port_max = 60999,
	.challenge_ack_rate = 1000,
	.reset_rate = 1000,
};

uint64_t term_ns_mult;
uint64_t term_listen_ports[65536 / 64];
uint16_t term_port_min, term_port_max;
struct rte_mempool *term_pool;
bool term_started;
uint32_t term_max_connections, term_max_time_wait;

/* The engines' reasons to drop, in the list of all. */
static struct drop_counter drops[TCP_MIB_COUNT];
static char drop_names[TCP_MIB_COUNT][32];
static char drop_texts[TCP_MIB_COUNT][160];

/* drop_window, "dropped: outside of …" becomes the reason "tcp-window". */
static void register_drops(void)
{
	for (unsigned int i = 0; i < TCP_MIB_COUNT; i++) {
		const char *text = tcp_mib_text(i);

		if (strncmp(tcp_mib_name(i), "drop", 4) != 0)
			continue;
		snprintf(drop_names[i], sizeof(drop_names[i]), "tcp-%s", tcp_mib_name(i) + 5);
		term_dashes(drop_names[i]);
		if (strncmp(text, "dropped: ", 9) == 0)
			text += 9;
		drops[i].reason.name = drop_names[i];
		snprintf(drop_texts[i], sizeof(drop_texts[i]), "TCP segment: %s", text);
		drops[i].reason.description = drop_texts[i];
		drop_counter_register(&drops[i]);
	}
}

void term_drops_update(void)
{
	for (unsigned int i = 0; i < TCP_MIB_COUNT; i++) {
		if (drops[i].reason.name == NULL)
			continue;
		drops[i].packets = 0;
		for (unsigned int k = 0; k < n_workers; k++)
			if (workers[k]->term != NULL)
				drops[i].packets +=
					((const uint64_t *)tcp_mib(workers[k]->term->engine))[i];
	}
}

int term_init(void)
{
	term_ns_mult = (uint64_t)(((unsigned __int128)1000000000u << 32) / rte_get_tsc_hz());
	register_drops();
	return loop_tick_add(HEALTH_MS, term_health_tick, NULL);
}

static void destroy(struct term_worker *t)
{
	void *m;

	if (t == NULL)
		return;
	if (t->svc != NULL)
		svc_destroy(t->svc);
	if (t->engine != NULL)
		tcp_engine_destroy(t->engine);
	for (uint16_t i = 0; i < t->n_tx; i++)
		rte_pktmbuf_free(t->tx[i]);
	while (t->in != NULL && rte_ring_dequeue(t->in, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(t->in);
	rte_free(t);
}

static struct term_worker *create(struct worker *w, const struct tcp_config *cfg,
				  struct dp_error *err)
{
	struct term_worker *t = rte_zmalloc("tcp", sizeof(*t), RTE_CACHE_LINE_SIZE);
	char name[RTE_RING_NAMESIZE];
	struct tcp_env env;
	struct svc_env senv;

	if (t == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "no memory for the TCP engine: raise --memory");
		return NULL;
	}
	t->w = w;
	t->next_ns = UINT64_MAX;
	snprintf(name, sizeof(name), "tcp-in-%u", w->id);
	t->in = rte_ring_create(name, TERM_RING, SOCKET_ID_ANY, RING_F_SC_DEQ);
	if (t->in == NULL || term_random_init(&t->random) < 0) {
		dp_fail(err, DP_NO_MEMORY, "", "the TCP engine's ring or seed: %s",
			rte_strerror(rte_errno));
		goto fail;
	}
	term_env_fill(t, &env, &senv);
	t->engine = tcp_engine_create(cfg, &env);
	if (t->engine == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "the TCP engine for %u connections: %s",
			cfg->max_conns, strerror(errno));
		goto fail;
	}
	senv.max_states = cfg->max_conns;
	senv.worker = w->id;
	senv.health_checks = w->id == 0;
	t->svc = svc_create(t->engine, &senv, cfg->start_ns);
	if (t->svc == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "the services: %s", strerror(errno));
		goto fail;
	}
	return t;
fail:
	destroy(t);
	return NULL;
}

static uint32_t share(uint32_t all)
{
	return RTE_MAX(all / n_workers, 1u);
}

static void publish(struct worker *w, void *arg)
{
	__atomic_store_n(&w->term, *(struct term_worker **)arg, __ATOMIC_RELEASE);
}

int term_start(struct dp_error *err)
{
	const struct term_settings *s = &term_settings;
	const uint64_t room = rte_pktmbuf_data_room_size(dp_pool);
	struct tcp_config cfg = {
		.max_conns = share(s->max_connections),
		.max_time_wait = share(s->max_time_wait),
		.mem_limit = s->memory_limit != 0 ? s->memory_limit : dp_pool->size / 2 * room,
		.time_wait_ms = s->time_wait_ms,
		.port_min = s->port_min,
		.port_max = s->port_max,
		.port_stride = (uint16_t)n_workers,
		.challenge_ack_rate = s->challenge_ack_rate,
		.reset_rate = s->reset_rate,
		.start_ns = term_now(),
	};
	struct term_worker *made[WORKER_MAX] = {0};
	uint8_t key[TCP_FAST_OPEN_KEY];

	if (term_started)
		return 0;
	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return dp_fail(err, DP_DEVICE, "", "no random numbers: %s", strerror(errno));
	cfg.mem_limit /= n_workers;
	if (term_pool == NULL) {
		/* One of their own: what waits to be acknowledged takes no buffers from what is
		 * forwarded. */
		unsigned int n = dp_pool->size / 2;

		term_pool = mb_pool_create("tcp", n, RTE_MIN(256u, n / 8), (uint16_t)room,
					   SOCKET_ID_ANY);
		if (term_pool == NULL)
			return dp_fail(err, DP_NO_MEMORY, "",
				       "no memory for %u packet buffers of TCP (%s): raise "
				       "--memory or lower --mbufs",
				       n, rte_strerror(rte_errno));
	}
	cfg.pool = term_pool;
	for (unsigned int i = 0; i < n_workers; i++) {
		cfg.port_phase = (uint16_t)i;
		made[i] = create(workers[i], &cfg, err);
		/* A client's next connection may be with any worker. */
		if (made[i] != NULL)
			tcp_set_fast_open_key(made[i]->engine, key);
		if (made[i] == NULL) {
			while (i > 0)
				destroy(made[--i]);
			return -1;
		}
	}
	term_port_min = s->port_min;
	term_port_max = s->port_max;
	term_max_connections = cfg.max_conns;
	term_max_time_wait = cfg.max_time_wait;
	workers_call(publish, made, sizeof(made[0]));
	term_started = true;
	LOG_INFO("TCP started: %u connections, %llu octets of packet buffers on each of %u workers",
		 cfg.max_conns, (unsigned long long)cfg.mem_limit, n_workers);
	return 0;
}

void term_fini(void)
{
	for (unsigned int i = 0; i < n_workers; i++) {
		struct term_worker *t = workers[i]->term;

		workers[i]->term = NULL;
		destroy(t);
	}
	term_started = false;
}
