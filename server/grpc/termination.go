package grpcserver

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	dpb "millrace/api/proto/dataplane/v1"
	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
)

type terminationService struct {
	vnfv1.UnimplementedTerminationServiceServer
	s *Server
}

// The longest time that connections of a deleted listener may go on.
const maxDrain = 24 * time.Hour

// reasons are the texts of alarms by the resource that they are about.
func (s *Server) reasons() map[string]string {
	all := map[string]string{}
	if s.opt.Alarms != nil {
		for _, a := range s.opt.Alarms.Alarms() {
			if all[a.Resource] == "" {
				all[a.Resource] = a.Text
			}
		}
	}
	return all
}

// gone says that the data plane has nothing to tell: it is not there, or has no such object.
func gone(err error) bool {
	return errors.Is(err, client.ErrDisconnected) || client.CodeOf(err) == dpb.Code_CODE_NOT_FOUND
}

func listenerIndex(c *config.Config, name string) int {
	return slices.IndexFunc(c.TCP.Listeners, func(l config.TCPListener) bool { return l.Name == name })
}

// listeners are those of the configuration and those that are drained, in order of name; name limits them to one.
func (t *terminationService) listeners(ctx context.Context, name string) ([]*vnfv1.TcpListener, error) {
	cfg := t.s.opt.Config.Config()
	byName := map[string]*vnfv1.TcpListener{}
	var all []*vnfv1.TcpListener
	for i := range cfg.TCP.Listeners {
		l := &cfg.TCP.Listeners[i]
		if name == "" || l.Name == name {
			one := &vnfv1.TcpListener{Config: listenerConfigOut(l), State: &vnfv1.TcpListenerState{}}
			byName[l.Name] = one
			all = append(all, one)
		}
	}
	lost := ""
	for st, err := range t.s.opt.Dataplane.TCPListeners(ctx, name) {
		if gone(err) {
			lost = err.Error()
			break
		}
		if err != nil {
			return nil, dataplaneError(err)
		}
		one := byName[st.GetConfig().GetName()]
		if st.GetDraining() || one == nil {
			one = &vnfv1.TcpListener{Config: listenerConfigOfState(st.GetConfig())}
			all = append(all, one)
		}
		one.State = listenerStateOut(st)
	}
	why := t.s.reasons()
	for _, one := range all {
		one.State.Reason = listenerReason(one, why, lost)
	}
	slices.SortStableFunc(all, func(a, b *vnfv1.TcpListener) int { return strings.Compare(listenerID(a), listenerID(b)) })
	return all, nil
}

// listenerID orders listeners, those that are drained after the one of their name.
func listenerID(l *vnfv1.TcpListener) string {
	if !l.GetState().GetDraining() {
		return l.GetConfig().GetName()
	}
	return fmt.Sprintf("%s\x01%010d", l.GetConfig().GetName(), l.GetState().GetId())
}

func listenerReason(l *vnfv1.TcpListener, why map[string]string, lost string) string {
	c, st := l.GetConfig(), l.GetState()
	switch {
	case st.GetDraining():
		return "deleted; connections are left"
	case c.Enabled != nil && !c.GetEnabled():
		return "switched off"
	case !st.GetPresent() && why["tcp.listeners["+c.GetName()+"]"] != "":
		return why["tcp.listeners["+c.GetName()+"]"]
	case !st.GetPresent():
		return lost
	case !st.GetHealthy() && c.GetProxy() != nil:
		return "no pool of it is healthy"
	}
	return ""
}

func (t *terminationService) listener(ctx context.Context, field, name string) (*vnfv1.TcpListener, error) {
	if name == "" {
		return nil, invalid(field, "is empty; the name of a listener is needed")
	}
	list, err := t.listeners(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, notFound(field, "there is no listener %q", name)
	}
	return list[0], nil
}

func (t *terminationService) ListTcpListeners(ctx context.Context, req *vnfv1.ListTcpListenersRequest) (*vnfv1.ListTcpListenersResponse, error) {
	p, err := pageOf(req)
	if err != nil {
		return nil, err
	}
	all, err := t.listeners(ctx, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(l *vnfv1.TcpListener) bool {
		x := l.GetConfig().GetProxy()
		return req.GetNetworkInstance() != "" && l.GetConfig().GetNetworkInstance() != req.GetNetworkInstance() ||
			req.GetPool() != "" && x.GetPool() != req.GetPool() && x.GetBackupPool() != req.GetPool()
	})
	items, token := pageByName(p, all, listenerID)
	return &vnfv1.ListTcpListenersResponse{Listeners: items, NextPageToken: token}, nil
}

func (t *terminationService) GetTcpListener(ctx context.Context, req *vnfv1.GetTcpListenerRequest) (*vnfv1.TcpListener, error) {
	return t.listener(ctx, "name", req.GetName())
}

func listenerScope(name string) scope {
	return scope{path: "tcp.listeners[" + name + "]", field: "config"}
}

func (t *terminationService) CreateTcpListener(ctx context.Context, req *vnfv1.CreateTcpListenerRequest) (*vnfv1.TcpListener, error) {
	var c checks
	want := listenerConfigIn(&c, "config", req.GetConfig())
	if err := c.err(); err != nil {
		return nil, err
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		if listenerIndex(cfg, want.Name) >= 0 {
			return fail(codes.AlreadyExists, "config.name", "there is a listener %q already", want.Name)
		}
		cfg.TCP.Listeners = append(cfg.TCP.Listeners, want)
		return nil
	})
	if err := configError(err, listenerScope(want.Name)); err != nil {
		return nil, err
	}
	return t.listener(ctx, "config.name", want.Name)
}

func (t *terminationService) UpdateTcpListener(ctx context.Context, req *vnfv1.UpdateTcpListenerRequest) (*vnfv1.TcpListener, error) {
	name := req.GetConfig().GetName()
	if name == "" {
		return nil, invalid("config.name", "is empty; the name of a listener is needed")
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := listenerIndex(cfg, name)
		if at < 0 {
			return notFound("config.name", "there is no listener %q", name)
		}
		old := &cfg.TCP.Listeners[at]
		merged := listenerConfigOut(old)
		if err := merge(merged, req.GetConfig(), req.GetUpdateMask().GetPaths()); err != nil {
			return err
		}
		var c checks
		want := listenerConfigIn(&c, "config", merged)
		for _, fixed := range []struct {
			field    string
			old, new any
		}{
			{"config.network_instance", old.Instance(), want.Instance()},
			{"config.address", old.Address, want.Address},
			{"config.port", old.Port, want.Port},
			{"config.service", old.Service, want.Service},
		} {
			if fixed.old != fixed.new {
				c.addf(fixed.field, "can't be changed from %v to %v; delete the listener and make it anew", fixed.old, fixed.new)
			}
		}
		if err := c.err(); err != nil {
			return err
		}
		cfg.TCP.Listeners[at] = want
		return nil
	})
	if err := configError(err, listenerScope(name)); err != nil {
		return nil, err
	}
	return t.listener(ctx, "config.name", name)
}

// merge puts the fields that the mask names into a message: "rate", or "options.nagle". No mask, or "*", takes all.
func merge(into, with proto.Message, mask []string) error {
	if len(mask) == 0 || slices.Contains(mask, "*") {
		proto.Reset(into)
		proto.Merge(into, with)
		return nil
	}
	for n, path := range mask {
		dst, src := into.ProtoReflect(), with.ProtoReflect()
		words := strings.Split(path, ".")
		for i, word := range words {
			f := src.Descriptor().Fields().ByName(protoreflect.Name(word))
			last := i == len(words)-1
			switch {
			case f == nil || !last && (f.Kind() != protoreflect.MessageKind || f.IsList() || f.IsMap()):
				return invalid(fmt.Sprintf("update_mask.paths[%d]", n), "%q is not a field of %s", path, into.ProtoReflect().Descriptor().Name())
			case last && src.Has(f):
				dst.Set(f, src.Get(f))
			case last:
				dst.Clear(f)
			default:
				dst, src = dst.Mutable(f).Message(), src.Get(f).Message()
			}
		}
	}
	return nil
}

func (t *terminationService) DeleteTcpListener(ctx context.Context, req *vnfv1.DeleteTcpListenerRequest) (*vnfv1.DeleteTcpListenerResponse, error) {
	name := req.GetName()
	if name == "" {
		return nil, invalid("name", "is empty; the name of a listener is needed")
	}
	if req.Drain != nil {
		var c checks
		d := durationField(&c, "drain", req.GetDrain(), 0, 0, maxDrain)
		if err := c.err(); err != nil {
			return nil, err
		}
		ctx = config.WithDrain(ctx, d)
	}
	err := t.s.opt.Config.Edit(ctx, func(cfg *config.Config) error {
		at := listenerIndex(cfg, name)
		if at < 0 {
			return notFound("name", "there is no listener %q in the configuration", name)
		}
		cfg.TCP.Listeners = slices.Delete(cfg.TCP.Listeners, at, at+1)
		return nil
	})
	if err := configError(err); err != nil {
		return nil, err
	}
	return &vnfv1.DeleteTcpListenerResponse{}, nil
}
