/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Congestion control with the whole engine around it: one bulk flow over a path in virtual time.
 * The algorithms alone are tested in tcp/cc_*_test.c; here it shows whether recovery, pacing, ECN
 * and the rate samples work with them.
 */
#include "app.h"
#include "net.h"

#include <stdlib.h>

#define FULL 1500

struct run {
	const char *what;
	enum tcp_cc_algorithm cc;
	uint32_t mbit, rtt_us;
	/* Packets: of the queue, and from which on it marks. */
	uint32_t queue, mark;
	uint32_t loss_ppm;
	uint64_t octets;
	bool pacing, gro;
	uint64_t late_us;
	/* Share of the bottleneck to be reached, in percent. */
	uint32_t least;
};

static const struct run runs[] = {
	{"cubic", TCP_CC_CUBIC, 100, 20000, 400, 0, 0, 20000000, .least = 90},
	{"newreno", TCP_CC_NEWRENO, 100, 20000, 400, 0, 0, 20000000, .least = 90},
	{"bbr", TCP_CC_BBR, 100, 20000, 400, 0, 0, 20000000, .least = 90},
	{"cubic, queue of half a window", TCP_CC_CUBIC, 100, 20000, 86, 0, 0, 40000000,
	 .least = 85},
	{"bbr, queue of a sixth of a window", TCP_CC_BBR, 100, 20000, 30, 0, 0, 40000000,
	 .least = 70},
	{"bbr, 1 % loss", TCP_CC_BBR, 100, 20000, 400, 0, 10000, 20000000, .least = 60},
	{"cubic, 1 % loss", TCP_CC_CUBIC, 100, 20000, 400, 0, 10000, 3000000, .least = 4},
	{"cubic, ECN", TCP_CC_CUBIC, 100, 20000, 400, 60, 0, 20000000, .least = 90},
	{"newreno, ECN", TCP_CC_NEWRENO, 100, 20000, 400, 60, 0, 20000000, .least = 85},
	{"bbr, ECN", TCP_CC_BBR, 100, 20000, 400, 60, 0, 20000000, .least = 88},
	{"bbr, late worker, GRO", TCP_CC_BBR, 1000, 5000, 2000, 0, 0, 60000000, .gro = true,
	 .late_us = 300, .least = 85},
	{"cubic paced, late worker, GRO", TCP_CC_CUBIC, 1000, 5000, 2000, 0, 0, 60000000,
	 .pacing = true, .gro = true, .late_us = 300, .least = 85},
	{"bbr, 40 us", TCP_CC_BBR, 10000, 40, 1000, 0, 0, 60000000, .least = 90},
	{"cubic, 40 us", TCP_CC_CUBIC, 10000, 40, 1000, 0, 0, 60000000, .least = 90},
	{"bbr, 600 ms", TCP_CC_BBR, 10, 600000, 1000, 0, 0, 20000000, .least = 60},
	{"cubic, 600 ms", TCP_CC_CUBIC, 10, 600000, 1000, 0, 0, 20000000, .least = 60},
};

static void set_up(struct world *w, struct net *n, struct flows *fs, const struct run *r)
{
	struct tcp_config cfg = {
		.max_conns = 64, .max_segs = 65536, .mem_limit = 512u << 20, .pool = rig_pool()};
	struct tcp_options opt = {
		.cc = r->cc, .pacing = r->pacing, .rcvbuf_max = 16u << 20, .sndbuf_max = 16u << 20};
	struct flow *f;

	world_init(w, 7);
	net_init(n, w);
	for (int i = 0; i < 2; i++) {
		struct host *h = host_add(w, &cfg);

		h->mtu = FULL;
		h->vector_max = 256;
		h->gro = r->gro;
		h->late_ns = r->late_us * USEC;
	}
	for (int i = 0; i < 2; i++) {
		struct path *p = &n->path[i][1 - i];

		p->delay_ns = r->rtt_us * USEC / 2;
		p->bits_per_s = (uint64_t)r->mbit * 1000000;
		p->queue_bytes = r->queue * FULL;
		p->mark_bytes = r->mark * FULL;
	}
	n->path[0][1].loss_ppm = r->loss_ppm;
	flows_init(fs, w, 1);
	f = flow_init(fs, 0, &w->hosts[0], &w->hosts[1]);
	f->server_port = 80;
	f->opt = opt;
	f->start = w->now;
	f->end[0].total = r->octets;
	f->end[0].read_max = f->end[1].read_max = 1 << 20;
	f->end[1].end = END_AFTER_PEER;
	w->end = w->now + 600 * SEC;
	w->steps_max = UINT64_MAX;
	for (int i = 0; i < 2; i++) {
		host_boot(&w->hosts[i]);
		app_listen(&w->hosts[i], 0, 80, &opt, 0);
	}
	flow_schedule(f);
}

static bool run(const struct run *r)
{
	static struct world w;
	struct net n;
	struct flows fs;
	const struct tcp_mib *mib;
	uint64_t start, took, marks, undone;
	uint32_t share;
	bool ok;

	set_up(&w, &n, &fs, r);
	start = w.now;
	world_run(&w);
	mib = tcp_mib(w.hosts[0].engine);
	took = fs.flow->progress_at - start;
	/* What the bottleneck carries beside payload: IPv4, TCP, timestamps. */
	share = (uint32_t)(r->octets * 8 * FULL / (FULL - 52) * 100 / (took / 1000) / r->mbit);
	undone = mib->undo_recovery + mib->undo_rto;
	marks = n.marked;
	printf("%-34s %5u Mbit/s %6u us: %3u %% in %6.2f s; lost %lu, sent again %lu in %lu "
	       "recoveries, marks %lu, reductions for them %lu\n",
	       r->what, r->mbit, r->rtt_us, share, (double)took / SEC, n.lost + n.overflows,
	       mib->retrans_segs, mib->recoveries, marks, mib->ecn_reductions);
	ok = !w.failed && fs.flow->end[1].got == r->octets && share >= r->least && share <= 100;
	if (w.failed)
		printf("FAILED: %s\n", w.why);
	else if (!ok)
		printf("FAILED: %lu of %lu octets, at least %u %% expected\n", fs.flow->end[1].got,
		       r->octets, r->least);
	/* Nothing is reordered here: each loss is one, and no more is sent again than was lost. */
	if (undone != 0 || mib->retrans_segs > n.lost + n.overflows + 5) {
		printf("FAILED: %lu recoveries undone\n", undone);
		ok = false;
	}
	/* Once per round trip at most. */
	if (mib->ecn_reductions * r->rtt_us > took / 1000 ||
	    (marks != 0) != (mib->ecn_reductions != 0)) {
		printf("FAILED: %lu reductions\n", mib->ecn_reductions);
		ok = false;
	}
	if (r->mark != 0 && n.overflows != 0) {
		printf("FAILED: the queue overflowed in spite of marks\n");
		ok = false;
	}
	world_free(&w);
	flows_free(&fs);
	net_free(&n);
	if (rig_in_use() != 0) {
		printf("FAILED: %u buffers are left\n", rig_in_use());
		ok = false;
	}
	return ok;
}

int main(void)
{
	bool ok = true;

	rig_start("congestion", 60000);
	for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++)
		ok &= run(&runs[i]);
	return ok ? 0 : 1;
}
