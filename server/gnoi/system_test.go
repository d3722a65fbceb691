package gnoiserver

import (
	"errors"
	"io"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/openconfig/gnoi/system"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	dpb "millrace/api/proto/dataplane/v1"
)

func itoa(n int) string { return strconv.Itoa(n) }

func drain[T any](s grpc.ServerStreamingClient[T], err error) ([]*T, error) {
	if err != nil {
		return nil, err
	}
	var all []*T
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, m)
	}
}

func TestTime(t *testing.T) {
	b := newBed(t)
	got, err := system.NewSystemClient(b.conn()).Time(b.ctx(), &system.TimeRequest{})
	if err != nil || got.GetTime() != uint64(b.now.UnixNano()) {
		t.Errorf("%v %v", got, err)
	}
}

func TestPing(t *testing.T) {
	b := newBed(t)
	rtt := []uint64{2e6, 4e6, 9e6}
	var seen []*dpb.Ping
	b.box.Seam.OnPing(func(p *dpb.Ping) (*dpb.PingResult, *dpb.Error) {
		seen = append(seen, p)
		n := len(seen) - 1
		if n == 1 {
			return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIMEOUT}, nil
		}
		return &dpb.PingResult{
			Outcome: dpb.PingOutcome_PING_OUTCOME_REPLY, From: p.GetDestination(), RttNs: rtt[min(n, 2)], Ttl: 63, Length: 64,
		}, nil
	})
	c := system.NewSystemClient(b.conn())
	all, err := drain(c.Ping(b.ctx(), &system.PingRequest{
		Destination: "192.0.2.9", Source: "192.0.2.1", Count: 3, Interval: int64(20 * time.Millisecond), Wait: int64(time.Second), Size: 100,
		DoNotFragment: true, NetworkInstance: "blue", L3Protocol: types.L3Protocol_IPV4,
	}))
	if err != nil || len(all) != 3 {
		t.Fatalf("%v %v", all, err)
	}
	if m := all[0]; m.GetSource() != "192.0.2.9" || m.GetTime() != 2e6 || m.GetSequence() != 1 || m.GetTtl() != 63 || m.GetBytes() != 64 {
		t.Errorf("the first reply is %v", m)
	}
	if m := all[1]; m.GetSequence() != 3 {
		t.Errorf("the second reply is %v", m)
	}
	// 2 and 9 ms: their mean 5.5, each 3.5 from it.
	if m := all[2]; m.GetSent() != 3 || m.GetReceived() != 2 || m.GetMinTime() != 2e6 || m.GetMaxTime() != 9e6 || m.GetAvgTime() != 5.5e6 ||
		math.Abs(float64(m.GetStdDev())-3.5e6) > 10 {
		t.Errorf("the sums are %v", m)
	}
	if p := seen[0]; p.GetVrf() != "blue" || p.GetSize() != 100 || !p.GetDontFragment() || p.GetTimeout() != 1000 || len(p.GetSource()) != 4 {
		t.Errorf("the data plane was asked %v", p)
	}

	for _, c2 := range []struct {
		field string
		req   *system.PingRequest
	}{
		{"destination", &system.PingRequest{}},
		{"destination", &system.PingRequest{Destination: "host.example"}},
		{"destination", &system.PingRequest{Destination: "192.0.2.9", L3Protocol: types.L3Protocol_IPV6}},
		{"destination", &system.PingRequest{Destination: "fe80::1"}},
		{"source", &system.PingRequest{Destination: "192.0.2.9", Source: "2001:db8::1"}},
		{"source", &system.PingRequest{Destination: "192.0.2.9", Source: "x"}},
		{"size", &system.PingRequest{Destination: "192.0.2.9", Size: 10000}},
		{"size", &system.PingRequest{Destination: "192.0.2.9", Size: -1}},
		{"count", &system.PingRequest{Destination: "192.0.2.9", Count: -2}},
		{"count", &system.PingRequest{Destination: "192.0.2.9", Count: 1e6 + 1}},
		{"interval", &system.PingRequest{Destination: "192.0.2.9", Interval: 1}},
		{"interval", &system.PingRequest{Destination: "192.0.2.9", Interval: -2}},
		{"wait", &system.PingRequest{Destination: "192.0.2.9", Wait: int64(time.Hour)}},
		{"wait", &system.PingRequest{Destination: "192.0.2.9", Wait: -1}},
	} {
		_, err := drain(c.Ping(b.ctx(), c2.req))
		refused(t, c2.req.String(), err, codes.InvalidArgument, c2.field+": ")
	}

	b.box.Seam.OnPing(func(*dpb.Ping) (*dpb.PingResult, *dpb.Error) { return nil, &dpb.Error{Message: "there is no VRF blue"} })
	_, err = drain(c.Ping(b.ctx(), &system.PingRequest{Destination: "192.0.2.9"}))
	refused(t, "an instance that is not there", err, codes.FailedPrecondition, "no VRF blue")
}

func TestTraceroute(t *testing.T) {
	b := newBed(t)
	var udp bool
	b.box.Seam.OnPing(func(p *dpb.Ping) (*dpb.PingResult, *dpb.Error) {
		udp = p.GetUdp()
		switch p.GetTtl() {
		case 1:
			return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIME_EXCEEDED, From: []byte{10, 0, 0, 1}, RttNs: 5}, nil
		case 2:
			return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_TIMEOUT}, nil
		}
		return &dpb.PingResult{Outcome: dpb.PingOutcome_PING_OUTCOME_UNREACHABLE, From: p.GetDestination(), IcmpCode: 3}, nil
	})
	c := system.NewSystemClient(b.conn())
	all, err := drain(c.Traceroute(b.ctx(), &system.TracerouteRequest{Destination: "192.0.2.9", L4Protocol: system.TracerouteRequest_UDP}))
	if err != nil || len(all) != 10 || !udp {
		t.Fatalf("udp %v, %d %v", udp, len(all), err)
	}
	if m := all[0]; m.GetDestinationAddress() != "192.0.2.9" || m.GetHops() != 30 || m.GetPacketSize() != 28 {
		t.Errorf("the first message is %v", m)
	}
	if m := all[1]; m.GetHop() != 1 || m.GetAddress() != "10.0.0.1" || m.GetRtt() != 5 || m.GetState() != system.TracerouteResponse_DEFAULT {
		t.Errorf("hop 1 is %v", m)
	}
	if m := all[4]; m.GetHop() != 2 || m.GetAddress() != "" || m.GetState() != system.TracerouteResponse_NONE {
		t.Errorf("hop 2 is %v", m)
	}
	if m := all[9]; m.GetHop() != 3 || m.GetAddress() != "192.0.2.9" || m.GetState() != system.TracerouteResponse_DEFAULT {
		t.Errorf("hop 3 is %v", m)
	}
	for _, c2 := range []struct {
		field string
		req   *system.TracerouteRequest
	}{
		{"destination", &system.TracerouteRequest{Destination: "x"}},
		{"initial_ttl", &system.TracerouteRequest{Destination: "192.0.2.9", InitialTtl: 256}},
		{"max_ttl", &system.TracerouteRequest{Destination: "192.0.2.9", InitialTtl: 9, MaxTtl: 8}},
		{"max_ttl", &system.TracerouteRequest{Destination: "192.0.2.9", MaxTtl: 256}},
		{"l4protocol", &system.TracerouteRequest{Destination: "192.0.2.9", L4Protocol: system.TracerouteRequest_TCP}},
		{"wait", &system.TracerouteRequest{Destination: "192.0.2.9", Wait: -1}},
	} {
		_, err := drain(c.Traceroute(b.ctx(), c2.req))
		refused(t, c2.req.String(), err, codes.InvalidArgument, c2.field+": ")
	}
}

// ends waits for the service's end.
func (b *bed) ends() {
	b.t.Helper()
	select {
	case <-b.exits:
	case <-time.After(time.Minute):
		b.t.Fatal("it did not end")
	}
}

func TestReboot(t *testing.T) {
	b := newBed(t)
	c := system.NewSystemClient(b.conn())
	for _, r := range []struct {
		field string
		req   *system.RebootRequest
	}{
		{"method", &system.RebootRequest{}},
		{"method", &system.RebootRequest{Method: system.RebootMethod_POWERDOWN}},
		{"subcomponents", &system.RebootRequest{Method: system.RebootMethod_COLD, Subcomponents: []*types.Path{{}}}},
		{"delay", &system.RebootRequest{Method: system.RebootMethod_COLD, Delay: math.MaxUint64}},
	} {
		_, err := c.Reboot(b.ctx(), r.req)
		refused(t, r.req.String(), err, codes.InvalidArgument, r.field+": ")
	}
	later := &system.RebootRequest{Method: system.RebootMethod_COLD, Delay: uint64(time.Hour), Message: "upgrade"}
	if _, err := c.Reboot(b.ctx(), later); err != nil {
		t.Fatal(err)
	}
	st, err := c.RebootStatus(b.ctx(), &system.RebootStatusRequest{})
	if err != nil || !st.GetActive() || st.GetWait() != uint64(time.Hour) || st.GetReason() != "upgrade" || st.GetMethod() != system.RebootMethod_COLD ||
		st.GetWhen() != uint64(b.now.Add(time.Hour).UnixNano()) {
		t.Errorf("%v %v", st, err)
	}
	_, err = c.Reboot(b.ctx(), later)
	refused(t, "a second reboot", err, codes.FailedPrecondition, "cancel it first")
	if _, err := c.CancelReboot(b.ctx(), &system.CancelRebootRequest{Message: "not today"}); err != nil {
		t.Fatal(err)
	}
	if st, err := c.RebootStatus(b.ctx(), &system.RebootStatusRequest{}); err != nil || st.GetActive() {
		t.Errorf("after the cancel: %v %v", st, err)
	}
	// Cancelled in time.
	soon := &system.RebootRequest{Method: system.RebootMethod_WARM, Delay: uint64(4 * time.Second)}
	if _, err := c.Reboot(b.ctx(), soon); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CancelReboot(b.ctx(), &system.CancelRebootRequest{}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(4500 * time.Millisecond)
	if len(b.exits) > 0 || b.sent() != "" {
		t.Errorf("a cancelled reboot happened: %s", b.sent())
	}
	// WARM is vnf alone, and force takes the place of one that is planned.
	if _, err := c.Reboot(b.ctx(), later); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_WARM, Force: true}); err != nil {
		t.Fatal(err)
	}
	b.ends()
	if b.sent() != "" {
		t.Errorf("signals %s", b.sent())
	}
	_, err = c.CancelReboot(b.ctx(), &system.CancelRebootRequest{})
	refused(t, "cancel while it happens", err, codes.FailedPrecondition, "under way")
	_, err = c.Reboot(b.ctx(), soon)
	refused(t, "reboot while it happens", err, codes.FailedPrecondition, "under way")

	b = newBed(t)
	if _, err := system.NewSystemClient(b.conn()).Reboot(b.ctx(), &system.RebootRequest{Method: system.RebootMethod_COLD}); err != nil {
		t.Fatal(err)
	}
	b.ends()
	if b.sent() != "200 15" {
		t.Errorf("signals %s", b.sent())
	}
}

func TestKillProcess(t *testing.T) {
	b := newBed(t)
	c := system.NewSystemClient(b.conn())
	for _, k := range []struct {
		code codes.Code
		word string
		req  *system.KillProcessRequest
	}{
		{codes.InvalidArgument, "signal: ", &system.KillProcessRequest{Name: "vnf", Restart: true}},
		{codes.FailedPrecondition, "restart: ", &system.KillProcessRequest{Name: "vnf", Signal: system.KillProcessRequest_SIGNAL_TERM}},
		{codes.InvalidArgument, "pid: ", &system.KillProcessRequest{Signal: system.KillProcessRequest_SIGNAL_TERM, Restart: true}},
		{codes.InvalidArgument, "pid: ", &system.KillProcessRequest{Name: "vnf", Pid: 100, Signal: system.KillProcessRequest_SIGNAL_TERM, Restart: true}},
		{codes.NotFound, "none of", &system.KillProcessRequest{Pid: 1, Signal: system.KillProcessRequest_SIGNAL_TERM, Restart: true}},
		{codes.NotFound, "none of", &system.KillProcessRequest{Name: "init", Signal: system.KillProcessRequest_SIGNAL_KILL, Restart: true}},
		{codes.InvalidArgument, "signal: ", &system.KillProcessRequest{Name: "vnf-dataplane", Signal: system.KillProcessRequest_SIGNAL_HUP}},
	} {
		_, err := c.KillProcess(b.ctx(), k.req)
		refused(t, k.req.String(), err, k.code, k.word)
	}
	do := func(name string, pid uint32, sig system.KillProcessRequest_Signal) {
		t.Helper()
		if _, err := c.KillProcess(b.ctx(), &system.KillProcessRequest{Name: name, Pid: pid, Signal: sig, Restart: sig != system.KillProcessRequest_SIGNAL_HUP}); err != nil {
			t.Error(err)
		}
	}
	do("vnf", 0, system.KillProcessRequest_SIGNAL_HUP)
	if b.reloads != 1 {
		t.Errorf("%d reloads", b.reloads)
	}
	do("", 200, system.KillProcessRequest_SIGNAL_KILL)
	if b.sent() != "200 9" {
		t.Errorf("signals %s", b.sent())
	}
	do("vnf", 0, system.KillProcessRequest_SIGNAL_TERM)
	b.ends()
	do("", 100, system.KillProcessRequest_SIGNAL_ABRT)
	waitFor(t, func() bool { return b.sent() == "200 9, 100 6" })
	_, err := c.SwitchControlProcessor(b.ctx(), &system.SwitchControlProcessorRequest{})
	refused(t, "another processor", err, codes.Unimplemented, "one")
}
