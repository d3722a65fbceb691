package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
)

// Limits of TCP termination.
const (
	MaxListeners = 4096
	MaxPools     = 1024
	MaxVIPs      = 4096
	MaxBackends  = 1024 // of one pool
	maxPrefixes  = 1024 // allowed or denied by one listener
	maxBody      = 1 << 20
	maxHTTP      = 2 << 20 // of one listener: it has to fit a frame of the seam
	maxRoutes    = 256
	maxHeaders   = 64
	day          = 24 * hour
)

func (v *validator) tcp() {
	t := &v.c.TCP
	const p = "tcp"
	limit(v, p+".max-connections", t.MaxConnections, 1024, 16<<20)
	limit(v, p+".max-time-wait", t.MaxTimeWait, 1024, 16<<20)
	limit(v, p+".memory-limit", t.MemoryLimit, 1, 1<<20)
	v.span(p+".time-wait", t.TimeWait, second, 4*minute)
	limit(v, p+".port-min", t.PortMin, 1024, 65535)
	limit(v, p+".port-max", t.PortMax, 1024, 65535)
	if lo, hi := cmpOr(t.PortMin, 32768), cmpOr(t.PortMax, 60999); lo > hi {
		v.errs.addf(p+".port-max", "%d is less than port-min, %d", hi, lo)
	}
	limit(v, p+".challenge-ack-rate", t.ChallengeACKRate, 1, 1000000)
	limit(v, p+".reset-rate", t.ResetRate, 1, 1000000)
	for _, l := range []struct {
		name      string
		have, max int
	}{{"vips", len(t.VIPs), MaxVIPs}, {"pools", len(t.Pools), MaxPools}, {"listeners", len(t.Listeners), MaxListeners}} {
		if l.have > l.max {
			v.errs.addf(p+"."+l.name, "%d of them, at most %d are allowed", l.have, l.max)
			return
		}
	}
	v.vips()
	for i := range t.Pools {
		v.tcpPool(&t.Pools[i])
	}
	v.tcpListeners()
}

func cmpOr[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

// named checks what all objects with a name have.
func (v *validator) named(path, name, description string) {
	if name != "" && !policyName.MatchString(name) {
		v.errs.addf(path, "the name is not 1 to 63 characters of [A-Za-z0-9._-]")
	}
	if len(description) > 255 {
		v.errs.addf(path+".description", "is longer than 255 bytes")
	}
}

// inInstance says whether a network instance is there.
func (v *validator) inInstance(path, name string) bool {
	if v.vrfs[instanceOf(name)] == nil {
		v.errs.addf(path+".network-instance", "there is no network instance %s", show(name))
		return false
	}
	return true
}

func (v *validator) vips() {
	seen := map[ownAddress]string{}
	for i := range v.c.TCP.VIPs {
		x := &v.c.TCP.VIPs[i]
		p := fmt.Sprintf("tcp.vips[%s]", x.Name)
		v.named(p, x.Name, "")
		if !v.inInstance(p, x.NetworkInstance) {
			continue
		}
		a := x.Address
		if !a.IsValid() {
			v.errs.addf(p+".address", "is missing")
			continue
		}
		if why := HostAddress(netip.PrefixFrom(a, a.BitLen())); why != "" {
			v.errs.addf(p+".address", "%s %s", a, why)
			continue
		}
		key := ownAddress{x.Instance(), a}
		if a.Is6() && a.IsLinkLocalUnicast() {
			v.errs.addf(p+".address", "%s is a link-local address", a)
		} else if other := seen[key]; other != "" {
			v.errs.addf(p+".address", "%s is also that of virtual address %s", a, other)
		} else if own := v.own[key]; len(own) > 0 {
			v.errs.addf(p+".address", "%s is also the address of interface %s", a, own[0])
		}
		seen[key] = x.Name
		v.vipInterface(x, p)
	}
	for i := range v.c.TCP.VIPs {
		x := &v.c.TCP.VIPs[i]
		v.own[ownAddress{x.Instance(), x.Address}] = append(v.own[ownAddress{x.Instance(), x.Address}], v.c.VIPInterface(x))
	}
}

func (v *validator) vipInterface(x *VIP, p string) {
	name := v.c.VIPInterface(x)
	f := v.ifaces[name]
	switch {
	case name == "":
		v.errs.addf(p+".interface", "is missing: %s is in the network of no interface, or of several", x.Address)
		return
	case f == nil:
		v.errs.addf(p+".interface", "there is no interface %s", show(name))
		return
	case f.Instance() != x.Instance():
		v.errs.addf(p+".interface", "%s is in network instance %s, not %s", name, f.Instance(), x.Instance())
	}
	if x.Address.Is6() && f.MTU >= 68 && f.MTU < 1280 {
		v.errs.addf(p+".interface", "the MTU of %s is %d, less than the 1280 that IPv6 needs (RFC 8200 section 5)", name, f.MTU)
	}
	for _, n := range f.Addresses {
		if n.Contains(x.Address) && !n.IsSingleIP() {
			if why := HostAddress(netip.PrefixFrom(x.Address, n.Bits())); why != "" {
				v.errs.addf(p+".address", "%s in %s of %s %s", x.Address, n.Masked(), name, why)
			}
		}
	}
	if slices.ContainsFunc(f.Neighbors, func(n StaticNbr) bool { return n.Address == x.Address }) {
		v.errs.addf(p+".address", "%s is a static neighbour on %s", x.Address, name)
	}
}

func (v *validator) tcpListeners() {
	type socket struct {
		vrf  string
		addr netip.Addr
		port uint16
	}
	seen := map[socket]string{}
	for i := range v.c.TCP.Listeners {
		l := &v.c.TCP.Listeners[i]
		p := fmt.Sprintf("tcp.listeners[%s]", l.Name)
		v.named(p, l.Name, l.Description)
		v.tcpListener(l, p)
		if !l.On() {
			continue
		}
		// An unset address is all of both families, so that it collides with those of either.
		for _, a := range anyOf(l.Address) {
			s := socket{l.Instance(), a, l.Port}
			if other, taken := seen[s]; taken && other != l.Name {
				v.errs.addf(p+".port", "listener %s has this address and port in network instance %s", other, l.Instance())
				break
			}
			seen[s] = l.Name
		}
	}
}

func anyOf(a netip.Addr) []netip.Addr {
	if !a.IsValid() {
		return []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()}
	}
	return []netip.Addr{a}
}

func (v *validator) tcpListener(l *TCPListener, p string) {
	if v.inInstance(p, l.NetworkInstance) && l.Address.IsValid() && !l.Address.IsUnspecified() {
		switch own := v.own[ownAddress{l.Instance(), l.Address.WithZone("")}]; {
		case l.Address.Zone() != "" || l.Address.Is4In6():
			v.errs.addf(p+".address", "%s is not an address of the box", l.Address)
		case len(own) == 0 && !(l.Address.Is6() && l.Address.IsLinkLocalUnicast()):
			v.errs.addf(p+".address", "%s is the address of no interface and no virtual address of network instance %s", l.Address, l.Instance())
		}
	}
	if l.Port == 0 {
		v.errs.addf(p+".port", "is missing")
	}
	if l.Service == "" {
		v.errs.addf(p+".service", "is missing: %s", strings.Join(l.Service.Values(), ", "))
	}
	if l.HTTP != nil && l.Service != ServiceHTTP && l.Service != "" {
		v.errs.addf(p+".http", "does not belong to service %s", l.Service)
	} else if l.HTTP != nil {
		v.http(l.HTTP, p+".http")
	}
	switch {
	case l.Proxy != nil && l.Service != ServiceProxy && l.Service != "":
		v.errs.addf(p+".proxy", "does not belong to service %s", l.Service)
	case l.Proxy == nil && l.Service == ServiceProxy:
		v.errs.addf(p+".proxy", "is missing: it names the pool")
	case l.Proxy != nil:
		v.proxy(l.Proxy, p+".proxy")
	}
	if l.ChargenLimit != 0 && l.Service != ServiceChargen && l.Service != "" {
		v.errs.addf(p+".chargen-limit", "does not belong to service %s", l.Service)
	}
	v.tcpOptions(&l.Options, p+".options", true)
	limit(v, p+".backlog", l.Backlog, 1, 1<<20)
	limit(v, p+".max-connections", l.MaxConnections, 1, 16<<20)
	limit(v, p+".max-per-source", l.MaxPerSource, 1, 16<<20)
	limit(v, p+".rate", l.Rate, 1, 10000000)
	limit(v, p+".burst", l.Burst, 1, 10000000)
	if l.Burst != 0 && l.Rate == 0 {
		v.errs.addf(p+".burst", "goes with rate only")
	}
	v.prefixes(p+".allow", l.Allow)
	v.prefixes(p+".deny", l.Deny)
	if l.ResetDenied && len(l.Allow) == 0 && len(l.Deny) == 0 {
		v.errs.addf(p+".reset-denied", "goes with allow or deny only")
	}
	v.span(p+".idle-timeout", l.IdleTimeout, ms, day)
	v.span(p+".total-timeout", l.TotalTimeout, ms, 49*day)
	v.span(p+".header-timeout", l.HeaderTimeout, ms, hour)
	v.span(p+".drain-timeout", l.DrainTimeout, ms, day)
	expects := l.Proxy != nil && l.Proxy.ProxyProtocolIn != "" && l.Proxy.ProxyProtocolIn != "off"
	if l.HeaderTimeout != 0 && l.Service != ServiceHTTP && !expects && l.Service != "" {
		v.errs.addf(p+".header-timeout", "goes with service http, or with a proxy-protocol-in only")
	}
}

func (v *validator) prefixes(p string, list []netip.Prefix) {
	if len(list) > maxPrefixes {
		v.errs.addf(p, "%d prefixes, at most %d are allowed", len(list), maxPrefixes)
		return
	}
	for i, x := range list {
		at := fmt.Sprintf("%s[%d]", p, i)
		switch {
		case x.Addr().Is4In6():
			v.errs.addf(at, "%s is an IPv4-mapped prefix", x)
		case x != x.Masked():
			v.errs.addf(at, "%s has bits set past its length: %s?", x, x.Masked())
		}
	}
}

func (v *validator) proxy(x *TCPProxy, p string) {
	pool := func(name string) bool {
		return slices.ContainsFunc(v.c.TCP.Pools, func(q TCPPool) bool { return q.Name == name })
	}
	switch {
	case x.Pool == "":
		v.errs.addf(p+".pool", "is missing")
	case !pool(x.Pool):
		v.errs.addf(p+".pool", "there is no pool %s", show(x.Pool))
	}
	switch {
	case x.BackupPool == "":
	case x.BackupPool == x.Pool:
		v.errs.addf(p+".backup-pool", "is the pool itself")
	case !pool(x.BackupPool):
		v.errs.addf(p+".backup-pool", "there is no pool %s", show(x.BackupPool))
	}
	if x.ProxyProtocolOut == ProxyAny {
		v.errs.addf(p+".proxy-protocol-out", "any is for what comes in; give v1 or v2")
	}
	v.span(p+".connect-timeout", x.ConnectTimeout, ms, 10*minute)
	limit(v, p+".retries", x.Retries, 1, 15)
	v.prefixes(p+".proxy-protocol-trusted", x.ProxyProtocolTrusted)
	switch n := len(x.ProxyProtocolTrusted); {
	case n > 256:
		v.errs.addf(p+".proxy-protocol-trusted", "%d prefixes, at most 256 are allowed", n)
	case n > 0 && (x.ProxyProtocolIn == "" || x.ProxyProtocolIn == "off"):
		v.errs.addf(p+".proxy-protocol-trusted", "goes with proxy-protocol-in only")
	}
	v.span(p+".half-close-timeout", x.HalfCloseTimeout, ms, day)
	v.span(p+".wait-timeout", x.WaitTimeout, ms, 10*minute)
	if x.WaitTimeout != 0 && x.NoBackend != NoBackendWait {
		v.errs.addf(p+".wait-timeout", "goes with no-backend: wait only")
	}
}

func (v *validator) tcpOptions(o *TCPOptions, p string, listener bool) {
	if o.DSCP > 63 {
		v.errs.addf(p+".dscp", "%d is not from 0 to 63", o.DSCP)
	}
	limit(v, p+".mss", o.MSS, 88, 65495)
	v.wholeSeconds(p+".keepalive-idle", o.KeepaliveIdle, second, day)
	v.wholeSeconds(p+".keepalive-interval", o.KeepaliveInterval, second, day)
	if o.KeepaliveIdle == 0 && (o.KeepaliveInterval != 0 || o.KeepaliveCount != 0) {
		v.errs.addf(p+".keepalive-idle", "is missing: without it there are no probes")
	}
	v.span(p+".user-timeout", o.UserTimeout, ms, day)
	v.span(p+".fin-wait2-timeout", o.FinWait2Timeout, ms, day)
	limit(v, p+".synack-retries", o.SYNACKRetries, 1, 15)
	limit(v, p+".receive-buffer", o.ReceiveBuffer, 4096, 1<<30)
	limit(v, p+".send-buffer", o.SendBuffer, 4096, 1<<30)
	if !listener {
		for name, set := range map[string]bool{
			"fast-open": o.FastOpen, "syn-cookies-always": o.SYNCookiesAlways, "synack-retries": o.SYNACKRetries != 0,
		} {
			if set {
				v.errs.addf(p+"."+name, "is for listeners")
			}
		}
	}
}

func (v *validator) absoluteFile(p, name string) {
	if name != "" && (!filepath.IsAbs(name) || len(name) > 1023 || strings.ContainsRune(name, 0)) {
		v.errs.addf(p, "%s is not an absolute path", show(name))
	}
}
