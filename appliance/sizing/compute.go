package sizing

// What memory is for, in bytes. Those of the data plane are the formula of docs/forwarding.md; those of the others were measured and
// have some to spare.
const (
	mib = 1 << 20

	// firstLevels of IPv4 and IPv6 lookup.
	firstLevels = 2 * 64 * mib
	tbl8Bytes   = 1024
	route4Bytes = 256
	route6Bytes = 384
	// mbufOverhead beyond the data room, and mbufTCP, the part that TCP has again for itself: a half.
	mbufOverhead = 256
	nextHopBytes = 64
	nextHopEach  = 16 // and worker
	groupBytes   = 16
	// Rings, interfaces, RCU, TAPs and the heap's own: in all, for each worker and each port.
	otherBytes  = 64 * mib
	workerBytes = 8 * mib
	portBytes   = 4 * mib
	// A further network instance of default size: 65,536 and 16,384 routes.
	instanceBytes = firstLevels + (8192+16384)*tbl8Bytes + 65536*route4Bytes + 16384*route6Bytes

	// vnf with a full table from BGP has 1 GiB live for a million routes, and as much garbage.
	routeGo = 2048
	vnfGo   = 64 * mib
	// The kernel and what a Linux box runs; cloud-init and package upgrades come and go.
	systemBytes = 256 * mib
	// The data plane's own memory outside of hugepages, with its TCP tables: 262,144 connections of 512 bytes.
	dataplaneBytes = (32 + 128) * mib
	// What is left for the page cache and for what was not thought of, beside a part of the memory.
	spareBytes = 96 * mib
	sparePart  = 20
)

// Tables that are not a matter of the machine's size, and their defaults' ratio.
const (
	defaultNextHops = 131072
	defaultGroups   = 262144
	smallNextHops   = 16384
	smallGroups     = 32768
	// Below so many IPv4 routes there are few next hops too.
	smallBelow = 65536
	minRoutes  = 16384
	mostRoutes = 2097152
	leastMbufs = 16384
	mostMbufs  = 524288
	// MbufPart of the memory may be packet buffers by its size alone, and mbufMost of it if the queues need so many.
	mbufPart = 32
	mbufMost = 8
	// Descriptors of a queue, receive and transmit.
	queueMbufs = 2 * 1024
	// Packets that are with a worker: vectors, rings, waiting for neighbours.
	workerMbufs = 2048
	// SmallMbuf takes an MTU of 2,030, jumboMbuf one of 9,000, kernelMbuf that by af_packet.
	smallMbuf, smallMTU = 2176, 2030
	kernelMTU           = 1898
	jumboMbuf           = 9216
	kernelMbuf          = 12384
	mostInstances       = 64
	// LeastMemory is what the appliance is made for.
	leastMemory = 1792
	// leastHugepages are worth having: the smallest tables fit them.
	leastHugepages = 160
)

// Compute gives out a machine. It always has an answer: a machine that is too small gets the least there is, and a note.
func Compute(m Machine) *Sizing {
	s := &Sizing{VCPUs: len(m.CPUs), MemoryMiB: m.MemoryMiB, NextHops: defaultNextHops, Groups: defaultGroups}
	s.divide(&m)
	s.HugepageNode = s.hugepageNode(&m)
	if m.MemoryMiB < leastMemory {
		s.note("%d MiB of memory: 2 GiB are the least the appliance is made for", m.MemoryMiB)
	}
	s.buffers(&m)
	s.tables(&m)
	s.memory(&m)
	return s
}

// buffers are as many as the queues need, and more where there is memory, since TCP holds what is not acknowledged in them.
func (s *Sizing) buffers(m *Machine) {
	s.MbufSize = smallMbuf
	for _, p := range m.Ports {
		switch {
		case p.Kernel && p.MTU > kernelMTU:
			s.MbufSize = kernelMbuf
		case p.MTU > smallMTU:
			s.MbufSize = max(s.MbufSize, jumboMbuf)
		}
	}
	room := func(part int) uint32 { return uint32(int64(m.MemoryMiB) * mib / int64(part) / s.mbufBytes()) }
	ports := max(len(m.Ports), 2)
	need := func() uint32 { return uint32(leastMbufs/2 + s.Workers*(ports*queueMbufs+workerMbufs)) }
	if before := s.Workers; s.Workers > 1 && need() > room(mbufMost) {
		for s.Workers > 1 && need() > room(mbufMost) {
			s.Workers--
		}
		s.idle(before)
	}
	least := uint32(leastMbufs)
	if s.mbufBytes() > 3*smallMbuf { // jumbo frames fill their buffers
		least /= 2
	}
	n := max(least, min(powerBelow(room(mbufPart)), mostMbufs))
	for n < need() && n < mostMbufs {
		n *= 2
	}
	for n > least && n > room(mbufMost) {
		n /= 2
	}
	s.Mbufs = n
}

// idle gives the CPUs of workers for which there is no memory to the rest of the machine.
func (s *Sizing) idle(before int) {
	gone := s.CPUs[1+s.Workers:]
	s.note("memory for the packet buffers of %d workers, of %d CPUs: give the machine more memory", s.Workers, before)
	s.HousekeepingCPUs = merge(s.HousekeepingCPUs, gone)
	s.IsolatedCPUs = without(s.IsolatedCPUs, gone)
	s.CPUs = s.CPUs[:1+s.Workers]
}

// mbufBytes is what a packet buffer takes, with TCP's half.
func (s *Sizing) mbufBytes() int64 { return int64(s.MbufSize+mbufOverhead) * 3 / 2 }

// tables are as large as the memory allows, on a ladder of powers of two and what is half way between them.
func (s *Sizing) tables(m *Machine) {
	s.setRoutes(minRoutes)
	for r := uint32(minRoutes); r <= mostRoutes; r = nextRoutes(r) {
		try := *s
		try.setRoutes(r)
		if try.fits(m, try.wantInstances(m)) {
			s.setRoutes(r)
		}
	}
}

func nextRoutes(r uint32) uint32 {
	if r&(r-1) == 0 {
		return r / 2 * 3
	}
	return r / 3 * 4
}

func (s *Sizing) setRoutes(r uint32) {
	s.IPv4Routes, s.IPv6Routes = r, r/4
	s.IPv4TBL8, s.IPv6TBL8 = max(r/16, 4096), max(r/4/4*5, 8192)
	s.NextHops, s.Groups = defaultNextHops, defaultGroups
	if r < smallBelow {
		s.NextHops, s.Groups = smallNextHops, smallGroups
	}
}

// wantInstances is for how many further network instances memory is kept before the default one gets more routes.
func (s *Sizing) wantInstances(m *Machine) int {
	return min((m.MemoryMiB+512)/2048, 8)
}

// dataplane is what the data plane takes from hugepages, without further instances.
func (s *Sizing) dataplane(m *Machine) int64 {
	n := int64(firstLevels) + int64(s.IPv4TBL8+s.IPv6TBL8)*tbl8Bytes
	n += int64(s.IPv4Routes)*route4Bytes + int64(s.IPv6Routes)*route6Bytes
	n += int64(s.Mbufs) * s.mbufBytes()
	n += int64(s.NextHops)*(nextHopBytes+nextHopEach*int64(s.Workers)) + int64(s.Groups)*groupBytes
	n += otherBytes + int64(s.Workers)*workerBytes + int64(len(m.Ports))*portBytes
	return n + n/50 // pages that are not full
}

// rest is what everything but hugepages takes.
func (s *Sizing) rest(m *Machine) int64 {
	n := int64(systemBytes + vnfGo + dataplaneBytes + spareBytes)
	n += int64(s.IPv4Routes+s.IPv6Routes) * routeGo
	return n + int64(m.MemoryMiB)*mib/sparePart
}

func (s *Sizing) fits(m *Machine, instances int) bool {
	n := s.dataplane(m) + int64(instances)*instanceBytes
	if m.HugepagesMax >= leastHugepages && n > int64(m.HugepagesMax)*2*mib {
		return false
	}
	return n+s.rest(m) <= int64(m.MemoryMiB)*mib
}

// memory says how much of it the data plane gets: what its tables need, and room for further instances.
func (s *Sizing) memory(m *Machine) {
	for s.NetworkInstances < mostInstances && s.fits(m, s.NetworkInstances+1) {
		s.NetworkInstances++
	}
	// What is spare on a large machine is left to the control plane, which needs memory for each BGP peer's routes.
	s.NetworkInstances = min(s.NetworkInstances, 2*s.wantInstances(m))
	n := s.dataplane(m) + int64(s.NetworkInstances)*instanceBytes
	pages := int((n + 2*mib - 1) / (2 * mib))
	switch {
	case m.HugepagesMax < 0 || pages <= m.HugepagesMax:
		s.Hugepages2M = pages
	case m.HugepagesMax >= leastHugepages && s.dataplane(m) <= int64(m.HugepagesMax)*2*mib:
		s.Hugepages2M = m.HugepagesMax
	}
	s.DataplaneMemoryMiB = pages * 2
	if s.Hugepages2M > 0 {
		s.DataplaneMemoryMiB = s.Hugepages2M * 2
	} else {
		s.note("no hugepages to be had: the data plane does without them, and without PCI devices bound to vfio-pci or uio")
	}
}

func powerBelow(n uint32) uint32 {
	p := uint32(1)
	for p <= n/2 {
		p *= 2
	}
	return p
}
