package state

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"sync"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// EngineDataplane is what Dataplane asks of the data plane; *client.Client is one.
type EngineDataplane interface {
	Info(ctx context.Context) (*dpb.Info, error)
	Workers(ctx context.Context) iter.Seq2[*dpb.WorkerState, error]
	Nodes(ctx context.Context) iter.Seq2[*dpb.NodeState, error]
	Drops(ctx context.Context) iter.Seq2[*dpb.DropState, error]
	Vrfs(ctx context.Context) iter.Seq2[*dpb.VrfState, error]
}

// Dataplane is the source of /dataplane and of the tables of network instances. Run has to run for utilisation to be known.
type Dataplane struct {
	s  *schema.Schema
	dp EngineDataplane
	at places

	mu sync.Mutex
	// workers as they were sampled, the newest last; all of one data plane.
	samples [][]*dpb.WorkerState
	start   starts
}

// starts tells when the data plane was started: the same time as long as it runs.
type starts struct {
	mu   sync.Mutex
	boot uint64
	at   time.Time
}

func (s *starts) of(d *dpb.Info) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() || s.boot != d.GetBootId() {
		s.boot, s.at = d.GetBootId(), time.Now().Add(-time.Duration(d.GetUptimeNs())).Round(time.Millisecond)
	}
	return s.at
}

var dataplanePlaces = map[string]string{
	"state": "/dataplane/state", "workers": "/dataplane/workers", "drops": "/dataplane/drops", "nodes": "/dataplane/nodes", "tables": tablesPlace,
}

const (
	tablesPlace = "/network-instances/network-instance/forwarding-tables/state"
	// utilizationOver is over how many samples the utilisation of workers goes.
	utilizationOver = 5
)

// NewDataplane makes the source.
func NewDataplane(s *schema.Schema, dp EngineDataplane) *Dataplane {
	return &Dataplane{s: s, dp: dp, at: findPlaces(s, dataplanePlaces)}
}

// Roots are the leaves that are not what the configuration says: of what the data plane is started with, what it tells.
func (d *Dataplane) Roots() []string {
	roots := []string{dataplanePlaces["workers"], dataplanePlaces["drops"], dataplanePlaces["nodes"], tablesPlace}
	for _, leaf := range []string{
		"workers", "hugepages", "memory", "mbufs", "ipv4-routes", "ipv6-routes", "ipv4-tbl8", "ipv6-tbl8", "next-hops", "next-hop-groups",
		"exception-netns", "version", "dpdk-version", "pid", "boot-id", "start-time", "memory-total", "memory-used", "mbufs-used",
		"neighbors-used", "next-hops-used", "next-hop-groups-used", "utilization",
	} {
		roots = append(roots, "/dataplane/state/"+leaf)
	}
	return roots
}

// Sampled is what is counted and measured.
func (d *Dataplane) Sampled(n *schema.Node) bool {
	switch {
	case isBelow(n, d.at["workers"]):
		return !named(n, "id", "lcore", "cpu", "cycles-per-second", "rx-queues")
	case isBelow(n, d.at["drops"]):
		return named(n, "packets")
	case isBelow(n, d.at["nodes"]):
		return named(n, "calls", "packets", "cycles")
	}
	return named(n, "memory-used", "mbufs-used", "neighbors-used", "next-hops-used", "next-hop-groups-used", "utilization", "ipv4-routes-used",
		"ipv6-routes-used", "ipv4-tbl8-used", "ipv6-tbl8-used")
}

// Watch looks for what has changed.
func (d *Dataplane) Watch(ctx context.Context, m tree.Pattern, ready func(), emit func(telemetry.Batch) error) error {
	return watchByReading(ctx, d, m, time.Second, ready, emit)
}

// Run samples the workers until ctx ends.
func (d *Dataplane) Run(ctx context.Context) {
	t := time.NewTicker(sampleEvery)
	defer t.Stop()
	for {
		if all, err := client.Collect(d.dp.Workers(ctx)); err == nil {
			d.sample(all)
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

func (d *Dataplane) sample(all []*dpb.WorkerState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.samples); n > 0 && !follows(d.samples[n-1], all) {
		d.samples = nil
	}
	d.samples = append(d.samples, all)
	if n := len(d.samples) - utilizationOver - 1; n > 0 {
		d.samples = d.samples[n:]
	}
}

// follows says that workers are the same as before, later: counters that went back are those of a data plane that started anew.
func follows(old, now []*dpb.WorkerState) bool {
	if len(old) != len(now) {
		return false
	}
	for i := range now {
		if now[i].GetId() != old[i].GetId() || now[i].GetLoops() < old[i].GetLoops() || now[i].GetBusyCycles() < old[i].GetBusyCycles() {
			return false
		}
	}
	return true
}

// shares are the parts of the last seconds, in percent, in which a worker was busy and asleep.
func (d *Dataplane) shares(id uint32) (busy, asleep float64, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.samples) < 2 {
		return 0, 0, false
	}
	find := func(all []*dpb.WorkerState) *dpb.WorkerState {
		for _, w := range all {
			if w.GetId() == id {
				return w
			}
		}
		return nil
	}
	a, b := find(d.samples[0]), find(d.samples[len(d.samples)-1])
	if a == nil || b == nil {
		return 0, 0, false
	}
	work := float64(b.GetBusyCycles() - a.GetBusyCycles())
	sleep := float64(b.GetSleepCycles() - a.GetSleepCycles())
	all := work + sleep + float64(b.GetIdleCycles()-a.GetIdleCycles())
	if all <= 0 {
		return 0, 0, false
	}
	return percent(work / all), percent(sleep / all), true
}

// percent is a share with two digits behind the point.
func percent(share float64) float64 {
	return float64(int(min(max(share, 0), 1)*10000+0.5)) / 100
}

// Read asks for what is wanted. While there is no data plane there is nothing.
func (d *Dataplane) Read(ctx context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	now := time.Now()
	for _, part := range []struct {
		place string
		read  func() error
	}{
		{"state", func() error { return d.box(ctx, now, emit) }},
		{"workers", func() error { return d.workers(ctx, m, now, emit) }},
		{"drops", func() error { return d.drops(ctx, m, now, emit) }},
		{"nodes", func() error { return d.nodes(ctx, m, now, emit) }},
		{"tables", func() error { return d.tables(ctx, m, now, emit) }},
	} {
		if !d.at.wants(m, part.place) {
			continue
		}
		if err := part.read(); err != nil && !errors.Is(err, client.ErrDisconnected) {
			return err
		}
	}
	return nil
}

func (d *Dataplane) box(ctx context.Context, now time.Time, emit func(telemetry.Batch) error) error {
	x, err := d.dp.Info(ctx)
	if err != nil {
		return err
	}
	o := telemetry.NewObject(d.s, tree.MustPath("/dataplane/state"))
	// What mirrors configuration has the ranges of that, which a data plane started by hand need not keep to.
	fit := func(leaf string, v any) {
		if n := d.at["state"].Child(leaf); n != nil {
			if val, err := n.FromGo(v); err == nil {
				o.Set(leaf, val)
			}
		}
	}
	netns := x.GetExceptionNetns()
	if netns == "" {
		netns = "none"
	}
	o.Set("version", x.GetVersion()).Set("dpdk-version", x.GetDpdkVersion()).Set("pid", x.GetPid()).Set("boot-id", x.GetBootId())
	o.Set("start-time", nanoseconds(d.start.of(x))).Set("hugepages", x.GetHugepages())
	o.Set("memory-total", x.GetMemoryTotal()).Set("memory-used", x.GetMemoryUsed()).Set("mbufs-used", x.GetMbufsUsed())
	o.Set("neighbors-used", x.GetNeighbors()).Set("next-hops-used", x.GetNextHops()).Set("next-hop-groups-used", x.GetGroups())
	fit("workers", x.GetWorkers())
	fit("memory", x.GetMemoryTotal()>>20)
	fit("mbufs", x.GetMbufsTotal())
	fit("next-hops", x.GetNextHopsMax())
	fit("next-hop-groups", x.GetGroupsMax())
	fit("exception-netns", netns)
	for v, err := range d.dp.Vrfs(ctx) {
		if err != nil {
			return err
		}
		if v.GetName() == "default" {
			fit("ipv4-routes", v.GetIp4RoutesMax())
			fit("ipv6-routes", v.GetIp6RoutesMax())
			fit("ipv4-tbl8", v.GetIp4Tbl8Max())
			fit("ipv6-tbl8", v.GetIp6Tbl8Max())
		}
	}
	sum, n := 0.0, 0
	for id := range x.GetWorkers() {
		if busy, _, ok := d.shares(id); ok {
			sum += busy
			n++
		}
	}
	if n > 0 {
		o.Set("utilization", percent(sum/float64(n)/100))
	}
	return emitObject(o, now, emit)
}

func (d *Dataplane) workers(ctx context.Context, m tree.Pattern, now time.Time, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "worker", "id")
	for w, err := range d.dp.Workers(ctx) {
		if err != nil {
			return err
		}
		id := strconv.FormatUint(uint64(w.GetId()), 10)
		if want != "" && want != id {
			continue
		}
		o := telemetry.NewObject(d.s, entryPath(tree.Path{{Name: "dataplane"}}, "workers", "worker", "id", id)).Set("id", w.GetId())
		o.Set("state/id", w.GetId()).Set("state/lcore", w.GetLcore()).Set("state/cpu", w.GetCpu()).Set("state/busy-cycles", w.GetBusyCycles())
		o.Set("state/idle-cycles", w.GetIdleCycles()).Set("state/sleep-cycles", w.GetSleepCycles()).Set("state/cycles-per-second", w.GetTscHz())
		o.Set("state/loops", w.GetLoops()).Set("state/sleeps", w.GetSleeps()).Set("state/in-pkts", w.GetRxPackets())
		o.Set("state/dispatched-pkts", w.GetDispatched()).Set("state/dispatch-discards", w.GetDispatchDrops())
		if len(w.GetRxQueues()) > 0 {
			o.Set("state/rx-queues", w.GetRxQueues())
		}
		if busy, asleep, ok := d.shares(w.GetId()); ok {
			o.Set("state/utilization", busy).Set("state/sleeping", asleep)
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataplane) drops(ctx context.Context, m tree.Pattern, now time.Time, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "drop", "reason")
	for x, err := range d.dp.Drops(ctx) {
		if err != nil {
			return err
		}
		if want != "" && want != x.GetReason() {
			continue
		}
		o := telemetry.NewObject(d.s, entryPath(tree.Path{{Name: "dataplane"}}, "drops", "drop", "reason", x.GetReason()))
		o.Set("reason", x.GetReason()).Set("state/reason", x.GetReason()).Set("state/packets", x.GetPackets()).Set("state/description", nonZero(x.GetDescription()))
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataplane) nodes(ctx context.Context, m tree.Pattern, now time.Time, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "node", "name")
	for x, err := range d.dp.Nodes(ctx) {
		if err != nil {
			return err
		}
		if want != "" && want != x.GetName() {
			continue
		}
		o := telemetry.NewObject(d.s, entryPath(tree.Path{{Name: "dataplane"}}, "nodes", "node", "name", x.GetName()))
		o.Set("name", x.GetName()).Set("state/name", x.GetName()).Set("state/calls", x.GetCalls()).Set("state/packets", x.GetPackets())
		o.Set("state/cycles", x.GetCycles()).Set("state/source", x.GetSource()).Set("state/drop", x.GetDrop())
		if len(x.GetEdges()) > 0 {
			o.Set("state/edges", x.GetEdges())
		}
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}

func (d *Dataplane) tables(ctx context.Context, m tree.Pattern, now time.Time, emit func(telemetry.Batch) error) error {
	want := keyOf(m, "network-instance", "name")
	for v, err := range d.dp.Vrfs(ctx) {
		if err != nil {
			return err
		}
		if want != "" && want != v.GetName() {
			continue
		}
		o := telemetry.NewObject(d.s, entryPath(nil, "network-instances", "network-instance", "name", v.GetName()).Name("forwarding-tables").Name("state"))
		o.Set("ipv4-routes", nonZero(v.GetIp4RoutesMax())).Set("ipv6-routes", nonZero(v.GetIp6RoutesMax()))
		o.Set("ipv4-routes-used", v.GetIp4Routes()).Set("ipv6-routes-used", v.GetIp6Routes())
		o.Set("ipv4-tbl8", v.GetIp4Tbl8Max()).Set("ipv4-tbl8-used", v.GetIp4Tbl8Used()).Set("ipv6-tbl8", v.GetIp6Tbl8Max()).
			Set("ipv6-tbl8-used", v.GetIp6Tbl8Used())
		if err := emitObject(o, now, emit); err != nil {
			return err
		}
	}
	return nil
}
