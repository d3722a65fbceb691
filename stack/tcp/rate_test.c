/* SPDX-License-Identifier: Apache-2.0 */
#include "cc_model.h"

/* One segment per ms, RTT 20 ms, each acknowledged. */
static void test_steady(uint32_t start_us)
{
	struct tcp_rate_state s = {0};
	struct tcp_rate_snap snap[64];
	uint64_t base = start_us;
	unsigned int i;

	for (i = 0; i < 64; i++) {
		if (i >= 20) {
			struct tcp_rate r = {0};
			uint32_t sent = (uint32_t)(base + (i - 20) * 1000);

			tcp_rate_on_delivered(&s, &snap[i - 20], sent, &r, base + i * 1000);
			tcp_rate_on_ack_done(&s, &r, 20000, base + i * 1000);
			/* The first flight had no ACK before it: measured from its first segment.
			 */
			if (i >= 40) {
				CHECK(r.interval_us == 20000, "%u", r.interval_us);
				CHECK(r.sample_delivered == 20, "%u", r.sample_delivered);
				CHECK(r.prior_delivered == i - 39, "%u at %u", r.prior_delivered,
				      i);
				CHECK(!r.app_limited, "at %u", i);
				CHECK(tcp_rate_octets(&s, 1000) == 1000000, "%lu",
				      tcp_rate_octets(&s, 1000));
			}
		}
		tcp_rate_on_send(&s, &snap[i], i < 20 ? i : 19, base + i * 1000);
	}
}

/* A compressed ACK of ten segments does not show more than was sent; nor does a burst. */
static void test_compression(void)
{
	struct tcp_rate_state s = {0};
	struct tcp_rate_snap snap[30];
	struct tcp_rate r = {0};
	unsigned int i;

	for (i = 0; i < 30; i++)
		tcp_rate_on_send(&s, &snap[i], i, 1000000 + i * 1000);
	for (i = 0; i < 10; i++) {
		r = (struct tcp_rate){0};
		tcp_rate_on_delivered(&s, &snap[i], 1000000 + i * 1000, &r, 1050000);
		tcp_rate_on_ack_done(&s, &r, 0, 1050000);
	}
	r = (struct tcp_rate){0};
	for (i = 10; i < 30; i++)
		tcp_rate_on_delivered(&s, &snap[i], 1000000 + i * 1000, &r, 1051000);
	tcp_rate_on_ack_done(&s, &r, 0, 1051000);
	CHECK(r.delivered == 20, "%u", r.delivered);
	CHECK(r.sample_delivered == 30, "%u", r.sample_delivered);
	CHECK(r.interval_us == 51000, "%u", r.interval_us);
	/* Shorter than any RTT: a sample of something else. */
	tcp_rate_on_ack_done(&s, &r, 60000, 1051000);
	CHECK(r.interval_us == 0, "%u", r.interval_us);
}

static void test_app_limited(void)
{
	struct tcp_rate_state s = {0};
	struct tcp_rate_snap a, b, c;
	struct tcp_rate r = {0};

	tcp_rate_on_send(&s, &a, 0, 1000);
	tcp_rate_check_app_limited(&s, 1000, 1000, 1, 10, 0);
	CHECK(s.app_limited == 0, "a whole segment waits");
	tcp_rate_check_app_limited(&s, 999, 1000, 10, 10, 0);
	CHECK(s.app_limited == 0, "no room in cwnd");
	tcp_rate_check_app_limited(&s, 0, 1000, 1, 10, 1);
	CHECK(s.app_limited == 0, "a loss waits");
	tcp_rate_check_app_limited(&s, 0, 1000, 1, 10, 0);
	CHECK(s.app_limited == 1, "%u", s.app_limited);
	tcp_rate_on_send(&s, &b, 1, 2000);
	CHECK(!a.app_limited && b.app_limited, "%u %u", a.app_limited, b.app_limited);
	tcp_rate_on_delivered(&s, &a, 1000, &r, 11000);
	tcp_rate_on_ack_done(&s, &r, 0, 11000);
	CHECK(s.app_limited == 1, "%u", s.app_limited);
	r = (struct tcp_rate){0};
	tcp_rate_on_delivered(&s, &b, 2000, &r, 12000);
	tcp_rate_on_ack_done(&s, &r, 0, 12000);
	CHECK(r.app_limited && s.app_limited == 0, "%u %u", r.app_limited, s.app_limited);
	tcp_rate_on_send(&s, &c, 0, 50000);
	CHECK(!c.app_limited && c.delivered == 2, "%u", c.delivered);
	CHECK(c.first_tx_time_us == 50000 && c.delivered_time_us == 50000,
	      "idle time is not counted: %u %u", c.first_tx_time_us, c.delivered_time_us);
}

/* Losses pass 2 % of 100 in flight with the third: 3 of 100 + x. */
static void test_losses(void)
{
	struct tcp_rate_state s = {0};
	struct tcp_rate_snap snap[100];
	struct tcp_rate r = {0};
	unsigned int i;

	for (i = 0; i < 100; i++)
		tcp_rate_on_send(&s, &snap[i], i, 1000 + i);
	CHECK(snap[99].in_flight == 100, "%u", snap[99].in_flight);
	tcp_rate_on_lost(&s, &snap[97], &r);
	CHECK(r.losses == 1 && r.loss_in_flight == 0, "%u %u", r.losses, r.loss_in_flight);
	tcp_rate_on_lost(&s, &snap[98], &r);
	CHECK(r.loss_in_flight != 0 && r.loss_in_flight <= 99 && r.loss_in_flight >= 97, "%u",
	      r.loss_in_flight);
	tcp_rate_on_lost(&s, &snap[99], NULL);
	CHECK(s.lost == 3, "%u", s.lost);
	tcp_rate_on_delivered(&s, &snap[96], 1096, &r, 21000);
	tcp_rate_on_ack_done(&s, &r, 0, 21000);
	CHECK(r.sample_lost == 3 && r.tx_in_flight == 97, "%u %u", r.sample_lost, r.tx_in_flight);

	tcp_rate_on_send(&s, &snap[0], UINT32_MAX, 2000);
	CHECK(snap[0].in_flight == TCP_RATE_MAX_FLIGHT, "%u", snap[0].in_flight);
}

static void test_pace(void)
{
	struct tcp_cc cc = {
		.cwnd = 100, .ssthresh = TCP_INFINITE_SSTHRESH, .mss = 1000, .srtt_us = 100000};
	uint64_t next, now = 5 * SEC;
	uint64_t sent = 0;

	CHECK(tcp_pace_rate(&cc) == 2000000, "%lu", tcp_pace_rate(&cc));
	cc.ssthresh = 100;
	CHECK(tcp_pace_rate(&cc) == 1200000, "%lu", tcp_pace_rate(&cc));
	cc.srtt_us = 0;
	CHECK(tcp_pace_rate(&cc) == 0, "%lu", tcp_pace_rate(&cc));
	cc = (struct tcp_cc){
		.cwnd = 1 << 23, .ssthresh = TCP_INFINITE_SSTHRESH, .mss = 65535, .srtt_us = 1};
	CHECK(tcp_pace_rate(&cc) > UINT64_C(1) << 59, "%lu", tcp_pace_rate(&cc));

	CHECK(tcp_pace_burst(0, 1000) == UINT32_MAX, "%u", tcp_pace_burst(0, 1000));
	CHECK(tcp_pace_burst(1000, 1000) == 2000, "%u", tcp_pace_burst(1000, 1000));
	CHECK(tcp_pace_burst(10500000, 1000) == 10000, "%u", tcp_pace_burst(10500000, 1000));
	CHECK(tcp_pace_burst(UINT64_MAX, 1000) == 65000, "%u", tcp_pace_burst(UINT64_MAX, 1000));

	CHECK(tcp_pace_next_ns(0, 1000, 0, now) == now, "no rate");
	next = tcp_pace_next_ns(1000000, 1000, 0, now);
	CHECK(next == now + MS, "%lu", next);
	next = tcp_pace_next_ns(1000000, 1000, next, now + 10 * SEC);
	CHECK(next == now + 10 * SEC, "idle time is not saved: %lu", next - now);
	/* A timer that fires up to 0.3 ms late still gives the rate: 10 MB/s for a second. */
	next = 0;
	for (now = SEC; now < 2 * SEC; now = next + 300000) {
		uint32_t burst = tcp_pace_burst(10000000, 1000);

		next = tcp_pace_next_ns(10000000, burst, next, now);
		sent += burst;
	}
	CHECK(sent > 9900000 && sent < 10100000, "%lu", sent);
}

int main(void)
{
	test_steady(5000000);
	/* The clock's low 32 bits wrap in the middle. */
	test_steady(UINT32_MAX - 30000);
	test_compression();
	test_app_limited();
	test_losses();
	test_pace();
	return 0;
}
