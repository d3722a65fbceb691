// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strconv"
	"text/tabwriter"

	pb "millrace/api/proto/dataplane/v1"
	"millrace/internal/lab"
)

// tcpNet is client (c0) — (s0) server: Linux on the left, Linux or the data plane on the right.
type tcpNet struct {
	*lab.Lab
	client, server *lab.NS
}

const (
	tcpServerAddr = "10.9.0.1"
	tcpFirstAddr  = "10.9.1.1"
)

func newTCPNet(loss float64) (*tcpNet, error) {
	l, err := lab.New("btcp")
	if err != nil {
		return nil, err
	}
	n := &tcpNet{Lab: l, client: l.NS("c"), server: l.NS("s")}
	l.Veth(n.client, "c0", n.server, "s0")
	n.client.Addr("c0", "10.9.0.2/16")
	for i := range tcpSources {
		n.client.Addr("c0", fmt.Sprintf("10.9.1.%d/16", 1+i))
	}
	if loss > 0 {
		// What the client sends is lost on its way out.
		if out, err := n.client.Output("nft", fmt.Sprintf("add table netdev t; add chain netdev t c { type filter hook egress device c0 priority 0; }; "+
			"add rule netdev t c numgen random mod 100000 < %d drop", int(loss*1000))); err != nil {
			l.Close()
			return nil, fmt.Errorf("nft: %w: %s", err, out)
		}
	}
	if err := l.Err(); err != nil {
		l.Close()
		return nil, err
	}
	return n, nil
}

// tcpVeth has Linux's client talk to Linux's server and to ours through the same veth.
func (e *env) tcpVeth(ctx context.Context, name string, c tcpCase, loss float64) error {
	e.notef("\n%s: Linux client on CPU %d, server on CPU %d, one veth, %g %% loss; %d connection(s)", name, controlCPU, workerCPU, loss, c.conns)
	t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
	fmt.Fprintf(t, "run\tLinux\tmillrace af_packet\t%s\n", c.unit)
	var ours, linux []float64
	for i := range e.runs {
		l, err := e.tcpVethRun(ctx, c, loss, e.linuxOnVeth)
		if err != nil {
			return err
		}
		m, err := e.tcpVethRun(ctx, c, loss, e.oursOnVeth)
		if err != nil {
			return err
		}
		ours, linux = append(ours, c.value(m)), append(linux, c.value(l))
		fmt.Fprintf(t, "%d\t%.4g\t%.4g\n", i+1, c.value(l), c.value(m))
	}
	fmt.Fprintf(t, "median\t%.4g\t%.4g\n", median(linux), median(ours))
	_ = t.Flush()
	return e.report.add(name, c.unit, ours, "Linux, same veth", linux)
}

func (e *env) tcpVethRun(ctx context.Context, c tcpCase, loss float64, setup func(context.Context, *tcpNet, tcpCase) (func() error, error)) (f tcpFigure, err error) {
	n, err := newTCPNet(loss)
	if err != nil {
		return f, err
	}
	defer n.Close()
	stop, err := setup(ctx, n, c)
	if err != nil {
		return f, err
	}
	defer func() { err = errors.Join(err, stop()) }()
	// Resolves the neighbours.
	if out, err := n.client.Output("ping", "-n", "-c", "3", "-i", "0.2", "-W", "2", tcpServerAddr); err != nil {
		return f, fmt.Errorf("no answer: %w: %s", err, out)
	}
	return e.linuxClient(ctx, n, c, tcpServerAddr, tcpFirstAddr)
}

func (e *env) linuxOnVeth(ctx context.Context, n *tcpNet, c tcpCase) (func() error, error) {
	n.server.Addr("s0", tcpServerAddr+"/16")
	if err := n.Err(); err != nil {
		return nil, err
	}
	p, err := e.linuxServer(ctx, n, c.kind(), tcpServerAddr)
	if err != nil {
		return nil, err
	}
	return p.stop, nil
}

func (e *env) oursOnVeth(ctx context.Context, n *tcpNet, c tcpCase) (func() error, error) {
	if err := e.hugepages(hugeMB); err != nil {
		return nil, err
	}
	d, err := e.startDataplane(ctx, n.server, pinned("--ip4-routes", "65536", "--ip6-routes", "16384")...)
	if err != nil {
		return nil, err
	}
	addr := netip.MustParseAddr(tcpServerAddr)
	port, err := strconv.ParseUint(tcpPort, 10, 16)
	if err != nil {
		return nil, err
	}
	kind := pb.TcpServiceKind_TCP_SERVICE_KIND_ECHO
	if c.kind() == "discard" {
		kind = pb.TcpServiceKind_TCP_SERVICE_KIND_DISCARD
	}
	err = d.apply(ctx, portOp("eth1", "iface=s0"), addressOp("eth1", netip.PrefixFrom(addr, 16)),
		&pb.Op{Op: &pb.Op_TcpListener{TcpListener: &pb.TcpListener{
			Name: "bench", Address: addr.AsSlice(), Port: uint32(port), Service: kind, Backlog: 65536,
			Options: &pb.TcpOptions{NoNagle: true},
		}}})
	if err != nil {
		return nil, errors.Join(err, d.close())
	}
	return d.close, nil
}
