/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer harness of the reader of PROXY headers: whatever it takes stays within the input, is
 * waited for while it is cut short, and is the same after having been written by us.
 */
#include <stdlib.h>

#include "proxy_protocol.h"

static void must(bool ok)
{
	if (!ok)
		abort();
}

static void check_more(const uint8_t *data, uint32_t n, uint32_t len)
{
	struct svc_pp p;
	const char *why;

	if (n >= len)
		return;
	must(svc_pp_parse(data, n, &p, &why) == SVC_PP_MORE);
	must(p.len > n && p.len <= len);
}

static void check_again(const struct svc_pp *p, const uint8_t *data)
{
	uint8_t buf[SVC_PP_MAX + SVC_PP_OVERHEAD];
	struct svc_pp again;
	const char *why;
	uint32_t n = svc_pp_build(p, data + p->tlv_off, p->tlv_len, buf, sizeof(buf));

	must(n != 0);
	/* With a CRC of its own it may be past what is taken. */
	if (n > SVC_PP_MAX)
		return;
	must(svc_pp_parse(buf, n, &again, &why) == SVC_PP_OK);
	must(again.len == n && again.version == p->version && again.crc == p->crc);
	if (p->version == 2)
		must(again.local == p->local);
	if (p->local)
		return;
	must(again.family == p->family);
	must(p->family == 0 ||
	     (memcmp(&again.src, &p->src, 16) == 0 && memcmp(&again.dst, &p->dst, 16) == 0 &&
	      again.sport == p->sport && again.dport == p->dport));
	must(again.tlv_len <= p->tlv_len + 7);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct svc_pp p;
	const char *why = NULL;
	uint32_t n = (uint32_t)size;

	switch (svc_pp_parse(data, n, &p, &why)) {
	case SVC_PP_MORE:
		must(p.len > n && p.len <= SVC_PP_MAX);
		break;
	case SVC_PP_BAD:
		must(why[0] != '\0');
		break;
	case SVC_PP_OK:
		must(p.len >= 15 && p.len <= n && p.len <= SVC_PP_MAX);
		must(p.tlv_off <= p.len &&
		     p.tlv_off + p.tlv_len == (p.tlv_len ? p.len : p.tlv_off));
		must(p.family == 0 || p.family == 4 || p.family == 6);
		for (uint32_t k = 0; k < p.len; k += 1 + k / 16)
			check_more(data, k, p.len);
		check_again(&p, data);
		break;
	}
	return 0;
}
