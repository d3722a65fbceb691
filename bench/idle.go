// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"millrace/internal/lab"
)

const (
	idleRuns   = 3
	idleWindow = 10 * time.Second
	idleConfig = `
interfaces:
  - {name: eth1, type: port, iface: pa, addresses: [10.0.1.1/24]}
  - {name: eth2, type: port, iface: pb, addresses: [10.0.2.1/24]}
`
)

func idleSuite(name string) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		return e.idle(ctx, name)
	}}
}

// idle measures what the appliance takes of a CPU while there is nothing to do.
func (e *env) idle(ctx context.Context, name string) error {
	pin, err := allowAll()
	if err != nil {
		return err
	}
	defer pin()
	n, err := newVethNet()
	if err != nil {
		return err
	}
	defer n.Close()
	box, err := n.Box(n.router, lab.BoxOptions{Config: idleConfig})
	if err != nil {
		return err
	}
	if err := box.WaitInterfaces("eth1", "eth2"); err != nil {
		return err
	}
	// What follows the start is not idleness.
	if err := sleep(ctx, 3*time.Second); err != nil {
		return err
	}
	e.notef("\n%s: vnf and vnf-dataplane (one worker, not polling) with two af_packet ports, no traffic, over %s", name, idleWindow)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintln(t, "run\tvnf-dataplane\tvnf control\tpercent of a core")
	var sums []float64
	for i := range min(e.runs, idleRuns) {
		var used [2]time.Duration
		var pids [2]int
		for k, which := range []string{"dataplane", "control"} {
			if pids[k], err = box.Child(which); err != nil {
				return err
			}
			if used[k], err = cpuTime(pids[k]); err != nil {
				return err
			}
		}
		began := time.Now()
		if err := sleep(ctx, idleWindow); err != nil {
			return err
		}
		took := time.Since(began)
		var share [2]float64
		for k, pid := range pids {
			now, err := cpuTime(pid)
			if err != nil {
				return err
			}
			share[k] = 100 * float64(now-used[k]) / float64(took)
		}
		sums = append(sums, share[0]+share[1])
		fmt.Fprintf(t, "%d\t%.2f\t%.2f\n", i+1, share[0], share[1])
	}
	_ = t.Flush()
	return e.report.add(name, "% of a core", sums, "", nil)
}

// cpuTime is what all threads of a process used so far.
func cpuTime(pid int) (sum time.Duration, err error) {
	times, err := threadTimes(pid)
	for _, t := range times {
		sum += t
	}
	return sum, err
}
