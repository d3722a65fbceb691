/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "cc.h"
#include "rate.h"

/* 32-bit times and counts wrap. */
static bool after(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

void tcp_rate_on_send(struct tcp_rate_state *s, struct tcp_rate_snap *snap, uint32_t in_flight,
		      uint64_t now_us)
{
	/* The idle time before a flight is not part of any interval. */
	if (in_flight == 0)
		s->first_tx_time_us = s->delivered_time_us = (uint32_t)now_us;
	snap->delivered = s->delivered;
	snap->delivered_time_us = s->delivered_time_us;
	snap->first_tx_time_us = s->first_tx_time_us;
	snap->lost = s->lost & TCP_RATE_LOST_MASK;
	snap->in_flight = in_flight < TCP_RATE_MAX_FLIGHT ? in_flight + 1 : TCP_RATE_MAX_FLIGHT;
	snap->app_limited = s->app_limited != 0;
}

void tcp_rate_on_delivered(struct tcp_rate_state *s, const struct tcp_rate_snap *snap,
			   uint32_t sent_us, struct tcp_rate *out, uint64_t now_us)
{
	s->delivered++;
	s->delivered_time_us = (uint32_t)now_us;
	/* The sample spans back from the segment sent last; in a burst sent at one time that is the
	 * one with most delivered before it, or the later one. */
	if (out->delivered++ != 0 &&
	    (after(out->newest_sent_us, sent_us) ||
	     (out->newest_sent_us == sent_us && after(out->prior_delivered, snap->delivered))))
		return;
	out->newest_sent_us = sent_us;
	out->prior_delivered = snap->delivered;
	out->prior_time_us = snap->delivered_time_us;
	out->send_elapsed_us = sent_us - snap->first_tx_time_us;
	out->tx_in_flight = snap->in_flight;
	out->prior_lost = snap->lost;
	out->app_limited = snap->app_limited;
	/* The next flight's sending interval starts where this one's ended. */
	s->first_tx_time_us = sent_us;
}

void tcp_rate_on_lost(struct tcp_rate_state *s, const struct tcp_rate_snap *snap,
		      struct tcp_rate *out)
{
	uint32_t lost, before, room;

	s->lost++;
	if (out == NULL)
		return;
	out->losses++;
	lost = (s->lost - snap->lost) & TCP_RATE_LOST_MASK;
	if (out->loss_in_flight != 0 || (uint64_t)lost * TCP_RATE_LOSS_THRESH <= snap->in_flight)
		return;
	/*
	 * Where, on the way from the flight without this segment and this loss to the one with
	 * them, did the losses pass the threshold 1/T: lost + x = (in_flight + x) / T.
	 */
	before = lost - 1;
	out->loss_in_flight = snap->in_flight > 1 ? snap->in_flight - 1 : 1;
	if ((uint64_t)before * TCP_RATE_LOSS_THRESH < out->loss_in_flight) {
		room = out->loss_in_flight - before * TCP_RATE_LOSS_THRESH;
		out->loss_in_flight += room / (TCP_RATE_LOSS_THRESH - 1);
	}
}

void tcp_rate_on_ack_done(struct tcp_rate_state *s, struct tcp_rate *out, uint32_t min_rtt_us,
			  uint64_t now_us)
{
	uint32_t ack_elapsed, interval;

	if (s->app_limited != 0 && after(s->delivered, s->app_limited))
		s->app_limited = 0;
	out->interval_us = 0;
	out->sample_delivered = 0;
	out->sample_lost = 0;
	if (out->delivered == 0)
		return;
	out->sample_delivered = s->delivered - out->prior_delivered;
	out->sample_lost = (s->lost - out->prior_lost) & TCP_RATE_LOST_MASK;
	ack_elapsed = (uint32_t)now_us - out->prior_time_us;
	/* The slower of sending and acknowledging: compressed ACKs would show too high a rate, a
	 * burst of sending too low an interval. */
	interval = ack_elapsed > out->send_elapsed_us ? ack_elapsed : out->send_elapsed_us;
	if (interval == 0 || interval < min_rtt_us)
		return;
	out->interval_us = interval;
	/* What the application held back says nothing of the path unless it is more than known. */
	if (!out->app_limited || s->rate_interval_us == 0 ||
	    (uint64_t)out->sample_delivered * s->rate_interval_us >=
		    (uint64_t)s->rate_delivered * interval) {
		s->rate_delivered = out->sample_delivered;
		s->rate_interval_us = interval;
	}
}

void tcp_rate_check_app_limited(struct tcp_rate_state *s, uint32_t unsent_octets, uint32_t mss,
				uint32_t in_flight, uint32_t cwnd, uint32_t lost_not_retransmitted)
{
	uint32_t mark = s->delivered + in_flight;

	if (unsent_octets >= mss || in_flight >= cwnd || lost_not_retransmitted != 0)
		return;
	s->app_limited = mark != 0 ? mark : 1;
}

uint64_t tcp_rate_octets(const struct tcp_rate_state *s, uint32_t mss)
{
	if (s->rate_interval_us == 0)
		return 0;
	/* 2^32 segments x 2^16 octets fit 48 bits; a second's microseconds take 20 more. */
	return (uint64_t)((unsigned __int128)s->rate_delivered * mss * 1000000 /
			  s->rate_interval_us);
}
