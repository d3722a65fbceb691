// SPDX-License-Identifier: Apache-2.0

// Command bench measures Millrace against peers on this machine: DPDK's testpmd, the Linux kernel, GoBGP alone.
//
// It prints one JSON object a line on standard output and a table for people on standard error. It does not fail because
// something is slow; it fails if something does not work. Run it by `make bench`, as root, on a machine that does nothing else.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"time"
)

// options of a run.
type options struct {
	bin    string
	runs   int
	window time.Duration
	// nextHops is how many neighbours the routes of the large tables are spread over.
	nextHops int
	verbose  bool
}

// suite measures one or several benchmarks that share their setting-up.
type suite struct {
	names []string
	run   func(ctx context.Context, e *env, selected func(string) bool) error
}

func suites() []suite {
	return append([]suite{
		forwardSuite("forward.ipv4.1", forwardCase{}),
		forwardSuite("forward.ipv4.1M", forwardCase{routes: 1_000_000}),
		forwardSuite("forward.ipv6.1", forwardCase{ipv6: true}),
		forwardSuite("forward.ipv6.250k", forwardCase{ipv6: true, routes: 250_000}),
		vethSuite("forward.veth.af_packet", "af_packet"),
		vethSuite("forward.veth.af_xdp", "af_xdp"),
		bgpSuite(100_000, "bgp.load.100k", ""),
		bgpSuite(1_000_000, "bgp.load.1M", "bgp.withdraw.1M"),
		memorySuite("fib.memory.1M", 1_000_000),
		failoverSuite("nexthop.failover.1M", 1_000_000),
		idleSuite("idle.cpu"),
		pingSuite("ping.latency"),
		gnmiSuite("gnmi.subscribers"),
		gnmiBoxSuite("gnmi.subscribers.box"),
		gnmiTreeSuite("gnmi.set.10k", "gnmi.set.leaf", "gnmi.get.leaf"),
		gnmiAFTSuite("gnmi.aft.100k", 100_000),
		gnmiAFTSuite("gnmi.aft.1M", 1_000_000),
	}, tcpSuites()...)
}

func main() {
	if err := realMain(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func realMain() error {
	if len(os.Args) == 3 && os.Args[1] == gobgpFlag {
		n, err := strconv.ParseUint(os.Args[2], 10, 32)
		if err != nil {
			return err
		}
		return gobgpAlone(n)
	}
	if len(os.Args) == 5 && os.Args[1] == gnmiFlag {
		return subscribers(os.Args[2], os.Args[3], os.Args[4])
	}
	var o options
	pattern := flag.String("run", ".", "regular `expression` that selects benchmarks by name")
	list := flag.Bool("list", false, "print the names and end")
	markdown := flag.String("markdown", "", "render this `file` of JSON lines as a table for docs/performance.md and end")
	flag.StringVar(&o.bin, "bin", defaultBin(), "`directory` of vnf, vnfctl and vnf-dataplane")
	flag.IntVar(&o.runs, "runs", 5, "how often each figure is measured; the median counts")
	flag.DurationVar(&o.window, "window", 2*time.Second, "how long packets are counted for one figure")
	flag.IntVar(&o.nextHops, "next-hops", 16, "neighbours that the routes of the large tables are spread over")
	flag.BoolVar(&o.verbose, "v", false, "show what the processes print")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if *markdown != "" {
		return renderMarkdown(os.Stdout, *markdown)
	}
	re, err := regexp.Compile(*pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	if o.runs < 1 || o.window < 100*time.Millisecond || o.nextHops < 1 || o.nextHops > 200 {
		return errors.New("-runs is at least 1, -window at least 100ms, -next-hops 1 to 200")
	}
	if *list {
		for _, s := range suites() {
			for _, n := range s.names {
				fmt.Println(n)
			}
		}
		return nil
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	return runSuites(ctx, o, re)
}

func runSuites(ctx context.Context, o options, re *regexp.Regexp) error {
	if os.Geteuid() != 0 {
		return errors.New("run it as root: it reserves hugepages and makes network namespaces")
	}
	e, err := newEnv(o)
	if err != nil {
		return err
	}
	defer e.close()
	var failed []error
	any := false
	for _, s := range suites() {
		wanted := false
		for _, n := range s.names {
			wanted = wanted || re.MatchString(n)
		}
		if !wanted {
			continue
		}
		any = true
		if err := s.run(ctx, e, re.MatchString); err != nil {
			err = fmt.Errorf("%s: %w", s.names[0], err)
			fmt.Fprintln(os.Stderr, "bench:", err)
			failed = append(failed, err)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if !any {
		return errors.New("-run: no benchmark has such a name; see -list")
	}
	e.report.summary(os.Stderr, e.machine)
	if len(failed) > 0 {
		return fmt.Errorf("%d of the benchmarks did not work", len(failed))
	}
	return nil
}

func defaultBin() string {
	if d := os.Getenv("MILLRACE_BIN"); d != "" {
		return d
	}
	d, err := filepath.Abs("bin")
	if err != nil {
		return "bin"
	}
	return d
}

func printJSON(r result) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Println(string(b))
	return err
}
