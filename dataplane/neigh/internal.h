/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the neighbour subsystem share. Control thread only, except where said. */
#ifndef MILLRACE_NEIGH_INTERNAL_H
#define MILLRACE_NEIGH_INTERNAL_H

#include <sys/queue.h>

#include "../core/loop.h"
#include "../core/mbuf.h"
#include "../core/worker.h"
#include "../fib/nexthop.h"
#include "neigh.h"

#define NEIGH_MAX   65536u
#define NS_PER_SEC  1000000000ull
#define NS_PER_MS   1000000ull
#define TIMER_NEVER UINT64_MAX

/* RFC 4861 section 10; ARP uses the same. */
#define RETRANS_NS		 NS_PER_SEC
#define MAX_MULTICAST_SOLICIT	 3
#define MAX_UNICAST_SOLICIT	 3
#define DELAY_FIRST_PROBE_NS	 (5 * NS_PER_SEC)
#define MAX_INITIAL_RTR_ADVERTS	 3
#define MAX_INITIAL_RTR_INTERVAL 16
#define MIN_DELAY_BETWEEN_RAS_NS (3 * NS_PER_SEC)
#define MAX_RA_DELAY_NS		 (500 * NS_PER_MS)
/* RFC 5227 section 1.1. */
#define ANNOUNCE_NUM	     2
#define ANNOUNCE_INTERVAL_NS (2 * NS_PER_SEC)
#define DEFEND_INTERVAL_NS   (10 * NS_PER_SEC)
/* Our own: a silent neighbour is remembered as such for this long, so that a scan does not cost a
 * resolution per packet. */
#define FAILED_HOLD_NS (3 * NS_PER_SEC)
/* How often a stale neighbour's counters are looked at to see whether it is in use. */
#define STALE_CHECK_NS (2 * NS_PER_SEC)
/* Longest pause between attempts to find a silent gateway again. */
#define PINNED_BACKOFF_MAX_NS (5 * NS_PER_SEC)
/* A conflict that was not seen for so long is over. */
#define CONFLICT_FORGET_NS (60 * NS_PER_SEC)
/* A MAC that has just been confirmed is not replaced by an unsolicited ARP packet within this time.
 */
#define ARP_LOCK_NS NS_PER_SEC

/* Which list an entry is on; evicted in the order of the first two. */
enum neigh_class {
	/* Unpinned, INCOMPLETE or FAILED. */
	NEIGH_CLASS_PENDING,
	/* Unpinned, STALE; oldest first. */
	NEIGH_CLASS_STALE,
	/* In use, pinned or static: never evicted. */
	NEIGH_CLASS_KEEP,
	NEIGH_CLASSES,
};

struct neigh_ent {
	/* First, so that a struct neigh * is one of these. */
	struct neigh n;
	struct neigh_ent *hash_next;
	TAILQ_ENTRY(neigh_ent) by_iface;
	TAILQ_ENTRY(neigh_ent) by_all;
	uint32_t slot;
	uint32_t hash;
	enum neigh_class cls;
	/* What was last written into the next hop. */
	uint8_t nh_action;
	/* A host route is in the FIB of route_vrf. */
	bool has_route;
	/* The destination is not on a connected prefix: a client's route leads straight onto the
	 * interface. */
	bool interface_route;
	uint16_t route_vrf;
	uint16_t queue_cap;
	/* Of a silent gateway: times it was asked in vain, for the backoff. */
	uint8_t backoff;
	/* Packets passed since the probing began. */
	bool used;
	/* Last time packets were seen to pass. */
	uint64_t used_ns;
};

TAILQ_HEAD(neigh_list, neigh_ent);

static inline struct neigh_ent *neigh_ent(struct neigh *n)
{
	return (struct neigh_ent *)n;
}

/* Monotonic time; tests move it on by neigh_clock_skew. */
extern uint64_t neigh_clock_skew;

static inline uint64_t neigh_now(void)
{
	return now_mono_ns() + neigh_clock_skew;
}

/* ---- table.c ---- */

int neigh_table_init(void);
/* SipHash-2-4 under the key of this boot; also makes the DAD nonces. */
uint64_t neigh_siphash(const void *data, size_t len);
struct neigh_ent *neigh_table_find(const struct iface *i, const struct ip_addr *addr);
/*
 * Puts in a new entry of class KEEP without state, with a next hop of its own. When the interface's
 * limit or the table is full, the oldest PENDING one, else the oldest STALE one, gives way (by
 * neigh_remove()). NULL with *err if nothing can.
 */
struct neigh_ent *neigh_table_add(struct iface *i, const struct ip_addr *addr,
				  struct dp_error *err);
/* Takes it out and frees it. The caller has seen to its queue, route and events. */
void neigh_table_del(struct neigh_ent *e);
void neigh_table_reclass(struct neigh_ent *e, enum neigh_class cls);
void neigh_table_timer(struct neigh_ent *e, uint64_t at_ns);
/* Calls fn for the entries whose timer has run out, `budget` at most; goes on there next time. */
unsigned int neigh_table_expire(uint64_t now, unsigned int budget,
				void (*fn)(struct neigh_ent *e, uint64_t now));
/* Calls fn for a slice of all entries, so that all have had their turn after so many calls. fn adds
 * and removes none. */
void neigh_table_sweep(unsigned int calls, void (*fn)(struct neigh_ent *e));
/* The next of an interface, in the order of the classes; NULL at the end. Take it before removing
 * `e`. */
struct neigh_ent *neigh_table_iface_first(const struct iface *i);
struct neigh_ent *neigh_table_iface_after(const struct neigh_ent *e);

/* True if packets can be sent to its MAC. */
static inline bool neigh_usable(const struct neigh *n)
{
	return n->nud == NUD_REACHABLE || n->nud == NUD_STALE || n->nud == NUD_DELAY ||
	       n->nud == NUD_PROBE || n->nud == NUD_STATIC;
}

static inline bool iface_is_up(const struct iface *i)
{
	return (i->flags & IFACE_F_UP) != 0 && i->kind != IFACE_LOOPBACK;
}

/* ---- neigh.c ---- */

/* Finds or makes an entry, and starts its resolution. */
struct neigh_ent *neigh_get(struct iface *i, const struct ip_addr *addr, struct dp_error *err);
/* Finds or makes one that was learnt from the wire: STALE with this MAC when new. */
struct neigh_ent *neigh_learn(struct iface *i, const struct ip_addr *addr,
			      const struct rte_ether_addr *mac);

/* ---- nud.c ---- */

/* Writes its next hop as its state and its interface's are; if only the action can have changed,
 * !force. */
void neigh_write_nh(struct neigh_ent *e, bool force);
/* Adds or removes its host route. */
void neigh_sync_route(struct neigh_ent *e);
/* Enters a state with its timer, next hop, route and event; packets that wait are left to the
 * caller. */
void neigh_set_state(struct neigh_ent *e, enum nud nud, uint64_t now, bool new_mac);
enum neigh_class neigh_class_of(const struct neigh_ent *e);
/* FAILED; what waits is answered with ICMP errors. */
void neigh_fail(struct neigh_ent *e, uint64_t now);
/* INCOMPLETE, and asks at once. */
void neigh_start(struct neigh_ent *e, uint64_t now);
/* True if addr lies in a prefix of the interface (or is link-local). */
bool neigh_on_link(const struct iface *i, const struct ip_addr *addr);
/* A MAC was learnt: state is REACHABLE (confirmed) or STALE. */
void neigh_set_mac(struct neigh_ent *e, const struct rte_ether_addr *mac, enum nud state);
/* The MAC it has is right: REACHABLE. */
void neigh_confirm(struct neigh_ent *e);
/* Demoted to STALE without a new MAC (RFC 4861 section 7.2.5). */
void neigh_doubt(struct neigh_ent *e);
/* Packets waiting are answered with ICMP errors; the entry, its next hop and its route go. Raises
 * the event. */
void neigh_remove(struct neigh_ent *e);
/* Sends a packet by it, or queues it, or answers it with an ICMP error. Takes the mbuf. */
void neigh_send(struct neigh_ent *e, struct rte_mbuf *m);
/* A packet from neigh-hold. */
void neigh_hold_input(struct rte_mbuf *m);
/* Prefixes of the interface have changed: which neighbours have host routes. */
void neigh_sync_routes(struct iface *i);
/* Once a tick. */
void neigh_run_timers(uint64_t now);

/* ---- queue.c ---- */

void neigh_enqueue(struct neigh_ent *e, struct rte_mbuf *m);
/* Sends what waits to its next hop. */
void neigh_queue_flush(struct neigh_ent *e);
/* ICMP host (address) unreachable about what waits. */
void neigh_queue_fail(struct neigh_ent *e);
void neigh_unreachable(struct rte_mbuf *m);
/* To next hop nh, without another lookup. */
void neigh_forward(struct rte_mbuf *m, uint32_t nh);
/* 4 or 6, or 0 if it is neither or shorter than its header. */
unsigned int neigh_ip_version(const struct rte_mbuf *m);
unsigned int neigh_queued_total(void);
/* The limited broadcast, or that of one of the interface's prefixes. */
bool neigh_is_broadcast4(const struct iface *i, const struct ip_addr *addr);

/* ---- tx.c ---- */

#define ETHERTYPE_ARP  0x0806
#define ETHERTYPE_IP4  0x0800
#define ETHERTYPE_IP6  0x86dd
#define ETHERTYPE_VLAN 0x8100

extern const struct rte_ether_addr mac_broadcast;

/* A new packet of len bytes, zeroed, data pointer at where the L3 header goes. NULL if there is no
 * buffer. */
struct rte_mbuf *neigh_frame(const struct iface *i, uint16_t len);
/* Puts the Ethernet (and 802.1Q) header before it and sends it out of the interface. Takes the
 * mbuf. */
void neigh_frame_send(const struct iface *i, struct rte_mbuf *m, const struct rte_ether_addr *dst,
		      uint16_t ethertype);
/* The same on an interface that has just been taken down: a last word, if the link still carries
 * it. */
void neigh_frame_send_last(const struct iface *i, struct rte_mbuf *m,
			   const struct rte_ether_addr *dst, uint16_t ethertype);
/* 01:00:5e (RFC 1112) or 33:33 (RFC 2464) for a multicast address. */
void mac_of_multicast(const struct ip_addr *a, struct rte_ether_addr *mac);
/* Solicited-node multicast address (RFC 4291 section 2.7.1). */
void solicited_node(const uint8_t *target, uint8_t *out);

/* An IPv6 header as it lies in a packet. */
struct ip6_header {
	uint8_t version_class_flow[4];
	uint8_t payload_len[2];
	uint8_t next_header;
	uint8_t hop_limit;
	uint8_t src[16];
	uint8_t dst[16];
};

_Static_assert(sizeof(struct ip6_header) == 40, "as on the wire");

/* Writes the IPv6 header of an ICMPv6 message of len bytes (hop limit 255) right after it, and its
 * checksum. */
void icmp6_finish(struct ip6_header *ip, const uint8_t *src, const uint8_t *dst, uint16_t len);
/* Internet checksum of an ICMPv6 message with its pseudo header, as it goes into the packet. */
uint16_t icmp6_checksum(const struct ip6_header *ip, const uint8_t *msg, uint32_t len);

static inline uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static inline void put16(uint8_t *p, uint16_t v)
{
	p[0] = v >> 8;
	p[1] = v & 0xff;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* ---- arp.c ---- */

/* An ARP packet for Ethernet and IPv4 as it lies in a frame (RFC 826). */
struct arp_packet {
	uint8_t hardware[2];
	uint8_t protocol[2];
	uint8_t hlen;
	uint8_t plen;
	uint8_t op[2];
	uint8_t sha[6];
	uint8_t spa[4];
	uint8_t tha[6];
	uint8_t tpa[4];
};

_Static_assert(sizeof(struct arp_packet) == 28, "as on the wire");

#define ARP_REQUEST 1
#define ARP_REPLY   2

/* In the order of arp-input's edges. */
enum arp_verdict {
	ARP_OK,
	ARP_TRUNCATED,
	ARP_BAD_HARDWARE,
	ARP_BAD_PROTOCOL,
	ARP_BAD_OPCODE,
	ARP_BAD_SENDER,
	ARP_VERDICTS,
};

/* Looks at what can be said without tables. Worker or control. */
enum arp_verdict arp_check(const uint8_t *data, uint32_t len);
void arp_input(struct iface *i, const uint8_t *data, uint32_t len);
/* To dst, or broadcast if NULL. */
void arp_request(struct iface *i, uint32_t target_be, const struct rte_ether_addr *dst);
/* RFC 5227 section 2.3. */
void arp_announce(struct iface *i, uint32_t addr_be);

/* ---- nd_parse.c ---- */

#define ND_RS	    133
#define ND_RA	    134
#define ND_NS	    135
#define ND_NA	    136
#define ND_REDIRECT 137

#define ND_OPT_SLL    1
#define ND_OPT_TLL    2
#define ND_OPT_PREFIX 3
#define ND_OPT_MTU    5
#define ND_OPT_NONCE  14

#define NA_ROUTER    0x80
#define NA_SOLICITED 0x40
#define NA_OVERRIDE  0x20

/* In the order of nd-input's edges. */
enum nd_verdict {
	ND_OK,
	/* Shorter than the message's fixed part, or than the IPv6 header says. */
	ND_TRUNCATED,
	/* Not 255: from beyond the link. */
	ND_BAD_HOP_LIMIT,
	ND_BAD_CODE,
	/* Extension headers, or not one of the five messages. */
	ND_BAD_TYPE,
	ND_BAD_SOURCE,
	ND_BAD_DESTINATION,
	ND_BAD_TARGET,
	/* Of length 0 or reaching beyond the message, of the wrong length, or not allowed. */
	ND_BAD_OPTION,
	/* A router does not follow redirects. */
	ND_REDIRECTED,
	ND_VERDICTS,
};

struct nd_message {
	uint8_t type;
	/* NA: flags. */
	uint8_t flags;
	uint8_t src[16];
	uint8_t dst[16];
	/* NS and NA. */
	uint8_t target[16];
	/* RA: seconds. */
	uint16_t router_lifetime;
	bool has_sll, has_tll;
	struct rte_ether_addr sll, tll;
	bool has_nonce;
	uint8_t nonce[6];
};

/* Validation of RFC 4861 sections 6.1, 7.1 and 8.1; the checksum was verified before. Worker or
 * control. */
enum nd_verdict nd_parse(const uint8_t *data, uint32_t len, struct nd_message *m);

/* ---- nd.c ---- */

void nd_input(struct iface *i, const uint8_t *data, uint32_t len);
/* To dst, or to the solicited-node address if NULL. */
void nd_solicit(struct iface *i, const uint8_t *target, const struct rte_ether_addr *dst);
/* From the unspecified address with a nonce (RFC 7527). */
void nd_dad_probe(struct iface *i, const uint8_t *target);
/* To all nodes, override set. */
void nd_announce(struct iface *i, const uint8_t *addr);

/* ---- dad.c ---- */

/* DAD, announcements and the end of conflicts; once a tick. */
void dad_tick(uint64_t now);
/* Another host (mac) uses address a of the interface. Reports it; defends it by announcing,
 * DEFEND_INTERVAL apart. */
void addr_conflict(struct iface *i, struct iface_addr *a, const struct rte_ether_addr *mac);

/* ---- ra.c ---- */

void ra_tick(uint64_t now);
void ra_iface_up(struct iface *i);
void ra_iface_down(struct iface *i);
void ra_iface_deleted(struct iface *i);
/* A router solicitation came in. */
void ra_solicited(struct iface *i);
/* Prefixes changed: advertise soon. */
void ra_changed(struct iface *i);

/* ---- nodes.c ---- */

/* What a node puts into meta.arg0 of a punted packet. */
enum neigh_punt {
	NEIGH_PUNT_ARP,
	NEIGH_PUNT_ND,
	NEIGH_PUNT_HOLD,
};

#endif
