package control

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"millrace/server/config"
)

// Apply puts a whole configuration into force, which has been validated and which nobody changes, or changes nothing and says why. save is
// called when the system has been brought to it (nil: it is not); if it fails, all is taken back. The error is config.Errors, possibly
// wrapped, where it is about a place in the configuration.
func (c *Controller) Apply(ctx context.Context, next *config.Config, save func() error) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	if save == nil {
		save = func() error { return nil }
	}
	old := c.Config()
	if x, y := config.WithoutCommon(old, next); reflect.DeepEqual(x, y) {
		return save()
	}
	began := time.Now()
	for name, b := range bgpConfigs(next) {
		if err := b.Validate(); err != nil {
			return config.Errors{{Path: fmt.Sprintf("network-instances[%s].bgp", name), Reason: err.Error()}}
		}
	}
	// A caller that goes away must not leave the change half done.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyPatience)
	defer cancel()
	if err := c.bring(ctx, old, next); err != nil {
		c.rollback(ctx, next, old)
		return err
	}
	if err := save(); err != nil {
		c.rollback(ctx, next, old)
		return err
	}
	c.cfg.Store(next)
	c.term.change(func() {}) // other addresses may have to be announced
	c.alarms.clear("bgp-config")
	if !reflect.DeepEqual(old.System.Dataplane, next.System.Dataplane) || old.System.PKIDirectory != next.System.PKIDirectory {
		c.log.Warn("part of the system configuration takes effect at the next start")
	}
	c.log.Info("configuration applied", "took", time.Since(began))
	return nil
}

// bring takes the system from one configuration to another. After an error it is somewhere between.
func (c *Controller) bring(ctx context.Context, old, next *config.Config) error {
	want := bgpConfigs(next)
	for name := range c.bgp {
		if _, ok := want[name]; !ok {
			c.stopBGP(name, true)
		}
	}
	// What goes: first out of the RIB, so that the FIB lets go of the interfaces and instances that are to be deleted.
	c.makeInstances(next)
	del, add := routeChanges(old, next)
	if err := c.applyRoutes(del); err != nil {
		return err
	}
	c.dropInstances(next)
	p := makePlan(c.objects.have, c.desired(next))
	if d, ok := config.DrainOf(ctx); ok {
		p = p.drain(uint32(d.Milliseconds()))
	}
	if c.synced {
		if err := c.bringObjects(ctx, p, next); err != nil {
			return err
		}
	}
	if err := c.applyRoutes(add); err != nil {
		return err
	}
	if c.synced && len(del)+len(add) > 0 {
		// Who asked for the routes is answered when packets take them.
		if err := c.waitFIB(ctx, fibAnswer); err != nil {
			c.log.Warn("the change goes on without the FIB's answer", "error", err)
		}
	}
	if err := c.applyBGP(ctx, next); err != nil {
		return err
	}
	c.applyGRIBI(next)
	return nil
}

// bringObjects carries out a plan. That the data plane goes away meanwhile is no error: it gets everything when it is back. Nor is
// it one that something is refused still that was refused before and is the same.
func (c *Controller) bringObjects(ctx context.Context, p plan, next *config.Config) error {
	c.letGo(ctx, p)
	before := map[string]object{}
	if c.unfinished {
		for _, o := range c.desired(c.Config()) {
			before[o.key] = o
		}
	}
	failed, err := c.objects.execute(ctx, p.steps(c.objects.have))
	if err != nil {
		c.log.Warn("the data plane went away during a change; it gets it when it is back", "error", err)
		c.synced = false
		return nil
	}
	var fresh []failure
	for _, f := range failed {
		if o, ok := before[f.key]; !ok || !o.same(f.object) {
			fresh = append(fresh, f)
		}
	}
	if errs := faults(fresh); len(errs) > 0 {
		return errs
	}
	c.finish(failed)
	if err := c.refreshLinks(ctx, next); err != nil {
		c.log.Warn("read the state of interfaces", "error", err)
	}
	return nil
}

// rollback takes the system back. It is carried out even if the caller has gone away.
func (c *Controller) rollback(ctx context.Context, from, to *config.Config) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackPatience)
	defer cancel()
	c.makeInstances(to)
	del, add := routeChanges(from, to)
	err := c.applyRoutes(del)
	c.dropInstances(to)
	if c.synced {
		p := makePlan(c.objects.have, c.desired(to))
		c.letGo(ctx, p)
		failed, xerr := c.objects.execute(ctx, p.steps(c.objects.have))
		if xerr != nil {
			c.synced = false
		}
		err = errors.Join(err, xerr)
		c.finish(failed)
	}
	err = errors.Join(err, c.applyRoutes(add), c.applyBGP(ctx, to))
	c.applyGRIBI(to)
	if c.synced {
		err = errors.Join(err, c.refreshLinks(ctx, to))
	}
	if err != nil {
		c.log.Error("rollback", "error", err)
	}
	c.log.Warn("change taken back")
}
