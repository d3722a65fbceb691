package bgp

import (
	"hash/maphash"
	"net/netip"
	"slices"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
)

// builder turns GoBGP's paths into shared path sets. It is used from the watcher only, so it keeps its messages to
// decode into.
type builder struct {
	ip   api.IPAddressPrefix
	nh   api.NextHopAttribute
	mp   api.MpReachNLRIAttribute
	med  api.MultiExitDiscAttribute
	lp   api.LocalPrefAttribute
	sets map[uint64][]*PathSet
	n    int
	seed maphash.Seed
	hops []netip.Addr // of the set being built
}

// maxInterned bounds the table of shared sets; it starts over when full.
const maxInterned = 1 << 16

func newBuilder() *builder {
	return &builder{sets: make(map[uint64][]*PathSet), seed: maphash.MakeSeed()}
}

func isType(a *anypb.Any, name string) bool { return strings.HasSuffix(a.GetTypeUrl(), name) }

// prefix decodes the NLRI.
func (b *builder) prefix(a *anypb.Any) (netip.Prefix, bool) {
	if !isType(a, "apipb.IPAddressPrefix") {
		return netip.Prefix{}, false
	}
	b.ip.Reset()
	if proto.Unmarshal(a.GetValue(), &b.ip) != nil {
		return netip.Prefix{}, false
	}
	addr, err := netip.ParseAddr(b.ip.GetPrefix())
	if err != nil {
		return netip.Prefix{}, false
	}
	p, err := addr.Prefix(int(b.ip.GetPrefixLen()))
	return p, err == nil
}

type pathAttrs struct {
	nextHop, linkLocal netip.Addr
	med, localPref     uint32
}

// attrs decodes what the forwarding needs.
func (b *builder) attrs(p *api.Path) pathAttrs {
	out := pathAttrs{localPref: 100}
	for _, a := range p.GetPattrs() {
		switch {
		case isType(a, "apipb.NextHopAttribute"):
			b.nh.Reset()
			if proto.Unmarshal(a.GetValue(), &b.nh) == nil {
				out.nextHop, _ = netip.ParseAddr(b.nh.GetNextHop())
			}
		case isType(a, "apipb.MpReachNLRIAttribute"):
			b.mp.Reset()
			if proto.Unmarshal(a.GetValue(), &b.mp) == nil {
				for i, s := range b.mp.GetNextHops() {
					addr, _ := netip.ParseAddr(s)
					if i == 0 {
						out.nextHop = addr
					} else {
						out.linkLocal = addr
					}
				}
			}
		case isType(a, "apipb.MultiExitDiscAttribute"):
			b.med.Reset()
			if proto.Unmarshal(a.GetValue(), &b.med) == nil {
				out.med = b.med.GetMed()
			}
		case isType(a, "apipb.LocalPrefAttribute"):
			b.lp.Reset()
			if proto.Unmarshal(a.GetValue(), &b.lp) == nil {
				out.localPref = b.lp.GetLocalPref()
			}
		}
	}
	return out
}

// hop picks the next hop: the global address if the update had a usable one, else the link-local address
// with the interface the neighbour is on. GoBGP drops the link-local one that comes beside an unspecified global one (RFC
// 2545, section 3); it is the neighbour's on the common link, so the neighbour itself is as good.
func (a pathAttrs) hop(f peerFacts) (netip.Addr, bool) {
	nh := a.nextHop.Unmap()
	if !nh.IsValid() || nh.IsUnspecified() {
		nh = a.linkLocal
	}
	if !nh.IsValid() || nh.IsUnspecified() {
		nh = f.addr.WithZone("")
	}
	if !nh.IsValid() {
		return netip.Addr{}, false
	}
	if nh.Is6() && nh.IsLinkLocalUnicast() {
		if f.zone == "" {
			return netip.Addr{}, false // no interface, so nowhere to send to
		}
		nh = nh.WithZone(f.zone)
	}
	return nh, true
}

// peerFacts is what must be known about the neighbour of a path.
type peerFacts struct {
	addr netip.Addr // with its zone
	zone string     // for link-local next hops
	ebgp bool
}

// candidate is a path of a prefix as far as the forwarding needs it.
type candidate struct {
	pathAttrs
	from pathSource // zero for our own routes
	asn  uint32
}

// candidate reads a path of GoBGP's API.
func (b *builder) candidate(p *api.Path) candidate {
	c := candidate{pathAttrs: b.attrs(p), asn: p.GetSourceAsn()}
	if p.GetNeighborIp() != "<nil>" {
		c.from = pathSource{p.GetNeighborIp(), p.GetSourceId()}
	}
	return c
}

// build makes the set of a prefix from the paths of an event, the best one first; nil if there is nothing to forward by.
func (b *builder) build(paths []*api.Path, c *Config, facts func(pathSource) peerFacts) *PathSet {
	if paths[0].GetIsWithdraw() {
		return nil
	}
	return b.buildFrom(len(paths), func(i int) candidate { return b.candidate(paths[i]) }, paths[0].GetStale(), c, facts)
}

// buildFrom makes a set of n paths, read one by one.
func (b *builder) buildFrom(n int, read func(int) candidate, stale bool, c *Config, facts func(pathSource) peerFacts) *PathSet {
	best := read(0)
	if best.asn == 0 || best.from == (pathSource{}) {
		return nil
	}
	f := facts(best.from)
	set := PathSet{
		EBGP: f.ebgp, MED: best.med, LocalPref: best.localPref, Neighbor: f.addr, PeerAS: best.asn,
		Stale: stale, Distance: c.Distance.IBGP,
	}
	limit := c.Multipath.IBGP
	if f.ebgp {
		set.Distance, limit = c.Distance.EBGP, c.Multipath.EBGP
	}
	hops := b.hops[:0]
	if nh, ok := best.hop(f); ok {
		hops = append(hops, nh)
	}
	if limit > 1 {
		for i := 1; i < n; i++ {
			p := read(i)
			if nh, ok := p.hop(facts(p.from)); ok && !slices.Contains(hops, nh) {
				hops = append(hops, nh)
			}
		}
	}
	b.hops = hops
	if len(hops) == 0 {
		return nil
	}
	// The best one stays, and of the others always the same ones, whatever order they came in.
	slices.SortFunc(hops[1:], netip.Addr.Compare)
	hops = hops[:min(limit, len(hops))]
	slices.SortFunc(hops, netip.Addr.Compare)
	set.NextHops = hops
	return b.intern(&set)
}

// intern gives the shared set that equals s, whose next hops are not kept.
func (b *builder) intern(s *PathSet) *PathSet {
	k := uint64(0)
	for _, nh := range s.NextHops {
		k = maphash.Comparable(b.seed, struct {
			a netip.Addr
			k uint64
		}{nh, k})
	}
	k ^= uint64(s.MED)<<32 ^ uint64(s.LocalPref)
	for _, o := range b.sets[k] {
		if o.Equal(s) {
			return o
		}
	}
	if b.n >= maxInterned {
		clear(b.sets)
		b.n = 0
	}
	o := new(PathSet)
	*o = *s
	o.NextHops = slices.Clone(s.NextHops)
	b.sets[k] = append(b.sets[k], o)
	b.n++
	return o
}
