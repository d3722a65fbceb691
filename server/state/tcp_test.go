package state_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/grpc/grpctest"
	"millrace/server/state"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const tcpConfig = `
interfaces:
  - {name: eth1, type: port, iface: x, addresses: [192.0.2.1/24]}
tcp:
  vips:
    - {name: v, address: 192.0.2.80, announce: true}
  pools:
    - name: app
      backends:
        - {name: a, address: 198.51.100.1, port: 80}
        - {name: b, address: 198.51.100.2, port: 80}
  listeners:
    - {name: web, address: 192.0.2.80, port: 80, service: proxy, proxy: {pool: app}}
    - {name: echo, port: 7, service: echo}
    - {name: idle, port: 8, service: echo, enabled: false}
    - {name: bad, port: 9, service: echo}
`

// tcpBox is a source over the real client and a data plane of tables.
type tcpBox struct {
	seam   *grpctest.Seam
	source *state.TCP
	schema *schema.Schema

	mu  sync.Mutex
	cfg *config.Config
}

var began = time.Unix(1790000000, 0)

// newTCPBox has the source follow the data plane.
func newTCPBox(t testing.TB) *tcpBox {
	t.Helper()
	b := newStillTCPBox(t)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.source.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	for len(b.seam.Asked(func(r *dpb.Request) bool { return r.GetSubscribe() != nil })) == 0 {
		time.Sleep(time.Millisecond)
	}
	return b
}

// newStillTCPBox has the source ask for nothing by itself.
func newStillTCPBox(t testing.TB) *tcpBox {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &tcpBox{seam: grpctest.NewSeam(t), schema: s, cfg: parse(t, tcpConfig)}
	cl, err := client.New(client.Options{
		Socket: b.seam.Path, Owner: "test", Epoch: func() (uint64, error) { return 1, nil }, Version: "test",
		BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		at := uint64(began.UnixNano())
		r.TcpListeners = []*dpb.TcpListenerState{
			{
				Config: &dpb.TcpListener{Name: "web", Port: 80}, Id: 5, Healthy: true, Active: 3, Accepted: 10, RefusedLimit: 1, RefusedAcl: 2,
				BytesIn: 1000, Service: []*dpb.TcpCounter{{Name: "proxy_timeouts", Value: 4, Description: "d"}},
			},
			{Config: &dpb.TcpListener{Name: "echo", Port: 7}, Id: 6, Healthy: true},
			{
				Config: &dpb.TcpListener{Name: "echo", Port: 7, Service: dpb.TcpServiceKind_TCP_SERVICE_KIND_ECHO}, Id: 2, Draining: true, Active: 1,
			},
		}
		r.TcpPools = []*dpb.TcpPoolState{{
			Config: &dpb.TcpPool{Name: "app"}, Healthy: true, Backends: 2, BackendsHealthy: 1, BackendsEnabled: 2, LastChange: at,
		}}
		r.TcpBackends = []*dpb.TcpBackendState{
			{Pool: "app", Config: &dpb.TcpBackend{Name: "a"}, Health: dpb.TcpHealth_TCP_HEALTH_UP, LastChange: at, Reason: "old", EffectiveWeight: 1000},
			{Pool: "app", Config: &dpb.TcpBackend{Name: "b"}, Health: dpb.TcpHealth_TCP_HEALTH_DOWN, LastChange: at, Reason: "timeout", Checks: 9},
			{Pool: "app", Config: &dpb.TcpBackend{Name: "gone"}, Health: dpb.TcpHealth_TCP_HEALTH_UP, LastChange: at, Draining: true},
		}
		r.TcpCounters = []*dpb.TcpCounter{{Name: "retrans_fast", Value: 7, Description: "text"}, {Name: "out_rsts", Value: 1, Description: "x"}}
		r.TcpWorkers = []*dpb.TcpWorkerState{
			{Worker: 0, Connections: 2, ConnectionsMax: 100, Pressure: 1}, {Worker: 1, Connections: 3, ConnectionsMax: 100, Memory: 4096},
		}
		r.TcpConnections = []*dpb.TcpConnection{
			{State: dpb.TcpState_TCP_STATE_ESTABLISHED}, {State: dpb.TcpState_TCP_STATE_ESTABLISHED}, {State: dpb.TcpState_TCP_STATE_TIME_WAIT},
		}
		r.Addresses = []*dpb.AddressState{{Interface: "eth1", Address: []byte{192, 0, 2, 80}, PrefixLen: 32, Dad: dpb.DadState_DAD_STATE_PREFERRED}}
	})
	b.source, err = state.NewTCP(state.TCPOptions{
		Schema: s, Dataplane: cl, Config: b.config,
		Announced: func(string) map[netip.Prefix]bool {
			return map[netip.Prefix]bool{netip.MustParsePrefix("192.0.2.80/32"): true}
		},
		Refused: func() map[string]string { return map[string]string{"tcp.listeners[bad]": "no room"} },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = cl.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wait, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := cl.Wait(wait); err != nil {
		t.Fatal(err)
	}
	return b
}

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *tcpBox) config() *config.Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cfg
}

func (b *tcpBox) pattern(t testing.TB, path string) tree.Pattern {
	t.Helper()
	all, err := tree.Expand(b.schema, tree.MustPath(path))
	if err != nil || len(all) != 1 {
		t.Fatalf("%s: %v", path, err)
	}
	return all[0]
}

// read is what Read tells, by path.
func (b *tcpBox) read(t *testing.T, path string) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := b.source.Read(t.Context(), b.pattern(t, path), func(x telemetry.Batch) error {
		for _, l := range x.Leaves {
			got[l.Path.String()] = l.Value.Text()
			if l.Schema.Path() != l.Path.SchemaPath() {
				return fmt.Errorf("%s has the schema of %s", l.Path, l.Schema.Path())
			}
			if !slices.Contains(b.source.Roots(), l.Schema.Path()) {
				return fmt.Errorf("%s is not among the roots", l.Path)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestTCPRead(t *testing.T) {
	b := newTCPBox(t)
	got := b.read(t, "/")
	const top = "/tcp-termination"
	for path, want := range map[string]string{
		"/state/connections":                                                                              "5",
		"/state/memory-pressure":                                                                          "GROWTH_STOPPED",
		"/workers/worker[id=1]/state/memory-used":                                                         "4096",
		"/counters/counter[name=retrans-fast]/state/value":                                                "7",
		"/counters/counter[name=retrans-fast]/state/description":                                          "text",
		"/connections/connection[connection-state=ESTABLISHED]/state/count":                               "2",
		"/connections/connection[connection-state=CLOSING]/state/count":                                   "0",
		"/virtual-addresses/virtual-address[name=v]/state/oper-status":                                    "UP",
		"/virtual-addresses/virtual-address[name=v]/state/announced":                                      "true",
		"/virtual-addresses/virtual-address[name=v]/state/interface":                                      "eth1",
		"/virtual-addresses/virtual-address[name=v]/state/listener":                                       "web",
		"/pools/pool[name=app]/state/oper-status":                                                         "UP",
		"/pools/pool[name=app]/state/backends-up":                                                         "1",
		"/pools/pool[name=app]/state/last-change":                                                         fmt.Sprint(began.UnixNano()),
		"/pools/pool[name=app]/backends/backend[name=a]/state/oper-status":                                "UP",
		"/pools/pool[name=app]/backends/backend[name=b]/state/oper-status":                                "DOWN",
		"/pools/pool[name=app]/backends/backend[name=gone]/state/draining":                                "true",
		"/listeners/listener[name=web]/state/oper-status":                                                 "UP",
		"/listeners/listener[name=web]/state/id":                                                          "5",
		"/listeners/listener[name=web]/state/counters/refused":                                            "3",
		"/listeners/listener[name=web]/state/counters/refused-prefix":                                     "2",
		"/listeners/listener[name=idle]/state/oper-status":                                                "DISABLED",
		"/listeners/listener[name=bad]/state/oper-status-reason":                                          "no room",
		"/draining-listeners/draining-listener[id=2]/state/service":                                       "ECHO",
		"/draining-listeners/draining-listener[id=2]/state/network-instance":                              "default",
		"/listeners/listener[name=web]/service-counters/service-counter[name=proxy-timeouts]/state/value": "4",
		"/pools/pool[name=app]/backends/backend[name=b]/state/oper-status-reason":                         "timeout",
		"/pools/pool[name=app]/backends/backend[name=b]/state/counters/checks":                            "9",
	} {
		if got[top+path] != want {
			t.Errorf("%s is %q, want %q", path, got[top+path], want)
		}
	}
	if why, ok := got[top+"/pools/pool[name=app]/backends/backend[name=a]/state/oper-status-reason"]; ok {
		t.Errorf("a backend that is up has the reason %q", why)
	}
	// All that is claimed is told by something in this box, apart from what is not so in it.
	told := map[string]bool{}
	for p := range got {
		told[tree.MustPath(p).SchemaPath()] = true
	}
	for _, root := range b.source.Roots() {
		last := root[strings.LastIndexByte(root, '/')+1:]
		if !told[root] && last != "address" && last != "check-time" && last != "oper-status-reason" {
			t.Errorf("nothing tells %s", root)
		}
	}
}

func TestTCPReadOne(t *testing.T) {
	b := newStillTCPBox(t)
	asked := func() int { return len(b.seam.Asked(func(r *dpb.Request) bool { return r.GetList() != nil })) }
	for path, within := range map[string]string{
		"/tcp-termination/listeners/listener[name=web]/state/counters":                           "[name=web]",
		"/tcp-termination/pools/pool[name=app]/backends/backend[name=b]/state":                   "[name=app]",
		"/tcp-termination/counters/counter[name=out-rsts]":                                       "[name=out-rsts]",
		"/tcp-termination/workers/worker[id=1]":                                                  "",
		"/tcp-termination/virtual-addresses/virtual-address[name=v]/state/oper-status":           "[name=v]",
		"/tcp-termination/connections/connection[connection-state=TIME_WAIT]/state/count":        "[connection-state=TIME_WAIT]",
		"/tcp-termination/draining-listeners/draining-listener[id=2]/state/active-connections":   "[id=2]",
		"/tcp-termination/listeners/listener[name=nobody]/state":                                 "",
		"/tcp-termination/listeners/listener[name=web]/service-counters/service-counter[name=*]": "[name=web]",
	} {
		before := asked()
		for p := range b.read(t, path) {
			if !strings.Contains(p, within) {
				t.Errorf("%s tells %s", path, p)
			}
		}
		if n := asked() - before; n > 2 {
			t.Errorf("%s asked %d times", path, n)
		}
	}
}

// The data plane reckons the time of a change anew for each answer; the tree has one time for it.
func TestTCPOneTimeOfAChange(t *testing.T) {
	b := newTCPBox(t)
	const leaf = "/tcp-termination/pools/pool[name=app]/state/last-change"
	before := b.read(t, leaf)[leaf]
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		r.TcpPools[0] = proto.CloneOf(r.TcpPools[0])
		r.TcpPools[0].LastChange += 7000
	})
	if got := b.read(t, leaf)[leaf]; got != before {
		t.Errorf("last-change went from %s to %s by itself", before, got)
	}
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		r.TcpPools[0] = proto.CloneOf(r.TcpPools[0])
		r.TcpPools[0].LastChange += 1e9
	})
	if got := b.read(t, leaf)[leaf]; got == before {
		t.Error("that it went down and up again is not told")
	}
}

func BenchmarkTCPRead(b *testing.B) {
	box := newTCPBox(b)
	cfg := &config.Config{}
	box.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		r.TcpListeners = nil
		for i := range 500 {
			name := fmt.Sprintf("l%04d", i)
			cfg.TCP.Listeners = append(cfg.TCP.Listeners, config.TCPListener{Name: name, Port: uint16(i + 1), Service: config.ServiceEcho})
			r.TcpListeners = append(r.TcpListeners, &dpb.TcpListenerState{Config: &dpb.TcpListener{Name: name}, Id: uint32(i), Healthy: true})
		}
	})
	box.mu.Lock()
	box.cfg = cfg
	box.mu.Unlock()
	m := box.pattern(b, "/tcp-termination/listeners")
	for b.Loop() {
		n := 0
		if err := box.source.Read(b.Context(), m, func(x telemetry.Batch) error {
			n += len(x.Leaves)
			return nil
		}); err != nil || n < 500*20 {
			b.Fatal(n, err)
		}
	}
}

// A data plane that goes away leaves what is configured, down, and takes back no time.
func TestTCPDataplaneGone(t *testing.T) {
	b := newTCPBox(t)
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		r.TcpListeners, r.TcpPools, r.TcpBackends, r.Addresses = nil, nil, nil, nil
	})
	got := b.read(t, "/tcp-termination")
	for path, want := range map[string]string{
		"/listeners/listener[name=web]/state/oper-status":                         "DOWN",
		"/pools/pool[name=app]/state/oper-status":                                 "DOWN",
		"/pools/pool[name=app]/backends/backend[name=a]/state/oper-status":        "UNKNOWN",
		"/pools/pool[name=app]/backends/backend[name=a]/state/oper-status-reason": "the data plane does not have it",
		"/virtual-addresses/virtual-address[name=v]/state/present":                "false",
		"/virtual-addresses/virtual-address[name=v]/state/oper-status":            "DOWN",
	} {
		if got["/tcp-termination"+path] != want {
			t.Errorf("%s is %q, want %q", path, got["/tcp-termination"+path], want)
		}
	}
}

func TestTCPWatch(t *testing.T) {
	b := newTCPBox(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	batches := make(chan telemetry.Batch, 100)
	ready := make(chan struct{})
	done := make(chan error, 1)
	go func() {
		done <- b.source.Watch(ctx, b.pattern(t, "/tcp-termination"), func() { close(ready) }, func(x telemetry.Batch) error {
			batches <- x
			return nil
		})
	}()
	<-ready
	// what waits for a value at a path, and gives its time.
	wait := func(path, want string) time.Time {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			select {
			case x := <-batches:
				for _, l := range x.Leaves {
					if b.source.Sampled(l.Schema) {
						t.Fatalf("%s is told though it is sampled", l.Path)
					}
					if l.Path.String() == path && l.Value.Text() == want {
						return x.Time
					}
				}
				for _, p := range x.Deleted {
					if p.String() == path && want == "deleted" {
						return x.Time
					}
				}
			case <-deadline:
				t.Fatalf("%s does not become %s", path, want)
			}
		}
	}
	const backend = "/tcp-termination/pools/pool[name=app]/backends/backend[name=a]/state"
	const listener = "/tcp-termination/listeners/listener[name=web]/state"
	var down time.Time
	for try := 1; ; try++ {
		// A first change, which shows that there was a look before it.
		b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
			r.TcpListeners[0] = &dpb.TcpListenerState{Config: &dpb.TcpListener{Name: "web"}, Id: uint32(50 + try), Healthy: true}
		})
		b.seam.Push(&dpb.Event{Event: &dpb.Event_Overflow{Overflow: &dpb.Overflow{Dropped: 1}}})
		wait(listener+"/id", fmt.Sprint(50+try))
		down = began.Add(time.Duration(try) * time.Hour)
		b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
			r.TcpBackends[0] = &dpb.TcpBackendState{
				Pool: "app", Config: &dpb.TcpBackend{Name: "a"}, Health: dpb.TcpHealth_TCP_HEALTH_DOWN, Reason: "status 503", LastChange: uint64(down.UnixNano()),
			}
			r.TcpPools[0] = &dpb.TcpPoolState{Config: &dpb.TcpPool{Name: "app"}, Backends: 2, BackendsEnabled: 2, LastChange: uint64(down.UnixNano())}
			r.TcpListeners[0] = &dpb.TcpListenerState{Config: &dpb.TcpListener{Name: "web"}, Id: 5}
		})
		b.seam.Push(&dpb.Event{Time: uint64(down.UnixNano()), Event: &dpb.Event_TcpHealth{TcpHealth: &dpb.TcpHealthEvent{Pool: "app", Backend: "a"}}})
		// The order of batches of one time is not told, so each has a wait of its own.
		at := wait(listener+"/oper-status", "DOWN")
		if at.Equal(down) {
			break
		}
		// A look that the clock asked for may have come between the change and its event, but not each time.
		if try == 10 {
			t.Fatalf("the listener went down at %v, not at the event's time", at)
		}
	}
	if got := b.read(t, listener)[listener+"/last-change"]; got != fmt.Sprint(down.UnixNano()) {
		t.Errorf("last-change %s", got)
	}
	if got := b.read(t, backend)[backend+"/last-change"]; got != fmt.Sprint(down.UnixNano()) {
		t.Errorf("last-change %s", got)
	}
	// A listener less.
	next := parse(t, strings.Replace(tcpConfig, "    - {name: bad, port: 9, service: echo}\n", "", 1))
	b.mu.Lock()
	b.cfg = next
	b.mu.Unlock()
	b.source.Poke()
	wait("/tcp-termination/listeners/listener[name=bad]/state", "deleted")
	cancel()
	if err := <-done; err != context.Canceled {
		t.Errorf("Watch ended with %v", err)
	}
}
