/* SPDX-License-Identifier: Apache-2.0 */
/* The reassembly queue: cases by hand, then random ones against a map of octets (reass_model.h). */
#include <unistd.h>

#include <rte_eal.h>
#include <rte_mempool.h>

#include "check_test.h"
#include "reass.h"
#include "reass_model.h"

static struct rte_mempool *pool, *tiny;
static struct tcp_slab slab;
static struct tcp_reass r;
static struct tcp_reass_result res;

static void start(void)
{
	uint32_t sizes = 64 * 200000;
	static void *mem;

	if (mem == NULL)
		mem = malloc(sizes);
	CHECK(mem != NULL);
	tcp_slab_init(&slab, mem, 200000, 64);
	tcp_reass_init(&r);
}

static void stop(void)
{
	tcp_reass_purge(&slab, &r);
	CHECK_EQ(r.mem, 0);
	CHECK_EQ(r.count, 0);
	CHECK_EQ(slab.used, 0);
	CHECK_EQ(rte_mempool_in_use_count(pool), 0);
	CHECK_EQ(rte_mempool_in_use_count(tiny), 0);
}

/* len octets of value `fill`. */
static struct rte_mbuf *data(uint16_t len, char fill)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);

	CHECK(m != NULL);
	memset(rte_pktmbuf_append(m, len), fill, len);
	return m;
}

static void put(uint32_t seq, struct rte_mbuf *m)
{
	const char *error;

	tcp_reass_insert(&slab, &r, 1000, seq, m, 1000, &res);
	error = reass_check(&slab, &r);
	if (error != NULL)
		fprintf(stderr, "%s\n", error);
	CHECK(error == NULL);
}

static void text(uint32_t at, const char *want)
{
	uint32_t len;
	struct rte_mbuf *m = tcp_reass_pop(&slab, &r, at, &len);
	char buf[100];

	CHECK(m != NULL);
	CHECK_EQ(len, strlen(want));
	CHECK(memcmp(rte_pktmbuf_read(m, 0, len, buf), want, len) == 0);
	rte_pktmbuf_free(m);
}

static void test_order(void)
{
	struct tcp_sack s[4];

	start();
	CHECK(tcp_reass_empty(&r));
	put(2000, data(300, 'a'));
	CHECK_EQ(res.stored, 300);
	CHECK_EQ(res.mem, tcp_chain_truesize(at_seg(&slab, r.head)->first));
	put(3000, data(300, 'b'));
	put(4000, data(300, 'c'));
	put(5000, data(300, 'd'));
	put(3300, data(300, 'b'));
	CHECK_EQ(r.count, 4);
	CHECK_EQ(tcp_reass_start(&slab, &r), 2000);
	CHECK_EQ(tcp_reass_end(&slab, &r), 5300);
	/* RFC 2018 section 4: the last one first, then as they were reported. */
	CHECK_EQ(tcp_reass_sacks(&slab, &r, s, 4), 4);
	CHECK_EQ(s[0].start, 3000);
	CHECK_EQ(s[0].end, 3600);
	CHECK_EQ(s[1].start, 5000);
	CHECK_EQ(s[2].start, 4000);
	CHECK_EQ(s[3].start, 2000);
	CHECK_EQ(tcp_reass_sacks(&slab, &r, s, 3), 3);
	/* A duplicate is the last one received, too. */
	put(2100, data(50, 'x'));
	CHECK_EQ(res.stored, 0);
	CHECK_EQ(res.dup_start, 2100);
	CHECK_EQ(res.dup_end, 2150);
	CHECK_EQ(tcp_reass_sacks(&slab, &r, s, 2), 2);
	CHECK_EQ(s[0].start, 2000);
	CHECK_EQ(s[1].start, 3000);
	/* From the highest down. */
	CHECK_EQ(tcp_reass_shed(&slab, &r, 1), tcp_mbuf_truesize(at_seg(&slab, r.head)->first));
	CHECK_EQ(tcp_reass_end(&slab, &r), 4300);
	stop();
}

static void test_overlap(void)
{
	start();
	put(2010, data(10, 'a'));
	put(2030, data(10, 'b'));
	/* Around one, into the other: what was there stays. */
	put(2005, data(30, 'x'));
	CHECK_EQ(r.count, 1);
	CHECK_EQ(res.stored, 15);
	CHECK_EQ(res.dup_start, 2010);
	CHECK_EQ(res.dup_end, 2020);
	text(2005, "xxxxxaaaaaaaaaaxxxxxxxxxxbbbbbbbbbb");
	/* What has been read already. */
	put(990, data(5, 'y'));
	CHECK_EQ(res.stored, 0);
	CHECK_EQ(res.dup_end - res.dup_start, 5);
	put(990, data(15, 'y'));
	CHECK_EQ(res.stored, 5);
	CHECK_EQ(res.dup_start, 990);
	CHECK_EQ(res.dup_end, 1000);
	/* In part. */
	text(1002, "yyy");
	put(1100, data(0, 'z'));
	CHECK(tcp_reass_empty(&r) && !res.no_memory);
	stop();
}

/* A buffer somebody else sees must not be written; it may be dropped, but nothing held is lost. */
static void test_shared(void)
{
	struct rte_mbuf *m;

	start();
	put(2010, data(10, 'a'));
	m = data(30, 'x');
	rte_mbuf_refcnt_update(m, 1);
	put(2000, m);
	CHECK_EQ(res.stored, 10);
	CHECK(res.no_memory);
	/* The part it was cut to is still shared, and got nothing appended. */
	put(2020, data(10, 'y'));
	text(2000, "xxxxxxxxxxaaaaaaaaaayyyyyyyyyy");
	CHECK_EQ(rte_mbuf_refcnt_read(m), 1);
	m->data_len = 30;
	for (unsigned int i = 0; i < 30; i++)
		CHECK_EQ(rte_pktmbuf_mtod(m, char *)[i], 'x');
	rte_pktmbuf_free(m);
	/* The same octets are no conflict. */
	put(2010, data(10, 'x'));
	m = data(30, 'x');
	rte_mbuf_refcnt_update(m, 1);
	put(2000, m);
	CHECK_EQ(res.stored, 20);
	CHECK(!res.no_memory);
	tcp_reass_purge(&slab, &r);
	rte_pktmbuf_free(m);
	stop();
}

/* Segments of one octet, in whatever order, must not hold a buffer each. */
static void test_tiny(void)
{
	const uint32_t one = 128 + 2048 + sizeof(struct rte_mbuf);

	for (unsigned int kind = 0; kind < 3; kind++) {
		start();
		for (uint32_t i = 0; i < 1000; i++) {
			const uint32_t up = i < 500 ? 2 * i : 2 * (i - 500) + 1;
			const uint32_t off = kind == 0 ? i : kind == 1 ? 999 - i : up;

			put(2000 + off, data(1, (char)off));
			CHECK_EQ(res.stored, 1);
		}
		CHECK_EQ(r.count, 1);
		CHECK(r.mem <= 10 * one);
		stop();
	}
}

static void test_limits(void)
{
	const uint32_t used = slab.max;

	start();
	slab.max = 4;
	for (uint32_t i = 0; i < 6; i++) {
		put(2000 + 100 * i, data(10, 'a'));
		CHECK_EQ(res.no_memory, i >= 4);
		CHECK_EQ(res.stored, i >= 4 ? 0 : 10);
	}
	/* One that takes no record of its own. */
	put(2010, data(10, 'a'));
	CHECK(!res.no_memory);
	slab.max = used;
	tcp_reass_insert(&slab, &r, 1000, 3000, data(10, 'a'), 4, &res);
	CHECK(res.no_memory);
	/* What covers held data replaces it even if the limit has gone down meanwhile. */
	tcp_reass_insert(&slab, &r, 1000, 2090, data(30, 'a'), 1, &res);
	CHECK(!res.no_memory);
	CHECK_EQ(res.stored, 20);
	stop();
}

/* More buffers than a chain may have: segments that touch without being one. */
static void test_long_chain(void)
{
	struct tcp_sack s[4];
	uint32_t at = 2000, len;
	struct rte_mbuf *m;

	start();
	for (unsigned int i = 0; i < 66000; i++, at += 64) {
		m = rte_pktmbuf_alloc(tiny);
		CHECK(m != NULL);
		rte_pktmbuf_reset_headroom(m);
		m->data_off = 0;
		m->data_len = 64;
		m->pkt_len = 64;
		CHECK_EQ(rte_pktmbuf_tailroom(m), 0);
		memset(rte_pktmbuf_mtod(m, void *), (int)i, 64);
		tcp_reass_insert(&slab, &r, 1000, at, m, 100, &res);
		CHECK_EQ(res.stored, 64);
	}
	CHECK_EQ(r.count, 2);
	CHECK(reass_check(&slab, &r) == NULL);
	CHECK_EQ(tcp_reass_sacks(&slab, &r, s, 4), 1);
	CHECK_EQ(s[0].start, 2000);
	CHECK_EQ(s[0].end, at);
	/* A duplicate that lies in both. */
	put(2000 + 65535 * 64 - 10, data(20, 'x'));
	CHECK_EQ(res.dup_end - res.dup_start, 20);
	m = tcp_reass_pop(&slab, &r, 2000, &len);
	CHECK_EQ(len, 65535 * 64);
	rte_pktmbuf_free(m);
	m = tcp_reass_pop(&slab, &r, 2000 + len, &len);
	CHECK_EQ(len, (66000 - 65535) * 64);
	rte_pktmbuf_free(m);
	CHECK(tcp_reass_pop(&slab, &r, at, &len) == NULL);
	stop();
}

static void test_model(void)
{
	struct reass_model *model = reass_model_create(pool);
	uint8_t script[1200];
	uint64_t seed;

	CHECK(model != NULL);
	for (unsigned int round = 0; round < 300; round++) {
		const char *error;
		const size_t len = sizeof(script);

		seed = round;
		for (size_t i = 0; i < len; i++)
			script[i] = (uint8_t)test_random(&seed);
		error = reass_model_run(model, script, len);
		if (error != NULL) {
			fprintf(stderr, "round %u: %s\n", round, error);
			exit(1);
		}
	}
	reass_model_destroy(model);
	CHECK_EQ(rte_mempool_in_use_count(pool), 0);
}

int main(void)
{
	char prefix[64], *argv[] = {"reass-test", "--no-huge",	    "-m",	"200",
				    "--no-pci",	  "--no-telemetry", "--lcores", "0@0",
				    prefix,	  "--log-level=4",  NULL};

	snprintf(prefix, sizeof(prefix), "--file-prefix=reass-test-%d", (int)getpid());
	CHECK(rte_eal_init(RTE_DIM(argv) - 1, argv) >= 0);
	pool = rte_pktmbuf_pool_create("pool", 8191, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	tiny = rte_pktmbuf_pool_create("tiny", 70000, 0, 0, 64, 0);
	CHECK(pool != NULL && tiny != NULL);
	test_order();
	test_overlap();
	test_shared();
	test_tiny();
	test_limits();
	test_long_chain();
	test_model();
	return 0;
}
