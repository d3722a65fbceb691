/* SPDX-License-Identifier: Apache-2.0 */
/* The states of RFC 9293 and the ways between them. */
#include "script.h"

static const struct script_options plain;
static const struct tcp_options defaults;

#define ALL "<mss 1460,sackOK,TS val 1 ecr 0,wscale 7>"

static struct script *begin(const char *name)
{
	return script_new(name, &plain);
}

static void passive_open(void)
{
	struct script *s = begin("passive open");

	IN("S 0:0(0) win 65535 " ALL);
	OUT("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 1,wscale *>");
	CHECK(s->accepted == 0);
	IN(". 1:1(0) ack 1 <TS val 2 ecr @>");
	CHECK(s->accepted == 1);
	STATE(ESTABLISHED);
	NONE();
	script_end(s);

	s = begin("passive open without options");
	IN("S 0:0(0) win 1000");
	OUT("S. 0:0(0) ack 1 win * <mss 1460>");
	IN(". 1:1(0) ack 1 win 1000");
	STATE(ESTABLISHED);
	script_end(s);
}

static void passive_open6(void)
{
	const struct script_options o = {.family = 6};
	struct script *s = script_new("passive open, IPv6", &o);

	IN("S 0:0(0) " ALL);
	OUT("S. 0:0(0) ack 1 win * <mss 1440,sackOK,TS val * ecr 1,wscale *>");
	IN("P. 1:101(100) ack 1 <TS val 2 ecr @>");
	GOT(100);
	script_end(s);
}

/* Data and FIN may come with the handshake's last segment. */
static void data_with_last_ack(void)
{
	struct script *s = begin("data and FIN with the handshake's last ACK");

	IN("S 0:0(0) " ALL);
	OUT("S. 0:0(0) ack 1");
	IN("FP. 1:101(100) ack 1 <TS val 2 ecr @>");
	GOT(100);
	CHECK(s->eof);
	STATE(CLOSE_WAIT);
	OUT(". 1:1(0) ack 102");
	script_end(s);
}

static void syn_ack_again(void)
{
	struct script *s = begin("SYN-ACK retransmitted, SYN repeated");

	IN("S 0:0(0) " ALL);
	OUT("S. 0:0(0) ack 1");
	IN("S 0:0(0) " ALL);
	OUT("S. 0:0(0) ack 1");
	OUT_MS(900, 1300, "S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 1,wscale *>");
	OUT_MS(1800, 2600, "S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1 <TS val 2 ecr @>");
	STATE(ESTABLISHED);
	script_end(s);

	s = begin("SYN-ACKs end");
	IN("S 0:0(0) " ALL);
	for (int i = 0; i < 6; i++)
		OUT_MS(0, 40000, "S. 0:0(0) ack 1");
	WAIT_MS(130000);
	NONE();
	CHECK(s->accepted == 0 && MIB(attempt_fails) == 1);
	script_end(s);
}

/* RFC 9293 section 3.10.7.4: a bad ACK in SYN-RECEIVED is answered by RST. */
static void syn_received_bad_ack(void)
{
	struct script *s = begin("SYN-RECEIVED, unacceptable ACK");

	IN("S 0:0(0) win 65535 <mss 1460>");
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 500");
	OUT("R 500:500(0)");
	IN(". 1:1(0) ack 1");
	STATE(ESTABLISHED);
	script_end(s);

	s = begin("SYN-RECEIVED, RST");
	IN("S 0:0(0) win 65535 <mss 1460>");
	OUT("S. 0:0(0) ack 1");
	IN("R 1:1(0)");
	NONE();
	IN(". 1:1(0) ack 1");
	OUT("R 1:1(0)");
	CHECK(s->accepted == 0);
	script_end(s);
}

static void active_open(void)
{
	struct script *s = begin("active open");

	DO(script_connect(s, &defaults));
	OUT("S 0:0(0) win * <mss 1460,sackOK,TS val * ecr 0,wscale *>");
	IN("S. 0:0(0) ack 1 win 65535 <mss 1000,sackOK,TS val 9 ecr @,wscale 3>");
	OUT(". 1:1(0) ack 1 win * <TS val * ecr 9>");
	CHECK(s->connected == 1);
	STATE(ESTABLISHED);
	CHECK(tcp_conn_mss(s->c) == 988);
	script_end(s);
}

static void syn_sent(void)
{
	struct script *s = begin("SYN-SENT: unacceptable ACKs, RSTs");

	DO(script_connect(s, &defaults));
	OUT("S 0:0(0)");
	IN(". 0:0(0) ack 77");
	OUT("R 77:77(0)");
	IN("S. 0:0(0) ack 2 win 65535");
	OUT("R 2:2(0)");
	/* A RST has to acknowledge the SYN. */
	IN("R. 0:0(0) ack 0");
	IN("R 0:0(0)");
	IN("R. 0:0(0) ack 2");
	NONE();
	STATE(SYN_SENT);
	IN("R. 0:0(0) ack 1");
	CLOSED(REFUSED);
	NONE();
	script_end(s);
}

static void syn_timeout(void)
{
	const struct tcp_options o = {.connect_timeout_ms = 5000};
	struct script *s = begin("SYN-SENT: nobody answers");

	DO(script_connect(s, &o));
	OUT("S 0:0(0)");
	OUT_MS(900, 1300, "S 0:0(0)");
	OUT_MS(1800, 2600, "S 0:0(0)");
	WAIT_MS(3000);
	CLOSED(TIMEOUT);
	script_end(s);
}

static void simultaneous_open(void)
{
	struct script *s = begin("simultaneous open");

	DO(script_connect(s, &defaults));
	OUT("S 0:0(0)");
	IN("S 0:0(0) win 65535 <mss 1460,sackOK,TS val 5 ecr 0,wscale 2>");
	OUT("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 5,wscale *>");
	STATE(SYN_RECEIVED);
	IN("S. 0:0(0) ack 1 win 65535 <mss 1460,sackOK,TS val 6 ecr @,wscale 2>");
	STATE(ESTABLISHED);
	CHECK(s->connected == 1);
	script_end(s);
}

static void active_close(void)
{
	struct script *s = begin("active close: FIN-WAIT-1, FIN-WAIT-2, TIME-WAIT");
	struct tcp_usage u;

	ESTABLISH(ALL);
	DO(tcp_shutdown(s->c));
	OUT("F. 1:1(0) ack 1");
	STATE(FIN_WAIT_1);
	IN(". 1:1(0) ack 2 <TS val 3 ecr @>");
	STATE(FIN_WAIT_2);
	IN("P. 1:11(10) ack 2 <TS val 4 ecr @>");
	GOT(10);
	DROP();
	IN("F. 11:11(0) ack 2 <TS val 5 ecr @>");
	OUT(". 2:2(0) ack 12");
	CLOSED(DONE);
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0 && u.time_wait == 1);
	/* The last ACK was lost. */
	IN("F. 11:11(0) ack 2 <TS val 6 ecr @>");
	OUT(". 2:2(0) ack 12");
	WAIT_MS(61000);
	tcp_usage(s->e, &u);
	CHECK(u.time_wait == 0);
	script_end(s);
}

static void passive_close(void)
{
	struct script *s = begin("passive close: CLOSE-WAIT, LAST-ACK");
	struct tcp_usage u;

	ESTABLISH(ALL);
	IN("F. 1:1(0) ack 1 <TS val 3 ecr @>");
	OUT(". 1:1(0) ack 2");
	STATE(CLOSE_WAIT);
	CHECK(s->eof && !s->closed);
	WRITE(100);
	OUT("P. 1:101(100) ack 2");
	IN(". 2:2(0) ack 101 <TS val 4 ecr @>");
	DO(tcp_shutdown(s->c));
	OUT("F. 101:101(0) ack 2");
	STATE(LAST_ACK);
	IN(". 2:2(0) ack 102 <TS val 5 ecr @>");
	CLOSED(DONE);
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0 && u.time_wait == 0);
	script_end(s);
}

static void simultaneous_close(void)
{
	struct script *s = begin("simultaneous close: CLOSING");
	struct tcp_usage u;

	ESTABLISH(ALL);
	DO(tcp_shutdown(s->c));
	OUT("F. 1:1(0) ack 1");
	IN("F. 1:1(0) ack 1 <TS val 3 ecr @>");
	OUT(". 2:2(0) ack 2");
	STATE(CLOSING);
	IN(". 2:2(0) ack 2 <TS val 4 ecr @>");
	CLOSED(DONE);
	tcp_usage(s->e, &u);
	CHECK(u.time_wait == 1);
	script_end(s);
}

/* FIN and its acknowledgement in one. */
static void fin_wait_1_both(void)
{
	struct script *s = begin("FIN-WAIT-1 to TIME-WAIT at once");

	ESTABLISH(ALL);
	DO(tcp_shutdown(s->c));
	OUT("F. 1:1(0) ack 1");
	IN("F. 1:1(0) ack 2 <TS val 3 ecr @>");
	OUT(". 2:2(0) ack 2");
	CLOSED(DONE);
	script_end(s);
}

static void half_close(void)
{
	struct script *s = begin("half close: data goes on in FIN-WAIT-2");

	ESTABLISH(ALL);
	WRITE(50);
	OUT("P. 1:51(50) ack 1");
	DO(tcp_shutdown(s->c));
	OUT("F. 51:51(0) ack 1");
	CHECK(tcp_write_copy(s->c, "x", 1) == -32);
	IN(". 1:1(0) ack 52 <TS val 3 ecr @>");
	for (uint32_t i = 0; i < 100; i++) {
		IN("P. %u:%u(1000) ack 52 <TS val %u ecr @>", 1 + i * 1000, 1001 + i * 1000, 4 + i);
		WAIT_MS(1000);
	}
	GOT(100000);
	STATE(FIN_WAIT_2);
	script_end(s);
}

/* A service that called tcp_close() does not wait for ever (FIN-WAIT-2), and takes no data. */
static void closed_service(void)
{
	const struct script_options o = {.opt = {.fin_wait2_ms = 3000}};
	struct script *s = script_new("FIN-WAIT-2 ends after tcp_close()", &o);
	struct tcp_usage u;

	ESTABLISH(ALL);
	DO(tcp_close(s->c); s->c = NULL);
	OUT("F. 1:1(0) ack 1");
	IN(". 1:1(0) ack 2 <TS val 3 ecr @>");
	tcp_usage(s->e, &u);
	CHECK(u.conns == 1);
	WAIT_MS(3500);
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0);
	script_end(s);

	s = begin("data after tcp_close() is answered by RST");
	ESTABLISH(ALL);
	DO(tcp_close(s->c); s->c = NULL);
	OUT("F. 1:1(0) ack 1");
	IN("P. 1:101(100) ack 2 <TS val 3 ecr @>");
	OUT("R 2:2(0)");
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0);
	script_end(s);

	s = begin("tcp_close() with unread data resets (RFC 2525)");
	s->no_read = true;
	ESTABLISH(ALL);
	IN("P. 1:101(100) ack 1 <TS val 3 ecr @>");
	DROP();
	DO(tcp_close(s->c); s->c = NULL);
	OUT("R. 1:1(0) ack 101");
	NONE();
	script_end(s);
}

static void resets(void)
{
	struct script *s = begin("RST in each state");

	ESTABLISH(ALL);
	IN("R 1:1(0)");
	CLOSED(RESET);
	CHECK(MIB(estab_resets) == 1);
	NONE();
	script_end(s);

	s = begin("RST in CLOSE-WAIT");
	ESTABLISH(ALL);
	IN("F. 1:1(0) ack 1 <TS val 3 ecr @>");
	OUT(". 1:1(0) ack 2");
	IN("R 2:2(0)");
	CLOSED(RESET);
	script_end(s);

	s = begin("RST in FIN-WAIT-2");
	ESTABLISH(ALL);
	DO(tcp_shutdown(s->c));
	OUT("F. 1:1(0) ack 1");
	IN(". 1:1(0) ack 2 <TS val 3 ecr @>");
	IN("R 1:1(0)");
	CLOSED(RESET);
	script_end(s);

	s = begin("tcp_abort()");
	ESTABLISH(ALL);
	WRITE(10);
	OUT("P. 1:11(10) ack 1");
	DO(tcp_abort(s->c); s->c = NULL);
	OUT("R. 11:11(0) ack 1");
	IN(". 1:1(0) ack 11 <TS val 3 ecr @>");
	OUT("R 11:11(0)");
	script_end(s);

	s = begin("tcp_kill()");
	ESTABLISH(ALL);
	DO(tcp_kill(s->c));
	OUT("R. 1:1(0) ack 1");
	CLOSED(ABORTED);
	script_end(s);
}

/* RFC 9293 section 3.10.7.1. */
static void no_connection(void)
{
	struct script *s = begin("segments without a connection");

	IN(". 5:5(0) ack 7");
	OUT("R 7:7(0)");
	s->lport = 81;
	IN("S 10:10(0) win 100");
	OUT("R. *(0) ack 11");
	IN("F 10:110(100)");
	OUT("R. *(0) ack 111");
	IN("R 10:10(0)");
	NONE();
	script_end(s);
}

static void refused_by_service(void)
{
	struct script *s = begin("accept returns false");
	struct tcp_usage u;

	s->refuse = true;
	IN("S 0:0(0) " ALL);
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 1 <TS val 2 ecr @>");
	OUT("R. 1:1(0) ack 1");
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0);
	script_end(s);
}

static void urgent(void)
{
	struct script *s = begin("urgent pointer: data stays in the stream");

	ESTABLISH(ALL);
	IN("PU. 1:101(100) ack 1 urg 50 <TS val 3 ecr @>");
	GOT(100);
	IN("U. 101:201(100) ack 1 urg 65535 <TS val 4 ecr @>");
	GOT(200);
	IN("U. 201:201(0) ack 1 urg 1 <TS val 5 ecr @>");
	STATE(ESTABLISHED);
	script_end(s);
}

/* Segments that no sane peer sends do no harm. */
static void strange_flags(void)
{
	struct script *s = begin("strange flags");

	IN("SF 0:0(0) win 100");
	IN("SR 0:0(0) win 100");
	IN("FSRPUEW 0:0(0) win 100");
	CHECK(s->accepted == 0 && MIB(passive_opens) == 0);
	DROP();
	ESTABLISH(ALL);
	IN("PU 1:11(10) <TS val 3 ecr @>");
	IN("FP 1:11(10) <TS val 3 ecr @>");
	STATE(ESTABLISHED);
	GOT(0);
	script_end(s);
}

int main(void)
{
	rig_start("rfc-state", 4096);
	passive_open();
	passive_open6();
	data_with_last_ack();
	syn_ack_again();
	syn_received_bad_ack();
	active_open();
	syn_sent();
	syn_timeout();
	simultaneous_open();
	active_close();
	passive_close();
	simultaneous_close();
	fin_wait_1_both();
	half_close();
	closed_service();
	resets();
	no_connection();
	refused_by_service();
	urgent();
	strange_flags();
	return 0;
}
