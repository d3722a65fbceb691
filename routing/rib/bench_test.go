package rib

import (
	"net/netip"
	"runtime"
	"testing"
	"time"
)

// benchPrefix spreads i over unicast space: about the mix of lengths of the
// Internet's table does not matter to the trie, its size does.
func benchPrefix(i int) netip.Prefix {
	x := uint32(i) * 0x9e3779b1 >> 8 & 0xffffff
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(x >> 16), byte(x >> 8), byte(x), 0}), 24)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkLoad1M loads a million BGP routes with 64 sets of next hops, over
// two connected networks, with the feed attached.
func BenchmarkLoad1M(b *testing.B) {
	const n = 1_000_000
	const sets = 64
	for range b.N {
		b.StopTimer()
		hops := make([][]NextHop, sets)
		for i := range hops {
			hops[i] = []NextHop{
				{Addr: netip.AddrFrom4([4]byte{192, 0, 2, byte(i + 1)})},
				{Addr: netip.AddrFrom4([4]byte{198, 51, 100, byte(i + 1)})},
			}
		}
		changes := make([]Change, n)
		for i := range changes {
			changes[i].Route = Route{Prefix: benchPrefix(i), Source: SourceBGP, Origin: "bgp", NextHops: hops[i%sets]}
		}
		before := heap()
		r := New(Options{})
		f := r.Feed()
		connected(r, "eth0", "192.0.2.0/24")
		connected(r, "eth1", "198.51.100.0/24")
		b.StartTimer()
		start := time.Now()
		if errs := r.Apply(changes); errs != nil {
			b.Fatal(errs[0])
		}
		d := time.Since(start)
		b.StopTimer()
		if got := f.Stats().Pending; got != n {
			b.Fatalf("%d pending, want %d", got, n)
		}
		b.ReportMetric(float64(d.Nanoseconds())/n, "ns/route")
		b.ReportMetric(float64(heap()-before)/n, "bytes/route")

		start = time.Now()
		r.SetInterfaceState("eth1", false)
		b.ReportMetric(float64(time.Since(start).Microseconds()), "µs/failover")
		start = time.Now()
		r.SetInterfaceState("eth0", false)
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/n, "ns/unresolve")
		runtime.KeepAlive(changes)
		b.StartTimer()
	}
}

func connected(r *RIB, name, prefix string) {
	r.SetInterfaceState(name, true)
	r.Apply([]Change{{Route: Route{
		Prefix: netip.MustParsePrefix(prefix), Source: SourceConnected, NextHops: []NextHop{{Interface: name}},
	}}})
}

// BenchmarkOne changes the metric of one route among a million, a call each.
func BenchmarkOne(b *testing.B) {
	r := New(Options{})
	f := r.Feed()
	connected(r, "eth0", "192.0.2.0/24")
	hops := []NextHop{{Addr: netip.AddrFrom4([4]byte{192, 0, 2, 1})}}
	changes := make([]Change, 1_000_000)
	for i := range changes {
		changes[i].Route = Route{Prefix: benchPrefix(i), Source: SourceBGP, NextHops: hops}
	}
	r.Apply(changes)
	for more := true; more; {
		var ds []Delta
		ds, more = f.Pull(nil, 8192)
		f.Ack(ds, make([]uint8, len(ds)))
	}
	b.ResetTimer()
	for i := range b.N {
		c := &changes[i%len(changes)]
		c.Route.Metric++
		r.Apply(changes[i%len(changes) : i%len(changes)+1])
	}
}
