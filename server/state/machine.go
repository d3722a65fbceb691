package state

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	sampleEvery = time.Second
	// window is over how many samples averages and extremes go.
	window = 60
	// clockTick is the unit of times in /proc, which Linux fixes at 100 a second for what it tells user space.
	clockTick = 10 * time.Millisecond
)

// cpuKinds are the columns of a CPU in /proc/stat, as OpenConfig names them.
var cpuKinds = []string{"user", "nice", "kernel", "idle", "wait", "hardware-interrupt", "software-interrupt"}

// Machine samples the machine's CPUs and processes of the appliance from /proc. Run has to run for utilisation to be known.
type Machine struct {
	root string // of proc

	mu   sync.Mutex
	last map[string][]uint64
	// history of each CPU ("ALL" or its number) and kind in percent; the newest is last.
	history map[string]map[string][]sample
	procs   map[int]*process
}

type sample struct {
	percent uint8
	at      time.Time
}

// process is what was last sampled of one that somebody asked for.
type process struct {
	ticks   uint64
	at      time.Time
	percent uint8
	asked   time.Time
}

// NewMachine makes a sampler.
func NewMachine() *Machine {
	return &Machine{root: "/proc", last: map[string][]uint64{}, history: map[string]map[string][]sample{}, procs: map[int]*process{}}
}

// Run samples until ctx ends.
func (m *Machine) Run(ctx context.Context) {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		m.sample(time.Now())
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (m *Machine) sample(now time.Time) {
	b, err := os.ReadFile(filepath.Join(m.root, "stat"))
	if err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) < 8 || !strings.HasPrefix(f[0], "cpu") {
			continue
		}
		name := strings.TrimPrefix(f[0], "cpu")
		if name == "" {
			name = "ALL"
		}
		m.cpu(name, f[1:8], now)
	}
	for pid, p := range m.procs {
		st, err := m.stat(pid)
		if err != nil || now.Sub(p.asked) > time.Minute {
			delete(m.procs, pid)
			continue
		}
		p.update(st.utime+st.stime, now)
	}
}

func (m *Machine) cpu(name string, columns []string, now time.Time) {
	n := make([]uint64, len(columns))
	for i, c := range columns {
		n[i], _ = strconv.ParseUint(c, 10, 64)
	}
	old := m.last[name]
	m.last[name] = n
	if old == nil {
		return
	}
	delta, all := make([]uint64, len(n)), uint64(0)
	for i := range n {
		if n[i] > old[i] {
			delta[i] = n[i] - old[i]
		}
		all += delta[i]
	}
	if all == 0 {
		return
	}
	if m.history[name] == nil {
		m.history[name] = map[string][]sample{}
	}
	put := func(kind string, d uint64) {
		h := append(m.history[name][kind], sample{uint8((d*100 + all/2) / all), now})
		m.history[name][kind] = h[max(0, len(h)-window):]
	}
	for i, kind := range cpuKinds {
		put(kind, delta[i])
	}
	put("total", all-delta[3]-delta[4])
}

func (p *process) update(ticks uint64, now time.Time) {
	if d := now.Sub(p.at); d > 0 && ticks >= p.ticks {
		used := time.Duration(ticks-p.ticks) * clockTick
		p.percent = uint8(min(100*used/d, 255))
	}
	p.ticks, p.at = ticks, now
}

// statistics are of one kind of use over the window.
type statistics struct {
	instant, avg, min, max uint8
	minTime, maxTime       time.Time
	interval               time.Duration
}

func summarize(h []sample) (s statistics, ok bool) {
	if len(h) == 0 {
		return s, false
	}
	sum := 0
	s.min = h[0].percent
	s.minTime, s.maxTime = h[0].at, h[0].at
	for _, x := range h {
		sum += int(x.percent)
		if x.percent <= s.min {
			s.min, s.minTime = x.percent, x.at
		}
		if x.percent >= s.max {
			s.max, s.maxTime = x.percent, x.at
		}
	}
	s.instant, s.avg = h[len(h)-1].percent, uint8((sum+len(h)/2)/len(h))
	s.interval = time.Duration(len(h)) * sampleEvery
	return s, true
}

// CPUs lists those that there are: "ALL" and their numbers.
func (m *Machine) CPUs() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []string
	for name := range m.history {
		all = append(all, name)
	}
	return all
}

// use is the statistics of a CPU.
func (m *Machine) use(cpu, kind string) (statistics, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return summarize(m.history[cpu][kind])
}

// memory of the machine in bytes, by the names of /proc/meminfo.
func (m *Machine) memory() map[string]uint64 {
	b, err := os.ReadFile(filepath.Join(m.root, "meminfo"))
	if err != nil {
		return nil
	}
	all := map[string]uint64{}
	for line := range strings.Lines(string(b)) {
		name, rest, _ := strings.Cut(line, ":")
		if f := strings.Fields(rest); len(f) > 0 {
			n, _ := strconv.ParseUint(f[0], 10, 64)
			all[name] = n << 10
		}
	}
	return all
}

// bootTime is when the machine was started.
func (m *Machine) bootTime() time.Time {
	b, _ := os.ReadFile(filepath.Join(m.root, "stat"))
	for line := range strings.Lines(string(b)) {
		if s, ok := strings.CutPrefix(line, "btime "); ok {
			n, _ := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
			return time.Unix(n, 0)
		}
	}
	return time.Time{}
}

// procStat is what /proc/PID/stat says.
type procStat struct {
	name         string
	utime, stime uint64
	start        uint64 // ticks since boot
	rss          uint64 // bytes
}

func (m *Machine) stat(pid int) (procStat, error) {
	var s procStat
	b, err := os.ReadFile(filepath.Join(m.root, strconv.Itoa(pid), "stat"))
	if err != nil {
		return s, err
	}
	// The name is in parentheses and may have any character.
	open, end := bytes.IndexByte(b, '('), bytes.LastIndexByte(b, ')')
	if open < 0 || end < open {
		return s, os.ErrInvalid
	}
	s.name = string(b[open+1 : end])
	f := strings.Fields(string(b[end+1:]))
	if len(f) < 22 {
		return s, os.ErrInvalid
	}
	num := func(i int) uint64 {
		n, _ := strconv.ParseUint(f[i], 10, 64)
		return n
	}
	s.utime, s.stime, s.start, s.rss = num(11), num(12), num(19), num(21)*uint64(os.Getpagesize())
	return s, nil
}

func (m *Machine) args(pid int) []string {
	b, err := os.ReadFile(filepath.Join(m.root, strconv.Itoa(pid), "cmdline"))
	if err != nil || len(b) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// utilization of a process in percent of a CPU, at most 100 for the model's type; the first who asks gets that of its whole life.
func (m *Machine) utilization(pid int, st procStat, now time.Time) uint8 {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.procs[pid]
	if p == nil {
		p = &process{at: m.bootTime().Add(time.Duration(st.start) * clockTick)}
		p.update(st.utime+st.stime, now)
		m.procs[pid] = p
	}
	p.asked = now
	return min(p.percent, 100)
}

// cpuModel is the name of the CPUs.
func (m *Machine) cpuModel() string {
	b, _ := os.ReadFile(filepath.Join(m.root, "cpuinfo"))
	for line := range strings.Lines(string(b)) {
		if name, val, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(val)
		}
	}
	return runtime.GOARCH
}
