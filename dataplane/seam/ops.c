/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <inttypes.h>
#include <stdio.h>

#include "valid.h"

static int apply(const PB(Op) *op, struct owner_tag tag, struct dp_error *err)
{
	switch (op->op_case) {
	case PBC(OP__OP_VRF):
		return op_vrf(op->vrf, tag, err);
	case PBC(OP__OP_VRF_DELETE):
		return op_vrf_delete(op->vrf_delete, tag, err);
	case PBC(OP__OP_INTERFACE):
		return op_interface(op->interface, tag, err);
	case PBC(OP__OP_INTERFACE_DELETE):
		return op_interface_delete(op->interface_delete, tag, err);
	case PBC(OP__OP_ADDRESS):
		return op_address(op->address, tag, err);
	case PBC(OP__OP_ADDRESS_DELETE):
		return op_address_delete(op->address_delete, tag, err);
	case PBC(OP__OP_NEIGHBOR):
		return op_neighbor(op->neighbor, tag, err);
	case PBC(OP__OP_NEIGHBOR_DELETE):
		return op_neighbor_delete(op->neighbor_delete, tag, err);
	case PBC(OP__OP_NEXT_HOP):
		return op_next_hop(op->next_hop, tag, err);
	case PBC(OP__OP_NEXT_HOP_DELETE):
		return op_next_hop_delete(op->next_hop_delete, tag, err);
	case PBC(OP__OP_GROUP):
		return op_group(op->group, tag, err);
	case PBC(OP__OP_GROUP_DELETE):
		return op_group_delete(op->group_delete, tag, err);
	case PBC(OP__OP_ROUTE):
		return op_route(op->route, tag, err);
	case PBC(OP__OP_ROUTE_DELETE):
		return op_route_delete(op->route_delete, tag, err);
	case PBC(OP__OP_ROUTER_ADVERTISEMENT):
		return op_ra(op->router_advertisement, tag, err);
	case PBC(OP__OP_ROUTER_ADVERTISEMENT_DELETE):
		return op_ra_delete(op->router_advertisement_delete, tag, err);
	case PBC(OP__OP_SETTINGS):
		return op_settings(op->settings, tag, err);
	case PBC(OP__OP_TCP_POOL):
		return op_tcp_pool(op->tcp_pool, tag, err);
	case PBC(OP__OP_TCP_POOL_DELETE):
		return op_tcp_pool_delete(op->tcp_pool_delete, tag, err);
	case PBC(OP__OP_TCP_LISTENER):
		return op_tcp_listener(op->tcp_listener, tag, err);
	case PBC(OP__OP_TCP_LISTENER_DELETE):
		return op_tcp_listener_delete(op->tcp_listener_delete, tag, err);
	case PBC(OP__OP__NOT_SET):
	default:
		return dp_fail(err, DP_UNKNOWN_REQUEST, "",
			       "the operation is none that this version knows");
	}
}

int op_apply(const PB(Op) *op, struct owner_tag tag, struct dp_error *err)
{
	const ProtobufCFieldDescriptor *f;
	char field[2 * sizeof(err->field)];

	*err = (struct dp_error){0};
	if (op->op_case != PBC(OP__OP__NOT_SET) && valid_known(&op->base, err) < 0)
		return -1;
	if (apply(op, tag, err) == 0)
		return 0;
	if (err->code == DP_OK)
		dp_fail(err, DP_DEVICE, "", "refused");
	f = protobuf_c_message_descriptor_get_field(op->base.descriptor, (unsigned int)op->op_case);
	if (f == NULL)
		return -1;
	snprintf(field, sizeof(field), "%s%s%s", f->name, *err->field ? "." : "", err->field);
	snprintf(err->field, sizeof(err->field), "%.*s", (int)sizeof(err->field) - 1, field);
	return -1;
}
