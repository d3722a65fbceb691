package grpcserver

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/routing/bgp"
	"millrace/server/config"
)

var bgpFamilies = map[vnfv1.AddressFamily]config.AddressFamily{
	vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4: config.IPv4Unicast,
	vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6: config.IPv6Unicast,
}

func familyOut(name config.AddressFamily) vnfv1.AddressFamily {
	for f, n := range bgpFamilies {
		if n == name {
			return f
		}
	}
	return vnfv1.AddressFamily_ADDRESS_FAMILY_UNSPECIFIED
}

// bgpNeighborIn reads what needs parsing; the rules between the fields are config's.
func bgpNeighborIn(c *checks, field string, in *vnfv1.BgpNeighborConfig) config.BGPNeighbor {
	if in == nil {
		c.addf(field, "is missing")
		return config.BGPNeighbor{}
	}
	at := func(name string) string { return field + "." + name }
	small := func(name string, n uint32, most uint32) uint32 {
		rangeOf(c, at(name), n, 0, most, true)
		return min(n, most)
	}
	o := config.BGPNeighbor{
		Address: addrField(c, at("address"), in.GetAddress()), Interface: in.GetInterface(), PeerGroup: in.GetPeerGroup(),
		PeerOptions: config.PeerOptions{
			Enabled: in.Enabled, Description: in.GetDescription(), RemoteAS: in.GetPeerAs(), LocalAS: in.GetLocalAs(),
			Password:     in.GetPassword(),
			TTLSecurity:  uint8(small("ttl_security_hops", in.GetTtlSecurityHops(), 254)),
			Multihop:     uint8(small("ebgp_multihop_ttl", in.GetEbgpMultihopTtl(), 255)),
			HoldTime:     uint16(small("hold_time", in.GetHoldTime(), math.MaxUint16)),
			Keepalive:    uint16(small("keepalive_time", in.GetKeepaliveTime(), math.MaxUint16)),
			ConnectRetry: uint16(small("connect_retry_time", in.GetConnectRetryTime(), math.MaxUint16)),
			Passive:      in.Passive, LocalAddress: optAddrField(c, at("local_address"), in.GetLocalAddress()),
			RouteReflectorClient: in.RouteReflectorClient, NextHopSelf: in.NextHopSelf,
			AllowOwnAS: uint8(small("allow_own_as", in.GetAllowOwnAs(), 10)), ReplacePeerAS: in.ReplacePeerAs,
			RemovePrivateAS: config.PrivateAS(in.GetRemovePrivateAs()), GracefulRestart: in.GracefulRestart,
			ImportPolicies: in.GetImportPolicies(), ExportPolicies: in.GetExportPolicies(),
			DefaultImport: config.Disposition(in.GetDefaultImport()), DefaultExport: config.Disposition(in.GetDefaultExport()),
		},
	}
	if in.GetHasPassword() && in.GetPassword() == "" {
		c.addf(at("has_password"), "is for answers only; give the password")
	}
	for n, f := range in.GetFamilies() {
		name, ok := bgpFamilies[f.GetFamily()]
		if !ok {
			c.addf(fmt.Sprintf("%s[%d].family", at("families"), n), "is needed: IPv4 or IPv6")
		}
		o.Families = append(o.Families, config.BGPFamily{
			Name: name, PrefixLimit: f.GetPrefixLimit(), PrefixWarnOnly: f.GetPrefixWarnOnly(), PrefixRestart: f.GetPrefixRestart(),
			PrefixWarning: uint8(small(fmt.Sprintf("families[%d].prefix_warning", n), f.GetPrefixWarning(), 100)),
		})
	}
	return o
}

// bgpNeighborOut shows a neighbour with what it takes from its group.
func bgpNeighborOut(b *config.BGP, n config.BGPNeighbor) *vnfv1.BgpNeighborConfig {
	r := b.Resolve(n)
	o := &vnfv1.BgpNeighborConfig{
		Address: n.Address.String(), Interface: n.Interface, PeerGroup: n.PeerGroup, PeerAs: r.RemoteAS, LocalAs: r.LocalAS,
		Description: r.Description, Enabled: r.Enabled, Passive: r.Passive, HasPassword: r.Password != "", HoldTime: uint32(r.HoldTime),
		KeepaliveTime: uint32(r.Keepalive), ConnectRetryTime: uint32(r.ConnectRetry), EbgpMultihopTtl: uint32(r.Multihop),
		TtlSecurityHops: uint32(r.TTLSecurity), RouteReflectorClient: r.RouteReflectorClient, NextHopSelf: r.NextHopSelf,
		AllowOwnAs: uint32(r.AllowOwnAS), ReplacePeerAs: r.ReplacePeerAS, RemovePrivateAs: string(r.RemovePrivateAS),
		GracefulRestart: r.GracefulRestart, ImportPolicies: r.ImportPolicies, ExportPolicies: r.ExportPolicies,
		DefaultImport: string(r.DefaultImport), DefaultExport: string(r.DefaultExport),
	}
	if o.Enabled == nil {
		on := true
		o.Enabled = &on
	}
	if r.LocalAddress.IsValid() {
		o.LocalAddress = r.LocalAddress.String()
	}
	for _, f := range r.Families {
		o.Families = append(o.Families, &vnfv1.BgpFamilyConfig{
			Family: familyOut(f.Name), PrefixLimit: f.PrefixLimit, PrefixWarning: uint32(f.PrefixWarning), PrefixWarnOnly: f.PrefixWarnOnly,
			PrefixRestart: f.PrefixRestart,
		})
	}
	return o
}

func bgpStateOut(st bgp.NeighborState) *vnfv1.BgpNeighborState {
	o := &vnfv1.BgpNeighborState{
		SessionState: vnfv1.BgpSessionState(st.State) + vnfv1.BgpSessionState_BGP_SESSION_STATE_IDLE, LastChange: timeOrNil(st.Since),
		Flaps: uint64(st.Flaps), LastError: st.LastError, Dynamic: st.Dynamic, PeerAs: st.PeerAS,
		Received: messagesOut(st.Received), Sent: messagesOut(st.Sent), PeerRestarting: st.PeerRestarting,
	}
	switch st.Admin {
	case bgp.AdminDown:
		o.DownReason = "switched off"
	case bgp.AdminPrefixLimit:
		o.DownReason = "prefix limit exceeded"
	}
	if st.State == bgp.Established {
		o.RouterId, o.LocalAddress = st.RouterID, st.LocalAddress
		o.LocalPort, o.RemotePort = uint32(st.LocalPort), uint32(st.RemotePort)
		o.HoldTime, o.KeepaliveTime = seconds(st.HoldTime), seconds(st.Keepalive)
		for _, name := range st.LocalCapabilities {
			if slices.Contains(st.RemoteCapabilities, name) {
				o.Capabilities = append(o.Capabilities, name)
			}
		}
	}
	for _, f := range st.Families {
		one := &vnfv1.BgpFamilyState{
			Received: f.Received, Accepted: f.Accepted, Advertised: f.Advertised, PrefixLimitExceeded: f.LimitExceeded,
			GracefulRestart: f.GracefulAgreed,
		}
		switch f.Family {
		case bgp.IPv4Unicast:
			one.Family = vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4
		case bgp.IPv6Unicast:
			one.Family = vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6
		}
		o.Families = append(o.Families, one)
	}
	return o
}

func seconds(d time.Duration) *durationpb.Duration { return durationpb.New(d) }

func messagesOut(m bgp.Messages) *vnfv1.BgpMessageCounters {
	return &vnfv1.BgpMessageCounters{
		Open: m.Open, Update: m.Update, Notification: m.Notification, Keepalive: m.Keepalive, RouteRefresh: m.Refresh, Total: m.Total,
	}
}

func bgpRouteOut(p bgp.Path) *vnfv1.BgpRoute {
	o := &vnfv1.BgpRoute{
		Prefix: p.Prefix.String(), Origin: strings.ToLower(p.Origin), AsPath: p.ASPath, Med: p.MED, LocalPreference: p.LocalPref,
		Communities: p.Communities, ExtendedCommunities: p.ExtCommunities, LargeCommunities: p.LargeCommunities, Best: p.Best,
		Stale: p.Stale, Filtered: p.Rejected, Received: timeOrNil(p.Age), OriginatorId: p.OriginatorID, ClusterList: p.ClusterList,
	}
	if len(p.NextHops) > 0 {
		o.NextHop = p.NextHops[0].String()
	}
	if len(p.NextHops) > 1 {
		o.LinkLocalNextHop = p.NextHops[1].String()
	}
	return o
}
