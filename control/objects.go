package control

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/server/config"
	grpcserver "millrace/server/grpc"
)

// How long a deletion is tried again while something still refers to the object: next hops go when the FIB has let go of them.
const (
	inUsePatience = 3 * time.Second
	inUsePause    = 50 * time.Millisecond
)

// objects are what the data plane was told and has acknowledged. Only the holder of the controller's lock uses it.
type objects struct {
	dp   *client.Client
	have map[string]object
}

// failure is a step that the data plane refused.
type failure struct {
	step
	err error
}

// execute carries out steps in their order. Refusals are returned; the error is for a connection that broke.
func (o *objects) execute(ctx context.Context, steps []step) ([]failure, error) {
	var failed []failure
	for len(steps) > 0 {
		// A run of deletions is finished before what follows, for it may be waited for.
		n := 1
		for n < len(steps) && steps[n].delete == steps[0].delete && o.moving(steps[n]) == o.moving(steps[0]) {
			n++
		}
		f, err := o.run(ctx, steps[:n])
		failed = append(failed, f...)
		if err != nil {
			return failed, err
		}
		steps = steps[n:]
	}
	return failed, nil
}

// moving says that a step takes an interface to another instance.
func (o *objects) moving(s step) bool {
	old, ok := o.have[s.key]
	return ok && !s.delete && old.moves(s.object)
}

// run carries out steps of one kind. What is to be deleted or moved may be in use for a moment still.
func (o *objects) run(ctx context.Context, steps []step) ([]failure, error) {
	waits := steps[0].delete || o.moving(steps[0])
	deadline := time.Now().Add(inUsePatience)
	for {
		failed, err := o.once(ctx, steps)
		if err != nil || len(failed) == 0 || !waits || time.Now().After(deadline) {
			return failed, err
		}
		var again []step
		for _, f := range failed {
			if client.CodeOf(f.err) != pb.Code_CODE_IN_USE {
				return failed, nil
			}
			again = append(again, f.step)
		}
		select {
		case <-time.After(inUsePause):
		case <-ctx.Done():
			return failed, context.Cause(ctx)
		}
		steps = again
	}
}

func (o *objects) once(ctx context.Context, steps []step) ([]failure, error) {
	var failed []failure
	ops := make([]*pb.Op, 0, len(steps))
	asked := make([]step, 0, len(steps))
	for _, s := range steps {
		if s.fault != nil && !s.delete {
			failed = append(failed, failure{s, s.fault})
			continue
		}
		ops, asked = append(ops, s.op()), append(asked, s)
	}
	res, err := o.dp.Apply(ctx, ops)
	refused := make(map[int]*client.Error, len(res.Failed))
	for _, f := range res.Failed {
		refused[f.Index] = f.Err
	}
	for i, s := range asked[:min(len(asked), res.Applied+len(res.Failed))] {
		e := refused[i]
		switch {
		case e == nil, s.delete && e.Code == pb.Code_CODE_NOT_FOUND:
			o.note(s)
		default:
			failed = append(failed, failure{s, e})
		}
	}
	return failed, err
}

// note takes over what a step that was carried out has changed.
func (o *objects) note(s step) {
	old, ok := o.have[s.key]
	if s.delete {
		o.forget(s.key)
		return
	}
	if ok && old.moves(s.object) {
		for key, child := range o.have {
			if child.parent == s.key && child.rank > rankLoopback {
				delete(o.have, key)
			}
		}
	}
	o.have[s.key] = s.object
}

// forget removes an object and what went away with it.
func (o *objects) forget(key string) {
	delete(o.have, key)
	for k, child := range o.have {
		if child.parent == key {
			o.forget(k)
		}
	}
}

// readBack fills in what the data plane has of us from an earlier run of vnf, so that what is wanted no more, or stands in the way
// of what is wanted, is deleted before the new configuration is written.
func (o *objects) readBack(ctx context.Context, owner string) error {
	o.have = map[string]object{}
	for v, err := range o.dp.Vrfs(ctx) {
		if err != nil {
			return fmt.Errorf("read network instances: %w", err)
		}
		if v.GetOwner() == owner && v.GetName() != config.DefaultInstance {
			n := &config.Config{NetworkInstances: []config.NetworkInstance{{
				Name: v.GetName(), IPv4Routes: v.GetIp4RoutesMax(), IPv6Routes: v.GetIp6RoutesMax(),
			}}}
			o.have[vrfKey(v.GetName())] = desired(n)[1]
		}
	}
	for i, err := range o.dp.Interfaces(ctx, "") {
		if err != nil {
			return fmt.Errorf("read interfaces: %w", err)
		}
		if i.GetOwner() != owner {
			continue
		}
		m := i.GetConfig()
		f := config.Interface{Name: m.GetName(), Type: config.Port, Parent: m.GetParent()}
		switch m.GetKind() {
		case pb.InterfaceKind_INTERFACE_KIND_VLAN:
			f.Type = config.VLAN
		case pb.InterfaceKind_INTERFACE_KIND_LOOPBACK:
			f.Type = config.Loopback
		}
		obj := ifaceObject(&f)
		obj.add, obj.found = &pb.Op{Op: &pb.Op_Interface{Interface: m}}, true
		o.have[obj.key] = obj
	}
	return o.readAddresses(ctx, owner)
}

func (o *objects) readAddresses(ctx context.Context, owner string) error {
	for a, err := range o.dp.Addresses(ctx, "") {
		if err != nil {
			return fmt.Errorf("read addresses: %w", err)
		}
		if a.GetOwner() != owner || a.GetAutomatic() {
			continue
		}
		p, ok := prefixOf(a.GetAddress(), a.GetPrefixLen())
		if !ok {
			continue
		}
		obj := onInterface(&config.Interface{Name: a.GetInterface(), Addresses: []prefix{p}})[0]
		if a.GetKind() == pb.AddressKind_ADDRESS_KIND_VIRTUAL {
			obj = vipObject(a.GetInterface(), p.Addr(), fmt.Sprintf("tcp.vips[%s]", p.Addr()))
		}
		o.have[obj.key] = obj
	}
	for n, err := range o.dp.Neighbors(ctx, "") {
		if err != nil {
			return fmt.Errorf("read neighbours: %w", err)
		}
		if n.GetOwner() != owner || n.GetNud() != pb.NeighborNud_NEIGHBOR_NUD_STATIC || len(n.GetMac()) != 6 {
			continue
		}
		p, ok := prefixOf(n.GetAddress(), uint32(8*len(n.GetAddress())))
		if !ok {
			continue
		}
		obj := onInterface(&config.Interface{Name: n.GetInterface(), Neighbors: []config.StaticNbr{{
			Address: p.Addr(), MAC: config.MAC(n.GetMac()),
		}}})[0]
		o.have[obj.key] = obj
	}
	return o.readTCP(ctx, owner)
}

// readTCP fills in the pools and listeners. Those that are being drained are no more.
func (o *objects) readTCP(ctx context.Context, owner string) error {
	for p, err := range o.dp.TCPPools(ctx, "") {
		if noTCP(err) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read TCP pools: %w", err)
		}
		if p.GetOwner() == owner {
			obj := poolObject(p.GetConfig())
			o.have[obj.key] = obj
		}
	}
	for l, err := range o.dp.TCPListeners(ctx, "") {
		if err != nil {
			return fmt.Errorf("read TCP listeners: %w", err)
		}
		if l.GetOwner() == owner && !l.GetDraining() {
			obj := listenerObject(l.GetConfig())
			o.have[obj.key] = obj
		}
	}
	return nil
}

// renew writes the whole of what is wanted: first what stands in its way goes, as far as it is known.
func (o *objects) renew(ctx context.Context, want []object) ([]failure, error) {
	for key, old := range o.have {
		// The sizes of an instance that are not asked for are the data plane's own: no difference.
		if v := old.add.GetVrf(); v != nil {
			for _, w := range want {
				if n := w.add.GetVrf(); w.key == key && n != nil {
					v.Ip4Routes, v.Ip6Routes = sizeOr(n.Ip4Routes, v.Ip4Routes), sizeOr(n.Ip6Routes, v.Ip6Routes)
				}
			}
		}
	}
	p := makePlan(o.have, want)
	p.add = want
	return o.execute(ctx, p.steps(o.have))
}

func sizeOr(asked, have uint32) uint32 {
	if asked == 0 {
		return 0
	}
	return have
}

// reason is what an operator reads of a refusal. The field of the seam says nothing to him: the path in the configuration does.
func reason(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		if e.Message != "" {
			return e.Message
		}
		return client.CodeName(e.Code)
	}
	return err.Error()
}

// below is the field of a listener or pool that a refusal is about, as a path below the object's own. The names of their fields are
// the same in the seam and in the configuration.
func below(err error) string {
	var e *client.Error
	if !errors.As(err, &e) {
		return ""
	}
	for _, object := range []string{".tcp_listener.", ".tcp_pool."} {
		if _, field, ok := strings.Cut(e.Field, object); ok {
			return "." + strings.ReplaceAll(field, "_", "-")
		}
	}
	return ""
}

// faults turns refusals into errors by path, leaving out those that only follow from the refusal of an interface.
func faults(failed []failure) config.Errors {
	bad := map[string]bool{}
	for _, f := range failed {
		bad[f.key] = true
	}
	var errs config.Errors
	for _, f := range failed {
		if f.parent == "" || !bad[f.parent] {
			what := ""
			if f.delete {
				what = "cannot be deleted: "
			}
			errs = append(errs, config.Error{Path: f.path + below(f.err), Reason: what + reason(f.err)})
		}
	}
	return errs
}

const applyAlarm = "config "

// showFailures makes the refusals of a replay alarms.
func (c *Controller) showFailures(failed []failure) {
	bad, ids := map[string]bool{}, map[string]bool{}
	for _, f := range failed {
		bad[f.key] = true
	}
	for _, f := range failed {
		if f.parent != "" && bad[f.parent] {
			continue
		}
		resource := f.path
		if f.iface != "" {
			resource = "interface " + f.iface
		} else if name, ok := strings.CutPrefix(f.key, "vrf "); ok {
			resource = "network-instance " + name
		}
		id := applyAlarm + f.key
		ids[id] = true
		c.alarms.raise(id, grpcserver.Major, resource, f.path+below(f.err)+": "+reason(f.err))
	}
	c.alarms.keep(applyAlarm, ids)
}
