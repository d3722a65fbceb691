package config

import (
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"
)

const maxSources = 64 // addresses of one pool

func (v *validator) tcpPool(x *TCPPool) {
	p := fmt.Sprintf("tcp.pools[%s]", x.Name)
	v.named(p, x.Name, x.Description)
	if len(x.Backends) > MaxBackends {
		v.errs.addf(p+".backends", "%d backends, at most %d are allowed", len(x.Backends), MaxBackends)
		return
	}
	type server struct {
		vrf  string
		addr netip.AddrPort
	}
	seen := map[server]string{}
	for i := range x.Backends {
		b := &x.Backends[i]
		at := fmt.Sprintf("%s.backends[%s]", p, b.Name)
		v.backend(b, at)
		s := server{b.Instance(), netip.AddrPortFrom(b.Address, b.Port)}
		if other := seen[s]; other != "" && b.Address.IsValid() {
			v.errs.addf(at+".address", "backend %s has this address and port", other)
		}
		seen[s] = b.Name
	}
	if x.Algorithm != Maglev {
		for name, set := range map[string]bool{"hash-key": x.HashKey != "", "maglev-size": x.MaglevSize != 0, "hash-seed": x.HashSeed != 0} {
			if set {
				v.errs.addf(p+"."+name, "goes with algorithm maglev only")
			}
		}
	} else if n := x.MaglevSize; n != 0 && (n > 1048573 || !big.NewInt(int64(n)).ProbablyPrime(0)) {
		v.errs.addf(p+".maglev-size", "%d is not a prime up to 1048573", n)
	} else if n != 0 && int(n) < 2*len(x.Backends) {
		v.errs.addf(p+".maglev-size", "%d is too small for %d backends", n, len(x.Backends))
	}
	v.healthCheck(&x.HealthCheck, p+".health-check")
	limit(v, p+".passive-check.fall", x.PassiveCheck.Fall, 1, 1000)
	v.span(p+".passive-check.time", x.PassiveCheck.Time, 100*ms, hour)
	v.span(p+".slow-start", x.SlowStart, ms, hour)
	limit(v, p+".max-connections", x.MaxConnections, 1, 16<<20)
	limit(v, p+".min-healthy", x.MinHealthy, 1, MaxBackends)
	if int(x.MinHealthy) > len(x.Backends) && len(x.Backends) > 0 {
		v.errs.addf(p+".min-healthy", "%d is more than the %d backends", x.MinHealthy, len(x.Backends))
	}
	v.sources(x, p)
	v.tcpOptions(&x.Options, p+".options", false)
}

func (v *validator) backend(b *TCPBackend, p string) {
	v.named(p, b.Name, "")
	v.inInstance(p, b.NetworkInstance)
	switch a := b.Address; {
	case !a.IsValid():
		v.errs.addf(p+".address", "is missing")
	case a.Zone() != "" || a.Is4In6() || a.IsUnspecified() || a.IsMulticast() || a.IsLoopback() || a.Is6() && a.IsLinkLocalUnicast():
		v.errs.addf(p+".address", "%s is not the address of a server", a)
	case len(v.own[ownAddress{b.Instance(), a}]) > 0:
		v.errs.addf(p+".address", "%s is an address of the box itself", a)
	}
	if b.Port == 0 {
		v.errs.addf(p+".port", "is missing")
	}
	limit(v, p+".max-connections", b.MaxConnections, 1, 16<<20)
	v.span(p+".drain-timeout", b.DrainTimeout, ms, day)
}

func (v *validator) healthCheck(h *HealthCheck, p string) {
	if h.Type == "" || h.Type == CheckNone {
		if n := (HealthCheck{Type: h.Type}); *h != n {
			v.errs.addf(p+".type", "is missing: connect or http")
		}
		return
	}
	v.span(p+".interval", h.Interval, 100*ms, hour)
	v.span(p+".timeout", h.Timeout, 10*ms, 10*minute)
	limit(v, p+".rise", h.Rise, 1, 100)
	limit(v, p+".fall", h.Fall, 1, 100)
	if h.ProxyProtocol == ProxyAny {
		v.errs.addf(p+".proxy-protocol", "any is for what comes in; give v1 or v2")
	}
	if h.Type != CheckHTTP {
		for name, set := range map[string]bool{
			"method": h.Method != "", "path": h.Path != "", "host": h.Host != "", "status-min": h.StatusMin != 0, "status-max": h.StatusMax != 0,
		} {
			if set {
				v.errs.addf(p+"."+name, "goes with type http only")
			}
		}
		return
	}
	if h.Path != "" && (h.Path[0] != '/' || len(h.Path) > 255 || strings.ContainsFunc(h.Path, func(c rune) bool { return c <= ' ' || c >= 0x7f })) {
		v.errs.addf(p+".path", "%s is not the target of a request: 1 to 255 characters from / on", show(h.Path))
	}
	if len(h.Host) > 255 || strings.ContainsFunc(h.Host, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		v.errs.addf(p+".host", "%s is not the value of a Host field", show(h.Host))
	}
	limit(v, p+".status-min", h.StatusMin, 100, 599)
	limit(v, p+".status-max", h.StatusMax, 100, 599)
	if lo, hi := cmpOr(h.StatusMin, 200), cmpOr(h.StatusMax, 399); lo > hi {
		v.errs.addf(p+".status-max", "%d is less than status-min, %d", hi, lo)
	}
}

// sources checks where connections to the backends of a pool come from.
func (v *validator) sources(x *TCPPool, p string) {
	if x.SourceMode != SourcePool {
		if len(x.SourceAddresses) > 0 {
			v.errs.addf(p+".source-addresses", "go with source-mode pool only")
		}
		return
	}
	switch n := len(x.SourceAddresses); {
	case n == 0:
		v.errs.addf(p+".source-addresses", "is missing")
		return
	case n > maxSources:
		v.errs.addf(p+".source-addresses", "%d addresses, at most %d are allowed", n, maxSources)
		return
	}
	for i, a := range x.SourceAddresses {
		at := fmt.Sprintf("%s.source-addresses[%d]", p, i)
		if slices.Contains(x.SourceAddresses[:i], a) {
			v.errs.addf(at, "%s is there twice", a)
		}
		for j := range x.Backends {
			b := &x.Backends[j]
			if b.Address.Is4() == a.Is4() && len(v.own[ownAddress{b.Instance(), a}]) == 0 {
				v.errs.addf(at, "%s is the address of no interface and no virtual address of network instance %s", a, b.Instance())
				break
			}
		}
	}
	for i := range x.Backends {
		b := &x.Backends[i]
		same := func(a netip.Addr) bool { return a.Is4() == b.Address.Is4() }
		if b.Address.IsValid() && !slices.ContainsFunc(x.SourceAddresses, same) {
			v.errs.addf(fmt.Sprintf("%s.backends[%s].address", p, b.Name), "%s has another family than the pool's source addresses", b.Address)
		}
	}
}
