// Package gribitest builds the operations that tests of gRIBI send.
package gribitest

import (
	"net/netip"

	aftpb "github.com/openconfig/gribi/v1/proto/gribi_aft"
	spb "github.com/openconfig/gribi/v1/proto/service"
	"github.com/openconfig/ygot/proto/ywrapper"
)

// Str is a string value.
func Str(s string) *ywrapper.StringValue { return &ywrapper.StringValue{Value: s} }

// Num is a number value.
func Num(v uint64) *ywrapper.UintValue { return &ywrapper.UintValue{Value: v} }

// Hop adds a next hop.
func Hop(instance string, index uint64, h *aftpb.Afts_NextHop) *spb.AFTOperation {
	return &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_NextHop{
		NextHop: &aftpb.Afts_NextHopKey{Index: index, NextHop: h},
	}}
}

// HopTo adds a next hop in the default instance that is an address.
func HopTo(index uint64, address string) *spb.AFTOperation {
	return Hop("default", index, &aftpb.Afts_NextHop{IpAddress: Str(address)})
}

// Group adds a group of next hops: pairs of an index and a weight. Backup 0 is none.
func Group(instance string, id, backup uint64, hops ...uint64) *spb.AFTOperation {
	g := &aftpb.Afts_NextHopGroup{}
	if backup > 0 {
		g.BackupNextHopGroup = Num(backup)
	}
	for i := 0; i < len(hops); i += 2 {
		g.NextHop = append(g.NextHop, &aftpb.Afts_NextHopGroup_NextHopKey{
			Index: hops[i], NextHop: &aftpb.Afts_NextHopGroup_NextHop{Weight: Num(hops[i+1])},
		})
	}
	return &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_NextHopGroup{
		NextHopGroup: &aftpb.Afts_NextHopGroupKey{Id: id, NextHopGroup: g},
	}}
}

// Prefix adds an entry of either family; what is no prefix goes among those of IPv4. An empty groupInstance is left out.
func Prefix(instance, prefix string, id uint64, groupInstance string) *spb.AFTOperation {
	o := &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD}
	var in *ywrapper.StringValue
	if groupInstance != "" {
		in = Str(groupInstance)
	}
	if p, err := netip.ParsePrefix(prefix); err == nil && p.Addr().Is6() {
		o.Entry = &spb.AFTOperation_Ipv6{Ipv6: &aftpb.Afts_Ipv6EntryKey{Prefix: prefix, Ipv6Entry: &aftpb.Afts_Ipv6Entry{
			NextHopGroup: Num(id), NextHopGroupNetworkInstance: in,
		}}}
		return o
	}
	o.Entry = &spb.AFTOperation_Ipv4{Ipv4: &aftpb.Afts_Ipv4EntryKey{Prefix: prefix, Ipv4Entry: &aftpb.Afts_Ipv4Entry{
		NextHopGroup: Num(id), NextHopGroupNetworkInstance: in,
	}}}
	return o
}
