/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of listeners: made and checked by the control thread, counted by all. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime.h"

#define PREFIXES_MAX   65536
#define TIMEOUT_MS_MAX (7u * 24 * 3600 * 1000)

struct svc_listener_cfg *svc_listener_cfg_new(enum svc_kind kind)
{
	struct svc_listener_cfg *cfg = calloc(1, sizeof(*cfg));

	if (cfg != NULL) {
		cfg->refs = 1;
		cfg->kind = kind;
	}
	return cfg;
}

struct svc_listener_cfg *svc_listener_cfg_hold(struct svc_listener_cfg *cfg)
{
	__atomic_fetch_add(&cfg->refs, 1, __ATOMIC_RELAXED);
	return cfg;
}

void svc_listener_cfg_release(struct svc_listener_cfg *cfg)
{
	if (cfg == NULL || __atomic_fetch_sub(&cfg->refs, 1, __ATOMIC_ACQ_REL) != 1)
		return;
	if (cfg->kind < SVC_KINDS && svc_types[cfg->kind]->cfg_free != NULL)
		svc_types[cfg->kind]->cfg_free(cfg);
	free(cfg->allow);
	free(cfg->deny);
	free(cfg);
}

int svc_fault(struct svc_fault *fault, const char *field, const char *fmt, ...)
{
	va_list ap;

	snprintf(fault->field, sizeof(fault->field), "%s", field);
	va_start(ap, fmt);
	vsnprintf(fault->msg, sizeof(fault->msg), fmt, ap);
	va_end(ap);
	return -EINVAL;
}

static bool addr_is_zero(const struct tcp_addr *a)
{
	static const struct tcp_addr zero;

	return memcmp(a, &zero, sizeof(zero)) == 0;
}

static int check_place(const struct svc_listener_cfg *cfg, struct svc_fault *fault)
{
	bool zero = addr_is_zero(&cfg->addr);

	if (cfg->family != 0 && cfg->family != 4 && cfg->family != 6)
		return svc_fault(fault, "family", "%u is not 0, 4 or 6", cfg->family);
	if (cfg->family == 0 && !zero)
		return svc_fault(fault, "family", "an address has a family");
	if (cfg->family == 4 && !zero && !tcp_addr_is4(&cfg->addr))
		return svc_fault(fault, "addr", "not an IPv4 address");
	if (cfg->family == 6 && tcp_addr_is4(&cfg->addr))
		return svc_fault(fault, "addr", "not an IPv6 address");
	if (cfg->family == 6 && cfg->addr.b[0] == 0xff)
		return svc_fault(fault, "addr", "a multicast address");
	if (cfg->family == 4 && !zero && cfg->addr.b[12] >= 224)
		return svc_fault(fault, "addr", "not a unicast address");
	if (cfg->port == 0)
		return svc_fault(fault, "port", "must be 1 to 65,535");
	return 0;
}

static int check_tcp(const struct tcp_options *o, struct svc_fault *fault)
{
	if ((unsigned int)o->cc >= TCP_CC_MAX)
		return svc_fault(fault, "tcp.cc", "no such congestion control: %u", o->cc);
	if (o->dscp > 63)
		return svc_fault(fault, "tcp.dscp", "%u is above 63", o->dscp);
	if (o->mss != 0 && o->mss < 88)
		return svc_fault(fault, "tcp.mss", "%u is below 88", o->mss);
	if (o->synack_retries > 15)
		return svc_fault(fault, "tcp.synack_retries", "%u is above 15", o->synack_retries);
	if (o->rcvbuf_max != 0 && (o->rcvbuf_max < 4096 || o->rcvbuf_max > 1u << 30))
		return svc_fault(fault, "tcp.rcvbuf_max", "must be 4,096 octets to 1 GiB");
	if (o->sndbuf_max != 0 && (o->sndbuf_max < 4096 || o->sndbuf_max > 1u << 30))
		return svc_fault(fault, "tcp.sndbuf_max", "must be 4,096 octets to 1 GiB");
	return 0;
}

static int check_prefixes(const char *name, const struct tcp_prefix *p, uint32_t n,
			  struct svc_fault *fault)
{
	char field[64];
	uint32_t i, k;

	if (n > PREFIXES_MAX)
		return svc_fault(fault, name, "%u prefixes, at most %u", n, PREFIXES_MAX);
	for (i = 0; i < n; i++) {
		snprintf(field, sizeof(field), "%s[%u]", name, i);
		if (p[i].len > 128)
			return svc_fault(fault, field, "length %u is above 128", p[i].len);
		if (tcp_addr_is4(&p[i].addr) && p[i].len < 96)
			return svc_fault(fault, field, "an IPv4 prefix's length is 96 and more");
		for (k = p[i].len; k < 128; k++)
			if (p[i].addr.b[k / 8] >> (7 - k % 8) & 1)
				return svc_fault(fault, field, "bits past the length are set");
	}
	return 0;
}

int svc_listener_cfg_check(const struct svc_listener_cfg *cfg, struct svc_fault *fault)
{
	int err;

	if (cfg->id == 0)
		return svc_fault(fault, "id", "must not be 0");
	if (memchr(cfg->name, 0, sizeof(cfg->name)) == NULL)
		return svc_fault(fault, "name", "longer than %zu octets", sizeof(cfg->name) - 1);
	if ((unsigned int)cfg->kind >= SVC_KINDS)
		return svc_fault(fault, "kind", "no such service: %u", cfg->kind);
	err = check_place(cfg, fault);
	if (err == 0)
		err = check_tcp(&cfg->tcp, fault);
	if (err == 0)
		err = check_prefixes("allow", cfg->allow, cfg->n_allow, fault);
	if (err == 0)
		err = check_prefixes("deny", cfg->deny, cfg->n_deny, fault);
	if (err < 0)
		return err;
	if (cfg->burst != 0 && cfg->rate == 0)
		return svc_fault(fault, "burst", "means nothing without a rate");
	if (cfg->idle_timeout_ms > TIMEOUT_MS_MAX)
		return svc_fault(fault, "idle_timeout_ms", "above %u", TIMEOUT_MS_MAX);
	if (cfg->total_timeout_ms > TIMEOUT_MS_MAX)
		return svc_fault(fault, "total_timeout_ms", "above %u", TIMEOUT_MS_MAX);
	if (svc_types[cfg->kind]->validate != NULL)
		return svc_types[cfg->kind]->validate(cfg, fault);
	return 0;
}
