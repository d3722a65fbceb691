// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"millrace/internal/lab"
	gnmiserver "millrace/server/gnmi"
	"millrace/server/telemetry"
	"millrace/yang/schema"
	"millrace/yang/tree"
)

// gnmiFlag makes this program the subscribers: `bench -gnmi-subscribers ADDRESS PATH PKI`.
const gnmiFlag = "-gnmi-subscribers"

const (
	gnmiPorts       = 64
	gnmiCounters    = 30
	gnmiSubscribers = 100
	gnmiRuns        = 3
	gnmiWindow      = 10 * time.Second
	gnmiPath        = "/interfaces/interface[name=*]"
	gnmiBoxPath     = gnmiPath + "/subinterfaces/subinterface[index=*]/state/counters"
)

func gnmiSuite(name string) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
		e.notef("\n%s: %d subscribers of their own TLS connections sample the %d counters of %d interfaces each second, over %s",
			name, gnmiSubscribers, gnmiCounters, gnmiPorts, gnmiWindow)
		t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
		fmt.Fprintln(t, "run\tpercent of a core\tvalues a second")
		var all []float64
		for i := range min(e.runs, gnmiRuns) {
			share, rate, err := subscribersCost(ctx, gnmiWindow)
			if err != nil {
				return err
			}
			all = append(all, share)
			fmt.Fprintf(t, "%d\t%.2f\t%.0f\n", i+1, share, rate)
		}
		_ = t.Flush()
		return e.report.add(name, "% of a core", all, "", nil)
	}}
}

// gnmiBoxSuite is the same with a running box, whose data plane has the counters.
func gnmiBoxSuite(name string) suite {
	return suite{names: []string{name}, run: func(ctx context.Context, e *env, _ func(string) bool) error {
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
		config := "\ninterfaces:\n  - {name: eth1, type: port, iface: pa}\n"
		for i := 1; i <= gnmiPorts; i++ {
			config += fmt.Sprintf("  - {name: eth1.%d, type: vlan, parent: eth1, vlan-id: %d, addresses: [10.1.%d.1/24]}\n", i, i, i)
		}
		box, err := n.Box(n.router, lab.BoxOptions{Config: config})
		if err != nil {
			return err
		}
		if err := box.WaitInterfaces("eth1"); err != nil {
			return err
		}
		pid, err := box.Child("control")
		if err != nil {
			return err
		}
		self, err := os.Executable()
		if err != nil {
			return err
		}
		e.notef("\n%s: %d subscribers of their own TLS connections to the control process of a box sample all counters of %d VLANs each second, "+
			"over %s", name, gnmiSubscribers, gnmiPorts, gnmiWindow)
		t := tabwriter.NewWriter(os.Stderr, 8, 8, 2, ' ', 0)
		fmt.Fprintln(t, "run\tpercent of a core\tvalues a second")
		var all []float64
		for i := range min(e.runs, gnmiRuns) {
			c := n.router.Command(ctx, self, gnmiFlag, "127.0.0.1:9339", gnmiBoxPath, box.TLSDir())
			share, rate, err := measure(c, gnmiPorts, gnmiWindow, func() (time.Duration, error) { return cpuTime(pid) })
			if err != nil {
				return err
			}
			all = append(all, share)
			fmt.Fprintf(t, "%d\t%.2f\t%.0f\n", i+1, share, rate)
		}
		_ = t.Flush()
		return e.report.add(name, "% of a core", all, "", nil)
	}}
}

// counters is a source of ports whose counters are never the same.
type counters struct {
	s     *schema.Schema
	below []string
	n     atomic.Uint64
}

func newCounters(s *schema.Schema) *counters {
	c := &counters{s: s}
	for _, in := range []string{"", "subinterfaces/subinterface[index=0]/", "subinterfaces/subinterface[index=1]/"} {
		plain, _, _ := strings.Cut(in, "[")
		for _, n := range s.Find("/interfaces/interface/" + plain + "/state/counters").Children() {
			if len(c.below) < gnmiCounters {
				c.below = append(c.below, in+"state/counters/"+n.Name)
			}
		}
	}
	return c
}

func (c *counters) Roots() []string {
	return []string{"/interfaces/interface/state/counters", "/interfaces/interface/subinterfaces/subinterface/state/counters"}
}

func (c *counters) Read(_ context.Context, m tree.Pattern, emit func(telemetry.Batch) error) error {
	now := time.Now()
	n := c.n.Add(1) * 1_000_003
	for port := range gnmiPorts {
		at := tree.MustPath(fmt.Sprintf("/interfaces/interface[name=eth%d]", port))
		objects := map[string]*telemetry.Object{}
		var order []*telemetry.Object
		for i, b := range c.below {
			in, name, _ := strings.Cut(b, "state/counters/")
			o := objects[in]
			if o == nil {
				o = telemetry.NewObject(c.s, append(at[:2:2], tree.MustPath(in)...))
				objects[in] = o
				order = append(order, o)
			}
			o.Set("state/counters/"+name, n+uint64(port*1000+i))
		}
		b := telemetry.Batch{Time: now}
		for _, o := range order {
			leaves, err := o.Leaves()
			if err != nil {
				return err
			}
			b.Leaves = append(b.Leaves, leaves...)
		}
		if err := emit(b); err != nil {
			return err
		}
	}
	return nil
}

// subscribersCost is what the service takes of a core for its subscribers, which are in a process of their own, and how many values it
// sends in a second.
func subscribersCost(ctx context.Context, window time.Duration) (share, rate float64, err error) {
	s, err := schema.Load()
	if err != nil {
		return 0, 0, err
	}
	config := tree.New(s)
	hub, err := telemetry.New(telemetry.Options{Schema: s, Config: func() *tree.Tree { return config }, Sources: []telemetry.Source{newCounters(s)}})
	if err != nil {
		return 0, 0, err
	}
	service, err := gnmiserver.New(gnmiserver.Options{Schema: s, Store: struct{ gnmiserver.Store }{}, Hub: hub})
	if err != nil {
		return 0, 0, err
	}
	creds, err := selfSigned()
	if err != nil {
		return 0, 0, err
	}
	g := grpc.NewServer(grpc.Creds(creds))
	service.Register(g)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, 0, err
	}
	served := make(chan error, 1)
	go func() { served <- g.Serve(l) }()
	defer func() {
		g.Stop()
		err = errors.Join(err, <-served)
	}()
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	c := exec.CommandContext(ctx, self, gnmiFlag, l.Addr().String(), gnmiPath, "")
	return measure(c, gnmiPorts*gnmiCounters, window, func() (time.Duration, error) { return ownTime(), nil })
}

// measure runs the subscribers, each of which gets a number of values a second, and returns what the server took of a core, and how many
// values came in a second. used is the CPU time of the server so far.
func measure(c *exec.Cmd, each int, window time.Duration, used func() (time.Duration, error)) (share, rate float64, err error) {
	c.Stderr = os.Stderr
	out, err := c.StdoutPipe()
	if err != nil {
		return 0, 0, err
	}
	if err := c.Start(); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, c.Process.Signal(syscall.SIGTERM), c.Wait()) }()
	lines := bufio.NewScanner(out)
	values := func() (uint64, error) { // the clients say each half a second how many values they have got
		if !lines.Scan() {
			return 0, fmt.Errorf("the subscribers have ended: %w", lines.Err())
		}
		return strconv.ParseUint(lines.Text(), 10, 64)
	}
	first := uint64(0)
	for first <= uint64(3*gnmiSubscribers*each) { // until the first rounds are there
		if first, err = values(); err != nil {
			return 0, 0, err
		}
	}
	before, err := used()
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	last := first
	for time.Since(began) < window {
		if last, err = values(); err != nil {
			return 0, 0, err
		}
	}
	after, err := used()
	took := time.Since(began)
	return 100 * float64(after-before) / float64(took), float64(last-first) / took.Seconds(), err
}

// ownTime is the CPU time of this process.
func ownTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func selfSigned() (credentials.TransportCredentials, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS13,
	}), nil
}

// subscribers are clients that count the values they get of a path, and print the sum each half a second until they are told to end. pki
// is the folder of the certificates of an operator; empty: they show none, and take any server's.
func subscribers(addr, path, pki string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	// It is the cost of the server that is measured: whose certificate it is does not matter.
	t := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS13}
	if pki != "" {
		own, err := tls.LoadX509KeyPair(filepath.Join(pki, "client.pem"), filepath.Join(pki, "client-key.pem"))
		if err != nil {
			return err
		}
		t.Certificates = []tls.Certificate{own}
	}
	at, err := tree.ParsePath(path)
	if err != nil {
		return err
	}
	var values atomic.Uint64
	ended := make(chan error, gnmiSubscribers)
	for range gnmiSubscribers {
		go func() { ended <- subscriber(ctx, addr, at, t, &values) }()
	}
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for range gnmiSubscribers {
				<-ended
			}
			return nil
		case err := <-ended:
			if ctx.Err() != nil {
				return nil
			}
			return err
		case <-tick.C:
			fmt.Println(values.Load())
		}
	}
}

func subscriber(ctx context.Context, addr string, at tree.Path, t *tls.Config, values *atomic.Uint64) error {
	c, err := grpc.NewClient(addr, grpc.WithTransportCredentials(credentials.NewTLS(t)))
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	s, err := gpb.NewGNMIClient(c).Subscribe(ctx)
	if err != nil {
		return err
	}
	path := &gpb.Path{}
	for _, e := range at {
		el := &gpb.PathElem{Name: e.Name, Key: map[string]string{}}
		for _, k := range e.Keys {
			el.Key[k.Name] = k.Value
		}
		path.Elem = append(path.Elem, el)
	}
	if err := s.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Encoding:     gpb.Encoding_PROTO,
		Subscription: []*gpb.Subscription{{Path: path, Mode: gpb.SubscriptionMode_SAMPLE, SampleInterval: uint64(time.Second)}},
	}}}); err != nil {
		return err
	}
	for {
		r, err := s.Recv()
		if err != nil {
			return err
		}
		values.Add(uint64(len(r.GetUpdate().GetUpdate())))
	}
}
