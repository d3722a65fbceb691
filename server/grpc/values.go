package grpcserver

import (
	"net"
	"net/netip"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	vnfv1 "millrace/api/proto/vnf/v1"
)

func protoName(s string) protoreflect.Name { return protoreflect.Name(s) }

// addrString writes raw address bytes; empty if there are none.
func addrString(b []byte) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return a.String()
}

func prefixString(b []byte, length uint32) string {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return ""
	}
	return netip.PrefixFrom(a, int(length)).String()
}

func macString(b []byte) string {
	if len(b) != 6 {
		return ""
	}
	return net.HardwareAddr(b).String()
}

// addrField reads an address. Zones are not allowed: the interface has a field of its own.
func addrField(c *checks, field, s string) netip.Addr {
	a, err := netip.ParseAddr(s)
	switch {
	case s == "":
		c.addf(field, "is empty; an address such as 192.0.2.1 is needed")
	case err != nil:
		c.addf(field, "%q is not an address", s)
	case a.Zone() != "":
		c.addf(field, "%q has a zone; name the interface in its own field", s)
	case a.Is4In6():
		c.addf(field, "%q is an IPv4-mapped address; write %s", s, a.Unmap())
	default:
		return a
	}
	return netip.Addr{}
}

// optAddrField reads an address that may be left out.
func optAddrField(c *checks, field, s string) netip.Addr {
	if s == "" {
		return netip.Addr{}
	}
	return addrField(c, field, s)
}

// prefixField reads a prefix with no bit set past its length.
func prefixField(c *checks, field, s string) netip.Prefix {
	p := ifPrefixField(c, field, s)
	if p.IsValid() && p != p.Masked() {
		c.addf(field, "%s has bits set past its length; did you mean %s?", s, p.Masked())
		return netip.Prefix{}
	}
	return p
}

// ifPrefixField reads an address with its prefix length.
func ifPrefixField(c *checks, field, s string) netip.Prefix {
	p, err := netip.ParsePrefix(s)
	switch {
	case s == "":
		c.addf(field, "is empty; a prefix such as 192.0.2.0/24 is needed")
	case err != nil:
		c.addf(field, "%q is not an address with a prefix length", s)
	case p.Addr().Is4In6():
		c.addf(field, "%q is an IPv4-mapped address", s)
	default:
		return p
	}
	return netip.Prefix{}
}

func optPrefixField(c *checks, field, s string) netip.Prefix {
	if s == "" {
		return netip.Prefix{}
	}
	return prefixField(c, field, s)
}

func addrBytes(a netip.Addr) []byte {
	if !a.IsValid() {
		return nil
	}
	return a.AsSlice()
}

func unixNano(ns uint64) *timestamppb.Timestamp {
	if ns == 0 {
		return nil
	}
	return timestamppb.New(time.Unix(0, int64(ns)))
}

func timeOrNil(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func nanos(ns uint64) *durationpb.Duration { return durationpb.New(time.Duration(ns)) }

// durationField reads a duration with bounds; absent: def.
func durationField(c *checks, field string, d *durationpb.Duration, def, least, most time.Duration) time.Duration {
	if d == nil {
		return def
	}
	if err := d.CheckValid(); err != nil {
		c.addf(field, "is not a duration")
		return def
	}
	if v := d.AsDuration(); v < least || v > most {
		c.addf(field, "%v is not %v to %v", v, least, most)
		return def
	} else {
		return v
	}
}

func familyMatches(f vnfv1.AddressFamily, a netip.Addr) bool {
	switch f {
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4:
		return a.Is4()
	case vnfv1.AddressFamily_ADDRESS_FAMILY_IPV6:
		return a.Is6()
	}
	return true
}

// enumField faults a number that the enum does not have.
func enumField(c *checks, field string, e protoreflect.Enum) {
	if e.Descriptor().Values().ByNumber(e.Number()) == nil {
		c.addf(field, "%d is not a value of %s", e.Number(), e.Descriptor().Name())
	}
}

// instanceName gives the default instance its name.
func instanceName(s string) string {
	if s == "" {
		return "default"
	}
	return s
}
