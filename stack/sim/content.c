/* SPDX-License-Identifier: Apache-2.0 */
#include "app.h"

void content_make(uint64_t key, uint64_t offset, uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len;) {
		uint64_t word = rng_mix(key + (offset + i) / 8);
		uint32_t skip = (uint32_t)((offset + i) % 8), n = RTE_MIN(8 - skip, len - i);

		memcpy(p + i, (uint8_t *)&word + skip, n);
		i += n;
	}
}

int64_t content_check(uint64_t key, uint64_t offset, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len;) {
		uint64_t word = rng_mix(key + (offset + i) / 8);
		uint32_t skip = (uint32_t)((offset + i) % 8), n = RTE_MIN(8 - skip, len - i);

		if (memcmp(p + i, (uint8_t *)&word + skip, n) != 0) {
			for (uint32_t k = 0; k < n; k++)
				if (p[i + k] != ((uint8_t *)&word)[skip + k])
					return i + k;
		}
		i += n;
	}
	return -1;
}
