/* SPDX-License-Identifier: Apache-2.0 */
/* For the unit tests of trace, capture and ping: a box with two ports whose graph is walked by the
 * test. */
#ifndef MILLRACE_TRACE_TEST_H
#define MILLRACE_TRACE_TEST_H

#include "../iface/iface.h"
#include "../ip4/check_test.h"
#include "../seam/testbed.h"
#include "trace.h"

extern struct iface *eth1, *eth2, *vlan5;
extern struct dp_error err;

/* A frame for eth1 (VLAN 5 if tagged) with a UDP packet from 10.0.1.2 of so many bytes in all. */
void box_receive(const char *dst, uint16_t len, uint8_t ttl, bool tagged);
/* Until nothing is under way. */
void box_settle(void);

/* answer_test.c */
void test_answers(void);
/* ping_test.c */
void test_pings(void);

#endif
