package gnmiserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"

	"millrace/server/config"
	"millrace/yang/tree"
)

const eth1 = "/interfaces/interface[name=eth1]"

func TestSetOrderAndResults(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	req := &gpb.SetRequest{
		Prefix: &gpb.Path{Target: "box", Elem: pathOf("/interfaces").Elem},
		// Deletes come before what sets the same again, whatever the order in the message.
		Update: []*gpb.Update{
			update("/interface[name=eth1]/config/description", `"first"`),
			update("/interface[name=eth1]/config/description", `"last"`),
		},
		Replace: []*gpb.Update{update("/interface[name=eth1]/config", `{"type": "ethernetCsmacd", "description": "replaced"}`)},
		Delete:  []*gpb.Path{pathOf("/interface[name=eth1]/config/mtu"), pathOf("/interface[name=eth9]")},
	}
	before := time.Now()
	resp := b.set(req)
	if got := b.one(eth1+"/config", gpb.GetRequest_CONFIG); got != `{"openconfig-interfaces:description":"last","openconfig-interfaces:name":"eth1","openconfig-interfaces:type":"iana-if-type:ethernetCsmacd"}` {
		t.Errorf("config is %s", got)
	}
	var ops []string
	for i, r := range resp.GetResponse() {
		ops = append(ops, r.GetOp().String())
		want := append(append([]*gpb.Path{}, req.Delete...), req.Replace[0].Path, req.Update[0].Path, req.Update[1].Path)[i]
		if !proto.Equal(r.GetPath(), want) {
			t.Errorf("result %d is of %v", i, r.GetPath())
		}
	}
	if s := strings.Join(ops, " "); s != "DELETE DELETE REPLACE UPDATE UPDATE" {
		t.Errorf("results %s", s)
	}
	if resp.GetPrefix().GetTarget() != "box" {
		t.Errorf("prefix %v", resp.GetPrefix())
	}
	if at := time.Unix(0, resp.GetTimestamp()); at.Before(before.Add(-time.Second)) || time.Since(at) < 0 {
		t.Errorf("timestamp %v", at)
	}
}

func TestSetReplaceIsWhole(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	b.set(&gpb.SetRequest{Replace: []*gpb.Update{update(eth1+"/subinterfaces/subinterface[index=0]",
		`{"openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "192.0.2.9", "config": {"ip": "192.0.2.9", "prefix-length": 24}}]}}}`)}})
	got := b.one(eth1+"/subinterfaces/subinterface[index=0]", gpb.GetRequest_CONFIG)
	if strings.Contains(got, "192.0.2.1\"") || strings.Contains(got, "ipv6") || !strings.Contains(got, "192.0.2.9") {
		t.Errorf("got %s", got)
	}
	// All entries that are not named are removed, the other subinterface too.
	b.set(&gpb.SetRequest{
		Delete:  []*gpb.Path{pathOf("/network-instances/network-instance[name=red]")},
		Replace: []*gpb.Update{update(eth1+"/subinterfaces", `{"subinterface": [{"index": 0}]}`)},
	})
	if got := b.one(eth1+"/subinterfaces", gpb.GetRequest_CONFIG); got != `{"openconfig-interfaces:subinterface":[{"index":0,"config":{"index":0}}]}` {
		t.Errorf("got %s", got)
	}
}

func TestSetDeleteWildcards(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	b.set(&gpb.SetRequest{Delete: []*gpb.Path{
		pathOf("/interfaces/interface[name=*]/config/mtu"), pathOf("/interfaces/interface/subinterfaces/subinterface[index=0]/ipv6"),
		pathOf("/network-instances/network-instance[name=default]/protocols/protocol[name=static]"), pathOf("/interfaces/interface/*/description"),
	}})
	got := b.document()
	for _, w := range []string{"mtu", "2001:db8", "10.0.0.0/8", "to the left"} {
		if strings.Contains(got, w) {
			t.Errorf("%s is still in %s", w, got)
		}
	}
	if !strings.Contains(got, "192.0.2.1") || !strings.Contains(got, "vlan-id") {
		t.Errorf("too much is gone: %s", got)
	}
	b.set(&gpb.SetRequest{Delete: []*gpb.Path{{}}})
	if b.document() != "{}" {
		t.Errorf("the whole tree deleted leaves %s", b.document())
	}
}

func TestSetTypedValues(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	str := func(s string) *gpb.TypedValue { return &gpb.TypedValue{Value: &gpb.TypedValue_StringVal{StringVal: s}} }
	num := func(n uint64) *gpb.TypedValue { return &gpb.TypedValue{Value: &gpb.TypedValue_UintVal{UintVal: n}} }
	for _, c := range []struct {
		path string
		val  *gpb.TypedValue
		want string
	}{
		{eth1 + "/config/description", str("by a string"), `"by a string"`},
		{eth1 + "/config/description", &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "by ASCII"}}, `"by ASCII"`},
		{eth1 + "/config/mtu", num(9000), "9000"},
		{eth1 + "/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_IntVal{IntVal: 1400}}, "1400"},
		{eth1 + "/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "1401"}}, "1401"},
		{eth1 + "/config/mtu", &gpb.TypedValue{Value: &gpb.TypedValue_JsonVal{JsonVal: []byte("1402")}}, "1402"},
		{eth1 + "/config/enabled", &gpb.TypedValue{Value: &gpb.TypedValue_BoolVal{}}, "false"},
		{eth1 + "/config/type", str("ethernetCsmacd"), `"iana-if-type:ethernetCsmacd"`},
		{eth1 + "/config/type", str("iana-if-type:ethernetCsmacd"), `"iana-if-type:ethernetCsmacd"`},
		{eth1 + "/subinterfaces/subinterface[index=0]/config/urpf", str("STRICT"), `"STRICT"`},
		{eth1 + "/subinterfaces/subinterface[index=7]/vlan/match/single-tagged/config/vlan-id", num(8), "8"},
		{"/system/grpc-servers/grpc-server[name=DEFAULT]/config/listen-addresses", &gpb.TypedValue{Value: &gpb.TypedValue_LeaflistVal{
			LeaflistVal: &gpb.ScalarArray{Element: []*gpb.TypedValue{str("192.0.2.1")}}}}, `["192.0.2.1"]`},
	} {
		b.set(&gpb.SetRequest{Update: []*gpb.Update{{Path: pathOf(c.path), Val: c.val}}})
		if got := b.one(c.path, gpb.GetRequest_CONFIG); got != c.want {
			t.Errorf("%s set to %v reads %s, want %s", c.path, c.val, got, c.want)
		}
	}
}

func TestUnionReplace(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	resp := b.set(&gpb.SetRequest{UnionReplace: []*gpb.Update{
		update("/system", `{"config": {"hostname": "union"}}`),
		{Path: &gpb.Path{Origin: "openconfig", Elem: pathOf("/interfaces").Elem},
			Val: jsonVal(`{"interface": [{"name": "lo0", "config": {"type": "softwareLoopback"}}]}`)},
		update("/interfaces/interface[name=lo0]/config/description", `"of another part"`),
		update("/system/config/hostname", `"union"`), // the same twice
	}})
	if got, want := b.document(), `{"openconfig-interfaces:interfaces":{"interface":[{"name":"lo0","config":{"description":"of another part","name":"lo0","type":"iana-if-type:softwareLoopback"}}]},"openconfig-system:system":{"config":{"hostname":"union"}}}`; got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
	if n := len(resp.GetResponse()); n != 4 || resp.GetResponse()[0].GetOp() != gpb.UpdateResult_UNION_REPLACE {
		t.Errorf("results %v", resp.GetResponse())
	}
	for name, c := range map[string]struct {
		req   *gpb.SetRequest
		words []string
	}{
		"contradiction": {&gpb.SetRequest{UnionReplace: []*gpb.Update{
			update("/system/config", `{"hostname": "a"}`), update("/system/config/hostname", `"b"`)}}, []string{"/system/config/hostname", "union_replace[1]", "contradicts"}},
		"with others": {&gpb.SetRequest{UnionReplace: []*gpb.Update{update("/system/config", `{"hostname": "a"}`)},
			Delete: []*gpb.Path{pathOf("/system")}}, []string{"union_replace"}},
		"cli": {&gpb.SetRequest{UnionReplace: []*gpb.Update{{Path: &gpb.Path{Origin: "cli"},
			Val: &gpb.TypedValue{Value: &gpb.TypedValue_AsciiVal{AsciiVal: "hostname x"}}}}}, []string{`"cli"`}},
	} {
		before := b.document()
		_, err := b.client.Set(b.ctx, c.req)
		t.Run(name, func(t *testing.T) { wantError(t, err, codes.InvalidArgument, c.words...) })
		if b.document() != before {
			t.Errorf("%s changed the tree", name)
		}
	}
}

func commitExt(c *epb.Commit) []*epb.Extension {
	return []*epb.Extension{{Ext: &epb.Extension_Commit{Commit: c}}}
}

func TestCommitConfirmed(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update("/system/config/hostname", `"old"`)}})
	old := b.document()
	host := func(name string, ext []*epb.Extension) *gpb.SetRequest {
		return &gpb.SetRequest{Update: []*gpb.Update{update("/system/config/hostname", `"`+name+`"`)}, Extension: ext}
	}
	begin := func(id string, d time.Duration) []*epb.Extension {
		return commitExt(&epb.Commit{Id: id, Action: &epb.Commit_Commit{Commit: &epb.CommitRequest{RollbackDuration: durationpb.New(d)}}})
	}
	confirm := func(id string) *gpb.SetRequest {
		return &gpb.SetRequest{Extension: commitExt(&epb.Commit{Id: id, Action: &epb.Commit_Confirm{Confirm: &epb.CommitConfirm{}}})}
	}
	cancel := func(id string) *gpb.SetRequest {
		return &gpb.SetRequest{Extension: commitExt(&epb.Commit{Id: id, Action: &epb.Commit_Cancel{Cancel: &epb.CommitCancel{}}})}
	}
	postpone := func(id string, d time.Duration) *gpb.SetRequest {
		return &gpb.SetRequest{Extension: commitExt(&epb.Commit{Id: id, Action: &epb.Commit_SetRollbackDuration{
			SetRollbackDuration: &epb.CommitSetRollbackDuration{RollbackDuration: durationpb.New(d)}}})}
	}
	refused := func(name string, req *gpb.SetRequest, code codes.Code) {
		t.Helper()
		_, err := b.client.Set(b.ctx, req)
		t.Run(name, func(t *testing.T) { wantError(t, err, code, "commit") })
	}
	refused("confirm nothing", confirm("a"), codes.FailedPrecondition)
	refused("cancel nothing", cancel("a"), codes.FailedPrecondition)
	refused("postpone nothing", postpone("a", time.Minute), codes.FailedPrecondition)
	refused("no id", host("x", begin("", time.Minute)), codes.InvalidArgument)
	refused("no action", host("x", commitExt(&epb.Commit{Id: "a"})), codes.InvalidArgument)
	refused("negative", host("x", begin("a", -time.Second)), codes.InvalidArgument)
	refused("zero", host("x", begin("a", 0)), codes.InvalidArgument)

	b.set(host("new", begin("a", time.Hour)))
	refused("a second", host("x", begin("b", time.Hour)), codes.FailedPrecondition)
	refused("without the extension", host("x", nil), codes.FailedPrecondition)
	refused("wrong id", confirm("b"), codes.InvalidArgument)
	refused("cancel wrong id", cancel("b"), codes.InvalidArgument)
	refused("postpone to nothing", postpone("a", 0), codes.InvalidArgument)
	both := confirm("a")
	both.Update = host("x", nil).Update
	refused("confirm and set", both, codes.InvalidArgument)
	b.set(postpone("a", 2*time.Hour))
	if p, ok := b.store.Pending(); !ok || time.Until(p.Deadline) < 90*time.Minute {
		t.Errorf("pending %v %v", p, ok)
	}
	b.set(cancel("a"))
	if b.document() != old {
		t.Errorf("after cancel: %s", b.document())
	}
	b.set(host("new", begin("c", time.Hour)))
	b.set(confirm("c"))
	if !strings.Contains(b.document(), `"new"`) {
		t.Errorf("after confirm: %s", b.document())
	}
	// The default is ten minutes.
	b.set(host("newer", commitExt(&epb.Commit{Id: "d", Action: &epb.Commit_Commit{}})))
	if p, ok := b.store.Pending(); !ok || time.Until(p.Deadline) < 9*time.Minute || time.Until(p.Deadline) > 10*time.Minute {
		t.Errorf("pending %v %v", p, ok)
	}
	b.set(cancel("d"))
}

func TestArbitration(t *testing.T) {
	b := newBed(t, bedOptions{})
	master := func(role string, high, low uint64) []*epb.Extension {
		m := &epb.MasterArbitration{ElectionId: &epb.Uint128{High: high, Low: low}}
		if role != "" {
			m.Role = &epb.Role{Id: role}
		}
		return []*epb.Extension{{Ext: &epb.Extension_MasterArbitration{MasterArbitration: m}}}
	}
	for _, c := range []struct {
		role      string
		high, low uint64
		ok        bool
	}{
		{"", 0, 5, true}, {"", 0, 5, true}, {"", 0, 4, false}, {"a", 0, 1, true}, {"", 1, 0, true}, {"", 0, 1 << 63, false}, {"", 1, 0, true},
		{"a", 0, 0, false}, {"a", 0, 2, true}, {"b", 0, 0, true},
	} {
		_, err := b.client.Set(b.ctx, &gpb.SetRequest{Extension: master(c.role, c.high, c.low)})
		if c.ok && err != nil {
			t.Errorf("%+v: %v", c, err)
		} else if !c.ok {
			wantError(t, err, codes.PermissionDenied, "election_id")
		}
	}
	_, err := b.client.Set(b.ctx, &gpb.SetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_MasterArbitration{MasterArbitration: &epb.MasterArbitration{}}}}})
	wantError(t, err, codes.InvalidArgument, "election_id")
	if _, err := b.client.Set(b.ctx, &gpb.SetRequest{}); err != nil {
		t.Errorf("without the extension: %v", err)
	}
	stale := &gpb.SetRequest{Update: []*gpb.Update{update("/system/config/hostname", `"x"`)}, Extension: master("", 0, 9)}
	_, err = b.client.Set(b.ctx, stale)
	wantError(t, err, codes.PermissionDenied, "1:0")
	if b.document() != "{}" {
		t.Errorf("a stale master changed the tree: %s", b.document())
	}
}

// A master whose Set waits for its turn is none any more if another one is elected meanwhile.
func TestArbitrationWhileWaiting(t *testing.T) {
	b := newBed(t, bedOptions{})
	host := func(name string, id uint64) *gpb.SetRequest {
		req := &gpb.SetRequest{Extension: []*epb.Extension{{Ext: &epb.Extension_MasterArbitration{
			MasterArbitration: &epb.MasterArbitration{ElectionId: &epb.Uint128{Low: id}}}}}}
		if name != "" {
			req.Update = []*gpb.Update{update("/system/config/hostname", `"`+name+`"`)}
		}
		return req
	}
	elected := func() uint64 {
		b.server.arbitration.mu.Lock()
		defer b.server.arbitration.mu.Unlock()
		return b.server.arbitration.roles[""].low
	}
	b.applier.wait = make(chan struct{})
	first, second := make(chan error, 1), make(chan error, 1)
	go func() { _, err := b.client.Set(b.ctx, host("first", 1)); first <- err }()
	for elected() != 1 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond) // it is in Apply, or about to be
	go func() { _, err := b.client.Set(b.ctx, host("second", 2)); second <- err }()
	for elected() != 2 {
		time.Sleep(time.Millisecond)
	}
	if _, err := b.client.Set(b.ctx, host("", 3)); err != nil {
		t.Fatal(err)
	}
	close(b.applier.wait)
	if err := <-first; err != nil && status.Code(err) != codes.PermissionDenied {
		t.Error(err)
	}
	wantError(t, <-second, codes.PermissionDenied, "0:3")
	if strings.Contains(b.document(), "second") {
		t.Errorf("a stale master changed the tree: %s", b.document())
	}
}

func TestSetWhatTheSystemRefuses(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	before := b.document()
	b.applier.refuse = config.Errors{{Path: "interfaces[eth2].mtu", Reason: "the device has at most 1500"}}
	_, err := b.client.Set(b.ctx, &gpb.SetRequest{Update: []*gpb.Update{update("/interfaces/interface[name=eth2]/config/mtu", "9000")}})
	wantError(t, err, codes.FailedPrecondition, "/interfaces/interface[name=eth2]/config/mtu", "the device has at most 1500")
	if v := violations(err); len(v) != 1 || v[0] != "/interfaces/interface[name=eth2]/config/mtu" {
		t.Errorf("details name %v", v)
	}
	b.applier.refuse = errors.New("the disk is full")
	_, err = b.client.Set(b.ctx, &gpb.SetRequest{Update: []*gpb.Update{update("/interfaces/interface[name=eth2]/config/mtu", "9000")}})
	wantError(t, err, codes.Internal, "the disk is full")
	if b.document() != before {
		t.Errorf("the tree changed: %s", b.document())
	}
}

func TestSetManyAtOnce(t *testing.T) {
	b := newBed(t, bedOptions{})
	b.replaceAll(routerDocument)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			p := fmt.Sprintf("/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes/static[prefix=10.2.%d.0/24]", i)
			_, err := b.client.Set(b.ctx, &gpb.SetRequest{Update: []*gpb.Update{update(p, `{"next-hops": {"next-hop": [{"index": "0", "config": {"next-hop": "198.51.100.10"}}]}}`)}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := strings.Count(b.document(), `{"prefix":"10.2.`); n != 2*16 && n != 16 {
		t.Errorf("%d routes: %s", n, b.document())
	}
}

// A leaf in a big tree takes milliseconds, ten thousand routes take seconds.
func TestSetTenThousandRoutes(t *testing.T) {
	b := newBed(t, bedOptions{maxAnswer: 64 << 20})
	b.replaceAll(routerDocument)
	type m = map[string]any
	var routes []m
	for i := range 10_000 {
		routes = append(routes, m{"prefix": fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256), "next-hops": m{"next-hop": []m{
			{"index": "0", "config": m{"next-hop": "198.51.100.10"}}}}})
	}
	doc, err := json.Marshal(m{"static": routes})
	if err != nil {
		t.Fatal(err)
	}
	at := "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes"
	began := time.Now()
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update(at, string(doc))}})
	all := time.Since(began)
	began = time.Now()
	b.set(&gpb.SetRequest{Update: []*gpb.Update{update(at+"/static[prefix=10.101.7.0/24]/next-hops/next-hop[index=0]/config/next-hop", `"198.51.100.11"`)}})
	t.Logf("10,000 routes took %v, one leaf among them %v", all, time.Since(began))
	n := 0
	b.store.Tree().Match(tree.Pattern{Path: tree.MustPath(at + "/static[prefix=*]")}, func(tree.Path, *tree.Node) bool { n++; return true })
	if n != 10_001 {
		t.Errorf("%d routes", n)
	}
}
