package gnmiserver

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

var loaded = sync.OnceValues(schema.Load)

// portState is a source of oper-status, which it tells the changes of, and of counters.
type portState struct {
	s     *schema.Schema
	mu    sync.Mutex
	up    map[string]bool
	pkts  uint64
	since time.Time
	subs  map[chan telemetry.Batch]bool
	reads int
}

func (p *portState) Roots() []string {
	return []string{"/interfaces/interface/state/oper-status", "/interfaces/interface/state/counters"}
}

func (p *portState) Sampled(n *schema.Node) bool { return n.Name != "oper-status" }

func (p *portState) Read(_ context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	p.mu.Lock()
	p.reads++
	names := make([]string, 0, len(p.up))
	up := map[string]bool{}
	for name, u := range p.up {
		names, up[name] = append(names, name), u
	}
	pkts, since := p.pkts, p.since
	p.mu.Unlock()
	slices.Sort(names)
	now := time.Now()
	for _, name := range names {
		o := tree.MustPath("/interfaces/interface[name=" + name + "]")
		if !m.Touches(o) {
			continue
		}
		for _, b := range []*telemetry.Object{
			telemetry.NewObject(p.s, o).Set("state/oper-status", status01[up[name]]),
			telemetry.NewObject(p.s, o).Set("state/counters/in-pkts", pkts).Set("state/counters/out-pkts", 2*pkts),
		} {
			at := now
			if all, _ := b.Leaves(); len(all) == 1 {
				at = since
			}
			batch, err := b.Batch(at)
			if err == nil {
				err = emit(batch)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

var status01 = map[bool]string{true: "UP", false: "DOWN"}

func (p *portState) Watch(ctx context.Context, _ tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	c := make(chan telemetry.Batch, 16)
	p.mu.Lock()
	p.subs[c] = true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		delete(p.subs, c)
		p.mu.Unlock()
	}()
	ready()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case b := <-c:
			if err := emit(b); err != nil {
				return err
			}
		}
	}
}

// set has a port go up or down, at a time.
func (p *portState) set(name string, up bool, at time.Time) {
	b, err := telemetry.NewObject(p.s, tree.MustPath("/interfaces/interface[name="+name+"]")).Set("state/oper-status", status01[up]).Batch(at)
	if err != nil {
		panic(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.up[name] = up
	for c := range p.subs {
		c <- b
	}
}

func (p *portState) count(pkts uint64) {
	p.mu.Lock()
	p.pkts = pkts
	p.mu.Unlock()
}

// subBed is the service with a hub, and a client of it.
type subBed struct {
	testing.TB
	schema *schema.Schema
	hub    *telemetry.Hub
	ports  *portState
	conn   *grpc.ClientConn
	client gpb.GNMIClient
	grpc   *grpc.Server
	ctx    context.Context
	mu     sync.Mutex
	tree   *tree.Tree
}

// began is when the first configuration of a subBed was committed.
var began = time.Unix(1_000_000_000, 5)

func newSubBed(t testing.TB, authorize Authorizer, more ...telemetry.Source) *subBed {
	t.Helper()
	s, err := loaded()
	if err != nil {
		t.Fatal(err)
	}
	b := &subBed{TB: t, schema: s, tree: tree.New(s)}
	b.ports = &portState{s: s, up: map[string]bool{"eth1": true, "eth2": false}, pkts: 1, since: time.Unix(77, 0), subs: map[chan telemetry.Batch]bool{}}
	b.hub, err = telemetry.New(telemetry.Options{Schema: s, Config: b.config, Sources: append(more, b.ports), Since: began})
	if err != nil {
		t.Fatal(err)
	}
	b.tree = b.edited("/interfaces/interface[name=eth1]/config/mtu=1500", "/system/config/hostname=box")
	srv, err := New(Options{Schema: s, Store: struct{ Store }{}, Hub: b.hub, Authorize: authorize})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	b.ctx = ctx
	l := bufconn.Listen(256 << 10)
	b.grpc = grpc.NewServer()
	srv.Register(b.grpc)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = b.grpc.Serve(l) }()
	t.Cleanup(func() { b.grpc.Stop(); <-ended })
	// Windows that stay as they are: what is in them for a client that does not read counts against none of our limits.
	b.conn, err = grpc.NewClient("passthrough:///bed", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(64<<10), grpc.WithStaticConnWindowSize(1<<20),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.conn.Close() })
	b.client = gpb.NewGNMIClient(b.conn)
	return b
}

func (b *subBed) config() *tree.Tree {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.tree
}

// edited is the configuration with settings PATH=VALUE, or -PATH for what goes.
func (b *subBed) edited(settings ...string) *tree.Tree {
	b.Helper()
	e := b.config().Edit()
	for _, one := range settings {
		var err error
		if p, ok := strings.CutPrefix(one, "-"); ok {
			err = e.Delete(tree.MustPath(p))
		} else {
			i := strings.LastIndexByte(one, '=')
			err = e.SetText(tree.MustPath(one[:i]), one[i+1:])
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	next, err := e.Commit()
	if err != nil {
		b.Fatal(err)
	}
	return next
}

func (b *subBed) commit(at time.Time, settings ...string) {
	b.Helper()
	old, next := b.config(), b.edited(settings...)
	b.mu.Lock()
	b.tree = next
	b.mu.Unlock()
	b.hub.Committed(old, next, at)
}

// call is a call of Subscribe.
type call struct {
	*subBed
	gpb.GNMI_SubscribeClient
	cancel context.CancelFunc
}

// subList makes a subscription list of paths, each of which may have "@sample", "@change" or "@defined" behind it.
func subList(mode gpb.SubscriptionList_Mode, subs ...string) *gpb.SubscriptionList {
	l := &gpb.SubscriptionList{Mode: mode, Encoding: gpb.Encoding_PROTO}
	for _, one := range subs {
		path, how, _ := strings.Cut(one, "@")
		sub := &gpb.Subscription{Path: pathOf(path)}
		switch how {
		case "sample":
			sub.Mode, sub.SampleInterval = gpb.SubscriptionMode_SAMPLE, uint64(minInterval)
		case "change":
			sub.Mode = gpb.SubscriptionMode_ON_CHANGE
		}
		l.Subscription = append(l.Subscription, sub)
	}
	return l
}

func (b *subBed) subscribe(l *gpb.SubscriptionList) *call {
	b.Helper()
	return b.request(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: l}})
}

func (b *subBed) request(req *gpb.SubscribeRequest) *call {
	b.Helper()
	ctx, cancel := context.WithCancel(b.ctx)
	b.Cleanup(cancel)
	s, err := b.client.Subscribe(ctx)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Send(req); err != nil {
		b.Fatal(err)
	}
	return &call{b, s, cancel}
}

// item is a value or a deletion, as text, with the notification it came in.
type item struct {
	text string
	n    *gpb.Notification
}

func items(n *gpb.Notification) (out []item) {
	whole := func(p *gpb.Path) string {
		var at tree.Path
		for _, e := range append(slices.Clone(n.GetPrefix().GetElem()), p.GetElem()...) {
			el := tree.Elem{Name: e.GetName()}
			for k, v := range e.GetKey() {
				el.Keys = append(el.Keys, tree.Key{Name: k, Value: v})
			}
			at = append(at, el)
		}
		return at.String()
	}
	for _, d := range n.GetDelete() {
		out = append(out, item{"-" + whole(d), n})
	}
	for _, u := range n.GetUpdate() {
		out = append(out, item{whole(u.GetPath()) + "=" + text(u.GetVal()), n})
	}
	return out
}

func text(v *gpb.TypedValue) string {
	switch x := v.GetValue().(type) {
	case *gpb.TypedValue_StringVal:
		return x.StringVal
	case *gpb.TypedValue_UintVal:
		return fmt.Sprint(x.UintVal)
	case *gpb.TypedValue_BoolVal:
		return fmt.Sprint(x.BoolVal)
	case *gpb.TypedValue_JsonIetfVal:
		return string(x.JsonIetfVal)
	case *gpb.TypedValue_JsonVal:
		return string(x.JsonVal)
	case *gpb.TypedValue_AsciiVal:
		return x.AsciiVal
	}
	return v.String()
}

// toSync receives all up to the sync_response, in order of the texts.
func (c *call) toSync() []string {
	c.Helper()
	var out []string
	for {
		r, err := c.Recv()
		if err != nil {
			c.Fatalf("before the sync_response: %v", err)
		}
		if r.GetSyncResponse() {
			slices.Sort(out)
			return out
		}
		for _, i := range items(r.GetUpdate()) {
			out = append(out, i.text)
		}
	}
}

// next receives one notification.
func (c *call) next() []item {
	c.Helper()
	r, err := c.Recv()
	if err != nil {
		c.Fatal(err)
	}
	if r.GetUpdate() == nil {
		c.Fatalf("not a notification: %v", r)
	}
	return items(r.GetUpdate())
}

func texts(all []item) (out []string) {
	for _, i := range all {
		out = append(out, i.text)
	}
	slices.Sort(out)
	return out
}

func (b *subBed) same(what string, got []string, want ...string) {
	b.Helper()
	slices.Sort(want)
	if !slices.Equal(got, want) {
		b.Errorf("%s:\n got %s\nwant %s", what, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}
