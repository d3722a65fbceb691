package integration

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// goes waits until the data plane forwards to a destination over this interface.
func (b *bed) goes(destination, iface string) {
	b.t.Helper()
	b.eventually(15*time.Second, func() error {
		d, err := b.lookup(destination)
		if err == nil && d.GetInterface() != iface {
			err = fmt.Errorf("%s goes by %v, not by %s", destination, d, iface)
		}
		return err
	})
}

// TestStaticRoutes sets, shows, explains and deletes routes over the API, and sends packets by them.
func TestStaticRoutes(t *testing.T) {
	b := newBed(t, 2)
	for _, r := range []string{"r2", "r3"} {
		for _, a := range []string{"203.0.113.1/32", "2001:db8:c::1/128"} {
			b.lab.NS(r).Addr("lo", a)
		}
	}
	b.start(b.interfaces())
	watch, err := b.box.NS.Start(b.lab.Bin("vnfctl"), "--address", "127.0.0.1:9339", "--tls-dir", b.box.TLSDir(), "-o", "json",
		"route", "watch", "203.0.113.0/24", "--changes-only")
	b.ok(err)
	b.eventually(10*time.Second, func() error {
		if !strings.Contains(watch.Output(), "SYNCED") {
			return errors.New("the watch has not begun")
		}
		return nil
	})
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.2.2", "--description", "to r2")
	b.ctl("route", "add", "2001:db8:c::/64", "--via", "2001:db8:0:2::2")
	b.goes("203.0.113.1", "eth2")
	b.pings("a", "203.0.113.1", "2001:db8:c::1")
	out := b.ctl("route", "lookup", "203.0.113.1")
	for _, w := range []string{"203.0.113.0/24", "static", "10.0.2.2", "eth2"} {
		if !strings.Contains(out, w) {
			t.Errorf("lookup does not say %q:\n%s", w, out)
		}
	}
	// Replaced, not added to.
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.3.2")
	b.goes("203.0.113.1", "eth3")
	b.pings("a", "203.0.113.1")
	if r, err := b.routes("203.0.113.0/24"); err != nil || len(r) != 1 || len(r[0].GetNextHops()) != 1 {
		t.Errorf("%v %v", r, err)
	}
	if got := b.ctl("config", "show"); !strings.Contains(got, "203.0.113.0/24") || !strings.Contains(got, "10.0.3.2") {
		t.Errorf("the configuration does not have the route:\n%s", got)
	}
	b.ctl("route", "delete", "203.0.113.0/24")
	b.absent("203.0.113.1")
	b.eventually(10*time.Second, func() error {
		var kinds []string
		for _, line := range strings.Split(strings.TrimSpace(watch.Output()), "\n") {
			var e vnfv1.RouteEvent
			if err := protojson.Unmarshal([]byte(line), &e); err != nil {
				return fmt.Errorf("%w: %s", err, line)
			}
			kinds = append(kinds, strings.TrimPrefix(e.GetKind().String(), "EVENT_KIND_"))
		}
		if k := strings.Join(kinds, " "); !strings.HasPrefix(k, "SYNCED CHANGED CHANGED") || !strings.HasSuffix(k, "REMOVED") {
			return fmt.Errorf("watch told %s", k)
		}
		return nil
	})
	// A mistake is told with the field, and an unknown route is one of its own.
	for _, c := range []struct{ args, want string }{
		{"add 203.0.113.1/24 --via 10.0.2.2", "prefix"},
		{"add 203.0.113.0/24 --via fe80::1", "interface"},
		{"add 203.0.113.0/24 --via 10.0.2.2%eth9", "eth9"},
		{"add 203.0.113.0/24 --via 10.0.2.2 -n nosuch", "nosuch"},
		{"delete 203.0.113.0/24", "203.0.113.0/24"},
	} {
		if _, err := b.box.Ctl(append([]string{"route"}, strings.Fields(c.args)...)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("route %s: %v, want it to say %q", c.args, err, c.want)
		}
	}
	b.absent("203.0.113.1")

	// Thousands, in pages, that come and go.
	var file bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&file, "100.%d.%d.0/24 10.0.2.2\n", 64+i/256, i%256)
	}
	name := filepath.Join(b.lab.Dir, "routes.txt")
	b.ok(os.WriteFile(name, file.Bytes(), 0o600))
	b.ctl("route", "add", "--transient", "--file", name)
	b.installed("100.64.0.0/24", "100.83.135.0/24")
	all, err := b.routes("100.64.0.0/10", "--longer")
	b.ok(err)
	seen := map[string]bool{}
	for i, r := range all {
		seen[r.GetPrefix()] = true
		if r.GetSource() != vnfv1.RouteSource_ROUTE_SOURCE_API {
			t.Fatalf("route %d: %v", i, r)
		}
	}
	if len(all) != 5000 || len(seen) != 5000 {
		t.Errorf("%d routes listed, %d different, want 5000", len(all), len(seen))
	}
	if some, err := b.routes("--source", "api", "--limit", "100"); err != nil || len(some) != 100 {
		t.Errorf("%d routes, %v; want 100", len(some), err)
	}
	b.ctl("route", "delete", "--transient", "--file", name)
	b.absent("100.64.0.1", "100.83.135.1")
}

// TestRecursiveRoutes: next hops that are not on a link, over other routes, which change; and loops.
func TestRecursiveRoutes(t *testing.T) {
	b := newBed(t, 2)
	for _, r := range []string{"r2", "r3"} {
		b.lab.NS(r).Addr("lo", "203.0.113.1/32")
		b.lab.NS(r).Addr("lo", "192.0.2.9/32")
	}
	b.start(b.interfaces())
	b.ctl("route", "add", "203.0.113.0/24", "--via", "192.0.2.9")
	b.absent("203.0.113.1") // nothing leads to 192.0.2.9
	if out := b.ctl("route", "lookup", "203.0.113.1"); !strings.Contains(out, "192.0.2.9") {
		t.Errorf("lookup does not name what is missing:\n%s", out)
	}
	b.ctl("route", "add", "192.0.2.9/32", "--via", "10.0.2.2")
	b.goes("203.0.113.1", "eth2")
	b.pings("a", "203.0.113.1")
	b.ctl("route", "add", "192.0.2.9/32", "--via", "10.0.3.2")
	b.goes("203.0.113.1", "eth3")
	b.pings("a", "203.0.113.1")
	// A more specific route takes over.
	b.ctl("route", "add", "192.0.2.0/24", "--via", "10.0.2.2")
	b.ctl("route", "delete", "192.0.2.9/32")
	b.goes("203.0.113.1", "eth2")
	b.ctl("route", "delete", "192.0.2.0/24")
	b.absent("203.0.113.1")
	// Two that need each other, and one that needs itself.
	b.ctl("route", "add", "192.0.2.0/24", "--via", "203.0.113.7")
	b.ctl("route", "add", "198.51.100.0/24", "--via", "198.51.100.1")
	b.absent("203.0.113.1", "192.0.2.1", "198.51.100.1")
	for _, dst := range []string{"203.0.113.1", "192.0.2.1", "198.51.100.1"} {
		if out := b.ctl("route", "lookup", dst); !strings.Contains(out, "no eligible candidate") {
			t.Errorf("lookup does not say why %s has no route:\n%s", dst, out)
		}
	}
	b.ctl("route", "add", "192.0.2.0/24", "--via", "10.0.2.2")
	b.goes("203.0.113.1", "eth2")
	b.pings("a", "203.0.113.1")
}

// TestRouteActions: blackhole, reject and punt, for both families.
func TestRouteActions(t *testing.T) {
	b := newBed(t, 0)
	b.start(b.interfaces())
	ping := func(dst string) string {
		out, _ := b.lab.NS("a").Output("ping", "-n", "-c", "3", "-i", "0.1", "-W", "1", dst)
		return out
	}
	for _, c := range []struct{ prefix, dst, drop, says string }{
		{"198.51.100.0/24", "198.51.100.7", "ip4-blackhole", ""},
		{"2001:db8:b::/48", "2001:db8:b::7", "ip6-blackhole", ""},
		{"198.51.101.0/24", "198.51.101.7", "", "Packet filtered"},
		{"2001:db8:d::/48", "2001:db8:d::7", "", "Unknown code 6"}, // reject route to destination (RFC 4443, 3.1)
	} {
		action := "blackhole"
		if c.says != "" {
			action = "reject"
		}
		b.ctl("route", "add", c.prefix, "--action", action)
		b.installed(c.prefix)
		before := b.drops(c.drop)
		out := ping(c.dst)
		if c.says != "" && !strings.Contains(out, c.says) {
			t.Errorf("%s: %s", c.prefix, out)
		}
		if c.says == "" {
			if strings.Contains(out, "From") || !strings.Contains(out, " 0 received") {
				t.Errorf("%s answered:\n%s", c.prefix, out)
			}
			if n := b.drops(c.drop) - before; n < 3 {
				t.Errorf("%d packets counted as %s:\n%s", n, c.drop, b.ctl("system", "drops"))
			}
		}
	}
	// What is punted the kernel answers.
	b.box.Inner.Addr("lo", "198.18.0.1/32")
	b.box.Inner.Addr("lo", "2001:db8:18::1/128")
	b.ok(b.lab.Err())
	b.ctl("route", "add", "198.18.0.0/24", "--action", "punt")
	b.ctl("route", "add", "2001:db8:18::/64", "--action", "punt")
	b.pings("a", "198.18.0.1", "2001:db8:18::1")
}

// TestAdministrativeDistance: static against BGP, by distance.
func TestAdministrativeDistance(t *testing.T) {
	b := newBed(t, 2)
	b.start(b.interfaces() + bgpConfig(65001, "", "address: 10.0.2.2, remote-as: 65010, connect-retry: 1"))
	bird := b.bird("r2", birdPeer(2, 65010, 65001, "203.0.113.0/24", "", ""))
	b.established("10.0.2.2")
	b.goes("203.0.113.1", "eth2")
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.3.2")
	b.goes("203.0.113.1", "eth3")
	all, err := b.routes("203.0.113.0/24", "--all")
	b.ok(err)
	if len(all) != 2 || !all[0].GetBest() || all[1].GetBest() || all[1].GetReason() == "" || all[1].GetSource() != vnfv1.RouteSource_ROUTE_SOURCE_BGP {
		t.Errorf("candidates: %v", all)
	}
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.3.2", "--distance", "250")
	b.goes("203.0.113.1", "eth2")
	_, err = bird.Ctl("disable", "box")
	b.ok(err)
	b.goes("203.0.113.1", "eth3")
	b.ctl("route", "delete", "203.0.113.0/24")
	b.absent("203.0.113.1")
}

// TestInstanceRoutes: routes of another network instance, and routes that lead from one to the other.
func TestInstanceRoutes(t *testing.T) {
	b := newBed(t, 1)
	b.lab.NS("r2").Addr("lo", "203.0.113.1/32")
	b.start(strings.Replace(b.interfaces(), "iface: port2,", "iface: port2, network-instance: red,", 1) + "network-instances: [{name: red}]\n")
	b.ctl("route", "add", "-n", "red", "203.0.113.0/24", "--via", "10.0.2.2")
	if out, err := b.lab.NS("a").Output("ping", "-n", "-c", "1", "-W", "5", "203.0.113.1"); err == nil || !strings.Contains(out, "Destination Net Unreachable") {
		t.Errorf("a route of red serves default: %v\n%s", err, out)
	}
	r, err := b.routes("203.0.113.0/24", "-n", "red")
	b.ok(err)
	if len(r) != 1 || r[0].GetNetworkInstance() != "red" {
		t.Errorf("%v", r)
	}
	if r, err := b.routes("203.0.113.0/24"); err != nil || len(r) != 0 {
		t.Errorf("default has it, too: %v %v", r, err)
	}
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.2.2,in=red")
	b.ctl("route", "add", "-n", "red", "10.0.1.0/24", "--via", "dev=eth1,in=default")
	b.installed("203.0.113.0/24")
	b.pings("a", "203.0.113.1")
}

// TestConfigIsTakenWhole: a file with a fault changes nothing, be it found by validation or by the data plane, and the fault is named.
func TestConfigIsTakenWhole(t *testing.T) {
	b := newBed(t, 1)
	good := b.interfaces()
	b.start(good)
	b.pings("a", "10.0.2.2")
	tr := startTraffic(t, b.lab.NS("a"), "10.0.2.2", 4, 500, map[string]*lab.NS{"r2": b.lab.NS("r2")})
	before := b.ctl("config", "show", "--with-secrets")
	state := func() string { return b.ctl("interface", "list") + b.ctl("route", "list") }
	b.says(false, "tentative", func() (string, error) { return state(), nil })
	was := state()
	// Each has a good change before the bad one.
	head := strings.Replace(good, "10.0.2.1/24,", "10.0.2.1/24, 198.51.100.1/24,", 1)
	static := "network-instances: [{name: default, static-routes: [{prefix: 203.0.113.0/24, action: blackhole}%s]%s}]\n"
	for _, c := range []struct{ config, want string }{
		{head + fmt.Sprintf(static, ", {prefix: 203.0.114.1/24, action: blackhole}", ""), "static-routes[203.0.114.1/24]"},
		{head + fmt.Sprintf(static, ", {prefix: 203.0.114.0/24, next-hops: [{address: 10.0.2.2, interface: eth9}]}", ""), "static-routes[203.0.114.0/24].next-hops[0].interface"},
		{head + fmt.Sprintf(static, "", ", bgp: {asn: 65001, neighbors: [{address: 10.0.2.2, remote-as: 65002, import-policies: [nosuch]}]}"), "neighbors[10.0.2.2].import-policies"},
		{head + fmt.Sprintf(static, "", ", bgp: {asn: 65001, neighbors: [{address: 10.0.2.2, remote-as: 65002, ttl-security: 1, multihop: 3}]}"), "neighbors[10.0.2.2]"},
		{head + "  - {name: eth1.5, type: vlan, parent: eth1, vlan-id: 4095}\n", "interfaces[eth1.5].vlan-id"},
		{head + "  - {name: eth1.5, type: vlan, parent: eth1, vlan-id: 5, mtu: 70000}\n", "interfaces[eth1.5].mtu"},
		{head + "colour: blue\n", "colour"},
		{head + "settings: {icmp-error-rat: 5}\n", "settings.icmp-error-rat: unknown field"},
		{head + "  - {name: eth9, type: port, iface: nosuchdev, addresses: [192.0.2.1/24]}\n", "interfaces[eth9]"},
		{head + "  - [not, a, map]\n", "interfaces[2]"},
		{head + "\t- x\n", "line"},
	} {
		err := b.box.Apply(c.config)
		if err == nil {
			t.Errorf("taken, though %s is wrong", c.want)
			continue
		}
		if !strings.Contains(err.Error(), c.want) {
			t.Errorf("the error does not say %q: %v", c.want, err)
		}
		if now := b.ctl("config", "show", "--with-secrets"); now != before {
			t.Fatalf("%s: the configuration has changed:\n%s\nbefore:\n%s", c.want, now, before)
		}
		b.eventually(5*time.Second, func() error {
			if now := state(); now != was {
				return fmt.Errorf("%s: the state has changed:\n%s\nbefore:\n%s", c.want, now, was)
			}
			return nil
		})
	}
	b.ok(b.box.Apply(head + fmt.Sprintf(static, "", "")))
	b.installed("203.0.113.0/24")
	b.ok(b.box.Apply(good))
	b.gone("203.0.113.0/24")
	b.lossless(tr)
	b.eventually(5*time.Second, func() error {
		a, err := b.alarms()
		if err == nil && len(a) > 0 {
			err = fmt.Errorf("alarms are left: %v", a)
		}
		return err
	})
}

// TestFullFIB: more routes than the data plane takes. They are told as failed, with an alarm; the others work, and when there
// is room the failed ones get in by themselves.
func TestFullFIB(t *testing.T) {
	b := newBed(t, 1)
	b.lab.NS("r2").Addr("lo", "203.0.113.1/32")
	b.start(b.interfaces(), func(o *lab.BoxOptions) {
		o.Dataplane = "ipv4-routes: 1024\nipv6-routes: 1024\nmbufs: 8192\nhugepages: false\n"
	})
	b.ctl("route", "add", "203.0.113.0/24", "--via", "10.0.2.2")
	b.pings("a", "203.0.113.1")
	write := func(from, to int) string {
		var s bytes.Buffer
		for i := from; i < to; i++ {
			fmt.Fprintf(&s, "100.%d.%d.0/24 10.0.2.2\n", 64+i/256, i%256)
		}
		name := filepath.Join(b.lab.Dir, fmt.Sprintf("routes-%d-%d.txt", from, to))
		b.ok(os.WriteFile(name, s.Bytes(), 0o600))
		return name
	}
	tr := startTraffic(t, b.lab.NS("a"), "203.0.113.1", 4, 500, map[string]*lab.NS{"r2": b.lab.NS("r2")})
	b.ctl("route", "add", "--transient", "--file", write(0, 1500))
	summary := func() *vnfv1.GetRouteSummaryResponse {
		t.Helper()
		var raw json.RawMessage
		b.ok(b.box.CtlJSON(&raw, "route", "summary"))
		var s vnfv1.GetRouteSummaryResponse
		b.ok(protojson.Unmarshal(raw, &s))
		return &s
	}
	var failed int
	b.eventually(20*time.Second, func() error {
		s := summary()
		failed = int(s.GetFibFailed())
		if s.GetFibPending() != 0 || failed < 470 || failed > 500 || s.GetFibInstalled() != uint64(1501-failed) {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	b.alarm(true, "routes are not in the data plane")
	// Those that are just being tried again are not among them.
	var failures []*vnfv1.FibFailure
	b.eventually(5*time.Second, func() (err error) {
		failures, err = items(b.box, func() *vnfv1.FibFailure { return new(vnfv1.FibFailure) }, "route", "failures")
		if err == nil && len(failures) != failed {
			err = fmt.Errorf("%d failures listed of %d", len(failures), failed)
		}
		return err
	})
	if !strings.Contains(strings.ToLower(failures[0].GetError()), "full") {
		t.Errorf("reason: %v", failures[0])
	}
	b.eventually(5*time.Second, func() error {
		marked, err := b.routes("--fib", "failed")
		if err == nil && len(marked) != failed {
			err = fmt.Errorf("%d routes are marked as failed of %d", len(marked), failed)
		}
		return err
	})
	out := b.ctl("route", "lookup", strings.TrimSuffix(failures[0].GetPrefix(), "0/24")+"1")
	if !strings.Contains(strings.ToLower(out), "full") {
		t.Errorf("lookup does not say why:\n%s", out)
	}
	// Half of the routes go; what did not fit before gets in.
	b.ctl("route", "delete", "--transient", "--file", write(0, 700))
	b.eventually(30*time.Second, func() error {
		if s := summary(); s.GetFibFailed() != 0 || s.GetFibInstalled() != 801 {
			return fmt.Errorf("%v", s)
		}
		return nil
	})
	b.goes("100.69.219.1", "eth2") // number 1,499
	b.alarm(false, "routes are not in the data plane")
	b.lossless(tr)
}
