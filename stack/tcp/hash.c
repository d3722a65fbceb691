/* SPDX-License-Identifier: Apache-2.0 */
#include "hash.h"

uint64_t tcp_siphash24(const struct tcp_key *key, const void *data, size_t len)
{
	const uint8_t *p = data;
	struct tcp_sip s;
	uint64_t last = (uint64_t)len << 56;
	size_t left = len;

	tcp_sip_start(&s, key);
	for (; left >= 8; left -= 8, p += 8)
		tcp_sip_word(&s, tcp_load64(p), 2);
	for (size_t i = 0; i < left; i++)
		last |= (uint64_t)p[i] << (8 * i);
	tcp_sip_word(&s, last, 2);
	return tcp_sip_end(&s, 4);
}
