package gribi

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"millrace/routing/rib"
)

// origin is the name under which the RIB holds our candidates.
const origin = "gribi"

// maxChain is how many groups may back each other up in a row.
const maxChain = 8

// owners are the sessions that added an entry: at most one in SINGLE_PRIMARY.
// An entry that was preserved after its client had gone has none.
type owners []*session

func (o owners) has(s *session) bool { return slices.Contains(o, s) }

func (o owners) without(s *session) owners {
	if i := slices.Index(o, s); i >= 0 {
		return slices.Delete(o, i, i+1)
	}
	return o
}

type hopEntry struct {
	nextHop
	key    key
	owners owners
	users  map[*groupEntry]struct{}
	// doomed entries lost their last owner while others referred to them; they
	// go with the last reference.
	doomed bool
}

type groupEntry struct {
	group
	key      key
	ribName  string
	owners   owners
	routes   int                      // prefixes that use it
	backupOf map[*groupEntry]struct{} // groups that fall back to it
	doomed   bool
}

func (g *groupEntry) inUse() bool { return g.routes > 0 || len(g.backupOf) > 0 }

type prefixEntry struct {
	prefix
	to     *groupEntry
	owners owners
}

// instance holds the entries of one network instance.
type instance struct {
	name     string
	made     uint64 // see rib.RIB.VRFMade
	hops     map[uint64]*hopEntry
	groups   map[uint64]*groupEntry
	prefixes map[netip.Prefix]*prefixEntry
}

func (in *instance) size() int { return len(in.hops) + len(in.groups) + len(in.prefixes) }

// RIB is what gRIBI asks of the routing information base; *rib.RIB is one.
type RIB interface {
	Apply(changes []rib.Change) []error
	SetGroup(name string, nhs []rib.NextHop) error
	DeleteGroup(name string) error
	Group(name string) (rib.GroupInfo, error)
	Placement(vrf string, p netip.Prefix, s rib.Source, origin string) rib.Placement
	VRFMade(name string) (times uint64, exists bool)
	VRFs() []string
}

// table holds all entries. It is guarded by the server's mutex.
type table struct {
	rib       RIB
	limits    Limits
	distance  uint8
	instances map[string]*instance
	nHops     int
	nGroups   int
	nPrefixes int

	batch *batch // under way, or nil

	// Operations that wait for what they refer to: by what is missing, and by
	// the entry that they are about (one each).
	forward bool
	waiting map[key][]*waiter
	waits   map[key]*waiter
	seq     uint64
}

func newTable(r RIB, o *Options) *table {
	return &table{
		rib: r, limits: o.Limits, distance: o.Distance, forward: !o.NoForwardReferences,
		instances: make(map[string]*instance), waiting: make(map[key][]*waiter), waits: make(map[key]*waiter),
	}
}

// instance returns the entries of a network instance that exists, nil if none
// has that name. What was of an earlier one of the name is forgotten.
func (t *table) instance(name string) *instance {
	made, ok := t.rib.VRFMade(name)
	in := t.instances[name]
	if in != nil && (!ok || in.made != made) {
		t.forget(in)
		in = nil
	}
	if in == nil && ok {
		in = &instance{
			name: name, made: made, hops: make(map[uint64]*hopEntry), groups: make(map[uint64]*groupEntry),
			prefixes: make(map[netip.Prefix]*prefixEntry),
		}
		t.instances[name] = in
	}
	return in
}

// known lists the names of the network instances, and forgets the entries of
// those that have gone.
func (t *table) known() []string {
	names := t.rib.VRFs()
	for name := range t.instances {
		if !slices.Contains(names, name) {
			t.instance(name)
		}
	}
	return names
}

// forget drops the entries of a network instance that has been deleted, whose
// routes the RIB dropped with it. Prefixes of other instances that used its
// groups go as well.
func (t *table) forget(in *instance) {
	if t.batch != nil {
		t.batch.flush()
	}
	var changes []rib.Change
	for _, other := range t.instances {
		for p, e := range other.prefixes {
			if other == in || e.to.key.instance == in.name {
				if other != in {
					changes = append(changes, t.withdrawal(other.name, p))
				}
				delete(other.prefixes, p)
				e.to.routes--
				t.nPrefixes--
				t.reapGroup(e.to)
			}
		}
	}
	t.rib.Apply(changes)
	for _, g := range in.groups {
		g.routes, g.backupOf = 0, nil
		_ = t.rib.DeleteGroup(g.ribName) // nothing uses it, and it exists
	}
	t.nGroups -= len(in.groups)
	t.nHops -= len(in.hops)
	delete(t.instances, in.name)
}

func (t *table) withdrawal(vrf string, p netip.Prefix) rib.Change {
	return rib.Change{Op: rib.Delete, Route: rib.Route{VRF: vrf, Prefix: p, Source: rib.SourceGRIBI, Origin: origin}}
}

func (t *table) announcement(vrf string, p netip.Prefix, g *groupEntry) rib.Change {
	return rib.Change{Route: rib.Route{
		VRF: vrf, Prefix: p, Source: rib.SourceGRIBI, Origin: origin, Distance: t.distance, Group: g.ribName,
	}}
}

// find returns a group that may be of an instance that exists no more.
func (t *table) findGroup(k key) *groupEntry {
	if in := t.instance(k.instance); in != nil {
		return in.groups[k.id]
	}
	return nil
}

// chain lists a group with those that back it up in turn. bad is set if it is
// too long or leads back to itself.
func (t *table) chain(in *instance, id uint64, content *group) (list []*group, bad error) {
	seen := []uint64{id}
	list = append(list, content)
	for c := content; c.hasBackup; {
		next := in.groups[c.backup]
		switch {
		case next == nil:
			return nil, fmt.Errorf("backup_next_hop_group: there is no group %d", c.backup)
		case slices.Contains(seen, c.backup):
			return nil, fmt.Errorf("backup_next_hop_group: group %d leads back to %d", content.backup, c.backup)
		case len(seen) >= maxChain:
			return nil, fmt.Errorf("backup_next_hop_group: more than %d groups in a row", maxChain)
		}
		seen = append(seen, c.backup)
		c = &next.group
		list = append(list, c)
	}
	return list, nil
}

// ribHops turns a group with its backups into next hops of the RIB.
func (t *table) ribHops(in *instance, chain []*group) []rib.NextHop {
	var out []rib.NextHop
	for level, g := range chain {
		heaviest := uint64(0)
		for _, h := range g.hops {
			heaviest = max(heaviest, h.weight)
		}
		for _, h := range g.hops {
			n := in.hops[h.index]
			nh := rib.NextHop{
				Addr: n.address, Interface: n.interfaceName(), VRF: cmp.Or(n.instance, in.name),
				Weight: scale(h.weight, heaviest), Backup: uint8(level),
			}
			if n.iface == "" {
				nh.Interface = ""
				nh.Lookup = !n.address.IsValid()
			}
			out = append(out, nh)
		}
	}
	return out
}

// scale brings a weight into the RIB's range, in proportion to the heaviest.
func scale(w, heaviest uint64) uint32 {
	for heaviest > rib.MaxWeight {
		w, heaviest = w>>1, heaviest>>1
	}
	return uint32(max(w, 1))
}

// program makes the RIB's group what the entry says. content is that of the
// entry g, which may not have it yet.
func (t *table) program(in *instance, g *groupEntry, content *group) error {
	list, err := t.chain(in, g.key.id, content)
	if err != nil {
		return err
	}
	hops := t.ribHops(in, list)
	if len(hops) > rib.MaxGroupHops {
		return fmt.Errorf("next_hop: with its backups the group has %d, more than %d", len(hops), rib.MaxGroupHops)
	}
	return t.rib.SetGroup(g.ribName, hops)
}

// dependents lists the groups that fall back to one of those given, directly or
// not, and these themselves, without twins.
func dependents(of ...*groupEntry) []*groupEntry {
	seen := make(map[*groupEntry]struct{}, len(of))
	var out []*groupEntry
	for len(of) > 0 {
		g := of[0]
		of = of[1:]
		if _, twin := seen[g]; twin {
			continue
		}
		seen[g] = struct{}{}
		out = append(out, g)
		for u := range g.backupOf {
			of = append(of, u)
		}
	}
	return out
}
