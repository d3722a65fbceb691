package grpcserver_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
)

func TestConfigApply(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	got, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{WithSecrets: true})
	if err != nil {
		t.Fatal(err)
	}
	changed := []byte(strings.ReplaceAll(string(got.GetDocument()), "192.0.2.9", "192.0.2.8"))
	dry, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: changed, DryRun: true})
	if err != nil || len(dry.GetChanges()) != 1 || dry.GetRevision() != got.GetRevision() {
		t.Fatalf("dry run: %v %v", dry, err)
	}
	_, err = c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: changed, ExpectedRevision: "nonsense"})
	wantError(t, err, codes.Aborted, "expected_revision")
	done, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: changed, ExpectedRevision: got.GetRevision()})
	if err != nil || done.GetRevision() == got.GetRevision() {
		t.Fatalf("apply: %v %v", done, err)
	}
	_, err = c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte("interfaces: [{name: e, type: port, iface: x, mtu: 5, colour: red}]")})
	wantError(t, err, codes.InvalidArgument, "interfaces[e].colour")
	_, err = c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte("interfaces: [{name: e, type: port, iface: x, mtu: 5}]")})
	wantError(t, err, codes.InvalidArgument, "interfaces[e].mtu")
	_, err = c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte("a: [")})
	wantError(t, err, codes.InvalidArgument, "document")
}

func TestSecretsStayHidden(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	// The default instance gets a speaker with a password.
	doc := strings.Replace(testConfig, "  - name: default\n", "  - name: default\n    bgp:\n      asn: 65001\n      neighbors:\n"+
		"        - {address: 192.0.2.7, remote-as: 65002, password: hunter2}\n", 1)
	resp, err := c.ApplyConfig(ctx, &vnfv1.ApplyConfigRequest{Document: []byte(doc)})
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(strings.Join(resp.GetChanges(), "\n"), "hunter2") {
		t.Errorf("changes show the password: %v", resp.GetChanges())
	}
	for _, f := range []vnfv1.ConfigFormat{vnfv1.ConfigFormat_CONFIG_FORMAT_YAML, vnfv1.ConfigFormat_CONFIG_FORMAT_JSON} {
		without, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: f})
		if err != nil || strings.Contains(string(without.GetDocument()), "hunter2") {
			t.Errorf("%v: %v", f, err)
		}
		with, err := c.GetConfig(ctx, &vnfv1.GetConfigRequest{Format: f, WithSecrets: true})
		if err != nil || !strings.Contains(string(with.GetDocument()), "hunter2") {
			t.Errorf("%v with secrets: %v", f, err)
		}
	}
}

func TestReadings(t *testing.T) {
	b := newBox(t)
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Workers = []*dpb.WorkerState{{Id: 0, Cpu: -1, BusyCycles: 25, IdleCycles: 25, SleepCycles: 50, TscHz: 1e9}}
		s.Drops = []*dpb.DropState{{Reason: "a", Packets: 1}, {Reason: "zero"}, {Reason: "b", Packets: 5}}
		s.Nodes = []*dpb.NodeState{{Name: "rx", Source: true, Edges: []string{"drop"}}, {Name: "drop", Drop: true}}
	})
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	w, err := c.ListWorkers(ctx, &vnfv1.ListWorkersRequest{})
	if err != nil || w.GetWorkers()[0].GetUtilization() != 0.25 || w.GetWorkers()[0].GetSleeping() != 0.5 {
		t.Errorf("workers: %v %v", w, err)
	}
	_, err = c.ListWorkers(ctx, &vnfv1.ListWorkersRequest{Interval: durationpb.New(time.Hour)})
	wantError(t, err, codes.InvalidArgument, "interval")
	d, err := c.ListDrops(ctx, &vnfv1.ListDropsRequest{})
	if err != nil || len(d.GetDrops()) != 2 || d.GetDrops()[0].GetReason() != "b" {
		t.Errorf("drops: %v %v", d, err)
	}
	g, err := c.GetGraph(ctx, &vnfv1.GetGraphRequest{})
	if err != nil || len(g.GetNodes()) != 2 || g.GetNodes()[0].GetName() != "drop" {
		t.Errorf("graph: %v %v", g, err)
	}
	n, err := c.ListNetworkInstances(ctx, &vnfv1.ListNetworkInstancesRequest{})
	if err != nil || len(n.GetNetworkInstances()) != 2 || !slices.Equal(n.GetNetworkInstances()[1].GetInterfaces(), []string{"eth1"}) {
		t.Errorf("instances: %v %v", n, err)
	}
	info, err := c.GetSystemInfo(ctx, &vnfv1.GetSystemInfoRequest{})
	if err != nil || info.GetDataplane().GetPid() != 42 || info.GetHostname() != "box" {
		t.Errorf("info: %v %v", info, err)
	}
	_, err = c.SetLogLevel(ctx, &vnfv1.SetLogLevelRequest{Level: "loud"})
	wantError(t, err, codes.InvalidArgument, "level")
}

func TestPingAndTraceroute(t *testing.T) {
	b := newBox(t)
	b.Seam.OnPing(func(p *dpb.Ping) (*dpb.PingResult, *dpb.Error) {
		if p.GetInterface() == "eth9" {
			return nil, &dpb.Error{Code: dpb.Code_CODE_NOT_FOUND, Field: "ping.interface", Message: "no interface eth9"}
		}
		if p.GetTtl() > 0 && p.GetTtl() < 3 {
			return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIME_EXCEEDED, From: []byte{10, 0, 0, byte(p.GetTtl())}, RttNs: 1e6}, nil
		}
		out := dpb.PingOutcome_PING_OUTCOME_REPLY
		if p.GetUdp() {
			out = dpb.PingOutcome_PING_OUTCOME_UNREACHABLE
		}
		return &dpb.PingResult{Outcome: out, From: p.GetDestination(), RttNs: 2e6, Ttl: 60, Length: 84}, nil
	})
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	ping := func(r *vnfv1.PingRequest) ([]*vnfv1.PingReply, error) {
		s, err := c.Ping(ctx, r)
		if err != nil {
			return nil, err
		}
		var out []*vnfv1.PingReply
		for {
			m, err := s.Recv()
			if errors.Is(err, io.EOF) {
				return out, nil
			}
			if err != nil {
				return out, err
			}
			out = append(out, m)
		}
	}
	r, err := ping(&vnfv1.PingRequest{Destination: "203.0.113.7", Count: 3, Interval: durationpb.New(10 * time.Millisecond)})
	if err != nil || len(r) != 3 || r[2].GetSequence() != 3 || r[0].GetFrom() != "203.0.113.7" || r[0].GetRtt().AsDuration() != 2*time.Millisecond {
		t.Errorf("%v %v", r, err)
	}
	for _, tc := range []struct {
		req   *vnfv1.PingRequest
		code  codes.Code
		field string
	}{
		{&vnfv1.PingRequest{}, codes.InvalidArgument, "destination"},
		{&vnfv1.PingRequest{Destination: "fe80::1"}, codes.InvalidArgument, "interface"},
		{&vnfv1.PingRequest{Destination: "192.0.2.1", Source: "2001:db8::1"}, codes.InvalidArgument, "source"},
		{&vnfv1.PingRequest{Destination: "192.0.2.1", Ttl: 300}, codes.InvalidArgument, "ttl"},
		{&vnfv1.PingRequest{Destination: "192.0.2.1", Size: new(uint32(9000))}, codes.InvalidArgument, "size"},
		{&vnfv1.PingRequest{Destination: "192.0.2.1", Interval: durationpb.New(time.Nanosecond)}, codes.InvalidArgument, "interval"},
		{&vnfv1.PingRequest{Destination: "192.0.2.1", Interface: "eth9"}, codes.NotFound, "interface"},
	} {
		_, err := ping(tc.req)
		wantError(t, err, tc.code, tc.field)
	}
	s, err := c.Traceroute(ctx, &vnfv1.TracerouteRequest{Destination: "203.0.113.7", Probes: 1})
	if err != nil {
		t.Fatal(err)
	}
	var hops []string
	for {
		m, err := s.Recv()
		if err != nil {
			break
		}
		hops = append(hops, m.GetFrom())
	}
	if !slices.Equal(hops, []string{"10.0.0.1", "10.0.0.2", "203.0.113.7"}) {
		t.Errorf("hops: %v", hops)
	}
}

func TestTraceAndCapture(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewSystemServiceClient(b.Dial(t))
	ctx := testContext(t)
	b.Seam.Events(
		&dpb.Event{Event: &dpb.Event_Trace{Trace: &dpb.TraceRecord{Sequence: 1, Steps: []*dpb.TraceStep{{Node: "rx", Detail: "eth1"}}, DropReason: "x"}}},
		&dpb.Event{Event: &dpb.Event_End{End: &dpb.StreamEnd{Reason: "count"}}})
	tr, err := c.Trace(ctx, &vnfv1.TraceRequest{Count: 1})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := tr.Recv(); err != nil || m.GetDropReason() != "x" || m.GetSteps()[0].GetNode() != "rx" {
		t.Errorf("%v %v", m, err)
	}
	if _, err := tr.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("end: %v", err)
	}
	b.Seam.Events(&dpb.Event{Event: &dpb.Event_Captured{Captured: &dpb.CapturedPackets{
		Dropped: 2, Packets: []*dpb.CapturedPacket{{Interface: "eth1", Outbound: true, Data: []byte{1, 2, 3}, Length: 60, Time: 1e9}},
	}}})
	ca, err := c.Capture(ctx, &vnfv1.CaptureRequest{Interface: "eth1"})
	if err != nil {
		t.Fatal(err)
	}
	if m, err := ca.Recv(); err != nil || m.GetDropped() != 2 || !m.GetPackets()[0].GetOutbound() || m.GetPackets()[0].GetTime().GetSeconds() != 1 {
		t.Errorf("%v %v", m, err)
	}
	b.Seam.Refuse(&dpb.Error{Code: dpb.Code_CODE_INVALID, Field: "capture.filter", Message: "syntax error"})
	bad, err := c.Capture(ctx, &vnfv1.CaptureRequest{Filter: "((("})
	if err == nil {
		_, err = bad.Recv()
	}
	wantError(t, err, codes.InvalidArgument, "filter")
	long, err := c.Trace(ctx, &vnfv1.TraceRequest{Count: 5000})
	if err == nil {
		_, err = long.Recv()
	}
	wantError(t, err, codes.InvalidArgument, "count")
}

func TestNeighbors(t *testing.T) {
	b := newBox(t)
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		for n := range 10 {
			s.Neighbors = append(s.Neighbors, &dpb.NeighborState{
				Interface: "eth1", Address: []byte{192, 0, 2, byte(10 + n)}, Mac: []byte{2, 0, 0, 0, 1, byte(n)},
				Nud: dpb.NeighborNud_NEIGHBOR_NUD_REACHABLE, Age: 3,
			})
		}
		s.Neighbors[4].Nud = dpb.NeighborNud_NEIGHBOR_NUD_STALE
	})
	c := vnfv1.NewNeighborServiceClient(b.Dial(t))
	ctx := testContext(t)
	count := 0
	for req := (&vnfv1.ListNeighborsRequest{PageSize: 3}); ; {
		resp, err := c.ListNeighbors(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		count += len(resp.GetNeighbors())
		if req.PageToken = resp.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if count != 10 {
		t.Errorf("%d neighbours", count)
	}
	stale, err := c.ListNeighbors(ctx, &vnfv1.ListNeighborsRequest{PageSize: 2, Nud: vnfv1.NeighborNud_NEIGHBOR_NUD_STALE})
	if err != nil || len(stale.GetNeighbors()) != 1 || stale.GetNeighbors()[0].GetAddress() != "192.0.2.14" {
		t.Errorf("%v %v", stale, err)
	}
	if _, err := c.AddNeighbor(ctx, &vnfv1.AddNeighborRequest{Interface: "eth1", Address: "192.0.2.77", Mac: "02:00:00:00:00:77"}); err != nil {
		t.Fatal(err)
	}
	if n := b.Store.Config().Interfaces[0].Neighbors; len(n) != 1 {
		t.Errorf("configuration: %v", n)
	}
	for _, tc := range []struct {
		req   *vnfv1.AddNeighborRequest
		code  codes.Code
		field string
	}{
		{&vnfv1.AddNeighborRequest{Interface: "eth9", Address: "192.0.2.7", Mac: "02:00:00:00:00:77"}, codes.NotFound, "interface"},
		{&vnfv1.AddNeighborRequest{Interface: "eth1", Address: "192.0.2.300", Mac: "02:00:00:00:00:77"}, codes.InvalidArgument, "address"},
		{&vnfv1.AddNeighborRequest{Interface: "eth1", Address: "192.0.2.7", Mac: "01:00:00:00:00:77"}, codes.InvalidArgument, "mac"},
		{&vnfv1.AddNeighborRequest{Interface: "eth1", Address: "224.0.0.5", Mac: "02:00:00:00:00:77"}, codes.InvalidArgument, "address"},
	} {
		_, err := c.AddNeighbor(ctx, tc.req)
		wantError(t, err, tc.code, tc.field)
	}
	if _, err := c.DeleteNeighbor(ctx, &vnfv1.DeleteNeighborRequest{Interface: "eth1", Address: "192.0.2.77"}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteNeighbor(ctx, &vnfv1.DeleteNeighborRequest{Interface: "eth1", Address: "192.0.2.77"})
	wantError(t, err, codes.NotFound, "address")
	f, err := c.FlushNeighbors(ctx, &vnfv1.FlushNeighborsRequest{Interface: "eth1"})
	if err != nil || f.GetFlushed() != 10 {
		t.Errorf("%v %v", f, err)
	}
	_, err = c.FlushNeighbors(ctx, &vnfv1.FlushNeighborsRequest{Address: "192.0.2.1"})
	wantError(t, err, codes.InvalidArgument, "interface")

	s, err := c.WatchNeighbors(ctx, &vnfv1.WatchNeighborsRequest{Interface: "eth1"})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if m, err := s.Recv(); err != nil || m.GetKind() != vnfv1.EventKind_EVENT_KIND_ADDED {
			t.Fatalf("%v %v", m, err)
		}
	}
	if m, err := s.Recv(); err != nil || m.GetKind() != vnfv1.EventKind_EVENT_KIND_SYNCED {
		t.Fatalf("%v %v", m, err)
	}
	b.Seam.Push(&dpb.Event{Event: &dpb.Event_NeighborGone{NeighborGone: &dpb.NeighborKey{Interface: "eth1", Address: []byte{192, 0, 2, 10}}}})
	if m, err := s.Recv(); err != nil || m.GetKind() != vnfv1.EventKind_EVENT_KIND_REMOVED || m.GetNeighbor().GetAddress() != "192.0.2.10" {
		t.Errorf("%v %v", m, err)
	}
}
