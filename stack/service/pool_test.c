/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of pools, and which backend is chosen. No engine: the choice only looks. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "maglev.h"
#include "pool_private.h"
#include "runtime.h"

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define SECOND 1000000000ull
#define N_MAX  32

static struct svc svc;
static struct proxy_worker worker = {.svc = &svc};
static struct pool pool = {.w = &worker};
static struct backend backends[N_MAX], *list[N_MAX];

static struct svc_pool_cfg *config(uint32_t n)
{
	struct svc_pool_cfg *cfg = svc_pool_cfg_new(n, 0);

	CHECK(cfg != NULL, "no memory");
	cfg->id = 1;
	for (uint32_t i = 0; i < n; i++) {
		snprintf(cfg->backends[i].name, sizeof(cfg->backends[i].name), "b%u", i);
		tcp_addr4(&cfg->backends[i].addr, htonl(0x0a000001 + i));
		cfg->backends[i].port = htons(80);
	}
	return cfg;
}

static void seal(struct svc_pool_cfg *cfg, const struct svc_pool_cfg *prev)
{
	struct svc_fault f = {0};
	int rc = svc_pool_cfg_check(cfg, &f);

	CHECK(rc == 0, "%s: %s", f.field, f.msg);
	CHECK(svc_pool_cfg_seal(cfg, prev) == 0, "seal");
}

/* Puts a sealed configuration in force, as svc_pool_set() would with fresh backends. */
static void use(struct svc_pool_cfg *cfg)
{
	pool.cfg = cfg;
	pool.n = cfg->n_backends;
	pool.backends = list;
	for (uint32_t i = 0; i < pool.n; i++) {
		memset(&backends[i], 0, sizeof(backends[i]));
		backends[i].pool = &pool;
		backends[i].cfg = cfg->backends[i];
		backends[i].serial = (uint16_t)i;
		list[i] = &backends[i];
	}
}

static int pick(uint64_t key, uint64_t now)
{
	enum pick_fail why;
	struct backend *b = pool_pick(&pool, key, NULL, 0, now, &why);

	return b != NULL ? (int)(b - backends) : -(int)why;
}

static void check_faults(void)
{
	struct svc_fault f;
	struct svc_pool_cfg *cfg;

#define REFUSED(n, change, name)                                                                   \
	do {                                                                                       \
		cfg = config(n);                                                                   \
		memset(&f, 0, sizeof(f));                                                          \
		change;                                                                            \
		CHECK(svc_pool_cfg_check(cfg, &f) == -EINVAL, "%s", #change);                      \
		CHECK(strcmp(f.field, name) == 0 && f.msg[0] != '\0', "%s: %s: %s", #change,       \
		      f.field, f.msg);                                                             \
		svc_pool_cfg_release(cfg);                                                         \
	} while (0)
	REFUSED(1, cfg->id = 0, "id");
	REFUSED(1, cfg->balance = 9, "balance");
	REFUSED(1, cfg->maglev_size = 65536, "maglev_size");
	REFUSED(8, cfg->maglev_size = 7, "maglev_size");
	REFUSED(1, cfg->maglev_size = 1048583, "maglev_size");
	REFUSED(2, cfg->backends[1].port = 0, "backends[1].port");
	REFUSED(2, cfg->backends[1].name[0] = 0, "backends[1].name");
	REFUSED(2, strcpy(cfg->backends[1].name, "b0"), "backends[1].name");
	REFUSED(2, strcpy(cfg->backends[1].name, "a b"), "backends[1].name");
	REFUSED(2, cfg->backends[1].addr = cfg->backends[0].addr, "backends[1].addr");
	REFUSED(1, memset(&cfg->backends[0].addr, 0, 16), "backends[0].addr");
	REFUSED(1, tcp_addr4(&cfg->backends[0].addr, htonl(0xe0000001)), "backends[0].addr");
	REFUSED(1, cfg->backends[0].admin = 7, "backends[0].admin");
	REFUSED(1, cfg->check.kind = 7, "check.kind");
	REFUSED(1, cfg->check.interval_ms = 99, "check.interval_ms");
	REFUSED(1, cfg->check.timeout_ms = 9, "check.timeout_ms");
	REFUSED(1, cfg->check.rise = 101, "check.rise");
	REFUSED(1, strcpy(cfg->check.path, "x"), "check.path");
	REFUSED(1, strcpy(cfg->check.path, "/a\r\nb: c"), "check.path");
	REFUSED(1, strcpy(cfg->check.host, "a b"), "check.host");
	REFUSED(1, strcpy(cfg->check.method, "GET /"), "check.method");
	REFUSED(1, cfg->check.status_min = 99, "check.status_min");
	REFUSED(1, (cfg->check.status_min = 300, cfg->check.status_max = 200), "check.status_max");
	REFUSED(1, cfg->check.send_proxy = SVC_PROXY_PROTOCOL_ANY, "check.send_proxy");
	REFUSED(1, cfg->source_mode = SVC_SOURCE_POOL, "sources");
	REFUSED(1, cfg->source_mode = 9, "source_mode");
	REFUSED(1, cfg->slow_start_ms = 3600001, "slow_start_ms");
	REFUSED(1, cfg->tcp.mss = 87, "tcp.mss");
#undef REFUSED
}

static void check_round_robin(void)
{
	struct svc_pool_cfg *cfg = config(3);
	static const char want[] = "0010200" /* a a b a c a a in the smooth order */;
	int got[3] = {0};

	cfg->backends[0].weight = 5;
	seal(cfg, NULL);
	use(cfg);
	for (int i = 0; i < 7; i++) {
		int b = pick(0, SECOND);

		CHECK(b == want[i] - '0', "turn %d: %d", i, b);
	}
	for (int i = 0; i < 700; i++)
		got[pick(0, SECOND)]++;
	CHECK(got[0] == 500 && got[1] == 100 && got[2] == 100, "%d %d %d", got[0], got[1], got[2]);

	/* One that is drained gets none. */
	backends[0].cfg.admin = SVC_BACKEND_DRAIN;
	memset(got, 0, sizeof(got));
	for (int i = 0; i < 100; i++)
		got[pick(0, SECOND)]++;
	CHECK(got[0] == 0 && got[1] == 50 && got[2] == 50, "%d %d %d", got[0], got[1], got[2]);
	backends[1].cfg.admin = backends[2].cfg.admin = SVC_BACKEND_DISABLED;
	CHECK(pick(0, SECOND) == -PICK_NONE, "%d", pick(0, SECOND));
	svc_pool_cfg_release(cfg);
}

static void check_least_conns(void)
{
	struct svc_pool_cfg *cfg = config(3);

	cfg->balance = SVC_BALANCE_LEAST_CONNS;
	cfg->backends[0].weight = 2;
	seal(cfg, NULL);
	use(cfg);
	for (int i = 0; i < 400; i++)
		backends[pick(0, SECOND)].stats.active++;
	CHECK(backends[0].stats.active == 200 && backends[1].stats.active == 100 &&
		      backends[2].stats.active == 100,
	      "%u %u %u", backends[0].stats.active, backends[1].stats.active,
	      backends[2].stats.active);
	backends[2].stats.active = 10;
	for (int i = 0; i < 90; i++) {
		int b = pick(0, SECOND);

		CHECK(b == 2, "%d", b);
		backends[b].stats.active++;
	}
	/* Idle ones take turns. */
	for (int i = 0; i < 3; i++)
		backends[i].stats.active = 0;
	backends[0].cfg.weight = 1;
	int first = pick(0, SECOND);
	CHECK(pick(0, SECOND) != first, "always %d", first);
	svc_pool_cfg_release(cfg);
}

static void check_hash(void)
{
	enum { KEYS = 20000 };
	static int before[KEYS], after[KEYS];
	struct svc_pool_cfg *cfg = config(10), *fewer;
	uint32_t moved = 0, spread[10] = {0};

	cfg->balance = SVC_BALANCE_HASH;
	seal(cfg, NULL);
	use(cfg);
	for (uint64_t k = 0; k < KEYS; k++) {
		before[k] = pick(svc_mix(k), SECOND);
		CHECK(before[k] == pick(svc_mix(k), 2 * SECOND), "key %lu", k);
	}
	/* One goes down: its keys spread over the others, all others stay. */
	cfg->check.kind = SVC_CHECK_CONNECT;
	for (int i = 0; i < 10; i++)
		store32(&cfg->backends[i].state->health, i == 4 ? SVC_HEALTH_DOWN : SVC_HEALTH_UP);
	for (uint64_t k = 0; k < KEYS; k++) {
		after[k] = pick(svc_mix(k), SECOND);
		CHECK(after[k] >= 0 && after[k] != 4, "key %lu: %d", k, after[k]);
		if (before[k] == 4)
			spread[after[k]]++;
		else
			CHECK(after[k] == before[k], "key %lu: %d to %d", k, before[k], after[k]);
	}
	for (int i = 0; i < 10; i++)
		CHECK(i == 4 || spread[i] > KEYS / 10 / 9 / 2, "%d took %u", i, spread[i]);
	/* It is left out: nearly all stay. */
	fewer = config(10);
	fewer->balance = SVC_BALANCE_HASH;
	memmove(&fewer->backends[4], &fewer->backends[5], 5 * sizeof(fewer->backends[0]));
	fewer->n_backends = 9;
	seal(fewer, cfg);
	use(fewer);
	for (uint64_t k = 0; k < KEYS; k++) {
		int b = pick(svc_mix(k), SECOND);

		b += b >= 4;
		moved += before[k] != 4 && b != before[k];
	}
	CHECK(moved < KEYS * 2 / 100, "%u of %u moved", moved, KEYS);
	/* All but one down: the search finds it. */
	fewer->check.kind = SVC_CHECK_CONNECT;
	for (int i = 0; i < 9; i++)
		store32(&fewer->backends[i].state->health,
			i == 7 ? SVC_HEALTH_UP : SVC_HEALTH_DOWN);
	for (uint64_t k = 0; k < 1000; k++)
		CHECK(pick(svc_mix(k), SECOND) == 7, "key %lu", k);
	fewer->n_backends = 9;
	svc_pool_cfg_release(fewer);
	svc_pool_cfg_release(cfg);
}

static void check_slow_start(void)
{
	struct svc_pool_cfg *cfg = config(2);
	struct svc_backend_health h;
	int got[2];

	static const struct {
		uint64_t now;
		double share;
	} at[] = {{100, 0.01}, {101, 0.1}, {105, 0.34}, {109, 0.476}, {110, 0.5}, {200, 0.5}};
	for (int balance = 0; balance < 3; balance++) {
		svc_pool_cfg_release(cfg);
		cfg = config(2);
		cfg->slow_start_ms = 10000;
		cfg->balance = (enum svc_balance)balance;
		seal(cfg, NULL);
		store64(&cfg->backends[1].state->slow_from_ns, 100 * SECOND);
		for (size_t i = 0; i < sizeof(at) / sizeof(*at); i++) {
			double share, want = at[i].share;

			use(cfg);
			got[0] = got[1] = 0;
			for (uint64_t k = 0; k < 20000; k++) {
				int b = pick(svc_mix(k), at[i].now * SECOND);

				got[b]++;
				backends[b].stats.active++;
			}
			share = got[1] / 20000.0;
			CHECK(share > want - 0.02 && share < want + 0.02,
			      "balance %d at %lu s: %.3f, not %.3f", balance, at[i].now, share,
			      want);
		}
	}
	svc_backend_health(cfg, 1, 105 * SECOND, &h);
	CHECK(h.weight_permille > 490 && h.weight_permille < 520, "%u", h.weight_permille);
	svc_backend_health(cfg, 1, 111 * SECOND, &h);
	CHECK(h.weight_permille == 1000, "%u", h.weight_permille);
	svc_pool_cfg_release(cfg);
}

static void check_limits(void)
{
	struct svc_pool_cfg *cfg = config(3);
	uint16_t tried[] = {0, 2};
	enum pick_fail why;

	cfg->backends[0].max_conns = 10;
	cfg->passive_fall = 2;
	seal(cfg, NULL);
	use(cfg);
	/* Counted over the workers. */
	store32(&cfg->backends[0].state->w[0].active, 4);
	store32(&cfg->backends[0].state->w[5].active, 6);
	for (int i = 0; i < 10; i++)
		CHECK(pick(0, SECOND) != 0, "turn %d", i);
	CHECK(pool_pick(&pool, 0, tried + 1, 1, SECOND, &why) == &backends[1], "2 was tried");
	CHECK(pool_pick(&pool, 0, tried, 2, SECOND, &why) == &backends[1], "two were tried");
	backends[1].cfg.admin = backends[2].cfg.admin = SVC_BACKEND_DRAIN;
	CHECK(pick(0, SECOND) == -PICK_FULL, "%d", pick(0, SECOND));
	store32(&cfg->backends[0].state->w[5].active, 5);
	CHECK(pick(0, SECOND) == 0, "%d", pick(0, SECOND));
	cfg->max_conns = 3;
	store32(&cfg->state->w[9].active, 3);
	CHECK(pick(0, SECOND) == -PICK_FULL, "%d", pick(0, SECOND));
	cfg->max_conns = 0;

	/* Failed connections take it out, unless there is no other. */
	backends[1].cfg.admin = SVC_BACKEND_ENABLED;
	backend_failed(&backends[1], SECOND);
	CHECK(pick(0, SECOND) + pick(0, SECOND) == 1, "one failure is none");
	backend_failed(&backends[1], SECOND);
	for (int i = 0; i < 10; i++)
		CHECK(pick(0, 2 * SECOND) == 0, "turn %d", i);
	struct svc_backend_health h;
	svc_backend_health(cfg, 1, 2 * SECOND, &h);
	CHECK(h.health == SVC_HEALTH_DOWN && h.passive && h.weight_permille == 0 &&
		      h.reason[0] != '\0',
	      "%d %s", h.health, h.reason);
	backends[0].cfg.admin = SVC_BACKEND_DISABLED;
	CHECK(pick(0, 2 * SECOND) == 1, "%d", pick(0, 2 * SECOND));
	backends[0].cfg.admin = SVC_BACKEND_ENABLED;
	int seen = 0;
	for (int i = 0; i < 10; i++)
		seen += pick(0, 12 * SECOND) == 1;
	CHECK(seen == 5, "%d after the pause", seen);
	svc_pool_cfg_release(cfg);
}

static void check_sharing(void)
{
	struct svc_pool_cfg *a = config(5), *b, *c;
	struct svc_pool_health h;

	a->min_healthy = 3;
	seal(a, NULL);
	b = config(6);
	/* Another order, and one more. */
	struct svc_backend_cfg x = b->backends[0];
	b->backends[0] = b->backends[3];
	b->backends[3] = x;
	seal(b, a);
	CHECK(b->backends[0].state == a->backends[3].state, "b3");
	CHECK(b->backends[3].state == a->backends[0].state, "b0");
	CHECK(b->backends[1].state == a->backends[1].state, "b1");
	CHECK(b->state == a->state && b->backends[5].state->late && !a->backends[0].state->late,
	      "the new one is late");
	svc_pool_health(a, SECOND, &h);
	CHECK(h.healthy && h.up == 5 && h.enabled == 5, "%u %u", h.up, h.enabled);
	a->check.kind = SVC_CHECK_HTTP;
	svc_pool_health(a, SECOND, &h);
	CHECK(!h.healthy && h.up == 0, "%u", h.up);
	for (int i = 0; i < 3; i++)
		store32(&a->backends[i].state->health, SVC_HEALTH_UP);
	svc_pool_health(a, SECOND, &h);
	CHECK(h.healthy && h.up == 3, "%u", h.up);
	a->backends[1].admin = SVC_BACKEND_DRAIN;
	svc_pool_health(a, SECOND, &h);
	CHECK(!h.healthy && h.up == 2 && h.enabled == 4 && h.backends == 5, "%u", h.up);
	svc_pool_cfg_release(svc_pool_cfg_hold(a));
	svc_pool_cfg_release(a);
	c = config(6);
	seal(c, b);
	svc_pool_cfg_release(b);
	CHECK(load32(&c->backends[0].state->health) == SVC_HEALTH_UP, "what is known stays");
	svc_pool_cfg_release(c);
}

int main(void)
{
	check_faults();
	check_round_robin();
	check_least_conns();
	check_hash();
	check_slow_start();
	check_limits();
	check_sharing();
	return 0;
}
