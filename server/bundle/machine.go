package bundle

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"millrace/preflight"
)

// MachineOptions say where the facts of a machine are.
type MachineOptions struct {
	// Root is put before the paths of the system; empty: "/".
	Root string
	// RuntimeDir and StateDir are vnf's.
	RuntimeDir, StateDir string
}

// auditTail is how much of the audit log goes into a bundle.
const auditTail = 512 << 10

// Machine are the parts that need no vnf: what there is of a machine, and what the appliance's boot left in files.
func Machine(o MachineOptions) []Part {
	if o.Root == "" {
		o.Root = "/"
	}
	m := &machine{o}
	parts := []Part{
		{Name: "machine/kernel.txt", Max: 64 << 10, Collect: m.files("/etc/os-release", "/proc/version", "/proc/cmdline", "/proc/uptime",
			"/proc/loadavg", "/proc/sys/kernel/tainted", "/proc/sys/kernel/hostname", "/proc/mounts", "/proc/modules")},
		{Name: "machine/cpu.txt", Max: 256 << 10, Collect: m.files("/sys/devices/system/cpu/online", "/sys/devices/system/cpu/isolated",
			"/sys/devices/system/cpu/nohz_full", "/sys/devices/system/cpu/smt/active", "/sys/devices/system/cpu/cpu*/topology/thread_siblings_list",
			"/sys/devices/system/node/node*/cpulist", "/sys/devices/system/clocksource/clocksource0/current_clocksource", "/proc/cpuinfo")},
		{Name: "machine/isolation.txt", Max: 256 << 10, Collect: m.files("/sys/fs/cgroup/*/cpuset.cpus", "/sys/fs/cgroup/*/cpuset.cpus.effective",
			"/sys/fs/cgroup/*/cpuset.cpus.partition", "/sys/devices/virtual/workqueue/cpumask", "/proc/irq/default_smp_affinity",
			"/proc/irq/*/smp_affinity_list")},
		{Name: "machine/memory.txt", Max: 128 << 10, Collect: m.files("/proc/meminfo", "/sys/kernel/mm/hugepages/*/*",
			"/sys/devices/system/node/node*/hugepages/*/*", "/sys/devices/system/node/node*/meminfo", "/proc/buddyinfo", "/proc/pressure/*",
			"/sys/kernel/mm/transparent_hugepage/enabled", "/proc/vmstat")},
		{Name: "machine/interrupts.txt", Max: 512 << 10, Collect: m.files("/proc/interrupts", "/proc/softirqs", "/proc/net/softnet_stat")},
		{Name: "machine/network.txt", Max: 256 << 10, Collect: network},
		{Name: "machine/disk.txt", Max: 64 << 10, Collect: m.disk},
		{Name: "machine/processes.txt", Max: 256 << 10, Collect: m.processes},
		{Name: "machine/packages.txt", Max: 256 << 10, Collect: m.packages},
		{Name: "machine/preflight.json", Collect: func(_ context.Context, w io.Writer) error {
			return JSON(w, preflight.New(o.Root).Run())
		}},
		{Name: "audit.log", Max: auditTail, Collect: tail(filepath.Join(o.StateDir, "audit.log"), auditTail)},
	}
	for _, f := range []string{"nics.json", "sizing.json", "day0.json", "dataplane.env", "vnf.env"} {
		parts = append(parts, Part{Name: "appliance/" + f, Max: 256 << 10, Collect: file(filepath.Join(o.RuntimeDir, f))})
	}
	return parts
}

type machine struct{ MachineOptions }

// JSON writes a value for people to read.
func JSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// files writes files of the system one after the other, each with its name. What a machine does not have is left out.
func (m *machine) files(patterns ...string) func(context.Context, io.Writer) error {
	return func(ctx context.Context, w io.Writer) error {
		for _, pattern := range patterns {
			names, _ := filepath.Glob(filepath.Join(m.Root, pattern))
			for _, name := range names {
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				b, err := read(name, 1<<20)
				if err != nil {
					continue // a control file that is only written, or one that just went
				}
				b = bytes.TrimRight(b, "\n")
				sep := "\n"
				if !bytes.Contains(b, []byte("\n")) {
					sep = " "
				}
				if _, err := fmt.Fprintf(w, "%s:%s%s\n", strings.TrimPrefix(name, strings.TrimSuffix(m.Root, "/")), sep, b); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// read takes the beginning of a regular file; of anything else, which may block, nothing.
func read(name string, most int64) ([]byte, error) {
	st, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, most))
}

// file copies one.
func file(name string) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		b, err := read(name, DefaultMax)
		if err != nil {
			return err
		}
		_, err = w.Write(b)
		return err
	}
}

// tail copies the last lines of a file.
func tail(name string, most int64) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		r := bufio.NewReader(f)
		if st.Size() > most {
			if _, err := f.Seek(st.Size()-most, io.SeekStart); err != nil {
				return err
			}
			if _, err := r.ReadBytes('\n'); err != nil {
				return err
			}
		}
		_, err = io.Copy(w, io.LimitReader(r, most))
		return err
	}
}

// network are the devices and addresses of the namespace that we are in.
func network(_ context.Context, w io.Writer) error {
	all, err := net.Interfaces()
	if err != nil {
		return err
	}
	for _, i := range all {
		if _, err := fmt.Fprintf(w, "%d: %s mtu %d %s %s\n", i.Index, i.Name, i.MTU, i.HardwareAddr, i.Flags); err != nil {
			return err
		}
		addrs, err := i.Addrs()
		if err != nil {
			return err
		}
		for _, a := range addrs {
			if _, err := fmt.Fprintf(w, "    %s\n", a); err != nil {
				return err
			}
		}
	}
	for _, f := range []string{"/proc/net/route", "/proc/net/ipv6_route", "/proc/net/dev", "/proc/net/snmp"} {
		b, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s:\n%s", f, b); err != nil {
			return err
		}
	}
	return nil
}

func (m *machine) disk(_ context.Context, w io.Writer) error {
	for _, dir := range []string{m.Root, m.StateDir, m.RuntimeDir} {
		var s unix.Statfs_t
		if err := unix.Statfs(dir, &s); err != nil {
			fmt.Fprintf(w, "%s: %v\n", dir, err)
			continue
		}
		size := uint64(s.Bsize)
		if _, err := fmt.Fprintf(w, "%s: %d MiB of %d MiB free, %d of %d inodes free\n", dir, s.Bavail*size>>20, s.Blocks*size>>20, s.Ffree, s.Files); err != nil {
			return err
		}
	}
	// Names and sizes of what vnf keeps, not what is in it.
	return filepath.WalkDir(m.StateDir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			fmt.Fprintf(w, "%v\n", err)
			return nil
		}
		i, err := e.Info()
		if err != nil {
			return nil // it just went
		}
		_, err = fmt.Fprintf(w, "%s %8d %s %s\n", i.Mode(), i.Size(), i.ModTime().UTC().Format("2006-01-02T15:04:05Z"), path)
		return err
	})
}

// processes are ours, with memory, threads and where they may run.
func (m *machine) processes(_ context.Context, w io.Writer) error {
	names, _ := filepath.Glob(filepath.Join(m.Root, "/proc/[0-9]*/comm"))
	found := false
	for _, name := range names {
		b, err := os.ReadFile(name)
		comm := strings.TrimSpace(string(b))
		if err != nil || !slices.Contains([]string{"vnf", "vnf-dataplane"}, comm) {
			continue
		}
		found = true
		dir := filepath.Dir(name)
		for _, f := range []string{"status", "limits", "cgroup", "sched"} {
			b, err := read(filepath.Join(dir, f), 64<<10)
			if err != nil {
				continue
			}
			if _, err := fmt.Fprintf(w, "%s %s/%s:\n%s\n", comm, filepath.Base(dir), f, b); err != nil {
				return err
			}
		}
		threads, _ := filepath.Glob(filepath.Join(dir, "task/*/status"))
		for _, t := range threads {
			b, err := os.ReadFile(t)
			if err != nil {
				continue
			}
			var line []string
			for l := range strings.Lines(string(b)) {
				if k, v, ok := strings.Cut(l, ":"); ok && slices.Contains([]string{"Name", "Cpus_allowed_list", "voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"}, k) {
					line = append(line, k+" "+strings.TrimSpace(v))
				}
			}
			if _, err := fmt.Fprintf(w, "thread %s: %s\n", filepath.Base(filepath.Dir(t)), strings.Join(line, ", ")); err != nil {
				return err
			}
		}
	}
	if !found {
		return errors.New("neither vnf nor vnf-dataplane is to be seen from here")
	}
	return nil
}

// packages are those of Debian that are installed, with their versions.
func (m *machine) packages(ctx context.Context, w io.Writer) error {
	fmt.Fprintf(w, "built with %s\n", runtime.Version())
	f, err := os.Open(filepath.Join(m.Root, "/var/lib/dpkg/status"))
	if errors.Is(err, fs.ErrNotExist) {
		_, err = fmt.Fprintln(w, "no Debian packages")
		return err
	}
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	name := ""
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if v, ok := strings.CutPrefix(lines.Text(), "Package: "); ok {
			name = v
		} else if v, ok := strings.CutPrefix(lines.Text(), "Version: "); ok {
			if _, err := fmt.Fprintln(w, name, v); err != nil {
				return err
			}
		}
	}
	return lines.Err()
}
