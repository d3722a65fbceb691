/* SPDX-License-Identifier: Apache-2.0 */
/* The seam: the unix socket by which vnf drives the data plane (api/proto/dataplane/v1). */
#ifndef MILLRACE_SEAM_H
#define MILLRACE_SEAM_H

#include "../core/addr.h"
#include "../core/error.h"
#include "../iface/iface.h"
#include "../neigh/neigh.h"
#include "../fib/nexthop.h"

/* group: its name or number; it may open the socket too. NULL: none may. */
int seam_init(const char *socket_path, const char *group, struct dp_error *err);
void seam_fini(void);

/* Events: to every subscriber. Cheap when there is none. */
void seam_event_link(const struct iface *i);
void seam_event_interface_gone(const char *name);
void seam_event_neighbor(const struct neigh *n);
void seam_event_neighbor_gone(const struct iface *i, const struct ip_addr *addr);
void seam_event_address(const struct iface *i, const struct iface_addr *a);
void seam_event_next_hop(const struct nh_obj *n, bool up, const char *reason);
/* A backend's health (enum svc_health), or, with backend "", that of the pool. */
void seam_event_tcp_health(const char *pool, const char *backend, int health, const char *reason,
			   uint32_t backends_healthy, uint32_t backends);
/* Repeated calls for the same table are merged: one event a second at most. */
void seam_event_table_full(const char *table, const char *vrf, uint64_t capacity);

/* Version and boot id of this process. */
extern const char dp_version[];
extern uint64_t dp_boot_id;

#endif
