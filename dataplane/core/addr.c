/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>

bool prefix_bits_match(const uint8_t *a, const uint8_t *b, unsigned int plen)
{
	unsigned int bytes = plen / 8, bits = plen % 8;

	return memcmp(a, b, bytes) == 0 &&
	       (bits == 0 || ((a[bytes] ^ b[bytes]) >> (8 - bits)) == 0);
}

bool ip_prefix_match(const struct ip_addr *a, const struct ip_addr *b, unsigned int plen)
{
	return a->len == b->len && plen <= a->len * 8u && prefix_bits_match(a->b, b->b, plen);
}

const char *ip_addr_str(const struct ip_addr *a, char *buf)
{
	if (a->len == 4)
		inet_ntop(AF_INET, a->b, buf, IP_ADDR_STRLEN);
	else if (a->len == 16)
		inet_ntop(AF_INET6, a->b, buf, IP_ADDR_STRLEN);
	else
		strcpy(buf, "-");
	return buf;
}
