package sizing

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// tree makes files below a folder.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for path, text := range files {
		path = filepath.Join(root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func contents(t *testing.T, root, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func machineFiles(cpus int, mib int) map[string]string {
	files := map[string]string{
		"sys/devices/system/cpu/online":                              fmt.Sprintf("0-%d\n", cpus-1),
		"sys/devices/system/node/node0/cpulist":                      fmt.Sprintf("0-%d\n", cpus-1),
		"sys/devices/system/cpu/isolated":                            "\n",
		"proc/meminfo":                                               fmt.Sprintf("MemTotal: %d kB\nMemFree: 1 kB\n", mib<<10),
		"sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":      "0\n",
		"proc/sys/vm/drop_caches":                                    "0\n",
		"proc/sys/vm/compact_memory":                                 "",
		"proc/irq/default_smp_affinity":                              "f\n",
		"proc/irq/24/smp_affinity_list":                              "0-3\n",
		"sys/devices/virtual/workqueue/cpumask":                      "f\n",
		"sys/fs/cgroup/cgroup.controllers":                           "cpuset cpu io memory hugetlb pids\n",
		"sys/fs/cgroup/millrace.slice/cpuset.cpus.partition":         "member\n",
		"proc/sys/kernel/watchdog_cpumask":                           "0-3\n",
		"sys/devices/virtual/workqueue/writeback/cpumask":            "f\n",
		"sys/devices/system/node/node0/hugepages/hugepages-2048kB/x": "",
	}
	for i := range cpus {
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/core_id", i)] = fmt.Sprintf("%d\n", i)
		files[fmt.Sprintf("sys/devices/system/cpu/cpu%d/topology/physical_package_id", i)] = "0\n"
	}
	return files
}

func TestApply(t *testing.T) {
	root := tree(t, machineFiles(8, 16000))
	var calls []string
	file := filepath.Join(root, "sizing.json")
	s, err := Apply(context.Background(), Options{Root: root, File: file, Ports: make([]Port, 2), Systemctl: func(_ context.Context, args ...string) error {
		calls = append(calls, strings.Join(args, " "))
		return nil
	}})
	if err != nil || len(s.Notes) != 0 {
		t.Fatalf("%+v %v", s, err)
	}
	if got := contents(t, root, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"); got != fmt.Sprint(s.Hugepages2M) {
		t.Errorf("%s hugepages, want %d", got, s.Hugepages2M)
	}
	for path, want := range map[string]string{
		"proc/irq/default_smp_affinity": "1", "proc/irq/24/smp_affinity_list": "0", "sys/devices/virtual/workqueue/cpumask": "1",
		"sys/fs/cgroup/millrace.slice/cpuset.cpus.partition": "isolated", "proc/sys/kernel/watchdog_cpumask": "0",
	} {
		if got := contents(t, root, path); got != want {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	want := []string{
		"set-property --runtime init.scope AllowedCPUs=0", "set-property --runtime system.slice AllowedCPUs=0",
		"set-property --runtime user.slice AllowedCPUs=0", "set-property --runtime machine.slice AllowedCPUs=0",
		"set-property --runtime millrace.slice AllowedCPUs=1-7", "start millrace.slice",
	}
	if !slices.Equal(calls, want) {
		t.Errorf("systemctl %q, want %q", calls, want)
	}
	if loaded, err := Load(file); err != nil || loaded.Workers != 6 {
		t.Errorf("the file has %+v, %v", loaded, err)
	}
}

// On two CPUs the control thread is in one group with its worker, which therefore is not limited.
func TestApplyShared(t *testing.T) {
	root := tree(t, machineFiles(2, 1950))
	s, err := Apply(context.Background(), Options{Root: root, File: "-", Systemctl: func(_ context.Context, args ...string) error {
		if slices.Contains(args, Slice) {
			t.Errorf("systemctl %q", args)
		}
		return nil
	}})
	if err != nil || len(s.Notes) != 0 || contents(t, root, "sys/fs/cgroup/millrace.slice/cpuset.cpus.partition") != "member" {
		t.Errorf("%+v %v", s, err)
	}
}

// What can't be done is told, and nothing fails.
func TestApplyLacks(t *testing.T) {
	files := machineFiles(4, 8000)
	delete(files, "sys/fs/cgroup/cgroup.controllers")
	delete(files, "proc/irq/default_smp_affinity")
	delete(files, "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages")
	root := tree(t, files)
	s, err := Apply(context.Background(), Options{Root: root, File: "-", Systemctl: func(context.Context, ...string) error {
		return errors.New("not to be called")
	}})
	if err != nil || s.Hugepages2M != 0 || s.DataplaneMemoryMiB == 0 || s.Workers != 3 {
		t.Fatalf("%+v %v", s, err)
	}
	for _, want := range []string{"no cgroup v2", "interrupts may come", "hugepages"} {
		if !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, want) }) {
			t.Errorf("no note of %q in %q", want, s.Notes)
		}
	}
	root = tree(t, machineFiles(8, 8000))
	s, err = Apply(context.Background(), Options{Root: root, File: "-", Systemctl: func(_ context.Context, args ...string) error {
		return errors.New("no bus")
	}})
	if err != nil || len(s.Notes) != 1 || !strings.Contains(s.Notes[0], "system.slice: no bus") {
		t.Errorf("%+v %v", s, err)
	}
	if _, err := Apply(context.Background(), Options{Root: t.TempDir(), File: "-"}); err == nil {
		t.Error("no error without /proc and /sys")
	}
}

// Where the kernel has fewer hugepages than asked for, the tables are smaller, and what is too few to be used goes back.
func TestFewerHugepages(t *testing.T) {
	for _, c := range []struct{ limit, least, most int }{{400, 300, 400}, {100, 0, 0}} {
		root := tree(t, machineFiles(4, 8000))
		const file = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
		s, err := Apply(context.Background(), Options{
			Root: root, File: "-", Systemctl: func(context.Context, ...string) error { return nil },
			wrote: func(path string) {
				if n, err := strconv.Atoi(contents(t, root, path)); path == "/"+file && err == nil && n > c.limit {
					if err := os.WriteFile(filepath.Join(root, path), fmt.Appendln(nil, c.limit), 0o644); err != nil {
						t.Error(err)
					}
				}
			},
		})
		if err != nil || s.Hugepages2M < c.least || s.Hugepages2M > c.most || len(s.Notes) == 0 {
			t.Errorf("limit %d: %+v %v", c.limit, s, err)
		}
		if got := contents(t, root, file); got != fmt.Sprint(s.Hugepages2M) {
			t.Errorf("limit %d: the kernel has %s hugepages, the sizing %d", c.limit, got, s.Hugepages2M)
		}
	}
}
