/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses of the HTTP responder, built when a listener starts: a request is answered by copying
 * one, with the Date put in once a second.
 */
#ifndef MILLRACE_SVC_HTTP_REPLY_H
#define MILLRACE_SVC_HTTP_REPLY_H

#include "http_parse.h"
#include "service.h"

/* What the response says of the connection. */
enum http_variant {
	/* Nothing: HTTP/1.1 stays open. */
	HTTP_KEEP,
	HTTP_KEEP_10,
	HTTP_CLOSE,
	HTTP_VARIANTS,
};

/* Bodies up to this are copied behind their heads; larger ones are streamed. */
#define HTTP_BODY_COPIED 4096

/*
 * A body that is streamed. Counted by shinfo: one for the site, one for each buffer that shows a
 * part of it and each connection that is at it. Goes with the last of them, and with it the
 * configuration the octets are in.
 */
struct http_body {
	struct rte_mbuf_ext_shared_info shinfo;
	struct svc_listener_cfg *cfg;
	uint8_t *data;
	uint32_t len;
	/* 0: to be copied into buffers. */
	rte_iova_t iova;
};

struct http_text {
	char *octets;
	/* With the body, and without. */
	uint32_t len, head_len;
	/* Where the Date is. */
	uint32_t date_at;
};

struct http_reply {
	uint16_t status;
	struct http_text text[HTTP_VARIANTS];
	/* NULL: it is in the text, or there is none. */
	struct http_body *body;
};

struct http_route {
	const char *path;
	uint16_t len;
	bool prefix;
	struct http_reply *reply;
};

/* What a listener answers: its `priv`. */
struct http_site {
	struct http_reply fallback, not_allowed;
	/* 1 << http_method, ored. */
	uint32_t methods;
	uint32_t n_routes;
	/* The longest path first. */
	struct http_route *routes;
	struct http_reply *replies;
};

/* 0 or -ENOMEM. */
int http_site_make(struct svc_listener_cfg *cfg, struct http_site **out);
void http_site_free(struct http_site *s);
/* The answer to a request that is complete. */
struct http_reply *http_site_reply(struct http_site *s, const struct http_parse *p);

static inline void http_body_hold(struct http_body *b)
{
	rte_mbuf_ext_refcnt_update(&b->shinfo, 1);
}

void http_body_release(struct http_body *b);

/* "Not Found"; "" for those without a name. */
const char *http_reason(uint16_t status);

#endif
