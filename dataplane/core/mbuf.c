/* SPDX-License-Identifier: Apache-2.0 */
#include "mbuf.h"

#include <errno.h>
#include <rte_errno.h>
#include <rte_mbuf_dyn.h>

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
