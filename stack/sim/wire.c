/* SPDX-License-Identifier: Apache-2.0 */
#include "wire.h"

#include "app.h"
#include "net.h"

/* Packets of a flow that bring nothing new, beyond a few thousand, and per second. */
#define IDLE_PACKETS	   30000u
#define IDLE_PACKETS_PER_S 200u

static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

static void forget(struct wire *d)
{
	d->has_ts = d->has_edge = d->has_fin = false;
	d->sent = d->acked = 0;
}

static void saw_syn(struct wire *d, const struct seg *s)
{
	for (uint8_t i = 0; i < d->n_iss; i++)
		if (d->iss[i] == s->seq)
			return;
	if (d->n_iss == RTE_DIM(d->iss)) {
		memmove(d->iss, d->iss + 1, sizeof(d->iss) - sizeof(d->iss[0]));
		d->n_iss--;
	}
	d->iss[d->n_iss++] = s->seq;
	forget(d);
	d->offered_wscale = s->has_wscale;
	d->wscale = s->has_wscale ? RTE_MIN(s->wscale, 14) : 0;
}

/* Offset of the segment's first octet in the stream (SYN: 0), and whether it is of the newest
 * incarnation. False: none fits. */
static bool place(const struct flow *f, uint8_t dir, const struct wire *d, uint32_t seq,
		  uint32_t *off, bool *newest)
{
	for (int i = d->n_iss - 1; i >= 0; i--) {
		*off = seq - d->iss[i];
		*newest = i == d->n_iss - 1;
		if (*off <= f->end[dir].sent + 2)
			return true;
	}
	return false;
}

static void check_payload(struct flow *f, uint8_t dir, const struct seg *s, uint32_t off)
{
	int64_t bad;
	uint32_t data = off - (s->flags & SEG_SYN ? 0 : 1);

	if (s->len == 0)
		return;
	bad = off == 0 && !(s->flags & SEG_SYN)
		      ? 0
		      : content_check(f->key[dir], data, s->payload, s->len);
	if (bad >= 0)
		world_fail(f->w,
			   "flow %u: octet %ld of %u at offset %u was sent other than written",
			   f->id, (long)bad, s->len, data);
	else if (data + s->len > f->end[dir].sent)
		world_fail(f->w, "flow %u: sent up to offset %u, written up to %lu", f->id,
			   data + s->len, (unsigned long)f->end[dir].sent);
}

static void check_sequence(struct flow *f, uint8_t dir, const struct seg *s, uint32_t off)
{
	struct wire *d = &f->wire[dir];
	const struct wire *o = &f->wire[dir ^ 1];
	uint32_t end = off + seg_space(s);

	if (s->flags & SEG_FIN) {
		if (d->has_fin && d->fin != end)
			world_fail(f->w, "flow %u: FIN moved from %u to %u", f->id, d->fin, end);
		d->has_fin = true;
		d->fin = end;
	}
	if (d->has_fin && end > d->fin)
		world_fail(f->w, "flow %u: sent %u, FIN was at %u", f->id, end, d->fin);
	d->sent = RTE_MAX(d->sent, end);
	if (s->has_ts) {
		if (d->has_ts && after(d->tsval, s->tsval))
			world_fail(f->w, "flow %u: TSval went back from %u to %u", f->id, d->tsval,
				   s->tsval);
		d->has_ts = true;
		d->tsval = s->tsval;
	}
	/* The window of the peer, as far as it has ever been open; one octet more probes it. */
	if (o->has_edge && s->len > 0 && !f->w->flows->loose_window &&
	    after(s->seq + s->len, o->edge) && !(s->len == 1 && s->seq == o->edge))
		world_fail(f->w, "flow %u: sent up to %u beyond the peer's window", f->id,
			   s->seq + s->len - o->edge);
}

static void check_sack(struct flow *f, const struct seg *s, const struct wire *o, uint32_t peer_iss)
{
	for (uint8_t i = 0; i < s->n_sack; i++) {
		uint32_t l = s->sack[i][0] - peer_iss, r = s->sack[i][1] - peer_iss;

		if (l >= r || r > o->sent)
			world_fail(f->w, "flow %u: SACK %u:%u, the peer sent up to %u", f->id, l, r,
				   o->sent);
		/* The first may be a DSACK. */
		if (i > 0 && !after(s->sack[i][0], s->ack))
			world_fail(f->w, "flow %u: SACK %u:%u at or below ACK %u", f->id, l, r,
				   s->ack - peer_iss);
	}
}

static void check_ack(struct flow *f, uint8_t dir, const struct seg *s)
{
	struct wire *d = &f->wire[dir], *o = &f->wire[dir ^ 1];
	uint32_t iss, ack, edge, shift;

	if (!(s->flags & SEG_ACK) || o->n_iss == 0)
		return;
	iss = o->iss[o->n_iss - 1];
	ack = s->ack - iss;
	if (ack > o->sent) {
		/* Perhaps a connection of before with the same ports. */
		if (f->older == NULL && o->n_iss == 1)
			world_fail(f->w, "flow %u: ACK %u, the peer sent up to %u", f->id, ack,
				   o->sent);
		return;
	}
	if (ack < d->acked && o->n_iss == 1)
		world_fail(f->w, "flow %u: ACK went back from %u to %u", f->id, d->acked, ack);
	d->acked = RTE_MAX(d->acked, ack);
	if (o->n_iss == 1)
		check_sack(f, s, o, iss);
	shift = !(s->flags & SEG_SYN) && d->offered_wscale && o->offered_wscale ? d->wscale : 0;
	edge = s->ack + ((uint32_t)s->win << shift);
	if (d->has_edge && after(d->edge, edge) && d->edge - edge >= 1u << shift &&
	    !(o->has_fin && ack >= o->fin) && !f->w->flows->loose_window && o->n_iss == 1)
		world_fail(f->w, "flow %u: took back %u octets of window", f->id, d->edge - edge);
	if (!d->has_edge || after(edge, d->edge))
		d->edge = edge;
	d->has_edge = true;
}

void wire_check(struct host *from, const uint8_t *p, uint32_t len)
{
	struct world *w = from->w;
	struct seg s;
	const char *wrong = seg_parse(p, len, &s);
	struct host *to;
	struct flow *f;
	uint8_t dir;
	uint32_t off;
	bool newest;
	uint64_t idle;

	if (wrong != NULL) {
		world_fail(w, "sent: %s", wrong);
		return;
	}
	if (len > from->mtu) {
		world_fail(w, "sent: %u octets, the MTU is %u", len, from->mtu);
		return;
	}
	if (!s.dont_fragment || s.ttl == 0 || s.odd_options) {
		world_fail(w, "sent: may be fragmented, has no TTL or has odd options");
		return;
	}
	to = host_of(w, &s.dst);
	f = to == NULL ? NULL : flow_find(w->flows, s.family, from, s.sport, to, s.dport, &dir);
	if (f == NULL)
		return;
	f->packets++;
	idle = IDLE_PACKETS + (w->now - f->progress_at) / SEC * IDLE_PACKETS_PER_S;
	if (++f->idle_packets > idle)
		world_fail(w, "flow %u: %lu packets in %lu ms without progress", f->id,
			   (unsigned long)f->idle_packets,
			   (unsigned long)((w->now - f->progress_at) / MSEC));
	if (s.flags & SEG_SYN)
		saw_syn(&f->wire[dir], &s);
	if ((s.flags & SEG_RST) || w->flows->lies)
		return;
	if (!place(f, dir, &f->wire[dir], s.seq, &off, &newest)) {
		if (seg_space(&s) > 0 && f->older == NULL)
			world_fail(w, "flow %u: sequence number %u is none of its stream", f->id,
				   s.seq);
		return;
	}
	check_payload(f, dir, &s, off);
	if (!newest || w->flows->loose_sequence ||
	    (w->flows->spoofed && f->wire[0].n_iss + f->wire[1].n_iss > 2))
		return;
	check_sequence(f, dir, &s, off);
	check_ack(f, dir, &s);
}
