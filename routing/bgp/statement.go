package bgp

import (
	api "github.com/osrg/gobgp/v3/api"
)

func matchSet(m *SetMatch) *api.MatchSet {
	if m == nil {
		return nil
	}
	t := map[MatchOption]api.MatchSet_Type{
		MatchAny: api.MatchSet_ANY, MatchAll: api.MatchSet_ALL, MatchInvert: api.MatchSet_INVERT,
	}
	return &api.MatchSet{Type: t[m.Option], Name: "set/" + m.Set}
}

var originTypes = map[string]api.RouteOriginType{
	"igp":        api.RouteOriginType_ORIGIN_IGP,
	"egp":        api.RouteOriginType_ORIGIN_EGP,
	"incomplete": api.RouteOriginType_ORIGIN_INCOMPLETE,
}

// conditions converts all conditions but that on the neighbour.
func conditions(m *Match) *api.Conditions {
	c := &api.Conditions{
		PrefixSet:         matchSet(m.PrefixSet),
		AsPathSet:         matchSet(m.ASPathSet),
		CommunitySet:      matchSet(m.CommunitySet),
		ExtCommunitySet:   matchSet(m.ExtCommunitySet),
		LargeCommunitySet: matchSet(m.LargeCommunitySet),
		RouteType:         api.Conditions_RouteType(m.RouteType),
		Origin:            originTypes[m.Origin],
	}
	if m.ASPathLength != nil {
		c.AsPathLength = &api.AsPathLength{
			Type: map[string]api.AsPathLength_Type{
				"eq": api.AsPathLength_EQ, "ge": api.AsPathLength_GE, "le": api.AsPathLength_LE,
			}[m.ASPathLength.Op],
			Length: m.ASPathLength.Value,
		}
	}
	if m.CommunityCount != nil {
		c.CommunityCount = &api.CommunityCount{
			Type: map[string]api.CommunityCount_Type{
				"eq": api.CommunityCount_EQ, "ge": api.CommunityCount_GE, "le": api.CommunityCount_LE,
			}[m.CommunityCount.Op],
			Count: m.CommunityCount.Value,
		}
	}
	for _, p := range m.NextHops {
		c.NextHopInList = append(c.NextHopInList, p.String())
	}
	for _, f := range m.Families {
		c.AfiSafiIn = append(c.AfiSafiIn, apiFamily(f))
	}
	return c
}

func communityAction(t CommunityType, o *CommunityOp) *api.CommunityAction {
	if o == nil {
		return nil
	}
	a := &api.CommunityAction{Type: map[string]api.CommunityAction_Type{
		"add": api.CommunityAction_ADD, "remove": api.CommunityAction_REMOVE, "replace": api.CommunityAction_REPLACE,
	}[o.Op]}
	for _, c := range o.Communities {
		a.Communities = append(a.Communities, memberText(t, c))
	}
	return a
}

func actions(a *Actions) *api.Actions {
	out := &api.Actions{
		Community:      communityAction(StandardCommunity, a.Community),
		ExtCommunity:   communityAction(ExtendedCommunity, a.ExtCommunity),
		LargeCommunity: communityAction(LargeCommunity, a.LargeCommunity),
	}
	switch a.Result {
	case Accept:
		out.RouteAction = api.RouteAction_ACCEPT
	case Reject:
		out.RouteAction = api.RouteAction_REJECT
	}
	if a.LocalPref != nil {
		out.LocalPref = &api.LocalPrefAction{Value: *a.LocalPref}
	}
	if a.MED != nil {
		switch a.MED.Op {
		case "set":
			out.Med = &api.MedAction{Type: api.MedAction_REPLACE, Value: int64(a.MED.Value)}
		case "add":
			out.Med = &api.MedAction{Type: api.MedAction_MOD, Value: int64(a.MED.Value)}
		case "sub":
			out.Med = &api.MedAction{Type: api.MedAction_MOD, Value: -int64(a.MED.Value)}
		}
	}
	if a.Prepend != nil {
		out.AsPrepend = &api.AsPrependAction{
			Asn: a.Prepend.ASN, Repeat: uint32(a.Prepend.Repeat), UseLeftMost: a.Prepend.ASN == 0,
		}
	}
	if a.NextHop != nil {
		out.Nexthop = &api.NexthopAction{
			Self: a.NextHop.Self, Unchanged: a.NextHop.Unchanged, PeerAddress: a.NextHop.Peer,
		}
		if a.NextHop.Address.IsValid() {
			out.Nexthop.Address = a.NextHop.Address.String()
		}
	}
	if a.Origin != "" {
		out.OriginAction = &api.OriginAction{Origin: originTypes[a.Origin]}
	}
	return out
}
