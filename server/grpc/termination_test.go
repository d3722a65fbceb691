package grpcserver_test

import (
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/grpc/grpctest"
)

// vips announces all that is in it.
type vips map[netip.Prefix]bool

func (v vips) AnnouncedVIPs(string) map[netip.Prefix]bool { return v }

func newTCPBox(t *testing.T) (*grpctest.Box, vnfv1.TerminationServiceClient) {
	t.Helper()
	yaml, err := os.ReadFile("../config/testdata/tcp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	b := grpctest.New(t, string(yaml), func(o *grpcserver.Options) {
		o.VIPs = vips{netip.MustParsePrefix("192.0.2.80/32"): true}
	})
	b.Alarms.List = []grpcserver.Alarm{{Resource: "tcp.listeners[status]", Text: "the port is taken"}}
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.Addresses = []*dpb.AddressState{{
			Interface: "eth1", Address: []byte{192, 0, 2, 80}, PrefixLen: 32, Dad: dpb.DadState_DAD_STATE_PREFERRED,
			Kind: dpb.AddressKind_ADDRESS_KIND_VIRTUAL,
		}}
		s.TcpListeners = []*dpb.TcpListenerState{
			{Config: &dpb.TcpListener{Name: "web", Proxy: &dpb.TcpProxy{Pool: "app"}}, Id: 2, Healthy: true, Active: 5, Accepted: 70, BytesIn: 7},
			{
				Config: &dpb.TcpListener{Name: "web", Port: 81, Address: []byte{192, 0, 2, 80}, Service: dpb.TcpServiceKind_TCP_SERVICE_KIND_PROXY},
				Id:     1, Draining: true, Active: 1,
			},
			{Config: &dpb.TcpListener{Name: "chargen"}, Id: 3, Healthy: true, Service: []*dpb.TcpCounter{{Name: "drained", Value: 4}}},
		}
		s.TcpPools = []*dpb.TcpPoolState{{
			Config: &dpb.TcpPool{Name: "app"}, Healthy: true, Backends: 3, BackendsHealthy: 1, BackendsEnabled: 2, LastChange: 1e18, Active: 5,
		}}
		s.TcpBackends = []*dpb.TcpBackendState{
			{Pool: "app", Config: &dpb.TcpBackend{Name: "a"}, Health: dpb.TcpHealth_TCP_HEALTH_UP, Active: 5, CheckTime: 1500000, EffectiveWeight: 3000},
			{Pool: "app", Config: &dpb.TcpBackend{Name: "b"}, Health: dpb.TcpHealth_TCP_HEALTH_DOWN, Reason: "timeout"},
			{Pool: "app", Config: &dpb.TcpBackend{Name: "old", Address: []byte{192, 0, 2, 9}, Port: 80}, Draining: true, Active: 1},
		}
		s.TcpConnections = []*dpb.TcpConnection{
			{
				Vrf: "default", LocalAddress: []byte{192, 0, 2, 80}, LocalPort: 80, RemoteAddress: []byte{198, 51, 100, 7}, RemotePort: 40000,
				State: dpb.TcpState_TCP_STATE_ESTABLISHED, Listener: "web", Passive: true, Srtt: 1500, Cwnd: 10, Ssthresh: 1<<32 - 1, Mss: 1448,
				PacingRate: 1<<64 - 1, Age: 2500, Timer: 200, TimerName: "retransmit", WindowScale: true, SndWscale: 7,
			},
			{State: dpb.TcpState_TCP_STATE_TIME_WAIT, LocalPort: 7, Rto: 9},
		}
		s.TcpCounters = []*dpb.TcpCounter{{Name: "retrans-rto", Value: 3, Description: "segments retransmitted after a timeout"}}
		s.TcpWorkers = []*dpb.TcpWorkerState{{Connections: 6, ConnectionsMax: 100000, Pressure: 1, ConnectionBytes: 448}}
	})
	return b, vnfv1.NewTerminationServiceClient(b.Dial(t))
}

func TestTCPListeners(t *testing.T) {
	b, c := newTCPBox(t)
	ctx := testContext(t)
	list, err := c.ListTcpListeners(ctx, &vnfv1.ListTcpListenersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range list.GetListeners() {
		s := l.GetConfig().GetName()
		for word, on := range map[string]bool{" present": l.GetState().GetPresent(), " healthy": l.GetState().GetHealthy(), " draining": l.GetState().GetDraining()} {
			if on {
				s += word
			}
		}
		got = append(got, strings.Join(slices.Sorted(slices.Values(strings.Fields(s))), " ")+": "+l.GetState().GetReason())
	}
	want := []string{
		"chargen healthy present: ", "discard: ", "echo: switched off", "status: the port is taken", "healthy present web: ",
		"draining present web: deleted; connections are left",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q\nwant %q", got, want)
	}
	// Page by page it is the same.
	var paged []*vnfv1.TcpListener
	for req := (&vnfv1.ListTcpListenersRequest{PageSize: 1}); ; {
		r, err := c.ListTcpListeners(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		paged = append(paged, r.GetListeners()...)
		if req.PageToken = r.GetNextPageToken(); req.PageToken == "" {
			break
		}
	}
	if len(paged) != len(want) {
		t.Errorf("%d by pages", len(paged))
	}
	if r, err := c.ListTcpListeners(ctx, &vnfv1.ListTcpListenersRequest{Pool: "spare"}); err != nil || len(r.GetListeners()) != 1 {
		t.Error(r, err)
	}
	web, err := c.GetTcpListener(ctx, &vnfv1.GetTcpListenerRequest{Name: "web"})
	if err != nil || web.GetState().GetActive() != 5 || web.GetConfig().GetProxy().GetRetries() != 2 || web.GetState().GetDraining() {
		t.Error(web, err)
	}
	_, err = c.GetTcpListener(ctx, &vnfv1.GetTcpListenerRequest{Name: "nope"})
	wantError(t, err, codes.NotFound, "name")

	// What is told can be written again, and changes nothing.
	before := b.Store.Config()
	for _, l := range before.TCP.Listeners {
		one, err := c.GetTcpListener(ctx, &vnfv1.GetTcpListenerRequest{Name: l.Name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.UpdateTcpListener(ctx, &vnfv1.UpdateTcpListenerRequest{Config: one.GetConfig()}); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
	}
	if after := b.Store.Config(); !reflect.DeepEqual(before.TCP.Listeners, after.TCP.Listeners) {
		t.Errorf("written back:\n%+v\nwas\n%+v", after.TCP.Listeners, before.TCP.Listeners)
	}
}

func TestChangeTCPListeners(t *testing.T) {
	b, c := newTCPBox(t)
	ctx := testContext(t)
	cfg := &vnfv1.TcpListenerConfig{Name: "new", Port: 7000, Service: vnfv1.TcpServiceKind_TCP_SERVICE_KIND_ECHO}
	if l, err := c.CreateTcpListener(ctx, &vnfv1.CreateTcpListenerRequest{Config: cfg}); err != nil || !l.GetConfig().GetEnabled() {
		t.Fatal(l, err)
	}
	_, err := c.CreateTcpListener(ctx, &vnfv1.CreateTcpListenerRequest{Config: cfg})
	wantError(t, err, codes.AlreadyExists, "config.name")
	update := func(edit func(*vnfv1.TcpListenerConfig), mask ...string) error {
		m := proto.CloneOf(cfg)
		edit(m)
		_, err := c.UpdateTcpListener(ctx, &vnfv1.UpdateTcpListenerRequest{Config: m, UpdateMask: &fieldmaskpb.FieldMask{Paths: mask}})
		return err
	}
	if err := update(func(m *vnfv1.TcpListenerConfig) {
		m.IdleTimeout, m.Rate, m.Options = durationpb.New(1500*time.Millisecond), 9, &vnfv1.TcpOptions{Nagle: proto.Bool(false), Ttl: 3}
	}, "idle_timeout", "options.nagle"); err != nil {
		t.Fatal(err)
	}
	all := b.Store.Config().TCP.Listeners
	l := all[slices.IndexFunc(all, func(l config.TCPListener) bool { return l.Name == "new" })]
	if l.IdleTimeout.String() != "1.5s" || l.Rate != 0 || l.Options.TTL != 0 || l.Options.Nagle == nil || *l.Options.Nagle {
		t.Errorf("%+v", l)
	}
	for _, tc := range []struct {
		field string
		edit  func(*vnfv1.TcpListenerConfig)
		mask  string
	}{
		{"config.port", func(m *vnfv1.TcpListenerConfig) { m.Port = 7001 }, "port"},
		{"config.port", func(m *vnfv1.TcpListenerConfig) { m.Port = 65536 + 7000 }, "*"},
		{"config.address", func(m *vnfv1.TcpListenerConfig) { m.Address = "192.0.2.1" }, "*"},
		{"config.address", func(m *vnfv1.TcpListenerConfig) { m.Address = "localhost" }, "*"},
		{"config.service", func(m *vnfv1.TcpListenerConfig) { m.Service = 2 }, "service"},
		{"config.service", func(m *vnfv1.TcpListenerConfig) { m.Service = 9 }, "service"},
		{"config.options.dscp", func(m *vnfv1.TcpListenerConfig) { m.Options = &vnfv1.TcpOptions{Dscp: 64} }, "options"},
		{"config.options.keepalive_idle", func(m *vnfv1.TcpListenerConfig) {
			m.Options = &vnfv1.TcpOptions{KeepaliveIdle: durationpb.New(time.Millisecond)}
		}, "options"},
		{"config.idle_timeout", func(m *vnfv1.TcpListenerConfig) { m.IdleTimeout = durationpb.New(-1) }, "idle_timeout"},
		{"config.allow[0]", func(m *vnfv1.TcpListenerConfig) { m.Allow = []string{"192.0.2.1/24"} }, "allow"},
		{"config.http", func(m *vnfv1.TcpListenerConfig) { m.Http = &vnfv1.TcpHttpConfig{} }, "http"},
		{"update_mask.paths[0]", func(*vnfv1.TcpListenerConfig) {}, "options.foo"},
		{"update_mask.paths[0]", func(*vnfv1.TcpListenerConfig) {}, "allow.x"},
	} {
		wantError(t, update(tc.edit, tc.mask), codes.InvalidArgument, tc.field)
	}
	_, err = c.CreateTcpListener(ctx, &vnfv1.CreateTcpListenerRequest{Config: &vnfv1.TcpListenerConfig{
		Name: "proxy", Port: 1, Service: vnfv1.TcpServiceKind_TCP_SERVICE_KIND_PROXY, Proxy: &vnfv1.TcpProxyConfig{Pool: "none"},
	}})
	wantError(t, err, codes.InvalidArgument, "config.proxy.pool")
	_, err = c.DeleteTcpListener(ctx, &vnfv1.DeleteTcpListenerRequest{Name: "new", Drain: durationpb.New(48 * time.Hour)})
	wantError(t, err, codes.InvalidArgument, "drain")
	if _, err := c.DeleteTcpListener(ctx, &vnfv1.DeleteTcpListenerRequest{Name: "new", Drain: durationpb.New(time.Second)}); err != nil {
		t.Error(err)
	}
	_, err = c.DeleteTcpListener(ctx, &vnfv1.DeleteTcpListenerRequest{Name: "new"})
	wantError(t, err, codes.NotFound, "name")
}

func TestTCPPools(t *testing.T) {
	b, c := newTCPBox(t)
	ctx := testContext(t)
	app, err := c.GetTcpPool(ctx, &vnfv1.GetTcpPoolRequest{Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range app.GetBackends() {
		got = append(got, x.GetConfig().GetName()+" "+x.GetState().GetHealth().String()+" "+x.GetState().GetReason())
	}
	if want := []string{"a TCP_HEALTH_UP ", "b TCP_HEALTH_DOWN timeout", "old TCP_HEALTH_UNSPECIFIED ", "r TCP_HEALTH_UNSPECIFIED "}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if s := app.GetState(); !s.GetHealthy() || s.GetBackendsEnabled() != 2 || !slices.Equal(s.GetListeners(), []string{"web"}) {
		t.Error(s)
	}
	// What is told can be written again.
	before := b.Store.Config()
	for _, p := range before.TCP.Pools {
		one, err := c.GetTcpPool(ctx, &vnfv1.GetTcpPoolRequest{Name: p.Name})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.UpdateTcpPool(ctx, &vnfv1.UpdateTcpPoolRequest{Config: one.GetConfig()}); err != nil {
			t.Error(err)
		}
	}
	if after := b.Store.Config(); !reflect.DeepEqual(before.TCP.Pools, after.TCP.Pools) {
		t.Errorf("written back:\n%+v\nwas\n%+v", after.TCP.Pools, before.TCP.Pools)
	}
	if _, err := c.CreateTcpPool(ctx, &vnfv1.CreateTcpPoolRequest{Config: &vnfv1.TcpPoolConfig{Name: "p"}}); err != nil {
		t.Fatal(err)
	}
	_, err = c.CreateTcpPool(ctx, &vnfv1.CreateTcpPoolRequest{Config: &vnfv1.TcpPoolConfig{Name: "p"}})
	wantError(t, err, codes.AlreadyExists, "config.name")
	set := func(edit func(*vnfv1.TcpBackendConfig)) (*vnfv1.TcpPool, error) {
		m := &vnfv1.TcpBackendConfig{Name: "x", Address: "192.0.2.50", Port: 80}
		edit(m)
		return c.SetTcpBackend(ctx, &vnfv1.SetTcpBackendRequest{Pool: "p", Backend: m})
	}
	for _, w := range []uint32{1, 5} {
		if p, err := set(func(m *vnfv1.TcpBackendConfig) { m.Weight = w }); err != nil || len(p.GetBackends()) != 1 || p.GetBackends()[0].GetConfig().GetWeight() != w {
			t.Error(p, err)
		}
	}
	_, err = set(func(m *vnfv1.TcpBackendConfig) { m.Address = "192.0.2.1" })
	wantError(t, err, codes.InvalidArgument, "backend.address")
	_, err = set(func(m *vnfv1.TcpBackendConfig) { m.Weight = 256 })
	wantError(t, err, codes.InvalidArgument, "backend.weight")
	_, err = c.UpdateTcpPool(ctx, &vnfv1.UpdateTcpPoolRequest{
		Config:     &vnfv1.TcpPoolConfig{Name: "p", HealthCheck: &vnfv1.TcpHealthCheck{Rise: 3}},
		UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"health_check"}},
	})
	wantError(t, err, codes.InvalidArgument, "config.health_check.kind")
	admin := &vnfv1.SetTcpBackendAdminRequest{Pool: "p", Backend: "x", Admin: vnfv1.TcpBackendAdmin_TCP_BACKEND_ADMIN_DRAIN}
	if p, err := c.SetTcpBackendAdmin(ctx, admin); err != nil || p.GetConfig().GetBackends()[0].GetAdmin() != admin.Admin {
		t.Error(p, err)
	}
	admin.Backend = "y"
	_, err = c.SetTcpBackendAdmin(ctx, admin)
	wantError(t, err, codes.NotFound, "backend")
	_, err = c.DeleteTcpBackend(ctx, &vnfv1.DeleteTcpBackendRequest{Pool: "q", Backend: "x"})
	wantError(t, err, codes.NotFound, "pool")
	if p, err := c.DeleteTcpBackend(ctx, &vnfv1.DeleteTcpBackendRequest{Pool: "p", Backend: "x"}); err != nil || len(p.GetBackends()) != 0 {
		t.Error(p, err)
	}
	_, err = c.DeleteTcpPool(ctx, &vnfv1.DeleteTcpPoolRequest{Name: "app"})
	wantError(t, err, codes.FailedPrecondition, "tcp.listeners[web].proxy.pool")
	if _, err := c.DeleteTcpPool(ctx, &vnfv1.DeleteTcpPoolRequest{Name: "p"}); err != nil {
		t.Error(err)
	}
	list, err := c.ListTcpPools(ctx, &vnfv1.ListTcpPoolsRequest{PageSize: 1})
	if err != nil || len(list.GetPools()) != 1 || list.GetNextPageToken() == "" {
		t.Error(list, err)
	}
}

func TestTCPVips(t *testing.T) {
	_, c := newTCPBox(t)
	ctx := testContext(t)
	list, err := c.ListTcpVips(ctx, &vnfv1.ListTcpVipsRequest{})
	if err != nil || len(list.GetVips()) != 3 {
		t.Fatal(list, err)
	}
	web := list.GetVips()[1].GetState()
	if !web.GetPresent() || !web.GetHealthy() || !web.GetAnnounced() || web.GetInterface() != "eth1" || web.GetDad() != vnfv1.DadState_DAD_STATE_PREFERRED ||
		!slices.Equal(web.GetListeners(), []string{"web"}) {
		t.Error(web)
	}
	if v := list.GetVips()[2].GetState(); v.GetPresent() || v.GetHealthy() || v.GetAnnounced() || v.GetInterface() != "lo0" {
		t.Error(v)
	}
	for _, tc := range []struct {
		code codes.Code
		name string
		a    string
		want string
	}{
		{codes.AlreadyExists, "web", "192.0.2.81", "config.name"},
		{codes.InvalidArgument, "x", "192.0.2.80", "config.address"},
		{codes.InvalidArgument, "x", "203.0.113.1", "config.interface"},
		{codes.InvalidArgument, "x", "", "config.address"},
		{codes.OK, "x", "192.0.2.81", ""},
	} {
		_, err := c.CreateTcpVip(ctx, &vnfv1.CreateTcpVipRequest{Config: &vnfv1.TcpVipConfig{Name: tc.name, Address: tc.a}})
		wantError(t, err, tc.code, tc.want)
	}
	_, err = c.DeleteTcpVip(ctx, &vnfv1.DeleteTcpVipRequest{Name: "web"})
	wantError(t, err, codes.FailedPrecondition, "tcp.pools[app].source-addresses[0]")
	if _, err := c.DeleteTcpVip(ctx, &vnfv1.DeleteTcpVipRequest{Name: "x"}); err != nil {
		t.Error(err)
	}
}

func TestTCPConnections(t *testing.T) {
	b, c := newTCPBox(t)
	ctx := testContext(t)
	list, err := c.ListTcpConnections(ctx, &vnfv1.ListTcpConnectionsRequest{})
	if err != nil || len(list.GetConnections()) != 2 {
		t.Fatal(list, err)
	}
	x := list.GetConnections()[0]
	if x.GetSrtt().AsDuration() != 1500*time.Microsecond || x.Ssthresh != nil || x.PacingRate != nil || x.GetRemoteAddress() != "198.51.100.7" ||
		x.GetTimerLeft().AsDuration() != 200*time.Millisecond || x.GetSndWscale() != 7 {
		t.Error(x)
	}
	if tw := list.GetConnections()[1]; tw.Rto != nil || tw.GetState() != vnfv1.TcpState_TCP_STATE_TIME_WAIT {
		t.Error(tw)
	}
	f := &vnfv1.TcpConnectionFilter{
		NetworkInstance: "red", Local: "192.0.2.80", Remote: "198.51.100.0/24", LocalPort: 80, RemotePort: 40000,
		States: []vnfv1.TcpState{vnfv1.TcpState_TCP_STATE_ESTABLISHED}, Listener: "web", Pool: "app", Backend: "a",
		Family: vnfv1.AddressFamily_ADDRESS_FAMILY_IPV4, MinAge: durationpb.New(time.Second), MinIdle: durationpb.New(time.Minute), Outgoing: true,
	}
	if n, err := c.KillTcpConnections(ctx, &vnfv1.KillTcpConnectionsRequest{Filter: f}); err != nil || n.GetKilled() != 2 {
		t.Error(n, err)
	}
	asked := b.Seam.Asked(func(r *dpb.Request) bool { return r.GetTcpKill() != nil })
	want := &dpb.TcpKill{Filter: &dpb.TcpFilter{
		Vrf: "red", Local: &dpb.TcpPrefix{Prefix: []byte{192, 0, 2, 80}, PrefixLen: 32},
		Remote: &dpb.TcpPrefix{Prefix: []byte{198, 51, 100, 0}, PrefixLen: 24}, LocalPort: 80, RemotePort: 40000,
		States: []dpb.TcpState{dpb.TcpState_TCP_STATE_ESTABLISHED}, Listener: "web", Pool: "app", Backend: "a", Family: 4, MinAge: 1000,
		MinIdle: 60000, Outgoing: true,
	}}
	if len(asked) != 1 || !proto.Equal(asked[0].GetTcpKill(), want) {
		t.Error(asked)
	}
	for field, f := range map[string]*vnfv1.TcpConnectionFilter{
		"filter":            {},
		"filter.local":      {Local: "192.0.2.1/24"},
		"filter.remote":     {Remote: "here"},
		"filter.local_port": {LocalPort: 65536},
		"filter.states":     {States: []vnfv1.TcpState{77}},
		"filter.pool":       {Backend: "a"},
		"filter.min_age":    {MinAge: durationpb.New(time.Microsecond)},
	} {
		_, err := c.KillTcpConnections(ctx, &vnfv1.KillTcpConnectionsRequest{Filter: f})
		wantError(t, err, codes.InvalidArgument, field)
	}
	if _, err := c.KillTcpConnections(ctx, &vnfv1.KillTcpConnectionsRequest{All: true}); err != nil {
		t.Error(err)
	}
	s, err := c.GetTcpStatistics(ctx, &vnfv1.GetTcpStatisticsRequest{})
	if err != nil || s.GetCounters()[0].GetValue() != 3 || s.GetWorkers()[0].GetPressure() != vnfv1.TcpMemoryPressure_TCP_MEMORY_PRESSURE_MODERATE {
		t.Error(s, err)
	}
	b.Seam.Drop()
}

func TestWatchTCPHealth(t *testing.T) {
	b, c := newTCPBox(t)
	ctx := testContext(t)
	w, err := c.WatchTcpHealth(ctx, &vnfv1.WatchTcpHealthRequest{Pool: "app"})
	if err != nil {
		t.Fatal(err)
	}
	next := func() string {
		t.Helper()
		e, err := w.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_") + " " + e.GetPool() + "/" + e.GetBackend() + " " +
			strings.TrimPrefix(e.GetHealth().String(), "TCP_HEALTH_") + " " + e.GetReason()
	}
	for _, want := range []string{
		"ADDED app/ UP ", "ADDED app/a UP ", "ADDED app/b DOWN timeout", "ADDED app/r UNSPECIFIED ", "SYNCED / UNSPECIFIED ",
	} {
		if got := next(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	b.Seam.Set(func(s *dpb.ListResult, _ *dpb.Info) {
		s.TcpBackends[0] = &dpb.TcpBackendState{Pool: "app", Config: &dpb.TcpBackend{Name: "a"}, Health: dpb.TcpHealth_TCP_HEALTH_DOWN, Reason: "status 503"}
		s.TcpPools[0] = &dpb.TcpPoolState{Config: &dpb.TcpPool{Name: "app"}}
	})
	b.Seam.Push(&dpb.Event{Event: &dpb.Event_TcpHealth{TcpHealth: &dpb.TcpHealthEvent{Pool: "app"}}})
	for _, want := range []string{"CHANGED app/ DOWN ", "CHANGED app/a DOWN status 503"} {
		if got := next(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	bad, err := c.WatchTcpHealth(ctx, &vnfv1.WatchTcpHealthRequest{Pool: "none"})
	if err == nil {
		_, err = bad.Recv()
	}
	wantError(t, err, codes.NotFound, "pool")
}
