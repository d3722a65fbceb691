package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	aftpb "github.com/openconfig/gribi/v1/proto/gribi_aft"
	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
	"millrace/server/gribi/gribitest"
)

// controller is one Modify session of a gRIBI controller.
type controller struct {
	t        *testing.T
	stub     spb.GRIBIClient
	stream   grpc.BidiStreamingClient[spb.ModifyRequest, spb.ModifyResponse]
	cancel   context.CancelFunc
	election *spb.Uint128
	next     uint64

	mu      sync.Mutex
	results map[uint64][]spb.AFTResult_Status
	why     map[uint64]string
	other   []*spb.ModifyResponse
	err     error
}

func newController(t *testing.T, conn *grpc.ClientConn, p *spb.SessionParameters, election uint64) *controller {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &controller{t: t, stub: spb.NewGRIBIClient(conn), cancel: cancel, results: map[uint64][]spb.AFTResult_Status{}, why: map[uint64]string{}}
	t.Cleanup(cancel)
	var err error
	if c.stream, err = c.stub.Modify(ctx); err != nil {
		t.Fatal(err)
	}
	go c.read()
	c.send(&spb.ModifyRequest{Params: p})
	if election > 0 {
		c.election = &spb.Uint128{Low: election}
		c.send(&spb.ModifyRequest{ElectionId: c.election})
	}
	return c
}

func (c *controller) send(m *spb.ModifyRequest) {
	c.t.Helper()
	if err := c.stream.Send(m); err != nil {
		c.t.Fatal(err)
	}
}

func (c *controller) read() {
	for {
		m, err := c.stream.Recv()
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
		if len(m.GetResult()) == 0 {
			c.other = append(c.other, m)
		}
		for _, r := range m.GetResult() {
			c.results[r.GetId()] = append(c.results[r.GetId()], r.GetStatus())
			c.why[r.GetId()] = r.GetErrorDetails().GetErrorMessage()
		}
		c.mu.Unlock()
	}
}

// do sends operations in one message and returns the IDs that it gave them.
func (c *controller) do(ops ...*spb.AFTOperation) []uint64 {
	c.t.Helper()
	var ids []uint64
	for _, o := range ops {
		c.next++
		o.Id, o.ElectionId = c.next, c.election
		ids = append(ids, o.Id)
	}
	c.send(&spb.ModifyRequest{Operation: ops})
	return ids
}

// await waits for a status of operations; another that ends their life fails the test.
func (c *controller) await(want spb.AFTResult_Status, ids ...uint64) {
	c.t.Helper()
	err := lab.Eventually(15*time.Second, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, id := range ids {
			got := c.results[id]
			if len(got) == 0 || got[len(got)-1] != want {
				return fmt.Errorf("operation %d: %v %s, want %v (%v)", id, got, c.why[id], want, c.err)
			}
		}
		return nil
	})
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *controller) program(ops ...*spb.AFTOperation) {
	c.t.Helper()
	c.await(spb.AFTResult_FIB_PROGRAMMED, c.do(ops...)...)
}

func (c *controller) get(instance string) []*spb.AFTEntry {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := c.stub.Get(ctx, &spb.GetRequest{NetworkInstance: &spb.GetRequest_Name{Name: instance}, Aft: spb.AFTType_ALL})
	if err != nil {
		c.t.Fatal(err)
	}
	var all []*spb.AFTEntry
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			c.t.Fatal(err)
		}
		all = append(all, m.GetEntry()...)
	}
}

func sessionParams(redundancy spb.SessionParameters_ClientRedundancy, persistence spb.SessionParameters_AFTPersistence) *spb.SessionParameters {
	return &spb.SessionParameters{Redundancy: redundancy, Persistence: persistence, AckType: spb.SessionParameters_RIB_AND_FIB_ACK}
}

var electedPreserve = sessionParams(spb.SessionParameters_SINGLE_PRIMARY, spb.SessionParameters_PRESERVE)

// gribiBed has three routers, the destinations behind each.
func gribiBed(t *testing.T) (*bed, map[string]*lab.NS, *grpc.ClientConn) {
	b := newBed(t, 3)
	sinks := map[string]*lab.NS{}
	for i := 2; i <= 4; i++ {
		r := fmt.Sprintf("r%d", i)
		sinks[r] = b.lab.NS(r)
		for _, a := range []string{anycast4 + "/32", anycast6 + "/128", "198.51.100.1/32"} {
			sinks[r].Addr("lo", a)
		}
	}
	b.start(b.interfaces())
	return b, sinks, dialBox(t, b.box, credentials.NewTLS(operator(t, b.box)))
}

// flows says how many flows go to each sink now.
func flows(t *testing.T, b *bed, sinks map[string]*lab.NS, to string) map[string]int {
	t.Helper()
	tr := startTraffic(t, b.lab.NS("a"), to, 128, 1000, sinks)
	if err := tr.settle(10 * time.Second); err != nil {
		t.Fatalf("%s: %v", to, err)
	}
	n := map[string]int{}
	for _, w := range tr.where() {
		n[w]++
	}
	tr.close()
	return n
}

// TestGRIBI: a controller's routes carry packets: shares by weight, a backup group when links die, another primary, and what becomes
// of them when their client has gone.
func TestGRIBI(t *testing.T) {
	b, sinks, conn := gribiBed(t)
	c := newController(t, conn, electedPreserve, 1)
	c.program(gribitest.HopTo(1, "10.0.2.2"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("default", "203.0.113.0/24", 1, ""))
	b.installed("203.0.113.0/24") // at once: it was acknowledged
	b.pings("a", anycast4)
	if n := flows(t, b, sinks, anycast4); n["r2"] != 128 {
		t.Fatalf("flows go to %v", n)
	}
	routes, err := b.routes("203.0.113.0/24")
	b.ok(err)
	if s := routes[0].GetSource(); s != vnfv1.RouteSource_ROUTE_SOURCE_GRIBI {
		t.Errorf("the route's source is %v", s)
	}
	if out := b.ctl("route", "list", "--source", "gribi"); !strings.Contains(out, "203.0.113.0/24") || !strings.Contains(out, "gribi") {
		t.Errorf("vnfctl shows\n%s", out)
	}

	// The distance can be changed while the route is there.
	for _, x := range [][2]string{{"gribi: {distance: 30}\n", "30/0"}, {"", "5/0"}} {
		b.ok(b.box.Apply(b.interfaces() + x[0]))
		if out := b.ctl("route", "list", "--source", "gribi"); !strings.Contains(out, " "+x[1]) {
			t.Errorf("vnfctl shows\n%s, want distance %s", out, x[1])
		}
	}

	// Shares by weight, and both families: IPv6 packets by neighbours that ARP knows, too.
	c.program(gribitest.HopTo(2, "10.0.3.2"), gribitest.HopTo(3, "10.0.4.2"), gribitest.Group("default", 9, 0, 3, 1), gribitest.Group("default", 1, 9, 1, 3, 2, 1),
		gribitest.Prefix("default", "2001:db8:c::/64", 1, ""))
	for _, to := range []string{anycast4, anycast6} {
		if n := flows(t, b, sinks, to); n["r2"] < 70 || n["r3"] < 12 || n["r2"]+n["r3"] != 128 {
			t.Errorf("%s: of 128 flows, 3 of 4 to r2 and 1 of 4 to r3, go %v", to, n)
		}
	}

	// Links die: first one takes all, then the backup does, and back.
	b.farEnd(sinks["r2"], "down")
	b.carries(sinks, anycast4, "r3")
	b.farEnd(sinks["r3"], "down")
	b.carries(sinks, anycast4, "r4")
	b.carries(sinks, anycast6, "r4")
	b.farEnd(sinks["r3"], "up")
	b.carries(sinks, anycast4, "r3")
	b.farEnd(sinks["r2"], "up")
	b.carries(sinks, anycast4, "r2", "r3")

	// Another primary: what is there stays, the earlier one is refused, and a packet is never lost.
	tr := startTraffic(t, b.lab.NS("a"), anycast4, 64, 1000, sinks)
	b.ok(tr.settle(10 * time.Second))
	d := newController(t, conn, electedPreserve, 2)
	d.program(gribitest.HopTo(2, "10.0.3.2"))
	c.await(spb.AFTResult_FAILED, c.do(gribitest.HopTo(1, "10.0.4.2"))...)
	d.program(gribitest.Group("default", 1, 0, 2, 1))
	b.ok(tr.settle(5 * time.Second))
	for i, w := range tr.where() {
		if w != "r3" {
			t.Fatalf("flow %d goes to %s", i, w)
		}
	}
	c.cancel()
	d.cancel() // preserved
	time.Sleep(500 * time.Millisecond)
	b.lossless(tr)

	// Clients that have gone: with PRESERVE entries stay, with DELETE they go.
	e := newController(t, conn, sessionParams(spb.SessionParameters_SINGLE_PRIMARY, spb.SessionParameters_DELETE), 3)
	e.program(gribitest.Prefix("default", "198.51.100.0/24", 1, ""))
	b.carries(sinks, "198.51.100.1", "r3")
	e.cancel()
	b.gone("198.51.100.0/24")
	b.carries(sinks, anycast4, "r3")

	// The data plane starts anew: everything is there again.
	b.ok(b.box.Kill("dataplane"))
	b.carries(sinks, anycast4, "r3")
	b.carries(sinks, anycast6, "r3")

	f := newController(t, conn, electedPreserve, 4)
	if n := len(f.get("default")); n != 7 { // 3 next hops, 2 groups, 2 prefixes
		t.Errorf("Get gives %d entries", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	flush := &spb.FlushRequest{NetworkInstance: &spb.FlushRequest_All{All: &spb.Empty{}}, Election: &spb.FlushRequest_Id{Id: &spb.Uint128{Low: 3}}}
	if _, err := f.stub.Flush(ctx, flush); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a flush with an old ID: %v", err)
	}
	flush.Election = &spb.FlushRequest_Id{Id: f.election}
	if _, err := f.stub.Flush(ctx, flush); err != nil {
		t.Fatal(err)
	}
	if rs, err := b.routes("--source", "gribi"); err != nil || len(rs) > 0 {
		t.Errorf("after the flush there is %v, %v", rs, err)
	}
	if l, err := b.lookup(anycast4); err != nil || strings.Contains(l.String(), "10.0.3.2") {
		t.Errorf("after the flush the data plane says %v, %v", l, err)
	}
}

// farEnd sets the far end of a link up or down; the box's end follows.
func (b *bed) farEnd(ns *lab.NS, state string) {
	b.t.Helper()
	ns.IP("link", "set", "eth0", state)
	b.ok(b.lab.Err())
}

// carries waits until the flows to an address all arrive, at exactly these sinks.
func (b *bed) carries(sinks map[string]*lab.NS, to string, want ...string) {
	b.t.Helper()
	b.eventually(30*time.Second, func() error {
		tr := startTraffic(b.t, b.lab.NS("a"), to, 64, 1000, sinks)
		defer tr.close()
		if err := tr.settle(2 * time.Second); err != nil {
			return err
		}
		at := map[string]bool{}
		for _, w := range tr.where() {
			at[w] = true
		}
		for _, w := range want {
			if !at[w] {
				return fmt.Errorf("%s: nothing arrives at %s: %v", to, w, at)
			}
		}
		if len(at) != len(want) {
			return fmt.Errorf("%s: packets arrive at %v, want %v", to, at, want)
		}
		return nil
	})
}

// TestGRIBIInstances: prefixes in another network instance by groups of the default one, and packets that are looked up again there.
func TestGRIBIInstances(t *testing.T) {
	b := newBed(t, 2)
	sinks := map[string]*lab.NS{"r2": b.lab.NS("r2"), "r3": b.lab.NS("r3")}
	for _, ns := range sinks {
		for _, a := range []string{anycast4 + "/32", anycast6 + "/128", "198.51.100.1/32"} {
			ns.Addr("lo", a)
		}
	}
	b.start(strings.Replace(b.interfaces(), "iface: port1,", "iface: port1, network-instance: red,", 1) + "network-instances: [{name: red}]\n")
	c := newController(t, dialBox(t, b.box, credentials.NewTLS(operator(t, b.box))), electedPreserve, 1)
	c.program(gribitest.HopTo(1, "10.0.2.2"), gribitest.Group("default", 1, 0, 1, 1), gribitest.Prefix("red", "203.0.113.0/24", 1, "default"))
	b.carries(sinks, anycast4, "r2")
	// By way of the default instance's own routes.
	c.program(gribitest.Hop("red", 1, &aftpb.Afts_NextHop{NetworkInstance: gribitest.Str("default")}), gribitest.Group("red", 1, 0, 1, 1),
		gribitest.Prefix("red", "0.0.0.0/0", 1, ""), gribitest.Prefix("red", "::/0", 1, ""),
		gribitest.HopTo(2, "10.0.3.2"), gribitest.Group("default", 2, 0, 2, 1), gribitest.Prefix("default", "198.51.100.0/24", 2, ""),
		gribitest.Prefix("default", "2001:db8:c::/64", 2, ""))
	b.carries(sinks, "198.51.100.1", "r3")
	b.carries(sinks, anycast6, "r3")
	// A next hop on an interface of another instance, and a default route that backs it up there.
	c.program(gribitest.Hop("red", 2, &aftpb.Afts_NextHop{InterfaceRef: &aftpb.Afts_NextHop_InterfaceRef{Interface: gribitest.Str("eth3")}, IpAddress: gribitest.Str("10.0.3.2"),
		NetworkInstance: gribitest.Str("default")}), gribitest.Group("red", 3, 1, 2, 1), gribitest.Prefix("red", "203.0.113.0/24", 3, ""),
		gribitest.Prefix("default", "203.0.113.0/24", 1, ""))
	b.carries(sinks, anycast4, "r3")
	b.farEnd(sinks["r3"], "down")
	b.carries(sinks, anycast4, "r2")
	// The instance goes, and with it what was in it; a next hop that leads into it does not hold it.
	c.program(gribitest.Hop("default", 5, &aftpb.Afts_NextHop{NetworkInstance: gribitest.Str("red")}), gribitest.Group("default", 5, 0, 5, 1),
		gribitest.Prefix("default", "192.0.2.0/24", 5, ""))
	b.ok(b.box.Apply(b.interfaces()))
	if n := len(c.get("default")); n != 10 { // 3 next hops, 3 groups, 4 prefixes
		t.Errorf("%d entries of the default instance", n)
	}
	c.await(spb.AFTResult_FAILED, c.do(gribitest.Prefix("red", "203.0.113.0/24", 1, "default"))...)
	b.carries(sinks, anycast4, "r2")
}
