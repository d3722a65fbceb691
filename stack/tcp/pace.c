/* SPDX-License-Identifier: Apache-2.0 */
#include "cc.h"
#include "pace.h"

uint64_t tcp_pace_rate(const struct tcp_cc *cc)
{
	unsigned int gain_pct;

	if (cc->srtt_us == 0)
		return 0;
	/* Near ssthresh the doubling ends before the next round: no need to send as fast. */
	gain_pct = cc->cwnd < cc->ssthresh / 2 ? 200 : 120;
	/* cwnd 2^32 x mss 2^16 x 2 x 10^6 passes 64 bits. */
	return (uint64_t)((unsigned __int128)cc->cwnd * cc->mss * gain_pct * 10000 / cc->srtt_us);
}

uint32_t tcp_pace_burst(uint64_t rate, uint32_t mss)
{
	uint64_t octets;

	if (rate == 0)
		return UINT32_MAX;
	octets = rate / (1000000000 / TCP_PACE_QUANTUM_NS);
	if (octets > TCP_PACE_BURST_MAX)
		octets = TCP_PACE_BURST_MAX;
	octets -= octets % mss;
	return octets >= 2 * mss ? (uint32_t)octets : 2 * mss;
}

uint64_t tcp_pace_next_ns(uint64_t rate, uint32_t octets, uint64_t next_ns, uint64_t now_ns)
{
	uint64_t took;

	if (rate == 0)
		return now_ns;
	took = (uint64_t)octets * 1000000000 / rate;
	if (next_ns + TCP_PACE_QUANTUM_NS < now_ns)
		next_ns = next_ns == 0 ? now_ns : now_ns - TCP_PACE_QUANTUM_NS;
	return next_ns + took;
}
