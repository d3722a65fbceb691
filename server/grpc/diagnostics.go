package grpcserver

import (
	"errors"
	"io"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/durationpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
	"millrace/server/probe"
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
	t := probe.Target{
		Instance: instanceName(req.GetNetworkInstance()), Destination: dst, Source: src, Interface: req.GetInterface(), Size: size,
		DontFragment: req.GetDontFragment(), Timeout: timeout,
	}
	err := probe.Ping(ctx, y.s.opt.Dataplane, t, req.GetTtl(), count, interval, func(seq uint32, r *dpb.PingResult) error {
		return out.Send(&vnfv1.PingReply{
			Sequence: seq, Outcome: vnfv1.PingOutcome(r.GetOutcome()), From: addrString(r.GetFrom()), Rtt: nanos(r.GetRttNs()),
			Ttl: r.GetTtl(), IcmpType: r.GetIcmpType(), IcmpCode: r.GetIcmpCode(), Mtu: r.GetMtu(), Length: r.GetLength(),
		})
	})
	return streamError(ctx, err)
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
	t := probe.Target{
		Instance: instanceName(req.GetNetworkInstance()), Destination: dst, Source: src, Interface: req.GetInterface(), Size: req.GetSize(),
		Timeout: timeout,
	}
	err := probe.Trace(ctx, y.s.opt.Dataplane, t, first, last, probes, req.GetIcmp(), func(h probe.Hop) error {
		r := h.Result
		return out.Send(&vnfv1.TracerouteReply{
			Ttl: h.TTL, Probe: h.Probe, Outcome: vnfv1.PingOutcome(r.GetOutcome()), From: addrString(r.GetFrom()),
			Rtt: durationpb.New(time.Duration(r.GetRttNs())), IcmpType: r.GetIcmpType(), IcmpCode: r.GetIcmpCode(), Final: h.Final,
		})
	})
	return streamError(ctx, err)
}

func orDefault(n, def uint32) uint32 {
	if n == 0 {
		return def
	}
	return n
}
