package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"github.com/openconfig/ygot/ytypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"millrace/internal/lab"
	"millrace/yang/oc"
)

const (
	defaultInstance = "/network-instances/network-instance[name=default]"
	staticProtocol  = defaultInstance + "/protocols/protocol[identifier=STATIC][name=static]"
)

// gnmiPath is a path that splitPath can take apart.
func gnmiPath(path string) *gpb.Path {
	out := &gpb.Path{}
	for _, step := range splitPath(path) {
		name, keys, _ := strings.Cut(step, "[")
		e := &gpb.PathElem{Name: name, Key: map[string]string{}}
		for _, k := range strings.Split(strings.TrimSuffix(keys, "]"), "][") {
			if k, v, ok := strings.Cut(k, "="); ok {
				e.Key[k] = v
			}
		}
		out.Elem = append(out.Elem, e)
	}
	return out
}

func gnmiUpdate(path string, doc any) *gpb.Update {
	return &gpb.Update{Path: gnmiPath(path), Val: &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte(document(doc))}}}
}

// gnmiRead is the value of the only node at a path, nil if there is none.
func gnmiRead(ctx context.Context, stub gpb.GNMIClient, path string, kind gpb.GetRequest_DataType) (any, error) {
	resp, err := stub.Get(ctx, &gpb.GetRequest{Path: []*gpb.Path{gnmiPath(path)}, Type: kind, Encoding: gpb.Encoding_JSON_IETF})
	if status.Code(err) == codes.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var v any
	if n := len(resp.GetNotification()[0].GetUpdate()); n != 1 {
		return nil, fmt.Errorf("%s: %d values", path, n)
	}
	return v, json.Unmarshal(resp.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal(), &v)
}

// The whole configuration is replaced by another, again and again, while packets go that both of them let pass: none is lost.
func TestGNMIReplaceUnderTraffic(t *testing.T) {
	b := newBed(t, 2)
	b.lab.NS("r2").Addr("lo", frrHost+"/32")
	box, err := b.lab.Box(b.lab.NS("r"), lab.BoxOptions{Config: "\n"})
	b.box = box
	b.ok(err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stub := gpb.NewGNMIClient(dialBox(t, box, credentials.NewTLS(operator(t, box))))
	boot, err := gnmiRead(ctx, stub, "/", gpb.GetRequest_CONFIG)
	b.ok(err)
	with := func(more object) object {
		all := object{}
		for k, v := range boot.(object) {
			all[k] = v
		}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	statics := array{staticEntry(frrHost+"/32", "10.0.2.2"), staticEntry("192.0.2.0/24", "10.0.3.2")}
	one := with(object{
		"openconfig-interfaces:interfaces": object{"interface": array{portEntry(1), portEntry(2), portEntry(3)}},
		"openconfig-network-instance:network-instances": object{"network-instance": array{
			instanceEntry(protocol("STATIC", object{"static-routes": object{"static": statics}}))}},
		"vnf-tcp-termination:tcp-termination": object{"listeners": object{"listener": array{object{
			"name": "echo", "config": object{"name": "echo", "address": "10.0.1.1", "port": 7, "service": "ECHO"}}}}},
	})
	many := array{staticEntry(frrHost+"/32", "10.0.2.2")}
	for i := range 500 {
		many = append(many, staticEntry(fmt.Sprintf("172.%d.%d.0/24", 16+i/256, i%256), "10.0.2.2"))
	}
	loopback := object{"name": "lo1", "config": object{"name": "lo1", "type": "iana-if-type:softwareLoopback", "description": "in blue"}}
	other := with(object{
		"openconfig-interfaces:interfaces": object{"interface": array{portEntry(1), portEntry(2), loopback}},
		"openconfig-network-instance:network-instances": object{"network-instance": array{
			instanceEntry(protocol("STATIC", object{"static-routes": object{"static": many}}), protocol("BGP", bgpContent(65001, 65010, "10.0.2.2"))),
			object{"name": "blue", "config": object{"name": "blue", "type": "openconfig-network-instance-types:L3VRF"},
				"interfaces": object{"interface": array{object{"id": "lo1", "config": object{"id": "lo1", "interface": "lo1"}}}}},
		}},
	})
	replace := func(doc object) {
		t.Helper()
		req := &gpb.SetRequest{Replace: []*gpb.Update{gnmiUpdate("/", doc)}}
		if rand.IntN(2) == 0 {
			req = &gpb.SetRequest{}
			for top, v := range doc {
				req.UnionReplace = append(req.UnionReplace, gnmiUpdate("/"+top, v))
			}
		}
		began := time.Now()
		_, err := stub.Set(ctx, req)
		b.ok(err)
		t.Logf("replaced in %v", time.Since(began))
	}
	replace(one)
	b.ok(box.WaitInterfaces("eth1", "eth2", "eth3"))
	b.pings("a", frrHost)
	tr := startTraffic(t, b.lab.NS("a"), frrHost, 16, 1000, map[string]*lab.NS{"r2": b.lab.NS("r2")})
	b.ok(tr.settle(5 * time.Second))
	for range 4 {
		replace(other)
		if out, err := box.Ctl("route", "list", "--network-instance", "default"); err != nil || !strings.Contains(out, "172.16.7.0/24") || strings.Contains(out, "192.0.2.0/24") {
			t.Errorf("%v\n%s", err, out)
		}
		b.steady(500*time.Millisecond, func() error { return nil })
		replace(one)
		b.ok(b.lab.NS("a").Do(func() error { return lab.Eventually(5*time.Second, func() error { return echoOnce("10.0.1.1:7") }) }))
		b.steady(500*time.Millisecond, func() error { return nil })
	}
	b.lossless(tr)
	// All that a running box tells is right by ygot.
	for _, doc := range []object{one, other} {
		replace(doc)
		all, err := gnmiRead(ctx, stub, "/", gpb.GetRequest_ALL)
		b.ok(err)
		d := &oc.Device{}
		b.ok(oc.Unmarshal([]byte(document(all)), d))
		// Entries that nobody configured, such as learned neighbours, have no config for their key to refer to.
		if err := d.Validate(&ytypes.LeafrefOptions{IgnoreMissingData: true}); err != nil {
			t.Errorf("validate: %v", err)
		}
	}
}

// vnf is killed while it commits. What is there afterwards is what was before or what was asked for, whole, and if the commit was
// answered it is the latter.
func TestGNMIKilledInCommits(t *testing.T) {
	b := newBed(t, 1)
	box, err := b.lab.Box(b.lab.NS("r"), lab.BoxOptions{Config: "\n"})
	b.box = box
	b.ok(err)
	rounds := 12
	if testing.Short() {
		rounds = 4
	}
	creds := credentials.NewTLS(operator(t, box))
	stub := gpb.NewGNMIClient(dialBox(t, box, creds))
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	// Round n says n in a description, in a host's name and in a hundred routes.
	request := func(n int) *gpb.SetRequest {
		var routes array
		for i := range 100 {
			routes = append(routes, staticEntry(fmt.Sprintf("172.16.%d.0/24", i), fmt.Sprintf("10.0.2.%d", 2+n)))
		}
		first := portEntry(1)
		first["config"].(object)["description"] = fmt.Sprint(n)
		return &gpb.SetRequest{
			Replace: []*gpb.Update{
				gnmiUpdate("/interfaces", object{"openconfig-interfaces:interface": array{first, portEntry(2)}}),
				gnmiUpdate(defaultInstance, instanceEntry(protocol("STATIC", object{"static-routes": object{"static": routes}}))),
			},
			Update: []*gpb.Update{gnmiUpdate("/system/config/hostname", fmt.Sprintf("box%d", n))},
		}
	}
	state := func() (int, error) {
		cctx, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		v, err := gnmiRead(cctx, stub, "/", gpb.GetRequest_CONFIG)
		if err != nil {
			return 0, err
		}
		text := document(v)
		for n := 0; n <= rounds; n++ {
			said := strings.Contains(text, fmt.Sprintf(`"description":"%d"`, n))
			host := strings.Contains(text, fmt.Sprintf(`"hostname":"box%d"`, n))
			count := strings.Count(text, fmt.Sprintf(`"next-hop":"10.0.2.%d"`, 2+n))
			if said && host && count == 100 {
				return n, nil
			}
			if said || host || count > 0 {
				return 0, fmt.Errorf("the tree is torn: description %v, host %v, %d routes of %d", said, host, count, n)
			}
		}
		return 0, errors.New("nothing is there")
	}
	_, err = stub.Set(ctx, request(0))
	b.ok(err)
	now, kept, lost := 0, 0, 0
	for n := 1; n <= rounds; n++ {
		answered := make(chan error, 1)
		go func() {
			cctx, cancel := context.WithTimeout(ctx, 30*time.Second)
			defer cancel()
			_, err := stub.Set(cctx, request(n))
			answered <- err
		}()
		time.Sleep(time.Duration(rand.IntN(40_000)) * time.Microsecond)
		whole := n%4 == 0
		if whole { // the supervisor with both its children, as a loss of power would
			b.ok(box.Kill("control"))
			b.ok(box.Kill("dataplane"))
			b.ok(box.Proc.Signal(syscall.SIGKILL))
		} else {
			b.ok(box.Kill("control"))
		}
		err := <-answered
		if whole {
			b.ok(box.Start())
		}
		var got int
		b.eventually(40*time.Second, func() error {
			var err error
			got, err = state()
			if code := status.Code(err); code == codes.Unavailable || code == codes.DeadlineExceeded {
				return err
			}
			if err != nil {
				t.Fatal(err)
			}
			return nil
		})
		switch {
		case got == n:
			kept++
		case got == now && err != nil:
			lost++
		default:
			t.Fatalf("round %d, answered with %v: %d was there, %d is", n, err, now, got)
		}
		now = got
		// What is in force is what the tree says.
		b.eventually(40*time.Second, func() error {
			out, err := box.Ctl("route", "list", "--network-instance", "default")
			if err == nil && strings.Count(out, fmt.Sprintf("10.0.2.%d ", 2+now)) < 100 {
				err = fmt.Errorf("the routes of %d are not there:\n%.400s", now, out)
			}
			return err
		})
	}
	t.Logf("%d commits were kept, %d were not", kept, lost)
}

// Ten thousand static routes in one Set are answered in seconds, when packets take them; one leaf beside them takes milliseconds.
func TestGNMITenThousandRoutes(t *testing.T) {
	b := newBed(t, 1)
	box, err := b.lab.Box(b.lab.NS("r"), lab.BoxOptions{Config: "\n"})
	b.box = box
	b.ok(err)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	stub := gpb.NewGNMIClient(dialBox(t, box, credentials.NewTLS(operator(t, box))))
	set := func(u ...*gpb.Update) time.Duration {
		t.Helper()
		began := time.Now()
		_, err := stub.Set(ctx, &gpb.SetRequest{Update: u})
		b.ok(err)
		return time.Since(began)
	}
	set(gnmiUpdate("/interfaces", object{"openconfig-interfaces:interface": array{portEntry(1), portEntry(2)}}))
	b.ok(box.WaitInterfaces("eth1", "eth2"))
	var routes array
	for i := range 10_000 {
		routes = append(routes, staticEntry(fmt.Sprintf("172.%d.%d.0/24", 16+i/256, i%256), "10.0.2.2"))
	}
	took := set(gnmiUpdate(defaultInstance, instanceEntry(protocol("STATIC", object{"static-routes": object{"static": routes}}))))
	d, err := b.lookup("172.55.15.9") // the last one
	if err != nil || !d.GetFound() {
		t.Errorf("the answer came before the data plane had the routes: %v, %v", d, err)
	}
	var leaf []time.Duration
	for i := range 21 {
		leaf = append(leaf, set(gnmiUpdate("/interfaces/interface[name=eth1]/config/description", fmt.Sprint(i))))
	}
	slices.Sort(leaf)
	one := set(gnmiUpdate(staticProtocol+"/static-routes/static[prefix=172.20.0.0/24]/next-hops/next-hop[index=0]/config/next-hop", "10.0.2.3"))
	t.Logf("10,000 routes took %v, a leaf beside them %v (median), a route among them %v", took, leaf[len(leaf)/2], one)
}
