/* SPDX-License-Identifier: Apache-2.0 */
/* Blind attacks (RFC 5961), PAWS (RFC 7323), TIME-WAIT (RFC 6191), and ICMP (RFC 5927). */
#include "script.h"

static const struct script_options plain;

#define ALL "<mss 1460,sackOK,TS val 1000 ecr 0,wscale 7>"
#define FEW "<mss 1460>"

static struct script *begin(const char *name)
{
	return script_new(name, &plain);
}

static struct script *established(const char *name)
{
	struct script *s = begin(name);

	ESTABLISH(FEW);
	return s;
}

static void syn_in_established(void)
{
	struct script *s = established("SYN in ESTABLISHED: challenge ACK");

	IN("S 1:1(0) win 100 <mss 100>");
	OUT(". 1:1(0) ack 1");
	WAIT_MS(1000);
	IN("S 900000:900000(0) win 100");
	OUT(". 1:1(0) ack 1");
	WAIT_MS(1000);
	IN("S. 1:1(0) ack 1 win 100");
	OUT(". 1:1(0) ack 1");
	STATE(ESTABLISHED);
	CHECK(MIB(challenge_acks) == 3 && MIB(drop_syn) == 3);
	script_end(s);
}

static void inexact_reset(void)
{
	struct script *s = established("RST: exact, in the window, outside");

	IN("R 2:2(0)");
	OUT(". 1:1(0) ack 1");
	WAIT_MS(1000);
	IN("R 30000:30000(0)");
	OUT(". 1:1(0) ack 1");
	WAIT_MS(1000);
	IN("R 0:0(0)");
	IN("R 9000000:9000000(0)");
	NONE();
	STATE(ESTABLISHED);
	CHECK(MIB(drop_rst) >= 2 && MIB(in_rsts) == 0);
	IN("R 1:1(0)");
	CLOSED(RESET);
	script_end(s);
}

/* A peer that reset after data which is lost learns by the challenge where to put its RST. */
static void reset_after_hole(void)
{
	struct script *s = established("RST behind a hole");

	IN("R 1001:1001(0)");
	OUT(". 1:1(0) ack 1");
	IN("R 1:1(0)");
	CLOSED(RESET);
	script_end(s);
}

static void blind_data(void)
{
	struct script *s = established("ACK of what was never sent, or long ago");

	IN("P. 1:101(100) ack 5000");
	OUT(". 1:1(0) ack 1");
	GOT(0);
	WAIT_MS(1000);
	IN("P. 1:101(100) ack 3000000000");
	OUT(". 1:1(0) ack 1");
	GOT(0);
	CHECK(MIB(drop_ack) == 2);
	IN("P. 1:101(100) ack 1");
	GOT(100);
	script_end(s);
}

static void out_of_window(void)
{
	struct script *s = established("data outside of the window is acknowledged, not taken");

	IN("P. 10000001:10000101(100) ack 1");
	OUT(". 1:1(0) ack 1");
	CHECK(MIB(drop_window) == 1);
	GOT(0);
	/* Not each one: two machines could go on for ever. */
	for (int i = 0; i < 100; i++)
		IN(". 10000001:10000001(0) ack 1");
	CHECK(s->q_n - s->q_first <= 1);
	script_end(s);
}

static void no_ack_flag(void)
{
	struct script *s = established("segments without ACK are dropped");

	IN("P 1:101(100)");
	NONE();
	GOT(0);
	CHECK(MIB(drop_no_ack) == 1);
	script_end(s);
}

static void challenge_limit(void)
{
	const struct script_options o = {.cfg = {.challenge_ack_rate = 10}};
	struct script *s = script_new("challenge ACKs are limited for all together", &o);
	struct seg g;
	uint32_t n = 0;

	for (int i = 0; i < 50; i++) {
		s->rport = (uint16_t)(50000 + i);
		ESTABLISH(FEW);
		IN("R 2:2(0)");
		while (script_take(s, &g))
			n++;
	}
	CHECK(n >= 10 && n <= 20);
	CHECK(MIB(challenge_acks_limited) >= 30);
	script_end(s);
}

static void paws(void)
{
	struct script *s = begin("PAWS: old timestamps are not taken");

	ESTABLISH("<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>");
	IN("P. 1:101(100) ack 1 <TS val 5000 ecr @>");
	GOT(100);
	DROP();
	IN("P. 101:201(100) ack 1 <TS val 4999 ecr @>");
	OUT(". 1:1(0) ack 101 win * <TS val * ecr 5000>");
	GOT(100);
	CHECK(MIB(drop_paws) == 1);
	/* A RST is excepted (RFC 7323 section 5.2), and so is what has no timestamp at all. */
	IN("P. 101:201(100) ack 1 <TS val 5001 ecr @>");
	GOT(200);
	IN("R 201:201(0) <TS val 1 ecr 0>");
	CLOSED(RESET);
	script_end(s);

	s = begin("PAWS: after 24 days the old timestamp counts no more");
	ESTABLISH("<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>");
	IN("P. 1:101(100) ack 1 <TS val 5000 ecr @>");
	DROP();
	WAIT_MS(25ull * 24 * 3600 * 1000);
	IN("P. 101:201(100) ack 1 <TS val 4000 ecr @>");
	GOT(200);
	script_end(s);
}

static void ts_recent(void)
{
	struct script *s = begin("TS.Recent is of the segment at Last.ACK.sent");

	ESTABLISH("<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>");
	IN(". 1:101(100) ack 1 <TS val 100 ecr @>");
	WAIT_MS(300);
	DROP();
	/* Out of order: the echo stays. */
	IN(". 201:301(100) ack 1 <TS val 200 ecr @>");
	OUT(". 1:1(0) ack 101 win * <TS val * ecr 100,sack 201:301>");
	IN(". 101:201(100) ack 1 <TS val 150 ecr @>");
	OUT(". 1:1(0) ack 301 win * <TS val * ecr 150>");
	script_end(s);
}

/* Without timestamps in the SYN there are none later; what comes with some is taken. */
static void ts_not_agreed(void)
{
	struct script *s = established("timestamps that were not agreed upon");

	IN("P. 1:101(100) ack 1 <TS val 1 ecr 1>");
	GOT(100);
	DROP();
	WRITE(10);
	OUT("P. 1:11(10) ack 101 win * <>");
	script_end(s);
}

/* ---- TIME-WAIT ---- */

static struct script *time_wait(const char *name, const char *options)
{
	struct script *s = begin(name);
	bool ts = strstr(options, "TS") != NULL;

	ESTABLISH(options);
	DO(tcp_shutdown(s->c));
	OUT("F. 1:1(0) ack 1");
	IN("F. 1:1(0) ack 2%s", ts ? " <TS val 1005 ecr @>" : "");
	OUT(". 2:2(0) ack 2");
	CLOSED(DONE);
	s->closed = false;
	return s;
}

static void time_wait_reuse(void)
{
	struct script *s = time_wait("TIME-WAIT: new SYN with a newer timestamp (RFC 6191)",
				     "<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>");

	WAIT_MS(1500);
	s->peer_isn += 7;
	IN("S 0:0(0) win 65535 <mss 1460,sackOK,TS val 4000 ecr 0,wscale 7>");
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1 <TS val 4001 ecr @>");
	STATE(ESTABLISHED);
	CHECK(MIB(time_wait_reused) == 1);
	script_end(s);

	s = time_wait("TIME-WAIT: new SYN with a higher sequence number", FEW);
	WAIT_MS(1500);
	s->peer_isn += 100000;
	IN("S 0:0(0) win 65535 <mss 1460>");
	OUT("S. 0:0(0) ack 1");
	CHECK(MIB(time_wait_reused) == 1);
	script_end(s);

	s = time_wait("TIME-WAIT: old SYN is answered by an ACK", FEW);
	WAIT_MS(1500);
	IN("S 0:0(0) win 65535 <mss 1460>");
	OUT(". 2:2(0) ack 2");
	CHECK(MIB(time_wait_reused) == 0);
	script_end(s);
}

/* A connection from here to where one of the same ports is in TIME-WAIT takes its place. */
static void time_wait_connect(void)
{
	const struct tcp_options o = {.no_timestamps = true};
	struct script *s = time_wait("TIME-WAIT: connect from the same port", FEW);
	uint32_t before = s->isn;
	struct tcp_usage u;

	DO(script_reconnect(s, &o));
	OUT("S 0:0(0)");
	CHECK((int32_t)(s->isn - before) > 65537);
	tcp_usage(s->e, &u);
	CHECK(u.time_wait == 0 && MIB(time_wait_reused) == 1);
	s->peer_isn += 100000;
	IN("S. 0:0(0) ack 1 win 65535 <mss 1460>");
	OUT(". 1:1(0) ack 1");
	STATE(ESTABLISHED);
	WRITE(10);
	OUT("P. 1:11(10) ack 1");
	script_end(s);
}

/* RFC 1337: TIME-WAIT is not to be assassinated. */
static void time_wait_reset(void)
{
	struct script *s = time_wait("TIME-WAIT: RST", FEW);
	struct tcp_usage u;

	IN("R 500:500(0)");
	tcp_usage(s->e, &u);
	CHECK(u.time_wait == 1);
	WAIT_MS(1000);
	IN("P. 2:102(100) ack 2");
	OUT(". 2:2(0) ack 2");
	script_end(s);
}

static void time_wait_full(void)
{
	const struct script_options o = {.cfg = {.max_time_wait = 4}};
	struct script *s = script_new("TIME-WAIT table full: the oldest goes", &o);
	struct tcp_usage u;

	for (int i = 0; i < 10; i++) {
		s->rport = (uint16_t)(50000 + i);
		ESTABLISH(FEW);
		DO(tcp_shutdown(s->c));
		OUT("F. 1:1(0) ack 1");
		IN("F. 1:1(0) ack 2");
		OUT(". 2:2(0) ack 2");
		CLOSED(DONE);
		s->closed = false;
	}
	tcp_usage(s->e, &u);
	CHECK(u.time_wait == 4 && MIB(time_wait_recycled) == 6);
	/* One that is gone is answered by RST, and no harm is done. */
	s->rport = 50000;
	IN("F. 1:1(0) ack 2");
	OUT("R *(0)");
	script_end(s);
}

/* ---- ICMP ---- */

static void icmp_sequence(void)
{
	struct script *s = established("ICMP is believed only about what is in flight");
	struct tcp_tuple t;

	script_tuple(s, &t);
	WRITE(1000);
	OUT("P. 1:1001(1000) ack 1");
	CHECK(tcp_icmp(s->e, &t, s->isn + 5000, TCP_ICMP_TOO_BIG, 600, s->now));
	CHECK(tcp_icmp(s->e, &t, s->isn - 5000, TCP_ICMP_TOO_BIG, 600, s->now));
	CHECK(MIB(icmp_ignored) == 2 && MIB(pmtu_reductions) == 0);
	/* An established connection is not ended by ICMP. */
	tcp_icmp(s->e, &t, s->isn + 1, TCP_ICMP_HARD, 0, s->now);
	tcp_icmp(s->e, &t, s->isn + 1, TCP_ICMP_SOFT, 0, s->now);
	script_flush(s);
	STATE(ESTABLISHED);
	t.rport ^= 1;
	CHECK(!tcp_icmp(s->e, &t, s->isn + 1, TCP_ICMP_HARD, 0, s->now));
	script_end(s);
}

static void icmp_connecting(void)
{
	static const struct tcp_options defaults;
	struct script *s = begin("ICMP port unreachable ends an attempt to connect");
	struct tcp_tuple t;

	DO(script_connect(s, &defaults));
	OUT("S 0:0(0)");
	script_tuple(s, &t);
	tcp_icmp(s->e, &t, s->isn, TCP_ICMP_SOFT, 0, s->now);
	script_flush(s);
	STATE(SYN_SENT);
	tcp_icmp(s->e, &t, s->isn, TCP_ICMP_HARD, 0, s->now);
	script_flush(s);
	CLOSED(UNREACHABLE);
	script_end(s);
}

int main(void)
{
	rig_start("rfc-5961", 4096);
	syn_in_established();
	inexact_reset();
	reset_after_hole();
	blind_data();
	out_of_window();
	no_ack_flag();
	challenge_limit();
	paws();
	ts_recent();
	ts_not_agreed();
	time_wait_reuse();
	time_wait_connect();
	time_wait_reset();
	time_wait_full();
	icmp_sequence();
	icmp_connecting();
	return 0;
}
