/* SPDX-License-Identifier: Apache-2.0 */
/* Objects of the data plane as messages of the seam, for lists and events alike. Strings point into
 * the objects. */
#ifndef MILLRACE_SEAM_STATE_H
#define MILLRACE_SEAM_STATE_H

#include "../fib/fib.h"
#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "pb.h"

static inline ProtobufCBinaryData state_addr(const struct ip_addr *a)
{
	return pb_bytes(a->b, a->len);
}

/* "" for IFACE_NONE and for an interface that is gone. */
const char *state_iface_name(uint16_t id);
const char *state_vrf_name(uint16_t id);
PB(OperStatus) state_oper(const struct iface *i);
uint64_t state_speed(const struct iface *i);
void state_address(PB(AddressState) *m, const struct iface *i, const struct iface_addr *a);
void state_neighbor(PB(NeighborState) *m, const struct neigh *n);
/* The client's route of the prefix, or the data plane's own. */
void state_route(PB(RouteState) *m, const struct route_info *r, bool client);
/* Why packets to it get nowhere; "" if they do. */
const char *state_nh_reason(uint32_t nh);
/* enum svc_health. */
PB(TcpHealth) state_tcp_health(int health);
/* Counts since they were last cleared. */
void state_counters(PB(InterfaceCounters) *m, const struct iface *i);

#endif
