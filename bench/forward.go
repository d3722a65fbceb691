// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	pb "millrace/api/proto/dataplane/v1"
)

const (
	// mbufs hold the generator's own copy of each frame as well.
	mbufs = "200000"
	// hugeMB is what one process of these benchmarks needs.
	hugeMB = 3072
	// Frames of the generator: few enough to stay in the cache where the table is not what is measured, many where it is.
	framesOne  = 256
	framesMany = 65536
)

// pcapMAC is the address that DPDK's pcap driver gives its first port.
var pcapMAC = net.HardwareAddr{0x02, 'p', 'c', 'a', 'p', 0}

// forwardCase is forwarding from a port that makes packets to one that swallows them.
type forwardCase struct {
	ipv6 bool
	// routes of the large table; 0: one route, which takes all.
	routes int
}

func forwardSuite(name string, c forwardCase) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return c.run(ctx, e, name)
	}}
}

// sample is what one run of ours measured.
type sample struct {
	mpps, share float64
	clocks      map[string]nodeClocks
	programming time.Duration
	hz          uint64
}

type nodeClocks struct {
	perPacket, perCall, packetsPerCall float64
	// share of the packets that were forwarded which passed the node.
	share float64
}

func (c forwardCase) run(ctx context.Context, e *env, name string) error {
	if err := e.hugepages(hugeMB); err != nil {
		return err
	}
	table, to := c.table()
	file := filepath.Join(e.dir, name+".pcap")
	if err := writePcap(file, pcapMAC, to); err != nil {
		return err
	}
	in, out := "net_pcap0,rx_pcap="+file+",infinite_rx=1", "net_null0,no-rx=1"
	mix := ""
	if c.routes > 0 {
		mix = fmt.Sprintf(" (%s) over %d next hops", mixText(c.mix()), e.nextHops)
	}
	e.notef("\n%s: %d destinations, %d route(s)%s, pcap → null, worker on CPU %d", name, len(to), len(table), mix, workerCPU)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\ttestpmd io\ttestpmd mac\tmillrace\tMpps; in brackets the share of its CPU that the worker had")
	var ours, mac, io []float64
	var samples []sample
	for i := range e.runs {
		ioRate, ioShare, err := e.testpmd(ctx, "io", in, out)
		if err != nil {
			return err
		}
		macRate, macShare, err := e.testpmd(ctx, "mac", in, out)
		if err != nil {
			return err
		}
		s, err := c.measure(ctx, e, in, out, table)
		if err != nil {
			return err
		}
		io, mac, ours, samples = append(io, ioRate), append(mac, macRate), append(ours, s.mpps), append(samples, s)
		fmt.Fprintf(t, "%d\t%.2f (%.2f)\t%.2f (%.2f)\t%.2f (%.2f)\n", i+1, ioRate, ioShare, macRate, macShare, s.mpps, s.share)
	}
	fmt.Fprintf(t, "median\t%.2f\t%.2f\t%.2f\n", median(io), median(mac), median(ours))
	_ = t.Flush()
	c.printClocks(e, samples)
	return e.report.add(name, "Mpps", ours, "dpdk-testpmd mac", mac)
}

func (c forwardCase) mix() []share {
	if c.ipv6 {
		return ipv6Mix
	}
	return ipv4Mix
}

func (c forwardCase) table() (table []netip.Prefix, to []netip.Addr) {
	switch {
	case c.routes > 0 && c.ipv6:
		table = ipv6Table(c.routes)
	case c.routes > 0:
		table = ipv4Table(c.routes)
	case c.ipv6:
		return []netip.Prefix{netip.MustParsePrefix("2600::/12")}, destinations([]netip.Prefix{netip.MustParsePrefix("2600::/12")}, framesOne)
	default:
		return []netip.Prefix{netip.MustParsePrefix("20.0.0.0/8")}, destinations([]netip.Prefix{netip.MustParsePrefix("20.0.0.0/8")}, framesOne)
	}
	return table, destinations(table, framesMany)
}

// nextHopAddress is the i-th neighbour on the port out.
func nextHopAddress(ipv6 bool, i int) netip.Addr {
	if ipv6 {
		return addr6(0x20010db8_00fe0001, uint64(2+i))
	}
	return addr4(10<<24 | 254<<16 | 1<<8 | uint32(2+i))
}

// configure makes the two ports, the neighbours, their groups, and the routes.
func (c forwardCase) configure(ctx context.Context, e *env, d *dataplane, in, out string, table []netip.Prefix) (time.Duration, error) {
	hops := 1
	if c.routes > 0 {
		hops = e.nextHops
	}
	// The table comes first: packets begin to flow when the port is there.
	ops := []*pb.Op{
		portOp("out", out), addressOp("out", netip.MustParsePrefix("10.254.1.1/24")),
		addressOp("out", netip.MustParsePrefix("2001:db8:fe:1::1/64")),
	}
	var groups []uint64
	for i := range hops {
		id, a := uint64(1+i), nextHopAddress(c.ipv6, i)
		ops = append(ops, neighborOp("out", a, []byte{2, 0, 0, 0, 1, byte(i)}), gatewayOp(id, "out", a), groupOp(id, id))
		groups = append(groups, id)
	}
	if err := d.apply(ctx, ops...); err != nil {
		return 0, err
	}
	took, err := d.routes(ctx, table, groups)
	if err != nil {
		return 0, err
	}
	return took, d.apply(ctx, portOp("in", in), addressOp("in", netip.MustParsePrefix("10.254.0.1/24")),
		addressOp("in", netip.MustParsePrefix("2001:db8:fe:0::1/64")))
}

func (c forwardCase) measure(ctx context.Context, e *env, in, out string, table []netip.Prefix) (s sample, err error) {
	args := pinned("--mbufs", mbufs)
	d, err := e.startDataplane(ctx, nil, args...)
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if s.programming, err = c.configure(ctx, e, d, in, out, table); err != nil {
		return s, err
	}
	port, err := d.port(ctx, "in")
	if err != nil {
		return s, err
	}
	if !bytes.Equal(port.GetMac(), pcapMAC) {
		return s, fmt.Errorf("DPDK's pcap port has the address %x, frames were made for %s", port.GetMac(), pcapMAC)
	}
	info, err := d.Info(ctx)
	if err != nil {
		return s, err
	}
	s.hz = info.GetTscHz()
	if err := sleep(ctx, e.window/2); err != nil {
		return s, err
	}
	return s, s.window(ctx, e, d)
}

// window counts what leaves in the window.
func (s *sample) window(ctx context.Context, e *env, d *dataplane) error {
	type reading struct {
		at    time.Time
		port  *pb.InterfaceState
		nodes map[string]*pb.NodeState
		times map[string]time.Duration
	}
	read := func() (r reading, err error) {
		if r.nodes, err = d.nodes(ctx); err != nil {
			return r, err
		}
		if r.times, err = threadTimes(d.pid()); err != nil {
			return r, err
		}
		r.port, err = d.port(ctx, "out")
		r.at = time.Now()
		return r, err
	}
	a, err := read()
	if err != nil {
		return err
	}
	if err := sleep(ctx, e.window); err != nil {
		return err
	}
	b, err := read()
	if err != nil {
		return errors.Join(err, d.alive())
	}
	took := b.at.Sub(a.at)
	sent := float64(b.port.GetCounters().GetTxPackets() - a.port.GetCounters().GetTxPackets())
	if sent == 0 {
		return fmt.Errorf("nothing was forwarded: %s", dropped(a.nodes, b.nodes))
	}
	s.mpps = sent / took.Seconds() / 1e6
	s.share = busiest(a.times, b.times, took)
	s.clocks = map[string]nodeClocks{}
	var lost uint64
	for name, n := range b.nodes {
		packets, calls := n.GetPackets()-a.nodes[name].GetPackets(), n.GetCalls()-a.nodes[name].GetCalls()
		cycles := n.GetCycles() - a.nodes[name].GetCycles()
		if n.GetDrop() {
			lost += packets
		}
		if packets > 0 && calls > 0 {
			s.clocks[name] = nodeClocks{
				perPacket: float64(cycles) / float64(packets), perCall: float64(cycles) / float64(calls),
				packetsPerCall: float64(packets) / float64(calls), share: float64(packets) / sent,
			}
		}
	}
	if float64(lost) > sent/1000 {
		return fmt.Errorf("%d packets were dropped while %.0f were forwarded: %s", lost, sent, dropped(a.nodes, b.nodes))
	}
	return nil
}

// dropped lists the drop nodes that took packets between two readings.
func dropped(a, b map[string]*pb.NodeState) string {
	var s []string
	for name, n := range b {
		if d := n.GetPackets() - a[name].GetPackets(); n.GetDrop() && d > 0 {
			s = append(s, fmt.Sprintf("%s %d", name, d))
		}
	}
	if len(s) == 0 {
		return "no packet was dropped either"
	}
	slices.Sort(s)
	return fmt.Sprint(s)
}

// printClocks shows the TSC clocks a packet that each node took, of the run with the median rate, and what is left over.
func (c forwardCase) printClocks(e *env, samples []sample) {
	slices.SortFunc(samples, func(a, b sample) int { return int((a.mpps - b.mpps) * 1e6) })
	s := samples[len(samples)/2]
	total := float64(s.hz) / (s.mpps * 1e6)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "node\tclocks/packet\tpackets/call\t")
	names := make([]string, 0, len(s.clocks))
	for n := range s.clocks {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return int(1000 * (s.clocks[b].perPacket*s.clocks[b].share - s.clocks[a].perPacket*s.clocks[a].share))
	})
	sum := 0.0
	for _, n := range names {
		k := s.clocks[n]
		if k.share < 0.001 {
			continue
		}
		sum += k.perPacket * k.share
		fmt.Fprintf(t, "%s\t%.1f\t%.1f\t\n", n, k.perPacket*k.share, k.packetsPerCall)
	}
	fmt.Fprintf(t, "between nodes\t%.1f\t\t\n", total-sum)
	fmt.Fprintf(t, "in all\t%.1f\t\t\n", total)
	_ = t.Flush()
	if c.routes > 0 {
		e.notef("the seam took %.2f s for %d routes (%.0f a second)", s.programming.Seconds(), c.routes,
			float64(c.routes)/s.programming.Seconds())
	}
}
