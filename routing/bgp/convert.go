package bgp

import (
	"net/netip"

	api "github.com/osrg/gobgp/v3/api"
)

func apiFamily(f Family) *api.Family {
	return &api.Family{Afi: api.Family_Afi(f), Safi: api.Family_SAFI_UNICAST}
}

func familyOfAPI(f *api.Family) (Family, bool) {
	if f.GetSafi() != api.Family_SAFI_UNICAST {
		return 0, false
	}
	switch f.GetAfi() {
	case api.Family_AFI_IP:
		return IPv4Unicast, true
	case api.Family_AFI_IP6:
		return IPv6Unicast, true
	}
	return 0, false
}

// peerKey is how GoBGP names a neighbour.
func peerKey(a netip.Addr) string { return a.String() }

func (c *Config) apiGlobal() *api.Global {
	g := &api.Global{
		Asn:              c.ASN,
		RouterId:         c.RouterID.String(),
		ListenPort:       c.ListenPort,
		BindToDevice:     c.BindDevice,
		UseMultiplePaths: true, // a variable of GoBGP's package: the limits are ours, see pathset.go
		Families:         []uint32{0, 1},
	}
	for _, a := range c.ListenAddrs {
		g.ListenAddresses = append(g.ListenAddresses, a.String())
	}
	return g
}

// apiPeer converts a merged neighbour. The values that only matter to this package (prefix limits, policies) are not
// part of it, so that changing them does not touch the session.
func (c *Config) apiPeer(n Neighbor, restarting bool) *api.Peer {
	p := &api.Peer{
		Conf: &api.PeerConf{
			NeighborAddress: peerKey(n.Address),
			PeerAsn:         n.PeerAS,
			LocalAsn:        n.LocalAS,
			AuthPassword:    n.Password,
			AllowOwnAsn:     uint32(n.AllowOwnAS),
			ReplacePeerAsn:  flag(n.ReplacePeerAS),
		},
		Timers: &api.Timers{Config: &api.TimersConfig{
			HoldTime:               seconds(n.HoldTime),
			KeepaliveInterval:      seconds(n.Keepalive),
			ConnectRetry:           seconds(n.ConnectRetry),
			IdleHoldTimeAfterReset: seconds(n.IdleHoldAfterRst),
		}},
		Transport: &api.Transport{
			PassiveMode:   flag(n.Passive),
			RemotePort:    uint32(n.RemotePort),
			LocalPort:     uint32(n.LocalPort),
			TcpMss:        uint32(n.TCPMSS),
			BindInterface: n.Interface,
		},
		EbgpMultihop: &api.EbgpMultihop{},
		TtlSecurity:  &api.TtlSecurity{},
	}
	switch {
	case n.Address.Zone() != "":
		// The zone names the interface already. Left alone, GoBGP takes the interface's address with its zone,
		// and then cannot read that as the next hop of what it sends.
		p.Transport.BindInterface = ""
		p.Transport.LocalAddress = netip.IPv6Unspecified().String()
	case n.LocalAddress.IsValid():
		p.Transport.LocalAddress = n.LocalAddress.String()
	}
	switch n.RemovePrivateAS {
	case RemovePrivateAS:
		p.Conf.RemovePrivate = api.RemovePrivate_REMOVE_ALL
	case ReplacePrivateAS:
		p.Conf.RemovePrivate = api.RemovePrivate_REPLACE
	}
	if n.EBGPMultihop > 0 {
		p.EbgpMultihop = &api.EbgpMultihop{Enabled: true, MultihopTtl: uint32(n.EBGPMultihop)}
	}
	if n.TTLSecurityHops > 0 {
		p.TtlSecurity = &api.TtlSecurity{Enabled: true, TtlMin: 256 - uint32(n.TTLSecurityHops)}
	}
	if flag(n.RouteReflectorClient) {
		id := n.ClusterID
		if !id.IsValid() {
			id = c.RouterID
		}
		p.RouteReflector = &api.RouteReflector{RouteReflectorClient: true, RouteReflectorClusterId: id.String()}
	}
	gr := c.gracefulFor(n)
	if gr {
		p.GracefulRestart = &api.GracefulRestart{
			Enabled:     true,
			HelperOnly:  c.GracefulRestart.HelperOnly,
			RestartTime: uint32(seconds(c.GracefulRestart.RestartTime)),
			// Only the safety net behind our own, which counts from the start and waits for the FIB.
			DeferralTime:    uint32(seconds(c.GracefulRestart.DeferralTime)) + 10,
			LocalRestarting: restarting,
		}
	}
	for _, f := range n.families() {
		p.AfiSafis = append(p.AfiSafis, &api.AfiSafi{
			Config:            &api.AfiSafiConfig{Family: apiFamily(f), Enabled: true},
			MpGracefulRestart: &api.MpGracefulRestart{Config: &api.MpGracefulRestartConfig{Enabled: gr}},
		})
	}
	return p
}

func (c *Config) gracefulFor(n Neighbor) bool {
	return c.GracefulRestart.Enabled && (n.GracefulRestart == nil || *n.GracefulRestart)
}

// apiGroup is the GoBGP peer group behind a prefix of dynamic neighbours; static neighbours never use GoBGP's groups.
func (c *Config) apiGroup(d DynamicNeighbor) *api.PeerGroup {
	n := c.merged(Neighbor{Address: d.Prefix.Addr(), PeerGroup: d.PeerGroup})
	p := c.apiPeer(n, false)
	p.Transport.PassiveMode = true
	return &api.PeerGroup{
		Conf: &api.PeerGroupConf{
			PeerGroupName: dynamicGroup(d),
			PeerAsn:       p.Conf.PeerAsn,
			LocalAsn:      p.Conf.LocalAsn,
			AuthPassword:  p.Conf.AuthPassword,
			RemovePrivate: p.Conf.RemovePrivate,
		},
		Timers:          p.Timers,
		Transport:       p.Transport,
		EbgpMultihop:    p.EbgpMultihop,
		TtlSecurity:     p.TtlSecurity,
		RouteReflector:  p.RouteReflector,
		GracefulRestart: p.GracefulRestart,
		AfiSafis:        p.AfiSafis,
	}
}

func dynamicGroup(d DynamicNeighbor) string { return "dynamic/" + d.Prefix.String() }
