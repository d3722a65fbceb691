/* SPDX-License-Identifier: Apache-2.0 */
#include "testops.h"

#include <arpa/inet.h>
#include <string.h>

ProtobufCBinaryData addr(struct bytes *store, const char *s)
{
	bool v6 = strchr(s, ':') != NULL;

	if (*s == '\0')
		return pb_bytes(NULL, 0);
	CHECK(inet_pton(v6 ? AF_INET6 : AF_INET, s, store->b) == 1, "%s", s);
	return pb_bytes(store->b, v6 ? 16 : 4);
}

int fd_main;

void apply_one(op_t *op, const struct refusal *want)
{
	if (want == NULL)
		client_apply(fd_main, op);
	else
		client_refused(want->fd, op, want->code, want->field);
}

void vrf(const char *name, uint32_t r4, uint32_t r6, const struct refusal *want)
{
	PB(Vrf) m = PB_VALUE(VRF);
	OP(vrf, VRF);
	m.name = pb_str(name);
	m.ip4_routes = r4;
	m.ip6_routes = r6;
	apply_one(&op, want);
}

void vrf_delete_op(const char *name, const struct refusal *want)
{
	PB(VrfKey) m = PB_VALUE(VRF_KEY);
	OP(vrf_delete, VRF_DELETE);
	m.name = pb_str(name);
	apply_one(&op, want);
}

void interface_op(PB(Interface) m, const struct refusal *want)
{
	OP(interface, INTERFACE);
	apply_one(&op, want);
}

PB(Interface) port_of(const char *name, const char *device)
{
	PB(Interface) m = PB_VALUE(INTERFACE);

	m.name = pb_str(name);
	m.kind = PBC(INTERFACE_KIND__INTERFACE_KIND_PORT);
	m.device = pb_str(device);
	m.admin_up = true;
	return m;
}

PB(Interface) vlan_of(const char *name, const char *parent, uint32_t id)
{
	PB(Interface) m = PB_VALUE(INTERFACE);

	m.name = pb_str(name);
	m.kind = PBC(INTERFACE_KIND__INTERFACE_KIND_VLAN);
	m.parent = pb_str(parent);
	m.vlan_id = id;
	m.admin_up = true;
	return m;
}

PB(Interface) loopback_of(const char *name)
{
	PB(Interface) m = PB_VALUE(INTERFACE);

	m.name = pb_str(name);
	m.kind = PBC(INTERFACE_KIND__INTERFACE_KIND_LOOPBACK);
	m.admin_up = true;
	return m;
}

void interface_delete(const char *name, const struct refusal *want)
{
	PB(InterfaceKey) m = PB_VALUE(INTERFACE_KEY);
	OP(interface_delete, INTERFACE_DELETE);
	m.name = pb_str(name);
	apply_one(&op, want);
}

void address(const char *interface, const char *a, uint32_t plen, const struct refusal *want)
{
	PB(Address) m = PB_VALUE(ADDRESS);
	struct bytes s;
	OP(address, ADDRESS);
	m.interface = pb_str(interface);
	m.address = addr(&s, a);
	m.prefix_len = plen;
	apply_one(&op, want);
}

void address_delete(const char *interface, const char *a, const struct refusal *want)
{
	PB(AddressKey) m = PB_VALUE(ADDRESS_KEY);
	struct bytes s;
	OP(address_delete, ADDRESS_DELETE);
	m.interface = pb_str(interface);
	m.address = addr(&s, a);
	apply_one(&op, want);
}

void neighbor(const char *interface, const char *a, const char *mac, size_t mac_len,
	      const struct refusal *want)
{
	PB(Neighbor) m = PB_VALUE(NEIGHBOR);
	struct bytes s;
	OP(neighbor, NEIGHBOR);
	m.interface = pb_str(interface);
	m.address = addr(&s, a);
	m.mac = pb_bytes(mac, mac_len);
	apply_one(&op, want);
}

void neighbor_delete(const char *interface, const char *a, const struct refusal *want)
{
	PB(NeighborKey) m = PB_VALUE(NEIGHBOR_KEY);
	struct bytes s;
	OP(neighbor_delete, NEIGHBOR_DELETE);
	m.interface = pb_str(interface);
	m.address = addr(&s, a);
	apply_one(&op, want);
}

void next_hop(uint64_t id, int kind, const char *interface, const char *gateway, const char *in_vrf,
	      const struct refusal *want)
{
	PB(NextHop) m = PB_VALUE(NEXT_HOP);
	struct bytes s;
	OP(next_hop, NEXT_HOP);
	m.id = id;
	m.kind = (PB(NextHopKind))kind;
	m.interface = pb_str(interface);
	m.gateway = addr(&s, gateway);
	m.vrf = pb_str(in_vrf);
	apply_one(&op, want);
}

void next_hop_delete(uint64_t id, const struct refusal *want)
{
	PB(Op) op = PB_VALUE(OP);

	op.op_case = PBC(OP__OP_NEXT_HOP_DELETE);
	op.next_hop_delete = id;
	apply_one(&op, want);
}

void group_n(uint64_t id, const uint64_t *ids, const uint32_t *weights, size_t n,
	     const struct refusal *want)
{
	PB(Group) m = PB_VALUE(GROUP);
	PB(Member) mem[80], *mp[80];
	OP(group, GROUP);

	for (size_t k = 0; k < n; k++) {
		PB_INIT(member)(&mem[k]);
		mem[k].next_hop_id = ids[k];
		mem[k].weight = weights != NULL ? weights[k] : 0;
		mp[k] = &mem[k];
	}
	m.id = id;
	m.members = mp;
	m.n_members = n;
	apply_one(&op, want);
}

void group_delete(uint64_t id, const struct refusal *want)
{
	PB(Op) op = PB_VALUE(OP);

	op.op_case = PBC(OP__OP_GROUP_DELETE);
	op.group_delete = id;
	apply_one(&op, want);
}

void route(const char *in_vrf, const char *prefix, uint32_t plen, uint64_t group,
	   const struct refusal *want)
{
	PB(Route) m = PB_VALUE(ROUTE);
	struct bytes s;
	OP(route, ROUTE);
	m.vrf = pb_str(in_vrf);
	m.prefix = addr(&s, prefix);
	m.prefix_len = plen;
	m.group_id = group;
	apply_one(&op, want);
}

void route_delete(const char *in_vrf, const char *prefix, uint32_t plen, const struct refusal *want)
{
	PB(RouteKey) m = PB_VALUE(ROUTE_KEY);
	struct bytes s;
	OP(route_delete, ROUTE_DELETE);
	m.vrf = pb_str(in_vrf);
	m.prefix = addr(&s, prefix);
	m.prefix_len = plen;
	apply_one(&op, want);
}

void ra(PB(RouterAdvertisement) m, const struct refusal *want)
{
	OP(router_advertisement, ROUTER_ADVERTISEMENT);
	apply_one(&op, want);
}

void settings(PB(Settings) m, const struct refusal *want)
{
	OP(settings, SETTINGS);
	apply_one(&op, want);
}
