package grpcserver

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
)

// How often a watch of health looks by itself: changes of the configuration are no events of the data plane.
const healthWatchInterval = time.Second

func (t *terminationService) WatchTcpHealth(req *vnfv1.WatchTcpHealthRequest, out grpc.ServerStreamingServer[vnfv1.TcpHealthEvent]) error {
	ctx := out.Context()
	if name := req.GetPool(); name != "" && poolIndex(t.s.opt.Config.Config(), name) < 0 {
		return notFound("pool", "there is no pool %q", name)
	}
	events := t.s.dataplaneEvents(ctx, func(e *dpb.Event) bool { return e.GetTcpHealth() != nil || e.GetOverflow() != nil })
	w := healthWatch{known: map[string]*vnfv1.TcpHealthEvent{}, send: out.Send}
	tick := time.NewTicker(healthWatchInterval)
	defer tick.Stop()
	for synced := false; ; {
		list, err := t.health(ctx, req.GetPool())
		if err != nil {
			return err
		}
		if err := w.update(list); err != nil {
			return err
		}
		if !synced {
			synced = true
			if err := out.Send(&vnfv1.TcpHealthEvent{Kind: vnfv1.EventKind_EVENT_KIND_SYNCED, Time: timestamppb.Now()}); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return contextError(ctx)
		case <-events:
		case <-tick.C:
		}
	}
}

// health is the present state, each pool before its backends.
func (t *terminationService) health(ctx context.Context, pool string) ([]*vnfv1.TcpHealthEvent, error) {
	pools, err := t.pools(ctx, pool)
	if err != nil {
		return nil, err
	}
	var list []*vnfv1.TcpHealthEvent
	for _, p := range pools {
		st, name := p.GetState(), poolID(p)
		e := &vnfv1.TcpHealthEvent{
			Pool: name, Health: vnfv1.TcpHealth_TCP_HEALTH_DOWN, Reason: st.GetReason(), BackendsHealthy: st.GetBackendsHealthy(),
			Backends: st.GetBackends(), Time: st.GetLastChange(),
		}
		switch {
		case !st.GetPresent():
			e.Health = vnfv1.TcpHealth_TCP_HEALTH_UNSPECIFIED
		case st.GetHealthy():
			e.Health = vnfv1.TcpHealth_TCP_HEALTH_UP
		}
		list = append(list, e)
		for _, b := range p.GetBackends() {
			if !b.GetState().GetDraining() {
				list = append(list, &vnfv1.TcpHealthEvent{
					Pool: name, Backend: b.GetConfig().GetName(), Health: b.GetState().GetHealth(), Reason: b.GetState().GetReason(),
					BackendsHealthy: st.GetBackendsHealthy(), Backends: st.GetBackends(), Time: b.GetState().GetLastChange(),
				})
			}
		}
	}
	return list, nil
}

// healthWatch turns states into events.
type healthWatch struct {
	known map[string]*vnfv1.TcpHealthEvent
	send  func(*vnfv1.TcpHealthEvent) error
}

func (w *healthWatch) update(list []*vnfv1.TcpHealthEvent) error {
	there := make(map[string]bool, len(list))
	for _, e := range list {
		id := e.GetPool() + "/" + e.GetBackend()
		there[id] = true
		old := w.known[id]
		if old != nil && old.GetHealth() == e.GetHealth() && (e.GetHealth() == vnfv1.TcpHealth_TCP_HEALTH_UP || old.GetReason() == e.GetReason()) {
			continue
		}
		w.known[id] = e
		told := proto.CloneOf(e)
		if told.Kind = vnfv1.EventKind_EVENT_KIND_CHANGED; old == nil {
			told.Kind = vnfv1.EventKind_EVENT_KIND_ADDED
		}
		if told.Time == nil {
			told.Time = timestamppb.Now()
		}
		if err := w.send(told); err != nil {
			return err
		}
	}
	for id, e := range w.known {
		if there[id] {
			continue
		}
		delete(w.known, id)
		if err := w.send(&vnfv1.TcpHealthEvent{
			Kind: vnfv1.EventKind_EVENT_KIND_REMOVED, Time: timestamppb.Now(), Pool: e.GetPool(), Backend: e.GetBackend(),
		}); err != nil {
			return err
		}
	}
	return nil
}
