/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 responder (RFC 9110, 9112). A connection between requests has no state but its user
 * pointer; one with part of a request received, or part of a body sent, has a struct http_conn.
 */
#include "http_out.h"
#include "runtime.h"

#define HEAD_MS_DEFAULT 10000u
#define BODY_MS_DEFAULT 30000u
#define BODY_DEFAULT	(1ull << 30)
/* Octets gathered before they are written, and of a body written at once. */
#define GATHER_MAX 32768u
#define BODY_PIECE 262144u

struct http_conn {
	struct http_parse parse;
	/* By when the request has to go on. */
	uint64_t deadline;
	/* Body that is being sent, and what was of it. */
	struct http_body *body;
	uint32_t off;
	uint32_t requests;
	bool closing;
};

/* A turn: what is known while callbacks run, from the state there is. */
struct turn {
	struct tcp_conn *c;
	struct svc_listener *l;
	/* NULL: none yet. */
	struct http_conn *hc;
	struct http_parse *p;
	struct http_out out;
	struct http_body *body;
	uint32_t off;
	uint32_t requests;
	/* After what is being sent the connection ends; the client expects that. */
	bool closing, agreed;
};

/* Between requests the user pointer is the number of requests so far, doubled, and 1. */
static struct http_conn *conn_of(const struct tcp_conn *c)
{
	void *user = tcp_user(c);

	return (uintptr_t)user & 1 ? NULL : user;
}

static void set_idle(struct tcp_conn *c, uint32_t requests)
{
	tcp_set_user(c, (void *)((uintptr_t)requests << 1 | 1));
}

static void conn_free(struct svc_listener *l, struct http_conn *hc)
{
	if (hc == NULL)
		return;
	if (hc->body != NULL)
		http_body_release(hc->body);
	svc_state_put(l->svc, SVC_HTTP, hc);
}

/* Lets go of what the turn holds. A body is held once, by the turn until it is parked. */
static void turn_free(struct turn *t)
{
	if (t->body != NULL && (t->hc == NULL || t->hc->body == NULL))
		http_body_release(t->body);
	conn_free(t->l, t->hc);
}

static void new_request(const struct svc_http_cfg *h, struct http_parse *p)
{
	http_parse_init(p, h->max_head != 0 ? h->max_head : HTTP_HEAD_MAX,
			h->max_body != 0 ? h->max_body : BODY_DEFAULT);
}

static uint64_t deadline_ms(struct svc_listener *l, bool body)
{
	const struct svc_http_cfg *h = &l->cfg->http;

	if (body)
		return h->body_timeout_ms != 0 ? h->body_timeout_ms : BODY_MS_DEFAULT;
	return h->header_timeout_ms != 0 ? h->header_timeout_ms : HEAD_MS_DEFAULT;
}

static void finish(struct turn *t)
{
	struct tcp_conn *c = t->c;

	conn_free(t->l, t->hc);
	t->hc = NULL;
	if (!t->agreed || tcp_readable(c) > 0) {
		/* A reset because of what the client still sends could take the response from it.
		 */
		tcp_discard(c, UINT32_MAX);
		if (!tcp_at_eof(c)) {
			http_linger(c);
			return;
		}
	}
	svc_close(t->l, c);
}

static void fail(struct turn *t)
{
	http_out_drop(&t->out);
	t->l->stats.no_buffers++;
	turn_free(t);
	svc_abort(t->l, t->c);
}

/* ---- Requests ---- */

static void count(struct svc_stats *s, uint16_t status)
{
	switch (status / 100) {
	case 2:
		s->responses_2xx++;
		break;
	case 3:
		s->responses_3xx++;
		break;
	case 4:
		s->responses_4xx++;
		break;
	default:
		s->responses_5xx++;
		break;
	}
}

static void respond(struct turn *t)
{
	struct svc_listener *l = t->l;
	const struct http_parse *p = t->p;
	struct http_reply *r = http_site_reply(l->priv, p);
	uint32_t max = l->cfg->http.max_requests;
	bool asked = !http_parse_persistent(p);
	enum http_variant v = p->minor > 0 ? HTTP_KEEP : HTTP_KEEP_10;
	const char *date = svc_date(l->svc);
	struct http_text *x;

	t->requests++;
	if (unlikely(asked || l->draining || (max != 0 && t->requests >= max))) {
		v = HTTP_CLOSE;
		t->closing = true;
		t->agreed = asked;
	}
	x = &r->text[v];
	if (unlikely(memcmp(x->octets + x->date_at, date, 29) != 0))
		memcpy(x->octets + x->date_at, date, 29);
	http_out_copy(&t->out, x->octets, p->method == HTTP_HEAD ? x->head_len : x->len);
	l->stats.requests++;
	count(&l->stats, r->status);
	if (r->body != NULL && p->method != HTTP_HEAD) {
		http_body_hold(r->body);
		t->body = r->body;
		t->off = 0;
	}
}

static void refuse(struct turn *t, uint16_t status)
{
	struct svc_listener *l = t->l;

	http_out_error(&t->out, status, svc_date(l->svc), t->p->method == HTTP_HEAD);
	count(&l->stats, status);
	t->closing = true;
	t->agreed = false;
}

/* What http_parse() said. False: no more requests for now. */
static bool event(struct turn *t, enum http_event ev, bool more)
{
	static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

	switch (ev) {
	case HTTP_MORE:
		return true;
	case HTTP_BODY:
		/* Not if the body is there already (RFC 9110 section 10.1.1). */
		if (t->p->expect_continue && !more)
			http_out_copy(&t->out, go_on, sizeof(go_on) - 1);
		if (t->hc != NULL)
			t->hc->deadline = 0;
		return true;
	case HTTP_DONE:
		respond(t);
		new_request(&t->l->cfg->http, t->p);
		if (t->hc != NULL)
			t->hc->deadline = 0;
		return !t->closing && t->body == NULL;
	case HTTP_ERROR:
		t->l->stats.bad_requests++;
		refuse(t, t->p->status);
		return false;
	}
	return false;
}

/* Room for another response; `writable` comes if there is none. */
static bool room(struct turn *t)
{
	if (t->out.len >= GATHER_MAX)
		http_out_flush(&t->out);
	if (likely(tcp_writable(t->c) > t->out.len))
		return true;
	http_out_flush(&t->out);
	tcp_want_write(t->c, 0);
	return false;
}

/* Takes requests until there are no more or one needs more than this turn. */
static void requests(struct turn *t)
{
	const struct rte_mbuf *m;
	uint8_t piece[256];
	bool go = true;

	while (go && (m = tcp_peek(t->c)) != NULL) {
		const uint8_t *d = rte_pktmbuf_mtod(m, const uint8_t *);
		uint32_t len = m->data_len, pos = 0, all = tcp_readable(t->c);

		/* Of a chain that has empty buffers in it. */
		if (unlikely(len == 0)) {
			len = tcp_peek_copy(t->c, 0, piece, sizeof(piece));
			d = piece;
		}
		while (go && pos < len) {
			enum http_event ev;
			size_t taken;

			if (http_parse_idle(t->p) && !room(t)) {
				go = false;
				break;
			}
			ev = http_parse(t->p, d + pos, len - pos, &taken);
			pos += (uint32_t)taken;
			go = event(t, ev, pos < all);
		}
		tcp_discard(t->c, pos);
		if (t->out.failed)
			return;
	}
}

/* Sends of the body what there is room for. True: all of it. */
static bool send_body(struct turn *t)
{
	struct http_body *b = t->body;

	for (;;) {
		uint32_t n, free = tcp_writable(t->c);

		if (free <= t->out.len) {
			http_out_flush(&t->out);
			tcp_want_write(t->c, 0);
			return false;
		}
		/* Whole segments: the last one may go over the room. */
		n = RTE_MIN(RTE_MAX(free - t->out.len, (uint32_t)t->out.mss), BODY_PIECE);
		n = RTE_MIN(n, b->len - t->off);
		t->off += http_out_body(&t->out, b, t->off, n);
		if (t->out.failed)
			return false;
		http_out_flush(&t->out);
		if (t->out.failed)
			return false;
		if (t->off == b->len)
			break;
	}
	http_body_release(b);
	t->body = NULL;
	if (t->hc != NULL)
		t->hc->body = NULL;
	if (t->l->draining)
		t->closing = true;
	return true;
}

/* Keeps what the next turn needs. False: no state left. */
static bool park(struct turn *t)
{
	struct http_conn *hc = t->hc;
	bool body = http_parse_in_body(t->p);

	if (t->body == NULL && http_parse_idle(t->p)) {
		if (hc != NULL)
			conn_free(t->l, hc);
		set_idle(t->c, t->requests);
		return true;
	}
	if (hc == NULL) {
		hc = svc_state_get(t->l->svc, SVC_HTTP);
		if (hc == NULL)
			return false;
		hc->parse = *t->p;
		hc->deadline = 0;
		t->hc = hc;
		tcp_set_user(t->c, hc);
	}
	hc->body = t->body;
	hc->off = t->off;
	hc->requests = t->requests;
	hc->closing = t->closing;
	if (t->body == NULL && (hc->deadline == 0 || body)) {
		uint64_t ms = deadline_ms(t->l, body);

		/* A later deadline is seen when the timer goes off. */
		if (hc->deadline == 0)
			tcp_set_timer(t->c, (uint32_t)ms);
		hc->deadline = svc_now(t->l->svc) + ms * 1000000;
	}
	return true;
}

static void run(struct tcp_conn *c)
{
	struct http_parse fresh;
	struct turn t = {.c = c, .l = svc_listener_of(c), .hc = conn_of(c)};

	http_out_init(&t.out, c);
	if (t.hc != NULL) {
		t.p = &t.hc->parse;
		t.body = t.hc->body;
		t.off = t.hc->off;
		t.requests = t.hc->requests;
		t.closing = t.hc->closing;
	} else {
		t.p = &fresh;
		t.requests = (uint32_t)((uintptr_t)tcp_user(c) >> 1);
		new_request(&t.l->cfg->http, t.p);
	}
	for (;;) {
		if (t.body != NULL && !send_body(&t))
			break;
		if (t.closing)
			break;
		requests(&t);
		if (t.body == NULL || t.out.failed)
			break;
	}
	http_out_flush(&t.out);
	if (unlikely(t.out.failed)) {
		fail(&t);
		return;
	}
	if (t.body == NULL && (t.closing || tcp_at_eof(c))) {
		finish(&t);
		return;
	}
	if (!park(&t)) {
		t.l->stats.no_state++;
		turn_free(&t);
		svc_abort(t.l, c);
	}
}

/* ---- Callbacks ---- */

static bool http_accept(struct tcp_conn *c, void *listener_ctx)
{
	struct svc_listener *l = listener_ctx;

	svc_opened(l);
	set_idle(c, 0);
	svc_timer_start(l, c);
	return true;
}

/* The client took too long for a request. */
static void too_slow(struct tcp_conn *c, struct svc_listener *l, struct http_conn *hc)
{
	struct turn t = {.c = c, .l = l, .hc = hc, .p = &hc->parse};

	l->stats.timeouts_request++;
	http_out_init(&t.out, c);
	refuse(&t, 408);
	http_out_flush(&t.out);
	if (t.out.failed)
		fail(&t);
	else
		finish(&t);
}

static void http_timer(struct tcp_conn *c)
{
	struct svc_listener *l = svc_listener_of(c);
	struct http_conn *hc = conn_of(c);
	uint64_t now = svc_now(l->svc), ms;
	bool total;

	if (hc == NULL || hc->body != NULL || hc->deadline == 0) {
		if (svc_timer_expired(l, c)) {
			conn_free(l, hc);
			set_idle(c, 0);
			svc_expire(l, c);
		}
		return;
	}
	/* Within a request its own deadline holds, not the idle timeout. */
	ms = svc_timer_left(l, c, &total);
	if (ms == 0 && total) {
		l->stats.timeouts_total++;
		conn_free(l, hc);
		svc_abort(l, c);
	} else if (now >= hc->deadline) {
		too_slow(c, l, hc);
	} else {
		uint64_t left = (hc->deadline - now) / 1000000 + 1;

		tcp_set_timer(c, (uint32_t)(total && ms < left ? ms : left));
	}
}

static void http_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct svc_listener *l = svc_listener_of(c);

	(void)why;
	conn_free(l, conn_of(c));
	svc_ended(l);
}

/* Between requests the connection ends; else the response says that it is the last. */
static void http_drain(struct tcp_conn *c)
{
	if (conn_of(c) == NULL && tcp_readable(c) == 0)
		svc_close(svc_listener_of(c), c);
}

static int http_start(struct svc_listener *l, const struct svc_listener_cfg *cfg, void **priv)
{
	struct http_site *site;
	/* The site counts its references to the configuration; it does not change it. */
	int err = http_site_make((struct svc_listener_cfg *)(uintptr_t)cfg, &site);

	(void)l;
	if (err == 0)
		*priv = site;
	return err;
}

static void http_stop(struct svc_listener *l, void *priv)
{
	(void)l;
	http_site_free(priv);
}

const struct svc_type svc_http = {
	.name = "http",
	.state_size = sizeof(struct http_conn),
	.no_nagle = true,
	.validate = svc_http_check,
	.cfg_free = svc_http_free,
	.start = http_start,
	.stop = http_stop,
	.ops = {.accept = http_accept,
		.readable = run,
		.writable = run,
		.timer = http_timer,
		.closed = http_closed,
		.drain = http_drain},
};
