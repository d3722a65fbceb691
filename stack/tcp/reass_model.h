/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reassembly queue against a map of octets, driven by a script of bytes: for the unit test,
 * which makes scripts up, and the fuzzer. Both return NULL, or what is wrong.
 */
#ifndef MILLRACE_TCP_REASS_MODEL_H
#define MILLRACE_TCP_REASS_MODEL_H

#include "reass.h"

static inline const struct tcp_reass_seg *at_seg(const struct tcp_slab *slab, uint32_t idx)
{
	return tcp_slab_at(slab, idx);
}

/* What must always hold. */
const char *reass_check(const struct tcp_slab *slab, const struct tcp_reass *r);

struct reass_model;

/* NULL: no memory. The pool is for the segments. */
struct reass_model *reass_model_create(struct rte_mempool *pool);
void reass_model_destroy(struct reass_model *model);
const char *reass_model_run(struct reass_model *model, const uint8_t *script, size_t len);

#endif
