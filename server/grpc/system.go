package grpcserver

import (
	"cmp"
	"context"
	"runtime"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
)

type systemService struct {
	vnfv1.UnimplementedSystemServiceServer
	s *Server
}

func (y *systemService) alarms() []Alarm {
	if y.s.opt.Alarms == nil {
		return nil
	}
	return y.s.opt.Alarms.Alarms()
}

func (y *systemService) GetSystemInfo(ctx context.Context, _ *vnfv1.GetSystemInfoRequest) (*vnfv1.SystemInfo, error) {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	o := &vnfv1.SystemInfo{
		Hostname: y.s.opt.Hostname, Version: y.s.opt.Version, GoVersion: runtime.Version(), StartTime: timestamppb.New(y.s.opt.Started),
		Memory: mem.Sys - mem.HeapReleased, Alarms: uint32(len(y.alarms())),
	}
	entry, _, _ := y.store().Current()
	o.ConfigRevision = entry.Revision()
	d, err := y.s.opt.Dataplane.Info(ctx)
	switch err := dataplaneError(err); {
	case status.Code(err) == codes.Unavailable:
		return o, nil
	case err != nil:
		return nil, err
	}
	o.Dataplane = &vnfv1.DataplaneInfo{
		Version: d.GetVersion(), DpdkVersion: d.GetDpdkVersion(), Pid: d.GetPid(), Uptime: nanos(d.GetUptimeNs()), BootId: d.GetBootId(),
		Workers: d.GetWorkers(), Hugepages: d.GetHugepages(), MemoryTotal: d.GetMemoryTotal(), MemoryUsed: d.GetMemoryUsed(),
		MbufsTotal: d.GetMbufsTotal(), MbufsUsed: d.GetMbufsUsed(), Neighbors: d.GetNeighbors(), NextHops: d.GetNextHops(),
		NextHopsMax: d.GetNextHopsMax(), Groups: d.GetGroups(), GroupsMax: d.GetGroupsMax(), ExceptionNetns: d.GetExceptionNetns(),
	}
	return o, nil
}

func (y *systemService) workers(ctx context.Context) ([]*dpb.WorkerState, error) {
	var list []*dpb.WorkerState
	for w, err := range y.s.opt.Dataplane.Workers(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		list = append(list, w)
	}
	return list, nil
}

func (y *systemService) ListWorkers(ctx context.Context, req *vnfv1.ListWorkersRequest) (*vnfv1.ListWorkersResponse, error) {
	var c checks
	wait := durationField(&c, "interval", req.GetInterval(), 0, 10*time.Millisecond, 10*time.Second)
	if err := c.err(); err != nil {
		return nil, err
	}
	var before []*dpb.WorkerState
	if wait > 0 {
		var err error
		if before, err = y.workers(ctx); err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, contextError(ctx)
		case <-time.After(wait):
		}
	}
	list, err := y.workers(ctx)
	if err != nil {
		return nil, err
	}
	resp := &vnfv1.ListWorkersResponse{}
	for _, w := range list {
		old := &dpb.WorkerState{}
		for _, b := range before {
			if b.GetId() == w.GetId() {
				old = b
			}
		}
		resp.Workers = append(resp.Workers, workerOut(w, old))
	}
	return resp, nil
}

// workerOut computes the shares of the time since the older state; its zero value stands for the worker's start.
func workerOut(w, old *dpb.WorkerState) *vnfv1.Worker {
	o := &vnfv1.Worker{
		Id: w.GetId(), Lcore: w.GetLcore(), Cpu: w.GetCpu(), BusyCycles: w.GetBusyCycles(), IdleCycles: w.GetIdleCycles(),
		SleepCycles: w.GetSleepCycles(), Loops: w.GetLoops(), Sleeps: w.GetSleeps(), RxPackets: w.GetRxPackets(),
		Dispatched: w.GetDispatched(), DispatchDrops: w.GetDispatchDrops(), RxQueues: w.GetRxQueues(), TscHz: w.GetTscHz(),
	}
	// A counter that went back belongs to a data plane that started anew.
	if w.GetBusyCycles() < old.GetBusyCycles() || w.GetIdleCycles() < old.GetIdleCycles() || w.GetSleepCycles() < old.GetSleepCycles() {
		old = &dpb.WorkerState{}
	}
	busy := float64(w.GetBusyCycles() - old.GetBusyCycles())
	sleep := float64(w.GetSleepCycles() - old.GetSleepCycles())
	if all := busy + sleep + float64(w.GetIdleCycles()-old.GetIdleCycles()); all > 0 {
		o.Utilization, o.Sleeping = busy/all, sleep/all
	}
	return o
}

func (y *systemService) ListDrops(ctx context.Context, req *vnfv1.ListDropsRequest) (*vnfv1.ListDropsResponse, error) {
	resp := &vnfv1.ListDropsResponse{}
	for d, err := range y.s.opt.Dataplane.Drops(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		if d.GetPackets() > 0 || req.GetIncludeZero() {
			resp.Drops = append(resp.Drops, &vnfv1.Drop{Reason: d.GetReason(), Packets: d.GetPackets(), Description: d.GetDescription()})
		}
	}
	slices.SortStableFunc(resp.Drops, func(a, b *vnfv1.Drop) int {
		return cmp.Or(cmp.Compare(b.Packets, a.Packets), strings.Compare(a.Reason, b.Reason))
	})
	return resp, nil
}

func (y *systemService) GetGraph(ctx context.Context, _ *vnfv1.GetGraphRequest) (*vnfv1.Graph, error) {
	g := &vnfv1.Graph{}
	for n, err := range y.s.opt.Dataplane.Nodes(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		g.Nodes = append(g.Nodes, &vnfv1.GraphNode{
			Name: n.GetName(), Calls: n.GetCalls(), Packets: n.GetPackets(), Cycles: n.GetCycles(), Edges: n.GetEdges(),
			Source: n.GetSource(), Drop: n.GetDrop(),
		})
	}
	slices.SortFunc(g.Nodes, func(a, b *vnfv1.GraphNode) int { return strings.Compare(a.Name, b.Name) })
	return g, nil
}

func (y *systemService) ListAlarms(context.Context, *vnfv1.ListAlarmsRequest) (*vnfv1.ListAlarmsResponse, error) {
	resp := &vnfv1.ListAlarmsResponse{}
	for _, a := range y.alarms() {
		resp.Alarms = append(resp.Alarms, &vnfv1.Alarm{
			Id: a.ID, Severity: vnfv1.AlarmSeverity(a.Severity), Resource: a.Resource, Text: a.Text, Since: timeOrNil(a.Since),
		})
	}
	slices.SortStableFunc(resp.Alarms, func(a, b *vnfv1.Alarm) int {
		return cmp.Or(cmp.Compare(b.Severity, a.Severity), strings.Compare(a.Id, b.Id))
	})
	return resp, nil
}

func (y *systemService) GetLogLevel(context.Context, *vnfv1.GetLogLevelRequest) (*vnfv1.LogLevelResponse, error) {
	if y.s.opt.LogLevel == nil {
		return nil, status.Error(codes.Unimplemented, "the log level can't be read")
	}
	return &vnfv1.LogLevelResponse{Level: strings.ToLower(y.s.opt.LogLevel.Level().String())}, nil
}

func (y *systemService) SetLogLevel(ctx context.Context, req *vnfv1.SetLogLevelRequest) (*vnfv1.LogLevelResponse, error) {
	level := req.GetLevel()
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, level) {
		return nil, invalid("level", "%q is none of debug, info, warn, error", level)
	}
	if y.s.opt.LogLevel == nil {
		return nil, status.Error(codes.Unimplemented, "the log level can't be changed")
	}
	if err := y.s.opt.LogLevel.UnmarshalText([]byte(level)); err != nil {
		return nil, invalid("level", "%v", err)
	}
	return y.GetLogLevel(ctx, nil)
}

func (y *systemService) ListNetworkInstances(ctx context.Context, _ *vnfv1.ListNetworkInstancesRequest) (
	*vnfv1.ListNetworkInstancesResponse, error) {
	resp := &vnfv1.ListNetworkInstancesResponse{}
	by := map[string]*vnfv1.NetworkInstance{}
	for v, err := range y.s.opt.Dataplane.Vrfs(ctx) {
		if err != nil {
			return nil, dataplaneError(err)
		}
		one := &vnfv1.NetworkInstance{
			Name: v.GetName(), Ipv4Routes: v.GetIp4Routes(), Ipv4RoutesMax: v.GetIp4RoutesMax(), Ipv6Routes: v.GetIp6Routes(),
			Ipv6RoutesMax: v.GetIp6RoutesMax(), Ipv4Tbl8Used: v.GetIp4Tbl8Used(), Ipv4Tbl8Max: v.GetIp4Tbl8Max(),
			Ipv6Tbl8Used: v.GetIp6Tbl8Used(), Ipv6Tbl8Max: v.GetIp6Tbl8Max(),
		}
		by[one.Name] = one
		resp.NetworkInstances = append(resp.NetworkInstances, one)
	}
	for i, err := range y.s.opt.Dataplane.Interfaces(ctx, "") {
		if err != nil {
			return nil, dataplaneError(err)
		}
		if one := by[instanceName(i.GetConfig().GetVrf())]; one != nil {
			one.Interfaces = append(one.Interfaces, i.GetConfig().GetName())
		}
	}
	for _, one := range resp.NetworkInstances {
		slices.Sort(one.Interfaces)
	}
	slices.SortFunc(resp.NetworkInstances, func(a, b *vnfv1.NetworkInstance) int { return strings.Compare(a.Name, b.Name) })
	return resp, nil
}
