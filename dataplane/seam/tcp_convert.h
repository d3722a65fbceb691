/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of TCP listeners and pools from messages of the seam; each checks what it takes. */
#ifndef MILLRACE_SEAM_TCP_CONVERT_H
#define MILLRACE_SEAM_TCP_CONVERT_H

#include "../core/error.h"
#include "../tcp/objects.h"
#include "pb.h"

/* 1 to 63 characters of [A-Za-z0-9._-]. */
int tcp_name(const char *s, const char *field, struct dp_error *err);
/* m may be NULL: the defaults. Only listeners have `passive` ones. field: of the options. */
int tcp_options_from(const PB(TcpOptions) *m, bool passive, struct tcp_options *o,
		     const char *field, struct dp_error *err);
/* *out is a new array (NULL if there are none), also on failure the caller's to free. */
int tcp_prefixes_from(PB(TcpPrefix) *const *m, size_t n, size_t max, struct tcp_prefix **out,
		      uint32_t *n_out, const char *field, struct dp_error *err);
/* A PROXY protocol version; `any`: either is allowed too. */
int tcp_proxy_protocol(PB(TcpProxyProtocol) m, bool any, enum svc_proxy_protocol *out,
		       const char *field, struct dp_error *err);
void tcp_addr_from(const struct ip_addr *a, struct tcp_addr *out);
/* Refuses with what the services' own check found, under the names of the seam. -1. */
int tcp_fault(const struct svc_fault *f, struct dp_error *err);
/* Puts `field` and a dot before err->field; returns -1. */
int tcp_within(struct dp_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The message as bytes from malloc(); data NULL: no memory. */
struct term_msg tcp_pack(const ProtobufCMessage *m);
/* A limit of all workers together as that of one; 0 stays 0. */
uint32_t tcp_share(uint32_t all);

#endif
