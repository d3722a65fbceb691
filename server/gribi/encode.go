package gribi

import (
	aftpb "github.com/openconfig/gribi/v1/proto/gribi_aft"
	spb "github.com/openconfig/gribi/v1/proto/service"
	"github.com/openconfig/ygot/proto/ywrapper"
)

func encodeElection(e electionID) *spb.Uint128 { return &spb.Uint128{High: e.high, Low: e.low} }

var statuses = [...]spb.AFTResult_Status{
	statusFailed: spb.AFTResult_FAILED, statusRIB: spb.AFTResult_RIB_PROGRAMMED,
	statusFIB: spb.AFTResult_FIB_PROGRAMMED, statusFIBFailed: spb.AFTResult_FIB_FAILED,
}

func encodeResults(rs []result) *spb.ModifyResponse {
	m := &spb.ModifyResponse{Result: make([]*spb.AFTResult, len(rs))}
	for i, r := range rs {
		m.Result[i] = &spb.AFTResult{Id: r.id, Status: statuses[r.status], Timestamp: r.at}
		if r.why != "" {
			m.Result[i].ErrorDetails = &spb.AFTErrorDetails{ErrorMessage: r.why}
		}
	}
	return m
}

func uintValue(v uint64) *ywrapper.UintValue     { return &ywrapper.UintValue{Value: v} }
func stringValue(s string) *ywrapper.StringValue { return &ywrapper.StringValue{Value: s} }
func optionalString(s string) *ywrapper.StringValue {
	if s == "" {
		return nil
	}
	return stringValue(s)
}

func optionalBytes(b []byte) *ywrapper.BytesValue {
	if b == nil {
		return nil
	}
	return &ywrapper.BytesValue{Value: b}
}

// shown is an entry as Get gives it.
type shown struct {
	key    key
	hop    nextHop
	group  group
	prefix prefix
	fib    fibStatus
}

type fibStatus uint8

const (
	fibUnavailable fibStatus = iota
	fibProgrammed
	fibNotProgrammed
)

var fibStatuses = [...]spb.AFTEntry_Status{
	fibUnavailable: spb.AFTEntry_UNAVAILABLE, fibProgrammed: spb.AFTEntry_PROGRAMMED, fibNotProgrammed: spb.AFTEntry_NOT_PROGRAMMED,
}

func encodeEntry(s *shown) *spb.AFTEntry {
	e := &spb.AFTEntry{
		NetworkInstance: s.key.instance, RibStatus: spb.AFTEntry_PROGRAMMED, FibStatus: fibStatuses[s.fib],
	}
	switch p := s.key.prefix; {
	case s.key.aft == aftNextHop:
		e.Entry = &spb.AFTEntry_NextHop{NextHop: &aftpb.Afts_NextHopKey{Index: s.key.id, NextHop: encodeHop(&s.hop)}}
	case s.key.aft == aftGroup:
		e.Entry = &spb.AFTEntry_NextHopGroup{NextHopGroup: &aftpb.Afts_NextHopGroupKey{Id: s.key.id, NextHopGroup: encodeGroup(&s.group)}}
	case p.Addr().Is4():
		e.Entry = &spb.AFTEntry_Ipv4{Ipv4: &aftpb.Afts_Ipv4EntryKey{Prefix: p.String(), Ipv4Entry: &aftpb.Afts_Ipv4Entry{
			NextHopGroup: uintValue(s.prefix.group), NextHopGroupNetworkInstance: optionalString(s.prefix.groupInstance),
			EntryMetadata: optionalBytes(s.prefix.metadata),
		}}}
	default:
		e.Entry = &spb.AFTEntry_Ipv6{Ipv6: &aftpb.Afts_Ipv6EntryKey{Prefix: p.String(), Ipv6Entry: &aftpb.Afts_Ipv6Entry{
			NextHopGroup: uintValue(s.prefix.group), NextHopGroupNetworkInstance: optionalString(s.prefix.groupInstance),
			EntryMetadata: optionalBytes(s.prefix.metadata),
		}}}
	}
	return e
}

func encodeHop(n *nextHop) *aftpb.Afts_NextHop {
	h := &aftpb.Afts_NextHop{NetworkInstance: optionalString(n.instance)}
	if n.address.IsValid() {
		h.IpAddress = stringValue(n.address.String())
	}
	if n.iface != "" {
		h.InterfaceRef = &aftpb.Afts_NextHop_InterfaceRef{Interface: stringValue(n.iface)}
		if n.hasSub {
			h.InterfaceRef.Subinterface = uintValue(uint64(n.sub))
		}
	}
	return h
}

func encodeGroup(g *group) *aftpb.Afts_NextHopGroup {
	out := &aftpb.Afts_NextHopGroup{}
	if g.hasBackup {
		out.BackupNextHopGroup = uintValue(g.backup)
	}
	for _, h := range g.hops {
		k := &aftpb.Afts_NextHopGroup_NextHopKey{Index: h.index, NextHop: &aftpb.Afts_NextHopGroup_NextHop{}}
		if h.hasWeight {
			k.NextHop.Weight = uintValue(h.weight)
		}
		out.NextHop = append(out.NextHop, k)
	}
	return out
}
