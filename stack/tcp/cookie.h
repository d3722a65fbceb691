/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers that others must not be able to guess, by SipHash-2-4 under a secret key: SYN cookies,
 * Fast Open cookies, initial sequence numbers, timestamp offsets and ephemeral ports. One key may
 * serve all of them: each use is told apart within the hash.
 */
#ifndef MILLRACE_TCP_COOKIE_H
#define MILLRACE_TCP_COOKIE_H

#include <stdbool.h>
#include <stdint.h>

#include "hash.h"

/*
 * SYN cookies (RFC 4987 section 3.6): the initial sequence number of a SYN-ACK that is not
 * remembered holds what has to be known of the SYN.
 *
 *   1 bit   epoch of 2^36 ns (69 s), its lowest bit
 *   8 bits  what the SYN offered: MSS (3), window scale (3), SACK (1), ECN (1)
 *  23 bits  MAC of the tuple, the client's ISN, the epoch and those 8 bits
 *
 * The 8 bits are masked by a second output of the MAC, so that all but the epoch's bit is
 * unpredictable, as an ISN should be. A cookie is valid in its epoch and the next: 69 to 137 s.
 *
 * A blind ACK is taken for a valid one with a probability of 2^-23, whatever its other bits are: at
 * a million of them per second, one connection in 8 s, of an address whose owner never sees what is
 * sent. The bit of the epoch costs no more than trying two epochs would, and spares the second
 * MAC. Four bits for the window scale would halve that; so scales are rounded down to one of 0, 2,
 * 5, 6, 7, 8, 10, which has the systems' usual ones exactly. A scale taken too low makes the peer's
 * window look smaller than it is, which is slow at worst. The MSS is rounded down as well.
 *
 * Timestamps need no bit: the client's ACK has them if they were agreed upon.
 */
struct tcp_cookie_info {
	uint16_t mss;
	/* -1: none. */
	int8_t wscale;
	bool sack, ecn;
};

uint32_t tcp_cookie_make(const struct tcp_key *key, const struct tcp_tuple *t, uint32_t peer_isn,
			 uint64_t now_ns, const struct tcp_cookie_info *info);
/* Of the client's ACK: peer_isn is its sequence number less one, cookie its acknowledgement less
 * one. Fills in *out if it is valid. */
bool tcp_cookie_check(const struct tcp_key *key, const struct tcp_tuple *t, uint32_t peer_isn,
		      uint32_t cookie, uint64_t now_ns, struct tcp_cookie_info *out);

#define TCP_TFO_COOKIE_LEN 8

/* Fast Open cookie (RFC 7413 section 4.1.2) of a client's address for one of ours. The key is for
 * nothing else. */
void tcp_tfo_cookie(const struct tcp_key *key, const struct tcp_addr *client,
		    const struct tcp_addr *server, uint8_t out[TCP_TFO_COOKIE_LEN]);
/*
 * Is it one of ours? Cookies of the previous key are valid too (previous may be NULL); *refresh
 * (may be NULL) then tells that the client should get a new one.
 */
bool tcp_tfo_check(const struct tcp_key *current, const struct tcp_key *previous,
		   const struct tcp_addr *client, const struct tcp_addr *server,
		   const uint8_t *cookie, unsigned int len, bool *refresh);

/* Initial sequence number (RFC 6528): a clock of 4 us and a keyed hash of the tuple. */
uint32_t tcp_isn(const struct tcp_key *key, const struct tcp_tuple *t, uint64_t now_ns);
/*
 * What to add to the timestamp clock for this tuple (RFC 7323 section 7.1): it tells no uptime, and
 * goes on growing from one connection of the tuple to the next (RFC 6191).
 */
uint32_t tcp_ts_offset(const struct tcp_key *key, const struct tcp_tuple *t);
/*
 * Where to start looking for an ephemeral port (RFC 6056 section 3.3.3, algorithm 3, offset = F()):
 * depends on all of the tuple but lport.
 */
uint32_t tcp_port_offset(const struct tcp_key *key, const struct tcp_tuple *t);
/* Algorithm 4's G(): which of a table's counters is added to that. */
uint32_t tcp_port_index(const struct tcp_key *key, const struct tcp_tuple *t);

#endif
