package control

import (
	"bytes"
	"context"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// While a full table is learned, Go's collector by default goes over all routes each time the heap has doubled, which takes as
// much CPU time as learning them. So it is lazy while there is little, and from then on frugal: a million routes shall neither be gone over
// often nor leave a gigabyte of garbage.
const (
	// lazyPercent of the live heap may be garbage as long as both together are within the budget,
	lazyPercent = 300
	// and frugalPercent beyond.
	frugalPercent = 60
	// The budget is a part of the memory there is, and no more than one million routes need.
	budgetPart = 8
	budgetMax  = 1536 << 20
	budgetMin  = 64 << 20
	// How often is looked whether the collector has run.
	collectorPeriod = 200 * time.Millisecond
)

// collectorPercent is how much garbage the collector is to allow, in percent of what is live (as GOGC).
func collectorPercent(live, budget uint64) int {
	if live == 0 {
		return lazyPercent
	}
	p := (float64(budget)/float64(live) - 1) * 100
	return int(math.Min(lazyPercent, math.Max(frugalPercent, p)))
}

// tuneCollector keeps the garbage collector's pace until ctx ends. GOGC in the environment is left as it is.
func tuneCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	budget := min(max(availableMemory()/budgetPart, budgetMin), budgetMax)
	percent := lazyPercent
	before := debug.SetGCPercent(percent)
	defer debug.SetGCPercent(before)
	tick := time.NewTicker(collectorPeriod)
	defer tick.Stop()
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}, {Name: "/gc/heap/live:bytes"}}
	cycles := uint64(0)
	for {
		metrics.Read(s)
		if n := s[0].Value.Uint64(); n != cycles {
			cycles = n
			if p := collectorPercent(s[1].Value.Uint64(), budget); p != percent {
				percent = p
				debug.SetGCPercent(p)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// availableMemory is that of the machine, or what a control group leaves us of it, in bytes.
func availableMemory() uint64 {
	total := uint64(math.MaxUint64)
	least := func(text string) {
		if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64); err == nil && n > 0 {
			total = min(total, n)
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := bytes.Fields(b); len(f) > 1 && string(f[0]) == "MemTotal:" {
			least(string(f[1]) + "000")
		}
	}
	files := []string{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}
	if b, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		for line := range strings.Lines(string(b)) {
			if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
				files = append(files, filepath.Join("/sys/fs/cgroup", path, "memory.max"))
			}
		}
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			least(string(b))
		}
	}
	return total
}
