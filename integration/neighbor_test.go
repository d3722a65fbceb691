package integration

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"millrace/internal/lab"
)

// TestNeighborResolution: the first packet waits for the answer instead of being lost, in both families.
func TestNeighborResolution(t *testing.T) {
	r := newRouter(t, "nres", routerOptions{})
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
		r.reach(r.a, dst)
		for range 3 {
			r.ctl("neighbor", "flush")
			if out, n := r.ping(r.a, "-c", "1", dst); n != 1 {
				t.Errorf("the packet that had the neighbour resolved was lost:\n%s", out)
			}
		}
		n := r.neighbors("eth2")[dst]
		if n.NUD != "NEIGHBOR_NUD_REACHABLE" || n.MAC != r.mac(r.b, "eth0") {
			t.Errorf("%s is %+v, want reachable at %s", dst, n, r.mac(r.b, "eth0"))
		}
	}
	if d := r.drops(); d["neighbor-queue-full"] != 0 {
		t.Errorf("packets were dropped: %v", d)
	}
}

// TestNeighborAgeing: what is not confirmed becomes stale, is probed by unicast when it is used, and forgotten when it does not
// answer or nobody uses it.
func TestNeighborAgeing(t *testing.T) {
	r := newRouter(t, "nage", routerOptions{tail: "settings: {neighbor-reachable-time: 1, neighbor-stale-time: 3}"})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	// A second until stale, five (RFC 4861 DELAY_FIRST_PROBE_TIME) until the first probe.
	// Immediate mode: what sits in the capture's buffer when it is stopped is not printed.
	dump := r.start(r.b, "tcpdump", "--immediate-mode", "-lnei", "eth0", "arp[6:2]=1 and ether src "+r.mac(r.ns, "pb"))
	f := r.startFlow(r.a, "10.0.2.2", 2400, 5*time.Millisecond)
	r.eventually(20*time.Second, func() error {
		if !strings.Contains(dump.Output(), "> "+r.mac(r.b, "eth0")) {
			return fmt.Errorf("no unicast probe under traffic with a reachable time of one second: %+v\n%s",
				r.neighbors("eth2")["10.0.2.2"], dump.Output())
		}
		return nil
	})
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets lost while the neighbour was probed", lost, sent)
	}
	dump.Stop()
	// It stops to answer while packets flow: gone after the probes, and hosts are told.
	r.b.IP("link", "set", "eth0", "arp", "off")
	g := r.start(r.a, "ping", "-n", "-i", "0.2", "-w", "120", "10.0.2.2")
	r.eventually(15*time.Second, func() error {
		if !strings.Contains(g.Output(), "Destination Host Unreachable") {
			return errors.New("the dead host is still taken for alive")
		}
		return nil
	})
	r.b.IP("link", "set", "eth0", "arp", "on")
	r.reach(r.a, "10.0.2.2")
	g.Stop()
	// A host that nobody uses any more is asked once it has been stale for long: those that answer are kept, the others go.
	r.reach(r.a, "2001:db8:2::2")
	time.Sleep(6 * time.Second)
	if n := r.neighbors("eth2"); n["10.0.2.2"].MAC == "" || n["2001:db8:2::2"].MAC == "" {
		t.Errorf("hosts that answer were forgotten: %v", n)
	}
	r.b.IP("link", "set", "eth0", "arp", "off")
	r.b.IP("link", "set", "eth0", "multicast", "off")
	r.run(r.b, "ip", "addr", "flush", "dev", "eth0")
	r.eventually(20*time.Second, func() error {
		if n := r.neighbors("eth2"); len(n) != 0 {
			return fmt.Errorf("dead neighbours that nobody uses are kept: %v", n)
		}
		return nil
	})
}

// TestNeighborStatic: a configured neighbour needs no ARP, is never probed, and goes with the configuration.
func TestNeighborStatic(t *testing.T) {
	const mac = "02:00:00:00:00:99"
	r := newRouter(t, "nstat", routerOptions{
		eth2: fmt.Sprintf("neighbors: [{address: 10.0.2.9, mac: %q}, {address: \"2001:db8:2::9\", mac: %q}]", mac, mac),
		prepare: func(r *router) {
			// The host has the MAC and the addresses, and is deaf to ARP and ND for them.
			r.b.IP("link", "set", "eth0", "arp", "off", "address", mac)
			r.b.Addr("eth0", "10.0.2.9/24")
			r.b.Addr("eth0", "2001:db8:2::9/64")
		}})
	r.b.IP("neigh", "replace", "10.0.2.1", "lladdr", r.mac(r.ns, "pb"), "dev", "eth0")
	r.b.IP("neigh", "replace", "2001:db8:2::1", "lladdr", r.mac(r.ns, "pb"), "dev", "eth0")
	for _, dst := range []string{"10.0.2.9", "2001:db8:2::9"} {
		r.reach(r.a, dst)
		if n := r.neighbors("eth2")[dst]; n.NUD != "NEIGHBOR_NUD_STATIC" || n.MAC != mac {
			t.Errorf("%s is %+v", dst, n)
		}
	}
	// What others claim does not change it.
	r.run(r.b, "/usr/bin/python3", "scapy/arp.py", "gratuitous", "10.0.2.9", "02:00:00:00:00:66")
	if n := r.neighbors("eth2")["10.0.2.9"]; n.MAC != mac {
		t.Errorf("a gratuitous ARP changed a static neighbour to %+v", n)
	}
	r.ctl("neighbor", "flush")
	r.reach(r.a, "10.0.2.9")
	r.apply(routerOptions{})
	if n, ok := r.neighbors("eth2")["10.0.2.9"]; ok && n.NUD == "NEIGHBOR_NUD_STATIC" {
		t.Errorf("still there without the configuration: %+v", n)
	}
}

// TestNeighborMoves: a gratuitous ARP or an unsolicited NA moves a known neighbour at once, and makes no entry for an unknown one.
func TestNeighborMoves(t *testing.T) {
	r := newRouter(t, "nmove", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	const moved, v6 = "02:00:00:00:00:55", "2001:db8:2::2"
	r.b.IP("link", "set", "eth0", "address", moved)
	r.run(r.b, "/usr/bin/python3", "scapy/arp.py", "gratuitous", "10.0.2.2", moved)
	r.run(r.b, "/usr/bin/python3", "scapy/arp.py", "na", v6, moved)
	for _, dst := range []string{"10.0.2.2", v6} {
		r.eventually(2*time.Second, func() error {
			if n := r.neighbors("eth2")[dst]; n.MAC != moved {
				return fmt.Errorf("%s is still %+v", dst, n)
			}
			return nil
		})
		if out, n := r.ping(r.a, "-c", "1", dst); n != 1 {
			t.Errorf("after the move:\n%s", out)
		}
	}
	r.run(r.b, "/usr/bin/python3", "scapy/arp.py", "gratuitous", "10.0.2.50", "02:00:00:00:00:50")
	if n, ok := r.neighbors("eth2")["10.0.2.50"]; ok {
		t.Errorf("an announcement nobody asked for made an entry: %+v", n)
	}
}

// TestAddressConflict: another host claims an address of the box (RFC 5227), or has one that is given to the box (RFC 4862).
func TestAddressConflict(t *testing.T) {
	r := newRouter(t, "conf", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	const intruder = "02:00:00:00:00:13"
	var got struct{ ARP [][]any }
	r.script(&got, r.b, "arp", "gratuitous", "10.0.2.1", intruder)
	defended := slices.ContainsFunc(got.ARP, func(p []any) bool { return p[1] == r.mac(r.ns, "pb") && p[2] == "10.0.2.1" })
	if !defended {
		t.Errorf("the box did not defend its address: %v", got.ARP)
	}
	r.eventually(3*time.Second, func() error {
		out := r.ctl("system", "alarms")
		if !strings.Contains(out, "10.0.2.1") || !strings.Contains(out, intruder) {
			return fmt.Errorf("no alarm about the conflict: %s", out)
		}
		return nil
	})
	r.reach(r.a, "10.0.2.2")

	// The host has 2001:db8:2::5 already.
	r.b.Addr("eth0", "2001:db8:2::5/64")
	if _, err := r.box.Ctl("interface", "address", "add", "eth2", "2001:db8:2::5/64"); err != nil {
		t.Fatal(err)
	}
	r.eventually(5*time.Second, func() error {
		i, _ := r.iface("eth2")
		for _, a := range i.State.Addresses {
			if a.Prefix == "2001:db8:2::5/64" {
				if a.DAD == "DAD_STATE_DUPLICATE" {
					return nil
				}
				return fmt.Errorf("%+v, want a duplicate", a)
			}
		}
		return fmt.Errorf("no such address: %+v", i.State.Addresses)
	})
	r.eventually(3*time.Second, func() error {
		if out := r.ctl("system", "alarms"); !strings.Contains(out, "2001:db8:2::5") {
			return fmt.Errorf("no alarm about the duplicate address:\n%s", out)
		}
		return nil
	})
	// It is the host's: whoever pings it through the box reaches the host.
	r.eventually(5*time.Second, func() error {
		if out, n := r.ping(r.a, "-c", "1", "2001:db8:2::5"); n != 1 || !strings.Contains(out, "ttl=63") {
			return fmt.Errorf("ping to the rightful owner:\n%s", out)
		}
		return nil
	})
}

// TestNeighborFlood: a host invents senders by the thousand. The table keeps its limit, and others resolve and ping.
func TestNeighborFlood(t *testing.T) {
	const limit = 256
	r := newRouter(t, "nflood", routerOptions{
		eth2: `addresses: [10.0.2.1/24, 10.2.0.1/16, "2001:db8:2::1/64"]`,
		tail: fmt.Sprintf("settings: {neighbor-limit: %d, neighbor-rate: 500}", limit),
		prepare: func(r *router) {
			c := r.lab.NS("c")
			r.lab.Veth(c, "eth0", r.ns, "pc")
			c.Addr("eth0", "10.0.3.2/24")
			c.Default("10.0.3.1")
		},
		interfaces: `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`,
	})
	r.reach(r.a, "10.0.2.2")
	before := r.drops()
	flood := r.start(r.b, "/usr/bin/python3", "scapy/neighflood.py", "4")
	r.eventually(40*time.Second, func() error {
		if d := dropsSince(before, r.drops()); d["arp-rate"] < 100 || d["nd-rate"] < 100 {
			return fmt.Errorf("no flood yet: %v", d)
		}
		return nil
	})
	// Hosts at the other ports are not policed with it.
	r.reach(r.lab.NS("c"), "10.0.1.2")
	r.reach(r.a, "10.0.3.2")
	if out, n := r.pings(r.a, "10.0.2.2", 50, 10*time.Millisecond, 56); n != 50 {
		t.Errorf("a neighbour that is known lost %d of 50 packets under the flood:\n%s", 50-n, out)
	}
	if n := len(r.neighbors("eth2")); n > limit {
		t.Errorf("%d neighbours, the limit is %d", n, limit)
	}
	if err := flood.Wait(20 * time.Second); err != nil {
		t.Fatal(err)
	}
	// The legitimate host that the flood may have thrown out is back at once.
	r.ctl("neighbor", "flush", "eth2")
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	t.Logf("flood: %s drops: %v", strings.TrimSpace(flood.Output()), dropsSince(before, r.drops()))
}

// TestNeighborStorm: a host scans a /16 behind the box, of which hardly an address exists.
func TestNeighborStorm(t *testing.T) {
	const limit, rate = 512, 100
	r := newRouter(t, "nstorm", routerOptions{
		eth2: `addresses: [10.0.2.1/24, 10.2.0.1/16, "2001:db8:2::1/64"]`,
		tail: fmt.Sprintf("settings: {neighbor-limit: %d, icmp-error-rate: %d}", limit, rate),
		prepare: func(r *router) {
			c := r.lab.NS("c")
			r.lab.Veth(c, "eth0", r.ns, "pc")
			c.Addr("eth0", "10.0.3.2/24")
			c.Default("10.0.3.1")
			r.b.Addr("eth0", "10.2.0.2/16")
		},
		interfaces: `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`,
	})
	c := r.lab.NS("c")
	r.reach(c, "10.0.2.2")
	r.reach(c, "10.0.1.2")
	f := r.startFlow(c, "10.0.2.2", 1000, 5*time.Millisecond)
	scan := r.start(r.a, "/usr/bin/python3", "scapy/scan.py", "10.2")
	time.Sleep(1500 * time.Millisecond)
	for range 5 {
		if n := len(r.neighbors("eth2")); n > limit {
			t.Errorf("%d neighbours, the limit is %d", n, limit)
		}
	}
	// A host of the scanned net that nobody asked for before is found in the midst of it.
	r.reach(c, "10.2.0.2")
	if err := scan.Wait(30 * time.Second); err != nil {
		t.Fatal(err)
	}
	var res struct {
		Sent, Errors int
		Seconds      float64
	}
	decode(t, scan.Output(), &res)
	t.Logf("scan: %+v", res)
	if most := int(rate * (res.Seconds + 7)); res.Errors == 0 || res.Errors > most {
		t.Errorf("%d host unreachables, want some, and no more than %d", res.Errors, most)
	}
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets of others were lost during the scan", lost, sent)
	}
	r.eventually(10*time.Second, func() error {
		if n := r.neighbors("eth2"); len(n) > limit/4 {
			return fmt.Errorf("%d entries of hosts that never answered are kept", len(n))
		}
		return nil
	})
}

// TestRouterAdvertisements: the kernel of a host gets its address and default route from the box.
func TestRouterAdvertisements(t *testing.T) {
	r := newRouter(t, "ra", routerOptions{
		eth1: "router-advertisements: {max-interval: 4, router-lifetime: 600, send-mtu: true}",
		prepare: func(r *router) {
			// Without its static address and route.
			r.run(r.a, "ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
			r.run(r.a, "ip", "-6", "route", "flush", "default")
			r.a.Sysctl("net.ipv6.conf.eth0.accept_ra", "2")
			r.a.Sysctl("net.ipv6.conf.eth0.autoconf", "1")
		}})
	r.eventually(10*time.Second, func() error {
		addr := r.run(r.a, "ip", "-6", "addr", "show", "dev", "eth0", "scope", "global", "-tentative")
		route := r.run(r.a, "ip", "-6", "route", "show", "default")
		if !strings.Contains(addr, "2001:db8:1:") || !strings.Contains(route, "via fe80:") || !strings.Contains(route, "proto ra") {
			return fmt.Errorf("no address or route from advertisements:\n%s%s", addr, route)
		}
		return nil
	})
	r.reach(r.a, "2001:db8:2::2")
	out := r.run(r.a, "rdisc6", "-1", "-w", "3000", "eth0")
	for _, want := range []string{"2001:db8:1::/64", "600 ", "1500 bytes"} {
		if !strings.Contains(out, want) {
			t.Errorf("rdisc6 does not say %q:\n%s", want, out)
		}
	}
	// The last one says that the box is no router any more (RFC 4861 section 6.2.5).
	r.apply(routerOptions{})
	r.eventually(5*time.Second, func() error {
		if route := r.run(r.a, "ip", "-6", "route", "show", "default"); strings.Contains(route, "proto ra") {
			return fmt.Errorf("the host still has %s", route)
		}
		return nil
	})
}

// TestNeighborsWithoutControl: ARP, ND and their ageing are the data plane's own work; vnf may stand still.
func TestNeighborsWithoutControl(t *testing.T) {
	r := newRouter(t, "nctl", routerOptions{tail: "settings: {neighbor-reachable-time: 1, neighbor-stale-time: 2}"})
	r.reach(r.a, "10.0.2.2")
	pid, err := r.box.Child("control")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := true
	defer func() {
		if stopped {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}()
	f := r.startFlow(r.a, "10.0.2.2", 1000, 5*time.Millisecond)
	// New hosts, whom the box has never seen, in both directions and families.
	r.b.Addr("eth0", "10.0.2.33/24")
	r.b.Addr("eth0", "2001:db8:2::33/64")
	for _, dst := range []string{"10.0.2.33", "2001:db8:2::33"} {
		r.reach(r.a, dst)
	}
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets lost", lost, sent)
	}
	for _, ns := range []*lab.NS{r.a, r.b} {
		r.run(ns, "ip", "neigh", "flush", "dev", "eth0")
	}
	r.reach(r.b, "10.0.1.2")
	r.reach(r.b, "2001:db8:1::2")
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	stopped = false
	r.eventually(10*time.Second, func() error {
		_, err := r.box.Ctl("neighbor", "list")
		return err
	})
	if now, err := r.box.Child("control"); err != nil || now != pid {
		t.Errorf("vnf is process %d, was %d (%v)", now, pid, err)
	}
}
