/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of what came over the seam. Each returns 0, or -1 after dp_fail() with the field's name.
 */
#ifndef MILLRACE_SEAM_VALID_H
#define MILLRACE_SEAM_VALID_H

#include <protobuf-c/protobuf-c.h>
#include <rte_ether.h>

#include "../core/addr.h"
#include "../core/error.h"

struct iface;
struct vrf;

/* Fields this version does not know might change the meaning of the rest: the message is refused.
 */
int valid_known(const ProtobufCMessage *m, struct dp_error *err);
/* Letters, digits and the characters of `extra`; 1 to max bytes. The string must come from an
 * arena. */
int valid_name(const char *s, size_t max, const char *extra, const char *field,
	       struct dp_error *err);
int valid_iface_name(const char *s, const char *field, struct dp_error *err);
int valid_vrf_name(const char *s, const char *field, struct dp_error *err);
/* Printable UTF-8 of at most max bytes; may be empty. */
int valid_text(const char *s, size_t max, const char *field, struct dp_error *err);
int valid_empty(bool empty, const char *field, const char *why, struct dp_error *err);
int valid_range(uint64_t v, uint64_t min, uint64_t max, const char *field, struct dp_error *err);
/* 4 or 16 bytes. */
int valid_addr(const ProtobufCBinaryData *b, struct ip_addr *out, const char *field,
	       struct dp_error *err);
/* The address of one host: not unspecified, multicast, broadcast, loopback or IPv4-mapped. */
int valid_host(const struct ip_addr *a, const char *field, struct dp_error *err);
/* A length within the family, and nothing set in the bits past it. */
int valid_prefix(const ProtobufCBinaryData *b, uint32_t len, struct ip_addr *out,
		 struct dp_error *err);
/* 6 bytes, one station. */
int valid_mac(const ProtobufCBinaryData *b, struct rte_ether_addr *out, const char *field,
	      struct dp_error *err);
/* The interface or instance of that name; DP_NOT_FOUND. An empty instance is the default one. */
struct iface *valid_iface(const char *name, const char *field, struct dp_error *err);
struct vrf *valid_vrf(const char *name, const char *field, struct dp_error *err);

bool ip_addr_is_multicast(const struct ip_addr *a);
bool ip_addr_is_loopback(const struct ip_addr *a);
/* Replaces what is not printable UTF-8, in place: clients refuse messages with anything else in a
 * string. */
void make_printable(char *s);

#endif
