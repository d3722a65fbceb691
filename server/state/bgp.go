package state

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"millrace/routing/bgp"
	"millrace/server/config"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const (
	instancePlace = "/network-instances/network-instance"
	bgpPlace      = instancePlace + "/protocols/protocol/bgp"
	neighborPlace = bgpPlace + "/neighbors/neighbor"
)

var bgpPlaces = map[string]string{
	"neighbors": neighborPlace, "router-id": bgpPlace + "/global/state/router-id",
	"messages": neighborPlace + "/state/messages", "queues": neighborPlace + "/state/queues",
	"prefixes": neighborPlace + "/afi-safis/afi-safi/state/prefixes", "sent": neighborPlace + "/afi-safis/afi-safi/state/prefixes/sent",
}

// BGPOptions of a BGP. All have to be given.
type BGPOptions struct {
	Schema *schema.Schema
	// Config and Tree return the configuration in force.
	Config func() *config.Config
	Tree   func() *tree.Tree
	// Speaker returns the speaker of a network instance, if it runs.
	Speaker func(instance string) (*bgp.Speaker, bool)
}

// BGP is the state of the neighbours: their sessions, and the options in force, those of their group among them.
type BGP struct {
	BGPOptions
	at   places
	sent sentCounts
}

// NewBGP makes the source.
func NewBGP(o BGPOptions) *BGP {
	return &BGP{BGPOptions: o, at: findPlaces(o.Schema, bgpPlaces), sent: newSentCounts()}
}

// Roots are the neighbours, and the router identifier, which may come from an interface.
func (b *BGP) Roots() []string { return []string{bgpPlaces["neighbors"], bgpPlaces["router-id"]} }

// Sampled are counters and queues.
func (b *BGP) Sampled(n *schema.Node) bool {
	return isBelow(n, b.at["messages"]) || isBelow(n, b.at["queues"]) || isBelow(n, b.at["prefixes"])
}

// bgpPath is the path of an instance's BGP, whose protocol has any name.
func (b *BGP) bgpPath(instance string) (tree.Path, bool) {
	n := b.Tree().Root().At("network-instances/network-instance").Entry(instance)
	for p := range n.List("protocols/protocol") {
		if p.Key("identifier") == "BGP" {
			at := entryPath(tree.Path{{Name: "network-instances"}}, "", "network-instance", "name", instance)
			return at.Name("protocols").With(p.Elem()).Name("bgp"), true
		}
	}
	return nil, false
}

// peer is a neighbour, configured or not, with its state if there is any.
type peer struct {
	address netip.Addr
	// zone of a link-local address.
	zone  string
	conf  config.BGPNeighbor
	opt   config.PeerOptions
	state *bgp.NeighborState
}

// peers are the neighbours of an instance, in order.
func (b *BGP) peers(ctx context.Context, instance string, c *config.BGP, only string) ([]*peer, error) {
	var out []*peer
	for _, n := range c.Neighbors {
		if only == "" || n.Address.String() == only {
			out = append(out, &peer{address: n.Address, zone: n.Interface, conf: n, opt: c.Resolve(n)})
		}
	}
	s, ok := b.Speaker(instance)
	if !ok {
		return out, nil
	}
	states, err := s.Neighbors(ctx, netip.Addr{}, false)
	if err != nil {
		return nil, err
	}
	for i := range states {
		st := &states[i]
		addr := st.Address.WithZone("")
		if only != "" && addr.String() != only {
			continue
		}
		at := slices.IndexFunc(out, func(p *peer) bool {
			return p.address == addr && (st.Address.Zone() == "" || st.Address.Zone() == p.zone)
		})
		if at < 0 {
			conf := config.BGPNeighbor{Address: addr, PeerGroup: st.PeerGroup}
			out = append(out, &peer{address: addr, conf: conf, opt: c.Resolve(conf)})
			at = len(out) - 1
		}
		out[at].state = st
	}
	return out, nil
}

// Read asks the speakers.
func (b *BGP) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	return b.each(ctx, m, func(_ string, p *peer, leaves []telemetry.Leaf) error {
		return emit(telemetry.Batch{Time: time.Now(), Leaves: leaves})
	})
}

// each calls f with the leaves of each neighbour that a pattern takes, and of each speaker, for which peer is nil.
func (b *BGP) each(ctx context.Context, m tree.Pattern, f func(instance string, p *peer, leaves []telemetry.Leaf) error) error {
	cfg := b.Config()
	only := keyOf(m, "network-instance", "name")
	for i := range cfg.NetworkInstances {
		n := &cfg.NetworkInstances[i]
		at, ok := b.bgpPath(n.Name)
		if n.BGP == nil || !ok || only != "" && n.Name != only {
			continue
		}
		if id := cfg.RouterID(n.Name); id.IsValid() && b.at.wants(m, "router-id") {
			leaves, err := telemetry.NewObject(b.Schema, at.Name("global")).Set("state/router-id", id).Leaves()
			if err != nil {
				return err
			}
			if err := f(n.Name, nil, leaves); err != nil {
				return err
			}
		}
		if !b.at.wants(m, "neighbors") {
			continue
		}
		peers, err := b.peers(ctx, n.Name, n.BGP, keyOf(m, "neighbor", "neighbor-address"))
		if err != nil {
			return err
		}
		var sent map[netip.Addr][]bgp.FamilyState
		if s, ok := b.Speaker(n.Name); ok && b.at.wants(m, "sent") {
			sent = b.sent.get(ctx, n.Name, s, peers, m.Schema == b.at["sent"])
		}
		for _, p := range peers {
			leaves, err := b.leaves(entryPath(at, "neighbors", "neighbor", "neighbor-address", p.address.String()), n.BGP, p, sent)
			if err != nil {
				return err
			}
			if err := f(n.Name, p, leaves); err != nil {
				return err
			}
		}
	}
	return nil
}

// on is a flag with its default.
func on(b *bool, otherwise bool) bool {
	if b == nil {
		return otherwise
	}
	return *b
}

var privateAS = map[config.PrivateAS]string{"remove": "PRIVATE_AS_REMOVE_ALL", "replace": "PRIVATE_AS_REPLACE_ALL"}

func dispositionName(d config.Disposition) string {
	if d == config.RejectRoute {
		return "REJECT_ROUTE"
	}
	return "ACCEPT_ROUTE"
}

// leaves are all of a neighbour but its password.
func (b *BGP) leaves(at tree.Path, c *config.BGP, p *peer, sent map[netip.Addr][]bgp.FamilyState) ([]telemetry.Leaf, error) {
	o := &p.opt
	local := cmp.Or(o.LocalAS, c.ASN)
	kind := "EXTERNAL"
	if o.RemoteAS == local {
		kind = "INTERNAL"
	}
	hold := cmp.Or(o.HoldTime, 90)
	x := telemetry.NewObject(b.Schema, at).
		Set("state/neighbor-address", p.address).Set("state/peer-as", nonZero(o.RemoteAS)).Set("state/local-as", nonZero(local)).
		Set("state/peer-group", nonZero(p.conf.PeerGroup)).Set("state/description", nonZero(o.Description)).
		Set("state/enabled", on(o.Enabled, true) && on(c.Enabled, true)).Set("state/neighbor-port", cmp.Or(p.conf.RemotePort, 179)).
		Set("state/remove-private-as", nonZero(privateAS[o.RemovePrivateAS])).Set("state/peer-type", kind).
		Set("state/dynamically-configured", p.state != nil && p.state.Dynamic).
		Set("timers/state/hold-time", hold).Set("timers/state/keepalive-interval", cmp.Or(o.Keepalive, hold/3)).
		Set("timers/state/connect-retry", cmp.Or(o.ConnectRetry, 10)).
		Set("transport/state/passive-mode", on(o.Passive, false)).Set("transport/state/tcp-mss", nonZero(o.TCPMSS)).
		Set("ebgp-multihop/state/enabled", o.Multihop != 0).Set("ebgp-multihop/state/multihop-ttl", nonZero(o.Multihop)).
		Set("route-reflector/state/route-reflector-client", on(o.RouteReflectorClient, false)).
		Set("as-path-options/state/allow-own-as", o.AllowOwnAS).Set("as-path-options/state/replace-peer-as", on(o.ReplacePeerAS, false)).
		Set("graceful-restart/state/enabled", on(o.GracefulRestart, on(c.GracefulRestart.Enabled, true))).
		Set("apply-policy/state/import-policy", some(o.ImportPolicies)).Set("apply-policy/state/export-policy", some(o.ExportPolicies)).
		Set("apply-policy/state/default-import-policy", dispositionName(o.DefaultImport)).
		Set("apply-policy/state/default-export-policy", dispositionName(o.DefaultExport)).
		Set("session-options/state/interface", nonZero(p.zone)).Set("session-options/state/next-hop-self", on(o.NextHopSelf, false)).
		Set("session-options/state/ttl-security-hops", nonZero(o.TTLSecurity))
	if id := cmp.Or(o.ClusterID, c.ClusterID); on(o.RouteReflectorClient, false) && id.IsValid() {
		x.Set("route-reflector/state/route-reflector-cluster-id", id)
	}
	if p.state != nil {
		session(x, p)
	} else {
		x.Set("state/session-state", "IDLE")
		if o.LocalAddress.IsValid() {
			x.Set("transport/state/local-address", o.LocalAddress)
		}
	}
	all, err := x.Leaves()
	for _, f := range familiesOf(c, p) {
		if err == nil {
			var more []telemetry.Leaf
			more, err = b.family(at, p, f, sent).Leaves()
			all = append(all, more...)
		}
	}
	return all, err
}

// some is a list, or nil, which is left out, for an empty one.
func some(list []string) any {
	if len(list) == 0 {
		return nil
	}
	return list
}

var adminStates = map[bgp.AdminState]string{bgp.AdminUp: "UP", bgp.AdminDown: "DOWN", bgp.AdminPrefixLimit: "PREFIX_LIMIT"}

// session is what the speaker knows.
func session(x *telemetry.Object, p *peer) {
	st := p.state
	x.Set("state/session-state", strings.ToUpper(strings.ReplaceAll(st.State.String(), "-", "")))
	ups := uint64(st.Flaps)
	if st.State == bgp.Established {
		ups++
	}
	x.Set("state/established-transitions", ups).Set("state/last-established", ticks(st.Since)).
		Set("state/supported-capabilities", capabilities(st)).
		Set("state/messages/received/UPDATE", st.Received.Update).Set("state/messages/received/NOTIFICATION", st.Received.Notification).
		Set("state/messages/sent/UPDATE", st.Sent.Update).Set("state/messages/sent/NOTIFICATION", st.Sent.Notification).
		Set("state/queues/output", st.OutQueue)
	for dir, n := range map[string]bgp.Notification{"received": st.LastReceived, "sent": st.LastSent} {
		if !n.At.IsZero() {
			at := "state/messages/" + dir
			x.Set(at+"/last-notification-time", ticks(n.At)).
				Set(at+"/last-notification-error-code", nonZero(errorCode(n.Code))).
				Set(at+"/last-notification-error-subcode", errorSubcode(n.Code, n.Subcode))
		}
	}
	if st.State == bgp.Established {
		x.Set("timers/state/negotiated-hold-time", uint64(st.HoldTime/time.Second)).
			Set("transport/state/remote-address", p.address).Set("transport/state/remote-port", nonZero(st.RemotePort)).
			Set("transport/state/local-port", nonZero(st.LocalPort)).
			Set("graceful-restart/state/peer-restart-time", nonZero(uint64(st.PeerRestartTime/time.Second)))
	}
	if a, err := netip.ParseAddr(st.LocalAddress); err == nil && !a.IsUnspecified() {
		x.Set("transport/state/local-address", a.WithZone(""))
	} else if p.opt.LocalAddress.IsValid() {
		x.Set("transport/state/local-address", p.opt.LocalAddress)
	}
	x.Set("graceful-restart/state/peer-restarting", st.PeerRestarting).Set("graceful-restart/state/local-restarting", st.LocalRestarting)
	if mode := gracefulMode(st); mode != "" {
		x.Set("graceful-restart/state/mode", mode)
	}
	if id, err := netip.ParseAddr(st.RouterID); err == nil && id.Is4() && !id.IsUnspecified() {
		x.Set("session-options/state/router-id", id)
	}
	x.Set("session-options/state/admin-state", adminStates[st.Admin]).Set("session-options/state/last-error", nonZero(st.LastError)).
		Set("session-options/state/last-error-time", ticks(st.LastErrorAt))
}

// ticks are nanoseconds since the Unix epoch; nil for no time.
func ticks(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return uint64(t.UnixNano())
}

// gracefulMode says who of the two can restart and be helped.
func gracefulMode(st *bgp.NeighborState) string {
	sent, received := false, false
	for _, f := range st.Families {
		sent, received = sent || f.GracefulSent, received || f.GracefulReceived
	}
	switch {
	case sent && received:
		return "BILATERAL"
	case received:
		return "HELPER_ONLY"
	case sent:
		return "REMOTE_HELPER"
	}
	return ""
}

// capabilities are those that both sides have offered.
func capabilities(st *bgp.NeighborState) any {
	names := map[string]string{
		"multiprotocol": "MPBGP", "route-refresh": "ROUTE_REFRESH", "four-octet-asn": "ASN32", "graceful-restart": "GRACEFUL_RESTART",
		"add-path": "ADD_PATHS", "extended-nexthop": "EXTENDED_NEXTHOP_ENCODING",
	}
	var out []string
	for _, c := range st.LocalCapabilities {
		word, _, _ := strings.Cut(c, " ")
		id := names[word]
		if id != "" && slices.Contains(st.RemoteCapabilities, c) && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return some(out)
}

// familiesOf are the families of a neighbour with their limits.
func familiesOf(c *config.BGP, p *peer) []config.BGPFamily {
	if len(p.opt.Families) > 0 {
		return p.opt.Families
	}
	var out []config.BGPFamily
	for _, name := range c.Families {
		out = append(out, config.BGPFamily{Name: name})
	}
	if len(out) == 0 && p.address.Is4() {
		return []config.BGPFamily{{Name: config.IPv4Unicast}}
	} else if len(out) == 0 {
		return []config.BGPFamily{{Name: config.IPv6Unicast}}
	}
	return out
}

func (b *BGP) family(at tree.Path, p *peer, f config.BGPFamily, sent map[netip.Addr][]bgp.FamilyState) *telemetry.Object {
	name, family := "IPV4_UNICAST", bgp.IPv4Unicast
	if f.Name == config.IPv6Unicast {
		name, family = "IPV6_UNICAST", bgp.IPv6Unicast
	}
	x := telemetry.NewObject(b.Schema, entryPath(at, "afi-safis", "afi-safi", "afi-safi-name", name)).
		Set("state/afi-safi-name", name).Set("state/enabled", true)
	var st bgp.FamilyState
	if p.state != nil {
		for _, have := range p.state.Families {
			if have.Family == family {
				st = have
			}
		}
	}
	x.Set("state/active", st.Active).Set("state/prefixes/received-pre-policy", st.Received).Set("state/prefixes/installed", st.Installed).
		Set("graceful-restart/state/advertised", st.GracefulSent).Set("graceful-restart/state/received", st.GracefulReceived)
	if p.state != nil {
		for _, have := range sent[p.state.Address] {
			if have.Family == family {
				x.Set("state/prefixes/sent", have.Advertised)
			}
		}
	}
	if f.PrefixLimit != 0 {
		limit := string(f.Name) + "/prefix-limit-received/state/"
		x.Set(limit+"max-prefixes", f.PrefixLimit).Set(limit+"prevent-teardown", f.PrefixWarnOnly).
			Set(limit+"warning-threshold-pct", cmp.Or(f.PrefixWarning, 75)).Set(limit+"restart-time", nonZero(f.PrefixRestart)).
			Set(limit+"prefix-limit-exceeded", st.LimitExceeded || p.state != nil && p.state.Admin == bgp.AdminPrefixLimit)
	}
	return x
}
