/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: who may connect, SYNs, SYN cookies (RFC 4987), Fast Open (RFC 7413). */
#include <errno.h>
#include <stdlib.h>

#include "build.h"
#include "conn.h"

/* How long after the last cookie went out acknowledgements may still carry one: their lifetime. */
#define COOKIE_LIFE_US 130000000u
#define BACKLOG	       1024

static unsigned int bucket_of(uint16_t vrf, uint16_t port)
{
	return (rte_be_to_cpu_16(port) ^ vrf * 31u) % LISTEN_BUCKETS;
}

static bool any(const struct tcp_addr *a)
{
	static const struct tcp_addr zero;

	return memcmp(a, &zero, sizeof(zero)) == 0;
}

struct tcp_listener *listener_find(struct tcp_engine *e, const struct tcp_tuple *t)
{
	struct tcp_listener *best = NULL;

	for (struct tcp_listener *l = e->listeners[bucket_of(t->vrf, t->lport)]; l != NULL;
	     l = l->next) {
		if (l->p.port != t->lport || l->p.vrf != t->vrf || l->dead ||
		    (l->p.family != 0 && l->p.family != t->family))
			continue;
		if (any(&l->p.addr)) {
			if (best == NULL || (best->p.family == 0 && l->p.family != 0))
				best = l;
		} else if (memcmp(&l->p.addr, &t->laddr, sizeof(t->laddr)) == 0) {
			return l;
		}
	}
	return best;
}

static bool params_ok(const struct tcp_listener_params *p)
{
	return p->port != 0 && p->ops != NULL && p->ops->closed != NULL &&
	       (p->family == 0 || p->family == 4 || p->family == 6) && p->opt.cc < TCP_CC_MAX &&
	       (p->opt.mss == 0 || p->opt.mss >= MSS_MIN);
}

static bool same_endpoint(const struct tcp_listener_params *a, const struct tcp_listener_params *b)
{
	return a->vrf == b->vrf && a->family == b->family && a->port == b->port &&
	       memcmp(&a->addr, &b->addr, sizeof(a->addr)) == 0;
}

struct tcp_listener *tcp_listen(struct tcp_engine *e, const struct tcp_listener_params *p)
{
	const unsigned int b = bucket_of(p->vrf, p->port);
	struct tcp_listener *l;

	if (!params_ok(p)) {
		errno = EINVAL;
		return NULL;
	}
	for (l = e->listeners[b]; l != NULL; l = l->next) {
		if (!l->dead && same_endpoint(&l->p, p)) {
			errno = EADDRINUSE;
			return NULL;
		}
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL) {
		errno = ENOMEM;
		return NULL;
	}
	l->e = e;
	l->p = *p;
	l->tokens = (uint64_t)(p->burst != 0 ? p->burst : p->rate) * 1000000;
	l->tokens_us = e->now_us;
	l->next = e->listeners[b];
	e->listeners[b] = l;
	return l;
}

int tcp_listener_update(struct tcp_listener *l, const struct tcp_listener_params *p)
{
	if (!params_ok(p) || !same_endpoint(&l->p, p) || l->p.id != p->id)
		return -EINVAL;
	l->p = *p;
	return 0;
}

static void reap(struct tcp_listener *l)
{
	struct tcp_listener **at = &l->e->listeners[bucket_of(l->p.vrf, l->p.port)];

	for (; *at != NULL; at = &(*at)->next) {
		if (*at != l)
			continue;
		*at = l->next;
		free(l);
		return;
	}
}

void tcp_unlisten(struct tcp_listener *l)
{
	l->dead = true;
	if (l->stats.active == 0)
		reap(l);
}

void listener_conn_gone(struct tcp_conn *c)
{
	struct tcp_listener *l = c->listener;

	l->stats.active--;
	l->stats.closed++;
	l->stats.bytes_in += c->bytes_in;
	l->stats.bytes_out += c->bytes_sent;
	if (l->dead && l->stats.active == 0)
		reap(l);
}

void tcp_listener_stats(const struct tcp_listener *l, struct tcp_listener_stats *out)
{
	*out = l->stats;
}

void *tcp_listener_ctx(const struct tcp_listener *l)
{
	return l->p.ctx;
}

uint32_t tcp_listener_id(const struct tcp_listener *l)
{
	return l->p.id;
}

/* ---- Who may ---- */

bool tcp_prefix_has(const struct tcp_prefix *p, const struct tcp_addr *a)
{
	const unsigned int bytes = p->len / 8, bits = p->len % 8;

	if (memcmp(p->addr.b, a->b, bytes) != 0)
		return false;
	return bits == 0 || (p->addr.b[bytes] ^ a->b[bytes]) >> (8 - bits) == 0;
}

static bool acl_allows(const struct tcp_listener *l, const struct tcp_addr *a)
{
	for (uint32_t i = 0; i < l->p.n_deny; i++)
		if (tcp_prefix_has(&l->p.deny[i], a))
			return false;
	if (l->p.n_allow == 0)
		return true;
	for (uint32_t i = 0; i < l->p.n_allow; i++)
		if (tcp_prefix_has(&l->p.allow[i], a))
			return true;
	return false;
}

static bool rate_allows(struct tcp_listener *l)
{
	const uint64_t burst = (uint64_t)(l->p.burst != 0 ? l->p.burst : l->p.rate) * 1000000;
	const uint64_t now = l->e->now_us;

	if (l->p.rate == 0)
		return true;
	l->tokens += (now - l->tokens_us) * l->p.rate;
	l->tokens_us = now;
	if (l->tokens > burst)
		l->tokens = burst;
	if (l->tokens < 1000000)
		return false;
	l->tokens -= 1000000;
	return true;
}

/* What holds for SYNs and for valid cookies alike. Counts the refusal. */
static bool admitted(struct tcp_listener *l)
{
	struct tcp_engine *e = l->e;

	if (e->pressure >= 2) {
		e->mib.refused_memory++;
		l->stats.refused_memory++;
		return false;
	}
	if (l->p.max_conns != 0 && l->stats.active - l->stats.half_open >= l->p.max_conns) {
		e->mib.refused_limit++;
		l->stats.refused_limit++;
		return false;
	}
	return true;
}

/* ---- Making the connection ---- */

static struct tcp_conn *make(struct tcp_listener *l, struct tcp_pkt *p)
{
	struct tcp_engine *e = l->e;
	const struct tcp_options *o = &l->p.opt;
	struct tcp_conn *c = conn_new(e, &p->tuple, p->hash, o);

	if (c == NULL) {
		e->mib.refused_memory++;
		l->stats.refused_memory++;
		return NULL;
	}
	c->listener = l;
	c->ops = l->p.ops;
	c->flags |= F_PASSIVE;
	l->stats.active++;
	if (l->p.max_per_source != 0 && !source_take(l, c)) {
		e->mib.refused_source++;
		l->stats.refused_source++;
		c->flags |= F_DETACHED;
		c->state = TCP_SYN_RECEIVED;
		conn_end(c, TCP_CLOSE_ABORTED);
		return NULL;
	}
	if (!o->no_sack)
		c->flags |= F_SACK;
	if (!o->no_timestamps)
		c->flags |= F_TS;
	if (!o->no_window_scale)
		c->flags |= F_WSCALE;
	c->rcv_wscale = o->no_window_scale ? 0 : rcv_wscale_for(o->rcvbuf_max);
	conn_set_adv_mss(c, o->mss);
	return c;
}

static bool wants_ecn(const struct tcp_listener *l, const struct tcp_pkt *p)
{
	return !l->p.opt.no_ecn && (p->flags & (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG)) ==
					   (RTE_TCP_ECE_FLAG | RTE_TCP_CWR_FLAG);
}

/* The keys of Fast Open cookies change every hour; a cookie lives for one to two. */
static void rotate_tfo(struct tcp_engine *e)
{
	if (e->now_ns / 1000000 < e->tfo_rotate_ms)
		return;
	if (e->tfo_rotate_ms != 0) {
		e->tfo_old_key = e->tfo_key;
		e->tfo_key.k[0] = e->env.random(e->env.ctx);
		e->tfo_key.k[1] = e->env.random(e->env.ctx);
	}
	e->tfo_rotate_ms = e->now_ns / 1000000 + 3600000;
}

/* True if the data in the SYN may be handed to the service before the handshake is complete. */
static bool fast_open(struct tcp_listener *l, struct tcp_conn *c, struct tcp_pkt *p)
{
	struct tcp_engine *e = l->e;
	bool refresh = false;

	if (!l->p.opt.fast_open)
		return false;
	if (l->p.opt.fast_open_no_cookie && p->len != 0)
		return true;
	if (!(p->o.flags & TCP_OPT_HAS_TFO))
		return false;
	rotate_tfo(e);
	if (p->o.flags & TCP_OPT_TFO_EXP)
		c->flags2 |= F2_TFO_EXP;
	if (p->o.tfo_len == 0) {
		c->flags2 |= F2_TFO_COOKIE;
		return false;
	}
	if (!tcp_tfo_check(&e->tfo_key, &e->tfo_old_key, &p->tuple.raddr, &p->tuple.laddr, p->o.tfo,
			   p->o.tfo_len, &refresh)) {
		e->mib.fast_open_bad++;
		l->stats.fast_open_cookie_invalid++;
		c->flags2 |= F2_TFO_COOKIE;
		return false;
	}
	if (refresh)
		c->flags2 |= F2_TFO_COOKIE;
	return true;
}

static void take_syn_data(struct tcp_conn *c, struct tcp_pkt *p)
{
	uint32_t len = p->len;

	if (len > c->rcvbuf) {
		p->m = tcp_chain_trim_tail(p->m, c->rcvbuf, NULL);
		len = c->rcvbuf;
	}
	c->rcv_nxt += len;
	c->rcv_acked = c->rcv_nxt;
	c->rcv_adv = c->rcv_nxt + RTE_MIN(c->rcvbuf, 65535u);
	if (len != 0) {
		rcv_append(c, p->m, len);
		p->m = NULL;
		c->flags |= F_EV_READABLE;
	}
}

static void syn_in(struct tcp_listener *l, struct tcp_pkt *p, uint32_t iss_min)
{
	struct tcp_engine *e = l->e;
	const struct tcp_options *o = &l->p.opt;
	struct tcp_conn *c = make(l, p);

	if (c == NULL)
		return;
	if (wants_ecn(l, p))
		c->flags |= F_ECN;
	conn_from_syn(c, p);
	c->snd_una = tcp_isn(&e->key, &p->tuple, e->now_ns);
	if (iss_min != 0 && seq_lt(c->snd_una, iss_min))
		c->snd_una = iss_min;
	c->snd_nxt = c->snd_una + 1;
	c->state = TCP_SYN_RECEIVED;
	c->keep_probes = o->synack_retries != 0 ? o->synack_retries : 5;
	c->flags |= F_HALF_OPEN;
	e->half_open++;
	l->stats.half_open++;
	if (fast_open(l, c, p)) {
		take_syn_data(c, p);
		c->flags |= F_FAST_OPEN | F_EV_ACCEPT;
		c->cc.snd_una = c->cc.snd_nxt = c->snd_nxt;
		tcp_cc_ops(c->cc_algo)->init(&c->cc, e->now_us);
		c->mtup_low = c->pmtu;
		e->mib.fast_open_in++;
		e->mib.passive_opens++;
		l->stats.fast_open_accepted++;
		l->stats.accepted++;
	}
	send_synack(c);
	rtx_arm(c, RTX_RTO, RTO_INIT_US);
	conn_dirty(c);
}

/* ---- Cookies ---- */

static bool use_cookies(const struct tcp_listener *l)
{
	const uint32_t backlog = l->p.backlog != 0 ? l->p.backlog : BACKLOG;

	return l->p.opt.cookies_always || l->stats.half_open >= backlog ||
	       l->e->conns.used >= l->e->cfg.max_conns - l->e->cfg.max_conns / 16;
}

static void syn_cookie(struct tcp_listener *l, struct tcp_pkt *p)
{
	struct tcp_engine *e = l->e;
	const struct tcp_cookie_info info = {
		.mss = p->o.flags & TCP_OPT_HAS_MSS ? p->o.mss
		       : p->tuple.family == 4	    ? MSS_DEFAULT4
						    : MSS_DEFAULT6,
		.wscale = p->o.flags & TCP_OPT_HAS_WSCALE && !l->p.opt.no_window_scale
				  ? (int8_t)p->o.wscale
				  : -1,
		.sack = p->o.flags & TCP_OPT_HAS_SACK_PERM && !l->p.opt.no_sack,
		.ecn = wants_ecn(l, p),
	};

	l->syn_flood_us = e->now_us != 0 ? e->now_us : 1;
	send_cookie(l, p, tcp_cookie_make(&e->key, &p->tuple, p->seq, e->now_ns, &info));
}

/* A third segment of a handshake of which we remember nothing. */
static bool cookie_ack(struct tcp_listener *l, struct tcp_pkt *p)
{
	struct tcp_engine *e = l->e;
	struct tcp_cookie_info info;
	struct tcp_conn *c;

	if (l->syn_flood_us == 0 || e->now_us - l->syn_flood_us > COOKIE_LIFE_US)
		return false;
	if (!tcp_cookie_check(&e->key, &p->tuple, p->seq - 1, p->ack - 1, e->now_ns, &info)) {
		e->mib.syn_cookies_bad++;
		l->stats.cookies_invalid++;
		return false;
	}
	if (!acl_allows(l, &p->tuple.raddr) || !admitted(l))
		goto drop;
	c = make(l, p);
	if (c == NULL)
		goto drop;
	e->mib.syn_cookies_ok++;
	l->stats.cookies_valid++;
	struct tcp_pkt syn = *p;

	/* As if the SYN were here again. */
	syn.seq = p->seq - 1;
	syn.wnd = p->wnd;
	syn.o.flags &= TCP_OPT_HAS_TS;
	syn.o.flags |= TCP_OPT_HAS_MSS | (info.sack ? TCP_OPT_HAS_SACK_PERM : 0) |
		       (info.wscale >= 0 ? TCP_OPT_HAS_WSCALE : 0);
	syn.o.mss = info.mss;
	syn.o.wscale = info.wscale >= 0 ? info.wscale : 0;
	if (info.ecn)
		c->flags |= F_ECN;
	conn_from_syn(c, &syn);
	c->snd_una = p->ack - 1;
	c->snd_nxt = p->ack;
	c->state = TCP_SYN_RECEIVED;
	c->drs_us = e->now_us32;
	/* The round trip is not known, so none is measured. */
	c->syn_retries = 1;
	seg_input(c, p);
	return true;
drop:
	e->mib.drop_backlog++;
	rte_pktmbuf_free(p->m);
	return true;
}

void listen_input(struct tcp_listener *l, struct tcp_pkt *p, uint32_t iss_min)
{
	struct tcp_engine *e = l->e;

	if (p->flags & RTE_TCP_RST_FLAG) {
		e->mib.drop_rst++;
		goto out;
	}
	if (p->flags & RTE_TCP_ACK_FLAG) {
		if (!(p->flags & RTE_TCP_SYN_FLAG) && cookie_ack(l, p))
			return;
		e->mib.drop_ack++;
		send_rst_reply(e, p);
		goto out;
	}
	if ((p->flags & (RTE_TCP_SYN_FLAG | RTE_TCP_FIN_FLAG)) != RTE_TCP_SYN_FLAG) {
		e->mib.drop_flags++;
		goto out;
	}
	if (!acl_allows(l, &p->tuple.raddr)) {
		e->mib.refused_acl++;
		l->stats.refused_acl++;
		if (l->p.reset_denied)
			send_rst_reply(e, p);
		goto out;
	}
	if (!admitted(l))
		goto out;
	if (!rate_allows(l)) {
		e->mib.refused_rate++;
		l->stats.refused_rate++;
		goto out;
	}
	if (use_cookies(l))
		syn_cookie(l, p);
	else
		syn_in(l, p, iss_min);
out:
	rte_pktmbuf_free(p->m);
}
