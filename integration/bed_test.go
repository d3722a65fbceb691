// Package integration tests the whole system in network namespaces, with real peers.
package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	vnfv1 "millrace/api/proto/vnf/v1"
	"millrace/internal/lab"
)

// bed is a lab with one appliance in the namespace "r", a host "a" on its eth1, and routers on its eth2, eth3, …
//
// Link i is 10.0.i.0/24 and 2001:db8:0:i::/64; the box is .1 and ::1, the other end .2 and ::2. Links are ordinary; what makes a
// router is the default route to the box and forwarding.
type bed struct {
	t   *testing.T
	lab *lab.Lab
	box *lab.Box

	links []int
}

// newBed makes the namespaces of the box, of the host and of n routers, which are called "r2", "r3", …
func newBed(t *testing.T, routers int) *bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: the lab makes network namespaces")
	}
	l, err := lab.New("route")
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{t: t, lab: l}
	t.Cleanup(func() {
		if t.Failed() && os.Getenv("MILLRACE_LOGS") != "" {
			b.logs()
		} else if t.Failed() && b.box != nil {
			t.Logf("the appliance said:\n%s", tail(b.box.Proc.Output(), 6000))
		}
		l.Close()
	})
	b.link(1, "a")
	for i := 2; i < 2+routers; i++ {
		b.link(i, fmt.Sprintf("r%d", i))
		r := l.NS(fmt.Sprintf("r%d", i))
		r.Sysctl("net.ipv4.ip_forward", "1")
		r.Sysctl("net.ipv6.conf.all.forwarding", "1")
	}
	return b
}

func (b *bed) link(i int, far string) {
	ns := b.lab.NS(far)
	b.lab.Veth(ns, "eth0", b.lab.NS("r"), fmt.Sprintf("port%d", i))
	ns.Addr("eth0", fmt.Sprintf("10.0.%d.2/24", i))
	ns.Addr("eth0", fmt.Sprintf("2001:db8:0:%d::2/64", i))
	ns.Default(fmt.Sprintf("10.0.%d.1", i))
	ns.Default(fmt.Sprintf("2001:db8:0:%d::1", i))
	b.links = append(b.links, i)
}

// stub gives a router a host behind it, in a namespace of its own, on a link with these two prefixes; the router has the first
// address of each, the host the second.
func (b *bed) stub(router, v4, v6 string) *lab.NS {
	r, h := b.lab.NS(router), b.lab.NS(router+"h")
	b.lab.Veth(r, "stub0", h, "eth0")
	for _, s := range []string{v4, v6} {
		p := netip.MustParsePrefix(s)
		first := p.Addr().Next()
		r.Addr("stub0", netip.PrefixFrom(first, p.Bits()).String())
		h.Addr("eth0", netip.PrefixFrom(first.Next(), p.Bits()).String())
		h.Default(first.String())
	}
	return h
}

// interfaces is the part of the configuration for all links.
func (b *bed) interfaces(extra ...string) string {
	var s strings.Builder
	s.WriteString("\ninterfaces:\n")
	for _, i := range b.links {
		fmt.Fprintf(&s, "  - {name: eth%d, type: port, iface: port%d, addresses: [10.0.%d.1/24, \"2001:db8:0:%d::1/64\"]}\n", i, i, i, i)
	}
	for _, e := range extra {
		fmt.Fprintf(&s, "  - %s\n", e)
	}
	return s.String()
}

// start starts the appliance with a configuration (without its system section) and waits for the links.
func (b *bed) start(config string, opts ...func(*lab.BoxOptions)) {
	b.t.Helper()
	o := lab.BoxOptions{Config: config}
	for _, f := range opts {
		f(&o)
	}
	box, err := b.lab.Box(b.lab.NS("r"), o)
	b.box = box
	b.ok(err)
	var names []string
	for _, i := range b.links {
		names = append(names, fmt.Sprintf("eth%d", i))
	}
	b.ok(box.WaitInterfaces(names...))
}

func (b *bed) ok(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// eventually waits for a condition and fails the test if it does not come.
func (b *bed) eventually(timeout time.Duration, f func() error) {
	b.t.Helper()
	if err := lab.Eventually(timeout, f); err != nil {
		b.t.Fatal(err)
	}
}

// steady asks for a condition to hold for a time.
func (b *bed) steady(d time.Duration, f func() error) {
	b.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if err := f(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// ctl runs vnfctl, which has to succeed.
func (b *bed) ctl(args ...string) string {
	b.t.Helper()
	out, err := b.box.Ctl(args...)
	b.ok(err)
	return out
}

// items is what a listing command of vnfctl prints with -o json.
func items[T proto.Message](box *lab.Box, make func() T, args ...string) ([]T, error) {
	var raw []json.RawMessage
	if err := box.CtlJSON(&raw, args...); err != nil {
		return nil, err
	}
	var all []T
	for _, r := range raw {
		m := make()
		if err := protojson.Unmarshal(r, m); err != nil {
			return nil, fmt.Errorf("vnfctl %s: %w", strings.Join(args, " "), err)
		}
		all = append(all, m)
	}
	return all, nil
}

func (b *bed) routes(args ...string) ([]*vnfv1.Route, error) {
	return items(b.box, func() *vnfv1.Route { return new(vnfv1.Route) }, append([]string{"route", "list"}, args...)...)
}

func (b *bed) bgpRoutes(view, neighbor string, args ...string) ([]*vnfv1.BgpRoute, error) {
	return items(b.box, func() *vnfv1.BgpRoute { return new(vnfv1.BgpRoute) }, append([]string{"bgp", view, neighbor}, args...)...)
}

func (b *bed) alarms() ([]*vnfv1.Alarm, error) {
	return items(b.box, func() *vnfv1.Alarm { return new(vnfv1.Alarm) }, "system", "alarms")
}

// alarm waits until an alarm whose text has this word is there, or until there is none.
func (b *bed) alarm(want bool, word string) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		all, err := b.alarms()
		if err != nil {
			return err
		}
		for _, a := range all {
			if strings.Contains(a.GetId()+" "+a.GetResource()+" "+a.GetText(), word) {
				if want {
					return nil
				}
				return fmt.Errorf("alarm still there: %v", a)
			}
		}
		if want {
			return fmt.Errorf("no alarm about %q among %v", word, all)
		}
		return nil
	})
}

// established waits for the sessions.
func (b *bed) established(neighbors ...string) {
	b.t.Helper()
	b.eventually(40*time.Second, func() error {
		for _, n := range neighbors {
			if s, err := b.session(n); err != nil {
				return err
			} else if s.GetSessionState() != vnfv1.BgpSessionState_BGP_SESSION_STATE_ESTABLISHED {
				return fmt.Errorf("%s is %v, %s", n, s.GetSessionState(), s.GetLastError())
			}
		}
		return nil
	})
}

func (b *bed) session(neighbor string) (*vnfv1.BgpNeighborState, error) {
	all, err := items(b.box, func() *vnfv1.BgpNeighbor { return new(vnfv1.BgpNeighbor) }, "bgp", "neighbors")
	if err != nil {
		return nil, err
	}
	for _, n := range all {
		if strings.HasPrefix(n.GetConfig().GetAddress(), neighbor) {
			return n.GetState(), nil
		}
	}
	return nil, fmt.Errorf("no neighbour %s", neighbor)
}

// installed waits until the data plane has acknowledged the best routes for these prefixes.
func (b *bed) installed(prefixes ...string) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		for _, p := range prefixes {
			rs, err := b.routes(p)
			if err != nil {
				return err
			}
			if len(rs) == 0 || rs[0].GetFibState() != vnfv1.FibState_FIB_STATE_INSTALLED {
				return fmt.Errorf("%s is not in the FIB: %v", p, rs)
			}
		}
		return nil
	})
}

// gone waits until there is no route for the prefix.
func (b *bed) gone(prefixes ...string) {
	b.t.Helper()
	b.eventually(20*time.Second, func() error {
		for _, p := range prefixes {
			if rs, err := b.routes(p); err != nil || len(rs) > 0 {
				return fmt.Errorf("%s is still there: %v, %w", p, rs, err)
			}
		}
		return nil
	})
}

// lookup is what the data plane itself answers for a destination.
func (b *bed) lookup(destination string) (*vnfv1.DataplaneLookup, error) {
	var raw json.RawMessage
	if err := b.box.CtlJSON(&raw, "route", "lookup", destination); err != nil {
		return nil, err
	}
	var r vnfv1.LookupRouteResponse
	if err := protojson.Unmarshal(raw, &r); err != nil {
		return nil, err
	}
	return r.GetDataplane(), nil
}

// pings sends echo requests from a namespace until three in a row are answered.
func (b *bed) pings(from string, destinations ...string) {
	b.t.Helper()
	for _, d := range destinations {
		b.eventually(15*time.Second, func() error {
			_, err := b.lab.NS(from).Output("ping", "-n", "-c", "3", "-i", "0.05", "-W", "1", d)
			return err
		})
	}
}

// drops counts the packets that the data plane dropped for a reason.
func (b *bed) drops(reason string) uint64 {
	b.t.Helper()
	all, err := items(b.box, func() *vnfv1.Drop { return new(vnfv1.Drop) }, "system", "drops")
	b.ok(err)
	for _, d := range all {
		if d.GetReason() == reason {
			return d.GetPackets()
		}
	}
	return 0
}

// frr starts FRR in a router's namespace.
func (b *bed) frr(router, config string) *lab.FRR {
	b.t.Helper()
	f, err := b.lab.FRR(b.lab.NS(router), "frr version 8.4\nfrr defaults traditional\n"+config)
	b.ok(err)
	return f
}

// bird starts BIRD in a router's namespace.
func (b *bed) bird(router, config string) *lab.BIRD {
	b.t.Helper()
	p, err := b.lab.BIRD(b.lab.NS(router), "log stderr all;\nprotocol device {}\n"+config)
	b.ok(err)
	return p
}

// logs prints all that the lab's processes said.
func (b *bed) logs() {
	files, _ := filepath.Glob(filepath.Join(b.lab.Dir, "*.log"))
	for _, f := range files {
		text, _ := os.ReadFile(f)
		b.t.Logf("%s:\n%s", filepath.Base(f), tail(string(text), 12000))
	}
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}
