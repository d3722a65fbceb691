/* SPDX-License-Identifier: Apache-2.0 */
/* SYN cookies (RFC 4987), Fast Open (RFC 7413), a listener's limits. */
#include "script.h"

#define ALL "<mss 1400,sackOK,TS val 1 ecr 0,wscale 7>"
#define FEW "<mss 1400>"

static void cookies(void)
{
	const struct script_options o = {.opt = {.cookies_always = true}};
	struct script *s = script_new("SYN cookies carry MSS, scale and SACK", &o);
	struct tcp_usage u;
	struct tcp_info info;

	IN("S 0:0(0) win 65535 " ALL);
	OUT("S. 0:0(0) ack 1 win * <mss 1460,sackOK,TS val * ecr 1,wscale *>");
	tcp_usage(s->e, &u);
	CHECK(u.conns == 0 && u.half_open == 0);
	/* No state, so nothing is retransmitted. */
	WAIT_MS(10000);
	NONE();
	IN(". 1:1(0) ack 1 <TS val 2 ecr @>");
	STATE(ESTABLISHED);
	CHECK(MIB(syn_cookies_sent) == 1 && MIB(syn_cookies_ok) == 1);
	tcp_info(s->c, &info);
	CHECK(info.sack && info.timestamps && info.snd_wscale == 7);
	CHECK(info.mss >= 1200 && info.mss <= 1388);
	script_end(s);

	s = script_new("SYN cookies without timestamps", &o);
	IN("S 0:0(0) win 65535 <mss 600>");
	OUT("S. 0:0(0) ack 1 win * <mss 1460>");
	IN("P. 1:101(100) ack 1");
	STATE(ESTABLISHED);
	GOT(100);
	tcp_info(s->c, &info);
	CHECK(!info.sack && !info.timestamps && info.snd_wscale == 0 && info.mss <= 600 &&
	      info.mss >= 500);
	script_end(s);
}

static void bad_cookies(void)
{
	const struct script_options o = {.opt = {.cookies_always = true}};
	struct script *s = script_new("SYN cookies: made up, and old", &o);

	IN("S 0:0(0) win 65535 " FEW);
	OUT("S. 0:0(0) ack 1");
	IN(". 1:1(0) ack 2");
	OUT("R 2:2(0)");
	IN(". 1:1(0) ack 77777");
	OUT("R 77777:77777(0)");
	CHECK(s->accepted == 0 && MIB(syn_cookies_bad) == 2);
	/* Another port's cookie. */
	s->rport++;
	IN(". 1:1(0) ack 1");
	OUT("R 1:1(0)");
	s->rport--;
	WAIT_MS(300000);
	IN(". 1:1(0) ack 1");
	OUT("R 1:1(0)");
	CHECK(s->accepted == 0);
	script_end(s);

	/* Without any SYN of late nobody can guess one into being. */
	const struct script_options usual = {0};
	s = script_new("no cookies were sent, none are taken", &usual);
	IN(". 1:1(0) ack 1");
	OUT("R 1:1(0)");
	CHECK(s->accepted == 0);
	script_end(s);
}

static void backlog(void)
{
	const struct script_options o = {.backlog = 8};
	struct script *s = script_new("cookies when the backlog is full, and not before", &o);
	struct tcp_usage u;

	for (int i = 0; i < 100; i++) {
		s->rport = (uint16_t)(50000 + i);
		IN("S 0:0(0) win 65535 " FEW);
		OUT("S. 0:0(0) ack 1");
	}
	tcp_usage(s->e, &u);
	CHECK(u.half_open >= 7 && u.half_open <= 9);
	CHECK(MIB(syn_cookies_sent) >= 91 && MIB(syn_cookies_sent) <= 93);
	IN(". 1:1(0) ack 1");
	STATE(ESTABLISHED);
	CHECK(MIB(syn_cookies_ok) == 1);
	script_end(s);
}

static void limits(void)
{
	const struct script_options conns = {.max_conns = 3};
	const struct script_options source = {.max_per_source = 2};
	const struct script_options rate = {.rate = 10, .burst = 5};
	struct script *s = script_new("limit of connections", &conns);
	struct tcp_listener_stats st;

	for (int i = 0; i < 3; i++, s->rport++)
		ESTABLISH(FEW);
	IN("S 0:0(0) win 65535 " FEW);
	CHECK(s->accepted == 3);
	tcp_listener_stats(s->l, &st);
	CHECK(st.refused_limit == 1 && MIB(refused_limit) == 1 && st.active == 3);
	DROP();
	s->rport--;
	IN("R 1:1(0)");
	s->closed = false;
	ESTABLISH(FEW);
	script_end(s);

	s = script_new("limit per source", &source);
	for (int i = 0; i < 2; i++, s->rport++)
		ESTABLISH(FEW);
	IN("S 0:0(0) win 65535 " FEW);
	DROP();
	CHECK(s->accepted == 2);
	tcp_listener_stats(s->l, &st);
	CHECK(st.refused_source == 1);
	s->remote = 77;
	ESTABLISH(FEW);
	script_end(s);

	s = script_new("limit of the rate", &rate);
	for (int i = 0; i < 50; i++, s->rport++)
		IN("S 0:0(0) win 65535 " FEW);
	tcp_listener_stats(s->l, &st);
	CHECK(st.refused_rate >= 43 && st.refused_rate <= 45);
	WAIT_MS(500);
	DROP();
	for (int i = 0; i < 50; i++, s->rport++)
		IN("S 0:0(0) win 65535 " FEW);
	tcp_listener_stats(s->l, &st);
	CHECK(st.refused_rate >= 86 && st.refused_rate <= 90);
	script_end(s);
}

static void acl(void)
{
	const struct script_options o = {0};
	struct script *s = script_new("allow and deny", &o);
	struct tcp_prefix deny = {.len = 127}, allow = {.len = 120};

	tcp_addr4(&deny.addr, rte_cpu_to_be_32(0x0a000004));
	tcp_addr4(&allow.addr, rte_cpu_to_be_32(0x0a000000));
	s->lp.deny = &deny;
	s->lp.n_deny = 1;
	s->lp.allow = &allow;
	s->lp.n_allow = 1;
	CHECK(tcp_listener_update(s->l, &s->lp) == 0);
	s->remote = 3;
	ESTABLISH(FEW);
	s->remote = 5;
	IN("S 0:0(0) win 65535 " FEW);
	NONE();
	CHECK(MIB(refused_acl) == 1);
	s->lp.reset_denied = true;
	CHECK(tcp_listener_update(s->l, &s->lp) == 0);
	s->remote = 4;
	IN("S 0:0(0) win 65535 " FEW);
	OUT("R. *(0) ack 1");
	script_end(s);
}

static void unlisten(void)
{
	const struct script_options o = {0};
	struct script *s = script_new("no listener any more: its connections live on", &o);

	ESTABLISH(FEW);
	tcp_unlisten(s->l);
	IN("P. 1:101(100) ack 1");
	GOT(100);
	DROP();
	s->rport++;
	IN("S 0:0(0) win 65535 " FEW);
	OUT("R. *(0) ack 1");
	s->rport--;
	IN("F. 101:101(0) ack 1");
	DO(tcp_close(s->c); s->c = NULL);
	DROP();
	IN(". 102:102(0) ack 2");
	NONE();
	s->l = tcp_listen(s->e, &s->lp);
	CHECK(s->l != NULL);
	script_end(s);
}

/* ---- Fast Open ---- */

static void fast_open(void)
{
	const struct script_options o = {.opt = {.fast_open = true}};
	struct script *s = script_new("Fast Open: a cookie is given, and taken", &o);
	char cookie[33] = "";
	struct seg g;

	IN("S 0:0(0) win 65535 <mss 1400,sackOK,FO >");
	CHECK(script_take(s, &g));
	CHECK(g.has_fast_open && g.fast_open_len >= 4 && g.fast_open_len <= 16);
	for (int i = 0; i < g.fast_open_len; i++)
		snprintf(cookie + 2 * i, 3, "%02x", g.fast_open[i]);
	CHECK(s->accepted == 0);
	IN(". 1:1(0) ack 1");
	CHECK(s->accepted == 1);
	DO(tcp_abort(s->c); s->c = NULL);
	DROP();

	s->rport++;
	IN("S 0:100(100) win 65535 <mss 1400,sackOK,FO %s>", cookie);
	/* Accepted before the handshake is over, data and all. */
	CHECK(s->accepted == 2 && MIB(fast_open_in) == 1);
	GOT(100);
	OUT("S. 0:0(0) ack 101");
	WRITE(50);
	OUT("P. 1:51(50) ack 101");
	IN(". 101:101(0) ack 51");
	STATE(ESTABLISHED);
	DO(tcp_abort(s->c); s->c = NULL);
	DROP();

	/* A wrong one: as if there were none, and the right one comes. */
	s->rport++;
	s->got_n = 0;
	cookie[0] = cookie[0] == '0' ? '1' : '0';
	IN("S 0:100(100) win 65535 <mss 1400,sackOK,FO %s>", cookie);
	CHECK(s->accepted == 2 && MIB(fast_open_bad) == 1);
	OUT("S. 0:0(0) ack 1");
	IN("P. 1:101(100) ack 1");
	CHECK(s->accepted == 3);
	GOT(100);
	script_end(s);

	/* Not asked for: the data of a SYN waits for the handshake, or is dropped. */
	const struct script_options off = {0};
	s = script_new("data in a SYN without Fast Open", &off);
	IN("S 0:100(100) win 65535 " FEW);
	OUT("S. 0:0(0) ack 1");
	IN("P. 1:101(100) ack 1");
	GOT(100);
	script_end(s);
}

int main(void)
{
	rig_start("rfc-syn", 4096);
	cookies();
	bad_cookies();
	backlog();
	limits();
	acl();
	unlisten();
	fast_open();
	return 0;
}
