/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations of the HTTP responder: put together and checked by the control thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime.h"

#define ROUTES_MAX  1024
#define HEADERS_MAX 64
/* All fields of a response; its head is built once and copied for each request. */
#define HEADERS_OCTETS 8192

int svc_http_add_header(struct svc_http_response *r, const char *name, const char *value)
{
	struct svc_http_header *h = reallocarray(r->headers, r->n_headers + 1, sizeof(*h));

	if (h == NULL)
		return -ENOMEM;
	r->headers = h;
	h += r->n_headers;
	h->name = strdup(name);
	h->value = strdup(value);
	if (h->name == NULL || h->value == NULL) {
		free(h->name);
		free(h->value);
		return -ENOMEM;
	}
	r->n_headers++;
	return 0;
}

struct svc_http_route *svc_http_add_route(struct svc_http_cfg *h, const char *path, bool prefix)
{
	struct svc_http_route *r = reallocarray(h->routes, h->n_routes + 1, sizeof(*r));

	if (r == NULL)
		return NULL;
	h->routes = r;
	r += h->n_routes;
	*r = (struct svc_http_route){.path = strdup(path), .prefix = prefix};
	if (r->path == NULL)
		return NULL;
	h->n_routes++;
	return r;
}

static void body_free(struct svc_http_response *r)
{
	if (r->body_free != NULL)
		r->body_free(r->body);
	else
		free(r->body);
	r->body = NULL;
	r->body_len = 0;
	r->body_free = NULL;
	r->body_iova = 0;
}

int svc_http_set_body(struct svc_http_response *r, const void *body, uint32_t len)
{
	uint8_t *copy = malloc(len + 1);

	if (copy == NULL)
		return -ENOMEM;
	memcpy(copy, body, len);
	body_free(r);
	r->body = copy;
	r->body_len = len;
	return 0;
}

/* A file may grow or shrink while it is read: what is taken is what was its size. */
static int read_all(int fd, uint8_t *to, size_t len)
{
	while (len > 0) {
		ssize_t n = read(fd, to, len);

		if (n == 0)
			return -EIO;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			to += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int svc_http_body_file(struct svc_http_response *r, const char *path, uint32_t max)
{
	/* Not to wait for the other end of a FIFO. */
	int err = 0, fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t *body = NULL;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		err = -errno;
	else if (!S_ISREG(st.st_mode))
		err = -EINVAL;
	else if (st.st_size > (off_t)max)
		err = -EFBIG;
	if (err == 0) {
		body = malloc((size_t)st.st_size + 1);
		err = body != NULL ? read_all(fd, body, (size_t)st.st_size) : -ENOMEM;
	}
	close(fd);
	if (err < 0) {
		free(body);
		return err;
	}
	body_free(r);
	r->body = body;
	r->body_len = (uint32_t)st.st_size;
	return 0;
}

static void response_free(struct svc_http_response *r)
{
	uint32_t i;

	for (i = 0; i < r->n_headers; i++) {
		free(r->headers[i].name);
		free(r->headers[i].value);
	}
	free(r->headers);
	body_free(r);
}

void svc_http_free(struct svc_listener_cfg *cfg)
{
	struct svc_http_cfg *h = &cfg->http;
	uint32_t i;

	response_free(&h->response);
	for (i = 0; i < h->n_routes; i++) {
		free(h->routes[i].path);
		response_free(&h->routes[i].response);
	}
	free(h->routes);
	free(h->server);
}

static bool is_token(const char *s)
{
	if (*s == 0)
		return false;
	for (; *s != 0; s++) {
		char c = *s;

		if ((c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z'))
			continue;
		if (strchr("!#$%&'*+-.^_`|~", c) == NULL)
			return false;
	}
	return true;
}

/* RFC 9110 section 5.5, without leading and trailing whitespace. */
static bool is_value(const char *s)
{
	size_t i, n = strlen(s);

	for (i = 0; i < n; i++) {
		uint8_t c = (uint8_t)s[i];

		if ((c < 0x20 && c != '\t') || c == 0x7f)
			return false;
	}
	return n == 0 || (strchr(" \t", s[0]) == NULL && strchr(" \t", s[n - 1]) == NULL);
}

static int check_headers(const struct svc_http_response *r, const char *at, struct svc_fault *fault)
{
	static const char *const ours[] = {"Date",    "Content-Length", "Connection",
					   "Server",  "Trailer",	"Transfer-Encoding",
					   "Upgrade", "Keep-Alive"};
	size_t octets = 0, k;
	char field[96];
	uint32_t i;

	if (r->n_headers > HEADERS_MAX) {
		snprintf(field, sizeof(field), "%s.headers", at);
		return svc_fault(fault, field, "%u, at most %u", r->n_headers, HEADERS_MAX);
	}
	for (i = 0; i < r->n_headers; i++) {
		const struct svc_http_header *h = &r->headers[i];

		snprintf(field, sizeof(field), "%s.headers[%u].name", at, i);
		if (!is_token(h->name))
			return svc_fault(fault, field, "not a token (RFC 9110 section 5.6.2)");
		for (k = 0; k < sizeof(ours) / sizeof(ours[0]); k++)
			if (strcasecmp(h->name, ours[k]) == 0)
				return svc_fault(fault, field, "%s is not to be set here", ours[k]);
		snprintf(field, sizeof(field), "%s.headers[%u].value", at, i);
		if (!is_value(h->value))
			return svc_fault(fault, field, "not a field value (RFC 9110 section 5.5)");
		octets += strlen(h->name) + strlen(h->value) + 4;
	}
	if (octets > HEADERS_OCTETS) {
		snprintf(field, sizeof(field), "%s.headers", at);
		return svc_fault(fault, field, "%zu octets, at most %u", octets, HEADERS_OCTETS);
	}
	return 0;
}

static int check_response(const struct svc_http_response *r, const char *at,
			  struct svc_fault *fault)
{
	bool bodiless = r->status == 204 || r->status == 205 || r->status == 304;
	char field[96];

	if (r->status != 0 && (r->status < 200 || r->status > 599)) {
		snprintf(field, sizeof(field), "%s.status", at);
		return svc_fault(fault, field, "%u is not 200 to 599", r->status);
	}
	if (bodiless && r->body_len > 0) {
		snprintf(field, sizeof(field), "%s.body", at);
		return svc_fault(fault, field, "a response of status %u has none", r->status);
	}
	return check_headers(r, at, fault);
}

static int check_route(const struct svc_http_cfg *h, uint32_t i, struct svc_fault *fault)
{
	const struct svc_http_route *r = &h->routes[i];
	char field[64];
	const char *c;
	uint32_t k;

	snprintf(field, sizeof(field), "http.routes[%u].path", i);
	if (r->path[0] != '/' || strlen(r->path) > 255)
		return svc_fault(fault, field, "must begin with / and have at most 255 octets");
	for (c = r->path; *c != 0; c++)
		if (*c <= 0x20 || *c >= 0x7f || *c == '?' || *c == '#')
			return svc_fault(fault, field, "has what no path of a request has");
	for (k = 0; k < i; k++)
		if (strcmp(h->routes[k].path, r->path) == 0 && h->routes[k].prefix == r->prefix)
			return svc_fault(fault, field, "the same as routes[%u]'s", k);
	snprintf(field, sizeof(field), "http.routes[%u].response", i);
	return check_response(&r->response, field, fault);
}

int svc_http_check(const struct svc_listener_cfg *cfg, struct svc_fault *fault)
{
	const struct svc_http_cfg *h = &cfg->http;
	int err = check_response(&h->response, "http.response", fault);
	uint32_t i;

	if (h->n_routes > ROUTES_MAX)
		return svc_fault(fault, "http.routes", "%u, at most %u", h->n_routes, ROUTES_MAX);
	for (i = 0; err == 0 && i < h->n_routes; i++)
		err = check_route(h, i, fault);
	if (err < 0)
		return err;
	if (h->methods >= SVC_HTTP_PATCH << 1)
		return svc_fault(fault, "http.methods", "unknown methods");
	if (h->server != NULL && (!is_value(h->server) || strlen(h->server) > 255))
		return svc_fault(fault, "http.server", "not a field value, or above 255 octets");
	if (h->max_head != 0 && (h->max_head < 256 || h->max_head > 65536))
		return svc_fault(fault, "http.max_head", "must be 256 to 65,536 octets");
	return 0;
}
