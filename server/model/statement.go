package model

import (
	"slices"
	"strings"

	"millrace/server/config"
	"millrace/yang/tree"
)

// The containers of the conditions on sets, and the leaf of each that names the set.
const (
	matchPrefix    = "conditions/match-prefix-set/config"
	matchNeighbor  = "conditions/match-neighbor-set/config"
	matchASPath    = "conditions/bgp-conditions/match-as-path-set/config"
	matchStandard  = "conditions/bgp-conditions/match-community-set/config"
	matchExtended  = "conditions/bgp-conditions/match-ext-community-set/config"
	matchLarge     = "conditions/bgp-conditions/match-large-community-set/config"
	bgpConditions  = "conditions/bgp-conditions/config"
	pathLength     = "conditions/bgp-conditions/as-path-length/config"
	communityCount = "conditions/bgp-conditions/community-count/config"
	bgpActions     = "actions/bgp-actions/config"
	prependAction  = "actions/bgp-actions/set-as-path-prepend/config"
)

// condition on a set: where it is in the tree and in a Match.
type condition struct {
	at, leaf string
	set      *string
	kind     *config.MatchKind
}

func conditionsOf(m *config.Match) []condition {
	return []condition{
		{matchPrefix, "prefix-set", &m.PrefixSet, &m.PrefixMatch},
		{matchNeighbor, "neighbor-set", &m.NeighborSet, &m.NeighborMatch},
		{matchASPath, "as-path-set", &m.ASPathSet, &m.ASPathMatch},
		{matchStandard, "community-set", &m.CommunitySet, &m.CommunityMatch},
		{matchExtended, "ext-community-set", &m.ExtCommunitySet, &m.ExtCommunityMatch},
		{matchLarge, "large-community-set", &m.LargeCommunitySet, &m.LargeCommunityMatch},
	}
}

// change of the communities of a type: where it is in the tree and in Actions.
type change struct {
	at               string
	method           bool // it has the leaf `method`, and the communities in `inline`
	remove, set, add *[]string
	kind             communityKind
}

func changesOf(a *config.Actions) []change {
	k := communityKinds()
	return []change{
		{"actions/bgp-actions/set-community", true, &a.RemoveCommunities, &a.SetCommunities, &a.AddCommunities, k[0]},
		{"actions/bgp-actions/set-ext-community", true, &a.RemoveExtCommunities, &a.SetExtCommunities, &a.AddExtCommunities, k[1]},
		{"actions/bgp-actions/set-large-community", false, &a.RemoveLargeCommunities, &a.SetLargeCommunities, &a.AddLargeCommunities, k[2]},
	}
}

func (c change) leaf() string {
	if c.method {
		return c.at + "/inline/config/communities"
	}
	return c.at + "/config/communities"
}

var (
	operators = map[string]config.Operator{"ATTRIBUTE_EQ": config.OperatorEQ, "ATTRIBUTE_GE": config.OperatorGE, "ATTRIBUTE_LE": config.OperatorLE}
	results   = map[string]config.StatementResult{"ACCEPT_ROUTE": "accept", "REJECT_ROUTE": "reject", "NEXT_STATEMENT": "next"}
	medDoings = map[string]config.MEDAction{"SET": "set", "ADD": "add", "SUBTRACT": "subtract"}
	nextHops  = map[string]string{"SELF": "self", "PEER_ADDRESS": "peer-address"}
)

func keyFor[V comparable](m map[string]V, v V) string {
	for k, have := range m {
		if have == v {
			return k
		}
	}
	return ""
}

func (x *reader) policy(at tree.Path, n *tree.Node) config.Policy {
	p := config.Policy{Name: n.Key("name")}
	for s := range n.List(statementList) {
		sat := below(at, "statements").With(s.Elem())
		st := config.Statement{Name: s.Key("name")}
		x.match(sat, s, &st.Match)
		x.actions(sat, s, &st.Actions)
		p.Statements = append(p.Statements, st)
	}
	return p
}

func (x *reader) match(at tree.Path, n *tree.Node, m *config.Match) {
	for _, c := range conditionsOf(m) {
		*c.set = n.Text(c.at + "/" + c.leaf)
		option := n.Text(c.at + "/match-set-options")
		switch {
		case *c.set == "" && option != "":
			x.failAt(at, c.at+"/"+c.leaf, "is missing")
		case option != "" && option != "ANY":
			*c.kind = config.MatchKind(strings.ToLower(option))
		}
	}
	m.ASPathLength = x.compare(at, n, pathLength)
	if c := m.ASPathLength; c != nil && c.Value != 0 {
		switch c.Operator { // as the file has it
		case config.OperatorGE:
			m.MinASPathLength, m.ASPathLength = c.Value, nil
		case config.OperatorLE:
			m.MaxASPathLength, m.ASPathLength = c.Value, nil
		}
	}
	m.CommunityCount = x.compare(at, n, communityCount)
	m.Origin = config.Origin(strings.ToLower(n.Text(bgpConditions + "/origin-eq")))
	m.NextHops = x.addrs(n, at, bgpConditions+"/next-hop-in")
	m.RouteType = config.RouteType(strings.ToLower(n.Text(bgpConditions + "/route-type")))
	for _, f := range n.Texts(bgpConditions + "/afi-safi-in") {
		name, ok := families[f]
		if !ok {
			x.failAt(at, bgpConditions+"/afi-safi-in", "%s: the families of the appliance are IPV4_UNICAST and IPV6_UNICAST", f)
		}
		m.Families = append(m.Families, name)
	}
}

func (x *reader) compare(at tree.Path, n *tree.Node, rel string) *config.Compare {
	v, hasValue := n.Uint(rel + "/value")
	op := n.Text(rel + "/operator")
	switch {
	case !hasValue && op == "":
		return nil
	case !hasValue:
		x.failAt(at, rel+"/value", "is missing")
	case op == "":
		x.failAt(at, rel+"/operator", "is missing")
	}
	return &config.Compare{Operator: operators[op], Value: uint32(v)}
}

func (x *reader) actions(at tree.Path, n *tree.Node, a *config.Actions) {
	a.Result = results[n.Text("actions/config/policy-result")]
	if v, ok := n.Uint(bgpActions + "/set-local-pref"); ok {
		p := uint32(v)
		a.SetLocalPref = &p
	}
	action := n.Text(bgpActions + "/set-med-action")
	switch v, ok := n.Uint(bgpActions + "/set-med"); {
	case ok:
		p := uint32(v)
		a.SetMED = &p
		if a.MEDAction = medDoings[action]; a.MEDAction == "set" {
			a.MEDAction = ""
		}
	case n.Has(bgpActions + "/set-med"):
		x.failAt(at, bgpActions+"/set-med", "%s is not supported: there is no IGP; give a number", n.Text(bgpActions+"/set-med"))
	case action != "":
		x.failAt(at, bgpActions+"/set-med", "is missing")
	}
	a.SetOrigin = config.Origin(strings.ToLower(n.Text(bgpActions + "/set-route-origin")))
	a.SetNextHop = n.Text(bgpActions + "/set-next-hop")
	if s, ok := nextHops[a.SetNextHop]; ok {
		a.SetNextHop = s
	}
	if isTrue(n, bgpActions+"/next-hop-unchanged") {
		if a.SetNextHop != "" {
			x.failAt(at, bgpActions+"/next-hop-unchanged", "excludes set-next-hop")
		}
		a.SetNextHop = "unchanged"
	}
	a.Prepend = pos[uint8](x, n, at, prependAction+"/repeat-n")
	a.PrependAS = pos[uint32](x, n, at, prependAction+"/asn")
	for _, c := range changesOf(a) {
		x.communities(at, n, c)
	}
}

func (x *reader) communities(at tree.Path, n *tree.Node, c change) {
	if !n.Has(c.at) {
		return
	}
	list := each(n.Texts(c.leaf()), c.kind.toConfig)
	if m := n.Text(c.at + "/config/method"); m == "REFERENCE" {
		x.failAt(at, c.at+"/config/method", "REFERENCE is not supported: give the communities in `inline`")
	} else if m == "" && c.method && len(list) > 0 {
		x.failAt(at, c.at+"/config/method", "is missing: INLINE")
	}
	option := n.Text(c.at + "/config/options")
	if len(list) == 0 {
		x.failAt(at, c.leaf(), "is missing")
	}
	switch option {
	case "REMOVE":
		*c.remove = list
	case "REPLACE":
		*c.set = list
	case "ADD":
		*c.add = list
	default:
		x.failAt(at, c.at+"/config/options", "is missing: ADD, REMOVE or REPLACE")
	}
}

func (w *writer) statement(at tree.Path, s *config.Statement) {
	w.set(at, "config/name", s.Name)
	m := s.Match // changed below
	w.placeCommunitySet(&m)
	for _, c := range conditionsOf(&m) {
		w.opt(at, c.at+"/"+c.leaf, *c.set)
		if *c.kind != "" && *c.kind != config.MatchAny {
			w.set(at, c.at+"/match-set-options", strings.ToUpper(string(*c.kind)))
		}
	}
	length := m.ASPathLength
	if m.MinASPathLength != 0 {
		length = &config.Compare{Operator: config.OperatorGE, Value: m.MinASPathLength}
	}
	if m.MaxASPathLength != 0 {
		length = &config.Compare{Operator: config.OperatorLE, Value: m.MaxASPathLength}
	}
	w.compare(at, pathLength, length)
	w.compare(at, communityCount, m.CommunityCount)
	w.opt(at, bgpConditions+"/origin-eq", strings.ToUpper(string(m.Origin)))
	w.opt(at, bgpConditions+"/next-hop-in", m.NextHops)
	w.opt(at, bgpConditions+"/route-type", strings.ToUpper(string(m.RouteType)))
	var in []string
	for _, f := range m.Families {
		in = append(in, familyName(f))
	}
	w.opt(at, bgpConditions+"/afi-safi-in", in)
	w.actions(at, &s.Actions)
}

// placeCommunitySet puts a set that is not of standard communities into the field of its type.
func (w *writer) placeCommunitySet(m *config.Match) {
	i := slices.IndexFunc(w.C.RoutingPolicy.CommunitySets, func(s config.CommunitySet) bool { return s.Name == m.CommunitySet })
	if i < 0 {
		return
	}
	switch w.C.RoutingPolicy.CommunitySets[i].Type {
	case "extended":
		m.ExtCommunitySet, m.ExtCommunityMatch = m.CommunitySet, m.CommunityMatch
	case "large":
		m.LargeCommunitySet, m.LargeCommunityMatch = m.CommunitySet, m.CommunityMatch
	default:
		return
	}
	m.CommunitySet, m.CommunityMatch = "", ""
}

func (w *writer) compare(at tree.Path, rel string, c *config.Compare) {
	if c == nil {
		return
	}
	op := c.Operator
	if op == "" {
		op = config.OperatorEQ
	}
	w.set(at, rel+"/operator", keyFor(operators, op))
	w.set(at, rel+"/value", c.Value)
}

func (w *writer) actions(at tree.Path, a *config.Actions) {
	w.opt(at, "actions/config/policy-result", keyFor(results, a.Result))
	w.opt(at, bgpActions+"/set-local-pref", a.SetLocalPref)
	if a.SetMED != nil {
		w.set(at, bgpActions+"/set-med", *a.SetMED)
		action := a.MEDAction
		if action == "" {
			action = "set"
		}
		w.set(at, bgpActions+"/set-med-action", keyFor(medDoings, action))
	}
	w.opt(at, bgpActions+"/set-route-origin", strings.ToUpper(string(a.SetOrigin)))
	switch name := keyFor(nextHops, a.SetNextHop); {
	case a.SetNextHop == "unchanged":
		w.set(at, bgpActions+"/next-hop-unchanged", true)
	case name != "":
		w.set(at, bgpActions+"/set-next-hop", name)
	default:
		w.opt(at, bgpActions+"/set-next-hop", a.SetNextHop)
	}
	w.opt(at, prependAction+"/repeat-n", a.Prepend)
	w.opt(at, prependAction+"/asn", a.PrependAS)
	for _, c := range changesOf(a) {
		w.communities(at, c)
	}
}

func (w *writer) communities(at tree.Path, c change) {
	for option, list := range map[string]*[]string{"REMOVE": c.remove, "REPLACE": c.set, "ADD": c.add} {
		if len(*list) == 0 {
			continue
		}
		if c.method {
			w.set(at, c.at+"/config/method", "INLINE")
		}
		w.set(at, c.at+"/config/options", option)
		w.set(at, c.leaf(), each(*list, c.kind.toTree))
	}
}

// statementLeaves are the places of a statement's fields.
var statementLeaves = map[string]string{
	"match.min-as-path-length": pathLength + "/value", "match.max-as-path-length": pathLength + "/value",
	"match.as-path-length": pathLength, "match.community-count": communityCount, "match.origin": bgpConditions + "/origin-eq",
	"match.next-hops": bgpConditions + "/next-hop-in", "match.route-type": bgpConditions + "/route-type",
	"match.families": bgpConditions + "/afi-safi-in", "actions.result": "actions/config/policy-result",
	"actions.set-local-pref": bgpActions + "/set-local-pref", "actions.set-med": bgpActions + "/set-med",
	"actions.med-action": bgpActions + "/set-med-action", "actions.set-origin": bgpActions + "/set-route-origin",
	"actions.set-next-hop": bgpActions + "/set-next-hop", "actions.prepend": prependAction + "/repeat-n",
	"actions.prepend-as": prependAction + "/asn",
}

// statement finds the places of statements[NAME].…, whose steps are those after it.
func (l *locator) statement(at tree.Path, s []step) tree.Path {
	if len(s) == 0 {
		return at
	}
	field := s[0].Name + "." + stepAt(s, 1).Name
	if rel, ok := statementLeaves[field]; ok {
		return below(at, rel)
	}
	var m config.Match
	for i, c := range conditionsOf(&m) {
		word := [...]string{"prefix", "neighbor", "as-path", "community", "ext-community", "large-community"}[i]
		switch field {
		case "match." + word + "-set":
			return below(at, c.at+"/"+c.leaf)
		case "match." + word + "-match":
			return below(at, c.at+"/match-set-options")
		}
	}
	var a config.Actions
	for i, c := range changesOf(&a) {
		word := [...]string{"communities", "ext-communities", "large-communities"}[i]
		for _, verb := range []string{"remove", "set", "add"} {
			if field == "actions."+verb+"-"+word {
				return below(at, c.leaf())
			}
		}
	}
	return below(at, map[string]string{"match": "conditions", "actions": "actions"}[s[0].Name])
}
