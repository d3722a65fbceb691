package gnoiserver

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/openconfig/gnoi/healthz"
	"github.com/openconfig/gnoi/types"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// healthzService is gNOI's Healthz over the components of /components: the chassis stands for the whole, vnf for management and routing,
// vnf-dataplane for forwarding, and there is one for each port.
type healthzService struct {
	healthz.UnimplementedHealthzServer
	opt    Options
	events events
	// looking is held while components are looked at, so that events are noted in the order of what was seen.
	looking sync.Mutex
}

func newHealthz(o Options) *healthzService {
	return &healthzService{opt: o, events: events{of: map[string][]*event{}}}
}

// run notes how the components are whenever that changes, until ctx ends.
func (z *healthzService) run(ctx context.Context) {
	changed := z.opt.Alarms.AlarmsChanged(ctx)
	t := time.NewTicker(healthInterval)
	defer t.Stop()
	for {
		if _, err := z.update(ctx); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-changed:
		case <-t.C:
		}
	}
}

// update looks at the components and notes what has changed; what has become unhealthy gets an artifact.
func (z *healthzService) update(ctx context.Context) (health, error) {
	z.looking.Lock()
	defer z.looking.Unlock()
	h, err := z.look(ctx)
	if err != nil {
		return nil, err
	}
	z.events.keep(h)
	now := z.opt.Now()
	var text []byte
	for name, why := range h {
		ev, changed := z.events.changed(name, why, now)
		if !changed || len(why) == 0 {
			continue
		}
		if text == nil { // of all, once
			text = z.diagnose(ctx, h)
		}
		z.events.attach(ev, slices.Clone(text))
	}
	return h, nil
}

func componentPath(name string) *types.Path {
	return &types.Path{Origin: "openconfig", Elem: []*types.PathElem{
		{Name: "components"}, {Name: "component", Key: map[string]string{"name": name}},
	}}
}

// component reads the path of one.
func component(p *types.Path) (string, error) {
	if p == nil {
		return "", invalid("path", "is missing")
	}
	if o := p.GetOrigin(); o != "" && o != "openconfig" {
		return "", invalid("path.origin", "%q is not openconfig", o)
	}
	e := p.GetElem()
	if len(e) != 2 || e[0].GetName() != "components" || len(e[0].GetKey()) > 0 || e[1].GetName() != "component" || len(e[1].GetKey()) != 1 || e[1].GetKey()["name"] == "" {
		return "", invalid("path", "is not /components/component[name=NAME]")
	}
	return e[1].GetKey()["name"], nil
}

// at looks at the components and returns the name in a path, if there is such a component.
func (z *healthzService) at(ctx context.Context, p *types.Path) (string, health, error) {
	name, err := component(p)
	if err != nil {
		return "", nil, err
	}
	h, err := z.update(ctx)
	switch {
	case errors.Is(err, context.Canceled):
		return "", nil, status.Error(codes.Canceled, err.Error())
	case err != nil:
		return "", nil, status.Error(codes.DeadlineExceeded, err.Error())
	}
	if _, ok := h[name]; !ok {
		if name == cpuName {
			return "", nil, status.Errorf(codes.FailedPrecondition, "path: nothing tells of the health of %s", name)
		}
		return "", nil, status.Errorf(codes.NotFound, "path: there is no component %s", name)
	}
	return name, h, nil
}

// status is the event given, with the newest of those that the chassis stands for.
func (z *healthzService) status(ev *event, h health) *healthz.ComponentStatus {
	c := z.events.status(ev)
	if ev.component != chassisName {
		return c
	}
	var names []string
	for name := range h {
		if name != chassisName {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		if list := z.events.list(name, true); len(list) > 0 {
			c.Subcomponents = append(c.Subcomponents, z.events.status(list[0]))
		}
	}
	return c
}

// Get tells how a component is now.
func (z *healthzService) Get(ctx context.Context, req *healthz.GetRequest) (*healthz.GetResponse, error) {
	name, h, err := z.at(ctx, req.GetPath())
	if err != nil {
		return nil, err
	}
	list := z.events.list(name, true)
	return &healthz.GetResponse{Component: z.status(list[0], h)}, nil
}

// List tells what happened to a component, the newest first.
func (z *healthzService) List(ctx context.Context, req *healthz.ListRequest) (*healthz.ListResponse, error) {
	name, _, err := z.at(ctx, req.GetPath())
	if err != nil {
		return nil, err
	}
	resp := &healthz.ListResponse{}
	for _, ev := range z.events.list(name, req.GetIncludeAcknowledged()) {
		resp.Statuses = append(resp.Statuses, z.events.status(ev))
	}
	return resp, nil
}

// Acknowledge says that an event was seen.
func (z *healthzService) Acknowledge(ctx context.Context, req *healthz.AcknowledgeRequest) (*healthz.AcknowledgeResponse, error) {
	name, _, err := z.at(ctx, req.GetPath())
	if err != nil {
		return nil, err
	}
	ev, err := z.event("id", name, req.GetId())
	if err != nil {
		return nil, err
	}
	z.events.acknowledge(ev)
	return &healthz.AcknowledgeResponse{Status: z.events.status(ev)}, nil
}

func (z *healthzService) event(field, component, id string) (*event, error) {
	if id == "" {
		return nil, invalid(field, "is missing")
	}
	ev := z.events.find(component, id)
	if ev == nil {
		return nil, status.Errorf(codes.NotFound, "%s: %s has no event %s", field, component, id)
	}
	return ev, nil
}

// Check looks at a component and collects an artifact: for the event named, or for a new one.
func (z *healthzService) Check(ctx context.Context, req *healthz.CheckRequest) (*healthz.CheckResponse, error) {
	name, h, err := z.at(ctx, req.GetPath())
	if err != nil {
		return nil, err
	}
	var ev *event
	if req.GetEventId() != "" {
		if ev, err = z.event("event_id", name, req.GetEventId()); err != nil {
			return nil, err
		}
	}
	text := z.diagnose(ctx, h)
	if ev == nil {
		ev = z.events.add(name, h[name], z.opt.Now())
	}
	if !z.events.attach(ev, text) {
		return nil, status.Errorf(codes.ResourceExhausted, "event_id: the event %s has %d artifacts, which is all it may have", ev.id, maxArtifacts)
	}
	return &healthz.CheckResponse{Status: z.status(ev, h)}, nil
}

// Artifact sends what was collected.
func (z *healthzService) Artifact(req *healthz.ArtifactRequest, out healthz.Healthz_ArtifactServer) error {
	if req.GetId() == "" {
		return invalid("id", "is missing")
	}
	a, ok := z.events.artifact(req.GetId())
	if !ok {
		return status.Errorf(codes.NotFound, "id: there is no artifact %s, or no more", req.GetId())
	}
	if err := out.Send(&healthz.ArtifactResponse{Contents: &healthz.ArtifactResponse_Header{Header: a.header()}}); err != nil {
		return err
	}
	for part := range slices.Chunk(a.text, chunk) {
		if err := out.Send(&healthz.ArtifactResponse{Contents: &healthz.ArtifactResponse_Bytes{Bytes: part}}); err != nil {
			return err
		}
	}
	return out.Send(&healthz.ArtifactResponse{Contents: &healthz.ArtifactResponse_Trailer{Trailer: &healthz.ArtifactTrailer{}}})
}
