/* SPDX-License-Identifier: Apache-2.0 */
#include "http_reply.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#define DATE_LEN 29

static const struct {
	uint16_t status;
	const char *reason;
} reasons[] = {
	{200, "OK"},
	{201, "Created"},
	{202, "Accepted"},
	{203, "Non-Authoritative Information"},
	{204, "No Content"},
	{205, "Reset Content"},
	{206, "Partial Content"},
	{300, "Multiple Choices"},
	{301, "Moved Permanently"},
	{302, "Found"},
	{303, "See Other"},
	{304, "Not Modified"},
	{307, "Temporary Redirect"},
	{308, "Permanent Redirect"},
	{400, "Bad Request"},
	{401, "Unauthorized"},
	{403, "Forbidden"},
	{404, "Not Found"},
	{405, "Method Not Allowed"},
	{406, "Not Acceptable"},
	{408, "Request Timeout"},
	{409, "Conflict"},
	{410, "Gone"},
	{411, "Length Required"},
	{412, "Precondition Failed"},
	{413, "Content Too Large"},
	{414, "URI Too Long"},
	{415, "Unsupported Media Type"},
	{416, "Range Not Satisfiable"},
	{417, "Expectation Failed"},
	{421, "Misdirected Request"},
	{422, "Unprocessable Content"},
	{426, "Upgrade Required"},
	{429, "Too Many Requests"},
	{431, "Request Header Fields Too Large"},
	{451, "Unavailable For Legal Reasons"},
	{500, "Internal Server Error"},
	{501, "Not Implemented"},
	{502, "Bad Gateway"},
	{503, "Service Unavailable"},
	{504, "Gateway Timeout"},
	{505, "HTTP Version Not Supported"},
};

const char *http_reason(uint16_t status)
{
	size_t i;

	for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		if (reasons[i].status == status)
			return reasons[i].reason;
	return "";
}

static void body_gone(void *addr, void *arg)
{
	struct http_body *b = arg;

	(void)addr;
	svc_listener_cfg_release(b->cfg);
	free(b);
}

void http_body_release(struct http_body *b)
{
	if (rte_mbuf_ext_refcnt_update(&b->shinfo, -1) == 0)
		b->shinfo.free_cb(b->data, b->shinfo.fcb_opaque);
}

static struct http_body *body_make(struct svc_listener_cfg *cfg, const struct svc_http_response *r)
{
	struct http_body *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->shinfo.free_cb = body_gone;
	b->shinfo.fcb_opaque = b;
	rte_mbuf_ext_refcnt_set(&b->shinfo, 1);
	b->cfg = svc_listener_cfg_hold(cfg);
	b->data = r->body;
	b->len = r->body_len;
	b->iova = r->body_iova;
	return b;
}

static int text_make(struct http_text *t, const struct svc_http_response *r, uint16_t status,
		     const char *server, enum http_variant v)
{
	static const char *const says[HTTP_VARIANTS] = {
		[HTTP_KEEP] = "",
		[HTTP_KEEP_10] = "Connection: keep-alive\r\n",
		[HTTP_CLOSE] = "Connection: close\r\n",
	};
	bool typed = false;
	size_t len = 0;
	uint32_t i;
	FILE *f = open_memstream(&t->octets, &len);

	if (f == NULL)
		return -ENOMEM;
	fprintf(f, "HTTP/1.1 %u %s\r\nDate: ", status, http_reason(status));
	t->date_at = (uint32_t)ftell(f);
	fprintf(f, "%*s\r\n", DATE_LEN, "");
	if (server != NULL)
		fprintf(f, "Server: %s\r\n", server);
	for (i = 0; i < r->n_headers; i++) {
		typed |= strcasecmp(r->headers[i].name, "Content-Type") == 0;
		fprintf(f, "%s: %s\r\n", r->headers[i].name, r->headers[i].value);
	}
	if (r->body_len > 0 && !typed)
		fprintf(f, "Content-Type: text/plain\r\n");
	/* RFC 9110 section 8.6: none with 204, and with 304 only the length of what is not sent. */
	if (status != 204 && status != 304)
		fprintf(f, "Content-Length: %u\r\n", r->body_len);
	fprintf(f, "%s\r\n", says[v]);
	t->head_len = (uint32_t)ftell(f);
	if (r->body_len > 0 && r->body_len <= HTTP_BODY_COPIED)
		fwrite(r->body, 1, r->body_len, f);
	if (fclose(f) != 0)
		return -ENOMEM;
	t->len = (uint32_t)len;
	return 0;
}

static int reply_make(struct http_reply *out, struct svc_listener_cfg *cfg,
		      const struct svc_http_response *r)
{
	enum http_variant v;
	int err;

	out->status = r->status != 0 ? r->status : 200;
	for (v = 0; v < HTTP_VARIANTS; v++) {
		err = text_make(&out->text[v], r, out->status, cfg->http.server, v);
		if (err < 0)
			return err;
	}
	if (r->body_len > HTTP_BODY_COPIED) {
		out->body = body_make(cfg, r);
		if (out->body == NULL)
			return -ENOMEM;
	}
	return 0;
}

static void reply_free(struct http_reply *r)
{
	enum http_variant v;

	for (v = 0; v < HTTP_VARIANTS; v++)
		free(r->text[v].octets);
	if (r->body != NULL)
		http_body_release(r->body);
}

static int not_allowed_make(struct http_site *s, struct svc_listener_cfg *cfg)
{
	static char body[] = "405 Method Not Allowed\n", name[] = "Allow";
	char allow[128];
	struct svc_http_header h = {.name = name, .value = allow};
	struct svc_http_response r = {.status = 405,
				      .headers = &h,
				      .n_headers = 1,
				      .body = (uint8_t *)body,
				      .body_len = sizeof(body) - 1};
	size_t n = 0;
	int m;

	allow[0] = 0;
	for (m = 0; m < HTTP_METHODS; m++)
		if (s->methods >> m & 1)
			n += (size_t)snprintf(allow + n, sizeof(allow) - n, "%s%s",
					      n > 0 ? ", " : "", http_method_names[m]);
	return reply_make(&s->not_allowed, cfg, &r);
}

/* The longest first; of equal ones the exact one. */
static int route_order(const void *a, const void *b)
{
	const struct http_route *x = a, *y = b;

	return x->len != y->len ? (int)y->len - (int)x->len : (int)x->prefix - (int)y->prefix;
}

static int routes_make(struct http_site *s, struct svc_listener_cfg *cfg)
{
	const struct svc_http_cfg *h = &cfg->http;
	uint32_t i;

	s->routes = calloc(h->n_routes + 1, sizeof(*s->routes));
	s->replies = calloc(h->n_routes + 1, sizeof(*s->replies));
	if (s->routes == NULL || s->replies == NULL)
		return -ENOMEM;
	for (i = 0; i < h->n_routes; i++) {
		int err;

		s->routes[i] = (struct http_route){.path = h->routes[i].path,
						   .len = (uint16_t)strlen(h->routes[i].path),
						   .prefix = h->routes[i].prefix,
						   .reply = &s->replies[i]};
		s->n_routes++;
		err = reply_make(&s->replies[i], cfg, &h->routes[i].response);
		if (err < 0)
			return err;
	}
	qsort(s->routes, s->n_routes, sizeof(*s->routes), route_order);
	return 0;
}

int http_site_make(struct svc_listener_cfg *cfg, struct http_site **out)
{
	struct http_site *s = calloc(1, sizeof(*s));
	int err;

	if (s == NULL)
		return -ENOMEM;
	/* The first methods of http_method are those of svc_http_method, in its order. */
	s->methods = cfg->http.methods != 0 ? cfg->http.methods : (SVC_HTTP_PATCH << 1) - 1;
	err = routes_make(s, cfg);
	if (err == 0)
		err = reply_make(&s->fallback, cfg, &cfg->http.response);
	if (err == 0)
		err = not_allowed_make(s, cfg);
	if (err < 0) {
		http_site_free(s);
		return err;
	}
	*out = s;
	return 0;
}

void http_site_free(struct http_site *s)
{
	uint32_t i;

	for (i = 0; i < s->n_routes; i++)
		reply_free(&s->replies[i]);
	reply_free(&s->fallback);
	reply_free(&s->not_allowed);
	free(s->replies);
	free(s->routes);
	free(s);
}

static bool route_takes(const struct http_route *r, const struct http_parse *p)
{
	/* A route's path is never longer than what is kept of a request's. */
	if (p->path_len < r->len || memcmp(p->path, r->path, r->len) != 0)
		return false;
	if (p->path_len == r->len)
		return true;
	return r->prefix && (p->path[r->len] == '/' || r->path[r->len - 1] == '/');
}

struct http_reply *http_site_reply(struct http_site *s, const struct http_parse *p)
{
	uint32_t i;

	if (unlikely((s->methods >> p->method & 1) == 0))
		return &s->not_allowed;
	for (i = 0; i < s->n_routes; i++)
		if (route_takes(&s->routes[i], p))
			return s->routes[i].reply;
	return &s->fallback;
}
