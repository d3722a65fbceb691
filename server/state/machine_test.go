package state

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestMachine(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	m := NewMachine()
	m.root = dir
	t0 := time.Unix(1790000000, 0)
	for i, line := range []string{
		"cpu 0 0 0 0 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\nbtime 1780000000\n",
		"cpu 50 0 30 20 0 0 0 0 0 0\ncpu0 50 0 30 20 0 0 0 0 0 0\nbtime 1780000000\n",
		"cpu 60 0 40 100 0 0 0 0 0 0\ncpu0 60 0 40 100 0 0 0 0 0 0\nbtime 1780000000\n",
	} {
		write("stat", line)
		m.sample(t0.Add(time.Duration(i) * time.Second))
	}
	cpus := m.CPUs()
	slices.Sort(cpus)
	if !slices.Equal(cpus, []string{"0", "ALL"}) {
		t.Errorf("CPUs %v", cpus)
	}
	got, ok := m.use("0", "total")
	want := statistics{instant: 20, avg: 50, min: 20, max: 80, minTime: t0.Add(2 * time.Second), maxTime: t0.Add(time.Second), interval: 2 * time.Second}
	if !ok || got != want {
		t.Errorf("total: %+v, want %+v", got, want)
	}
	if s, _ := m.use("ALL", "user"); s.instant != 10 || s.max != 50 {
		t.Errorf("user: %+v", s)
	}
	if b := m.bootTime(); !b.Equal(time.Unix(1780000000, 0)) {
		t.Errorf("boot time %s", b)
	}
	write("meminfo", "MemTotal:       2048 kB\nMemFree:  1024 kB\nMemAvailable:    1536 kB\n")
	if mem := m.memory(); mem["MemTotal"] != 2<<20 || mem["MemAvailable"] != 1536<<10 {
		t.Errorf("memory %v", mem)
	}
	// A name with a parenthesis and blanks; 300 ticks of user and 100 of system time; 8 pages.
	write("7/stat", "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 300 100 0 0 20 0 1 0 1000 1000000 8 18446744073709551615 0 0\n")
	write("7/cmdline", "vnf\x00control\x00")
	st, err := m.stat(7)
	if err != nil || st.name != "a ) b" || st.utime != 300 || st.stime != 100 || st.start != 1000 || st.rss != 8*uint64(os.Getpagesize()) {
		t.Errorf("process %+v, %v", st, err)
	}
	if a := m.args(7); !slices.Equal(a, []string{"vnf", "control"}) {
		t.Errorf("arguments %q", a)
	}
	// It began 10 s after the machine, and used 4 s of 8.
	now := time.Unix(1780000018, 0)
	if p := m.utilization(7, st, now); p != 50 {
		t.Errorf("utilisation %d", p)
	}
	write("7/stat", "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 310 100 0 0 20 0 1 0 1000 1000000 8 18446744073709551615 0 0\n")
	m.sample(now.Add(time.Second))
	if p := m.utilization(7, st, now.Add(time.Second)); p != 10 {
		t.Errorf("utilisation of the last second %d", p)
	}
}
