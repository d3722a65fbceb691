package gribi

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/protobuf/proto"

	"millrace/routing/rib"
	"millrace/server/gribi/gribitest"
)

// check holds the table against itself and against the RIB.
func (t *table) check(r *rib.RIB) error {
	hops, groups, prefixes := 0, 0, 0
	for name, in := range t.instances {
		hops, groups, prefixes = hops+len(in.hops), groups+len(in.groups), prefixes+len(in.prefixes)
		for id, h := range in.hops {
			n := 0
			for _, g := range in.groups {
				for _, m := range g.hops {
					if m.index == id {
						n++
						if _, ok := h.users[g]; !ok {
							return fmt.Errorf("%s: hop %d does not know group %d", name, id, g.key.id)
						}
					}
				}
			}
			if n != len(h.users) {
				return fmt.Errorf("%s: hop %d has %d users, want %d", name, id, len(h.users), n)
			}
			if h.doomed && n == 0 {
				return fmt.Errorf("%s: hop %d is doomed and there", name, id)
			}
		}
		for id, g := range in.groups {
			routes, backups := 0, 0
			for _, o := range t.instances {
				for _, p := range o.prefixes {
					if p.to == g {
						routes++
					}
				}
			}
			for _, o := range in.groups {
				if o.hasBackup && o.backup == id {
					backups++
				}
			}
			if routes != g.routes || backups != len(g.backupOf) {
				return fmt.Errorf("%s: group %d has %d routes and %d it backs up, want %d, %d", name, id, g.routes, len(g.backupOf), routes, backups)
			}
			if g.doomed && !g.inUse() {
				return fmt.Errorf("%s: group %d is doomed and there", name, id)
			}
			info, err := r.Group(g.ribName)
			if err != nil || info.Routes != routes {
				return fmt.Errorf("%s: the RIB's group %d has %d routes, want %d (%v)", name, id, info.Routes, routes, err)
			}
			// What it resolves to, by the first of the chain with a live hop.
			want := map[string]bool{}
			for c := g; len(want) == 0; c = in.groups[c.backup] {
				for _, m := range c.hops {
					if h := in.hops[m.index]; h.address.As4()[2] < 2 { // 10.0.0.0/24 and 10.0.1.0/24 are there, others not
						want[h.address.String()] = true
					}
				}
				if !c.hasBackup {
					break
				}
			}
			got := map[string]bool{}
			for _, m := range info.Members {
				got[m.Gateway.String()] = true
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				return fmt.Errorf("%s: group %d leads to %v, want %v", name, id, got, want)
			}
		}
		for p, e := range in.prefixes {
			ri, err := r.Get(name, p)
			if err != nil || ri.Candidates[0].Route.Group != e.to.ribName {
				return fmt.Errorf("%s: the RIB has %+v for %s, want group %s (%v)", name, ri, p, e.to.ribName, err)
			}
		}
	}
	if hops != t.nHops || groups != t.nGroups || prefixes != t.nPrefixes {
		return fmt.Errorf("%d, %d, %d are counted, want %d, %d, %d", t.nHops, t.nGroups, t.nPrefixes, hops, groups, prefixes)
	}
	if n := r.Stats().Candidates[rib.SourceGRIBI]; n != prefixes {
		return fmt.Errorf("the RIB has %d candidates, want %d", n, prefixes)
	}
	n := 0
	for missing, list := range t.waiting {
		for _, w := range list {
			n++
			if t.waits[w.op.key] != w || w.missing != missing {
				return fmt.Errorf("operation on %s waits for %s, and is not known to", w.op.key, missing)
			}
		}
		in := t.instances[missing.instance]
		if in != nil && (missing.aft == aftNextHop && in.hops[missing.id] != nil || missing.aft == aftGroup && in.groups[missing.id] != nil) {
			return fmt.Errorf("%s is waited for, and is there", missing)
		}
	}
	if n != len(t.waits) {
		return fmt.Errorf("%d operations wait, %d are known to", n, len(t.waits))
	}
	return nil
}

func randomOp(rng *rand.Rand) operation {
	op := operation{verb: verb(rng.IntN(6) / 2), key: key{instance: []string{"default", "blue"}[rng.IntN(2)]}}
	if op.verb == verbReplace && rng.IntN(2) == 0 {
		op.verb = verbAdd
	}
	switch op.key.aft = aft(1 + rng.IntN(3)); op.key.aft {
	case aftNextHop:
		op.key.id = uint64(1 + rng.IntN(5))
		op.hop = nextHop{address: netip.AddrFrom4([4]byte{10, 0, byte(rng.IntN(4)), byte(2 + rng.IntN(4))}), instance: "default"}
	case aftGroup:
		op.key.id = uint64(1 + rng.IntN(5))
		for _, i := range rng.Perm(5)[:1+rng.IntN(3)] {
			op.group.hops = append(op.group.hops, groupHop{index: uint64(1 + i), weight: uint64(1 + rng.IntN(1<<rng.IntN(40)))})
		}
		if rng.IntN(2) == 0 {
			op.group.backup, op.group.hasBackup = uint64(1+rng.IntN(5)), true
		}
	case aftPrefix:
		op.key.prefix = netip.PrefixFrom(netip.AddrFrom4([4]byte{20, byte(rng.IntN(8)), 0, 0}), 16)
		op.prefix = prefix{group: uint64(1 + rng.IntN(5))}
		if rng.IntN(3) == 0 {
			op.prefix.groupInstance = []string{"default", "blue"}[rng.IntN(2)]
		}
	}
	return op
}

// TestModel: whatever clients do, the table agrees with itself and the RIB with it.
func TestModel(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 7))
		r := rib.New(rib.Options{})
		if err := r.CreateVRF("blue"); err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			name := fmt.Sprintf("eth%d", i)
			r.SetInterfaceState(name, true)
			r.Apply([]rib.Change{{Route: rib.Route{
				Prefix: netip.MustParsePrefix(fmt.Sprintf("10.0.%d.0/24", i)), Source: rib.SourceConnected, NextHops: []rib.NextHop{{Interface: name}},
			}}})
		}
		o := Options{RIB: r, Distance: 5, NoForwardReferences: seed%4 == 3}
		o.Limits.defaults()
		tab := newTable(r, &o)
		modes := []params{{}, {single: true}, {single: true, preserve: true}}
		mode := modes[seed%3]
		clients := []*session{{params: mode}, {params: mode}}
		for step := range 300 {
			what := "operations"
			switch n := rng.IntN(40); n {
			case 0:
				what = "flush"
				tab.flush([][]string{{"default"}, {"blue"}, {"default", "blue"}}[rng.IntN(3)])
			case 1:
				what = "disown"
				if i := rng.IntN(2); !mode.preserve {
					tab.dropWaiting(func(w *waiter) bool { return w.s == clients[i] })
					tab.disown(clients[i])
				}
			case 2:
				what = "instance"
				if err := r.DeleteVRF("blue"); err != nil {
					t.Fatal(err)
				}
				if rng.IntN(2) == 0 {
					tab.known()
				}
				if err := r.CreateVRF("blue"); err != nil {
					t.Fatal(err)
				}
				tab.instance("blue")
			default:
				var ops []operation
				for range 1 + rng.IntN(6) {
					ops = append(ops, randomOp(rng))
				}
				for _, d := range tab.apply(clients[rng.IntN(2)], ops) {
					if d.op == nil || d.s == nil {
						t.Fatalf("seed %d step %d: a result of nothing", seed, step)
					}
				}
			}
			if err := tab.check(r); err != nil {
				t.Fatalf("seed %d step %d, %s: %v", seed, step, what, err)
			}
		}
		tab.flush(tab.known())
		if n := tab.nHops + tab.nGroups + tab.nPrefixes; n > 0 {
			t.Fatalf("seed %d: %d entries survive a flush of all", seed, n)
		}
		if s := r.Stats(); s.Candidates[rib.SourceGRIBI] != 0 || s.Groups != 2 {
			t.Fatalf("seed %d: the RIB keeps %+v", seed, s)
		}
	}
}

// FuzzDecode: no operation makes the decoder fall over, and what it takes comes out of Get as it went in.
func FuzzDecode(f *testing.F) {
	for _, o := range []*spb.AFTOperation{gribitest.HopTo(1, "10.0.0.1"), gribitest.Group("default", 1, 2, 1, 3, 2, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, "blue"),
		gribitest.Prefix("blue", "2001:db8::/32", 1, "")} {
		b, err := proto.Marshal(o)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var o spb.AFTOperation
		if proto.Unmarshal(b, &o) != nil {
			return
		}
		op := decodeOp(&o)
		if op.bad != nil || op.verb == verbDelete {
			return
		}
		e := encodeEntry(&shown{key: op.key, hop: op.hop, group: op.group, prefix: op.prefix})
		again := &spb.AFTOperation{Id: o.GetId(), NetworkInstance: e.GetNetworkInstance(), Op: o.GetOp(), ElectionId: o.GetElectionId()}
		switch x := e.GetEntry().(type) {
		case *spb.AFTEntry_NextHop:
			again.Entry = &spb.AFTOperation_NextHop{NextHop: x.NextHop}
		case *spb.AFTEntry_NextHopGroup:
			again.Entry = &spb.AFTOperation_NextHopGroup{NextHopGroup: x.NextHopGroup}
		case *spb.AFTEntry_Ipv4:
			again.Entry = &spb.AFTOperation_Ipv4{Ipv4: x.Ipv4}
		case *spb.AFTEntry_Ipv6:
			again.Entry = &spb.AFTOperation_Ipv6{Ipv6: x.Ipv6}
		}
		if op2 := decodeOp(again); fmt.Sprint(op2) != fmt.Sprint(op) {
			t.Fatalf("%+v became %+v", op, op2)
		}
	})
}
