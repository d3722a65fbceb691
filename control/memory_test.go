package control

import "testing"

func TestCollectorPercent(t *testing.T) {
	const mib = 1 << 20
	for _, x := range []struct {
		live, budget uint64
		want         int
	}{
		{0, 1536 * mib, 300},
		{20 * mib, 1536 * mib, 300},
		{384 * mib, 1536 * mib, 300},
		{768 * mib, 1536 * mib, 100},
		{1200 * mib, 1536 * mib, 60},
		{4000 * mib, 1536 * mib, 60},
		{100 * mib, 64 * mib, 60},
	} {
		if got := collectorPercent(x.live, x.budget); got != x.want {
			t.Errorf("%d MiB live, budget %d MiB: %d, want %d", x.live/mib, x.budget/mib, got, x.want)
		}
	}
	if m := availableMemory(); m < 64*mib || m > 1<<50 {
		t.Errorf("available memory %d", m)
	}
}
