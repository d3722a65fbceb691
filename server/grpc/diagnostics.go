package grpcserver

import (
	"errors"
	"io"
	"math"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
)

func (y *systemService) Trace(req *vnfv1.TraceRequest, out grpc.ServerStreamingServer[vnfv1.TraceRecord]) error {
	var c checks
	rangeOf(&c, "count", req.GetCount(), 1, 1000, true)
	timeout := durationField(&c, "timeout", req.GetTimeout(), time.Minute, time.Second, time.Hour)
	if err := c.err(); err != nil {
		return err
	}
	ctx := out.Context()
	stream, err := y.s.opt.Dataplane.Trace(ctx, &dpb.Trace{
		Count: req.GetCount(), Filter: req.GetFilter(), Interface: req.GetInterface(), Timeout: uint32(timeout / time.Second),
	})
	if err != nil {
		return dataplaneError(err)
	}
	defer stream.Close()
	return forward(out, stream, func(e *dpb.Event) *vnfv1.TraceRecord {
		if e.GetTrace() == nil {
			return nil
		}
		return traceOut(e.GetTrace())
	})
}

// forward sends what a stream of the data plane yields until one of both ends.
func forward[T any](out grpc.ServerStreamingServer[T], stream *client.Stream, convert func(*dpb.Event) *T) error {
	// The client may wait for long; it should know that its request was accepted.
	if err := out.SendHeader(nil); err != nil {
		return err
	}
	ctx := out.Context()
	for {
		e, err := stream.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return streamError(ctx, err)
		}
		if m := convert(e); m != nil {
			if err := out.Send(m); err != nil {
				return err
			}
		}
	}
}

func traceOut(t *dpb.TraceRecord) *vnfv1.TraceRecord {
	o := &vnfv1.TraceRecord{
		Sequence: t.GetSequence(), Time: unixNano(t.GetTime()), Worker: t.GetWorker(), Interface: t.GetInterface(), Packet: t.GetPacket(),
		Length: t.GetLength(), DropReason: t.GetDropReason(), OutInterface: t.GetOutInterface(),
	}
	for _, s := range t.GetSteps() {
		o.Steps = append(o.Steps, &vnfv1.TraceStep{Node: s.GetNode(), Elapsed: nanos(s.GetNs()), Detail: s.GetDetail()})
	}
	return o
}

func (y *systemService) Capture(req *vnfv1.CaptureRequest, out grpc.ServerStreamingServer[vnfv1.CaptureResponse]) error {
	var c checks
	rangeOf(&c, "snaplen", req.GetSnaplen(), 1, 65535, true)
	enumField(&c, "direction", req.GetDirection())
	if err := c.err(); err != nil {
		return err
	}
	stream, err := y.s.opt.Dataplane.Capture(out.Context(), &dpb.Capture{
		Interface: req.GetInterface(), Filter: req.GetFilter(), Snaplen: req.GetSnaplen(), Count: req.GetCount(),
		Direction: dpb.CaptureDirection(req.GetDirection()),
	})
	if err != nil {
		return dataplaneError(err)
	}
	defer stream.Close()
	return forward(out, stream, func(e *dpb.Event) *vnfv1.CaptureResponse {
		if e.GetCaptured() == nil {
			return nil
		}
		o := &vnfv1.CaptureResponse{Dropped: e.GetCaptured().GetDropped()}
		for _, p := range e.GetCaptured().GetPackets() {
			o.Packets = append(o.Packets, &vnfv1.CapturedPacket{
				Time: unixNano(p.GetTime()), Interface: p.GetInterface(), Outbound: p.GetOutbound(), Data: p.GetData(), Length: p.GetLength(),
			})
		}
		return o
	})
}

// target reads where a ping or traceroute goes, and from where.
func target(c *checks, destination, source, iface string) (dst, src netip.Addr) {
	dst, src = addrField(c, "destination", destination), optAddrField(c, "source", source)
	if dst.IsValid() && src.IsValid() && dst.Is4() != src.Is4() {
		c.addf("source", "%s and the destination %s are of different families", src, dst)
	}
	if dst.Is6() && dst.IsLinkLocalUnicast() && iface == "" {
		c.addf("interface", "is needed with the link-local destination %s", dst)
	}
	return dst, src
}

func milliseconds(d time.Duration) uint32 { return uint32(max(1, d/time.Millisecond)) }

func (y *systemService) Ping(req *vnfv1.PingRequest, out grpc.ServerStreamingServer[vnfv1.PingReply]) error {
	var c checks
	dst, src := target(&c, req.GetDestination(), req.GetSource(), req.GetInterface())
	rangeOf(&c, "ttl", req.GetTtl(), 1, 255, true)
	size := uint32(56)
	if req.Size != nil {
		size = req.GetSize()
		rangeOf(&c, "size", size, 0, 8900, false)
	}
	rangeOf(&c, "count", req.GetCount(), 1, 1_000_000, true)
	interval := durationField(&c, "interval", req.GetInterval(), time.Second, 10*time.Millisecond, time.Hour)
	timeout := durationField(&c, "timeout", req.GetTimeout(), time.Second, time.Millisecond, time.Minute)
	if err := c.err(); err != nil {
		return err
	}
	count := req.GetCount()
	if count == 0 {
		count = 5
	}
	ctx := out.Context()
	id := uint32(time.Now().UnixNano() & math.MaxUint16)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := uint32(1); ; seq++ {
		r, err := y.s.opt.Dataplane.Ping(ctx, &dpb.Ping{
			Vrf: instanceName(req.GetNetworkInstance()), Destination: dst.AsSlice(), Source: addrBytes(src), Interface: req.GetInterface(),
			Ttl: req.GetTtl(), Size: size, Identifier: id, Sequence: seq & math.MaxUint16, Timeout: milliseconds(timeout),
			DontFragment: req.GetDontFragment(),
		})
		if err != nil {
			return streamError(ctx, err)
		}
		err = out.Send(&vnfv1.PingReply{
			Sequence: seq, Outcome: vnfv1.PingOutcome(r.GetOutcome()), From: addrString(r.GetFrom()), Rtt: nanos(r.GetRttNs()),
			Ttl: r.GetTtl(), IcmpType: r.GetIcmpType(), IcmpCode: r.GetIcmpCode(), Mtu: r.GetMtu(), Length: r.GetLength(),
		})
		if err != nil || seq == count {
			return err
		}
		select {
		case <-ctx.Done():
			return contextError(ctx)
		case <-tick.C:
		}
	}
}

func (y *systemService) Traceroute(req *vnfv1.TracerouteRequest, out grpc.ServerStreamingServer[vnfv1.TracerouteReply]) error {
	var c checks
	dst, src := target(&c, req.GetDestination(), req.GetSource(), req.GetInterface())
	first, last, probes := orDefault(req.GetFirstTtl(), 1), orDefault(req.GetMaxTtl(), 30), orDefault(req.GetProbes(), 3)
	rangeOf(&c, "first_ttl", first, 1, 255, false)
	rangeOf(&c, "max_ttl", last, min(first, 255), 255, false)
	rangeOf(&c, "probes", probes, 1, 10, false)
	rangeOf(&c, "size", req.GetSize(), 0, 8900, false)
	timeout := durationField(&c, "timeout", req.GetTimeout(), time.Second, time.Millisecond, time.Minute)
	if err := c.err(); err != nil {
		return err
	}
	ctx := out.Context()
	id := uint32(time.Now().UnixNano() & math.MaxUint16)
	var seq uint32
	for ttl := first; ttl <= last; ttl++ {
		arrived := false
		for n := uint32(1); n <= probes; n++ {
			r, err := y.s.opt.Dataplane.Ping(ctx, &dpb.Ping{
				Vrf: instanceName(req.GetNetworkInstance()), Destination: dst.AsSlice(), Source: addrBytes(src),
				Interface: req.GetInterface(), Ttl: ttl, Size: req.GetSize(), Identifier: id, Sequence: seq & math.MaxUint16,
				Timeout: milliseconds(timeout), Udp: !req.GetIcmp(),
			})
			if err != nil {
				return streamError(ctx, err)
			}
			seq++
			from, _ := netip.AddrFromSlice(r.GetFrom())
			o := &vnfv1.TracerouteReply{
				Ttl: ttl, Probe: n, Outcome: vnfv1.PingOutcome(r.GetOutcome()), From: addrString(r.GetFrom()),
				Rtt: durationpb.New(time.Duration(r.GetRttNs())), IcmpType: r.GetIcmpType(), IcmpCode: r.GetIcmpCode(),
				Final: from == dst || r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_REPLY,
			}
			// Nothing further on answers where the box has no route or a router says unreachable.
			arrived = arrived || o.Final || r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_UNREACHABLE ||
				r.GetOutcome() == dpb.PingOutcome_PING_OUTCOME_NO_ROUTE
			if err := out.Send(o); err != nil {
				return err
			}
		}
		if arrived {
			return nil
		}
	}
	return nil
}

func orDefault(n, def uint32) uint32 {
	if n == 0 {
		return def
	}
	return n
}
