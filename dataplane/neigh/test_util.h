/* SPDX-License-Identifier: Apache-2.0 */
/* A box without ports for the unit tests: tables, one worker whose inject ring the test reads,
 * interfaces made by hand. */
#ifndef MILLRACE_NEIGH_TEST_UTIL_H
#define MILLRACE_NEIGH_TEST_UTIL_H

#include <stdio.h>
#include <stdlib.h>

#include "internal.h"

#define CHECK(cond)                                                                                \
	do {                                                                                       \
		if (!(cond)) {                                                                     \
			fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__, __LINE__, __func__, \
				#cond);                                                            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* EAL without huge pages, pool, rings, tables, VRF default. */
void box_init(void);
/* An interface that is up, with MAC 02:00:00:00:00:ID; vlan 0 for a port's own. */
struct iface *box_iface(uint16_t id, uint16_t vlan);
/* Deletes its neighbours and addresses, then itself. */
void box_iface_free(struct iface *i);
/* Adds "10.0.0.1", 24 or the like. */
void box_addr(struct iface *i, const char *addr, uint8_t plen);
/* Takes the interface up or down as iface.c does. */
void box_link(struct iface *i, bool up);

struct ip_addr ip(const char *text);
struct rte_ether_addr mac(uint8_t last);

/* The next packet that was injected, NULL if none; the caller frees it. */
struct rte_mbuf *sent(void);
/* Number of injected packets, all freed. */
unsigned int drain(void);
/* Moves time on in ticks of 100 ms. */
void pass_ms(unsigned int ms);
/* Traffic through a next hop, as the worker's counter shows it. */
void use(uint32_t nh);

/* A UDP packet to dst that waits in neigh-hold for next hop nh. */
void hold(const char *src, const char *dst, uint32_t nh);
/* An ARP packet from a host comes in. */
void arp_from(struct iface *i, uint16_t op, const struct rte_ether_addr *sha, const char *spa,
	      const char *tpa);
/* Puts an IPv6 header before the message and hands it to nd_input(). */
void nd_from(struct iface *i, const char *src, const char *dst, const uint8_t *msg, uint32_t len);
void ns_from(struct iface *i, const char *src, const char *dst, const char *target,
	     const struct rte_ether_addr *sll);
void na_from(struct iface *i, const char *src, const char *dst, const char *target, uint8_t flags,
	     const struct rte_ether_addr *tll);

/* parser_test.c */
void test_parsers(void);
/* table_test.c */
void test_tables(void);
/* protocol_test.c */
void test_protocols(void);

#endif
