/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interfaces: ports, 802.1Q sub-interfaces and loopbacks, and their addresses. The control thread
 * writes; workers read the fields of the first part and the published arrays under RCU.
 */
#ifndef MILLRACE_IFACE_H
#define MILLRACE_IFACE_H

#include <rte_ether.h>
#include <rte_ethdev.h>

#include "../core/addr.h"
#include "../core/error.h"

#define IFACE_MAX      1024
#define IFACE_NONE     0
#define IFACE_NAME_LEN 16

enum iface_kind {
	IFACE_PORT = 1,
	IFACE_VLAN = 2,
	IFACE_LOOPBACK = 3,
};

enum urpf_mode {
	URPF_OFF = 0,
	URPF_LOOSE = 1,
	URPF_STRICT = 2,
};

enum iface_flags {
	/* Configured up and the link (and the parent) is up: packets pass. */
	IFACE_F_UP = 1 << 0,
	IFACE_F_URPF = 1 << 1,
	/* The interface has an IPv6 address, so it speaks ND. */
	IFACE_F_IP6 = 1 << 2,
	IFACE_F_IP4 = 1 << 3,
	/* What passes through may belong to a transparent proxy's connections. */
	IFACE_F_TRANSPARENT = 1 << 4,
};

enum dad_state {
	DAD_TENTATIVE = 1,
	DAD_PREFERRED = 2,
	DAD_DUPLICATE = 3,
};

struct iface_addr {
	struct ip_addr addr;
	uint8_t plen;
	enum dad_state dad;
	bool automatic;
	/* Virtual: without a connected prefix, and the last to be a source of the box's packets. */
	bool vip;
	bool conflict;
	struct rte_ether_addr conflict_mac;
	struct owner_tag owner;
	/* For the neighbour code: probes sent and time of the next, last defence (RFC 5227). */
	uint8_t dad_sent;
	uint64_t dad_next_ns;
	uint64_t defended_ns;
};

/* What workers read of the addresses. Replaced as a whole. */
struct iface_addr_view {
	uint16_t n4;
	uint16_t n6;
	/* Preferred addresses only; v4 in network order with its mask. Virtual ones come last. */
	struct {
		uint32_t addr;
		uint32_t mask;
	} * v4;
	/* Link-local first. */
	struct {
		uint8_t addr[16];
		uint8_t plen;
	} * v6;
};

struct tap;
struct ra_state;

struct iface {
	/* ---- read by the workers ---- */
	uint16_t id;
	uint16_t vrf;
	uint16_t mtu;
	uint8_t flags;
	uint8_t kind;
	/* DPDK port, UINT16_MAX for a loopback. */
	uint16_t port;
	/* Host order, 0 when untagged. */
	uint16_t vlan;
	uint8_t urpf;
	struct rte_ether_addr mac;
	struct iface_addr_view *view;
	/* ---- control thread only ---- */
	char name[IFACE_NAME_LEN];
	char description[256];
	uint16_t parent;
	bool admin_up;
	bool oper_up;
	uint16_t mtu_config;
	uint64_t last_change_ns;
	struct owner_tag owner;
	struct iface_addr *addrs;
	unsigned int n_addrs;
	unsigned int n_neigh;
	/* Counters when they were last cleared. */
	struct iface_stats *stats_base;
	struct tap *tap;
	struct ra_state *ra;
	/* Special next hops of this interface, made by nexthop.c: local delivery, glean, subnet
	 * broadcast. */
	uint32_t nh_local;
	uint32_t nh_glean;
	uint32_t nh_bcast;
} __rte_cache_aligned;

/* Index by id; NULL where there is none. */
extern struct iface *ifaces[IFACE_MAX];

#define iface_foreach(i)                                                                           \
	for (unsigned int i##_n = 1; i##_n < IFACE_MAX; i##_n++)                                   \
		if (((i) = ifaces[i##_n]) != NULL)

struct iface_config {
	char name[IFACE_NAME_LEN];
	enum iface_kind kind;
	char device[256];
	char parent[IFACE_NAME_LEN];
	uint16_t vlan;
	/* VRF id. */
	uint16_t vrf;
	uint16_t mtu;
	bool has_mac;
	struct rte_ether_addr mac;
	bool admin_up;
	bool promiscuous;
	uint16_t rxq, txq, rxd, txd;
	enum urpf_mode urpf;
	char description[256];
	struct owner_tag owner;
};

struct iface *iface_find(const char *name);

/* Makes the interface or changes what differs. 0, or -1 with *err filled and nothing changed. */
int iface_set(const struct iface_config *c, struct dp_error *err);
/* Deletes it with its addresses, neighbours and sub-interface-free port. DP_IN_USE while
 * sub-interfaces or next hops refer to it. */
int iface_delete(struct iface *i, struct dp_error *err);
/* The configuration as it is in force. */
void iface_get_config(const struct iface *i, struct iface_config *c);

/* Adds an address (or takes ownership of one that exists with the same plen). */
int iface_addr_set(struct iface *i, const struct ip_addr *addr, uint8_t plen,
		   struct owner_tag owner, struct dp_error *err);
/* The same for a virtual address, of a host's whole length. */
int iface_vip_set(struct iface *i, const struct ip_addr *addr, struct owner_tag owner,
		  struct dp_error *err);
int iface_addr_delete(struct iface *i, const struct ip_addr *addr, struct dp_error *err);
struct iface_addr *iface_addr_find(struct iface *i, const struct ip_addr *addr);
/* True if addr is an address of the box in this VRF (preferred or tentative); *found is its
 * interface. */
bool iface_addr_is_local(uint16_t vrf, const struct ip_addr *addr, struct iface **found);
/* The neighbour code calls this when DAD has ended; publishes the view, adds or removes the local
 * route, tells the TAP and the subscribers. */
void iface_addr_dad_done(struct iface *i, struct iface_addr *a, enum dad_state state);

/* A transparent pool came or went: sets IFACE_F_TRANSPARENT on the interfaces it concerns. */
void iface_update_transparent(void);
/* Recomputes oper state from admin, link and parent; tells next hops, neighbours, TAP and
 * subscribers. Called by port.c on link changes. */
void iface_update_oper(struct iface *i);

/* Best source address on the interface towards dst (same subnet preferred), or len 0. Usable by
 * workers and control. */
static inline uint32_t iface_source4(const struct iface *i, uint32_t dst_be)
{
	const struct iface_addr_view *v = i->view;
	unsigned int k;

	if (v == NULL || v->n4 == 0)
		return 0;
	for (k = 0; k < v->n4; k++)
		if (((v->v4[k].addr ^ dst_be) & v->v4[k].mask) == 0)
			return v->v4[k].addr;
	return v->v4[0].addr;
}

/* Source for an IPv6 packet towards dst out of this interface: link-local for link-local
 * destinations, else a global one of the same prefix, else any global one; NULL if there is none.
 */
const uint8_t *iface_source6(const struct iface *i, const uint8_t *dst);

/* Any preferred address of the VRF, loopbacks first; 0 / NULL if there is none. For unnumbered
 * interfaces. */
uint32_t vrf_source4(uint16_t vrf);
const uint8_t *vrf_source6(uint16_t vrf);

/* Bitmap of hashed local IPv4 addresses: a clear bit proves that a source address is not one of
 * ours. */
extern uint64_t iface_local4_bloom[1024];
static inline uint32_t iface_local4_hash(uint32_t be)
{
	return (be * 2654435761u) >> 16;
}
static inline bool iface_local4_maybe(uint32_t be)
{
	uint32_t h = iface_local4_hash(be);
	return (iface_local4_bloom[h >> 6] >> (h & 63)) & 1;
}

#endif
