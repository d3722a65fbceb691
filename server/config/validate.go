package config

import (
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// enum is a string of which only certain values are allowed; empty means not set.
type enum interface{ Values() []string }

// Limits of the whole.
const (
	MaxInterfaces = 4096
	MaxInstances  = 256
	MaxAddresses  = 1024 // of one interface
	MaxECMP       = 64   // next hops of one route
)

var (
	instanceName  = regexp.MustCompile(`^[A-Za-z0-9_-]{1,31}$`)
	interfaceName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,15}$`)
	policyName    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,63}$`)
	netnsName     = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}$`)
	hostName      = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$`)
)

// validator checks a Config; its maps are the objects by name.
type validator struct {
	c      *Config
	errs   Errors
	vrfs   map[string]*NetworkInstance
	ifaces map[string]*Interface
	own    map[ownAddress][]string
	// old are the routes, by instance, that were found right before and where nothing around them has changed.
	old map[string][]StaticRoute
	// fields are the leaves of the types that walk has met.
	fields map[reflect.Type][]leaf
}

// ownAddress is an address in an instance; own names the interfaces that have it.
type ownAddress struct {
	vrf  string
	addr netip.Addr
}

// Validate checks the whole configuration and returns Errors, or nil.
func (c *Config) Validate() error { return newValidator(c).all() }

func newValidator(c *Config) *validator {
	v := &validator{
		c: c, vrfs: map[string]*NetworkInstance{}, ifaces: map[string]*Interface{}, own: map[ownAddress][]string{},
		fields: map[reflect.Type][]leaf{},
	}
	for i := range c.NetworkInstances {
		v.vrfs[c.NetworkInstances[i].Name] = &c.NetworkInstances[i]
	}
	if v.vrfs[DefaultInstance] == nil {
		v.vrfs[DefaultInstance] = &NetworkInstance{Name: DefaultInstance}
	}
	for i := range c.Interfaces {
		f := &c.Interfaces[i]
		v.ifaces[f.Name] = f
		for _, a := range f.Addresses {
			key := ownAddress{f.Instance(), a.Addr()}
			v.own[key] = append(v.own[key], f.Name)
		}
	}
	return v
}

func (v *validator) all() error {
	c := v.c
	v.walk(reflect.ValueOf(*c), "")
	v.system()
	v.interfaces()
	v.overlaps()
	for i := range c.NetworkInstances {
		v.instance(&c.NetworkInstances[i])
	}
	v.routingPolicy()
	v.settings()
	v.tcp()
	v.aaa()
	v.gribi()
	return v.errs.err()
}

// walk checks what holds for every part of the tree: allowed words, and keys that are there and not twice.
func (v *validator) walk(val reflect.Value, path string) {
	if e, ok := val.Interface().(enum); ok {
		if s := val.String(); s != "" && !slices.Contains(e.Values(), s) {
			v.errs.addf(path, "%s is none of %s", show(s), strings.Join(e.Values(), ", "))
		}
		return
	}
	switch val.Kind() {
	case reflect.Pointer:
		if !val.IsNil() {
			v.walk(val.Elem(), path)
		}
	case reflect.Struct:
		if ours(val.Type()) {
			for _, l := range v.leaves(val.Type()) {
				v.walk(val.FieldByIndex(l.index), join(path, l.name))
			}
		}
	case reflect.Slice:
		if val.Type() == reflect.TypeFor[[]StaticRoute]() {
			return // there may be many of them: staticRoutes goes through them once
		}
		key := keyLeaf(val.Type().Elem())
		seen := map[string]bool{}
		for i := range val.Len() {
			at := strconv.Itoa(i)
			if key != "" {
				k := keyValue(val.Index(i), key)
				switch {
				case k == "":
					v.errs.addf(fmt.Sprintf("%s[%d].%s", path, i, key), "is missing")
				case seen[k]:
					v.errs.addf(fmt.Sprintf("%s[%s]", path, k), "is there twice")
				}
				if k != "" {
					seen[k], at = true, k
				}
			}
			v.walk(val.Index(i), fmt.Sprintf("%s[%s]", path, at))
		}
	}
}

func (v *validator) leaves(t reflect.Type) []leaf {
	l, ok := v.fields[t]
	if !ok {
		l = leaves(t)
		v.fields[t] = l
	}
	return l
}

// keyValue is the key of a list element as text; empty if it is not set.
func keyValue(v reflect.Value, key string) string {
	for _, l := range leaves(v.Type()) {
		if l.name == key {
			if f := v.FieldByIndex(l.index); !f.IsZero() {
				return fmt.Sprint(f.Interface())
			}
		}
	}
	return ""
}

// limit reports a number outside lo..hi; 0 is not set and never wrong.
func limit[T uint8 | uint16 | uint32 | uint64](v *validator, path string, n T, lo, hi uint64) {
	if n != 0 && (uint64(n) < lo || uint64(n) > hi) {
		v.errs.addf(path, "%d is not from %d to %d", n, lo, hi)
	}
}

func (v *validator) system() {
	s := &v.c.System
	if s.Hostname != "" && !hostName.MatchString(s.Hostname) {
		v.errs.addf("system.hostname", "%s is not a host name", show(s.Hostname))
	}
	if s.MetricsListen != "none" {
		v.hostPort("system.metrics-listen", s.MetricsListen)
	}
	if s.GRPCListen != "none" {
		v.hostPort("system.grpc-listen", s.GRPCListen)
	}
	if d := s.PKIDirectory; d != "" && !filepath.IsAbs(d) {
		v.errs.addf("system.pki-directory", "%s is not an absolute path", show(d))
	}
	d := &s.Dataplane
	const p = "system.dataplane."
	limit(v, p+"workers", d.Workers, 1, 32)
	if n := max(1, d.Workers); len(d.CPUs) > 0 && uint32(len(d.CPUs)) != n+1 {
		v.errs.addf(p+"cpus", "%d CPUs for %d workers and the control thread: give %d", len(d.CPUs), n, n+1)
	}
	for i, cpu := range d.CPUs {
		if cpu > 1023 {
			v.errs.addf(fmt.Sprintf("%scpus[%d]", p, i), "%d is not from 0 to 1023", cpu)
		}
		if slices.Contains(d.CPUs[:i], cpu) {
			v.errs.addf(fmt.Sprintf("%scpus[%d]", p, i), "%d is there twice", cpu)
		}
	}
	limit(v, p+"memory", d.Memory, 64, 1<<20)
	limit(v, p+"mbufs", d.Mbufs, 1024, 16<<20)
	limit(v, p+"mbuf-size", d.MbufSize, 1664, 65535)
	limit(v, p+"ipv4-routes", d.IPv4Routes, 1024, 16<<20)
	limit(v, p+"ipv6-routes", d.IPv6Routes, 1024, 16<<20)
	limit(v, p+"ipv4-tbl8", d.IPv4TBL8, 16, 1<<22)
	limit(v, p+"ipv6-tbl8", d.IPv6TBL8, 16, 1<<22)
	limit(v, p+"next-hops", d.NextHops, 1024, 1<<20)
	limit(v, p+"groups", d.Groups, 1024, 1<<20)
	if n := d.ExceptionNetns; n != "" && (!netnsName.MatchString(n) || n == "." || n == "..") {
		v.errs.addf(p+"exception-netns", "%s is not a name of a network namespace", show(n))
	}
	if strings.ContainsAny(d.EAL, "\n\x00") {
		v.errs.addf(p+"eal", "has more than one line")
	}
}

func (v *validator) hostPort(path, s string) {
	if s == "" {
		return
	}
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		v.errs.addf(path, "%s is not host:port", show(s))
		return
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		v.errs.addf(path, "port %s is not from 0 to 65535", show(port))
	} else if _, err := netip.ParseAddr(host); host != "" && host != "localhost" && err != nil {
		v.errs.addf(path, "%s is not an address", show(host))
	} else if n == 0 {
		v.errs.addf(path, "port 0 is not allowed")
	}
}

func (v *validator) settings() {
	s := &v.c.Settings
	limit(v, "settings.neighbor-limit", s.NeighborLimit, 1, 65536)
	limit(v, "settings.neighbor-queue", s.NeighborQueue, 1, 256)
	limit(v, "settings.neighbor-reachable-time", s.NeighborReachableTime, 1, 3600)
	limit(v, "settings.neighbor-stale-time", s.NeighborStaleTime, 1, 86400)
	limit(v, "settings.icmp-error-rate", s.ICMPErrorRate, 1, 1000000)
	limit(v, "settings.punt-rate", s.PuntRate, 1, 10000000)
	limit(v, "settings.neighbor-rate", s.NeighborRate, 1, 1000000)
}

// instanceOf is the name of the network instance meant by a field that may be empty.
func instanceOf(name string) string {
	if name == "" {
		return DefaultInstance
	}
	return name
}

// Instance is the network instance of the interface.
func (i *Interface) Instance() string { return instanceOf(i.NetworkInstance) }

// Up is the admin state.
func (i *Interface) Up() bool { return i.Enabled == nil || *i.Enabled }

// On says that router advertisements are sent.
func (r *RouterAdvertisements) On() bool { return r != nil && (r.Enabled == nil || *r.Enabled) }

// Netns is the network namespace of the exception path.
func (s *System) Netns() string {
	if s.Dataplane.ExceptionNetns == "" {
		return "millrace"
	}
	return s.Dataplane.ExceptionNetns
}
