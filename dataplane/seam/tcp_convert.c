/* SPDX-License-Identifier: Apache-2.0 */
#include "tcp_convert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "valid.h"

int tcp_name(const char *s, const char *field, struct dp_error *err)
{
	return valid_name(s, 63, "._-", field, err);
}

int tcp_within(struct dp_error *err, const char *fmt, ...)
{
	char path[2 * sizeof(err->field)];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(path, sizeof(err->field), fmt, ap);
	va_end(ap);
	n = RTE_MIN(n, (int)sizeof(err->field) - 1);
	snprintf(path + n, sizeof(path) - (size_t)n, "%s%s", *err->field ? "." : "", err->field);
	snprintf(err->field, sizeof(err->field), "%.*s", (int)sizeof(err->field) - 1, path);
	return -1;
}

uint32_t tcp_share(uint32_t all)
{
	return (uint32_t)(((uint64_t)all + n_workers - 1) / n_workers);
}

void tcp_addr_from(const struct ip_addr *a, struct tcp_addr *out)
{
	if (a->len == 4)
		tcp_addr4(out, ip_addr_v4(a));
	else
		tcp_addr6(out, a->b);
}

static int options(const PB(TcpOptions) *m, bool passive, struct tcp_options *o,
		   struct dp_error *err)
{
	const uint32_t ms_max = 86400000;

	if (valid_known(&m->base, err) < 0 ||
	    valid_range((uint64_t)m->congestion_control, TCP_CC_CUBIC, TCP_CC_MAX - 1,
			"congestion_control", err) < 0 ||
	    valid_range(m->ttl, 0, 255, "ttl", err) < 0 ||
	    valid_range(m->dscp, 0, 63, "dscp", err) < 0)
		return -1;
	if ((m->mss != 0 && valid_range(m->mss, 88, 65495, "mss", err) < 0) ||
	    valid_range(m->keepalive_idle, 0, 1000000, "keepalive_idle", err) < 0 ||
	    valid_range(m->keepalive_interval, 0, 1000000, "keepalive_interval", err) < 0 ||
	    valid_range(m->keepalive_count, 0, 255, "keepalive_count", err) < 0 ||
	    valid_range(m->user_timeout, 0, ms_max, "user_timeout", err) < 0 ||
	    valid_range(m->fin_wait2_timeout, 0, ms_max, "fin_wait2_timeout", err) < 0 ||
	    valid_range(m->synack_retries, 0, 15, "synack_retries", err) < 0)
		return -1;
	if ((m->receive_buffer != 0 &&
	     valid_range(m->receive_buffer, 4096, 1u << 30, "receive_buffer", err) < 0) ||
	    (m->send_buffer != 0 &&
	     valid_range(m->send_buffer, 4096, 1u << 30, "send_buffer", err) < 0))
		return -1;
	if (!passive &&
	    (valid_empty(!m->fast_open, "fast_open", "for connections made from here", err) < 0 ||
	     valid_empty(!m->cookies_always, "cookies_always", "for connections made from here",
			 err) < 0 ||
	     valid_empty(m->synack_retries == 0, "synack_retries", "for connections made from here",
			 err) < 0))
		return -1;
	*o = (struct tcp_options){
		.cc = (enum tcp_cc_algorithm)m->congestion_control,
		.no_sack = m->no_sack,
		.no_timestamps = m->no_timestamps,
		.no_window_scale = m->no_window_scale,
		.no_ecn = m->no_ecn,
		.no_delayed_ack = m->no_delayed_ack,
		.no_nagle = m->no_nagle,
		.fast_open = m->fast_open,
		.cookies_always = m->cookies_always,
		.no_mtu_probing = m->no_mtu_probing,
		.pacing = m->pacing,
		.ttl = (uint8_t)m->ttl,
		.dscp = (uint8_t)m->dscp,
		.mss = (uint16_t)m->mss,
		.keepalive_idle_s = m->keepalive_idle,
		.keepalive_interval_s = m->keepalive_interval,
		.keepalive_count = m->keepalive_count,
		.user_timeout_ms = m->user_timeout,
		.fin_wait2_ms = m->fin_wait2_timeout,
		.synack_retries = (uint8_t)m->synack_retries,
		.rcvbuf_max = m->receive_buffer,
		.sndbuf_max = m->send_buffer,
	};
	return 0;
}

int tcp_options_from(const PB(TcpOptions) *m, bool passive, struct tcp_options *o,
		     const char *field, struct dp_error *err)
{
	*o = (struct tcp_options){0};
	if (m != NULL && options(m, passive, o, err) < 0)
		return tcp_within(err, "%s", field);
	return 0;
}

int tcp_prefixes_from(PB(TcpPrefix) *const *m, size_t n, size_t max, struct tcp_prefix **out,
		      uint32_t *n_out, const char *field, struct dp_error *err)
{
	*out = NULL;
	*n_out = 0;
	if (n > max)
		return dp_fail(err, DP_INVALID, field, "has %zu prefixes; at most %zu are allowed",
			       n, max);
	if (n == 0)
		return 0;
	*out = calloc(n, sizeof(**out));
	if (*out == NULL)
		return dp_fail(err, DP_NO_MEMORY, field, "no memory");
	for (size_t k = 0; k < n; k++) {
		struct ip_addr a;

		if (valid_known(&m[k]->base, err) < 0 ||
		    valid_prefix(&m[k]->prefix, m[k]->prefix_len, &a, err) < 0)
			return tcp_within(err, "%s[%zu]", field, k);
		tcp_addr_from(&a, &(*out)[k].addr);
		(*out)[k].len = (uint8_t)(m[k]->prefix_len + (a.len == 4 ? 96 : 0));
	}
	*n_out = (uint32_t)n;
	return 0;
}

int tcp_proxy_protocol(PB(TcpProxyProtocol) m, bool any, enum svc_proxy_protocol *out,
		       const char *field, struct dp_error *err)
{
	if (valid_range((uint64_t)m, SVC_PROXY_PROTOCOL_OFF,
			any ? SVC_PROXY_PROTOCOL_ANY : SVC_PROXY_PROTOCOL_V2, field, err) < 0)
		return -1;
	*out = (enum svc_proxy_protocol)m;
	return 0;
}

struct term_msg tcp_pack(const ProtobufCMessage *m)
{
	struct term_msg out = {.len = protobuf_c_message_get_packed_size(m)};

	/* One more, so that an empty message is not taken for no memory. */
	out.data = malloc(out.len + 1);
	if (out.data != NULL)
		protobuf_c_message_pack(m, out.data);
	return out;
}

/* ---- faults ---------------------------------------------------------------------------------- */

/* One part of a path, without its index, in the words of the seam. */
static void translate(const char *part, size_t n, char *out, size_t size)
{
	static const char *const words[][2] = {
		{"tcp", "options"},
		{"max_conns", "max_connections"},
		{"max_head", "max_header"},
		{"pool_id", "pool"},
		{"backup_pool_id", "backup_pool"},
		{"accept_proxy", "proxy_protocol_in"},
		{"send_proxy", "proxy_protocol_out"},
		{"balance", "algorithm"},
		{"check", "health_check"},
		{"addr", "address"},
		{"sources", "source_addresses"},
		{"rcvbuf_max", "receive_buffer"},
		{"sndbuf_max", "send_buffer"},
		{"drain_ms", "drain_timeout"},
		{"passive_ms", "passive_time"},
		{"slow_start_ms", "slow_start"},
		{"interval_ms", "interval"},
		{"cc", "congestion_control"},
		{"kind", "service"},
	};

	for (unsigned int k = 0; k < RTE_DIM(words); k++) {
		if (strlen(words[k][0]) == n && strncmp(words[k][0], part, n) == 0) {
			snprintf(out, size, "%s", words[k][1]);
			return;
		}
	}
	if (n > 3 && strncmp(part + n - 3, "_ms", 3) == 0)
		n -= 3;
	else if (n > 2 && strncmp(part + n - 2, "_s", 2) == 0)
		n -= 2;
	snprintf(out, size, "%.*s", (int)n, part);
}

int tcp_fault(const struct svc_fault *f, struct dp_error *err)
{
	char path[sizeof(err->field)] = "", word[64];
	const char *s = f->field;
	size_t at = 0;

	while (*s != '\0' && at < sizeof(path) - 1) {
		size_t n = strcspn(s, ".[");

		translate(s, n, word, sizeof(word));
		s += n;
		n = strcspn(s, ".");
		at += (size_t)snprintf(path + at, sizeof(path) - at, "%s%.*s%s", word, (int)n, s,
				       s[n] == '.' ? "." : "");
		s += n + (s[n] == '.');
	}
	return dp_fail(err, DP_INVALID, path, "%s", f->msg);
}
