package gnmiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"

	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// counters is a source of two counters and the status of each interface that it is told of.
type counters struct {
	s     *schema.Schema
	names []string
	err   error
}

func (c *counters) Roots() []string {
	return []string{"/interfaces/interface/state/counters", "/interfaces/interface/state/oper-status"}
}

func (c *counters) Read(_ context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	if c.err != nil {
		return c.err
	}
	for i, name := range c.names {
		p := tree.MustPath("/interfaces/interface[name=" + name + "]")
		if !m.Touches(p) {
			continue
		}
		b, err := telemetry.NewObject(c.s, p).Set("state/counters/in-octets", uint64(i+1)<<40).Set("state/counters/in-pkts", i).
			Set("state/oper-status", "UP").Batch(time.Unix(1, 0))
		if err == nil {
			err = emit(b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func newStateBed(t *testing.T, names ...string) *bed {
	b := newBed(t, bedOptions{sources: func(s *schema.Schema) []telemetry.Source {
		return []telemetry.Source{&counters{s: s, names: names}}
	}})
	b.replaceAll(routerDocument)
	return b
}

func TestCapabilities(t *testing.T) {
	b := newBed(t, bedOptions{})
	resp, err := b.client.Capabilities(b.ctx, &gpb.CapabilityRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if resp.GetGNMIVersion() != "0.10.0" {
		t.Errorf("version %s", resp.GetGNMIVersion())
	}
	want := []gpb.Encoding{gpb.Encoding_JSON, gpb.Encoding_JSON_IETF, gpb.Encoding_PROTO, gpb.Encoding_ASCII}
	for _, e := range want {
		if !slices.Contains(resp.GetSupportedEncodings(), e) {
			t.Errorf("%s is not among the encodings", e)
		}
	}
	models := map[string]*gpb.ModelData{}
	for _, m := range resp.GetSupportedModels() {
		models[m.GetName()] = m
		if m.GetVersion() == "" || m.GetOrganization() == "" {
			t.Errorf("model %v lacks something", m)
		}
	}
	for _, name := range []string{"openconfig-interfaces", "openconfig-network-instance", "openconfig-routing-policy", "openconfig-system",
		"openconfig-platform", "vnf-deviations", "vnf-dataplane", "vnf-tcp-termination", "vnf-aaa"} {
		if models[name] == nil {
			t.Errorf("model %s is missing", name)
		}
	}
	_, err = b.client.Capabilities(b.ctx, &gpb.CapabilityRequest{Extension: depth(1)})
	wantError(t, err, codes.Unimplemented, "depth", "Capabilities")
}

func depth(n uint32) []*epb.Extension {
	return []*epb.Extension{{Ext: &epb.Extension_Depth{Depth: &epb.Depth{Level: n}}}}
}

func TestGetTypes(t *testing.T) {
	b := newStateBed(t, "eth1", "eth2")
	const p = "/interfaces/interface[name=eth1]"
	for _, c := range []struct {
		kind      gpb.GetRequest_DataType
		has, hasn []string
	}{
		{gpb.GetRequest_ALL, []string{`"config":{"description"`, `"in-octets":"1099511627776"`, `"oper-status":"UP"`, `"mtu":1500`}, nil},
		{gpb.GetRequest_CONFIG, []string{`"config":{"description"`, `"openconfig-interfaces:name":"eth1"`}, []string{`state"`, "oper-status"}},
		{gpb.GetRequest_STATE, []string{`"state":{`, `"mtu":1500`, `"oper-status":"UP"`}, []string{`"config"`}},
		{gpb.GetRequest_OPERATIONAL, []string{`"oper-status":"UP"`, `"in-octets"`}, []string{`"config"`, `"mtu"`}},
	} {
		got := b.one(p, c.kind)
		for _, w := range c.has {
			if !strings.Contains(got, w) {
				t.Errorf("%v: %s is not in %s", c.kind, w, got)
			}
		}
		for _, w := range c.hasn {
			if strings.Contains(got, w) {
				t.Errorf("%v: %s is in %s", c.kind, w, got)
			}
		}
	}
	// The whole configuration is the tree, byte for byte.
	if got := b.one("/", gpb.GetRequest_CONFIG); got != b.document() {
		t.Errorf("Get gives\n%s\nand the store has\n%s", got, b.document())
	}
}

func TestGetPaths(t *testing.T) {
	b := newStateBed(t, "eth1", "eth2")
	for _, c := range []struct {
		path string
		want []string
	}{
		{"/interfaces/interface[name=eth1]/config/mtu", []string{"/interfaces/interface[name=eth1]/config/mtu=1500"}},
		{"/interfaces/interface[name=*]/config/mtu", []string{"/interfaces/interface[name=eth1]/config/mtu=1500"}},
		{"/interfaces/interface/state/oper-status", []string{
			`/interfaces/interface[name=eth1]/state/oper-status="UP"`, `/interfaces/interface[name=eth2]/state/oper-status="UP"`}},
		{"/interfaces/interface[name=eth2]/*/description", nil},
		{"/interfaces/interface[name=eth1]/*/description", []string{
			`/interfaces/interface[name=eth1]/config/description="to the left"`, `/interfaces/interface[name=eth1]/state/description="to the left"`}},
		{"/interfaces/.../vlan-id", []string{
			"/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=7]/vlan/match/single-tagged/config/vlan-id=7",
			"/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=7]/vlan/match/single-tagged/state/vlan-id=7"}},
		{"/openconfig-system:system/config", []string{`/system/config={"openconfig-system:hostname":"box"}`}},
		{"/network-instances/network-instance[name=default]/protocols/protocol[name=static][identifier=STATIC]/config/identifier", []string{
			`/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/config/identifier="openconfig-policy-types:STATIC"`}},
		{"/network-instances/network-instance[name=default]/protocols/protocol[name=static]/config/name", []string{
			`/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/config/name="static"`}},
	} {
		var got []string
		for _, u := range b.get(c.path, gpb.GetRequest_ALL) {
			p, err := fromPath(nil, u.GetPath(), "")
			if err != nil {
				t.Fatal(err)
			}
			// The keys come in the order of their names there, which is that of the schema here.
			got = append(got, p.String()+"="+string(u.GetVal().GetJsonIetfVal()))
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("Get(%s):\n%s\nwant\n%s", c.path, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

func TestGetErrors(t *testing.T) {
	b := newStateBed(t, "eth1")
	for _, c := range []struct {
		name  string
		req   *gpb.GetRequest
		code  codes.Code
		words []string
	}{
		{"unknown", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/nothing")}}, codes.InvalidArgument, []string{"/interfaces/nothing", "schema"}},
		{"deviated", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth1]/hold-time")}}, codes.InvalidArgument,
			[]string{"/interfaces/interface[name=eth1]/hold-time", "not supported"}},
		{"nothing there", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth9]")}}, codes.NotFound, []string{"[name=eth9]", "entry"}},
		{"leaf not there", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth2]/config/mtu")}}, codes.NotFound, []string{"config/mtu"}},
		{"key of no list", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces[name=x]")}}, codes.InvalidArgument, []string{"/interfaces[name=x]"}},
		{"wrong key", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[id=x]")}}, codes.InvalidArgument, []string{"no key id"}},
		{"key out of range", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=a]/subinterfaces/subinterface[index=-1]")}},
			codes.InvalidArgument, []string{"index=-1"}},
		{"origin", &gpb.GetRequest{Path: []*gpb.Path{{Origin: "cli"}}}, codes.InvalidArgument, []string{"path[0]", `"cli"`}},
		{"origin of the prefix", &gpb.GetRequest{Prefix: &gpb.Path{Origin: "native"}}, codes.InvalidArgument, []string{"prefix", `"native"`}},
		{"two origins", &gpb.GetRequest{Prefix: &gpb.Path{Origin: "openconfig"}, Path: []*gpb.Path{{Origin: "cli"}}}, codes.InvalidArgument, []string{"cli"}},
		{"target in a path", &gpb.GetRequest{Path: []*gpb.Path{{Target: "box"}}}, codes.InvalidArgument, []string{"target"}},
		{"encoding", &gpb.GetRequest{Encoding: gpb.Encoding_BYTES}, codes.Unimplemented, []string{"BYTES"}},
		{"unknown encoding", &gpb.GetRequest{Encoding: 77}, codes.Unimplemented, []string{"77"}},
		{"type", &gpb.GetRequest{Type: 9}, codes.InvalidArgument, []string{"type"}},
		{"model", &gpb.GetRequest{UseModels: []*gpb.ModelData{{Name: "openconfig-bfd"}}}, codes.InvalidArgument, []string{"openconfig-bfd"}},
		{"version of a model", &gpb.GetRequest{UseModels: []*gpb.ModelData{{Name: "openconfig-interfaces", Version: "0.0.1"}}}, codes.InvalidArgument, []string{"0.0.1"}},
		{"history", &gpb.GetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_History{History: &epb.History{}}}}}, codes.Unimplemented, []string{"history"}},
		{"commit in Get", &gpb.GetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_Commit{}}}}, codes.Unimplemented, []string{"commit"}},
		{"registered extension", &gpb.GetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_RegisteredExt{
			RegisteredExt: &epb.RegisteredExtension{Id: epb.ExtensionID_EID_EXPERIMENTAL}}}}}, codes.Unimplemented, []string{"999"}},
		{"empty extension", &gpb.GetRequest{Extension: []*epb.Extension{{}}}, codes.Unimplemented, []string{"extension[0]"}},
		{"depth twice", &gpb.GetRequest{Extension: append(depth(1), depth(2)...)}, codes.InvalidArgument, []string{"twice"}},
		{"too many paths", &gpb.GetRequest{Path: make([]*gpb.Path, maxGetPaths+1)}, codes.InvalidArgument, []string{"1024"}},
		{"too many wildcards", &gpb.GetRequest{Path: []*gpb.Path{pathOf("/" + strings.Repeat(".../", 9) + "name")}}, codes.InvalidArgument, []string{"wildcards"}},
		{"step without a name", &gpb.GetRequest{Path: []*gpb.Path{{Elem: []*gpb.PathElem{{}}}}}, codes.InvalidArgument, []string{"step 0"}},
	} {
		for i, p := range c.req.GetPath() {
			if p == nil {
				c.req.Path[i] = &gpb.Path{}
			}
		}
		_, err := b.client.Get(b.ctx, c.req)
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.code, c.words...) })
	}
	_, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth9]")}})
	if v := violations(err); !slices.Equal(v, []string{"/interfaces/interface[name=eth9]"}) {
		t.Errorf("details name %v", v)
	}
}

func TestGetPrefixAndManyPaths(t *testing.T) {
	b := newStateBed(t, "eth1")
	resp, err := b.client.Get(b.ctx, &gpb.GetRequest{
		Prefix:   &gpb.Path{Target: "box", Origin: "openconfig", Elem: pathOf("/interfaces/interface[name=eth1]").Elem},
		Path:     []*gpb.Path{pathOf("/config/mtu"), pathOf("/state/oper-status"), pathOf("/config/mtu")},
		Encoding: gpb.Encoding_JSON_IETF,
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := len(resp.GetNotification()); n != 3 {
		t.Fatalf("%d notifications", n)
	}
	for _, n := range resp.GetNotification() {
		if n.GetPrefix().GetTarget() != "box" || n.GetPrefix().GetOrigin() != "openconfig" || len(n.GetPrefix().GetElem()) != 0 {
			t.Errorf("prefix %v", n.GetPrefix())
		}
		if at := time.Unix(0, n.GetTimestamp()); time.Since(at) > time.Minute {
			t.Errorf("timestamp %v", at)
		}
	}
	if p := resp.GetNotification()[1].GetUpdate()[0].GetPath(); !proto.Equal(p, pathOf("/interfaces/interface[name=eth1]/state/oper-status")) {
		t.Errorf("path %v", p)
	}
	// The prefix alone.
	resp, err = b.client.Get(b.ctx, &gpb.GetRequest{Prefix: pathOf("/system/config"), Encoding: gpb.Encoding_JSON_IETF})
	if err != nil {
		t.Fatal(err)
	}
	if got := string(resp.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal()); got != `{"openconfig-system:hostname":"box"}` {
		t.Errorf("got %s", got)
	}
}

func TestGetDepth(t *testing.T) {
	b := newStateBed(t)
	for _, c := range []struct {
		path  string
		depth uint32
		want  string
	}{
		{"/interfaces/interface[name=lo0]", 1, `{"openconfig-interfaces:name":"lo0"}`},
		{"/interfaces/interface[name=lo0]", 2, `{"openconfig-interfaces:name":"lo0","openconfig-interfaces:config":{"name":"lo0","type":"iana-if-type:softwareLoopback"}}`},
		{"/interfaces", 2, `{"openconfig-interfaces:interface":[{"name":"eth1"},{"name":"eth2"},{"name":"lo0"}]}`},
	} {
		resp, err := b.client.Get(b.ctx, &gpb.GetRequest{
			Path: []*gpb.Path{pathOf(c.path)}, Extension: depth(c.depth), Type: gpb.GetRequest_CONFIG, Encoding: gpb.Encoding_JSON_IETF,
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(resp.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal()); got != c.want {
			t.Errorf("%s to depth %d: %s", c.path, c.depth, got)
		}
	}
}

func TestGetEncodings(t *testing.T) {
	b := newStateBed(t, "eth1")
	read := func(path string, e gpb.Encoding) map[string]*gpb.TypedValue {
		t.Helper()
		resp, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf(path)}, Encoding: e})
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]*gpb.TypedValue{}
		for _, u := range resp.GetNotification()[0].GetUpdate() {
			p, _ := fromPath(nil, u.GetPath(), "")
			out[p.String()] = u.GetVal()
		}
		return out
	}
	const eth1 = "/interfaces/interface[name=eth1]"
	got := read(eth1, gpb.Encoding_PROTO)
	for path, want := range map[string]*gpb.TypedValue{
		eth1 + "/config/mtu":               {Value: &gpb.TypedValue_UintVal{UintVal: 1500}},
		eth1 + "/config/type":              {Value: &gpb.TypedValue_StringVal{StringVal: "ethernetCsmacd"}},
		eth1 + "/state/enabled":            {Value: &gpb.TypedValue_BoolVal{BoolVal: true}},
		eth1 + "/state/counters/in-octets": {Value: &gpb.TypedValue_UintVal{UintVal: 1 << 40}},
		eth1 + "/port/config/iface":        {Value: &gpb.TypedValue_StringVal{StringVal: "veth1"}},
		eth1 + "/subinterfaces/subinterface[index=7]/ipv4/addresses/address[ip=192.0.3.1]/config/prefix-length": {Value: &gpb.TypedValue_UintVal{UintVal: 24}},
	} {
		if !proto.Equal(got[path], want) {
			t.Errorf("%s is %v", path, got[path])
		}
	}
	if v := read(eth1+"/config/mtu", gpb.Encoding_ASCII)[eth1+"/config/mtu"]; v.GetAsciiVal() != "1500" {
		t.Errorf("ASCII: %v", v)
	}
	plain := string(read(eth1, gpb.Encoding_JSON)[eth1].GetJsonVal())
	for _, w := range []string{`"in-octets":1099511627776`, `"type":"ethernetCsmacd"`, `"port":{"config":{"iface":"veth1"}`} {
		if !strings.Contains(plain, w) {
			t.Errorf("%s is not in %s", w, plain)
		}
	}
	if !json.Valid([]byte(plain)) {
		t.Errorf("not JSON: %s", plain)
	}
}

func TestGetModels(t *testing.T) {
	b := newStateBed(t, "eth1")
	resp, err := b.client.Get(b.ctx, &gpb.GetRequest{
		Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth1]")}, Encoding: gpb.Encoding_JSON_IETF, Type: gpb.GetRequest_CONFIG,
		UseModels: []*gpb.ModelData{{Name: "openconfig-interfaces"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	got := string(resp.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal())
	if strings.Contains(got, "vnf-dataplane") || strings.Contains(got, "openconfig-if-ip") || !strings.Contains(got, "to the left") {
		t.Errorf("got %s", got)
	}
}

func TestGetBounded(t *testing.T) {
	b := newBed(t, bedOptions{maxAnswer: 10_000})
	b.replaceAll(routerDocument)
	if _, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf("/")}}); err != nil {
		t.Fatal(err)
	}
	var routes []string
	for i := range 200 {
		routes = append(routes, fmt.Sprintf(`{"prefix": "10.1.%d.0/24", "next-hops": {"next-hop": [{"index": "0", "config": {"next-hop": "198.51.100.10"}}]}}`, i))
	}
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update(
		"/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes",
		`{"static": [`+strings.Join(routes, ",")+`]}`)}})
	_, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf("/")}})
	wantError(t, err, codes.ResourceExhausted, "ONCE", "10000 bytes")
}

func TestGetWhenASourceFails(t *testing.T) {
	b := newBed(t, bedOptions{sources: func(s *schema.Schema) []telemetry.Source {
		return []telemetry.Source{&counters{s: s, err: fmt.Errorf("the data plane is away")}}
	}})
	b.replaceAll(routerDocument)
	_, err := b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf("/interfaces/interface[name=eth1]/state")}})
	wantError(t, err, codes.Unavailable, "the data plane is away")
	if got := b.one("/system/config/hostname", gpb.GetRequest_ALL); got != `"box"` {
		t.Errorf("got %s", got)
	}
}

// deny lets nobody read or write what begins with a prefix.
type deny struct{ read, write string }

func (d deny) Check(_ context.Context, p tree.Path, write bool) error {
	prefix := d.read
	if write {
		prefix = d.write
	}
	if prefix != "" && strings.HasPrefix(p.String(), prefix) {
		return fault(codes.PermissionDenied, p.String(), "may not be touched")
	}
	return nil
}

func TestAuthorization(t *testing.T) {
	b := newBed(t, bedOptions{authorize: deny{read: "/system", write: "/network-instances/network-instance[name=red]"}})
	_, err := b.client.Set(b.ctx, &gpb.SetRequest{Replace: []*gpb.Update{{Path: &gpb.Path{}, Val: jsonVal(routerDocument)}}})
	wantError(t, err, codes.PermissionDenied, "/network-instances/network-instance[name=red]")
	if b.document() != "{}" {
		t.Errorf("a refused Set left %s", b.document())
	}
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update("/system/config/hostname", `"box"`)}})
	_, err = b.client.Get(b.ctx, &gpb.GetRequest{Path: []*gpb.Path{pathOf("/system/config")}})
	wantError(t, err, codes.PermissionDenied, "/system")
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update("/interfaces/interface[name=lo0]/config/type", `"softwareLoopback"`)}})
	if got := b.one("/", gpb.GetRequest_CONFIG); strings.Contains(got, "hostname") || !strings.Contains(got, "lo0") {
		t.Errorf("got %s", got)
	}
}
