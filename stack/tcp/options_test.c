/* SPDX-License-Identifier: Apache-2.0 */
#include "check_test.h"
#include "options.h"

static struct tcp_opts o;

/* From memory of just that size, so that ASan sees whatever goes beyond it. */
static bool parse(const uint8_t *p, unsigned int len, bool syn)
{
	uint8_t *copy = malloc(len + (len == 0));
	bool ok;

	CHECK(copy != NULL);
	memcpy(copy, p, len);
	memset(&o, 0xa5, sizeof(o));
	ok = tcp_opts_parse(copy, len, syn, &o);
	if ((o.flags & TCP_OPT_HAS_TFO) != 0)
		CHECK(o.tfo >= copy && o.tfo + o.tfo_len <= copy + len);
	CHECK_EQ(ok, (o.flags & TCP_OPT_MALFORMED) == 0);
	free(copy);
	return ok;
}

#define PARSE(syn, ...)                                                                            \
	parse((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), syn)

static void test_parse(void)
{
	CHECK(parse((const uint8_t *)"", 0, false));
	CHECK_EQ(o.flags, 0);
	CHECK_EQ(o.n_sack, 0);

	CHECK(PARSE(false, 1, 1, 8, 10, 0x80, 2, 3, 4, 5, 6, 7, 8));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TS);
	CHECK_EQ(o.tsval, 0x80020304);
	CHECK_EQ(o.tsecr, 0x05060708);
	/* Also in another place. */
	CHECK(PARSE(false, 8, 10, 0x80, 2, 3, 4, 5, 6, 7, 8, 0, 99));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TS);
	CHECK_EQ(o.tsval, 0x80020304);

	/* Linux's SYN. */
	CHECK(PARSE(true, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7));
	CHECK_EQ(o.flags,
		 TCP_OPT_HAS_MSS | TCP_OPT_HAS_WSCALE | TCP_OPT_HAS_SACK_PERM | TCP_OPT_HAS_TS);
	CHECK_EQ(o.mss, 1460);
	CHECK_EQ(o.wscale, 7);
	/* The same outside a SYN. */
	CHECK(PARSE(false, 2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TS);

	CHECK(PARSE(true, 3, 3, 15));
	CHECK_EQ(o.wscale, 14);
	CHECK(PARSE(true, 3, 3, 255));
	CHECK_EQ(o.wscale, 14);

	CHECK(PARSE(false, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 255, 255, 255, 255, 0, 0, 0, 7));
	CHECK_EQ(o.flags, TCP_OPT_HAS_SACK);
	CHECK_EQ(o.n_sack, 2);
	CHECK_EQ(o.sack[0].start, 1);
	CHECK_EQ(o.sack[0].end, 2);
	CHECK_EQ(o.sack[1].start, UINT32_MAX);
	CHECK_EQ(o.sack[1].end, 7);
	CHECK(PARSE(true, 5, 10, 0, 0, 0, 1, 0, 0, 0, 2));
	CHECK_EQ(o.flags, 0);

	CHECK(PARSE(false, 28, 4, 0x80, 3));
	CHECK_EQ(o.flags, TCP_OPT_HAS_UTO);
	CHECK_EQ(o.uto_s, 180);
	CHECK(PARSE(true, 28, 4, 0, 30));
	CHECK_EQ(o.uto_s, 30);

	/* Nothing behind the end of the list counts. */
	CHECK(PARSE(true, 0, 2, 4, 5, 0xb4));
	CHECK_EQ(o.flags, 0);
	/* Unknown ones. */
	CHECK(PARSE(true, 200, 2, 77, 5, 1, 2, 3, 2, 4, 2, 0));
	CHECK_EQ(o.mss, 512);
}

static void test_wrong(void)
{
	/* Lengths these cannot have. */
	CHECK(PARSE(true, 2, 3, 9, 3, 2, 4, 3, 0, 8, 9, 1, 2, 3, 4, 5, 6, 7, 28, 3, 1));
	CHECK_EQ(o.flags, 0);
	CHECK(PARSE(false, 5, 2, 5, 6, 1, 2, 3, 4, 5, 11, 1, 2, 3, 4, 5, 6, 7, 8, 9));
	CHECK_EQ(o.flags, 0);
	CHECK_EQ(o.n_sack, 0);
	CHECK(PARSE(true, 34, 3, 1, 34, 4, 1, 2, 34, 7, 1, 2, 3, 4, 5));
	CHECK_EQ(o.flags, 0);
	CHECK(PARSE(true, 34, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9));
	CHECK_EQ(o.flags, 0);
	CHECK(PARSE(true, 254, 3, 0xf9, 254, 4, 0xf9, 0x88, 254, 2));
	CHECK_EQ(o.flags, 0);
	/* Malformed. */
	CHECK(!PARSE(true, 2));
	CHECK(!PARSE(true, 2, 0, 1, 1));
	CHECK(!PARSE(true, 2, 1, 1, 1));
	CHECK(!PARSE(true, 77, 1));
	CHECK(!PARSE(true, 2, 4, 5));
	CHECK(!PARSE(true, 1, 1, 1, 8));
	CHECK(!PARSE(false, 1, 1, 8, 11, 1, 2, 3, 4, 5, 6, 7, 8));
	/* What came before is known. */
	CHECK(!PARSE(true, 2, 4, 5, 0xb4, 3, 200));
	CHECK_EQ(o.flags, TCP_OPT_HAS_MSS | TCP_OPT_MALFORMED);
}

static void test_tfo(void)
{
	CHECK(PARSE(true, 34, 2));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TFO);
	CHECK_EQ(o.tfo_len, 0);
	CHECK(PARSE(true, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8));
	CHECK_EQ(o.tfo_len, 8);
	CHECK(PARSE(true, 254, 12, 0xf9, 0x89, 1, 2, 3, 4, 5, 6, 7, 8));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TFO | TCP_OPT_TFO_EXP);
	CHECK_EQ(o.tfo_len, 8);
	CHECK(PARSE(true, 254, 4, 0xf9, 0x89));
	CHECK_EQ(o.tfo_len, 0);
	CHECK(PARSE(true, 254, 4, 0xf9, 0x89, 34, 2));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TFO);
	CHECK(PARSE(false, 34, 10, 1, 2, 3, 4, 5, 6, 7, 8));
	CHECK_EQ(o.flags, 0);
}

/* All combinations go through the parser again. */
static void test_write_syn(void)
{
	static const uint8_t cookie[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
	static const uint8_t linux_syn[] = {2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0,
					    0, 9, 0, 0,	   0, 8, 1, 3,	3, 7};
	uint8_t p[40];

	for (unsigned int bits = 0; bits < 64; bits++) {
		for (unsigned int len = 0; len <= 16; len += len == 0 ? 4 : 2) {
			const struct tcp_opts_out out = {
				.mss = (bits & 1) != 0 ? 1460 : 0,
				.wscale = (bits & 2) != 0 ? 7 : -1,
				.sack_perm = (bits & 4) != 0,
				.ts = (bits & 8) != 0,
				.tfo = (bits & 16) != 0,
				.tfo_exp = (bits & 32) != 0,
				.tfo_len = (uint8_t)len,
				.tsval = 9,
				.tsecr = 8,
				.tfo_cookie = len != 0 ? cookie : NULL,
			};
			const unsigned int n = tcp_opts_write_syn(p, &out);

			CHECK(n <= sizeof(p) && n % 4 == 0);
			CHECK(parse(p, n, true));
			CHECK_EQ((o.flags & TCP_OPT_HAS_MSS) != 0, out.mss != 0);
			CHECK_EQ((o.flags & TCP_OPT_HAS_WSCALE) != 0, out.wscale >= 0);
			CHECK_EQ((o.flags & TCP_OPT_HAS_SACK_PERM) != 0, out.sack_perm);
			CHECK_EQ((o.flags & TCP_OPT_HAS_TS) != 0, out.ts);
			CHECK_EQ((o.flags & TCP_OPT_HAS_TFO) != 0, out.tfo);
			if (out.tfo) {
				CHECK_EQ((o.flags & TCP_OPT_TFO_EXP) != 0, out.tfo_exp);
				CHECK_EQ(o.tfo_len, len);
			}
			if (bits == 15) {
				CHECK_EQ(n, sizeof(linux_syn));
				CHECK(memcmp(p, linux_syn, n) == 0);
			}
		}
	}
}

static void test_write(void)
{
	const struct tcp_sack s[5] = {{1, 2}, {3, 4}, {5, 6}, {7, 8}, {9, 10}};
	uint8_t p[40];

	CHECK_EQ(tcp_opts_write(p, false, 0, 0, NULL, 0), 0);
	CHECK_EQ(tcp_opts_write(p, true, 0x80020304, 5, NULL, 0), 12);
	CHECK(parse(p, 12, false));
	CHECK_EQ(o.flags, TCP_OPT_HAS_TS);
	CHECK_EQ(o.tsval, 0x80020304);
	CHECK_EQ(o.tsecr, 5);
	for (unsigned int ts = 0; ts < 2; ts++) {
		for (unsigned int n = 1; n <= 5; n++) {
			const unsigned int fit = n < 4u - ts ? n : 4u - ts;
			const unsigned int len = tcp_opts_write(p, ts != 0, 1, 2, s, n);

			CHECK_EQ(len, ts * 12 + 4 + 8 * fit);
			CHECK(parse(p, len, false));
			CHECK_EQ(o.n_sack, fit);
			for (unsigned int i = 0; i < fit; i++) {
				CHECK_EQ(o.sack[i].start, s[i].start);
				CHECK_EQ(o.sack[i].end, s[i].end);
			}
			CHECK_EQ((o.flags & TCP_OPT_HAS_TS) != 0, ts != 0);
		}
	}
}

static void test_noise(void)
{
	uint64_t seed = 1;
	uint8_t p[40];

	for (unsigned int i = 0; i < 200000; i++) {
		const unsigned int len = test_random(&seed) % 41;

		for (unsigned int k = 0; k < len; k++) {
			const uint64_t r = test_random(&seed);

			p[k] = (uint8_t)((r & 0x100) != 0 ? r % 12 : r);
		}
		parse(p, len, (test_random(&seed) & 1) != 0);
	}
}

int main(void)
{
	test_parse();
	test_wrong();
	test_tfo();
	test_write_syn();
	test_write();
	test_noise();
	return 0;
}
