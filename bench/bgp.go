// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/internal/lab"
)

const (
	// bgpPatience bounds one load or withdrawal.
	bgpPatience = 5 * time.Minute
	// bgpRuns bounds the runs: one takes a minute and more.
	bgpRuns = 3
)

// bgpBox is the appliance as the receiver of the table.
type bgpBox struct {
	box    *lab.Box
	client *client.Client
	cancel context.CancelFunc
	wg     sync.WaitGroup
	base   uint32
	table  []netip.Prefix
}

const bgpConfig = `
interfaces:
  - name: eth1
    type: port
    iface: pa
    addresses: [10.0.1.1/24]
network-instances:
  - name: default
    bgp:
      asn: 65001
      router-id: 10.0.1.1
      neighbors:
        - {address: 10.0.1.2, remote-as: 65002, passive: true}
`

func startBox(ctx context.Context, l *lab.Lab, ns, peer *lab.NS, table []netip.Prefix) (b *bgpBox, err error) {
	// Without hugepages: then VmHWM counts all of the data plane's memory.
	box, err := l.Box(ns, lab.BoxOptions{Config: bgpConfig, Dataplane: "hugepages: false\nipv6-routes: 16384\n", LogLevel: "warn"})
	if err != nil {
		return nil, err
	}
	if err := box.WaitInterfaces("eth1"); err != nil {
		return nil, err
	}
	b = &bgpBox{box: box, table: table}
	b.client, err = client.New(client.Options{
		Socket: box.Socket(), Owner: "bench", Epoch: func() (uint64, error) { return uint64(time.Now().Unix()), nil },
	})
	if err != nil {
		return nil, err
	}
	runCtx, cancel := context.WithCancel(ctx)
	b.cancel = cancel
	b.wg.Go(func() { _ = b.client.Run(runCtx) })
	waitCtx, stop := context.WithTimeout(ctx, startPatience)
	defer stop()
	if err := b.client.Wait(waitCtx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	// The neighbour has a route of its own: it shall be there before the count begins.
	if out, err := peer.Output("ping", "-c", "3", "-i", "0.2", "10.0.1.1"); err != nil {
		return nil, errors.Join(fmt.Errorf("the box does not answer: %w: %s", err, out), b.close())
	}
	if b.base, err = b.count(ctx); err != nil {
		return nil, errors.Join(err, b.close())
	}
	return b, nil
}

// count is the number of IPv4 routes in the data plane.
func (b *bgpBox) count(ctx context.Context) (uint32, error) {
	for v, err := range b.client.Vrfs(ctx) {
		if err != nil {
			return 0, err
		}
		if v.GetName() == "default" {
			return v.GetIp4Routes(), nil
		}
	}
	return 0, errors.New("the data plane has no default network instance")
}

func (b *bgpBox) await(ctx context.Context, enough func(uint32) bool) (time.Time, error) {
	have := b.base
	for {
		n, err := b.count(ctx)
		switch {
		case err == nil:
			have = n
		case ctx.Err() != nil:
			return time.Time{}, fmt.Errorf("%w: %d routes are in the FIB", context.Cause(ctx), have)
		default:
			return time.Time{}, err
		}
		if enough(have) {
			return time.Now(), nil
		}
		if !b.box.Proc.Running() {
			return time.Time{}, fmt.Errorf("vnf ended:\n%s", lastLines(b.box.Proc.Output(), 20))
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return time.Time{}, fmt.Errorf("%w: %d routes are in the FIB", err, have)
		}
	}
}

func (b *bgpBox) loaded(ctx context.Context) (time.Time, error) {
	at, err := b.await(ctx, func(n uint32) bool { return n >= b.base+uint32(len(b.table)) })
	if err != nil {
		return at, err
	}
	// The count is right; so are the routes: a sample of them.
	r := newRand(14)
	for range 1000 {
		a := inside(r, b.table[r.IntN(len(b.table))])
		res, err := b.client.Lookup(ctx, &pb.Lookup{Destination: a.AsSlice()})
		if err != nil {
			return at, err
		}
		if gw, _ := netip.AddrFromSlice(res.GetGateway()); gw != netip.MustParseAddr("10.0.1.2") {
			return at, fmt.Errorf("the FIB sends %s to %s (%s), not to 10.0.1.2", a, gw, res.GetAction())
		}
	}
	return at, nil
}

func (b *bgpBox) empty(ctx context.Context) (time.Time, error) {
	return b.await(ctx, func(n uint32) bool { return n <= b.base })
}

func (b *bgpBox) peaks() ([]peak, error) {
	var all []peak
	for _, name := range []string{"control", "dataplane"} {
		pid, err := b.box.Child(name)
		if err != nil {
			return nil, err
		}
		v, err := memoryOf(pid, "VmHWM")
		if err != nil {
			return nil, err
		}
		all = append(all, peak{name, v})
	}
	return all, nil
}

func (b *bgpBox) close() error {
	b.cancel()
	b.wg.Wait()
	b.box.Proc.Stop()
	return nil
}

func lastLines(s string, n int) string {
	l := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(l[max(0, len(l)-n):], "\n")
}

// bgpTimes is what one run measured, in seconds.
type bgpTimes struct {
	load, withdraw float64
	peaks          []peak
}

func bgpSuite(n int, load, withdraw string) suite {
	names := []string{load}
	if withdraw != "" {
		names = append(names, withdraw)
	}
	return suite{names: names, run: func(ctx context.Context, e *env, selected func(string) bool) error {
		return e.bgp(ctx, n, load, withdraw, selected)
	}}
}

func (e *env) bgp(ctx context.Context, n int, load, withdraw string, selected func(string) bool) error {
	pin, err := allowAll()
	if err != nil {
		return err
	}
	defer pin()
	table := ipv4Table(n)
	e.notef("\n%s: %d prefixes from BIRD, %d with the same attributes at a time, from its session being established to the last route in the FIB",
		load, n, prefixesPerUpdate)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\tby\tload s\twithdraw s\tpeak memory")
	var ours, alone []bgpTimes
	for i := range min(e.runs, bgpRuns) {
		for _, who := range []string{"GoBGP alone", "millrace"} {
			times, err := e.bgpRun(ctx, who, table)
			if err != nil {
				return fmt.Errorf("%s: %w", who, err)
			}
			if who == "millrace" {
				ours = append(ours, times)
			} else {
				alone = append(alone, times)
			}
			var mem []string
			for _, p := range times.peaks {
				mem = append(mem, fmt.Sprintf("%s %.0f MB", p.name, p.bytes/1e6))
			}
			fmt.Fprintf(t, "%d\t%s\t%.2f\t%.2f\t%s\n", i+1, who, times.load, times.withdraw, strings.Join(mem, ", "))
		}
	}
	_ = t.Flush()
	pick := func(l []bgpTimes, f func(bgpTimes) float64) (v []float64) {
		for _, x := range l {
			v = append(v, f(x))
		}
		return v
	}
	if selected(load) {
		f := func(x bgpTimes) float64 { return x.load }
		if err := e.report.add(load, "s", pick(ours, f), "GoBGP alone", pick(alone, f)); err != nil {
			return err
		}
	}
	if withdraw != "" && selected(withdraw) {
		f := func(x bgpTimes) float64 { return x.withdraw }
		return e.report.add(withdraw, "s", pick(ours, f), "GoBGP alone", pick(alone, f))
	}
	return nil
}

func (e *env) bgpRun(ctx context.Context, who string, table []netip.Prefix) (t bgpTimes, err error) {
	l, err := lab.New("bench")
	if err != nil {
		return t, err
	}
	defer l.Close()
	peer, router := l.NS("p"), l.NS("r")
	l.Veth(peer, "p0", router, "pa")
	peer.Addr("p0", "10.0.1.2/24")
	f, err := startFeeder(l, peer, table)
	if err != nil {
		return t, err
	}
	var s speaker
	if who == "millrace" {
		s, err = startBox(ctx, l, router, peer, table)
	} else {
		s, err = e.startGoBGP(ctx, router, len(table))
	}
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := l.Err(); err != nil {
		return t, err
	}
	waitCtx, cancel := context.WithTimeout(ctx, bgpPatience)
	defer cancel()
	began, err := f.connect()
	if err != nil {
		return t, err
	}
	ended, err := s.loaded(waitCtx)
	if err != nil {
		return t, fmt.Errorf("load: %w", err)
	}
	t.load = ended.Sub(began).Seconds()
	if began, err = f.withdraw(); err != nil {
		return t, err
	}
	if ended, err = s.empty(waitCtx); err != nil {
		return t, fmt.Errorf("withdraw: %w", err)
	}
	t.withdraw = ended.Sub(began).Seconds()
	t.peaks, err = s.peaks()
	return t, err
}
