package sizing

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// CPU is one that the kernel has online.
type CPU struct {
	ID int
	// Core tells the threads of one core by having the same; together with Package it is unique.
	Core, Package int
	// Node is the NUMA node.
	Node int
}

// Port is a data NIC.
type Port struct {
	// MTU is that of IP packets; 0: 1,500.
	MTU int
	// Node is the NUMA node of its slot; -1: not known, as in most virtual machines.
	Node int
	// Kernel says that the kernel's driver keeps it, and the data plane takes it by af_packet.
	Kernel bool
}

// Machine is what there is to be given out.
type Machine struct {
	CPUs []CPU
	// MemoryMiB is what the kernel has of memory, hugepages included.
	MemoryMiB int
	// Isolated are CPUs that the kernel was started to keep free (isolcpus=).
	Isolated []int
	// Ports are the data NICs.
	Ports []Port
	// HugepagesMax is how many pages of 2 MiB can be had; negative: not known, or no limit.
	HugepagesMax int
}

// Detect reads CPUs and memory of the machine whose /proc and /sys are below root.
func Detect(root string) (Machine, error) {
	m := Machine{HugepagesMax: -1}
	read := func(path string) string {
		b, _ := os.ReadFile(filepath.Join(root, path))
		return strings.TrimSpace(string(b))
	}
	number := func(path string, otherwise int) int {
		if n, err := strconv.Atoi(read(path)); err == nil {
			return n
		}
		return otherwise
	}
	online, err := ParseCPUs(read("/sys/devices/system/cpu/online"))
	if err != nil || len(online) == 0 {
		return m, fmt.Errorf("read which CPUs there are: %w", err)
	}
	nodes := map[int]int{}
	dirs, _ := filepath.Glob(filepath.Join(root, "/sys/devices/system/node/node[0-9]*"))
	for _, dir := range dirs {
		node, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(dir), "node"))
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(filepath.Join(dir, "cpulist"))
		list, _ := ParseCPUs(strings.TrimSpace(string(b)))
		for _, c := range list {
			nodes[c] = node
		}
	}
	for _, c := range online {
		topology := fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/", c)
		m.CPUs = append(m.CPUs, CPU{
			ID: c, Core: number(topology+"core_id", c), Package: max(number(topology+"physical_package_id", 0), 0), Node: nodes[c],
		})
	}
	m.Isolated, _ = ParseCPUs(read("/sys/devices/system/cpu/isolated"))
	for line := range strings.Lines(read("/proc/meminfo")) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			if kb, err := strconv.Atoi(f[1]); err == nil {
				m.MemoryMiB = kb >> 10
			}
		}
	}
	if m.MemoryMiB == 0 {
		return m, fmt.Errorf("read how much memory there is: no MemTotal in %s", filepath.Join(root, "/proc/meminfo"))
	}
	return m, nil
}

// ParseCPUs reads a list of CPUs as the kernel writes it, "0,2-3"; empty: none.
func ParseCPUs(list string) ([]int, error) {
	var out []int
	if list == "" {
		return nil, nil
	}
	for part := range strings.SplitSeq(list, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(first)
		b := a
		if err == nil && isRange {
			b, err = strconv.Atoi(last)
		}
		if err != nil || a < 0 || b < a || b > 4095 {
			return nil, fmt.Errorf("%q is not a list of CPUs", list)
		}
		for ; a <= b; a++ {
			out = append(out, a)
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}

// FormatCPUs writes a list of CPUs as the kernel reads it, "0,2-3".
func FormatCPUs(cpus []int) string {
	list := slices.Clone(cpus)
	slices.Sort(list)
	list = slices.Compact(list)
	var b strings.Builder
	for i := 0; i < len(list); {
		k := i
		for k+1 < len(list) && list[k+1] == list[k]+1 {
			k++
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(list[i]))
		if k > i {
			b.WriteByte('-')
			b.WriteString(strconv.Itoa(list[k]))
		}
		i = k + 1
	}
	return b.String()
}

// maskCPUs writes CPUs as the kernel's masks in groups of 32 bits, most significant first: "1", "1,00000003".
func maskCPUs(cpus []int) string {
	words := make([]uint32, 1)
	for _, c := range cpus {
		for len(words) <= c/32 {
			words = append(words, 0)
		}
		words[c/32] |= 1 << (c % 32)
	}
	slices.Reverse(words)
	parts := make([]string, len(words))
	for i, w := range words {
		parts[i] = fmt.Sprintf("%08x", w)
	}
	parts[0] = strconv.FormatUint(uint64(words[0]), 16)
	return strings.Join(parts, ",")
}
