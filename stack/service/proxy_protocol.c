/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy_protocol.h"

#include <arpa/inet.h>
#include <stdio.h>

static const uint8_t signature[12] = "\r\n\r\n\0\r\nQUIT\n";

uint32_t svc_crc32c(uint32_t crc, const uint8_t *b, uint32_t n)
{
	/* Four bits at a time: headers are short and few, so a large table would only cost cache.
	 */
	static const uint32_t nibble[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
		0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	crc = ~crc;
	for (uint32_t i = 0; i < n; i++) {
		crc ^= b[i];
		crc = (crc >> 4) ^ nibble[crc & 15];
		crc = (crc >> 4) ^ nibble[crc & 15];
	}
	return ~crc;
}

static enum svc_pp_result bad(const char **why, const char *text)
{
	*why = text;
	return SVC_PP_BAD;
}

static enum svc_pp_result more(struct svc_pp *out, uint32_t len)
{
	out->len = (uint16_t)len;
	return SVC_PP_MORE;
}

/* ---- Version 1: a line of text ---- */

/* The next word of the line, which ends at a space or at the line's end; moves *p behind the
 * space. */
static bool word(const char **p, const char *end, char *buf, size_t size)
{
	const char *s = *p, *e = s;

	while (e < end && *e != ' ')
		e++;
	if (e == s || (size_t)(e - s) >= size)
		return false;
	memcpy(buf, s, (size_t)(e - s));
	buf[e - s] = '\0';
	*p = e < end ? e + 1 : e;
	return true;
}

static bool parse_port(const char *s, uint16_t *be)
{
	uint32_t v = 0;

	/* No sign, no leading zero. */
	if (s[0] == '0' && s[1] != '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		v = v * 10 + (uint32_t)(*s - '0');
		if (v > 65535)
			return false;
	}
	*be = htons((uint16_t)v);
	return true;
}

static bool parse_addr(const char *s, uint8_t family, struct tcp_addr *a)
{
	uint32_t v4;

	if (family == 6)
		return inet_pton(AF_INET6, s, a->b) == 1;
	if (inet_pton(AF_INET, s, &v4) != 1)
		return false;
	tcp_addr4(a, v4);
	return true;
}

/* line to end: behind "PROXY ", without CR LF. */
static enum svc_pp_result parse_line(const char *line, const char *end, struct svc_pp *out,
				     const char **why)
{
	char src[40], dst[40], sport[6], dport[6], family[8];

	if (!word(&line, end, family, sizeof(family)))
		return bad(why, "version 1: protocol is missing");
	/* What follows UNKNOWN is to be ignored. */
	if (strcmp(family, "UNKNOWN") == 0)
		return SVC_PP_OK;
	if (strcmp(family, "TCP4") == 0)
		out->family = 4;
	else if (strcmp(family, "TCP6") == 0)
		out->family = 6;
	else
		return bad(why, "version 1: protocol is none of TCP4, TCP6, UNKNOWN");
	if (!word(&line, end, src, sizeof(src)) || !word(&line, end, dst, sizeof(dst)) ||
	    !word(&line, end, sport, sizeof(sport)) || !word(&line, end, dport, sizeof(dport)))
		return bad(why, "version 1: not four fields, one space between them");
	if (line != end || end[-1] == ' ')
		return bad(why, "version 1: text behind the last field");
	if (!parse_addr(src, out->family, &out->src) || !parse_addr(dst, out->family, &out->dst))
		return bad(why, "version 1: malformed address");
	if (!parse_port(sport, &out->sport) || !parse_port(dport, &out->dport))
		return bad(why, "version 1: malformed port");
	return SVC_PP_OK;
}

static enum svc_pp_result parse_v1(const uint8_t *b, uint32_t n, struct svc_pp *out,
				   const char **why)
{
	uint32_t limit = n < SVC_PP_V1_MAX ? n : SVC_PP_V1_MAX;
	const uint8_t *cr = memchr(b, '\r', limit);
	uint32_t at;

	out->version = 1;
	if (memchr(b, '\0', cr == NULL ? limit : (size_t)(cr - b)) != NULL)
		return bad(why, "version 1: octet 0 in the line");
	if (cr == NULL)
		return limit == SVC_PP_V1_MAX ? bad(why, "version 1: line of more than 107 octets")
					      : more(out, n + 1);
	at = (uint32_t)(cr - b);
	if (at + 1 >= SVC_PP_V1_MAX)
		return bad(why, "version 1: line of more than 107 octets");
	if (at + 1 >= n)
		return more(out, n + 1);
	if (b[at + 1] != '\n')
		return bad(why, "version 1: CR without LF");
	out->len = (uint16_t)(at + 2);
	out->tlv_off = out->len;
	return parse_line((const char *)b + 6, (const char *)b + at, out, why);
}

/* ---- Version 2: binary ---- */

static uint16_t be16(const uint8_t *b)
{
	return (uint16_t)(b[0] << 8 | b[1]);
}

/* The header's CRC32C, the four octets at `at` taken as zero. */
static uint32_t header_crc(const uint8_t *b, uint32_t len, uint32_t at)
{
	static const uint8_t zero[4];
	uint32_t crc = svc_crc32c(0, b, at);

	crc = svc_crc32c(crc, zero, 4);
	return svc_crc32c(crc, b + at + 4, len - at - 4);
}

static enum svc_pp_result check_tlvs(const uint8_t *b, struct svc_pp *out, const char **why)
{
	uint32_t off = out->tlv_off, end = out->len;

	while (off < end) {
		uint32_t len;

		if (end - off < 3)
			return bad(why, "version 2: TLV header cut off");
		len = be16(b + off + 1);
		if (len > end - off - 3)
			return bad(why, "version 2: TLV longer than the header");
		if (b[off] == SVC_PP_TLV_CRC32C) {
			const uint8_t *v = b + off + 3;

			if (len != 4)
				return bad(why, "version 2: CRC32C not of four octets");
			if (out->crc)
				return bad(why, "version 2: two CRC32C");
			if (header_crc(b, end, off + 3) != ((uint32_t)be16(v) << 16 | be16(v + 2)))
				return bad(why, "version 2: CRC32C is wrong");
			out->crc = true;
		}
		off += 3 + len;
	}
	return SVC_PP_OK;
}

static enum svc_pp_result parse_v2(const uint8_t *b, uint32_t n, struct svc_pp *out,
				   const char **why)
{
	uint32_t len, addrs;
	const uint8_t *a = b + SVC_PP_V2_FIXED;

	out->version = 2;
	if (n > 12 && b[12] != 0x20 && b[12] != 0x21)
		return bad(why, (b[12] >> 4) != 2 ? "version 2: other version"
						  : "version 2: unknown command");
	if (n < SVC_PP_V2_FIXED)
		return more(out, SVC_PP_V2_FIXED);
	len = be16(b + 14);
	if (len > SVC_PP_MAX - SVC_PP_V2_FIXED)
		return bad(why, "version 2: header of more than 4,096 octets");
	out->local = b[12] == 0x20;
	switch (b[13]) {
	case 0x00:
		addrs = 0;
		break;
	case 0x11:
		addrs = 12;
		break;
	case 0x21:
		addrs = 36;
		break;
	case 0x31:
		addrs = 216;
		break;
	default:
		/* The family of a LOCAL header is to be ignored. */
		if (!out->local)
			return bad(why, "version 2: neither TCP nor a UNIX stream");
		addrs = len;
		break;
	}
	if (len < addrs && !out->local)
		return bad(why, "version 2: too short for its addresses");
	if (n < SVC_PP_V2_FIXED + len)
		return more(out, SVC_PP_V2_FIXED + len);
	out->len = (uint16_t)(SVC_PP_V2_FIXED + len);
	if (out->local) {
		out->tlv_off = out->len;
		return SVC_PP_OK;
	}
	if (b[13] == 0x11) {
		out->family = 4;
		uint32_t v4;

		memcpy(&v4, a, 4);
		tcp_addr4(&out->src, v4);
		memcpy(&v4, a + 4, 4);
		tcp_addr4(&out->dst, v4);
		memcpy(&out->sport, a + 8, 2);
		memcpy(&out->dport, a + 10, 2);
	} else if (b[13] == 0x21) {
		out->family = 6;
		tcp_addr6(&out->src, a);
		tcp_addr6(&out->dst, a + 16);
		memcpy(&out->sport, a + 32, 2);
		memcpy(&out->dport, a + 34, 2);
	}
	out->tlv_off = (uint16_t)(SVC_PP_V2_FIXED + addrs);
	out->tlv_len = (uint16_t)(len - addrs);
	return check_tlvs(b, out, why);
}

enum svc_pp_result svc_pp_parse(const uint8_t *b, uint32_t n, struct svc_pp *out, const char **why)
{
	memset(out, 0, sizeof(*out));
	*why = "";
	/* Both begin so that no other protocol is mistaken for them, and one octet tells which. */
	if (n == 0)
		return more(out, 1);
	if (memcmp(b, "PROXY ", n < 6 ? n : 6) == 0)
		return n < 6 ? more(out, 8) : parse_v1(b, n, out, why);
	if (memcmp(b, signature, n < 12 ? n : 12) == 0)
		return n < 12 ? more(out, SVC_PP_V2_FIXED) : parse_v2(b, n, out, why);
	return bad(why, "no PROXY protocol signature");
}

/* ---- Writing ---- */

static uint32_t build_v1(const struct svc_pp *p, uint8_t *buf, uint32_t size)
{
	char src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	int n;

	if (p->family == 0 || p->local) {
		n = snprintf((char *)buf, size, "PROXY UNKNOWN\r\n");
	} else {
		int af = p->family == 4 ? AF_INET : AF_INET6;
		int skip = p->family == 4 ? 12 : 0;

		inet_ntop(af, p->src.b + skip, src, sizeof(src));
		inet_ntop(af, p->dst.b + skip, dst, sizeof(dst));
		n = snprintf((char *)buf, size, "PROXY TCP%u %s %s %u %u\r\n", p->family, src, dst,
			     ntohs(p->sport), ntohs(p->dport));
	}
	return n < 0 || (uint32_t)n >= size ? 0 : (uint32_t)n;
}

static uint8_t *put(uint8_t *at, const void *data, uint32_t n)
{
	memcpy(at, data, n);
	return at + n;
}

/* Those worth handing on: the CRC covers the header it came in, and padding is no message. */
static uint8_t *put_tlvs(uint8_t *at, const uint8_t *tlvs, uint32_t len)
{
	for (uint32_t off = 0; off + 3 <= len;) {
		uint32_t n = 3u + be16(tlvs + off + 1);

		if (n > len - off)
			break;
		if (tlvs[off] != SVC_PP_TLV_CRC32C && tlvs[off] != SVC_PP_TLV_NOOP)
			at = put(at, tlvs + off, n);
		off += n;
	}
	return at;
}

static uint32_t build_v2(const struct svc_pp *p, const uint8_t *tlvs, uint32_t tlv_len,
			 uint8_t *buf, uint32_t size)
{
	uint8_t *at = buf + SVC_PP_V2_FIXED;
	uint8_t family = p->local ? 0 : p->family;
	uint32_t len;

	if (size < SVC_PP_OVERHEAD + tlv_len || tlv_len > UINT16_MAX - SVC_PP_OVERHEAD)
		return 0;
	memcpy(buf, signature, sizeof(signature));
	buf[12] = p->local ? 0x20 : 0x21;
	buf[13] = family == 4 ? 0x11 : family == 6 ? 0x21 : 0x00;
	if (family != 0) {
		uint32_t skip = family == 4 ? 12 : 0;

		at = put(at, p->src.b + skip, 16 - skip);
		at = put(at, p->dst.b + skip, 16 - skip);
		at = put(at, &p->sport, 2);
		at = put(at, &p->dport, 2);
	}
	at = put_tlvs(at, tlvs, tlv_len);
	if (p->crc)
		at = put(at, "\3\0\4\0\0\0\0", 7);
	len = (uint32_t)(at - buf);
	buf[14] = (uint8_t)((len - SVC_PP_V2_FIXED) >> 8);
	buf[15] = (uint8_t)(len - SVC_PP_V2_FIXED);
	if (p->crc) {
		uint32_t crc = htonl(svc_crc32c(0, buf, len));

		memcpy(at - 4, &crc, 4);
	}
	return len;
}

uint32_t svc_pp_build(const struct svc_pp *p, const uint8_t *tlvs, uint32_t tlv_len, uint8_t *buf,
		      uint32_t size)
{
	return p->version == 1 ? build_v1(p, buf, size) : build_v2(p, tlvs, tlv_len, buf, size);
}
