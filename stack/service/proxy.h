/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP proxy: a listener's connections, each spliced to one to a backend of a pool (pool.h). Its
 * configuration is struct svc_proxy_cfg (service.h). What is here is for listings;
 * docs/tcp-proxy.md tells what it does.
 */
#ifndef MILLRACE_SVC_PROXY_H
#define MILLRACE_SVC_PROXY_H

#include "service.h"

/* The other half of a proxied connection. */
struct svc_proxy_peer {
	uint32_t listener_id, pool_id;
	/* Name of the backend; valid until the next call of the runtime. "" while there is none. */
	const char *backend;
	/* The tuple asked for is that of the backend's side. */
	bool is_backend;
	/* The other side's; valid if has_other. */
	bool has_other;
	struct tcp_tuple other;
};

/* What the connection with this tuple, of either side, belongs to; false: it is not a proxy's (a
 * health check's, say). The worker's thread. */
bool svc_proxy_peer(const struct svc *s, const struct tcp_tuple *t, struct svc_proxy_peer *out);

#endif
