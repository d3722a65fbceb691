package sizing

import (
	"cmp"
	"fmt"
	"slices"
)

// ownControlFrom is the number of CPUs from which the control thread has one of its own. Below, a CPU is worth more as a worker's: the
// control thread sleeps while links and neighbours stay as they are.
const ownControlFrom = 8

// housekeepers is how many CPUs everything but the data plane keeps, of n: the kernel, vnf (which computes routes) and what a Linux box
// runs.
func housekeepers(n int) int {
	switch {
	case n < 12:
		return 1
	case n < 24:
		return 2
	}
	return 3
}

// divide gives out the CPUs: who is control, who works, and who keeps house.
func (s *Sizing) divide(m *Machine) {
	all := slices.Clone(m.CPUs)
	home := homeNodes(m)
	// The threads of a core side by side, and what is far from the NICs first, since housekeeping is taken from the front.
	slices.SortFunc(all, func(a, b CPU) int {
		return cmp.Or(compareBool(home[a.Node], home[b.Node]), cmp.Compare(a.Node, b.Node), cmp.Compare(a.Package, b.Package),
			cmp.Compare(a.Core, b.Core), cmp.Compare(a.ID, b.ID))
	})
	ids := func(list []CPU) []int {
		var out []int
		for _, c := range list {
			out = append(out, c.ID)
		}
		return out
	}
	if len(all) < 2 {
		s.Workers, s.HousekeepingCPUs = 1, ids(all)
		s.note("one CPU: the worker shares it with everything else; give the machine two or more")
		return
	}
	if s.divideAsStarted(m, all) {
		return
	}
	own := len(all) >= ownControlFrom
	keep := housekeepers(len(all))
	// What is on another node than every NIC keeps house, however much it is.
	far := 0
	for far < len(all) && !home[all[far].Node] {
		far++
	}
	if far > 0 && len(all)-far >= 2 {
		own = true
		if far > keep {
			s.note("CPUs %s are on another NUMA node than the data NICs: no workers there", FormatCPUs(ids(all[:far])))
		}
		keep = max(keep, far)
	}
	control := keep - 1
	first := keep
	if own {
		control, first = keep, keep+1
	}
	// A worker does not share its core with what is not the data plane, where whole cores can be had for that.
	if first < len(all) && len(all)-first > 2 && sameCore(all[first-1], all[first]) && sameCore(all[0], all[1]) {
		if first++; own {
			control, keep = control+1, keep+1
		} else {
			own, control = true, keep
		}
	}
	workers := all[first:]
	if len(workers) > MaxWorkers {
		s.note("CPUs beyond %d workers keep house", MaxWorkers)
		spare := len(workers) - MaxWorkers
		workers = workers[spare:]
		keep, control = keep+spare, control+spare
	}
	s.Workers = len(workers)
	s.CPUs = append([]int{all[control].ID}, ids(workers)...)
	s.HousekeepingCPUs = ids(all[:keep])
	s.IsolatedCPUs = ids(workers)
	if own {
		s.IsolatedCPUs = append(s.IsolatedCPUs, all[control].ID)
	}
	slices.Sort(s.CPUs[1:])
	slices.Sort(s.HousekeepingCPUs)
	slices.Sort(s.IsolatedCPUs)
}

// divideAsStarted follows the kernel's isolcpus=, if there is a use for it.
func (s *Sizing) divideAsStarted(m *Machine, all []CPU) bool {
	var keep, free []int
	for _, c := range all {
		if slices.Contains(m.Isolated, c.ID) {
			free = append(free, c.ID)
		} else {
			keep = append(keep, c.ID)
		}
	}
	if len(keep) == 0 || len(free) == 0 {
		return false
	}
	slices.Sort(keep)
	slices.Sort(free)
	s.HousekeepingCPUs, s.IsolatedCPUs = keep, free
	workers := free[:min(len(free), MaxWorkers)]
	s.Workers = len(workers)
	s.CPUs = append([]int{keep[len(keep)-1]}, workers...)
	s.note("the kernel was started with CPUs %s isolated: they are the workers'", FormatCPUs(free))
	return true
}

func (s *Sizing) note(format string, args ...any) {
	s.Notes = append(s.Notes, fmt.Sprintf(format, args...))
}

// homeNodes are the NUMA nodes with data NICs; all of them where that is not known.
func homeNodes(m *Machine) map[int]bool {
	home, known := map[int]bool{}, false
	for _, p := range m.Ports {
		for _, c := range m.CPUs {
			if c.Node == p.Node {
				home[p.Node], known = true, true
				break
			}
		}
	}
	if !known {
		for _, c := range m.CPUs {
			home[c.Node] = true
		}
	}
	return home
}

// hugepageNode is the node of the control thread, whose memory DPDK takes; -1 where there is only one.
func (s *Sizing) hugepageNode(m *Machine) int {
	several, node := false, -1
	for _, c := range m.CPUs {
		several = several || c.Node != m.CPUs[0].Node
		if len(s.CPUs) > 0 && c.ID == s.CPUs[0] {
			node = c.Node
		}
	}
	if !several {
		return -1
	}
	return node
}

func sameCore(a, b CPU) bool { return a.Core == b.Core && a.Package == b.Package && a.Node == b.Node }

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// merge and without keep lists of CPUs sorted.
func merge(a, b []int) []int {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

func without(a, b []int) []int {
	return slices.DeleteFunc(slices.Clone(a), func(c int) bool { return slices.Contains(b, c) })
}
