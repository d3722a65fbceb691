/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>

bool ip_prefix_match(const struct ip_addr *a, const struct ip_addr *b, unsigned int plen)
{
	unsigned int bytes = plen / 8, bits = plen % 8;

	if (a->len != b->len || plen > a->len * 8u)
		return false;
	if (memcmp(a->b, b->b, bytes) != 0)
		return false;
	return bits == 0 || ((a->b[bytes] ^ b->b[bytes]) >> (8 - bits)) == 0;
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
