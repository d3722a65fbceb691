package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// TestVLAN: eth2 is a trunk with two sub-interfaces. This kernel has no VLAN devices, so the hosts behind it are a script; and
// then another box, with sub-interfaces of its own.
func TestVLAN(t *testing.T) {
	r := newRouter(t, "vlan", routerOptions{interfaces: `
- {name: eth2.100, type: vlan, parent: eth2, vlan-id: 100, addresses: [10.1.0.1/24, "2001:db8:100::1/64"]}
- {name: eth2.200, type: vlan, parent: eth2, vlan-id: 200, mtu: 1400, addresses: [10.2.0.1/24, "2001:db8:200::1/64"]}`})
	if err := r.box.WaitInterfaces("eth2.100", "eth2.200"); err != nil {
		t.Fatal(err)
	}
	r.waitDAD()
	host := r.start(r.b, "/usr/bin/python3", "scapy/tagged.py", "300", "100=10.1.0.2,2001:db8:100::2", "200=10.2.0.2,2001:db8:200::2")
	r.eventually(10*time.Second, func() error {
		if !strings.Contains(host.Output(), "ready") {
			return fmt.Errorf("the script is not ready: %s", host.Output())
		}
		return nil
	})
	for _, dst := range []string{"10.1.0.2", "10.2.0.2", "2001:db8:100::2", "2001:db8:200::2"} {
		if out, n := r.pings(r.a, dst, 5, 100*time.Millisecond, 56); n != 5 {
			t.Errorf("%d of 5 came back:\n%s", n, out)
		}
	}
	if out, _ := r.ping(r.a, "-c", "1", "-M", "do", "-s", "1400", "10.2.0.2"); !strings.Contains(out, "mtu = 1400") {
		t.Errorf("1,428 bytes to a sub-interface of MTU 1400:\n%s", out)
	}
	host.Stop()
	var seen map[string]json.RawMessage
	decode(t, host.Output()[strings.Index(host.Output(), "{"):], &seen)
	for vlan, want := range map[string]int{"100": 5, "200": 5} {
		var c struct{ ARP, Echo4, Echo6 int }
		decode(t, string(seen[vlan]), &c)
		if c.Echo4 != want || c.Echo6 != want || c.ARP < 2 {
			t.Errorf("VLAN %s: the host saw %+v, want %d echo requests of each family", vlan, c, want)
		}
	}
	if s := string(seen["wrong"]) + string(seen["untagged"]); s != "00" {
		t.Errorf("frames with a wrong tag or none: %s", s)
	}
	for _, name := range []string{"eth2.100", "eth2.200"} {
		if i, _ := r.iface(name); i.Counters.TxPackets < 10 || i.Counters.RxPackets < 10 {
			t.Errorf("%s counts %+v", name, i.Counters)
		}
	}

	before := r.drops()
	var replies map[string]int
	r.script(&replies, r.b, "tagsend", r.mac(r.ns, "pb"), "100", "10.1.0.2")
	for name, n := range replies {
		want := 0
		if name == "good" || name == "priority" {
			want = 3
		}
		if n != want {
			t.Errorf("tag %s: %d of 3 answered, want %d", name, n, want)
		}
	}
	r.wantDrops(before, "eth-unknown-vlan", 6)
	r.wantDrops(before, "eth-unknown-type", 6)
}

// TestVLANBetweenBoxes: two boxes share a trunk; hosts a and b are behind one and the other.
func TestVLANBetweenBoxes(t *testing.T) {
	l := newLab(t, "trunk")
	r := &router{t: t, lab: l, a: l.NS("a"), b: l.NS("b"), ns: l.NS("r")}
	s := l.NS("s")
	l.Veth(r.a, "eth0", r.ns, "pa")
	l.Veth(r.b, "eth0", s, "pb")
	l.Veth(r.ns, "pt", s, "pt")
	boxes := make([]*lab.Box, 2)
	for i, host := range []*lab.NS{r.a, r.b} {
		host.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
		host.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
		host.Default(fmt.Sprintf("10.0.%d.1", i+1))
		host.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
		ns, port := r.ns, "pa"
		if i == 1 {
			ns, port = s, "pb"
		}
		// IPv4 goes over one VLAN, IPv6 over another.
		config := fmt.Sprintf(`
interfaces:
  - {name: eth1, type: port, iface: %s, addresses: [10.0.%d.1/24, "2001:db8:%d::1/64"]}
  - {name: trunk, type: port, iface: pt}
  - {name: trunk.7, type: vlan, parent: trunk, vlan-id: 7, addresses: [10.7.0.%d/24]}
  - {name: trunk.4094, type: vlan, parent: trunk, vlan-id: 4094, addresses: ["2001:db8:94::%d/64"]}
network-instances:
  - name: default
    static-routes:
      - {prefix: 10.0.%d.0/24, next-hops: [{address: 10.7.0.%d}]}
      - {prefix: "2001:db8:%d::/64", next-hops: [{address: "2001:db8:94::%d"}]}
`, port, i+1, i+1, i+1, i+1, 2-i, 2-i, 2-i, 2-i)
		var err error
		if boxes[i], err = l.Box(ns, lab.BoxOptions{Name: fmt.Sprintf("box%d", i), Config: config}); err != nil {
			t.Fatal(err)
		}
		if err := boxes[i].WaitInterfaces("eth1", "trunk.7", "trunk.4094"); err != nil {
			t.Fatal(err)
		}
	}
	r.box = boxes[0]
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
		r.reach(r.a, dst)
		if out, n := r.pings(r.a, dst, 20, 20*time.Millisecond, 1400); n != 20 {
			t.Errorf("%d of 20 came back:\n%s", n, out)
		}
		r.transferSize(r.a, r.b, dst, 1<<20)
	}
	if h := hops(r.run(r.a, "traceroute", "-n", "-q", "1", "-w", "5,1000,1000", "-m", "5", "10.0.2.2")); len(h) != 3 || h[1] != "10.7.0.2" {
		t.Errorf("hops %v, want the second box by its VLAN's address", h)
	}
}

// TestVRF: two pairs of hosts have the same addresses, in two network instances.
func TestVRF(t *testing.T) {
	r := newRouter(t, "vrf", routerOptions{
		prepare: func(r *router) {
			// The second pair mirrors the first.
			for i, name := range []string{"a2", "b2"} {
				ns := r.lab.NS(name)
				r.lab.Veth(ns, "eth0", r.ns, "q"+name)
				ns.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
				ns.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
				ns.Default(fmt.Sprintf("10.0.%d.1", i+1))
				ns.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
			}
			r.lab.NS("b2").Addr("eth0", "10.55.0.1/32")
			r.b.Addr("eth0", "10.44.0.1/32")
		},
		interfaces: `
- {name: red1, type: port, iface: qa2, network-instance: red, addresses: [10.0.1.1/24, "2001:db8:1::1/64"]}
- {name: red2, type: port, iface: qb2, network-instance: red, addresses: [10.0.2.1/24, "2001:db8:2::1/64"]}`,
		instances: `
  - name: default
    static-routes:
      - {prefix: 10.44.0.0/16, next-hops: [{address: 10.0.2.2}]}
  - name: red
    static-routes:
      - {prefix: 10.55.0.0/16, next-hops: [{address: 10.0.2.2}]}
`})
	a2, b2 := r.lab.NS("a2"), r.lab.NS("b2")
	if err := r.box.WaitInterfaces("red1", "red2"); err != nil {
		t.Fatal(err)
	}
	r.waitDAD()
	for _, c := range []struct{ from, to, other *lab.NS }{{r.a, r.b, b2}, {a2, b2, r.b}} {
		for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
			r.reach(c.from, dst)
			to, other := r.echoCount(c.to), r.echoCount(c.other)
			if out, n := r.pings(c.from, dst, 10, 20*time.Millisecond, 56); n != 10 {
				t.Errorf("%d of 10 came back:\n%s", n, out)
			}
			if r.echoCount(c.to) != to+10 || r.echoCount(c.other) != other {
				t.Errorf("%s: the instance's own host saw %d, the other's %d echo requests, want 10 and none", dst, r.echoCount(c.to)-to, r.echoCount(c.other)-other)
			}
		}
		r.transferSize(c.from, c.to, "10.0.2.2", 1<<20)
	}
	// Routes of one are not in the other.
	r.reach(r.a, "10.44.0.1")
	r.reach(a2, "10.55.0.1")
	for _, c := range []struct {
		from *lab.NS
		dst  string
	}{{r.a, "10.55.0.1"}, {a2, "10.44.0.1"}} {
		before := r.drops()
		if out, n := r.ping(c.from, "-c", "1", c.dst); n != 0 || !strings.Contains(out, "Net Unreachable") {
			t.Errorf("a route of the other instance:\n%s", out)
		}
		r.wantDrops(before, "ip4-no-route", 1)
	}
	if out := r.ctl("route", "lookup", "10.55.0.1", "--network-instance", "red"); !strings.Contains(out, "red2") {
		t.Errorf("lookup in red:\n%s", out)
	}
	for _, v := range r.neighbors("red2") {
		if v.Address == "10.0.2.2" && v.MAC != r.mac(b2, "eth0") {
			t.Errorf("red's neighbour is %+v", v)
		}
	}

	// The kernel's sockets of each instance.
	red := r.lab.Adopt("box-inner-red", r.box.Inner.Name+"-red")
	if _, err := os.Stat("/run/netns/" + red.Name); err != nil {
		t.Fatal(err)
	}
	for _, ns := range []*lab.NS{r.box.Inner, red} {
		host := r.b
		if ns == red {
			host = b2
		}
		for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
			before := r.echoCount(host)
			if out, n := r.pings(ns, dst, 3, 100*time.Millisecond, 56); n != 3 || r.echoCount(host) != before+3 {
				t.Errorf("%d of 3 pings of the box's kernel in %s answered, the right host saw %d:\n%s", n, ns.Name, r.echoCount(host)-before, out)
			}
			r.transferSize(ns, host, dst, 256<<10)
		}
		r.transferSize(host, ns, "10.0.2.1", 256<<10)
		r.transferSize(host, ns, "10.0.1.1", 256<<10)
	}

	// Removed, the other lives on.
	f := r.startFlow(r.a, "10.0.2.2", 400, 5*time.Millisecond)
	r.apply(routerOptions{instances: `
  - name: default
    static-routes:
      - {prefix: 10.44.0.0/16, next-hops: [{address: 10.0.2.2}]}
`})
	if _, n := r.ping(a2, "-c", "1", "10.0.2.2"); n != 0 {
		t.Error("a host of the removed instance still reaches another")
	}
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets lost in the default instance while the other was removed", lost, sent)
	}
}
