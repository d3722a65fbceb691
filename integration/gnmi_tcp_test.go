package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"millrace/yang/tree"
)

// treeClient is a client of gNMI that fails the test with what goes wrong.
type treeClient struct {
	r    *router
	stub gpb.GNMIClient
}

func (c *treeClient) path(s string) *gpb.Path {
	c.r.t.Helper()
	p, err := tree.ParsePath(s)
	if err != nil {
		c.r.t.Fatal(err)
	}
	out := &gpb.Path{}
	for _, e := range p {
		el := &gpb.PathElem{Name: e.Name}
		for _, k := range e.Keys {
			if el.Key == nil {
				el.Key = map[string]string{}
			}
			el.Key[k.Name] = k.Value
		}
		out.Elem = append(out.Elem, el)
	}
	return out
}

func (c *treeClient) update(path, doc string) *gpb.Update {
	return &gpb.Update{Path: c.path(path), Val: &gpb.TypedValue{Value: &gpb.TypedValue_JsonIetfVal{JsonIetfVal: []byte(doc)}}}
}

func (c *treeClient) set(m *gpb.SetRequest) error {
	ctx, cancel := context.WithTimeout(c.r.t.Context(), time.Minute)
	defer cancel()
	_, err := c.stub.Set(ctx, m)
	return err
}

// get is the value of a leaf as text; an error where there is none.
func (c *treeClient) get(path string) (string, error) {
	ctx, cancel := context.WithTimeout(c.r.t.Context(), time.Minute)
	defer cancel()
	got, err := c.stub.Get(ctx, &gpb.GetRequest{Path: []*gpb.Path{c.path(path)}, Encoding: gpb.Encoding_JSON_IETF})
	if err != nil {
		return "", err
	}
	for _, n := range got.GetNotification() {
		if len(n.GetUpdate()) == 0 {
			continue
		}
		var v any
		doc := n.GetUpdate()[0].GetVal().GetJsonIetfVal()
		if err := json.Unmarshal(doc, &v); err != nil {
			return "", fmt.Errorf("%s: %w", path, err)
		}
		if s, ok := v.(string); ok {
			return s, nil
		}
		return string(doc), nil
	}
	return "", fmt.Errorf("%s has no value", path)
}

// want waits for a leaf to have a value.
func (c *treeClient) want(path, value string) {
	c.r.t.Helper()
	c.r.eventually(15*time.Second, func() error {
		got, err := c.get(path)
		if err == nil && got != value {
			err = fmt.Errorf("%s is %q, want %q", path, got, value)
		}
		return err
	})
}

// change is a leaf that a subscription told.
type change struct {
	path, value string
	at          time.Time
}

// follow subscribes to changes and returns those that come after what there is at first.
func (c *treeClient) follow(path string) <-chan change {
	c.r.t.Helper()
	stream, err := c.stub.Subscribe(c.r.t.Context())
	if err != nil {
		c.r.t.Fatal(err)
	}
	err = stream.Send(&gpb.SubscribeRequest{Request: &gpb.SubscribeRequest_Subscribe{Subscribe: &gpb.SubscriptionList{
		Encoding:     gpb.Encoding_JSON_IETF,
		Subscription: []*gpb.Subscription{{Path: c.path(path), Mode: gpb.SubscriptionMode_ON_CHANGE}},
	}}})
	if err != nil {
		c.r.t.Fatal(err)
	}
	out, synced := make(chan change, 1000), make(chan error, 1)
	go func() {
		defer close(out)
		live := false
		for {
			m, err := stream.Recv()
			if err != nil {
				if !live {
					synced <- err
				}
				return
			}
			if m.GetSyncResponse() {
				live = true
				synced <- nil
			}
			n := m.GetUpdate()
			for _, u := range n.GetUpdate() {
				if !live {
					continue
				}
				var p tree.Path
				for _, e := range append(n.GetPrefix().GetElem(), u.GetPath().GetElem()...) {
					el := tree.Elem{Name: e.GetName()}
					for _, k := range slices.Sorted(maps.Keys(e.GetKey())) {
						el.Keys = append(el.Keys, tree.Key{Name: k, Value: e.GetKey()[k]})
					}
					p = append(p, el)
				}
				v := strings.Trim(string(u.GetVal().GetJsonIetfVal()), `"`) + u.GetVal().GetStringVal()
				out <- change{p.String(), v, time.Unix(0, n.GetTimestamp())}
			}
		}
	}()
	if err := <-synced; err != nil {
		c.r.t.Fatal(err)
	}
	return out
}

const proxyTree = `{
  "virtual-addresses": {"virtual-address": [
    {"name": "web", "config": {"name": "web", "address": "10.0.1.80"}}
  ]},
  "pools": {"pool": [{
    "name": "app",
    "config": {"name": "app", "description": "over gNMI"},
    "health-check": {"config": {"type": "HTTP", "path": "/name", "interval": 200, "timeout": 5000, "rise": 1, "fall": 1}},
    "backends": {"backend": [
      {"name": "one", "config": {"name": "one", "address": "10.0.2.2", "port": 8001}},
      {"name": "two", "config": {"name": "two", "address": "10.0.2.2", "port": 8002}}
    ]}
  }]},
  "listeners": {"listener": [{
    "name": "web",
    "config": {"name": "web", "address": "10.0.1.80", "port": 80, "service": "PROXY", "max-connections": 1000},
    "proxy": {"config": {"pool": "app", "retries": 1}}
  }, {
    "name": "page",
    "config": {"name": "page", "port": 8080, "service": "HTTP"},
    "http": {
      "response": {"config": {"status": 404}},
      "routes": {"route": [{
        "path": "/hello", "config": {"path": "/hello"},
        "response": {
          "config": {"body": "hello\n"},
          "headers": {"header": [{"index": 10, "config": {"index": 10, "name": "X-Box", "value": "1"}}]}
        }
      }]}
    }
  }]}
}`

// TestGNMITermination: a proxy with its pool and virtual address is made, seen and taken away over gNMI alone, with curl and servers of
// Linux at its ends.
func TestGNMITermination(t *testing.T) {
	r := &termination{newRouter(t, "gnmitcp", routerOptions{mbufs: 32768})}
	stop := r.web(r.b, ":8001", "one", 1, 1000)
	r.web(r.b, ":8002", "two", 2, 1000)
	c := &treeClient{r.router, gpb.NewGNMIClient(dialBox(t, r.box, credentials.NewTLS(operator(t, r.box))))}
	const (
		top      = "/tcp-termination"
		pool     = top + "/pools/pool[name=app]"
		listener = top + "/listeners/listener[name=web]"
		vip      = top + "/virtual-addresses/virtual-address[name=web]"
	)
	r.ok(c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(top, proxyTree)}}))
	c.want(pool+"/state/oper-status", "UP")
	c.want(pool+"/state/backends-up", "2")
	c.want(listener+"/state/oper-status", "UP")
	c.want(vip+"/state/oper-status", "UP")
	c.want(vip+"/state/interface", "eth1")

	seen := map[string]int{}
	for range 10 {
		name, err := r.get(r.a, "10.0.1.80", "/name")
		r.ok(err)
		seen[name]++
	}
	if seen["one"] != 5 || seen["two"] != 5 {
		t.Errorf("backends answered %v", seen)
	}
	page, err := r.get(r.a, "10.0.1.1:8080", "/hello", "-i")
	r.ok(err)
	if !strings.Contains(page, "X-Box: 1") || !strings.HasSuffix(page, "hello\n") {
		t.Errorf("the page is %q", page)
	}

	// What was set is read: as it was set, by the API of its own, and as state.
	for path, value := range map[string]string{
		pool + "/config/description":                  "over gNMI",
		pool + "/state/description":                   "over gNMI",
		pool + "/state/algorithm":                     "ROUND_ROBIN",
		pool + "/health-check/state/interval":         "200",
		listener + "/state/counters/accepted":         "10",
		pool + "/state/counters/connections":          "10",
		top + "/counters/counter[name=passive-opens]": "",
		top + "/state/max-connections":                "262144",
	} {
		if value != "" {
			c.want(path, value)
		} else if _, err := c.get(path); err != nil {
			t.Error(err)
		}
	}
	if l := r.listener("web"); !l.GetPresent() || !l.GetHealthy() || l.GetAccepted() != 10 {
		t.Errorf("the API shows %v", l)
	}
	// And what is set by the API of its own is read in the tree.
	if out, err := r.box.Ctl("tcp", "backend", "drain", "app", "two"); err != nil {
		t.Fatal(err, out)
	}
	c.want(pool+"/backends/backend[name=two]/config/admin-state", "DRAIN")
	r.ok(c.set(&gpb.SetRequest{Update: []*gpb.Update{{
		Path: c.path(pool + "/backends/backend[name=two]/config/admin-state"),
		Val:  &gpb.TypedValue{Value: &gpb.TypedValue_StringVal{StringVal: "ENABLED"}},
	}}}))
	c.want(pool+"/backends/backend[name=two]/state/admin-state", "ENABLED")

	// A server ends; it is told at the time of the data plane's event.
	changes := c.follow(pool + "/backends/backend[name=*]/state/oper-status")
	before := time.Now()
	stop()
	for late := time.After(90 * time.Second); ; {
		var got change
		select {
		case got = <-changes:
		case <-late:
			t.Fatal("that the backend is down is not told")
		}
		if got.value == "DOWN" {
			if !strings.Contains(got.path, "[name=one]") {
				t.Errorf("%s is down", got.path)
			}
			if got.at.Before(before) || got.at.After(time.Now()) {
				t.Errorf("the event of %v is told with the time %v", before, got.at)
			}
			last, err := c.get(pool + "/backends/backend[name=one]/state/last-change")
			if err != nil || last != fmt.Sprint(got.at.UnixNano()) {
				t.Errorf("last-change is %s %v, and the event's time %d", last, err, got.at.UnixNano())
			}
			break
		}
	}
	for range 4 {
		if name, err := r.get(r.a, "10.0.1.80", "/name"); err != nil || name != "two" {
			t.Errorf("with one backend: %q %v", name, err)
		}
	}

	// Bad requests name their path and change nothing.
	for _, bad := range []struct {
		path string
		m    *gpb.SetRequest
	}{
		{"proxy/config/pool", &gpb.SetRequest{Delete: []*gpb.Path{c.path(pool)}}},
		{"listener[name=web]/config/address", &gpb.SetRequest{Delete: []*gpb.Path{c.path(vip)}}},
		{"listener[name=web]/config/port", &gpb.SetRequest{Update: []*gpb.Update{c.update(listener+"/config/port", "0")}}},
		{"pool[name=app]/config/hash-key", &gpb.SetRequest{Update: []*gpb.Update{c.update(pool+"/config/hash-key", `"SOURCE"`)}}},
		{"state/oper-status", &gpb.SetRequest{Update: []*gpb.Update{c.update(pool+"/state/oper-status", `"UP"`)}}},
	} {
		err := c.set(bad.m)
		if code := status.Code(err); err == nil || code == codes.Internal || code == codes.Unknown || !strings.Contains(err.Error(), bad.path) {
			t.Errorf("a request that is bad at %s: %v", bad.path, err)
		}
	}
	c.want(listener+"/state/oper-status", "UP")

	// A listener that is deleted drains while a client keeps its connection, seen by its number.
	const (
		echo    = top + "/listeners/listener[name=echo]"
		drained = top + "/draining-listeners/draining-listener[id="
	)
	r.ok(c.set(&gpb.SetRequest{Update: []*gpb.Update{
		c.update(echo+"/config", `{"name": "echo", "port": 7, "service": "ECHO", "drain-timeout": 60000}`),
	}}))
	c.want(echo+"/state/oper-status", "UP")
	conn := r.dial(r.a, "10.0.1.1:7")
	c.want(echo+"/state/active-connections", "1")
	c.want(top+"/connections/connection[connection-state=ESTABLISHED]/state/count", "1")
	id, err := c.get(echo + "/state/id")
	r.ok(err)
	r.ok(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(echo)}}))
	c.want(drained+id+"]/state/name", "echo")
	c.want(drained+id+"]/state/service", "ECHO")
	r.ok(conn.Close())
	r.eventually(10*time.Second, func() error {
		if _, err := c.get(drained + id + "]/state/name"); status.Code(err) != codes.NotFound {
			return fmt.Errorf("the listener drains for ever: %v", err)
		}
		return nil
	})

	r.ok(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(top)}}))
	if _, err := c.get(listener + "/config/port"); status.Code(err) != codes.NotFound {
		t.Errorf("the listener is still there: %v", err)
	}
	r.eventually(10*time.Second, func() error {
		if out, err := r.get(r.a, "10.0.1.80", "/name", "--connect-timeout", "1"); err == nil {
			return fmt.Errorf("the listener still answers: %s", out)
		}
		return nil
	})
	if all, err := r.listeners(); err != nil || len(all) != 0 {
		t.Errorf("listeners are left: %v %v", all, err)
	}
}
