/* SPDX-License-Identifier: Apache-2.0 */
/* Keepalive, user timeout, the service's timer; path MTU (RFC 1191, 4821, 8201). */
#include "script.h"

static const struct script_options plain;

#define ALL "<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>"
#define FEW "<mss 1460>"

static void keepalive(void)
{
	const struct script_options o = {
		.opt = {.keepalive_idle_s = 60, .keepalive_interval_s = 10, .keepalive_count = 3}};
	struct script *s = script_new("keepalive: answered", &o);
	struct seg g;

	ESTABLISH(FEW);
	for (int i = 0; i < 5; i++) {
		WAIT_MS(59000);
		NONE();
		WAIT_MS(2000);
		CHECK(script_take(s, &g));
		CHECK(g.seq == s->isn && g.len <= 1 && (g.flags & SEG_ACK));
		NONE();
		IN(". 1:1(0) ack 1");
	}
	STATE(ESTABLISHED);
	CHECK(MIB(keepalive_probes) == 5);
	/* Data counts as life. */
	WAIT_MS(50000);
	IN("P. 1:2(1) ack 1");
	WAIT_MS(1000);
	DROP();
	WAIT_MS(50000);
	NONE();
	script_end(s);

	s = script_new("keepalive: nobody answers", &o);
	ESTABLISH(FEW);
	WAIT_MS(61000);
	OUT(". 0:0(0) ack 1");
	OUT_MS(9000, 11000, ". 0:0(0) ack 1");
	OUT_MS(9000, 11000, ". 0:0(0) ack 1");
	WAIT_MS(11000);
	CLOSED(KEEPALIVE);
	CHECK(MIB(keepalive_drops) == 1);
	script_end(s);

	s = script_new("keepalive: the peer has forgotten", &o);
	ESTABLISH(FEW);
	WAIT_MS(61000);
	OUT(". 0:0(0) ack 1");
	IN("R 1:1(0)");
	CLOSED(RESET);
	script_end(s);
}

/* A probe from the peer is answered. */
static void keepalive_in(void)
{
	struct script *s = script_new("keepalive: probes are answered", &plain);

	ESTABLISH(FEW);
	WAIT_MS(60000);
	IN(". 0:0(0) ack 1");
	OUT(". 1:1(0) ack 1");
	WAIT_MS(60000);
	IN(". 0:1(1) ack 1");
	OUT(". 1:1(0) ack 1");
	GOT(0);
	script_end(s);
}

static void user_timeout(void)
{
	const struct script_options o = {.opt = {.user_timeout_ms = 5000}};
	struct script *s = script_new("user timeout", &o);

	ESTABLISH(FEW);
	/* Idle is not stalled. */
	WAIT_MS(20000);
	STATE(ESTABLISHED);
	WRITE(100);
	WAIT_MS(4500);
	STATE(ESTABLISHED);
	WAIT_MS(2500);
	CLOSED(TIMEOUT);
	DROP();
	script_end(s);

	s = script_new("user timeout: progress begins it anew", &o);
	ESTABLISH(FEW);
	WRITE(3000);
	WAIT_MS(4000);
	IN(". 1:1(0) ack 1461");
	WAIT_MS(4000);
	STATE(ESTABLISHED);
	IN(". 1:1(0) ack 3001");
	WAIT_MS(20000);
	STATE(ESTABLISHED);
	script_end(s);
}

static void service_timer(void)
{
	struct script *s = script_new("the service's timer", &plain);

	ESTABLISH(FEW);
	tcp_set_timer(s->c, 500);
	WAIT_MS(490);
	CHECK(s->timers == 0);
	WAIT_MS(20);
	CHECK(s->timers == 1);
	WAIT_MS(5000);
	CHECK(s->timers == 1);
	tcp_set_timer(s->c, 500);
	tcp_set_timer(s->c, 2000);
	WAIT_MS(1000);
	CHECK(s->timers == 1);
	tcp_set_timer(s->c, 0);
	WAIT_MS(5000);
	CHECK(s->timers == 1);
	/* Sixty hours are more than a wheel turns. */
	tcp_set_timer(s->c, 216000000);
	WAIT_MS(215999000ull);
	CHECK(s->timers == 1);
	WAIT_MS(2000);
	CHECK(s->timers == 2);
	script_end(s);
}

/* ---- Path MTU ---- */

static void pmtu_icmp(void)
{
	struct script *s = script_new("path MTU: packet too big", &plain);
	struct tcp_tuple t;
	struct tcp_info info;

	s->rtt_ms = 50;
	ESTABLISH(FEW);
	script_tuple(s, &t);
	WRITE(4380);
	OUT(". 1:1461(1460) ack 1");
	OUT(". 1461:2921(1460) ack 1");
	OUT("P. 2921:4381(1460) ack 1");
	CHECK(tcp_icmp(s->e, &t, s->isn + 1, TCP_ICMP_TOO_BIG, 1040, s->now));
	script_flush(s);
	/* At once, and smaller; congestion control hears nothing. */
	OUT(". 1:1001(1000) ack 1");
	tcp_info(s->c, &info);
	CHECK(info.mss == 1000 && info.pmtu == 1040 && info.cwnd >= 10);
	CHECK(MIB(pmtu_reductions) == 1 && MIB(rtos) == 0);
	WAIT_MS(50);
	DROP();
	IN(". 1:1(0) ack 4381");
	/* The next data is cut right. */
	WRITE(2000);
	OUT(". 4381:5381(1000) ack 1");
	OUT("P. 5381:6381(1000) ack 1");
	IN(". 1:1(0) ack 6381");
	/* No smaller than the floor, whoever says so, and not larger. */
	WRITE(1000);
	DROP();
	tcp_icmp(s->e, &t, s->isn + 6381, TCP_ICMP_TOO_BIG, 68, s->now);
	tcp_icmp(s->e, &t, s->isn + 6381, TCP_ICMP_TOO_BIG, 1500, s->now);
	tcp_icmp(s->e, &t, s->isn + 6381, TCP_ICMP_TOO_BIG, 60000, s->now);
	script_flush(s);
	tcp_info(s->c, &info);
	CHECK(info.pmtu >= 128 && info.pmtu <= 1040);
	script_end(s);
}

/* All of a stream arrives whatever the path MTU does meanwhile. */
static void pmtu_shrinks(void)
{
	struct script *s = script_new("path MTU: shrinks again and again", &plain);
	struct tcp_tuple t;
	uint32_t mtu = 1500, acked = 0;
	struct seg g;

	s->rtt_ms = 10;
	ESTABLISH(FEW);
	script_tuple(s, &t);
	WRITE(20000);
	for (int i = 0; i < 500 && acked < 20000; i++) {
		uint32_t before = acked;

		while (script_take(s, &g)) {
			if (g.len + 40 > mtu)
				tcp_icmp(s->e, &t, g.seq, TCP_ICMP_TOO_BIG, mtu, s->now);
			else if (g.seq - s->isn - 1 <= acked && g.seq - s->isn - 1 + g.len > acked)
				acked = g.seq - s->isn - 1 + g.len;
		}
		script_flush(s);
		if (acked != before) {
			IN(". 1:1(0) ack %u", acked + 1);
			mtu = mtu > 700 ? mtu - 50 : mtu;
		}
		WAIT_MS(20);
	}
	CHECK(acked == 20000);
	script_end(s);
}

static void black_hole(void)
{
	struct script *s = script_new("path MTU: a black hole is found without ICMP", &plain);
	struct seg g;
	uint32_t acked = 0;

	s->rtt_ms = 10;
	ESTABLISH(FEW);
	WRITE(20000);
	for (int i = 0; i < 6000 && acked < 20000; i++) {
		uint32_t before = acked;

		while (script_take(s, &g))
			if (g.len + 40 <= 1200 && g.seq - s->isn - 1 <= acked &&
			    g.seq - s->isn - 1 + g.len > acked)
				acked = g.seq - s->isn - 1 + g.len;
		if (acked != before)
			IN(". 1:1(0) ack %u", acked + 1);
		WAIT_MS(10);
	}
	CHECK(acked == 20000 && MIB(pmtu_black_holes) >= 1);
	script_end(s);
}

int main(void)
{
	rig_start("rfc-timer", 4096);
	keepalive();
	keepalive_in();
	user_timeout();
	service_timer();
	pmtu_icmp();
	pmtu_shrinks();
	black_hole();
	return 0;
}
