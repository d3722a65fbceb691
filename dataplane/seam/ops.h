/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The operations of a batch. Each checks what it was given and hands it on; 0, or -1 with *err
 * filled (the field relative to the operation's message) and nothing changed.
 */
#ifndef MILLRACE_SEAM_OPS_H
#define MILLRACE_SEAM_OPS_H

#include "../core/addr.h"
#include "../core/error.h"
#include "owner.h"
#include "pb.h"

struct iface;

/* err->field becomes relative to the Op: "route.prefix_len". */
int op_apply(const PB(Op) *op, struct owner_tag tag, struct dp_error *err);

int op_vrf(const PB(Vrf) *m, struct owner_tag tag, struct dp_error *err);
int op_vrf_delete(const PB(VrfKey) *m, struct owner_tag tag, struct dp_error *err);
int op_interface(const PB(Interface) *m, struct owner_tag tag, struct dp_error *err);
int op_interface_delete(const PB(InterfaceKey) *m, struct owner_tag tag, struct dp_error *err);
int op_address(const PB(Address) *m, struct owner_tag tag, struct dp_error *err);
int op_address_delete(const PB(AddressKey) *m, struct owner_tag tag, struct dp_error *err);
int op_neighbor(const PB(Neighbor) *m, struct owner_tag tag, struct dp_error *err);
int op_neighbor_delete(const PB(NeighborKey) *m, struct owner_tag tag, struct dp_error *err);
int op_ra(const PB(RouterAdvertisement) *m, struct owner_tag tag, struct dp_error *err);
int op_ra_delete(const PB(InterfaceKey) *m, struct owner_tag tag, struct dp_error *err);
int op_next_hop(const PB(NextHop) *m, struct owner_tag tag, struct dp_error *err);
int op_next_hop_delete(uint64_t id, struct owner_tag tag, struct dp_error *err);
int op_group(const PB(Group) *m, struct owner_tag tag, struct dp_error *err);
int op_group_delete(uint64_t id, struct owner_tag tag, struct dp_error *err);
int op_route(const PB(Route) *m, struct owner_tag tag, struct dp_error *err);
int op_route_delete(const PB(RouteKey) *m, struct owner_tag tag, struct dp_error *err);
int op_settings(const PB(Settings) *m, struct owner_tag tag, struct dp_error *err);

int op_tcp_pool(const PB(TcpPool) *m, struct owner_tag tag, struct dp_error *err);
int op_tcp_pool_delete(const PB(TcpPoolKey) *m, struct owner_tag tag, struct dp_error *err);
int op_tcp_listener(const PB(TcpListener) *m, struct owner_tag tag, struct dp_error *err);
int op_tcp_listener_delete(const PB(TcpListenerKey) *m, struct owner_tag tag, struct dp_error *err);

/* Who wrote the router advertisements of an interface; meaningful while iface.ra is set. */
struct owner_tag ra_owner(const struct iface *i);

#endif
