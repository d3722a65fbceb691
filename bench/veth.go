// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"millrace/internal/lab"
)

var (
	vethMAC = net.HardwareAddr{2, 0, 0, 0, 2, 1}
	sinkMAC = net.HardwareAddr{2, 0, 0, 0, 3, 1}
)

// vethNet is gen (g0) — (pa) router (pb) — (s0) sink.
type vethNet struct {
	*lab.Lab
	gen, router, sink *lab.NS
}

func newVethNet() (*vethNet, error) {
	l, err := lab.New("bench")
	if err != nil {
		return nil, err
	}
	n := &vethNet{Lab: l, gen: l.NS("g"), router: l.NS("r"), sink: l.NS("s")}
	l.Veth(n.gen, "g0", n.router, "pa")
	l.Veth(n.router, "pb", n.sink, "s0")
	n.router.IP("link", "set", "pa", "address", vethMAC.String())
	for _, ns := range []*lab.NS{n.gen, n.router, n.sink} {
		// Nothing else is on these links.
		ns.Sysctl("net.ipv6.conf.all.disable_ipv6", "1")
	}
	if err := l.Err(); err != nil {
		l.Close()
		return nil, err
	}
	return n, nil
}

func vethSuite(name, driver string) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.veth(ctx, name, driver)
	}}
}

var vethRoute = netip.MustParsePrefix("20.0.0.0/8")

func (e *env) veth(ctx context.Context, name, driver string) error {
	if err := e.hugepages(hugeMB); err != nil {
		return err
	}
	e.notef("\n%s: %d destinations, 1 route, generator (sendmmsg on a packet socket) on CPU %d, worker on CPU %d", name, framesOne, controlCPU,
		workerCPU)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintf(t, "run\tkernel\tkernel with RPS to CPU %d\tmillrace %s\tMpps received behind the router; in brackets sent to it\n", workerCPU, driver)
	var ours, plain, rps []float64
	for i := range e.runs {
		var got, sent [3]float64
		for k, setup := range []func(context.Context, *env, *vethNet) (func() error, error){
			kernelRouter(false), kernelRouter(true), ourRouter(driver),
		} {
			var err error
			if got[k], sent[k], err = e.vethRun(ctx, setup); err != nil {
				return err
			}
		}
		plain, rps, ours = append(plain, got[0]), append(rps, got[1]), append(ours, got[2])
		fmt.Fprintf(t, "%d\t%.3f (%.3f)\t%.3f (%.3f)\t%.3f (%.3f)\n", i+1, got[0], sent[0], got[1], sent[1], got[2], sent[2])
	}
	fmt.Fprintf(t, "median\t%.3f\t%.3f\t%.3f\n", median(plain), median(rps), median(ours))
	_ = t.Flush()
	peer, values := "Linux kernel", plain
	if median(rps) > median(plain) {
		peer, values = "Linux kernel with RPS", rps
	}
	return e.report.add(name, "Mpps", ours, peer, values)
}

// vethRun measures what gets through a router under full load, in Mpps, and what was sent to it.
func (e *env) vethRun(ctx context.Context, setup func(context.Context, *env, *vethNet) (func() error, error)) (got, sent float64, err error) {
	n, err := newVethNet()
	if err != nil {
		return 0, 0, err
	}
	defer n.Close()
	stop, err := setup(ctx, e, n)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	c, err := openCounters(n.sink)
	if err != nil {
		return 0, 0, err
	}
	defer c.close()
	r := newRand(12)
	frames := make([][]byte, 0, framesOne)
	for _, a := range destinations([]netip.Prefix{vethRoute}, framesOne) {
		f := make([]byte, frameLen)
		udpFrame(f, vethMAC, net.HardwareAddr{2, 0, 0, 0, 0, 1}, sourceFor(r, a), a, uint16(1024+r.IntN(60000)))
		frames = append(frames, f)
	}
	b, err := startBlaster(n.gen, "g0", frames)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, b.stop(), b.err) }()
	if err := sleep(ctx, e.window/2); err != nil {
		return 0, 0, err
	}
	r0, err := c.rxPackets("s0")
	if err != nil {
		return 0, 0, err
	}
	s0, t0 := b.sent.Load(), time.Now()
	if err := sleep(ctx, e.window); err != nil {
		return 0, 0, err
	}
	r1, err := c.rxPackets("s0")
	if err != nil {
		return 0, 0, err
	}
	s1, took := b.sent.Load(), time.Since(t0)
	if r1 == r0 {
		return 0, 0, fmt.Errorf("nothing came through, %d packets were sent", s1-s0)
	}
	return float64(r1-r0) / took.Seconds() / 1e6, float64(s1-s0) / took.Seconds() / 1e6, nil
}

// kernelRouter lets the kernel forward, on the CPU that received the packet or, with RPS, on the worker's.
func kernelRouter(rps bool) func(context.Context, *env, *vethNet) (func() error, error) {
	return func(_ context.Context, _ *env, n *vethNet) (func() error, error) {
		r := n.router
		r.Sysctl("net.ipv4.ip_forward", "1")
		r.Sysctl("net.ipv4.conf.all.rp_filter", "0")
		r.Addr("pa", "10.254.0.1/24")
		r.Addr("pb", "10.254.1.1/24")
		r.IP("neigh", "add", "10.254.1.2", "lladdr", sinkMAC.String(), "dev", "pb", "nud", "permanent")
		r.IP("route", "add", vethRoute.String(), "via", "10.254.1.2")
		// The reverse path is loose for the martian check only; a route back is there all the same.
		r.IP("route", "add", "10.1.0.0/16", "dev", "pa")
		if rps {
			// `ip netns exec` mounts the namespace's own sysfs.
			out, err := n.gen.Output("ip", "netns", "exec", r.Name, "sh", "-c",
				fmt.Sprintf("echo %x > /sys/class/net/pa/queues/rx-0/rps_cpus", 1<<workerCPU))
			if err != nil {
				return nil, fmt.Errorf("set RPS: %w: %s", err, out)
			}
		}
		return func() error { return nil }, n.Err()
	}
}

// ourRouter lets vnf-dataplane forward between the same devices.
func ourRouter(driver string) func(context.Context, *env, *vethNet) (func() error, error) {
	return func(ctx context.Context, e *env, n *vethNet) (func() error, error) {
		args := pinned()
		if driver == "af_xdp" {
			// The driver gives the kernel virtual addresses.
			args = append(args, "--eal", "--iova-mode=va")
		}
		d, err := e.startDataplane(ctx, n.router, args...)
		if err != nil {
			return nil, err
		}
		err = d.apply(ctx,
			portOp("out", "iface=pb,driver="+driver), addressOp("out", netip.MustParsePrefix("10.254.1.1/24")),
			neighborOp("out", netip.MustParseAddr("10.254.1.2"), sinkMAC), gatewayOp(1, "out", netip.MustParseAddr("10.254.1.2")),
			groupOp(1, 1), routeOp(vethRoute, 1),
			portOp("in", "iface=pa,driver="+driver), addressOp("in", netip.MustParsePrefix("10.254.0.1/24")))
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		return func() error { return errors.Join(e.vethClocks(ctx, d), d.close()) }, nil
	}
}

// vethClocks shows the clocks of each node since the data plane started.
func (e *env) vethClocks(ctx context.Context, d *dataplane) error {
	nodes, err := d.nodes(ctx)
	if err != nil {
		return err
	}
	var s []string
	for name, n := range nodes {
		if p := n.GetPackets(); p > 1000 {
			s = append(s, fmt.Sprintf("%s %.0f (%.1f)", name, float64(n.GetCycles())/float64(p), float64(p)/float64(max(1, n.GetCalls()))))
		}
	}
	slices.Sort(s)
	e.notef("clocks a packet (packets a call): %s", strings.Join(s, ", "))
	return nil
}
