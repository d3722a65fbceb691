package gribi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	spb "github.com/openconfig/gribi/v1/proto/service"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"millrace/routing/fib"
	"millrace/routing/rib"
)

// plane is a data plane of memory, which refuses what it is told to and holds its answers back when asked.
type plane struct {
	mu     sync.Mutex
	refuse map[netip.Prefix]bool
	routes map[string]uint64
	hold   chan struct{} // answers wait until it is closed
}

func (p *plane) Apply(ctx context.Context, ops []fib.Op) ([]error, error) {
	p.mu.Lock()
	hold := p.hold
	p.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	errs := make([]error, len(ops))
	for i, o := range ops {
		switch o.Type {
		case fib.RouteUpsert:
			if p.refuse[o.Prefix] {
				errs[i] = &fib.Error{Code: fib.CodeTableFull, Msg: "no room"}
				continue
			}
			p.routes[o.VRF+" "+o.Prefix.String()] = o.ID
		case fib.RouteDelete:
			delete(p.routes, o.VRF+" "+o.Prefix.String())
		}
	}
	return errs, nil
}

func (p *plane) Sweep(context.Context, uint32) error { return nil }

func (p *plane) has(vrf, prefix string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, ok := p.routes[vrf+" "+prefix]
	return ok
}

// freeze holds answers back until the returned function is called.
func (p *plane) freeze() (thaw func()) {
	c := make(chan struct{})
	p.mu.Lock()
	p.hold = c
	p.mu.Unlock()
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.hold = nil
		p.mu.Unlock()
		close(c)
	})
}

type bench struct {
	t     testing.TB
	rib   *rib.RIB
	plane *plane
	srv   *Server
	stub  spb.GRIBIClient
}

// newBench has the links eth1 and eth2 with 10.0.1.0/24, 10.0.2.0/24 and 2001:db8:1::/64, and the instance "blue".
func newBench(t testing.TB, o Options) *bench {
	t.Helper()
	b := &bench{t: t, rib: rib.New(rib.Options{}), plane: &plane{routes: map[string]uint64{}, refuse: map[netip.Prefix]bool{}}}
	for iface, prefixes := range map[string][]string{"eth1": {"10.0.1.0/24", "2001:db8:1::/64"}, "eth2": {"10.0.2.0/24"}} {
		b.rib.SetInterfaceState(iface, true)
		for _, p := range prefixes {
			b.rib.Apply([]rib.Change{{Route: rib.Route{
				Prefix: netip.MustParsePrefix(p), Source: rib.SourceConnected, Origin: iface, NextHops: []rib.NextHop{{Interface: iface}},
			}}})
		}
	}
	if err := b.rib.CreateVRF("blue"); err != nil {
		t.Fatal(err)
	}
	p := fib.New(b.rib, b.plane, fib.Options{})
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })
	p.Replay(1)
	o.RIB, o.FIB = b.rib, p
	b.srv = New(o)
	g := grpc.NewServer()
	b.srv.Register(g)
	l := bufconn.Listen(1 << 20)
	wg.Go(func() { _ = g.Serve(l) })
	conn, err := grpc.NewClient("passthrough:bench", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = conn.Close()
		g.Stop()
		cancel()
		wg.Wait()
	})
	b.stub = spb.NewGRIBIClient(conn)
	return b
}

// client is one Modify stream.
type client struct {
	b        *bench
	stream   grpc.BidiStreamingClient[spb.ModifyRequest, spb.ModifyResponse]
	cancel   context.CancelFunc
	election *spb.Uint128
	next     uint64

	mu       sync.Mutex
	got      map[uint64][]string
	why      map[uint64]string
	sessions int
	ids      []*spb.Uint128
	err      error
	ended    chan struct{}
}

var (
	single = &spb.SessionParameters{Redundancy: spb.SessionParameters_SINGLE_PRIMARY, Persistence: spb.SessionParameters_PRESERVE}
	fibAck = &spb.SessionParameters{
		Redundancy: spb.SessionParameters_SINGLE_PRIMARY, Persistence: spb.SessionParameters_PRESERVE, AckType: spb.SessionParameters_RIB_AND_FIB_ACK,
	}
	volatile = &spb.SessionParameters{Redundancy: spb.SessionParameters_SINGLE_PRIMARY}
	all      = &spb.SessionParameters{}
)

func (b *bench) client(p *spb.SessionParameters, election uint64) *client {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{b: b, cancel: cancel, got: map[uint64][]string{}, why: map[uint64]string{}, ended: make(chan struct{})}
	b.t.Cleanup(cancel)
	var err error
	if c.stream, err = b.stub.Modify(ctx); err != nil {
		b.t.Fatal(err)
	}
	go c.read()
	if p != nil {
		c.send(&spb.ModifyRequest{Params: p})
		c.wait("session parameters", func() bool { return c.sessions == 1 || c.err != nil })
	}
	if election > 0 {
		c.elect(election)
	}
	return c
}

func (c *client) send(m *spb.ModifyRequest) {
	c.b.t.Helper()
	if err := c.stream.Send(m); err != nil && !errors.Is(err, io.EOF) {
		c.b.t.Fatal(err)
	}
}

func (c *client) read() {
	defer close(c.ended)
	for {
		m, err := c.stream.Recv()
		c.mu.Lock()
		if err != nil {
			c.err = err
			c.mu.Unlock()
			return
		}
		if m.GetSessionParamsResult() != nil {
			c.sessions++
		}
		if m.GetElectionId() != nil {
			c.ids = append(c.ids, m.GetElectionId())
		}
		for _, r := range m.GetResult() {
			c.got[r.GetId()] = append(c.got[r.GetId()], r.GetStatus().String())
			c.why[r.GetId()] = r.GetErrorDetails().GetErrorMessage()
		}
		c.mu.Unlock()
	}
}

func (c *client) wait(what string, f func() bool) {
	c.b.t.Helper()
	c.waitWithin(time.Minute, what, f)
}

func (c *client) waitWithin(patience time.Duration, what string, f func() bool) {
	c.b.t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		c.mu.Lock()
		ok, err := f(), c.err
		c.mu.Unlock()
		if ok {
			return
		}
		if time.Now().After(end) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.b.t.Fatalf("%s does not come (%v): %v %v", what, err, c.got, c.why)
		}
	}
}

// elect advertises an ID and returns the answer.
func (c *client) elect(id uint64) uint64 {
	c.b.t.Helper()
	c.election = &spb.Uint128{Low: id}
	n := len(c.advertised())
	c.send(&spb.ModifyRequest{ElectionId: c.election})
	c.wait("an election ID", func() bool { return len(c.ids) > n })
	return c.advertised()[n].GetLow()
}

// advertised are the IDs that the server answered with.
func (c *client) advertised() []*spb.Uint128 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ids
}

func (c *client) do(ops ...*spb.AFTOperation) []uint64 {
	c.b.t.Helper()
	var ids []uint64
	for _, o := range ops {
		c.next++
		o.Id = c.next
		if o.ElectionId == nil {
			o.ElectionId = c.election
		}
		ids = append(ids, o.Id)
	}
	c.send(&spb.ModifyRequest{Operation: ops})
	return ids
}

// want waits for the last status of operations.
func (c *client) want(status string, ids ...uint64) {
	c.b.t.Helper()
	c.wantWithin(time.Minute, status, ids...)
}

func (c *client) wantWithin(patience time.Duration, status string, ids ...uint64) {
	c.b.t.Helper()
	for _, id := range ids {
		c.waitWithin(patience, fmt.Sprintf("%s for operation %d", status, id), func() bool {
			g := c.got[id]
			return len(g) > 0 && g[len(g)-1] == status
		})
	}
}

func (c *client) reason(id uint64) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why[id]
}

func (c *client) ok(ops ...*spb.AFTOperation) {
	c.b.t.Helper()
	c.want("RIB_PROGRAMMED", c.do(ops...)...)
}

// fails waits for the end of the stream with a code and a reason.
func (c *client) fails(code codes.Code, reason string) {
	c.b.t.Helper()
	select {
	case <-c.ended:
	case <-time.After(time.Minute):
		c.b.t.Fatal("the stream does not end")
	}
	st := status.Convert(c.err)
	got := ""
	for _, d := range st.Details() {
		if m, ok := d.(*spb.ModifyRPCErrorDetails); ok {
			got = m.GetReason().String()
		}
	}
	if st.Code() != code || got != reason {
		c.b.t.Fatalf("the stream ends with %v %q: %v, want %v %q", st.Code(), got, c.err, code, reason)
	}
}

// close ends the stream, and waits until the server has seen it.
func (c *client) close() {
	c.b.t.Helper()
	before := c.b.sessions()
	c.cancel()
	<-c.ended
	c.b.eventually("the session is left", func() bool { return c.b.sessions() < before })
}

func (b *bench) sessions() int {
	b.srv.mu.Lock()
	defer b.srv.mu.Unlock()
	return len(b.srv.sessions)
}

func (b *bench) get(name string, t spb.AFTType) []*spb.AFTEntry {
	b.t.Helper()
	req := &spb.GetRequest{NetworkInstance: &spb.GetRequest_Name{Name: name}, Aft: t}
	if name == "" {
		req.NetworkInstance = &spb.GetRequest_All{All: &spb.Empty{}}
	}
	s, err := b.stub.Get(context.Background(), req)
	if err != nil {
		b.t.Fatal(err)
	}
	var out []*spb.AFTEntry
	for {
		m, err := s.Recv()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			b.t.Fatal(err)
		}
		out = append(out, m.GetEntry()...)
	}
}

func (b *bench) eventually(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatal(what)
		}
	}
}

// goes is where packets go, short.
func (b *bench) goes(vrf, a string) string {
	b.t.Helper()
	ms, err := b.rib.Resolve(vrf, netip.MustParseAddr(a))
	if err != nil {
		b.t.Fatal(err)
	}
	s := ""
	for _, m := range ms {
		if s != "" {
			s += " "
		}
		if m.Kind != rib.KindUnicast {
			s += m.Kind.String() + "@" + m.VRF
			continue
		}
		s += fmt.Sprintf("%s*%d", m.Gateway, m.Weight)
	}
	return s
}

func (b *bench) wantGoes(vrf, a, want string) {
	b.t.Helper()
	if got := b.goes(vrf, a); got != want {
		b.t.Fatalf("%s in %s goes to %q, want %q", a, vrf, got, want)
	}
}

func with(v spb.AFTOperation_Operation, o *spb.AFTOperation) *spb.AFTOperation {
	o.Op = v
	return o
}

func del(o *spb.AFTOperation) *spb.AFTOperation     { return with(spb.AFTOperation_DELETE, o) }
func replace(o *spb.AFTOperation) *spb.AFTOperation { return with(spb.AFTOperation_REPLACE, o) }
