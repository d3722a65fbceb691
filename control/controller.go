package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"millrace/dataplane/client"
	"millrace/routing/rib"
	"millrace/server/config"
	"millrace/server/gribi"
	grpcserver "millrace/server/grpc"
)

const (
	owner = "vnf"
	// How long the start waits for the data plane, to know whether it goes on from an earlier run, before BGP starts without it.
	startPatience = 15 * time.Second
	// How long the FIB may take to acknowledge before others go on without.
	fibPatience = 2 * time.Minute
	// How long a change waits for the FIB to let go of what is to be deleted.
	releasePatience = 5 * time.Second
	// How long a change of routes waits for the data plane to have them.
	fibAnswer = 10 * time.Second
	// Pause between two attempts at what the data plane refused.
	retryInterval = 5 * time.Second
	// How long a rollback may take.
	rollbackPatience = time.Minute
	// How long a change may take.
	applyPatience = 2 * time.Minute
)

// Options of a Controller. Config, Socket and Epoch have to be given.
type Options struct {
	// Config is in force at the start. It has to be valid.
	Config *config.Config
	// Socket is the data plane's.
	Socket string
	// RuntimeDir is where an appliance's boot says how the machine's network cards are named.
	RuntimeDir string
	// Epoch gives each session with the data plane its own; see client.NextEpoch.
	Epoch   func() (uint64, error)
	Version string
	Logger  *slog.Logger
}

// Controller holds the configuration in force and brings everything to it.
type Controller struct {
	opt    Options
	log    *slog.Logger
	dp     *client.Client
	rib    *rib.RIB
	fib    *fibRunner
	gribi  *gribi.Server
	alarms *alarms
	term   *termination
	cfg    atomic.Pointer[config.Config]

	// lock is held by who changes something: the objects, the RIB's routes of the configuration, the speakers.
	lock    chan struct{}
	objects *objects
	// synced says that objects describes the data plane of the present session.
	synced bool
	// unfinished says that the data plane refused some of what is in force.
	unfinished bool

	restart *restart
	first   chan struct{} // closed after the first replay
	once    sync.Once

	bgpMu  sync.Mutex // for readers; writers hold the lock as well
	bgp    map[string]*instanceBGP
	bgpCtx context.Context
}

// New makes a Controller that does nothing before Run.
func New(o Options) (*Controller, error) {
	if o.Config == nil {
		return nil, errors.New("control: no configuration")
	}
	if err := o.Config.Validate(); err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Controller{
		opt: o, log: o.Logger, rib: rib.New(rib.Options{}), alarms: newAlarms(o.Logger), term: newTermination(), lock: make(chan struct{}, 1),
		restart: newRestart(o.Logger), first: make(chan struct{}), bgp: map[string]*instanceBGP{},
	}
	dp, err := client.New(client.Options{
		Socket: o.Socket, Owner: owner, Epoch: o.Epoch, Version: o.Version, Logger: o.Logger,
		OnSession: c.onSession, OnLost: c.onLost,
	})
	if err != nil {
		return nil, err
	}
	c.dp, c.objects = dp, &objects{dp: dp, have: map[string]object{}}
	c.fib = newFIBRunner(c)
	c.gribi = gribi.New(gribi.Options{RIB: c.rib, FIB: c.fib.p, Logger: c.log})
	c.applyGRIBI(o.Config)
	c.cfg.Store(o.Config)
	return c, nil
}

// Config returns the configuration in force, which nobody changes.
func (c *Controller) Config() *config.Config { return c.cfg.Load() }

// Client returns the connection to the data plane.
func (c *Controller) Client() *client.Client { return c.dp }

// RIB returns the routing information base.
func (c *Controller) RIB() *rib.RIB { return c.rib }

// Alarms lists what is wrong now.
func (c *Controller) Alarms() []grpcserver.Alarm { return c.alarms.Alarms() }

func (c *Controller) acquire(ctx context.Context) error {
	select {
	case c.lock <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (c *Controller) release() { <-c.lock }

// Run brings the system to the configuration and keeps it there until ctx ends. Where graceful restart is on, sessions of BGP are
// not told: they end when the process exits, and the peers keep the routes. The data plane keeps all that was written.
func (c *Controller) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	c.bgpCtx = ctx

	cfg := c.Config()
	c.makeInstances(cfg)
	_, add := routeChanges(nil, cfg)
	if err := c.applyRoutes(add); err != nil {
		c.log.Error("routes of the configuration", "error", err)
	}
	c.alarms.raise(dataplaneAlarm, grpcserver.Critical, "dataplane", "vnf is not connected to the data plane")
	wg.Go(func() { _ = c.dp.Run(ctx) })
	wg.Go(func() { c.fib.run(ctx) })
	wg.Go(func() { c.restart.run(ctx, c) })
	wg.Go(func() { c.retry(ctx) })
	wg.Go(func() { c.followTermination(ctx) })

	select {
	case <-c.first:
	case <-time.After(startPatience):
		c.log.Warn("BGP starts without the data plane")
	case <-ctx.Done():
	}
	if ctx.Err() == nil {
		c.startAllBGP(ctx)
	}
	<-ctx.Done()
	c.stopAllBGP()
	return nil
}

func (c *Controller) startAllBGP(ctx context.Context) {
	if c.acquire(ctx) != nil {
		return
	}
	defer c.release()
	cfg := c.Config()
	for i := range cfg.NetworkInstances {
		n := &cfg.NetworkInstances[i]
		if n.BGP == nil || !isOn(n.BGP.Enabled) {
			continue
		}
		for _, nb := range n.BGP.Neighbors {
			if o := n.BGP.Resolve(nb); isOn(o.Enabled) {
				c.restart.expectEndOfRIB(n.Name, nb.Address, familiesOf(n.BGP, nb.Address, o)...)
			}
		}
	}
	if err := c.applyBGP(ctx, cfg); err != nil {
		c.log.Error("BGP does not start as configured", "error", err)
		c.alarms.raise("bgp-config", grpcserver.Critical, "bgp", err.Error())
	}
	patience := time.Minute
	for _, b := range bgpConfigs(cfg) {
		patience = max(patience, b.GracefulRestart.DeferralTime+time.Minute)
	}
	c.restart.configurationDone(patience)
}

// stopAllBGP ends the speakers: with a Cease where the peers would not keep the routes anyway.
func (c *Controller) stopAllBGP() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if c.acquire(ctx) != nil {
		return
	}
	defer c.release()
	for name, in := range c.bgp {
		c.stopBGP(name, !in.config.GracefulRestart.Enabled)
	}
}

func (c *Controller) makeInstances(cfg *config.Config) {
	for _, n := range cfg.NetworkInstances {
		if err := c.rib.CreateVRF(n.Name); err != nil {
			c.log.Error("network instance", "name", n.Name, "error", err)
		}
	}
}

func (c *Controller) dropInstances(cfg *config.Config) {
	for _, name := range c.rib.VRFs() {
		here := slices.ContainsFunc(cfg.NetworkInstances, func(n config.NetworkInstance) bool { return n.Name == name })
		if name != config.DefaultInstance && !here {
			if err := c.rib.DeleteVRF(name); err != nil {
				c.log.Error("delete network instance", "name", name, "error", err)
			}
		}
	}
}

// applyRoutes changes the RIB and returns the first refusal.
func (c *Controller) applyRoutes(changes []rib.Change) error {
	var errs []error
	for i, err := range c.rib.Apply(changes) {
		r := changes[i].Route
		if err != nil && !(changes[i].Op == rib.Delete && errors.Is(err, rib.ErrNotFound)) {
			errs = append(errs, config.Error{
				Path:   fmt.Sprintf("network-instances[%s].static-routes[%s]", r.VRF, r.Prefix),
				Reason: err.Error(),
			})
		}
	}
	return errors.Join(errs...)
}
