/* SPDX-License-Identifier: Apache-2.0 */
/* The seam from outside: a client on a thread of its own talks to a whole data plane over the
 * socket. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../core/error.h"
#include "../core/loop.h"
#include "../fib/group.h"
#include "seam.h"
#include "testbed.h"
#include "testops.h"

#define SEAM_OPS 8192

static char dir[] = "/tmp/seam-test-XXXXXX";
static char path[64];

/* ---- tests ----------------------------------------------------------------------------------- */

static void test_socket_mode(void)
{
	struct stat st;

	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600, "mode %o", st.st_mode & 0777);
}

static void test_framing(void)
{
	uint8_t oversized[4] = {0, 0x40, 0, 1};
	uint8_t garbage[] = {0x08, 0x2a, 0xff, 0xff, 0xff, 0xff};
	uint8_t unknown[] = {0x08, 0x07, 0xf2, 0x7f, 0x00};
	uint8_t info[] = {0, 0, 0, 4, 0x08, 0x05, 0x32, 0x00};
	uint8_t both[2 * sizeof(info)];
	int fd = client_connect(path);
	resp_t *r;

	/* Nothing in it: no request. */
	client_send_frame(fd, "", 0);
	r = client_recv(fd);
	expect_error(r, DP_UNKNOWN_REQUEST, "");
	resp_free(r);
	client_send_frame(fd, unknown, sizeof(unknown));
	r = client_recv(fd);
	expect_error(r, DP_UNKNOWN_REQUEST, "");
	CHECK(r->id == 7, "id %llu", (unsigned long long)r->id);
	resp_free(r);
	client_send_frame(fd, garbage, sizeof(garbage));
	r = client_recv(fd);
	expect_error(r, DP_MALFORMED, "");
	CHECK(r->id == 42, "id %llu", (unsigned long long)r->id);
	resp_free(r);
	/* The stream is still followed: byte by byte, and two at once. */
	for (size_t k = 0; k < sizeof(info); k++) {
		client_send_raw(fd, &info[k], 1);
		usleep(1000);
	}
	r = client_recv(fd);
	CHECK(r->id == 5 && r->result_case == PBC(RESPONSE__RESULT_INFO), "info");
	CHECK(strcmp(r->info->version, dp_version) == 0 && r->info->boot_id == dp_boot_id, "info");
	CHECK(r->info->workers == 1 && r->info->mbufs_total >= 2048, "info");
	resp_free(r);
	memcpy(both, info, sizeof(info));
	memcpy(both + sizeof(info), info, sizeof(info));
	client_send_raw(fd, both, sizeof(both));
	resp_free(client_recv(fd));
	resp_free(client_recv(fd));
	client_send_raw(fd, oversized, sizeof(oversized));
	r = client_recv(fd);
	expect_error(r, DP_MALFORMED, "");
	resp_free(r);
	CHECK(client_recv(fd) == NULL, "still open");
	close(fd);
}

/* Two megabytes of empty operations would unfold into a hundred. */
static void test_bomb(void)
{
	const size_t n = 2000000;
	uint8_t *buf = malloc(n + 16), *p = buf;
	int fd = client_connect(path);
	resp_t *r;

	CHECK(buf != NULL, "malloc");
	*p++ = 0x08;
	*p++ = 9;
	*p++ = 0x1a;
	for (size_t v = n; v != 0; v >>= 7)
		*p++ = (uint8_t)(v & 0x7f) | (v > 0x7f ? 0x80 : 0);
	for (size_t k = 0; k < n / 2; k++) {
		*p++ = 0x0a;
		*p++ = 0;
	}
	client_send_frame(fd, buf, (size_t)(p - buf));
	r = client_recv(fd);
	expect_error(r, DP_MALFORMED, "");
	CHECK(r->id == 9, "id");
	resp_free(r);
	free(buf);
	close(fd);
}

static void test_hello(void)
{
	int fd = client_connect(path);
	PB(Op) op = PB_VALUE(OP), *ops = &op;
	req_t q = PB_VALUE(REQUEST);
	PB(Sweep) sweep = PB_VALUE(SWEEP);
	resp_t *r = client_batch(fd, &ops, 1);

	expect_error(r, DP_STALE_EPOCH, "batch");
	resp_free(r);
	q.op_case = PBC(REQUEST__OP_SWEEP);
	q.sweep = &sweep;
	r = client_call(fd, &q);
	expect_error(r, DP_STALE_EPOCH, "sweep");
	resp_free(r);
	r = client_try_hello(fd, "", 1);
	expect_error(r, DP_INVALID, "hello.owner");
	resp_free(r);
	r = client_try_hello(fd, "Vnf", 1);
	expect_error(r, DP_INVALID, "hello.owner");
	resp_free(r);
	r = client_try_hello(fd, "abcdefghijklmnopqrstuvwxyz0123456", 1);
	expect_error(r, DP_INVALID, "hello.owner");
	resp_free(r);
	r = client_try_hello(fd, "vnf", 0);
	expect_error(r, DP_INVALID, "hello.epoch");
	resp_free(r);
	r = client_try_hello(fd, "vnf", 10);
	CHECK(r->hello != NULL && r->hello->previous_epoch == 0 && r->hello->max_ops == 8192,
	      "hello");
	resp_free(r);
	r = client_try_hello(fd, "vnf", 9);
	expect_error(r, DP_STALE_EPOCH, "hello.epoch");
	resp_free(r);
	r = client_try_hello(fd, "vnf", 10);
	CHECK(r->hello != NULL && r->hello->previous_epoch == 10, "hello");
	resp_free(r);
	/* An operation that is none. */
	r = client_batch(fd, &ops, 1);
	CHECK(r->batch != NULL && r->batch->n_failed == 1, "batch");
	CHECK(r->batch->failed[0]->error->code == PBC(CODE__CODE_UNKNOWN_REQUEST), "code");
	CHECK(strcmp(r->batch->failed[0]->error->field, "batch.ops[0]") == 0, "field");
	resp_free(r);
	close(fd);
}

static void test_build(void)
{
	PB(RouterAdvertisement) adv = PB_VALUE(ROUTER_ADVERTISEMENT);
	PB(Interface) m;

	vrf("red", 2000, 2000, NULL);
	vrf("red", 0, 0, NULL);
	interface_op(port_of("eth1", "net_null0,no-rx=1"), NULL);
	interface_op(port_of("eth1", "net_null0,no-rx=1"), NULL);
	interface_op(vlan_of("eth1.7", "eth1", 7), NULL);
	m = loopback_of("lo1");
	m.description = "router id \xc3\xbc";
	interface_op(m, NULL);
	m = loopback_of("lored");
	m.vrf = "red";
	interface_op(m, NULL);
	address("eth1", "192.0.2.1", 24, NULL);
	address("eth1", "2001:db8::1", 64, NULL);
	address("eth1.7", "198.51.100.1", 31, NULL);
	address("lo1", "203.0.113.1", 32, NULL);
	address("lored", "203.0.113.1", 32, NULL);
	neighbor("eth1", "192.0.2.9", MAC, 6, NULL);
	next_hop(1, GATEWAY, "eth1", "192.0.2.9", "", NULL);
	next_hop(2, GATEWAY, "eth1", "fe80::2", "", NULL);
	next_hop(3, BLACKHOLE, "", "", "", NULL);
	next_hop(4, INSTANCE, "", "", "red", NULL);
	next_hop(5, INTERFACE, "eth1", "", "", NULL);
	group_n(1, (const uint64_t[]){1}, NULL, 1, NULL);
	group_n(2, (const uint64_t[]){1, 2}, (const uint32_t[]){3, 1}, 2, NULL);
	group_n(3, (const uint64_t[]){3}, NULL, 1, NULL);
	group_n(4, (const uint64_t[]){4}, NULL, 1, NULL);
	route("", "10.0.0.0", 8, 1, NULL);
	route("default", "10.1.0.0", 16, 2, NULL);
	route("", "0.0.0.0", 0, 1, NULL);
	route("", "2001:db8:1::", 48, 2, NULL);
	route("red", "10.0.0.0", 8, 3, NULL);
	route("", "172.16.0.0", 12, 4, NULL);
	adv.interface = "eth1";
	adv.router_lifetime = 1800;
	ra(adv, NULL);
}

static void test_batch(void)
{
	static op_t op[SEAM_OPS + 1], *ops[SEAM_OPS + 1];
	static PB(Route) routes[SEAM_OPS + 1];
	static struct bytes b[SEAM_OPS + 1];
	struct timespec t0, t1;
	resp_t *r;

	for (size_t k = 0; k <= SEAM_OPS; k++) {
		PB_INIT(op)(&op[k]);
		PB_INIT(route)(&routes[k]);
		b[k].b[0] = 100;
		b[k].b[1] = (uint8_t)(k >> 8);
		b[k].b[2] = (uint8_t)k;
		routes[k].prefix = pb_bytes(b[k].b, 4);
		routes[k].prefix_len = 24;
		routes[k].group_id = 1;
		op[k].op_case = PBC(OP__OP_ROUTE);
		op[k].route = &routes[k];
		ops[k] = &op[k];
	}
	r = client_batch(fd_main, ops, SEAM_OPS + 1);
	expect_error(r, DP_INVALID, "batch.ops");
	resp_free(r);
	/* Each succeeds or fails alone. */
	routes[17].prefix_len = 23;
	routes[8000].group_id = 12345;
	clock_gettime(CLOCK_MONOTONIC, &t0);
	r = client_batch(fd_main, ops, SEAM_OPS);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	CHECK(r->batch != NULL && r->batch->n_failed == 2 && r->batch->applied == SEAM_OPS - 2,
	      "batch");
	CHECK(strcmp(r->batch->failed[0]->error->field, "batch.ops[17].route.prefix") == 0, "%s",
	      r->batch->failed[0]->error->field);
	CHECK(r->batch->failed[1]->index == 8000, "index");
	resp_free(r);
	printf("batch of %u routes: %.0f ns each\n", SEAM_OPS,
	       ((double)(t1.tv_sec - t0.tv_sec) * 1e9 + (double)(t1.tv_nsec - t0.tv_nsec)) /
		       SEAM_OPS);
}

#define FLOWS 1024

/* The next hop of each flow. The control thread is at rest between two requests. */
static void flows_of(uint64_t group, uint32_t *nh)
{
	for (uint32_t hash = 0; hash < FLOWS; hash++)
		nh[hash] = group_select(group_obj_find(group)->index, hash);
}

static void group_like(uint64_t id, const uint64_t *ids, size_t n, uint64_t like)
{
	PB(Group) m = PB_VALUE(GROUP);
	PB(Op) op = PB_VALUE(OP);
	PB(Member) mem[16], *mp[16];

	for (size_t k = 0; k < n; k++) {
		PB_INIT(member)(&mem[k]);
		mem[k].next_hop_id = ids[k];
		mp[k] = &mem[k];
	}
	m.id = id;
	m.members = mp;
	m.n_members = n;
	m.like_id = like;
	op.op_case = PBC(OP__OP_GROUP);
	op.group = &m;
	client_apply(fd_main, &op);
}

/* A group that takes another's routes over leaves the flows of common members where they are, also
 * if it has more buckets. */
static void test_group_like(void)
{
	static uint32_t four[FLOWS], three[FLOWS], back[FLOWS], many[FLOWS];
	static const uint64_t ids[] = {21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32};
	size_t moved = 0;
	uint32_t dead;
	char gw[32];

	for (size_t k = 0; k < RTE_DIM(ids); k++) {
		snprintf(gw, sizeof(gw), "192.0.2.%u", (unsigned int)ids[k]);
		next_hop(ids[k], GATEWAY, "eth1", gw, "", NULL);
	}
	group_like(21, ids, 4, 0);
	group_like(22, (const uint64_t[]){21, 22, 24}, 3, 21);
	group_like(23, ids, 4, 22);
	group_like(24, ids, RTE_DIM(ids), 23);
	group_like(25, ids, 2, 999);
	flows_of(21, four);
	flows_of(22, three);
	flows_of(23, back);
	flows_of(24, many);
	dead = nh_obj_find(23)->nh;
	for (size_t k = 0; k < FLOWS; k++) {
		CHECK(three[k] != dead, "flow %zu", k);
		CHECK(four[k] == dead || three[k] == four[k], "flow %zu moved", k);
		CHECK(back[k] == dead || back[k] == three[k], "flow %zu moved back", k);
		for (size_t i = 0; i < 4 && back[k] != many[k]; i++)
			CHECK(many[k] != nh_obj_find(ids[i])->nh, "flow %zu moved to an old member",
			      k);
		moved += back[k] != many[k];
	}
	/* Eight of twelve are new. */
	CHECK(moved > FLOWS / 2 && moved < FLOWS * 3 / 4, "%zu of %d flows moved", moved, FLOWS);
	for (uint64_t id = 21; id <= 25; id++)
		group_delete(id, NULL);
	for (size_t k = 0; k < RTE_DIM(ids); k++)
		next_hop_delete(ids[k], NULL);
}

/* Number of rows of a table, read in pages. */
static size_t count_rows(int table, uint32_t limit, const char *interface, const char *in_vrf,
			 bool ipv6, uint64_t *sum)
{
	uint8_t cursor[64];
	ProtobufCBinaryData c = pb_bytes(cursor, 0);
	size_t n = 0, pages = 0;

	*sum = 0;
	do {
		resp_t *r = client_list(fd_main, table, limit, c, interface, in_vrf, ipv6);
		PB(ListResult) *l = r->list;
		size_t rows;

		CHECK(l != NULL, "list %d: %s", table, r->error->message);
		rows = l->n_vrfs + l->n_interfaces + l->n_addresses + l->n_neighbors +
		       l->n_next_hops + l->n_groups + l->n_routes + l->n_workers + l->n_nodes +
		       l->n_drops + l->n_xstats;
		CHECK(rows <= limit || (limit == 1 && rows == 2), "%zu rows", rows);
		n += rows;
		for (size_t k = 0; k < l->n_routes; k++)
			for (size_t i = 0; i < l->routes[k]->prefix.len; i++)
				*sum += (uint64_t)l->routes[k]->prefix.data[i] << i;
		for (size_t k = 0; k < l->n_addresses; k++)
			*sum += l->addresses[k]->address.data[3];
		CHECK(l->next_cursor.len <= sizeof(cursor), "cursor");
		if (l->next_cursor.len != 0)
			memcpy(cursor, l->next_cursor.data, l->next_cursor.len);
		c.len = l->next_cursor.len;
		resp_free(r);
		CHECK(++pages < 100000, "no end");
	} while (c.len != 0);
	return n;
}

static void test_paging(void)
{
	for (int table = PBC(TABLE__TABLE_VRFS); table <= PBC(TABLE__TABLE_PORT_XSTATS); table++) {
		static const uint32_t limits[] = {1, 2, 7, 4096};
		uint64_t sum, want_sum;
		size_t want = count_rows(table, 4096, "", "", false, &want_sum);

		CHECK(want > 0, "table %d is empty", table);
		for (size_t k = 0; k < sizeof(limits) / sizeof(*limits); k++) {
			size_t n;

			/* One route at a time through all of them takes long under a sanitizer. */
			if (limits[k] < 7 && table == PBC(TABLE__TABLE_ROUTES))
				continue;
			n = count_rows(table, limits[k], "", "", false, &sum);
			CHECK(n == want && sum == want_sum, "table %d in pages of %u: %zu of %zu",
			      table, limits[k], n, want);
		}
	}
}

static void test_cursors(void)
{
	uint8_t junk[40];
	uint64_t state = 88172645463325252u;
	resp_t *r;

	for (int table = 1; table <= 11; table++) {
		for (int round = 0; round < 200; round++) {
			size_t len = 1 + (size_t)round % 30;

			for (size_t k = 0; k < sizeof(junk); k++) {
				state ^= state << 13;
				state ^= state >> 7;
				state ^= state << 17;
				junk[k] = (uint8_t)state;
			}
			if (round % 2 == 0)
				junk[0] = (uint8_t)table;
			if (round % 4 == 0)
				len = table == 7 ? 19 : table == 3 ? 20 : 9;
			r = client_list(fd_main, table, 1, pb_bytes(junk, len), "", "",
					round % 3 == 0);
			if (r->error != NULL)
				expect_error(r, DP_INVALID, "list.cursor");
			resp_free(r);
		}
	}
	r = client_list(fd_main, 0, 0, pb_bytes(NULL, 0), "", "", false);
	expect_error(r, DP_INVALID, "list.table");
	resp_free(r);
	r = client_list(fd_main, 99, 0, pb_bytes(NULL, 0), "", "", false);
	expect_error(r, DP_INVALID, "list.table");
	resp_free(r);
	r = client_list(fd_main, 1, 4097, pb_bytes(NULL, 0), "", "", false);
	expect_error(r, DP_INVALID, "list.limit");
	resp_free(r);
	r = client_list(fd_main, 2, 0, pb_bytes(NULL, 0), "none", "", false);
	expect_error(r, DP_NOT_FOUND, "list.interface");
	resp_free(r);
	r = client_list(fd_main, 7, 0, pb_bytes(NULL, 0), "", "none", false);
	expect_error(r, DP_NOT_FOUND, "list.vrf");
	resp_free(r);
}

static void expect_lookup(const char *in_vrf, const char *dst, const char *action, uint64_t group)
{
	req_t q = PB_VALUE(REQUEST);
	PB(Lookup) l = PB_VALUE(LOOKUP);
	struct bytes s;
	resp_t *r;

	l.vrf = pb_str(in_vrf);
	l.destination = addr(&s, dst);
	q.op_case = PBC(REQUEST__OP_LOOKUP);
	q.lookup = &l;
	r = client_call(fd_main, &q);
	CHECK(r->lookup != NULL, "lookup: %s", r->error->message);
	CHECK(strcmp(r->lookup->action, action) == 0 && r->lookup->group_id == group,
	      "%s: %s by group %llu, want %s by %llu", dst, r->lookup->action,
	      (unsigned long long)r->lookup->group_id, action, (unsigned long long)group);
	resp_free(r);
}

static void test_lookup(void)
{
	expect_lookup("", "10.2.3.4", "forward", 1);
	expect_lookup("", "192.0.2.9", "forward", 0);
	expect_lookup("", "192.0.2.1", "local", 0);
	expect_lookup("", "192.0.2.200", "glean", 0);
	expect_lookup("", "192.0.2.255", "broadcast", 0);
	expect_lookup("red", "10.2.3.4", "blackhole", 3);
	expect_lookup("red", "10.2.3.4", "blackhole", 3);
	expect_lookup("", "172.16.0.1", "no route", 0);
	expect_lookup("red", "172.16.0.1", "no route", 0);
	expect_lookup("", "2001:db8:9::1", "no route", 0);
}

static void test_owners(void)
{
	int fd2 = client_connect(path), fd3 = client_connect(path);
	PB(Op) op = PB_VALUE(OP), *ops = &op;
	const struct refusal no = {.fd = fd2, .code = DP_PERMISSION, .field = "batch.ops[0].vrf"};
	struct refusal r2 = no;
	resp_t *r;

	client_hello(fd2, "other", 1);
	vrf("red", 0, 0, &no);
	r2.field = "batch.ops[0].interface";
	interface_op(loopback_of("lo1"), &r2);
	r2.field = "batch.ops[0].interface_delete";
	interface_delete("lo1", &r2);
	r2.field = "batch.ops[0].address_delete";
	address_delete("eth1", "192.0.2.1", &r2);
	r2.field = "batch.ops[0].neighbor_delete";
	neighbor_delete("eth1", "192.0.2.9", &r2);
	r2.field = "batch.ops[0].next_hop";
	next_hop(1, BLACKHOLE, "", "", "", &r2);
	r2.field = "batch.ops[0].next_hop_delete";
	next_hop_delete(1, &r2);
	r2.field = "batch.ops[0].group_delete";
	group_delete(1, &r2);
	r2.field = "batch.ops[0].route.prefix";
	route("", "10.0.0.0", 8, 1, &r2);
	r2.field = "batch.ops[0].route_delete.prefix";
	route_delete("", "10.0.0.0", 8, &r2);

	/* The newest connection of an owner wins; the older one is told. */
	client_hello(fd3, "vnf", 10);
	r = client_batch(fd_main, &ops, 1);
	expect_error(r, DP_STALE_EPOCH, "batch");
	resp_free(r);
	r = client_try_hello(fd2, "vnf", 9);
	expect_error(r, DP_STALE_EPOCH, "hello.epoch");
	resp_free(r);
	client_hello(fd_main, "vnf", 10);
	r = client_batch(fd3, &ops, 1);
	expect_error(r, DP_STALE_EPOCH, "batch");
	resp_free(r);
	close(fd2);
	close(fd3);
}

static void test_sweep(void)
{
	req_t q = PB_VALUE(REQUEST);
	PB(Sweep) sweep = PB_VALUE(SWEEP);
	uint64_t sum;
	resp_t *r;

	q.op_case = PBC(REQUEST__OP_SWEEP);
	q.sweep = &sweep;
	/* In the same epoch nothing is stale. */
	r = client_call(fd_main, &q);
	CHECK(r->sweep != NULL && r->sweep->routes == 0 && r->sweep->interfaces == 0, "sweep");
	resp_free(r);
	client_hello(fd_main, "vnf", 11);
	interface_op(port_of("eth1", "net_null0,no-rx=1"), NULL);
	address("eth1", "192.0.2.1", 24, NULL);
	neighbor("eth1", "192.0.2.9", MAC, 6, NULL);
	next_hop(1, GATEWAY, "eth1", "192.0.2.9", "", NULL);
	group_n(1, (const uint64_t[]){1}, NULL, 1, NULL);
	route("", "10.0.0.0", 8, 1, NULL);
	r = client_call(fd_main, &q);
	CHECK(r->sweep != NULL, "sweep: %s", r->error->message);
	CHECK(r->sweep->routes == 5 + SEAM_OPS - 2 && r->sweep->groups == 3 &&
		      r->sweep->next_hops == 4 && r->sweep->addresses == 4 &&
		      r->sweep->interfaces == 3 && r->sweep->vrfs == 1,
	      "sweep: %llu routes %llu groups %llu next hops %llu addresses %llu interfaces %llu "
	      "instances",
	      (unsigned long long)r->sweep->routes, (unsigned long long)r->sweep->groups,
	      (unsigned long long)r->sweep->next_hops, (unsigned long long)r->sweep->addresses,
	      (unsigned long long)r->sweep->interfaces, (unsigned long long)r->sweep->vrfs);
	resp_free(r);
	CHECK(count_rows(PBC(TABLE__TABLE_INTERFACES), 10, "", "", false, &sum) == 1, "interfaces");
	CHECK(count_rows(PBC(TABLE__TABLE_VRFS), 10, "", "", false, &sum) == 1, "instances");
	CHECK(count_rows(PBC(TABLE__TABLE_GROUPS), 10, "", "", false, &sum) == 1, "groups");
	expect_lookup("", "10.2.3.4", "forward", 1);
	expect_lookup("", "100.1.2.3", "no route", 0);
}

static void test_events(void)
{
	int fd = client_connect(path);
	req_t q = PB_VALUE(REQUEST);
	PB(Subscribe) sub = PB_VALUE(SUBSCRIBE);
	PB(Cancel) cancel = PB_VALUE(CANCEL);
	bool link = false;
	uint64_t id;
	resp_t *r;

	q.op_case = PBC(REQUEST__OP_SUBSCRIBE);
	q.subscribe = &sub;
	r = client_call(fd, &q);
	CHECK(r->result_case == PBC(RESPONSE__RESULT_DONE), "subscribe");
	id = r->id;
	resp_free(r);
	interface_op(loopback_of("lo3"), NULL);
	while (!link) {
		r = client_recv(fd);
		CHECK(r != NULL && r->id == id && r->event != NULL && r->event->time != 0, "event");
		link = r->event->event_case == PBC(EVENT__EVENT_LINK) &&
		       strcmp(r->event->link->interface, "lo3") == 0 &&
		       r->event->link->oper_status == PBC(OPER_STATUS__OPER_STATUS_UP);
		resp_free(r);
	}
	q.op_case = PBC(REQUEST__OP_CANCEL);
	q.cancel = &cancel;
	cancel.request_id = id + 1000;
	r = client_call(fd, &q);
	expect_error(r, DP_NOT_FOUND, "cancel.request_id");
	resp_free(r);
	cancel.request_id = id;
	r = client_call(fd, &q);
	CHECK(r->done != NULL && r->done->count == 1, "cancel");
	resp_free(r);
	interface_delete("lo3", NULL);
	close(fd);
}

static void test_small_requests(void)
{
	req_t q = PB_VALUE(REQUEST);
	PB(ClearCounters) clear = PB_VALUE(CLEAR_COUNTERS);
	PB(NeighborFlush) flush = PB_VALUE(NEIGHBOR_FLUSH);
	PB(Ping) ping = PB_VALUE(PING);
	PB(Trace) trace = PB_VALUE(TRACE);
	PB(Capture) capture = PB_VALUE(CAPTURE);
	struct bytes s;
	resp_t *r;

	q.op_case = PBC(REQUEST__OP_CLEAR_COUNTERS);
	q.clear_counters = &clear;
	r = client_call(fd_main, &q);
	CHECK(r->done != NULL && r->done->count > 0, "clear");
	resp_free(r);
	clear.interface = "none";
	r = client_call(fd_main, &q);
	expect_error(r, DP_NOT_FOUND, "clear_counters.interface");
	resp_free(r);
	q.op_case = PBC(REQUEST__OP_NEIGHBOR_FLUSH);
	q.neighbor_flush = &flush;
	r = client_call(fd_main, &q);
	CHECK(r->done != NULL, "flush");
	resp_free(r);
	flush.address = addr(&s, "192.0.2.9");
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "neighbor_flush.interface");
	resp_free(r);
	q.op_case = PBC(REQUEST__OP_PING);
	q.ping = &ping;
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "ping.destination");
	resp_free(r);
	ping.destination = addr(&s, "fe80::1");
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "ping.interface");
	resp_free(r);
	ping.destination = addr(&s, "192.0.2.9");
	ping.size = 9000;
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "ping.size");
	resp_free(r);
	q.op_case = PBC(REQUEST__OP_TRACE);
	q.trace = &trace;
	trace.count = 1001;
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "trace.count");
	resp_free(r);
	q.op_case = PBC(REQUEST__OP_CAPTURE);
	q.capture = &capture;
	capture.snaplen = 65536;
	r = client_call(fd_main, &q);
	expect_error(r, DP_INVALID, "capture.snaplen");
	resp_free(r);
}

/* One that asks and never reads is disconnected; the others are served meanwhile. */
static void test_stalled(void)
{
	int fd = client_connect(path);
	req_t q = PB_VALUE(REQUEST);
	PB(List) l = PB_VALUE(LIST);
	uint8_t frame[64];
	uint64_t sum;
	size_t len;
	bool gone = false;

	l.table = PBC(TABLE__TABLE_NODES);
	l.limit = 4096;
	q.op_case = PBC(REQUEST__OP_LIST);
	q.list = &l;
	len = protobuf_c_message_pack(&q.base, frame + 4);
	frame[0] = frame[1] = frame[2] = 0;
	frame[3] = (uint8_t)len;
	for (int k = 0; k < 200000 && !gone; k++) {
		gone = send(fd, frame, len + 4, MSG_NOSIGNAL) < 0;
		CHECK(!gone || errno == EPIPE || errno == ECONNRESET, "send: %s", strerror(errno));
		if (k % 1000 == 0)
			count_rows(PBC(TABLE__TABLE_VRFS), 10, "", "", false, &sum);
	}
	CHECK(gone, "64 MiB of answers wait and it is still there");
	close(fd);
}

static void test_many_clients(void)
{
	int fds[40];

	/* Past the limit they wait until another one goes. */
	for (size_t k = 0; k < 40; k++)
		fds[k] = client_connect(path);
	for (size_t k = 0; k < 40; k++) {
		resp_t *r = client_list(fds[k], PBC(TABLE__TABLE_VRFS), 1, pb_bytes(NULL, 0), "",
					"", false);

		CHECK(r->list != NULL, "list");
		resp_free(r);
		close(fds[k]);
	}
}

static void *client_thread(void *arg)
{
	static const struct {
		const char *name;
		void (*fn)(void);
	} tests[] = {
		{"socket mode", test_socket_mode},
		{"framing", test_framing},
		{"bomb", test_bomb},
		{"hello", test_hello},
		{"build", test_build},
		{"refusals", test_refusals},
		{"embedded NUL", test_embedded_nul},
		{"lookup", test_lookup},
		{"group like another", test_group_like},
		{"batch", test_batch},
		{"paging", test_paging},
		{"cursors", test_cursors},
		{"owners", test_owners},
		{"sweep", test_sweep},
		{"events", test_events},
		{"small requests", test_small_requests},
		{"TCP", test_tcp},
		{"stalled client", test_stalled},
		{"many clients", test_many_clients},
	};

	(void)arg;
	fd_main = client_connect(path);
	for (size_t k = 0; k < sizeof(tests) / sizeof(*tests); k++) {
		/* The hello test leaves the owner at epoch 10. */
		if (tests[k].fn == test_build)
			client_hello(fd_main, "vnf", 10);
		tests[k].fn();
		printf("ok %s\n", tests[k].name);
	}
	close(fd_main);
	loop_stop();
	return NULL;
}

/* What a data plane that was killed leaves behind. */
static void make_stale_socket(void)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%s", path);
	CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "bind");
	close(fd);
}

static void test_bad_paths(void)
{
	struct dp_error err = {0};
	char file[96];
	int fd;

	snprintf(file, sizeof(file), "%s/file", dir);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	CHECK(fd >= 0, "open");
	close(fd);
	CHECK(seam_init(file, NULL, &err) < 0 && strstr(err.message, "not a socket") != NULL, "%s",
	      err.message);
	CHECK(access(file, F_OK) == 0, "removed a file that is no socket");
	unlink(file);
	snprintf(file, sizeof(file), "%s/no/such", dir);
	CHECK(seam_init(file, NULL, &err) < 0 && strstr(err.message, "directory") != NULL, "%s",
	      err.message);
}

static mode_t mode_with_group(const char *group)
{
	struct dp_error err = {0};
	struct stat st;

	CHECK(seam_init(path, group, &err) == 0, "seam_init: %s", err.message);
	CHECK(lstat(path, &st) == 0, "lstat");
	CHECK(group == NULL || st.st_gid == getegid(), "group %u", st.st_gid);
	seam_fini();
	return st.st_mode & 0777;
}

static void test_group(void)
{
	struct dp_error err = {0};
	char group[16];

	snprintf(group, sizeof(group), "%u", getegid());
	CHECK(mode_with_group(NULL) == 0600, "without a group");
	CHECK(mode_with_group(group) == 0660, "with one");
	CHECK(seam_init(path, "no-such-group", &err) < 0 &&
		      strcmp(err.field, "socket-group") == 0 &&
		      strstr(err.message, "no-such-group") != NULL,
	      "%s: %s", err.field, err.message);
	CHECK(seam_init(path, "4294967295", &err) < 0, "all bits");
	CHECK(seam_init(path, "-1", &err) < 0, "negative");
	CHECK(access(path, F_OK) != 0, "a socket was made for a group there is not");
}

int main(void)
{
	pthread_t t;

	setvbuf(stdout, NULL, _IOLBF, 0);
	CHECK(mkdtemp(dir) != NULL, "mkdtemp");
	snprintf(path, sizeof(path), "%s/sock", dir);
	testbed_start("seam-test", NULL, 1);
	seam_fini();
	test_bad_paths();
	test_group();
	make_stale_socket();
	{
		struct dp_error err = {0};

		CHECK(seam_init(path, NULL, &err) == 0, "seam_init: %s", err.message);
	}
	CHECK(pthread_create(&t, NULL, client_thread, NULL) == 0, "thread");
	loop_run();
	pthread_join(t, NULL);
	testbed_stop();
	CHECK(access(path, F_OK) != 0, "the socket was left behind");
	rmdir(dir);
	return 0;
}
