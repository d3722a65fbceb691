package gnoiserver

import (
	"context"
	"errors"
	"math"
	"net/netip"
	"time"

	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/probe"
)

const defaultInstance = "default"

// address reads one of the family asked for.
func address(field, s string, l3 types.L3Protocol) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	switch {
	case err != nil:
		return a, invalid(field, "%q is not an IPv4 or IPv6 address", s)
	case l3 == types.L3Protocol_IPV4 && !a.Is4(), l3 == types.L3Protocol_IPV6 && !a.Is6():
		return a, invalid(field, "%s is not of the protocol %s", a, l3)
	}
	return a, nil
}

func target(destination, source, instance string, l3 types.L3Protocol) (probe.Target, error) {
	t := probe.Target{Instance: instance, Timeout: time.Second}
	if t.Instance == "" {
		t.Instance = defaultInstance
	}
	var err error
	if t.Destination, err = address("destination", destination, l3); err != nil {
		return t, err
	}
	if source != "" {
		if t.Source, err = address("source", source, l3); err != nil {
			return t, err
		}
		if t.Source.Is4() != t.Destination.Is4() {
			return t, invalid("source", "%s and the destination %s are of different families", t.Source, t.Destination)
		}
	}
	if t.Destination.Zone() != "" {
		t.Interface, t.Destination = t.Destination.Zone(), t.Destination.WithZone("")
	}
	if t.Destination.Is6() && t.Destination.IsLinkLocalUnicast() && t.Interface == "" {
		return t, invalid("destination", "%s is link-local: write it with its interface, as fe80::1%%eth1", t.Destination)
	}
	return t, nil
}

// duration reads nanoseconds.
func duration(field string, ns int64, def, least, most time.Duration) (time.Duration, error) {
	d := time.Duration(ns)
	if d == 0 {
		d = def
	}
	if d < least || d > most {
		return 0, invalid(field, "%s is not %s to %s", d, least, most)
	}
	return d, nil
}

func probeError(err error) error {
	var de *client.Error
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, err.Error())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, err.Error())
	case errors.As(err, &de):
		return status.Error(codes.FailedPrecondition, de.Error())
	case errors.Is(err, client.ErrDisconnected), errors.Is(err, client.ErrStalled):
		return status.Error(codes.Unavailable, err.Error())
	}
	if _, ok := status.FromError(err); ok {
		return err
	}
	return status.Error(codes.Internal, err.Error())
}

// Ping answers with a message for each echo reply, and one with the sums at the end.
func (s *systemService) Ping(req *system.PingRequest, out system.System_PingServer) error {
	t, err := target(req.GetDestination(), req.GetSource(), req.GetNetworkInstance(), req.GetL3Protocol())
	if err != nil {
		return err
	}
	if req.GetSize() < 0 || req.GetSize() > 8900 {
		return invalid("size", "%d is not 0 to 8900", req.GetSize())
	}
	t.Size, t.DontFragment = uint32(req.GetSize()), req.GetDoNotFragment()
	if t.Size == 0 {
		t.Size = 56
	}
	count := uint32(5)
	switch {
	case req.GetCount() > 1_000_000 || req.GetCount() < -1:
		return invalid("count", "%d is not -1 to 1000000", req.GetCount())
	case req.GetCount() == -1: // until the client ends it
		count = math.MaxUint32
	case req.GetCount() > 0:
		count = uint32(req.GetCount())
	}
	least := 10 * time.Millisecond
	if req.GetInterval() == -1 { // as fast as answers come
		req.Interval = int64(least)
	}
	interval, err := duration("interval", req.GetInterval(), time.Second, least, time.Hour)
	if err != nil {
		return err
	}
	if t.Timeout, err = duration("wait", req.GetWait(), 2*time.Second, time.Millisecond, time.Minute); err != nil {
		return err
	}
	began := s.opt.Now()
	var sums sums
	err = probe.Ping(out.Context(), s.opt.Dataplane, t, 0, count, interval, func(seq uint32, r *dpb.PingResult) error {
		sums.sent++
		if r.GetOutcome() != dpb.PingOutcome_PING_OUTCOME_REPLY {
			return nil
		}
		sums.add(float64(r.GetRttNs()))
		from, _ := netip.AddrFromSlice(r.GetFrom())
		return out.Send(&system.PingResponse{
			Source: from.String(), Time: int64(r.GetRttNs()), Bytes: int32(r.GetLength()), Sequence: int32(seq), Ttl: int32(r.GetTtl()),
		})
	})
	if err != nil {
		return probeError(err)
	}
	return out.Send(&system.PingResponse{
		Source: t.Destination.String(), Time: int64(s.opt.Now().Sub(began)), Sent: sums.sent, Received: sums.n,
		MinTime: int64(sums.min), MaxTime: int64(sums.max), AvgTime: int64(sums.mean()), StdDev: int64(sums.deviation()),
	})
}

// sums of round-trip times.
type sums struct {
	sent, n        int32
	min, max       float64
	total, squares float64
}

func (s *sums) add(ns float64) {
	if s.n == 0 || ns < s.min {
		s.min = ns
	}
	s.max = max(s.max, ns)
	s.n++
	s.total += ns
	s.squares += ns * ns
}

func (s *sums) mean() float64 { return s.total / float64(max(1, s.n)) }

func (s *sums) deviation() float64 {
	return math.Sqrt(max(0, s.squares/float64(max(1, s.n))-s.mean()*s.mean()))
}

// Traceroute answers with a message that tells the limits, and one for each probe.
func (s *systemService) Traceroute(req *system.TracerouteRequest, out system.System_TracerouteServer) error {
	t, err := target(req.GetDestination(), req.GetSource(), req.GetNetworkInstance(), req.GetL3Protocol())
	if err != nil {
		return err
	}
	t.DontFragment = req.GetDoNotFragment()
	first, last := req.GetInitialTtl(), req.GetMaxTtl()
	if first == 0 {
		first = 1
	}
	if last == 0 {
		last = 30
	}
	switch {
	case first > 255:
		return invalid("initial_ttl", "%d is not 1 to 255", first)
	case last < int32(first) || last > 255:
		return invalid("max_ttl", "%d is not %d to 255", last, first)
	}
	var icmp bool
	switch req.GetL4Protocol() {
	case system.TracerouteRequest_ICMP:
		icmp = true
	case system.TracerouteRequest_UDP:
	default:
		return invalid("l4protocol", "%s is neither ICMP nor UDP", req.GetL4Protocol())
	}
	if t.Timeout, err = duration("wait", req.GetWait(), time.Second, time.Millisecond, time.Minute); err != nil {
		return err
	}
	size := int32(28) // headers of IPv4 and of UDP or ICMP
	if t.Destination.Is6() {
		size = 48
	}
	err = out.Send(&system.TracerouteResponse{DestinationName: req.GetDestination(), DestinationAddress: t.Destination.String(), Hops: last, PacketSize: size})
	if err != nil {
		return err
	}
	return probeError(probe.Trace(out.Context(), s.opt.Dataplane, t, first, uint32(last), 3, icmp, func(h probe.Hop) error {
		m := &system.TracerouteResponse{Hop: int32(h.TTL), Rtt: int64(h.Result.GetRttNs())}
		if h.From.IsValid() {
			m.Address = h.From.String()
		}
		switch h.Result.GetOutcome() {
		case dpb.PingOutcome_PING_OUTCOME_REPLY, dpb.PingOutcome_PING_OUTCOME_TIME_EXCEEDED:
			m.State = system.TracerouteResponse_DEFAULT
		case dpb.PingOutcome_PING_OUTCOME_TOO_BIG:
			m.State = system.TracerouteResponse_FRAGMENTATION_NEEDED
		case dpb.PingOutcome_PING_OUTCOME_UNREACHABLE:
			m.State, m.IcmpCode = system.TracerouteResponse_HOST_UNREACHABLE, int32(h.Result.GetIcmpCode())
			if h.Final {
				m.State = system.TracerouteResponse_DEFAULT
			}
		case dpb.PingOutcome_PING_OUTCOME_NO_ROUTE:
			m.State = system.TracerouteResponse_NETWORK_UNREACHABLE
		default:
			m.State = system.TracerouteResponse_NONE
		}
		return out.Send(m)
	}))
}
