/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_errno.h>

static struct rte_mempool *pool;
static uint32_t external;

void rig_start(const char *name, uint32_t mbufs)
{
	char prefix[64], memory[16],
		*argv[] = {"sim",      "-m",  memory, "--no-huge",     "--no-pci", "--no-telemetry",
			   "--lcores", "0@0", prefix, "--log-level=4", NULL};

	/* A buffer takes about 2.4 kB, and they have to lie in one piece. */
	snprintf(memory, sizeof(memory), "%u", 64 + mbufs / 200);
	setvbuf(stdout, NULL, _IOLBF, 0);
	snprintf(prefix, sizeof(prefix), "--file-prefix=%s-%d", name, (int)getpid());
	if (rte_eal_init(RTE_DIM(argv) - 1, argv) < 0) {
		fprintf(stderr, "rte_eal_init: %s\n", rte_strerror(rte_errno));
		exit(1);
	}
	pool = rte_pktmbuf_pool_create("sim", mbufs, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL) {
		fprintf(stderr, "pool of %u buffers: %s\n", mbufs, rte_strerror(rte_errno));
		exit(1);
	}
}

struct rte_mempool *rig_pool(void)
{
	return pool;
}

uint32_t rig_in_use(void)
{
	return rte_mempool_in_use_count(pool) + external;
}

struct rte_mbuf *rig_chain(const uint8_t *p, uint32_t len, uint32_t seg_max)
{
	struct rte_mbuf *head = NULL, *last = NULL, *m;

	do {
		uint32_t n = RTE_MIN(len, seg_max);

		m = rte_pktmbuf_alloc(pool);
		if (m == NULL) {
			rte_pktmbuf_free(head);
			return NULL;
		}
		n = RTE_MIN(n, rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), p, n);
		if (head == NULL) {
			head = m;
		} else {
			last->next = m;
			head->nb_segs++;
			head->pkt_len += n;
		}
		last = m;
		p += n;
		len -= n;
	} while (len > 0);
	return head;
}

static void external_free(void *addr, void *opaque)
{
	free(addr);
	free(opaque);
	external--;
}

static struct rte_mbuf *external_packet(const uint8_t *p, uint32_t len)
{
	struct rte_mbuf_ext_shared_info *shared;
	struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
	void *copy;

	if (m == NULL)
		return NULL;
	shared = malloc(sizeof(*shared));
	copy = malloc(len);
	if (shared == NULL || copy == NULL)
		abort();
	memcpy(copy, p, len);
	shared->free_cb = external_free;
	shared->fcb_opaque = shared;
	rte_mbuf_ext_refcnt_set(shared, 1);
	external++;
	rte_pktmbuf_attach_extbuf(m, copy, RTE_BAD_IOVA, (uint16_t)len, shared);
	m->data_len = (uint16_t)len;
	m->pkt_len = len;
	return m;
}

static struct rte_mbuf *two(const uint8_t *p, uint32_t len, uint32_t first)
{
	struct rte_mbuf *m = rig_chain(p, first, UINT16_MAX), *rest;

	if (m == NULL || first == len)
		return m;
	rest = rig_chain(p + first, len - first, UINT16_MAX);
	if (rest == NULL || rte_pktmbuf_chain(m, rest) != 0) {
		rte_pktmbuf_free(m);
		rte_pktmbuf_free(rest);
		return NULL;
	}
	return m;
}

struct rte_mbuf *rig_packet(const uint8_t *p, uint32_t len, enum rig_layout how, struct rng *r)
{
	static const uint8_t padding[64];
	struct seg s;
	uint32_t headers, room = RTE_MBUF_DEFAULT_DATAROOM;
	struct rte_mbuf *m, *pad;

	/* A damaged packet may have no TCP header worth the name: it is left whole. */
	seg_parse(p, len, &s);
	headers = s.l3_len + s.l4_len;
	if (headers == 0 || headers > len)
		how = len <= room ? RIG_PLAIN : RIG_EXTERNAL;
	switch (how) {
	case RIG_EXTERNAL:
		m = external_packet(p, len);
		break;
	case RIG_CHAIN:
		m = two(p, len, RTE_MIN(room, headers + (uint32_t)rng_below(r, len - headers + 1)));
		break;
	case RIG_HEADER_SPLIT:
		m = two(p, len, headers);
		break;
	default:
		m = rig_chain(p, len, UINT16_MAX);
	}
	if (m == NULL)
		return NULL;
	if (how == RIG_PADDED) {
		pad = rig_chain(padding, 1 + (uint32_t)rng_below(r, 64), UINT16_MAX);
		if (pad != NULL && rte_pktmbuf_chain(m, pad) != 0)
			rte_pktmbuf_free(pad);
	}
	m->l2_len = 0;
	m->l3_len = s.l3_len;
	return m;
}

/* Memory that starts on a cache line; the block's own address lies in front of it. */
void *rig_alloc(void *ctx, size_t bytes)
{
	uint8_t *block = calloc(1, bytes + 128), *p;

	if (block == NULL)
		return NULL;
	p = (uint8_t *)(((uintptr_t)block + 127) & ~(uintptr_t)63);
	memcpy(p - sizeof(block), &block, sizeof(block));
	return p;
}

void rig_free(void *ctx, void *p, size_t bytes)
{
	void *block;

	if (p == NULL)
		return;
	memcpy(&block, (uint8_t *)p - sizeof(block), sizeof(block));
	free(block);
}
