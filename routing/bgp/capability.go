package bgp

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	api "github.com/osrg/gobgp/v3/api"
	"google.golang.org/protobuf/types/known/anypb"
)

// capabilities names capabilities for people.
func capabilities(list []*anypb.Any) []string {
	var out []string
	for _, a := range list {
		m, err := a.UnmarshalNew()
		if err != nil {
			continue
		}
		switch c := m.(type) {
		case *api.MultiProtocolCapability:
			if f, ok := familyOfAPI(c.GetFamily()); ok {
				out = append(out, "multiprotocol "+f.String())
			}
		case *api.RouteRefreshCapability:
			out = append(out, "route-refresh")
		case *api.EnhancedRouteRefreshCapability:
			out = append(out, "enhanced-route-refresh")
		case *api.FourOctetASNCapability:
			out = append(out, "four-octet-asn")
		case *api.ExtendedNexthopCapability:
			out = append(out, "extended-nexthop")
		case *api.GracefulRestartCapability:
			out = append(out, "graceful-restart")
		case *api.LongLivedGracefulRestartCapability:
			out = append(out, "long-lived-graceful-restart")
		case *api.AddPathCapability:
			out = append(out, "add-path")
		case *api.FqdnCapability:
			out = append(out, "fqdn "+c.GetHostName())
		case *api.SoftwareVersionCapability:
			out = append(out, "software-version "+c.GetSoftwareVersion())
		default:
			name := string(m.ProtoReflect().Descriptor().Name())
			out = append(out, strings.ToLower(strings.TrimSuffix(name, "Capability")))
		}
	}
	return out
}

// gracefulCapability is what a neighbour's OPEN said of graceful restart: whether it knows it at all (then it sends
// end-of-RIBs), the families it keeps routes in itself, and whether it is restarting.
func gracefulCapability(list []*anypb.Any) (present bool, families []Family, restarting bool) {
	for _, a := range list {
		if !isType(a, "apipb.GracefulRestartCapability") {
			continue
		}
		var c api.GracefulRestartCapability
		if a.UnmarshalTo(&c) != nil {
			continue
		}
		present, restarting = true, c.GetFlags()&0x08 != 0
		for _, t := range c.GetTuples() {
			if f, ok := familyOfAPI(t.GetFamily()); ok {
				families = append(families, f)
			}
		}
	}
	return present, families, restarting
}

// offered are the families a neighbour's OPEN had.
func offered(list []*anypb.Any) (out []Family) {
	for _, a := range list {
		var c api.MultiProtocolCapability
		if isType(a, "apipb.MultiProtocolCapability") && a.UnmarshalTo(&c) == nil {
			if f, ok := familyOfAPI(c.GetFamily()); ok {
				out = append(out, f)
			}
		}
	}
	return out
}

// carries says whether a session that is up carries a family, by what the neighbour offered: without the capability, IPv4.
func carries(list []*anypb.Any, f Family) bool {
	all := offered(list)
	return slices.Contains(all, f) || len(all) == 0 && f == IPv4Unicast
}

// plainGrace is how long the initial routes of a neighbour are waited for that sends no end-of-RIB.
const plainGrace = 5 * time.Second

// negotiated tells the restart logic which end-of-RIBs a session that just came up will bring.
func (s *Speaker) negotiated(a netip.Addr) {
	_ = s.srv.ListPeer(s.ctx, &api.ListPeerRequest{Address: peerKey(a)}, func(p *api.Peer) {
		st := p.GetState()
		if st.GetSessionState() != api.PeerState_ESTABLISHED {
			return
		}
		present, _, restarting := gracefulCapability(st.GetRemoteCap())
		if c := s.cur.Load(); c != nil {
			n := findNeighbor(c, a)
			present = present && n != nil && c.gracefulFor(*n)
		}
		switch {
		case restarting: // it waits for us, so waiting for it would be a deadlock
			s.restart.agreed(a, nil)
		case present:
			s.restart.agreed(a, offered(st.GetRemoteCap()))
		default:
			time.AfterFunc(plainGrace, func() { s.restart.agreed(a, nil) })
		}
	})
}
