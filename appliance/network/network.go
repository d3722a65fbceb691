// Package network says how the machine's network cards are to be set up: the management's by systemd-networkd, the data plane's in the first
// configuration. It reads what the platform says: OpenStack's network_data.json, or NoCloud's network-config of version 1 or 2.
package network

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"path"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	maxDocument  = 4 << 20
	maxLinks     = 256
	maxPerLink   = 64
	minMTU       = 1280 // RFC 8200 section 5
	maxMTU       = 65535
	minMTULegacy = 68 // RFC 791
)

// Link is how one card is set up.
type Link struct {
	// MAC of the card; empty: of NoCloud, which may name it by Name.
	MAC, Name string
	// MTU in bytes; 0: the card's own.
	MTU       uint32
	Addresses []netip.Prefix
	// DHCP4 and DHCP6 have addresses asked for; RA has those of router advertisements taken.
	DHCP4, DHCP6, RA bool
	Routes           []Route
	DNS              []netip.Addr
	Search           []string
}

// Route is one that goes by a link.
type Route struct {
	// To is 0.0.0.0/0 or ::/0 for the default route.
	To netip.Prefix
	// Via is the gateway; not valid: To is on the link.
	Via    netip.Addr
	Metric uint32
}

// Plan is how all cards are set up.
type Plan struct {
	Links []Link
	// DNS and Search hold for all.
	DNS    []netip.Addr
	Search []string
}

// Link is the one of a card; not found, it is set up as nobody said anything: DHCP and router advertisements.
func (p *Plan) Link(mac, netdev string) (l Link, found bool) {
	for _, by := range []func(Link) bool{
		func(l Link) bool { return l.MAC != "" && strings.EqualFold(l.MAC, mac) },
		func(l Link) bool { return l.MAC == "" && l.Name != "" && named(l.Name, netdev) },
	} {
		if i := slices.IndexFunc(p.Links, by); i >= 0 {
			l = p.Links[i]
			l.DNS, l.Search = append(slices.Clone(l.DNS), p.DNS...), append(slices.Clone(l.Search), p.Search...)
			return l, true
		}
	}
	return Link{MAC: mac, DHCP4: true, DHCP6: true, RA: true, DNS: p.DNS, Search: p.Search}, false
}

// named says whether a name, or a pattern of names, is that of a network device.
func named(pattern, netdev string) bool {
	ok, err := path.Match(pattern, netdev)
	return ok && err == nil && netdev != ""
}

// hasDefault says that a default route of the family is known, or will be.
func (l *Link) hasDefault() bool {
	return l.DHCP4 || slices.ContainsFunc(l.Routes, func(r Route) bool { return r.To.Bits() == 0 && r.To.Addr().Is4() })
}

// reader collects what is wrong on the way.
type reader struct{ problems []string }

func (x *reader) fail(at, format string, args ...any) {
	if len(x.problems) < 64 {
		x.problems = append(x.problems, at+": "+fmt.Sprintf(format, args...))
	}
}

func (x *reader) mac(at, s string) string {
	if s == "" {
		return ""
	}
	m, err := net.ParseMAC(s)
	if err != nil || len(m) != 6 {
		x.fail(at, "%.40q is not a MAC", s)
		return ""
	}
	return m.String()
}

func (x *reader) mtu(at string, n int64) uint32 {
	switch {
	case n == 0:
		return 0
	case n < minMTULegacy || n > maxMTU:
		x.fail(at, "%d is not from %d to %d", n, minMTULegacy, maxMTU)
		return 0
	}
	return uint32(n)
}

func (x *reader) addr(at, s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.TrimSpace(s))
	if err != nil || a.Zone() != "" || a.Is4In6() {
		x.fail(at, "%.60q is not an address", s)
		return a, false
	}
	return a, true
}

// prefix is an address with its length, which is in itself or beside it as a length or a mask.
func (x *reader) prefix(at, s, mask string) (netip.Prefix, bool) {
	bare, bits, with := strings.Cut(strings.TrimSpace(s), "/")
	a, ok := x.addr(at, bare)
	if !ok {
		return netip.Prefix{}, false
	}
	if !with {
		bits = cmp.Or(strings.TrimSpace(mask), fmt.Sprint(a.BitLen()))
	}
	n, ok := maskBits(bits, a)
	if !ok {
		x.fail(at, "%.60q is neither the length nor the mask of a prefix of %s", bits, a)
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, n), true
}

// maskBits is the length of "24", "255.255.255.0" or "ffff:ffff::".
func maskBits(s string, a netip.Addr) (int, bool) {
	if m, err := netip.ParseAddr(s); err == nil && m.BitLen() == a.BitLen() {
		n, all := net.IPMask(m.AsSlice()).Size()
		return n, all != 0
	}
	if p, err := netip.ParsePrefix(a.String() + "/" + s); err == nil {
		return p.Bits(), true
	}
	return 0, false
}

// route is one to a network by a gateway, either of which may be missing.
func (x *reader) route(at, to, mask, via string) (Route, bool) {
	var r Route
	if via != "" {
		a, ok := x.addr(at+".gateway", via)
		if !ok {
			return r, false
		}
		r.Via = a
	}
	switch to {
	case "", "default":
		if !r.Via.IsValid() {
			x.fail(at, "has neither a network nor a gateway")
			return r, false
		}
		r.To = netip.PrefixFrom(zero(r.Via), 0)
	default:
		p, ok := x.prefix(at+".network", to, mask)
		if !ok {
			return r, false
		}
		if r.To = p.Masked(); r.Via.IsValid() && r.Via.BitLen() != p.Addr().BitLen() {
			x.fail(at, "%s is no gateway of %s: they are of two families", r.Via, p)
			return r, false
		}
	}
	return r, true
}

func zero(a netip.Addr) netip.Addr {
	if a.Is4() {
		return netip.IPv4Unspecified()
	}
	return netip.IPv6Unspecified()
}

func (x *reader) dns(at string, list []string) (all []netip.Addr) {
	for i, s := range list {
		if a, ok := x.addr(fmt.Sprintf("%s[%d]", at, i), s); ok && len(all) < maxPerLink {
			all = append(all, a)
		}
	}
	return all
}

func (x *reader) search(at string, list []string) (all []string) {
	for i, s := range list {
		if s = strings.TrimSuffix(s, "."); len(s) == 0 || len(s) > 253 || strings.ContainsFunc(s, notDomain) {
			x.fail(fmt.Sprintf("%s[%d]", at, i), "%.60q is not a domain", s)
			continue
		}
		if len(all) < maxPerLink {
			all = append(all, s)
		}
	}
	return all
}

func notDomain(r rune) bool {
	return r != '-' && r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
}
