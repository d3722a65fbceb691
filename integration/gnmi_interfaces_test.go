package integration

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	gpb "github.com/openconfig/gnmi/proto/gnmi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"millrace/internal/lab"
)

// portsTree is two ports, one with a VLAN, and a loopback. Ten octets more than 1500 for the link header would be wrong: it has 14.
const portsTree = `{
  "openconfig-interfaces:interface": [{
    "name": "eth1",
    "config": {"name": "eth1", "type": "iana-if-type:ethernetCsmacd", "description": "to a", "mtu": 1514},
    "vnf-dataplane:port": {"config": {"iface": "pa"}},
    "subinterfaces": {"subinterface": [{
      "index": 0, "config": {"index": 0},
      "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "10.0.1.1", "config": {"ip": "10.0.1.1", "prefix-length": 24}}]}},
      "openconfig-if-ip:ipv6": {
        "addresses": {"address": [{"ip": "2001:db8:1::1", "config": {"ip": "2001:db8:1::1", "prefix-length": 64}}]},
        "router-advertisement": {"config": {"enable": true, "interval": 4, "lifetime": 600, "vnf-dataplane:send-mtu": true}}
      }
    }]}
  }, {
    "name": "eth2",
    "config": {"name": "eth2", "type": "iana-if-type:ethernetCsmacd"},
    "vnf-dataplane:port": {"config": {"iface": "pb", "driver": "AF_PACKET"}},
    "subinterfaces": {"subinterface": [{
      "index": 0, "config": {"index": 0, "vnf-dataplane:urpf": "STRICT"},
      "openconfig-if-ip:ipv4": {
        "addresses": {"address": [{"ip": "10.0.2.1", "config": {"ip": "10.0.2.1", "prefix-length": 24}}]},
        "neighbors": {"neighbor": [{"ip": "10.0.2.2", "config": {"ip": "10.0.2.2", "link-layer-address": "MAC"}}]}
      },
      "openconfig-if-ip:ipv6": {"addresses": {"address": [{"ip": "2001:db8:2::1", "config": {"ip": "2001:db8:2::1", "prefix-length": 64}}]}}
    }, {
      "index": 7, "config": {"index": 7, "description": "tagged"},
      "openconfig-vlan:vlan": {"match": {"single-tagged": {"config": {"vlan-id": 100}}}},
      "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "10.1.0.1", "config": {"ip": "10.1.0.1", "prefix-length": 24}}]}},
      "openconfig-if-ip:ipv6": {"addresses": {"address": [{"ip": "2001:db8:100::1", "config": {"ip": "2001:db8:100::1", "prefix-length": 64}}]}}
    }]}
  }, {
    "name": "lo0",
    "config": {"name": "lo0", "type": "iana-if-type:softwareLoopback"},
    "subinterfaces": {"subinterface": [{
      "index": 0, "config": {"index": 0},
      "openconfig-if-ip:ipv4": {"addresses": {"address": [{"ip": "198.51.100.1", "config": {"ip": "198.51.100.1", "prefix-length": 32}}]}}
    }]}
  }]
}`

// newEmptyRouter is hosts a and b at the ports of a box that has no interfaces, and a client of its tree.
func newEmptyRouter(t *testing.T, name string) (*router, *treeClient) {
	t.Helper()
	l := newLab(t, name)
	r := &router{t: t, lab: l, a: l.NS("a"), b: l.NS("b"), ns: l.NS("r")}
	l.Veth(r.a, "eth0", r.ns, "pa")
	l.Veth(r.b, "eth0", r.ns, "pb")
	for i, ns := range []*lab.NS{r.a, r.b} {
		ns.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i+1))
		ns.Addr("eth0", fmt.Sprintf("2001:db8:%d::2/64", i+1))
		ns.Default(fmt.Sprintf("10.0.%d.1", i+1))
		ns.Default(fmt.Sprintf("2001:db8:%d::1", i+1))
	}
	box, err := l.Box(r.ns, lab.BoxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.box = box
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the box says:\n%s", tail(box.Proc.Output(), 6000))
		}
	})
	return r, &treeClient{r, gpb.NewGNMIClient(dialBox(t, box, credentials.NewTLS(operator(t, box))))}
}

func (c *treeClient) number(path string) uint64 {
	c.r.t.Helper()
	s, err := c.get(path)
	if err != nil {
		c.r.t.Fatal(err)
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		c.r.t.Fatalf("%s: %v", path, err)
	}
	return n
}

// expect waits for a change of a leaf.
func expect(t *testing.T, from <-chan change, path, value string) change {
	t.Helper()
	end := time.After(90 * time.Second)
	for {
		select {
		case c, ok := <-from:
			if !ok {
				t.Fatalf("the subscription ended before %s became %s", path, value)
			}
			if c.path == path && c.value == value {
				return c
			}
		case <-end:
			t.Fatalf("not told: %s became %s", path, value)
		}
	}
}

// TestGNMIInterfaces: an empty box gets ports, a VLAN, addresses, neighbours and router advertisements over gNMI alone; packets go
// through it, and its state tells.
func TestGNMIInterfaces(t *testing.T) {
	r, c := newEmptyRouter(t, "gnmiif")
	const (
		eth1, eth2 = "/interfaces/interface[name=eth1]", "/interfaces/interface[name=eth2]"
		zero       = "/subinterfaces/subinterface[index=0]"
		tagged     = eth2 + "/subinterfaces/subinterface[index=7]"
	)
	// a learns its address and route from advertisements, and b does not answer ARP: only a static neighbour reaches it.
	r.run(r.a, "ip", "-6", "addr", "flush", "dev", "eth0", "scope", "global")
	r.run(r.a, "ip", "-6", "route", "flush", "default")
	r.a.Sysctl("net.ipv6.conf.eth0.accept_ra", "2")
	r.a.Sysctl("net.ipv6.conf.eth0.autoconf", "1")
	r.b.Sysctl("net.ipv4.conf.eth0.arp_ignore", "8")
	doc := strings.ReplaceAll(portsTree, "MAC", r.mac(r.b, "eth0"))
	began := time.Now()
	c.must(c.set(&gpb.SetRequest{Replace: []*gpb.Update{c.update("/interfaces", doc)}}))
	t.Logf("the ports are there after %s", time.Since(began))
	for _, name := range []string{eth1, eth2, "/interfaces/interface[name=lo0]"} {
		c.want(name+"/state/oper-status", "UP")
	}
	c.want(tagged+"/state/oper-status", "UP")
	c.want(eth1+zero+"/ipv6/addresses/address[ip=2001:db8:1::1]/state/status", "PREFERRED")
	c.want(eth2+zero+"/ipv6/addresses/address[ip=2001:db8:2::1]/state/status", "PREFERRED")
	c.want(tagged+"/ipv6/addresses/address[ip=2001:db8:100::1]/state/status", "PREFERRED")
	c.want(tagged+"/ipv4/addresses/address[ip=10.1.0.1]/state/status", "PREFERRED")
	c.want(eth2+zero+"/ipv4/addresses/address[ip=10.0.2.1]/state/status", "PREFERRED")

	r.eventually(10*time.Second, func() error {
		addr := r.run(r.a, "ip", "-6", "addr", "show", "dev", "eth0", "scope", "global", "-tentative")
		route := r.run(r.a, "ip", "-6", "route", "show", "default")
		if !strings.Contains(addr, "2001:db8:1:") || !strings.Contains(route, "proto ra") {
			return fmt.Errorf("no address or route from advertisements:\n%s%s", addr, route)
		}
		return nil
	})
	host := r.start(r.b, "/usr/bin/python3", "scapy/tagged.py", "300", "100=10.1.0.2,2001:db8:100::2")
	r.eventually(10*time.Second, func() error {
		if !strings.Contains(host.Output(), "ready") {
			return fmt.Errorf("the script is not ready: %s", host.Output())
		}
		return nil
	})
	for _, dst := range []string{"10.0.2.2", "2001:db8:2::2", "10.1.0.2", "2001:db8:100::2", "198.51.100.1"} {
		if out, n := r.pings(r.a, dst, 5, 100*time.Millisecond, 56); n != 5 {
			t.Errorf("%d of 5 came back:\n%s", n, out)
		}
	}

	// What there is, and what was counted.
	for path, want := range map[string]string{
		eth1 + "/state/description":                                              "to a",
		eth1 + "/state/mtu":                                                      "1514",
		eth1 + "/state/admin-status":                                             "UP",
		eth1 + "/state/type":                                                     "iana-if-type:ethernetCsmacd",
		eth1 + "/state/logical":                                                  "false",
		eth1 + zero + "/ipv6/router-advertisement/state/enable":                  "true",
		eth2 + zero + "/ipv6/router-advertisement/state/enable":                  "false",
		eth2 + "/port/state/iface":                                               "pb",
		eth2 + "/port/state/driver":                                              "AF_PACKET",
		eth2 + zero + "/state/urpf":                                              "STRICT",
		tagged + "/state/name":                                                   "eth2.7",
		tagged + "/state/description":                                            "tagged",
		tagged + "/vlan/match/single-tagged/state/vlan-id":                       "100",
		eth2 + zero + "/ipv4/neighbors/neighbor[ip=10.0.2.2]/state/origin":       "STATIC",
		eth1 + zero + "/ipv4/neighbors/neighbor[ip=10.0.1.2]/state/origin":       "DYNAMIC",
		tagged + "/ipv4/neighbors/neighbor[ip=10.1.0.2]/state/nud-state":         "REACHABLE",
		"/interfaces/interface[name=lo0]/state/logical":                          "true",
		eth1 + zero + "/ipv4/addresses/address[ip=10.0.1.1]/state/prefix-length": "24",
		eth1 + zero + "/ipv4/addresses/address[ip=10.0.1.1]/state/origin":        "STATIC",
		"/components/component[name=eth1]/state/type":                            "openconfig-platform-types:PORT",
		"/components/component[name=vnf-dataplane]/state/oper-status":            "openconfig-platform-types:ACTIVE",
		"/system/grpc-servers/grpc-server[name=DEFAULT]/state/listen-addresses":  `["127.0.0.1"]`,
		"/system/state/hostname":                                                 "box",
		"/system/logging/console/selectors/selector[facility=ALL][severity=INFORMATIONAL]/state/severity": "INFORMATIONAL",
	} {
		if got, err := c.get(path); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", path, got, err, want)
		}
	}
	own, vlan := c.number(eth2+zero+"/state/counters/in-pkts"), c.number(tagged+"/state/counters/in-pkts")
	if all := c.number(eth2 + "/state/counters/in-pkts"); vlan < 10 || own < 10 || all < own+vlan {
		t.Errorf("eth2 counts %d packets, of these %d without a tag and %d with", all, own, vlan)
	}
	if mac := r.mac(r.ns, "pb"); mac != "" {
		c.want(eth2+"/ethernet/state/mac-address", mac)
	}
	if list := r.ctl("interface", "list"); !strings.Contains(list, "eth2.7") || !strings.Contains(list, "10.1.0.1/24") {
		t.Errorf("the typed API does not show what was set:\n%s", list)
	}

	// The link of a goes down and comes back: told with the time it happened.
	told := c.follow("/interfaces/interface/state")
	before := time.Now()
	r.run(r.a, "ip", "link", "set", "eth0", "down")
	down := expect(t, told, eth1+"/state/oper-status", "DOWN")
	if down.at.Before(before.Add(-time.Second)) || down.at.After(time.Now()) {
		t.Errorf("the link went down between %s and now, but the time told is %s", before, down.at)
	}
	last := c.number(eth1 + "/state/last-change")
	if last != uint64(down.at.UnixNano()) {
		t.Errorf("last-change is %d, the event's time %d", last, down.at.UnixNano())
	}
	r.run(r.a, "ip", "link", "set", "eth0", "up")
	expect(t, told, eth1+"/state/oper-status", "UP")
	c.want(eth1+"/state/counters/interface-transitions", "2")
	r.a.Default("10.0.1.1")

	// Changes in the running box.
	c.must(c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(tagged+"/config/mtu", "1400"), c.update(eth2+"/config/description", `"to b"`)}}))
	expect(t, told, eth2+"/state/description", "to b")
	r.reach(r.a, "10.1.0.2")
	if out, _ := r.ping(r.a, "-c", "1", "-M", "do", "-s", "1400", "10.1.0.2"); !strings.Contains(out, "mtu = 1400") {
		t.Errorf("1,428 bytes to a subinterface of MTU 1400:\n%s", out)
	}
	c.must(c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(eth2+"/config/enabled", "false")}}))
	expect(t, told, eth2+"/state/admin-status", "DOWN")
	if _, n := r.ping(r.a, "-c", "2", "-i", "0.2", "-W", "1", "10.0.2.2"); n != 0 {
		t.Error("a disabled port forwards")
	}
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(eth2 + "/config/enabled"), c.path(tagged)}}))
	expect(t, told, eth2+"/state/oper-status", "UP")
	if _, err := c.get(tagged + "/state/name"); status.Code(err) != codes.NotFound {
		t.Errorf("the subinterface is still there: %v", err)
	}
	r.reach(r.a, "10.0.2.2")
	refusedInterfaces(c, eth1, eth2)
	eitherWay(c, eth2, eth2+zero)

	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path("/interfaces")}}))
	if list := r.ctl("interface", "list"); strings.Contains(list, "eth") {
		t.Errorf("interfaces are left:\n%s", list)
	}
}

// eitherWay changes by the typed API what gNMI has set, and the other way round.
func eitherWay(c *treeClient, eth2, zero string) {
	c.r.t.Helper()
	const long = "/ipv6/addresses/address[ip=2001:DB8:9:0::1]"
	c.must(c.set(&gpb.SetRequest{Update: []*gpb.Update{
		c.update(zero+long+"/config/prefix-length", "64"), c.update(zero+"/config/enabled", "true"),
	}}))
	c.r.ctl("interface", "set", "eth2", "--description", "by hand", "--mtu", "1400", "--urpf", "loose")
	c.r.ctl("interface", "address", "add", "eth2", "10.9.9.1/24")
	c.r.ctl("interface", "address", "delete", "eth2", "2001:db8:9::1/64")
	for path, want := range map[string]string{
		eth2 + "/config/description": "by hand",
		eth2 + "/config/mtu":         "1414",
		zero + "/config/urpf":        "LOOSE",
		zero + "/config/enabled":     "true", // no field of the typed API
		zero + "/ipv4/addresses/address[ip=10.9.9.1]/config/prefix-length": "24",
		zero + "/ipv4/neighbors/neighbor[ip=10.0.2.2]/state/origin":        "STATIC",
	} {
		c.want(path, want)
	}
	if _, err := c.get(zero + long + "/config"); status.Code(err) != codes.NotFound {
		c.r.t.Errorf("an address that was deleted is still in the tree: %v", err)
	}
	c.must(c.set(&gpb.SetRequest{Delete: []*gpb.Path{c.path(eth2 + "/config/mtu"), c.path(zero + "/ipv4/addresses/address[ip=10.9.9.1]")}}))
	if i, _ := c.r.iface("eth2"); i.State.MTU != 1500 || strings.Contains(fmt.Sprint(i.State.Addresses), "10.9.9.1") {
		c.r.t.Errorf("the typed API shows what was deleted: %+v", i.State)
	}
}

// refusedInterfaces tries what cannot be: each is refused at its path, and all else stays as it is.
func refusedInterfaces(c *treeClient, eth1, eth2 string) {
	t := c.r.t
	t.Helper()
	before := c.r.ctl("interface", "list")
	zero1, zero2, nine := eth1+"/subinterfaces/subinterface[index=0]", eth2+"/subinterfaces/subinterface[index=0]", eth2+"/subinterfaces/subinterface[index=9]"
	for _, x := range []struct{ path, val, at string }{
		{eth1 + "/config/mtu", "80", ""},
		{eth1 + "/config/type", `"iana-if-type:l3ipvlan"`, ""},
		{eth1 + "/config/loopback-mode", `"FACILITY"`, ""},
		{eth1 + "/port/config/rx-queues", "65", ""},
		{eth1 + "/port/config/devargs", `"0000:00:05.0"`, eth1},
		{eth1 + "/ethernet/config/mac-address", `"01:00:5e:00:00:01"`, ""},
		{zero1 + "/config/enabled", "false", ""},
		{zero1 + "/ipv4/addresses/address[ip=10.0.2.9]/config/prefix-length", "24", zero2 + "/ipv4/addresses/address[ip=10.0.2.1]"},
		{zero1 + "/ipv4/addresses/address[ip=10.0.3.0]/config/prefix-length", "24", zero1 + "/ipv4/addresses/address[ip=10.0.3.0]"},
		{zero1 + "/ipv4/neighbors/neighbor[ip=10.9.9.9]/config/link-layer-address", `"02:00:00:00:00:01"`, zero1 + "/ipv4/neighbors/neighbor[ip=10.9.9.9]"},
		{nine + "/config/description", `"no tag"`, nine + "/vlan/match/single-tagged/config/vlan-id"},
		{nine + "/vlan/match/single-tagged/config/vlan-id", "4095", ""},
		{eth1 + "/state/mtu", "1500", ""},
	} {
		if x.at == "" {
			x.at = x.path
		}
		err := c.set(&gpb.SetRequest{Update: []*gpb.Update{c.update(x.path, x.val)}})
		switch status.Code(err) {
		case codes.InvalidArgument, codes.FailedPrecondition, codes.NotFound:
		default:
			t.Errorf("%s = %s: %v", x.path, x.val, err)
		}
		if msg := status.Convert(err).Message(); !strings.HasPrefix(msg, x.at) {
			t.Errorf("%s = %s: %q does not name %s", x.path, x.val, msg, x.at)
		}
	}
	if after := c.r.ctl("interface", "list"); after != before {
		t.Errorf("refused changes left something:\n%s\nbefore:\n%s", after, before)
	}
}

func (c *treeClient) must(err error) {
	c.r.t.Helper()
	if err != nil {
		c.r.t.Fatal(err)
	}
}
