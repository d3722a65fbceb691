/* SPDX-License-Identifier: Apache-2.0 */
/* Loss: fast recovery, RACK-TLP (RFC 8985), timeouts (RFC 6298), F-RTO (RFC 5682), ECN (RFC 3168).
 */
#include "script.h"

static const struct script_options plain;

#define ALL  "<mss 1000,sackOK,TS val 1 ecr 0,wscale 7>"
#define SACK "<mss 1000,sackOK,wscale 7>"
#define FEW  "<mss 1000>"

static struct script *established(const char *name, const char *options)
{
	struct script *s = script_new(name, &plain);

	s->rtt_ms = 100;
	ESTABLISH(options);
	return s;
}

/* Writes n full segments; they come out. */
static void send(struct script *s, uint32_t n)
{
	uint32_t at = (uint32_t)s->written + 1;

	WRITE(n * 1000);
	for (uint32_t i = 0; i < n; i++, at += 1000)
		OUT(". %u:%u(1000) ack 1", at, at + 1000);
	NONE();
}

static uint32_t cwnd(const struct script *s)
{
	struct tcp_info info;

	tcp_info(s->c, &info);
	return info.cwnd;
}

static void sack_recovery(void)
{
	struct script *s = established("SACK: the hole is sent again after three duplicates", SACK);

	send(s, 10);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:2001>");
	NONE();
	IN(". 1:1(0) ack 1 <sack 1001:3001>");
	NONE();
	IN(". 1:1(0) ack 1 <sack 1001:4001>");
	OUT(". 1:1001(1000) ack 1");
	CHECK(MIB(recoveries) == 1 && MIB(retrans_fast) == 1);
	WAIT_MS(100);
	IN(". 1:1(0) ack 10001");
	NONE();
	CHECK(cwnd(s) >= 5 && cwnd(s) <= 8);
	CHECK(MIB(rtos) == 0);
	script_end(s);
}

static void two_holes(void)
{
	struct script *s = established("SACK: only what is missing is sent again", SACK);

	send(s, 10);
	WAIT_MS(100);
	/* 1001, 4001 are lost. */
	IN(". 1:1(0) ack 1001");
	IN(". 1:1(0) ack 1001 <sack 2001:3001>");
	IN(". 1:1(0) ack 1001 <sack 2001:4001>");
	NONE();
	IN(". 1:1(0) ack 1001 <sack 5001:6001 2001:4001>");
	OUT(". 1001:2001(1000) ack 1");
	IN(". 1:1(0) ack 1001 <sack 5001:7001 2001:4001>");
	IN(". 1:1(0) ack 1001 <sack 5001:8001 2001:4001>");
	OUT(". 4001:5001(1000) ack 1");
	IN(". 1:1(0) ack 1001 <sack 5001:10001 2001:4001>");
	NONE();
	WAIT_MS(100);
	IN(". 1:1(0) ack 4001 <sack 5001:10001>");
	IN(". 1:1(0) ack 10001");
	NONE();
	CHECK(MIB(retrans_segs) == 2);
	script_end(s);
}

static void newreno(void)
{
	struct script *s =
		established("without SACK: three duplicates, partial ACKs (RFC 6582)", FEW);

	send(s, 10);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1");
	IN(". 1:1(0) ack 1");
	NONE();
	IN(". 1:1(0) ack 1");
	OUT(". 1:1001(1000) ack 1");
	WAIT_MS(50);
	/* A partial acknowledgement shows the next hole. */
	IN(". 1:1(0) ack 3001");
	OUT(". 3001:4001(1000) ack 1");
	IN(". 1:1(0) ack 10001");
	NONE();
	CHECK(MIB(retrans_segs) == 2 && MIB(rtos) == 0);
	script_end(s);
}

static void limited_transmit(void)
{
	struct script *s = established("limited transmit (RFC 3042)", SACK);

	WRITE(20000);
	DROP();
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:2001>");
	OUT(". 10001:11001(1000) ack 1");
	IN(". 1:1(0) ack 1 <sack 1001:3001>");
	OUT(". 11001:12001(1000) ack 1");
	script_end(s);
}

/* RFC 8985: the reordering window is a fourth of the RTT. */
static void rack_reordering(void)
{
	struct script *s = established("RACK: little reordering does no harm", SACK);

	send(s, 4);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:2001>");
	NONE();
	WAIT_MS(10);
	IN(". 1:1(0) ack 2001");
	NONE();
	IN(". 1:1(0) ack 4001");
	NONE();
	CHECK(MIB(retrans_segs) == 0 && MIB(recoveries) == 0);

	send(s, 2);
	WAIT_MS(100);
	IN(". 1:1(0) ack 4001 <sack 5001:6001>");
	NONE();
	OUT_MS(10, 60, ". 4001:5001(1000) ack 1");
	CHECK(MIB(recoveries) == 1);
	script_end(s);
}

static void lost_retransmission(void)
{
	struct script *s =
		established("RACK: a lost retransmission is found without a timeout", SACK);

	send(s, 10);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:4001>");
	OUT(". 1:1001(1000) ack 1");
	/* New data sent after it arrives, it does not. */
	WRITE(4000);
	DROP();
	IN(". 1:1(0) ack 1 <sack 1001:10001>");
	DROP();
	WAIT_MS(110);
	IN(". 1:1(0) ack 1 <sack 1001:12001>");
	OUT_MS(0, 60, ". 1:1001(1000) ack 1");
	CHECK(MIB(rtos) == 0);
	script_end(s);
}

static void tail_loss(void)
{
	struct script *s = established("TLP: the last segment is sent again after two RTTs", SACK);

	send(s, 4);
	WAIT_MS(100);
	IN(". 1:1(0) ack 2001");
	OUT_MS(190, 230, ". 3001:4001(1000) ack 1");
	CHECK(MIB(retrans_tlp) == 1 && MIB(rtos) == 0);
	/* It was the third that was missing. */
	WAIT_MS(100);
	IN(". 1:1(0) ack 2001 <sack 3001:4001>");
	OUT_MS(0, 60, ". 2001:3001(1000) ack 1");
	IN(". 1:1(0) ack 4001");
	CHECK(MIB(rtos) == 0);
	script_end(s);

	s = established("TLP: new data if there is some", SACK);
	WRITE(12000);
	DROP();
	OUT_MS(190, 230, ". 10001:11001(1000) ack 1");
	script_end(s);

	/* RFC 8985 section 7.4: a probe that repaired a loss counts as congestion. */
	s = established("TLP: repaired loss reduces the window", SACK);
	send(s, 10);
	WAIT_MS(100);
	IN(". 1:1(0) ack 9001");
	/* The acknowledgement of a single segment may be delayed: more patience. */
	OUT_MS(190, 450, ". 9001:10001(1000) ack 1");
	WAIT_MS(100);
	IN(". 1:1(0) ack 10001");
	CHECK(MIB(tlp_recoveries) == 0);
	WRITE(1000);
	DROP();
	WAIT_MS(100);
	IN(". 1:1(0) ack 11001");
	CHECK(MIB(tlp_recoveries) == 1 && cwnd(s) < 15);
	script_end(s);
}

static void timeouts(void)
{
	struct script *s = established("RTO: doubles, and ends with the user timeout", FEW);
	uint32_t lo = 190;

	send(s, 1);
	for (int i = 0; i < 2; i++, lo *= 2)
		OUT_MS(lo, lo * 3, ". 1:1001(1000) ack 1");
	CHECK(MIB(rtos) >= 2 && cwnd(s) == 1);
	/* Then, perhaps, only small ones get through. */
	for (int i = 0; i < 3; i++, lo *= 2)
		OUT_MS(lo, lo * 3, ". 1:513(512) ack 1");
	/* Looked at with each timeout, which are two minutes apart at last. */
	WAIT_MS(1100000);
	CLOSED(TIMEOUT);
	CHECK(MIB(timeout_drops) == 1);
	script_end(s);
}

static void slow_start_after_timeout(void)
{
	struct script *s = established("RTO: slow start over what is lost", SACK);

	send(s, 10);
	/* The probe first, then the timeout. */
	OUT_MS(190, 230, ". 9001:10001(1000) ack 1");
	OUT_MS(200, 700, ". 1:1001(1000) ack 1");
	WAIT_MS(100);
	IN(". 1:1(0) ack 1001");
	DROP();
	CHECK(cwnd(s) >= 2 && cwnd(s) <= 3);
	WAIT_MS(100);
	IN(". 1:1(0) ack 3001");
	OUT(". 3001:4001(1000) ack 1");
	OUT(". 4001:5001(1000) ack 1");
	script_end(s);
}

static void frto(void)
{
	struct script *s = established("F-RTO: a spurious timeout is undone", SACK);
	uint32_t before;

	WRITE(30000);
	DROP();
	before = cwnd(s);
	OUT_MS(190, 230, ". 10001:11001(1000) ack 1");
	OUT_MS(200, 700, ". 1:1001(1000) ack 1");
	CHECK(cwnd(s) < before);
	/* All was only late. */
	IN(". 1:1(0) ack 1001");
	DROP();
	IN(". 1:1(0) ack 2001");
	DROP();
	IN(". 1:1(0) ack 3001");
	CHECK(MIB(undo_rto) == 1 && cwnd(s) >= before);
	script_end(s);

	s = established("Eifel: a spurious timeout is undone by timestamps", ALL);
	WRITE(10000);
	DROP();
	before = cwnd(s);
	{
		uint32_t ts = s->tsval;

		WAIT_MS(800);
		CHECK(MIB(rtos) >= 1);
		DROP();
		IN(". 1:1(0) ack 5001 <TS val 500 ecr %u>", ts);
	}
	CHECK(MIB(undo_rto) == 1 && cwnd(s) >= before);
	script_end(s);
}

static void dsack_undo(void)
{
	struct script *s = established("DSACK: a spurious recovery is undone", SACK);
	uint32_t before;

	send(s, 10);
	before = cwnd(s);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:4001>");
	OUT(". 1:1001(1000) ack 1");
	CHECK(MIB(recoveries) == 1);
	WAIT_MS(20);
	/* It was reordered only: it comes, and then the copy. */
	IN(". 1:1(0) ack 4001");
	WAIT_MS(80);
	IN(". 1:1(0) ack 4001 <sack 1:1001>");
	CHECK(MIB(dsack_in) == 1 && MIB(undo_recovery) == 1 && cwnd(s) >= before);
	script_end(s);
}

/* RFC 2018 section 8: the peer may take back what it SACKed. */
static void reneging(void)
{
	struct script *s = established("SACK reneging: all is sent again after a timeout", SACK);
	uint32_t sent = 0;
	struct seg g;

	send(s, 5);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 1001:5001>");
	DROP();
	IN(". 1:1(0) ack 1001");
	DROP();
	/* The peer kept nothing of it. */
	for (int i = 0; i < 100 && sent < 4; i++) {
		WAIT_MS(100);
		while (script_take(s, &g))
			if (g.seq - s->isn == 1001 + sent * 1000) {
				sent++;
				IN(". 1:1(0) ack %u", 1001 + sent * 1000);
			}
	}
	CHECK(sent == 4);
	script_end(s);
}

static void bad_sack(void)
{
	struct script *s = established("SACK blocks of what was never sent", SACK);

	send(s, 5);
	WAIT_MS(100);
	IN(". 1:1(0) ack 1 <sack 900001:901001>");
	IN(". 1:1(0) ack 1 <sack 3001:2001>");
	IN(". 1:1(0) ack 1 <sack 4001:9001>");
	IN(". 1:1(0) ack 1 <sack 1:4294967295>");
	NONE();
	CHECK(MIB(sack_blocks_invalid) >= 3 && MIB(recoveries) == 0);
	IN(". 1:1(0) ack 5001");
	STATE(ESTABLISHED);
	script_end(s);
}

/* ---- ECN ---- */

static void ecn(void)
{
	struct script *s = script_new("ECN: agreed upon, echoed, answered", &plain);
	uint32_t before;

	s->rtt_ms = 100;
	IN("SEW 0:0(0) win 65535 " SACK);
	OUT("SE. 0:0(0) ack 1 win * [none]");
	WAIT_MS(100);
	IN(". 1:1(0) ack 1");
	WRITE(10000);
	OUT(". 1:1001(1000) ack 1 [ECT0]");
	DROP();
	/* CE is echoed on all segments until CWR. */
	IN(". 1:1001(1000) ack 1 [CE]");
	OUT("E. 10001:10001(0) ack 1001 [none]");
	IN(". 1001:2001(1000) ack 1 [ECT0]");
	IN(". 2001:3001(1000) ack 1 [ECT0]");
	OUT("E. 10001:10001(0) ack *");
	DROP();
	IN("W. 3001:4001(1000) ack 1 [ECT0]");
	IN(". 4001:5001(1000) ack 1 [ECT0]");
	OUT(". 10001:10001(0) ack *");
	DROP();
	/* ECE reduces the window once per round trip; the next new data says CWR. */
	before = cwnd(s);
	IN("E. 5001:5001(0) ack 1001");
	IN("E. 5001:5001(0) ack 10001");
	CHECK(cwnd(s) < before && MIB(ecn_reductions) == 1);
	DROP();
	WRITE(1000);
	OUT("W. 10001:11001(1000) ack 5001 [ECT0]");
	WRITE(1000);
	OUT(". 11001:12001(1000) ack 5001 [ECT0]");
	script_end(s);

	s = script_new("ECN: retransmissions are not ECT", &plain);
	s->rtt_ms = 100;
	IN("SEW 0:0(0) win 65535 " SACK);
	OUT("SE. 0:0(0) ack 1");
	WAIT_MS(100);
	IN(". 1:1(0) ack 1");
	WRITE(1000);
	OUT(". 1:1001(1000) ack 1 [ECT0]");
	OUT_MS(200, 900, ". 1:1001(1000) ack 1 [none]");
	script_end(s);

	s = script_new("ECN: not agreed upon, CE means nothing", &plain);
	ESTABLISH(SACK);
	IN(". 1:1001(1000) ack 1 [CE]");
	OUT_MS(0, 500, ". 1:1(0) ack 1001");
	WRITE(1000);
	OUT(". 1:1001(1000) ack 1001 [none]");
	script_end(s);
}

int main(void)
{
	rig_start("rfc-recovery", 4096);
	sack_recovery();
	two_holes();
	newreno();
	limited_transmit();
	rack_reordering();
	lost_retransmission();
	tail_loss();
	timeouts();
	slow_start_after_timeout();
	frto();
	dsack_undo();
	reneging();
	bad_sack();
	ecn();
	return 0;
}
