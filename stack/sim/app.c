/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"

#include <errno.h>
#include <stdlib.h>

#include "net.h"

/* Calls of tcp_write() in one callback: tiny writes would take for ever else. */
#define WRITES_MAX 64
#define RETRY_NS   (10 * MSEC)

static void end_step(struct end *e);
static void end_resume(void *arg);

static struct end *end_of(const struct tcp_conn *c)
{
	return tcp_user(c);
}

static struct world *world_of(const struct end *e)
{
	return e->flow->w;
}

static void progress(struct end *e)
{
	e->flow->idle_packets = 0;
	e->flow->progress_at = e->flow->w->now;
}

bool end_over(const struct end *e)
{
	return e->closed || e->gave_up;
}

bool flow_over(const struct flow *f)
{
	return f->started && (end_over(&f->end[0]) || f->refused) &&
	       (end_over(&f->end[1]) || f->end[1].c == NULL);
}

static void end_gone(struct end *e)
{
	e->c = NULL;
	rte_pktmbuf_free(e->held);
	e->held = NULL;
	progress(e);
	if (flow_over(e->flow))
		e->flow->ended = e->flow->w->now;
}

static void give_up(struct end *e, void (*how)(struct tcp_conn *c))
{
	struct tcp_conn *c = e->c;

	world_note(world_of(e), "flow %u %c: %s, wrote %lu, read %lu", e->flow->id, "cs"[e->side],
		   how == tcp_close ? "tcp_close" : "tcp_abort", (unsigned long)e->sent,
		   (unsigned long)e->got);
	e->gave_up = true;
	how(c);
	end_gone(e);
}

/* ---- Reading ---- */

static void end_retry(void *arg)
{
	struct end *e = arg;

	e->retrying = false;
	end_resume(e);
}

/* The pool is empty: again in a moment. */
static void retry(struct end *e)
{
	if (e->retrying)
		return;
	e->retrying = true;
	world_at(world_of(e), world_of(e)->now + RETRY_NS, end_retry, e);
}

static bool verify(struct end *e, const uint8_t *p, uint32_t len)
{
	struct flow *f = e->flow;
	int64_t bad = f->w->flows->lies ? -1 : content_check(f->key[e->side ^ 1], e->got, p, len);

	if (bad < 0 && (e->got + len <= f->end[e->side ^ 1].sent || f->w->flows->lies))
		return true;
	world_fail(f->w, "flow %u: %s read octet %lu wrong (%u octets at %lu, %lu were written)",
		   f->id, e->side == 0 ? "client" : "server",
		   (unsigned long)(e->got + (bad > 0 ? (uint64_t)bad : 0)), len,
		   (unsigned long)e->got, (unsigned long)f->end[e->side ^ 1].sent);
	return false;
}

static bool verify_chain(struct end *e, const struct rte_mbuf *m, uint32_t max)
{
	uint32_t len = 0;

	for (const struct rte_mbuf *s = m; s != NULL; s = s->next) {
		if (!verify(e, rte_pktmbuf_mtod(s, const uint8_t *), s->data_len))
			return false;
		e->got += s->data_len;
		len += s->data_len;
	}
	if (len != m->pkt_len || len > max || len == 0) {
		world_fail(world_of(e), "flow %u: tcp_read() of %u gave pkt_len %u with %u octets",
			   e->flow->id, max, m->pkt_len, len);
		return false;
	}
	progress(e);
	return true;
}

static bool read_peek(struct end *e, uint32_t max)
{
	uint8_t p[4096];
	uint32_t n = tcp_peek_copy(e->c, 0, p, RTE_MIN(max, (uint32_t)sizeof(p))), skip, more;
	const struct rte_mbuf *first = tcp_peek(e->c);

	if (n == 0)
		return false;
	if (!verify(e, p, n))
		return false;
	if (first == NULL || first->data_len == 0 ||
	    memcmp(rte_pktmbuf_mtod(first, uint8_t *), p, RTE_MIN(n, (uint32_t)first->data_len))) {
		world_fail(world_of(e), "flow %u: tcp_peek() is not what tcp_peek_copy() copies",
			   e->flow->id);
		return false;
	}
	skip = (uint32_t)rng_below(&world_of(e)->flows->rng, n);
	more = tcp_peek_copy(e->c, skip, p, n - skip);
	e->got += skip;
	if (!verify(e, p, more) || more != n - skip)
		world_fail(world_of(e), "flow %u: tcp_peek_copy() at %u", e->flow->id, skip);
	e->got -= skip;
	if (tcp_discard(e->c, n) != n)
		world_fail(world_of(e), "flow %u: tcp_discard() of less than was there",
			   e->flow->id);
	e->got += n;
	progress(e);
	return true;
}

/* One piece; false: nothing to do now. */
static bool read_some(struct end *e)
{
	struct rng *r = &world_of(e)->flows->rng;
	uint32_t before = tcp_readable(e->c), max = UINT32_MAX;
	uint64_t got = e->got;
	struct rte_mbuf *m;

	if (before == 0 || e->held != NULL)
		return false;
	if (e->read == READ_SOME || e->write == WRITE_ECHO)
		max = (uint32_t)rng_range(r, 1, e->read_max);
	if (e->read == READ_PEEK && e->write != WRITE_ECHO)
		return read_peek(e, (uint32_t)rng_range(r, 1, e->read_max));
	m = tcp_read(e->c, max);
	if (m == NULL && max != UINT32_MAX && rte_mempool_avail_count(rig_pool()) == 0) {
		retry(e);
		return false;
	}
	if (m == NULL) {
		world_fail(world_of(e), "flow %u: tcp_readable() %u, tcp_read() gave none",
			   e->flow->id, before);
		return false;
	}
	if (verify_chain(e, m, max) && tcp_readable(e->c) + (e->got - got) != before)
		world_fail(world_of(e), "flow %u: %u readable, %lu read, %u left", e->flow->id,
			   before, (unsigned long)(e->got - got), tcp_readable(e->c));
	if (e->write == WRITE_ECHO && !e->shut)
		e->held = m;
	else
		rte_pktmbuf_free(m);
	return true;
}

static void end_resume(void *arg)
{
	struct end *e = arg;

	if (e->c == NULL)
		return;
	host_enter(e->host);
	end_step(e);
}

/* Not before `at`: by the connection's own timer or the world's. */
static void pause_until(struct end *e, uint64_t at)
{
	uint64_t ms = (at - world_of(e)->now) / MSEC;

	if (ms > 0 && ms < 100000 && rng_percent(&world_of(e)->flows->rng, 50))
		tcp_set_timer(e->c, (uint32_t)ms + 1);
	else
		world_at(world_of(e), at, end_resume, e);
	if (e->read_pause_ns != 0 && e->write_pause_ns != 0)
		world_at(world_of(e), at, end_resume, e);
}

static void step_read(struct end *e)
{
	uint64_t now = world_of(e)->now;

	if (e->read == READ_NEVER)
		return;
	if (e->read == READ_LATE && now < e->flow->start + e->read_from_ns) {
		if (e->next_read == 0)
			world_at(world_of(e), e->flow->start + e->read_from_ns, end_resume, e);
		e->next_read = 1;
		return;
	}
	while (now >= e->next_read && !world_of(e)->failed && read_some(e)) {
		if (e->read_pause_ns != 0 && !e->eof) {
			e->next_read = now + e->read_pause_ns;
			pause_until(e, e->next_read);
		}
		if (e->write == WRITE_ECHO)
			break;
	}
	e->eof = tcp_at_eof(e->c);
	if (e->eof && tcp_readable(e->c) != 0)
		world_fail(world_of(e), "flow %u: at its end with %u octets to read", e->flow->id,
			   tcp_readable(e->c));
}

/* ---- Writing ---- */

/* How far this end may have written by now. */
static uint64_t allowed(const struct end *e)
{
	const struct flow *f = e->flow;
	uint64_t n = e->total;

	if (f->request != 0 && e->side == 0)
		n = (e->got / f->response + 1) * f->request;
	else if (f->request != 0)
		n = e->got / f->request * f->response;
	return RTE_MIN(n, e->total);
}

static int write_chain(struct end *e, uint32_t n)
{
	struct rng *r = &world_of(e)->flows->rng;
	static uint8_t p[1 << 16];
	struct rte_mbuf *m;
	int rc;

	n = RTE_MIN(n, (uint32_t)sizeof(p));
	content_make(e->flow->key[e->side], e->sent, p, n);
	m = rig_chain(p, n, (uint32_t)rng_range(r, RTE_MAX(1u, n / 40), 2048));
	if (m == NULL)
		return -ENOBUFS;
	rc = tcp_write(e->c, m);
	if (rc != 0) {
		rte_pktmbuf_free(m);
		return rc;
	}
	return (int)n;
}

static int write_copy(struct end *e, uint32_t n)
{
	uint8_t p[16384];

	n = RTE_MIN(n, (uint32_t)sizeof(p));
	content_make(e->flow->key[e->side], e->sent, p, n);
	return tcp_write_copy(e->c, p, n);
}

static int write_held(struct end *e)
{
	uint32_t n = e->held->pkt_len;
	int rc = tcp_write(e->c, e->held);

	if (rc != 0)
		return rc;
	e->held = NULL;
	return (int)n;
}

/* Octets written; 0: not now. */
static uint32_t write_some(struct end *e)
{
	struct rng *r = &world_of(e)->flows->rng;
	uint32_t max = (uint32_t)RTE_MIN(allowed(e) - e->sent, (uint64_t)1 << 20), n;
	uint32_t room = tcp_writable(e->c);
	int rc;

	if (e->write == WRITE_ECHO) {
		if (e->held == NULL)
			return 0;
		rc = write_held(e);
	} else {
		if (max == 0)
			return 0;
		n = (uint32_t)rng_range(r, 1, RTE_MIN(max, e->write_max));
		rc = e->write == WRITE_CHAIN || (e->write == WRITE_CORK && rng_percent(r, 50))
			     ? write_chain(e, n)
			     : write_copy(e, n);
		if (rc > 0 && rc < (int)n && e->write != WRITE_CHAIN && rng_percent(r, 30))
			tcp_want_write(e->c, (uint32_t)rng_below(r, 2000));
	}
	if (rc == -EAGAIN && room != 0)
		world_fail(world_of(e), "flow %u: tcp_writable() %u, but -EAGAIN", e->flow->id,
			   room);
	if (rc == -ENOBUFS)
		retry(e);
	else if (rc < 0 && rc != -EAGAIN && (rc != -EPIPE || tcp_conn_state(e->c) != TCP_CLOSED))
		world_fail(world_of(e), "flow %u: tcp_write: %s in %s", e->flow->id, strerror(-rc),
			   tcp_state_name(tcp_conn_state(e->c)));
	if (rc <= 0)
		return 0;
	e->sent += (uint32_t)rc;
	progress(e);
	return (uint32_t)rc;
}

static void step_write(struct end *e)
{
	uint64_t now = world_of(e)->now;
	uint32_t wrote = 0;
	int n = 0;

	if (e->shut || !e->established)
		return;
	if (e->write == WRITE_CORK && !e->corked && e->sent < allowed(e)) {
		tcp_cork(e->c, true);
		e->corked = true;
	}
	while (now >= e->next_write && n < WRITES_MAX && !world_of(e)->failed) {
		wrote = write_some(e);
		if (wrote == 0)
			break;
		n++;
		if (e->write_pause_ns != 0) {
			e->next_write = now + e->write_pause_ns;
			pause_until(e, e->next_write);
		}
	}
	if (n == WRITES_MAX)
		world_at(world_of(e), now + 100 * USEC, end_resume, e);
	/* A cork is not held over what the peer waits for. */
	if (e->corked &&
	    (e->sent == allowed(e) || wrote == 0 || rng_percent(&world_of(e)->flows->rng, 30))) {
		tcp_cork(e->c, false);
		e->corked = false;
	}
}

/* ---- The end ---- */

static bool wrote_all(const struct end *e)
{
	if (e->write == WRITE_ECHO)
		return e->eof && e->held == NULL;
	return e->sent == e->total;
}

static void step_end(struct end *e)
{
	if (e->end == END_ABORT && e->sent + e->got >= e->end_at) {
		give_up(e, tcp_abort);
		return;
	}
	if (e->end == END_NEVER || e->end == END_KILL || !wrote_all(e))
		return;
	if (e->end == END_CLOSE) {
		give_up(e, tcp_close);
		return;
	}
	if (!e->shut && (e->end != END_AFTER_PEER || e->eof)) {
		e->shut = true;
		/* Both are the end of what is sent. */
		if (e->eof && rng_percent(&world_of(e)->flows->rng, 30)) {
			give_up(e, tcp_close);
			return;
		}
		tcp_shutdown(e->c);
	}
	if (e->shut && e->eof && e->end == END_ORDERLY)
		give_up(e, tcp_close);
}

static void end_step(struct end *e)
{
	uint64_t before;

	do {
		before = e->got + e->sent;
		step_read(e);
		step_write(e);
		step_end(e);
	} while (e->c != NULL && e->write == WRITE_ECHO && e->got + e->sent != before &&
		 !world_of(e)->failed);
}

/* ---- Callbacks ---- */

static struct end *alive(struct tcp_conn *c, const char *what)
{
	struct end *e = end_of(c);

	if (e == NULL)
		abort();
	if (e->c != c) {
		world_fail(world_of(e), "flow %u: callback `%s` for a connection that is over",
			   e->flow->id, what);
		return NULL;
	}
	world_note(world_of(e), "flow %u %c: %s", e->flow->id, "cs"[e->side], what);
	return e;
}

static void established(struct end *e)
{
	if (e->established)
		world_fail(world_of(e), "flow %u: established twice", e->flow->id);
	e->established = true;
	progress(e);
	end_step(e);
}

static bool on_accept(struct tcp_conn *c, void *ctx)
{
	struct host *h = ctx, *peer;
	const struct tcp_tuple *t = tcp_tuple(c);
	struct flow *f = NULL;
	struct end *e;
	uint8_t dir;

	peer = host_of(h->w, &t->raddr);
	if (peer != NULL)
		f = flow_find(h->w->flows, t->family, h, rte_be_to_cpu_16(t->lport), peer,
			      rte_be_to_cpu_16(t->rport), &dir);
	if (f == NULL) {
		world_fail(h->w, "accepted a connection that nobody made");
		return false;
	}
	e = &f->end[1];
	if (e->c != NULL || end_over(e)) {
		/* An old SYN that came again after all was over; its ACK can only have come from
		 * a cookie or Fast Open, which cannot tell. */
		if (!h->w->flows->loose_sequence)
			world_fail(h->w, "flow %u: accepted twice", f->id);
		return false;
	}
	e->c = c;
	tcp_set_user(c, e);
	if (f->refused)
		return true;
	alive(c, "accept");
	established(e);
	return true;
}

static void on_connected(struct tcp_conn *c)
{
	struct end *e = alive(c, "connected");

	if (e != NULL)
		established(e);
}

static void on_readable(struct tcp_conn *c)
{
	struct end *e = alive(c, "readable");

	if (e != NULL)
		end_step(e);
}

static void on_writable(struct tcp_conn *c)
{
	struct end *e = alive(c, "writable");

	if (e != NULL)
		end_step(e);
}

static void on_timer(struct tcp_conn *c)
{
	struct end *e = alive(c, "timer");

	if (e != NULL)
		end_step(e);
}

static void on_closed(struct tcp_conn *c, enum tcp_close_reason why)
{
	struct end *e = alive(c, tcp_close_reason_name(why));

	if (e == NULL)
		return;
	if (end_over(e))
		world_fail(world_of(e), "flow %u: closed twice", e->flow->id);
	/* What is left to read may be read now, and not later. */
	if (why == TCP_CLOSE_DONE && e->read != READ_NEVER) {
		while (!world_of(e)->failed && e->held == NULL && read_some(e))
			;
		e->eof = tcp_at_eof(c);
	}
	e->closed = true;
	e->why = why;
	end_gone(e);
}

const struct tcp_ops app_ops = {
	.accept = on_accept,
	.connected = on_connected,
	.readable = on_readable,
	.writable = on_writable,
	.timer = on_timer,
	.closed = on_closed,
};

struct tcp_listener *app_listen(struct host *h, uint16_t family, uint16_t port,
				const struct tcp_options *opt, uint32_t backlog)
{
	struct tcp_listener_params p = {.id = port,
					.family = family,
					.port = rte_cpu_to_be_16(port),
					.ops = &app_ops,
					.ctx = h,
					.opt = *opt,
					.backlog = backlog};
	struct tcp_listener *l = tcp_listen(h->engine, &p);

	if (l == NULL)
		world_fail(h->w, "host %u: tcp_listen: %s", h->id, strerror(errno));
	return l;
}
