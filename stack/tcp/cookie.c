/* SPDX-License-Identifier: Apache-2.0 */
#include "cookie.h"

#include <rte_common.h>

/* What a hash is for. */
enum {
	PURPOSE_ISN = 1,
	PURPOSE_TS,
	PURPOSE_PORT,
	PURPOSE_PORT_INDEX,
	PURPOSE_COOKIE,
};

#define EPOCH_SHIFT 36
#define MAC_BITS    23
#define MAC_MASK    ((1u << MAC_BITS) - 1)
#define INFO_SHIFT  MAC_BITS

/*
 * The lowest is below what anybody has, since a peer must not get more than it asked for. 536 and
 * 1220 are the defaults without the option; 1440 and 1460 Ethernet; then jumbo frames; between
 * them tunnels and access lines.
 */
static const uint16_t mss4[8] = {88, 536, 1220, 1360, 1400, 1440, 1460, 8960};
static const uint16_t mss6[8] = {88, 1220, 1280, 1340, 1380, 1420, 1440, 8940};
/* Code less one; code 0 is none. */
static const int8_t scales[7] = {0, 2, 5, 6, 7, 8, 10};

static uint64_t tuple_prf(const struct tcp_key *key, const struct tcp_tuple *t, uint8_t purpose)
{
	struct tcp_sip s;

	tcp_sip_start(&s, key);
	tcp_sip_tuple(&s, t, purpose, 2);
	return tcp_sip_end(&s, 4);
}

static const uint16_t *mss_table(const struct tcp_tuple *t)
{
	return t->family == 4 ? mss4 : mss6;
}

/* MSS, window scale, SACK, ECN: 3, 3, 1 and 1 bits. */
static uint8_t info_pack(const struct tcp_tuple *t, const struct tcp_cookie_info *info)
{
	const uint16_t *table = mss_table(t);
	unsigned int mss = RTE_DIM(mss4) - 1, scale = 0;

	while (mss > 0 && table[mss] > info->mss)
		mss--;
	if (info->wscale >= 0) {
		scale = RTE_DIM(scales);
		while (scales[scale - 1] > info->wscale)
			scale--;
	}
	return (uint8_t)(mss << 5 | scale << 2 | (unsigned int)info->sack << 1 | info->ecn);
}

static void info_unpack(const struct tcp_tuple *t, uint8_t bits, struct tcp_cookie_info *out)
{
	const unsigned int scale = bits >> 2 & 7;

	out->mss = mss_table(t)[bits >> 5];
	out->wscale = scale == 0 ? -1 : scales[scale - 1];
	out->sack = (bits & 2) != 0;
	out->ecn = (bits & 1) != 0;
}

/* The hash of all that both sides of the cookie know; info is still to come. */
static void cookie_start(struct tcp_sip *s, const struct tcp_key *key, const struct tcp_tuple *t,
			 uint32_t peer_isn, uint32_t epoch)
{
	tcp_sip_start(s, key);
	tcp_sip_tuple(s, t, PURPOSE_COOKIE, 2);
	tcp_sip_word(s, peer_isn | (uint64_t)epoch << 32, 2);
}

/* What hides the info, and the MAC: told apart by the last word. */
static uint8_t cookie_mask(struct tcp_sip s)
{
	tcp_sip_word(&s, 1u << 8, 2);
	return (uint8_t)tcp_sip_end(&s, 4);
}

static uint32_t cookie_mac(struct tcp_sip s, uint8_t info)
{
	tcp_sip_word(&s, 2u << 8 | info, 2);
	return tcp_sip_end(&s, 4) & MAC_MASK;
}

uint32_t tcp_cookie_make(const struct tcp_key *key, const struct tcp_tuple *t, uint32_t peer_isn,
			 uint64_t now_ns, const struct tcp_cookie_info *info)
{
	const uint32_t epoch = (uint32_t)(now_ns >> EPOCH_SHIFT);
	const uint8_t bits = info_pack(t, info);
	struct tcp_sip s;

	cookie_start(&s, key, t, peer_isn, epoch);
	return epoch << 31 | (uint32_t)(bits ^ cookie_mask(s)) << INFO_SHIFT | cookie_mac(s, bits);
}

bool tcp_cookie_check(const struct tcp_key *key, const struct tcp_tuple *t, uint32_t peer_isn,
		      uint32_t cookie, uint64_t now_ns, struct tcp_cookie_info *out)
{
	uint32_t epoch = (uint32_t)(now_ns >> EPOCH_SHIFT);
	struct tcp_sip s;
	uint8_t bits;

	/* This epoch's or the last one's. */
	epoch -= (epoch & 1) != cookie >> 31;
	cookie_start(&s, key, t, peer_isn, epoch);
	bits = (uint8_t)(cookie >> INFO_SHIFT) ^ cookie_mask(s);
	if (cookie_mac(s, bits) != (cookie & MAC_MASK))
		return false;
	info_unpack(t, bits, out);
	return true;
}

/* The addresses as they stand in the packet, hashed as one message by SipHash-2-4: so other
 * servers' cookies of the same key are the same. The key has no other use, so no purpose is in. */
void tcp_tfo_cookie(const struct tcp_key *key, const struct tcp_addr *client,
		    const struct tcp_addr *server, uint8_t out[TCP_TFO_COOKIE_LEN])
{
	struct tcp_sip s;
	uint32_t len;
	uint64_t h;

	tcp_sip_start(&s, key);
	if (tcp_addr_is4(client)) {
		uint8_t both[8];

		memcpy(both, client->b + 12, 4);
		memcpy(both + 4, server->b + 12, 4);
		tcp_sip_word(&s, tcp_load64(both), 2);
		len = 8;
	} else {
		tcp_sip_word(&s, tcp_load64(client->b), 2);
		tcp_sip_word(&s, tcp_load64(client->b + 8), 2);
		tcp_sip_word(&s, tcp_load64(server->b), 2);
		tcp_sip_word(&s, tcp_load64(server->b + 8), 2);
		len = 32;
	}
	tcp_sip_word(&s, (uint64_t)len << 56, 2);
	h = tcp_sip_end(&s, 4);
	memcpy(out, &h, TCP_TFO_COOKIE_LEN);
}

static bool tfo_matches(const struct tcp_key *key, const struct tcp_addr *client,
			const struct tcp_addr *server, const uint8_t *cookie)
{
	uint8_t want[TCP_TFO_COOKIE_LEN];

	tcp_tfo_cookie(key, client, server, want);
	/* As words: takes the same time whatever differs. */
	return tcp_load64(want) == tcp_load64(cookie);
}

bool tcp_tfo_check(const struct tcp_key *current, const struct tcp_key *previous,
		   const struct tcp_addr *client, const struct tcp_addr *server,
		   const uint8_t *cookie, unsigned int len, bool *refresh)
{
	bool old = false, ok = false;

	if (len == TCP_TFO_COOKIE_LEN) {
		ok = tfo_matches(current, client, server, cookie);
		old = !ok && previous != NULL && tfo_matches(previous, client, server, cookie);
	}
	if (refresh != NULL)
		*refresh = old;
	return ok || old;
}

uint32_t tcp_isn(const struct tcp_key *key, const struct tcp_tuple *t, uint64_t now_ns)
{
	return (uint32_t)(now_ns >> 12) + (uint32_t)tuple_prf(key, t, PURPOSE_ISN);
}

uint32_t tcp_ts_offset(const struct tcp_key *key, const struct tcp_tuple *t)
{
	return (uint32_t)tuple_prf(key, t, PURPOSE_TS);
}

uint32_t tcp_port_offset(const struct tcp_key *key, const struct tcp_tuple *t)
{
	struct tcp_tuple u = *t;

	u.lport = 0;
	return (uint32_t)tuple_prf(key, &u, PURPOSE_PORT);
}

uint32_t tcp_port_index(const struct tcp_key *key, const struct tcp_tuple *t)
{
	struct tcp_tuple u = *t;

	u.lport = 0;
	return (uint32_t)tuple_prf(key, &u, PURPOSE_PORT_INDEX);
}
