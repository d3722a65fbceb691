package gnmiserver

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"millrace/server/config"
	"millrace/server/model"
	"millrace/server/store"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// applier brings nothing to a configuration: there is no system below these tests. refuse makes it fail.
type applier struct {
	refuse error
	runs   int
	// wait is closed when Apply may go on; nil: at once.
	wait chan struct{}
}

func (a *applier) Apply(_ context.Context, _ *config.Config, save func() error) error {
	a.runs++
	if a.wait != nil {
		<-a.wait
	}
	if a.refuse != nil {
		return a.refuse
	}
	return save()
}

// bed is the service on the real store and hub, and a client of it.
type bed struct {
	*testing.T
	schema  *schema.Schema
	store   *store.Store
	applier *applier
	server  *Server
	client  gpb.GNMIClient
	ctx     context.Context
}

type bedOptions struct {
	authorize Authorizer
	// sources of state, for the schema of the bed.
	sources   func(*schema.Schema) []telemetry.Source
	maxAnswer int
	// dir of the store; empty: one of the test's own.
	dir string
}

func newBed(t *testing.T, o bedOptions) *bed {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{T: t, schema: s, applier: new(applier)}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	so := store.Options{Dir: o.dir, Schema: s, Model: model.New(s), Secrets: model.Secrets()}
	if o.authorize != nil {
		so.Authorize = func(ctx context.Context, c tree.Change) error { return o.authorize.Check(ctx, c.Path, true) }
	}
	b.store, err = store.Open(so)
	if err != nil {
		t.Fatal(err)
	}
	b.store.Bind(b.applier)
	run, stop := context.WithCancel(context.Background())
	stopped := make(chan struct{})
	go func() { defer close(stopped); b.store.Run(run) }()
	t.Cleanup(func() { stop(); <-stopped })
	var sources []telemetry.Source
	if o.sources != nil {
		sources = o.sources(s)
	}
	hub, err := telemetry.New(telemetry.Options{Schema: s, Config: b.store.Tree, Sources: sources})
	if err != nil {
		t.Fatal(err)
	}
	b.server, err = New(Options{Schema: s, Store: b.store, Hub: hub, Authorize: o.authorize, MaxAnswer: o.maxAnswer})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	t.Cleanup(cancel)
	b.ctx = ctx
	l := bufconn.Listen(1 << 20)
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	b.server.Register(g)
	ended := make(chan struct{})
	go func() { defer close(ended); _ = g.Serve(l) }()
	t.Cleanup(func() { g.Stop(); <-ended })
	c, err := grpc.NewClient("passthrough:///bed", grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return l.DialContext(ctx) }),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(64<<20), grpc.MaxCallSendMsgSize(64<<20)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	b.client = gpb.NewGNMIClient(c)
	return b
}

// pathOf makes a path of a text.
func pathOf(text string) *gpb.Path { return toPath(tree.MustPath(text)) }

func jsonVal(text string) *gpb.TypedValue {
	return &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte(text)}}
}

func update(path, json string) *gpb.Update {
	return &gpb.Update{Path: pathOf(path), Val: jsonVal(json)}
}

// set carries out a request that has to succeed.
func (b *bed) set(req *gpb.SetRequest) *gpb.SetResponse {
	b.Helper()
	resp, err := b.client.Set(b.ctx, req)
	if err != nil {
		b.Fatalf("Set: %v", err)
	}
	return resp
}

// replaceAll makes the whole configuration a document.
func (b *bed) replaceAll(doc string) {
	b.Helper()
	b.set(&gpb.SetRequest{Replace: []*gpb.Update{{Path: &gpb.Path{}, Val: jsonVal(doc)}}})
}

// get reads one path as JSON_IETF.
func (b *bed) get(path string, kind gpb.GetRequest_DataType) []*gpb.Update {
	b.Helper()
	resp, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf(path)}, Type: kind, Encoding: gpb.Encoding_JSON_IETF})
	if err != nil {
		b.Fatalf("Get(%s): %v", path, err)
	}
	if len(resp.GetNotification()) != 1 {
		b.Fatalf("Get(%s): %d notifications", path, len(resp.GetNotification()))
	}
	return resp.GetNotification()[0].GetUpdate()
}

// one is the value of the only node that a path takes.
func (b *bed) one(path string, kind gpb.GetRequest_DataType) string {
	b.Helper()
	all := b.get(path, kind)
	if len(all) != 1 {
		b.Fatalf("Get(%s): %d updates: %v", path, len(all), all)
	}
	return string(all[0].GetVal().GetJsonIetfVal())
}

// document is the whole configuration in force.
func (b *bed) document() string { return string(b.store.Tree().JSON()) }

// wantError holds an error against a code and words of its message.
func wantError(t *testing.T, err error, code codes.Code, words ...string) {
	t.Helper()
	if status.Code(err) != code {
		t.Errorf("error %v, want %v", err, code)
		return
	}
	for _, w := range words {
		if !strings.Contains(status.Convert(err).Message(), w) {
			t.Errorf("%q is not in the error %v", w, err)
		}
	}
}

// violations are the fields that the details of an error name.
func violations(err error) []string {
	var out []string
	for _, d := range status.Convert(err).Details() {
		if b, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range b.GetFieldViolations() {
				out = append(out, v.GetField())
			}
		}
	}
	return out
}

// document of a router with two ports, a VLAN, a VRF and some routes, used by most tests.
const routerDocument = `{
  "openconfig-interfaces:interfaces": {"interface": [
    {"name": "eth1", "config": {"name": "eth1", "type": "iana-if-type:ethernetCsmacd", "mtu": 1500, "description": "to the left"},
     "vnf-dataplane:port": {"config": {"iface": "veth1"}},
     "subinterfaces": {"subinterface": [
       {"index": 0, "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "192.0.2.1", "config": {"prefix-length": 24}}]}},
        "openconfig-if-ip:ipv6": {"addresses": {"address": [{"ip": "2001:db8:1::1", "config": {"prefix-length": 64}}]}}},
       {"index": 7, "config": {"description": "a VLAN"},
        "openconfig-vlan:vlan": {"match": {"single-tagged": {"config": {"vlan-id": 7}}}},
        "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "192.0.3.1", "config": {"prefix-length": 24}}]}}}]}},
    {"name": "eth2", "config": {"type": "iana-if-type:ethernetCsmacd"},
     "vnf-dataplane:port": {"config": {"iface": "veth2"}},
     "subinterfaces": {"subinterface": [
       {"index": 0, "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "198.51.100.1", "config": {"prefix-length": 24}}]}}}]}},
    {"name": "lo0", "config": {"type": "iana-if-type:softwareLoopback"},
     "subinterfaces": {"subinterface": [
       {"index": 0, "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "203.0.113.1", "config": {"prefix-length": 32}}]}}}]}}
  ]},
  "openconfig-network-instance:network-instances": {"network-instance": [
    {"name": "default", "config": {"type": "openconfig-network-instance-types:DEFAULT_INSTANCE"},
     "protocols": {"protocol": [
       {"identifier": "openconfig-policy-types:STATIC", "name": "static", "static-routes": {"static": [
         {"prefix": "10.0.0.0/8", "next-hops": {"next-hop": [{"index": "0", "config": {"next-hop": "198.51.100.10"}}]}}]}}]}},
    {"name": "red", "config": {"type": "openconfig-network-instance-types:L3VRF"},
     "interfaces": {"interface": [{"id": "eth1.7", "config": {"interface": "eth1", "subinterface": 7}}]}}
  ]},
  "openconfig-system:system": {"config": {"hostname": "box"}}
}`
