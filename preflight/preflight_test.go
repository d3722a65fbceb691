package preflight

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// good is a machine on which nothing is amiss. A text "-> X" is a symbolic link.
func good() map[string]string {
	return map[string]string{
		"/proc/cpuinfo":                     "model name\t: Some CPU\nflags\t\t: fpu cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3 avx2 constant_tsc nonstop_tsc\n",
		"/proc/meminfo":                     "MemTotal:       16000000 kB\nMemAvailable:   15000000 kB\n",
		"/proc/mounts":                      "hugetlbfs /dev/hugepages hugetlbfs rw 0 0\n",
		"/sys/devices/system/cpu/online":    "0-3\n",
		"/sys/devices/system/cpu/isolated":  "2-3\n",
		"/sys/devices/system/cpu/nohz_full": "2-3\n",
		"/sys/devices/system/clocksource/clocksource0/current_clocksource":   "tsc\n",
		"/sys/devices/system/clocksource/clocksource0/available_clocksource": "tsc acpi_pm\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages":             "1024\n",
		"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages":           "1000\n",
		"/sys/class/iommu/dmar0/x":                                           "",
		"/sys/kernel/iommu_groups/0/x":                                       "",
		"/sys/module/vfio_pci/x":                                             "",
		"/sys/bus/pci/devices/0000:00:05.0/class":                            "0x020000\n",
		"/sys/bus/pci/devices/0000:00:05.0/vendor":                           "0x1af4\n",
		"/sys/bus/pci/devices/0000:00:05.0/device":                           "0x1041\n",
		"/sys/bus/pci/devices/0000:00:05.0/driver":                           "-> ../../../bus/pci/drivers/vfio-pci",
		"/sys/bus/pci/devices/0000:00:05.0/iommu_group":                      "-> ../../../kernel/iommu_groups/0",
		"/sys/bus/pci/devices/0000:00:06.0/class":                            "0x030000\n",
		"/proc/net/packet":                                                   "sk\n",
		"/proc/net/protocols":                                                "protocol  size\nXDP  1\n",
		"/proc/sys/kernel/osrelease":                                         "6.1.0\n",
		"/dev/net/tun":                                                       "",
		"/proc/self/ns/net":                                                  "",
		"/proc/self/status":                                                  "Name:\tx\nCapEff:\t000001ffffffffff\n",
		"/proc/self/limits":                                                  "Max open files            65536                65536                files\nMax locked memory         unlimited            unlimited            bytes\n",
	}
}

func machine(t *testing.T, files map[string]string) *Machine {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			err = os.Symlink(to, p)
		} else {
			err = os.WriteFile(p, []byte(text), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return New(root)
}

func TestGoodMachine(t *testing.T) {
	results := machine(t, good()).Run()
	for _, r := range results {
		if r.Level != OK || len(r.Fix) != 0 {
			t.Errorf("%+v", r)
		}
	}
	if Worst(results) != OK {
		t.Error(Worst(results))
	}
	var b strings.Builder
	if err := Write(&b, results); err != nil || !strings.Contains(b.String(), "1af4:1041, driver vfio-pci; ready for net_virtio") {
		t.Errorf("%v\n%s", err, b.String())
	}
}

func TestFaults(t *testing.T) {
	const nic = "/sys/bus/pci/devices/0000:00:05.0/"
	const noiommu = "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode"
	for _, c := range []struct {
		name  string
		set   map[string]string // empty text: not there
		check string
		level Level
		found string // part of it
		fix   string // part of the first
	}{
		{"old CPU", map[string]string{"/proc/cpuinfo": "model name : Old\nflags : fpu cx16 lahf_lm pni ssse3\n"}, "cpu", Fail, "Old lacks popcnt sse4_1 sse4_2", "-cpu host"},
		{"no cpuinfo", map[string]string{"/proc/cpuinfo": ""}, "cpu", Fail, "no CPU flags", ""},
		{"one CPU", map[string]string{"/sys/devices/system/cpu/online": "0\n"}, "cpus", Warn, "1 online", "second CPU"},
		{"no isolation", map[string]string{"/sys/devices/system/cpu/isolated": "\n"}, "isolation", Info, "no CPU", "isolcpus"},
		{"slow clock", map[string]string{"/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet\n"}, "clock", Warn, "hpet", "echo tsc > /sys"},
		{"little memory", map[string]string{"/proc/meminfo": "MemTotal: 900000 kB\nMemAvailable: 500000 kB\n"}, "memory", Fail, "488 MiB of 878 MiB", "2 GiB"},
		{"some memory", map[string]string{"/proc/meminfo": "MemTotal: 1900000 kB\nMemAvailable: 1500000 kB\n"}, "memory", Warn, "1.4 GiB", "ipv4-routes"},
		{"no hugepages", map[string]string{"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages": "0\n"}, "hugepages", Warn, "none", "sysctl -w vm.nr_hugepages=512"},
		{"hugepages taken", map[string]string{"/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages": "10\n"}, "hugepages", Warn, "only 20 MiB", "numa_maps"},
		{"no hugetlbfs", map[string]string{"/proc/mounts": ""}, "hugepages", Warn, "no hugetlbfs", "mount -t hugetlbfs"},
		{"no IOMMU", map[string]string{"/sys/class/iommu/dmar0/x": "", noiommu: "N\n"}, "vfio", Warn, "no-IOMMU mode is off", "echo 1 > /sys/module/vfio"},
		{"no IOMMU, a kernel of Debian's", map[string]string{"/sys/class/iommu/dmar0/x": ""}, "vfio", Info, "Debian's have none", "modprobe uio_pci_generic"},
		{"no IOMMU, no vfio", map[string]string{"/sys/class/iommu/dmar0/x": "", "/sys/module/vfio_pci/x": ""}, "vfio", Info, "not loaded", "modprobe uio_pci_generic"},
		{"no vfio", map[string]string{"/sys/module/vfio_pci/x": ""}, "vfio", Info, "not loaded", "modprobe vfio-pci"},
		{"kernel driver", map[string]string{nic + "driver": "-> x/virtio-pci", nic + "virtio0/net/eth5/x": "."}, "nic 0000:00:05.0", Info,
			"netdev eth5; net_virtio would take it", "dpdk-devbind.py --bind=vfio-pci 0000:00:05.0"},
		{"kernel driver, no group", map[string]string{nic + "driver": "-> x/virtio-pci", nic + "virtio0/net/eth5/x": ".", nic + "iommu_group": ""}, "nic 0000:00:05.0", Info,
			"netdev eth5; net_virtio would take it", "modprobe uio_pci_generic && dpdk-devbind.py --bind=uio_pci_generic 0000:00:05.0"},
		{"virtual function", map[string]string{nic + "driver": "-> x/virtio-pci", nic + "iommu_group": "", nic + "config": strings.Repeat("\x00", 64)}, "nic 0000:00:05.0",
			Info, "net_virtio would take it", "dpdk-devbind.py --bind=igb_uio 0000:00:05.0"},
		{"kernel driver in use", map[string]string{nic + "driver": "-> x/virtio-pci", nic + "virtio0/net/eth5/x": ".", "/sys/class/net/eth5/operstate": "up\n"},
			"nic 0000:00:05.0", Info, "netdev eth5, which is up", "modprobe"},
		{"no driver", map[string]string{nic + "driver": ""}, "nic 0000:00:05.0", Warn, "no driver; net_virtio would take it", "dpdk-devbind.py"},
		{"mlx5", map[string]string{nic + "vendor": "0x15b3\n", nic + "device": "0x1017\n", nic + "driver": "-> x/mlx5_core"}, "nic 0000:00:05.0", OK, "net_mlx5 shares it", ""},
		{"unknown NIC", map[string]string{nic + "vendor": "0xdead\n"}, "nic 0000:00:05.0", Info, "no DPDK driver is known", ""},
		{"no NIC", map[string]string{nic + "class": "0x030000\n"}, "nics", Info, "no PCI network devices", ""},
		{"no af_packet", map[string]string{"/proc/net/packet": ""}, "af_packet", Fail, "not there", "modprobe af_packet"},
		{"no af_xdp", map[string]string{"/proc/net/protocols": "TCP 1\n"}, "af_xdp", Info, "6.1.0", ""},
		{"no tun", map[string]string{"/dev/net/tun": ""}, "tun", Fail, "no /dev/net/tun", "modprobe tun"},
		{"no namespaces", map[string]string{"/proc/self/ns/net": ""}, "namespaces", Fail, "no network", "none"},
		{"no privileges", map[string]string{"/proc/self/status": "CapEff:\t0000000000002000\n"}, "privileges", Fail, "CAP_NET_ADMIN", "root"},
		{"memlock", map[string]string{"/proc/self/status": "CapEff:\t0000000000203000\n", "/proc/self/limits": "Max locked memory 8388608 8388608 bytes\n"},
			"memlock", Warn, "8 MiB", "ulimit -l"},
		{"few files", map[string]string{"/proc/self/limits": "Max open files 256 256 files\n"}, "nofile", Warn, "256", "ulimit -n"},
	} {
		files := good()
		for k, v := range c.set {
			if files[k] = v; v == "" {
				delete(files, k)
			}
		}
		found := false
		for _, r := range machine(t, files).Run() {
			fix := strings.Join(r.Fix, "\n")
			if r.Check == c.check && r.Level == c.level && strings.Contains(r.Found, c.found) && strings.Contains(fix, c.fix) && (c.fix != "" || fix == "") {
				found = true
			}
		}
		if !found {
			t.Errorf("%s: not told: %+v", c.name, machine(t, files).Run())
		}
	}
}

func TestEmptyMachine(t *testing.T) {
	results := machine(t, nil).Run()
	if Worst(results) != Fail || len(results) < 8 {
		t.Errorf("%+v", results)
	}
}
