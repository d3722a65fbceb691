/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters of an engine. One line each: field and what it counts; the field with its underscores as
 * dashes is the name operators see. Where RFC 4022 (TCP-MIB) or Linux's `nstat` has the same
 * counter, it means the same.
 */
#ifndef MILLRACE_TCP_MIB_H
#define MILLRACE_TCP_MIB_H

#include <stdint.h>

#define TCP_MIB(X)                                                                                 \
	X(active_opens, "connections attempted from here")                                         \
	X(passive_opens, "connections accepted by listeners")                                      \
	X(attempt_fails, "handshakes that did not lead to a connection")                           \
	X(estab_resets, "established connections ended by a reset")                                \
	X(in_segs, "segments received, bad ones included")                                         \
	X(out_segs, "segments sent, retransmissions not included")                                 \
	X(retrans_segs, "segments retransmitted")                                                  \
	X(out_rsts, "resets sent")                                                                 \
	X(in_rsts, "resets received and believed")                                                 \
	X(in_octets, "octets of payload received in order")                                        \
	X(out_octets, "octets of payload sent, retransmissions not included")                      \
	X(retrans_fast, "segments retransmitted in recovery (RACK, SACK or three duplicates)")     \
	X(retrans_rto, "segments retransmitted after a timeout")                                   \
	X(retrans_tlp, "tail loss probes sent (RFC 8985)")                                         \
	X(retrans_syn, "SYN and SYN-ACK segments retransmitted")                                   \
	X(rtos, "retransmission timeouts")                                                         \
	X(recoveries, "fast recoveries entered")                                                   \
	X(undo_recovery, "recoveries undone: DSACK or timestamps showed them spurious")            \
	X(undo_rto, "timeouts undone: F-RTO (RFC 5682) or timestamps (RFC 4015)")                  \
	X(tlp_recoveries, "tail losses repaired by a probe alone")                                 \
	X(sack_blocks_in, "SACK blocks received")                                                  \
	X(sack_blocks_invalid, "SACK blocks outside of what was sent")                             \
	X(dsack_in, "duplicate SACK blocks received (RFC 2883)")                                   \
	X(dsack_out, "duplicate SACK blocks sent")                                                 \
	X(sack_reneged, "peers that took SACKed data back")                                        \
	X(ooo_segs, "segments queued out of order")                                                \
	X(ooo_dropped, "out-of-order segments dropped for want of memory")                         \
	X(dup_segs, "segments with only octets received before")                                   \
	X(delayed_acks, "acknowledgements sent by the delayed-ACK timer")                          \
	X(dup_acks_in, "duplicate acknowledgements received")                                      \
	X(fast_path_acks, "acknowledgements taken by header prediction")                           \
	X(zero_window_probes, "zero-window probes sent")                                           \
	X(zero_window_in, "windows closed by peers")                                               \
	X(zero_window_out, "windows closed from here")                                             \
	X(keepalive_probes, "keepalive probes sent")                                               \
	X(keepalive_drops, "connections ended by keepalive")                                       \
	X(timeout_drops, "connections ended by the user timeout")                                  \
	X(ecn_ce_in, "segments received with Congestion Experienced")                              \
	X(ecn_ece_in, "segments received with ECN-Echo")                                           \
	X(ecn_reductions, "congestion windows reduced for ECN")                                    \
	X(pmtu_reductions, "path MTUs lowered by ICMP")                                            \
	X(pmtu_probes, "path MTU probes sent (RFC 4821)")                                          \
	X(pmtu_probes_ok, "path MTU probes acknowledged")                                          \
	X(pmtu_black_holes, "path MTU black holes detected")                                       \
	X(icmp_ignored, "ICMP errors not believed: no such connection or sequence number")         \
	X(icmp_in, "ICMP errors acted upon")                                                       \
	X(syn_cookies_sent, "SYN cookies sent")                                                    \
	X(syn_cookies_ok, "connections made from SYN cookies")                                     \
	X(syn_cookies_bad, "acknowledgements with a wrong or old SYN cookie")                      \
	X(fast_open_in, "connections accepted with data in the SYN (RFC 7413)")                    \
	X(fast_open_cookie_out, "Fast Open cookies given out")                                     \
	X(fast_open_bad, "Fast Open cookies that were wrong")                                      \
	X(time_wait_reused, "TIME-WAIT entries reused early for a new SYN (RFC 6191)")             \
	X(time_wait_recycled, "TIME-WAIT entries thrown out, the table was full")                  \
	X(time_wait_killed, "TIME-WAIT entries ended by a reset")                                  \
	X(challenge_acks, "challenge ACKs sent (RFC 5961)")                                        \
	X(challenge_acks_limited, "challenge ACKs not sent: rate limit")                           \
	X(resets_limited, "resets not sent: rate limit")                                           \
	X(persist_drops, "connections ended in persist state under memory pressure")               \
	X(mem_pressure, "times memory pressure began")                                             \
	X(mem_shed, "octets of out-of-order data shed under pressure")                             \
	X(no_mbuf, "segments not sent for want of a packet buffer; sent later")                    \
	X(refused_memory, "SYNs refused for want of memory or connections")                        \
	X(refused_limit, "SYNs refused by a listener's limit of connections")                      \
	X(refused_rate, "SYNs refused by a listener's rate")                                       \
	X(refused_source, "SYNs refused by the limit per source")                                  \
	X(refused_acl, "SYNs refused by allow or deny prefixes")                                   \
	X(drop_short, "dropped: shorter than a TCP header or its data offset")                     \
	X(drop_checksum, "dropped: checksum is wrong")                                             \
	X(drop_options, "dropped: malformed options")                                              \
	X(drop_flags, "dropped: combination of flags that no peer sends")                          \
	X(drop_paws, "dropped: timestamp is old (RFC 7323 PAWS)")                                  \
	X(drop_window, "dropped: outside of the receive window")                                   \
	X(drop_ack, "dropped: acknowledges what was not sent")                                     \
	X(drop_no_ack, "dropped: no ACK flag")                                                     \
	X(drop_rst, "dropped: RST outside of the window")                                          \
	X(drop_syn, "dropped: SYN in a synchronized state")                                        \
	X(drop_after_close, "dropped: data after the service closed")                              \
	X(drop_memory, "dropped: receive buffer or memory limit")                                  \
	X(drop_backlog, "dropped: SYN, nothing left to hold it")                                   \
	X(drop_martian, "dropped: port 0, or a source that is multicast or the destination "       \
			"itself")

struct tcp_mib {
#define TCP_MIB_FIELD(f, text) uint64_t f;
	TCP_MIB(TCP_MIB_FIELD)
#undef TCP_MIB_FIELD
};

#define TCP_MIB_COUNT (sizeof(struct tcp_mib) / sizeof(uint64_t))

/* Name ("retrans_fast") and meaning of counter i < TCP_MIB_COUNT. */
const char *tcp_mib_name(unsigned int i);
const char *tcp_mib_text(unsigned int i);

#endif
