package control

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
)

const dataplaneAlarm = "dataplane"

// How long a table counts as full after it last refused something: what was refused is tried again at least once a minute.
const tableFullPatience = 2 * time.Minute

// onSession runs for each connection to the data plane: it writes everything, and then follows the events.
func (c *Controller) onSession(ctx context.Context, s client.Session) {
	c.restart.session(s)
	events, err := c.dp.Subscribe(ctx)
	if err != nil {
		c.log.Error("subscribe to the data plane's events", "error", err)
		return
	}
	defer events.Close()
	for {
		err := c.replay(ctx)
		if err == nil {
			break
		}
		if ctx.Err() != nil || errors.Is(err, client.ErrDisconnected) {
			return
		}
		c.log.Error("replay to the data plane", "error", err)
		wait(ctx, time.Second)
	}
	c.alarms.clear(dataplaneAlarm)
	c.fib.connected(s)
	c.once.Do(func() { close(c.first) })
	for {
		e, err := events.Next(ctx)
		if err != nil {
			return
		}
		c.event(ctx, e)
	}
}

func (c *Controller) onLost(err error) {
	c.alarms.raise(dataplaneAlarm, grpcserver.Critical, "dataplane", fmt.Sprintf("vnf is not connected to the data plane: %v", err))
}

// replay writes the configuration in force, all of it.
func (c *Controller) replay(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	return c.replayLocked(ctx)
}

func (c *Controller) replayLocked(ctx context.Context) error {
	c.synced = false
	began := time.Now()
	if err := c.objects.readBack(ctx, owner); err != nil {
		return err
	}
	want := c.desired(c.Config())
	failed, err := c.objects.renew(ctx, want)
	if err != nil {
		return err
	}
	c.synced = true
	c.finish(failed)
	c.log.Info("configuration written to the data plane", "objects", len(want), "refused", len(failed), "took", time.Since(began))
	return c.refreshLinks(ctx, c.Config())
}

func (c *Controller) finish(failed []failure) {
	c.unfinished = len(failed) > 0
	c.showFailures(failed)
	c.notePresent()
}

// retry tries again what the data plane refused. It ends with ctx.
func (c *Controller) retry(ctx context.Context) {
	t := time.NewTicker(retryInterval)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		c.alarms.expire()
		if err := c.retryOnce(ctx); err != nil && ctx.Err() == nil {
			c.log.Debug("retry", "error", err)
		}
	}
}

func (c *Controller) retryOnce(ctx context.Context) error {
	if err := c.acquire(ctx); err != nil {
		return err
	}
	defer c.release()
	select {
	case <-c.first:
	default:
		return nil // the first session is at it
	}
	switch {
	case !c.dp.Connected(), c.synced && !c.unfinished:
		return nil
	case !c.synced:
		return c.replayLocked(ctx)
	}
	p := makePlan(c.objects.have, c.desired(c.Config()))
	c.letGo(ctx, p)
	failed, err := c.objects.execute(ctx, p.steps(c.objects.have))
	if err != nil {
		c.synced = false
		return err
	}
	c.finish(failed)
	return c.refreshLinks(ctx, c.Config())
}

// refreshLinks reads which interfaces can carry traffic. One that the data plane does not have cannot.
func (c *Controller) refreshLinks(ctx context.Context, cfg *config.Config) error {
	up := map[string]bool{}
	for i, err := range c.dp.Interfaces(ctx, "") {
		if err != nil {
			return fmt.Errorf("read interfaces: %w", err)
		}
		up[i.GetConfig().GetName()] = i.GetOperStatus() == pb.OperStatus_OPER_STATUS_UP
	}
	for i := range cfg.Interfaces {
		name := cfg.Interfaces[i].Name
		c.rib.SetInterfaceState(name, up[name])
	}
	return nil
}

// event takes one change that the data plane tells.
func (c *Controller) event(ctx context.Context, e *pb.Event) {
	switch e := e.GetEvent().(type) {
	case *pb.Event_Link:
		l := e.Link
		c.log.Info("link", "interface", l.GetInterface(), "status", l.GetOperStatus(), "speed", l.GetSpeed(), "mtu", l.GetMtu())
		c.rib.SetInterfaceState(l.GetInterface(), l.GetOperStatus() == pb.OperStatus_OPER_STATUS_UP)
	case *pb.Event_InterfaceGone:
		c.interfaceGone(ctx, e.InterfaceGone.GetName())
	case *pb.Event_Address:
		c.addressEvent(e.Address)
	case *pb.Event_TableFull:
		t := e.TableFull
		c.alarms.raiseFor(tableFullPatience, fmt.Sprintf("table-full %s %s", t.GetTable(), t.GetVrf()), grpcserver.Critical, "table "+t.GetTable(),
			fmt.Sprintf("the table %s of %s is full: %d entries", t.GetTable(), t.GetVrf(), t.GetCapacity()))
	case *pb.Event_NextHop:
		c.log.Info("next hop", "id", e.NextHop.GetId(), "up", e.NextHop.GetUp(), "reason", e.NextHop.GetReason())
	case *pb.Event_TcpHealth:
		c.healthEvent(e.TcpHealth)
	case *pb.Event_Overflow:
		c.log.Warn("events of the data plane lost; reading its state", "dropped", e.Overflow.GetDropped())
		c.resync(ctx)
	}
}

// letGo takes interfaces that are to be deleted, or to move to another instance, out of the RIB and waits until the FIB refers to them no
// more.
func (c *Controller) letGo(ctx context.Context, p plan) {
	moves := false
	for _, o := range p.add {
		if old, ok := c.objects.have[o.key]; ok && old.moves(o) {
			c.rib.SetInterfaceState(o.iface, false)
			moves = true
		}
	}
	if len(p.del) == 0 && !moves {
		return
	}
	for _, o := range p.del {
		if o.add.GetInterface() != nil {
			c.rib.SetInterfaceState(o.iface, false)
		}
	}
	if err := c.waitFIB(ctx, releasePatience); err != nil {
		c.log.Warn("the FIB is slow to let go of what is deleted", "error", err)
	}
}

// interfaceGone notes that the device of an interface went away. The data plane keeps what is left of the interface; retry deletes
// it and makes it anew, as long as it is configured, until the device is back.
func (c *Controller) interfaceGone(ctx context.Context, name string) {
	c.log.Warn("interface went away", "interface", name)
	c.rib.SetInterfaceState(name, false)
	if c.acquire(ctx) != nil {
		return
	}
	defer c.release()
	if o, ok := c.objects.have[ifaceKey(name)]; ok {
		dead, isMessage := proto.Clone(o.add).(*pb.Op)
		if !isMessage {
			return
		}
		dead.GetInterface().Device = "" // differs from any that is wanted
		o.add = dead
		c.objects.have[o.key] = o
		c.unfinished = true
		c.alarms.raise(applyAlarm+o.key, grpcserver.Major, "interface "+name, "the device went away")
	}
}

func (c *Controller) addressEvent(a *pb.AddressState) {
	p, ok := prefixOf(a.GetAddress(), a.GetPrefixLen())
	if !ok {
		return
	}
	id := fmt.Sprintf("dad %s %s", a.GetInterface(), p.Addr())
	// A duplicate is not used; an address in conflict is in use, and defended (RFC 5227).
	mac := net.HardwareAddr(a.GetConflictMac())
	if a.GetDad() == pb.DadState_DAD_STATE_DUPLICATE || len(mac) == 6 {
		text := fmt.Sprintf("%s is used by another host", p.Addr())
		if len(mac) == 6 {
			text += ", " + mac.String()
		}
		c.alarms.raise(id, grpcserver.Major, "interface "+a.GetInterface(), text)
	} else {
		c.alarms.clear(id)
	}
}

// resync reads what events would have told.
func (c *Controller) resync(ctx context.Context) {
	c.term.change(func() { c.term.stale = true })
	if err := c.refreshLinks(ctx, c.Config()); err != nil {
		c.log.Warn("read the data plane's state", "error", err)
		return
	}
	ids := map[string]bool{}
	for a, err := range c.dp.Addresses(ctx, "") {
		if err != nil {
			c.log.Warn("read the data plane's state", "error", err)
			return
		}
		if addr, ok := netip.AddrFromSlice(a.GetAddress()); ok {
			ids[fmt.Sprintf("dad %s %s", a.GetInterface(), addr)] = true
			c.addressEvent(a)
		}
	}
	c.alarms.keep("dad ", ids)
}
