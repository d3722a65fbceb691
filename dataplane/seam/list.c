/* SPDX-License-Identifier: Apache-2.0 */
#include "list.h"

#include <string.h>

#include "server.h"
#include "valid.h"

static const list_fn tables[] = {
	[PBC(TABLE__TABLE_VRFS)] = list_vrfs,
	[PBC(TABLE__TABLE_INTERFACES)] = list_interfaces,
	[PBC(TABLE__TABLE_ADDRESSES)] = list_addresses,
	[PBC(TABLE__TABLE_NEIGHBORS)] = list_neighbors,
	[PBC(TABLE__TABLE_NEXT_HOPS)] = list_next_hops,
	[PBC(TABLE__TABLE_GROUPS)] = list_groups,
	[PBC(TABLE__TABLE_ROUTES)] = list_routes,
	[PBC(TABLE__TABLE_WORKERS)] = list_workers,
	[PBC(TABLE__TABLE_NODES)] = list_nodes,
	[PBC(TABLE__TABLE_DROPS)] = list_drops,
	[PBC(TABLE__TABLE_PORT_XSTATS)] = list_xstats,
	[PBC(TABLE__TABLE_TCP_LISTENERS)] = list_tcp_listeners,
	[PBC(TABLE__TABLE_TCP_POOLS)] = list_tcp_pools,
	[PBC(TABLE__TABLE_TCP_BACKENDS)] = list_tcp_backends,
	[PBC(TABLE__TABLE_TCP_CONNECTIONS)] = list_tcp_connections,
	[PBC(TABLE__TABLE_TCP_COUNTERS)] = list_tcp_counters,
	[PBC(TABLE__TABLE_TCP_WORKERS)] = list_tcp_workers,
};

int list_no_memory(struct dp_error *err)
{
	return dp_fail(err, DP_NO_MEMORY, "", "no memory for the answer");
}

int cursor_get_bytes(const struct page *p, size_t len, const uint8_t **bytes, struct dp_error *err)
{
	const ProtobufCBinaryData *c = &p->q->cursor;

	*bytes = NULL;
	if (c->len == 0)
		return 0;
	if (c->len != len + 1 || c->data[0] != (uint8_t)p->q->table)
		return dp_fail(err, DP_INVALID, "cursor", "is none of this table");
	*bytes = c->data + 1;
	return 0;
}

void cursor_set_bytes(struct page *p, const void *bytes, size_t len)
{
	p->next[0] = (uint8_t)p->q->table;
	memcpy(p->next + 1, bytes, len);
	p->out->next_cursor = pb_bytes(p->next, len + 1);
}

int cursor_get(const struct page *p, uint32_t *a, uint32_t *b, struct dp_error *err)
{
	const uint8_t *bytes;

	*a = *b = 0;
	if (cursor_get_bytes(p, 8, &bytes, err) < 0)
		return -1;
	if (bytes != NULL) {
		memcpy(a, bytes, 4);
		memcpy(b, bytes + 4, 4);
	}
	return 0;
}

void cursor_set(struct page *p, uint32_t a, uint32_t b)
{
	uint8_t bytes[8];

	memcpy(bytes, &a, 4);
	memcpy(bytes + 4, &b, 4);
	cursor_set_bytes(p, bytes, sizeof(bytes));
}

static int read_page(struct page *p, struct dp_error *err)
{
	const PB(List) *q = p->q;

	if (valid_known(&q->base, err) < 0)
		return -1;
	if ((unsigned int)q->table >= RTE_DIM(tables) || tables[q->table] == NULL)
		return dp_fail(err, DP_INVALID, "table", "%d is not a table", (int)q->table);
	if (valid_range(q->limit, 0, 4096, "limit", err) < 0)
		return -1;
	p->limit = q->limit != 0 ? q->limit : 512;
	if (*q->interface != '\0') {
		p->iface = valid_iface(q->interface, "interface", err);
		if (p->iface == NULL)
			return -1;
	}
	return tables[q->table](p, err);
}

void list(struct seam_client *c, uint64_t id, const PB(List) *l)
{
	PB(Response) r = PB_VALUE(RESPONSE);
	PB(ListResult) out = PB_VALUE(LIST_RESULT);
	struct page p = {.arena = &c->arena, .q = l, .out = &out};
	struct dp_error err = {0};

	if (read_page(&p, &err) < 0) {
		reply_error(c, id, "list", &err);
		return;
	}
	r.id = id;
	r.result_case = PBC(RESPONSE__RESULT_LIST);
	r.list = &out;
	reply(c, &r);
}
