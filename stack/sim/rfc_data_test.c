/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and receiving: delayed ACKs, Nagle, windows, reassembly, SACK blocks, segment sizes. */
#include "script.h"

static const struct script_options plain;

#define ALL  "<mss 1000,sackOK,TS val 1 ecr 0,wscale 7>"
#define SACK "<mss 1000,sackOK>"
#define FEW  "<mss 1000>"

static struct script *established(const char *name, const char *options)
{
	struct script *s = script_new(name, &plain);

	s->rtt_ms = 10;
	ESTABLISH(options);
	return s;
}

/* Beyond the quick ACKs of the beginning. */
static uint32_t warm(struct script *s)
{
	uint32_t at = 1;

	for (int i = 0; i < 40; i++, at += 2000) {
		IN(". %u:%u(1000) ack 1", at, at + 1000);
		IN(". %u:%u(1000) ack 1", at + 1000, at + 2000);
	}
	DROP();
	return at;
}

static void delayed_ack(void)
{
	struct script *s = established("delayed ACK: at once for the second full segment", FEW);
	uint32_t at = warm(s);

	WAIT_MS(500);
	DROP();
	IN(". %u:%u(1000) ack 1", at, at + 1000);
	IN(". %u:%u(1000) ack 1", at + 1000, at + 2000);
	OUT(". 1:1(0) ack %u", at + 2000);
	at += 2000;
	/* A single one has to be acknowledged within 500 ms. */
	IN("P. %u:%u(100) ack 1", at, at + 100);
	OUT_MS(0, 500, ". 1:1(0) ack %u", at + 100);
	script_end(s);
}

static void no_delayed_ack(void)
{
	const struct script_options o = {.opt = {.no_delayed_ack = true}};
	struct script *s = script_new("delayed ACK switched off", &o);
	uint32_t at = 1;

	ESTABLISH(FEW);
	for (int i = 0; i < 60; i++, at += 100) {
		IN("P. %u:%u(100) ack 1", at, at + 100);
		OUT(". 1:1(0) ack %u", at + 100);
	}
	script_end(s);
}

static void ack_with_data(void)
{
	struct script *s = established("an answer carries the acknowledgement", FEW);
	uint32_t at = warm(s);

	WAIT_MS(500);
	DROP();
	IN("P. %u:%u(100) ack 1", at, at + 100);
	DROP();
	WRITE(50);
	OUT("P. 1:51(50) ack %u", at + 100);
	WAIT_MS(40);
	NONE();
	script_end(s);
}

static void nagle(void)
{
	const struct script_options off = {.opt = {.no_nagle = true}};
	struct script *s = established("Nagle: one small segment in flight", FEW);

	WRITE(10);
	OUT("P. 1:11(10) ack 1");
	WRITE(10);
	WRITE(10);
	NONE();
	/* A full segment goes. */
	WRITE(1000);
	OUT(". 11:1011(1000) ack 1");
	NONE();
	IN(". 1:1(0) ack 1011");
	OUT("P. 1011:1031(20) ack 1");
	/* FIN is not held back. */
	WRITE(5);
	DO(tcp_shutdown(s->c));
	OUT("FP. 1031:1036(5) ack 1");
	script_end(s);

	s = script_new("Nagle switched off", &off);
	ESTABLISH(FEW);
	WRITE(10);
	OUT("P. 1:11(10) ack 1");
	WRITE(10);
	OUT("P. 11:21(10) ack 1");
	script_end(s);
}

static void cork(void)
{
	struct script *s = established("cork: only full segments", FEW);

	DO(tcp_cork(s->c, true));
	WRITE(600);
	NONE();
	WRITE(600);
	OUT(". 1:1001(1000) ack 1");
	NONE();
	DO(tcp_cork(s->c, false));
	IN(". 1:1(0) ack 1001");
	OUT("P. 1001:1201(200) ack 1");
	script_end(s);
}

static void initial_window(void)
{
	struct script *s = established("initial window of ten segments (RFC 6928)", FEW);

	WRITE(20000);
	for (uint32_t i = 0; i < 10; i++)
		OUT(". %u:%u(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
	NONE();
	/* Slow start: two for one. */
	IN(". 1:1(0) ack 2001");
	for (uint32_t i = 10; i < 14; i++)
		OUT(". %u:%u(1000) ack 1", 1 + i * 1000, 1001 + i * 1000);
	NONE();
	script_end(s);
}

static void peer_window(void)
{
	struct script *s = script_new("the peer's window is kept to", &plain);

	s->rtt_ms = 10;
	IN("S 0:0(0) win 2500 " FEW);
	OUT("S. 0:0(0) ack 1");
	WAIT_MS(10);
	IN(". 1:1(0) ack 1 win 2500");
	WRITE(5000);
	OUT(". 1:1001(1000) ack 1");
	OUT(". 1001:2001(1000) ack 1");
	/* The rest fits only in part: not while something is in flight (silly window). */
	NONE();
	IN(". 1:1(0) ack 2001 win 0");
	WAIT_MS(100);
	NONE();
	IN(". 1:1(0) ack 2001 win 3000");
	OUT(". 2001:3001(1000) ack 1");
	OUT(". 3001:4001(1000) ack 1");
	OUT("P. 4001:5001(1000) ack 1");
	script_end(s);
}

static void zero_window(void)
{
	struct script *s = script_new("zero window is probed, with growing pauses", &plain);
	struct seg g;
	uint64_t last;

	s->rtt_ms = 10;
	IN("S 0:0(0) win 1000 " FEW);
	OUT("S. 0:0(0) ack 1");
	WAIT_MS(10);
	IN(". 1:1(0) ack 1 win 1000");
	WRITE(3000);
	OUT(". 1:1001(1000) ack 1");
	IN(". 1:1(0) ack 1001 win 0");
	NONE();
	last = s->now;
	for (uint64_t i = 0, gap = 0; i < 6; i++) {
		uint64_t took;

		while (s->q_first == s->q_n)
			script_wait(s, 10 * MSEC);
		CHECK(script_take(s, &g));
		CHECK(g.len <= 1 && (g.seq == s->isn + 1000 || g.seq == s->isn + 1001));
		took = s->now - last;
		CHECK(took >= gap + gap / 2 && took < 130 * SEC);
		gap = took;
		last = s->now;
		IN(". 1:1(0) ack 1001 win 0");
		NONE();
	}
	CHECK(MIB(zero_window_probes) == 6 && MIB(zero_window_in) == 1);
	/* Probes that are answered keep a connection for ever. */
	for (int i = 0; i < 30; i++) {
		WAIT_MS(60000);
		if (script_take(s, &g))
			IN(". 1:1(0) ack 1001 win 0");
		DROP();
	}
	STATE(ESTABLISHED);
	IN(". 1:1(0) ack 1001 win 65535");
	OUT(". 1001:2001(1000) ack 1");
	OUT("P. 2001:3001(1000) ack 1");
	script_end(s);
}

static void window_scale(void)
{
	const struct script_options off = {.opt = {.no_window_scale = true}};
	struct script *s = script_new("window scale: 14 at most", &plain);
	struct tcp_info info;

	IN("S 0:0(0) win 65535 <mss 1000,wscale 200>");
	OUT("S. 0:0(0) ack 1 win * <mss 1460,wscale *>");
	IN(". 1:1(0) ack 1 win 100");
	tcp_info(s->c, &info);
	CHECK(info.snd_wscale == 14 && info.snd_wnd == 100u << 14);
	script_end(s);

	s = script_new("window scale: off here", &off);
	IN("S 0:0(0) win 65535 <mss 1000,wscale 7>");
	OUT("S. 0:0(0) ack 1 win * <mss 1460>");
	IN(". 1:1(0) ack 1 win 100");
	tcp_info(s->c, &info);
	CHECK(info.snd_wscale == 0 && info.rcv_wscale == 0 && info.snd_wnd == 100);
	script_end(s);

	/* The windows of SYN and SYN-ACK are not scaled. */
	s = script_new("window scale: not in the SYN", &plain);
	IN("S 0:0(0) win 3000 <mss 1000,wscale 7>");
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1 win 50");
	tcp_info(s->c, &info);
	CHECK(info.snd_wnd == 50u << 7);
	script_end(s);
}

static void mss(void)
{
	const struct script_options small = {.opt = {.mss = 300}};
	const struct script_options jumbo = {.mtu = 9000};
	struct script *s = script_new("MSS: none given means 536", &plain);

	IN("S 0:0(0) win 65535");
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1");
	CHECK(tcp_conn_mss(s->c) == 536);
	WRITE(1000);
	OUT(". 1:537(536) ack 1");
	script_end(s);

	s = script_new("MSS: tiny ones are not believed", &plain);
	IN("S 0:0(0) win 65535 <mss 1>");
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1");
	CHECK(tcp_conn_mss(s->c) >= 48);
	script_end(s);

	s = script_new("MSS: ours is announced and used", &small);
	IN("S 0:0(0) win 65535 <mss 1460>");
	OUT("S. 0:0(0) ack 1 win * <mss 300>");
	IN(". 1:1(0) ack 1");
	WRITE(600);
	OUT(". 1:301(300) ack 1");
	OUT("P. 301:601(300) ack 1");
	script_end(s);

	s = script_new("MSS: of a jumbo MTU", &jumbo);
	IN("S 0:0(0) win 65535 <mss 8960,TS val 1 ecr 0>");
	OUT("S. 0:0(0) ack 1 win * <mss 8960,TS val * ecr 1>");
	IN(". 1:1(0) ack 1 <TS val 2 ecr @>");
	CHECK(tcp_conn_mss(s->c) == 8948);
	script_end(s);
}

/* RFC 9293: what overlaps is cut; what came first stays. */
static void overlaps(void)
{
	struct script *s = established("overlapping segments", SACK);

	IN(". 1:101(100) ack 1");
	IN(". 51:151(100) ack 1");
	GOT(150);
	IN(". 1:151(150) ack 1");
	IN(". 1:201(200) ack 1");
	GOT(200);
	/* Out of order, overlapping each other. */
	IN(". 401:501(100) ack 1");
	IN(". 301:451(150) ack 1");
	IN(". 351:601(250) ack 1");
	GOT(200);
	IN(". 201:321(120) ack 1");
	GOT(600);
	script_end(s);

	s = established("conflicting content: the first wins", SACK);
	IN(". 101:201(100) ack 1");
	IN_FILL(0xee, ". 101:201(100) ack 1");
	IN_FILL(0xee, ". 51:201(150) ack 1");
	IN(". 1:101(100) ack 1");
	CHECK(s->got_n == 200);
	/* Octets 51 to 100 came first with the second of these, the others as they were sent. */
	CHECK(s->got[75] == 0xee && s->got[50] == 0xee);
	IN_FILL(0xdd, ". 1:201(200) ack 1");
	CHECK(s->got_n == 200);
	script_end(s);
}

static void sack_blocks(void)
{
	struct script *s = established("SACK: newest block first, at most as many as fit", SACK);

	IN(". 1001:2001(1000) ack 1");
	OUT(". 1:1(0) ack 1 win * <sack 1001:2001>");
	IN(". 3001:4001(1000) ack 1");
	OUT(". 1:1(0) ack 1 win * <sack 3001:4001 1001:2001>");
	IN(". 5001:6001(1000) ack 1");
	OUT(". 1:1(0) ack 1 win * <sack 5001:6001 3001:4001 1001:2001>");
	IN(". 7001:8001(1000) ack 1");
	OUT(". 1:1(0) ack 1 win * <sack 7001:8001 5001:6001 3001:4001 1001:2001>");
	IN(". 2001:3001(1000) ack 1");
	OUT(". 1:1(0) ack 1 win * <sack 1001:4001 7001:8001 5001:6001>");
	IN(". 1:1001(1000) ack 1");
	OUT(". 1:1(0) ack 4001 win * <sack 7001:8001 5001:6001>");
	GOT(4000);
	script_end(s);

	s = established("SACK: three with timestamps", "<mss 1000,sackOK,TS val 1 ecr 0,wscale 7>");
	for (uint32_t i = 0; i < 5; i++)
		IN(". %u:%u(100) ack 1 <TS val 2 ecr @>", 1001 + i * 200, 1101 + i * 200);
	for (int i = 0; i < 4; i++)
		OUT(". 1:1(0) ack 1");
	OUT(". 1:1(0) ack 1 win * <TS val * ecr 1,sack 1801:1901 1601:1701 1401:1501>");
	script_end(s);
}

static void dsack(void)
{
	struct script *s = established("DSACK (RFC 2883)", SACK);

	IN(". 1:1001(1000) ack 1");
	DROP();
	IN(". 1:1001(1000) ack 1");
	OUT(". 1:1(0) ack 1001 win * <sack 1:1001>");
	IN(". 501:1501(1000) ack 1");
	OUT(". 1:1(0) ack 1501 win * <sack 501:1001>");
	/* A duplicate of what is queued: followed by the block it lies in. */
	IN(". 2001:3001(1000) ack 1");
	OUT(". 1:1(0) ack 1501 win * <sack 2001:3001>");
	IN(". 2001:2501(500) ack 1");
	OUT(". 1:1(0) ack 1501 win * <sack 2001:2501 2001:3001>");
	CHECK(MIB(dsack_out) == 3);
	script_end(s);
}

static void fin_out_of_order(void)
{
	struct script *s = established("FIN before the data in front of it", SACK);

	IN("F. 1001:2001(1000) ack 1");
	STATE(ESTABLISHED);
	CHECK(!s->eof);
	IN(". 1:1001(1000) ack 1");
	GOT(2000);
	CHECK(s->eof);
	STATE(CLOSE_WAIT);
	DROP();
	/* Nothing comes after a FIN. */
	IN(". 2001:2101(100) ack 1");
	GOT(2000);
	script_end(s);
}

static void receive_window(void)
{
	const struct script_options o = {.opt = {.rcvbuf_max = 4000}};
	struct script *s = script_new("the receive window closes and opens", &o);
	struct tcp_info info;

	s->no_read = true;
	ESTABLISH(FEW);
	for (uint32_t at = 1; at < 20001; at += 500)
		IN(". %u:%u(500) ack 1", at, at + 500);
	tcp_info(s->c, &info);
	CHECK(info.recv_queue >= 1000 && info.recv_queue <= 20000);
	CHECK(MIB(zero_window_out) >= 1);
	DROP();
	/* A probe is answered. */
	IN(". %u:%u(0) ack 1", info.recv_queue, info.recv_queue);
	OUT(". 1:1(0) ack %u win 0", 1 + info.recv_queue);
	script_read(s, UINT32_MAX);
	OUT(". 1:1(0) ack %u", 1 + info.recv_queue);
	GOT(info.recv_queue);
	tcp_info(s->c, &info);
	CHECK(info.rcv_wnd >= 1000);
	script_end(s);
}

int main(void)
{
	rig_start("rfc-data", 4096);
	delayed_ack();
	no_delayed_ack();
	ack_with_data();
	nagle();
	cork();
	initial_window();
	peer_window();
	zero_window();
	window_scale();
	mss();
	overlaps();
	sack_blocks();
	dsack();
	fin_out_of_order();
	receive_window();
	return 0;
}
