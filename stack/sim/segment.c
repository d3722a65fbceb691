/* SPDX-License-Identifier: Apache-2.0 */
#include "segment.h"

#include <stdio.h>
#include <stdarg.h>

enum { OPT_END, OPT_NOP, OPT_MSS, OPT_WSCALE, OPT_SACK_OK, OPT_SACK, OPT_TS = 8, OPT_TFO = 34 };

static uint32_t sum(const uint8_t *p, uint32_t len, uint32_t s)
{
	for (; len > 1; p += 2, len -= 2) {
		s += be16(p);
		s = (s & 0xffff) + (s >> 16);
	}
	if (len == 1)
		s += (uint32_t)p[0] << 8;
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return s;
}

/* Length of the IP header with what follows it before TCP; 0: no TCP. */
static uint32_t ip_header(const uint8_t *p, uint32_t len)
{
	uint32_t l3 = 40;
	uint8_t next;

	if (len < 20)
		return 0;
	if (p[0] >> 4 == 4) {
		l3 = (p[0] & 15u) * 4;
		return l3 >= 20 && l3 <= len && p[9] == 6 ? l3 : 0;
	}
	if (p[0] >> 4 != 6 || len < 40)
		return 0;
	next = p[6];
	while (next == 0 || next == 60) {
		if (l3 + 8 > len)
			return 0;
		next = p[l3];
		l3 += (p[l3 + 1] + 1u) * 8;
	}
	return next == 6 && l3 <= len ? l3 : 0;
}

static uint32_t tcp_sum(const uint8_t *p, uint32_t len, uint32_t l3)
{
	uint32_t s = 6 + len - l3;

	s = p[0] >> 4 == 4 ? sum(p + 12, 8, s) : sum(p + 8, 32, s);
	return sum(p + l3, len - l3, s);
}

bool seg_checksum_ok(const uint8_t *p, uint32_t len)
{
	uint32_t l3 = ip_header(p, len);

	if (l3 == 0 || len < l3 + 20)
		return false;
	if (p[0] >> 4 == 4 && sum(p, l3, 0) != 0xffff)
		return false;
	return tcp_sum(p, len, l3) == 0xffff;
}

void seg_fix(uint8_t *p, uint32_t len)
{
	uint32_t l3 = ip_header(p, len);

	if (p[0] >> 4 == 4) {
		set16(p + 2, (uint16_t)len);
		set16(p + 10, 0);
		set16(p + 10, (uint16_t)~sum(p, l3, 0));
	} else {
		set16(p + 4, (uint16_t)(len - 40));
	}
	set16(p + l3 + 16, 0);
	set16(p + l3 + 16, (uint16_t)~tcp_sum(p, len, l3));
}

static const char *parse_options(const uint8_t *o, uint32_t len, struct seg *s)
{
	for (uint32_t i = 0; i < len;) {
		uint32_t n;

		if (o[i] == OPT_END)
			break;
		if (o[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= len || o[i + 1] < 2 || i + o[i + 1] > len)
			return "option exceeds the header";
		n = o[i + 1];
		if (o[i] == OPT_MSS && n == 4) {
			s->has_mss = true;
			s->mss = be16(o + i + 2);
		} else if (o[i] == OPT_WSCALE && n == 3) {
			s->has_wscale = true;
			s->wscale = o[i + 2];
		} else if (o[i] == OPT_SACK_OK && n == 2) {
			s->sack_ok = true;
		} else if (o[i] == OPT_SACK && n >= 10 && n <= 34 && n % 8 == 2) {
			s->n_sack = (uint8_t)(n / 8);
			for (uint32_t k = 0; k < s->n_sack; k++) {
				s->sack[k][0] = be32(o + i + 2 + 8 * k);
				s->sack[k][1] = be32(o + i + 6 + 8 * k);
			}
		} else if (o[i] == OPT_TS && n == 10) {
			s->has_ts = true;
			s->tsval = be32(o + i + 2);
			s->tsecr = be32(o + i + 6);
		} else if (o[i] == OPT_TFO && n <= 18) {
			s->has_fast_open = true;
			s->fast_open_len = (uint8_t)(n - 2);
			memcpy(s->fast_open, o + i + 2, n - 2);
		} else {
			s->odd_options = true;
		}
		i += n;
	}
	return NULL;
}

const char *seg_parse(const uint8_t *p, uint32_t len, struct seg *s)
{
	uint32_t l3 = ip_header(p, len), total, l4;

	memset(s, 0, sizeof(*s));
	if (l3 == 0)
		return "no TCP in IP";
	s->family = p[0] >> 4;
	if (s->family == 4) {
		total = be16(p + 2);
		s->dscp = p[1] >> 2;
		s->ecn = p[1] & 3;
		s->ttl = p[8];
		s->dont_fragment = (p[6] & 0x40) != 0;
		if ((be16(p + 6) & 0xbfff) != 0)
			return "a fragment, or a reserved flag";
		memset(s->src.b, 0, 10);
		s->src.b[10] = s->src.b[11] = 0xff;
		s->dst = s->src;
		memcpy(s->src.b + 12, p + 12, 4);
		memcpy(s->dst.b + 12, p + 16, 4);
		if (sum(p, l3, 0) != 0xffff)
			return "IPv4 header checksum";
	} else {
		total = be16(p + 4) + 40u;
		s->dscp = (uint8_t)(be16(p) >> 6 & 63);
		s->ecn = p[1] >> 4 & 3;
		s->ttl = p[7];
		s->dont_fragment = true;
		memcpy(s->src.b, p + 8, 16);
		memcpy(s->dst.b, p + 24, 16);
	}
	if (total != len)
		return "IP length is not the packet's";
	if (len < l3 + 20)
		return "no TCP header";
	l4 = (p[l3 + 12] >> 4) * 4u;
	if (l4 < 20 || l3 + l4 > len)
		return "TCP data offset";
	if (tcp_sum(p, len, l3) != 0xffff)
		return "TCP checksum";
	s->l3_len = (uint16_t)l3;
	s->l4_len = (uint16_t)l4;
	s->sport = be16(p + l3);
	s->dport = be16(p + l3 + 2);
	s->seq = be32(p + l3 + 4);
	s->ack = be32(p + l3 + 8);
	s->flags = p[l3 + 13];
	s->win = be16(p + l3 + 14);
	s->urg = be16(p + l3 + 18);
	s->payload = p + l3 + l4;
	s->len = len - l3 - l4;
	return parse_options(p + l3 + 20, l4 - 20, s);
}

static uint32_t put_options(const struct seg *s, uint8_t *o)
{
	uint32_t n = 0;

	if (s->has_mss) {
		o[n] = OPT_MSS;
		o[n + 1] = 4;
		set16(o + n + 2, s->mss);
		n += 4;
	}
	if (s->sack_ok) {
		o[n++] = OPT_SACK_OK;
		o[n++] = 2;
	}
	if (s->has_ts) {
		o[n] = OPT_TS;
		o[n + 1] = 10;
		set32(o + n + 2, s->tsval);
		set32(o + n + 6, s->tsecr);
		n += 10;
	}
	if (s->has_wscale) {
		o[n++] = OPT_WSCALE;
		o[n++] = 3;
		o[n++] = s->wscale;
	}
	if (s->n_sack != 0) {
		o[n++] = OPT_SACK;
		o[n++] = (uint8_t)(2 + 8 * s->n_sack);
		for (uint32_t k = 0; k < s->n_sack; k++, n += 8) {
			set32(o + n, s->sack[k][0]);
			set32(o + n + 4, s->sack[k][1]);
		}
	}
	if (s->has_fast_open) {
		o[n++] = OPT_TFO;
		o[n++] = (uint8_t)(2 + s->fast_open_len);
		memcpy(o + n, s->fast_open, s->fast_open_len);
		n += s->fast_open_len;
	}
	while (n % 4 != 0)
		o[n++] = OPT_NOP;
	return n;
}

uint32_t seg_build(const struct seg *s, uint8_t *out)
{
	uint32_t l3 = s->family == 4 ? 20 : 40, l4, len;
	uint8_t *t = out + l3;

	memset(out, 0, l3 + 20);
	l4 = 20 + put_options(s, t + 20);
	len = l3 + l4 + s->len;
	if (s->family == 4) {
		out[0] = 0x45;
		out[1] = (uint8_t)(s->dscp << 2 | s->ecn);
		out[6] = 0x40;
		out[8] = s->ttl != 0 ? s->ttl : 64;
		out[9] = 6;
		memcpy(out + 12, s->src.b + 12, 4);
		memcpy(out + 16, s->dst.b + 12, 4);
	} else {
		set16(out, (uint16_t)(0x6000 | s->dscp << 6 | s->ecn << 4));
		out[6] = 6;
		out[7] = s->ttl != 0 ? s->ttl : 64;
		memcpy(out + 8, s->src.b, 16);
		memcpy(out + 24, s->dst.b, 16);
	}
	set16(t, s->sport);
	set16(t + 2, s->dport);
	set32(t + 4, s->seq);
	set32(t + 8, s->ack);
	t[12] = (uint8_t)(l4 / 4 << 4);
	t[13] = s->flags;
	set16(t + 14, s->win);
	set16(t + 18, s->urg);
	if (s->payload != NULL)
		memcpy(t + l4, s->payload, s->len);
	else
		memset(t + l4, 0, s->len);
	seg_fix(out, len);
	return len;
}

static void say(char **out, uint32_t *cap, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void say(char **out, uint32_t *cap, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(*out, *cap, format, ap);
	va_end(ap);
	if (n > 0 && (uint32_t)n < *cap) {
		*out += n;
		*cap -= (uint32_t)n;
	}
}

void seg_text(const struct seg *s, uint32_t isn, uint32_t peer_isn, char *out, uint32_t cap)
{
	static const char letters[] = "FSRP.UEW";
	const char *sep = " <";
	uint32_t rel = s->seq - isn;

	for (int i = 0; i < 8; i++)
		if (s->flags >> i & 1)
			say(&out, &cap, "%c", letters[i]);
	if (s->flags == 0)
		say(&out, &cap, "none");
	say(&out, &cap, " %u:%u(%u)", rel, rel + s->len, s->len);
	if (s->flags & SEG_ACK)
		say(&out, &cap, " ack %u", s->ack - peer_isn);
	say(&out, &cap, " win %u", s->win);
	if (s->flags & SEG_URG)
		say(&out, &cap, " urg %u", s->urg);
	if (s->ecn != ECN_NOT)
		say(&out, &cap, " [%s]",
		    s->ecn == ECN_CE	 ? "CE"
		    : s->ecn == ECN_ECT0 ? "ECT0"
					 : "ECT1");
	if (s->has_mss) {
		say(&out, &cap, "%smss %u", sep, s->mss);
		sep = ",";
	}
	if (s->sack_ok) {
		say(&out, &cap, "%ssackOK", sep);
		sep = ",";
	}
	if (s->has_ts) {
		say(&out, &cap, "%sTS val %u ecr %u", sep, s->tsval, s->tsecr);
		sep = ",";
	}
	if (s->has_wscale) {
		say(&out, &cap, "%swscale %u", sep, s->wscale);
		sep = ",";
	}
	if (s->n_sack != 0) {
		say(&out, &cap, "%ssack", sep);
		sep = ",";
		for (int k = 0; k < s->n_sack; k++)
			say(&out, &cap, " %u:%u", s->sack[k][0] - peer_isn,
			    s->sack[k][1] - peer_isn);
	}
	if (s->has_fast_open) {
		say(&out, &cap, "%sFO ", sep);
		sep = ",";
		for (int k = 0; k < s->fast_open_len; k++)
			say(&out, &cap, "%02x", s->fast_open[k]);
	}
	if (s->odd_options) {
		say(&out, &cap, "%sother", sep);
		sep = ",";
	}
	if (sep[0] == ',')
		say(&out, &cap, ">");
}
