/* SPDX-License-Identifier: Apache-2.0 */
#include "mbuf.h"

#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_mbuf_dyn.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

int mb_meta_register(void)
{
	const struct rte_mbuf_dynfield field = {
		.name = "millrace_meta",
		.size = sizeof(struct mb_meta),
		.align = 4,
	};

	if (rte_mbuf_dynfield_register_offset(&field, MB_META_OFFSET) != (int)MB_META_OFFSET)
		return -rte_errno;
	return 0;
}

/* As rte_pktmbuf_pool_create(), but in one piece of memory without gaps. */
static struct rte_mempool *pool_create_packed(const char *name, unsigned int n, unsigned int cache,
					      uint16_t room, int socket)
{
	struct rte_pktmbuf_pool_private priv = {.mbuf_data_room_size = room};
	const struct rte_memzone *mz = NULL;
	struct rte_mempool *p;
	size_t min, align, len;

	p = rte_mempool_create_empty(name, n, sizeof(struct rte_mbuf) + room, cache, sizeof(priv),
				     socket, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
	if (p == NULL)
		return NULL;
	/* What was freed last is taken first: it is in the caches. A ring would walk through all of
	 * it. */
	if (rte_mempool_set_ops_byname(p, "stack", NULL) != 0)
		goto fail;
	rte_pktmbuf_pool_init(p, &priv);
	len = (size_t)rte_mempool_op_calc_mem_size_helper(p, n, 0, 0, &min, &align);
	mz = rte_memzone_reserve_aligned(name, len, socket, 0, (unsigned int)align);
	if (mz == NULL)
		goto fail;
	if (rte_mempool_populate_iova(p, mz->addr, mz->iova, mz->len, NULL, NULL) != (int)n) {
		rte_errno = ENOMEM;
		goto fail;
	}
	rte_mempool_obj_iter(p, rte_pktmbuf_init, NULL);
	return p;
fail:
	rte_mempool_free(p);
	rte_memzone_free(mz);
	return NULL;
}

struct rte_mempool *mb_pool_create(const char *name, unsigned int n, unsigned int cache,
				   uint16_t room, int socket)
{
	/* Where devices use virtual addresses, a buffer may cross pages. */
	if (rte_eal_iova_mode() == RTE_IOVA_VA)
		return pool_create_packed(name, n, cache, room, socket);
	return rte_pktmbuf_pool_create_by_ops(name, n, cache, 0, room, socket, "stack");
}

bool mb_pool_is_packed(const struct rte_mempool *p)
{
	return p->nb_mem_chunks == 1 && (p->flags & RTE_MEMPOOL_F_NO_IOVA_CONTIG);
}
