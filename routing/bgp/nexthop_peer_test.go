package bgp

import (
	"strings"
	"testing"
)

// IPv4 routes over an IPv6 session (RFC 8950).
func TestExtendedNextHop(t *testing.T) {
	l := newLab(t)
	l.add("s", "f", "b")
	l.link("s", "eth0", []string{"2001:db8:1::1/64"}, "f", "eth0", []string{"2001:db8:1::2/64"})
	l.link("s", "eth1", []string{"2001:db8:2::1/64"}, "b", "eth0", []string{"2001:db8:2::2/64"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65002", "10.0.0.2")+` neighbor 2001:db8:1::1 remote-as 65001
 neighbor 2001:db8:1::1 capability extended-nexthop
 address-family ipv4 unicast
  neighbor 2001:db8:1::1 activate
  network 198.51.100.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:1::1 activate
  network 2001:db8:a::/48
 exit-address-family
`)
	b := l.bird("b", birdPeer("10.0.2.2", "2001:db8:2::2", "65003", "2001:db8:2::1", "65001",
		"ipv4 { import all; export all; extended next hop on; };"+bird6, "192.0.2.0/24"))
	both := []Family{IPv4Unicast, IPv6Unicast}
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"), Networks: prefixes("203.0.113.0/24"),
		Neighbors: []Neighbor{
			{Address: addr("2001:db8:1::2"), PeerSettings: PeerSettings{PeerAS: 65002, Families: both}},
			{Address: addr("2001:db8:2::2"), PeerSettings: PeerSettings{PeerAS: 65003, Families: both}},
		},
	})
	s.waitUp("2001:db8:1::2", "2001:db8:2::2")
	s.waitHops("198.51.100.0/24", "2001:db8:1::2")
	s.waitHops("192.0.2.0/24", "2001:db8:2::2")
	s.waitHops("2001:db8:a::/48", "2001:db8:1::2")
	f.has("show bgp ipv4 unicast 203.0.113.0/24", "2001:db8:1::1", "valid")
	f.has("show bgp ipv4 unicast 192.0.2.0/24", "2001:db8:1::1")
	b.has("show route all 203.0.113.0/24", "BGP.next_hop: 2001:db8:2::1")
}

// Sessions between link-local addresses, the same one on two links: next hops keep their interface.
func TestLinkLocal(t *testing.T) {
	l := newLab(t)
	l.add("s", "b", "c")
	for _, n := range []string{"s", "b", "c"} { // no link-local addresses of the kernel's making
		l.in(n, "sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1")
	}
	l.link("s", "eth0", []string{"fe80::1/64"}, "b", "eth0", []string{"fe80::2/64"})
	l.link("s", "eth1", []string{"fe80::1/64"}, "c", "eth0", []string{"fe80::2/64"})
	s := startSpeaker(t, l.ns("s"))
	session := "interface \"eth0\"; ipv4 { import all; export all; extended next hop on; };" + bird6
	b := l.bird("b", birdPeer("10.0.0.2", "fe80::2", "65002", "fe80::1", "65001", session,
		"198.51.100.0/24 192.0.2.0/24 2001:db8:b::/48"))
	c := l.bird("c", birdPeer("10.0.0.3", "fe80::2", "65003", "fe80::1", "65001", session,
		"198.51.100.0/24 203.0.113.0/24 2001:db8:c::/48"))
	both := []Family{IPv4Unicast, IPv6Unicast}
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"), Multipath: Multipath{EBGP: 8}, Networks: prefixes("2001:db8:5::/48"),
		Neighbors: []Neighbor{
			{Address: addr("fe80::2%eth0"), PeerSettings: PeerSettings{PeerAS: 65002, Families: both}},
			{Address: addr("fe80::2%eth1"), PeerSettings: PeerSettings{PeerAS: 65003, Families: both}},
		},
	})
	s.waitUp("fe80::2%eth0", "fe80::2%eth1")
	s.waitHops("2001:db8:b::/48", "fe80::2%eth0")
	s.waitHops("2001:db8:c::/48", "fe80::2%eth1")
	s.waitHops("192.0.2.0/24", "fe80::2%eth0")
	s.waitHops("203.0.113.0/24", "fe80::2%eth1")
	x := s.waitHops("198.51.100.0/24", "fe80::2%eth0", "fe80::2%eth1")
	if !x.EBGP || !strings.Contains(x.Neighbor.String(), "%eth") {
		t.Errorf("%+v", x)
	}
	b.has("show route all 2001:db8:5::/48", "fe80::1")
	c.has("show route all 2001:db8:5::/48", "fe80::1")
	c.kill()
	s.waitHops("198.51.100.0/24", "fe80::2%eth0")
}

// Routes from eBGP go to an iBGP neighbour with our address as next hop; without the setting they keep theirs.
func TestNextHopSelf(t *testing.T) {
	l := newLab(t)
	l.add("s", "b", "c")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	l.link("s", "eth1", []string{"10.0.1.1/24"}, "c", "eth0", []string{"10.0.1.2/24"})
	s := startSpeaker(t, l.ns("s"))
	l.bird("b", birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001", bird4, "198.51.100.0/24"))
	c := l.bird("c", birdPeer("10.0.1.2", "10.0.1.2", "65001", "10.0.1.1", "65001",
		"ipv4 { import keep filtered; import all; export all; gateway recursive; };", ""))
	cfg := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{
			{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002}},
			{Address: addr("10.0.1.2"), PeerSettings: PeerSettings{PeerAS: 65001, NextHopSelf: yes()}},
		},
	}
	s.apply(cfg)
	s.waitUp("10.0.0.2", "10.0.1.2")
	c.has("show route all 198.51.100.0/24", "BGP.next_hop: 10.0.1.1", "BGP.as_path: 65002")
	since := s.neighbor("10.0.1.2").Since
	cfg.Neighbors[1].NextHopSelf = nil
	s.apply(cfg)
	c.has("show route all 198.51.100.0/24", "BGP.next_hop: 10.0.0.2")
	if !s.neighbor("10.0.1.2").Since.Equal(since) {
		t.Error("the session was reset")
	}
}
