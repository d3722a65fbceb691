// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"millrace/internal/lab"
)

const (
	failoverFlows = 64
	// 20,000 packets a second: the pause is what the figures can tell apart.
	failoverPause = 50 * time.Microsecond
	// How long traffic is watched after the link went down, and how long the link is up again before the next run.
	failoverWatch = 1500 * time.Millisecond
	// Where the number of the packet is in the frame: after Ethernet, IPv4 and UDP.
	seqOffset = 42
)

// failoverNet is gen (g0) — (pa) router, (pb) — (s0) sink, (pc) — (s0) second.
type failoverNet struct {
	*vethNet
	second *lab.NS
}

func failoverSuite(name string, n int) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.failover(ctx, name, n)
	}}
}

func (e *env) failover(ctx context.Context, name string, n int) error {
	pin, err := allowAll()
	if err != nil {
		return err
	}
	defer pin()
	if err := e.hugepages(hugeMB); err != nil {
		return err
	}
	table := ipv4Table(n)
	e.notef("\n%s: %d routes over two next hops, %d UDP flows, %d packets a second; from the link going down to the first packet after the last one lost", name,
		n, failoverFlows, int(time.Second/failoverPause))
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\tby\tms\tpackets lost")
	values := map[string][]float64{}
	for _, r := range []struct {
		name  string
		setup func(context.Context, *env, *failoverNet, []netip.Prefix) (func() error, error)
	}{{"kernel", kernelPaths}, {"millrace", ourPaths}} {
		lost, err := e.failoverRuns(ctx, table, r.setup)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		for i, l := range lost {
			values[r.name] = append(values[r.name], l.ms)
			fmt.Fprintf(t, "%d\t%s\t%.2f\t%d\n", i+1, r.name, l.ms, l.packets)
		}
	}
	_ = t.Flush()
	return e.report.add(name, "ms", values["millrace"], "Linux kernel, ignore_routes_with_linkdown=1", values["kernel"])
}

type loss struct {
	ms      float64
	packets int
}

func (e *env) failoverRuns(ctx context.Context, table []netip.Prefix,
	setup func(context.Context, *env, *failoverNet, []netip.Prefix) (func() error, error)) (out []loss, err error) {
	v, err := newVethNet()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	n := &failoverNet{vethNet: v, second: v.NS("t")}
	n.Veth(n.router, "pc", n.second, "s0")
	n.second.Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	if err := n.Err(); err != nil {
		return nil, err
	}
	stop, err := setup(ctx, e, n, table)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	for range e.runs {
		l, err := n.run(ctx, table)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

// run sends the flows while the link of the first sink goes down, and tells what was lost.
func (n *failoverNet) run(ctx context.Context, table []netip.Prefix) (l loss, err error) {
	s, err := startSender(n.gen, "g0", destinations(table, failoverFlows))
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	a, err := startReceiver(n.sink, "s0")
	if err != nil {
		return l, err
	}
	defer a.stop()
	b, err := startReceiver(n.second, "s0")
	if err != nil {
		return l, err
	}
	defer b.stop()
	// Both carry traffic, and for a while.
	err = lab.Eventually(20*time.Second, func() error {
		x, y := a.count.Load(), b.count.Load()
		time.Sleep(300 * time.Millisecond)
		if x, y = a.count.Load()-x, b.count.Load()-y; x < 100 || y < 100 {
			return fmt.Errorf("one next hop got %d packets, the other %d", x, y)
		}
		return nil
	})
	if err != nil {
		return l, err
	}
	mark := s.seq.Load()
	if err := sleep(ctx, 300*time.Millisecond); err != nil {
		return l, err
	}
	down, err := setLink(n.sink, "s0", false)
	if err != nil {
		return l, err
	}
	if err := sleep(ctx, failoverWatch); err != nil {
		return l, err
	}
	end := s.seq.Load()
	// What was sent by then has arrived, or is lost.
	if err := sleep(ctx, 200*time.Millisecond); err != nil {
		return l, err
	}
	if _, err := setLink(n.sink, "s0", true); err != nil {
		return l, err
	}
	if err := s.stop(); err != nil {
		return l, err
	}
	got := make([]bool, end)
	for _, r := range []*receiver{a, b} {
		for _, q := range r.stop() {
			if q < end {
				got[q] = true
			}
		}
	}
	// The first packet after the link went down and after the last one lost.
	first := mark
	for q := mark; q < end; q++ {
		if !got[q] {
			l.packets++
			first = q + 1
		}
	}
	for first < end && s.times[first].Before(down) {
		first++
	}
	if first >= end || s.times[first].Sub(down) > failoverWatch-100*time.Millisecond {
		return l, fmt.Errorf("packets are still lost %s after the link went down, %d in all", failoverWatch, l.packets)
	}
	l.ms = float64(s.times[first].Sub(down).Microseconds()) / 1000
	return l, nil
}

// setLink sets a device up or down and returns the moment before it was.
func setLink(ns *lab.NS, dev string, up bool) (at time.Time, err error) {
	err = ns.Do(func() error {
		link, err := netlink.LinkByName(dev)
		if err != nil {
			return err
		}
		at = time.Now()
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	})
	return at, err
}

// sender sends numbered packets of several flows at a steady rate.
type sender struct {
	fd    int
	seq   atomic.Uint64
	end   atomic.Bool
	wg    sync.WaitGroup
	err   error
	times []time.Time
}

func startSender(ns *lab.NS, dev string, to []netip.Addr) (*sender, error) {
	fd, err := packetSocket(ns, dev, 0)
	if err != nil {
		return nil, err
	}
	r := newRand(16)
	frames := make([][]byte, len(to))
	for i, a := range to {
		frames[i] = make([]byte, frameLen)
		udpFrame(frames[i], vethMAC, net.HardwareAddr{2, 0, 0, 0, 0, 1}, sourceFor(r, a), a, uint16(1024+r.IntN(60000)))
	}
	s := &sender{fd: fd, times: make([]time.Time, 0, 1<<20)}
	s.wg.Go(func() { s.err = s.run(frames) })
	return s, nil
}

func (s *sender) run(frames [][]byte) error {
	runtime.LockOSThread() // and not unlocked: the thread ends with the goroutine
	// The thread sleeps no longer than asked for; the kernel's default adds 50 µs.
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("timer slack: %w", err)
	}
	next := time.Now()
	for q := uint64(0); !s.end.Load(); q++ {
		if q == uint64(cap(s.times)) {
			return errors.New("sender ran for too long")
		}
		f := frames[q%uint64(len(frames))]
		binary.BigEndian.PutUint64(f[seqOffset:], q)
		s.times = append(s.times, time.Now())
		if err := unix.Send(s.fd, f, 0); err != nil && err != unix.ENOBUFS {
			return fmt.Errorf("send: %w", err)
		}
		s.seq.Store(q + 1)
		next = next.Add(failoverPause)
		if d := time.Until(next); d > 0 {
			ts := unix.NsecToTimespec(int64(d))
			_ = unix.Nanosleep(&ts, nil)
		}
	}
	return nil
}

func (s *sender) stop() error {
	if s.end.Swap(true) {
		return nil
	}
	s.wg.Wait()
	return errors.Join(s.err, unix.Close(s.fd))
}

// receiver notes the numbers of the packets that arrive.
type receiver struct {
	fd    int
	count atomic.Uint64
	end   atomic.Bool
	wg    sync.WaitGroup
	seqs  []uint64
}

func startReceiver(ns *lab.NS, dev string) (*receiver, error) {
	const ethIP = 0x0008 // ETH_P_IP in network byte order
	fd, err := packetSocket(ns, dev, ethIP)
	if err != nil {
		return nil, err
	}
	r := &receiver{fd: fd}
	tv := unix.NsecToTimeval(int64(50 * time.Millisecond))
	err = errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
		unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	if err != nil {
		_ = unix.Close(fd)
		return nil, err
	}
	r.wg.Go(r.run)
	return r, nil
}

func (r *receiver) run() {
	buf := make([]byte, 2048)
	for !r.end.Load() {
		// The device going down is an error once; then there is silence.
		n, _, err := unix.Recvfrom(r.fd, buf, 0)
		if err == nil && n >= seqOffset+8 && buf[23] == unix.IPPROTO_UDP {
			r.seqs = append(r.seqs, binary.BigEndian.Uint64(buf[seqOffset:]))
			r.count.Add(1)
		}
	}
}

// stop returns what arrived.
func (r *receiver) stop() []uint64 {
	if !r.end.Swap(true) {
		r.wg.Wait()
		_ = unix.Close(r.fd)
	}
	return r.seqs
}

var (
	pathA = netip.MustParseAddr("10.254.1.2")
	pathB = netip.MustParseAddr("10.254.2.2")
)

// kernelPaths lets the kernel forward over two next hops and look at their links, as a tuned router does.
func kernelPaths(_ context.Context, _ *env, n *failoverNet, table []netip.Prefix) (func() error, error) {
	r := n.router
	for k, v := range map[string]string{
		"net.ipv4.ip_forward": "1", "net.ipv4.conf.all.rp_filter": "0", "net.ipv4.fib_multipath_hash_policy": "1",
		"net.ipv4.conf.all.ignore_routes_with_linkdown": "1",
	} {
		r.Sysctl(k, v)
	}
	for dev, p := range map[string]string{"pa": "10.254.0.1/24", "pb": "10.254.1.1/24", "pc": "10.254.2.1/24"} {
		r.Addr(dev, p)
		r.Sysctl("net.ipv4.conf."+dev+".ignore_routes_with_linkdown", "1")
	}
	r.IP("neigh", "add", pathA.String(), "lladdr", sinkMAC.String(), "dev", "pb", "nud", "permanent")
	r.IP("neigh", "add", pathB.String(), "lladdr", sinkMAC.String(), "dev", "pc", "nud", "permanent")
	r.IP("route", "add", "10.1.0.0/16", "dev", "pa")
	f, err := os.Create(filepath.Join(n.Dir, "routes"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	w := bufio.NewWriterSize(f, 1<<20)
	for _, p := range table {
		fmt.Fprintf(w, "route add %s nexthop via %s nexthop via %s\n", p, pathA, pathB)
	}
	if err := w.Flush(); err != nil {
		return nil, err
	}
	r.IP("-batch", f.Name())
	return func() error { return nil }, n.Err()
}

func ourPaths(ctx context.Context, e *env, n *failoverNet, table []netip.Prefix) (func() error, error) {
	d, err := e.startDataplane(ctx, n.router)
	if err != nil {
		return nil, err
	}
	err = d.apply(ctx,
		portOp("in", "iface=pa"), addressOp("in", netip.MustParsePrefix("10.254.0.1/24")),
		portOp("a", "iface=pb"), addressOp("a", netip.MustParsePrefix("10.254.1.1/24")), neighborOp("a", pathA, sinkMAC), gatewayOp(1, "a", pathA),
		portOp("b", "iface=pc"), addressOp("b", netip.MustParsePrefix("10.254.2.1/24")), neighborOp("b", pathB, sinkMAC), gatewayOp(2, "b", pathB),
		groupOp(1, 1, 2))
	if err == nil {
		_, err = d.routes(ctx, table, []uint64{1})
	}
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d.close, nil
}
