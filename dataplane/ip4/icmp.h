/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP and ICMPv6 echo: what both families share. */
#ifndef MILLRACE_IP4_ICMP_H
#define MILLRACE_IP4_ICMP_H

#include <stdbool.h>
#include <stdint.h>

/* TTL or hop limit of packets made here (RFC 1700). */
#define ICMP_TTL 64

struct icmp_settings {
	/* Echo requests answered a second, per ingress interface and worker; more are dropped as
	 * "ip4-echo-rate" and "ip6-echo-rate". */
	uint32_t echo_rate;
	uint32_t echo_burst;
};
/* Written before the workers start. */
extern struct icmp_settings icmp_settings;

/* Takes one reply from the budget of the interface the request came by. Worker. */
bool icmp_echo_allow(uint16_t iface, uint64_t now);

#endif
