package sizing

import (
	"fmt"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCPUs(t *testing.T) {
	two := func(first, second int) []CPU { // two NUMA nodes
		out := flat(first + second)
		for i := first; i < len(out); i++ {
			out[i].Node, out[i].Package = 1, 1
		}
		return out
	}
	for _, c := range []struct {
		name                 string
		m                    Machine
		cpus, isolated, keep string
		control              int
	}{
		{"one", Machine{CPUs: flat(1)}, "", "", "0", -1},
		{"two", Machine{CPUs: flat(2)}, "0-1", "1", "0", 0},
		{"two threads of a core", Machine{CPUs: threads(2)}, "0-1", "1", "0", 0},
		{"three", Machine{CPUs: flat(3)}, "0-2", "1-2", "0", 0},
		{"four", Machine{CPUs: flat(4)}, "0-3", "1-3", "0", 0},
		{"two cores of two threads", Machine{CPUs: threads(4)}, "1-3", "1-3", "0", 1},
		{"eight", Machine{CPUs: flat(8)}, "1-7", "1-7", "0", 1},
		{"eight threads", Machine{CPUs: threads(8)}, "1-7", "1-7", "0", 1},
		{"twelve", Machine{CPUs: flat(12)}, "2-11", "2-11", "0-1", 2},
		{"twelve threads", Machine{CPUs: threads(12)}, "3-11", "3-11", "0-2", 3},
		{"thirty-two", Machine{CPUs: flat(32)}, "3-31", "3-31", "0-2", 3},
		{"more than there may be workers", Machine{CPUs: flat(64)}, "31-63", "31-63", "0-30", 31},
		{"isolcpus", Machine{CPUs: flat(4), Isolated: []int{2, 3}}, "1-3", "2-3", "0-1", 1},
		{"isolcpus of all is none", Machine{CPUs: flat(2), Isolated: []int{0, 1}}, "0-1", "1", "0", 0},
		{"NICs on the other node", Machine{CPUs: two(4, 4), Ports: []Port{{Node: 1}, {Node: 1}}}, "4-7", "4-7", "0-3", 4},
		{"NICs on the first node", Machine{CPUs: two(4, 4), Ports: []Port{{Node: 0}}}, "0-3", "0-3", "4-7", 0},
		{"NICs on both nodes", Machine{CPUs: two(4, 4), Ports: []Port{{Node: 0}, {Node: 1}}}, "1-7", "1-7", "0", 1},
		{"NICs anywhere", Machine{CPUs: two(4, 4), Ports: []Port{{Node: -1}}}, "1-7", "1-7", "0", 1},
	} {
		c.m.MemoryMiB, c.m.HugepagesMax = 64<<10, -1
		s := Compute(c.m)
		if got := [3]string{FormatCPUs(s.CPUs), FormatCPUs(s.IsolatedCPUs), FormatCPUs(s.HousekeepingCPUs)}; got != [3]string{c.cpus, c.isolated, c.keep} {
			t.Errorf("%s: CPUs %q, isolated %q, housekeeping %q; want %q, %q, %q", c.name, got[0], got[1], got[2], c.cpus, c.isolated, c.keep)
		}
		if len(s.CPUs) > 0 && s.CPUs[0] != c.control {
			t.Errorf("%s: control on CPU %d, want %d", c.name, s.CPUs[0], c.control)
		}
	}
}

// What no machine may break.
func TestInvariants(t *testing.T) {
	for _, cpus := range [][]CPU{flat(1), flat(2), flat(3), flat(4), threads(6), flat(8), threads(16), flat(32), flat(48)} {
		for mem := 512; mem <= 128<<10; mem += mem/7 + 1 {
			for _, ports := range [][]Port{nil, {{Node: -1}}, {{Node: -1, MTU: 9000}, {Node: 0, MTU: 1500}}, {{MTU: 9000, Kernel: true}}, make([]Port, 8)} {
				for _, most := range []int{-1, 0, 100, 170, 400, 5000} {
					m := Machine{CPUs: cpus, MemoryMiB: mem, Ports: ports, HugepagesMax: most}
					name := fmt.Sprintf("%d CPUs, %d MiB, %d ports, at most %d hugepages", len(cpus), mem, len(ports), most)
					s := Compute(m)
					if err := s.Validate(); err != nil {
						t.Fatalf("%s: %v", name, err)
					}
					if !reflect.DeepEqual(s, Compute(m)) {
						t.Fatalf("%s: twice is not the same", name)
					}
					if most >= 0 && s.Hugepages2M > most {
						t.Fatalf("%s: %d hugepages", name, s.Hugepages2M)
					}
					var all []int
					for _, c := range cpus {
						all = append(all, c.ID)
					}
					if both := slices.Concat(s.IsolatedCPUs, s.HousekeepingCPUs); len(both) != len(all) || len(merge(both, nil)) != len(all) {
						t.Fatalf("%s: isolated %v and housekeeping %v are not each CPU once", name, s.IsolatedCPUs, s.HousekeepingCPUs)
					}
					if len(s.HousekeepingCPUs) == 0 || len(cpus) > 1 && len(s.CPUs) != s.Workers+1 {
						t.Fatalf("%s: housekeeping %v, CPUs %v for %d workers", name, s.HousekeepingCPUs, s.CPUs, s.Workers)
					}
					for _, c := range s.CPUs[min(1, len(s.CPUs)):] {
						if !slices.Contains(s.IsolatedCPUs, c) {
							t.Fatalf("%s: worker on CPU %d, isolated are %v", name, c, s.IsolatedCPUs)
						}
					}
					if mem < 2000 {
						continue
					}
					if n := s.dataplane(&m); most < 0 && n > int64(s.DataplaneMemoryMiB)*mib {
						t.Fatalf("%s: the tables take %d MiB of %d", name, n>>20, s.DataplaneMemoryMiB)
					}
					if n := int64(s.DataplaneMemoryMiB)*mib + s.rest(&m) - 2*mib; n > int64(mem)*mib && len(ports) < 8 && len(cpus) < 32 {
						t.Fatalf("%s: %d MiB are given out: %+v", name, n>>20, s)
					}
				}
			}
		}
	}
}

// More of one thing is never less of another.
func TestMonotonic(t *testing.T) {
	for cpus := 2; cpus <= 40; cpus++ {
		var before *Sizing
		for mem := 1800; mem <= 70000; mem += 97 {
			s := Compute(Machine{CPUs: flat(cpus), MemoryMiB: mem, Ports: make([]Port, 2), HugepagesMax: -1})
			if before != nil && (s.Workers < before.Workers || s.Mbufs < before.Mbufs) {
				t.Fatalf("%d CPUs: with %d MiB %+v, with less %+v", cpus, mem, s, before)
			}
			// A step of the packet buffers may cost routes one step, and no more than that.
			if before != nil && s.IPv4Routes < before.IPv4Routes && (s.Mbufs == before.Mbufs && s.wantInstances(&Machine{MemoryMiB: mem}) == before.wantInstances(&Machine{MemoryMiB: mem - 97})) {
				t.Fatalf("%d CPUs: with %d MiB %d routes, with less %d", cpus, mem, s.IPv4Routes, before.IPv4Routes)
			}
			before = s
		}
	}
	for mem := 2000; mem < 70000; mem += 2039 {
		workers := 0
		for cpus := 2; cpus <= 40; cpus++ {
			s := Compute(Machine{CPUs: flat(cpus), MemoryMiB: mem, Ports: make([]Port, 2), HugepagesMax: -1})
			if s.Workers < workers {
				t.Fatalf("%d MiB: %d workers on %d CPUs, %d on one less", mem, s.Workers, cpus, workers)
			}
			workers = s.Workers
		}
	}
	last := uint32(0)
	for pages := leastHugepages; pages < 3000; pages += 7 {
		m := flavour(4, 8, 2)
		m.HugepagesMax = pages
		s := Compute(m)
		if s.IPv4Routes < last {
			t.Fatalf("%d hugepages: %d routes, with fewer %d", pages, s.IPv4Routes, last)
		}
		last = s.IPv4Routes
	}
}

func TestLeast(t *testing.T) {
	s := Compute(flavour(2, 2, 2))
	if s.Workers != 1 || s.Hugepages2M < 200 || s.IPv4Routes < 131072 || s.IPv6Routes < 32768 || s.NetworkInstances < 1 || len(s.Notes) != 0 {
		t.Errorf("2 vCPUs with 2 GiB get %+v", s)
	}
	s = Compute(flavour(4, 6, 2))
	if s.IPv4Routes < 1048576 || s.IPv6Routes < 262144 {
		t.Errorf("6 GiB do not hold a full table: %+v", s)
	}
}

func TestBuffersOfFrames(t *testing.T) {
	for _, c := range []struct {
		ports []Port
		want  uint32
	}{
		{nil, smallMbuf},
		{[]Port{{MTU: 1500}, {MTU: 2030}}, smallMbuf},
		{[]Port{{MTU: 1500, Kernel: true}}, smallMbuf},
		{[]Port{{MTU: 1500}, {MTU: 9000}}, jumboMbuf},
		{[]Port{{MTU: 9000}, {MTU: 9000, Kernel: true}}, kernelMbuf},
		{[]Port{{MTU: 2000, Kernel: true}, {MTU: 9000}}, kernelMbuf},
	} {
		m := flavour(4, 8, 0)
		m.Ports = c.ports
		if s := Compute(m); s.MbufSize != c.want {
			t.Errorf("%+v: buffers of %d, want %d", c.ports, s.MbufSize, c.want)
		}
	}
}

func TestListsOfCPUs(t *testing.T) {
	for _, s := range []string{"", "0", "0-1", "0,2-3", "1,3,5-7", "63-65"} {
		l, err := ParseCPUs(s)
		if err != nil || FormatCPUs(l) != s {
			t.Errorf("%q: %v %v", s, l, err)
		}
	}
	for _, s := range []string{"a", "1-", "-1", "3-1", "1,,2", "0-99999"} {
		if l, err := ParseCPUs(s); err == nil {
			t.Errorf("%q: %v", s, l)
		}
	}
	for mask, cpus := range map[string][]int{"1": {0}, "3": {0, 1}, "80000000": {31}, "1,00000001": {0, 32}, "8,00000000,00000000": {67}} {
		if got := maskCPUs(cpus); got != mask {
			t.Errorf("%v: %s, want %s", cpus, got, mask)
		}
	}
}

func TestFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "sizing.json")
	if _, err := Load(file); err == nil {
		t.Error("no error where there is no file")
	}
	s := Compute(flavour(8, 16, 4))
	if err := s.Save(file); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file)
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v %v, want %+v", got, err, s)
	}
	for field, change := range map[string]func(*Sizing){
		"workers": func(s *Sizing) { s.Workers, s.CPUs = 99, nil }, "cpus": func(s *Sizing) { s.CPUs = []int{1} },
		"mbuf-size": func(s *Sizing) { s.MbufSize = 3 }, "ipv6-tbl8": func(s *Sizing) { s.IPv6TBL8 = 1 },
	} {
		bad := *s
		change(&bad)
		if err := bad.Save(file); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
