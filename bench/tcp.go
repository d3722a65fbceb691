// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"
)

// tcpMB is the memory of hugepages for two engines and their buffers.
const tcpMB = 1024

// tcpFigure is what stack-bench and linux-bench print.
type tcpFigure struct {
	Rate         float64 `json:"rate"`
	Gbit         float64 `json:"gbit"`
	P50          float64 `json:"p50_us"`
	P99          float64 `json:"p99_us"`
	Open         int     `json:"open"`
	Failed       int     `json:"failed"`
	ServerCycles float64 `json:"server_cycles"`
	ClientCycles float64 `json:"client_cycles"`
	RSSPerConn   float64 `json:"rss_per_conn"`
	RoundTripNS  float64 `json:"round_trip_ns"`
	Retransmits  int     `json:"retransmits"`
	CPU          float64 `json:"cpu"`
}

// tcpCase is one load, and which of its figures counts.
type tcpCase struct {
	// name is that of the benchmark without "tcp.".
	name, load, unit string
	conns            int
	value            func(f tcpFigure) float64
}

func rateOf(f tcpFigure) float64 { return f.Rate }
func gbitOf(f tcpFigure) float64 { return f.Gbit }
func p50Of(f tcpFigure) float64  { return f.P50 }
func p99Of(f tcpFigure) float64  { return f.P99 }

var tcpCases = []tcpCase{
	{"cps", "cps", "connections/s", 256, rateOf},
	{"rps", "rps", "requests/s", 1000, rateOf},
	{"http", "http", "requests/s", 1000, rateOf},
	{"bulk.1", "bulk", "Gbit/s", 1, gbitOf},
	{"bulk.100", "bulk", "Gbit/s", 100, gbitOf},
	{"latency.p50", "latency", "µs", 1, p50Of},
	{"latency.p99", "latency", "µs", 1, p99Of},
}

// tcpLosses are the shares of packets lost, in percent.
var tcpLosses = []float64{0.1, 1, 3}

func tcpSuites() []suite {
	var s []suite
	for _, c := range tcpCases {
		s = append(s, suite{names: []string{"tcp." + c.name, "tcp." + c.name + ".one-cpu"}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
			return e.tcpMemory(ctx, c)
		}})
	}
	s = append(s, suite{names: []string{"tcp.idle.bytes"}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.tcpIdle(ctx, "tcp.idle.bytes")
	}})
	for _, p := range tcpLosses {
		name := fmt.Sprintf("tcp.goodput.loss%g", p)
		s = append(s, suite{names: []string{name, name + ".bbr"}, run: func(ctx context.Context, e *env, selected func(string) bool) error {
			return e.tcpGoodput(ctx, name, p, selected)
		}})
	}
	for _, c := range tcpCases {
		if c.load == "http" {
			continue // Linux's client of this program speaks no HTTP
		}
		s = append(s, suite{names: []string{"tcp." + c.name + ".veth"}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
			return e.tcpVeth(ctx, "tcp."+c.name+".veth", c, 0)
		}})
	}
	for _, p := range tcpLosses {
		name := fmt.Sprintf("tcp.goodput.loss%g.veth", p)
		s = append(s, suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
			return e.tcpVeth(ctx, name, tcpCase{load: "bulk", unit: "Gbit/s", conns: 1, value: gbitOf}, p)
		}})
	}
	return s
}

// stackBench runs two engines in one process.
func (e *env) stackBench(ctx context.Context, args ...string) (f tcpFigure, err error) {
	if err := e.hugepages(tcpMB); err != nil {
		return f, err
	}
	args = append([]string{"--huge", "--cpus", fmt.Sprintf("%d,%d", controlCPU, workerCPU)}, args...)
	var out, errs bytes.Buffer
	cmd := onCPUs(allCPUs(), filepath.Join(e.bin, "stack-bench"), args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Start(); err != nil {
		return f, err
	}
	stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
	defer stop()
	if err := cmd.Wait(); err != nil {
		return f, fmt.Errorf("stack-bench %s: %w: %s", strings.Join(args, " "), err, errs.Bytes())
	}
	if err := json.Unmarshal(out.Bytes(), &f); err != nil {
		return f, fmt.Errorf("stack-bench: %w: %s", err, out.Bytes())
	}
	if f.Failed != 0 {
		return f, fmt.Errorf("stack-bench %s: %d connections failed", strings.Join(args, " "), f.Failed)
	}
	return f, nil
}

func (e *env) seconds() string { return strconv.FormatFloat(e.window.Seconds(), 'f', -1, 64) }

// tcpMemory measures two engines that hand packets over in memory: a worker on each CPU, then both in turn on one. The peer is
// Linux with a process on each CPU and packets through its loopback device.
func (e *env) tcpMemory(ctx context.Context, c tcpCase) error {
	name := "tcp." + c.name
	e.notef("\n%s: client on CPU %d, server on CPU %d, rings between them, MSS 1448; %d connection(s)", name, controlCPU, workerCPU, c.conns)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintf(t, "run\tLinux\tmillrace\tboth on one CPU\tserver cycles\tclient cycles\tcache line there and back, ns\t%s\n", c.unit)
	var ours, one, linux []float64
	for i := range e.runs {
		common := []string{"--conns", strconv.Itoa(c.conns), "--seconds", e.seconds()}
		ball, err := e.stackBench(ctx, "pingpong")
		if err != nil {
			return err
		}
		two, err := e.stackBench(ctx, append(common, "--two", c.load)...)
		if err != nil {
			return err
		}
		single, err := e.stackBench(ctx, append(common, c.load)...)
		if err != nil {
			return err
		}
		peer := c
		if c.load == "http" {
			// As if its HTTP server cost no more than an echo.
			peer.load = "rps"
		}
		l, err := e.linuxLoopback(ctx, peer)
		if err != nil {
			return err
		}
		ours, one, linux = append(ours, c.value(two)), append(one, c.value(single)), append(linux, c.value(l))
		fmt.Fprintf(t, "%d\t%.4g\t%.4g\t%.4g\t%.0f\t%.0f\t%.0f\n", i+1, c.value(l), c.value(two), c.value(single), single.ServerCycles,
			single.ClientCycles, ball.RoundTripNS)
	}
	fmt.Fprintf(t, "median\t%.4g\t%.4g\t%.4g\n", median(linux), median(ours), median(one))
	_ = t.Flush()
	if err := e.report.add(name, c.unit, ours, "Linux, loopback", linux); err != nil {
		return err
	}
	return e.report.add(name+".one-cpu", c.unit, one, "Linux, loopback, two CPUs", linux)
}

// linuxServer starts the kernel's server in a namespace, or in this one if ns is nil.
func (e *env) linuxServer(ctx context.Context, n *tcpNet, kind, address string) (*process, error) {
	ready := make(chan struct{}, 1)
	cmd := onCPUs(strconv.Itoa(workerCPU), filepath.Join(e.bin, "linux-bench"), "server", kind, "--address", address, "--port", tcpPort, "--cpu",
		strconv.Itoa(workerCPU))
	if n != nil {
		cmd = n.server.Command(context.WithoutCancel(ctx), cmd.Args[0], cmd.Args[1:]...)
	}
	p, err := e.start("linux-bench", cmd, func(s string) {
		if s == "ready" {
			ready <- struct{}{}
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
		return p, nil
	case <-p.done:
		return nil, p.failure()
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), p.stop())
	}
}

func (e *env) linuxClient(ctx context.Context, n *tcpNet, c tcpCase, address, from string) (f tcpFigure, err error) {
	cmd := onCPUs(strconv.Itoa(controlCPU), filepath.Join(e.bin, "linux-bench"), "client", c.load, "--address", address, "--port", tcpPort, "--cpu",
		strconv.Itoa(controlCPU), "--conns", strconv.Itoa(c.conns), "--seconds", e.seconds(), "--from", from, "--sources", strconv.Itoa(tcpSources))
	if n != nil {
		cmd = n.client.Command(ctx, cmd.Args[0], cmd.Args[1:]...)
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return f, fmt.Errorf("linux-bench client: %w: %s", err, errs.Bytes())
	}
	if err := json.Unmarshal(out, &f); err != nil {
		return f, fmt.Errorf("linux-bench: %w: %s", err, out)
	}
	return f, nil
}

const (
	tcpPort    = "7007"
	tcpSources = 120
)

func (c tcpCase) kind() string {
	if c.load == "bulk" {
		return "discard"
	}
	return "echo"
}

func (e *env) linuxLoopback(ctx context.Context, c tcpCase) (f tcpFigure, err error) {
	p, err := e.linuxServer(ctx, nil, c.kind(), "127.0.0.1")
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	return e.linuxClient(ctx, nil, c, "127.0.0.1", "127.0.1.1")
}

// tcpIdle is the memory that a million established connections have made the process touch, per connection and side.
func (e *env) tcpIdle(ctx context.Context, name string) error {
	const conns = 1_000_000
	e.notef("\n%s: %d connections, established and silent; resident memory gained per connection and side, buffers included", name, conns)
	var values []float64
	for range min(e.runs, 3) {
		f, err := e.stackBench(ctx, "--conns", strconv.Itoa(conns), "--warmup", "15", "--seconds", "0.1", "idle")
		if err != nil {
			return err
		}
		if f.Open != conns {
			return fmt.Errorf("%d of %d connections are open", f.Open, conns)
		}
		values = append(values, f.RSSPerConn)
	}
	return e.report.add(name, "bytes", values, "", nil)
}

// The path of the goodput: its rate less what headers take is the ideal.
const (
	pathMbit = 100
	pathRTT  = 20
	// Payload of a full segment, and what it takes on the wire: headers with timestamps, Ethernet with preamble and gap.
	pathPayload, pathWire = 1448, 1538
)

func (e *env) tcpGoodput(ctx context.Context, name string, percent float64, selected func(string) bool) error {
	ideal := pathMbit / 1e3 * pathPayload / pathWire * (1 - percent/100)
	e.notef("\n%s: one connection over a simulated path of %d Mbit/s, %d ms, %g %% loss, 20 s; the ideal is %.1f Mbit/s", name, pathMbit, pathRTT,
		percent, ideal*1e3)
	for _, cc := range []string{"cubic", "bbr"} {
		n := name
		if cc == "bbr" {
			n += ".bbr"
		}
		if !selected(n) {
			continue
		}
		// The clock is simulated too: each run would give the same.
		f, err := e.stackBench(ctx, "--rtt", strconv.Itoa(pathRTT), "--rate", strconv.Itoa(pathMbit), "--loss", fmt.Sprint(percent), "--cc", cc,
			"--warmup", "2", "--seconds", "20", "bulk")
		if err != nil {
			return err
		}
		if err := e.report.add(n, "of the ideal", []float64{f.Gbit / ideal}, "the ideal", []float64{1}); err != nil {
			return err
		}
	}
	return nil
}
