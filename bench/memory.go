// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"text/tabwriter"
)

const memoryRuns = 2

func memorySuite(name string, n int) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.memory(ctx, name, n)
	}}
}

// memory measures what the data plane has in RAM with a full table, and with an empty one. Its other sizes are the defaults.
func (e *env) memory(ctx context.Context, name string, n int) error {
	if err := e.hugepages(hugeMB); err != nil {
		return err
	}
	table := ipv4Table(n)
	e.notef("\n%s: %d routes (%s), default sizes; anonymous and shared memory and hugepages of the process", name, n, mixText(ipv4Mix))
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\tmode\tempty MB\tfull MB\tDPDK heap in use MB")
	var full, empty []float64
	for i := range min(e.runs, memoryRuns) {
		for _, args := range [][]string{nil, {"--no-huge"}} {
			a, b, heap, err := e.memoryRun(ctx, table, args)
			if err != nil {
				return err
			}
			mode := "hugepages"
			if args == nil {
				empty, full = append(empty, a), append(full, b)
			} else {
				mode = "no hugepages"
			}
			fmt.Fprintf(t, "%d\t%s\t%.0f\t%.0f\t%.0f\n", i+1, mode, a/1e6, b/1e6, heap/1e6)
		}
	}
	_ = t.Flush()
	return e.report.add(name, "bytes", full, "the same with an empty table", empty)
}

func (e *env) memoryRun(ctx context.Context, table []netip.Prefix, args []string) (empty, full, heap float64, err error) {
	d, err := e.startDataplane(ctx, nil, args...)
	if err != nil {
		return 0, 0, 0, err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	gw := nextHopAddress(false, 0)
	err = d.apply(ctx, portOp("out", "net_null0,no-rx=1"), addressOp("out", netip.MustParsePrefix("10.254.1.1/24")),
		neighborOp("out", gw, sinkMAC), gatewayOp(1, "out", gw), groupOp(1, 1))
	if err != nil {
		return 0, 0, 0, err
	}
	if empty, err = residentBytes(d.pid()); err != nil {
		return 0, 0, 0, err
	}
	if _, err := d.routes(ctx, table, []uint64{1}); err != nil {
		return 0, 0, 0, err
	}
	info, err := d.Info(ctx)
	if err != nil {
		return 0, 0, 0, err
	}
	full, err = residentBytes(d.pid())
	return empty, full, float64(info.GetMemoryUsed()), err
}

// residentBytes leaves out what is mapped from files: program and libraries.
func residentBytes(pid int) (float64, error) {
	sum := 0.0
	for _, f := range []string{"RssAnon", "RssShmem", "HugetlbPages"} {
		v, err := memoryOf(pid, f)
		if err != nil {
			return 0, err
		}
		sum += v
	}
	return sum, nil
}
