package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// FieldError says which field of a configuration or request is wrong, and why.
type FieldError struct {
	Field  string // as in "neighbors[192.0.2.1].peer-as"
	Reason string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Reason }

type validator struct{ errs []error }

func (v *validator) fail(field, format string, args ...any) {
	v.errs = append(v.errs, &FieldError{Field: field, Reason: fmt.Sprintf(format, args...)})
}

func (v *validator) check(ok bool, field, format string, args ...any) {
	if !ok {
		v.fail(field, format, args...)
	}
}

// Validate checks the whole configuration. The error joins a *FieldError for each thing that is wrong.
func (c *Config) Validate() error {
	v := &validator{}
	v.check(validASN(c.ASN), "asn", "%d is not in 1..4294967294 or is reserved (RFC 7607, RFC 6793)", c.ASN)
	v.check(c.RouterID.Is4() && !c.RouterID.IsUnspecified(), "router-id", "is not an IPv4 address other than 0.0.0.0")
	v.check(c.ListenPort >= -1 && c.ListenPort <= 65535, "listen-port", "%d is not in -1..65535", c.ListenPort)
	v.check(len(c.BindDevice) < 16, "bind-device", "%q is longer than an interface name", c.BindDevice)
	for i, a := range c.ListenAddrs {
		v.check(a.IsValid() && !a.Is4In6(), fmt.Sprintf("listen-addrs[%d]", i), "is not an address")
	}
	v.check(c.Multipath.EBGP >= 0 && c.Multipath.EBGP <= MaxPaths, "multipath.ebgp", "%d is not in 1..%d", c.Multipath.EBGP, MaxPaths)
	v.check(c.Multipath.IBGP >= 0 && c.Multipath.IBGP <= MaxPaths, "multipath.ibgp", "%d is not in 1..%d", c.Multipath.IBGP, MaxPaths)
	g := c.GracefulRestart
	v.seconds("graceful-restart.restart-time", g.RestartTime, 1, 4095)
	v.seconds("graceful-restart.stale-routes-time", g.StaleRoutesTime, 1, 65535)
	v.seconds("graceful-restart.deferral-time", g.DeferralTime, 1, 65000)
	v.check(!g.Restarting || g.Enabled, "graceful-restart.restarting", "graceful restart is not enabled")

	c.Policy.validate(v)
	groups := make(map[string]bool)
	for _, p := range c.PeerGroups {
		f := fmt.Sprintf("peer-groups[%s]", p.Name)
		v.check(p.Name != "", "peer-groups[].name", "missing")
		v.check(!groups[p.Name], f, "is there twice")
		groups[p.Name] = true
	}
	v.neighbors(c, groups)
	seen := make(map[netip.Prefix]bool)
	for i, p := range c.Networks {
		f := fmt.Sprintf("networks[%d]", i)
		if !p.IsValid() || p.Addr().Is4In6() {
			v.fail(f, "is not a prefix")
			continue
		}
		v.check(p == p.Masked(), f, "%s has bits set after its length", p)
		v.check(!seen[p], f, "%s is there twice", p)
		seen[p] = true
	}
	if len(v.errs) == 0 {
		// What is left: policies that cannot be put into GoBGP's form for these neighbours.
		d := c.withDefaults()
		if _, err := compile(&d); err != nil {
			v.fail("policy", "%s", err.Error())
		}
	}
	return errors.Join(v.errs...)
}

// validASN rejects 0 (RFC 7607), AS_TRANS (RFC 6793) and the last numbers (RFC 7300).
func validASN(n uint32) bool { return n != 0 && n != 23456 && n != 65535 && n != 4294967295 }

// seconds checks a duration that is 0 (the default) or whole seconds in lo..hi.
func (v *validator) seconds(field string, d time.Duration, lo, hi int) {
	if d == 0 {
		return
	}
	v.check(d%time.Second == 0, field, "%s is not whole seconds", d)
	v.check(d >= time.Duration(lo)*time.Second && d <= time.Duration(hi)*time.Second, field,
		"%s is not in %ds..%ds", d, lo, hi)
}

func (v *validator) neighbors(c *Config, groups map[string]bool) {
	seen := make(map[netip.Addr]bool)
	for _, n := range c.Neighbors {
		f := fmt.Sprintf("neighbors[%s]", n.Address)
		if !n.Address.IsValid() {
			v.fail("neighbors[].address", "missing or malformed")
			continue
		}
		a := n.Address
		v.check(!a.Is4In6(), f+".address", "is a 4-in-6 address")
		v.check(!a.IsUnspecified() && !a.IsMulticast(), f+".address", "is not the address of a host")
		v.check(a != gateAddr, f+".address", "is used by the speaker itself")
		v.check(!a.Is6() || !a.IsLinkLocalUnicast() || a.Zone() != "", f+".address",
			"is link-local and needs its interface, as in %s%%eth0", a.WithZone(""))
		v.check(a.Zone() == "" || a.IsLinkLocalUnicast(), f+".address", "has a zone but is not link-local")
		v.check(!seen[a], f, "is there twice")
		seen[a] = true
		v.check(n.PeerGroup == "" || groups[n.PeerGroup], f+".peer-group", "there is no group %q", n.PeerGroup)
		m := c.merged(n)
		v.settings(c, f, m.PeerSettings)
		v.check(m.Password == "" || a.Zone() == "", f+".password", "MD5 with a link-local address is not supported")
		v.check(!m.LocalAddress.IsValid() || a.Zone() == "", f+".local-address", "is not possible with a link-local neighbour")
		v.check(!m.LocalAddress.IsValid() || m.LocalAddress.Is4() == a.Is4(), f+".local-address",
			"%s is not of the address family of the neighbour", m.LocalAddress)
	}
	dyn := make(map[netip.Prefix]bool)
	for i, d := range c.DynamicNeighbors {
		f := fmt.Sprintf("dynamic-neighbors[%d]", i)
		if !d.Prefix.IsValid() || d.Prefix != d.Prefix.Masked() || d.Prefix.Addr().Is4In6() {
			v.fail(f+".prefix", "is not a prefix, or has bits set after its length")
			continue
		}
		f = fmt.Sprintf("dynamic-neighbors[%s]", d.Prefix)
		v.check(!dyn[d.Prefix], f, "is there twice")
		dyn[d.Prefix] = true
		if !groups[d.PeerGroup] {
			v.fail(f+".peer-group", "there is no group %q", d.PeerGroup)
			continue
		}
		m := c.merged(Neighbor{Address: d.Prefix.Addr(), PeerGroup: d.PeerGroup})
		v.settings(c, f, m.PeerSettings)
		v.check(m.AllowOwnAS == 0 && !flag(m.ReplacePeerAS), f+".peer-group",
			"allow-own-as and replace-peer-as are not possible with dynamic neighbours")
		v.check(len(m.PrefixLimits) == 0, f+".prefix-limits", "are not possible with dynamic neighbours")
	}
}

// settings checks what a neighbour has after its group was merged.
func (v *validator) settings(c *Config, f string, p PeerSettings) {
	ebgp := p.PeerAS != or(p.LocalAS, c.ASN)
	v.check(validASN(p.PeerAS), f+".peer-as", "%d is not in 1..4294967294 or is reserved", p.PeerAS)
	v.check(p.LocalAS == 0 || validASN(p.LocalAS), f+".local-as", "%d is not in 1..4294967294 or is reserved", p.LocalAS)
	v.check(len(p.Password) <= 80, f+".password", "is longer than 80 bytes")
	v.check(len(p.Interface) < 16, f+".interface", "%q is longer than an interface name", p.Interface)
	fam := make(map[Family]bool)
	for i, x := range p.Families {
		ff := fmt.Sprintf("%s.families[%d]", f, i)
		v.check(x == IPv4Unicast || x == IPv6Unicast, ff, "%d is neither IPv4 nor IPv6 unicast", x)
		v.check(!fam[x], ff, "%s is there twice", x)
		fam[x] = true
	}
	v.seconds(f+".hold-time", p.HoldTime, 3, 65535)
	v.seconds(f+".keepalive", p.Keepalive, 1, 21845)
	v.check(p.Keepalive == 0 || p.Keepalive < or(p.HoldTime, 90*time.Second), f+".keepalive", "is not below the hold time")
	v.seconds(f+".connect-retry", p.ConnectRetry, 1, 65535)
	v.seconds(f+".idle-hold-after-reset", p.IdleHoldAfterRst, 1, 65535)
	v.check(p.EBGPMultihop == 0 || ebgp, f+".ebgp-multihop", "the neighbour is in our AS")
	v.check(p.EBGPMultihop == 0 || p.TTLSecurityHops == 0, f+".ttl-security-hops", "excludes ebgp-multihop")
	v.check(p.TTLSecurityHops < 255, f+".ttl-security-hops", "%d is not in 0..254", p.TTLSecurityHops)
	v.check(!flag(p.RouteReflectorClient) || !ebgp, f+".route-reflector-client", "the neighbour is not in our AS")
	v.check(!p.ClusterID.IsValid() || p.ClusterID.Is4(), f+".cluster-id", "is not an IPv4 address")
	v.check(!flag(p.NextHopSelf) || !ebgp, f+".next-hop-self", "is always so for a neighbour in another AS")
	v.check(!flag(p.ReplacePeerAS) || ebgp, f+".replace-peer-as", "the neighbour is in our AS")
	v.check(p.AllowOwnAS <= 10, f+".allow-own-as", "%d is not in 0..10", p.AllowOwnAS)
	switch p.RemovePrivateAS {
	case KeepPrivateAS:
	case RemovePrivateAS, ReplacePrivateAS:
		v.check(ebgp, f+".remove-private-as", "the neighbour is in our AS")
	default:
		v.fail(f+".remove-private-as", "%q is not one of remove, replace", p.RemovePrivateAS)
	}
	v.check(p.TCPMSS == 0 || p.TCPMSS >= 88, f+".tcp-mss", "%d is below 88", p.TCPMSS)
	limits := make(map[Family]bool)
	for i, l := range p.PrefixLimits {
		ff := fmt.Sprintf("%s.prefix-limits[%d]", f, i)
		v.check(l.Family == IPv4Unicast || l.Family == IPv6Unicast, ff+".family", "is neither IPv4 nor IPv6 unicast")
		v.check(!limits[l.Family], ff+".family", "%s is there twice", l.Family)
		limits[l.Family] = true
		v.check(l.Max > 0, ff+".max", "is 0")
		v.check(l.WarnPercent <= 100, ff+".warn-percent", "%d is above 100", l.WarnPercent)
		v.check(l.RestartAfter >= 0, ff+".restart-after", "is negative")
		v.check(!l.WarnOnly || l.RestartAfter == 0, ff+".restart-after", "makes no sense with warn-only")
	}
	for dir, names := range map[string][]string{"import": p.Import, "export": p.Export} {
		seen := make(map[string]bool)
		for i, name := range names {
			ff := fmt.Sprintf("%s.%s[%d]", f, dir, i)
			v.check(c.Policy.has(name), ff, "there is no policy %q", name)
			v.check(!seen[name], ff, "%q is there twice", name)
			seen[name] = true
		}
	}
	v.check(p.DefaultImport <= Reject, f+".default-import", "is neither accept nor reject")
	v.check(p.DefaultExport <= Reject, f+".default-export", "is neither accept nor reject")
}
