/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwarding tables: rte_fib (DIR-24-8) and rte_fib6 (trie) per VRF. The value of an entry is the
 * index of a next-hop group; 0 is "no route".
 *
 * A prefix has up to two routes: one of a client of the seam and one of the data plane itself
 * (connected, local, neighbour, broadcast). Which of them is in force: the data plane's own, except
 * that a client's beats a neighbour's host route. Lookups are for workers and the control thread,
 * changes for the control thread.
 */
#ifndef MILLRACE_FIB_H
#define MILLRACE_FIB_H

#include <rte_fib.h>
#include <rte_fib6.h>

#include "../core/addr.h"
#include "../core/error.h"

struct fib_sizes {
	uint32_t ip4_routes, ip6_routes;
	/* 0: derived from the number of routes. */
	uint32_t ip4_tbl8, ip6_tbl8;
};

/*
 * Trie tables that a table of so many IPv6 routes should have. Each /24, /32 and /40 with longer
 * prefixes in it takes one, so a table like the Internet's needs fewer than it has routes; one of
 * nothing but scattered /48s would need three each, and says so when it is full.
 */
static inline uint32_t fib_ip6_tbl8(uint32_t routes)
{
	return (uint32_t)((uint64_t)routes * 5 / 4);
}

/* The same numbers as millrace.dataplane.v1.RouteOrigin. */
enum route_origin {
	ROUTE_CLIENT = 1,
	ROUTE_CONNECTED = 2,
	ROUTE_LOCAL = 3,
	ROUTE_NEIGHBOR = 4,
	ROUTE_BROADCAST = 5,
};

struct route_info {
	struct ip_addr prefix;
	uint8_t plen;
	enum route_origin origin;
	/* Of the route in force. */
	uint32_t group;
	/* Group of the client's route (0: none) and who wrote it. */
	uint32_t client_group;
	struct owner_tag owner;
	/* Group of the data plane's own route (0: none). */
	uint32_t own_group;
};

struct fib_usage {
	uint32_t routes, routes_max;
	/* Second-level tables. */
	uint32_t tbl8_used, tbl8_max;
};

/* A client's route. group is an index (see group.h), not an id. Replaces the one there. The group's
 * reference count is kept by this module. */
int fib_route_set(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint32_t group,
		  struct owner_tag owner, struct dp_error *err);
int fib_route_delete(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint8_t owner,
		     struct dp_error *err);
/* A route of the data plane itself. */
int fib_own_set(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen, uint32_t group,
		enum route_origin origin, struct dp_error *err);
void fib_own_delete(uint16_t vrf, const struct ip_addr *prefix, uint8_t plen,
		    enum route_origin origin);

/* Longest match; group index, 0 if none. */
uint32_t fib_lookup(uint16_t vrf, const struct ip_addr *dst);
/* The route that matches, with its prefix. False if there is none. */
bool fib_lookup_route(uint16_t vrf, const struct ip_addr *dst, struct route_info *out);
/* The route that would match if there were none for exactly dst (a host route). False if there is
 * none. */
bool fib_lookup_covering(uint16_t vrf, const struct ip_addr *dst, struct route_info *out);

/*
 * Walks the routes in order of prefix, starting after `after` (NULL: from the beginning); fills up
 * to max, returns how many.
 */
unsigned int fib_walk(uint16_t vrf, bool ipv6, const struct route_info *after,
		      struct route_info *out, unsigned int max);
/* Deletes up to `budget` client routes of the owner older than the epoch; continues at *cursor.
 * Returns how many were deleted; *done is set at the end of the table. */
struct fib_sweep {
	uint16_t vrf;
	bool ipv6;
	bool started;
	struct route_info at;
};
unsigned int fib_sweep_step(struct fib_sweep *s, uint8_t owner, uint64_t epoch, unsigned int budget,
			    bool *done);
void fib_usage(uint16_t vrf, bool ipv6, struct fib_usage *u);

/* Makes or frees the tables of a VRF. Freeing lets go of the groups; call after the VRF is
 * unpublished. */
int fib_create(uint16_t vrf, const struct fib_sizes *sizes, struct dp_error *err);
void fib_free(uint16_t vrf);

/* For the lookup nodes: the rte tables by VRF id; NULL where the VRF does not exist. RCU. */
extern struct rte_fib *fib4_tables[];
extern struct rte_fib6 *fib6_tables[];

#endif
