/* SPDX-License-Identifier: Apache-2.0 */
/* The real services, with their runtime, on the server's side. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "services.h"

#define PORT 7

static uint64_t wall_s(void *ctx)
{
	return bench_now_ns() / 1000000000;
}

static uint64_t random64(void *ctx)
{
	uint64_t *x = &((struct side *)ctx)->rng;

	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

int bench_serve(struct side *s, enum svc_kind kind, uint32_t body_len)
{
	struct svc_env env = {.ctx = s, .random = random64, .wall_s = wall_s};
	struct svc_listener_cfg *cfg = svc_listener_cfg_new(kind);
	struct svc_fault fault;
	int err = -1;

	s->svc = svc_create(s->e, &env, bench_now_ns());
	if (cfg == NULL || s->svc == NULL)
		return -1;
	cfg->id = 1;
	cfg->port = htons(PORT);
	cfg->backlog = 1u << 20;
	if (kind == SVC_HTTP) {
		struct svc_http_response *r = &cfg->http.response;
		uint8_t *body = malloc(body_len);

		if (body == NULL)
			return -1;
		memset(body, 'x', body_len);
		svc_http_set_body(r, body, body_len);
		free(body);
	}
	if (svc_listener_cfg_check(cfg, &fault) == 0)
		err = svc_listener_set(s->svc, cfg);
	else
		fprintf(stderr, "%s: %s\n", fault.field, fault.msg);
	svc_listener_cfg_release(cfg);
	return err;
}
