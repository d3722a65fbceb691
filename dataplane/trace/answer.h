/* SPDX-License-Identifier: Apache-2.0 */
/* What an ICMP packet that comes in answers to. */
#ifndef MILLRACE_TRACE_ANSWER_H
#define MILLRACE_TRACE_ANSWER_H

#include "../core/addr.h"

/* UDP probes go to this port plus their sequence number. */
#define TRACEROUTE_PORT 33434

enum {
	ECHO4_REPLY = 0,
	ECHO4 = 8,
	UNREACHABLE4 = 3,
	TIME_EXCEEDED4 = 11,
	UNREACHABLE6 = 1,
	TOO_BIG6 = 2,
	TIME_EXCEEDED6 = 3,
	ECHO6 = 128,
	ECHO6_REPLY = 129,
};

struct ping_answer {
	bool ipv6;
	bool reply;
	bool udp;
	uint8_t type, code;
	uint16_t mtu;
	/* Of the probe: its identifier (UDP: source port) and sequence number. */
	uint16_t id, seq;
	/* Who answers, and where the probe went. */
	struct ip_addr from, dst;
	uint8_t ttl;
	uint16_t length;
};

/* h is an IP packet of len bytes; nothing beyond is read. False if it answers no probe. */
bool ping_parse_answer(const uint8_t *h, size_t len, struct ping_answer *a);

#endif
