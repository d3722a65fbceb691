package bgp

import (
	"testing"
)

// frrBase is the start of an FRR configuration that accepts and sends everything.
func frrBase(asn, id string) string {
	return `router bgp ` + asn + `
 bgp router-id ` + id + `
 no bgp ebgp-requires-policy
 no bgp network import-check
 no bgp default ipv4-unicast
 timers bgp 3 9
 timers bgp connect 1
`
}

func TestEBGPv4(t *testing.T) {
	l := newLab(t)
	l.add("s", "f")
	l.link("s", "eth0", []string{"10.0.0.1/24"}, "f", "eth0", []string{"10.0.0.2/24"})
	s := startSpeaker(t, l.ns("s"))
	f := l.frr("f", frrBase("65002", "10.0.0.2")+` neighbor 10.0.0.1 remote-as 65001
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
