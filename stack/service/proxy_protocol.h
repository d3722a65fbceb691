/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, versions 1 and 2 (as published by HAProxy): a header in front of a TCP stream
 * by which a proxy tells whom it speaks for. Reading is strict: whatever the specification does not
 * allow is refused with a reason, since what a header says is believed.
 */
#ifndef MILLRACE_SVC_PROXY_PROTOCOL_H
#define MILLRACE_SVC_PROXY_PROTOCOL_H

#include <stdbool.h>
#include <stdint.h>

#include "tcp/tcp.h"

/* Octets of a version 1 line at most, its CR LF counted, and of a version 2 header before its
 * addresses. */
#define SVC_PP_V1_MAX	107
#define SVC_PP_V2_FIXED 16
/* Octets of a whole header that is taken. The specification would allow 65,551, but asks senders to
 * stay within one segment; more than this is refused rather than held in memory. */
#define SVC_PP_MAX 4096
/* Octets a header that is sent adds to the TLVs it carries: fixed part, IPv6 addresses, CRC32C. */
#define SVC_PP_OVERHEAD (SVC_PP_V2_FIXED + 36 + 7)

enum svc_pp_tlv {
	SVC_PP_TLV_ALPN = 0x01,
	SVC_PP_TLV_AUTHORITY = 0x02,
	SVC_PP_TLV_CRC32C = 0x03,
	SVC_PP_TLV_NOOP = 0x04,
	SVC_PP_TLV_UNIQUE_ID = 0x05,
	SVC_PP_TLV_SSL = 0x20,
	SVC_PP_TLV_NETNS = 0x30,
};

/* Whom a connection is between, in the words of a header. */
struct svc_pp {
	/* 1 or 2. */
	uint8_t version;
	/* 4 or 6; 0: the header tells no addresses (UNKNOWN, LOCAL, AF_UNSPEC, AF_UNIX), those of
	 * the connection hold. */
	uint8_t family;
	/* LOCAL: the sender speaks for itself, say to check the receiver's health. */
	bool local;
	/* A CRC32C was there, and right. */
	bool crc;
	/* Client and the address it connected to; ports in network byte order. */
	struct tcp_addr src, dst;
	uint16_t sport, dport;
	/* Octets of the header, and where its TLVs are. */
	uint16_t len;
	uint16_t tlv_off, tlv_len;
};

enum svc_pp_result {
	SVC_PP_OK,
	/* So far it is right, but there is more to come: at least out->len octets in all. */
	SVC_PP_MORE,
	SVC_PP_BAD,
};

/* Reads a header at the start of b[0..n-1]. *why is set for SVC_PP_BAD. */
enum svc_pp_result svc_pp_parse(const uint8_t *b, uint32_t n, struct svc_pp *out, const char **why);

/*
 * Writes a header of p->version with p's family, addresses and local; version 2 also takes TLVs,
 * copied but for CRC32C and NOOP, and adds a CRC32C if p->crc. Returns its length, or 0 if size is
 * too small.
 */
uint32_t svc_pp_build(const struct svc_pp *p, const uint8_t *tlvs, uint32_t tlv_len, uint8_t *buf,
		      uint32_t size);

/* CRC32C (Castagnoli) of n octets, as iSCSI and SCTP have it. Goes on from crc; 0 at the start. */
uint32_t svc_crc32c(uint32_t crc, const uint8_t *b, uint32_t n);

#endif
