// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"sync"
	"time"
)

var (
	testpmdPort = regexp.MustCompile(`NIC statistics for port (\d+)`)
	testpmdRate = regexp.MustCompile(`Tx-pps:\s+(\d+)`)
)

// testpmd runs DPDK's testpmd from device to device in a forwarding mode on the worker's CPU and returns the packets a second that
// the second one sent over the window, and the share of the CPU that the worker had.
func (e *env) testpmd(ctx context.Context, mode, in, out string) (mpps, share float64, err error) {
	path, err := exec.LookPath("dpdk-testpmd")
	if err != nil {
		return 0, 0, fmt.Errorf("%w (Debian package dpdk-dev)", err)
	}
	prefix := e.unique("t")
	e.undo = append(e.undo, func() { removeHugeFiles(prefix) })
	var mu sync.Mutex
	var rates []float64
	port := ""
	cmd := onCPUs(allCPUs(), path, "--lcores", fmt.Sprintf("0@%d,1@%d", controlCPU, workerCPU), "--file-prefix", prefix, "--no-pci",
		"--no-telemetry", "--single-file-segments", "--log-level=*:warning", "--vdev", in, "--vdev", out, "--",
		"--forward-mode="+mode, "--nb-cores=1", "--stats-period=1", "--total-num-mbufs="+mbufs, "--mbcache=512", "--burst=64",
		"--no-lsc-interrupt")
	p, err := e.start("testpmd", cmd, func(s string) {
		mu.Lock()
		defer mu.Unlock()
		if m := testpmdPort.FindStringSubmatch(s); m != nil {
			port = m[1]
		} else if m := testpmdRate.FindStringSubmatch(s); m != nil && port == "1" {
			v, _ := strconv.ParseFloat(m[1], 64)
			rates = append(rates, v)
		}
	})
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		err = errors.Join(err, p.stop())
		removeHugeFiles(prefix)
	}()
	// The first two rates are of the start. Then one a second.
	need := 2 + max(1, int(e.window/time.Second))
	began := time.Now()
	var first map[string]time.Duration
	var since time.Time
	for {
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return 0, 0, err
		}
		if err := p.alive(); err != nil {
			return 0, 0, err
		}
		mu.Lock()
		got := append([]float64(nil), rates...)
		mu.Unlock()
		if len(got) >= 2 && first == nil {
			if first, err = threadTimes(p.pid()); err != nil {
				return 0, 0, err
			}
			since = time.Now()
		}
		if len(got) >= need {
			last, err := threadTimes(p.pid())
			if err != nil {
				return 0, 0, err
			}
			v := median(got[2:])
			if v == 0 {
				return 0, 0, errors.New("testpmd sent nothing")
			}
			return v / 1e6, busiest(first, last, time.Since(since)), nil
		}
		if time.Since(began) > startPatience {
			return 0, 0, errors.New("testpmd tells no rates")
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
