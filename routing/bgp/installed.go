package bgp

import (
	"net/netip"
	"sync"
)

// installed counts the prefixes given to the sink by the neighbour of their best path. It remembers that neighbour for each prefix,
// in some ten bytes for one of IPv4.
type installed struct {
	mu    sync.Mutex
	four  map[[5]byte]uint16
	six   map[[17]byte]uint16
	index map[netip.Addr]uint16
	// Of the neighbours, by index; 0 is unused.
	counts [][2]uint64
}

func newInstalled() *installed {
	return &installed{
		four: map[[5]byte]uint16{}, six: map[[17]byte]uint16{}, index: map[netip.Addr]uint16{}, counts: make([][2]uint64, 1),
	}
}

func (t *installed) neighbor(a netip.Addr) uint16 {
	i, ok := t.index[a]
	if !ok {
		if len(t.counts) > 0xffff {
			return 0
		}
		i = uint16(len(t.counts))
		t.index[a] = i
		t.counts = append(t.counts, [2]uint64{})
	}
	return i
}

func swap[K comparable](m map[K]uint16, k K, n uint16) (old uint16) {
	old = m[k]
	if n == 0 {
		delete(m, k)
	} else {
		m[k] = n
	}
	return old
}

// set takes note that the best path of a prefix is of a neighbour, 0 for none.
func (t *installed) set(p netip.Prefix, n uint16) {
	var old uint16
	family := 0
	if a := p.Addr(); a.Is4() {
		b := a.As4()
		old = swap(t.four, [5]byte{b[0], b[1], b[2], b[3], byte(p.Bits())}, n)
	} else {
		var k [17]byte
		b := a.As16()
		copy(k[:], b[:])
		k[16] = byte(p.Bits())
		old = swap(t.six, k, n)
		family = 1
	}
	if old != 0 {
		t.counts[old][family]--
	}
	if n != 0 {
		t.counts[n][family]++
	}
}

func (t *installed) upserted(routes []Route) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range routes {
		t.set(routes[i].Prefix, t.neighbor(routes[i].Neighbor))
	}
}

func (t *installed) withdrawn(prefixes []netip.Prefix) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, p := range prefixes {
		t.set(p, 0)
	}
}

// of is how many prefixes of a family a neighbour has the best path of.
func (t *installed) of(a netip.Addr, f Family) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := t.counts[t.index[a]]
	if f == IPv6Unicast {
		return c[1]
	}
	return c[0]
}
