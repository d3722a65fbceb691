package gribi

import (
	"fmt"
	"testing"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"millrace/server/gribi/gribitest"
)

func TestParameters(t *testing.T) {
	b := newBench(t, Options{})
	preserveAll := &spb.SessionParameters{Persistence: spb.SessionParameters_PRESERVE}
	for _, x := range []struct {
		send   []*spb.ModifyRequest
		code   codes.Code
		reason string
	}{
		{[]*spb.ModifyRequest{{}}, codes.InvalidArgument, ""},
		{[]*spb.ModifyRequest{{Params: single, ElectionId: &spb.Uint128{Low: 1}}}, codes.InvalidArgument, ""},
		{[]*spb.ModifyRequest{{Params: preserveAll}}, codes.Unimplemented, "UNSUPPORTED_PARAMS"},
		{[]*spb.ModifyRequest{{Params: &spb.SessionParameters{Redundancy: 9}}}, codes.Unimplemented, "UNSUPPORTED_PARAMS"},
		{[]*spb.ModifyRequest{{Params: single}, {Params: single}}, codes.FailedPrecondition, "MODIFY_NOT_ALLOWED"},
		{[]*spb.ModifyRequest{{Operation: []*spb.AFTOperation{gribitest.HopTo(1, "10.0.1.1")}}, {Params: all}}, codes.FailedPrecondition, "MODIFY_NOT_ALLOWED"},
		{[]*spb.ModifyRequest{{Params: all}, {ElectionId: &spb.Uint128{Low: 1}}}, codes.FailedPrecondition, "ELECTION_ID_IN_ALL_PRIMARY"},
		{[]*spb.ModifyRequest{{Operation: []*spb.AFTOperation{{ElectionId: &spb.Uint128{Low: 1}}}}}, codes.FailedPrecondition, "ELECTION_ID_IN_ALL_PRIMARY"},
		{[]*spb.ModifyRequest{{Params: single}, {ElectionId: &spb.Uint128{}}}, codes.InvalidArgument, ""},
	} {
		c := b.client(nil, 0)
		for _, m := range x.send {
			c.send(m)
		}
		c.fails(x.code, x.reason)
	}
	c := b.client(single, 0)
	d := b.client(nil, 0)
	d.send(&spb.ModifyRequest{Params: fibAck})
	d.fails(codes.FailedPrecondition, "PARAMS_DIFFER_FROM_OTHER_CLIENTS")
	c.close()
	b.client(fibAck, 1) // nobody else is there any more
}

func TestElection(t *testing.T) {
	b := newBench(t, Options{})
	a, c := b.client(single, 0), b.client(single, 0)
	a.election = &spb.Uint128{Low: 5}
	a.want("FAILED", a.do(gribitest.HopTo(1, "10.0.1.1"))...) // not advertised
	if got := a.elect(5); got != 5 {
		t.Fatal(got)
	}
	a.ok(gribitest.HopTo(1, "10.0.1.1"))
	if got := c.elect(3); got != 5 {
		t.Fatalf("the highest ID is told as %d", got)
	}
	c.want("FAILED", c.do(gribitest.HopTo(2, "10.0.1.1"))...)
	op := gribitest.HopTo(2, "10.0.1.1")
	op.ElectionId = &spb.Uint128{Low: 6}
	a.want("FAILED", a.do(op)...)
	wait := a.do(gribitest.Prefix("default", "192.0.2.0/24", 1, ""))[0]
	a.ok(gribitest.HopTo(3, "10.0.1.1")) // the one before has been read
	if got := c.elect(5); got != 5 {     // equal: the newer is primary
		t.Fatal(got)
	}
	a.want("FAILED", a.do(gribitest.HopTo(1, "10.0.1.2"))...)
	c.ok(gribitest.HopTo(1, "10.0.1.3"), gribitest.Group("default", 1, 0, 1, 1))
	b.wantGoes("", "192.0.2.1", "") // what the earlier primary had waiting is forgotten
	a.mu.Lock()
	if len(a.got[wait]) > 0 {
		t.Errorf("the earlier primary was answered: %v", a.got[wait])
	}
	a.mu.Unlock()
	if got := a.elect(4); got != 5 { // a client's ID does not shrink
		t.Fatal(got)
	}
	a.election = &spb.Uint128{Low: 5}
	a.want("FAILED", a.do(gribitest.HopTo(1, "10.0.1.2"))...)
	high := &spb.Uint128{High: 1}
	a.send(&spb.ModifyRequest{ElectionId: high})
	a.wait("the ID", func() bool { return len(a.ids) > 0 && a.ids[len(a.ids)-1].GetHigh() == 1 })
	a.election = high
	a.ok(gribitest.HopTo(1, "10.0.1.4"))
	c.want("FAILED", c.do(gribitest.HopTo(1, "10.0.1.5"))...)
	a.close()
	// The highest ID outlives its client.
	if d := b.client(single, 0); d.elect(9) != 0 || d.advertised()[0].GetHigh() != 1 {
		t.Error(d.advertised())
	}
}

func TestPersistence(t *testing.T) {
	b := newBench(t, Options{})
	chain := func(id uint64, p string) []*spb.AFTOperation {
		return []*spb.AFTOperation{gribitest.HopTo(id, "10.0.1.9"), gribitest.Group("default", id, 0, id, 1), gribitest.Prefix("default", p, id, "")}
	}
	c := b.client(single, 1)
	c.ok(chain(1, "192.0.2.0/24")...)
	c.close()
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	// Another mode: what was preserved stays, what this client adds goes with it.
	c = b.client(volatile, 2)
	c.ok(chain(2, "198.51.100.0/24")...)
	d := b.client(volatile, 3)
	d.ok(gribitest.Prefix("default", "203.0.113.0/24", 2, ""))
	c.close()
	b.eventually("the entry of the client that left stays", func() bool { return b.goes("", "198.51.100.1") == "" })
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	b.wantGoes("", "203.0.113.1", "10.0.1.9*1") // its group is kept for the other one
	d.ok(del(gribitest.Prefix("default", "203.0.113.0/24", 2, "")))
	b.eventually("the group and the next hop stay without anyone", func() bool { return len(b.get("", spb.AFTType_ALL)) == 3 })
}

// TestAllPrimary: entries belong to all that added them.
func TestAllPrimary(t *testing.T) {
	b := newBench(t, Options{})
	a, c := b.client(all, 0), b.client(nil, 0) // the default is the same
	chain := func() []*spb.AFTOperation {
		return []*spb.AFTOperation{gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, "")}
	}
	a.ok(chain()...)
	c.ok(chain()...)
	a.ok(del(gribitest.Prefix("default", "192.0.2.0/24", 1, "")), del(gribitest.Group("default", 1, 0)), del(gribitest.HopTo(1, "")))
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	a.ok(chain()...)
	c.close()
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	a.close()
	b.eventually("entries of nobody stay", func() bool { return len(b.get("", spb.AFTType_ALL)) == 0 })
	b.wantGoes("", "192.0.2.1", "")
}

func TestFlush(t *testing.T) {
	b := newBench(t, Options{})
	to := func(r *spb.FlushRequest, name string) *spb.FlushRequest {
		r.NetworkInstance = &spb.FlushRequest_Name{Name: name}
		return r
	}
	id := func(v uint64) *spb.FlushRequest {
		return &spb.FlushRequest{Election: &spb.FlushRequest_Id{Id: &spb.Uint128{Low: v}}}
	}
	refused := func(r *spb.FlushRequest, code codes.Code, reason string) {
		t.Helper()
		_, err := b.stub.Flush(t.Context(), r)
		st, got := status.Convert(err), ""
		for _, d := range st.Details() {
			got = d.(*spb.FlushResponseError).GetStatus().String()
		}
		if st.Code() != code || got != reason {
			t.Errorf("%v: %v %s: %v, want %v %s", r, st.Code(), got, err, code, reason)
		}
	}
	refused(to(id(1), "default"), codes.FailedPrecondition, "ELECTION_ID_IN_ALL_PRIMARY")
	c := b.client(single, 5)
	c.ok(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, ""))
	refused(to(&spb.FlushRequest{}, "default"), codes.FailedPrecondition, "UNSPECIFIED_ELECTION_BEHAVIOR")
	refused(to(id(4), "default"), codes.FailedPrecondition, "NOT_PRIMARY")
	refused(to(id(0), "default"), codes.InvalidArgument, "INVALID_ELECTION_ID")
	refused(to(id(5), ""), codes.InvalidArgument, "INVALID_NETWORK_INSTANCE")
	refused(to(id(5), "red"), codes.InvalidArgument, "NO_SUCH_NETWORK_INSTANCE")
	refused(id(5), codes.InvalidArgument, "UNSPECIFIED_NETWORK_INSTANCE")
	b.wantGoes("", "192.0.2.1", "10.0.1.9*1")
	c.close()
	refused(to(id(4), "default"), codes.FailedPrecondition, "NOT_PRIMARY") // the mode outlives its clients
	r, err := b.stub.Flush(t.Context(), to(id(6), "default"))
	if err != nil || r.GetResult() != spb.FlushResponse_OK || r.GetTimestamp() == 0 {
		t.Fatal(r, err)
	}
	b.wantGoes("", "192.0.2.1", "")
	if b.plane.has("default", "192.0.2.0/24") {
		t.Error("the flush was acknowledged, and the data plane has the route")
	}
}

func TestGet(t *testing.T) {
	b := newBench(t, Options{})
	c := b.client(single, 1)
	c.ok(gribitest.HopTo(1, "10.0.1.9"), gribitest.Group("default", 1, 0, 1, 1))
	var ops []*spb.AFTOperation
	for i := range 1500 {
		ops = append(ops, gribitest.Prefix("default", fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256), 1, ""))
	}
	c.ok(ops...)
	c.ok(gribitest.Prefix("blue", "192.0.2.0/24", 1, "default"), gribitest.Prefix("default", "2001:db8:5::/48", 1, ""))
	for _, x := range []struct {
		name string
		t    spb.AFTType
		want int
	}{
		{"", spb.AFTType_ALL, 1504}, {"default", spb.AFTType_ALL, 1503}, {"default", spb.AFTType_IPV4, 1500}, {"default", spb.AFTType_IPV6, 1},
		{"default", spb.AFTType_NEXTHOP, 1}, {"default", spb.AFTType_NEXTHOP_GROUP, 1}, {"blue", spb.AFTType_ALL, 1}, {"blue", spb.AFTType_IPV6, 0},
	} {
		if n := len(b.get(x.name, x.t)); n != x.want {
			t.Errorf("%q %v: %d entries, want %d", x.name, x.t, n, x.want)
		}
	}
	for _, x := range []struct {
		req  *spb.GetRequest
		code codes.Code
	}{
		{&spb.GetRequest{Aft: spb.AFTType_ALL}, codes.InvalidArgument},
		{&spb.GetRequest{Aft: spb.AFTType_ALL, NetworkInstance: &spb.GetRequest_Name{}}, codes.InvalidArgument},
		{&spb.GetRequest{Aft: spb.AFTType_ALL, NetworkInstance: &spb.GetRequest_Name{Name: "red"}}, codes.InvalidArgument},
		{&spb.GetRequest{NetworkInstance: &spb.GetRequest_Name{Name: "default"}}, codes.InvalidArgument},
		{&spb.GetRequest{Aft: spb.AFTType_MPLS, NetworkInstance: &spb.GetRequest_Name{Name: "default"}}, codes.Unimplemented},
	} {
		s, err := b.stub.Get(t.Context(), x.req)
		if err == nil {
			_, err = s.Recv()
		}
		if status.Code(err) != x.code {
			t.Errorf("%v: %v, want %v", x.req, err, x.code)
		}
	}
}

func TestLimits(t *testing.T) {
	b := newBench(t, Options{Limits: Limits{Sessions: 2, NextHops: 2, Groups: 1, Prefixes: 1, Unsettled: 8}})
	c := b.client(single, 1)
	b.client(single, 0)
	d := b.client(nil, 0)
	d.fails(codes.ResourceExhausted, "")
	c.ok(gribitest.HopTo(1, "10.0.1.9"), gribitest.HopTo(2, "10.0.1.8"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("default", "192.0.2.0/24", 1, ""))
	c.want("FAILED", c.do(gribitest.HopTo(3, "10.0.1.9"), gribitest.Group("default", 2, 0, 1, 1), gribitest.Prefix("default", "192.0.3.0/24", 1, ""))...)
	c.ok(gribitest.HopTo(1, "10.0.1.7"), gribitest.Prefix("default", "192.0.2.0/24", 1, ""))
}

// TestSlowClient: who does not take its answers is not read any further, and hurts nobody.
func TestSlowClient(t *testing.T) {
	b := newBench(t, Options{Limits: Limits{Unsettled: 64}})
	stream, err := b.stub.Modify(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var id uint64
		for stream.Context().Err() == nil && id < 2_000_000 {
			var ops []*spb.AFTOperation
			for range 256 {
				id++
				o := gribitest.HopTo(1, "10.0.1.9")
				o.Id = id
				ops = append(ops, o)
			}
			if stream.Send(&spb.ModifyRequest{Operation: ops}) != nil {
				return
			}
		}
	}()
	c := b.client(nil, 0)
	c.ok(gribitest.HopTo(2, "10.0.1.8"))
	b.srv.mu.Lock()
	for s := range b.srv.sessions {
		s.mu.Lock()
		if n := len(s.res); n > 64+chunk {
			t.Errorf("%d answers wait for a client", n)
		}
		s.mu.Unlock()
	}
	b.srv.mu.Unlock()
	select {
	case <-done:
		t.Error("all of it was read")
	default:
	}
}
