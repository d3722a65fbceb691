package model

import (
	"cmp"

	"millrace/server/config"
	"millrace/yang/tree"
)

// defaultRetry is Config's default of PeerOptions.ConnectRetry, in seconds.
const defaultRetry = 10

func (w *writer) bgp(at tree.Path, c *config.NetworkInstance) {
	b := c.BGP
	w.protocol(at)
	w.opt(at, "config/enabled", b.Enabled)
	g := below(at, "bgp/global")
	w.opt(g, "config/as", b.ASN)
	w.opt(g, "config/router-id", b.RouterID)
	w.opt(g, "speaker/config/listen-port", b.ListenPort)
	w.opt(g, "speaker/config/listen-address", b.ListenAddresses)
	w.opt(g, "speaker/config/cluster-id", b.ClusterID)
	w.opt(g, "speaker/config/network", b.Networks)
	w.opt(g, "speaker/config/deferral-time", b.GracefulRestart.DeferralTime)
	w.opt(g, "default-route-distance/config/external-route-distance", b.Distance.EBGP)
	w.opt(g, "default-route-distance/config/internal-route-distance", b.Distance.IBGP)
	w.opt(g, "graceful-restart/config/enabled", b.GracefulRestart.Enabled)
	w.opt(g, "graceful-restart/config/helper-only", b.GracefulRestart.HelperOnly)
	w.opt(g, "graceful-restart/config/restart-time", b.GracefulRestart.RestartTime)
	w.opt(g, "graceful-restart/config/stale-routes-time", b.GracefulRestart.StaleTime)
	if b.Multipath != (config.Multipath{}) {
		w.set(g, "use-multiple-paths/config/enabled", true)
		w.opt(g, "use-multiple-paths/ebgp/config/maximum-paths", b.Multipath.EBGP)
		w.opt(g, "use-multiple-paths/ibgp/config/maximum-paths", b.Multipath.IBGP)
	}
	for _, f := range b.Families {
		w.set(entry(g, "afi-safis/afi-safi", "afi-safi-name", familyName(f)), "config/enabled", true)
	}
	for i := range b.PeerGroups {
		p := &b.PeerGroups[i]
		gat := entry(at, "bgp/peer-groups/peer-group", "peer-group-name", p.Name)
		w.set(gat, "config/peer-group-name", p.Name)
		w.opt(gat, "session-options/config/enabled", p.Enabled)
		w.peerOptions(gat, &p.PeerOptions, false)
	}
	for i := range b.Neighbors {
		n := &b.Neighbors[i]
		nat := entry(at, "bgp/neighbors/neighbor", "neighbor-address", n.Address.String())
		w.set(nat, "config/neighbor-address", n.Address)
		w.opt(nat, "config/peer-group", n.PeerGroup)
		w.opt(nat, "config/enabled", n.Enabled)
		w.opt(nat, "config/neighbor-port", n.RemotePort)
		w.opt(nat, "session-options/config/interface", n.Interface)
		w.peerOptions(nat, &n.PeerOptions, n.PeerGroup != "")
	}
	for _, d := range b.DynamicNeighbors {
		dat := entry(g, "dynamic-neighbor-prefixes/dynamic-neighbor-prefix", "prefix", d.Prefix.String())
		w.set(dat, "config/prefix", d.Prefix)
		w.opt(dat, "config/peer-group", d.PeerGroup)
	}
	w.tableConnections(c)
}

func (w *writer) peerOptions(at tree.Path, o *config.PeerOptions, grouped bool) {
	w.opt(at, "config/description", o.Description)
	w.opt(at, "config/peer-as", o.RemoteAS)
	w.opt(at, "config/local-as", o.LocalAS)
	w.opt(at, "config/auth-password", o.Password)
	switch o.RemovePrivateAS {
	case "remove":
		w.set(at, "config/remove-private-as", "PRIVATE_AS_REMOVE_ALL")
	case "replace":
		w.set(at, "config/remove-private-as", "PRIVATE_AS_REPLACE_ALL")
	}
	w.opt(at, "timers/config/hold-time", o.HoldTime)
	w.opt(at, "timers/config/keepalive-interval", o.Keepalive)
	retry := o.ConnectRetry
	if !grouped {
		retry = cmp.Or(retry, defaultRetry)
	}
	w.opt(at, "timers/config/connect-retry", retry)
	w.opt(at, "transport/config/passive-mode", o.Passive)
	w.opt(at, "transport/config/local-address", o.LocalAddress)
	w.opt(at, "transport/config/tcp-mss", o.TCPMSS)
	if o.Multihop != 0 {
		w.set(at, "ebgp-multihop/config/enabled", true)
		w.set(at, "ebgp-multihop/config/multihop-ttl", o.Multihop)
	}
	w.opt(at, "session-options/config/ttl-security-hops", o.TTLSecurity)
	w.opt(at, "session-options/config/next-hop-self", o.NextHopSelf)
	w.opt(at, "route-reflector/config/route-reflector-client", o.RouteReflectorClient)
	w.opt(at, "route-reflector/config/route-reflector-cluster-id", o.ClusterID)
	w.opt(at, "as-path-options/config/allow-own-as", o.AllowOwnAS)
	w.opt(at, "as-path-options/config/replace-peer-as", o.ReplacePeerAS)
	w.opt(at, "graceful-restart/config/enabled", o.GracefulRestart)
	w.opt(at, "apply-policy/config/import-policy", o.ImportPolicies)
	w.opt(at, "apply-policy/config/export-policy", o.ExportPolicies)
	w.disposition(at, "apply-policy/config/default-import-policy", o.DefaultImport, grouped)
	w.disposition(at, "apply-policy/config/default-export-policy", o.DefaultExport, grouped)
	for _, f := range o.Families {
		fat := entry(at, "afi-safis/afi-safi", "afi-safi-name", familyName(f.Name))
		w.set(fat, "config/enabled", true)
		limit := familyContainer(f.Name) + "/prefix-limit-received/config/"
		w.opt(fat, limit+"max-prefixes", f.PrefixLimit)
		w.opt(fat, limit+"warning-threshold-pct", f.PrefixWarning)
		w.opt(fat, limit+"prevent-teardown", f.PrefixWarnOnly)
		w.opt(fat, limit+"restart-time", f.PrefixRestart)
	}
}

// disposition writes what becomes of routes that no policy decided on. Config's default is not OpenConfig's.
func (w *writer) disposition(at tree.Path, rel string, d config.Disposition, grouped bool) {
	switch {
	case d == "" && grouped: // inherited
	case d == config.RejectRoute:
		w.set(at, rel, "REJECT_ROUTE")
	default:
		w.set(at, rel, "ACCEPT_ROUTE")
	}
}

// bgpLeaves are the places of a speaker's fields below its global container.
var bgpLeaves = map[string]string{
	"asn": "config/as", "router-id": "config/router-id", "listen-port": "speaker/config/listen-port",
	"listen-addresses": "speaker/config/listen-address", "cluster-id": "speaker/config/cluster-id", "networks": "speaker/config/network",
	"multipath.ebgp":                 "use-multiple-paths/ebgp/config/maximum-paths",
	"multipath.ibgp":                 "use-multiple-paths/ibgp/config/maximum-paths",
	"distance.ebgp":                  "default-route-distance/config/external-route-distance",
	"distance.ibgp":                  "default-route-distance/config/internal-route-distance",
	"graceful-restart.enabled":       "graceful-restart/config/enabled",
	"graceful-restart.helper-only":   "graceful-restart/config/helper-only",
	"graceful-restart.restart-time":  "graceful-restart/config/restart-time",
	"graceful-restart.deferral-time": "speaker/config/deferral-time",
	"graceful-restart.stale-time":    "graceful-restart/config/stale-routes-time",
	"families":                       "afi-safis",
}

// peerLeaves are the places of a group's and a neighbour's fields.
var peerLeaves = map[string]string{
	"description": "config/description", "remote-as": "config/peer-as", "local-as": "config/local-as",
	"password": "config/auth-password", "ttl-security": "session-options/config/ttl-security-hops",
	"multihop": "ebgp-multihop/config/multihop-ttl", "hold-time": "timers/config/hold-time",
	"keepalive": "timers/config/keepalive-interval", "connect-retry": "timers/config/connect-retry",
	"passive": "transport/config/passive-mode", "local-address": "transport/config/local-address", "tcp-mss": "transport/config/tcp-mss",
	"route-reflector-client": "route-reflector/config/route-reflector-client",
	"cluster-id":             "route-reflector/config/route-reflector-cluster-id", "next-hop-self": "session-options/config/next-hop-self",
	"allow-own-as": "as-path-options/config/allow-own-as", "replace-peer-as": "as-path-options/config/replace-peer-as",
	"remove-private-as": "config/remove-private-as", "graceful-restart": "graceful-restart/config/enabled",
	"import-policies": "apply-policy/config/import-policy", "export-policies": "apply-policy/config/export-policy",
	"default-import": "apply-policy/config/default-import-policy", "default-export": "apply-policy/config/default-export-policy",
	"families": "afi-safis",
	// Of neighbours only.
	"address": "config/neighbor-address", "peer-group": "config/peer-group", "enabled": "config/enabled",
	"remote-port": "config/neighbor-port", "interface": "session-options/config/interface",
}

var limitLeaves = map[string]string{
	"prefix-limit": "max-prefixes", "prefix-warning": "warning-threshold-pct", "prefix-warn-only": "prevent-teardown",
	"prefix-restart": "restart-time",
}

// bgp finds the places of bgp.…, whose steps are those after "bgp".
func (l *locator) bgp(at tree.Path, instance string, s []step) tree.Path {
	if len(s) == 0 {
		return at
	}
	g := below(at, "bgp/global")
	switch s[0].Name {
	case "enabled":
		return below(at, "config/enabled")
	case "peer-groups":
		return l.peer(entry(at, "bgp/peer-groups/peer-group", "peer-group-name", s[0].Key), s[1:])
	case "neighbors":
		return l.peer(entry(at, "bgp/neighbors/neighbor", "neighbor-address", s[0].Key), s[1:])
	case "dynamic-neighbors":
		d := entry(g, "dynamic-neighbor-prefixes/dynamic-neighbor-prefix", "prefix", s[0].Key)
		if f := stepAt(s, 1).Name; f != "" {
			return below(d, "config/"+f)
		}
		return d
	case "redistribute":
		return l.redistribute(instance, s)
	}
	name := s[0].Name
	if len(s) > 1 {
		name += "." + s[1].Name
	}
	if rel, ok := bgpLeaves[name]; ok {
		return below(g, rel)
	}
	return g
}

func (l *locator) peer(at tree.Path, s []step) tree.Path {
	if len(s) == 0 {
		return at
	}
	if s[0].Name == "enabled" && at[len(at)-1].Name == "peer-group" {
		return below(at, "session-options/config/enabled")
	}
	if s[0].Name == "families" && s[0].Key != "" {
		f := config.AddressFamily(s[0].Key)
		fat := entry(at, "afi-safis/afi-safi", "afi-safi-name", familyName(f))
		if leaf, ok := limitLeaves[stepAt(s, 1).Name]; ok {
			return below(fat, familyContainer(f)+"/prefix-limit-received/config/"+leaf)
		}
		return fat
	}
	if rel, ok := peerLeaves[s[0].Name]; ok {
		return below(at, rel)
	}
	return at
}
