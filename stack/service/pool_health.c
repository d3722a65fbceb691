/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of the health of pools and backends, for any thread to read. */
#include <stdio.h>

#include "pool_private.h"

const char *svc_health_name(enum svc_health h)
{
	static const char *const names[] = {[SVC_HEALTH_UNKNOWN] = "unknown",
					    [SVC_HEALTH_UP] = "up",
					    [SVC_HEALTH_DOWN] = "down"};

	return h <= SVC_HEALTH_DOWN ? names[h] : "?";
}

void reason_text(uint32_t reason, char *buf, size_t size)
{
	static const char *const texts[] = {
		[REASON_NONE] = "",
		[REASON_REFUSED] = "connection refused",
		[REASON_TIMEOUT] = "timeout",
		[REASON_UNREACHABLE] = "unreachable",
		[REASON_RESET] = "connection reset",
		[REASON_STATUS] = "status",
		[REASON_NOT_HTTP] = "answer is not HTTP",
		[REASON_CLOSED] = "closed without an answer",
		[REASON_NO_SOURCE] = "no source address",
		[REASON_CONNECTS] = "connections of clients failed",
	};

	if (reason >> 16 == REASON_STATUS)
		snprintf(buf, size, "status %u", reason & 0xffff);
	else
		snprintf(buf, size, "%s", texts[reason >> 16]);
}

uint32_t backend_weight(const struct svc_pool_cfg *cfg, const struct svc_backend_cfg *b,
			uint64_t now)
{
	uint64_t from = load64(&b->state->slow_from_ns), span = cfg->slow_start_ms * NS_PER_MS;
	uint32_t full = b->weight * 1000u;

	/* Another worker's clock may be a moment ahead. */
	if (from == 0 || span == 0)
		return full;
	if (now <= from)
		return full / 100;
	if (now - from >= span)
		return full;
	/* From a hundredth on, so that it gets some at once. */
	return full / 100 + (uint32_t)((full - full / 100) * (double)(now - from) / (double)span);
}

void svc_backend_health(const struct svc_pool_cfg *cfg, uint32_t i, uint64_t now_ns,
			struct svc_backend_health *out)
{
	const struct svc_backend_cfg *b = &cfg->backends[i];
	const struct svc_backend_state *s = b->state;

	memset(out, 0, sizeof(*out));
	out->health = backend_checked(cfg, s);
	out->passive = backend_ejected(cfg, s, now_ns);
	out->passive_until_ns = out->passive ? load64(&s->passive_until_ns) : 0;
	out->changed_ns = load64(&s->changed_ns);
	out->checks = load64(&s->checks);
	out->checks_failed = load64(&s->checks_failed);
	out->check_ns = load64(&s->check_ns);
	out->active = state_active(s->w);
	reason_text(load32(&s->reason), out->reason, sizeof(out->reason));
	if (out->passive) {
		if (out->health != SVC_HEALTH_DOWN)
			reason_text(REASON_CONNECTS << 16, out->reason, sizeof(out->reason));
		out->health = SVC_HEALTH_DOWN;
	}
	if (out->health != SVC_HEALTH_DOWN && b->admin == SVC_BACKEND_ENABLED)
		out->weight_permille = backend_weight(cfg, b, now_ns);
}

void svc_pool_health(const struct svc_pool_cfg *cfg, uint64_t now_ns, struct svc_pool_health *out)
{
	memset(out, 0, sizeof(*out));
	for (uint32_t i = 0; i < cfg->n_backends; i++) {
		const struct svc_backend_cfg *b = &cfg->backends[i];

		out->backends++;
		if (b->admin != SVC_BACKEND_ENABLED)
			continue;
		out->enabled++;
		if (backend_checked(cfg, b->state) == SVC_HEALTH_UP &&
		    !backend_ejected(cfg, b->state, now_ns))
			out->up++;
	}
	out->healthy = out->up >= cfg->min_healthy;
	out->changed_ns = load64(&cfg->state->changed_ns);
	out->active = state_active(cfg->state->w);
}
