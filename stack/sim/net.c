/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdlib.h>

#include "attacker.h"

void net_init(struct net *n, struct world *w)
{
	memset(n, 0, sizeof(*n));
	n->w = w;
	n->rng = rng_fork(&w->rng);
	w->net = n;
}

void net_free(struct net *n)
{
	for (int i = 0; i < HOSTS_MAX; i++)
		for (int k = 0; k < HOSTS_MAX; k++)
			free(n->path[i][k].before);
}

uint16_t path_mtu(const struct path *p, uint64_t now)
{
	uint16_t mtu = UINT16_MAX;

	for (uint8_t i = 0; i < p->n_mtu; i++)
		if (p->mtu[i].at <= now)
			mtu = p->mtu[i].mtu;
	return mtu;
}

/* ---- Arrival ---- */

struct flight {
	struct host *to;
	struct packet *p;
};

static void arrive(void *arg)
{
	struct flight *f = arg;

	if (f->to->engine != NULL)
		host_receive(f->to, f->p);
	else
		free(f->p);
	free(f);
}

static void flight_drop(void *arg)
{
	struct flight *f = arg;

	free(f->p);
	free(f);
}

static void fly(struct world *w, struct host *to, const uint8_t *p, uint32_t len, uint64_t at)
{
	struct flight *f = malloc(sizeof(*f));

	if (f == NULL)
		abort();
	*f = (struct flight){to, packet_new(w, p, len)};
	world_at_owned(w, at, arrive, flight_drop, f);
}

/* ---- ICMP errors ---- */

struct error {
	struct host *to;
	struct tcp_tuple tuple;
	uint32_t seq, mtu;
	enum tcp_icmp what;
};

static void error_arrive(void *arg)
{
	struct error *e = arg;

	if (e->to->engine != NULL) {
		tcp_icmp(e->to->engine, &e->tuple, e->seq, e->what, e->mtu, e->to->w->now);
		host_wake(e->to, e->to->w->now);
	}
	free(e);
}

static void icmp(struct host *from, const struct path *path, const uint8_t *p, uint32_t len,
		 enum tcp_icmp what, uint32_t mtu)
{
	struct world *w = from->w;
	struct error *e = calloc(1, sizeof(*e));
	struct seg s;

	if (e == NULL)
		abort();
	seg_parse(p, len, &s);
	e->to = from;
	e->tuple = (struct tcp_tuple){.laddr = s.src,
				      .raddr = s.dst,
				      .lport = rte_cpu_to_be_16(s.sport),
				      .rport = rte_cpu_to_be_16(s.dport),
				      .family = s.family};
	e->seq = s.seq;
	e->what = what;
	e->mtu = mtu;
	trace_packet(w, what == TCP_ICMP_TOO_BIG ? "too big" : "unreachable", p, len);
	world_at_owned(w, w->now + path->delay_ns, error_arrive, free, e);
}

/* ---- The way ---- */

struct way {
	struct net *n;
	struct host *from, *to;
	struct path *path;
};

static bool lost(struct path *p, struct rng *r)
{
	if (rng_chance(r, p->bad ? p->good_ppm : p->bad_ppm))
		p->bad = !p->bad;
	return rng_chance(r, p->bad ? p->bad_loss_ppm : p->loss_ppm);
}

/* Changes some octets of the segment, so that the checksum shows it. */
static void damage(struct rng *r, uint8_t *p, uint32_t len)
{
	uint32_t l3 = p[0] >> 4 == 4 ? 20 : 40, n = (uint32_t)rng_range(r, 1, 4);

	do {
		while (n-- > 0)
			p[l3 + rng_below(r, len - l3)] ^= (uint8_t)rng_range(r, 1, 255);
		n = 1;
	} while (seg_checksum_ok(p, len));
}

static const char *outage(const struct path *p, uint64_t now, bool *unreachable)
{
	*unreachable = false;
	for (uint8_t i = 0; i < p->n_outage; i++) {
		if (now < p->outage[i].from || now >= p->outage[i].until)
			continue;
		*unreachable = p->outage[i].unreachable;
		return "> (outage)";
	}
	return NULL;
}

/* When the packet is through the queue; 0: it does not fit. */
static uint64_t queue(struct net *n, struct path *path, uint8_t *p, uint32_t len)
{
	uint64_t now = n->w->now, waiting;

	if (path->bits_per_s == 0)
		return now;
	path->free_at = RTE_MAX(path->free_at, now);
	waiting = (path->free_at - now) * path->bits_per_s / 8 / SEC;
	if (waiting + len > path->queue_bytes && waiting > 0) {
		n->overflows++;
		return 0;
	}
	if (path->mark_bytes != 0 && waiting > path->mark_bytes) {
		struct seg s;

		if (seg_parse(p, len, &s) == NULL && (s.ecn == ECN_ECT0 || s.ecn == ECN_ECT1)) {
			if (s.family == 4)
				p[1] |= ECN_CE;
			else
				p[1] |= ECN_CE << 4;
			seg_fix(p, len);
			n->marked++;
		}
	}
	path->free_at += (uint64_t)len * 8 * SEC / path->bits_per_s;
	return path->free_at;
}

static void transmit(void *arg, uint8_t *p, uint32_t len)
{
	struct way *y = arg;
	struct net *n = y->n;
	struct path *path = y->path;
	struct world *w = n->w;
	uint16_t mtu = path_mtu(path, w->now);
	bool unreachable;
	const char *out = outage(path, w->now, &unreachable);
	uint64_t at;

	if (out != NULL) {
		trace_packet(w, out, p, len);
		if (unreachable)
			icmp(y->from, path, p, len, TCP_ICMP_SOFT, 0);
		return;
	}
	if (lost(path, &n->rng)) {
		n->lost++;
		trace_packet(w, "> (lost)", p, len);
		return;
	}
	if (len > mtu) {
		n->too_big++;
		trace_packet(w, "> (too big)", p, len);
		if (path->icmp)
			icmp(y->from, path, p, len, TCP_ICMP_TOO_BIG, path->icmp_blank ? 0 : mtu);
		return;
	}
	at = queue(n, path, p, len);
	if (at == 0) {
		trace_packet(w, "> (queue full)", p, len);
		return;
	}
	at += path->delay_ns + rng_below(&n->rng, path->jitter_ns + 1);
	if (!path->unordered)
		at = RTE_MAX(at, path->last_at);
	path->last_at = RTE_MAX(path->last_at, at);
	if (rng_chance(&n->rng, path->reorder_ppm)) {
		n->reordered++;
		at += rng_below(&n->rng, path->reorder_ns + 1);
	}
	if (rng_chance(&n->rng, path->dup_ppm)) {
		n->duplicated++;
		trace_packet(w, "> (twice)", p, len);
		fly(w, y->to, p, len, at + rng_below(&n->rng, path->reorder_ns + 1));
	}
	if (rng_chance(&n->rng, path->corrupt_ppm)) {
		n->corrupted++;
		damage(&n->rng, p, len);
	}
	trace_packet(w, ">", p, len);
	if (rng_chance(&n->rng, path->lie_ppm))
		len = lie(&n->rng, p, len);
	fly(w, y->to, p, len, at);
}

void net_send(struct host *from, const uint8_t *p, uint32_t len)
{
	struct world *w = from->w;
	uint8_t copy[SEG_MAX];
	struct way y = {w->net, from, NULL, NULL};
	struct seg s;

	w->digest = rng_mix(w->digest ^ rng_mix(w->now) ^ be32(p + (p[0] >> 4 == 4 ? 24 : 44)) ^
			    ((uint64_t)len << 40));
	if (w->pcap != NULL)
		trace_pcap(w->pcap, w->now, p, len);
	if (seg_parse(p, len, &s) != NULL)
		return;
	y.to = host_of(w, &s.dst);
	if (y.to == NULL) {
		trace_packet(w, "> (to nobody)", p, len);
		return;
	}
	y.path = &w->net->path[from->id][y.to->id];
	memcpy(copy, p, len);
	middlebox_pass(y.path, &w->net->rng, w->now, copy, len, transmit, &y);
}
