package state_test

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"millrace/routing/rib"
	"millrace/server/config"
	"millrace/server/state"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const aftText = "/network-instances/network-instance[name=default]/afts"

// aftBox is a RIB with the source of its AFTs.
type aftBox struct {
	s   *schema.Schema
	rib *rib.RIB
	src *state.AFT
}

func newAFTBox(t testing.TB) *aftBox {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Interfaces: []config.Interface{
		{Name: "eth1", Type: config.Port}, {Name: "eth1.100", Type: config.VLAN, Parent: "eth1", VLANID: 100},
	}}
	b := &aftBox{s: s, rib: rib.New(rib.Options{})}
	b.src = state.NewAFT(s, b.rib, func() *config.Config { return cfg }, func() bool { return true })
	for _, name := range []string{"eth1", "eth1.100"} {
		b.rib.SetInterfaceState(name, true)
	}
	b.apply(t, rib.Add, "192.0.2.0/24", rib.SourceConnected, rib.NextHop{Interface: "eth1"})
	b.apply(t, rib.Add, "198.51.100.0/24", rib.SourceConnected, rib.NextHop{Interface: "eth1.100"})
	return b
}

func (b *aftBox) apply(t testing.TB, op rib.Op, prefix string, s rib.Source, hops ...rib.NextHop) {
	t.Helper()
	r := rib.Route{Prefix: netip.MustParsePrefix(prefix), Source: s, NextHops: hops}
	if len(hops) == 0 {
		r.Kind = rib.KindBlackhole
	}
	for _, err := range b.rib.Apply([]rib.Change{{Op: op, Route: r}}) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func via(addrs ...string) []rib.NextHop {
	var out []rib.NextHop
	for _, a := range addrs {
		out = append(out, rib.NextHop{Addr: netip.MustParseAddr(a)})
	}
	return out
}

func (b *aftBox) patterns(t testing.TB, path string) []tree.Pattern {
	t.Helper()
	m, err := tree.Expand(b.s, tree.MustPath(path))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// leaves reads what a path takes, as "path = value", sorted.
func (b *aftBox) leaves(t testing.TB, path string) []string {
	t.Helper()
	var out []string
	for _, m := range b.patterns(t, path) {
		err := b.src.Read(t.Context(), m, func(x telemetry.Batch) error {
			for _, l := range x.Leaves {
				if m.Covers(l.Path) {
					out = append(out, l.Path.String()+" = "+l.Value.Local())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(out)
	return out
}

func TestAFTRead(t *testing.T) {
	b := newAFTBox(t)
	b.apply(t, rib.Add, "10.0.0.0/8", rib.SourceStatic, via("192.0.2.1", "198.51.100.1")...)
	b.apply(t, rib.Add, "10.1.0.0/16", rib.SourceBGP, via("192.0.2.1")...)
	b.apply(t, rib.Add, "10.2.0.0/16", rib.SourceStatic)
	got := b.leaves(t, aftText+"/ipv4-unicast/ipv4-entry[prefix=10.0.0.0/8]")
	if len(got) != 4 || !strings.HasSuffix(got[2], "origin-protocol = STATIC") {
		t.Errorf("%q", got)
	}
	var id string
	for _, l := range got {
		if _, v, ok := strings.Cut(l, "next-hop-group = "); ok {
			id = v
		}
	}
	members := b.leaves(t, aftText+"/next-hop-groups/next-hop-group[id="+id+"]/next-hops/next-hop[index=*]/state/index")
	if len(members) != 2 {
		t.Fatalf("%q", members)
	}
	var hops []string
	for _, l := range members {
		_, index, _ := strings.Cut(l, " = ")
		for _, h := range b.leaves(t, aftText+"/next-hops/next-hop[index="+index+"]") {
			_, h, _ = strings.Cut(h, "]/")
			_, h, _ = strings.Cut(h, "]/")
			hops = append(hops, h)
		}
	}
	slices.Sort(hops)
	text := strings.Join(hops, "\n")
	for _, want := range []string{
		"interface-ref/state/interface = eth1\n", "interface-ref/state/subinterface = 100", "interface-ref/state/subinterface = 0",
		"state/ip-address = 192.0.2.1", "state/ip-address = 198.51.100.1", "state/action = FORWARD",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if got := b.leaves(t, "/network-instances/network-instance[name=*]/afts/ipv4-unicast/ipv4-entry/state/prefix"); len(got) != 5 {
		t.Errorf("%q", got)
	}
	if got := b.leaves(t, "/network-instances/network-instance[name=red]/afts"); got != nil {
		t.Errorf("%q", got)
	}
	sum := strings.Join(b.leaves(t, aftText+"/aft-summaries/ipv4-unicast"), "\n")
	for _, want := range []string{"[origin-protocol=STATIC]/state/counters/aft-entries = 2", "[origin-protocol=BGP]/state/counters/aft-entries = 1"} {
		if !strings.Contains(sum, want) {
			t.Errorf("no %q in %s", want, sum)
		}
	}
	if got := b.leaves(t, aftText+"/state-synced/state/ipv4-unicast"); len(got) != 1 || !strings.HasSuffix(got[0], "true") {
		t.Errorf("%q", got)
	}
}

// picture is what a watcher knows by what it was told.
type picture struct {
	mu     sync.Mutex
	leaves map[string]string
}

func (p *picture) take(m tree.Pattern, b telemetry.Batch) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range b.Deleted {
		for k := range p.leaves {
			if strings.HasPrefix(k, d.String()+"/") {
				delete(p.leaves, k)
			}
		}
	}
	for _, l := range b.Leaves {
		if m.Covers(l.Path) {
			p.leaves[l.Path.String()] = l.Value.Local()
		}
	}
	return nil
}

func (p *picture) list() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []string
	for k, v := range p.leaves {
		out = append(out, k+" = "+v)
	}
	slices.Sort(out)
	return out
}

// Whatever changes, one who read and then was told knows what one reads who comes later.
func TestAFTWatch(t *testing.T) {
	b := newAFTBox(t)
	m := b.patterns(t, aftText)[0]
	p := &picture{leaves: map[string]string{}}
	ctx, cancel := context.WithCancel(t.Context())
	started, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = b.src.Watch(ctx, m, func() {
			if err := b.src.Read(ctx, m, func(x telemetry.Batch) error { return p.take(m, x) }); err != nil {
				t.Error(err)
			}
			close(started)
		}, func(x telemetry.Batch) error { return p.take(m, x) })
	}()
	<-started
	b.apply(t, rib.Add, "10.0.0.0/8", rib.SourceStatic, via("192.0.2.1", "198.51.100.1")...)
	b.apply(t, rib.Add, "10.1.0.0/16", rib.SourceBGP, via("192.0.2.1")...)
	for i := range 300 {
		prefix := fmt.Sprintf("10.3.%d.0/24", i%100)
		switch i % 3 {
		case 0:
			b.apply(t, rib.Add, prefix, rib.SourceStatic, via(fmt.Sprintf("192.0.2.%d", 1+i%7))...)
		case 1:
			b.apply(t, rib.Add, prefix, rib.SourceStatic, via("192.0.2.9", fmt.Sprintf("198.51.100.%d", 1+i%5))...)
		default:
			b.apply(t, rib.Add, prefix, rib.SourceStatic)
			b.apply(t, rib.Delete, prefix, rib.SourceStatic)
		}
	}
	b.rib.SetInterfaceState("eth1.100", false) // groups lose members
	b.apply(t, rib.Add, "10.9.0.0/16", rib.SourceStatic, via("192.0.2.1")...)
	same := func() (got, want []string) {
		leave := func(s string) bool { return strings.Contains(s, "aft-summaries") }
		return slices.DeleteFunc(p.list(), leave), slices.DeleteFunc(b.leaves(t, aftText), leave)
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		got, want := same()
		if slices.Equal(got, want) {
			break
		}
		if time.Now().After(end) {
			only := func(a, b []string) []string {
				return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
			}
			t.Fatalf("only told\n%s\nonly read\n%s", strings.Join(only(got, want), "\n"), strings.Join(only(want, got), "\n"))
		}
	}
	cancel()
	<-done
}

// A million routes are read page by page.
func TestAFTOfManyRoutes(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const n = 300000
	b := newAFTBox(t)
	changes := make([]rib.Change, 0, n)
	hops := via("192.0.2.1")
	for i := range n {
		changes = append(changes, rib.Change{Route: rib.Route{
			Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{20 + byte(i>>16), byte(i >> 8), byte(i)}), 24), Source: rib.SourceBGP, NextHops: hops,
		}})
	}
	for _, err := range b.rib.Apply(changes) {
		if err != nil {
			t.Fatal(err)
		}
	}
	changes = nil
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	count, most := 0, uint64(0)
	start := time.Now()
	m := b.patterns(t, aftText+"/ipv4-unicast")[0]
	err := b.src.Read(t.Context(), m, func(x telemetry.Batch) error {
		if count += len(x.Leaves); count%40000 < 4*64 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			most = max(most, now.HeapAlloc)
		}
		return nil
	})
	if err != nil || count != 4*(n+2) {
		t.Fatal(err, count)
	}
	grown := int64(most) - int64(before.HeapAlloc)
	t.Logf("%d leaves in %s, %d KiB more in use", count, time.Since(start).Round(time.Millisecond), grown>>10)
	if grown > 16<<20 {
		t.Errorf("reading holds %d bytes", grown)
	}
	// One prefix of so many is all that is read.
	count = 0
	err = b.src.Read(t.Context(), b.patterns(t, aftText+"/ipv4-unicast/ipv4-entry[prefix=21.7.7.0/24]/state/prefix")[0], func(x telemetry.Batch) error {
		count += len(x.Leaves)
		return nil
	})
	if err != nil || count == 0 || count > 8 {
		t.Errorf("%d leaves for one prefix, %v", count, err)
	}
}

func BenchmarkAFTRead(b *testing.B) {
	x := newAFTBox(b)
	const n = 100_000
	changes := make([]rib.Change, n)
	for i := range changes {
		a := netip.AddrFrom4([4]byte{20, byte(i >> 16), byte(i >> 8), byte(i)})
		changes[i] = rib.Change{Op: rib.Add, Route: rib.Route{Prefix: netip.PrefixFrom(a, 32), Source: rib.SourceStatic, NextHops: via("192.0.2.9")}}
	}
	for _, err := range x.rib.Apply(changes) {
		if err != nil {
			b.Fatal(err)
		}
	}
	m := x.patterns(b, aftText+"/ipv4-unicast/ipv4-entry")[0]
	b.ReportAllocs()
	for b.Loop() {
		if err := x.src.Read(b.Context(), m, func(telemetry.Batch) error { return nil }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
}
