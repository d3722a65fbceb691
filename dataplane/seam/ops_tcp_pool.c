/* SPDX-License-Identifier: Apache-2.0 */
/* Pools of backends of the TCP proxy. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../vrf/vrf.h"
#include "ops.h"
#include "tcp_convert.h"
#include "valid.h"

static int backend(const PB(TcpBackend) *m, struct svc_backend_cfg *b, struct dp_error *err)
{
	const struct vrf *v;
	struct ip_addr a;

	if (valid_known(&m->base, err) < 0 || tcp_name(m->name, "name", err) < 0 ||
	    valid_addr(&m->address, &a, "address", err) < 0 ||
	    (!ip_addr_is_loopback(&a) && valid_host(&a, "address", err) < 0) ||
	    valid_range(m->port, 1, 65535, "port", err) < 0 ||
	    valid_range(m->weight, 0, 255, "weight", err) < 0 ||
	    valid_range((uint64_t)m->admin, SVC_BACKEND_ENABLED, SVC_BACKEND_DISABLED, "admin",
			err) < 0 ||
	    valid_range(m->drain_timeout, 0, 86400000, "drain_timeout", err) < 0)
		return -1;
	if (ip_addr_is_link_local(&a))
		return dp_fail(err, DP_INVALID, "address",
			       "is link-local: backends are of a whole network instance");
	v = valid_vrf(m->vrf, "vrf", err);
	if (v == NULL)
		return -1;
	snprintf(b->name, sizeof(b->name), "%s", m->name);
	tcp_addr_from(&a, &b->addr);
	b->port = rte_cpu_to_be_16((uint16_t)m->port);
	b->vrf = v->id;
	b->weight = (uint8_t)m->weight;
	b->admin = (enum svc_backend_admin)m->admin;
	b->max_conns = m->max_connections;
	b->drain_ms = m->drain_timeout;
	return 0;
}

static int health_check(const PB(TcpHealthCheck) *m, struct svc_check_cfg *c, struct dp_error *err)
{
	if (valid_known(&m->base, err) < 0 ||
	    valid_range((uint64_t)m->kind, SVC_CHECK_NONE, SVC_CHECK_HTTP, "kind", err) < 0 ||
	    (m->interval != 0 && valid_range(m->interval, 100, 3600000, "interval", err) < 0) ||
	    (m->timeout != 0 && valid_range(m->timeout, 10, 600000, "timeout", err) < 0) ||
	    valid_range(m->rise, 0, 100, "rise", err) < 0 ||
	    valid_range(m->fall, 0, 100, "fall", err) < 0 ||
	    valid_range(m->port, 0, 65535, "port", err) < 0 ||
	    valid_text(m->method, sizeof(c->method) - 1, "method", err) < 0 ||
	    valid_text(m->path, sizeof(c->path) - 1, "path", err) < 0 ||
	    valid_text(m->host, sizeof(c->host) - 1, "host", err) < 0 ||
	    (m->status_min != 0 && valid_range(m->status_min, 100, 599, "status_min", err) < 0) ||
	    (m->status_max != 0 && valid_range(m->status_max, 100, 599, "status_max", err) < 0) ||
	    tcp_proxy_protocol(m->proxy_protocol, false, &c->send_proxy, "proxy_protocol", err) < 0)
		return -1;
	c->kind = (enum svc_check)m->kind;
	c->interval_ms = m->interval;
	c->timeout_ms = m->timeout;
	c->rise = (uint8_t)m->rise;
	c->fall = (uint8_t)m->fall;
	c->port = rte_cpu_to_be_16((uint16_t)m->port);
	snprintf(c->method, sizeof(c->method), "%s", m->method);
	snprintf(c->path, sizeof(c->path), "%s", m->path);
	snprintf(c->host, sizeof(c->host), "%s", m->host);
	c->status_min = (uint16_t)m->status_min;
	c->status_max = (uint16_t)m->status_max;
	return 0;
}

static int sources(const PB(TcpPool) *m, struct svc_pool_cfg *c, struct dp_error *err)
{
	for (size_t k = 0; k < m->n_source_addresses; k++) {
		struct ip_addr a;

		if (valid_addr(&m->source_addresses[k], &a, "", err) < 0 ||
		    valid_host(&a, "", err) < 0)
			return tcp_within(err, "source_addresses[%zu]", k);
		tcp_addr_from(&a, &c->sources[k]);
	}
	c->n_sources = (uint32_t)m->n_source_addresses;
	return 0;
}

static int fill(const PB(TcpPool) *m, struct svc_pool_cfg *c, struct dp_error *err)
{
	struct svc_fault fault = {0};

	snprintf(c->name, sizeof(c->name), "%s", m->name);
	c->id = 1;
	if (valid_range((uint64_t)m->algorithm, SVC_BALANCE_ROUND_ROBIN, SVC_BALANCE_HASH,
			"algorithm", err) < 0 ||
	    valid_range((uint64_t)m->hash_key, SVC_HASH_SOURCE, SVC_HASH_5TUPLE, "hash_key", err) <
		    0 ||
	    valid_range((uint64_t)m->source_mode, SVC_SOURCE_EGRESS, SVC_SOURCE_TRANSPARENT,
			"source_mode", err) < 0 ||
	    valid_range(m->slow_start, 0, 3600000, "slow_start", err) < 0 ||
	    valid_range(m->min_healthy, 0, SVC_POOL_BACKENDS_MAX, "min_healthy", err) < 0 ||
	    valid_range(m->maglev_size, 0, 1048573, "maglev_size", err) < 0 ||
	    valid_range(m->passive_time, 0, 86400000, "passive_time", err) < 0)
		return -1;
	for (size_t k = 0; k < m->n_backends; k++)
		if (backend(m->backends[k], &c->backends[k], err) < 0)
			return tcp_within(err, "backends[%zu]", k);
	c->n_backends = (uint32_t)m->n_backends;
	if (sources(m, c, err) < 0)
		return -1;
	if (m->health_check != NULL && health_check(m->health_check, &c->check, err) < 0)
		return tcp_within(err, "health_check");
	if (tcp_options_from(m->options, false, &c->tcp, "options", err) < 0)
		return -1;
	c->balance = (enum svc_balance)m->algorithm;
	c->hash_key = (enum svc_hash_key)m->hash_key;
	c->maglev_size = m->maglev_size;
	c->hash_seed = m->hash_seed;
	c->passive_fall = m->passive_fall;
	c->passive_ms = m->passive_time;
	c->no_passive = m->no_passive;
	c->slow_start_ms = m->slow_start;
	c->max_conns = m->max_connections;
	c->min_healthy = m->min_healthy;
	c->source_mode = (enum svc_source_mode)m->source_mode;
	return svc_pool_cfg_check(c, &fault) == 0 ? 0 : tcp_fault(&fault, err);
}

int op_tcp_pool(const PB(TcpPool) *m, struct owner_tag tag, struct dp_error *err)
{
	struct term_pool_obj *have;
	struct svc_pool_cfg *c;
	struct term_msg msg;

	if (valid_known(&m->base, err) < 0 || tcp_name(m->name, "name", err) < 0)
		return -1;
	if (m->n_backends > SVC_POOL_BACKENDS_MAX)
		return dp_fail(err, DP_INVALID, "backends", "has %zu; at most %d are allowed",
			       m->n_backends, SVC_POOL_BACKENDS_MAX);
	if (m->n_source_addresses > SVC_POOL_SOURCES_MAX)
		return dp_fail(err, DP_INVALID, "source_addresses",
			       "has %zu; at most %d are allowed", m->n_source_addresses,
			       SVC_POOL_SOURCES_MAX);
	have = term_pool_find(m->name);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	msg = tcp_pack(&m->base);
	c = svc_pool_cfg_new((uint32_t)m->n_backends, (uint32_t)m->n_source_addresses);
	if (msg.data == NULL || c == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "no memory for the pool");
		goto fail;
	}
	if (have != NULL && have->msg.len == msg.len &&
	    memcmp(have->msg.data, msg.data, msg.len) == 0) {
		have->owner = tag;
		svc_pool_cfg_release(c);
		free(msg.data);
		return 0;
	}
	if (fill(m, c, err) < 0)
		goto fail;
	return term_pool_set(have, c, tag, msg, err);
fail:
	svc_pool_cfg_release(c);
	free(msg.data);
	return -1;
}

int op_tcp_pool_delete(const PB(TcpPoolKey) *m, struct owner_tag tag, struct dp_error *err)
{
	struct term_pool_obj *p;

	if (valid_known(&m->base, err) < 0 || tcp_name(m->name, "name", err) < 0)
		return -1;
	p = term_pool_find(m->name);
	if (p == NULL)
		return dp_fail(err, DP_NOT_FOUND, "name", "there is no pool %s", m->name);
	if (owner_may_write(&p->owner, tag.owner, err) < 0)
		return -1;
	return term_pool_delete(p, err);
}
