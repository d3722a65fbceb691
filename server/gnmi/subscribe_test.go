package gnmiserver

import (
	"context"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/openconfig/gnmi/client"
	gnmiclient "github.com/openconfig/gnmi/client/gnmi"
	gpb "github.com/openconfig/gnmi/proto/gnmi"
	epb "github.com/openconfig/gnmi/proto/gnmi_ext"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"

	"millrace/yang/tree"
)

const port1, port2 = "/interfaces/interface[name=eth1]", "/interfaces/interface[name=eth2]"

func TestSubscribeOnce(t *testing.T) {
	b := newSubBed(t, nil)
	for _, c := range []struct {
		paths, want string
	}{
		{"/interfaces/interface[name=*]/state/oper-status", port1 + "/state/oper-status=UP " + port2 + "/state/oper-status=DOWN"},
		{"/interfaces/interface/state/mtu /system/config", port1 + "/state/mtu=1500 /system/config/hostname=box"},
		{"/interfaces/*/config/mtu", port1 + "/config/mtu=1500"},
		{".../in-pkts", port1 + "/state/counters/in-pkts=1 " + port2 + "/state/counters/in-pkts=1"},
		{"/interfaces/interface[name=none]", ""},
		{"/openconfig-interfaces:interfaces/interface[name=eth2]/state/oper-status", port2 + "/state/oper-status=DOWN"},
	} {
		call := b.subscribe(subList(gpb.SubscriptionList_ONCE, strings.Fields(c.paths)...))
		b.same(c.paths, call.toSync(), strings.Fields(c.want)...)
		if _, err := call.Recv(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the sync_response: %v", c.paths, err)
		}
	}
	l := subList(gpb.SubscriptionList_ONCE, "/interfaces")
	l.UpdatesOnly = true
	if got := b.subscribe(l).toSync(); len(got) != 0 {
		t.Errorf("ONCE with updates_only sends %s", got)
	}
}

func TestSubscribePrefix(t *testing.T) {
	b := newSubBed(t, nil)
	l := subList(gpb.SubscriptionList_ONCE, "interface[name=eth1]/config/mtu", "interface[name=eth2]/state/oper-status")
	l.Prefix = &gpb.Path{Target: "box7", Origin: "openconfig", Elem: []*gpb.PathElem{{Name: "interfaces"}}}
	call := b.subscribe(l)
	var got []string
	for {
		r, err := call.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if r.GetSyncResponse() {
			break
		}
		n := r.GetUpdate()
		if n.GetPrefix().GetTarget() != "box7" || n.GetPrefix().GetOrigin() != "openconfig" {
			t.Errorf("the prefix is %v", n.GetPrefix())
		}
		for _, i := range items(n) {
			got = append(got, i.text)
		}
		if strings.Contains(items(n)[0].text, "mtu") && n.GetTimestamp() != began.UnixNano() {
			t.Errorf("the configuration has the time %d, not that of its commit", n.GetTimestamp())
		}
		if strings.Contains(items(n)[0].text, "oper-status") && n.GetTimestamp() != time.Unix(77, 0).UnixNano() {
			t.Errorf("oper-status has the time %d, not that of its event", n.GetTimestamp())
		}
	}
	b.same("with a prefix", got, port1+"/config/mtu=1500", port2+"/state/oper-status=DOWN")
}

func TestSubscribeEncodings(t *testing.T) {
	b := newSubBed(t, nil)
	for _, c := range []struct {
		encoding gpb.Encoding
		path     string
		want     string
	}{
		{gpb.Encoding_JSON_IETF, port1 + "/state/counters/in-pkts", `"1"`},
		{gpb.Encoding_JSON, port1 + "/state/counters/in-pkts", `1`},
		{gpb.Encoding_PROTO, port1 + "/state/counters/in-pkts", `1`},
		{gpb.Encoding_ASCII, port1 + "/state/counters/in-pkts", `1`},
		{gpb.Encoding_JSON_IETF, port1 + "/state/oper-status", `"UP"`},
	} {
		l := subList(gpb.SubscriptionList_ONCE, c.path)
		l.Encoding = c.encoding
		b.same(c.encoding.String(), b.subscribe(l).toSync(), c.path+"="+c.want)
	}
}

func TestSubscribePoll(t *testing.T) {
	b := newSubBed(t, nil)
	call := b.subscribe(subList(gpb.SubscriptionList_POLL, port1+"/state/counters/in-pkts"))
	b.same("at first", call.toSync(), port1+"/state/counters/in-pkts=1")
	for i := range 3 {
		b.ports.count(uint64(10 + i))
		if err := call.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Poll{Poll: &gpb.Poll{}}}); err != nil {
			t.Fatal(err)
		}
		b.same("polled", call.toSync(), port1+"/state/counters/in-pkts=1"+string(rune('0'+i)))
	}
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := call.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the client's end: %v", err)
	}
}

func TestSubscribeOnChange(t *testing.T) {
	b := newSubBed(t, nil)
	call := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/interfaces/interface/state/oper-status@change", "/interfaces/interface[name=*]/config@change"))
	b.same("at first", call.toSync(), port1+"/state/oper-status=UP", port2+"/state/oper-status=DOWN", port1+"/config/mtu=1500", port1+"/config/name=eth1")
	at := time.Unix(123, 456)
	b.ports.set("eth2", true, at)
	got := call.next()
	b.same("oper-status", texts(got), port2+"/state/oper-status=UP")
	if ts := got[0].n.GetTimestamp(); ts != at.UnixNano() {
		t.Errorf("the time is %d, not that of the event, %d", ts, at.UnixNano())
	}
	b.commit(time.Unix(200, 0), port1+"/config/mtu=9000", port2+"/config/description=new")
	got = call.next()
	b.same("configuration", texts(got), port1+"/config/mtu=9000", port2+"/config/description=new", port2+"/config/name=eth2")
	if ts := got[0].n.GetTimestamp(); ts != time.Unix(200, 0).UnixNano() {
		t.Errorf("the time is %d, not that of the commit", ts)
	}
	b.commit(time.Unix(201, 0), "-"+port2, "-"+port1+"/config/mtu")
	b.same("configuration deleted", texts(call.next()), "-"+port1+"/config/mtu", "-"+port2+"/config")
	call.cancel()
	if _, err := call.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("after the client's cancel: %v", err)
	}
}

func TestSubscribeUpdatesOnly(t *testing.T) {
	b := newSubBed(t, nil)
	l := subList(gpb.SubscriptionList_STREAM, "/interfaces/interface/state/oper-status@change")
	l.UpdatesOnly = true
	call := b.subscribe(l)
	b.same("at first", call.toSync())
	b.ports.set("eth1", false, time.Unix(1, 0))
	b.same("then", texts(call.next()), port1+"/state/oper-status=DOWN")
}

// TestSubscribeHalfClosed has a client that has nothing more to say after its subscription.
func TestSubscribeHalfClosed(t *testing.T) {
	b := newSubBed(t, nil)
	call := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/interfaces/interface/state/oper-status@change"))
	if err := call.CloseSend(); err != nil {
		t.Fatal(err)
	}
	call.toSync()
	b.ports.set("eth1", false, time.Unix(1, 0))
	b.same("then", texts(call.next()), port1+"/state/oper-status=DOWN")
}

func TestSubscribeSample(t *testing.T) {
	b := newSubBed(t, nil)
	start := time.Now()
	call := b.subscribe(subList(gpb.SubscriptionList_STREAM, port1+"/state/counters/in-pkts@sample"))
	b.same("at first", call.toSync(), port1+"/state/counters/in-pkts=1")
	for range 5 {
		b.same("sampled", texts(call.next()), port1+"/state/counters/in-pkts=1")
	}
	if d := time.Since(start); d < 4*minInterval {
		t.Errorf("five samples at %s took %s", minInterval, d)
	}
}

func TestSubscribeSuppressRedundant(t *testing.T) {
	b := newSubBed(t, nil)
	l := subList(gpb.SubscriptionList_STREAM, "/interfaces/interface/state/counters@sample")
	l.Subscription[0].SuppressRedundant = true
	call := b.subscribe(l)
	if got := call.toSync(); len(got) != 4 {
		t.Errorf("at first: %s", got)
	}
	time.Sleep(3 * minInterval)
	b.ports.count(5)
	want := []string{port1 + "/state/counters/in-pkts=5", port1 + "/state/counters/out-pkts=10"}
	b.same("what comes first", texts(call.next()), want...)
	call.next() // the other port's
	call.cancel()

	l.Subscription[0].HeartbeatInterval = uint64(3 * minInterval)
	start := time.Now()
	call = b.subscribe(l)
	call.toSync()
	b.same("without a change", texts(call.next()), want...)
	if d := time.Since(start); d < 2*minInterval {
		t.Errorf("the heartbeat came after %s", d)
	}
}

func TestSubscribeHeartbeat(t *testing.T) {
	b := newSubBed(t, nil)
	l := subList(gpb.SubscriptionList_STREAM, port1+"/config/mtu@change")
	l.Subscription[0].HeartbeatInterval = uint64(2 * minInterval)
	call := b.subscribe(l)
	call.toSync()
	for range 3 {
		b.same("without a change", texts(call.next()), port1+"/config/mtu=1500")
	}
}

// TestSubscribeTargetDefined has counters be sampled and the rest told on change, at once.
func TestSubscribeTargetDefined(t *testing.T) {
	b := newSubBed(t, nil)
	call := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/interfaces/interface/state/oper-status", "/interfaces/interface/state/counters", "/system/config"))
	if got := call.toSync(); len(got) != 7 {
		t.Errorf("at first: %s", got)
	}
	b.ports.count(9)
	time.Sleep(1200 * time.Millisecond) // a poller for changes would have told the counters by now
	b.commit(time.Now(), "/system/config/hostname=other")
	b.same("what comes first", texts(call.next()), "/system/config/hostname=other")
}

func TestSubscribeDepthAndModels(t *testing.T) {
	b := newSubBed(t, nil)
	req := &gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: subList(gpb.SubscriptionList_STREAM, port1+"/state@change")}}
	req.Extension = []*epb.Extension{{Ext: &epb.Extension_Depth{Depth: &epb.Depth{Level: 1}}}}
	call := b.request(req)
	for _, s := range call.toSync() {
		if strings.Contains(s, "/counters/") {
			t.Errorf("below the depth of 1: %s", s)
		}
	}
	b.ports.count(3)
	time.Sleep(1200 * time.Millisecond)
	b.ports.set("eth1", false, time.Now())
	b.same("with a depth of 1", texts(call.next()), port1+"/state/oper-status=DOWN")

	l := subList(gpb.SubscriptionList_ONCE, "/")
	l.UseModels = []*gpb.ModelData{{Name: "openconfig-system"}}
	b.same("of one model", b.subscribe(l).toSync(), "/system/config/hostname=box", "/system/state/hostname=box")
}

// rights let nobody read counters and the system.
type rights struct{}

func (rights) Check(_ context.Context, p tree.Path, _ bool) error {
	if s := p.SchemaPath(); strings.Contains(s, "/counters") || strings.HasPrefix(s, "/system") {
		return status.Errorf(codes.PermissionDenied, "%s: the role test may not read it", s)
	}
	return nil
}

func TestSubscribeRights(t *testing.T) {
	b := newSubBed(t, rights{})
	b.same("what may be read", b.subscribe(subList(gpb.SubscriptionList_ONCE, port2, "/interfaces/interface/state/oper-status")).toSync(),
		port2+"/state/oper-status=DOWN", port2+"/state/oper-status=DOWN", port1+"/state/oper-status=UP")
	_, err := b.subscribe(subList(gpb.SubscriptionList_ONCE, "/system/config/hostname")).Recv()
	wantError(t, err, codes.PermissionDenied, "/system/config/hostname")
}

func TestSubscribeRefused(t *testing.T) {
	b := newSubBed(t, nil)
	sub := func(change func(*gpb.SubscriptionList, *gpb.Subscription)) *gpb.SubscribeRequest {
		l := subList(gpb.SubscriptionList_STREAM, "/interfaces@sample")
		change(l, l.Subscription[0])
		return &gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: l}}
	}
	path := func(p string) *gpb.SubscribeRequest {
		return sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.Path = pathOf(p) })
	}
	alias := sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) {
		l.ProtoReflect().SetUnknown(protowire.AppendVarint(protowire.AppendTag(nil, 3, protowire.VarintType), 1))
	})
	history := path("/interfaces")
	history.Extension = []*epb.Extension{{Ext: &epb.Extension_History{History: &epb.History{}}}}
	for _, c := range []struct {
		name string
		req  *gpb.SubscribeRequest
		code codes.Code
		word string
	}{
		{"nothing", &gpb.SubscribeRequest{}, codes.InvalidArgument, "subscribe"},
		{"poll first", &gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Poll{Poll: &gpb.Poll{}}}, codes.InvalidArgument, "poll"},
		{"aliases", alias, codes.Unimplemented, "aliases"},
		{"history", history, codes.Unimplemented, "history"},
		{"no subscriptions", sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) { l.Subscription = nil }), codes.InvalidArgument, "subscription"},
		{"mode", sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) { l.Mode = 9 }), codes.InvalidArgument, "mode"},
		{"submode", sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.Mode = 9 }), codes.InvalidArgument, "subscription[0].mode"},
		{"encoding", sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) { l.Encoding = gpb.Encoding_BYTES }), codes.Unimplemented, "BYTES"},
		{"qos", sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) { l.Qos = &gpb.QOSMarking{Marking: 10} }), codes.Unimplemented, "qos"},
		{"model", sub(func(l *gpb.SubscriptionList, _ *gpb.Subscription) { l.UseModels = []*gpb.ModelData{{Name: "none"}} }), codes.InvalidArgument, "none"},
		{"interval", sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.SampleInterval = 99_999_999 }), codes.InvalidArgument, "sample_interval"},
		{"long", sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.SampleInterval = math.MaxUint64 }), codes.InvalidArgument, "sample_interval"},
		{"heartbeat", sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.HeartbeatInterval = 5 }), codes.InvalidArgument, "heartbeat_interval"},
		{"path", path("/interfaces/nothing"), codes.InvalidArgument, "/interfaces/nothing"},
		{"key", path("/interfaces/interface[id=1]"), codes.InvalidArgument, "id"},
		{"deviated", path("/interfaces/interface/hold-time"), codes.Unimplemented, "hold-time"},
		{"origin", sub(func(_ *gpb.SubscriptionList, s *gpb.Subscription) { s.Path.Origin = "cli" }), codes.InvalidArgument, "cli"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := b.request(c.req).Recv()
			wantError(t, err, c.code, c.word)
		})
	}
	call := b.subscribe(subList(gpb.SubscriptionList_STREAM, "/system@change"))
	call.toSync()
	if err := call.Send(path("/interfaces")); err != nil {
		t.Fatal(err)
	}
	_, err := call.Recv()
	wantError(t, err, codes.InvalidArgument, "one subscription")
}

// TestSubscribeClientLibrary uses the client of the gNMI project itself, in all three modes.
func TestSubscribeClientLibrary(t *testing.T) {
	b := newSubBed(t, nil)
	for _, typ := range []client.Type{client.Once, client.Poll, client.Stream} {
		got := map[string]any{}
		synced := 0
		stop := errors.New("enough")
		q := client.Query{
			Target: "box", Type: typ, Queries: []client.Path{{"interfaces", "interface[name=eth1]", "state"}}, Encoding: gpb.Encoding_PROTO,
			NotificationHandler: func(n client.Notification) error {
				switch x := n.(type) {
				case client.Update:
					got[strings.Join(x.Path, "/")] = x.Val
				case client.Sync:
					synced++
				case client.Error:
					return stop
				}
				return nil
			},
		}
		c, err := gnmiclient.NewFromConn(b.ctx, b.conn, client.Destination{Addrs: []string{"bed"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Subscribe(b.ctx, q); err != nil {
			t.Fatal(err)
		}
		for synced == 0 {
			if err := c.Recv(); err != nil && !errors.Is(err, client.ErrStopReading) {
				t.Fatal(err)
			}
		}
		if got["box/interfaces/interface/eth1/state/oper-status"] != "UP" || got["box/interfaces/interface/eth1/state/mtu"] != uint64(1500) {
			t.Errorf("%v: %v", typ, got)
		}
		if typ == client.Poll {
			b.ports.count(42)
			if err := c.Poll(); err != nil {
				t.Fatal(err)
			}
			for synced == 1 {
				if err := c.Recv(); err != nil && !errors.Is(err, client.ErrStopReading) {
					t.Fatal(err)
				}
			}
			if got["box/interfaces/interface/eth1/state/counters/in-pkts"] != uint64(42) {
				t.Errorf("polled: %v", got)
			}
		}
	}
}
