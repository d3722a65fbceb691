package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	vnfv1 "millrace/api/proto/vnf/v1"
)

// grpcurl runs github.com/fullstorydev/grpcurl, which knows of the typed services what reflection tells.
type grpcurl struct {
	r *router
}

func newGRPCurl(r *router) grpcurl {
	r.t.Helper()
	if _, err := exec.LookPath(r.lab.Bin("tools/grpcurl")); err != nil {
		r.t.Skip("needs grpcurl: make tools")
	}
	return grpcurl{r}
}

// call calls a method of millrace.vnf.v1 and returns the answer as JSON.
func (c grpcurl) call(method, request string) (string, error) {
	ctx, cancel := context.WithTimeout(c.r.t.Context(), time.Minute)
	defer cancel()
	pki := c.r.box.TLSDir()
	out, err := c.r.box.NS.Command(ctx, c.r.lab.Bin("tools/grpcurl"), "-cacert", filepath.Join(pki, "ca.pem"), "-cert", filepath.Join(pki, "client.pem"),
		"-key", filepath.Join(pki, "client-key.pem"), "-servername", "localhost", "-d", request, "127.0.0.1:9339", "millrace.vnf.v1."+method).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("grpcurl %s %s: %w\n%s", method, request, err, out)
	}
	return string(out), nil
}

// typedCase is a thing that is made in one way, and read and changed in both.
type typedCase struct {
	name string
	// create and list are calls of the typed services, with a word that the list has when it is there.
	create, list [2]string
	word         string
	// leaf of the tree has the value; then it is given another, which the list shows by the word after.
	leaf, value, next, after string
	// entry is deleted over gNMI.
	entry string
	// doc makes the entry over gNMI, at the path; gone deletes it by the typed services.
	at, doc string
	gone    [2]string
}

const (
	typedStatic = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]/static-routes"
	typedBGP    = "/network-instances/network-instance[name=default]/protocols/protocol[identifier=BGP][name=bgp]/bgp/neighbors"
	typedEth1   = "/interfaces/interface[name=eth1]/subinterfaces/subinterface[index=0]/ipv4"
)

var typedCases = []typedCase{
	{
		name:   "interface",
		create: [2]string{"InterfaceService/CreateInterface", `{"config": {"name": "lo7", "kind": "INTERFACE_KIND_LOOPBACK", "enabled": true, "description": "typed"}}`},
		list:   [2]string{"InterfaceService/ListInterfaces", "{}"}, word: `"description": "typed"`,
		leaf: "/interfaces/interface[name=lo7]/config/description", value: "typed", next: `"by gNMI"`, after: `"description": "by gNMI"`,
		entry: "/interfaces/interface[name=lo7]",
		at:    "/interfaces", doc: `{"interface": [{"name": "lo7", "config": {"name": "lo7", "type": "iana-if-type:softwareLoopback", "description": "typed"}}]}`,
		gone: [2]string{"InterfaceService/DeleteInterface", `{"name": "lo7"}`},
	}, {
		name:   "address",
		create: [2]string{"InterfaceService/AddInterfaceAddress", `{"interface": "eth1", "prefix": "10.7.0.1/24"}`},
		list:   [2]string{"InterfaceService/ListInterfaces", "{}"}, word: `"10.7.0.1/24"`,
		leaf: typedEth1 + "/addresses/address[ip=10.7.0.1]/config/prefix-length", value: "24", next: `25`, after: `"10.7.0.1/25"`,
		entry: typedEth1 + "/addresses/address[ip=10.7.0.1]",
		at:    typedEth1 + "/addresses", doc: `{"address": [{"ip": "10.7.0.1", "config": {"ip": "10.7.0.1", "prefix-length": 24}}]}`,
		gone: [2]string{"InterfaceService/DeleteInterfaceAddress", `{"interface": "eth1", "prefix": "10.7.0.1/24"}`},
	}, {
		name:   "neighbor",
		create: [2]string{"NeighborService/AddNeighbor", `{"interface": "eth1", "address": "10.0.1.77", "mac": "02:00:00:00:00:77"}`},
		list:   [2]string{"NeighborService/ListNeighbors", `{"prefix": "10.0.1.77/32"}`}, word: `"02:00:00:00:00:77"`,
		leaf: typedEth1 + "/neighbors/neighbor[ip=10.0.1.77]/config/link-layer-address", value: "02:00:00:00:00:77", next: `"02:00:00:00:00:78"`,
		after: `"02:00:00:00:00:78"`, entry: typedEth1 + "/neighbors/neighbor[ip=10.0.1.77]",
		at: typedEth1 + "/neighbors", doc: `{"neighbor": [{"ip": "10.0.1.77", "config": {"ip": "10.0.1.77", "link-layer-address": "02:00:00:00:00:77"}}]}`,
		gone: [2]string{"NeighborService/DeleteNeighbor", `{"interface": "eth1", "address": "10.0.1.77"}`},
	}, {
		name: "static route",
		create: [2]string{"RouteService/AddRoutes",
			`{"routes": [{"prefix": "203.0.113.0/24", "action": "ROUTE_ACTION_FORWARD", "next_hops": [{"gateway": "10.0.2.2"}], "description": "typed"}]}`},
		list: [2]string{"RouteService/ListRoutes", `{"prefix": "203.0.113.0/24"}`}, word: `"gateway": "10.0.2.2"`,
		leaf: typedStatic + "/static[prefix=203.0.113.0/24]/next-hops/next-hop[index=0]/config/next-hop", value: "10.0.2.2", next: `"10.0.1.2"`,
		after: `"gateway": "10.0.1.2"`, entry: typedStatic + "/static[prefix=203.0.113.0/24]",
		at: "/network-instances/network-instance[name=default]/protocols", doc: `{"protocol": [{"identifier": "STATIC", "name": "static",
			"config": {"identifier": "STATIC", "name": "static"}, "static-routes": {"static": [{"prefix": "203.0.113.0/24",
			"config": {"prefix": "203.0.113.0/24"}, "next-hops": {"next-hop": [{"index": "0", "config": {"index": "0", "next-hop": "10.0.2.2"}}]}}]}}]}`,
		gone: [2]string{"RouteService/DeleteRoutes", `{"routes": [{"prefix": "203.0.113.0/24"}]}`},
	}, {
		name:   "BGP neighbor",
		create: [2]string{"BgpService/AddBgpNeighbor", `{"config": {"address": "10.0.2.77", "peer_as": 65010, "description": "typed", "hold_time": 30}}`},
		list:   [2]string{"BgpService/ListBgpNeighbors", "{}"}, word: `"description": "typed"`,
		leaf: typedBGP + "/neighbor[neighbor-address=10.0.2.77]/config/description", value: "typed", next: `"by gNMI"`, after: `"description": "by gNMI"`,
		entry: typedBGP + "/neighbor[neighbor-address=10.0.2.77]",
		at:    typedBGP, doc: `{"neighbor": [{"neighbor-address": "10.0.2.77", "config": {"neighbor-address": "10.0.2.77", "peer-as": 65010, "description": "typed"}}]}`,
		gone: [2]string{"BgpService/DeleteBgpNeighbor", `{"address": "10.0.2.77"}`},
	}, {
		name: "listener",
		create: [2]string{"TerminationService/CreateTcpListener",
			`{"config": {"name": "echo", "address": "10.0.1.1", "port": 7, "service": "TCP_SERVICE_KIND_ECHO", "max_connections": 77}}`},
		list: [2]string{"TerminationService/ListTcpListeners", "{}"}, word: `"maxConnections": 77`,
		leaf: "/tcp-termination/listeners/listener[name=echo]/config/max-connections", value: "77", next: `78`, after: `"maxConnections": 78`,
		entry: "/tcp-termination/listeners/listener[name=echo]",
		at:    "/tcp-termination/listeners", doc: `{"listener": [{"name": "echo", "config": {"name": "echo", "address": "10.0.1.1", "port": 7, "service": "ECHO", "max-connections": 77}}]}`,
		gone: [2]string{"TerminationService/DeleteTcpListener", `{"name": "echo"}`},
	}, {
		name: "pool",
		create: [2]string{"TerminationService/CreateTcpPool",
			`{"config": {"name": "app", "backends": [{"name": "one", "address": "10.0.2.2", "port": 8001, "weight": 7}]}}`},
		list: [2]string{"TerminationService/ListTcpPools", "{}"}, word: `"weight": 7`,
		leaf: "/tcp-termination/pools/pool[name=app]/backends/backend[name=one]/config/weight", value: "7", next: `8`, after: `"weight": 8`,
		entry: "/tcp-termination/pools/pool[name=app]",
		at:    "/tcp-termination/pools", doc: `{"pool": [{"name": "app", "config": {"name": "app"}, "backends": {"backend": [
			{"name": "one", "config": {"name": "one", "address": "10.0.2.2", "port": 8001, "weight": 7}}]}}]}`,
		gone: [2]string{"TerminationService/DeleteTcpPool", `{"name": "app"}`},
	}, {
		name:   "virtual address",
		create: [2]string{"TerminationService/CreateTcpVip", `{"config": {"name": "web", "address": "10.0.1.80"}}`},
		list:   [2]string{"TerminationService/ListTcpVips", "{}"}, word: `"address": "10.0.1.80"`,
		leaf: "/tcp-termination/virtual-addresses/virtual-address[name=web]/config/address", value: "10.0.1.80", next: `"10.0.1.81"`,
		after: `"address": "10.0.1.81"`, entry: "/tcp-termination/virtual-addresses/virtual-address[name=web]",
		at: "/tcp-termination/virtual-addresses", doc: `{"virtual-address": [{"name": "web", "config": {"name": "web", "address": "10.0.1.80"}}]}`,
		gone: [2]string{"TerminationService/DeleteTcpVip", `{"name": "web"}`},
	},
}

func newTypedBed(t *testing.T, name string) (*router, *treeClient) {
	r := newRouter(t, name, routerOptions{mbufs: 16384, instances: "  - name: default\n    bgp: {asn: 65001}\n"})
	return r, &treeClient{r, gpb.NewGNMIClient(dialBox(t, r.box, credentials.NewTLS(operator(t, r.box))))}
}

// TestTypedServicesAndTree: what is set by the typed services is read and changed in the tree, and the other way.
func TestTypedServicesAndTree(t *testing.T) {
	r, c := newTypedBed(t, "typed")
	g := newGRPCurl(r)
	for _, x := range typedCases {
		t.Run(x.name, func(t *testing.T) {
			shows := func(word string, there bool) {
				t.Helper()
				r.eventually(5*time.Second, func() error { // what the data plane tells is read from it
					out, err := g.call(x.list[0], x.list[1])
					if err == nil && strings.Contains(out, word) != there {
						err = fmt.Errorf("%s in the list, wanted %t:\n%s", word, there, out)
					}
					return err
				})
			}
			leaf := func(want string) {
				t.Helper()
				got, err := c.get(x.leaf)
				if want == "" && status.Code(err) == codes.NotFound {
					return
				}
				if err != nil || got != want {
					t.Errorf("%s is %q, %v, want %q", x.leaf, got, err, want)
				}
			}
			before := c.whole()
			// By the typed service; read, changed and deleted over gNMI.
			if _, err := g.call(x.create[0], x.create[1]); err != nil {
				t.Fatal(err)
			}
			leaf(x.value)
			shows(x.word, true)
			must(t, c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(x.leaf, x.next)}}))
			shows(x.after, true)
			must(t, c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(x.entry)}}))
			shows(x.after, false)
			// Over gNMI; read and deleted by the typed service.
			must(t, c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(x.at, x.doc)}}))
			shows(x.word, true)
			leaf(x.value)
			if _, err := g.call(x.gone[0], x.gone[1]); err != nil {
				t.Error(err)
			}
			leaf("")
			shows(x.word, false)
			if after := c.whole(); after != before && x.name != "static route" { // whose protocol stays
				t.Errorf("something is left:\n%s\nwas\n%s", after, before)
			}
		})
	}
}

// whole is the configuration.
func (c *treeClient) whole() string {
	c.r.t.Helper()
	m, err := c.stub.Get(c.r.t.Context(), &gpb.GetRequest{Path: []*gpb.Path{{}}, Type: gpb.GetRequest_CONFIG, Encoding: gpb.Encoding_JSON_IETF})
	must(c.r.t, err)
	return string(m.GetNotification()[0].GetUpdate()[0].GetVal().GetJsonIetfVal())
}

const (
	typedWriters = 8
	typedWrites  = 5
)

// TestTypedServicesAndTreeAtOnce: clients of both kinds change the configuration at the same time. What is answered is in the history,
// and the tree is what they have left of it.
func TestTypedServicesAndTreeAtOnce(t *testing.T) {
	r, c := newTypedBed(t, "typedmany")
	must(t, c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update("/network-instances/network-instance[name=default]/protocols/protocol[identifier=STATIC][name=static]",
		`{"identifier": "STATIC", "name": "static", "config": {"identifier": "STATIC", "name": "static"}}`)}}))
	var (
		mu      sync.Mutex
		model   = map[string]bool{}
		touched []string
		wg      sync.WaitGroup
	)
	for i := range typedWriters {
		conn := dialBox(t, r.box, credentials.NewTLS(operator(t, r.box)))
		own, typed := &treeClient{r, gpb.NewGNMIClient(conn)}, vnfv1.NewRouteServiceClient(conn)
		wg.Go(func() {
			for j := range typedWrites {
				// Each adds a route, and takes away every second one again in the next step.
				prefix := fmt.Sprintf("10.%d.%d.0/24", 100+i, j/2)
				add := j%2 == 0
				var err error
				switch {
				case i%2 == 0 && add:
					err = own.set(&gpb.SetRequest{Update: []*gpb.Update{own.update(typedStatic+"/static[prefix="+prefix+"]", fmt.Sprintf(
						`{"config": {"prefix": %q}, "next-hops": {"next-hop": [{"index": "0", "config": {"index": "0", "next-hop": "10.0.2.2"}}]}}`, prefix))}})
				case i%2 == 0:
					err = own.set(&gpb.SetRequest{Delete: []*gpb.Path{own.path(typedStatic + "/static[prefix=" + prefix + "]")}})
				case add:
					_, err = typed.AddRoutes(t.Context(), &vnfv1.AddRoutesRequest{Routes: []*vnfv1.StaticRoute{{
						Prefix: prefix, Action: vnfv1.RouteAction_ROUTE_ACTION_FORWARD, NextHops: []*vnfv1.NextHop{{Gateway: "10.0.2.2"}}}}})
				default:
					_, err = typed.DeleteRoutes(t.Context(), &vnfv1.DeleteRoutesRequest{Routes: []*vnfv1.RouteKey{{Prefix: prefix}}})
				}
				if err != nil {
					t.Errorf("writer %d, step %d: %v", i, j, err)
					return
				}
				mu.Lock()
				model[prefix] = add
				touched = append(touched, prefix)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	// The tree, and what the typed service tells.
	var want []string
	for p, there := range model {
		if there {
			want = append(want, p)
		}
	}
	slices.Sort(want)
	var doc struct {
		Static []struct {
			Prefix string `json:"prefix"`
		} `json:"openconfig-network-instance:static"`
	}
	text, err := c.get(typedStatic)
	must(t, err)
	must(t, json.Unmarshal([]byte(text), &doc))
	var got []string
	for _, s := range doc.Static {
		got = append(got, s.Prefix)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the tree has %v, want %v", got, want)
	}
	conn := dialBox(t, r.box, credentials.NewTLS(operator(t, r.box)))
	list, err := vnfv1.NewRouteServiceClient(conn).ListRoutes(t.Context(), &vnfv1.ListRoutesRequest{Source: vnfv1.RouteSource_ROUTE_SOURCE_STATIC, PageSize: 1000})
	must(t, err)
	got = nil
	for _, x := range list.GetRoutes() {
		got = append(got, x.GetPrefix())
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("there are the routes %v, want %v", got, want)
	}
	// The history: a commit for each answer, one after the other.
	system := vnfv1.NewSystemServiceClient(conn)
	h, err := system.ListCommits(t.Context(), &vnfv1.ListCommitsRequest{})
	must(t, err)
	all := h.GetCommits()
	slices.SortFunc(all, func(x, y *vnfv1.Commit) int { return int(x.GetId()) - int(y.GetId()) })
	if len(all) < len(touched) {
		t.Fatalf("%d commits for %d answers", len(all), len(touched))
	}
	all = all[len(all)-len(touched):]
	found := map[string]int{}
	for i, m := range all {
		if i > 0 && (m.GetId() != all[i-1].GetId()+1 || m.GetBase() != all[i-1].GetId()) {
			t.Errorf("commit %d on %d comes after %d", m.GetId(), m.GetBase(), all[i-1].GetId())
		}
		m, err := system.GetCommit(t.Context(), &vnfv1.GetCommitRequest{Commit: m.GetId()})
		must(t, err)
		for p := range model {
			if strings.Contains(strings.Join(m.GetChanges(), "\n"), p) {
				found[p]++
			}
		}
	}
	for _, p := range touched {
		found[p]--
	}
	for p, n := range found {
		if n != 0 {
			t.Errorf("%s: %d commits more than answers", p, n)
		}
	}
}
