/* SPDX-License-Identifier: Apache-2.0 */
/* An IPv4 or IPv6 address, and the tag that says who owns an object. */
#ifndef MILLRACE_CORE_ADDR_H
#define MILLRACE_CORE_ADDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct ip_addr {
	/* 4, 16, or 0 for none. */
	uint8_t len;
	/* Network byte order. Bytes past len are 0, so that two of them compare with memcmp. */
	uint8_t b[16];
};

static inline struct ip_addr ip_addr4(uint32_t be)
{
	struct ip_addr a = {.len = 4};
	memcpy(a.b, &be, 4);
	return a;
}

static inline struct ip_addr ip_addr6(const void *b16)
{
	struct ip_addr a = {.len = 16};
	memcpy(a.b, b16, 16);
	return a;
}

/* Network byte order. */
static inline uint32_t ip_addr_v4(const struct ip_addr *a)
{
	uint32_t be;
	memcpy(&be, a->b, 4);
	return be;
}

static inline bool ip_addr_eq(const struct ip_addr *a, const struct ip_addr *b)
{
	return a->len == b->len && memcmp(a->b, b->b, 16) == 0;
}

static inline bool ip6_is_link_local(const uint8_t *b)
{
	return b[0] == 0xfe && (b[1] & 0xc0) == 0x80;
}

static inline bool ip_addr_is_link_local(const struct ip_addr *a)
{
	return a->len == 16 && ip6_is_link_local(a->b);
}

/* True if the first plen bits of two addresses of that many bits or more are equal. */
bool prefix_bits_match(const uint8_t *a, const uint8_t *b, unsigned int plen);
/* The same for addresses of a family; false if they are of different ones or plen is too long. */
bool ip_prefix_match(const struct ip_addr *a, const struct ip_addr *b, unsigned int plen);

#define IP_ADDR_STRLEN 46
/* Writes the textual form into buf (IP_ADDR_STRLEN bytes) and returns buf. */
const char *ip_addr_str(const struct ip_addr *a, char *buf);

/* Who wrote an object, and in which epoch. Owner 0 is the data plane itself. */
struct owner_tag {
	uint8_t owner;
	uint64_t epoch;
};

#endif
