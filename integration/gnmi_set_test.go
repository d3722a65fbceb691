package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"millrace/internal/lab"
)

// gnmiCLI runs gnmi_cli of github.com/openconfig/gnmi against a box.
type gnmiCLI struct {
	b *bed
}

func (c gnmiCLI) run(args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	box := c.b.box
	pki := box.TLSDir()
	all := append([]string{"-a", "127.0.0.1:9339", "-server_name", "localhost", "-ca_crt", filepath.Join(pki, "ca.pem"),
		"-client_crt", filepath.Join(pki, "client.pem"), "-client_key", filepath.Join(pki, "client-key.pem"), "-logtostderr"}, args...)
	out, err := box.NS.Command(ctx, c.b.lab.Bin("tools/gnmi_cli"), all...).CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("gnmi_cli %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// textPath is a path in the text format of protobuf.
func textPath(path string) string {
	var s strings.Builder
	for _, step := range splitPath(path) {
		name, keys, _ := strings.Cut(step, "[")
		fmt.Fprintf(&s, " elem {name: %q", name)
		for _, k := range strings.Split(strings.TrimSuffix(keys, "]"), "][") {
			if k, v, ok := strings.Cut(k, "="); ok {
				fmt.Fprintf(&s, " key {key: %q value: %q}", k, v)
			}
		}
		s.WriteString("}")
	}
	return s.String()
}

// splitPath takes a path apart at its slashes, except for those in keys.
func splitPath(path string) []string {
	var out []string
	depth, from := 0, 0
	path = strings.TrimPrefix(path, "/")
	for i, r := range path + "/" {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '/' && depth == 0:
			if i > from {
				out = append(out, path[from:i])
			}
			from = i + 1
		}
	}
	return out
}

// operation is one of a Set: "update", "replace" or "union_replace" with a document, or "delete".
type operation struct{ op, path, doc string }

func (c gnmiCLI) set(ops ...operation) error {
	var s strings.Builder
	for _, o := range ops {
		if o.op == "delete" {
			fmt.Fprintf(&s, "delete {%s}\n", textPath(o.path))
			continue
		}
		fmt.Fprintf(&s, "%s {path {%s} val {json_ietf_val: %s}}\n", o.op, textPath(o.path), strconv.Quote(o.doc))
	}
	_, err := c.run("-set", "-proto", s.String())
	return err
}

// get is what gnmi_cli prints of the nodes at a path.
func (c gnmiCLI) get(path, kind string) (string, error) {
	return c.run("-get", "-proto", fmt.Sprintf("path {%s} type: %s encoding: JSON_IETF", textPath(path), kind))
}

// must fails the test if a Set is refused.
func (c gnmiCLI) must(ops ...operation) {
	c.b.t.Helper()
	c.b.ok(c.set(ops...))
}

// wants waits until what is read at a path has some words in it.
func (c gnmiCLI) wants(timeout time.Duration, path string, words ...string) {
	c.b.t.Helper()
	c.b.eventually(timeout, func() error {
		out, err := c.get(path, "ALL")
		if err != nil {
			return err
		}
		// The value is in the text format, with its quotes escaped.
		out = strings.ReplaceAll(out, `\"`, `"`)
		for _, w := range words {
			if !strings.Contains(out, w) {
				return fmt.Errorf("%s: %s is not in\n%s", path, w, out)
			}
		}
		return nil
	})
}

// newEmptyBox starts a box on which nothing is configured but where it is managed, with its host and one router.
func newEmptyBox(t *testing.T) (*bed, gnmiCLI) {
	b := newBed(t, 1)
	if _, err := exec.LookPath(b.lab.Bin("tools/gnmi_cli")); err != nil {
		t.Skip("needs gnmi_cli: make tools")
	}
	box, err := b.lab.Box(b.lab.NS("r"), lab.BoxOptions{Config: "\n"})
	b.box = box
	b.ok(err)
	return b, gnmiCLI{b}
}

type object = map[string]any
type array = []any

func document(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers always marshal
	}
	return string(b)
}

// portEntry is the entry of an interface on link i.
func portEntry(i int) object {
	address := func(family, ip string, length int) object {
		return object{"addresses": object{"address": array{object{"ip": ip, "config": object{"ip": ip, "prefix-length": length}}}}}
	}
	return object{
		"name": fmt.Sprintf("eth%d", i), "config": object{"name": fmt.Sprintf("eth%d", i), "type": "iana-if-type:ethernetCsmacd"},
		"vnf-dataplane:port": object{"config": object{"iface": fmt.Sprintf("port%d", i)}},
		"subinterfaces": object{"subinterface": array{object{
			"index":                 0,
			"config":                object{"index": 0},
			"openconfig-if-ip:ipv4": address("ipv4", fmt.Sprintf("10.0.%d.1", i), 24),
			"openconfig-if-ip:ipv6": address("ipv6", fmt.Sprintf("2001:db8:0:%d::1", i), 64),
		}}},
	}
}

// protocol is an entry of the protocols of an instance.
func protocol(kind string, content object) object {
	name := strings.ToLower(kind)
	p := object{"identifier": "openconfig-policy-types:" + kind, "name": name, "config": object{"identifier": "openconfig-policy-types:" + kind, "name": name}}
	for k, v := range content {
		p[k] = v
	}
	return p
}

func staticEntry(prefix, nextHop string) object {
	return object{"prefix": prefix, "config": object{"prefix": prefix}, "next-hops": object{"next-hop": array{
		object{"index": "0", "config": object{"index": "0", "next-hop": nextHop}}}}}
}

// instanceEntry is the default instance with protocols.
func instanceEntry(protocols ...any) object {
	return object{
		"name": "default", "config": object{"name": "default", "type": "openconfig-network-instance-types:DEFAULT_INSTANCE"},
		"protocols": object{"protocol": protocols},
	}
}

func bgpContent(as, peerAS int, peer string) object {
	families := object{"afi-safi": array{
		object{"afi-safi-name": "openconfig-bgp-types:IPV4_UNICAST", "config": object{"afi-safi-name": "openconfig-bgp-types:IPV4_UNICAST", "enabled": true}},
		object{"afi-safi-name": "openconfig-bgp-types:IPV6_UNICAST", "config": object{"afi-safi-name": "openconfig-bgp-types:IPV6_UNICAST", "enabled": true}},
	}}
	return object{"bgp": object{
		"global": object{"config": object{"as": as, "router-id": "10.0.1.1"}},
		"neighbors": object{"neighbor": array{object{
			"neighbor-address": peer, "config": object{"neighbor-address": peer, "peer-as": peerAS},
			"afi-safis":    families,
			"apply-policy": object{"config": object{"default-import-policy": "ACCEPT_ROUTE", "default-export-policy": "ACCEPT_ROUTE"}},
		}}},
	}}
}

// From an empty box, with gnmi_cli alone: ports and addresses, a static route, BGP with FRR, a listener.
func TestGNMIFromEmptyBox(t *testing.T) {
	b, c := newEmptyBox(t)
	out, err := c.run("-capabilities")
	b.ok(err)
	for _, w := range []string{"openconfig-interfaces", "vnf-tcp-termination", "JSON_IETF", "0.10.0"} {
		if !strings.Contains(out, w) {
			t.Errorf("%s is not in the capabilities:\n%s", w, out)
		}
	}
	a := b.lab.NS("a")
	ping := func(to string) error {
		_, err := a.Output("ping", "-c", "1", "-W", "1", to)
		return err
	}
	// Interfaces.
	c.must(operation{"update", "/interfaces", document(object{"openconfig-interfaces:interface": array{portEntry(1), portEntry(2)}})})
	c.wants(20*time.Second, "/interfaces/interface[name=eth2]/state", `oper-status":"UP"`, `admin-status":"UP"`)
	b.eventually(10*time.Second, func() error { return ping("10.0.2.2") })
	b.eventually(10*time.Second, func() error { return ping("2001:db8:0:2::2") })
	// A static route to what is behind the router.
	b.stub("r2", "203.0.113.0/24", "2001:db8:cafe::/64")
	b.ok(b.lab.Err())
	if ping("203.0.113.2") == nil {
		t.Fatal("there is a way without a route")
	}
	c.must(operation{"update", "/network-instances/network-instance[name=default]", document(instanceEntry(
		protocol("STATIC", object{"static-routes": object{"static": array{staticEntry("203.0.113.0/24", "10.0.2.2")}}})))})
	b.eventually(10*time.Second, func() error { return ping("203.0.113.2") })
	// BGP.
	b.frr("r2", frrPeer(2, 65010, 65001, "198.51.100.0/24", "2001:db8:c2::/64", ""))
	bgp := "/network-instances/network-instance[name=default]/protocols/protocol[identifier=BGP][name=bgp]"
	c.must(operation{"update", bgp, document(protocol("BGP", bgpContent(65001, 65010, "10.0.2.2")))})
	c.wants(60*time.Second, bgp+"/bgp/neighbors/neighbor[neighbor-address=10.0.2.2]/state", `session-state":"ESTABLISHED"`)
	b.eventually(20*time.Second, func() error {
		out, err := b.box.Ctl("route", "list")
		if err == nil && !strings.Contains(out, "198.51.100.0/24") {
			err = fmt.Errorf("no route from BGP:\n%s", out)
		}
		return err
	})
	// A listener.
	c.must(operation{"update", "/tcp-termination/listeners/listener[name=echo]", document(object{
		"config": object{"name": "echo", "address": "10.0.1.1", "port": 7, "service": "ECHO"}})})
	b.eventually(10*time.Second, func() error {
		return a.Do(func() error { return echoOnce("10.0.1.1:7") })
	})
	c.wants(10*time.Second, "/tcp-termination/listeners/listener[name=echo]/state", `oper-status":"UP"`)
	// What is set this way is read in the others.
	if out, err := b.box.Ctl("interface", "list"); err != nil || !strings.Contains(out, "eth2") {
		t.Errorf("vnfctl: %v\n%s", err, out)
	}
	// A wrong Set changes nothing and names the place.
	err = c.set(operation{"update", "/interfaces/interface[name=eth1]/config", `{"mtu": 7}`}, operation{"delete", "/tcp-termination", ""})
	if err == nil || !strings.Contains(err.Error(), "InvalidArgument") || !strings.Contains(err.Error(), "/interfaces/interface[name=eth1]") {
		t.Errorf("a wrong Set: %v", err)
	}
	b.ok(a.Do(func() error { return echoOnce("10.0.1.1:7") }))
	// And all away again.
	c.must(operation{"delete", "/tcp-termination", ""}, operation{"delete", "/network-instances", ""}, operation{"delete", "/interfaces", ""})
	if err := ping("10.0.2.2"); err == nil {
		t.Error("packets go through a box with nothing configured")
	}
}

// echoOnce has a line come back from an echo server.
func echoOnce(address string) error {
	nc, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		return err
	}
	defer func() { _ = nc.Close() }()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := nc.Write([]byte("line\n")); err != nil {
		return err
	}
	var got [5]byte
	if _, err := nc.Read(got[:]); err != nil {
		return err
	}
	if string(got[:]) != "line\n" {
		return fmt.Errorf("echo of %q", got)
	}
	return nil
}
