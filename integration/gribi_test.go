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
	"github.com/openconfig/ygot/proto/ywrapper"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
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
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
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

func str(s string) *ywrapper.StringValue { return &ywrapper.StringValue{Value: s} }
func num(v uint64) *ywrapper.UintValue   { return &ywrapper.UintValue{Value: v} }

func gribiHop(instance string, index uint64, h *aftpb.Afts_NextHop) *spb.AFTOperation {
	return &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_NextHop{
		NextHop: &aftpb.Afts_NextHopKey{Index: index, NextHop: h},
	}}
}

func gribiHopTo(index uint64, address string) *spb.AFTOperation {
	return gribiHop("default", index, &aftpb.Afts_NextHop{IpAddress: str(address)})
}

// gribiGroup takes pairs of a next hop's index and its weight.
func gribiGroup(instance string, id, backup uint64, hops ...uint64) *spb.AFTOperation {
	g := &aftpb.Afts_NextHopGroup{}
	if backup > 0 {
		g.BackupNextHopGroup = num(backup)
	}
	for i := 0; i < len(hops); i += 2 {
		g.NextHop = append(g.NextHop, &aftpb.Afts_NextHopGroup_NextHopKey{
			Index: hops[i], NextHop: &aftpb.Afts_NextHopGroup_NextHop{Weight: num(hops[i+1])},
		})
	}
	return &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD, Entry: &spb.AFTOperation_NextHopGroup{
		NextHopGroup: &aftpb.Afts_NextHopGroupKey{Id: id, NextHopGroup: g},
	}}
}

func gribiPrefix(instance, prefix string, id uint64, groupInstance string) *spb.AFTOperation {
	o := &spb.AFTOperation{NetworkInstance: instance, Op: spb.AFTOperation_ADD}
	var in *ywrapper.StringValue
	if groupInstance != "" {
		in = str(groupInstance)
	}
	if strings.Contains(prefix, ":") {
		o.Entry = &spb.AFTOperation_Ipv6{Ipv6: &aftpb.Afts_Ipv6EntryKey{Prefix: prefix, Ipv6Entry: &aftpb.Afts_Ipv6Entry{
			NextHopGroup: num(id), NextHopGroupNetworkInstance: in,
		}}}
	} else {
		o.Entry = &spb.AFTOperation_Ipv4{Ipv4: &aftpb.Afts_Ipv4EntryKey{Prefix: prefix, Ipv4Entry: &aftpb.Afts_Ipv4Entry{
			NextHopGroup: num(id), NextHopGroupNetworkInstance: in,
		}}}
	}
	return o
}

func gribiDelete(o *spb.AFTOperation) *spb.AFTOperation {
	o.Op = spb.AFTOperation_DELETE
	return o
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
	c.program(gribiHopTo(1, "10.0.2.2"), gribiGroup("default", 1, 0, 1, 1), gribiPrefix("default", "203.0.113.0/24", 1, ""))
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
}
