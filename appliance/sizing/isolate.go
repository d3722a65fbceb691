package sizing

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Slice is the control group of the data plane.
const Slice = "millrace.slice"

// The groups that everything else on the machine is in.
var otherGroups = []string{"init.scope", "system.slice", "user.slice", "machine.slice"}

func systemctl(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "systemctl", args...).CombinedOutput()
	if text := strings.TrimSpace(string(out)); err != nil && text != "" {
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// isolate keeps everything but the data plane off its CPUs, and tells what could not be done.
func (y system) isolate(ctx context.Context, s *Sizing, systemctl func(context.Context, ...string) error) []string {
	if len(s.IsolatedCPUs) == 0 || len(s.HousekeepingCPUs) == 0 {
		return nil
	}
	var faults []string
	fault := func(what string, err error) {
		if err != nil {
			faults = append(faults, fmt.Sprintf("%s: %v", what, err))
		}
	}
	keep := FormatCPUs(s.HousekeepingCPUs)
	fault("other processes may run on the workers' CPUs", y.groups(ctx, s, keep, systemctl))
	fault("interrupts may come to the workers' CPUs", y.interrupts(s.HousekeepingCPUs))
	fault("work queues of the kernel may run on the workers' CPUs", y.workqueues(s.HousekeepingCPUs))
	if y.root == "/" {
		kernelThreads(s.HousekeepingCPUs)
	}
	// Its timer on each CPU is of no use where one thread runs; a kernel without it does not matter.
	_ = y.write("/proc/sys/kernel/watchdog_cpumask", keep)
	return faults
}

// groups limits the control groups of systemd, and makes the data plane's a partition that the scheduler does not balance.
func (y system) groups(ctx context.Context, s *Sizing, keep string, systemctl func(context.Context, ...string) error) error {
	controllers, err := y.read("/sys/fs/cgroup/cgroup.controllers")
	if err != nil {
		return errors.New("no cgroup v2")
	}
	if !strings.Contains(" "+controllers+" ", " cpuset ") {
		return errors.New("cgroup v2 has no cpuset controller")
	}
	var errs []error
	for _, g := range otherGroups {
		// For the run time: the next boot decides anew.
		if err := systemctl(ctx, "set-property", "--runtime", g, "AllowedCPUs="+keep); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", g, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if s.ControlShared() {
		return nil // it is in one group with the workers, and may be on the others' CPUs
	}
	return y.partition(ctx, s, systemctl)
}

func (y system) partition(ctx context.Context, s *Sizing, systemctl func(context.Context, ...string) error) error {
	if err := systemctl(ctx, "set-property", "--runtime", Slice, "AllowedCPUs="+FormatCPUs(s.IsolatedCPUs)); err != nil {
		return fmt.Errorf("%s: %w", Slice, err)
	}
	// Its group is there once it is started.
	if err := systemctl(ctx, "start", Slice); err != nil {
		return fmt.Errorf("%s: %w", Slice, err)
	}
	file := filepath.Join("/sys/fs/cgroup", Slice, "cpuset.cpus.partition")
	if !y.exists(file) {
		return nil // older than 5.0: limits have to do
	}
	var last string
	for _, kind := range []string{"isolated", "root"} { // isolated: from 6.1 on
		if err := y.write(file, kind); err != nil {
			last = err.Error()
			continue
		}
		state, err := y.read(file)
		if err == nil && state == kind {
			return nil
		}
		last = state
	}
	// Leave it a plain group: processes of an invalid partition run where they must not.
	_ = y.write(file, "member")
	return fmt.Errorf("%s can't be a partition of its own (%s); other processes are kept off, but kernel threads may come", Slice, last)
}

// interrupts sends those of all devices to the others' CPUs. Some belong to a CPU and can't be moved.
func (y system) interrupts(keep []int) error {
	files, _ := filepath.Glob(y.path("/proc/irq/[0-9]*/smp_affinity_list"))
	for _, f := range files {
		f, err := filepath.Rel(y.root, f)
		if err != nil {
			continue
		}
		_ = y.write(f, FormatCPUs(keep))
	}
	if err := y.write("/proc/irq/default_smp_affinity", maskCPUs(keep)); err != nil {
		return err
	}
	return nil
}

func (y system) workqueues(keep []int) error {
	var errs []error
	files := []string{"/sys/devices/virtual/workqueue/cpumask", "/sys/devices/virtual/workqueue/writeback/cpumask"}
	for _, f := range files {
		if y.exists(f) {
			errs = append(errs, y.write(f, maskCPUs(keep)))
		}
	}
	return errors.Join(errs...)
}

// kernelThreads moves those that can be: the others are bound to a CPU, and have little to do where one thread runs.
func kernelThreads(keep []int) {
	var set unix.CPUSet
	for _, c := range keep {
		set.Set(c)
	}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range stats {
		text, err := system{root: "/"}.read(f)
		if err != nil {
			continue
		}
		// pid (name) state ppid …; a name may have anything in it.
		_, after, _ := strings.Cut(text[strings.LastIndexByte(text, ')')+1:], " ")
		fields := strings.Fields(after)
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
		if err == nil && len(fields) > 1 && (fields[1] == "2" || pid == 2) {
			_ = unix.SchedSetaffinity(pid, &set)
		}
	}
}
