package fib

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"millrace/routing/rib"
)

// box is a RIB, a programmer and a fake data plane.
type box struct {
	t      *testing.T
	r      *rib.RIB
	f      *fake
	p      *Programmer
	cancel context.CancelFunc
	ended  chan struct{}

	mu       sync.Mutex
	alarms   []Alarm
	replayed []uint32
}

func newBox(t *testing.T, seed uint64, opt Options) *box {
	b := &box{t: t, r: rib.New(rib.Options{}), f: newFake(t, seed), ended: make(chan struct{})}
	opt.OnAlarm = func(a Alarm) { b.mu.Lock(); b.alarms = append(b.alarms, a); b.mu.Unlock() }
	opt.OnReplayed = func(e uint32) { b.mu.Lock(); b.replayed = append(b.replayed, e); b.mu.Unlock() }
	if opt.RetryMin == 0 {
		opt.RetryMin, opt.RetryMax = 5*time.Millisecond, 20*time.Millisecond
	}
	b.p = New(b.r, b.f, opt)
	ctx, cancel := context.WithCancel(context.Background())
	b.cancel = cancel
	go func() {
		defer close(b.ended)
		_ = b.p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-b.ended
	})
	for i := range 4 {
		b.r.SetInterfaceState(fmt.Sprintf("eth%d", i), true)
		b.apply(rib.Add, rib.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24),
			Source: rib.SourceConnected, NextHops: []rib.NextHop{{Interface: fmt.Sprintf("eth%d", i)}}})
	}
	return b
}

func (b *box) apply(op rib.Op, rts ...rib.Route) {
	cs := make([]rib.Change, len(rts))
	for i := range rts {
		cs[i] = rib.Change{Op: op, Route: rts[i]}
	}
	b.r.Apply(cs)
}

func (b *box) sync() {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	if err := b.p.WaitSynced(ctx); err != nil {
		b.t.Fatalf("%v; %+v", err, b.p.Stats())
	}
}

// eventually waits until f returns nil.
func (b *box) eventually(f func() error) {
	b.t.Helper()
	var err error
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if err = f(); err == nil {
			return
		}
	}
	b.t.Fatalf("%v; %+v", err, b.p.Stats())
}

// alarm says whether these alarms, and no others, are active.
func (b *box) alarm(want ...AlarmKind) func() error {
	return func() error {
		a := b.p.Alarms()
		if !slices.EqualFunc(a, want, func(x Alarm, k AlarmKind) bool { return x.Kind == k }) {
			return fmt.Errorf("alarms %+v, want %v", a, want)
		}
		return nil
	}
}

func (b *box) settled() error {
	if st := b.p.Stats(); st.Failed > 0 || st.Pending > 0 || st.InFlight > 0 || st.Replaying {
		return fmt.Errorf("not settled")
	}
	return b.f.check(b.r)
}

func route(i int, gws ...byte) rib.Route {
	rt := rib.Route{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{100, byte(i >> 16), byte(i >> 8), byte(i)}), 32),
		Source: rib.SourceBGP, Origin: "bgp"}
	for _, g := range gws {
		rt.NextHops = append(rt.NextHops, rib.NextHop{Addr: netip.AddrFrom4([4]byte{10, 0, g % 4, g + 1})})
	}
	return rt
}

func TestProgram(t *testing.T) {
	b := newBox(t, 1, Options{BatchSize: 64})
	for i := range 1000 {
		b.apply(rib.Add, route(i, byte(i%5), byte(i%7)))
	}
	b.p.Replay(7)
	b.sync()
	b.eventually(b.settled)
	if st := b.p.Stats(); st.Programmed != 1000 || st.Epoch != 7 || st.Replays != 1 || st.Groups != 25 || st.NextHops != 7 || st.AckMax == 0 {
		t.Errorf("%+v", st)
	}
	if b.f.maxOps > 64 {
		t.Errorf("batch of %d operations", b.f.maxOps)
	}
	// A dead interface is one update of the groups concerned, no route moves.
	before := b.f.ops
	b.r.SetInterfaceState("eth1", false)
	b.sync()
	b.eventually(b.settled)
	if n := b.f.ops - before; n > 200 {
		t.Errorf("%d operations for the loss of an interface", n)
	}
	b.r.SetInterfaceState("eth1", true)
	for i := range 1000 {
		b.apply(rib.Delete, route(i))
	}
	b.sync()
	b.eventually(b.settled)
	if len(b.f.routes)+len(b.f.groups)+len(b.f.hops) != 0 {
		t.Error("left over")
	}
}

func TestCoalesce(t *testing.T) {
	b := newBox(t, 2, Options{Outstanding: 1})
	b.p.Replay(0)
	b.eventually(b.settled)
	release := b.f.holdBack()
	b.apply(rib.Add, route(1, 1))
	for range 1000 {
		b.apply(rib.Add, route(2, 1))
		b.apply(rib.Add, route(2, 2))
	}
	release()
	b.sync()
	b.eventually(b.settled)
	if b.f.ops > 20 {
		t.Errorf("%d operations for a flapping prefix", b.f.ops)
	}
}

func TestTableFull(t *testing.T) {
	b := newBox(t, 3, Options{BatchSize: 128})
	b.f.capacity = 500
	b.p.Replay(0)
	for i := range 800 {
		b.apply(rib.Add, route(i, byte(i%3)))
	}
	b.sync()
	b.eventually(func() error {
		if st := b.p.Stats(); st.Programmed != 500 || st.Failed+st.Pending+st.InFlight < 300 || st.FailedBy[CodeTableFull] == 0 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	b.eventually(func() error {
		n, cur := 0, uint32(0)
		for {
			list, next := b.p.Failures(cur, 7)
			for _, x := range list {
				if x.Code != CodeTableFull || x.LastError == "" {
					t.Fatalf("%+v", x)
				}
			}
			n += len(list)
			if cur = next; cur == 0 {
				break
			}
		}
		if n != 300 {
			return fmt.Errorf("%d failures listed", n)
		}
		return nil
	})
	b.eventually(b.alarm(AlarmTableFull))
	// Space is filled again from what failed.
	for i := range 100 {
		b.apply(rib.Delete, route(i))
	}
	b.eventually(func() error {
		if st := b.p.Stats(); st.Programmed != 500 || st.Failed != 200 {
			return fmt.Errorf("%+v", st)
		}
		return nil
	})
	b.f.set(func() { b.f.capacity = 10000 })
	b.eventually(b.settled)
	b.eventually(b.alarm())
	b.eventually(func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if n := len(b.alarms); n < 2 || b.alarms[n-1].Active {
			return fmt.Errorf("%+v", b.alarms)
		}
		return nil
	})
}

func TestRestart(t *testing.T) {
	b := newBox(t, 4, Options{HoldSweep: true})
	// What an earlier control plane left.
	stale := fakeKey{"default", netip.MustParsePrefix("203.0.113.0/24")}
	b.f.routes[stale] = fakeRoute{3, 3<<32 | 1}
	b.f.groups[3<<32|1] = fakeGroup{3, []Member{{NextHop: 3<<32 | 1, Weight: 1}}}
	b.f.hops[3<<32|1] = fakeHop{3, Op{}}
	b.p.Replay(4)
	for i := range 300 {
		b.apply(rib.Add, route(i, byte(i%3), 3))
	}
	b.sync()
	if _, ok := b.f.routes[stale]; !ok {
		t.Error("swept before Converged")
	}
	b.p.Converged()
	b.eventually(b.settled)
	// The data plane restarts: calls fail until it is back, empty.
	b.f.set(func() { b.f.down = true })
	b.apply(rib.Add, route(999, 1))
	b.eventually(func() error {
		if st := b.p.Stats(); st.Connected {
			return errors.New("still connected")
		}
		return nil
	})
	b.eventually(b.alarm(AlarmDisconnected))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	if err := b.p.WaitSynced(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("synced while the data plane is away: %v", err)
	}
	cancel()
	b.f.set(func() { b.f.wipe(); b.f.down = false })
	b.p.Replay(0)
	b.sync()
	b.eventually(b.settled)
	b.eventually(func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		if !slices.Equal(b.replayed, []uint32{4, 5}) {
			return fmt.Errorf("replayed %v", b.replayed)
		}
		return nil
	})
	b.cancel()
	<-b.ended
	if err := b.p.WaitSynced(context.Background()); !errors.Is(err, ErrStopped) {
		t.Error(err)
	}
}

// TestRandom has random changes, refusals, disconnections and restarts, and
// compares the data plane's content with the RIB's once all is quiet.
func TestRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 5))
			b := newBox(t, seed, Options{BatchSize: 1 + rng.IntN(50), Outstanding: 1 + rng.IntN(5)})
			if err := b.r.CreateVRF("red"); err != nil {
				t.Fatal(err)
			}
			b.f.onDown = func() { // the supervisor
				wipe := false
				b.f.set(func() {
					if wipe = b.f.rng.IntN(2) == 0; wipe {
						b.f.wipe()
					}
					b.f.down = false
				})
				b.p.Replay(0)
			}
			b.p.Replay(0)
			for range 6 {
				b.f.set(func() {
					b.f.refuse, b.f.cut = rng.Float64()*0.1, rng.Float64()*0.02
					b.f.delay = time.Duration(rng.IntN(2)*200) * time.Microsecond
					b.f.capacity = 100 + rng.IntN(300)
					b.f.badVRF = []string{"", "red"}[rng.IntN(2)]
				})
				for range 400 {
					switch n := rng.IntN(40); {
					case n == 0:
						b.r.SetInterfaceState(fmt.Sprintf("eth%d", rng.IntN(4)), rng.IntN(3) > 0)
					case n < 15:
						rt := route(rng.IntN(300))
						rt.VRF = []string{"", "red"}[rng.IntN(2)]
						b.apply(rib.Delete, rt)
					default:
						rt := route(rng.IntN(300), byte(rng.IntN(8)), byte(rng.IntN(8)))
						if rng.IntN(2) == 0 {
							rt.VRF = "red"
							for i := range rt.NextHops {
								rt.NextHops[i].VRF = "default"
							}
						}
						if rng.IntN(10) == 0 {
							rt.Kind, rt.NextHops = rib.KindReject, nil
						}
						b.apply(rib.Add, rt)
					}
				}
				b.f.set(func() {
					b.f.refuse, b.f.cut, b.f.capacity, b.f.badVRF = 0, 0, 1<<30, ""
				})
				b.p.RetryNow()
				b.sync()
				b.eventually(b.settled)
			}
		})
	}
}

// BenchmarkProgram1M programs a million routes into a data plane that answers
// at once.
func BenchmarkProgram1M(b *testing.B) {
	const n = 1_000_000
	for range b.N {
		r := rib.New(rib.Options{})
		p := New(r, instant{}, Options{})
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan struct{})
		go func() { defer close(ended); _ = p.Run(ctx) }()
		p.Replay(0)
		r.SetInterfaceState("eth0", true)
		cs := make([]rib.Change, n)
		for i := range cs {
			cs[i].Route = route(i)
			cs[i].Route.Prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(i>>16) + 1, byte(i >> 8), byte(i), 0}), 24)
			cs[i].Route.NextHops = []rib.NextHop{{Interface: "eth0", Addr: netip.AddrFrom4([4]byte{10, 0, 0, 1})}}
		}
		start := time.Now()
		r.Apply(cs)
		if err := p.WaitSynced(ctx); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/n, "ns/route")
		if st := p.Stats(); st.Programmed != n {
			b.Fatalf("%+v", st)
		}
		cancel()
		<-ended
	}
}

type instant struct{}

func (instant) Apply(_ context.Context, ops []Op) ([]error, error) {
	return make([]error, len(ops)), nil
}
func (instant) Sweep(context.Context, uint32) error { return nil }

// TestReplayInFlight replays, and ends, while batches are under way.
func TestReplayInFlight(t *testing.T) {
	b := newBox(t, 6, Options{BatchSize: 16, Outstanding: 3})
	b.f.set(func() { b.f.delay = 20 * time.Millisecond })
	b.p.Replay(0)
	for round := range 5 {
		release := b.f.holdBack()
		for i := range 200 {
			b.apply(rib.Add, route(i, byte(round), byte(i%3)))
		}
		b.eventually(func() error {
			if b.p.Stats().InFlight == 0 {
				return errors.New("nothing under way")
			}
			return nil
		})
		b.p.Replay(uint32(10 * (round + 1)))
		release()
	}
	b.sync()
	b.f.set(func() { b.f.delay = 0 })
	b.eventually(b.settled)
	if e := b.p.Stats().Epoch; e != 50 {
		t.Errorf("epoch %d", e)
	}
	b.f.set(func() { b.f.delay = time.Second })
	for i := range 200 {
		b.apply(rib.Delete, route(i))
	}
	b.cancel()
	select {
	case <-b.ended:
	case <-time.After(time.Minute):
		t.Fatal("Run does not end")
	}
}

// TestSweepFails has the connection go just before the sweep.
func TestSweepFails(t *testing.T) {
	b := newBox(t, 7, Options{HoldSweep: true})
	b.apply(rib.Add, route(1, 1))
	b.p.Replay(0)
	b.sync()
	b.f.set(func() { b.f.down = true })
	b.p.Converged()
	b.eventually(func() error {
		if b.p.Stats().Connected {
			return errors.New("still connected")
		}
		return nil
	})
	b.f.set(func() { b.f.down = false })
	b.p.Replay(0)
	b.eventually(b.settled)
	if st := b.p.Stats(); st.Replays != 1 || st.Epoch != 2 {
		t.Errorf("%+v", st)
	}
}
