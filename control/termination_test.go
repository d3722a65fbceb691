package control

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/routing/bgp"
	"millrace/server/config"
)

const termination1 = `
interfaces:
  - {name: eth1, type: port, iface: a, addresses: [192.0.2.1/24, "2001:db8::1/64"]}
  - {name: eth2, type: port, iface: b, network-instance: red, addresses: [192.0.2.1/24]}
network-instances:
  - {name: red}
tcp:
  vips:
    - {name: v4, address: 192.0.2.80, announce: true}
    - {name: v6, address: "2001:db8::80", announce: true}
  pools:
    - {name: app, backends: [{name: a, address: 192.0.2.201, port: 80}, {name: b, address: 192.0.2.202, port: 80, network-instance: red}]}
    - {name: spare, backends: [{name: a, address: 192.0.2.203, port: 80}]}
  listeners:
    - {name: web, address: 192.0.2.80, port: 80, service: proxy, proxy: {pool: app}, drain-timeout: 5s}
    - {name: echo, network-instance: red, port: 7, service: echo}
`

func TestPlanTCP(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"nothing", "", "", ""},
		{"a limit", "port: 7,", "port: 7, rate: 5,", "+tcp-listener echo"},
		{"port", "port: 7,", "port: 8,", "-tcp-listener echo, +tcp-listener echo"},
		{"service", "service: echo", "service: discard", "-tcp-listener echo, +tcp-listener echo"},
		{"switched off", "port: 7,", "port: 7, enabled: false,", "-tcp-listener echo"},
		{"description is not the data plane's", "name: app,", "name: app, description: x,", ""},
		{"backend", "192.0.2.201", "192.0.2.211", "+tcp-pool app"},
		{"pool renamed", "app", "apps", "-tcp-pool app, +tcp-pool apps, +tcp-listener web"},
		{"address of a listener", "192.0.2.80", "192.0.2.81",
			"-tcp-listener web, -address eth1 192.0.2.80, +address eth1 192.0.2.81, +tcp-listener web"},
		{"instance made anew: what is in it comes back", "{name: red}", "{name: red, ipv4-routes: 100}",
			"-tcp-listener echo, -interface eth2, +tcp-pool app, -vrf red, +vrf red, +interface eth2, +address eth2 192.0.2.1, +tcp-pool app, +tcp-listener echo"},
		{"address becomes a virtual one", `    - {name: v6, address: "2001:db8::80", announce: true}`, "",
			"-address eth1 2001:db8::80"},
	} {
		old := have(desired(mustParse(t, termination1)))
		next := desired(mustParse(t, strings.ReplaceAll(termination1, c.old, c.new)))
		p := makePlan(old, next)
		if got := show(p.steps(old)); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
		for _, o := range p.drain(7).del {
			if d := o.del.GetTcpListenerDelete(); d != nil && d.GetDrainTimeout() != 7 {
				t.Errorf("%s: %v", c.name, d)
			}
		}
	}
}

// An instance goes only after the pools that reached into it were written without those backends.
func TestPlanPoolLeavesInstance(t *testing.T) {
	old := have(desired(mustParse(t, termination1)))
	text := termination1
	for _, s := range []string{
		"  - {name: eth2, type: port, iface: b, network-instance: red, addresses: [192.0.2.1/24]}\n", "network-instances:\n  - {name: red}\n",
		"port: 80, network-instance: red}", "    - {name: echo, network-instance: red, port: 7, service: echo}\n",
	} {
		with := ""
		if s[0] == 'p' {
			with = "port: 80}"
		}
		text = strings.Replace(text, s, with, 1)
	}
	steps := makePlan(old, desired(mustParse(t, text))).steps(old)
	if got, want := show(steps), "-tcp-listener echo, -interface eth2, +tcp-pool app, -vrf red, +tcp-pool app"; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	if n := len(steps[2].add.GetTcpPool().GetBackends()); n != 1 {
		t.Errorf("%d backends while the instance goes", n)
	}
	if n := len(old["tcp-pool app"].add.GetTcpPool().GetBackends()); n != 2 {
		t.Errorf("the old object was changed: %d", n)
	}
}

// Every field of the configuration arrives in the seam's messages.
func TestTCPMessages(t *testing.T) {
	c, err := config.Load("../server/config/testdata/tcp.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var web, discard, status, chargen *pb.TcpListener
	var app, spare *pb.TcpPool
	vips := 0
	for _, o := range tcpObjects(c) {
		switch {
		case o.add.GetTcpListener() != nil:
			m := o.add.GetTcpListener()
			*map[string]**pb.TcpListener{"web": &web, "discard": &discard, "status": &status, "chargen": &chargen}[m.GetName()] = m
		case o.add.GetTcpPool() != nil:
			m := o.add.GetTcpPool()
			*map[string]**pb.TcpPool{"app": &app, "spare": &spare}[m.GetName()] = m
		case o.add.GetAddress().GetKind() == pb.AddressKind_ADDRESS_KIND_VIRTUAL:
			vips++
		}
	}
	if vips != 3 {
		t.Errorf("%d virtual addresses", vips)
	}
	a := func(s string) []byte { return netip.MustParseAddr(s).AsSlice() }
	want := []proto.Message{
		&pb.TcpListener{
			Name: "web", Vrf: "default", Address: a("192.0.2.80"), Port: 80, Service: pb.TcpServiceKind_TCP_SERVICE_KIND_PROXY,
			Proxy: &pb.TcpProxy{
				Pool: "app", BackupPool: "spare", ProxyProtocolIn: pb.TcpProxyProtocol_TCP_PROXY_PROTOCOL_ANY,
				ProxyProtocolOut: pb.TcpProxyProtocol_TCP_PROXY_PROTOCOL_V2, ConnectTimeout: 500, Retries: 2,
				ProxyProtocolTrusted: []*pb.TcpPrefix{{Prefix: a("198.51.100.0"), PrefixLen: 28}}, HalfCloseTimeout: 60000,
				NoBackend: pb.TcpNoBackend_TCP_NO_BACKEND_WAIT, WaitTimeout: 3000,
			},
			Options: &pb.TcpOptions{}, Backlog: 4096, MaxConnections: 50000, Rate: 1000, Burst: 2000, MaxPerSource: 100,
			Allow: []*pb.TcpPrefix{{Prefix: a("198.51.100.0"), PrefixLen: 24}, {Prefix: a("2001:db8::"), PrefixLen: 32}},
			Deny:  []*pb.TcpPrefix{{Prefix: a("198.51.100.66"), PrefixLen: 32}}, ResetDenied: true, IdleTimeout: 300000,
			TotalTimeout: 86400000, HeaderTimeout: 2000, DrainTimeout: 30000,
		},
		&pb.TcpListener{
			Name: "discard", Vrf: "red", Address: a("192.0.2.80"), Port: 9, Service: pb.TcpServiceKind_TCP_SERVICE_KIND_DISCARD,
			Options: &pb.TcpOptions{
				CongestionControl: pb.TcpCongestionControl_TCP_CONGESTION_CONTROL_NEWRENO, NoSack: true, NoTimestamps: true,
				NoWindowScale: true, NoEcn: true, NoDelayedAck: true, NoNagle: true, NoMtuProbing: true, FastOpen: true, CookiesAlways: true,
				Pacing: true, Ttl: 1, Dscp: 46, Mss: 1400, UserTimeout: 30000, FinWait2Timeout: 5000, SynackRetries: 2,
				ReceiveBuffer: 65536, SendBuffer: 65537,
			},
		},
		&pb.TcpListener{
			Name: "status", Vrf: "default", Address: a("192.0.2.1"), Port: 8000, Service: pb.TcpServiceKind_TCP_SERVICE_KIND_HTTP,
			Options: &pb.TcpOptions{},
			Http: &pb.TcpHttp{
				Response: &pb.TcpHttpResponse{Status: 404, Body: []byte("nothing here\n")},
				Routes: []*pb.TcpHttpRoute{
					{Path: "/health", Response: &pb.TcpHttpResponse{Status: 204}},
					{Path: "/files", Prefix: true, Response: &pb.TcpHttpResponse{
						BodyFile: "/srv/blob", Headers: []*pb.TcpHttpHeader{{Name: "Content-Type", Value: "application/octet-stream"}},
					}},
				},
				Methods: []pb.TcpHttpMethod{pb.TcpHttpMethod_TCP_HTTP_METHOD_GET, pb.TcpHttpMethod_TCP_HTTP_METHOD_HEAD}, Server: "millrace",
				BodyTimeout: 5000, MaxBody: 1 << 20, MaxRequests: 1000,
			},
		},
		&pb.TcpListener{
			Name: "chargen", Vrf: "default", Address: a("0.0.0.0"), Port: 19, Service: pb.TcpServiceKind_TCP_SERVICE_KIND_CHARGEN,
			Options: &pb.TcpOptions{}, Chargen: &pb.TcpChargen{Limit: 1000000000000},
		},
		&pb.TcpPool{
			Name: "app", Algorithm: pb.TcpAlgorithm_TCP_ALGORITHM_MAGLEV, HashKey: pb.TcpHashKey_TCP_HASH_KEY_FIVE_TUPLE, MaglevSize: 4099,
			HashSeed: 1<<64 - 1, SlowStart: 30000, MaxConnections: 5000, MinHealthy: 2, SourceMode: pb.TcpSourceMode_TCP_SOURCE_MODE_POOL,
			SourceAddresses: [][]byte{a("192.0.2.80")}, PassiveFall: 3, PassiveTime: 20000,
			Options: &pb.TcpOptions{
				CongestionControl: pb.TcpCongestionControl_TCP_CONGESTION_CONTROL_BBR, KeepaliveIdle: 60, KeepaliveInterval: 10, KeepaliveCount: 3,
			},
			HealthCheck: &pb.TcpHealthCheck{
				Kind: pb.TcpHealthCheckKind_TCP_HEALTH_CHECK_KIND_HTTP, Interval: 500, Timeout: 250, Rise: 3, Fall: 2, Port: 8081,
				Method: "HEAD", Path: "/health?full=1", Host: "app.example.net", StatusMin: 201, StatusMax: 299,
				ProxyProtocol: pb.TcpProxyProtocol_TCP_PROXY_PROTOCOL_V2,
			},
			Backends: []*pb.TcpBackend{
				{Name: "a", Address: a("192.0.2.201"), Port: 8080, Vrf: "default", Weight: 3, MaxConnections: 1000, DrainTimeout: 60000},
				{Name: "b", Address: a("192.0.2.202"), Port: 8080, Vrf: "default", Admin: pb.TcpBackendAdmin_TCP_BACKEND_ADMIN_DRAIN},
				{Name: "r", Address: a("192.0.2.202"), Port: 8080, Vrf: "red", Admin: pb.TcpBackendAdmin_TCP_BACKEND_ADMIN_DISABLED},
			},
		},
		&pb.TcpPool{
			Name: "spare", Algorithm: pb.TcpAlgorithm_TCP_ALGORITHM_LEAST_CONNECTIONS, Options: &pb.TcpOptions{},
			HealthCheck: &pb.TcpHealthCheck{Kind: pb.TcpHealthCheckKind_TCP_HEALTH_CHECK_KIND_CONNECT},
			SourceMode:  pb.TcpSourceMode_TCP_SOURCE_MODE_TRANSPARENT,
			Backends:    []*pb.TcpBackend{{Name: "a", Address: a("2001:db8:1::9"), Port: 80, Vrf: "default"}},
		},
	}
	for i, got := range []proto.Message{web, discard, status, chargen, app, spare} {
		if !proto.Equal(got, want[i]) {
			t.Errorf("got  %v\nwant %v", got, want[i])
		}
	}
	s := tcpSettings(&pb.Settings{}, &c.TCP)
	if !proto.Equal(s, &pb.Settings{
		TcpMaxConnections: 100000, TcpMaxTimeWait: 50000, TcpMemoryLimit: 64 << 20, TcpTimeWait: 30000, TcpPortMin: 20000, TcpPortMax: 60000,
		TcpChallengeAckRate: 500, TcpResetRate: 400,
	}) {
		t.Error(s)
	}
}

func TestAnnouncements(t *testing.T) {
	web := "192.0.2.80/32"
	for _, c := range []struct {
		name     string
		old, new string
		pools    string
		present  string
		want     string
	}{
		{"a healthy proxy", "", "", "app", "vip web", web},
		{"its pool is down", "", "", "spare", "vip web", ""},
		{"the backup pool is up", "proxy: {pool: app}", "proxy: {pool: app, backup-pool: spare}", "spare", "vip web", web},
		{"the data plane has no such listener", "", "", "app", "vip", ""},
		{"the data plane has no such address", "", "", "app", "web", ""},
		{"a listener in another instance does not count", "", "", "", "vip web echo", ""},
		{"a listener on all addresses does, where there is none of its own", "network-instance: red, port: 7", "port: 7", "", "vip web echo",
			"2001:db8::80/128"},
		{"of its own family", "network-instance: red, port: 7", `address: "::", port: 7`, "", "vip web echo", "2001:db8::80/128"},
		{"unless it is switched off", "network-instance: red, port: 7", "enabled: false, port: 7", "", "vip web echo", ""},
		{"not to be announced", "192.0.2.80, announce: true", "192.0.2.80", "app", "vip web", ""},
	} {
		cfg := mustParse(t, strings.Replace(termination1, c.old, c.new, 1))
		term := newTermination()
		for _, p := range strings.Fields(c.pools) {
			term.pools[p] = true
		}
		for _, n := range strings.Fields(c.present) {
			term.present[listenerKey(n)] = true
		}
		if strings.Contains(c.present, "vip") {
			term.present["address eth1 192.0.2.80"], term.present["address eth1 2001:db8::80"] = true, true
		}
		var got []string
		for p := range announcements(cfg, term.has, term.healthy)["default"] {
			got = append(got, p.String())
		}
		slices.Sort(got)
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}

// The whole way: events of the data plane become alarms, and the address is announced while the pool is healthy.
func TestHealthAndAnnouncement(t *testing.T) {
	b := start(t, termination1, nil)
	b.eventually("the listener", func() bool { return b.has("tcp-listener web") })
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	b.eventually("the end of the start", func() bool {
		b.c.restart.mu.Lock()
		defer b.c.restart.mu.Unlock()
		return b.c.restart.configured
	})
	// A speaker that does not listen: the configuration has none such.
	if err := b.c.acquire(ctx); err != nil {
		t.Fatal(err)
	}
	in, err := b.c.startBGP("default")
	b.c.release()
	if err != nil {
		t.Fatal(err)
	}
	if err := in.speaker.Apply(ctx, bgp.Config{Instance: "default", ASN: 65001, RouterID: netip.MustParseAddr("192.0.2.1"), ListenPort: -1}); err != nil {
		t.Fatal(err)
	}
	announced := func(want ...string) func() bool {
		return func() bool {
			var got []string
			for p := range b.c.AnnouncedVIPs("default") {
				got = append(got, p.String())
			}
			return slices.Equal(got, want)
		}
	}
	alarm := func(id string) bool {
		return slices.Contains(slices.Collect(maps.Keys(b.c.alarms.set)), id)
	}
	alarms := func(ids ...string) func() bool {
		return func() bool {
			b.c.alarms.mu.Lock()
			defer b.c.alarms.mu.Unlock()
			return len(b.c.alarms.set) == len(ids) && !slices.ContainsFunc(ids, func(id string) bool { return !alarm(id) })
		}
	}
	b.eventually("the announcement", announced("192.0.2.80/32"))
	b.eventually("no alarms", alarms())
	b.s.SetHealth("app", "a", pb.TcpHealth_TCP_HEALTH_DOWN, "timeout")
	b.eventually("an alarm of the backend", alarms("tcp-backend app a"))
	b.s.SetHealth("app", "", pb.TcpHealth_TCP_HEALTH_DOWN, "")
	b.eventually("an alarm of the pool", alarms("tcp-backend app a", "tcp-pool app"))
	b.eventually("the withdrawal", announced())
	// What events do not tell is read after a reconnect, and a lost data plane changes nothing.
	b.s.Disconnect()
	b.s.SetHealth("app", "a", pb.TcpHealth_TCP_HEALTH_UP, "")
	b.s.SetHealth("app", "", pb.TcpHealth_TCP_HEALTH_UP, "")
	b.eventually("the announcement after a reconnect", announced("192.0.2.80/32"))
	b.eventually("the end of the alarms", alarms())
	// A listener that goes, goes with its drain time, or with that of the change. (The speaker goes as well: it is not configured.)
	var drains []uint32
	b.s.SetRefuse(func(op *pb.Op) *pb.Error {
		if d := op.GetTcpListenerDelete(); d != nil {
			drains = append(drains, d.GetDrainTimeout())
		}
		return nil
	})
	drop := func(name string) func(*config.Config) {
		return func(c *config.Config) {
			c.TCP.Listeners = slices.DeleteFunc(c.TCP.Listeners, func(l config.TCPListener) bool { return l.Name == name })
		}
	}
	if err := b.edit(ctx, drop("web")); err != nil {
		t.Fatal(err)
	}
	if err := b.edit(config.WithDrain(ctx, 1500*time.Millisecond), drop("echo")); err != nil {
		t.Fatal(err)
	}
	b.s.SetRefuse(nil)
	if !slices.Equal(drains, []uint32{5000, 1500}) {
		t.Errorf("drained for %v ms", drains)
	}
}

// A refusal of the data plane names the field.
func TestTCPRefused(t *testing.T) {
	b := start(t, termination1, nil)
	b.eventually("the listener", func() bool { return b.has("tcp-listener web") })
	b.s.SetRefuse(func(op *pb.Op) *pb.Error {
		if op.GetTcpListener().GetName() == "file" {
			return &pb.Error{Code: pb.Code_CODE_INVALID, Field: "batch.ops[0].tcp_listener.http.response.body_file", Message: "cannot be read"}
		}
		return nil
	})
	err := b.apply(termination1 + "    - {name: file, port: 80, service: http, http: {response: {body-file: /none}}}\n")
	if err == nil || err.Error() != "tcp.listeners[file].http.response.body-file: cannot be read" {
		t.Error(err)
	}
	if len(b.c.Config().TCP.Listeners) != 2 {
		t.Error("the refused configuration is in force")
	}
}

// A restart of either process writes everything again and deletes nothing that is wanted.
func TestTCPReplay(t *testing.T) {
	b := start(t, termination1, nil)
	b.eventually("the listener", func() bool { return b.has("tcp-listener web") && b.has("address eth1 192.0.2.80") })
	b.s.TakeLog()
	b.s.Reboot(2)
	b.eventually("the listener again", func() bool { return b.has("tcp-listener web") && b.has("tcp-pool spare") })
	b.stop()
	b.s.TakeLog()
	b.run(termination1, nil)
	b.eventually("all written by the next vnf", func() bool { return b.s.Objects()["tcp-listener web"].Epoch == b.epochs.Load() })
	for _, l := range b.s.TakeLog() {
		if l[0] == '-' {
			t.Errorf("deleted: %s", l)
		}
	}
}
