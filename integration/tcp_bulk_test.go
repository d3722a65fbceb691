package integration

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

const bulkServices = `
pools:
  - {name: web4, backends: [{name: b, address: 10.0.2.2, port: 8000}]}
  - {name: web6, backends: [{name: b, address: "2001:db8:2::2", port: 8000}]}
listeners:
  - {name: echo, port: 7, service: echo}
  - {name: reno, port: 8, service: echo, options: {congestion-control: newreno}}
  - {name: bbr, port: 10, service: echo, options: {congestion-control: bbr}}
  - {name: plain, port: 11, service: echo, options: {sack: false, timestamps: false, window-scale: false, ecn: false}}
  - {name: discard, port: 9, service: discard}
  - {name: web4, address: 0.0.0.0, port: 80, service: proxy, proxy: {pool: web4}}
  - {name: web6, address: "::", port: 80, service: proxy, proxy: {pool: web6}}
`

// newBulk has the host "far" behind host a. Its own link has the usual MTU, so that neither end knows of what is between.
func newBulk(t *testing.T, name string) (r *termination, c *lab.NS) {
	r = newTermination(t, name, bulkServices, func(o *routerOptions) {
		o.instances = `  - name: default
    static-routes:
      - {prefix: 10.0.9.0/24, next-hops: [{address: 10.0.1.2}]}
      - {prefix: "2001:db8:9::/64", next-hops: [{address: "2001:db8:1::2"}]}`
		o.prepare = func(r *router) {
			c = r.lab.NS("c")
			r.lab.Veth(r.a, "far0", c, "eth0")
			r.a.Sysctl("net.ipv4.ip_forward", "1")
			r.a.Sysctl("net.ipv6.conf.all.forwarding", "1")
			for _, p := range []string{"10.0.9.%d/24", "2001:db8:9::%d/64"} {
				r.a.Addr("far0", fmt.Sprintf(p, 1))
				c.Addr("eth0", fmt.Sprintf(p, 2))
			}
			c.Default("10.0.9.1")
			c.Default("2001:db8:9::1")
		}
	})
	for _, box := range boxAtA {
		r.reach(c, box)
	}
	return r, c
}

// nft replaces the rules for what a namespace forwards and sends, of both families.
func (r *termination) nft(ns *lab.NS, rules ...string) {
	r.t.Helper()
	script := "flush ruleset\ntable inet t {\n"
	for _, hook := range []string{"forward", "output"} {
		script += "chain " + hook + " {\ntype filter hook " + hook + " priority 0;\n" + strings.Join(rules, "\n") + "\n}\n"
	}
	r.run(ns, "sh", "-c", "nft -f - <<'E'\n"+script+"}\nE")
}

// TestTCPBulk: a gigabyte from Linux to Linux through the proxy, compared by hash, and half as much to ourselves and back.
func TestTCPBulk(t *testing.T) {
	r, c := newBulk(t, "bulk")
	const size = 1 << 30
	r.web(r.b, ":8000", "b", 31, size)
	r.sub("download", func(r *termination) {
		began := time.Now()
		r.ok(r.download(c, at(boxAtA["ipv4"], 80), 31, size))
		r.t.Logf("1 GiB in %v", time.Since(began))
	})
	r.sub("echo", func(r *termination) { r.ok(echoes(r.dial(c, at(boxAtA["ipv6"], 7)), 32, size/4)) })
	// Some at once share the path, and none starves.
	r.sub("shared", func(r *termination) {
		r.parallel(8, func(i int) error {
			conn, err := dial(c, at(boxAtA[[]string{"ipv4", "ipv6"}[i%2]], 7))
			if err != nil {
				return err
			}
			defer func() { _ = conn.Close() }()
			return echoes(conn, uint64(i), 8<<20)
		})
	})
	r.quiet()
}

var dropped = regexp.MustCompile(`counter packets [1-9]\d* bytes`)

// TestTCPLoss: one packet of a hundred is lost in each direction, and all congestion controls get through.
func TestTCPLoss(t *testing.T) {
	r, c := newBulk(t, "loss")
	const size = 50 << 20
	r.web(r.b, ":8000", "b", 33, size)
	r.nft(r.a, "meta l4proto tcp numgen random mod 100 == 0 counter drop")
	before := r.mib()
	r.families("download", func(r *termination, family string) { r.ok(r.download(c, at(boxAtA[family], 80), 33, size)) })
	for name, port := range map[string]int{"cubic": 7, "newreno": 8, "bbr": 10, "plain": 11} {
		r.families(name, func(r *termination, family string) { r.ok(echoes(r.dial(c, at(boxAtA[family], port)), 34, 10<<20)) })
	}
	r.rose(before, "retrans-fast", "recoveries", "sack-blocks-in", "ooo-segs", "dup-acks-in")
	if out := r.run(r.a, "nft", "list", "ruleset"); !dropped.MatchString(out) {
		t.Errorf("nothing was lost: %s", out)
	}
	r.nft(r.a)
	r.quiet()
}

// TestTCPSysctls: Linux without each of its extensions of TCP, and with ECN.
func TestTCPSysctls(t *testing.T) {
	r, c := newBulk(t, "sysctl")
	for _, s := range []struct {
		name, value, reset string
		want               bool
		has                func(*vnfv1.TcpConnection) bool
	}{
		{"tcp_timestamps", "0", "1", false, (*vnfv1.TcpConnection).GetTimestamps},
		{"tcp_sack", "0", "1", false, (*vnfv1.TcpConnection).GetSack},
		{"tcp_window_scaling", "0", "1", false, (*vnfv1.TcpConnection).GetWindowScale},
		{"tcp_ecn", "1", "2", true, (*vnfv1.TcpConnection).GetEcn},
		{"tcp_ecn", "0", "2", false, (*vnfv1.TcpConnection).GetEcn},
	} {
		c.Sysctl("net.ipv4."+s.name, s.value)
		r.families(s.name+"="+s.value, func(r *termination, family string) {
			conn := r.dial(c, at(boxAtA[family], 7))
			if got := r.one("echo"); s.has(got) != s.want {
				r.t.Errorf("the connection has it: %v; %v", s.has(got), got)
			}
			r.ok(echoes(conn, 35, 20<<20))
			// And with losses.
			r.nft(r.a, "meta l4proto tcp numgen random mod 100 == 0 counter drop")
			r.ok(echoes(r.dial(c, at(boxAtA[family], 7)), 36, 3<<20))
			r.nft(r.a)
		})
		r.quiet()
		c.Sysctl("net.ipv4."+s.name, s.reset)
	}
}

// one is the only connection of a listener that is open.
func (r *termination) one(listener string) *vnfv1.TcpConnection {
	r.t.Helper()
	var all []*vnfv1.TcpConnection
	r.eventually(5*time.Second, func() error {
		if all = r.connections("--listener", listener, "--state", "established"); len(all) != 1 {
			return fmt.Errorf("%d connections of %s", len(all), listener)
		}
		return nil
	})
	return all[0]
}

// TestTCPPathMTU: a hop between has a smaller MTU than both ends, which it says, or which it does not say.
func TestTCPPathMTU(t *testing.T) {
	r, c := newBulk(t, "pmtu")
	const size = 10 << 20
	r.web(r.b, ":8000", "b", 37, size)
	narrow := func(family string, mtu int) {
		if family == "ipv4" {
			r.run(r.a, "ip", "route", "replace", "10.0.9.0/24", "dev", "far0", "src", "10.0.9.1", "mtu", "lock", fmt.Sprint(mtu))
			r.run(r.a, "ip", "route", "replace", "10.0.1.0/24", "dev", "eth0", "src", "10.0.1.2", "mtu", "lock", fmt.Sprint(mtu))
			return
		}
		r.run(r.a, "ip", "-6", "route", "replace", "2001:db8:9::/64", "dev", "far0", "metric", "256", "mtu", "lock", fmt.Sprint(mtu))
		r.run(r.a, "ip", "-6", "route", "replace", "2001:db8:1::/64", "dev", "eth0", "metric", "256", "mtu", "lock", fmt.Sprint(mtu))
	}
	for _, hole := range []bool{false, true} {
		name := map[bool]string{false: "told", true: "black hole"}[hole]
		r.families(name, func(r *termination, family string) {
			mtu := map[string]int{"ipv4": 600, "ipv6": 1280}[family]
			narrow(family, mtu)
			counter := "pmtu-reductions"
			if hole {
				// c has to be told, or Linux's own detection is what is tested: only messages to the box are lost.
				r.nft(r.a, "ip daddr 10.0.0.0/21 icmp type destination-unreachable drop", "ip6 daddr 2001:db8:1::/64 icmpv6 type packet-too-big drop")
				counter = "pmtu-black-holes"
			}
			before := r.mib()
			conn := r.dial(c, at(boxAtA[family], 7))
			r.ok(echoes(conn, 38, 1<<20))
			r.ok(r.download(c, at(boxAtA[family], 80), 37, size))
			r.rose(before, counter)
			r.nft(r.a)
			narrow(family, 1500)
			r.run(c, "ip", "route", "flush", "cache")
			r.run(c, "ip", "-6", "route", "flush", "cache")
		})
	}
	r.quiet()
}

// TestTCPReordering: a wire that lets later packets pass earlier ones, and doubles some.
func TestTCPReordering(t *testing.T) {
	var wire *shuffler
	r := newTermination(t, "reorder", bulkServices, func(o *routerOptions) {
		o.prepare = func(r *router) {
			// a - w - box: w has a bridge of our own between its two ports.
			w := r.lab.NS("w")
			r.a.IP("link", "del", "eth0")
			r.lab.Veth(r.a, "eth0", w, "left")
			r.lab.Veth(r.ns, "pa", w, "right")
			r.a.Addr("eth0", "10.0.1.2/24")
			r.a.Addr("eth0", "2001:db8:1::2/64")
			r.a.Default("10.0.1.1")
			r.a.Default("2001:db8:1::1")
			for _, dev := range []string{"left", "right"} {
				w.Sysctl("net.ipv6.conf."+dev+".disable_ipv6", "1")
			}
			wire = newShuffler(t, w, "left", "right")
		}
	})
	r.web(r.b, ":8000", "b", 41, 20<<20)
	r.reach(r.a, "10.0.1.1")
	r.reach(r.a, "2001:db8:1::1")
	before := r.mib()
	r.families("download", func(r *termination, family string) { r.ok(r.download(r.a, at(boxAtA[family], 80), 41, 20<<20)) })
	r.families("echo", func(r *termination, family string) { r.ok(echoes(r.dial(r.a, at(boxAtA[family], 7)), 42, 10<<20)) })
	r.rose(before, "ooo-segs", "dsack-in", "dup-segs")
	wire.mu.Lock()
	moved, doubled := wire.moved, wire.doubled
	wire.mu.Unlock()
	if moved < 100 || doubled < 100 {
		t.Errorf("%d packets were moved and %d doubled", moved, doubled)
	}
	r.quiet()
}

// shuffler carries frames between two devices; one of fifty waits until some others have passed, one of a hundred comes twice.
type shuffler struct {
	mu             sync.Mutex
	moved, doubled int
}

func newShuffler(t *testing.T, ns *lab.NS, left, right string) *shuffler {
	t.Helper()
	s := &shuffler{}
	var fds [2]int
	err := ns.Do(func() error {
		for i, dev := range []string{left, right} {
			ifi, err := net.InterfaceByName(dev)
			if err != nil {
				return err
			}
			if fds[i], err = packetSocket(ifi.Index); err != nil {
				return err
			}
			mreq := unix.PacketMreq{Ifindex: int32(ifi.Index), Type: unix.PACKET_MR_PROMISC}
			if err := unix.SetsockoptPacketMreq(fds[i], unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &mreq); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range fds {
		wg.Go(func() { s.carry(fds[i], fds[1-i], rand.New(rand.NewPCG(1, uint64(i))), stop) })
	}
	t.Cleanup(func() {
		close(stop)
		wg.Wait()
		_, _ = unix.Close(fds[0]), unix.Close(fds[1])
	})
	return s
}

// packetSocket sends and receives whole frames of a device.
func packetSocket(ifindex int) (int, error) {
	all := binary.NativeEndian.Uint16([]byte{0, unix.ETH_P_ALL})
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, int(all))
	if err != nil {
		return -1, err
	}
	tv := unix.Timeval{Usec: 5000}
	for _, e := range []error{
		unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: ifindex}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv),
	} {
		if e != nil {
			_ = unix.Close(fd)
			return -1, e
		}
	}
	return fd, nil
}

func (s *shuffler) carry(from, to int, rnd *rand.Rand, stop <-chan struct{}) {
	var held []byte
	left := 0
	buf := make([]byte, 65536)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, err := unix.Read(from, buf)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return
		}
		// What waits goes when enough have passed, or when none comes.
		if held != nil && (err != nil || left == 0) {
			_, _ = unix.Write(to, held)
			held = nil
		}
		if err != nil {
			continue
		}
		left--
		if held == nil && rnd.IntN(50) == 0 {
			held, left = append([]byte(nil), buf[:n]...), 1+rnd.IntN(8)
			s.mu.Lock()
			s.moved++
			s.mu.Unlock()
			continue
		}
		_, _ = unix.Write(to, buf[:n])
		if rnd.IntN(100) == 0 {
			_, _ = unix.Write(to, buf[:n])
			s.mu.Lock()
			s.doubled++
			s.mu.Unlock()
		}
	}
}
