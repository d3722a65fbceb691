/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: what is taken, what is refused and why, and that what is written is read again. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy_protocol.h"

#define CHECK(cond, ...)                                                                           \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond);                 \
			fprintf(stderr, __VA_ARGS__);                                              \
			fputc('\n', stderr);                                                       \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

#define SIG "\r\n\r\n\0\r\nQUIT\n"

/* With every shorter part of it wanting more, and at least what is there. */
static enum svc_pp_result parse(const void *b, uint32_t n, struct svc_pp *out, const char **why)
{
	enum svc_pp_result rc = svc_pp_parse(b, n, out, why);

	if (rc != SVC_PP_OK)
		return rc;
	CHECK(out->len <= n, "%u of %u octets", out->len, n);
	for (uint32_t k = 0; k < out->len; k++) {
		uint8_t *part = malloc(k + 1);
		struct svc_pp p;

		/* In a buffer of its own, so that a look beyond is seen. */
		memcpy(part, b, k);
		part = realloc(part, k != 0 ? k : 1);
		rc = svc_pp_parse(part, k, &p, why);
		CHECK(rc == SVC_PP_MORE, "%d with %u of %u octets: %s", rc, k, out->len, *why);
		CHECK(p.len > k && p.len <= out->len, "wants %u with %u of %u octets", p.len, k,
		      out->len);
		free(part);
	}
	return SVC_PP_OK;
}

static void good_v1(const char *line, uint8_t family, const char *src, uint16_t sport)
{
	struct svc_pp p;
	const char *why;
	char text[INET6_ADDRSTRLEN], with_data[256];
	int n = snprintf(with_data, sizeof(with_data), "%sGET / HTTP/1.1\r\n\r\n", line);

	CHECK(parse(with_data, (uint32_t)n, &p, &why) == SVC_PP_OK, "%s: %s", line, why);
	CHECK(p.version == 1 && p.len == strlen(line) && p.family == family, "%s: %u %u %u", line,
	      p.version, p.len, p.family);
	if (family == 0)
		return;
	inet_ntop(family == 4 ? AF_INET : AF_INET6, p.src.b + (family == 4 ? 12 : 0), text,
		  sizeof(text));
	CHECK(strcmp(text, src) == 0 && ntohs(p.sport) == sport, "%s: %s %u", line, text,
	      ntohs(p.sport));
}

static void test_v1(void)
{
	static const char *const wrong[] = {
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 \r\n",
		"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999999999\r\n",
		"PROXY TCP4 1.2.3.04 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n",
		"PROXY TCP4 ::1 ::2 1 2\r\n",
		"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP6 ::1%lo ::2 1 2\r\n",
		"PROXY TCP6 ::g ::2 1 2\r\n",
		"PROXY TCP5 ::1 ::2 1 2\r\n",
		"PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY \r\n",
		"PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n\r\n",
		"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX",
		"proxy TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"PROXYTCP4 1.2.3.4 5.6.7.8 1 2\r\n",
		"GET / HTTP/1.1\r\n\r\n",
		"X",
		"PROXY UNKNOWN "
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n",
	};
	struct svc_pp p;
	const char *why;

	good_v1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", 4, "192.0.2.1", 56324);
	good_v1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n", 4, "255.255.255.255",
		65535);
	good_v1("PROXY TCP6 2001:db8::1 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 1 65535\r\n", 6,
		"2001:db8::1", 1);
	good_v1("PROXY UNKNOWN\r\n", 0, NULL, 0);
	good_v1("PROXY UNKNOWN ffff::1 whatever it is\r\n", 0, NULL, 0);
	good_v1("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535 "
		"aaaaaaaaaaaaaaaaaaaaaaaaaa"
		"aaaaaaaaaaaaaa\r\n",
		0, NULL, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		CHECK(svc_pp_parse((const uint8_t *)wrong[i], (uint32_t)strlen(wrong[i]), &p,
				   &why) == SVC_PP_BAD &&
			      why[0] != '\0',
		      "%s", wrong[i]);
	CHECK(svc_pp_parse((const uint8_t *)"PROXY UNKNOWN \0\r\n", 17, &p, &why) == SVC_PP_BAD,
	      "octet 0");
}

struct v2 {
	uint8_t b[SVC_PP_MAX + 64];
	uint32_t n;
};

static void v2_begin(struct v2 *v, uint8_t cmd, uint8_t family)
{
	memcpy(v->b, SIG, 12);
	v->b[12] = cmd;
	v->b[13] = family;
	v->n = 16;
}

static void v2_add(struct v2 *v, const void *data, uint32_t n)
{
	memcpy(v->b + v->n, data, n);
	v->n += n;
}

static void v2_tlv(struct v2 *v, uint8_t type, const void *data, uint16_t n)
{
	uint8_t head[3] = {type, (uint8_t)(n >> 8), (uint8_t)n};

	v2_add(v, head, 3);
	v2_add(v, data, n);
}

static enum svc_pp_result v2_parse(struct v2 *v, struct svc_pp *p, const char **why)
{
	v->b[14] = (uint8_t)((v->n - 16) >> 8);
	v->b[15] = (uint8_t)(v->n - 16);
	return parse(v->b, v->n, p, why);
}

static void test_v2(void)
{
	static const uint8_t a4[12] = {192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb};
	uint8_t a6[36] = {0x20, 0x01, 0x0d,	0xb8, [15] = 1, 0x20, 0x01,
			  0x0d, 0xb8, [31] = 2, 1,    2,	3,    4};
	uint8_t un[216] = "/run/x";
	const char *why;
	struct svc_pp p;
	struct v2 v;

	v2_begin(&v, 0x21, 0x11);
	v2_add(&v, a4, 12);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK, "%s", why);
	CHECK(p.version == 2 && p.family == 4 && !p.local && p.len == 28 && p.tlv_len == 0, "%u %u",
	      p.family, p.len);
	CHECK(memcmp(p.src.b + 12, a4, 4) == 0 && memcmp(p.dst.b + 12, a4 + 4, 4) == 0 &&
		      ntohs(p.sport) == 56324 && ntohs(p.dport) == 443 && tcp_addr_is4(&p.src),
	      "%u %u", ntohs(p.sport), ntohs(p.dport));
	v2_tlv(&v, SVC_PP_TLV_ALPN, "h2", 2);
	v2_tlv(&v, SVC_PP_TLV_NOOP, "", 0);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK, "%s", why);
	CHECK(p.tlv_off == 28 && p.tlv_len == 8, "%u %u", p.tlv_off, p.tlv_len);

	v2_begin(&v, 0x21, 0x21);
	v2_add(&v, a6, 36);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK, "%s", why);
	CHECK(p.family == 6 && memcmp(p.src.b, a6, 16) == 0 && ntohs(p.dport) == 0x304, "%u",
	      p.family);

	/* Nothing about addresses. */
	v2_begin(&v, 0x21, 0x31);
	v2_add(&v, un, 216);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK && p.family == 0, "%s", why);
	v2_begin(&v, 0x21, 0x00);
	v2_tlv(&v, SVC_PP_TLV_AUTHORITY, "example.org", 11);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK && p.family == 0 && p.tlv_len == 14, "%s", why);
	v2_begin(&v, 0x20, 0x00);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK && p.local && p.len == 16, "%s", why);
	/* What a LOCAL header holds is skipped, whatever it is. */
	v2_begin(&v, 0x20, 0x12);
	v2_add(&v, "xyz", 3);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_OK && p.local && p.len == 19 && p.family == 0, "%s",
	      why);

	static const struct {
		uint8_t cmd, family;
	} wrong[] = {{0x11, 0x11}, {0x22, 0x11}, {0x2f, 0x11}, {0x31, 0x11}, {0x21, 0x12},
		     {0x21, 0x22}, {0x21, 0x32}, {0x21, 0x01}, {0x21, 0x10}, {0x21, 0x41}};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		v2_begin(&v, wrong[i].cmd, wrong[i].family);
		v2_add(&v, un, 216);
		CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD && why[0] != '\0', "%x %x", wrong[i].cmd,
		      wrong[i].family);
	}
	v2_begin(&v, 0x21, 0x11);
	v2_add(&v, a4, 11);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "too short");
	v2_begin(&v, 0x21, 0x21);
	v2_add(&v, a6, 35);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "too short");
	v2_begin(&v, 0x21, 0x11);
	v2_add(&v, a4, 12);
	v2_add(&v, "\1\0", 2);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "TLV header cut off");
	v2_begin(&v, 0x21, 0x11);
	v2_add(&v, a4, 12);
	v2_add(&v, "\1\0\2x", 4);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "TLV cut off");
	v2_begin(&v, 0x21, 0x00);
	v.n = SVC_PP_MAX + 1;
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "too long");
	v.b[5] = 'X';
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD, "signature");
}

static void test_crc(void)
{
	struct svc_pp in = {.version = 2, .family = 6, .crc = true}, p;
	uint8_t buf[256], bad[256];
	const char *why;
	uint32_t n;

	/* RFC 3720 appendix B.4, and the catalogues' check value. */
	CHECK(svc_crc32c(0, (const uint8_t *)"123456789", 9) == 0xe3069283, "%x",
	      svc_crc32c(0, (const uint8_t *)"123456789", 9));
	memset(buf, 0, 32);
	CHECK(svc_crc32c(0, buf, 32) == 0x8a9136aa, "%x", svc_crc32c(0, buf, 32));
	memset(in.src.b, 0x11, 16);
	memset(in.dst.b, 0x22, 16);
	in.sport = htons(7);
	n = svc_pp_build(&in, (const uint8_t *)"\1\0\2h2", 5, buf, sizeof(buf));
	CHECK(n == 16 + 36 + 5 + 7, "%u", n);
	CHECK(parse(buf, n, &p, &why) == SVC_PP_OK && p.crc, "%s", why);
	/* Any bit that is wrong is noticed, but where the header is one of another kind then. */
	for (uint32_t i = 16; i < n * 8 - 128; i++) {
		memcpy(bad, buf, n);
		bad[16 + i / 8] ^= (uint8_t)(1 << (i % 8));
		CHECK(svc_pp_parse(bad, n, &p, &why) == SVC_PP_BAD || !p.crc, "bit %u", i);
	}
	/* Two of them, and one of another length. */
	struct v2 v;
	v2_begin(&v, 0x21, 0x00);
	v2_tlv(&v, SVC_PP_TLV_CRC32C, "\0\0\0", 3);
	CHECK(v2_parse(&v, &p, &why) == SVC_PP_BAD && strstr(why, "four") != NULL, "%s", why);
}

static void test_build(void)
{
	static const uint8_t tlvs[] = "\1\0\2h2\4\0\3abc\3\0\4wxyz\x02\0\1a";
	struct svc_pp in = {.version = 1, .family = 4}, p;
	uint8_t buf[SVC_PP_MAX];
	const char *why;
	uint32_t n;

	tcp_addr4(&in.src, htonl(0xc0000201));
	tcp_addr4(&in.dst, htonl(0xc6336402));
	in.sport = htons(56324);
	in.dport = htons(443);
	n = svc_pp_build(&in, NULL, 0, buf, sizeof(buf));
	CHECK(n == 45 && memcmp(buf, "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", n) == 0,
	      "%.*s", (int)n, buf);
	CHECK(svc_pp_build(&in, NULL, 0, buf, 44) == 0, "no room");
	for (int version = 1; version <= 2; version++) {
		for (int family = 0; family <= 6; family += family == 0 ? 4 : 2) {
			in.version = (uint8_t)version;
			in.family = (uint8_t)family;
			n = svc_pp_build(&in, tlvs, version == 2 ? sizeof(tlvs) - 1 : 0, buf,
					 sizeof(buf));
			CHECK(parse(buf, n, &p, &why) == SVC_PP_OK, "%d %d: %s", version, family,
			      why);
			CHECK(p.len == n && p.family == family && p.version == version, "%u %u",
			      p.family, p.len);
			/* The old CRC and the padding are left out. */
			if (version == 2)
				CHECK(p.tlv_len == 9 && !p.crc, "%u", p.tlv_len);
			if (family != 0)
				CHECK(memcmp(&p.src, &in.src, 16) == 0 && p.dport == in.dport,
				      "version %d family %d", version, family);
		}
	}
	in.local = true;
	n = svc_pp_build(&in, NULL, 0, buf, sizeof(buf));
	CHECK(n == 16 && buf[12] == 0x20 && buf[13] == 0, "%u", n);
	in.version = 1;
	n = svc_pp_build(&in, NULL, 0, buf, sizeof(buf));
	CHECK(n == 15 && memcmp(buf, "PROXY UNKNOWN\r\n", n) == 0, "%u", n);
	in.version = 2;
	CHECK(svc_pp_build(&in, tlvs, sizeof(tlvs) - 1, buf, 60) == 0, "no room");
}

int main(void)
{
	test_v1();
	test_v2();
	test_crc();
	test_build();
	return 0;
}
