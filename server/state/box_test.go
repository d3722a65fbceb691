package state_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/state"
	"millrace/server/telemetry"
	"millrace/yang/tree"
)

// alarmList is alarms that a test sets.
type alarmList struct {
	mu   sync.Mutex
	list []grpcserver.Alarm
	ch   chan struct{}
}

func (a *alarmList) Alarms() []grpcserver.Alarm {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]grpcserver.Alarm(nil), a.list...)
}

func (a *alarmList) AlarmsChanged(context.Context) <-chan struct{} { return a.ch }

func (a *alarmList) set(list ...grpcserver.Alarm) {
	a.mu.Lock()
	a.list = list
	a.mu.Unlock()
	a.ch <- struct{}{}
}

func newMachineBox(t *testing.T, alarms *alarmList) (*seamBox, []telemetry.Source) {
	var all []telemetry.Source
	b := newSeamBox(t, portsConfig, func(b *seamBox) []telemetry.Source {
		m := state.NewMachine()
		cfg := func() *config.Config { return b.cfg }
		empty := tree.New(b.schema)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() {
			defer close(done)
			m.Run(ctx)
		}()
		t.Cleanup(func() {
			cancel()
			<-done
		})
		all = []telemetry.Source{
			state.NewAlarms(b.schema, alarms), state.NewDataplane(b.schema, b.client),
			state.NewSystem(state.SystemOptions{
				Schema: b.schema, Config: cfg, Tree: func() *tree.Tree { return empty }, Machine: m, Dataplane: b.client, Version: "1.2.3",
				Started: began, LastCommit: func() time.Time { return began }, GRPCListen: func() string { return "[::]:9339" },
			}),
			state.NewPlatform(state.PlatformOptions{
				Schema: b.schema, Config: cfg, Machine: m, Dataplane: b.client, Version: "1.2.3", Started: began,
			}),
		}
		return all
	})
	b.seam.Set(func(r *dpb.ListResult, info *dpb.Info) {
		r.Interfaces = []*dpb.InterfaceState{seamInterface("eth1", dpb.InterfaceKind_INTERFACE_KIND_PORT, true, 1)}
		r.Workers = []*dpb.WorkerState{{Id: 0, Lcore: 1, Cpu: -1, BusyCycles: 100, IdleCycles: 100, TscHz: 1e9, RxQueues: []string{"eth1/0"}}}
		r.Drops = []*dpb.DropState{{Reason: "ip4-no-route", Packets: 7, Description: "no route"}}
		r.Nodes = []*dpb.NodeState{{Name: "eth-input", Packets: 9, Source: true, Edges: []string{"ip4-input"}}}
		r.Vrfs = []*dpb.VrfState{{Name: "default", Ip4RoutesMax: 65536, Ip6RoutesMax: 4096, Ip4Routes: 12, Ip4Tbl8Max: 64}}
		info.MemoryTotal, info.MemoryUsed, info.MbufsTotal, info.NextHopsMax, info.NextHops = 512<<20, 1<<20, 16384, 4096, 3
	})
	return b, all
}

func TestSystemState(t *testing.T) {
	b, all := newMachineBox(t, &alarmList{ch: make(chan struct{}, 1)})
	b.want("/system/state", false, "/system/state/software-version 1.2.3", fmt.Sprintf("/system/state/last-configuration-timestamp %d", began.UnixNano()))
	for _, leaf := range []string{"boot-time", "current-datetime", "up-time"} {
		if got := b.get("/system/state/" + leaf); got == "" {
			t.Errorf("no %s", leaf)
		}
	}
	g := "/system/grpc-servers/grpc-server[name=DEFAULT]/state"
	b.want("/system/grpc-servers", true, g+"/name DEFAULT", g+"/enable true", g+"/port 9339", g+"/listen-addresses ANY", g+"/transport-security true")
	if got := b.get("/system/memory/state/physical"); !strings.HasPrefix(got, "/system/memory/state/physical ") {
		t.Errorf("memory: %q", got)
	}
	own := fmt.Sprintf("/system/processes/process[pid=%d]", os.Getpid())
	b.want("/system/processes", false, fmt.Sprintf("%s/state/pid %d", own, os.Getpid()))
	b.eventually("use of the CPUs", func() bool { return strings.Contains(b.get("/system/cpus"), "cpu[index=ALL]/state/total/instant ") })
	b.want("/system/cpus/cpu[index=0]/state/index", true, "/system/cpus/cpu[index=0]/state/index 0")
	for _, src := range all {
		w := src.(telemetry.Watcher)
		if n := b.schema.Find("/system/state/current-datetime"); src == all[2] && (!w.Sampled(n) || w.Sampled(b.schema.Find("/system/state/hostname"))) {
			t.Error("the clock is to be sampled, the name is not")
		}
	}
}

func TestDataplaneState(t *testing.T) {
	b, all := newMachineBox(t, &alarmList{ch: make(chan struct{}, 1)})
	s := "/dataplane/state"
	b.want(s, false, s+"/version test", s+"/pid 42", s+"/workers 1", s+"/memory 512", s+"/mbufs 16384", s+"/next-hops 4096", s+"/next-hops-used 3",
		s+"/ipv4-routes 65536", s+"/exception-netns none")
	w := "/dataplane/workers/worker[id=0]"
	b.want(w, false, w+"/id 0", w+"/state/cpu -1", w+"/state/busy-cycles 100", w+"/state/rx-queues eth1/0", w+"/state/cycles-per-second 1000000000")
	b.want("/dataplane/drops/drop[reason=ip4-no-route]/state/packets", true, "/dataplane/drops/drop[reason=ip4-no-route]/state/packets 7")
	b.want("/dataplane/nodes", false, "/dataplane/nodes/node[name=eth-input]/state/edges ip4-input", "/dataplane/nodes/node[name=eth-input]/state/source true")
	n := "/network-instances/network-instance[name=default]/forwarding-tables/state"
	b.want(n, false, n+"/ipv4-routes 65536", n+"/ipv4-routes-used 12", n+"/ipv4-tbl8 64")
	busy := uint64(0)
	b.eventually("utilisation", func() bool {
		busy += 300
		b.seam.Set(func(r *dpb.ListResult, _ *dpb.Info) {
			r.Workers = []*dpb.WorkerState{{Id: 0, BusyCycles: 100 + busy, IdleCycles: 100 + busy/3, SleepCycles: busy, TscHz: 1e9}}
		})
		return strings.Contains(b.get(w), w+"/state/utilization 42.86")
	})
	b.want(s+"/utilization", true, s+"/utilization 42.86")
	seen := b.watch(all[1].(telemetry.Watcher), "/dataplane/state")
	b.seam.Set(func(_ *dpb.ListResult, info *dpb.Info) { info.BootId, info.MemoryUsed = 77, 5 })
	b.eventually("the new start", func() bool {
		return strings.Contains(seen.seen(), s+"/boot-id 77") && !strings.Contains(seen.seen(), "memory-used")
	})
	b.seam.Away()
	b.eventually("no state without a data plane", func() bool { return !strings.Contains(b.get("/dataplane"), "version") })
}

func TestPlatformState(t *testing.T) {
	b, _ := newMachineBox(t, &alarmList{ch: make(chan struct{}, 1)})
	at := func(name string) string { return "/components/component[name=" + name + "]" }
	b.want("/components", false, at("chassis")+"/state/type openconfig-platform-types:CHASSIS", at("cpu")+"/state/parent chassis",
		at("vnf")+"/state/software-version 1.2.3", at("vnf-dataplane")+"/state/software-version test",
		at("vnf-dataplane")+"/state/oper-status openconfig-platform-types:ACTIVE", at("eth1")+"/name eth1",
		at("eth1")+"/state/type openconfig-platform-types:PORT", at("eth1")+"/state/id tapx",
		at("eth1")+"/state/description Ethernet port, net_af_packet", at("eth2")+"/state/oper-status openconfig-platform-types:DISABLED")
	b.want(at("eth1")+"/state/oper-status", true, at("eth1")+"/state/oper-status openconfig-platform-types:ACTIVE")
	if got := b.get(at("lo0")); got != "" {
		t.Errorf("a loopback is no component: %s", got)
	}
}

func TestAlarmState(t *testing.T) {
	list := &alarmList{ch: make(chan struct{}, 1)}
	b, all := newMachineBox(t, list)
	w := b.watch(all[0].(telemetry.Watcher), "/system/alarms")
	one := grpcserver.Alarm{ID: "dad eth1 192.0.2.1", Severity: grpcserver.Major, Resource: "interface eth1", Text: "taken", Since: began}
	list.set(one)
	at := "/system/alarms/alarm[id=dad eth1 192.0.2.1]"
	b.eventually("the alarm", func() bool { return strings.Contains(w.seen(), at+"/state/severity openconfig-alarm-types:MAJOR") })
	if !w.times[0].Equal(began) {
		t.Errorf("told with the time %s, not its own, %s", w.times[0], began)
	}
	b.want("/system/alarms", true, at+"/id dad eth1 192.0.2.1", at+"/state/id dad eth1 192.0.2.1", at+"/state/resource interface eth1", at+"/state/text taken",
		fmt.Sprintf("%s/state/time-created %d", at, began.UnixNano()), at+"/state/severity openconfig-alarm-types:MAJOR", at+"/state/type-id dad")
	list.set()
	b.eventually("its end", func() bool { return strings.HasSuffix(w.seen(), "-"+at) })
}
