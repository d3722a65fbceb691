// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Where things run: the first CPU has the control threads and this program, the second the worker that is measured.
const (
	controlCPU = 0
	workerCPU  = 1
)

// machineCPUs is read before this program is pinned.
var machineCPUs = runtime.NumCPU()

// allCPUs in the manner of taskset(1).
func allCPUs() string { return "0-" + strconv.Itoa(machineCPUs-1) }

// env is what the benchmarks of one run share.
type env struct {
	options
	machine machine
	report  report
	// dir is for files of this run.
	dir string
	// undo restores the machine, last first.
	undo []func()
	n    int
}

func newEnv(o options) (*env, error) {
	if machineCPUs < 2 {
		return nil, errors.New("two CPUs are needed: one for control, one for the worker")
	}
	for _, name := range []string{"vnf-dataplane", "vnf"} {
		if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
			return nil, fmt.Errorf("%w; build it with `make`", err)
		}
	}
	// The lab takes the programs from there.
	if err := os.Setenv("MILLRACE_BIN", o.bin); err != nil {
		return nil, err
	}
	e := &env{options: o}
	var err error
	if e.dir, err = os.MkdirTemp("", "millrace-bench-"); err != nil {
		return nil, err
	}
	e.undo = append(e.undo, func() { _ = os.RemoveAll(e.dir) })
	if err := e.alone(); err != nil {
		e.close()
		return nil, err
	}
	if err := pinSelf(controlCPU); err != nil {
		e.close()
		return nil, err
	}
	e.machine = readMachine(e)
	e.machine.header(os.Stderr)
	return e, nil
}

// alone waits until no other run is on this machine: they would disturb each other, and each restores what it found.
func (e *env) alone() error {
	f, err := os.OpenFile("/run/millrace-bench.lock", os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		e.notef("waiting for another run of the benchmarks to end")
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
	e.undo = append(e.undo, func() { _ = f.Close() })
	return nil
}

func (e *env) close() {
	for i := len(e.undo) - 1; i >= 0; i-- {
		e.undo[i]()
	}
	e.undo = nil
}

// unique gives a name for files, DPDK prefixes and namespaces that no other run uses.
func (e *env) unique(what string) string {
	e.n++
	return fmt.Sprintf("mrb%d%s%d", os.Getpid(), what, e.n)
}

func (e *env) notef(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}

// pinSelf lets this program, and what it starts from now on, run on these CPUs only.
func pinSelf(cpus ...int) error {
	var set unix.CPUSet
	for _, c := range cpus {
		set.Set(c)
	}
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range tasks {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			continue
		}
		if err := unix.SchedSetaffinity(tid, &set); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("pin to CPUs %v: %w", cpus, err)
		}
	}
	return nil
}

// allowAll lets this program and what it starts run everywhere, until the function that it returns is called.
func allowAll() (func(), error) {
	cpus := make([]int, machineCPUs)
	for i := range cpus {
		cpus[i] = i
	}
	if err := pinSelf(cpus...); err != nil {
		return nil, err
	}
	return func() { _ = pinSelf(controlCPU) }, nil
}

// onCPUs is a command that may run on the given CPUs, whatever this program is pinned to.
func onCPUs(cpus, path string, args ...string) *exec.Cmd {
	return exec.Command("taskset", append([]string{"-c", cpus, path}, args...)...)
}

// hugepages reserves so many MB for the rest of the run, on top of what is in use, and mounts hugetlbfs if nobody has.
func (e *env) hugepages(mb int) error {
	const path = "/proc/sys/vm/nr_hugepages"
	free, err := meminfo("HugePages_Free")
	if err != nil {
		return err
	}
	size, err := meminfo("Hugepagesize")
	if err != nil {
		return err
	}
	if size == 0 {
		return errors.New("the kernel has no hugepages")
	}
	if err := e.mountHuge(); err != nil {
		return err
	}
	missing := mb*1024/size + 1 - free
	if missing <= 0 {
		return nil
	}
	before, err := readInt(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(strconv.Itoa(before+missing)), 0o644); err != nil {
		return fmt.Errorf("reserve hugepages: %w", err)
	}
	e.undo = append(e.undo, func() { _ = os.WriteFile(path, []byte(strconv.Itoa(before)), 0o644) })
	if free, err = meminfo("HugePages_Free"); err != nil {
		return err
	}
	if free*size < mb*1024 {
		return fmt.Errorf("only %d MB of hugepages are free after asking for %d MB: memory is short or in pieces", free*size/1024, mb)
	}
	return nil
}

func (e *env) mountHuge() error {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " hugetlbfs ") {
		return nil
	}
	const dir = "/dev/hugepages"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("hugetlbfs", dir, "hugetlbfs", 0, ""); err != nil {
		return fmt.Errorf("mount hugetlbfs: %w", err)
	}
	e.undo = append(e.undo, func() { _ = unix.Unmount(dir, 0) })
	return nil
}

// removeHugeFiles removes what a DPDK process leaves behind: its memory would stay in use.
func removeHugeFiles(prefix string) {
	files, _ := filepath.Glob("/dev/hugepages/" + prefix + "map_*")
	for _, f := range files {
		_ = os.Remove(f)
	}
	_ = os.RemoveAll("/run/dpdk/" + prefix)
}

// meminfo is a number of /proc/meminfo: pages, or KiB.
func meminfo(key string) (int, error) {
	v, err := procField("/proc/meminfo", key)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSuffix(v, " kB"))
}

// procField is the value after "key:" in a file of /proc.
func procField(path, key string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	s := bufio.NewScanner(f)
	for s.Scan() {
		if k, v, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v), nil
		}
	}
	return "", fmt.Errorf("%s has no %q", path, key)
}

func readInt(path string) (int, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// machine is what the figures depend on.
type machine struct {
	date, cpu, kernel, version, load string
	cpus                             int
	runs                             int
	window                           time.Duration
}

func readMachine(e *env) machine {
	m := machine{date: time.Now().Format("2006-01-02"), cpus: machineCPUs, runs: e.runs, window: e.window}
	m.cpu, _ = procField("/proc/cpuinfo", "model name")
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = unix.ByteSliceToString(u.Release[:])
	}
	if out, err := exec.Command(filepath.Join(e.bin, "vnf-dataplane"), "--version").Output(); err == nil {
		m.version = strings.TrimSpace(string(out))
	}
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load = strings.Join(strings.Fields(string(b))[:3], " ")
	}
	return m
}

func (m machine) header(w io.Writer) {
	fmt.Fprintf(w, "%s: %d × %s, Linux %s, %s\n", m.date, m.cpus, m.cpu, m.kernel, m.version)
	fmt.Fprintf(w, "control on CPU %d, one worker on CPU %d, frames of %d bytes (without FCS), %d runs of %s, load before: %s\n", controlCPU,
		workerCPU, frameLen, m.runs, m.window, m.load)
}

// threadTimes is the CPU time of each thread of a process.
func threadTimes(pid int) (map[string]time.Duration, error) {
	times := map[string]time.Duration{}
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			continue // the thread ended
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p, err)
		}
		times[p] = time.Duration(n)
	}
	if len(times) == 0 {
		return nil, fmt.Errorf("process %d is gone", pid)
	}
	return times, nil
}

// busiest is the largest share of a CPU that a thread had between two readings: below 1 the polling worker was not alone.
func busiest(a, b map[string]time.Duration, d time.Duration) float64 {
	var most time.Duration
	for p, t := range b {
		most = max(most, t-a[p])
	}
	return float64(most) / float64(d)
}
