/* SPDX-License-Identifier: Apache-2.0 */
/* Subscriptions, traces and captures: requests that go on to push events. */
#include <stdio.h>
#include <string.h>

#include "../core/loop.h"
#include "../trace/trace.h"
#include "seam.h"
#include "server.h"
#include "state.h"
#include "valid.h"

/* Packets of a capture go in events of about this size. */
#define CAPTURE_EVENT_BYTES (512u << 10)

static unsigned int n_subscribers;

static struct stream *stream_new(struct seam_client *c, uint64_t id, const char *path)
{
	struct dp_error err = {0};
	struct stream *free = NULL;

	for (unsigned int k = 0; k < SEAM_STREAMS_MAX; k++) {
		struct stream *s = &c->stream[k];

		if (s->kind == STREAM_FREE) {
			if (free == NULL)
				free = s;
		} else if (s->id == id) {
			dp_fail(&err, DP_IN_USE, "", "a stream with this id is running already");
			reply_error(c, id, path, &err);
			return NULL;
		}
	}
	if (free == NULL) {
		dp_fail(&err, DP_TABLE_FULL, "", "a connection has %d streams at most",
			SEAM_STREAMS_MAX);
		reply_error(c, id, path, &err);
		return NULL;
	}
	*free = (struct stream){.id = id, .client = c};
	return free;
}

static void stream_stop(struct stream *s)
{
	switch (s->kind) {
	case STREAM_SUBSCRIBE:
		n_subscribers--;
		break;
	case STREAM_TRACE:
		trace_stop(s->handle);
		break;
	case STREAM_CAPTURE:
		capture_stop(s->handle);
		break;
	case STREAM_FREE:
		break;
	}
	s->kind = STREAM_FREE;
}

void streams_stop(struct seam_client *c)
{
	for (unsigned int k = 0; k < SEAM_STREAMS_MAX; k++)
		stream_stop(&c->stream[k]);
}

void streams_tell_overflow(struct seam_client *c)
{
	for (unsigned int k = 0; k < SEAM_STREAMS_MAX; k++) {
		struct stream *s = &c->stream[k];
		PB(Event) e = PB_VALUE(EVENT);
		PB(Overflow) o = PB_VALUE(OVERFLOW);

		/* A capture tells its losses with the packets. */
		if (s->kind == STREAM_FREE || s->kind == STREAM_CAPTURE || s->lost == 0)
			continue;
		o.dropped = s->lost;
		e.time = now_wall_ns();
		e.event_case = PBC(EVENT__EVENT_OVERFLOW);
		e.overflow = &o;
		if (send_event(s, &e, true))
			s->lost = 0;
	}
}

static void stream_ended(struct stream *s, const char *reason)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(StreamEnd) end = PB_VALUE(STREAM_END);
	char text[200];

	snprintf(text, sizeof(text), "%s", reason);
	make_printable(text);
	end.reason = text;
	e.time = now_wall_ns();
	e.event_case = PBC(EVENT__EVENT_END);
	e.end = &end;
	send_event(s, &e, true);
	s->kind = STREAM_FREE;
}

void stream_cancel(struct seam_client *c, uint64_t id, const PB(Cancel) *m)
{
	struct dp_error err = {0};

	if (valid_known(&m->base, &err) < 0) {
		reply_error(c, id, "cancel", &err);
		return;
	}
	for (unsigned int k = 0; k < SEAM_STREAMS_MAX; k++) {
		struct stream *s = &c->stream[k];

		if (s->kind != STREAM_FREE && s->id == m->request_id) {
			stream_stop(s);
			reply_done(c, id, 1);
			return;
		}
	}
	dp_fail(&err, DP_NOT_FOUND, "request_id", "this connection has no such stream");
	reply_error(c, id, "cancel", &err);
}

/* ---- subscriptions --------------------------------------------------------------------------- */

void subscribe_begin(struct seam_client *c, uint64_t id)
{
	struct stream *s = stream_new(c, id, "subscribe");

	if (s == NULL)
		return;
	s->kind = STREAM_SUBSCRIBE;
	n_subscribers++;
	reply_done(c, id, 0);
}

static void publish_to(struct seam_client *c, void *event)
{
	for (unsigned int k = 0; k < SEAM_STREAMS_MAX; k++) {
		struct stream *s = &c->stream[k];

		if (s->kind == STREAM_SUBSCRIBE && !send_event(s, event, false))
			s->lost++;
	}
}

static void publish(PB(Event) *e)
{
	e->time = now_wall_ns();
	client_foreach(publish_to, e);
}

void seam_event_link(const struct iface *i)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(LinkEvent) m = PB_VALUE(LINK_EVENT);

	if (n_subscribers == 0)
		return;
	m.interface = pb_str(i->name);
	m.oper_status = state_oper(i);
	m.speed = state_speed(i);
	m.mtu = i->mtu;
	e.event_case = PBC(EVENT__EVENT_LINK);
	e.link = &m;
	publish(&e);
}

void seam_event_interface_gone(const char *name)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(InterfaceKey) m = PB_VALUE(INTERFACE_KEY);

	if (n_subscribers == 0)
		return;
	m.name = pb_str(name);
	e.event_case = PBC(EVENT__EVENT_INTERFACE_GONE);
	e.interface_gone = &m;
	publish(&e);
}

void seam_event_neighbor(const struct neigh *n)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(NeighborState) m;

	if (n_subscribers == 0)
		return;
	state_neighbor(&m, n);
	e.event_case = PBC(EVENT__EVENT_NEIGHBOR);
	e.neighbor = &m;
	publish(&e);
}

void seam_event_neighbor_gone(const struct iface *i, const struct ip_addr *addr)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(NeighborKey) m = PB_VALUE(NEIGHBOR_KEY);

	if (n_subscribers == 0)
		return;
	m.interface = pb_str(i->name);
	m.address = state_addr(addr);
	e.event_case = PBC(EVENT__EVENT_NEIGHBOR_GONE);
	e.neighbor_gone = &m;
	publish(&e);
}

void seam_event_address(const struct iface *i, const struct iface_addr *a)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(AddressState) m;

	if (n_subscribers == 0)
		return;
	state_address(&m, i, a);
	e.event_case = PBC(EVENT__EVENT_ADDRESS);
	e.address = &m;
	publish(&e);
}

void seam_event_next_hop(const struct nh_obj *n, bool up, const char *reason)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(NextHopEvent) m = PB_VALUE(NEXT_HOP_EVENT);

	if (n_subscribers == 0)
		return;
	m.id = n->id;
	m.up = up;
	m.reason = pb_str(reason != NULL ? reason : "");
	e.event_case = PBC(EVENT__EVENT_NEXT_HOP);
	e.next_hop = &m;
	publish(&e);
}

void seam_event_tcp_health(const char *pool, const char *backend, int health, const char *reason,
			   uint32_t backends_healthy, uint32_t backends)
{
	PB(Event) e = PB_VALUE(EVENT);
	PB(TcpHealthEvent) m = PB_VALUE(TCP_HEALTH_EVENT);

	if (n_subscribers == 0)
		return;
	m.pool = pb_str(pool);
	m.backend = pb_str(backend);
	m.health = state_tcp_health(health);
	m.reason = pb_str(reason);
	m.backends_healthy = backends_healthy;
	m.backends = backends;
	e.event_case = PBC(EVENT__EVENT_TCP_HEALTH);
	e.tcp_health = &m;
	publish(&e);
}

void seam_event_table_full(const char *table, const char *vrf, uint64_t capacity)
{
	static struct {
		char table[24];
		char vrf[32];
		uint64_t at_ns;
	} told[16];
	static unsigned int oldest;
	const uint64_t now = now_mono_ns();
	PB(Event) e = PB_VALUE(EVENT);
	PB(TableFullEvent) m = PB_VALUE(TABLE_FULL_EVENT);
	unsigned int k;

	if (n_subscribers == 0)
		return;
	for (k = 0; k < RTE_DIM(told); k++)
		if (strcmp(told[k].table, table) == 0 && strcmp(told[k].vrf, vrf) == 0)
			break;
	if (k < RTE_DIM(told)) {
		if (now - told[k].at_ns < 1000000000u)
			return;
	} else {
		k = oldest++ % RTE_DIM(told);
		snprintf(told[k].table, sizeof(told[k].table), "%s", table);
		snprintf(told[k].vrf, sizeof(told[k].vrf), "%s", vrf);
	}
	told[k].at_ns = now;
	m.table = pb_str(table);
	m.vrf = pb_str(vrf);
	m.capacity = capacity;
	e.event_case = PBC(EVENT__EVENT_TABLE_FULL);
	e.table_full = &m;
	publish(&e);
}

/* ---- traces ---------------------------------------------------------------------------------- */

static void traced(void *arg, const struct trace_record *r, const char *end)
{
	struct stream *s = arg;
	PB(Event) e = PB_VALUE(EVENT);
	PB(TraceRecord) m = PB_VALUE(TRACE_RECORD);
	PB(TraceStep) step[TRACE_STEPS_MAX], *steps[TRACE_STEPS_MAX];

	if (r == NULL) {
		stream_ended(s, end != NULL ? end : "");
		return;
	}
	for (unsigned int k = 0; k < r->n_steps && k < TRACE_STEPS_MAX; k++) {
		PB_INIT(trace_step)(&step[k]);
		step[k].node = pb_str(r->steps[k].node);
		step[k].ns = r->steps[k].ns;
		step[k].detail = pb_str(r->steps[k].detail);
		steps[m.n_steps++] = &step[k];
	}
	m.sequence = r->sequence;
	m.worker = r->worker;
	m.interface = pb_str(state_iface_name(r->iface));
	m.steps = steps;
	m.packet = pb_bytes(r->packet, RTE_MIN(r->captured, sizeof(r->packet)));
	m.length = r->length;
	m.drop_reason = pb_str(r->drop_reason != NULL ? r->drop_reason : "");
	m.out_interface = pb_str(state_iface_name(r->out_iface));
	m.time = r->time_ns;
	e.time = now_wall_ns();
	e.event_case = PBC(EVENT__EVENT_TRACE);
	e.trace = &m;
	if (!send_event(s, &e, false))
		s->lost++;
}

/* A port or VLAN interface by name, NULL for none. */
static int stream_iface(const char *name, struct iface **i, struct dp_error *err)
{
	*i = NULL;
	if (*name == '\0')
		return 0;
	*i = valid_iface(name, "interface", err);
	if (*i == NULL)
		return -1;
	if ((*i)->kind == IFACE_LOOPBACK)
		return dp_fail(err, DP_INVALID, "interface",
			       "%s is a loopback: no packet passes it", name);
	return 0;
}

void trace_begin(struct seam_client *c, uint64_t id, const PB(Trace) *t)
{
	struct trace_config cfg = {
		.count = t->count != 0 ? t->count : 10,
		.timeout_s = t->timeout != 0 ? t->timeout : 60,
		.filter = t->filter,
	};
	struct dp_error err = {0};
	struct stream *s;

	if (valid_known(&t->base, &err) < 0 || valid_range(t->count, 0, 1000, "count", &err) < 0 ||
	    valid_range(t->timeout, 0, 3600, "timeout", &err) < 0 ||
	    valid_text(t->filter, 4096, "filter", &err) < 0 ||
	    stream_iface(t->interface, &cfg.iface, &err) < 0) {
		reply_error(c, id, "trace", &err);
		return;
	}
	s = stream_new(c, id, "trace");
	if (s == NULL)
		return;
	if (trace_start(&cfg, traced, s, &s->handle, &err) < 0) {
		reply_error(c, id, "trace", &err);
		return;
	}
	s->kind = STREAM_TRACE;
	reply_done(c, id, 0);
}

/* ---- captures -------------------------------------------------------------------------------- */

static void captured(void *arg, const struct captured_packet *p, unsigned int n, uint64_t dropped,
		     const char *end)
{
	struct stream *s = arg;
	PB(CapturedPacket) packet[64], *packets[64];
	unsigned int at = 0;

	if (n == 0) {
		stream_ended(s, end != NULL ? end : "");
		return;
	}
	while (at < n) {
		PB(Event) e = PB_VALUE(EVENT);
		PB(CapturedPackets) m = PB_VALUE(CAPTURED_PACKETS);
		size_t bytes = 0;

		for (; at < n && m.n_packets < RTE_DIM(packet) && bytes < CAPTURE_EVENT_BYTES;
		     at++) {
			PB(CapturedPacket) *k = &packet[m.n_packets];

			PB_INIT(captured_packet)(k);
			k->time = p[at].time_ns;
			k->interface = pb_str(state_iface_name(p[at].iface));
			k->outbound = p[at].outbound;
			k->data = pb_bytes(p[at].data, p[at].captured);
			k->length = p[at].length;
			bytes += p[at].captured;
			packets[m.n_packets++] = k;
		}
		m.packets = packets;
		m.dropped = dropped + s->lost_total;
		e.time = now_wall_ns();
		e.event_case = PBC(EVENT__EVENT_CAPTURED);
		e.captured = &m;
		if (!send_event(s, &e, false))
			s->lost_total += m.n_packets;
	}
}

void capture_begin(struct seam_client *c, uint64_t id, const PB(Capture) *t)
{
	struct capture_config cfg = {
		.filter = t->filter,
		.snaplen = t->snaplen != 0 ? t->snaplen : 65535,
		.count = t->count,
		.in = t->direction != PBC(CAPTURE_DIRECTION__CAPTURE_DIRECTION_OUT),
		.out = t->direction != PBC(CAPTURE_DIRECTION__CAPTURE_DIRECTION_IN),
	};
	struct dp_error err = {0};
	struct stream *s;

	if (valid_known(&t->base, &err) < 0 ||
	    valid_range(t->snaplen, 0, 65535, "snaplen", &err) < 0 ||
	    valid_range((uint64_t)t->direction, 0, 2, "direction", &err) < 0 ||
	    valid_text(t->filter, 4096, "filter", &err) < 0 ||
	    stream_iface(t->interface, &cfg.iface, &err) < 0) {
		reply_error(c, id, "capture", &err);
		return;
	}
	s = stream_new(c, id, "capture");
	if (s == NULL)
		return;
	if (capture_start(&cfg, captured, s, &s->handle, &err) < 0) {
		reply_error(c, id, "capture", &err);
		return;
	}
	s->kind = STREAM_CAPTURE;
	reply_done(c, id, 0);
}
