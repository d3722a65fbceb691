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

// peerFacts is what the watcher must know about the neighbour of a path.
type peerFacts struct {
	addr netip.Addr // with its zone
	zone string     // for link-local next hops
	ebgp bool
}

// build makes the set of a prefix from the event's paths, the best one first; nil if there is nothing to forward by.
func (b *builder) build(paths []*api.Path, c *Config, facts func(*api.Path) peerFacts) *PathSet {
	best := paths[0]
	if best.GetIsWithdraw() || best.GetSourceAsn() == 0 || best.GetNeighborIp() == "<nil>" {
		return nil
	}
	f := facts(best)
	a := b.attrs(best)
	set := PathSet{
		EBGP: f.ebgp, MED: a.med, LocalPref: a.localPref, Neighbor: f.addr, PeerAS: best.GetSourceAsn(),
		Stale: best.GetStale(), Distance: c.Distance.IBGP,
	}
	limit := c.Multipath.IBGP
	if f.ebgp {
		set.Distance, limit = c.Distance.EBGP, c.Multipath.EBGP
	}
	hops := make([]netip.Addr, 0, min(limit, len(paths)))
	if nh, ok := a.hop(f); ok {
		hops = append(hops, nh)
	}
	if limit > 1 {
		for _, p := range paths[1:] {
			if nh, ok := b.attrs(p).hop(facts(p)); ok && !slices.Contains(hops, nh) {
				hops = append(hops, nh)
			}
		}
	}
	if len(hops) == 0 {
		return nil
	}
	// The best one stays, and of the others always the same ones, whatever order they came in.
	slices.SortFunc(hops[1:], netip.Addr.Compare)
	hops = hops[:min(limit, len(hops))]
	slices.SortFunc(hops, netip.Addr.Compare)
	set.NextHops = hops
	return b.intern(set)
}

func (b *builder) intern(s PathSet) *PathSet {
	var h maphash.Hash
	h.SetSeed(b.seed)
	for _, nh := range s.NextHops {
		k := nh.As16()
		h.Write(k[:])
	}
	k := h.Sum64() ^ uint64(s.MED)<<32 ^ uint64(s.LocalPref)
	for _, o := range b.sets[k] {
		if o.Equal(&s) {
			return o
		}
	}
	if b.n >= maxInterned {
		clear(b.sets)
		b.n = 0
	}
	o := &s
	b.sets[k] = append(b.sets[k], o)
	b.n++
	return o
}
