package preflight

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

func (m *Machine) meminfo(name string) uint64 {
	n, _ := strconv.ParseUint(strings.TrimSuffix(field(m.read("/proc/meminfo"), name, ":"), " kB"), 10, 64)
	return n << 10
}

func (m *Machine) memory() []Result {
	total, avail := m.meminfo("MemTotal"), m.meminfo("MemAvailable")
	r := Result{Check: "memory", Level: OK, Found: fmt.Sprintf("%s of %s available", size(avail), size(total))}
	switch {
	case avail < 768<<20:
		r.Level = Fail
		r.Meaning = "The smallest tables and packet buffers need some 512 MiB, the control plane 100 MiB."
		r.Fix = []string{"give the machine 2 GiB of memory or more, or end what uses it"}
	case avail < 2<<30:
		r.Level = Warn
		r.Meaning = "Enough for some 10,000 routes. A full table of a million needs about 3 GiB for both processes."
		r.Fix = []string{"set system.dataplane.ipv4-routes and ipv6-routes to what is needed, or give the machine more memory"}
	}
	return []Result{r}
}

func size(n uint64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%d GiB", n>>30)
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

func (m *Machine) hugepages() []Result {
	var results []Result
	var total, free uint64
	for _, dir := range m.glob("/sys/kernel/mm/hugepages/hugepages-*kB") {
		kb, err := strconv.ParseUint(strings.TrimSuffix(strings.TrimPrefix(filepath.Base(dir), "hugepages-"), "kB"), 10, 64)
		n, ok := m.number(dir + "/nr_hugepages")
		f, _ := m.number(dir + "/free_hugepages")
		if err != nil || !ok || n == 0 {
			continue
		}
		total += n * kb << 10
		free += f * kb << 10
		results = append(results, Result{
			Check: "hugepages", Level: OK, Found: fmt.Sprintf("%d pages of %s, %d free", n, size(kb<<10), f),
		})
	}
	const set = "sysctl -w vm.nr_hugepages=512"
	switch {
	case total == 0:
		return []Result{{
			Check: "hugepages", Level: Warn, Found: "none are set aside",
			Meaning: "The data plane runs without them (--no-huge), slower under load, and PCI devices cannot be used through vfio-pci.",
			Fix:     []string{set, "echo vm.nr_hugepages=512 > /etc/sysctl.d/80-hugepages.conf"},
		}}
	case free < 256<<20:
		results = append(results, Result{
			Check: "hugepages", Level: Warn, Found: "only " + size(free) + " are free",
			Meaning: "The data plane needs 256 MiB or more; it does not start with hugepages, or another process has them.",
			Fix:     []string{"grep -s . /proc/[0-9]*/numa_maps | grep huge   # who has them", set},
		})
	}
	if mount := m.hugetlbfs(); mount == "" {
		results = append(results, Result{
			Check: "hugepages", Level: Warn, Found: "no hugetlbfs is mounted",
			Meaning: "DPDK finds hugepages by their file system.",
			Fix:     []string{"mkdir -p /dev/hugepages && mount -t hugetlbfs hugetlbfs /dev/hugepages"},
		})
	} else {
		results = append(results, Result{Check: "hugepages", Level: OK, Found: "hugetlbfs on " + mount})
	}
	return results
}

func (m *Machine) hugetlbfs() string {
	for line := range strings.Lines(m.read("/proc/mounts")) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "hugetlbfs" {
			return f[1]
		}
	}
	return ""
}
