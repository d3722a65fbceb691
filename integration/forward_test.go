package integration

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// TestForward sends pings and TCP between two hosts, with either driver for kernel netdevs, on one worker and on two. The ports
// have one queue each, so that on two workers the flows are handed over by software.
func TestForward(t *testing.T) {
	for _, driver := range []string{"af_packet", "af_xdp"} {
		for _, workers := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s-%d", driver, workers), func(t *testing.T) {
				r := newRouter(t, "fwd", routerOptions{
					port:      fmt.Sprintf("driver: %s, rx-queues: 1", driver),
					dataplane: fmt.Sprintf("workers: %d", workers),
				})
				for _, name := range []string{"eth1", "eth2"} {
					if i, _ := r.iface(name); i.State.Driver != "net_"+driver || i.State.RxQueues != 1 {
						t.Fatalf("%s: driver %s with %d queues", name, i.State.Driver, i.State.RxQueues)
					}
				}
				before := r.drops()
				for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
					if out, n := r.pings(r.a, dst, 50, 10*time.Millisecond, 56); n != 50 {
						t.Errorf("%d of 50 pings answered:\n%s", n, out)
					}
					r.transfer(r.a, r.b, dst)
				}
				r.iperf(r.a, r.b, "10.0.2.2")
				r.iperf(r.a, r.b, "2001:db8:2::2")
				r.checkWorkers(workers)
				r.onlyTailDrops(before)
			})
		}
	}
}

// transfer sends a random file over TCP and compares what arrives.
func (r *router) transfer(from, to *lab.NS, dst string) {
	r.t.Helper()
	r.transferSize(from, to, dst, 8<<20)
}

func (r *router) transferSize(from, to *lab.NS, dst string, size int) {
	r.t.Helper()
	data := make([]byte, size)
	_, _ = rand.Read(data)
	src := filepath.Join(r.lab.Dir, "sent")
	if err := os.WriteFile(src, data, 0o600); err != nil {
		r.t.Fatal(err)
	}
	fam := "-4"
	if strings.Contains(dst, ":") {
		fam = "-6"
	}
	server := r.start(to, "ncat", fam, "-l", "5001", "--recv-only")
	r.eventually(5*time.Second, func() error {
		out, err := to.Output("ss", "-Hltn", "sport = :5001")
		if err == nil && strings.TrimSpace(out) == "" {
			err = errors.New("the server does not listen")
		}
		return err
	})
	r.run(from, "sh", "-c", fmt.Sprintf("exec timeout 100 ncat %s --send-only %s 5001 <%s", fam, dst, src))
	if err := server.Wait(20 * time.Second); err != nil {
		r.t.Fatal(err)
	}
	received, err := os.ReadFile(server.Log)
	if err != nil {
		r.t.Fatal(err)
	}
	if a, b := sha256.Sum256(data), sha256.Sum256(received); a != b {
		r.t.Errorf("sent %d bytes of hash %s, received %d of %s", len(data), hex.EncodeToString(a[:4]), len(received), hex.EncodeToString(b[:4]))
	}
}

// iperf measures a second of TCP in four connections; anything but a crawl is good.
func (r *router) iperf(from, to *lab.NS, dst string) {
	r.t.Helper()
	server := r.start(to, "iperf3", "-s", "-1")
	r.eventually(5*time.Second, func() error {
		out, err := to.Output("ss", "-Hltn", "sport = :5201")
		if err == nil && strings.TrimSpace(out) == "" {
			err = errors.New("iperf3 does not listen")
		}
		return err
	})
	out, err := from.Output("iperf3", "-c", dst, "-t", "1", "-P", "4", "-J")
	if err != nil {
		r.t.Fatal(err)
	}
	_ = server.Wait(5 * time.Second)
	var res struct {
		End struct {
			Received struct {
				Bits float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := json.Unmarshal([]byte(out), &res); err != nil {
		r.t.Fatal(err)
	}
	r.t.Logf("TCP to %s: %.0f Mbit/s", dst, res.End.Received.Bits/1e6)
	if res.End.Received.Bits < 20e6 {
		r.t.Errorf("TCP to %s makes %.1f Mbit/s only", dst, res.End.Received.Bits/1e6)
	}
}

// checkWorkers wants to see n workers, all of which got packets, by hand-over where there are two.
func (r *router) checkWorkers(n int) {
	r.t.Helper()
	var ws []struct {
		ID                   int
		RxPackets            uint64 `json:",string"`
		Dispatched           uint64 `json:",string"`
		DispatchDrops        uint64 `json:",string"`
		BusyCycles, IdleCyle uint64 `json:",string"`
		RxQueues             []string
	}
	if err := r.box.CtlJSON(&ws, "system", "workers"); err != nil {
		r.t.Fatal(err)
	}
	if len(ws) != n {
		r.t.Fatalf("%d workers, want %d", len(ws), n)
	}
	var dispatched uint64
	for _, w := range ws {
		dispatched += w.Dispatched
		if w.BusyCycles == 0 {
			r.t.Errorf("worker %d did nothing", w.ID)
		}
	}
	if n > 1 && dispatched < 1000 {
		r.t.Errorf("only %d packets were handed to another worker: %+v", dispatched, ws)
	}
	if n == 1 && dispatched != 0 {
		r.t.Errorf("one worker handed over %d packets", dispatched)
	}
}

// onlyTailDrops: TCP at full speed may fill a queue, nothing else may be lost.
func (r *router) onlyTailDrops(before map[string]uint64) {
	r.t.Helper()
	for reason, n := range dropsSince(before, r.drops()) {
		switch reason {
		case "port-tx-full", "dispatch-full", "port-tx-handoff-full":
		default:
			r.t.Errorf("%d packets dropped by %s", n, reason)
		}
	}
}

// TestPortHotAddRemove adds and removes ports while packets flow between others: none of those is lost.
func TestPortHotAddRemove(t *testing.T) {
	const third = `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`
	r := newRouter(t, "hot", routerOptions{prepare: func(r *router) {
		c := r.lab.NS("c")
		r.lab.Veth(c, "eth0", r.ns, "pc")
		c.Addr("eth0", "10.0.3.2/24")
		c.Default("10.0.3.1")
	}})
	c := r.lab.NS("c")
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	const n = 3500
	v4 := r.startFlow(r.a, "10.0.2.2", n, 2*time.Millisecond)
	v6 := r.startFlow(r.a, "2001:db8:2::2", n, 2*time.Millisecond)
	rounds := 0 // while the flows went
	for range 3 {
		r.apply(routerOptions{interfaces: third})
		if err := r.box.WaitInterfaces("eth3"); err != nil {
			t.Fatal(err)
		}
		r.reach(c, "10.0.2.2")
		r.reach(r.b, "10.0.3.2")
		r.apply(routerOptions{})
		if _, ok := r.iface("eth3"); ok {
			t.Error("eth3 is still there")
		}
		if r.hasRoute("10.0.3.0/24") {
			t.Error("the route to eth3's subnet is still there")
		}
		if v4.p.Running() && v6.p.Running() {
			rounds++
		}
	}
	if rounds == 0 {
		t.Error("the flows ended before the changes did; the test shows nothing")
	}
	for _, f := range []*flow{v4, v6} {
		if sent, lost := f.finish(); lost != 0 || sent != n {
			t.Errorf("%d of %d packets lost", lost, sent)
		}
	}
	r.refuses(r.a, "10.0.3.2", "Net Unreachable")
}

// TestPortRemovedUnderTraffic removes a port while packets come in and go out by it.
func TestPortRemovedUnderTraffic(t *testing.T) {
	third := routerOptions{interfaces: `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`}
	with := third
	with.prepare = func(r *router) {
		c := r.lab.NS("c")
		r.lab.Veth(c, "eth0", r.ns, "pc")
		c.Addr("eth0", "10.0.3.2/24")
		c.Default("10.0.3.1")
	}
	r := newRouter(t, "rm", with)
	c := r.lab.NS("c")
	r.reach(r.a, "10.0.3.2")
	r.reach(r.a, "10.0.2.2")
	pid, err := r.box.Child("dataplane")
	if err != nil {
		t.Fatal(err)
	}
	out := r.start(r.a, "ping", "-nqf", "-w", "4", "10.0.3.2")
	in := r.start(c, "ping", "-nqf", "-w", "4", "10.0.2.2")
	other := r.startFlow(r.a, "10.0.2.2", 1500, 2*time.Millisecond)
	for range 3 {
		time.Sleep(300 * time.Millisecond)
		r.apply(routerOptions{})
		time.Sleep(300 * time.Millisecond)
		r.apply(third)
	}
	if sent, lost := other.finish(); lost != 0 {
		t.Errorf("%d of %d packets lost on the other ports", lost, sent)
	}
	for _, p := range []*lab.Proc{out, in} {
		if err := p.Wait(10 * time.Second); err != nil {
			t.Error(err)
		}
		if sent, received := pingStats(t, p.Output()); received == 0 || received == sent {
			t.Errorf("%d of %d packets came through a port that was there some of the time", received, sent)
		}
	}
	r.reach(r.a, "10.0.3.2")
	if now, err := r.box.Child("dataplane"); err != nil || now != pid {
		t.Errorf("the data plane is process %d now, was %d (%v)", now, pid, err)
	}
}

// TestPortChanges changes MTU, MAC and admin state of a port that carries packets, and those of the other are not lost.
func TestPortChanges(t *testing.T) {
	r := newRouter(t, "chg", routerOptions{prepare: func(r *router) {
		c := r.lab.NS("c")
		r.lab.Veth(c, "eth0", r.ns, "pc")
		c.Addr("eth0", "10.0.3.2/24")
		c.Default("10.0.3.1")
	}, interfaces: `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`})
	with := func(eth2 string) {
		t.Helper()
		r.apply(routerOptions{eth2: eth2, interfaces: `- {name: eth3, type: port, iface: pc, addresses: [10.0.3.1/24]}`})
	}
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "10.0.3.2")
	f := r.startFlow(r.a, "10.0.3.2", 2000, 2*time.Millisecond)

	with("mtu: 1400")
	if i, _ := r.iface("eth2"); i.State.MTU != 1400 {
		t.Errorf("MTU is %d, want 1400", i.State.MTU)
	}
	if out, _ := r.ping(r.a, "-c", "1", "-M", "do", "-s", "1400", "10.0.2.2"); !strings.Contains(out, "mtu = 1400") {
		t.Errorf("a packet of 1428 bytes towards MTU 1400:\n%s", out)
	}
	r.reach(r.a, "10.0.2.2", "-M", "do", "-s", "1372")

	const mac = "02:00:5e:10:20:30"
	with("mac: \"" + mac + "\"")
	if i, _ := r.iface("eth2"); i.State.MAC != mac || i.State.MTU != 1500 {
		t.Errorf("MAC is %s and MTU %d, want %s and 1500 again", i.State.MAC, i.State.MTU, mac)
	}
	// The box tells its new address by itself: the host does not have to ask.
	r.eventually(2*time.Second, func() error {
		out, err := r.b.Output("ip", "neigh", "show", "10.0.2.1")
		if err == nil && !strings.Contains(out, mac) {
			err = fmt.Errorf("the host still has %s", out)
		}
		return err
	})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.b, "2001:db8:1::2")

	with("enabled: false")
	if i, _ := r.iface("eth2"); i.up() {
		t.Error("eth2 is up though disabled")
	}
	if r.hasRoute("10.0.2.0/24") || r.hasRoute("2001:db8:2::/64") {
		t.Error("routes over a disabled interface are still there")
	}
	r.refuses(r.a, "10.0.2.2", "Unreachable")
	with("")
	if err := r.box.WaitInterfaces("eth2"); err != nil {
		t.Fatal(err)
	}
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	if sent, lost := f.finish(); lost != 0 {
		t.Errorf("%d of %d packets of the other ports were lost", lost, sent)
	}
}

// TestLinkEvents takes the carrier away and gives it back.
func TestLinkEvents(t *testing.T) {
	const via = `
  - name: default
    static-routes:
      - {prefix: 10.9.0.0/16, next-hops: [{address: 10.0.2.2}]}
`
	r := newRouter(t, "link", routerOptions{instances: via})
	r.reach(r.a, "10.0.2.2")
	for range 2 {
		r.b.IP("link", "set", "eth0", "down")
		r.eventually(3*time.Second, func() error {
			if i, _ := r.iface("eth2"); i.up() {
				return errors.New("eth2 is up without a carrier")
			}
			for _, p := range []string{"10.0.2.0/24", "2001:db8:2::/64", "10.9.0.0/16"} {
				if r.hasRoute(p) {
					return fmt.Errorf("the route to %s is still there", p)
				}
			}
			return nil
		})
		r.refuses(r.a, "10.9.0.1", "Unreachable")
		r.b.IP("link", "set", "eth0", "up")
		r.eventually(3*time.Second, func() error {
			if i, _ := r.iface("eth2"); !i.up() {
				return errors.New("eth2 is down with a carrier")
			}
			if !r.hasRoute("10.9.0.0/16") {
				return errors.New("the route to 10.9.0.0/16 is not back")
			}
			return nil
		})
		// The host's kernel forgot its route and IPv6 addresses with the link.
		_, _ = r.b.Output("ip", "route", "add", "default", "via", "10.0.2.1")
		r.reach(r.a, "10.0.2.2")
	}
	// The netdev itself vanishes and comes back.
	r.ns.IP("link", "del", "pb")
	r.eventually(3*time.Second, func() error {
		if i, _ := r.iface("eth2"); i.up() {
			return errors.New("eth2 is up without its netdev")
		}
		return nil
	})
	r.reach(r.a, "10.0.1.1")
}

// TestCounters compares the box's counters with what was sent.
func TestCounters(t *testing.T) {
	r := newRouter(t, "count", routerOptions{})
	r.reach(r.a, "10.0.2.2")
	r.reach(r.a, "2001:db8:2::2")
	drops := r.drops()
	e1, _ := r.iface("eth1")
	e2, _ := r.iface("eth2")
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2"} {
		if out, n := r.pings(r.a, dst, 200, 2*time.Millisecond, 500); n != 200 {
			t.Fatalf("%d of 200 answered:\n%s", n, out)
		}
	}
	// Each way: 200 frames of 14+20+8+500 and 200 of 14+40+8+500 bytes; and a few of ARP and ND.
	const frames, octets, slack = 400, 200*542 + 200*562, 40
	now1, _ := r.iface("eth1")
	now2, _ := r.iface("eth2")
	for _, c := range []struct {
		name           string
		before, now, n uint64
		each           uint64
	}{
		{"eth1 rx packets", e1.Counters.RxPackets, now1.Counters.RxPackets, frames, 1},
		{"eth1 tx packets", e1.Counters.TxPackets, now1.Counters.TxPackets, frames, 1},
		{"eth2 rx packets", e2.Counters.RxPackets, now2.Counters.RxPackets, frames, 1},
		{"eth2 tx packets", e2.Counters.TxPackets, now2.Counters.TxPackets, frames, 1},
		{"eth1 rx octets", e1.Counters.RxOctets, now1.Counters.RxOctets, octets, 100},
		{"eth1 tx octets", e1.Counters.TxOctets, now1.Counters.TxOctets, octets, 100},
		{"eth2 rx octets", e2.Counters.RxOctets, now2.Counters.RxOctets, octets, 100},
		{"eth2 tx octets", e2.Counters.TxOctets, now2.Counters.TxOctets, octets, 100},
	} {
		if d := c.now - c.before; d < c.n || d > c.n+slack*c.each {
			t.Errorf("%s rose by %d, want %d or little more", c.name, d, c.n)
		}
	}
	// Since e1: what a host multicasts while its port comes up may well be dropped.
	lost := func(i ifaceView) uint64 {
		c := i.Counters
		return c.RxErrors + c.TxErrors + c.RxDiscards + c.TxDiscards
	}
	if lost(now1) != lost(e1) {
		t.Errorf("errors or discards: %+v, before %+v; drops %v", now1.Counters, e1.Counters, dropsSince(drops, r.drops()))
	}
	// The packet that the neighbour entry saw too.
	if n := r.neighbors("eth2")["10.0.2.2"]; n.MAC != r.mac(r.b, "eth0") {
		t.Errorf("neighbour 10.0.2.2 is %+v", n)
	}
	// ARP and what the kernel sends count as well.
	r.ctl("neighbor", "flush")
	before, _ := r.iface("eth2")
	r.run(r.b, "arping", "-c", "3", "-I", "eth0", "10.0.2.1")
	r.eventually(2*time.Second, func() error {
		now, _ := r.iface("eth2")
		if d := now.Counters.TxPackets - before.Counters.TxPackets; d < 3 {
			return fmt.Errorf("3 ARP replies were counted as %d packets sent", d)
		}
		return nil
	})
	r.ctl("interface", "clear")
	if c, _ := r.iface("eth1"); c.Counters.RxPackets > 5 {
		t.Errorf("%d packets received after the counters were cleared", c.Counters.RxPackets)
	}
}
