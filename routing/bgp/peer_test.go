package bgp

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// frrBase is the start of an FRR configuration that accepts and sends everything.
func frrBase(asn, id string) string {
	return `router bgp ` + asn + `
 bgp router-id ` + id + `
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 timers bgp 10 30
`
}

func TestEBGPv4(t *testing.T) {
	l := newLab(t)
	l.add("s", "f")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "f", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65002", "10.0.0.2")+` neighbor 10.0.0.1 remote-as 65001
 neighbor 10.0.0.1 timers connect 1
 address-family ipv4 unicast
  neighbor 10.0.0.1 activate
  network 198.51.100.0/24
 exit-address-family
`)
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002}}},
		Networks:  prefixes("203.0.113.0/24"),
	})
	s.waitUp("10.0.0.2")
	x := s.waitHops("198.51.100.0/24", "10.0.0.2")
	if !x.EBGP || x.Distance != 20 || x.PeerAS != 65002 || x.Neighbor != addr("10.0.0.2") {
		t.Errorf("path set %+v", x)
	}
	f.has("show bgp ipv4 unicast 203.0.113.0/24", "65001", "10.0.0.1 from 10.0.0.1", "valid")
	f.vtysh("configure terminal", "router bgp 65002", "address-family ipv4 unicast", "no network 198.51.100.0/24")
	s.waitHops("198.51.100.0/24")
}

// birdPeer is a BIRD configuration with one session and static routes.
func birdPeer(id, local, localAS, remote, remoteAS, session, routes string) string {
	channel := func(v, route string) string {
		list := ""
		for _, r := range strings.Fields(routes) {
			if strings.Contains(r, ":") == (v == "6") {
				list += "route " + r + " blackhole;\n"
			}
		}
		return "protocol static static" + v + " { ipv" + v + ";\n" + list + "}\n"
	}
	return "router id " + id + ";\nprotocol device {}\n" + channel("4", routes) + channel("6", routes) +
		"protocol bgp peer {\nlocal " + local + " as " + localAS + ";\nneighbor " + remote + " as " + remoteAS + ";\n" +
		"connect retry time 1;\nconnect delay time 1;\nerror wait time 1,2;\nhold time 30;\n" + session + "\n}\n"
}

const bird4 = "ipv4 { import all; export all; };"
const bird6 = "ipv6 { import all; export all; };"

func TestIBGPDualStackReflector(t *testing.T) {
	l := newLab(t)
	l.add("s", "f", "b")
	l.link("s", "eth0", []string{"2001:db8:1::1/64"}, "f", "eth0", []string{"2001:db8:1::2/64"})
	l.link("s", "eth1", []string{"10.0.2.1/24"}, "b", "eth0", []string{"10.0.2.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65001", "10.0.0.2")+` neighbor 2001:db8:1::1 remote-as 65001
 address-family ipv6 unicast
  neighbor 2001:db8:1::1 activate
  network 2001:db8:a::/48
 exit-address-family
`)
	b := l.bird("b", birdPeer("10.0.2.2", "10.0.2.2", "65001", "10.0.2.1", "65001",
		"ipv4 { import all; export all; next hop self; };\nipv6 { import all; export filter { bgp_next_hop = 2001:db8:b::1; accept; }; };",
		"198.51.100.0/24 2001:db8:b::/48"))
	s.apply(Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		PeerGroups: []PeerGroup{{Name: "internal", PeerSettings: PeerSettings{
			PeerAS: 65001, RouteReflectorClient: yes(), ClusterID: addr("10.9.9.9"),
		}}},
		Neighbors: []Neighbor{
			{Address: addr("2001:db8:1::2"), PeerGroup: "internal"},
			{Address: addr("10.0.2.2"), PeerGroup: "internal", PeerSettings: PeerSettings{
				Families: []Family{IPv4Unicast, IPv6Unicast},
			}},
		},
		Networks: prefixes("2001:db8:c::/48", "203.0.113.0/24"),
	})
	s.waitUp("2001:db8:1::2", "10.0.2.2")
	x := s.waitHops("2001:db8:a::/48", "2001:db8:1::2")
	if x.EBGP || x.Distance != 200 || x.LocalPref != 100 {
		t.Errorf("path set %+v", x)
	}
	s.waitHops("198.51.100.0/24", "10.0.2.2")
	s.waitHops("2001:db8:b::/48", "2001:db8:b::1")
	f.has("show bgp ipv6 unicast", "2001:db8:c::/48")
	f.has("show bgp ipv6 unicast 2001:db8:b::/48", "Originator: 10.0.2.2", "10.9.9.9")
	b.has("show route all 2001:db8:a::/48", "BGP.originator_id: 10.0.0.2", "BGP.cluster_list: 10.9.9.9")
	b.has("show route all 203.0.113.0/24", "BGP.next_hop: 10.0.2.1")
	n := s.neighbor("10.0.2.2")
	if n.EBGP || len(n.Families) != 2 || n.PeerGroup != "internal" || n.Since.IsZero() || n.Received.Update == 0 ||
		n.Families[0].Received != 1 || n.Families[0].Accepted != 1 || n.Families[0].Advertised == 0 ||
		n.LocalAddress != "10.0.2.1" || n.HoldTime != 30*time.Second || len(n.RemoteCapabilities) == 0 {
		t.Errorf("state %+v", n)
	}
}

func TestMD5AndGTSM(t *testing.T) {
	l := newLab(t)
	l.add("s", "f", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24", "2001:db8:1::1/64"}, "f", "eth0", []string{"10.0.0.2/24", "2001:db8:1::2/64"})
	l.link("s", "eth1", []string{"10.0.2.1/24"}, "b", "eth0", []string{"10.0.2.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65002", "10.0.0.2")+` neighbor 10.0.0.1 remote-as 65001
 neighbor 10.0.0.1 timers connect 1
 neighbor 10.0.0.1 password s3cret
 neighbor 2001:db8:1::1 remote-as 65001
 neighbor 2001:db8:1::1 password s3cret6
 neighbor 2001:db8:1::1 ttl-security hops 1
 address-family ipv4 unicast
  neighbor 10.0.0.1 activate
  network 198.51.100.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:1::1 activate
  network 2001:db8:a::/48
 exit-address-family
`)
	l.bird("b", birdPeer("10.0.2.2", "10.0.2.2", "65003", "10.0.2.1", "65001", "ttl security on;"+bird4, "192.0.2.0/24"))
	c := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{
			{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{PeerAS: 65002, Password: "wrong", ConnectRetry: time.Second}},
			{Address: addr("2001:db8:1::2"), PeerSettings: PeerSettings{
				PeerAS: 65002, Password: "s3cret6", TTLSecurityHops: 1, ConnectRetry: time.Second,
			}},
			{Address: addr("10.0.2.2"), PeerSettings: PeerSettings{PeerAS: 65003, TTLSecurityHops: 1}},
		},
	}
	s.apply(c)
	s.waitUp("2001:db8:1::2", "10.0.2.2")
	s.waitHops("2001:db8:a::/48", "2001:db8:1::2")
	if n := s.neighbor("10.0.0.2"); n.State == Established {
		t.Fatal("session is up in spite of a wrong password")
	}
	up := s.neighbor("2001:db8:1::2").Since
	c.Neighbors[0].Password = "s3cret"
	s.apply(c)
	s.waitUp("10.0.0.2")
	s.waitHops("198.51.100.0/24", "10.0.0.2")
	if got := s.neighbor("2001:db8:1::2").Since; !got.Equal(up) {
		t.Error("a change of one neighbour reset another")
	}
	// And without a password again: the key must be gone from the listener.
	c.Neighbors[0].Password = ""
	c.Neighbors[0].Passive = yes()
	f.vtysh("configure terminal", "router bgp 65002", "no neighbor 10.0.0.1 password s3cret")
	s.apply(c)
	s.waitUp("10.0.0.2")
}

func TestMultipath(t *testing.T) {
	for _, kind := range []string{"ebgp", "ibgp"} {
		t.Run(kind, func(t *testing.T) {
			l := newLab(t)
			l.add("s")
			s := startSpeaker(t, l.ns("s"))
			c := Config{ASN: 65001, RouterID: addr("10.9.9.1"), Multipath: Multipath{EBGP: 64, IBGP: 64}}
			var birds []*bird
			for i := 1; i <= 3; i++ {
				b, me, it := fmt.Sprint("b", i), fmt.Sprintf("10.0.%d.1", i), fmt.Sprintf("10.0.%d.2", i)
				as := fmt.Sprint(65001 + i)
				if kind == "ibgp" {
					as = "65001"
				}
				l.add(b)
				l.link("s", fmt.Sprint("eth", i), []string{me + "/24"}, b, "eth0", []string{it + "/24"})
				birds = append(birds, l.bird(b, birdPeer(it, it, as, me, "65001",
					"ipv4 { import all; export all; next hop self; };", "198.51.100.0/24 192.0.2.0/24")))
				n, _ := strconv.Atoi(as)
				c.Neighbors = append(c.Neighbors, Neighbor{Address: addr(it), PeerSettings: PeerSettings{PeerAS: uint32(n)}})
			}
			s.apply(c)
			s.waitHops("198.51.100.0/24", "10.0.1.2", "10.0.2.2", "10.0.3.2")
			s.waitHops("192.0.2.0/24", "10.0.1.2", "10.0.2.2", "10.0.3.2")
			// One of them withdraws one prefix only.
			birds[1].edit("route 198.51.100.0/24 blackhole;", "")
			birds[1].birdc("configure")
			s.waitHops("198.51.100.0/24", "10.0.1.2", "10.0.3.2")
			s.waitHops("192.0.2.0/24", "10.0.1.2", "10.0.2.2", "10.0.3.2")
			// A lower limit takes effect on what is there, without touching sessions.
			c.Multipath = Multipath{EBGP: 2, IBGP: 2}
			s.apply(c)
			waitFor(t, "two next hops", func() error {
				if n := len(s.routes()["192.0.2.0/24"].NextHops); n != 2 {
					return fmt.Errorf("%d", n)
				}
				return nil
			})
			c.Multipath = Multipath{EBGP: 64, IBGP: 64}
			s.apply(c)
			s.waitHops("192.0.2.0/24", "10.0.1.2", "10.0.2.2", "10.0.3.2")
			// A session dies.
			birds[2].kill()
			s.waitHops("192.0.2.0/24", "10.0.1.2", "10.0.2.2")
			s.waitHops("198.51.100.0/24", "10.0.1.2")
		})
	}
}

func TestPrefixLimit(t *testing.T) {
	l := newLab(t)
	l.add("s", "b")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "b", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	var many, few string
	for i := range 30 {
		many += fmt.Sprintf(" 192.168.%d.0/24", i)
		if i < 5 {
			few = many
		}
	}
	conf := func(routes string) string {
		return birdPeer("10.0.0.2", "10.0.0.2", "65002", "10.0.0.1", "65001", bird4, routes)
	}
	b := l.bird("b", conf(many))
	c := Config{
		ASN: 65001, RouterID: addr("10.0.0.1"),
		Neighbors: []Neighbor{{Address: addr("10.0.0.2"), PeerSettings: PeerSettings{
			PeerAS:       65002,
			PrefixLimits: []PrefixLimit{{Family: IPv4Unicast, Max: 10, WarnPercent: 80, RestartAfter: 4 * time.Second}},
		}}},
	}
	s.apply(c)
	waitFor(t, "session ended by its limit", func() error {
		n := s.neighbor("10.0.0.2")
		if n.Admin != AdminPrefixLimit || n.State == Established {
			return fmt.Errorf("%s %s", n.State, n.Admin)
		}
		if !strings.Contains(strings.ToLower(n.LastError), "maximum number of prefixes") {
			return fmt.Errorf("last error %q", n.LastError)
		}
		return nil
	})
	waitFor(t, "routes gone", func() error {
		if r := s.routes(); len(r) > 0 {
			return fmt.Errorf("%d", len(r))
		}
		return nil
	})
	if err := os.WriteFile(b.dir+"/conf", []byte("log \""+b.dir+"/log\" all;\n"+conf(few)), 0o644); err != nil {
		t.Fatal(err)
	}
	b.birdc("configure")
	s.waitUp("10.0.0.2") // by restart-after
	s.waitHops("192.168.4.0/24", "10.0.0.2")
	// Only a warning, and a changed limit leaves the session alone.
	up := s.neighbor("10.0.0.2").Since
	c.Neighbors[0].PrefixLimits = []PrefixLimit{{Family: IPv4Unicast, Max: 3, WarnOnly: true}}
	s.apply(c)
	time.Sleep(time.Second)
	waitFor(t, "the warning", func() error {
		if n := s.neighbor("10.0.0.2"); !n.Families[0].LimitExceeded {
			return fmt.Errorf("state %+v", n)
		}
		return nil
	})
	if n := s.neighbor("10.0.0.2"); !n.Since.Equal(up) {
		t.Errorf("state %+v", n)
	}
}
