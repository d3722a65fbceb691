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
	// follow are the sources that follow the system in the background, poke has some of them look at once.
	follow []interface{ Run(ctx context.Context) }
	poke   []interface{ Poke() }
	// unwatch ends the hub's being told of commits.
	unwatch func()
}

// newHub brings the sources together.
func (d *daemon) newHub() (*telemetryHub, error) {
	s, c := d.st.Schema(), d.c
	committed := func() time.Time {
		entry, _, _ := d.st.Current()
		return entry.Time
	}
	interfaces, dataplane, machine := state.NewInterfaces(s, c.dp, c.Config), state.NewDataplane(s, c.dp), state.NewMachine()
	tcp, err := state.NewTCP(state.TCPOptions{
		Schema: s, Dataplane: c.dp, Config: c.Config, Announced: c.AnnouncedVIPs, Refused: c.refused, Logger: d.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	h := &telemetryHub{}
	h.follow = append(h.follow, interfaces, dataplane, machine, tcp)
	h.poke = append(h.poke, interfaces, tcp)
	h.Hub, err = telemetry.New(telemetry.Options{
		Schema: s, Config: d.st.Tree, Since: committed(), Logger: d.o.Logger,
		Sources: []telemetry.Source{
			interfaces, dataplane, tcp, state.NewAlarms(s, c),
			state.NewAFT(s, c.rib, c.Config, c.fibSynced), state.NewInstances(s, c.rib, c.Config),
			state.NewBGP(state.BGPOptions{Schema: s, Config: c.Config, Tree: d.st.Tree, Speaker: c.Speaker}),
			state.NewSystem(state.SystemOptions{
				Schema: s, Config: c.Config, Tree: d.st.Tree, Machine: machine, Dataplane: c.dp, LastCommit: committed, Version: d.o.Version,
				Started: d.started, GRPCListen: d.grpc.address,
			}),
			state.NewPlatform(state.PlatformOptions{
				Schema: s, Config: c.Config, Machine: machine, Dataplane: c.dp, Version: d.o.Version, Started: d.started,
			}),
		},
	})
	if err != nil {
		return nil, err
	}
	h.unwatch = d.st.Watch(func(e store.Event) {
		h.Committed(e.Old, e.Tree, e.Entry.Time)
		for _, p := range h.poke {
			p.Poke()
		}
	})
	return h, nil
}

// run has the sources follow the system until ctx ends.
func (h *telemetryHub) run(ctx context.Context) {
	defer h.unwatch()
	var wg sync.WaitGroup
	for _, f := range h.follow {
		wg.Go(func() { f.Run(ctx) })
	}
	wg.Wait()
}

// newGNMI makes the gNMI service and the hub that it reads.
func (d *daemon) newGNMI() (*gnmiserver.Server, error) {
	var err error
	if d.hub, err = d.newHub(); err != nil {
		return nil, err
	}
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

// fibSynced says that the data plane has acknowledged all routes.
func (c *Controller) fibSynced() bool {
	st := c.FIB().Stats()
	return st.Connected && !st.Replaying && st.Pending == 0 && st.InFlight == 0
}
