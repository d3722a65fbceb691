package bgp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/proto"
)

// GoBGP has one import and one export policy for all neighbours. So ours are compiled into two, "import" and "export",
// whose statements each begin with the set of neighbours they are for; neighbours with the same policies share them.

const (
	importPolicy = "import"
	exportPolicy = "export"
)

// chain is what decides on the routes of some neighbours in one direction.
type chain struct {
	members     []netip.Prefix
	policies    []string
	fallback    Result
	nextHopSelf bool
	// nextHop6 goes into IPv6 routes for neighbours that are reached over IPv4, where GoBGP would put an IPv4 address: into all for
	// external ones, into our own for internal ones.
	nextHop6 netip.Addr
	external bool
}

func (ch chain) same(o chain) bool {
	return slices.Equal(ch.policies, o.policies) && ch.fallback == o.fallback && ch.nextHopSelf == o.nextHopSelf &&
		ch.nextHop6 == o.nextHop6 && (ch.external == o.external || !ch.nextHop6.IsValid())
}

func chains(c *Config, export bool) []chain {
	var out []chain
	add := func(member netip.Prefix, p PeerSettings, nextHop6 netip.Addr) {
		ch := chain{policies: p.Import, fallback: p.DefaultImport}
		if export {
			ch = chain{policies: p.Export, fallback: p.DefaultExport}
			ch.external = p.PeerAS != or(p.LocalAS, c.ASN)
			ch.nextHopSelf = flag(p.NextHopSelf) && !ch.external
			if member.Addr().Is4() && slices.Contains(p.Families, IPv6Unicast) {
				ch.nextHop6 = nextHop6
			}
		}
		for i := range out {
			if out[i].same(ch) {
				out[i].members = append(out[i].members, member)
				return
			}
		}
		ch.members = []netip.Prefix{member}
		out = append(out, ch)
	}
	for _, n := range c.Neighbors {
		a := n.Address.WithZone("")
		add(netip.PrefixFrom(a, a.BitLen()), n.PeerSettings, n.NextHop6)
	}
	for _, d := range c.DynamicNeighbors {
		p := c.merged(Neighbor{Address: d.Prefix.Addr(), PeerGroup: d.PeerGroup}).PeerSettings
		add(d.Prefix, p, d.NextHop6)
	}
	return out
}

// overlap is the part of members that a neighbour set matches, or does not with invert.
func overlap(members, set []netip.Prefix, invert bool) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, m := range members {
		whole, parts := false, []netip.Prefix(nil)
		for _, x := range set {
			switch {
			case x.Overlaps(m) && x.Bits() <= m.Bits():
				whole = true
			case x.Overlaps(m):
				parts = append(parts, x)
			}
		}
		switch {
		case whole && !invert || !whole && invert && len(parts) == 0:
			out = append(out, m)
		case !whole && !invert:
			out = append(out, parts...)
		case !whole && invert:
			return nil, fmt.Errorf("inverted set covers only a part of dynamic neighbours %s", m)
		}
	}
	return out, nil
}

type compiler struct {
	c    *Config
	sets []*api.DefinedSet
	seen map[string]string // neighbour sets by content
}

// compile makes the whole policy of GoBGP.
func compile(c *Config) (*api.SetPoliciesRequest, error) {
	k := &compiler{c: c, seen: make(map[string]string)}
	k.definedSets()
	req := &api.SetPoliciesRequest{}
	for _, dir := range []string{importPolicy, exportPolicy} {
		st, err := k.direction(dir)
		if err != nil {
			return nil, err
		}
		req.Policies = append(req.Policies, &api.Policy{Name: dir, Statements: st})
	}
	req.DefinedSets = k.sets
	return req, nil
}

func (k *compiler) definedSets() {
	d := &k.c.Policy
	for _, s := range d.PrefixSets {
		x := &api.DefinedSet{DefinedType: api.DefinedType_PREFIX, Name: "set/" + s.Name}
		for _, p := range s.Prefixes {
			x.Prefixes = append(x.Prefixes, &api.Prefix{
				IpPrefix: p.Prefix.String(), MaskLengthMin: uint32(p.Min), MaskLengthMax: uint32(p.Max),
			})
		}
		k.sets = append(k.sets, x)
	}
	for _, s := range d.ASPathSets {
		k.sets = append(k.sets, &api.DefinedSet{
			DefinedType: api.DefinedType_AS_PATH, Name: "set/" + s.Name, List: s.Patterns,
		})
	}
	types := map[CommunityType]api.DefinedType{
		StandardCommunity: api.DefinedType_COMMUNITY, ExtendedCommunity: api.DefinedType_EXT_COMMUNITY,
		LargeCommunity: api.DefinedType_LARGE_COMMUNITY,
	}
	for _, s := range d.CommunitySets {
		x := &api.DefinedSet{DefinedType: types[s.Type], Name: "set/" + s.Name}
		for _, m := range s.Members {
			x.List = append(x.List, memberText(s.Type, m))
		}
		k.sets = append(k.sets, x)
	}
}

// neighborSet makes a set of neighbours, or finds the one with the same members.
func (k *compiler) neighborSet(members []netip.Prefix) *api.MatchSet {
	list := make([]string, len(members))
	for i, m := range members {
		list[i] = m.String()
	}
	slices.Sort(list)
	key := strings.Join(list, " ")
	name, ok := k.seen[key]
	if !ok {
		name = fmt.Sprintf("neighbors/%d", len(k.seen))
		k.seen[key] = name
		k.sets = append(k.sets, &api.DefinedSet{DefinedType: api.DefinedType_NEIGHBOR, Name: name, List: list})
	}
	return &api.MatchSet{Type: api.MatchSet_ANY, Name: name}
}

// selves is a statement, or the two that do what it does for each family: "self" is another address for IPv6 routes.
func (ch chain) selves(st *api.Statement) []*api.Statement {
	if !ch.nextHop6.IsValid() || !st.GetActions().GetNexthop().GetSelf() {
		return []*api.Statement{st}
	}
	var out []*api.Statement
	for _, f := range []Family{IPv4Unicast, IPv6Unicast} {
		in := st.GetConditions().GetAfiSafiIn()
		if len(in) > 0 && !slices.ContainsFunc(in, func(x *api.Family) bool { return x.GetAfi() == apiFamily(f).GetAfi() }) {
			continue
		}
		one := proto.Clone(st).(*api.Statement)
		one.Name = fmt.Sprintf("%s/%s", st.GetName(), f)
		one.Conditions.AfiSafiIn = []*api.Family{apiFamily(f)}
		if f == IPv6Unicast {
			one.Actions.Nexthop = &api.NexthopAction{Address: ch.nextHop6.String()}
		}
		out = append(out, one)
	}
	return out
}

func (k *compiler) direction(dir string) ([]*api.Statement, error) {
	var out []*api.Statement
	for i, ch := range chains(k.c, dir == exportPolicy) {
		if len(ch.policies) == 0 && ch.fallback != Reject && !ch.nextHopSelf && !ch.nextHop6.IsValid() {
			continue
		}
		prefix := fmt.Sprintf("%s/%d/", dir, i)
		all := k.neighborSet(ch.members)
		if ch.nextHop6.IsValid() {
			cond := &api.Conditions{NeighborSet: all, AfiSafiIn: []*api.Family{apiFamily(IPv6Unicast)}}
			if !ch.external {
				cond.RouteType = api.Conditions_ROUTE_TYPE_LOCAL
			}
			out = append(out, &api.Statement{
				Name: prefix + "next-hop-ipv6", Conditions: cond,
				Actions: &api.Actions{Nexthop: &api.NexthopAction{Address: ch.nextHop6.String()}},
			})
		}
		if ch.nextHopSelf {
			// Not reflected routes: RFC 4456, section 10, wants their next hop left alone.
			for _, t := range []api.Conditions_RouteType{
				api.Conditions_ROUTE_TYPE_EXTERNAL, api.Conditions_ROUTE_TYPE_LOCAL,
			} {
				out = append(out, ch.selves(&api.Statement{
					Name:       prefix + "next-hop-self/" + t.String(),
					Conditions: &api.Conditions{NeighborSet: all, RouteType: t},
					Actions:    &api.Actions{Nexthop: &api.NexthopAction{Self: true}},
				})...)
			}
		}
		for _, name := range ch.policies {
			p := k.c.Policy.policy(name)
			for j := range p.Statements {
				st := &p.Statements[j]
				members := ch.members
				if m := st.Match.NeighborSet; m != nil {
					var err error
					members, err = overlap(members, k.c.Policy.neighborSet(m.Set).Addresses, m.Option == MatchInvert)
					if err != nil {
						return nil, fmt.Errorf("policies[%s].statements[%s].match.neighbor-set: %w",
							name, statementName(st, j), err)
					}
				}
				if len(members) == 0 {
					continue
				}
				cond := conditions(&st.Match)
				cond.NeighborSet = k.neighborSet(members)
				out = append(out, ch.selves(&api.Statement{
					Name:       fmt.Sprintf("%s%s/%d/%s", prefix, name, j, st.Name),
					Conditions: cond, Actions: actions(&st.Actions),
				})...)
			}
		}
		result := api.RouteAction_ACCEPT
		if ch.fallback == Reject {
			result = api.RouteAction_REJECT
		}
		out = append(out, &api.Statement{
			Name: prefix + "default", Conditions: &api.Conditions{NeighborSet: all},
			Actions: &api.Actions{RouteAction: result},
		})
	}
	return out, nil
}

func (d *PolicyDefs) policy(name string) *Policy {
	for i := range d.Policies {
		if d.Policies[i].Name == name {
			return &d.Policies[i]
		}
	}
	return &Policy{}
}

func (d *PolicyDefs) neighborSet(name string) *NeighborSet {
	for i := range d.NeighborSets {
		if d.NeighborSets[i].Name == name {
			return &d.NeighborSets[i]
		}
	}
	return &NeighborSet{}
}

func statementName(s *Statement, i int) string {
	if s.Name != "" {
		return s.Name
	}
	return fmt.Sprint(i)
}

// assignPolicies puts the two policies, still empty, in force for all neighbours.
func (s *Speaker) assignPolicies(ctx context.Context) error {
	err := s.srv.SetPolicies(ctx, &api.SetPoliciesRequest{
		Policies: []*api.Policy{{Name: importPolicy}, {Name: exportPolicy}},
	})
	for name, dir := range map[string]api.PolicyDirection{
		importPolicy: api.PolicyDirection_IMPORT, exportPolicy: api.PolicyDirection_EXPORT,
	} {
		if err == nil {
			err = s.srv.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
				Name: "global", Direction: dir, Policies: []*api.Policy{{Name: name}},
				DefaultAction: api.RouteAction_ACCEPT,
			}})
		}
	}
	if err != nil {
		return fmt.Errorf("assign bgp policies: %w", err)
	}
	return nil
}

// chainOf is what applies to a neighbour in one direction, with all that is referred to, for comparing.
func chainOf(c *Config, n Neighbor, export bool) any {
	ch := chains(&Config{ASN: c.ASN, Neighbors: []Neighbor{n}}, export)[0]
	var p []*Policy
	for _, name := range ch.policies {
		p = append(p, c.Policy.policy(name))
	}
	return []any{ch, p}
}

func setsOf(d *PolicyDefs) any {
	return []any{d.PrefixSets, d.NeighborSets, d.ASPathSets, d.CommunitySets}
}

// applyPolicy puts changed policies in force and applies them to the routes that are there, without resetting sessions
// where that is possible.
func (s *Speaker) applyPolicy(ctx context.Context, old, next *Config) error {
	was, err := compile(old)
	if err != nil {
		return fmt.Errorf("compile bgp policy: %w", err)
	}
	req, err := compile(next)
	if err != nil {
		return fmt.Errorf("compile bgp policy: %w", err)
	}
	if reflect.DeepEqual(was.String(), req.String()) {
		return nil
	}
	sets := !reflect.DeepEqual(setsOf(&old.Policy), setsOf(&next.Policy))
	var in, out []Neighbor
	for _, n := range next.Neighbors {
		o := findNeighbor(old, n.Address)
		if o == nil {
			continue
		}
		if sets || !reflect.DeepEqual(chainOf(old, *o, false), chainOf(next, n, false)) {
			in = append(in, n)
		}
		if sets || !reflect.DeepEqual(chainOf(old, *o, true), chainOf(next, n, true)) {
			out = append(out, n)
		}
	}
	before := make(map[netip.Addr]map[netip.Prefix]bool)
	for _, n := range out {
		if before[n.Address], err = s.advertisedPrefixes(ctx, n); err != nil {
			return err
		}
	}
	if err := s.srv.SetPolicies(ctx, req); err != nil {
		return fmt.Errorf("set bgp policies: %w", err)
	}
	var errs []error
	for _, n := range in {
		errs = append(errs, s.SoftReset(ctx, n.Address, In))
	}
	for _, n := range out {
		errs = append(errs, s.exportChanged(ctx, n, before[n.Address]))
	}
	return errors.Join(errs...)
}

// advertisedPrefixes is what a neighbour has from us under the policies in force.
func (s *Speaker) advertisedPrefixes(ctx context.Context, n Neighbor) (map[netip.Prefix]bool, error) {
	out := make(map[netip.Prefix]bool)
	for _, f := range n.families() {
		req := &api.ListPathRequest{
			TableType: api.TableType_ADJ_OUT, Name: peerKey(n.Address), Family: apiFamily(f), EnableOnlyBinary: true,
		}
		err := s.srv.ListPath(ctx, req, func(d *api.Destination) {
			if p, err := netip.ParsePrefix(d.GetPrefix()); err == nil {
				out[p] = true
			}
		})
		if err != nil {
			return nil, fmt.Errorf("list what neighbour %s gets: %w", n.Address, err)
		}
	}
	return out, nil
}

// exportChanged sends a neighbour what the new policy lets through. GoBGP's soft reset does not withdraw what it
// no longer lets through, so if there is such a route the session has to be reset.
func (s *Speaker) exportChanged(ctx context.Context, n Neighbor, before map[netip.Prefix]bool) error {
	after, err := s.advertisedPrefixes(ctx, n)
	if err != nil {
		return err
	}
	for p := range before {
		if !after[p] {
			s.log.Info("bgp session is reset to withdraw routes that its export policy now rejects",
				"neighbor", n.Address, "prefix", p)
			return s.Reset(ctx, n.Address, "export policy changed")
		}
	}
	return s.SoftReset(ctx, n.Address, Out)
}
