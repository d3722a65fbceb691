/* SPDX-License-Identifier: Apache-2.0 */
/* Attacks, and what has to come of them: memory stays bounded, others are served. */
#include <stdlib.h>

#include "app.h"
#include "script.h"

#define FEW "<mss 1000>"

static void source(const struct script *s, uint32_t n, struct seg *g)
{
	struct tcp_tuple t;

	script_tuple(s, &t);
	memset(g, 0, sizeof(*g));
	g->family = 4;
	g->dst = t.laddr;
	tcp_addr4(&g->src, rte_cpu_to_be_32(0x0b000000u + (n >> 8)));
	g->sport = (uint16_t)(1024 + n % 60000);
	g->dport = s->lport;
	g->win = 65535;
}

static uint64_t memory(const struct script *s, uint32_t *half_open)
{
	struct tcp_usage u;

	tcp_usage(s->e, &u);
	if (half_open != NULL)
		*half_open = u.half_open;
	return u.mem_bytes;
}

/* A hundred thousand SYNs from as many sources. */
static void syn_flood(void)
{
	const struct script_options o = {.backlog = 128};
	struct script *s = script_new("SYN flood: bounded, and a client gets in", &o);
	uint32_t half_open;
	struct seg g, r;

	for (uint32_t i = 0; i < 100000; i++) {
		source(s, i, &g);
		g.flags = SEG_SYN;
		g.seq = i * 7919;
		g.has_mss = true;
		g.mss = 1460;
		script_raw(s, &g);
		if (i % 64 != 63)
			continue;
		tcp_flush(s->e);
		s->now += 640 * USEC;
		tcp_poll(s->e, s->now);
		while (script_take(s, &r))
			;
		for (uint32_t k = 0; k < s->q_n; k++)
			free(s->q[k].p);
		s->q_n = s->q_first = 0;
	}
	memory(s, &half_open);
	CHECK(half_open <= 130);
	CHECK(rig_in_use() < 1000);
	CHECK(MIB(syn_cookies_sent) >= 90000);
	script_flush(s);
	DROP();
	/* In the middle of it. */
	ESTABLISH("<mss 1400,sackOK,TS val 1 ecr 0,wscale 7>");
	IN("P. 1:1001(1000) ack 1 <TS val 2 ecr @>");
	GOT(1000);
	/* Two minutes later nothing is left of it. */
	WAIT_MS(200000);
	memory(s, &half_open);
	CHECK(half_open == 0);
	script_end(s);
}

/* RSTs and ACKs with all kinds of numbers at an established connection, and where none is. */
static void floods(void)
{
	const struct script_options o = {0};
	struct script *s = script_new("RST and ACK floods", &o);
	uint64_t resets, challenges;
	struct tcp_tuple t;
	struct seg g;

	ESTABLISH(FEW);
	script_tuple(s, &t);
	for (uint32_t i = 0; i < 20000; i++) {
		memset(&g, 0, sizeof(g));
		g.family = 4;
		g.src = t.raddr;
		g.dst = t.laddr;
		g.sport = s->rport;
		g.dport = s->lport;
		g.flags = i % 2 ? SEG_RST : SEG_ACK;
		/* Never the one right number. */
		g.seq = s->peer_isn + 2 + i * 104729;
		g.ack = s->isn + 2 + i * 15485863;
		g.win = (uint16_t)i;
		script_raw(s, &g);
		tcp_flush(s->e);
		s->now += 10 * USEC;
	}
	STATE(ESTABLISHED);
	DROP();
	challenges = MIB(challenge_acks);
	/* 200 ms of it: not more than one answer per half second and connection, or so. */
	CHECK(challenges <= 10);
	IN(". 1:1001(1000) ack 1");
	GOT(1000);
	DROP();
	for (uint32_t i = 0; i < 20000; i++) {
		source(s, i, &g);
		g.flags = SEG_ACK;
		g.seq = i;
		g.ack = i * 104729;
		script_raw(s, &g);
		tcp_flush(s->e);
		s->now += 10 * USEC;
	}
	resets = MIB(out_rsts);
	CHECK(resets >= 200 && resets <= 2100 && MIB(resets_limited) >= 17000);
	STATE(ESTABLISHED);
	DROP();
	script_end(s);
}

/* Clients that ask for much and never open their window (Sockstress). */
static void zero_windows(void)
{
	const struct script_options o = {
		.cfg = {.mem_limit = 2 << 20, .max_conns = 200},
		.opt = {.user_timeout_ms = 120000},
	};
	struct script *s = script_new("zero windows under memory pressure", &o);
	static uint8_t data[64 << 10];
	uint32_t up = 0;
	struct tcp_usage u;

	for (int i = 0; i < 150; i++) {
		uint32_t before = s->accepted;

		s->rport = (uint16_t)(50000 + i);
		s->c = NULL;
		s->has_isn = false;
		IN("S 0:0(0) win 65535 " FEW);
		if (!s->has_isn)
			continue;
		IN(". 1:1(0) ack 1 win 0");
		if (s->accepted == before || s->c == NULL)
			continue;
		up++;
		tcp_write_copy(s->c, data, sizeof(data));
		script_flush(s);
		DROP();
		CHECK(memory(s, NULL) <= 3u << 20);
	}
	CHECK(up >= 10);
	s->c = NULL;
	s->closed = false;
	/* Their windows stay shut, each probe is answered. */
	for (int k = 0; k < 600; k++) {
		struct seg g;

		WAIT_MS(1000);
		while (script_take(s, &g)) {
			struct seg a = g;

			if (g.flags & SEG_RST)
				continue;
			a.src = g.dst;
			a.dst = g.src;
			a.sport = g.dport;
			a.dport = g.sport;
			a.seq = g.ack;
			a.ack = g.seq;
			a.flags = SEG_ACK;
			a.win = 0;
			a.len = 0;
			script_raw(s, &a);
		}
		script_flush(s);
		CHECK(memory(s, NULL) <= 3u << 20);
	}
	/* There is room for an honest one. */
	s->rport = 60000;
	ESTABLISH(FEW);
	IN("P. 1:1001(1000) ack 1");
	GOT(1000);
	tcp_usage(s->e, &u);
	CHECK(u.mem_bytes <= u.mem_limit);
	s->q_first = s->q_n;
	script_end(s);
}

/* Data all over the window, never the first octet. */
static void holes(void)
{
	const struct script_options o = {.cfg = {.mem_limit = 1 << 20}};
	struct script *s = script_new("holes without end: memory bounded, stream unharmed", &o);
	uint32_t i;

	ESTABLISH("<mss 1000,sackOK,wscale 7>");
	for (i = 0; i < 20000; i++) {
		uint32_t at = 2 + 2 * (i % 30000);

		IN(". %u:%u(1) ack 1", at, at + 1);
		if (i % 1000 == 0)
			DROP();
		CHECK(memory(s, NULL) <= 2u << 20);
	}
	CHECK(rig_in_use() < 3000);
	GOT(0);
	DROP();
	IN(". 1:1001(1000) ack 1");
	CHECK(s->got_n >= 1000);
	for (uint32_t at = s->got_n + 1; at < 40001; at = s->got_n + 1)
		IN(". %u:%u(1000) ack 1", at, at + 1000);
	CHECK(s->got_n >= 40000);
	GOT(s->got_n);
	DROP();
	script_end(s);
}

/* A reader that takes an octet at a time makes no silly windows. */
static void silly_window(void)
{
	const struct script_options o = {.opt = {.rcvbuf_max = 8000}};
	struct script *s = script_new("slow reader: no silly windows (RFC 1122)", &o);
	struct tcp_info info;
	uint32_t updates = 0;
	struct seg g;

	s->no_read = true;
	ESTABLISH(FEW);
	for (uint32_t at = 1; at < 30001; at += 1000)
		IN(". %u:%u(1000) ack 1", at, at + 1000);
	tcp_info(s->c, &info);
	DROP();
	for (uint32_t i = 0; i < RTE_MIN(info.recv_queue, 3000u); i++) {
		script_read(s, 1);
		while (script_take(s, &g))
			updates++;
	}
	CHECK(updates <= 4);
	script_end(s);
}

/* Segments of one octet, each in a buffer of its own, do not use up the buffers. */
static void tiny_segments(void)
{
	const struct script_options o = {.cfg = {.mem_limit = 4 << 20}};
	struct script *s = script_new("a million octets, one in each segment", &o);

	s->no_read = true;
	ESTABLISH(FEW);
	for (uint32_t at = 1; at < 60001; at++) {
		IN("P. %u:%u(1) ack 1", at, at + 1);
		if (at % 1000 == 0)
			DROP();
	}
	/* A fourth above the limit nothing is taken any more. */
	CHECK(memory(s, NULL) <= (5u << 20) + 10000);
	CHECK(rig_in_use() < 6000);
	script_read(s, UINT32_MAX);
	GOT(s->got_n);
	DROP();
	script_end(s);
}

/* The same port and sequence numbers from everywhere at once, with garbage in it. */
static void garbage(void)
{
	const struct script_options o = {0};
	struct script *s = script_new("garbage", &o);
	uint8_t p[200];
	struct tcp_tuple t;

	ESTABLISH(FEW);
	script_tuple(s, &t);
	for (uint32_t i = 0; i < 30000; i++) {
		uint16_t vrf = 0, len = (uint16_t)rng_range(&s->rng, 40, sizeof(p));
		uint8_t verdict;
		struct rte_mbuf *m;
		struct seg g = {.family = 4,
				.src = t.raddr,
				.dst = t.laddr,
				.sport = s->rport,
				.dport = s->lport,
				.seq = s->peer_isn + 1,
				.ack = s->isn + 1};

		seg_build(&g, p);
		for (uint16_t k = 32; k < len; k++)
			p[k] = (uint8_t)rng_next(&s->rng);
		/* Most with a good checksum. The window never fits, so the stream cannot. */
		p[24] ^= 0x40;
		if (rng_percent(&s->rng, 90))
			seg_fix(p, len);
		m = rig_packet(p, len, RIG_EXTERNAL, &s->rng);
		m->l3_len = 20;
		tcp_input(s->e, &m, &vrf, &verdict, 1, s->now);
		if (verdict == TCP_NOT_MINE)
			tcp_refuse(s->e, m, 0);
		tcp_flush(s->e);
		s->now += USEC;
	}
	STATE(ESTABLISHED);
	DROP();
	IN(". 1:1001(1000) ack 1");
	GOT(1000);
	DROP();
	script_end(s);
}

int main(void)
{
	rig_start("attack", 16384);
	syn_flood();
	floods();
	zero_windows();
	holes();
	silly_window();
	tiny_segments();
	garbage();
	return 0;
}
