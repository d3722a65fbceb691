/* SPDX-License-Identifier: Apache-2.0 */
/* What the seam must refuse, each with its field named and nothing changed. */
#include <string.h>

#include "testops.h"

/* Everything that configuration makes, as bytes. */
static size_t snapshot(uint8_t *out, size_t max)
{
	static const int tables[] = {
		PBC(TABLE__TABLE_VRFS),	     PBC(TABLE__TABLE_INTERFACES),
		PBC(TABLE__TABLE_ADDRESSES), PBC(TABLE__TABLE_NEXT_HOPS),
		PBC(TABLE__TABLE_GROUPS),    PBC(TABLE__TABLE_ROUTES),
	};
	size_t n = 0;

	for (size_t t = 0; t < sizeof(tables) / sizeof(*tables); t++) {
		resp_t *r = client_list(fd_main, tables[t], 4096, pb_bytes(NULL, 0), "", "", false);
		size_t len;

		CHECK(r->list != NULL && r->list->next_cursor.len == 0, "list");
		/* What moves by itself. */
		for (size_t k = 0; k < r->list->n_interfaces; k++) {
			millrace__dataplane__v1__interface_counters__free_unpacked(
				r->list->interfaces[k]->counters, NULL);
			r->list->interfaces[k]->counters = NULL;
		}
		for (size_t k = 0; k < r->list->n_addresses; k++)
			r->list->addresses[k]->dad = 0;
		for (size_t k = 0; k < r->list->n_next_hops; k++) {
			r->list->next_hops[k]->tx_packets = r->list->next_hops[k]->tx_octets = 0;
			r->list->next_hops[k]->up = false;
			if (r->list->next_hops[k]->reason != protobuf_c_empty_string)
				*r->list->next_hops[k]->reason = '\0';
		}
		for (size_t k = 0; k < r->list->n_groups; k++)
			r->list->groups[k]->members_up = 0;
		r->id = 0;
		len = protobuf_c_message_get_packed_size(&r->base);
		CHECK(n + len <= max, "snapshot");
		n += protobuf_c_message_pack(&r->base, out + n);
		resp_free(r);
	}
	return n;
}

static void refuse_vrfs(void)
{
	vrf("", 0, 0, NO(INVALID, "vrf.name"));
	vrf("a b", 0, 0, NO(INVALID, "vrf.name"));
	vrf("abcdefghijklmnopqrstuvwxyz0123456789", 0, 0, NO(INVALID, "vrf.name"));
	vrf("blue", 1u << 30, 0, NO(INVALID, "vrf.ip4_routes"));
	vrf("blue", 0, UINT32_MAX, NO(INVALID, "vrf.ip6_routes"));
	vrf("red", 3000, 0, NO(IN_USE, "vrf.ip4_routes"));
	vrf_delete_op("default", NO(INVALID, "vrf_delete.name"));
	vrf_delete_op("none", NO(NOT_FOUND, "vrf_delete.name"));
	vrf_delete_op("red", NO(IN_USE, "vrf_delete.name"));
}

static void refuse_interfaces(void)
{
	PB(Interface) m;

	m = port_of("", "net_null1");
	interface_op(m, NO(INVALID, "interface.name"));
	m = port_of("sixteen_letters_", "net_null1");
	interface_op(m, NO(INVALID, "interface.name"));
	m = port_of("a/b", "net_null1");
	interface_op(m, NO(INVALID, "interface.name"));
	m = port_of("..", "net_null1");
	interface_op(m, NO(INVALID, "interface.name"));
	m = port_of("eth2", "");
	interface_op(m, NO(INVALID, "interface.device"));
	m = port_of("eth2", "net null");
	interface_op(m, NO(INVALID, "interface.device"));
	m = port_of("eth2", "net_nosuchthing0");
	interface_op(m, NO(DEVICE, "interface.device"));
	m = port_of("eth2", "iface=nosuchnetdev");
	interface_op(m, NO(NOT_FOUND, "interface.device"));
	m = port_of("eth2", "net_null1");
	m.kind = 0;
	interface_op(m, NO(INVALID, "interface.kind"));
	m.kind = 9;
	interface_op(m, NO(INVALID, "interface.kind"));
	m = port_of("eth2", "net_null1");
	m.parent = "eth1";
	interface_op(m, NO(INVALID, "interface.parent"));
	m = port_of("eth2", "net_null1");
	m.vlan_id = 1;
	interface_op(m, NO(INVALID, "interface.vlan_id"));
	m = port_of("eth2", "net_null1");
	m.vrf = "none";
	interface_op(m, NO(NOT_FOUND, "interface.vrf"));
	m = port_of("eth2", "net_null1");
	m.mtu = 67;
	interface_op(m, NO(INVALID, "interface.mtu"));
	m.mtu = 9001;
	interface_op(m, NO(INVALID, "interface.mtu"));
	m = port_of("eth1", "net_null0,no-rx=1");
	m.mtu = 1279;
	interface_op(m, NO(INVALID, "interface.mtu"));
	m = port_of("eth2", "net_null1");
	m.mac = pb_bytes("\x01\x00\x5e\x00\x00\x01", 6);
	interface_op(m, NO(INVALID, "interface.mac"));
	m.mac = pb_bytes("\x02\x00", 2);
	interface_op(m, NO(INVALID, "interface.mac"));
	m = port_of("eth2", "net_null1");
	m.rx_queues = 1000;
	interface_op(m, NO(INVALID, "interface.rx_queues"));
	m = port_of("eth2", "net_null1");
	m.tx_descriptors = 1u << 20;
	interface_op(m, NO(INVALID, "interface.tx_descriptors"));
	m = port_of("eth2", "net_null1");
	m.urpf = 7;
	interface_op(m, NO(INVALID, "interface.urpf"));
	m = port_of("eth2", "net_null1");
	m.description = "bad \xff";
	interface_op(m, NO(INVALID, "interface.description"));
	m = vlan_of("eth1.8", "eth1", 4095);
	interface_op(m, NO(INVALID, "interface.vlan_id"));
	m = vlan_of("eth1.8", "eth1", 0);
	interface_op(m, NO(INVALID, "interface.vlan_id"));
	m = vlan_of("eth1.8", "eth9", 8);
	interface_op(m, NO(NOT_FOUND, "interface.parent"));
	m = vlan_of("eth1.8", "lo1", 8);
	interface_op(m, NO(INVALID, "interface.parent"));
	m = vlan_of("eth1.8", "eth1", 7);
	interface_op(m, NO(IN_USE, "interface.vlan_id"));
	m = vlan_of("eth1.8", "eth1", 8);
	m.mac = pb_bytes(MAC, 6);
	interface_op(m, NO(INVALID, "interface.mac"));
	m = loopback_of("lo2");
	m.device = "x";
	interface_op(m, NO(INVALID, "interface.device"));
	interface_delete("eth9", NO(NOT_FOUND, "interface_delete.name"));
	interface_delete("eth1", NO(IN_USE, "interface_delete.name"));
}

static void refuse_addresses(void)
{
	static const char *const bad[] = {
		"0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1",	      "240.0.0.1",
		"::",	   "::1",     "ff02::1",   "255.255.255.255", "::ffff:192.0.2.1"};

	for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++) {
		uint32_t plen = strchr(bad[k], ':') ? 64 : 24;

		address("eth1", bad[k], plen, NO(INVALID, "address.address"));
	}
	address("eth9", "192.0.2.2", 24, NO(NOT_FOUND, "address.interface"));
	address("", "192.0.2.2", 24, NO(INVALID, "address.interface"));
	address("eth1", "", 24, NO(INVALID, "address.address"));
	address("eth1", "192.0.2.2", 0, NO(INVALID, "address.prefix_len"));
	address("eth1", "192.0.2.2", 33, NO(INVALID, "address.prefix_len"));
	address("eth1", "2001:db8::2", 129, NO(INVALID, "address.prefix_len"));
	address("eth1", "198.18.0.0", 24, NO(INVALID, "address.address"));
	address("eth1", "198.18.0.255", 24, NO(INVALID, "address.address"));
	address_delete("eth1", "192.0.2.77", NO(NOT_FOUND, "address_delete.address"));
	neighbor("eth1", "192.0.2.8", MAC, 5, NO(INVALID, "neighbor.mac"));
	neighbor("eth1", "192.0.2.8", "\xff\xff\xff\xff\xff\xff", 6, NO(INVALID, "neighbor.mac"));
	neighbor("eth1", "224.0.0.5", MAC, 6, NO(INVALID, "neighbor.address"));
	neighbor("eth1", "192.0.2.1", MAC, 6, NO(INVALID, "neighbor.address"));
	neighbor("lo1", "192.0.2.8", MAC, 6, NO(INVALID, "neighbor.interface"));
	neighbor("eth9", "192.0.2.8", MAC, 6, NO(NOT_FOUND, "neighbor.interface"));
	neighbor_delete("eth1", "192.0.2.88", NO(NOT_FOUND, "neighbor_delete.address"));
}

static void refuse_next_hops(void)
{
	uint64_t ids[65];

	next_hop(0, GATEWAY, "eth1", "192.0.2.9", "", NO(INVALID, "next_hop.id"));
	next_hop(9, 0, "eth1", "192.0.2.9", "", NO(INVALID, "next_hop.gateway"));
	next_hop(9, 0, "", "", "", NO(INVALID, "next_hop.kind"));
	next_hop(9, 99, "", "", "", NO(INVALID, "next_hop.kind"));
	next_hop(9, GATEWAY, "", "192.0.2.9", "", NO(INVALID, "next_hop.interface"));
	next_hop(9, GATEWAY, "eth9", "192.0.2.9", "", NO(NOT_FOUND, "next_hop.interface"));
	next_hop(9, GATEWAY, "lo1", "192.0.2.9", "", NO(INVALID, "next_hop.interface"));
	next_hop(9, GATEWAY, "eth1", "", "", NO(INVALID, "next_hop.gateway"));
	next_hop(9, GATEWAY, "eth1", "224.0.0.1", "", NO(INVALID, "next_hop.gateway"));
	next_hop(9, GATEWAY, "eth1", "192.0.2.1", "", NO(INVALID, "next_hop.gateway"));
	next_hop(9, GATEWAY, "eth1", "192.0.2.9", "red", NO(INVALID, "next_hop.vrf"));
	next_hop(9, INTERFACE, "eth1", "192.0.2.9", "", NO(INVALID, "next_hop.gateway"));
	next_hop(9, BLACKHOLE, "eth1", "", "", NO(INVALID, "next_hop.interface"));
	next_hop(9, INSTANCE, "", "", "none", NO(NOT_FOUND, "next_hop.vrf"));
	next_hop_delete(0, NO(INVALID, "next_hop_delete"));
	next_hop_delete(99, NO(NOT_FOUND, "next_hop_delete"));
	next_hop_delete(1, NO(IN_USE, "next_hop_delete"));
	for (size_t k = 0; k < 65; k++)
		ids[k] = 1;
	group_n(0, ids, NULL, 1, NO(INVALID, "group.id"));
	group_n(9, ids, NULL, 0, NO(INVALID, "group.members"));
	group_n(9, ids, NULL, 65, NO(INVALID, "group.members"));
	group_n(9, ids, NULL, 2, NO(INVALID, "group.members[1].next_hop_id"));
	group_n(9, (const uint64_t[]){1, 77}, NULL, 2,
		NO(NOT_FOUND, "group.members[1].next_hop_id"));
	group_n(9, ids, (const uint32_t[]){256}, 1, NO(INVALID, "group.members[0].weight"));
	group_delete(0, NO(INVALID, "group_delete"));
	group_delete(99, NO(NOT_FOUND, "group_delete"));
	group_delete(1, NO(IN_USE, "group_delete"));
}

static void refuse_routes(void)
{
	PB(Route) m = PB_VALUE(ROUTE);
	ProtobufCMessageUnknownField unknown = {
		.tag = 99,
		.wire_type = PROTOBUF_C_WIRE_TYPE_VARINT,
		.len = 1,
		.data = (uint8_t[]){1},
	};
	struct bytes s;
	OP(route, ROUTE);

	route("none", "10.9.0.0", 16, 1, NO(NOT_FOUND, "route.vrf"));
	route("a b", "10.9.0.0", 16, 1, NO(INVALID, "route.vrf"));
	route("", "", 16, 1, NO(INVALID, "route.prefix"));
	route("", "10.9.0.0", 33, 1, NO(INVALID, "route.prefix_len"));
	route("", "2001:db8::", 129, 1, NO(INVALID, "route.prefix_len"));
	route("", "10.9.1.0", 16, 1, NO(INVALID, "route.prefix"));
	route("", "10.9.0.128", 24, 1, NO(INVALID, "route.prefix"));
	route("", "128.0.0.0", 0, 1, NO(INVALID, "route.prefix"));
	route("", "2001:db8::1", 127, 1, NO(INVALID, "route.prefix"));
	route("", "10.9.0.0", 16, 99, NO(NOT_FOUND, "route.group_id"));
	route("", "10.9.0.0", 16, 0, NO(NOT_FOUND, "route.group_id"));
	route_delete("", "10.9.0.0", 16, NO(NOT_FOUND, "route_delete.prefix"));
	route_delete("", "192.0.2.0", 24, NO(NOT_FOUND, "route_delete.prefix"));
	/* A field of a later version. */
	m.base.n_unknown_fields = 1;
	m.base.unknown_fields = &unknown;
	m.prefix = addr(&s, "10.9.0.0");
	m.prefix_len = 16;
	m.group_id = 1;
	client_refused(fd_main, &op, DP_INVALID, "batch.ops[0].route.99");
}

static void refuse_ras_and_settings(void)
{
	PB(RouterAdvertisement) m = PB_VALUE(ROUTER_ADVERTISEMENT), fresh = m;
	PB(Settings) s = PB_VALUE(SETTINGS), fresh_s = s;

	m.interface = "eth9";
	ra(m, NO(NOT_FOUND, "router_advertisement.interface"));
	m.interface = "lo1";
	ra(m, NO(INVALID, "router_advertisement.interface"));
	fresh.interface = "eth1";
	m = fresh;
	m.max_interval = 3;
	ra(m, NO(INVALID, "router_advertisement.max_interval"));
	m.max_interval = 1801;
	ra(m, NO(INVALID, "router_advertisement.max_interval"));
	m.max_interval = 100;
	m.min_interval = 76;
	ra(m, NO(INVALID, "router_advertisement.min_interval"));
	m = fresh;
	m.router_lifetime = 9001;
	ra(m, NO(INVALID, "router_advertisement.router_lifetime"));
	m.router_lifetime = 599;
	ra(m, NO(INVALID, "router_advertisement.router_lifetime"));
	m = fresh;
	m.valid_lifetime = 10;
	m.preferred_lifetime = 11;
	ra(m, NO(INVALID, "router_advertisement.preferred_lifetime"));
	s.neighbor_limit = 65537;
	settings(s, NO(INVALID, "settings.neighbor_limit"));
	s = fresh_s;
	s.neighbor_queue = 257;
	settings(s, NO(INVALID, "settings.neighbor_queue"));
	s = fresh_s;
	s.punt_rate = UINT32_MAX;
	settings(s, NO(INVALID, "settings.punt_rate"));
	settings(fresh_s, NULL);
}

void test_refusals(void)
{
	static uint8_t before[1 << 16], after[1 << 16];
	size_t n = snapshot(before, sizeof(before));

	refuse_vrfs();
	refuse_interfaces();
	refuse_addresses();
	refuse_next_hops();
	refuse_routes();
	refuse_ras_and_settings();
	CHECK(snapshot(after, sizeof(after)) == n && memcmp(before, after, n) == 0,
	      "a refused operation changed something");
}

/* A string with a NUL inside is not the string before it. */
void test_embedded_nul(void)
{
	/* id 1, batch { op { vrf_delete { name: "re\0d" } } } */
	static const uint8_t frame[] = {0x08, 0x01, 0x1a, 0x0a, 0x0a, 0x08, 0x12,
					0x06, 0x0a, 0x04, 'r',	'e',  0,    'd'};
	resp_t *r;

	client_send_frame(fd_main, frame, sizeof(frame));
	r = client_recv(fd_main);
	CHECK(r->batch != NULL && r->batch->n_failed == 1, "accepted");
	CHECK(strcmp(r->batch->failed[0]->error->field, "batch.ops[0].vrf_delete.name") == 0, "%s",
	      r->batch->failed[0]->error->field);
	CHECK(strstr(r->batch->failed[0]->error->message, "NUL") != NULL, "%s",
	      r->batch->failed[0]->error->message);
	resp_free(r);
}
