package grpcserver_test

import (
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	grpcserver "millrace/server/grpc"
)

func TestInterfaces(t *testing.T) {
	b := newBox(t)
	b.Alarms.List = []grpcserver.Alarm{{ID: "x", Severity: grpcserver.Major, Resource: "interface eth2", Text: "no such device"}}
	c := vnfv1.NewInterfaceServiceClient(b.Dial(t))
	ctx := testContext(t)
	list, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if len(list.GetInterfaces()) != 3 {
		t.Fatalf("%d interfaces", len(list.GetInterfaces()))
	}
	one := list.GetInterfaces()[0]
	if one.GetConfig().GetName() != "eth1" || one.GetConfig().GetDevice() != "iface=tap1" ||
		one.GetState().GetOperStatus() != vnfv1.OperStatus_OPER_STATUS_UP || one.GetState().GetMac() != "02:00:00:00:00:01" ||
		one.GetState().GetAddresses()[0].GetPrefix() != "192.0.2.1/24" || one.GetCounters().GetRxPackets() != 7 {
		t.Errorf("eth1: %v", one)
	}
	if s := list.GetInterfaces()[2].GetState(); s.GetOperStatus() != vnfv1.OperStatus_OPER_STATUS_NOT_PRESENT || s.GetError() != "no such device" {
		t.Errorf("eth2: %v", s)
	}
	blue, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{NetworkInstance: "blue"})
	if err != nil || len(blue.GetInterfaces()) != 1 || blue.GetInterfaces()[0].GetConfig().GetName() != "eth1.7" {
		t.Errorf("blue: %v %v", blue, err)
	}

	// Paging, and a token with other filters.
	p, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageSize: 2})
	if err != nil || len(p.GetInterfaces()) != 2 || p.GetNextPageToken() == "" {
		t.Fatalf("first page: %v %v", p, err)
	}
	q, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageSize: 2, PageToken: p.GetNextPageToken()})
	if err != nil || len(q.GetInterfaces()) != 1 || q.GetNextPageToken() != "" {
		t.Errorf("second page: %v %v", q, err)
	}
	_, err = c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageToken: p.GetNextPageToken(), NetworkInstance: "blue"})
	wantError(t, err, codes.InvalidArgument, "page_token")
}

func TestInterfaceChanges(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewInterfaceServiceClient(b.Dial(t))
	ctx := testContext(t)
	made, err := c.CreateInterface(ctx, &vnfv1.CreateInterfaceRequest{Config: &vnfv1.InterfaceConfig{
		Name: "lo0", Kind: vnfv1.InterfaceKind_INTERFACE_KIND_LOOPBACK, Enabled: true, Addresses: []string{"203.0.113.1/32"},
	}})
	if err != nil || made.GetState().GetOperStatus() != vnfv1.OperStatus_OPER_STATUS_NOT_PRESENT {
		t.Fatalf("create: %v %v", made, err)
	}
	up, err := c.UpdateInterface(ctx, &vnfv1.UpdateInterfaceRequest{
		Config:     &vnfv1.InterfaceConfig{Name: "eth1", Mtu: 9000, Description: "not named"},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"mtu"}},
	})
	if err != nil || up.GetConfig().GetMtu() != 9000 || up.GetConfig().GetDescription() != "" || len(up.GetConfig().GetAddresses()) != 2 {
		t.Errorf("update: %v %v", up, err)
	}
	if _, err := c.AddInterfaceAddress(ctx, &vnfv1.AddInterfaceAddressRequest{Interface: "eth1", Prefix: "192.0.3.1/24"}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteInterfaceAddress(ctx, &vnfv1.DeleteInterfaceAddressRequest{Interface: "eth1", Prefix: "192.0.3.1"}); err != nil {
		t.Error(err)
	}
	if _, err := c.DeleteInterface(ctx, &vnfv1.DeleteInterfaceRequest{Name: "eth2"}); err != nil {
		t.Error(err)
	}
	before, _ := b.Store.Config().YAML()

	create := func(i *vnfv1.InterfaceConfig) error {
		_, err := c.CreateInterface(ctx, &vnfv1.CreateInterfaceRequest{Config: i})
		return err
	}
	port := func(change func(*vnfv1.InterfaceConfig)) *vnfv1.InterfaceConfig {
		i := &vnfv1.InterfaceConfig{Name: "new", Kind: vnfv1.InterfaceKind_INTERFACE_KIND_PORT, Device: "iface=n1"}
		change(i)
		return i
	}
	update := func(i *vnfv1.InterfaceConfig, paths ...string) error {
		_, err := c.UpdateInterface(ctx, &vnfv1.UpdateInterfaceRequest{Config: i, UpdateMask: &fieldmaskpb.FieldMask{Paths: paths}})
		return err
	}
	for _, tc := range []struct {
		name  string
		err   error
		code  codes.Code
		field string
	}{
		{"no config", create(nil), codes.InvalidArgument, "config"},
		{"no name", create(port(func(i *vnfv1.InterfaceConfig) { i.Name = "" })), codes.InvalidArgument, "config.name"},
		{"long name", create(port(func(i *vnfv1.InterfaceConfig) { i.Name = "abcdefghijklmnop" })), codes.InvalidArgument, "config"},
		{"taken", create(port(func(i *vnfv1.InterfaceConfig) { i.Name = "eth1" })), codes.AlreadyExists, "config.name"},
		{"no kind", create(port(func(i *vnfv1.InterfaceConfig) { i.Kind = 0 })), codes.InvalidArgument, "config.kind"},
		{"mtu", create(port(func(i *vnfv1.InterfaceConfig) { i.Mtu = 70000 })), codes.InvalidArgument, "config.mtu"},
		{"mac", create(port(func(i *vnfv1.InterfaceConfig) { i.Mac = "aa:bb" })), codes.InvalidArgument, "config.mac"},
		{"group mac", create(port(func(i *vnfv1.InterfaceConfig) { i.Mac = "01:00:5e:00:00:01" })), codes.InvalidArgument, "config.mac"},
		{"driver", create(port(func(i *vnfv1.InterfaceConfig) { i.Device = "iface=x,driver=foo" })), codes.InvalidArgument, "config.device"},
		{"address", create(port(func(i *vnfv1.InterfaceConfig) { i.Addresses = []string{"192.0.9.1/24", "x"} })),
			codes.InvalidArgument, "config.addresses[1]"},
		{"instance", create(port(func(i *vnfv1.InterfaceConfig) { i.NetworkInstance = "red" })), codes.InvalidArgument, "config.network_instance"},
		{"queues", create(port(func(i *vnfv1.InterfaceConfig) { i.RxQueues = 1000 })), codes.InvalidArgument, "config.rx_queues"},
		{"ra interval", create(port(func(i *vnfv1.InterfaceConfig) {
			i.RouterAdvertisement = &vnfv1.RouterAdvertisement{MaxInterval: 2}
		})), codes.InvalidArgument, "config.router_advertisement.max_interval"},
		{"vlan id", create(&vnfv1.InterfaceConfig{Name: "v", Kind: vnfv1.InterfaceKind_INTERFACE_KIND_VLAN, Parent: "eth1", VlanId: 5000}),
			codes.InvalidArgument, "config.vlan_id"},
		{"vlan parent", create(&vnfv1.InterfaceConfig{Name: "v", Kind: vnfv1.InterfaceKind_INTERFACE_KIND_VLAN, Parent: "eth9", VlanId: 5}),
			codes.InvalidArgument, "config.parent"},
		{"update unknown", update(&vnfv1.InterfaceConfig{Name: "eth9"}, "mtu"), codes.NotFound, "config.name"},
		{"update mask", update(&vnfv1.InterfaceConfig{Name: "eth1"}, "mtu", "color"), codes.InvalidArgument, "update_mask.paths[1]"},
		{"update device", update(&vnfv1.InterfaceConfig{Name: "eth1", Device: "iface=q"}, "device"), codes.InvalidArgument, "config.device"},
		{"delete the parent", func() error {
			_, err := c.DeleteInterface(ctx, &vnfv1.DeleteInterfaceRequest{Name: "eth1"})
			return err
		}(), codes.FailedPrecondition, "interfaces[eth1.7].parent"},
		{"get unknown", func() error { _, err := c.GetInterface(ctx, &vnfv1.GetInterfaceRequest{Name: "eth9"}); return err }(),
			codes.NotFound, "name"},
		{"address of another", func() error {
			_, err := c.AddInterfaceAddress(ctx, &vnfv1.AddInterfaceAddressRequest{Interface: "eth1", Prefix: "224.0.0.1/24"})
			return err
		}(), codes.InvalidArgument, "prefix"},
		{"address twice", func() error {
			_, err := c.AddInterfaceAddress(ctx, &vnfv1.AddInterfaceAddressRequest{Interface: "eth1", Prefix: "192.0.2.1/25"})
			return err
		}(), codes.AlreadyExists, "prefix"},
		{"address not there", func() error {
			_, err := c.DeleteInterfaceAddress(ctx, &vnfv1.DeleteInterfaceAddressRequest{Interface: "eth1", Prefix: "192.0.9.9"})
			return err
		}(), codes.NotFound, "prefix"},
		{"page size", func() error {
			_, err := c.ListInterfaces(ctx, &vnfv1.ListInterfacesRequest{PageSize: 5000})
			return err
		}(), codes.InvalidArgument, "page_size"},
	} {
		t.Run(tc.name, func(t *testing.T) { wantError(t, tc.err, tc.code, tc.field) })
	}
	if after, _ := b.Store.Config().YAML(); string(after) != string(before) {
		t.Errorf("a refused change changed something:\n%s", after)
	}
}

func TestWatchInterfaces(t *testing.T) {
	b := newBox(t)
	c := vnfv1.NewInterfaceServiceClient(b.Dial(t))
	stream, err := c.WatchInterfaces(testContext(t), &vnfv1.WatchInterfacesRequest{})
	if err != nil {
		t.Fatal(err)
	}
	next := func() *vnfv1.InterfaceEvent {
		t.Helper()
		e, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for range 3 {
		if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_ADDED {
			t.Fatalf("%v", e)
		}
	}
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_SYNCED {
		t.Fatalf("%v", e)
	}
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Interfaces[0].OperStatus = dpb.OperStatus_OPER_STATUS_DOWN
		s.Interfaces[0].Counters.RxPackets++
	})
	b.Seam.Push(&dpb.Event{Event: &dpb.Event_Link{Link: &dpb.LinkEvent{Interface: "eth1"}}})
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_CHANGED || e.GetInterface().GetState().GetOperStatus() != vnfv1.OperStatus_OPER_STATUS_DOWN {
		t.Errorf("%v", e)
	}
	if _, err := c.DeleteInterface(testContext(t), &vnfv1.DeleteInterfaceRequest{Name: "eth2"}); err != nil {
		t.Fatal(err)
	}
	if e := next(); e.GetKind() != vnfv1.EventKind_EVENT_KIND_REMOVED || e.GetInterface().GetConfig().GetName() != "eth2" {
		t.Errorf("%v", e)
	}
	b.Stop()
	// What was under way may still come.
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) == codes.DeadlineExceeded {
		t.Error("the watch outlived the server")
	}
}
