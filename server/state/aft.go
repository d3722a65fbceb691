package state

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"maps"
	"net/netip"
	"slices"
	"time"

	"millrace/routing/rib"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const aftPlace = "/network-instances/network-instance/afts"

var aftPlaces = map[string]string{
	"ipv4": aftPlace + "/ipv4-unicast/ipv4-entry", "ipv6": aftPlace + "/ipv6-unicast/ipv6-entry",
	"groups": aftPlace + "/next-hop-groups/next-hop-group", "hops": aftPlace + "/next-hops/next-hop",
	"summaries": aftPlace + "/aft-summaries", "synced": aftPlace + "/state-synced",
}

const (
	// aftPage is how many routes or groups are read at a time.
	aftPage = 1024
	// aftObjects is how many of them make a batch.
	aftObjects = 64
	// aftWaiting is how many changed prefixes may wait for a watcher, some 25 MB; with more, all is told anew.
	aftWaiting = 1 << 18
	// aftResync is the pause before that: so many changes come in masses.
	aftResync = time.Second
)

// originProtocols are the identities of the sources of routes. Those of the API are an operator's, as static routes are.
var originProtocols = map[rib.Source]string{
	rib.SourceConnected: "DIRECTLY_CONNECTED", rib.SourceStatic: "STATIC", rib.SourceAPI: "STATIC", rib.SourceBGP: "BGP", rib.SourceGRIBI: "GRIBI",
}

var hopActions = map[rib.Kind]string{
	rib.KindUnicast: "FORWARD", rib.KindBlackhole: "DROP", rib.KindReject: "REJECT", rib.KindPunt: "PUNT", rib.KindLookup: "LOOKUP",
}

// AFT is what packets are forwarded by: the best routes of all network instances, and, in the default instance, the next hops and groups of
// all. A group's identifier is that of the RIB; a next hop's index is a hash of what it is, so that it is the same in all groups.
type AFT struct {
	s      *schema.Schema
	rib    *rib.RIB
	config func() *config.Config
	// synced says whether the forwarding table has all that the RIB has.
	synced func() bool
	at     places
}

// NewAFT makes the source. config returns the configuration in force; synced says whether the data plane has acknowledged all routes.
func NewAFT(s *schema.Schema, r *rib.RIB, config func() *config.Config, synced func() bool) *AFT {
	return &AFT{s: s, rib: r, config: config, synced: synced, at: findPlaces(s, aftPlaces)}
}

// Roots is all of the AFTs.
func (a *AFT) Roots() []string { return []string{aftPlace} }

// Sampled are the summaries.
func (a *AFT) Sampled(n *schema.Node) bool {
	return isBelow(n, a.at["summaries"]) || isBelow(n, a.at["synced"])
}

// instances are the network instances that a pattern takes.
func (a *AFT) instances(m tree.Pattern) []string {
	if name := keyOf(m, "network-instance", "name"); name != "" {
		if !slices.Contains(a.rib.VRFs(), name) {
			return nil
		}
		return []string{name}
	}
	return a.rib.VRFs()
}

func aftPath(instance string) tree.Path {
	return entryPath(tree.Path{{Name: "network-instances"}}, "", "network-instance", "name", instance).Name("afts")
}

// batcher puts the objects of a page together.
type batcher struct {
	emit func(telemetry.Batch) error
	b    telemetry.Batch
	n    int
}

// add takes the parts of one object.
func (b *batcher) add(parts ...*telemetry.Object) error {
	for _, o := range parts {
		leaves, err := o.Leaves()
		if err != nil {
			return err
		}
		b.b.Leaves = append(b.b.Leaves, leaves...)
	}
	if b.n++; b.n < aftObjects {
		return nil
	}
	return b.flush()
}

func (b *batcher) remove(p tree.Path) { b.b.Deleted = append(b.b.Deleted, p) }

func (b *batcher) flush() error {
	out := b.b
	b.b, b.n = telemetry.Batch{}, 0
	if len(out.Leaves) == 0 && len(out.Deleted) == 0 {
		return nil
	}
	out.Time = time.Now()
	return b.emit(out)
}

// Read pages through the RIB.
func (a *AFT) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	b := &batcher{emit: emit}
	for _, name := range a.instances(m) {
		if err := a.readRoutes(ctx, m, name, b); err != nil {
			return err
		}
		if name == rib.DefaultVRF && (a.at.wants(m, "groups") || a.at.wants(m, "hops")) {
			if err := a.readGroups(ctx, m, b); err != nil {
				return err
			}
		}
		if err := a.readSummary(m, name, b); err != nil {
			return err
		}
	}
	return b.flush()
}

// filter is what of the RIB a pattern takes; false: no routes.
func (a *AFT) filter(m tree.Pattern, instance string) (rib.Filter, bool) {
	f := rib.Filter{VRF: instance, BestOnly: true}
	four, six := a.at.wants(m, "ipv4"), a.at.wants(m, "ipv6")
	switch {
	case !four && !six:
		return f, false
	case four && !six:
		f.Family = 4
	case six && !four:
		f.Family = 6
	}
	text := keyOf(m, "ipv4-entry", "prefix") + keyOf(m, "ipv6-entry", "prefix")
	if text == "" {
		return f, true
	}
	if f.Prefix = parsePrefix(text); !f.Prefix.IsValid() {
		return f, false
	}
	return f, true
}

func (a *AFT) readRoutes(ctx context.Context, m tree.Pattern, instance string, b *batcher) error {
	f, ok := a.filter(m, instance)
	if !ok {
		return nil
	}
	at := pathsOf(instance)
	var cur rib.Cursor
	for {
		list, next, err := a.rib.ListBest(f, cur, aftPage)
		if err != nil {
			return nil // the instance has gone meanwhile
		}
		for i := range list {
			if list[i].FIB == rib.FIBFailed {
				continue
			}
			if err := b.add(a.entry(at, list[i])); err != nil {
				return err
			}
		}
		if cur = next; cur == (rib.Cursor{}) {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

// aftPaths are where the entries of an instance are.
type aftPaths struct{ four, six tree.Path }

func pathsOf(instance string) aftPaths {
	at := aftPath(instance)
	return aftPaths{at.Name("ipv4-unicast"), at.Name("ipv6-unicast")}
}

func (p aftPaths) entry(prefix netip.Prefix) tree.Path {
	if prefix.Addr().Is6() {
		return entryPath(p.six, "", "ipv6-entry", "prefix", prefix.String())
	}
	return entryPath(p.four, "", "ipv4-entry", "prefix", prefix.String())
}

func (a *AFT) entry(at aftPaths, r rib.Best) *telemetry.Object {
	return telemetry.NewObject(a.s, at.entry(r.Prefix)).
		Set("state/prefix", r.Prefix).
		Set("state/origin-protocol", originProtocols[r.Source]).
		Set("state/next-hop-group", r.Group).
		Set("state/next-hop-group-network-instance", rib.DefaultVRF)
}

func (a *AFT) readGroups(ctx context.Context, m tree.Pattern, b *batcher) error {
	groups, hops := a.at.wants(m, "groups"), a.at.wants(m, "hops")
	// Hops that several groups have are given once.
	seen := map[uint64]bool{}
	cfg := a.config()
	for after := uint32(0); ; {
		list, next := a.rib.Groups(after, aftPage)
		for _, g := range list {
			if hops {
				for _, h := range g.Members {
					if id := hopIndex(h); !seen[id] {
						seen[id] = true
						if err := b.add(a.hop(cfg, id, h)); err != nil {
							return err
						}
					}
				}
			}
			if groups {
				if err := b.add(a.group(g)...); err != nil {
					return err
				}
			}
		}
		if after = next; after == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}

func groupPath(id uint32) tree.Path {
	return entryPath(aftPath(rib.DefaultVRF), "next-hop-groups", "next-hop-group", "id", text(uint64(id)))
}

func hopPath(id uint64) tree.Path {
	return entryPath(aftPath(rib.DefaultVRF), "next-hops", "next-hop", "index", text(id))
}

func (a *AFT) group(g rib.GroupUse) []*telemetry.Object {
	at := groupPath(g.ID)
	parts := []*telemetry.Object{telemetry.NewObject(a.s, at).Set("state/id", g.ID)}
	for _, h := range g.Members {
		id := hopIndex(h)
		parts = append(parts, telemetry.NewObject(a.s, entryPath(at, "next-hops", "next-hop", "index", text(id))).
			Set("state/index", id).Set("state/weight", h.Weight))
	}
	return parts
}

func (a *AFT) hop(cfg *config.Config, id uint64, h rib.Member) *telemetry.Object {
	o := telemetry.NewObject(a.s, hopPath(id)).Set("state/index", id).Set("state/action", hopActions[h.Kind])
	if h.Gateway.IsValid() {
		o.Set("state/ip-address", h.Gateway)
	}
	if h.Kind == rib.KindLookup {
		o.Set("state/network-instance", h.VRF)
	}
	if h.Interface != "" {
		name, index := whereIs(cfg, h.Interface)
		o.Set("interface-ref/state/interface", name).Set("interface-ref/state/subinterface", index)
	}
	return o
}

// hopIndex is the same for the same next hop at any time.
func hopIndex(h rib.Member) uint64 {
	f := fnv.New64a()
	f.Write([]byte{byte(h.Kind)})
	for _, s := range []string{h.VRF, h.Interface, h.Gateway.String()} {
		f.Write(binary.BigEndian.AppendUint16(nil, uint16(len(s))))
		f.Write([]byte(s))
	}
	return f.Sum64()
}

func (a *AFT) readSummary(m tree.Pattern, instance string, b *batcher) error {
	if a.at.wants(m, "synced") {
		done := a.synced()
		o := telemetry.NewObject(a.s, aftPath(instance).Name("state-synced")).
			Set("state/ipv4-unicast", done).Set("state/ipv6-unicast", done)
		if err := b.add(o); err != nil {
			return err
		}
	}
	if !a.at.wants(m, "summaries") {
		return nil
	}
	for family, name := range map[int]string{4: "ipv4-unicast", 6: "ipv6-unicast"} {
		counts := map[string]uint64{}
		for s, n := range a.rib.CountBest(instance, family) {
			counts[originProtocols[s]] += uint64(n)
		}
		at := aftPath(instance).Name("aft-summaries").Name(name).Name("protocols")
		for _, proto := range slices.Sorted(maps.Keys(counts)) {
			o := telemetry.NewObject(a.s, entryPath(at, "", "protocol", "origin-protocol", proto)).
				Set("state/origin-protocol", proto).Set("state/counters/aft-entries", counts[proto])
			if err := b.add(o); err != nil {
				return err
			}
		}
	}
	return nil
}
