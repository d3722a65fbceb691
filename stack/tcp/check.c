/* SPDX-License-Identifier: Apache-2.0 */
/* What must always hold; for the simulator and the fuzzers. */
#include "conn.h"

static const char *check_segs(const struct tcp_conn *c)
{
	const struct tcp_engine *e = c->e;
	const struct tcp_ext *x = c->x;
	uint32_t n = 0, sacked = 0, lost = 0, retrans = 0, seq = c->snd_una, prev = TCP_NIL,
		 timed = 0;

	for (uint32_t i = x->seg_head; i != TCP_NIL; i = seg_at(e, i)->next) {
		const struct tcp_seg *s = seg_at(e, i);

		if (n == 0 ? seq_lt(seq, s->seq) && c->state != TCP_SYN_RECEIVED : s->seq != seq)
			return "segments in flight leave a gap";
		if (s->prev != prev)
			return "list of segments is broken";
		if (s->end - s->seq != s->len + (s->flags & SEG_FIN ? 1u : 0u))
			return "length of a segment contradicts its sequence numbers";
		if (s->len != 0 && s->m == NULL)
			return "segment without buffer";
		if (s->flags & SEG_SACKED && s->flags & (SEG_LOST | SEG_RETRANS))
			return "segment is SACKed and lost";
		n++;
		sacked += (s->flags & SEG_SACKED) != 0;
		lost += (s->flags & SEG_LOST) != 0;
		retrans += (s->flags & SEG_RETRANS) != 0;
		seq = s->end;
		prev = i;
	}
	if (n != 0 && seq != c->snd_nxt)
		return "segments in flight do not reach SND.NXT";
	if (n != x->packets_out || lost != x->lost_out || retrans != x->retrans_out)
		return "counts of segments are wrong";
	if (c->flags & F_SACK && sacked != x->sacked_out)
		return "count of SACKed segments is wrong";
	if (x->sacked_out + x->lost_out > x->packets_out)
		return "more SACKed and lost than in flight";
	prev = TCP_NIL;
	for (uint32_t i = x->tx_head; i != TCP_NIL; i = seg_at(e, i)->tnext) {
		if (seg_at(e, i)->tprev != prev || ++timed > n)
			return "list of segments by time is broken";
		prev = i;
	}
	return NULL;
}

static const char *check_buffers(const struct tcp_conn *c)
{
	uint32_t n = 0;

	for (const struct rte_mbuf *m = c->rcv_head; m != NULL; m = m->next)
		n += m->data_len;
	if (n != c->rcv_bytes)
		return "receive queue has another length than it says";
	n = 0;
	for (const struct rte_mbuf *m = c->unsent_head; m != NULL; m = m->next)
		n += m->data_len;
	if (n != c->unsent)
		return "unsent data has another length than it says";
	if ((int32_t)c->snd_mem < 0 || (int32_t)c->rcv_mem < 0)
		return "memory of a connection is negative";
	if (c->snd_una == c->snd_nxt && c->unsent == 0 && c->state >= TCP_ESTABLISHED &&
	    c->snd_mem != 0)
		return "memory is charged for nothing";
	return NULL;
}

static const char *check_conn(const struct tcp_conn *c)
{
	const char *bad;
	bool timer = false;

	if (c->state == TCP_CLOSED || c->flags2 & F2_FINISHED)
		return NULL;
	if (c->state == TCP_LISTEN || c->state >= TCP_TIME_WAIT)
		return "state is none of a connection";
	if (seq_lt(c->snd_nxt, c->snd_una))
		return "SND.NXT is before SND.UNA";
	if (c->cc.cwnd == 0)
		return "cwnd is 0";
	bad = check_segs(c);
	if (bad == NULL)
		bad = check_buffers(c);
	if (bad != NULL)
		return bad;
	for (unsigned int i = 0; i < T_MAX; i++) {
		if (c->timer[i] == 0)
			continue;
		timer = true;
		if (!tcp_wheel_pending(&c->wheel))
			return "timer is set and the wheel does not know";
	}
	(void)timer;
	if (!(c->flags & F_DIRTY) && c->x->packets_out != 0 && c->timer[T_RTX] == 0)
		return "segments in flight without a timer";
	return NULL;
}

const char *tcp_check(struct tcp_engine *e, struct tcp_conn *c)
{
	if (c != NULL)
		return check_conn(c);
	for (uint32_t i = 0; i < e->conns.fresh; i++) {
		const char *bad = NULL;

		c = conn_at(e, i);
		if (c->e == e)
			bad = check_conn(c);
		if (bad != NULL)
			return bad;
	}
	return NULL;
}
