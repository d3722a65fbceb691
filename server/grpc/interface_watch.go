package grpcserver

import (
	"context"
	"errors"
	"io"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
)

// How often a watch of interfaces looks by itself: changes of the configuration are no events of the data plane.
const interfaceWatchInterval = time.Second

func (i *interfaceService) WatchInterfaces(req *vnfv1.WatchInterfacesRequest, out grpc.ServerStreamingServer[vnfv1.InterfaceEvent]) error {
	ctx := out.Context()
	events := i.s.dataplaneEvents(ctx, func(e *dpb.Event) bool {
		return e.GetLink() != nil || e.GetAddress() != nil || e.GetInterfaceGone() != nil || e.GetOverflow() != nil
	})
	w := interfaceWatch{known: map[string]*vnfv1.Interface{}, send: out.Send}
	tick := time.NewTicker(interfaceWatchInterval)
	defer tick.Stop()
	for synced := false; ; {
		list, err := i.interfaces(ctx, req.GetName())
		if err != nil {
			return err
		}
		if err := w.update(list); err != nil {
			return err
		}
		if !synced {
			synced = true
			if err := out.Send(&vnfv1.InterfaceEvent{Kind: vnfv1.EventKind_EVENT_KIND_SYNCED, Time: timestamppb.Now()}); err != nil {
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

// dataplaneEvents tells that something matching happened in the data plane; many such events are one. It ends with ctx, and goes on
// when the data plane comes back.
func (s *Server) dataplaneEvents(ctx context.Context, match func(*dpb.Event) bool) <-chan struct{} {
	ch := make(chan struct{}, 1)
	tell := func() {
		select {
		case ch <- struct{}{}:
		default:
		}
	}
	go func() {
		for ctx.Err() == nil {
			stream, err := s.opt.Dataplane.Subscribe(ctx)
			for err == nil {
				var e *dpb.Event
				if e, err = stream.Next(ctx); err == nil && match(e) {
					tell()
				}
			}
			if stream != nil {
				stream.Close()
			}
			tell()
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
	return ch
}

// contextError is the status of a stream whose context ended.
func contextError(ctx context.Context) error {
	err := context.Cause(ctx)
	if isStatus(err) {
		return statusOf(err)
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return contextOr(err, 1)
}

// interfaceWatch turns lists of interfaces into events.
type interfaceWatch struct {
	known map[string]*vnfv1.Interface
	send  func(*vnfv1.InterfaceEvent) error
}

func (w *interfaceWatch) update(list []*vnfv1.Interface) error {
	now := timestamppb.Now()
	there := make(map[string]bool, len(list))
	for _, one := range list {
		name := one.Config.Name
		there[name] = true
		kind := vnfv1.EventKind_EVENT_KIND_CHANGED
		old := w.known[name]
		if old == nil {
			kind = vnfv1.EventKind_EVENT_KIND_ADDED
		} else if proto.Equal(old.Config, one.Config) && proto.Equal(old.State, one.State) {
			continue
		}
		w.known[name] = one
		if err := w.send(&vnfv1.InterfaceEvent{Kind: kind, Time: now, Interface: one}); err != nil {
			return err
		}
	}
	for name := range w.known {
		if there[name] {
			continue
		}
		delete(w.known, name)
		gone := &vnfv1.Interface{Config: &vnfv1.InterfaceConfig{Name: name}}
		if err := w.send(&vnfv1.InterfaceEvent{Kind: vnfv1.EventKind_EVENT_KIND_REMOVED, Time: now, Interface: gone}); err != nil {
			return err
		}
	}
	return nil
}
