// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"millrace/internal/lab"
	"millrace/yang/tree"
)

const (
	gnmiRoutes = 10_000
	gnmiLeaves = 100

	gnmiInstance = "/network-instances/network-instance[name=default]"
	gnmiLeaf     = "/interfaces/interface[name=eth1]/config/description"
	gnmiAFT      = gnmiInstance + "/afts/ipv4-unicast"
)

// boxTree is a client of a box's management tree by its unix socket: what is measured is the service, not TLS.
type boxTree struct {
	conn *grpc.ClientConn
	stub gpb.GNMIClient
}

func dialTree(box *lab.Box) (*boxTree, error) {
	conn, err := grpc.NewClient("unix://"+filepath.Join(filepath.Dir(box.Socket()), "vnf.sock"),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return nil, err
	}
	return &boxTree{conn, gpb.NewGNMIClient(conn)}, nil
}

// gnmiPathOf is the message of a path that this program has written down.
func gnmiPathOf(s string) *gpb.Path {
	out := &gpb.Path{}
	for _, e := range tree.MustPath(s) {
		x := &gpb.PathElem{Name: e.Name, Key: map[string]string{}}
		for _, k := range e.Keys {
			x.Key[k.Name] = k.Value
		}
		out.Elem = append(out.Elem, x)
	}
	return out
}

// update sets a document, and says how long the answer took.
func (b *boxTree) update(ctx context.Context, path, doc string) (time.Duration, error) {
	began := time.Now()
	_, err := b.stub.Set(ctx, &gpb.SetRequest{Update: []*gpb.Update{{
		Path: gnmiPathOf(path), Val: &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte(doc)}}}}})
	return time.Since(began), err
}

func (b *boxTree) delete(ctx context.Context, path string) error {
	_, err := b.stub.Set(ctx, &gpb.SetRequest{Delete: []*gpb.Path{gnmiPathOf(path)}})
	return err
}

func (b *boxTree) get(ctx context.Context, path string) (time.Duration, error) {
	began := time.Now()
	_, err := b.stub.Get(ctx, &gpb.GetRequest{Path: []*gpb.Path{gnmiPathOf(path)}, Encoding: gpb.Encoding_JSON_IETF})
	return time.Since(began), err
}

// once subscribes ONCE, and says how many values came and how long they took.
func (b *boxTree) once(ctx context.Context, path string) (values int, took time.Duration, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	began := time.Now()
	s, err := b.stub.Subscribe(ctx)
	if err != nil {
		return 0, 0, err
	}
	err = s.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Mode: gpb.SubscriptionList_ONCE, Encoding: gpb.Encoding_PROTO, Subscription: []*gpb.Subscription{{Path: gnmiPathOf(path)}}}}})
	if err != nil {
		return 0, 0, err
	}
	for {
		m, err := s.Recv()
		if err != nil {
			return 0, 0, err
		}
		if m.GetSyncResponse() {
			return values, time.Since(began), nil
		}
		values += len(m.GetUpdate().GetUpdate())
	}
}

// staticRoutes is a document of static routes.
func staticRoutes(n int) string {
	var s strings.Builder
	s.WriteString(`{"protocol": [{"identifier": "STATIC", "name": "static", "config": {"identifier": "STATIC", "name": "static"},` +
		` "static-routes": {"static": [`)
	for i := range n {
		if i > 0 {
			s.WriteByte(',')
		}
		p := fmt.Sprintf("172.%d.%d.0/24", 16+i>>8, i&255)
		fmt.Fprintf(&s, `{"prefix": %q, "config": {"prefix": %q}, "next-hops": {"next-hop": [{"index": "0", "config": {"index": "0", "next-hop": "10.0.1.2"}}]}}`, p, p)
	}
	s.WriteString(`]}}]}`)
	return s.String()
}

func gnmiTreeSuite(set, leaf, get string) suite {
	return suite{names: []string{set, leaf, get}, run: func(ctx context.Context, e *env, selected func(string) bool) error {
		pin, err := allowAll()
		if err != nil {
			return err
		}
		defer pin()
		n, err := newVethNet()
		if err != nil {
			return err
		}
		defer n.Close()
		box, err := n.Box(n.router, lab.BoxOptions{Config: idleConfig, LogLevel: "warn"})
		if err != nil {
			return err
		}
		if err := box.WaitInterfaces("eth1", "eth2"); err != nil {
			return err
		}
		b, err := dialTree(box)
		if err != nil {
			return err
		}
		defer func() { _ = b.conn.Close() }()
		e.notef("\n%s, %s, %s: %d static routes in one Set; then, beside them, a leaf by Set and by Get, the median of %d each", set, leaf, get,
			gnmiRoutes, gnmiLeaves)
		t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
		fmt.Fprintln(t, "run\troutes s\tleaf by Set ms\tby Get ms")
		doc := staticRoutes(gnmiRoutes)
		var sets, leaves, gets []float64
		for i := range e.runs {
			took, err := b.update(ctx, gnmiInstance+"/protocols", doc)
			if err != nil {
				return err
			}
			sets = append(sets, took.Seconds())
			var one, read []float64
			for k := range gnmiLeaves {
				took, err := b.update(ctx, gnmiLeaf, fmt.Sprintf(`"%d"`, k))
				if err != nil {
					return err
				}
				one = append(one, took.Seconds()*1e3)
				if took, err = b.get(ctx, gnmiLeaf); err != nil {
					return err
				}
				read = append(read, took.Seconds()*1e3)
			}
			leaves, gets = append(leaves, median(one)), append(gets, median(read))
			fmt.Fprintf(t, "%d\t%.3f\t%.2f\t%.2f\n", i+1, took.Seconds(), median(one), median(read))
			if err := b.delete(ctx, gnmiInstance+"/protocols"); err != nil {
				return err
			}
		}
		_ = t.Flush()
		var errs []error
		for _, x := range []struct {
			name, unit string
			values     []float64
		}{{set, "s", sets}, {leaf, "ms", leaves}, {get, "ms", gets}} {
			if selected(x.name) {
				errs = append(errs, e.report.add(x.name, x.unit, x.values, "", nil))
			}
		}
		return errors.Join(errs...)
	}}
}

// gnmiAFTSuite reads the whole forwarding table of n routes from BGP.
func gnmiAFTSuite(name string, n int) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) (err error) {
		pin, err := allowAll()
		if err != nil {
			return err
		}
		defer pin()
		l, err := lab.New("bench")
		if err != nil {
			return err
		}
		defer l.Close()
		peer, router := l.NS("p"), l.NS("r")
		l.Veth(peer, "p0", router, "pa")
		peer.Addr("p0", "10.0.1.2/24")
		table := ipv4Table(n)
		f, err := startFeeder(l, peer, table)
		if err != nil {
			return err
		}
		box, err := startBox(ctx, l, router, peer, table)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, box.close()) }()
		if err := l.Err(); err != nil {
			return err
		}
		waitCtx, cancel := context.WithTimeout(ctx, bgpPatience)
		defer cancel()
		if _, err := f.connect(); err != nil {
			return err
		}
		if _, err := box.loaded(waitCtx); err != nil {
			return err
		}
		b, err := dialTree(box.box)
		if err != nil {
			return err
		}
		defer func() { _ = b.conn.Close() }()
		e.notef("\n%s: Subscribe ONCE to the IPv4 forwarding table with %d routes from BGP, to sync_response", name, n)
		t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
		fmt.Fprintln(t, "run\ts\tvalues\tvalues a second")
		var all []float64
		for i := range min(e.runs, gnmiRuns) {
			values, took, err := b.once(waitCtx, gnmiAFT)
			if err != nil {
				return err
			}
			if values < n {
				return fmt.Errorf("%d values for %d routes", values, n)
			}
			all = append(all, took.Seconds())
			fmt.Fprintf(t, "%d\t%.2f\t%d\t%.0f\n", i+1, took.Seconds(), values, float64(values)/took.Seconds())
		}
		_ = t.Flush()
		return e.report.add(name, "s", all, "", nil)
	}}
}
