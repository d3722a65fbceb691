/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Octets of one side to the other. Buffers that one connection received are queued on the other as
 * they are. Nothing is read that the other side cannot take, so that a slow receiver closes the
 * sender's window and what is held is bounded by the two connections' own buffers.
 */
#include <errno.h>

#include "proxy_private.h"

/* Octets read at a time: a chain has at most 65,535 buffers, and each holds at least one. */
#define READ_MAX 60000

static void count(struct pair *p, enum pair_dir dir, uint32_t n)
{
	struct svc_stats *s = &p->l->stats;
	struct backend *b = p->backend;

	p->active_ms = pair_now_ms(p);
	if (dir == PAIR_UP) {
		s->proxy_bytes_up += n;
		b->stats.bytes_out += n;
		b->pool->stats.bytes_out += n;
	} else {
		s->proxy_bytes_down += n;
		b->stats.bytes_in += n;
		b->pool->stats.bytes_in += n;
	}
}

enum moved {
	/* All there was. */
	MOVED_ALL,
	/* The other side is full and will say when it is not. */
	MOVED_SOME,
	/* The other side takes nothing any more. */
	MOVED_NOTHING,
};

static enum moved give(struct pair *p, enum pair_dir dir, struct tcp_conn *to, struct rte_mbuf *m)
{
	uint32_t n = m->pkt_len;
	int rc = tcp_write(to, m);

	if (rc == 0) {
		count(p, dir, n);
		return MOVED_ALL;
	}
	p->left[dir] = m;
	if (rc != -EAGAIN)
		return MOVED_NOTHING;
	tcp_want_write(to, 0);
	return MOVED_SOME;
}

static enum moved move(struct pair *p, enum pair_dir dir, struct tcp_conn *from,
		       struct tcp_conn *to)
{
	struct rte_mbuf *m = p->left[dir];
	enum moved rc;

	if (m != NULL) {
		p->left[dir] = NULL;
		rc = give(p, dir, to, m);
		if (rc != MOVED_ALL)
			return rc;
	}
	while (from != NULL && tcp_readable(from) != 0) {
		uint32_t room = tcp_writable(to);

		if (room == 0) {
			tcp_want_write(to, 0);
			return MOVED_SOME;
		}
		m = tcp_read(from, room < READ_MAX ? room : READ_MAX);
		if (m == NULL)
			break;
		rc = give(p, dir, to, m);
		if (rc != MOVED_ALL)
			return rc;
	}
	return MOVED_ALL;
}

/* Both directions ended: the engine sees the rest through without us. */
static void finish(struct pair *p)
{
	if (p->client != NULL) {
		tcp_set_user(p->client, NULL);
		svc_close(p->l, p->client);
	}
	if (p->server != NULL) {
		tcp_set_user(p->server, NULL);
		tcp_close(p->server);
	}
	pair_free(p);
}

bool pair_splice(struct pair *p, enum pair_dir dir)
{
	struct tcp_conn *from = dir == PAIR_UP ? p->client : p->server;
	struct tcp_conn *to = dir == PAIR_UP ? p->server : p->client;

	if (to == NULL || p->shut[dir])
		return true;
	switch (move(p, dir, from, to)) {
	case MOVED_SOME:
		return true;
	case MOVED_NOTHING:
		pair_kill(p);
		return false;
	case MOVED_ALL:
		break;
	}
	if (from != NULL && !tcp_at_eof(from))
		return true;
	p->shut[dir] = true;
	if (p->shut[!dir]) {
		finish(p);
		return false;
	}
	tcp_shutdown(to);
	p->active_ms = pair_now_ms(p);
	/* The half-close timeout may be earlier than what the timer runs for. */
	pair_arm(p);
	return true;
}

/* What a side that is about to vanish left behind: to the other, or kept for it. */
static bool keep_rest(struct pair *p, enum pair_dir dir, struct tcp_conn *from, struct tcp_conn *to)
{
	enum moved rc = move(p, dir, from, to);

	if (rc != MOVED_SOME)
		return rc == MOVED_ALL;
	while (tcp_readable(from) != 0) {
		struct rte_mbuf *m = tcp_read(from, READ_MAX);

		if (m == NULL)
			return false;
		if (p->left[dir] == NULL) {
			p->left[dir] = m;
		} else if (rte_pktmbuf_chain(p->left[dir], m) != 0) {
			/* More buffers than a chain can have. */
			rte_pktmbuf_free(m);
			return false;
		}
	}
	return true;
}

void pair_side_done(struct pair *p, enum pair_dir from)
{
	struct tcp_conn **side = from == PAIR_UP ? &p->client : &p->server;
	struct tcp_conn *to = from == PAIR_UP ? p->server : p->client;
	bool kept = to != NULL && keep_rest(p, from, *side, to);

	*side = NULL;
	if (!kept) {
		pair_kill(p);
		return;
	}
	/* It ends only when it has got our FIN, which it gets when the other side has ended. */
	p->shut[!from] = true;
	if (pair_splice(p, from))
		pair_arm(p);
}
