/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody who sees nothing of the connections but guesses well: spoofed segments at established
 * connections (RFC 5961), and SYNs and ACKs from everywhere at listeners. And paths that change
 * segments and put the checksums right, as only a peer without scruples could.
 */
#include "attacker.h"

static void inject(struct attacker *a, struct host *to, struct seg *s)
{
	static uint8_t p[SEG_MAX];
	uint32_t len = seg_build(s, p);

	trace_packet(to->w, "spoofed", p, len);
	if (to->engine != NULL)
		host_receive(to, packet_new(to->w, p, len));
}

/* Never right: of the right octets one could only dream. */
static void at_flow(struct attacker *a, struct flow *f)
{
	struct rng *r = &a->rng;
	uint8_t dir = (uint8_t)rng_below(r, 2);
	const struct wire *d = &f->wire[dir], *o = &f->wire[dir ^ 1];
	struct seg s = {.family = (uint8_t)f->family,
			.win = (uint16_t)rng_next(r),
			.has_ts = rng_percent(r, 50),
			.tsval = (uint32_t)rng_next(r)};
	uint32_t sent;

	/* Afterwards a SYN makes a connection of its own. */
	if (d->n_iss == 0 || o->n_iss == 0 || f->end[0].c == NULL || f->end[1].c == NULL ||
	    !f->end[dir ^ 1].established)
		return;
	sent = d->iss[d->n_iss - 1] + d->sent;
	host_addr(f->end[dir].host, f->family, &s.src);
	host_addr(f->end[dir ^ 1].host, f->family, &s.dst);
	s.sport = dir == 0 ? f->client_port : f->server_port;
	s.dport = dir == 0 ? f->server_port : f->client_port;
	s.ack = o->iss[o->n_iss - 1] + o->sent;
	switch (rng_below(r, 6)) {
	case 0:
		/* In the window, and yet not the one that counts. */
		s.flags = SEG_RST;
		s.seq = sent + (uint32_t)rng_range(r, 1, 3000);
		break;
	case 1:
		s.flags = SEG_RST | (rng_percent(r, 50) ? SEG_ACK : 0);
		s.seq = sent + (uint32_t)rng_range(r, 100u << 20, 2000u << 20);
		break;
	case 2:
		s.flags = SEG_SYN | (rng_percent(r, 50) ? SEG_ACK : 0);
		s.seq = rng_percent(r, 50) ? sent : (uint32_t)rng_next(r);
		s.has_mss = true;
		s.mss = 100;
		break;
	case 3:
		/* Acknowledges what was never sent. */
		s.flags = SEG_ACK;
		s.seq = sent;
		s.ack += (uint32_t)rng_range(r, 1u << 20, 1u << 30);
		s.len = (uint32_t)rng_below(r, 1000);
		break;
	case 4:
		s.flags = SEG_ACK | SEG_PSH | (rng_percent(r, 30) ? SEG_FIN : 0);
		s.seq = sent + (uint32_t)rng_range(r, 100u << 20, 2000u << 20);
		s.len = (uint32_t)rng_below(r, 1000);
		break;
	default:
		/* No ACK at all. */
		s.flags = rng_percent(r, 50) ? 0 : SEG_PSH | SEG_URG | SEG_FIN;
		s.seq = sent;
		s.len = (uint32_t)rng_below(r, 1000);
	}
	inject(a, f->end[dir ^ 1].host, &s);
}

static void at_listener(struct attacker *a)
{
	struct rng *r = &a->rng;
	struct host *h = &a->w->hosts[rng_below(r, a->w->n_hosts)];
	struct seg s = {.family = rng_percent(r, 50) ? 4 : 6,
			.flags = rng_percent(r, 80) ? SEG_SYN : SEG_ACK,
			.seq = (uint32_t)rng_next(r),
			.ack = (uint32_t)rng_next(r),
			.win = (uint16_t)rng_next(r),
			.dport = 80,
			.sport = (uint16_t)rng_range(r, 1, 65535)};

	host_addr(h, s.family, &s.dst);
	s.src = s.dst;
	/* Of nets where none of the hosts are. */
	s.src.b[12] = 11;
	s.src.b[13] = (uint8_t)rng_next(r);
	if (s.flags == SEG_SYN) {
		s.has_mss = true;
		s.mss = (uint16_t)rng_next(r);
		s.has_wscale = s.sack_ok = rng_percent(r, 50);
		s.wscale = (uint8_t)rng_next(r);
	}
	inject(a, h, &s);
}

static void strike(void *arg)
{
	struct attacker *a = arg;
	struct flow *f = &a->w->flows->flow[rng_below(&a->rng, a->w->flows->n)];

	if (a->left-- == 0)
		return;
	if (rng_percent(&a->rng, a->flood_percent))
		at_listener(a);
	else if (f->started && !flow_over(f))
		at_flow(a, f);
	world_at(a->w, a->w->now + rng_below(&a->rng, 2 * a->pause_ns + 1), strike, a);
}

void attacker_start(struct attacker *a, struct world *w, uint32_t strikes, uint64_t pause_ns,
		    uint32_t flood_percent)
{
	*a = (struct attacker){.w = w,
			       .rng = rng_fork(&w->rng),
			       .left = strikes,
			       .pause_ns = pause_ns,
			       .flood_percent = flood_percent};
	world_at(w, w->now, strike, a);
}

/* ---- Lies ---- */

static void lie_in_options(struct rng *r, uint8_t *t, uint32_t len)
{
	if (len > 20)
		t[20 + rng_below(r, len - 20)] = (uint8_t)rng_next(r);
}

uint32_t lie(struct rng *r, uint8_t *p, uint32_t len)
{
	struct seg s;
	uint8_t *t;

	if (seg_parse(p, len, &s) != NULL)
		return len;
	t = p + s.l3_len;
	switch (rng_below(r, 12)) {
	case 0:
		set32(t + 4, s.seq + (uint32_t)rng_range(r, 0, 4000) - 2000);
		break;
	case 1:
		set32(t + 8, s.ack + (uint32_t)rng_range(r, 0, 4000) - 2000);
		break;
	case 2:
		set32(t + 4, (uint32_t)rng_next(r));
		break;
	case 3:
		set32(t + 8, (uint32_t)rng_next(r));
		break;
	case 4:
		set16(t + 14, rng_percent(r, 50) ? 0 : (uint16_t)rng_next(r));
		break;
	case 5:
	case 6:
		t[13] ^= (uint8_t)(1u << rng_below(r, 8));
		break;
	case 7:
	case 8:
		lie_in_options(r, t, s.l4_len);
		break;
	case 9:
		/* Less data, or some of it taken for options. */
		if (s.len > 0)
			len -= (uint32_t)rng_range(r, 1, s.len);
		break;
	case 10:
		t[12] = (uint8_t)(rng_range(r, 0, 15) << 4);
		break;
	default:
		t[13] |= SEG_URG;
		set16(t + 18, (uint16_t)rng_next(r));
	}
	if (s.n_sack > 0 && rng_percent(r, 50))
		set32(t + s.l4_len - 4, s.sack[0][0] + (uint32_t)rng_range(r, 0, 100000) - 50000);
	seg_fix(p, len);
	return len;
}
