// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"text/tabwriter"

	"millrace/internal/lab"
)

const (
	pingRuns  = 3
	pingCount = 50
	pingPause = "0.2"
)

var pingTime = regexp.MustCompile(`time=([0-9.]+) ms`)

func pingSuite(name string) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.ping(ctx, name)
	}}
}

// pingNet is host A (a0) — (pa) router (pb) — (b0) host B.
type pingNet struct {
	*lab.Lab
	a, router, b *lab.NS
}

func newPingNet() (*pingNet, error) {
	l, err := lab.New("bench")
	if err != nil {
		return nil, err
	}
	n := &pingNet{Lab: l, a: l.NS("a"), router: l.NS("r"), b: l.NS("b")}
	l.Veth(n.a, "a0", n.router, "pa")
	l.Veth(n.router, "pb", n.b, "b0")
	n.a.Addr("a0", "10.0.1.2/24")
	n.a.Default("10.0.1.1")
	n.b.Addr("b0", "10.0.2.2/24")
	n.b.Default("10.0.2.1")
	if err := l.Err(); err != nil {
		l.Close()
		return nil, err
	}
	return n, nil
}

// ping measures the round trip of single echo requests with pauses in between, in which a worker falls asleep.
func (e *env) ping(ctx context.Context, name string) error {
	pin, err := allowAll()
	if err != nil {
		return err
	}
	defer pin()
	e.notef("\n%s: %d echo requests through the router, one each %s s, af_packet ports; the round trip's median", name, pingCount, pingPause)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\tkernel\tmillrace\tmillrace --poll\tµs")
	var values [3][]float64
	for i := range min(e.runs, pingRuns) {
		for k, setup := range []func(context.Context, *pingNet) (func() error, error){
			kernelPing, e.ourPing(), e.ourPing(pinned()...),
		} {
			v, err := e.pingRun(ctx, setup)
			if err != nil {
				return err
			}
			values[k] = append(values[k], v)
		}
		fmt.Fprintf(t, "%d\t%.0f\t%.0f\t%.0f\n", i+1, values[0][i], values[1][i], values[2][i])
	}
	_ = t.Flush()
	return e.report.add(name, "µs", values[1], "Linux kernel", values[0])
}

func (e *env) pingRun(ctx context.Context, setup func(context.Context, *pingNet) (func() error, error)) (us float64, err error) {
	n, err := newPingNet()
	if err != nil {
		return 0, err
	}
	defer n.Close()
	stop, err := setup(ctx, n)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// Resolves the neighbours.
	if out, err := n.a.Command(ctx, "ping", "-n", "-c", "3", "-i", pingPause, "-W", "2", "10.0.2.2").CombinedOutput(); err != nil {
		return 0, fmt.Errorf("no answer: %w: %s", err, out)
	}
	out, err := n.a.Command(ctx, "ping", "-n", "-c", strconv.Itoa(pingCount), "-i", pingPause, "10.0.2.2").CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	var times []float64
	for _, m := range pingTime.FindAllStringSubmatch(string(out), -1) {
		ms, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return 0, err
		}
		times = append(times, 1000*ms)
	}
	if len(times) != pingCount {
		return 0, fmt.Errorf("%d answers to %d echo requests", len(times), pingCount)
	}
	return median(times), nil
}

func kernelPing(_ context.Context, n *pingNet) (func() error, error) {
	n.router.Sysctl("net.ipv4.ip_forward", "1")
	n.router.Addr("pa", "10.0.1.1/24")
	n.router.Addr("pb", "10.0.2.1/24")
	return func() error { return nil }, n.Err()
}

func (e *env) ourPing(args ...string) func(context.Context, *pingNet) (func() error, error) {
	return func(ctx context.Context, n *pingNet) (func() error, error) {
		d, err := e.startDataplane(ctx, n.router, append([]string{"--no-huge", "--ip4-routes", "65536", "--ip6-routes", "16384"}, args...)...)
		if err != nil {
			return nil, err
		}
		err = d.apply(ctx, portOp("eth1", "iface=pa"), addressOp("eth1", netip.MustParsePrefix("10.0.1.1/24")),
			portOp("eth2", "iface=pb"), addressOp("eth2", netip.MustParsePrefix("10.0.2.1/24")))
		if err != nil {
			return nil, errors.Join(err, d.close())
		}
		return d.close, nil
	}
}
