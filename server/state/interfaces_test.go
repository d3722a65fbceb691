package state_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	"millrace/server/grpc/grpctest"
	"millrace/server/model"
	"millrace/server/state"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

const portsConfig = `
interfaces:
  - {name: eth1, type: port, iface: tapx, addresses: [192.0.2.1/24, "2001:db8::1/64"], router-advertisements: {}}
  - {name: eth1.7, type: vlan, parent: eth1, vlan-id: 70}
  - {name: eth2, type: port, iface: tapy, enabled: false}
  - {name: lo0, type: loopback, addresses: [198.51.100.1/32]}
`

// seamBox is sources over the real client and a data plane of tables.
type seamBox struct {
	t      *testing.T
	seam   *grpctest.Seam
	schema *schema.Schema
	client *client.Client
	cfg    *config.Config
	hub    *telemetry.Hub
}

func newSeamBox(t *testing.T, text string, sources func(*seamBox) []telemetry.Source) *seamBox {
	t.Helper()
	s, err := schema.Load()
	if err != nil {
		t.Fatal(err)
	}
	b := &seamBox{t: t, seam: grpctest.NewSeam(t), schema: s, cfg: parse(t, text)}
	if b.client, err = client.New(client.Options{
		Socket: b.seam.Path, Owner: "test", Epoch: func() (uint64, error) { return 1, nil }, Version: "test",
		BackoffMin: 10 * time.Millisecond, BackoffMax: 50 * time.Millisecond,
	}); err != nil {
		t.Fatal(err)
	}
	tr, err := model.New(s).FromConfig(b.cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	all := sources(b)
	if b.hub, err = telemetry.New(telemetry.Options{Schema: s, Config: func() *tree.Tree { return tr }, Sources: all}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { _ = b.client.Run(ctx) })
	for _, src := range all {
		if r, ok := src.(interface{ Run(context.Context) }); ok {
			wg.Go(func() { r.Run(ctx) })
		}
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	wait, stop := context.WithTimeout(ctx, time.Minute)
	defer stop()
	if err := b.client.Wait(wait); err != nil {
		t.Fatal(err)
	}
	return b
}

// get reads what a path takes, as lines "path value", without the prefix that the path has before its first wildcard.
func (b *seamBox) get(path string) string {
	b.t.Helper()
	ms, err := tree.Expand(b.schema, tree.MustPath(path))
	if err != nil {
		b.t.Fatal(err)
	}
	var out []string
	for _, m := range ms {
		err := b.hub.Read(context.Background(), m, telemetry.State, func(x telemetry.Batch) error {
			for _, l := range x.Leaves {
				out = append(out, l.Path.String()+" "+l.Value.Text())
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// want checks that lines are among those of what a path takes, and exactly those if all is set.
func (b *seamBox) want(path string, all bool, lines ...string) {
	b.t.Helper()
	got := b.get(path)
	have := strings.Split(got, "\n")
	for _, l := range lines {
		if !slices.Contains(have, l) {
			b.t.Errorf("%s lacks %q:\n%s", path, l, got)
		}
	}
	if all && got != "" && len(have) != len(lines) {
		b.t.Errorf("%s has %d lines, want %d:\n%s", path, len(have), len(lines), got)
	}
}

func seamInterface(name string, kind dpb.InterfaceKind, up bool, n uint64) *dpb.InterfaceState {
	st := &dpb.InterfaceState{
		Config: &dpb.Interface{Name: name, Kind: kind, AdminUp: true}, Ifindex: uint32(n), Mtu: 1500, Mac: []byte{2, 0, 0, 0, 0, byte(n)},
		Speed: 10000, FullDuplex: true, LastChange: uint64(began.UnixNano()), Driver: "net_af_packet", RxQueues: 2, TxQueues: 3, Tap: name,
		OperStatus: dpb.OperStatus_OPER_STATUS_DOWN,
		Counters: &dpb.InterfaceCounters{
			RxPackets: 10 * n, RxOctets: 1000 * n, RxUnicast: 9 * n, RxMulticast: n, RxErrors: 1, RxMissed: 2, RxDiscards: 3, TxPackets: 4 * n,
			TxOctets: 400 * n, TxErrors: 5, TxDiscards: 6, Punted: 7,
		},
	}
	if up {
		st.OperStatus = dpb.OperStatus_OPER_STATUS_UP
	}
	return st
}

func newPortsBox(t *testing.T) (*seamBox, *state.Interfaces) {
	var src *state.Interfaces
	b := newSeamBox(t, portsConfig, func(b *seamBox) []telemetry.Source {
		src = state.NewInterfaces(b.schema, b.client, func() *config.Config { return b.cfg })
		return []telemetry.Source{src}
	})
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		vlan := seamInterface("eth1.7", dpb.InterfaceKind_INTERFACE_KIND_VLAN, true, 3)
		vlan.Config.Parent, vlan.Config.VlanId = "eth1", 70
		lo := seamInterface("lo0", dpb.InterfaceKind_INTERFACE_KIND_LOOPBACK, true, 4)
		lo.Mtu, lo.Mac, lo.Speed = 65000, nil, 0
		r.Interfaces = []*dpb.InterfaceState{seamInterface("eth1", dpb.InterfaceKind_INTERFACE_KIND_PORT, true, 1), vlan, lo}
		r.Addresses = []*dpb.AddressState{
			{Interface: "eth1", Address: []byte{192, 0, 2, 1}, PrefixLen: 24, Dad: dpb.DadState_DAD_STATE_DUPLICATE, ConflictMac: []byte{2, 0, 0, 0, 0, 9}},
			{Interface: "eth1.7", Address: []byte{0xfe, 0x80, 15: 1}, PrefixLen: 64, Automatic: true, Dad: dpb.DadState_DAD_STATE_TENTATIVE},
		}
		r.Neighbors = []*dpb.NeighborState{
			{Interface: "eth1", Address: []byte{192, 0, 2, 9}, Mac: []byte{2, 0, 0, 0, 0, 9}, Nud: dpb.NeighborNud_NEIGHBOR_NUD_STATIC, TxPackets: 5},
			{Interface: "eth1.7", Address: []byte{0xfe, 0x80, 15: 9}, Mac: []byte{2, 0, 0, 0, 0, 9}, Nud: dpb.NeighborNud_NEIGHBOR_NUD_REACHABLE, IsRouter: true, Age: 3},
		}
		r.Xstats = []*dpb.XStat{{Interface: "eth1", Name: "rx_q0_packets", Value: 8}}
	})
	return b, src
}

func TestInterfaceState(t *testing.T) {
	b, _ := newPortsBox(t)
	e1, s0, s7 := "/interfaces/interface[name=eth1]", "/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]",
		"/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=7]"
	b.want(e1+"/state", false, e1+"/state/oper-status UP", e1+"/state/admin-status UP", e1+"/state/mtu 1514", e1+"/state/ifindex 1",
		fmt.Sprintf("%s/state/last-change %d", e1, began.UnixNano()), e1+"/state/name eth1", e1+"/state/type iana-if-type:ethernetCsmacd",
		e1+"/state/enabled true", e1+"/state/logical false", e1+"/state/counters/in-pkts 40", e1+"/state/counters/out-octets 1600",
		e1+"/state/counters/in-discards 8", e1+"/state/counters/interface-transitions 0")
	b.want(e1+"/state/counters/in-octets", true, e1+"/state/counters/in-octets 4000")
	b.want(e1+"/ethernet/state", true, e1+"/ethernet/state/mac-address 02:00:00:00:00:01", e1+"/ethernet/state/hw-mac-address 02:00:00:00:00:01",
		e1+"/ethernet/state/port-speed openconfig-if-ethernet:SPEED_10GB", e1+"/ethernet/state/negotiated-port-speed openconfig-if-ethernet:SPEED_10GB",
		e1+"/ethernet/state/negotiated-duplex-mode FULL")
	b.want(e1+"/port/state", false, e1+"/port/state/iface tapx", e1+"/port/state/device-driver net_af_packet", e1+"/port/state/rx-queues 2")
	b.want(e1+"/port/xstats", true, e1+"/port/xstats/xstat[name=rx_q0_packets]/state/name rx_q0_packets",
		e1+"/port/xstats/xstat[name=rx_q0_packets]/state/value 8")
	b.want(s0+"/state", false, s0+"/state/index 0", s0+"/state/name eth1", s0+"/state/oper-status UP", s0+"/state/counters/in-pkts 10",
		s0+"/state/urpf OFF")
	b.want(s7+"/state", false, s7+"/state/index 7", s7+"/state/name eth1.7", s7+"/state/logical true", s7+"/state/counters/in-pkts 30")
	b.want(s0+"/ipv6/router-advertisement/state/enable", true, s0+"/ipv6/router-advertisement/state/enable true")
	b.want(s7+"/ipv6/router-advertisement/state/enable", true, s7+"/ipv6/router-advertisement/state/enable false")
	a4, a6 := s0+"/ipv4/addresses/address[ip=192.0.2.1]/state", s7+"/ipv6/addresses/address[ip=fe80::1]/state"
	b.want(a4, true, a4+"/ip 192.0.2.1", a4+"/prefix-length 24", a4+"/origin STATIC", a4+"/status DUPLICATE", a4+"/conflict-mac 02:00:00:00:00:09",
		a4+"/virtual false")
	b.want("/interfaces/interface/subinterfaces/subinterface/ipv6/addresses/address[ip=fe80::1]/state", true, a6+"/ip fe80::1", a6+"/prefix-length 64",
		a6+"/origin LINK_LAYER", a6+"/status TENTATIVE", a6+"/type LINK_LOCAL_UNICAST", a6+"/virtual false")
	n4, n6 := s0+"/ipv4/neighbors/neighbor[ip=192.0.2.9]/state", s7+"/ipv6/neighbors/neighbor[ip=fe80::9]/state"
	b.want(n4, true, n4+"/ip 192.0.2.9", n4+"/link-layer-address 02:00:00:00:00:09", n4+"/origin STATIC", n4+"/nud-state STATIC", n4+"/age 0",
		n4+"/queued-pkts 0", n4+"/out-pkts 5", n4+"/out-octets 0")
	b.want(n6, false, n6+"/origin DYNAMIC", n6+"/neighbor-state REACHABLE", n6+"/is-router true", n6+"/age 3")
	e2, lo := "/interfaces/interface[name=eth2]", "/interfaces/interface[name=lo0]"
	b.want(e2+"/state", false, e2+"/state/oper-status NOT_PRESENT", e2+"/state/admin-status DOWN", e2+"/state/enabled false")
	b.want(lo+"/state", false, lo+"/state/mtu 65000", lo+"/state/logical true")
	b.want(lo+"/ethernet", true)

	// One request for the counters of all, however many ask.
	before := len(b.seam.Asked(func(r *dpb.Request) bool { return r.GetList() != nil }))
	start := time.Now()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { b.get("/interfaces/interface/state/counters") })
	}
	wg.Wait()
	if n := len(b.seam.Asked(func(r *dpb.Request) bool { return r.GetList() != nil })) - before; n > 10+int(time.Since(start)/(20*time.Millisecond)) { // they are shared for twice that
		t.Errorf("50 readers of counters made %d requests", n)
	}
	b.seam.Away()
	b.eventually("the data plane's end", func() bool { return !b.client.Connected() })
	b.want("/interfaces/interface/state/oper-status", true, e1+"/state/oper-status NOT_PRESENT", e2+"/state/oper-status NOT_PRESENT",
		lo+"/state/oper-status NOT_PRESENT")
}

// watching collects what a source tells.
type watching struct {
	mu    sync.Mutex
	lines []string
	times []time.Time
}

func (w *watching) seen() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.lines, "\n")
}

func (b *seamBox) watch(src telemetry.Watcher, path string) *watching {
	b.t.Helper()
	ms, err := tree.Expand(b.schema, tree.MustPath(path))
	if err != nil {
		b.t.Fatal(err)
	}
	w := &watching{}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		_ = src.Watch(ctx, ms[0], func() { close(ready) }, func(x telemetry.Batch) error {
			w.mu.Lock()
			defer w.mu.Unlock()
			for _, l := range x.Leaves {
				if ms[0].Covers(l.Path) {
					w.lines, w.times = append(w.lines, l.Path.String()+" "+l.Value.Text()), append(w.times, x.Time)
				}
			}
			for _, p := range x.Deleted {
				if !ms[0].Touches(p) {
					continue
				}
				w.lines, w.times = append(w.lines, "-"+p.String()), append(w.times, x.Time)
			}
			return nil
		})
	}()
	b.t.Cleanup(func() {
		cancel()
		<-done
	})
	select {
	case <-ready:
	case <-time.After(time.Minute):
		b.t.Fatal("the watch is not ready")
	}
	return w
}

func (b *seamBox) eventually(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(time.Minute); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("not seen: %s", what)
		}
	}
}

func TestInterfaceEvents(t *testing.T) {
	b, src := newPortsBox(t)
	oper := b.watch(src, "/interfaces/interface/state/oper-status")
	nbr := b.watch(src, "/interfaces/interface/subinterfaces/subinterface/ipv4/neighbors")
	all := b.watch(src, "/interfaces")
	at := began.Add(time.Minute)
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		down := seamInterface("eth1", dpb.InterfaceKind_INTERFACE_KIND_PORT, false, 1)
		down.LastChange = uint64(at.UnixNano())
		r.Interfaces[0] = down
	})
	b.seam.Push(&dpb.Event{Time: uint64(at.UnixNano()), Event: &dpb.Event_Link{Link: &dpb.LinkEvent{
		Interface: "eth1", OperStatus: dpb.OperStatus_OPER_STATUS_DOWN,
	}}})
	want := "/interfaces/interface[name=eth1]/state/oper-status DOWN"
	b.eventually(want, func() bool { return oper.seen() == want })
	if !oper.times[0].Equal(at) {
		t.Errorf("the time is %s, not the event's %s", oper.times[0], at)
	}
	last := fmt.Sprintf("/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]/state/last-change %d", at.UnixNano())
	b.eventually(last, func() bool { return strings.Contains(all.seen(), last) })

	b.want("/interfaces/interface[name=eth1]/state/counters/interface-transitions", true,
		"/interfaces/interface[name=eth1]/state/counters/interface-transitions 1")

	n := &dpb.NeighborState{Interface: "eth1", Address: []byte{192, 0, 2, 9}, Mac: []byte{2, 0, 0, 0, 0, 8}, Nud: dpb.NeighborNud_NEIGHBOR_NUD_STATIC}
	b.seam.Push(&dpb.Event{Time: uint64(at.UnixNano()), Event: &dpb.Event_Neighbor{Neighbor: n}})
	nb := "/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]/ipv4/neighbors/neighbor[ip=192.0.2.9]"
	b.eventually("the neighbour's new address, and no more", func() bool { return nbr.seen() == nb+"/state/link-layer-address 02:00:00:00:00:08" })
	b.seam.Push(&dpb.Event{Time: uint64(at.UnixNano()), Event: &dpb.Event_NeighborGone{NeighborGone: &dpb.NeighborKey{
		Interface: "eth1", Address: []byte{192, 0, 2, 9},
	}}})
	b.eventually("the neighbour's end", func() bool { return strings.HasSuffix(nbr.seen(), "\n-"+nb) })

	// An address whose state changes, and an interface that goes, without an event: seen by looking.
	b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
		r.Addresses[0].Dad = dpb.DadState_DAD_STATE_PREFERRED
		r.Interfaces = r.Interfaces[:2]
	})
	src.Poke()
	for _, want := range []string{
		"/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]/ipv4/addresses/address[ip=192.0.2.1]/state/status PREFERRED",
		"/interfaces/interface[name=lo0]/state/oper-status NOT_PRESENT", "-/interfaces/interface[name=lo0]/state/ifindex",
	} {
		b.eventually(want, func() bool { return strings.Contains(all.seen(), want) })
	}
	b.seam.Away()
	b.eventually("the data plane's end", func() bool { return strings.Contains(oper.seen(), "eth1]/state/oper-status NOT_PRESENT") })
	b.seam.Back(t)
	b.eventually("the data plane's return", func() bool {
		return strings.HasSuffix(oper.seen(), "oper-status UP") || strings.HasSuffix(oper.seen(), "DOWN")
	})
}
