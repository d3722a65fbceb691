/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of pools, and what configurations share: the part of the control thread. */
#include <errno.h>
#include <stdlib.h>

#include <rte_byteorder.h>

#include "maglev.h"
#include "pool_private.h"

/* ---- States ---- */

uint32_t state_active(const struct worker_count *w)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < SVC_WORKERS_MAX; i++)
		n += load32(&w[i].active);
	return n;
}

static void *state_new(size_t size)
{
	void *s = aligned_alloc(64, (size + 63) / 64 * 64);

	if (s != NULL)
		memset(s, 0, size);
	return s;
}

/* True for the last one, who sees all that the others did. */
static bool unref(_Atomic uint32_t *refs)
{
	return atomic_fetch_sub_explicit(refs, 1, memory_order_acq_rel) == 1;
}

static void ref(_Atomic uint32_t *refs)
{
	atomic_fetch_add_explicit(refs, 1, memory_order_relaxed);
}

struct svc_backend_state *backend_state_hold(struct svc_backend_state *s)
{
	ref(&s->refs);
	return s;
}

void backend_state_release(struct svc_backend_state *s)
{
	if (s != NULL && unref(&s->refs))
		free(s);
}

static bool same_backend(const struct svc_backend_cfg *a, const struct svc_backend_cfg *b)
{
	return a->port == b->port && a->vrf == b->vrf &&
	       memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

/* ---- Life of a configuration ---- */

struct svc_pool_cfg *svc_pool_cfg_new(uint32_t n_backends, uint32_t n_sources)
{
	struct svc_pool_cfg *cfg = calloc(1, sizeof(*cfg));

	if (cfg == NULL)
		return NULL;
	cfg->refs = 1;
	cfg->n_backends = n_backends;
	cfg->n_sources = n_sources;
	cfg->backends = calloc(n_backends + 1, sizeof(*cfg->backends));
	cfg->sources = calloc(n_sources + 1, sizeof(*cfg->sources));
	if (cfg->backends == NULL || cfg->sources == NULL) {
		svc_pool_cfg_release(cfg);
		return NULL;
	}
	return cfg;
}

struct svc_pool_cfg *svc_pool_cfg_hold(struct svc_pool_cfg *cfg)
{
	__atomic_fetch_add(&cfg->refs, 1, __ATOMIC_RELAXED);
	return cfg;
}

void svc_pool_cfg_release(struct svc_pool_cfg *cfg)
{
	if (cfg == NULL || __atomic_fetch_sub(&cfg->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	for (uint32_t i = 0; cfg->backends != NULL && i < cfg->n_backends; i++)
		backend_state_release(cfg->backends[i].state);
	if (cfg->state != NULL && unref(&cfg->state->refs))
		free(cfg->state);
	free(cfg->backends);
	free(cfg->sources);
	free(cfg->maglev);
	free(cfg);
}

static int fill_maglev(struct svc_pool_cfg *cfg)
{
	struct svc_maglev_member *m = calloc(cfg->n_backends + 1, sizeof(*m));
	int rc;

	cfg->maglev = malloc(cfg->maglev_size * sizeof(*cfg->maglev));
	if (m == NULL || cfg->maglev == NULL) {
		free(m);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		const struct svc_backend_cfg *b = &cfg->backends[i];
		uint8_t id[sizeof(b->addr) + sizeof(b->port)];

		/* Not the VRF: its number may be another on another box. Nor the admin state: a
		 * backend that is drained keeps its entries, which others serve meanwhile, so that
		 * no other client moves. */
		memcpy(id, &b->addr, sizeof(b->addr));
		memcpy(id + sizeof(b->addr), &b->port, sizeof(b->port));
		m[i].id = svc_hash(id, sizeof(id), cfg->hash_seed);
		m[i].weight = b->weight;
	}
	rc = svc_maglev_fill(cfg->maglev, cfg->maglev_size, m, cfg->n_backends);
	free(m);
	return rc;
}

int svc_pool_cfg_seal(struct svc_pool_cfg *cfg, const struct svc_pool_cfg *prev)
{
	uint32_t hint = 0;

	if (prev != NULL) {
		cfg->state = prev->state;
	} else {
		cfg->state = state_new(sizeof(*cfg->state));
		if (cfg->state == NULL)
			return -ENOMEM;
	}
	ref(&cfg->state->refs);
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		struct svc_backend_cfg *b = &cfg->backends[i];

		/* Lists mostly stay in order: the search starts behind the last one found. */
		for (uint32_t k = 0; prev != NULL && k < prev->n_backends; k++) {
			uint32_t j = (hint + k) % prev->n_backends;

			if (same_backend(b, &prev->backends[j])) {
				b->state = backend_state_hold(prev->backends[j].state);
				hint = j + 1;
				break;
			}
		}
		if (b->state != NULL)
			continue;
		b->state = state_new(sizeof(*b->state));
		if (b->state == NULL)
			return -ENOMEM;
		b->state->refs = 1;
		b->state->addr = b->addr;
		b->state->port = b->port;
		b->state->vrf = b->vrf;
		b->state->late = prev != NULL;
	}
	return cfg->balance == SVC_BALANCE_HASH ? fill_maglev(cfg) : 0;
}

/* ---- Validation ---- */

#define DEFAULT(field, value)                                                                      \
	do {                                                                                       \
		if ((field) == 0)                                                                  \
			(field) = (value);                                                         \
	} while (0)

static int check_range(struct svc_fault *f, const char *field, uint32_t v, uint32_t min,
		       uint32_t max)
{
	if (v >= min && v <= max)
		return 0;
	return svc_fault(f, field, "%u is not within %u to %u", v, min, max);
}

/* Letters that may be in a request line or header field without ending it. */
static bool is_text(const char *s, size_t size, char below)
{
	size_t n = strnlen(s, size);

	if (n == size)
		return false;
	for (size_t i = 0; i < n; i++)
		if (s[i] <= below || s[i] >= 0x7f)
			return false;
	return true;
}

static int check_health(struct svc_check_cfg *c, struct svc_fault *f)
{
	int rc = 0;

	DEFAULT(c->interval_ms, 5000);
	DEFAULT(c->timeout_ms, 2000);
	DEFAULT(c->rise, 2);
	DEFAULT(c->fall, 3);
	DEFAULT(c->status_min, 200);
	DEFAULT(c->status_max, 399);
	if (c->kind > SVC_CHECK_HTTP)
		return svc_fault(f, "check.kind", "unknown: %d", (int)c->kind);
	if (c->send_proxy > SVC_PROXY_PROTOCOL_V2)
		return svc_fault(f, "check.send_proxy", "is not off, v1 or v2");
	if ((rc = check_range(f, "check.interval_ms", c->interval_ms, 100, 3600000)) != 0 ||
	    (rc = check_range(f, "check.timeout_ms", c->timeout_ms, 10, 600000)) != 0 ||
	    (rc = check_range(f, "check.rise", c->rise, 1, 100)) != 0 ||
	    (rc = check_range(f, "check.fall", c->fall, 1, 100)) != 0 ||
	    (rc = check_range(f, "check.status_min", c->status_min, 100, 599)) != 0 ||
	    (rc = check_range(f, "check.status_max", c->status_max, 100, 599)) != 0)
		return rc;
	if (c->status_max < c->status_min)
		return svc_fault(f, "check.status_max", "%u is below status_min", c->status_max);
	if (!is_text(c->method, sizeof(c->method), ' '))
		return svc_fault(f, "check.method", "is not a word of up to 15 letters");
	if (!is_text(c->path, sizeof(c->path), ' ') || (c->path[0] != '\0' && c->path[0] != '/'))
		return svc_fault(f, "check.path", "is not a path of up to 255 letters from / on");
	if (!is_text(c->host, sizeof(c->host), ' '))
		return svc_fault(f, "check.host", "is not a name of up to 255 letters");
	if (c->method[0] == '\0')
		strcpy(c->method, "GET");
	if (c->path[0] == '\0')
		strcpy(c->path, "/");
	return 0;
}

static bool is_unicast(const struct tcp_addr *a)
{
	static const struct tcp_addr zero;

	if (tcp_addr_is4(a))
		return a->b[12] != 0 && a->b[12] < 224;
	return a->b[0] != 0xff && memcmp(a, &zero, sizeof(zero)) != 0;
}

static int check_backend(struct svc_pool_cfg *cfg, uint32_t i, struct svc_fault *f)
{
	struct svc_backend_cfg *b = &cfg->backends[i];
	char field[64];

	DEFAULT(b->weight, 1);
#define FIELD(name) (snprintf(field, sizeof(field), "backends[%u]." name, i), field)
	if (b->name[0] == '\0' || !is_text(b->name, sizeof(b->name), ' '))
		return svc_fault(f, FIELD("name"), "is not a name of 1 to 63 letters");
	if (!is_unicast(&b->addr))
		return svc_fault(f, FIELD("addr"), "is not a unicast address");
	if (b->port == 0)
		return svc_fault(f, FIELD("port"), "is 0");
	if (b->admin > SVC_BACKEND_DISABLED)
		return svc_fault(f, FIELD("admin"), "unknown: %d", (int)b->admin);
	for (uint32_t k = 0; k < i; k++) {
		if (strcmp(b->name, cfg->backends[k].name) == 0)
			return svc_fault(f, FIELD("name"), "%s is backends[%u] too", b->name, k);
		if (same_backend(b, &cfg->backends[k]))
			return svc_fault(f, FIELD("addr"),
					 "address, port and VRF are those of backends[%u]", k);
	}
#undef FIELD
	return 0;
}

static bool has_family(const struct svc_pool_cfg *cfg, bool is4)
{
	for (uint32_t i = 0; i < cfg->n_sources; i++)
		if (tcp_addr_is4(&cfg->sources[i]) == is4)
			return true;
	return false;
}

static int check_sources(const struct svc_pool_cfg *cfg, struct svc_fault *f)
{
	char field[64];

	if (cfg->source_mode > SVC_SOURCE_TRANSPARENT)
		return svc_fault(f, "source_mode", "unknown: %d", (int)cfg->source_mode);
	if (cfg->n_sources > SVC_POOL_SOURCES_MAX)
		return svc_fault(f, "sources", "more than %u", SVC_POOL_SOURCES_MAX);
	if (cfg->source_mode != SVC_SOURCE_POOL)
		return cfg->n_sources == 0 ? 0
					   : svc_fault(f, "sources", "only with source mode pool");
	for (uint32_t i = 0; i < cfg->n_sources; i++) {
		if (is_unicast(&cfg->sources[i]))
			continue;
		snprintf(field, sizeof(field), "sources[%u]", i);
		return svc_fault(f, field, "is not a unicast address");
	}
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		if (has_family(cfg, tcp_addr_is4(&cfg->backends[i].addr)))
			continue;
		return svc_fault(f, "sources", "none of the family of backends[%u]", i);
	}
	return 0;
}

int svc_pool_cfg_check(struct svc_pool_cfg *cfg, struct svc_fault *f)
{
	int rc;

	DEFAULT(cfg->maglev_size, SVC_MAGLEV_SIZE);
	DEFAULT(cfg->passive_fall, 5);
	DEFAULT(cfg->passive_ms, 10000);
	DEFAULT(cfg->min_healthy, 1);
	if (cfg->id == 0)
		return svc_fault(f, "id", "is 0");
	if (cfg->balance > SVC_BALANCE_HASH)
		return svc_fault(f, "balance", "unknown: %d", (int)cfg->balance);
	if (cfg->hash_key > SVC_HASH_5TUPLE)
		return svc_fault(f, "hash_key", "unknown: %d", (int)cfg->hash_key);
	if (cfg->n_backends > SVC_POOL_BACKENDS_MAX)
		return svc_fault(f, "backends", "more than %u", SVC_POOL_BACKENDS_MAX);
	if (cfg->maglev_size > 1048573 || !svc_is_prime(cfg->maglev_size))
		return svc_fault(f, "maglev_size", "%u is not a prime up to 1,048,573",
				 cfg->maglev_size);
	if (cfg->maglev_size <= cfg->n_backends)
		return svc_fault(f, "maglev_size", "%u is not above the number of backends",
				 cfg->maglev_size);
	if (cfg->tcp.cc >= TCP_CC_MAX)
		return svc_fault(f, "tcp.cc", "unknown: %d", (int)cfg->tcp.cc);
	if (cfg->tcp.mss != 0 && cfg->tcp.mss < 88)
		return svc_fault(f, "tcp.mss", "%u is below 88", cfg->tcp.mss);
	if (cfg->tcp.dscp > 63)
		return svc_fault(f, "tcp.dscp", "%u is above 63", cfg->tcp.dscp);
	if ((rc = check_range(f, "passive_ms", cfg->passive_ms, 100, 3600000)) != 0 ||
	    (rc = check_range(f, "slow_start_ms", cfg->slow_start_ms, 0, 3600000)) != 0 ||
	    (rc = check_health(&cfg->check, f)) != 0)
		return rc;
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		rc = check_backend(cfg, i, f);
		if (rc != 0)
			return rc;
	}
	return check_sources(cfg, f);
}
