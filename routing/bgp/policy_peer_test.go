package bgp

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestPolicies(t *testing.T) {
	l := newLab(t)
	l.add("s", "f", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "f", "eth0", []string{"10.0.0.2/24"})
	l.link("s", "eth1", []string{"10.0.2.1/24"}, "b", "eth0", []string{"10.0.2.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65002", "10.0.0.2")+` neighbor 10.0.0.1 remote-as 65001
 address-family ipv4 unicast
  neighbor 10.0.0.1 activate
 exit-address-family
`)
	routes := "198.51.100.0/24 10.1.0.0/16 10.1.2.0/24 10.1.3.128/25 192.0.2.0/24 192.0.2.128/25 172.16.0.0/24"
	l.bird("b", birdPeer("10.0.2.2", "10.0.2.2", "65003", "10.0.2.1", "65001", `ipv4 { import all; export filter {
	if net = 198.51.100.0/24 then bgp_community.add((65003,100));
	if net = 192.0.2.0/24 then bgp_large_community.add((65003,1,2));
	if net = 192.0.2.128/25 then bgp_ext_community.add((rt,65003,7));
	if net = 172.16.0.0/24 then { bgp_path.prepend(65010); bgp_path.prepend(65011); }
	accept; }; };`, routes))
	lp := uint32(250)
	defs := PolicyDefs{
		PrefixSets: []PrefixSet{
			{Name: "ten", Prefixes: []PrefixRange{{Prefix: prefix("10.0.0.0/8"), Min: 16, Max: 24}}},
			{Name: "long", Prefixes: []PrefixRange{{Prefix: prefix("10.0.0.0/8"), Min: 25, Max: 32}}},
		},
		NeighborSets: []NeighborSet{{Name: "bird", Addresses: prefixes("10.0.2.0/24")}},
		ASPathSets:   []ASPathSet{{Name: "via65010", Patterns: []string{"_65010_"}}, {Name: "re", Patterns: []string{"^65003 6501[0-9]"}}},
		CommunitySets: []CommunitySet{
			{Name: "c100", Members: []string{"^65003:1..$"}},
			{Name: "large", Type: LargeCommunity, Members: []string{"65003:1:2"}},
			{Name: "rt", Type: ExtendedCommunity, Members: []string{"rt:65003:7"}},
		},
		Policies: []Policy{
			{Name: "in", Statements: []Statement{
				{Name: "long", Match: Match{PrefixSet: &SetMatch{Set: "long"}}, Actions: Actions{Result: Reject}},
				{Name: "ten", Match: Match{PrefixSet: &SetMatch{Set: "ten"}, NeighborSet: &SetMatch{Set: "bird"}},
					Actions: Actions{LocalPref: &lp, MED: &MEDOp{Op: "set", Value: 77}, Result: Accept}},
				{Name: "community", Match: Match{CommunitySet: &SetMatch{Set: "c100"}}, Actions: Actions{
					Community: &CommunityOp{Op: "add", Communities: []string{"65001:1", "no-export"}}}},
				{Name: "path", Match: Match{ASPathSet: &SetMatch{Set: "re"}}, Actions: Actions{
					LargeCommunity: &CommunityOp{Op: "add", Communities: []string{"65001:5:6"}}}},
			}},
			{Name: "out", Statements: []Statement{
				{Match: Match{ASPathSet: &SetMatch{Set: "via65010"}}, Actions: Actions{
					Prepend: &PrependOp{ASN: 65001, Repeat: 2}, Result: Accept}},
				{Match: Match{CommunitySet: &SetMatch{Set: "c100"}}, Actions: Actions{
					Community: &CommunityOp{Op: "replace", Communities: []string{"65001:9"}},
					MED:       &MEDOp{Op: "set", Value: 5}, Result: Accept}},
				{Match: Match{LargeCommunitySet: &SetMatch{Set: "large"}}, Actions: Actions{
					LargeCommunity: &CommunityOp{Op: "remove", Communities: []string{"65003:1:2"}},
					NextHop:        &NextHopOp{Address: addr("10.0.0.77")}, Result: Accept}},
				{Match: Match{ExtCommunitySet: &SetMatch{Set: "rt"}}, Actions: Actions{Origin: "egp", Result: Accept}},
				{Match: Match{RouteType: LocalRoute}, Actions: Actions{Result: Accept}},
			}},
			{Name: "none", Statements: []Statement{
				{Match: Match{PrefixSet: &SetMatch{Set: "ten"}}, Actions: Actions{Result: Accept}},
			}},
		},
	}
	c := Config{
		ASN: 65001, RouterID: addr("10.9.9.1"), Policy: defs, Networks: prefixes("203.0.113.0/24"),
		Neighbors: []Neighbor{
			{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{
				PeerAS: 65002, Export: []string{"out"}, DefaultExport: Reject, IdleHoldAfterRst: time.Second}},
			{Address: addr("10.0.2.2"), PeerSettings: PeerSettings{PeerAS: 65003, Import: []string{"in"}}},
		},
	}
	s.apply(c)
	s.waitUp("10.0.0.2", "10.0.2.2")
	x := s.waitHops("10.1.2.0/24", "10.0.2.2")
	if x.LocalPref != 250 || x.MED != 77 {
		t.Errorf("10.1.2.0/24: %+v", x)
	}
	if x := s.waitHops("198.51.100.0/24", "10.0.2.2"); x.LocalPref != 100 {
		t.Errorf("198.51.100.0/24: %+v", x)
	}
	if _, ok := s.routes()["10.1.3.128/25"]; ok {
		t.Error("rejected route was accepted")
	}
	f.has("show bgp ipv4 unicast 172.16.0.0/24", "65001 65001 65001 65003 65011 65010", "65001:5:6")
	f.has("show bgp ipv4 unicast 198.51.100.0/24", "65001:9", "metric 5", "!65003:100", "!no-export")
	f.has("show bgp ipv4 unicast 192.0.2.0/24", "10.0.0.77", "!65003:1:2")
	f.has("show bgp ipv4 unicast 192.0.2.128/25", "EGP", "RT:65003:7")
	f.has("show bgp ipv4 unicast", "203.0.113.0/24", "!10.1.0.0/16", "!10.1.2.0/24")

	// What the lists say of it.
	page := s.must(request{Op: "received", Neighbor: addr("10.0.2.2"), Family: IPv4Unicast}).Page
	rejected := ""
	for _, p := range page.Paths {
		if p.Rejected {
			rejected += p.Prefix.String()
		}
		if p.Prefix == prefix("10.1.2.0/24") && (p.LocalPref != nil || p.MED != nil || p.ASPath != "65003") {
			t.Errorf("received %+v", p)
		}
	}
	if rejected != "10.1.3.128/25" || page.Total != 7 {
		t.Errorf("rejected %q of %d", rejected, page.Total)
	}
	page = s.must(request{Op: "accepted", Neighbor: addr("10.0.2.2"), Family: IPv4Unicast}).Page
	if len(page.Paths) != 6 || page.Paths[1].LocalPref == nil || *page.Paths[1].LocalPref != 250 || !page.Paths[1].Best {
		t.Errorf("accepted %+v", page.Paths)
	}
	page = s.must(request{Op: "advertised", Neighbor: addr("10.0.0.2"), Family: IPv4Unicast}).Page
	var sent []string
	for _, p := range page.Paths {
		sent = append(sent, p.Prefix.String())
	}
	if got := strings.Join(sent, " "); got != "172.16.0.0/24 192.0.2.0/24 192.0.2.128/25 198.51.100.0/24 203.0.113.0/24" {
		t.Errorf("advertised %s", got)
	}

	// A changed import policy works on the routes that are there.
	up := s.neighbor("10.0.2.2").Since
	c.Policy.Policies[0].Statements[0].Actions.Result = Accept
	lp = 300
	s.apply(c)
	s.waitHops("10.1.3.128/25", "10.0.2.2")
	waitFor(t, "new local preference", func() error {
		if x := s.routes()["10.1.2.0/24"]; x.LocalPref != 300 {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})
	// A looser export policy too, and a tighter one takes routes back.
	c.Neighbors[0].Export = []string{"out", "none"}
	s.apply(c)
	f.has("show bgp ipv4 unicast", "10.1.0.0/16", "10.1.2.0/24", "203.0.113.0/24")
	c.Neighbors[0].Export = []string{"none"}
	s.apply(c)
	f.has("show bgp ipv4 unicast", "10.1.2.0/24", "!203.0.113.0/24", "!198.51.100.0/24")
	if !s.neighbor("10.0.2.2").Since.Equal(up) {
		t.Error("changes of policies reset a session they do not apply to")
	}
	// A wrong configuration changes nothing and says what is wrong.
	bad := c
	bad.Neighbors = []Neighbor{c.Neighbors[0]}
	bad.Neighbors[0].Import = []string{"missing"}
	_, err := s.call(request{Op: "apply", Config: &bad})
	if err == nil || !strings.Contains(err.Error(), `neighbors[10.0.0.2].import[0]: there is no policy "missing"`) {
		t.Errorf("error %v", err)
	}
	if s.neighbor("10.0.2.2").State != Established {
		t.Error("a rejected configuration changed something")
	}
}

func TestOperationsAndRedistribution(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	b := l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001", bird4, "198.51.100.0/24"))
	c := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002, IdleHoldAfterRst: time.Second}}},
	}
	s.must(request{Op: "redistribute", Add: prefixes("192.0.2.0/24", "192.0.2.64/26")}) // before there is a configuration
	s.apply(c)
	s.waitUp("10.0.0.2")
	b.has("show route all", "192.0.2.0/24", "192.0.2.64/26", "BGP.origin: Incomplete")
	s.must(request{Op: "redistribute", Add: prefixes("203.0.113.0/24"), Remove: prefixes("192.0.2.0/24")})
	b.has("show route", "203.0.113.0/24", "!192.0.2.0/24")
	c.Networks = prefixes("203.0.113.0/24", "192.0.2.128/25")
	s.apply(c)
	b.has("show route all 203.0.113.0/24", "BGP.origin: IGP")
	c.Networks = nil
	s.apply(c)
	b.has("show route all", "203.0.113.0/24", "!192.0.2.128/25", "!BGP.origin: IGP")

	s.must(request{Op: "disable", Neighbor: addr("10.0.0.2"), Text: "works on the line"})
	waitFor(t, "disabled", func() error {
		if n := s.neighbor("10.0.0.2"); n.State == Established || n.Admin != AdminDown {
			return fmt.Errorf("%s %s", n.State, n.Admin)
		}
		return nil
	})
	s.waitHops("198.51.100.0/24")
	b.has("show protocols all peer", "Administrative shutdown")
	s.must(request{Op: "enable", Neighbor: addr("10.0.0.2")})
	s.waitUp("10.0.0.2")
	s.must(request{Op: "soft", Neighbor: addr("10.0.0.2")})
	since := s.neighbor("10.0.0.2").Since
	time.Sleep(1100 * time.Millisecond) // times of sessions are whole seconds
	s.must(request{Op: "reset", Neighbor: addr("10.0.0.2")})
	waitFor(t, "reset", func() error {
		if n := s.neighbor("10.0.0.2"); n.State != Established || n.Since.Equal(since) {
			return fmt.Errorf("%s since %s, last error %q", n.State, n.Since, n.LastError)
		}
		return nil
	})
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	if _, err := s.call(request{Op: "reset", Neighbor: addr("10.0.0.9")}); err == nil || !strings.Contains(err.Error(), "is not a neighbour") {
		t.Errorf("error %v", err)
	}
	ev := strings.Join(s.must(request{Op: "routes"}).Events, ",")
	if strings.Count(ev, "10.0.0.2 established") != 3 || !strings.Contains(ev, "10.0.0.2 idle") {
		t.Errorf("events %s", ev)
	}
	// The neighbour goes, then everything is restarted with another AS.
	d := c
	d.Neighbors = nil
	s.apply(d)
	s.waitHops("198.51.100.0/24")
	c.ASN, c.Neighbors[0].LocalAS = 64999, 65001
	s.apply(c)
	s.waitUp("10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	b.has("show route", "203.0.113.0/24")
	s.must(request{Op: "close"})
	b.has("show route", "!203.0.113.0/24")
}

func TestDynamicNeighborsAndMultihop(t *testing.T) {
	l := newLab(t)
	l.add("s", "r", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "r", "eth0", []string{"10.0.0.2/24"})
	l.link("r", "eth1", []string{"10.0.1.1/24"}, "b", "eth0", []string{"10.0.1.2/24"})
	l.in("s", "ip", "route", "add", "10.0.1.0/24", "via", "10.0.0.2")
	l.in("b", "ip", "route", "add", "10.0.0.0/24", "via", "10.0.1.1")
	s := startSpeaker(t, l.ns("s"))
	l.bird("b", birdPeer("10.0.1.2", "10.0.1.2", "65003", "10.0.0.1", "65001", "multihop 4;"+bird4, "198.51.100.0/24"))
	l.bird("r", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001", "password \"dyn\";"+bird4, "192.0.2.0/24"))
	c := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		PeerGroups: []PeerGroup{{Name: "dyn", PeerSettings: PeerSettings{PeerAS: 65002, Password: "dyn"}}},
		Neighbors: []Neighbor{{Address: addr("10.0.1.2"), PeerSettings: PeerSettings{
			PeerAS: 65003, EBGPMultihop: 4, LocalAddress: addr("10.0.0.1")}}},
		DynamicNeighbors: []DynamicNeighbor{{Prefix: prefix("10.0.0.0/24"), PeerGroup: "dyn"}},
	}
	s.apply(c)
	s.waitUp("10.0.1.2", "10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.1.2")
	x := s.waitHops("192.0.2.0/24", "10.0.0.2")
	if !x.EBGP || x.Neighbor != addr("10.0.0.2") {
		t.Errorf("%+v", x)
	}
	if n := s.neighbor("10.0.0.2"); !n.Dynamic || n.PeerGroup != "dyn" {
		t.Errorf("%+v", n)
	}
	// All sessions begin anew, those of dynamic neighbours too.
	c.RouterID = addr("10.0.0.77")
	s.apply(c)
	s.waitUp("10.0.1.2", "10.0.0.2")
	s.waitHops("192.0.2.0/24", "10.0.0.2")
	c.DynamicNeighbors = nil
	s.apply(c)
	s.waitHops("192.0.2.0/24")
	s.waitHops("198.51.100.0/24", "10.0.1.2")
}

func TestPages(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	var all strings.Builder
	for i := range 2500 {
		fmt.Fprintf(&all, " 172.%d.%d.0/24", 16+i/256, i%256)
	}
	l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001", bird4, all.String()))
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002}}},
	})
	waitFor(t, "all routes", func() error {
		if n := len(s.routes()); n != 2500 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
	for _, op := range []string{"received", "accepted", "table"} {
		var last, cursor netip.Prefix
		n, pages := 0, 0
		for {
			p := s.must(request{Op: op, Neighbor: addr("10.0.0.2"), Family: IPv4Unicast, Cursor: cursor, Limit: 300}).Page
			pages++
			for _, x := range p.Paths {
				if last.IsValid() && comparePrefix(last, x.Prefix) >= 0 {
					t.Fatalf("%s: %s after %s", op, x.Prefix, last)
				}
				last = x.Prefix
				n++
			}
			if cursor = p.Next; !cursor.IsValid() {
				break
			}
		}
		if n != 2500 || pages != 9 {
			t.Errorf("%s: %d routes in %d pages", op, n, pages)
		}
	}
	before := s.must(request{Op: "routes"}).Upserts
	s.must(request{Op: "resync"})
	waitFor(t, "routes again", func() error {
		if n := s.must(request{Op: "routes"}).Upserts; n != before+2500 {
			return fmt.Errorf("%d", n-before)
		}
		return nil
	})
}
