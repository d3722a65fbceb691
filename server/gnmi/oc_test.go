package gnmiserver

import (
	"context"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"github.com/openconfig/ygot/ygot"
	"github.com/openconfig/ygot/ytypes"

	"millrace/yang/oc"
)

// ocDevice is a configuration made with ygot's structs.
func ocDevice(t *testing.T) *oc.Device {
	t.Helper()
	d := &oc.Device{}
	doc := routerDocument
	if err := oc.Unmarshal([]byte(doc), d); err != nil {
		t.Fatal(err)
	}
	eth1 := d.GetInterfaces().GetInterface("eth1")
	eth1.GetConfig().Enabled = ygot.Bool(true)
	sub := eth1.GetSubinterfaces().GetSubinterface(0)
	ra := sub.GetIpv6().GetOrCreateRouterAdvertisement().GetOrCreateConfig()
	ra.Interval, ra.Lifetime = ygot.Uint32(30), ygot.Uint32(1800)
	n := sub.GetIpv4().GetOrCreateNeighbors().GetOrCreateNeighbor("192.0.2.9")
	n.GetOrCreateConfig().Ip, n.Config.LinkLayerAddress = ygot.String("192.0.2.9"), ygot.String("02:00:00:00:00:09")
	return d
}

func emit(t *testing.T, s ygot.GoStruct) string {
	t.Helper()
	text, err := ygot.EmitJSON(s, &ygot.EmitJSONConfig{Format: ygot.RFC7951, RFC7951Config: &ygot.RFC7951JSONConfig{AppendModuleName: true}, SkipValidation: true})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// What ygot writes is taken, and what is read back is what ygot wrote: as one document, and leaf by leaf.
func TestYgotWrites(t *testing.T) {
	d := ocDevice(t)
	b := newBed(t, bedOptions{})
	b.replaceAll(emit(t, d))
	whole := b.document()

	all, err := ygot.TogNMINotifications(d, 1, ygot.GNMINotificationsConfig{UsePathElem: true})
	if err != nil {
		t.Fatal(err)
	}
	leaves := newBed(t, bedOptions{})
	req := &gpb.SetRequest{}
	for _, n := range all {
		req.Update = append(req.Update, n.GetUpdate()...)
	}
	if len(req.Update) < 30 {
		t.Fatalf("only %d leaves", len(req.Update))
	}
	leaves.set(req)
	if got := leaves.document(); got != whole {
		t.Errorf("leaf by leaf:\n%s\nas a whole:\n%s", got, whole)
	}
}

// What is read is taken and found right by ygot: configuration and state, the whole tree and parts of it.
func TestYgotReads(t *testing.T) {
	b := newStateBed(t, "eth1", "eth2")
	read := func(path string, kind gpb.GetRequest_DataType, into ygot.GoStruct) {
		t.Helper()
		if err := oc.Unmarshal([]byte(b.one(path, kind)), into); err != nil {
			t.Fatalf("%s %s: %v", path, kind, err)
		}
	}
	d := &oc.Device{}
	read("/", gpb.GetRequest_ALL, d)
	began := time.Now()
	if err := d.Validate(); err != nil {
		t.Errorf("validate: %v", err)
	}
	t.Logf("ygot's validation took %v", time.Since(began))
	if n := d.GetInterfaces().GetInterface("eth2").GetState().GetCounters().InOctets; n == nil || *n != 2<<40 {
		t.Errorf("in-octets %v", n)
	}
	if m := d.GetInterfaces().GetInterface("eth1").GetState().Mtu; m == nil || *m != 1500 {
		t.Errorf("mtu %v", m)
	}
	read("/", gpb.GetRequest_CONFIG, &oc.Device{})
	read("/", gpb.GetRequest_STATE, &oc.Device{})
	read("/", gpb.GetRequest_OPERATIONAL, &oc.Device{})
	i := &oc.OpenconfigInterfaces_Interfaces_Interface{}
	read("/interfaces/interface[name=eth1]", gpb.GetRequest_ALL, i)
	if id := i.GetSubinterfaces().GetSubinterface(7).GetVlan().GetMatch().GetSingleTagged().GetConfig().VlanId; id == nil || *id != 7 {
		t.Error("the VLAN is not there")
	}
	read("/network-instances", gpb.GetRequest_ALL, &oc.OpenconfigNetworkInstance_NetworkInstances{})

	// PROTO, leaf by leaf, into the same structs.
	resp, err := b.client.Get(context.Background(), &gpb.GetRequest{Path: []*gpb.Path{{}}, Encoding: gpb.Encoding_PROTO})
	if err != nil {
		t.Fatal(err)
	}
	s, err := oc.Schema()
	if err != nil {
		t.Fatal(err)
	}
	back := s.Root.(*oc.Device)
	for _, n := range resp.GetNotification() {
		for _, u := range n.GetUpdate() {
			if err := setNode(s, back, u); err != nil {
				t.Fatalf("%v: %v", u, err)
			}
		}
	}
	diff, err := ygot.Diff(d, back)
	if err != nil {
		t.Fatal(err)
	}
	if len(diff.GetUpdate())+len(diff.GetDelete()) > 0 {
		t.Errorf("PROTO and JSON_IETF differ: %v", diff)
	}
}

func setNode(s *ytypes.Schema, d *oc.Device, u *gpb.Update) error {
	return ytypes.SetNode(s.RootSchema(), d, u.GetPath(), u.GetVal(), &ytypes.InitMissingElements{})
}
