/* SPDX-License-Identifier: Apache-2.0 */
/* Operations of a batch, made and sent one at a time, for the tests of the seam. */
#ifndef MILLRACE_SEAM_TESTOPS_H
#define MILLRACE_SEAM_TESTOPS_H

#include "../core/error.h"
#include "testclient.h"

/* The connection they go by. */
extern int fd_main;

struct bytes {
	uint8_t b[16];
};

/* What is expected of an operation that must be refused; NULL: it must be carried out. */
struct refusal {
	int fd;
	int code;
	const char *field;
};

#define NO(code_, field_)                                                                          \
	(&(const struct refusal){                                                                  \
		.fd = fd_main, .code = DP_##code_, .field = "batch.ops[0]." field_})

#define GATEWAY	  PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_GATEWAY)
#define INTERFACE PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_INTERFACE)
#define BLACKHOLE PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_BLACKHOLE)
#define INSTANCE  PBC(NEXT_HOP_KIND__NEXT_HOP_KIND_VRF)
#define MAC	  "\x02\x00\x00\x00\x00\x09"

ProtobufCBinaryData addr(struct bytes *store, const char *s);
void apply_one(op_t *op, const struct refusal *want);
void vrf(const char *name, uint32_t r4, uint32_t r6, const struct refusal *want);
void vrf_delete_op(const char *name, const struct refusal *want);
void interface_op(PB(Interface) m, const struct refusal *want);
PB(Interface) port_of(const char *name, const char *device);
PB(Interface) vlan_of(const char *name, const char *parent, uint32_t id);
PB(Interface) loopback_of(const char *name);
void interface_delete(const char *name, const struct refusal *want);
void address(const char *interface, const char *a, uint32_t plen, const struct refusal *want);
void address_delete(const char *interface, const char *a, const struct refusal *want);
void neighbor(const char *interface, const char *a, const char *mac, size_t mac_len,
	      const struct refusal *want);
void neighbor_delete(const char *interface, const char *a, const struct refusal *want);
void next_hop(uint64_t id, int kind, const char *interface, const char *gateway, const char *in_vrf,
	      const struct refusal *want);
void next_hop_delete(uint64_t id, const struct refusal *want);
void group_n(uint64_t id, const uint64_t *ids, const uint32_t *weights, size_t n,
	     const struct refusal *want);
void group_delete(uint64_t id, const struct refusal *want);
void route(const char *in_vrf, const char *prefix, uint32_t plen, uint64_t group,
	   const struct refusal *want);
void route_delete(const char *in_vrf, const char *prefix, uint32_t plen,
		  const struct refusal *want);
void ra(PB(RouterAdvertisement) m, const struct refusal *want);
void settings(PB(Settings) m, const struct refusal *want);

/* Declares op, with m as its member. */
#define OP(member, UPPER)                                                                          \
	PB(Op) op = PB_VALUE(OP);                                                                  \
	op.op_case = PBC(OP__OP_##UPPER);                                                          \
	op.member = &m

/* tcp_test.c; takes another epoch. */
void test_tcp(void);
/* The tests of refusals (refusal_test.c), run by seam_test.c. */
void test_refusals(void);
void test_embedded_nul(void);

#endif
