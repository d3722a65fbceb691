package model

import (
	"encoding/binary"
	"net/netip"

	"millrace/server/config"
	"millrace/yang/tree"
)

// The defaults of OpenConfig that are not those of Config.
const defaultConnectRetry = 30

var families = map[string]config.AddressFamily{"IPV4_UNICAST": config.IPv4Unicast, "IPV6_UNICAST": config.IPv6Unicast}

func familyName(f config.AddressFamily) string {
	if f == config.IPv6Unicast {
		return "IPV6_UNICAST"
	}
	return "IPV4_UNICAST"
}

// familyContainer is where the options of a family are, in its entry.
func familyContainer(f config.AddressFamily) string { return string(f) }

func bgpSecrets() []string {
	const b = "/network-instances/network-instance/protocols/protocol/bgp/"
	return []string{
		b + "neighbors/neighbor/config/auth-password", b + "neighbors/neighbor/state/auth-password",
		b + "peer-groups/peer-group/config/auth-password", b + "peer-groups/peer-group/state/auth-password",
	}
}

func (x *reader) bgp(at tree.Path, n *tree.Node) *config.BGP {
	g, gat := n.Child("global"), at.Name("global")
	b := &config.BGP{
		ASN: pos[uint32](x, g, gat, "config/as"), RouterID: x.addr(g, gat, "config/router-id"),
		ListenPort: pos[uint16](x, g, gat, "speaker/config/listen-port"), ClusterID: x.addr(g, gat, "speaker/config/cluster-id"),
		Distance: config.BGPDistance{
			EBGP: pos[uint8](x, g, gat, "default-route-distance/config/external-route-distance"),
			IBGP: pos[uint8](x, g, gat, "default-route-distance/config/internal-route-distance"),
		},
		GracefulRestart: config.GracefulRestart{
			Enabled: flag(g, "graceful-restart/config/enabled"), HelperOnly: isTrue(g, "graceful-restart/config/helper-only"),
			RestartTime:  pos[uint16](x, g, gat, "graceful-restart/config/restart-time"),
			StaleTime:    uint32(pos[uint16](x, g, gat, "graceful-restart/config/stale-routes-time")),
			DeferralTime: pos[uint16](x, g, gat, "speaker/config/deferral-time"),
		},
		ListenAddresses: x.addrs(g, gat, "speaker/config/listen-address"),
		Networks:        x.prefixes(g, gat, "speaker/config/network"),
	}
	ebgp := pos[uint8](x, g, gat, "use-multiple-paths/ebgp/config/maximum-paths")
	ibgp := pos[uint8](x, g, gat, "use-multiple-paths/ibgp/config/maximum-paths")
	if isTrue(g, "use-multiple-paths/config/enabled") {
		b.Multipath = config.Multipath{EBGP: ebgp, IBGP: ibgp}
	}
	for f := range g.List("afi-safis/afi-safi") {
		if name, ok := x.family(below(gat, "afi-safis").With(f.Elem()), f); ok && isTrue(f, "config/enabled") {
			b.Families = append(b.Families, name)
		}
	}
	groups := below(at, "peer-groups/peer-group")
	b.PeerGroups = entries(x, n.At("peer-groups/peer-group"), groups, func(at tree.Path, n *tree.Node) config.PeerGroup {
		o := x.peerOptions(at, n, false)
		o.Enabled = flag(n, "session-options/config/enabled")
		return config.PeerGroup{Name: n.Key("peer-group-name"), PeerOptions: o}
	})
	neighbors := below(at, "neighbors/neighbor")
	b.Neighbors = entries(x, n.At("neighbors/neighbor"), neighbors, x.bgpNeighbor)
	x.noReset(at, n, b)
	for d := range g.List("dynamic-neighbor-prefixes/dynamic-neighbor-prefix") {
		dat := below(gat, "dynamic-neighbor-prefixes").With(d.Elem())
		b.DynamicNeighbors = append(b.DynamicNeighbors, config.DynamicNeighbor{
			Prefix: x.prefix(d, dat, "prefix"), PeerGroup: d.Text("config/peer-group"),
		})
	}
	return b
}

func (x *reader) family(at tree.Path, n *tree.Node) (config.AddressFamily, bool) {
	f, ok := families[n.Key("afi-safi-name")]
	if !ok {
		x.fail(at, "the families of the appliance are IPV4_UNICAST and IPV6_UNICAST")
	}
	return f, ok
}

func (x *reader) bgpNeighbor(at tree.Path, n *tree.Node) config.BGPNeighbor {
	b := config.BGPNeighbor{
		Address: x.addr(n, at, "neighbor-address"), PeerGroup: n.Text("config/peer-group"),
		Interface:  n.Text("session-options/config/interface"),
		RemotePort: pos[uint16](x, n, at, "config/neighbor-port"),
	}
	b.PeerOptions = x.peerOptions(at, n, b.PeerGroup != "")
	b.Enabled = flag(n, "config/enabled")
	return b
}

// peerOptions reads what groups and neighbours have in common. A neighbour of a group inherits what it has not; others have
// OpenConfig's defaults.
func (x *reader) peerOptions(at tree.Path, n *tree.Node, grouped bool) config.PeerOptions {
	o := config.PeerOptions{
		Description: n.Text("config/description"), RemoteAS: pos[uint32](x, n, at, "config/peer-as"),
		LocalAS: pos[uint32](x, n, at, "config/local-as"), Password: n.Text("config/auth-password"),
		HoldTime: pos[uint16](x, n, at, "timers/config/hold-time"), Keepalive: pos[uint16](x, n, at, "timers/config/keepalive-interval"),
		ConnectRetry: pos[uint16](x, n, at, "timers/config/connect-retry"),
		Passive:      flag(n, "transport/config/passive-mode"), LocalAddress: x.addr(n, at, "transport/config/local-address"),
		TCPMSS:               pos[uint16](x, n, at, "transport/config/tcp-mss"),
		TTLSecurity:          num[uint8](x, n, at, "session-options/config/ttl-security-hops"),
		NextHopSelf:          flag(n, "session-options/config/next-hop-self"),
		RouteReflectorClient: flag(n, "route-reflector/config/route-reflector-client"),
		ClusterID:            x.clusterID(at, n), AllowOwnAS: num[uint8](x, n, at, "as-path-options/config/allow-own-as"),
		ReplacePeerAS:   flag(n, "as-path-options/config/replace-peer-as"),
		GracefulRestart: flag(n, "graceful-restart/config/enabled"),
		ImportPolicies:  n.Texts("apply-policy/config/import-policy"),
		ExportPolicies:  n.Texts("apply-policy/config/export-policy"),
		DefaultImport:   disposition(n, "apply-policy/config/default-import-policy", grouped),
		DefaultExport:   disposition(n, "apply-policy/config/default-export-policy", grouped),
	}
	if !grouped && o.ConnectRetry == 0 {
		o.ConnectRetry = defaultConnectRetry
	}
	switch n.Text("config/remove-private-as") {
	case "PRIVATE_AS_REMOVE_ALL":
		o.RemovePrivateAS = "remove"
	case "PRIVATE_AS_REPLACE_ALL":
		o.RemovePrivateAS = "replace"
	}
	ttl := pos[uint8](x, n, at, "ebgp-multihop/config/multihop-ttl")
	if isTrue(n, "ebgp-multihop/config/enabled") {
		if o.Multihop = ttl; ttl == 0 {
			o.Multihop = 255
		}
	}
	o.Families = x.peerFamilies(at, n)
	return o
}

func (x *reader) clusterID(at tree.Path, n *tree.Node) netip.Addr {
	const leaf = "route-reflector/config/route-reflector-cluster-id"
	if u, ok := n.Uint(leaf); ok {
		return netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, uint32(u))))
	}
	return x.addr(n, at, leaf)
}

// disposition is what becomes of routes that no policy decided on: they are rejected where nothing else is said (OpenConfig).
func disposition(n *tree.Node, rel string, grouped bool) config.Disposition {
	switch s := n.Text(rel); {
	case s == "ACCEPT_ROUTE" && grouped:
		return config.Accept
	case s == "ACCEPT_ROUTE" || s == "" && grouped:
		return ""
	}
	return config.RejectRoute
}

// peerFamilies reads the families of a group or neighbour; one that is not said to be disabled is enabled.
func (x *reader) peerFamilies(at tree.Path, n *tree.Node) []config.BGPFamily {
	var out []config.BGPFamily
	for f := range n.List("afi-safis/afi-safi") {
		fat := below(at, "afi-safis").With(f.Elem())
		name, ok := x.family(fat, f)
		if !ok {
			continue
		}
		for _, other := range families {
			if c := familyContainer(other); other != name && f.Has(c) {
				x.failAt(fat, c, "does not belong to %s", f.Key("afi-safi-name"))
			}
		}
		if on, ok := f.Bool("config/enabled"); ok && !on {
			continue
		}
		limit := familyContainer(name) + "/prefix-limit-received/config/"
		out = append(out, config.BGPFamily{
			Name: name, PrefixLimit: pos[uint32](x, f, fat, limit+"max-prefixes"),
			PrefixWarning:  pos[uint8](x, f, fat, limit+"warning-threshold-pct"),
			PrefixWarnOnly: isTrue(f, limit+"prevent-teardown"), PrefixRestart: num[uint32](x, f, fat, limit+"restart-time"),
		})
	}
	if len(out) == 0 && n.At("afi-safis/afi-safi").Len() > 0 {
		x.failAt(at, "afi-safis", "all families are disabled: disable the neighbor, or leave the list empty for the default")
	}
	return out
}

// noReset refuses values of a neighbour that are to take away what its group has, where an inherited option cannot be taken away.
func (x *reader) noReset(at tree.Path, n *tree.Node, b *config.BGP) {
	groups := map[string]*config.PeerGroup{}
	for i := range b.PeerGroups {
		groups[b.PeerGroups[i].Name] = &b.PeerGroups[i]
	}
	if len(groups) == 0 {
		return
	}
	for nb := range n.List("neighbors/neighbor") {
		g := groups[nb.Text("config/peer-group")]
		if g == nil {
			continue
		}
		refuse := func(rel string) {
			x.failAt(below(at, "neighbors").With(nb.Elem()), rel, "does not take away what peer group %s has", g.Name)
		}
		if on, ok := nb.Bool("ebgp-multihop/config/enabled"); ok && !on && g.Multihop != 0 {
			refuse("ebgp-multihop/config/enabled")
		}
		if v, ok := nb.Uint("as-path-options/config/allow-own-as"); ok && v == 0 && g.AllowOwnAS != 0 {
			refuse("as-path-options/config/allow-own-as")
		}
	}
}

// addrs reads a leaf-list of addresses.
func (x *reader) addrs(n *tree.Node, at tree.Path, rel string) []netip.Addr {
	var out []netip.Addr
	for _, s := range n.Texts(rel) {
		a, err := netip.ParseAddr(s)
		if err != nil {
			x.failAt(at, rel, "%s is not an address", s)
		}
		out = append(out, a)
	}
	return out
}

// prefixes reads a leaf-list of prefixes.
func (x *reader) prefixes(n *tree.Node, at tree.Path, rel string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range n.Texts(rel) {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			x.failAt(at, rel, "%s is not a prefix", s)
		}
		out = append(out, p)
	}
	return out
}
