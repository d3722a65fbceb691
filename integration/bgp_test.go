package integration

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// frrPeer is FRR on link i with one session over IPv4 for both families.
func frrPeer(i, as, boxAS int, v4, v6, neighbor string) string {
	return fmt.Sprintf(`
ip nht resolve-via-default
ipv6 nht resolve-via-default
router bgp %[2]d
 bgp router-id 10.0.%[1]d.2
 no bgp ebgp-requires-policy
 no bgp network import-check
 neighbor 10.0.%[1]d.1 remote-as %[3]d
 neighbor 10.0.%[1]d.1 timers connect 1
 %[6]s
 address-family ipv4 unicast
  network %[4]s
 exit-address-family
 address-family ipv6 unicast
  neighbor 10.0.%[1]d.1 activate
  neighbor 10.0.%[1]d.1 route-map V6 out
  network %[5]s
 exit-address-family
route-map V6 permit 10
 set ipv6 next-hop global 2001:db8:0:%[1]d::2
`, i, as, boxAS, v4, v6, neighbor)
}

// birdKernel puts what BIRD learns into the kernel.
const birdKernel = `
protocol direct { ipv4; ipv6; interface "eth0"; }
protocol kernel { ipv4 { import none; export where source = RTS_BGP; }; }
protocol kernel { ipv6 { import none; export where source = RTS_BGP; }; }
`

// birdPeer is BIRD on link i with one session over IPv4 for both families; options go into the protocol.
func birdPeer(i, as, boxAS int, v4, v6, options string) string {
	return fmt.Sprintf(`
router id 10.0.%[1]d.2;
%[7]s
protocol static links4 { ipv4; route 10.0.0.0/16 via 10.0.%[1]d.1; }
protocol static links6 { ipv6; route 2001:db8::/48 via 2001:db8:0:%[1]d::1; }
protocol static s4 { ipv4; %[4]s }
protocol static s6 { ipv6; %[5]s }
protocol bgp box {
  local 10.0.%[1]d.2 as %[2]d;
  neighbor 10.0.%[1]d.1 as %[3]d;
  connect retry time 1; connect delay time 1; error wait time 1, 2;
  %[6]s
  ipv4 { import all; export where proto = "s4"; next hop self; };
  ipv6 { import all; export filter { if proto != "s6" then reject; bgp_next_hop = 2001:db8:0:%[1]d::2; accept; }; };
}
`, i, as, boxAS, birdRoutes(v4), birdRoutes(v6), options, birdKernel)
}

func birdRoutes(prefixes string) string {
	var s strings.Builder
	for _, p := range strings.Fields(prefixes) {
		fmt.Fprintf(&s, "route %s blackhole; ", p)
	}
	return s.String()
}

const bothFamilies = "families: [{name: ipv4-unicast}, {name: ipv6-unicast}]"

func bgpConfig(asn int, rest string, neighbors ...string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "network-instances:\n  - name: default\n    bgp:\n      asn: %d\n      router-id: 10.0.1.1\n", asn)
	for _, line := range strings.Split(strings.TrimSpace(rest), "\n") {
		fmt.Fprintf(&s, "      %s\n", line)
	}
	s.WriteString("      neighbors:\n")
	for _, n := range neighbors {
		fmt.Fprintf(&s, "        - {%s}\n", n)
	}
	return s.String()
}

// TestBGPPeers has FRR and BIRD as eBGP peers and as clients of our route reflector, with both families on each session.
func TestBGPPeers(t *testing.T) {
	b := newBed(t, 4)
	as := map[int]int{2: 65010, 3: 65020, 4: 65001, 5: 65001}
	v4 := func(i int) string { return fmt.Sprintf("203.0.%d.0/24", i) }
	v6 := func(i int) string { return fmt.Sprintf("2001:db8:c%d::/64", i) }
	networks := `networks: [10.0.1.0/24, "2001:db8:0:1::/64"]`
	var neighbors []string
	for i := 2; i <= 5; i++ {
		more := ""
		if as[i] == 65001 {
			more = ", route-reflector-client: true"
		}
		neighbors = append(neighbors, fmt.Sprintf("address: 10.0.%d.2, remote-as: %d, %s%s", i, as[i], bothFamilies, more))
		b.stub(fmt.Sprintf("r%d", i), v4(i), v6(i))
	}
	b.start(b.interfaces() + bgpConfig(65001, networks, neighbors...))
	frr := map[int]*lab.FRR{}
	bird := map[int]*lab.BIRD{}
	for _, i := range []int{2, 4} {
		frr[i] = b.frr(fmt.Sprintf("r%d", i), frrPeer(i, as[i], 65001, v4(i), v6(i), ""))
	}
	for _, i := range []int{3, 5} {
		bird[i] = b.bird(fmt.Sprintf("r%d", i), birdPeer(i, as[i], 65001, v4(i), v6(i), ""))
	}
	b.established("10.0.2.2", "10.0.3.2", "10.0.4.2", "10.0.5.2")
	for i := 2; i <= 5; i++ {
		b.installed(v4(i), v6(i))
		b.pings("a", fmt.Sprintf("203.0.%d.2", i), fmt.Sprintf("2001:db8:c%d::2", i))
	}
	for i := 2; i <= 5; i++ {
		r, err := b.routes(v4(i))
		b.ok(err)
		want := uint32(20)
		if as[i] == 65001 {
			want = 200
		}
		if r[0].GetDistance() != want || r[0].GetSource() != vnfv1.RouteSource_ROUTE_SOURCE_BGP {
			t.Errorf("%s: %v", v4(i), r[0])
		}
	}

	// What the peers got from us, with the attributes that the protocol asks for.
	has := func(name string, get func() (string, error), words ...string) {
		t.Helper()
		b.eventually(15*time.Second, func() error {
			out, err := get()
			for _, w := range words {
				if err == nil && !strings.Contains(out, w) {
					err = fmt.Errorf("%s: no %q in\n%s", name, w, out)
				}
			}
			return err
		})
	}
	show := func(i int, prefix string) func() (string, error) {
		family := "ipv4"
		if strings.Contains(prefix, ":") {
			family = "ipv6"
		}
		if f := frr[i]; f != nil {
			return func() (string, error) { return f.VTY("show bgp " + family + " unicast " + prefix) }
		}
		return func() (string, error) { return bird[i].Ctl("show", "route", "for", prefix, "all") }
	}
	has("FRR eBGP: our network", show(2, "10.0.1.0/24"), "65001", "10.0.2.1 from 10.0.2.1", "valid, external")
	has("FRR eBGP: our IPv6 network", show(2, "2001:db8:0:1::/64"), "2001:db8:0:2::1", "valid, external")
	has("FRR eBGP: BIRD's network", show(2, v4(3)), "65001 65020", "10.0.2.1 from 10.0.2.1")
	has("FRR eBGP: an iBGP client's network", show(2, v4(5)), "65001\n", "10.0.2.1 from 10.0.2.1")
	has("BIRD eBGP: our network", show(3, "10.0.1.0/24"), "BGP.as_path: 65001\n", "BGP.next_hop: 10.0.3.1")
	has("BIRD eBGP: our IPv6 network", show(3, "2001:db8:0:1::/64"), "BGP.as_path: 65001\n", "BGP.next_hop: 2001:db8:0:3::1")
	has("BIRD eBGP: FRR's network", show(3, v4(2)), "BGP.as_path: 65001 65010\n")
	has("BIRD eBGP: FRR's IPv6 network", show(3, v6(2)), "BGP.as_path: 65001 65010\n", "BGP.next_hop: 2001:db8:0:3::1")
	has("FRR client: reflected from BIRD", show(4, v4(5)), "Originator: 10.0.5.2", "Cluster list: 10.0.1.1", "10.0.5.2 ")
	has("BIRD client: reflected from FRR", show(5, v4(4)), "BGP.originator_id: 10.0.4.2", "BGP.cluster_list: 10.0.1.1", "BGP.next_hop: 10.0.4.2")
	has("BIRD client: reflected from FRR, IPv6", show(5, v6(4)), "BGP.originator_id: 10.0.4.2", "BGP.next_hop: 2001:db8:0:4::2")
	has("BIRD client: from eBGP", show(5, v4(2)), "BGP.as_path: 65010\n", "BGP.local_pref: 100", "BGP.next_hop: 10.0.2.2")
	// eBGP to eBGP, and client to client, through the box.
	b.pings("r2h", "203.0.3.2", "2001:db8:c3::2")
	b.pings("r5h", "203.0.4.2", "2001:db8:c4::2")

	// What a peer withdraws goes, here and at the other peers.
	b.ok(bird[3].Configure("protocol device {}\n" + birdPeer(3, as[3], 65001, "198.51.100.0/24", v6(3), "")))
	b.gone(v4(3))
	b.installed("198.51.100.0/24", v6(3))
	b.eventually(10*time.Second, func() error {
		out, err := frr[2].VTY("show bgp ipv4 unicast " + v4(3))
		if err == nil && !strings.Contains(out, "not in table") {
			err = errors.New(out)
		}
		return err
	})
}

// TestBGPAuthentication: TCP MD5 signatures (RFC 2385) with the right key and with a wrong one.
func TestBGPAuthentication(t *testing.T) {
	b := newBed(t, 2)
	config := func(key string) string {
		return b.interfaces() + bgpConfig(65001, "",
			"address: 10.0.2.2, remote-as: 65010, connect-retry: 1, password: "+key,
			"address: 10.0.3.2, remote-as: 65020, connect-retry: 1, password: "+key)
	}
	b.start(config("wrong"))
	b.frr("r2", frrPeer(2, 65010, 65001, "203.0.2.0/24", "2001:db8:c2::/64", "neighbor 10.0.2.1 password s3cret"))
	b.bird("r3", birdPeer(3, 65020, 65001, "203.0.3.0/24", "2001:db8:c3::/64", `password "s3cret";`))
	down := func(neighbors ...string) {
		t.Helper()
		for _, n := range neighbors {
			s, err := b.session(n)
			b.ok(err)
			if s.GetSessionState() >= vnfv1.BgpSessionState_BGP_SESSION_STATE_OPENCONFIRM || s.GetFlaps() > 0 {
				t.Fatalf("%s came up with the wrong key: %v", n, s)
			}
		}
	}
	b.steady(5*time.Second, func() error { down("10.0.2.2", "10.0.3.2"); return nil })
	out, err := b.box.Inner.Output("nstat", "-asz", "TcpExtTCPMD5Failure", "TcpExtTCPMD5Unexpected", "TcpExtTCPMD5NotFound")
	b.ok(err)
	if !strings.Contains(out, "TCPMD5Failure") || strings.Contains(strings.Join(strings.Fields(out), " "), "TCPMD5Failure 0 ") {
		t.Errorf("the kernel saw no wrong signatures, so the sessions are down for another reason:\n%s", out)
	}
	b.alarm(true, "10.0.2.2")
	b.ok(b.box.Apply(config("s3cret")))
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "203.0.3.0/24")
	b.alarm(false, "10.0.2.2")
}

// TestBGPTTLSecurity: GTSM (RFC 5082) with peers that do it, and with one whose packets could come from afar.
func TestBGPTTLSecurity(t *testing.T) {
	b := newBed(t, 3)
	config := func(third string) string {
		return b.interfaces() + bgpConfig(65001, "",
			"address: 10.0.2.2, remote-as: 65010, connect-retry: 1, ttl-security: 1",
			"address: 10.0.3.2, remote-as: 65020, connect-retry: 1, ttl-security: 1",
			"address: 10.0.4.2, remote-as: 65030, connect-retry: 1"+third)
	}
	b.start(config(", ttl-security: 1"))
	b.frr("r2", frrPeer(2, 65010, 65001, "203.0.2.0/24", "2001:db8:c2::/64", "neighbor 10.0.2.1 ttl-security hops 1"))
	b.bird("r3", birdPeer(3, 65020, 65001, "203.0.3.0/24", "2001:db8:c3::/64", "multihop 1; ttl security on;"))
	third := b.bird("r4", birdPeer(4, 65030, 65001, "203.0.4.0/24", "2001:db8:c4::/64", ""))
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "203.0.3.0/24")
	b.steady(4*time.Second, func() error {
		s, err := b.session("10.0.4.2")
		if err == nil && s.GetFlaps() > 0 {
			err = errors.New("a peer that sends TTL 1 came up")
		}
		return err
	})
	b.ok(b.box.Apply(config("")))
	// BIRD has a connection on which our kernel takes nothing from it, not even acknowledgements, and would hold it for the hold time.
	_, err := third.Ctl("restart", "box")
	b.ok(err)
	b.established("10.0.4.2")
}

// TestBGPMultihop has a session from our loopback to one three routers away: the exception path follows the data plane's FIB.
func TestBGPMultihop(t *testing.T) {
	b := newBed(t, 1)
	// box - r2 - m1 - m2, which has the peer on its loopback.
	l := b.lab
	chain := []string{"r2", "m1", "m2"}
	for i := 0; i+1 < len(chain); i++ {
		near, far := l.NS(chain[i]), l.NS(chain[i+1])
		l.Veth(near, "down0", far, "up0")
		far.Sysctl("net.ipv4.ip_forward", "1")
		far.Sysctl("net.ipv6.conf.all.forwarding", "1")
		near.Addr("down0", fmt.Sprintf("172.16.%d.1/24", i))
		far.Addr("up0", fmt.Sprintf("172.16.%d.2/24", i))
		near.Addr("down0", fmt.Sprintf("2001:db8:e:%d::1/64", i))
		far.Addr("up0", fmt.Sprintf("2001:db8:e:%d::2/64", i))
		far.Default(fmt.Sprintf("172.16.%d.1", i))
		far.Default(fmt.Sprintf("2001:db8:e:%d::1", i))
		for _, d := range []string{"192.0.2.9/32", "203.0.9.0/24"} {
			near.IP("route", "add", d, "via", fmt.Sprintf("172.16.%d.2", i))
		}
		for _, d := range []string{"2001:db8:9::9/128", "2001:db8:99::/64"} {
			near.IP("-6", "route", "add", d, "via", fmt.Sprintf("2001:db8:e:%d::2", i))
		}
	}
	peer := l.NS("m2")
	for _, a := range []string{"192.0.2.9/32", "203.0.9.1/24", "2001:db8:9::9/128", "2001:db8:99::1/64"} {
		peer.Addr("lo", a)
	}
	for _, to := range []string{"r2"} {
		l.NS(to).IP("route", "add", "198.51.100.1/32", "via", "10.0.2.1")
		l.NS(to).IP("-6", "route", "add", "2001:db8:51::1/128", "via", "2001:db8:0:2::1")
	}
	b.start(b.interfaces("{name: lo0, type: loopback, addresses: [198.51.100.1/32, \"2001:db8:51::1/128\"]}") + `
network-instances:
  - name: default
    static-routes:
      - {prefix: 192.0.2.9/32, next-hops: [{address: 10.0.2.2}]}
      - {prefix: "2001:db8:9::9/128", next-hops: [{address: "2001:db8:0:2::2"}]}
    bgp:
      asn: 65001
      router-id: 198.51.100.1
      networks: [10.0.1.0/24, "2001:db8:0:1::/64"]
      neighbors:
        - {address: 192.0.2.9, remote-as: 65090, multihop: 8, local-address: 198.51.100.1, connect-retry: 1}
        - {address: "2001:db8:9::9", remote-as: 65090, multihop: 8, local-address: "2001:db8:51::1", connect-retry: 1}
`)
	bird := b.bird("m2", `
router id 192.0.2.9;
protocol static s4 { ipv4; route 203.0.9.0/24 blackhole; }
protocol static s6 { ipv6; route 2001:db8:99::/64 blackhole; }
protocol bgp box4 { local 192.0.2.9 as 65090; neighbor 198.51.100.1 as 65001; multihop 8; connect retry time 1; connect delay time 1;
  ipv4 { import all; export where source = RTS_STATIC; gateway recursive; }; }
protocol bgp box6 { local 2001:db8:9::9 as 65090; neighbor 2001:db8:51::1 as 65001; multihop 8; connect retry time 1; connect delay time 1;
  ipv6 { import all; export where source = RTS_STATIC; gateway recursive; }; }
`)
	b.established("192.0.2.9", "2001:db8:9::9")
	b.installed("203.0.9.0/24", "2001:db8:99::/64")
	// The next hop is the loopback far away: recursive over the static route.
	for dst, gw := range map[string]string{"203.0.9.1": "10.0.2.2", "2001:db8:99::1": "2001:db8:0:2::2"} {
		d, err := b.lookup(dst)
		b.ok(err)
		if d.GetGateway() != gw || d.GetInterface() != "eth2" {
			t.Errorf("%s goes %v, want via %s on eth2", dst, d, gw)
		}
	}
	b.pings("a", "203.0.9.1", "2001:db8:99::1")
	b.eventually(10*time.Second, func() error {
		out, err := bird.Ctl("show", "route", "for", "10.0.1.0/24", "all")
		if err == nil && !strings.Contains(out, "BGP.next_hop: 198.51.100.1") {
			err = errors.New(out)
		}
		return err
	})
	// Kernel sockets reach what is several routers away, and are reached.
	if out, err := b.box.Inner.Output("ping", "-n", "-c", "2", "-i", "0.2", "-I", "198.51.100.1", "203.0.9.1"); err != nil {
		t.Error(out)
	}
}

// TestBGPPolicy has import and export policy by prefix, community and AS path, against FRR and BIRD.
func TestBGPPolicy(t *testing.T) {
	b := newBed(t, 2)
	b.start(b.interfaces() + bgpConfig(65001, "networks: [10.0.1.0/24, 10.9.0.0/16]",
		"address: 10.0.2.2, remote-as: 65010, import-policies: [in], export-policies: [out]",
		"address: 10.0.3.2, remote-as: 65020, import-policies: [in]") + `
routing-policy:
  prefix-sets:
    - {name: private, prefixes: [{prefix: 10.0.0.0/8, max: 32}]}
    - {name: nine, prefixes: [{prefix: 10.9.0.0/16}]}
  community-sets:
    - {name: backup, communities: ["65020:666"]}
  as-path-sets:
    - {name: bad, patterns: [_64666_]}
  policies:
    - name: in
      statements:
        - {name: private, match: {prefix-set: private}, actions: {result: reject}}
        - {name: bad, match: {as-path-set: bad}, actions: {result: reject}}
        - {name: backup, match: {community-set: backup}, actions: {set-local-pref: 50, add-communities: ["65001:50"], result: accept}}
        - {name: rest, actions: {set-local-pref: 200, result: accept}}
    - name: out
      statements:
        - {name: nine, match: {prefix-set: nine}, actions: {result: reject}}
        - {name: backup, match: {community-set: backup}, actions: {prepend: 3, set-med: 77, result: accept}}
        - {name: rest, actions: {add-communities: ["65001:1"], result: accept}}
`)
	frr := b.frr("r2", frrPeer(2, 65010, 65001, "203.0.2.0/24", "2001:db8:c2::/64", ""))
	b.bird("r3", `
router id 10.0.3.2;
protocol static s4 { ipv4;
  route 203.0.3.0/24 blackhole;
  route 203.0.4.0/24 blackhole { bgp_community.add((65020,666)); };
  route 203.0.5.0/24 blackhole { bgp_path.prepend(64666); };
  route 10.77.0.0/16 blackhole;
}
protocol bgp box { local 10.0.3.2 as 65020; neighbor 10.0.3.1 as 65001; connect retry time 1; connect delay time 1;
  ipv4 { import all; export all; }; }
`)
	b.established("10.0.2.2", "10.0.3.2")
	b.installed("203.0.2.0/24", "203.0.3.0/24", "203.0.4.0/24")
	for _, p := range []string{"203.0.5.0/24", "10.77.0.0/16"} {
		if r, err := b.routes(p); err != nil || len(r) > 0 {
			t.Errorf("%s was to be rejected: %v %v", p, r, err)
		}
	}
	got, err := b.bgpRoutes("received", "10.0.3.2")
	b.ok(err)
	filtered := map[string]bool{}
	for _, r := range got {
		filtered[r.GetPrefix()] = r.GetFiltered()
	}
	want := map[string]bool{"203.0.3.0/24": false, "203.0.4.0/24": false, "203.0.5.0/24": true, "10.77.0.0/16": true}
	for p, f := range want {
		if v, ok := filtered[p]; !ok || v != f {
			t.Errorf("received %s: there %v, filtered %v, want filtered %v", p, ok, v, f)
		}
	}
	accepted, err := b.bgpRoutes("accepted", "10.0.3.2", "--prefix", "203.0.4.0/24")
	b.ok(err)
	if len(accepted) != 1 || accepted[0].GetLocalPreference() != 50 || !strings.Contains(fmt.Sprint(accepted[0].GetCommunities()), "65001:50") {
		t.Errorf("accepted: %v", accepted)
	}
	show := func(p string, words ...string) {
		t.Helper()
		b.eventually(10*time.Second, func() error {
			out, err := frr.VTY("show bgp ipv4 unicast " + p)
			for _, w := range words {
				if err == nil && !strings.Contains(out, w) {
					err = fmt.Errorf("%s: no %q in\n%s", p, w, out)
				}
			}
			return err
		})
	}
	show("10.0.1.0/24", "Community: 65001:1")
	show("203.0.3.0/24", "65001 65020", "Community: 65001:1")
	show("203.0.4.0/24", "65001 65001 65001 65001 65020", "metric 77", "65001:50 65020:666")
	show("10.9.0.0/16", "not in table")
	show("203.0.5.0/24", "not in table")
	adv, err := b.bgpRoutes("advertised", "10.0.2.2")
	b.ok(err)
	names := map[string]bool{}
	for _, r := range adv {
		names[r.GetPrefix()] = true
	}
	if !names["10.0.1.0/24"] || !names["203.0.4.0/24"] || names["10.9.0.0/16"] || names["10.77.0.0/16"] {
		t.Errorf("advertised to FRR: %v", names)
	}
}

// TestBGPPrefixLimit: a peer that announces more than agreed loses its session, which is an alarm, until it comes to reason.
func TestBGPPrefixLimit(t *testing.T) {
	b := newBed(t, 1)
	b.start(b.interfaces() + bgpConfig(65001, "",
		"address: 10.0.2.2, remote-as: 65010, connect-retry: 1, families: [{name: ipv4-unicast, prefix-limit: 10}]"))
	many := func(n int) string {
		var s strings.Builder
		for i := range n {
			fmt.Fprintf(&s, "203.0.%d.0/24 ", 100+i)
		}
		return birdPeer(2, 65010, 65001, s.String(), "", "graceful restart off;")
	}
	bird := b.bird("r2", many(8))
	b.established("10.0.2.2")
	b.installed("203.0.107.0/24")
	b.ok(bird.Configure("protocol device {}\n" + many(20)))
	b.alarm(true, "more prefixes")
	b.gone("203.0.107.0/24", "203.0.115.0/24")
	b.eventually(5*time.Second, func() error {
		s, err := b.session("10.0.2.2")
		if err == nil && !strings.Contains(s.GetDownReason(), "prefix limit") {
			err = fmt.Errorf("down reason %q", s.GetDownReason())
		}
		return err
	})
	// It stays down by itself.
	b.steady(4*time.Second, func() error {
		s, err := b.session("10.0.2.2")
		if err == nil && s.GetSessionState() == vnfv1.BgpSessionState_BGP_SESSION_STATE_ESTABLISHED {
			err = errors.New("the session came up by itself")
		}
		return err
	})
	b.ok(bird.Configure("protocol device {}\n" + many(9)))
	b.ctl("bgp", "enable", "10.0.2.2")
	b.established("10.0.2.2")
	b.installed("203.0.108.0/24")
	b.alarm(false, "more prefixes")
}

// TestBGPExtendedNextHop: IPv4 routes with IPv6 next hops (RFC 8950), from FRR and from BIRD; packets go there.
func TestBGPExtendedNextHop(t *testing.T) {
	b := newBed(t, 2)
	b.stub("r2", "203.0.2.0/24", "2001:db8:c2::/64")
	b.stub("r3", "203.0.3.0/24", "2001:db8:c3::/64")
	b.start(b.interfaces() + bgpConfig(65001, "networks: [10.0.1.0/24]",
		`address: "2001:db8:0:2::2", remote-as: 65010, `+bothFamilies,
		`address: "2001:db8:0:3::2", remote-as: 65020, `+bothFamilies))
	frr := b.frr("r2", `
router bgp 65010
 bgp router-id 10.0.2.2
 no bgp ebgp-requires-policy
 neighbor 2001:db8:0:2::1 remote-as 65001
 neighbor 2001:db8:0:2::1 timers connect 1
 neighbor 2001:db8:0:2::1 capability extended-nexthop
 address-family ipv4 unicast
  neighbor 2001:db8:0:2::1 activate
  network 203.0.2.0/24
 exit-address-family
 address-family ipv6 unicast
  neighbor 2001:db8:0:2::1 activate
  network 2001:db8:c2::/64
 exit-address-family
`)
	bird := b.bird("r3", `
router id 10.0.3.2;
protocol static s4 { ipv4; route 203.0.3.0/24 blackhole; }
protocol static s6 { ipv6; route 2001:db8:c3::/64 blackhole; }
protocol bgp box { local 2001:db8:0:3::2 as 65020; neighbor 2001:db8:0:3::1 as 65001; connect retry time 1; connect delay time 1;
  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };
  ipv6 { import all; export where source = RTS_STATIC; }; }
`)
	b.established("2001:db8:0:2::2", "2001:db8:0:3::2")
	for i := 2; i <= 3; i++ {
		p := fmt.Sprintf("203.0.%d.0/24", i)
		b.installed(p, fmt.Sprintf("2001:db8:c%d::/64", i))
		d, err := b.lookup(fmt.Sprintf("203.0.%d.2", i))
		b.ok(err)
		if !strings.Contains(d.GetGateway(), ":") || d.GetInterface() != fmt.Sprintf("eth%d", i) {
			t.Errorf("%s goes %v, want an IPv6 gateway", p, d)
		}
		b.pings("a", fmt.Sprintf("203.0.%d.2", i), fmt.Sprintf("2001:db8:c%d::2", i))
	}
	b.eventually(10*time.Second, func() error {
		out, err := bird.Ctl("show", "route", "for", "10.0.1.0/24", "all")
		if err == nil && !strings.Contains(out, "BGP.next_hop: 2001:db8:0:3::1") {
			err = fmt.Errorf("BIRD: %s", out)
		}
		return err
	})
	b.eventually(10*time.Second, func() error {
		out, err := frr.VTY("show bgp ipv4 unicast 10.0.1.0/24")
		if err == nil && !strings.Contains(out, "2001:db8:0:2::1 from") {
			err = fmt.Errorf("FRR: %s", out)
		}
		return err
	})
}

// TestBGPLinkLocal has peers known by link-local addresses only, the same one on two links: next hops keep their interface.
func TestBGPLinkLocal(t *testing.T) {
	b := newBed(t, 2)
	for i := 2; i <= 3; i++ {
		b.lab.NS(fmt.Sprintf("r%d", i)).Addr("eth0", "fe80::77/64")
		b.stub(fmt.Sprintf("r%d", i), fmt.Sprintf("203.0.%d.0/24", i), fmt.Sprintf("2001:db8:c%d::/64", i))
	}
	config := "\ninterfaces:\n  - {name: eth1, type: port, iface: port1, addresses: [10.0.1.1/24, \"2001:db8:0:1::1/64\"]}\n"
	for i := 2; i <= 3; i++ {
		config += fmt.Sprintf("  - {name: eth%d, type: port, iface: port%d, addresses: [10.0.%d.1/24, \"2001:db8:0:%d::1/64\"], "+
			"router-advertisements: {max-interval: 4, router-lifetime: 0}}\n", i, i, i, i)
	}
	config += bgpConfig(65001, `networks: [10.0.1.0/24, "2001:db8:0:1::/64"]`,
		`address: "fe80::77", interface: eth3, remote-as: 65020, connect-retry: 1, `+bothFamilies)
	b.start(config)
	var own string
	b.eventually(10*time.Second, func() error {
		out, err := b.box.Inner.Output("ip", "-6", "-o", "addr", "show", "dev", "eth3", "scope", "link")
		for _, f := range strings.Fields(out) {
			if strings.HasPrefix(f, "fe80:") {
				own, _, _ = strings.Cut(f, "/")
				return nil
			}
		}
		return fmt.Errorf("no link-local address: %s %w", out, err)
	})
	b.bird("r3", fmt.Sprintf(`
router id 10.0.3.2;
protocol static s4 { ipv4; route 203.0.3.0/24 blackhole; }
protocol static s6 { ipv6; route 2001:db8:c3::/64 blackhole; }
protocol bgp box { local fe80::77 as 65020; neighbor %s%%eth0 as 65001; connect retry time 1; connect delay time 1;
  ipv4 { import all; export where source = RTS_STATIC; extended next hop on; };
  ipv6 { import all; export where source = RTS_STATIC; }; }
`, own))
	b.established("fe80::77")
	b.installed("203.0.3.0/24", "2001:db8:c3::/64")
	for _, dst := range []string{"203.0.3.2", "2001:db8:c3::2"} {
		d, err := b.lookup(dst)
		b.ok(err)
		if d.GetGateway() != "fe80::77" || d.GetInterface() != "eth3" {
			t.Errorf("%s goes %v, want fe80::77 on eth3", dst, d)
		}
	}
	b.pings("a", "203.0.3.2", "2001:db8:c3::2")

	// The same address on the other link is another gateway. FRR finds us there by our router advertisements.
	b.ctl("route", "add", "2001:db8:c2::/64", "--via", "fe80::77%eth2")
	b.ctl("route", "add", "203.0.2.0/24", "--via", "fe80::77%eth2")
	b.installed("203.0.2.0/24", "2001:db8:c2::/64")
	b.pings("a", "203.0.2.2", "2001:db8:c2::2", "203.0.3.2", "2001:db8:c3::2")
}
