package bgp

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"github.com/osrg/gobgp/v3/pkg/server"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

func TestParseCommunity(t *testing.T) {
	for _, x := range []struct {
		kind     CommunityType
		in, want string
	}{
		{StandardCommunity, "65001:100", "65001:100"},
		{StandardCommunity, "4259905636", "65001:100"},
		{StandardCommunity, "No-Export", "no-export"},
		{StandardCommunity, "65535:65281", "no-export"},
		{StandardCommunity, "65536:1", ""},
		{StandardCommunity, "1:", ""},
		{StandardCommunity, "+1:2", ""},
		{StandardCommunity, "", ""},
		{LargeCommunity, "4294967295:0:7", "4294967295:0:7"},
		{LargeCommunity, "1:2", ""},
		{ExtendedCommunity, "RT:65001:100", "rt:65001:100"},
		{ExtendedCommunity, "soo:192.0.2.1:5", "soo:192.0.2.1:5"},
		{ExtendedCommunity, "rt:1.10:5", "rt:1.10:5"},
		{ExtendedCommunity, "rt:70000:5", ""},
		{ExtendedCommunity, "rt:192.0.2.1:65536", ""},
		{ExtendedCommunity, "rt:5", ""},
		{ExtendedCommunity, "65001:100", ""},
	} {
		c, err := ParseCommunity(x.kind, x.in)
		if got := c.String(); (err != nil) != (x.want == "") || err == nil && got != x.want {
			t.Errorf("%q: %q, %v; want %q", x.in, got, err, x.want)
		}
	}
}

func TestParsePrefixRange(t *testing.T) {
	for _, x := range []struct {
		prefix, lengths string
		min, max        uint8
		ok              bool
	}{
		{"10.0.0.0/8", "", 8, 8, true},
		{"10.0.0.0/8", "exact", 8, 8, true},
		{"10.0.0.0/8", "16..24", 16, 24, true},
		{"2001:db8::/32", "32..128", 32, 128, true},
		{"10.0.0.0/8", "7..24", 0, 0, false},
		{"10.0.0.0/8", "24..16", 0, 0, false},
		{"10.0.0.0/8", "16..33", 0, 0, false},
		{"10.0.0.0/8", "16", 0, 0, false},
		{"10.0.0.0/8", "16..", 0, 0, false},
		{"10.0.0.1/8", "", 0, 0, false},
		{"::ffff:10.0.0.0/104", "", 0, 0, false},
		{"10.0.0.0", "", 0, 0, false},
	} {
		r, err := ParsePrefixRange(x.prefix, x.lengths)
		if (err == nil) != x.ok || x.ok && (r.Min != x.min || r.Max != x.max) {
			t.Errorf("%s %s: %+v, %v", x.prefix, x.lengths, r, err)
		}
	}
}

func FuzzParseCommunity(f *testing.F) {
	for _, s := range []string{"65001:100", "no-export", "1:2:3", "rt:1.10:5", "soo:192.0.2.1:5", "^65001:.*$", "("} {
		f.Add(uint8(0), s)
		f.Add(uint8(1), s)
		f.Add(uint8(2), s)
	}
	srv := server.NewBgpServer(server.LoggerOption(&logger{log: slog.New(slog.NewTextHandler(io.Discard, nil))}))
	go srv.Serve()
	ctx := context.Background()
	if err := srv.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: 65001, RouterId: "192.0.2.1", ListenPort: -1,
	}}); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, kind uint8, s string) {
		k := CommunityType(kind % 3)
		c, err := ParseCommunity(k, s)
		if err == nil {
			again, err := ParseCommunity(k, c.String())
			if err != nil || again != c {
				t.Fatalf("%q gives %q, which gives %q, %v", s, c, again, err)
			}
		}
		// Whatever is accepted as a member of a set or action, GoBGP must take too.
		if checkMember(k, s) == nil {
			cfg := validConfig()
			cfg.Policy.CommunitySets = []CommunitySet{{Name: "c", Type: k, Members: []string{s}}}
			op := &CommunityOp{Op: "remove", Communities: []string{s}}
			set := &cfg.Policy.Policies[0].Statements[0].Actions
			switch k {
			case StandardCommunity:
				set.Community = op
			case ExtendedCommunity:
				set.ExtCommunity = op
			case LargeCommunity:
				set.LargeCommunity = op
			}
			cfg.PeerGroups[0].Import = []string{"pol"}
			if err := cfg.Validate(); err != nil {
				t.Fatalf("%q: %v", s, err)
			}
			cfg = cfg.withDefaults()
			req, err := compile(&cfg)
			if err == nil {
				err = srv.SetPolicies(ctx, req)
			}
			if err != nil {
				t.Fatalf("%q: %v", s, err)
			}
		}
	})
}

func FuzzParsePrefixRange(f *testing.F) {
	f.Add("10.0.0.0/8", "16..24")
	f.Add("::/0", "exact")
	f.Add("10.0.0.0/33", "..")
	f.Fuzz(func(t *testing.T, p, lengths string) {
		r, err := ParsePrefixRange(p, lengths)
		if err == nil && r.check() != nil {
			t.Fatalf("%q %q: %+v", p, lengths, r)
		}
	})
}

func anyOf(t *testing.T, m proto.Message) *anypb.Any {
	t.Helper()
	a, err := anypb.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestPathSet(t *testing.T) {
	path := func(neighbor string, hops ...string) *api.Path {
		return &api.Path{
			NeighborIp: neighbor, SourceAsn: 65002, SourceId: neighbor,
			Pattrs: []*anypb.Any{
				anyOf(t, &api.OriginAttribute{}), anyOf(t, &api.MultiExitDiscAttribute{Med: 7}),
				anyOf(t, &api.MpReachNLRIAttribute{NextHops: hops}),
			},
		}
	}
	zone := ""
	facts := func(p pathSource) peerFacts { return peerFacts{addr: addr(p.addr), zone: zone, ebgp: true} }
	c := Config{Multipath: Multipath{EBGP: 2, IBGP: 1}, Distance: Distance{EBGP: 20, IBGP: 200}}
	b := newBuilder()
	check := func(want []string, paths ...*api.Path) *PathSet {
		t.Helper()
		s := b.build(paths, &c, facts)
		var got []string
		if s != nil {
			for _, h := range s.NextHops {
				got = append(got, h.String())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("next hops %v, want %v", got, want)
		}
		return s
	}
	s := check([]string{"2001:db8::1"}, path("2001:db8::9", "2001:db8::1", "fe80::1"))
	if s.MED != 7 || s.LocalPref != 100 || s.Distance != 20 || !s.EBGP {
		t.Errorf("%+v", s)
	}
	if again := check([]string{"2001:db8::1"}, path("2001:db8::9", "2001:db8::1")); again != s {
		t.Error("equal sets are not shared")
	}
	check(nil, path("2001:db8::9", "fe80::1")) // no interface
	zone = "eth7"
	check([]string{"fe80::1%eth7"}, path("2001:db8::9", "fe80::1"))
	check([]string{"fe80::1%eth7"}, path("2001:db8::9", "::", "fe80::1"))
	check([]string{"fe80::9%eth7"}, path("fe80::9", "::"))
	// The best one stays, of the others always the lowest.
	check([]string{"::1", "::3"}, path("::9", "::3"), path("::8", "::2"), path("::7", "::1"))
	check([]string{"::1", "::3"}, path("::9", "::3"), path("::7", "::1"), path("::8", "::2"))
	check([]string{"::3"}, path("::9", "::3"), path("::8", "::3"))
	withdrawn := path("::9", "::3")
	withdrawn.IsWithdraw = true
	check(nil, withdrawn)
	local := path("<nil>", "::")
	local.SourceAsn = 0
	check(nil, local)
}

// slowSink lets the test decide when a call returns.
type slowSink struct {
	countSink
	enter, leave chan struct{}
	got          map[netip.Prefix]*PathSet
	order        []string
}

func (s *slowSink) Upsert(_ context.Context, _ string, r []Route) error {
	s.enter <- struct{}{}
	<-s.leave
	for _, x := range r {
		s.got[x.Prefix] = x.PathSet
	}
	s.order = append(s.order, "upsert")
	return nil
}

func (s *slowSink) EndOfRIB(context.Context, string, netip.Addr, Family) {
	s.order = append(s.order, "eor")
}
func (s *slowSink) Converged(context.Context, string) { s.order = append(s.order, "converged") }

func TestOutboxFolds(t *testing.T) {
	sink := &slowSink{enter: make(chan struct{}), leave: make(chan struct{}), got: make(map[netip.Prefix]*PathSet)}
	o := newOutbox(sink, slog.New(slog.NewTextHandler(io.Discard, nil)), func() string { return "x" })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); o.run(ctx) }()
	p := prefix("10.0.0.0/8")
	o.put(p, &PathSet{MED: 0})
	<-sink.enter
	// While the sink is busy, many changes wait as one, and the end-of-RIB after them.
	last := &PathSet{MED: 999}
	for i := range 1000 {
		o.put(p, &PathSet{MED: uint32(i)})
	}
	o.put(p, last)
	o.endOfRIB(addr("10.0.0.1"), IPv4Unicast)
	o.endOfRIB(addr("10.0.0.1"), IPv4Unicast)
	done := make(chan struct{})
	o.converge(func() { close(done) })
	o.mu.Lock()
	if n := len(o.dirty); n != 1 {
		t.Errorf("%d waiting", n)
	}
	o.mu.Unlock()
	sink.leave <- struct{}{}
	<-sink.enter
	sink.leave <- struct{}{}
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("not converged")
	}
	cancel()
	<-ended
	if sink.got[p] != last {
		t.Errorf("got %+v", sink.got[p])
	}
	if want := []string{"upsert", "upsert", "eor", "converged"}; !slices.Equal(sink.order, want) {
		t.Errorf("order %v, want %v", sink.order, want)
	}
}

func TestResendYieldsToEvents(t *testing.T) {
	o := newOutbox(&countSink{}, slog.Default(), func() string { return "x" })
	o.track(true)
	a, b := prefix("10.0.0.0/8"), prefix("11.0.0.0/8")
	newer := &PathSet{MED: 2}
	o.put(a, newer)
	o.resend(a, &PathSet{MED: 1})
	o.resend(b, &PathSet{MED: 1})
	o.track(false)
	if o.dirty[a].set != newer || o.dirty[b].set == nil {
		t.Errorf("%+v", o.dirty)
	}
}

func TestOverlap(t *testing.T) {
	for _, x := range []struct {
		members, set, want string
		invert, bad        bool
	}{
		{"10.0.0.1/32", "10.0.0.0/8", "10.0.0.1/32", false, false},
		{"10.0.0.1/32", "11.0.0.0/8", "", false, false},
		{"10.0.0.1/32", "11.0.0.0/8", "10.0.0.1/32", true, false},
		{"10.0.0.1/32", "10.0.0.0/8", "", true, false},
		{"10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/16", false, false},
		{"10.0.0.0/8", "10.1.0.0/16", "", true, true},
	} {
		got, err := overlap(prefixes(x.members), prefixes(x.set), x.invert)
		var want []netip.Prefix
		if x.want != "" {
			want = prefixes(x.want)
		}
		if (err != nil) != x.bad || !slices.Equal(got, want) {
			t.Errorf("%+v: %v, %v", x, got, err)
		}
	}
}

func TestEventsDropOldest(t *testing.T) {
	f := newFanout()
	s := &Speaker{events: f}
	ctx, cancel := context.WithCancel(context.Background())
	c := s.Events(ctx)
	for i := range eventBuffer + 10 {
		f.send(NeighborEvent{Reason: string(rune('a' + i%26)), Time: time.Unix(int64(i), 0)})
	}
	if e := <-c; e.Time.Unix() != 10 {
		t.Errorf("first event is number %d", e.Time.Unix())
	}
	cancel()
	for range c {
	}
	f.send(NeighborEvent{}) // to nobody
	f.close()
	if _, ok := <-s.Events(context.Background()); ok {
		t.Error("a closed speaker has events")
	}
}

func TestCompileNextHop6(t *testing.T) {
	both := []Family{IPv4Unicast, IPv6Unicast}
	c := &Config{
		ASN: 65001,
		Neighbors: []Neighbor{
			{Address: addr("192.0.2.2"), NextHop6: addr("2001:db8::1"), PeerSettings: PeerSettings{PeerAS: 65002, Families: both}},
			{Address: addr("192.0.2.3"), NextHop6: addr("2001:db8::1"), PeerSettings: PeerSettings{PeerAS: 65001, Families: both, NextHopSelf: yes()}},
			{Address: addr("192.0.2.4"), NextHop6: addr("2001:db8::1"), PeerSettings: PeerSettings{PeerAS: 65002}},
			{Address: addr("2001:db8::2"), NextHop6: addr("2001:db8::1"), PeerSettings: PeerSettings{PeerAS: 65002, Families: both}},
		},
	}
	req, err := compile(c)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range req.Policies {
		for _, s := range p.Statements {
			got[s.Name] = s.GetActions().GetNexthop().GetAddress()
		}
	}
	want := map[string]string{
		"export/0/next-hop-ipv6": "2001:db8::1", "export/0/default": "",
		"export/1/next-hop-ipv6":                                  "2001:db8::1",
		"export/1/next-hop-self/ROUTE_TYPE_EXTERNAL/ipv4-unicast": "",
		"export/1/next-hop-self/ROUTE_TYPE_EXTERNAL/ipv6-unicast": "2001:db8::1",
		"export/1/next-hop-self/ROUTE_TYPE_LOCAL/ipv4-unicast":    "",
		"export/1/next-hop-self/ROUTE_TYPE_LOCAL/ipv6-unicast":    "2001:db8::1",
		"export/1/default": "",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("statements:\n%v\nwant\n%v", got, want)
	}
}
