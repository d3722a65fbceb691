/* SPDX-License-Identifier: Apache-2.0 */
/* TCP listeners. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../vrf/vrf.h"
#include "ops.h"
#include "tcp_convert.h"
#include "valid.h"

#define HTTP_HEADERS_MAX 64
#define HTTP_ROUTES_MAX	 256
#define HTTP_BODY_MAX	 (1u << 20)
#define HTTP_FILE_MAX	 (64u << 20)
#define PREFIXES_MAX	 1024
#define TRUSTED_MAX	 256
#define TIMEOUT_MAX	 86400000u

/* ---- HTTP ------------------------------------------------------------------------------------ */

static int body_from_file(const char *path, struct svc_http_response *r, struct dp_error *err)
{
	int rc;

	if (valid_text(path, 4095, "body_file", err) < 0)
		return -1;
	if (*path != '/')
		return dp_fail(err, DP_INVALID, "body_file", "must be an absolute path");
	rc = svc_http_body_file(r, path, HTTP_FILE_MAX);
	if (rc == -EFBIG)
		return dp_fail(err, DP_INVALID, "body_file", "has more than %u octets",
			       HTTP_FILE_MAX);
	if (rc == -EINVAL)
		return dp_fail(err, DP_INVALID, "body_file", "is not a regular file");
	if (rc != 0)
		return dp_fail(err, rc == -ENOMEM ? DP_NO_MEMORY : DP_INVALID, "body_file",
			       "cannot be read: %s", strerror(-rc));
	return 0;
}

/* m may be NULL: 200 without a body. */
static int http_response(const PB(TcpHttpResponse) *m, struct svc_http_response *r,
			 struct dp_error *err)
{
	if (m == NULL)
		return 0;
	if (valid_known(&m->base, err) < 0 ||
	    (m->status != 0 && valid_range(m->status, 200, 599, "status", err) < 0))
		return -1;
	if (m->n_headers > HTTP_HEADERS_MAX)
		return dp_fail(err, DP_INVALID, "headers", "has %zu; at most %d are allowed",
			       m->n_headers, HTTP_HEADERS_MAX);
	for (size_t k = 0; k < m->n_headers; k++) {
		const PB(TcpHttpHeader) *h = m->headers[k];

		if (valid_known(&h->base, err) < 0 || valid_text(h->name, 255, "name", err) < 0 ||
		    valid_text(h->value, 8192, "value", err) < 0)
			return tcp_within(err, "headers[%zu]", k);
		if (svc_http_add_header(r, h->name, h->value) != 0)
			return dp_fail(err, DP_NO_MEMORY, "headers", "no memory");
	}
	r->status = (uint16_t)m->status;
	if (m->body.len > HTTP_BODY_MAX)
		return dp_fail(err, DP_INVALID, "body", "has %zu octets; at most %u are allowed",
			       m->body.len, HTTP_BODY_MAX);
	if (*m->body_file != '\0') {
		if (valid_empty(m->body.len == 0, "body", "beside body_file", err) < 0)
			return -1;
		return body_from_file(m->body_file, r, err);
	}
	if (m->body.len != 0 && svc_http_set_body(r, m->body.data, (uint32_t)m->body.len) != 0)
		return dp_fail(err, DP_NO_MEMORY, "body", "no memory");
	return 0;
}

static int http_routes(const PB(TcpHttp) *m, struct svc_http_cfg *h, struct dp_error *err)
{
	if (m->n_routes > HTTP_ROUTES_MAX)
		return dp_fail(err, DP_INVALID, "routes", "has %zu; at most %d are allowed",
			       m->n_routes, HTTP_ROUTES_MAX);
	for (size_t k = 0; k < m->n_routes; k++) {
		const PB(TcpHttpRoute) *r = m->routes[k];
		struct svc_http_route *out;

		if (valid_known(&r->base, err) < 0 || valid_text(r->path, 255, "path", err) < 0)
			return tcp_within(err, "routes[%zu]", k);
		out = svc_http_add_route(h, r->path, r->prefix);
		if (out == NULL)
			return dp_fail(err, DP_NO_MEMORY, "routes", "no memory");
		if (http_response(r->response, &out->response, err) < 0)
			return tcp_within(err, "routes[%zu].response", k);
	}
	return 0;
}

static int http(const PB(TcpHttp) *m, uint32_t header_timeout, struct svc_http_cfg *h,
		struct dp_error *err)
{
	h->header_timeout_ms = header_timeout;
	/* Without a word about it: 200 for everything. */
	if (m == NULL)
		return 0;
	if (valid_known(&m->base, err) < 0 ||
	    valid_range(m->body_timeout, 0, TIMEOUT_MAX, "body_timeout", err) < 0 ||
	    valid_text(m->server, 255, "server", err) < 0)
		return tcp_within(err, "http");
	if (http_response(m->response, &h->response, err) < 0)
		return tcp_within(err, "http.response");
	if (http_routes(m, h, err) < 0)
		return tcp_within(err, "http");
	for (size_t k = 0; k < m->n_methods; k++) {
		if (valid_range((uint64_t)m->methods[k], 1, 7, "methods", err) < 0)
			return tcp_within(err, "http");
		h->methods |= 1u << (m->methods[k] - 1);
	}
	if (*m->server != '\0') {
		h->server = strdup(m->server);
		if (h->server == NULL)
			return dp_fail(err, DP_NO_MEMORY, "http.server", "no memory");
	}
	h->body_timeout_ms = m->body_timeout;
	h->max_body = m->max_body;
	h->max_requests = m->max_requests;
	return 0;
}

/* ---- proxy ----------------------------------------------------------------------------------- */

static int pool_id(const char *name, const char *field, uint32_t *id, struct dp_error *err)
{
	const struct term_pool_obj *p;

	if (tcp_name(name, field, err) < 0)
		return -1;
	p = term_pool_find(name);
	if (p == NULL)
		return dp_fail(err, DP_NOT_FOUND, field, "there is no pool %s", name);
	*id = p->id;
	return 0;
}

static int proxy(const PB(TcpProxy) *m, uint32_t header_timeout, struct svc_proxy_cfg *c,
		 struct dp_error *err)
{
	if (m == NULL)
		return dp_fail(err, DP_INVALID, "proxy.pool", "must not be empty");
	if (valid_known(&m->base, err) < 0 || pool_id(m->pool, "pool", &c->pool_id, err) < 0 ||
	    (*m->backup_pool != '\0' &&
	     pool_id(m->backup_pool, "backup_pool", &c->backup_pool_id, err) < 0) ||
	    tcp_proxy_protocol(m->proxy_protocol_in, true, &c->accept_proxy, "proxy_protocol_in",
			       err) < 0 ||
	    tcp_proxy_protocol(m->proxy_protocol_out, false, &c->send_proxy, "proxy_protocol_out",
			       err) < 0 ||
	    valid_range(m->connect_timeout, 0, 600000, "connect_timeout", err) < 0 ||
	    valid_range(m->retries, 0, 15, "retries", err) < 0 ||
	    tcp_prefixes_from(m->proxy_protocol_trusted, m->n_proxy_protocol_trusted, TRUSTED_MAX,
			      &c->trusted, &c->n_trusted, "proxy_protocol_trusted", err) < 0 ||
	    valid_range(m->half_close_timeout, 0, TIMEOUT_MAX, "half_close_timeout", err) < 0 ||
	    valid_range((uint64_t)m->no_backend, SVC_NO_BACKEND_RESET, SVC_NO_BACKEND_WAIT,
			"no_backend", err) < 0 ||
	    valid_range(m->wait_timeout, 0, 600000, "wait_timeout", err) < 0)
		return tcp_within(err, "proxy");
	if (c->backup_pool_id != 0 && c->backup_pool_id == c->pool_id)
		return dp_fail(err, DP_INVALID, "proxy.backup_pool", "is the pool itself");
	c->connect_timeout_ms = m->connect_timeout;
	c->retries = m->retries;
	c->accept_proxy_timeout_ms = header_timeout;
	c->half_close_timeout_ms = m->half_close_timeout;
	c->no_backend = (enum svc_no_backend)m->no_backend;
	c->wait_ms = m->wait_timeout;
	return 0;
}

/* ---- the listener ---------------------------------------------------------------------------- */

/* enum svc_kind of a message's, SVC_KINDS for none. */
static enum svc_kind kind_of(PB(TcpServiceKind) k)
{
	switch (k) {
	case PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_ECHO):
		return SVC_ECHO;
	case PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_DISCARD):
		return SVC_DISCARD;
	case PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_CHARGEN):
		return SVC_CHARGEN;
	case PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_HTTP):
		return SVC_HTTP;
	case PBC(TCP_SERVICE_KIND__TCP_SERVICE_KIND_PROXY):
		return SVC_PROXY;
	default:
		return SVC_KINDS;
	}
}

static int place(const PB(TcpListener) *m, struct svc_listener_cfg *c, struct dp_error *err)
{
	static const uint8_t zero[16];
	const struct vrf *v = valid_vrf(m->vrf, "vrf", err);
	struct ip_addr a;

	if (v == NULL || valid_range(m->port, 1, 65535, "port", err) < 0)
		return -1;
	c->vrf = v->id;
	c->port = rte_cpu_to_be_16((uint16_t)m->port);
	if (m->address.len == 0)
		return 0;
	if (valid_addr(&m->address, &a, "address", err) < 0)
		return -1;
	c->family = a.len == 4 ? 4 : 6;
	if (memcmp(a.b, zero, a.len) == 0)
		return 0;
	if (!ip_addr_is_loopback(&a) && valid_host(&a, "address", err) < 0)
		return -1;
	if (ip_addr_is_link_local(&a))
		return dp_fail(err, DP_INVALID, "address",
			       "is link-local: listeners are of a whole network instance");
	tcp_addr_from(&a, &c->addr);
	return 0;
}

static int limits(const PB(TcpListener) *m, struct svc_listener_cfg *c, struct dp_error *err)
{
	if (valid_range(m->backlog, 0, 1u << 20, "backlog", err) < 0 ||
	    valid_range(m->max_connections, 0, 1u << 24, "max_connections", err) < 0 ||
	    valid_range(m->rate, 0, 100000000, "rate", err) < 0 ||
	    valid_range(m->burst, 0, 100000000, "burst", err) < 0 ||
	    valid_range(m->max_per_source, 0, 1u << 24, "max_per_source", err) < 0 ||
	    valid_range(m->idle_timeout, 0, TIMEOUT_MAX, "idle_timeout", err) < 0 ||
	    valid_range(m->total_timeout, 0, TIMEOUT_MAX, "total_timeout", err) < 0 ||
	    valid_range(m->header_timeout, 0, 600000, "header_timeout", err) < 0 ||
	    valid_range(m->drain_timeout, 0, TIMEOUT_MAX, "drain_timeout", err) < 0)
		return -1;
	if (m->burst != 0 && m->rate == 0)
		return dp_fail(err, DP_INVALID, "burst", "must not be set without rate");
	c->backlog = m->backlog;
	c->max_conns = tcp_share(m->max_connections);
	c->rate = tcp_share(m->rate);
	c->burst = tcp_share(m->burst != 0 ? m->burst : m->rate);
	c->max_per_source = m->max_per_source;
	c->reset_denied = m->reset_denied;
	c->idle_timeout_ms = m->idle_timeout;
	c->total_timeout_ms = m->total_timeout;
	return 0;
}

static int service(const PB(TcpListener) *m, struct svc_listener_cfg *c, struct dp_error *err)
{
	if ((c->kind != SVC_HTTP &&
	     valid_empty(m->http == NULL, "http", "for this service", err)) ||
	    (c->kind != SVC_PROXY &&
	     valid_empty(m->proxy == NULL, "proxy", "for this service", err)) ||
	    (c->kind != SVC_CHARGEN &&
	     valid_empty(m->chargen == NULL, "chargen", "for this service", err)))
		return -1;
	switch (c->kind) {
	case SVC_HTTP:
		return http(m->http, m->header_timeout, &c->http, err);
	case SVC_PROXY:
		return proxy(m->proxy, m->header_timeout, &c->proxy, err);
	case SVC_CHARGEN:
		if (m->chargen == NULL)
			return 0;
		if (valid_known(&m->chargen->base, err) < 0)
			return tcp_within(err, "chargen");
		c->chargen.limit = m->chargen->limit;
		return 0;
	default:
		return 0;
	}
}

static int fill(const PB(TcpListener) *m, struct svc_listener_cfg *c, struct dp_error *err)
{
	struct svc_fault fault = {0};

	snprintf(c->name, sizeof(c->name), "%s", m->name);
	/* Until it is known; the check wants one. */
	c->id = 1;
	if (place(m, c, err) < 0 || limits(m, c, err) < 0 ||
	    tcp_options_from(m->options, true, &c->tcp, "options", err) < 0 ||
	    tcp_prefixes_from(m->allow, m->n_allow, PREFIXES_MAX, &c->allow, &c->n_allow, "allow",
			      err) < 0 ||
	    tcp_prefixes_from(m->deny, m->n_deny, PREFIXES_MAX, &c->deny, &c->n_deny, "deny", err) <
		    0 ||
	    service(m, c, err) < 0)
		return -1;
	return svc_listener_cfg_check(c, &fault) == 0 ? 0 : tcp_fault(&fault, err);
}

/* What cannot change while connections live by it. */
static int same(const struct svc_listener_cfg *a, const struct svc_listener_cfg *b,
		struct dp_error *err)
{
	const char *field = NULL;

	if (a->vrf != b->vrf)
		field = "vrf";
	else if (a->family != b->family || memcmp(&a->addr, &b->addr, sizeof(a->addr)) != 0)
		field = "address";
	else if (a->port != b->port)
		field = "port";
	else if (a->kind != b->kind)
		field = "service";
	return field == NULL ? 0
			     : dp_fail(err, DP_INVALID, field,
				       "cannot be changed: delete the listener and make it anew");
}

/* Its answers lie in files, which may have changed. */
static bool reads_files(const PB(TcpListener) *m)
{
	const PB(TcpHttp) *h = m->http;

	if (h == NULL)
		return false;
	if (h->response != NULL && *h->response->body_file != '\0')
		return true;
	for (size_t k = 0; k < h->n_routes; k++)
		if (h->routes[k]->response != NULL && *h->routes[k]->response->body_file != '\0')
			return true;
	return false;
}

int op_tcp_listener(const PB(TcpListener) *m, struct owner_tag tag, struct dp_error *err)
{
	struct svc_listener_cfg *c;
	struct term_listener *have;
	struct term_msg msg;

	if (valid_known(&m->base, err) < 0 || tcp_name(m->name, "name", err) < 0)
		return -1;
	if (kind_of(m->service) == SVC_KINDS)
		return dp_fail(err, DP_INVALID, "service", "%d is not a service", (int)m->service);
	have = term_listener_find(m->name);
	if (have != NULL && owner_may_write(&have->owner, tag.owner, err) < 0)
		return -1;
	msg = tcp_pack(&m->base);
	c = svc_listener_cfg_new(kind_of(m->service));
	if (msg.data == NULL || c == NULL) {
		dp_fail(err, DP_NO_MEMORY, "", "no memory for the listener");
		goto fail;
	}
	/* What a client that starts anew says again: no worker hears of it. */
	if (have != NULL && have->msg.len == msg.len &&
	    memcmp(have->msg.data, msg.data, msg.len) == 0 && !reads_files(m)) {
		have->owner = tag;
		svc_listener_cfg_release(c);
		free(msg.data);
		return 0;
	}
	if (fill(m, c, err) < 0 || (have != NULL && same(have->cfg, c, err) < 0))
		goto fail;
	return term_listener_set(have, c, tag, m->drain_timeout, msg, err);
fail:
	svc_listener_cfg_release(c);
	free(msg.data);
	return -1;
}

int op_tcp_listener_delete(const PB(TcpListenerKey) *m, struct owner_tag tag, struct dp_error *err)
{
	struct term_listener *l;

	if (valid_known(&m->base, err) < 0 || tcp_name(m->name, "name", err) < 0 ||
	    valid_range(m->drain_timeout, 0, TIMEOUT_MAX, "drain_timeout", err) < 0)
		return -1;
	l = term_listener_find(m->name);
	if (l == NULL)
		return dp_fail(err, DP_NOT_FOUND, "name", "there is no listener %s", m->name);
	if (owner_may_write(&l->owner, tag.owner, err) < 0)
		return -1;
	term_listener_delete(l, m->drain_timeout);
	return 0;
}
