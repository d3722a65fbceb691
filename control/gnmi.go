package control

import (
	"context"
	"strings"
	"sync"
	"time"

	"millrace/server/auth"
	gnmiserver "millrace/server/gnmi"
	"millrace/server/model"
	"millrace/server/state"
	"millrace/server/store"
	"millrace/server/telemetry"
)

// telemetryHub is the management tree as it is read: the configuration and what the sources know of the system.
type telemetryHub struct {
	*telemetry.Hub
	interfaces *state.Interfaces
	tcp        *state.TCP
	dataplane  *state.Dataplane
	machine    *state.Machine
	// unwatch ends the hub's being told of commits.
	unwatch func()
}

func (d *daemon) newHub() (*telemetryHub, error) {
	s := d.st.Schema()
	h := &telemetryHub{
		interfaces: state.NewInterfaces(s, d.c.dp, d.c.Config), dataplane: state.NewDataplane(s, d.c.dp), machine: state.NewMachine(),
	}
	started := time.Now()
	system := state.NewSystem(state.SystemOptions{
		Schema: s, Config: d.c.Config, Tree: d.st.Tree, Machine: h.machine, Dataplane: d.c.dp, Version: d.o.Version, Started: started,
		GRPCListen: func() string { return ListenAddress(d.c.Config(), ListenGRPC) },
		LastCommit: func() time.Time {
			entry, _, _ := d.st.Current()
			return entry.Time
		},
	})
	platform := state.NewPlatform(state.PlatformOptions{
		Schema: s, Config: d.c.Config, Machine: h.machine, Dataplane: d.c.dp, Version: d.o.Version, Started: started,
	})
	var err error
	h.tcp, err = state.NewTCP(state.TCPOptions{
		Schema: s, Dataplane: d.c.dp, Config: d.c.Config, Announced: d.c.AnnouncedVIPs, Refused: d.c.refused, Logger: d.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	entry, _, _ := d.st.Current()
	h.Hub, err = telemetry.New(telemetry.Options{
		Schema: s, Config: d.st.Tree, Since: entry.Time, Logger: d.o.Logger,
		Sources: []telemetry.Source{h.interfaces, h.tcp, h.dataplane, system, platform, state.NewAlarms(s, d.c)},
	})
	if err != nil {
		return nil, err
	}
	h.unwatch = d.st.Watch(func(e store.Event) {
		h.Committed(e.Old, e.Tree, e.Entry.Time)
		h.interfaces.Poke()
		h.tcp.Poke()
	})
	return h, nil
}

// run has the sources follow the system until ctx ends.
func (h *telemetryHub) run(ctx context.Context) {
	defer h.unwatch()
	var wg sync.WaitGroup
	wg.Go(func() { h.interfaces.Run(ctx) })
	wg.Go(func() { h.tcp.Run(ctx) })
	wg.Go(func() { h.dataplane.Run(ctx) })
	wg.Go(func() { h.machine.Run(ctx) })
	wg.Wait()
}

func (d *daemon) newGNMI() (*gnmiserver.Server, error) {
	return gnmiserver.New(gnmiserver.Options{
		Schema: d.st.Schema(), Store: d.st, Hub: d.hub, Authorize: auth.NewAuthorizer(model.Secrets()), Logger: d.o.Logger,
	})
}

// refused are the reasons for which the data plane did not take objects, by their path in the configuration.
func (c *Controller) refused() map[string]string {
	out := map[string]string{}
	for _, a := range c.Alarms() {
		if strings.HasPrefix(a.ID, applyAlarm) {
			out[a.Resource] = a.Text
		}
	}
	return out
}
