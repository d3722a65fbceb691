package sizing

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the table of docs/sizing.md")

func flat(n int) []CPU {
	var out []CPU
	for i := range n {
		out = append(out, CPU{ID: i, Core: i})
	}
	return out
}

// threads are cores of two threads each, numbered as KVM does: side by side.
func threads(n int) []CPU {
	out := flat(n)
	for i := range out {
		out[i].Core = i / 2
	}
	return out
}

// flavour is a machine as a cloud sells it: the kernel keeps a part of the memory for itself.
func flavour(vcpus, gib, ports int) Machine {
	m := Machine{CPUs: flat(vcpus), MemoryMiB: gib*1024 - 64 - gib*16, HugepagesMax: -1}
	for range ports {
		m.Ports = append(m.Ports, Port{Node: -1})
	}
	return m
}

var flavours = [][2]int{{2, 2}, {2, 4}, {4, 4}, {4, 8}, {8, 8}, {8, 16}, {16, 16}, {16, 32}, {32, 32}, {32, 64}}

const begin, end = "<!-- table: go test ./appliance/sizing -update -->\n", "<!-- end of the table -->\n"

func table() string {
	var b strings.Builder
	b.WriteString(begin)
	b.WriteString("| vCPUs | Memory | Workers | CPUs of: the rest, control, workers | Hugepages | IPv4 routes | IPv6 routes | Packet buffers | Further instances |\n")
	b.WriteString("|---:|---:|---:|---|---:|---:|---:|---:|---:|\n")
	for _, f := range flavours {
		s := Compute(flavour(f[0], f[1], 2))
		fmt.Fprintf(&b, "| %d | %d GiB | %d | %s; %d; %s | %d MiB | %s | %s | %s | %d |\n", f[0], f[1], s.Workers,
			FormatCPUs(s.HousekeepingCPUs), s.CPUs[0], FormatCPUs(s.CPUs[1:]), 2*s.Hugepages2M, thousands(s.IPv4Routes),
			thousands(s.IPv6Routes), thousands(s.Mbufs), s.NetworkInstances)
	}
	b.WriteString(end)
	return b.String()
}

func thousands(n uint32) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// The table that people read is what the program computes.
func TestTableOfDocs(t *testing.T) {
	const file = "../../docs/sizing.md"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(b), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", file, begin, end)
	}
	want := table()
	if begin+have+end == want {
		return
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+want+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("the table of %s is not what is computed; go test ./appliance/sizing -update writes it:\n%s", file, want)
}
