package bgp

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/types/known/anypb"
)

// Path is a route of a neighbour with its attributes.
type Path struct {
	Prefix           netip.Prefix
	PathID           uint32
	NextHops         []netip.Addr // the second one is the link-local one of an IPv6 route
	Origin           string       // "igp", "egp" or "incomplete"
	ASPath           string       // "65001 65002 {65003 65004}"
	LocalPref        *uint32
	MED              *uint32
	Communities      []string
	ExtCommunities   []string
	LargeCommunities []string
	OriginatorID     string
	ClusterList      []string
	AtomicAggregate  bool
	Aggregator       string

	Neighbor   string // where it came from, empty for own routes
	PeerAS     uint32
	RouterID   string
	Best       bool
	Multipath  bool // part of the chosen set
	Stale      bool // of a neighbour that is restarting
	Rejected   bool // kept out by the import policy or a loop
	Validation string
	Age        time.Time // when it was received

	origin, asPathLen uint32
}

var originNames = [...]string{"igp", "egp", "incomplete"}

// attributesOf decodes the attributes of a path.
func attributesOf(p *api.Path) Path {
	out := Path{
		PathID: p.GetIdentifier(), PeerAS: p.GetSourceAsn(), Best: p.GetBest(), Stale: p.GetStale(),
		Age: p.GetAge().AsTime(),
	}
	if p.GetNeighborIp() != "<nil>" {
		out.Neighbor, out.RouterID = p.GetNeighborIp(), p.GetSourceId()
	}
	if st := p.GetValidation().GetState(); st != api.Validation_STATE_NONE {
		out.Validation = strings.ToLower(strings.TrimPrefix(st.String(), "STATE_"))
	}
	for _, a := range p.GetPattrs() {
		m, err := a.UnmarshalNew()
		if err != nil {
			continue
		}
		out.attribute(m)
	}
	return out
}

func (p *Path) addHop(s string) {
	if a, err := netip.ParseAddr(s); err == nil {
		p.NextHops = append(p.NextHops, a.Unmap())
	}
}

func (p *Path) attribute(m any) {
	switch a := m.(type) {
	case *api.OriginAttribute:
		p.origin = a.GetOrigin()
		p.Origin = originNames[min(int(p.origin), len(originNames)-1)]
	case *api.AsPathAttribute:
		p.ASPath, p.asPathLen = asPathText(a)
	case *api.NextHopAttribute:
		p.addHop(a.GetNextHop())
	case *api.MpReachNLRIAttribute:
		for _, nh := range a.GetNextHops() {
			p.addHop(nh)
		}
	case *api.MultiExitDiscAttribute:
		v := a.GetMed()
		p.MED = &v
	case *api.LocalPrefAttribute:
		v := a.GetLocalPref()
		p.LocalPref = &v
	case *api.CommunitiesAttribute:
		for _, c := range a.GetCommunities() {
			p.Communities = append(p.Communities, Community{Standard: c}.String())
		}
	case *api.LargeCommunitiesAttribute:
		for _, c := range a.GetCommunities() {
			p.LargeCommunities = append(p.LargeCommunities,
				fmt.Sprintf("%d:%d:%d", c.GetGlobalAdmin(), c.GetLocalData1(), c.GetLocalData2()))
		}
	case *api.ExtendedCommunitiesAttribute:
		for _, c := range a.GetCommunities() {
			p.ExtCommunities = append(p.ExtCommunities, extCommunityText(c))
		}
	case *api.OriginatorIdAttribute:
		p.OriginatorID = a.GetId()
	case *api.ClusterListAttribute:
		p.ClusterList = a.GetIds()
	case *api.AtomicAggregateAttribute:
		p.AtomicAggregate = true
	case *api.AggregatorAttribute:
		p.Aggregator = fmt.Sprintf("%d %s", a.GetAsn(), a.GetAddress())
	}
}

// asPathText writes an AS path and counts its length by RFC 4271, section 9.1.2.2, and RFC 5065.
func asPathText(a *api.AsPathAttribute) (string, uint32) {
	var b strings.Builder
	length := uint32(0)
	for i, seg := range a.GetSegments() {
		if i > 0 {
			b.WriteByte(' ')
		}
		opening, closing := "", ""
		switch seg.GetType() {
		case api.AsSegment_AS_SET:
			opening, closing = "{", "}"
			length++
		case api.AsSegment_AS_SEQUENCE:
			length += uint32(len(seg.GetNumbers()))
		case api.AsSegment_AS_CONFED_SEQUENCE:
			opening, closing = "(", ")"
		case api.AsSegment_AS_CONFED_SET:
			opening, closing = "[", "]"
		}
		b.WriteString(opening)
		for j, n := range seg.GetNumbers() {
			if j > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(strconv.FormatUint(uint64(n), 10))
		}
		b.WriteString(closing)
	}
	return b.String(), length
}

func extCommunityText(c *anypb.Any) string {
	m, err := c.UnmarshalNew()
	if err != nil {
		return "unknown"
	}
	kind := func(sub uint32) string {
		switch sub {
		case 2:
			return "rt"
		case 3:
			return "soo"
		case 4:
			return "lb"
		}
		return fmt.Sprintf("0x%02x", sub)
	}
	switch x := m.(type) {
	case *api.TwoOctetAsSpecificExtended:
		return fmt.Sprintf("%s:%d:%d", kind(x.GetSubType()), x.GetAsn(), x.GetLocalAdmin())
	case *api.FourOctetAsSpecificExtended:
		return fmt.Sprintf("%s:%d.%d:%d", kind(x.GetSubType()), x.GetAsn()>>16, x.GetAsn()&0xffff, x.GetLocalAdmin())
	case *api.IPv4AddressSpecificExtended:
		return fmt.Sprintf("%s:%s:%d", kind(x.GetSubType()), x.GetAddress(), x.GetLocalAdmin())
	case *api.LinkBandwidthExtended:
		return fmt.Sprintf("lb:%d:%g", x.GetAsn(), x.GetBandwidth())
	case *api.OpaqueExtended:
		return fmt.Sprintf("opaque:%x", x.GetValue())
	case *api.UnknownExtended:
		return fmt.Sprintf("0x%02x:%x", x.GetType(), x.GetValue())
	}
	return strings.TrimSuffix(string(m.ProtoReflect().Descriptor().Name()), "Extended")
}
