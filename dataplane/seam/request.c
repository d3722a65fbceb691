/* SPDX-License-Identifier: Apache-2.0 */
/* A request from its bytes to its answer. */
#include <inttypes.h>
#include <stdio.h>

#include "../core/log.h"
#include "ops.h"
#include "seam.h"
#include "server.h"
#include "valid.h"

/*
 * The id, for the answer to a request that cannot be read: 0 unless it comes first, as every
 * protobuf library writes it.
 */
static uint64_t peek_id(const uint8_t *data, size_t len)
{
	uint64_t id = 0;
	size_t i;

	if (len == 0 || data[0] != 0x08)
		return 0;
	for (i = 1; i < len && i <= 10; i++) {
		id |= (uint64_t)(data[i] & 0x7f) << (7 * (i - 1));
		if ((data[i] & 0x80) == 0)
			return id;
	}
	return 0;
}

void request_too_long(struct seam_client *c, uint32_t len)
{
	struct dp_error err;

	dp_fail(&err, DP_MALFORMED, "", "a frame of %" PRIu32 " bytes; at most %u are allowed", len,
		SEAM_FRAME_MAX);
	reply_error(c, 0, "", &err);
}

/* ---- hello ----------------------------------------------------------------------------------- */

static int valid_owner(const char *s, struct dp_error *err)
{
	if (valid_name(s, OWNER_NAME_LEN - 1, "-", "owner", err) < 0)
		return -1;
	for (; *s != '\0'; s++)
		if (*s >= 'A' && *s <= 'Z')
			return dp_fail(err, DP_INVALID, "owner",
				       "may have only small letters, digits and -");
	return 0;
}

static void hello(struct seam_client *c, uint64_t id, const PB(Hello) *m)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(HelloResult) h = PB_VALUE(HELLO_RESULT);
	struct dp_error err = {0};

	if (valid_known(&m->base, &err) < 0 || valid_owner(m->owner, &err) < 0 ||
	    valid_text(m->client_version, 255, "client_version", &err) < 0 ||
	    owner_hello(m->owner, m->epoch, &c->claim, &h.previous_epoch, &err) < 0) {
		reply_error(c, id, "hello", &err);
		return;
	}
	LOG_INFO("client %s (%s) with epoch %" PRIu64 ", before %" PRIu64, m->owner,
		 m->client_version, m->epoch, h.previous_epoch);
	h.version = pb_str(dp_version);
	h.boot_id = dp_boot_id;
	h.max_frame = SEAM_FRAME_MAX;
	h.max_ops = SEAM_OPS_MAX;
	r.id = id;
	r.result_case = PBC(RESPONSE__RESULT_HELLO);
	r.hello = &h;
	reply(c, &r);
}

/* ---- batch ----------------------------------------------------------------------------------- */

static void batch_begin(struct seam_client *c, uint64_t id, PB(Batch) *b)
{
	struct dp_error err = {0};

	if (owner_check(&c->claim, &err) < 0 || valid_known(&b->base, &err) < 0) {
		reply_error(c, id, "batch", &err);
		return;
	}
	if (b->n_ops > SEAM_OPS_MAX) {
		dp_fail(&err, DP_INVALID, "ops", "%zu operations; at most %u are allowed", b->n_ops,
			SEAM_OPS_MAX);
		reply_error(c, id, "batch", &err);
		return;
	}
	c->job = (struct job){.kind = JOB_BATCH, .id = id, .batch = b};
}

/* False if there is no memory for the refusal. */
static bool batch_refused(struct seam_client *c, struct job *j, const struct dp_error *err)
{
	PB(OpError) *oe = PB_NEW(&c->arena, OpError, op_error);
	PB(Error) *e = PB_NEW(&c->arena, Error, error);
	char field[sizeof(err->field) + 32], message[sizeof(err->message)];

	if (j->failed == NULL)
		j->failed = arena_alloc(&c->arena, j->batch->n_ops * sizeof(*j->failed));
	if (oe == NULL || e == NULL || j->failed == NULL)
		return false;
	snprintf(field, sizeof(field), "batch.ops[%zu]%s%s", j->at, *err->field ? "." : "",
		 err->field);
	snprintf(message, sizeof(message), "%s", err->message);
	make_printable(message);
	e->code = (PB(Code))err->code;
	e->field = arena_strdup(&c->arena, field);
	e->message = arena_strdup(&c->arena, message);
	oe->index = (uint32_t)j->at;
	oe->error = e;
	j->failed[j->n_failed++] = oe;
	return e->field != NULL && e->message != NULL;
}

static void batch_continue(struct seam_client *c)
{
	struct job *j = &c->job;
	const size_t end = j->at + SEAM_BATCH_SLICE < j->batch->n_ops ? j->at + SEAM_BATCH_SLICE
								      : j->batch->n_ops;
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(BatchResult) result = PB_VALUE(BATCH_RESULT);
	struct dp_error err;

	for (; j->at < end; j->at++) {
		const struct owner_tag tag = {.owner = c->claim.owner, .epoch = c->claim.epoch};

		/* A newer connection of this owner may have come since the last slice. */
		err = (struct dp_error){0};
		if (owner_check(&c->claim, &err) == 0 &&
		    op_apply(j->batch->ops[j->at], tag, &err) == 0)
			continue;
		if (!batch_refused(c, j, &err)) {
			/* What was done cannot be told any more: the client has to start over. */
			LOG_ERR("no memory for the answer to a batch: client disconnected");
			client_kill(c);
			return;
		}
	}
	if (j->at < j->batch->n_ops)
		return;
	result.n_failed = j->n_failed;
	result.failed = j->failed;
	result.applied = (uint32_t)(j->batch->n_ops - j->n_failed);
	r.id = j->id;
	r.result_case = PBC(RESPONSE__RESULT_BATCH);
	r.batch = &result;
	reply(c, &r);
	c->job.kind = JOB_NONE;
}

/* ---- sweep ----------------------------------------------------------------------------------- */

static void sweep_request(struct seam_client *c, uint64_t id, const PB(Sweep) *m)
{
	struct dp_error err = {0};

	if (owner_check(&c->claim, &err) < 0 || valid_known(&m->base, &err) < 0) {
		reply_error(c, id, "sweep", &err);
		return;
	}
	c->job = (struct job){.kind = JOB_SWEEP, .id = id};
	sweep_begin(&c->job.sweep, c->claim.owner, c->claim.epoch);
}

static void sweep_continue(struct seam_client *c)
{
	const struct sweep *s = &c->job.sweep;
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(SweepResult) result = PB_VALUE(SWEEP_RESULT);
	struct dp_error err = {0};

	if (owner_check(&c->claim, &err) < 0) {
		c->job.kind = JOB_NONE;
		reply_error(c, c->job.id, "sweep", &err);
		return;
	}
	if (!sweep_step(&c->job.sweep, SEAM_SWEEP_SLICE))
		return;
	result.routes = s->deleted[SWEEP_ROUTES];
	result.groups = s->deleted[SWEEP_GROUPS];
	result.next_hops = s->deleted[SWEEP_NEXT_HOPS];
	result.neighbors = s->deleted[SWEEP_NEIGHBORS];
	result.addresses = s->deleted[SWEEP_ADDRESSES];
	result.interfaces = s->deleted[SWEEP_VLANS] + s->deleted[SWEEP_INTERFACES];
	result.vrfs = s->deleted[SWEEP_VRFS];
	result.tcp_listeners = s->deleted[SWEEP_TCP_LISTENERS];
	result.tcp_pools = s->deleted[SWEEP_TCP_POOLS];
	r.id = c->job.id;
	r.result_case = PBC(RESPONSE__RESULT_SWEEP);
	r.sweep = &result;
	reply(c, &r);
	c->job.kind = JOB_NONE;
}

/* ---- the small ones -------------------------------------------------------------------------- */

static void neighbor_flush(struct seam_client *c, uint64_t id, const PB(NeighborFlush) *m)
{
	struct dp_error err = {0};
	struct iface *i = NULL;
	struct ip_addr a;

	if (valid_known(&m->base, &err) < 0)
		goto refused;
	if (*m->interface != '\0') {
		i = valid_iface(m->interface, "interface", &err);
		if (i == NULL)
			goto refused;
	}
	if (m->address.len != 0) {
		if (i == NULL) {
			dp_fail(&err, DP_INVALID, "interface", "must be set with an address");
			goto refused;
		}
		if (valid_addr(&m->address, &a, "address", &err) < 0)
			goto refused;
		if (neigh_find(i, &a) == NULL) {
			dp_fail(&err, DP_NOT_FOUND, "address", "there is no such neighbour on %s",
				i->name);
			goto refused;
		}
	}
	reply_done(c, id, neigh_flush(i, m->address.len != 0 ? &a : NULL));
	return;
refused:
	reply_error(c, id, "neighbor_flush", &err);
}

static void clear_counters(struct seam_client *c, uint64_t id, const PB(ClearCounters) *m)
{
	struct dp_error err = {0};
	uint64_t count;

	if (valid_known(&m->base, &err) < 0 || counters_clear(m->interface, &count, &err) < 0)
		reply_error(c, id, "clear_counters", &err);
	else
		reply_done(c, id, count);
}

static void get_info(struct seam_client *c, uint64_t id, const PB(GetInfo) *m)
{
	struct dp_error err = {0};

	if (valid_known(&m->base, &err) < 0)
		reply_error(c, id, "get_info", &err);
	else
		info(c, id);
}

static void subscribe(struct seam_client *c, uint64_t id, const PB(Subscribe) *m)
{
	struct dp_error err = {0};

	if (valid_known(&m->base, &err) < 0)
		reply_error(c, id, "subscribe", &err);
	else
		subscribe_begin(c, id);
}

static void dispatch(struct seam_client *c, const PB(Request) *q)
{
	struct dp_error err = {0};

	if (q->op_case != PBC(REQUEST__OP__NOT_SET) && valid_known(&q->base, &err) < 0) {
		reply_error(c, q->id, "", &err);
		return;
	}
	switch (q->op_case) {
	case PBC(REQUEST__OP_HELLO):
		hello(c, q->id, q->hello);
		return;
	case PBC(REQUEST__OP_BATCH):
		batch_begin(c, q->id, q->batch);
		return;
	case PBC(REQUEST__OP_SWEEP):
		sweep_request(c, q->id, q->sweep);
		return;
	case PBC(REQUEST__OP_LIST):
		list(c, q->id, q->list);
		return;
	case PBC(REQUEST__OP_GET_INFO):
		get_info(c, q->id, q->get_info);
		return;
	case PBC(REQUEST__OP_SUBSCRIBE):
		subscribe(c, q->id, q->subscribe);
		return;
	case PBC(REQUEST__OP_TRACE):
		trace_begin(c, q->id, q->trace);
		return;
	case PBC(REQUEST__OP_CAPTURE):
		capture_begin(c, q->id, q->capture);
		return;
	case PBC(REQUEST__OP_CANCEL):
		stream_cancel(c, q->id, q->cancel);
		return;
	case PBC(REQUEST__OP_PING):
		ping_begin(c, q->id, q->ping);
		return;
	case PBC(REQUEST__OP_LOOKUP):
		lookup(c, q->id, q->lookup);
		return;
	case PBC(REQUEST__OP_NEIGHBOR_FLUSH):
		neighbor_flush(c, q->id, q->neighbor_flush);
		return;
	case PBC(REQUEST__OP_CLEAR_COUNTERS):
		clear_counters(c, q->id, q->clear_counters);
		return;
	case PBC(REQUEST__OP_TCP_KILL):
		tcp_kill_begin(c, q->id, q->tcp_kill);
		return;
	case PBC(REQUEST__OP__NOT_SET):
	default:
		dp_fail(&err, DP_UNKNOWN_REQUEST, "",
			"the request is none that this version knows");
		reply_error(c, q->id, "", &err);
		return;
	}
}

static void request_end(struct seam_client *c)
{
	arena_reset(&c->arena);
	c->arena.limit = SEAM_DECODE_MAX;
}

void request_begin(struct seam_client *c, const uint8_t *data, size_t len)
{
	PB(Request) *q = millrace__dataplane__v1__request__unpack(&c->arena.pb, len, data);

	if (q == NULL) {
		struct dp_error err;

		if (c->arena.exhausted)
			dp_fail(&err, DP_MALFORMED, "",
				"the request unfolds into more than %u bytes", SEAM_DECODE_MAX);
		else
			dp_fail(&err, DP_MALFORMED, "", "the frame is not a Request");
		reply_error(c, peek_id(data, len), "", &err);
	} else {
		c->arena.limit = SEAM_DECODE_MAX + SEAM_ANSWER_MAX;
		dispatch(c, q);
		/* The first slice at once: most batches are one. */
		if (c->job.kind != JOB_NONE) {
			request_continue(c);
			return;
		}
	}
	request_end(c);
}

void request_continue(struct seam_client *c)
{
	if (c->job.kind == JOB_BATCH)
		batch_continue(c);
	else if (c->job.kind == JOB_SWEEP)
		sweep_continue(c);
	else if (c->job.kind == JOB_TCP_KILL)
		tcp_kill_continue(c);
	if (c->job.kind == JOB_NONE)
		request_end(c);
}
