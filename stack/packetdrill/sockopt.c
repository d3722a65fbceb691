/* SPDX-License-Identifier: Apache-2.0 */
/* Options of sockets, and what the engine is told of them. */
#include <errno.h>
#include <string.h>

#include <netinet/in.h>

#include <tcp/cc.h>

#include "shim.h"

#define MSS_MIN_USER 88
#define MSS_DEFAULT  536

static int fail(struct shim *s, int err)
{
	clock_leave(s);
	if (!err)
		return 0;
	errno = err;
	return -1;
}

static enum tcp_cc_algorithm cc_algorithm(const struct sock *k)
{
	/* Of the sysctl a kernel may refuse what scripts set: CUBIC, our default too. */
	const char *name = k->opt.cc;

	if (!strcmp(name, "bbr"))
		return TCP_CC_BBR;
	if (!strcmp(name, "reno"))
		return TCP_CC_NEWRENO;
	return TCP_CC_CUBIC;
}

/* tcp_fastopen: bit 1 is the server, bit 10 makes all listeners take it. */
static bool fast_open(const struct sock *k)
{
	int f = k->s->world.fastopen;

	return f & 2 && (k->opt.fastopen > 0 || f & 0x400);
}

void sock_options(const struct sock *k, struct tcp_options *o)
{
	const struct world *w = &k->s->world;

	memset(o, 0, sizeof(*o));
	o->cc = cc_algorithm(k);
	o->no_sack = !w->sack;
	o->no_timestamps = !w->timestamps;
	o->no_window_scale = !w->window_scaling;
	o->no_ecn = w->ecn == 0;
	o->pacing = w->pacing;
	o->no_nagle = k->opt.nodelay;
	o->fast_open = fast_open(k);
	o->fast_open_no_cookie = (w->fastopen & 0x200) != 0;
	o->min_burst = w->min_burst;
	o->no_mtu_probing = w->mtu_probing == 0;
	o->dscp = k->opt.tos >> 2;
	o->mss = (uint16_t)(k->opt.mss ? k->opt.mss : w->advmss);
	if (k->opt.keepalive) {
		o->keepalive_idle_s = k->opt.keep_idle_s ? k->opt.keep_idle_s : 7200;
		o->keepalive_interval_s = k->opt.keep_intvl_s;
		o->keepalive_count = k->opt.keep_cnt;
	}
	o->user_timeout_ms = k->opt.user_timeout_ms;
	o->fin_wait2_ms = k->opt.fin_wait2_ms;
	o->synack_retries = (uint8_t)w->synack_retries;
	o->rcvbuf_max = k->opt.rcvbuf ? k->opt.rcvbuf : w->rmem[2];
	o->sndbuf_max = k->opt.sndbuf ? k->opt.sndbuf : w->wmem[2];
}

void sock_apply(struct sock *k)
{
	struct tcp_options o;

	if (!k->conn)
		return;
	sock_options(k, &o);
	tcp_set_options(k->conn, &o);
	tcp_cork(k->conn, k->opt.cork || k->more);
	sock_arm_uncork(k);
}

void sock_uncork(struct sock *k)
{
	k->uncork_ns = 0;
	k->more = false;
	if (!k->conn)
		return;
	tcp_cork(k->conn, false);
	tcp_flush(k->s->engine);
	if (k->conn)
		tcp_cork(k->conn, k->opt.cork);
}

void sock_release_more(struct sock *k)
{
	if (!k->more)
		return;
	k->more = false;
	k->uncork_ns = 0;
	if (k->conn)
		tcp_cork(k->conn, k->opt.cork);
}

void sock_arm_uncork(struct sock *k)
{
	struct tcp_info i;

	if (!k->conn || !(k->more || k->opt.cork)) {
		k->uncork_ns = 0;
		return;
	}
	/* Linux's persist timer ends a cork after a retransmission timeout without anything in
	 * flight. */
	tcp_info(k->conn, &i);
	if (i.unacked)
		k->uncork_ns = 0;
	else if (!k->uncork_ns)
		k->uncork_ns = k->s->now_ns + (uint64_t)i.rto_us * 1000;
}

uint32_t sock_room(const struct sock *k)
{
	return k->conn ? tcp_writable(k->conn) : 0;
}

static int set_socket(struct sock *k, int name, int v, const void *val, socklen_t len)
{
	switch (name) {
	case SO_REUSEADDR:
		k->opt.reuseaddr = v;
		return 0;
	case SO_KEEPALIVE:
		k->opt.keepalive = v;
		return 0;
	case SO_SNDBUF:
		/* Linux doubles for its own bookkeeping. */
		k->opt.sndbuf = (uint32_t)v * 2;
		return 0;
	case SO_RCVBUF:
		k->opt.rcvbuf = (uint32_t)v * 2;
		return 0;
	case SO_LINGER:
		if (len < sizeof(struct linger))
			return EINVAL;
		k->opt.linger_on = ((const struct linger *)val)->l_onoff;
		k->opt.linger_s = ((const struct linger *)val)->l_linger;
		return 0;
	case SO_MARK:
	case SO_PRIORITY:
		return 0;
	default:
		return ENOPROTOOPT;
	}
}

static int set_tcp(struct sock *k, int name, int v, const void *val, socklen_t len)
{
	switch (name) {
	case LINUX_TCP_NODELAY:
		k->opt.nodelay = v;
		/* Linux: setting it lets a cork's data go. */
		if (v) {
			sock_apply(k);
			sock_uncork(k);
		}
		return 0;
	case LINUX_TCP_CORK:
		k->opt.cork = v;
		if (!v)
			sock_uncork(k);
		return 0;
	case LINUX_TCP_MAXSEG:
		if (v < MSS_MIN_USER || v > 32767)
			return EINVAL;
		k->opt.mss = (uint32_t)v;
		return 0;
	case LINUX_TCP_KEEPIDLE:
		k->opt.keep_idle_s = (uint32_t)v;
		return v < 1 || v > 32767 ? EINVAL : 0;
	case LINUX_TCP_KEEPINTVL:
		k->opt.keep_intvl_s = (uint32_t)v;
		return v < 1 || v > 32767 ? EINVAL : 0;
	case LINUX_TCP_KEEPCNT:
		k->opt.keep_cnt = (uint32_t)v;
		return v < 1 || v > 127 ? EINVAL : 0;
	case LINUX_TCP_LINGER2:
		k->opt.fin_wait2_ms = v > 0 ? (uint32_t)v * 1000 : 0;
		return 0;
	case LINUX_TCP_USER_TIMEOUT:
		k->opt.user_timeout_ms = (uint32_t)v;
		return v < 0 ? EINVAL : 0;
	case LINUX_TCP_CONGESTION:
		if (len >= sizeof(k->opt.cc))
			return EINVAL;
		if (strncmp(val, "cubic", len) && strncmp(val, "reno", len) &&
		    strncmp(val, "bbr", len))
			return ENOENT;
		memcpy(k->opt.cc, val, len);
		k->opt.cc[len] = 0;
		return 0;
	case LINUX_TCP_FASTOPEN:
		k->opt.fastopen = v;
		return v < 0 ? EINVAL : 0;
	case LINUX_TCP_FASTOPEN_KEY:
		if (len != 16)
			return EINVAL;
		memcpy(k->opt.fastopen_key, val, 16);
		k->opt.fastopen_key_set = true;
		return 0;
	case LINUX_TCP_INQ:
		k->opt.inq = v;
		return v < 0 || v > 1 ? EINVAL : 0;
	default:
		return ENOPROTOOPT;
	}
}

int shim_setsockopt(void *user, int fd, int level, int name, const void *val, socklen_t len)
{
	struct shim *s = user;
	struct sock *k;
	int v = 0, err;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (len >= sizeof(v))
		memcpy(&v, val, sizeof(v));
	else if (len >= 1 && (level == IPPROTO_IP || level == IPPROTO_IPV6))
		v = *(const uint8_t *)val;
	else if (level != IPPROTO_TCP ||
		 (name != LINUX_TCP_CONGESTION && name != LINUX_TCP_FASTOPEN_KEY))
		return fail(s, EINVAL);
	switch (level) {
	case SOL_SOCKET:
		err = set_socket(k, name, v, val, len);
		break;
	case IPPROTO_TCP:
		err = set_tcp(k, name, v, val, len);
		break;
	case IPPROTO_IP:
		if (name == IP_TOS)
			k->opt.tos = (uint8_t)v;
		err = name == IP_TOS || name == IP_FREEBIND || name == IP_MTU_DISCOVER ||
				      name == IP_RECVERR
			      ? 0
			      : ENOPROTOOPT;
		break;
	case IPPROTO_IPV6:
		if (name == IPV6_TCLASS)
			k->opt.tos = (uint8_t)v;
		err = name == IPV6_TCLASS || name == IPV6_V6ONLY || name == IPV6_RECVERR
			      ? 0
			      : ENOPROTOOPT;
		break;
	default:
		err = ENOPROTOOPT;
	}
	if (!err && k->role == ROLE_CONNECTION)
		sock_apply(k);
	else if (!err && k->role == ROLE_LISTENER)
		sock_relisten(k);
	return fail(s, err);
}

static int get_tcp(struct sock *k, int name, int *v)
{
	switch (name) {
	case LINUX_TCP_NODELAY:
		*v = k->opt.nodelay;
		return 0;
	case LINUX_TCP_CORK:
		*v = k->opt.cork;
		return 0;
	case LINUX_TCP_MAXSEG:
		*v = k->conn ? tcp_conn_mss(k->conn) : k->opt.mss ? (int)k->opt.mss : MSS_DEFAULT;
		return 0;
	case LINUX_TCP_KEEPIDLE:
		*v = (int)(k->opt.keep_idle_s ? k->opt.keep_idle_s : 7200);
		return 0;
	case LINUX_TCP_KEEPINTVL:
		*v = (int)(k->opt.keep_intvl_s ? k->opt.keep_intvl_s : 75);
		return 0;
	case LINUX_TCP_KEEPCNT:
		*v = (int)(k->opt.keep_cnt ? k->opt.keep_cnt : 9);
		return 0;
	case LINUX_TCP_USER_TIMEOUT:
		*v = (int)k->opt.user_timeout_ms;
		return 0;
	case LINUX_TCP_FASTOPEN:
		*v = k->opt.fastopen;
		return 0;
	case LINUX_TCP_INQ:
		*v = k->opt.inq;
		return 0;
	default:
		return ENOPROTOOPT;
	}
}

static int get_socket(struct sock *k, int name, int *v)
{
	switch (name) {
	case SO_ERROR:
		*v = sock_error(k);
		return 0;
	case SO_REUSEADDR:
		*v = k->opt.reuseaddr;
		return 0;
	case SO_KEEPALIVE:
		*v = k->opt.keepalive;
		return 0;
	case SO_SNDBUF:
		*v = (int)(k->opt.sndbuf ? k->opt.sndbuf : k->s->world.wmem[1]);
		return 0;
	case SO_RCVBUF:
		*v = (int)(k->opt.rcvbuf ? k->opt.rcvbuf : k->s->world.rmem[1]);
		return 0;
	case SO_TYPE:
		*v = SOCK_STREAM;
		return 0;
	case SO_ACCEPTCONN:
		*v = k->role == ROLE_LISTENER;
		return 0;
	default:
		return ENOPROTOOPT;
	}
}

int shim_getsockopt(void *user, int fd, int level, int name, void *val, socklen_t *len)
{
	struct shim *s = user;
	struct sock *k;
	int v = 0, err = ENOPROTOOPT;

	clock_enter(s);
	k = sock_get(s, fd);
	if (!k)
		return fail(s, EBADF);
	if (level == IPPROTO_TCP && name == LINUX_TCP_INFO)
		return fail(s, sock_tcp_info(k, val, len));
	if (level == IPPROTO_TCP && name == LINUX_TCP_CONGESTION) {
		const char *cc = tcp_cc_ops(cc_algorithm(k))->name;

		if (*len > strlen(cc) + 1)
			*len = (socklen_t)strlen(cc) + 1;
		memcpy(val, cc, *len);
		return fail(s, 0);
	}
	/* The tool asks for these together with TCP_INFO: nothing is told. */
	if (level == IPPROTO_TCP && name == LINUX_TCP_CC_INFO) {
		*len = 0;
		return fail(s, 0);
	}
	if (level == SOL_SOCKET && name == LINUX_SO_MEMINFO) {
		if (*len > LINUX_MEMINFO_VARS * sizeof(uint32_t))
			*len = LINUX_MEMINFO_VARS * sizeof(uint32_t);
		memset(val, 0, *len);
		return fail(s, 0);
	}
	if (level == SOL_SOCKET)
		err = get_socket(k, name, &v);
	else if (level == IPPROTO_TCP)
		err = get_tcp(k, name, &v);
	else if (level == IPPROTO_IP && name == IP_TOS) {
		v = k->opt.tos;
		err = 0;
	}
	if (!err) {
		if (*len > sizeof(v))
			*len = sizeof(v);
		memcpy(val, &v, *len);
	}
	return fail(s, err);
}
