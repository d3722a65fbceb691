package gnoiserver

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	dpb "millrace/api/proto/dataplane/v1"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
	"millrace/server/probe"
)

// Dataplane is what the services ask of the data plane; *client.Client is one.
type Dataplane interface {
	probe.Pinger
	Connected() bool
	Info(ctx context.Context) (*dpb.Info, error)
	Interfaces(ctx context.Context, name string) iter.Seq2[*dpb.InterfaceState, error]
	Workers(ctx context.Context) iter.Seq2[*dpb.WorkerState, error]
	Drops(ctx context.Context) iter.Seq2[*dpb.DropState, error]
}

// Alarms are what is wrong now.
type Alarms interface {
	Alarms() []grpcserver.Alarm
	// AlarmsChanged has a value whenever the list has changed, until ctx ends.
	AlarmsChanged(ctx context.Context) <-chan struct{}
}

// Names of the components that are not ports, as /components has them.
const (
	chassisName   = "chassis"
	cpuName       = "cpu"
	serviceName   = "vnf"
	dataplaneName = "vnf-dataplane"
)

// How often ports are looked at, of which no alarm tells, and how long an answer of the data plane may take.
const (
	healthInterval = 2 * time.Second
	healthPatience = 2 * time.Second
)

// health is what is wrong with each component; those that are well have an empty list.
type health map[string][]string

func (h health) bad(component, why string) {
	if !slices.Contains(h[component], why) {
		h[component] = append(h[component], why)
	}
}

// look finds out how the components are. It fails only with ctx: a data plane that does not answer is something that is wrong.
func (z *healthzService) look(ctx context.Context) (health, error) {
	h := health{chassisName: nil, serviceName: nil, dataplaneName: nil}
	ports := map[string]*config.Interface{}
	cfg := z.opt.Config()
	for k := range cfg.Interfaces {
		if f := &cfg.Interfaces[k]; f.Type == config.Port {
			ports[f.Name], h[f.Name] = f, nil
		}
	}
	there := map[string]*dpb.InterfaceState{}
	answered := true
	if !z.opt.Dataplane.Connected() {
		answered = false
		h.bad(dataplaneName, "vnf is not connected to it")
	} else if err := z.askPorts(ctx, there); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		answered = false
		h.bad(dataplaneName, "it does not tell of its ports: "+err.Error())
	}
	for name, f := range ports {
		st := there[name]
		switch {
		case !f.Up():
		case !answered:
			h.bad(name, "the data plane does not answer")
		case st == nil:
			h.bad(name, "it is not present")
		case st.GetOperStatus() != dpb.OperStatus_OPER_STATUS_UP:
			h.bad(name, "its link is down")
		}
	}
	for _, a := range z.opt.Alarms.Alarms() {
		h.bad(componentOf(a, ports), a.Text)
	}
	for name := range h {
		slices.Sort(h[name])
		if name != chassisName && len(h[name]) > 0 {
			h[chassisName] = append(h[chassisName], name+" is unhealthy")
		}
	}
	slices.Sort(h[chassisName])
	return h, nil
}

func (z *healthzService) askPorts(ctx context.Context, into map[string]*dpb.InterfaceState) error {
	ctx, cancel := context.WithTimeoutCause(ctx, healthPatience, errors.New("no answer in time"))
	defer cancel()
	for st, err := range z.opt.Dataplane.Interfaces(ctx, "") {
		if err != nil {
			return err
		}
		into[st.GetConfig().GetName()] = st
	}
	return nil
}

// componentOf is what an alarm is about: a port, also through its VLANs; the data plane; or else vnf.
func componentOf(a grpcserver.Alarm, ports map[string]*config.Interface) string {
	kind, name, _ := strings.Cut(a.Resource, " ")
	switch kind {
	case "interface":
		for name != "" && ports[name] == nil {
			name = name[:max(0, strings.LastIndexByte(name, '.'))]
		}
		if name != "" {
			return name
		}
	case "dataplane", "fib", "table":
		return dataplaneName
	}
	return serviceName
}
