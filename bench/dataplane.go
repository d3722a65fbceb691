// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"time"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/dataplane/client"
	"millrace/internal/lab"
)

const startPatience = 60 * time.Second

// dataplane is a vnf-dataplane of ours with a client that speaks for its control plane.
type dataplane struct {
	*process
	*client.Client
	prefix string
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// pinned are the options for a worker that has its CPU for itself and never sleeps.
func pinned(args ...string) []string {
	return append([]string{"--poll", "--cpus", fmt.Sprintf("%d,%d", controlCPU, workerCPU)}, args...)
}

// startDataplane runs vnf-dataplane with one worker and without an exception path, in a network namespace unless ns is nil.
func (e *env) startDataplane(ctx context.Context, ns *lab.NS, args ...string) (*dataplane, error) {
	prefix := e.unique("d")
	socket := filepath.Join(e.dir, prefix+".sock")
	args = append([]string{
		"--socket", socket, "--file-prefix", prefix, "--no-exception", "--log-level", "warn",
	}, args...)
	ready := make(chan struct{})
	var once sync.Once
	cmd := onCPUs(allCPUs(), filepath.Join(e.bin, "vnf-dataplane"), args...)
	if ns != nil {
		cmd = ns.Command(context.WithoutCancel(ctx), cmd.Args[0], cmd.Args[1:]...)
	}
	e.undo = append(e.undo, func() { removeHugeFiles(prefix) })
	p, err := e.start("vnf-dataplane", cmd, func(s string) {
		if s == "ready" {
			once.Do(func() { close(ready) })
		}
	})
	if err != nil {
		return nil, err
	}
	select {
	case <-ready:
	case <-p.done:
		return nil, p.failure()
	case <-time.After(startPatience):
		return nil, errors.Join(errors.New("vnf-dataplane is not ready after a minute"), p.stop())
	}
	d := &dataplane{process: p, prefix: prefix}
	d.Client, err = client.New(client.Options{
		Socket: socket, Owner: "bench", Epoch: func() (uint64, error) { return uint64(time.Now().Unix()), nil },
	})
	if err != nil {
		return nil, errors.Join(err, p.stop())
	}
	runCtx, cancel := context.WithCancel(ctx)
	d.cancel = cancel
	d.wg.Go(func() { _ = d.Run(runCtx) })
	waitCtx, stop := context.WithTimeout(ctx, startPatience)
	defer stop()
	if err := d.Wait(waitCtx); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to vnf-dataplane: %w", err), d.close())
	}
	return d, nil
}

func (d *dataplane) close() error {
	d.cancel()
	d.wg.Wait()
	err := d.stop()
	removeHugeFiles(d.prefix)
	return err
}

// apply carries out the operations; one that is refused is an error.
func (d *dataplane) apply(ctx context.Context, ops ...*pb.Op) error {
	r, err := d.Apply(ctx, ops)
	if err != nil {
		return errors.Join(err, d.alive())
	}
	if len(r.Failed) > 0 {
		return fmt.Errorf("%d of %d operations were refused, the first: %w (%v)", len(r.Failed), len(ops), r.Err(), ops[r.Failed[0].Index])
	}
	return nil
}

// routes writes the prefixes, spread over the groups in turn, and returns how long it took to the last acknowledgement.
func (d *dataplane) routes(ctx context.Context, prefixes []netip.Prefix, groups []uint64) (time.Duration, error) {
	const chunk = 1 << 16
	began := time.Now()
	for first := 0; first < len(prefixes); first += chunk {
		part := prefixes[first:min(first+chunk, len(prefixes))]
		ops := make([]*pb.Op, len(part))
		for i, p := range part {
			ops[i] = routeOp(p, groups[(first+i)%len(groups)])
		}
		if err := d.apply(ctx, ops...); err != nil {
			return 0, fmt.Errorf("write routes from number %d: %w", first, err)
		}
	}
	return time.Since(began), nil
}

func portOp(name, device string) *pb.Op {
	return &pb.Op{Op: &pb.Op_Interface{Interface: &pb.Interface{
		Name: name, Kind: pb.InterfaceKind_INTERFACE_KIND_PORT, Device: device, AdminUp: true,
	}}}
}

func addressOp(name string, p netip.Prefix) *pb.Op {
	return &pb.Op{Op: &pb.Op_Address{Address: &pb.Address{Interface: name, Address: p.Addr().AsSlice(), PrefixLen: uint32(p.Bits())}}}
}

func neighborOp(name string, a netip.Addr, mac []byte) *pb.Op {
	return &pb.Op{Op: &pb.Op_Neighbor{Neighbor: &pb.Neighbor{Interface: name, Address: a.AsSlice(), Mac: mac}}}
}

func gatewayOp(id uint64, name string, a netip.Addr) *pb.Op {
	return &pb.Op{Op: &pb.Op_NextHop{NextHop: &pb.NextHop{
		Id: id, Kind: pb.NextHopKind_NEXT_HOP_KIND_GATEWAY, Interface: name, Gateway: a.AsSlice(),
	}}}
}

func groupOp(id uint64, nextHops ...uint64) *pb.Op {
	g := &pb.Group{Id: id}
	for _, nh := range nextHops {
		g.Members = append(g.Members, &pb.Member{NextHopId: nh})
	}
	return &pb.Op{Op: &pb.Op_Group{Group: g}}
}

func routeOp(p netip.Prefix, group uint64) *pb.Op {
	return &pb.Op{Op: &pb.Op_Route{Route: &pb.Route{Prefix: p.Addr().AsSlice(), PrefixLen: uint32(p.Bits()), GroupId: group}}}
}

// port is the state of one interface.
func (d *dataplane) port(ctx context.Context, name string) (*pb.InterfaceState, error) {
	list, err := client.Collect(d.Interfaces(ctx, name))
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		if i.GetConfig().GetName() == name {
			return i, nil
		}
	}
	return nil, fmt.Errorf("the data plane has no interface %s", name)
}

func (d *dataplane) nodes(ctx context.Context) (map[string]*pb.NodeState, error) {
	list, err := client.Collect(d.Nodes(ctx))
	if err != nil {
		return nil, err
	}
	m := make(map[string]*pb.NodeState, len(list))
	for _, n := range list {
		m[n.GetName()] = n
	}
	return m, nil
}
