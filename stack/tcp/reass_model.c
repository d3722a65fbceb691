/* SPDX-License-Identifier: Apache-2.0 */
#include "reass_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Octets of sequence space that a script moves in, and records there are. */
#define SPACE	4096
#define RECORDS 64

struct octet {
	uint8_t value;
	bool held;
	/* When a segment with it was received last. */
	uint32_t stamp;
};

struct reass_model {
	struct rte_mempool *pool;
	struct tcp_slab slab;
	struct tcp_reass r;
	uint8_t mem[RECORDS * 64] __attribute__((aligned(64)));
	struct octet octets[SPACE];
	/* Of the queue, found by walking it. */
	struct octet found[SPACE];
	/* Sequence number of octets[0]. */
	uint32_t base;
	/* Offset. */
	uint32_t rcv_nxt;
	uint32_t stamp;
	uint32_t max_segs;
	/* Nothing was refused so far: the order of SACK blocks can be foretold. */
	bool ordered;
	char error[200];
};

#define FAIL(model, ...)                                                                           \
	(snprintf((model)->error, sizeof((model)->error), __VA_ARGS__), (model)->error)

static const char *check_chain(const struct tcp_reass_seg *s)
{
	const struct rte_mbuf *m = s->first;
	uint32_t len = 0, segs = 0, mem = 0;

	for (; m != NULL; m = m->next) {
		len += m->data_len;
		segs++;
		mem += tcp_mbuf_truesize(m);
		if (m->next == NULL && m != s->last)
			return "the last buffer is another";
	}
	if (len != s->end - s->start || len != s->first->pkt_len || len == 0)
		return "the length is wrong";
	if (segs != s->first->nb_segs)
		return "nb_segs is wrong";
	return mem == s->mem ? NULL : "a segment's truesize is wrong";
}

const char *reass_check(const struct tcp_slab *slab, const struct tcp_reass *r)
{
	uint32_t n = 0, mem = 0, prev = TCP_NIL;

	for (uint32_t i = r->head; i != TCP_NIL; prev = i, i = at_seg(slab, i)->next) {
		const struct tcp_reass_seg *s = at_seg(slab, i), *p;
		const char *error = check_chain(s);

		if (error != NULL)
			return error;
		if (s->prev != prev)
			return "prev is wrong";
		if (prev != TCP_NIL) {
			p = at_seg(slab, prev);
			if ((int32_t)(s->start - p->end) < 0)
				return "segments overlap";
			if (s->start == p->end && p->first->nb_segs + s->first->nb_segs <= 65535)
				return "segments touch";
		}
		mem += s->mem;
		if (++n > r->count)
			return "there are more segments than count";
	}
	if (prev != r->tail || n != r->count || mem != r->mem)
		return "tail, count or mem is wrong";
	prev = TCP_NIL;
	for (uint32_t i = r->recent; i != TCP_NIL; prev = i, i = at_seg(slab, i)->older, n--) {
		if (at_seg(slab, i)->newer != prev || n == 0)
			return "the list of recent ones is wrong";
	}
	return n == 0 ? NULL : "recent ones are missing";
}

struct reass_model *reass_model_create(struct rte_mempool *pool)
{
	struct reass_model *model = aligned_alloc(64, (sizeof(*model) + 63) / 64 * 64);

	if (model != NULL)
		model->pool = pool;
	return model;
}

void reass_model_destroy(struct reass_model *model)
{
	free(model);
}

/* Fills in found[] from the queue. */
static const char *walk(struct reass_model *model)
{
	const char *error = reass_check(&model->slab, &model->r);

	if (error != NULL)
		return error;
	memset(model->found, 0, sizeof(model->found));
	for (uint32_t i = model->r.head; i != TCP_NIL; i = at_seg(&model->slab, i)->next) {
		const struct tcp_reass_seg *s = at_seg(&model->slab, i);
		uint32_t off = s->start - model->base;

		if (off >= SPACE || s->end - model->base > SPACE)
			return "a segment is where none was put";
		for (const struct rte_mbuf *m = s->first; m != NULL; m = m->next) {
			for (uint32_t k = 0; k < m->data_len; k++, off++) {
				model->found[off].held = true;
				model->found[off].value = rte_pktmbuf_mtod(m, uint8_t *)[k];
			}
		}
	}
	return NULL;
}

/* The run of equal `held` around off, of the model. */
static void block(const struct reass_model *model, uint32_t off, struct tcp_sack *out,
		  uint32_t *stamp)
{
	uint32_t start = off, end = off;

	*stamp = 0;
	while (start > 0 && model->octets[start - 1].held)
		start--;
	while (end < SPACE && model->octets[end].held)
		end++;
	for (uint32_t i = start; i < end; i++)
		*stamp = RTE_MAX(*stamp, model->octets[i].stamp);
	*out = (struct tcp_sack){start + model->base, end + model->base};
}

static const char *check_sacks(struct reass_model *model)
{
	struct tcp_sack s[4], want;
	const unsigned int max = 1 + model->stamp % 4;
	const unsigned int n = tcp_reass_sacks(&model->slab, &model->r, s, max);
	uint32_t stamp, last = UINT32_MAX, blocks = 0, newer = 0;

	for (unsigned int i = 0; i < n; i++) {
		if (s[i].start - model->base >= SPACE)
			return "a SACK block is outside";
		block(model, s[i].start - model->base, &want, &stamp);
		if (want.start != s[i].start || want.end != s[i].end)
			return FAIL(model, "SACK block %u to %u, not %u to %u",
				    s[i].start - model->base, s[i].end - model->base,
				    want.start - model->base, want.end - model->base);
		if (model->ordered && stamp >= last)
			return "SACK blocks are out of order";
		last = stamp;
	}
	for (uint32_t i = 0; i < SPACE; i = want.end - model->base) {
		want.end = i + 1 + model->base;
		if (!model->octets[i].held)
			continue;
		block(model, i, &want, &stamp);
		blocks++;
		newer += stamp > last;
	}
	if (n != RTE_MIN(blocks, max))
		return FAIL(model, "%u SACK blocks of %u", n, blocks);
	/* Those given are the newest. */
	if (model->ordered && n != 0 && newer != n - 1)
		return "a newer SACK block is missing";
	return NULL;
}

/* What an insertion of len octets at off, of these values, may have changed. */
static const char *check_insert(struct reass_model *model, int32_t off, uint32_t len,
				const uint8_t *values, const struct tcp_reass_result *res,
				uint32_t mem_before)
{
	const char *error = walk(model);
	int32_t dup = INT32_MIN, dup_end = INT32_MIN;
	uint32_t stored = 0;

	if (error != NULL)
		return error;
	for (int32_t i = off; i < off + (int32_t)len; i++) {
		const bool old = i < (int32_t)model->rcv_nxt || model->octets[i].held;

		if (old && dup == INT32_MIN)
			dup = dup_end = i;
		if (old && dup_end == i)
			dup_end = i + 1;
	}
	if (res->dup_end - res->dup_start != (uint32_t)(dup_end - dup) ||
	    (dup != INT32_MIN && res->dup_start != model->base + (uint32_t)dup))
		return FAIL(model, "duplicate %d to %d, not %d to %d",
			    (int)(res->dup_start - model->base), (int)(res->dup_end - model->base),
			    dup, dup_end);
	for (int32_t i = 0; i < SPACE; i++) {
		struct octet *o = &model->octets[i];
		const struct octet *f = &model->found[i];
		const bool in = i >= off && i < off + (int32_t)len && i >= (int32_t)model->rcv_nxt;

		if (o->held && !f->held)
			return FAIL(model, "octet %d was lost", i);
		if (o->held && f->value != o->value)
			return FAIL(model, "octet %d was changed", i);
		if (!o->held && f->held) {
			if (!in || f->value != values[i - off])
				return FAIL(model, "octet %d is wrong", i);
			o->held = true;
			o->value = f->value;
			stored++;
		}
		if (in && !f->held && !res->no_memory)
			return FAIL(model, "octet %d was not stored", i);
		if (in && f->held)
			o->stamp = model->stamp;
	}
	if (stored != res->stored)
		return FAIL(model, "stored %u, not %u", res->stored, stored);
	if ((uint32_t)res->mem != model->r.mem - mem_before)
		return "the change of mem is wrong";
	return NULL;
}

/* A chain of the values, cut into buffers of all kinds. */
static struct rte_mbuf *make(struct reass_model *model, const uint8_t *values, uint32_t len,
			     uint8_t kind)
{
	struct rte_mbuf *first = NULL, *last = NULL, *copy;

	for (uint32_t done = 0; done < len || first == NULL;) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(model->pool);
		uint32_t n = (kind & 1) != 0 ? RTE_MIN(len - done, 7u + kind) : len - done;

		if (m == NULL)
			abort();
		/* Headroom and so tailroom of all sizes. */
		if ((kind & 2) != 0)
			m->data_off = 0;
		if ((kind & 4) != 0)
			m->data_off = (uint16_t)(m->buf_len - n);
		n = RTE_MIN(n, (uint32_t)rte_pktmbuf_tailroom(m));
		memcpy(rte_pktmbuf_append(m, (uint16_t)n), values + done, n);
		done += n;
		if (first == NULL)
			first = m;
		else
			tcp_chain_link(first, last, m);
		last = m;
	}
	if ((kind & 0x18) != 0x18)
		return first;
	copy = rte_pktmbuf_clone(first, model->pool);
	if (copy == NULL)
		abort();
	/* Shared for as long as it lives: indirect, whether or not the other one is still there. */
	rte_pktmbuf_free(first);
	return copy;
}

/* The script, 0 once it is over. */
struct script {
	const uint8_t *p, *end;
};

static uint8_t next(struct script *s)
{
	return s->p < s->end ? *s->p++ : 0;
}

static const char *insert(struct reass_model *model, struct script *s)
{
	const uint8_t kind = next(s), fill = next(s), size = next(s);
	const uint32_t mem = model->r.mem;
	uint32_t at = (uint32_t)(next(s) << 8 | next(s)), len;
	struct tcp_reass_result res;
	uint8_t values[SPACE];
	int32_t off;

	len = (size & 0x80) != 0 ? 8u * (size & 0x7f) : size & 0x0f;
	/* Where things are: next to one, or anywhere. */
	if ((at & 0x8000) != 0 && model->r.count != 0) {
		uint32_t i = model->r.head;

		for (unsigned int k = at & 0x0f; k > 0 && at_seg(&model->slab, i)->next != TCP_NIL;)
			i = at_seg(&model->slab, i)->next, k--;
		off = (int32_t)(at_seg(&model->slab, i)->end - model->base);
		off += (at & 0x40) != 0 ? -(int32_t)len : (int32_t)(at >> 4 & 3) - 1;
	} else {
		off = (int32_t)(at % SPACE);
	}
	off = RTE_MAX(RTE_MIN(off, (int32_t)(SPACE - len)), -100);
	for (uint32_t i = 0; i < len; i++)
		values[i] = (uint8_t)((fill & 0x80) != 0 ? off + (int32_t)i : fill);
	model->stamp++;
	tcp_reass_insert(&model->slab, &model->r, model->base + model->rcv_nxt,
			 model->base + (uint32_t)off, make(model, values, len, kind),
			 model->max_segs, &res);
	if (res.no_memory)
		model->ordered = false;
	return check_insert(model, off, len, values, &res, mem);
}

/* rcv_nxt goes on, as if in-order data had come up to there; what follows is read. */
static const char *advance(struct reass_model *model, uint32_t by)
{
	const uint32_t old = model->rcv_nxt;
	struct rte_mbuf *m;
	uint32_t len;

	model->rcv_nxt = RTE_MIN(model->rcv_nxt + by, (uint32_t)SPACE);
	for (;;) {
		const uint32_t at = model->rcv_nxt;

		m = tcp_reass_pop(&model->slab, &model->r, model->base + at, &len);
		if (m == NULL)
			break;
		if (m->pkt_len != len || at + len > SPACE)
			return "a chain of the wrong length came out";
		for (uint32_t i = 0; i < len; i++) {
			uint8_t v;
			const uint8_t *p = rte_pktmbuf_read(m, i, 1, &v);

			if (!model->octets[at + i].held || *p != model->octets[at + i].value)
				return FAIL(model, "octet %u came out wrong", at + i);
		}
		rte_pktmbuf_free(m);
		model->rcv_nxt += len;
	}
	if (model->rcv_nxt < SPACE && model->octets[model->rcv_nxt].held)
		return "a chain did not come out";
	for (uint32_t i = old; i < model->rcv_nxt; i++)
		model->octets[i].held = false;
	return walk(model);
}

static const char *shed(struct reass_model *model, uint32_t bytes)
{
	const uint32_t mem = model->r.mem;
	const uint32_t freed = tcp_reass_shed(&model->slab, &model->r, bytes);
	uint32_t top = 0;

	if (freed != mem - model->r.mem || (freed < bytes && model->r.mem != 0))
		return "too little was shed";
	if (model->r.tail != TCP_NIL)
		top = tcp_reass_end(&model->slab, &model->r) - model->base;
	for (uint32_t i = top; i < SPACE; i++)
		model->octets[i].held = false;
	return walk(model);
}

const char *reass_model_run(struct reass_model *model, const uint8_t *script, size_t len)
{
	struct script s = {script, script + len};
	const char *error = NULL;

	tcp_slab_init(&model->slab, model->mem, RECORDS, 64);
	tcp_reass_init(&model->r);
	memset(model->octets, 0, sizeof(model->octets));
	/* Around where sequence numbers wrap, or change their sign. */
	model->base = (uint32_t)next(&s) << 24;
	model->base -= SPACE / 2;
	model->max_segs = 1 + next(&s) % (RECORDS + RECORDS / 2);
	model->rcv_nxt = model->stamp = 0;
	model->ordered = true;
	while (s.p < s.end && error == NULL) {
		const uint8_t op = next(&s);

		if (op < 230)
			error = insert(model, &s);
		else if (op < 250)
			error = advance(model, next(&s));
		else
			error = shed(model, next(&s) * 64u);
		for (uint32_t i = 0; error == NULL && i < SPACE; i++) {
			if (model->octets[i].held != model->found[i].held)
				error = FAIL(model, "octet %u is %sheld", i,
					     model->found[i].held ? "" : "not ");
		}
		if (error == NULL)
			error = check_sacks(model);
	}
	tcp_reass_purge(&model->slab, &model->r);
	if (error == NULL && (model->slab.used != 0 || model->r.mem != 0 || model->r.count != 0))
		error = "something is left";
	return error;
}
