package integration

import (
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"github.com/openconfig/ygnmi/ygnmi"
	"github.com/openconfig/ygot/ygot"
	"github.com/openconfig/ygot/ytypes"

	"millrace/yang/oc"
)

// TestGNMIWithYgot: all that a box with an entry of every list tells fits the structs which ygot generates of the modules, asked for in one
// document and leaf by leaf.
func TestGNMIWithYgot(t *testing.T) {
	b := newLeafBench(t)
	s, err := oc.Schema()
	must(t, err)
	m, err := b.stub.Get(t.Context(), &gpb.GetRequest{Path: []*gpb.Path{{}}, Encoding: gpb.Encoding_JSON_IETF})
	must(t, err)
	var whole oc.Device
	must(t, oc.Unmarshal(m.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal(), &whole))

	stream, err := b.stub.Subscribe(t.Context())
	must(t, err)
	must(t, stream.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Mode: gpb.SubscriptionList_ONCE, Encoding: gpb.Encoding_PROTO, Subscription: []*gpb.Subscription{{Path: &gpb.Path{}}}}}}))
	var told []*gpb.Notification
	leaves := 0
	for {
		m, err := stream.Recv()
		must(t, err)
		if m.GetSyncResponse() {
			break
		}
		told = append(told, m.GetUpdate())
		leaves += len(m.GetUpdate().GetUpdate())
	}
	each := &ytypes.Schema{Root: &oc.Device{}, SchemaTree: s.SchemaTree, Unmarshal: s.Unmarshal}
	if err := ytypes.UnmarshalNotifications(each, told, nil); err != nil {
		t.Fatalf("%d leaves: %v", leaves, err)
	}
	t.Logf("%d leaves", leaves)
	one, other := &whole, each.Root.(*oc.Device)
	for name, lists := range map[string][2]int{
		"interfaces": {len(one.Interfaces.Interface), len(other.Interfaces.Interface)},
		"instances":  {len(one.NetworkInstances.NetworkInstance), len(other.NetworkInstances.NetworkInstance)},
		"listeners":  {len(one.TcpTermination.Listeners.Listener), len(other.TcpTermination.Listeners.Listener)},
		"pools":      {len(one.TcpTermination.Pools.Pool), len(other.TcpTermination.Pools.Pool)},
	} {
		if lists[0] == 0 || lists[0] != lists[1] {
			t.Errorf("%d and %d %s", lists[0], lists[1], name)
		}
	}
}

// TestGNMIWithYgnmi: ygnmi sets an interface of a running box, and waits for what becomes of it.
func TestGNMIWithYgnmi(t *testing.T) {
	r, box := newTypedBed(t, "ygnmi")
	c, err := ygnmi.NewClient(box.stub, ygnmi.WithTarget("box"))
	must(t, err)
	s, err := oc.Schema()
	must(t, err)
	schema := func() *ytypes.Schema { return s }
	eth1 := ygnmi.NewNodePath([]string{"interface"}, map[string]any{"name": "eth1"}, ygnmi.NewNodePath([]string{"interfaces"}, nil, ygnmi.NewDeviceRootBase()))
	type config = oc.OpenconfigInterfaces_Interfaces_Interface_Config
	type state = oc.OpenconfigInterfaces_Interfaces_Interface_State
	type status = oc.E_OpenconfigInterfaces_Interfaces_Interface_State_OperStatus
	mtu := ygnmi.NewConfigQuery("OpenconfigInterfaces_Interfaces_Interface_Config", false, false, true, true, false, false,
		ygnmi.NewNodePath([]string{"config", "mtu"}, nil, eth1),
		func(s ygot.ValidatedGoStruct) (v uint16, ok bool) {
			if p := s.(*config).Mtu; p != nil {
				v, ok = *p, true
			}
			return v, ok
		}, func() ygot.ValidatedGoStruct { return new(config) }, schema, nil, nil)
	oper := ygnmi.NewSingletonQuery("OpenconfigInterfaces_Interfaces_Interface_State", true, false, true, false, false, false,
		ygnmi.NewNodePath([]string{"state", "oper-status"}, nil, eth1),
		func(s ygot.ValidatedGoStruct) (status, bool) { v := s.(*state).OperStatus; return v, v != 0 },
		func() ygot.ValidatedGoStruct { return new(state) }, schema, nil, nil)
	ctx := t.Context()
	if _, err := ygnmi.Update(ctx, c, mtu, 1400); err != nil {
		t.Fatal(err)
	}
	if v, err := ygnmi.Get(ctx, c, mtu); err != nil || v != 1400 {
		t.Errorf("MTU %d: %v", v, err)
	}
	if v, err := ygnmi.Get(ctx, c, mtu, ygnmi.WithUseGet()); err != nil || v != 1400 {
		t.Errorf("MTU by Get %d: %v", v, err)
	}
	const up, down = oc.OpenconfigInterfaces_Interfaces_Interface_State_OperStatus_UP, oc.OpenconfigInterfaces_Interfaces_Interface_State_OperStatus_DOWN
	if v, err := ygnmi.Get(ctx, c, oper); err != nil || v != up {
		t.Errorf("oper-status %v: %v", v, err)
	}
	seen := false
	began := time.Now()
	w := ygnmi.Watch(ctx, c, oper, func(v *ygnmi.Value[status]) error {
		got, _ := v.Val()
		if !seen { // the far end goes down
			seen = true
			r.a.IP("link", "set", "eth0", "down")
		}
		if got == down && v.Timestamp.After(began) {
			return nil
		}
		return ygnmi.Continue
	}, ygnmi.WithSubscriptionMode(gpb.SubscriptionMode_ON_CHANGE))
	if _, err := w.Await(); err != nil {
		t.Error(err)
	}
	if _, err := ygnmi.Delete(ctx, c, mtu); err != nil {
		t.Error(err)
	}
	if v, err := ygnmi.Lookup(ctx, c, mtu); err != nil || v.IsPresent() {
		t.Errorf("a deleted MTU: %v, %v", v, err)
	}
}
