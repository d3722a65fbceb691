/* SPDX-License-Identifier: Apache-2.0 */
#include "slab.h"

size_t tcp_slab_bytes(uint32_t max, uint32_t size)
{
	return ((size_t)max * size + 63) & ~(size_t)63;
}

void tcp_slab_init(struct tcp_slab *s, void *mem, uint32_t max, uint32_t size)
{
	*s = (struct tcp_slab){.mem = mem, .size = size, .max = max, .free_head = TCP_NIL};
}
