/* SPDX-License-Identifier: Apache-2.0 */
/* Validation of neighbour discovery messages (RFC 4861 sections 6.1, 7.1 and 8.1). */
#include "internal.h"

/* More options than any real message has: a bound on the work for one packet. */
#define OPTIONS_MAX 64

static bool is_zero(const uint8_t *a)
{
	static const uint8_t zero[16];

	return memcmp(a, zero, 16) == 0;
}

static enum nd_verdict option(const uint8_t *o, uint32_t size, struct nd_message *m)
{
	const struct rte_ether_addr *mac = (const struct rte_ether_addr *)(o + 2);

	switch (o[0]) {
	case ND_OPT_SLL:
	case ND_OPT_TLL:
		if (size != 8 || !rte_is_valid_assigned_ether_addr(mac))
			return ND_BAD_OPTION;
		if (o[0] == ND_OPT_SLL) {
			m->has_sll = true;
			m->sll = *mac;
		} else {
			m->has_tll = true;
			m->tll = *mac;
		}
		break;
	case ND_OPT_NONCE:
		/* Longer ones are allowed (RFC 3971 section 5.3.2); they are not ours. */
		if (size == 8) {
			m->has_nonce = true;
			memcpy(m->nonce, o + 2, 6);
		}
		break;
	default:
		/* Unknown options are ignored (RFC 4861 section 4.6). */
		break;
	}
	return ND_OK;
}

static enum nd_verdict options(const uint8_t *p, uint32_t left, struct nd_message *m)
{
	for (unsigned int n = 0; left > 0; n++) {
		uint32_t size;
		enum nd_verdict v;

		if (left < 8 || p[1] == 0 || n == OPTIONS_MAX)
			return ND_BAD_OPTION;
		size = p[1] * 8u;
		if (size > left)
			return ND_BAD_OPTION;
		v = option(p, size, m);
		if (v != ND_OK)
			return v;
		p += size;
		left -= size;
	}
	return ND_OK;
}

static enum nd_verdict check_ns(const struct nd_message *m)
{
	uint8_t sn[16];

	if (m->target[0] == 0xff || is_zero(m->target))
		return ND_BAD_TARGET;
	if (!is_zero(m->src))
		return ND_OK;
	/* DAD. */
	solicited_node(m->target, sn);
	if (memcmp(m->dst, sn, 16) != 0)
		return ND_BAD_DESTINATION;
	return m->has_sll ? ND_BAD_OPTION : ND_OK;
}

static enum nd_verdict check_na(const struct nd_message *m)
{
	if (m->target[0] == 0xff || is_zero(m->target))
		return ND_BAD_TARGET;
	if (is_zero(m->src))
		return ND_BAD_SOURCE;
	if (m->dst[0] == 0xff && (m->flags & NA_SOLICITED))
		return ND_BAD_DESTINATION;
	return ND_OK;
}

enum nd_verdict nd_parse(const uint8_t *data, uint32_t len, struct nd_message *m)
{
	const struct ip6_header *ip = (const struct ip6_header *)data;
	const uint8_t *msg = data + sizeof(*ip);
	uint32_t fixed, size;
	enum nd_verdict v;

	memset(m, 0, sizeof(*m));
	if (len < sizeof(*ip) + 8)
		return ND_TRUNCATED;
	/* With extension headers the message is not where it ought to be; nobody sends such, and
	 * RFC 6980 forbids the worst of them. */
	if (ip->version_class_flow[0] >> 4 != 6 || ip->next_header != 58)
		return ND_BAD_TYPE;
	size = get16(ip->payload_len);
	if (size < 8 || size > len - sizeof(*ip))
		return ND_TRUNCATED;
	if (ip->hop_limit != 255)
		return ND_BAD_HOP_LIMIT;
	m->type = msg[0];
	memcpy(m->src, ip->src, 16);
	memcpy(m->dst, ip->dst, 16);
	switch (m->type) {
	case ND_RS:
		fixed = 8;
		break;
	case ND_RA:
		fixed = 16;
		break;
	case ND_NS:
	case ND_NA:
		fixed = 24;
		break;
	case ND_REDIRECT:
		return ND_REDIRECTED;
	default:
		return ND_BAD_TYPE;
	}
	if (msg[1] != 0)
		return ND_BAD_CODE;
	if (size < fixed)
		return ND_TRUNCATED;
	if (m->src[0] == 0xff)
		return ND_BAD_SOURCE;
	v = options(msg + fixed, size - fixed, m);
	if (v != ND_OK)
		return v;
	switch (m->type) {
	case ND_RS:
		return is_zero(m->src) && m->has_sll ? ND_BAD_OPTION : ND_OK;
	case ND_RA:
		m->router_lifetime = get16(msg + 6);
		return ip6_is_link_local(m->src) ? ND_OK : ND_BAD_SOURCE;
	case ND_NS:
		memcpy(m->target, msg + 8, 16);
		return check_ns(m);
	default:
		m->flags = msg[4];
		memcpy(m->target, msg + 8, 16);
		return check_na(m);
	}
}
